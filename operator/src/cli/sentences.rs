//! What a person is told of Renders and stacks, one line each.

use std::{path::Path, time::Duration};

use crds::{
    Failure, HyperframesStack, Render, RenderStatus,
    condition::{
        CANCELLED, CANCELLING, COMPLETED, Condition, DELETING, DRAINING, ORPHANED, QUEUED, READY, RETRYING, RUNNING,
        SOURCE_NOT_READY, STACK_NOT_FOUND, STACK_NOT_READY, STALLED, SUCCEEDED, SUSPENDED,
    },
    render::{ProgressStage, ProgressStatus, WarningStatus},
};
use indicatif::HumanBytes;

use super::numbers;
use crate::{ports::ObjectKey, reconcile::conditions};

/// What a Render has come to, as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The video is there.
    Made,
    /// Its last attempt failed.
    Failed,
    /// Its spec, or what it needs, cannot be used.
    NotMade,
    /// Somebody wants it so.
    Held,
    /// Something is going on, or was when we looked last.
    Unfinished,
}

impl Outcome {
    pub(crate) fn of(render: &Render) -> Self {
        let Some(status) = &render.status else { return Self::Unfinished };
        let attempted = status.failure.is_some() && status.attempts.last().is_some_and(|last| last.stop_time.is_some());
        match reason(status) {
            Some(COMPLETED) => Self::Made,
            Some(CANCELLED | SUSPENDED | ORPHANED) => Self::Held,
            Some(STACK_NOT_FOUND | STACK_NOT_READY | SOURCE_NOT_READY) => Self::NotMade,
            Some(QUEUED | RUNNING | RETRYING | CANCELLING | DRAINING | DELETING) | None => Self::Unfinished,
            Some(_) if attempted => Self::Failed,
            Some(_) => Self::NotMade,
        }
    }
}

/// The reason of a status's `Succeeded` condition: a state, or an error code.
pub(crate) fn reason(status: &RenderStatus) -> Option<&str> {
    succeeded(status).map(|condition| condition.reason.as_str())
}

fn succeeded(status: &RenderStatus) -> Option<&Condition> {
    conditions::find(&status.conditions, SUCCEEDED)
}

/// What is worth a line in a new status of a Render. Paths are as seen from `here`.
pub(crate) fn render(old: Option<&RenderStatus>, new: &Render, here: &Path) -> Vec<String> {
    let Some(status) = &new.status else { return Vec::new() };
    let name = name(&ObjectKey::render(new));
    let mut lines = Vec::new();
    if status.omitted_warnings.is_some() || !status.warnings.is_empty() {
        let known = old.map(|old| old.warnings.as_slice()).unwrap_or_default();
        let new = status.warnings.iter().filter(|warning| !known.contains(warning));
        lines.extend(new.map(|warning| format!("warning: {name}: {}", warning_text(warning))));
        let omitted =
            status.omitted_warnings.filter(|_| old.is_none_or(|old| old.omitted_warnings != status.omitted_warnings));
        lines.extend(omitted.map(|more| format!("warning: {name}: and {more} more like these")));
    }
    let now = state(status, here);
    let before = old.and_then(|old| state(old, here));
    lines.extend(now.filter(|now| before.as_ref() != Some(now)).map(|now| format!("{name}: {now}")));
    lines
}

/// A state that a person wants to know of.
pub(crate) fn state(status: &RenderStatus, here: &Path) -> Option<String> {
    let condition = succeeded(status)?;
    let message = &condition.message;
    match (condition.reason.as_str(), &status.output, &status.failure) {
        (QUEUED | DELETING | DRAINING | CANCELLING, ..) => None,
        (COMPLETED, Some(output), _) => {
            let size = HumanBytes(u64::try_from(output.bytes).unwrap_or(0));
            let took = status
                .attempts
                .last()
                .and_then(|last| Some(last.stop_time.as_ref()?.0.duration_since(last.start_time.0)));
            let took = took.and_then(|took| Duration::try_from(took).ok());
            let took = took.map_or(String::new(), |took| format!(", in {}", numbers::time(took)));
            let video = seen_from(here, &video(&output.uri));
            Some(format!("{video}: {} frames, {}x{}, {size}{took}", output.frames, output.width, output.height))
        }
        (CANCELLED, ..) => Some("cancelled".to_owned()),
        (SUSPENDED, ..) => Some("suspended".to_owned()),
        (RETRYING, ..) => Some(message.clone()),
        (RUNNING, ..) if status.progress.is_none() => Some(message.clone()),
        (RUNNING, ..) => None,
        (STACK_NOT_FOUND | STACK_NOT_READY | SOURCE_NOT_READY | ORPHANED, ..) => Some(format!("waits: {message}")),
        (_, _, Some(failure)) => {
            let line = failure.line.and_then(|line| u32::try_from(line).ok());
            let path = failure.path.as_deref().map(|path| seen_from(here, path));
            Some(format!("failed: {}", Failure::read(&failure.code, failure.message.clone(), path, line)))
        }
        (reason, ..) => Some(format!("{reason}: {message}")),
    }
}

fn warning_text(warning: &WarningStatus) -> String {
    let line = warning.line.and_then(|line| u32::try_from(line).ok());
    Failure::read(&warning.code, warning.message.clone(), warning.path.clone(), line).to_string()
}

/// What is worth a line in a new status of a stack: that it cannot render, and that it can again.
pub(crate) fn stack(old: Option<&HyperframesStack>, new: &HyperframesStack) -> Option<String> {
    let stalled = |stack: &HyperframesStack| {
        stack.status.as_ref().is_some_and(|status| conditions::is_true(&status.conditions, STALLED))
    };
    let ready = conditions::find(&new.status.as_ref()?.conditions, READY)?;
    let name = name(&ObjectKey::stack(new));
    match (old.is_some_and(stalled), stalled(new)) {
        (false, true) => Some(format!("error: stack {name}: {}: {}", ready.reason, ready.message)),
        (true, false) if ready.status == "True" => Some(format!("stack {name}: {}", ready.message)),
        _ => None,
    }
}

/// `40/150 frames, 25 fps, 3 s, 4 s left`: how far an attempt is that has run for so long. Frames that an earlier attempt
/// had made are not counted into the speed.
pub(crate) fn progress(progress: &ProgressStatus, elapsed: Duration, made: i32) -> String {
    let time = numbers::time(elapsed);
    if progress.stage != ProgressStage::Rendering {
        return format!("{} · {time}", progress.stage.as_str().to_lowercase());
    }
    let (done, total) = (progress.frames_rendered, progress.frames_total);
    let rate = f64::from(made) / elapsed.as_secs_f64();
    if made <= 0 || !rate.is_normal() {
        return format!("{done}/{total} · {time}");
    }
    let left = numbers::time(Duration::from_secs_f64(f64::from((total - done).max(0)) / rate));
    format!("{done}/{total} · {rate:.0} fps · {time}, {left} left")
}

/// `default/hello`.
pub(crate) fn name(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// The file behind a `file://` address; other addresses as they are.
pub(crate) fn video(uri: &str) -> String {
    let path = url::Url::parse(uri).ok().and_then(|url| url.to_file_path().ok());
    path.map_or_else(|| uri.to_owned(), |path| path.display().to_string())
}

/// A path as a person who stands in `here` would type it.
pub(crate) fn seen_from(here: &Path, path: &str) -> String {
    let inside = Path::new(path).strip_prefix(here).ok().filter(|rest| !rest.as_os_str().is_empty());
    inside.map_or_else(|| path.to_owned(), |rest| rest.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::planning;

    #[test]
    fn progress_is_said_with_speed_and_time_left() {
        let status = |done, stage| ProgressStatus { stage, frames_rendered: done, frames_total: 150, ..planning() };
        let said = |done, stage, made| progress(&status(done, stage), Duration::from_secs(4), made);
        assert_eq!(said(0, ProgressStage::Planning, 0), "planning · 4.0 s");
        assert_eq!(said(0, ProgressStage::Rendering, 0), "0/150 · 4.0 s");
        assert_eq!(said(50, ProgressStage::Rendering, 40), "50/150 · 10 fps · 4.0 s, 10 s left");
    }

    #[test]
    fn what_goes_wrong_in_another_way_is_told_again() {
        let failed = |message: &str| RenderStatus {
            conditions: vec![conditions::new(
                SUCCEEDED,
                "False",
                "SCRIPT_ERROR",
                message,
                1,
                jiff::Timestamp::UNIX_EPOCH,
            )],
            failure: Some(crds::render::FailureStatus {
                code: "SCRIPT_ERROR".to_owned(),
                message: message.to_owned(),
                retryable: false,
                path: None,
                line: None,
            }),
            ..RenderStatus::default()
        };
        let told = |old: &str, new: &str| {
            let mut object = Render::new("a", crds::RenderSpec::default());
            object.status = Some(failed(new));
            render(Some(&failed(old)), &object, Path::new("/"))
        };
        assert_eq!(told("x", "x"), [""; 0]);
        assert_eq!(told("x", "y"), ["default/a: failed: SCRIPT_ERROR: y"]);
    }

    #[test]
    fn paths_are_as_typed_from_where_one_stands() {
        assert_eq!(seen_from(Path::new("/w"), "/w/out/a.mp4"), "out/a.mp4");
        assert_eq!(seen_from(Path::new("/w"), "/x/a.mp4"), "/x/a.mp4");
        assert_eq!(seen_from(Path::new("/w"), "index.html"), "index.html");
        assert_eq!(video("file:///w/a%20b.mp4"), "/w/a b.mp4");
        assert_eq!(video("s3://bucket/a.mp4"), "s3://bucket/a.mp4");
    }
}
