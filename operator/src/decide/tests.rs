use std::sync::Arc;

use crds::{
    Render, RenderStatus,
    render::{OutputStatus, RequestStatus, RequestVerb},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::{
    ports::StackSpec,
    requests,
    source::{Inputs, OutputCheck},
};

/// What is seen of a Render, told in sentences. Time is counted in seconds; now is 1000.
pub(crate) struct Scene(pub(crate) Observed);

const NOW: i64 = 1000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A Render that was never looked at, on a stack that is ready, with inputs "h1".
pub(crate) fn scene() -> Scene {
    let text = "{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {name: a}, spec: {source: {path: .}}}";
    let mut render: Render = serde_yaml::from_str(text).unwrap();
    render.metadata.uid = Some("u".into());
    render.metadata.generation = Some(1);
    let stack = StackSpec { key: None, local: crds::stack::LocalStack::default() };
    Scene(Observed {
        now: at(NOW),
        render: Arc::new(render),
        inputs: Ok(Inputs { hash: "h1".into(), project: "/p".into(), output: "/o.mp4".into() }),
        stack: StackView::Found(stack, StackReport::Ready { parallel_chunks: 2, renderer_digest: None }),
        admission: Admission::Admitted,
        attempt: AttemptReport::Unknown,
        output: OutputCheck::NotMade,
        draining: false,
    })
}

impl Scene {
    fn edit(mut self, edit: impl FnOnce(&mut Render)) -> Self {
        edit(Arc::make_mut(&mut self.0.render));
        self
    }

    fn status(self, edit: impl FnOnce(&mut RenderStatus)) -> Self {
        self.edit(|render| edit(render.status.get_or_insert_default()))
    }

    /// An attempt we wrote down: its number, inputs, and how it ended at which second (`None`: it has not).
    fn attempt(self, number: i32, hash: &str, end: Option<(&str, i64)>) -> Self {
        self.status(|status| {
            status.attempt = Some(number);
            status.execution_name = Some(format!("hf-u-{number}"));
            status.attempts.push(AttemptStatus {
                number,
                input_hash: hash.into(),
                start_time: Time(at(NOW - 100 + i64::from(number))),
                stop_time: end.map(|(_, second)| Time(at(second))),
                result: end.map(|(result, _)| serde_json::from_value(result.into()).unwrap()),
                generation: None,
                stack: None,
                handle: None,
                failure_code: None,
            });
        })
    }

    fn failed_with(self, code: Code) -> Self {
        self.status(|status| {
            status.failure = Some(crds::render::FailureStatus {
                code: code.to_string(),
                message: "m".into(),
                retryable: code.retryable(),
                path: None,
                line: None,
            });
        })
    }

    fn reports(mut self, report: AttemptReport) -> Self {
        self.0.attempt = report;
        self
    }

    fn output(mut self, check: OutputCheck) -> Self {
        self.0.output = check;
        self.status(|status| status.output = Some(video()))
    }

    fn asked(self, verb: RequestVerb, second: i64) -> Self {
        self.edit(|render| {
            let annotations = render.metadata.annotations.get_or_insert_default();
            annotations.insert(requests::annotation(verb).into(), at(second).to_string());
        })
    }

    fn taken(self, verb: RequestVerb, second: i64, hash: &str) -> Self {
        self.status(|status| {
            let requested_time = Time(at(second));
            status.request = Some(RequestStatus { verb, requested_time, input_hash: Some(hash.into()) });
        })
    }

    fn seen(mut self, edit: impl FnOnce(&mut Observed)) -> Self {
        edit(&mut self.0);
        self
    }

    /// The decision, in words.
    #[track_caller]
    fn check(self, expected: &str) {
        let Decision { verdict, effect, next } = decide(&self.0);
        let verdict = match verdict {
            Verdict::Running(progress) => format!("Running {}%", progress.percent),
            Verdict::Completed(output) => format!("Completed {}", output.uri),
            Verdict::Invalid(failure) => format!("Invalid {}", failure.code),
            Verdict::Failed(failure) => format!("Failed {}", failure.code),
            Verdict::Retrying(failure, due) => format!("Retrying {} at {}", failure.code, due.as_second()),
            Verdict::Gone => "Gone".into(),
            Verdict::Leaving => "Leaving".into(),
            Verdict::Cancelled => "Cancelled".into(),
            Verdict::Suspended => "Suspended".into(),
            Verdict::NoStack(message) => format!("NoStack {message}"),
            Verdict::StackPending => "StackPending".into(),
            Verdict::StackNotReady(_) => "StackNotReady".into(),
            Verdict::Queued(position) => format!("Queued {position}"),
            Verdict::Named(number) => format!("Named {number}"),
            Verdict::Stopping => "Stopping".into(),
        };
        let effect = effect.map_or(String::new(), |effect| format!(", {effect:?}"));
        let next = match next {
            Next::AwaitChange => "await change".into(),
            Next::AwaitSlot => "await slot".into(),
            Next::After(delay) => format!("after {delay:?}"),
            Next::Recheck(delay) => format!("recheck {delay:?}"),
        };
        assert_eq!(format!("{verdict}{effect}, {next}"), expected);
    }
}

fn video() -> OutputStatus {
    OutputStatus { uri: "file:///o.mp4".into(), bytes: 1, sha256: "s".into(), frames: 1, width: 2, height: 2 }
}

fn running() -> AttemptReport {
    AttemptReport::Running(ProgressStatus { percent: 42, ..planning() })
}

fn failure(code: Code) -> AttemptReport {
    AttemptReport::Failed(Failure::new(code, "m"))
}

#[test]
fn an_attempt_is_named_before_it_is_started_and_then_observed() {
    scene().check("Named 1, after 0ns");
    scene().attempt(1, "h1", None).check("Running 0%, Start, after 200ms");
    scene().attempt(1, "h1", None).reports(running()).check("Running 42%, after 200ms");
    scene()
        .attempt(1, "h1", None)
        .reports(AttemptReport::Succeeded(video()))
        .check("Completed file:///o.mp4, await change");
}

#[test]
fn what_was_interrupted_is_started_again_under_the_same_name() {
    scene().attempt(3, "h1", None).reports(AttemptReport::Stopped).check("Running 0%, Start, after 200ms");
}

#[test]
fn same_inputs_nothing_runs() {
    let done = || scene().attempt(1, "h1", Some(("Succeeded", 900)));
    done().output(OutputCheck::Intact).check("Completed file:///o.mp4, await change");
    done().output(OutputCheck::Lost("it is gone".into())).check("Named 2, after 0ns");
}

#[test]
fn other_inputs_end_the_running_attempt_and_start_another() {
    scene().attempt(1, "h0", None).reports(running()).check("Stopping, Cancel, after 200ms");
    scene().attempt(1, "h0", None).reports(AttemptReport::Stopped).check("Named 2, after 0ns");
    scene().attempt(1, "h0", Some(("Succeeded", 900))).output(OutputCheck::Intact).check("Named 2, after 0ns");
    scene().attempt(4, "h0", Some(("Failed", 900))).failed_with(Code::ScriptError).check("Named 5, after 0ns");
}

#[test]
fn a_compositions_fault_is_final_and_a_machines_fault_is_retried_with_growing_pauses() {
    scene().attempt(1, "h1", None).reports(failure(Code::ScriptError)).check("Failed SCRIPT_ERROR, await change");
    scene()
        .attempt(1, "h1", None)
        .reports(failure(Code::BrowserFailed))
        .check("Retrying BROWSER_FAILED at 1001, after 1s");
    let once = || scene().attempt(1, "h1", Some(("Failed", 990))).failed_with(Code::BrowserFailed);
    once().check("Named 2, after 0ns");
    once().attempt(2, "h1", Some(("Failed", 999))).check("Retrying BROWSER_FAILED at 1001, after 1s");
    once()
        .attempt(2, "h1", Some(("Failed", 900)))
        .attempt(3, "h1", Some(("Failed", 901)))
        .check("Failed BROWSER_FAILED, await change");
    let never = once().edit(|render| render.spec.retry.limit = 0);
    never.check("Failed BROWSER_FAILED, await change");
}

#[test]
fn cancelling_ends_what_runs_and_starts_nothing_until_asked() {
    let cancelled = |scene: Scene| scene.edit(|render| render.spec.desired_state = DesiredState::Cancelled);
    cancelled(scene()).check("Cancelled, await change");
    cancelled(scene().attempt(1, "h1", None).reports(running())).check("Stopping, Cancel, after 200ms");
    cancelled(scene().attempt(1, "h1", None).reports(AttemptReport::Stopped)).check("Cancelled, await change");
    scene().asked(RequestVerb::Cancel, 999).check("Cancelled, await change");
    let asked = || scene().attempt(1, "h1", Some(("Cancelled", 950))).taken(RequestVerb::Cancel, 940, "h1");
    asked().check("Cancelled, await change");
    asked().asked(RequestVerb::Retry, 960).check("Named 2, after 0ns");
    asked().seen(|seen| seen.inputs.as_mut().unwrap().hash = "h2".into()).check("Named 2, after 0ns");
}

#[test]
fn a_request_counts_once() {
    let done = || scene().attempt(1, "h1", Some(("Succeeded", 950))).output(OutputCheck::Intact);
    done().asked(RequestVerb::Retry, 960).check("Named 2, after 0ns");
    done().asked(RequestVerb::Retry, 940).check("Completed file:///o.mp4, await change");
    let again = done().attempt(2, "h1", Some(("Succeeded", 970))).taken(RequestVerb::Retry, 960, "h1");
    again.asked(RequestVerb::Retry, 960).check("Completed file:///o.mp4, await change");
}

#[test]
fn a_retry_asked_for_brings_all_retries_back() {
    let failed = scene().attempt(1, "h1", Some(("Failed", 901))).attempt(2, "h1", Some(("Failed", 902)));
    let failed = failed.attempt(3, "h1", Some(("Failed", 903))).failed_with(Code::BrowserFailed);
    let again = failed.taken(RequestVerb::Retry, 904, "h1").attempt(4, "h1", None);
    again.reports(failure(Code::BrowserFailed)).check("Retrying BROWSER_FAILED at 1001, after 1s");
}

#[test]
fn nothing_is_started_while_something_stands_in_the_way() {
    scene().edit(|render| render.spec.suspend = true).check("Suspended, await change");
    scene().seen(|seen| seen.admission = Admission::Waiting(3)).check("Queued 3, await slot");
    scene().seen(|seen| seen.draining = true).check("Queued 1, await change");
    scene().seen(|seen| seen.stack = StackView::NotFound("none".into())).check("NoStack none, await change");
    let stack = |report: StackReport| {
        scene().seen(|seen| {
            if let StackView::Found(_, known) = &mut seen.stack {
                *known = report;
            }
        })
    };
    stack(StackReport::Pending).check("StackPending, after 100ms");
    stack(StackReport::NotReady(Failure::new(Code::BrowserNotFound, "m"))).check("StackNotReady, recheck 10s");
    let running = scene().edit(|render| render.spec.suspend = true).attempt(1, "h1", None).reports(running());
    running.check("Running 42%, after 200ms");
}

#[test]
fn inputs_that_cannot_be_used_end_what_runs() {
    let invalid = |scene: Scene| scene.seen(|seen| seen.inputs = Err(Failure::new(Code::ProjectNotFound, "m")));
    invalid(scene()).check("Invalid PROJECT_NOT_FOUND, await change");
    invalid(scene().attempt(1, "h1", None).reports(running())).check("Invalid PROJECT_NOT_FOUND, Cancel, await change");
}

#[test]
fn a_deleted_render_is_gone_once_nothing_of_it_runs() {
    let deleted = |scene: Scene| scene.edit(|render| render.metadata.deletion_timestamp = Some(Time(at(NOW))));
    deleted(scene().attempt(1, "h1", None).reports(running())).check("Leaving, Cancel, after 200ms");
    deleted(scene().attempt(1, "h1", None).reports(AttemptReport::Stopped)).check("Gone, await change");
}
