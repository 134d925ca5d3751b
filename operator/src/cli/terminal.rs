//! What is seen of a running `hf-reconcile`: results as they come; bars on a terminal, a line now and then elsewhere; or
//! JSON lines on standard output.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::{HyperframesStack, Render, RenderStatus, printable, render::ProgressStatus};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::Instant;
use tracing_subscriber::EnvFilter;

use super::{
    args::LineFormat,
    numbers::{self, count},
    sentences::{self, Outcome, seen_from},
};
use crate::{
    ports::{Kind, ObjectKey},
    settings::{here, no_color},
    store::dir::{Notice, layout::Layout, scan::FileProblem},
};

/// How often a line is said where there are no bars.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Renders that are named one by one where many have the same to say.
const NAMED: usize = 10;

/// Standard error for people, standard output for results.
pub(crate) struct Terminal {
    json: bool,
    bars: Option<MultiProgress>,
    here: PathBuf,
    began: Instant,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    stacks: HashMap<ObjectKey, Arc<HyperframesStack>>,
    /// Told since the beginning.
    told: BTreeSet<ObjectKey>,
    running: BTreeMap<ObjectKey, Running>,
    problems: Vec<FileProblem>,
    last_heartbeat: Option<Instant>,
}

/// What a Render came to. Small: there may be ten thousand.
pub(crate) struct Ending {
    key: ObjectKey,
    pub(crate) outcome: Outcome,
    /// What there is to say of it, where nothing was since the beginning.
    untold: Option<String>,
    /// Where its video is, if it was made.
    video: Option<String>,
}

/// An attempt as it was seen last.
struct Running {
    progress: ProgressStatus,
    began: Instant,
    /// Frames that there were when the first was seen to be rendered, and when that was.
    first: Option<(i32, Instant)>,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub(crate) fn new(format: Option<LineFormat>) -> Self {
        let json = format.is_some();
        let bars = (!json && io::stderr().is_terminal()).then(MultiProgress::new);
        Self { json, bars, here: here(), began: Instant::now(), known: RefCell::default() }
    }

    /// Sends the log to standard error, above the bars.
    pub(crate) fn log_to(&self, filter: EnvFilter) {
        let bars = self.bars.clone();
        let writer = move || AboveBars(bars.clone());
        let colours = io::stderr().is_terminal() && !no_color();
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_target(false);
        // A second log in one process changes nothing.
        let _ = log.with_writer(writer).try_init();
    }

    /// Tells a person something.
    pub(crate) fn say(&self, text: &str) {
        // One write: what else comes to the terminal does not come in between.
        let _ = AboveBars(self.bars.clone()).write_all(format!("{}\n", printable(text)).as_bytes());
    }

    /// Tells of problems in files that are new, and of files that are well again.
    pub(crate) fn problems(&self, layout: &Layout, problems: &[FileProblem]) {
        let old = std::mem::take(&mut self.known.borrow_mut().problems);
        let file =
            |problem: &FileProblem| seen_from(&self.here, &layout.root().join(&problem.path).display().to_string());
        for problem in problems.iter().filter(|problem| !old.contains(problem)) {
            self.say(&format!("error: {}:{}", file(problem), problem.problem));
        }
        let broken: BTreeSet<&Path> = problems.iter().map(|problem| problem.path.as_path()).collect();
        let mended = old.iter().filter(|problem| !broken.contains(problem.path.as_path())).map(file);
        for file in mended.collect::<BTreeSet<_>>() {
            self.say(&format!("{file}: valid again"));
        }
        self.known.borrow_mut().problems = problems.to_vec();
    }

    /// Tells of what has happened to an object.
    pub(crate) fn told(&self, notice: Notice) {
        match notice {
            Notice::Render { old, new } => self.render(old.status.as_ref(), &new),
            Notice::Stack(stack) => {
                let old = self.known.borrow_mut().stacks.insert(ObjectKey::stack(&stack), Arc::clone(&stack));
                if let Some(line) = sentences::stack(old.as_deref(), &stack) {
                    self.say(&line);
                }
            }
            Notice::Orphaned(key) => {
                self.say(&format!("{}: its file is gone: it is left alone (--prune removes such)", thing(&key)));
            }
            Notice::Deleting(key) => self.say(&format!("{}: its file is gone: it is being removed", thing(&key))),
            Notice::Forgotten(key) => {
                self.known.borrow_mut().told.remove(&key);
                self.say(&format!("{}: removed", thing(&key)));
            }
        }
    }

    fn render(&self, old: Option<&RenderStatus>, render: &Render) {
        let key = ObjectKey::render(render);
        self.known.borrow_mut().told.insert(key.clone());
        if self.json {
            print(&line(&key, render));
            return;
        }
        for line in sentences::render(old, render, &self.here) {
            self.say(&line);
        }
    }

    /// Shows how far attempts are. `running`: all of them.
    pub(crate) fn running(&self, running: Vec<(ObjectKey, ProgressStatus)>) {
        let now = Instant::now();
        let mut known = self.known.borrow_mut();
        let present: BTreeSet<_> = running.iter().map(|(key, _)| key.clone()).collect();
        let gone: Vec<_> = known.running.keys().filter(|key| !present.contains(*key)).cloned().collect();
        for (bar, bars) in
            gone.iter().filter_map(|key| known.running.get(key)?.bar.as_ref()).zip(self.bars.iter().cycle())
        {
            bar.finish_and_clear();
            bars.remove(bar);
        }
        for (key, progress) in running {
            let seen = known.running.entry(key.clone()).or_insert_with(|| Running {
                progress: progress.clone(),
                began: now,
                first: None,
                bar: self.bars.as_ref().map(|bars| bars.add(bar(&key))),
            });
            seen.observe(progress, now);
        }
        let due = known.last_heartbeat.get_or_insert(now);
        if self.json || self.bars.is_some() || now.duration_since(*due) < HEARTBEAT || present.is_empty() {
            return;
        }
        *due = now;
        let lines: Vec<_> = known
            .running
            .iter()
            .filter(|(key, _)| present.contains(*key))
            .map(|(key, seen)| format!("{}: {}", sentences::name(key), seen.text(now)))
            .collect();
        drop(known);
        lines.iter().take(NAMED).for_each(|line| self.say(line));
        if lines.len() > NAMED {
            self.say(&format!("and {} more", lines.len() - NAMED));
        }
    }

    /// What a Render came to, and what is still to be said of it.
    pub(crate) fn ending(&self, render: &Render) -> Ending {
        let (key, outcome) = (ObjectKey::render(render), Outcome::of(render));
        let told = self.known.borrow().told.contains(&key);
        let status = render.status.as_ref();
        let untold = match outcome {
            _ if told => None,
            _ if self.json => Some(line(&key, render)),
            Outcome::Made => Some("nothing to do".to_owned()),
            Outcome::Unfinished => Some(String::new()),
            _ => Some(status.and_then(|status| sentences::state(status, &self.here)).unwrap_or_default()),
        };
        let output = status.and_then(|status| status.output.as_ref()).filter(|_| outcome == Outcome::Made);
        Ending { key, outcome, untold, video: output.map(|output| sentences::video(&output.uri)) }
    }

    /// The last word on a folder that was to be converged: how many came to what, and on standard output their videos.
    pub(crate) fn finish(&self, endings: &[Ending], interrupted: bool) {
        self.leave(endings, interrupted);
        let untold = endings.iter().filter_map(|ending| Some((ending, ending.untold.as_deref()?)));
        if self.json {
            untold.for_each(|(_, line)| print(line));
            return;
        }
        for (ending, words) in untold.take(NAMED).filter(|(ending, _)| ending.outcome != Outcome::Unfinished) {
            self.say(&format!("{}: {words}", sentences::name(&ending.key)));
        }
        self.summary(endings);
        endings.iter().filter_map(|ending| ending.video.as_deref()).for_each(|video| print(&printable(video)));
    }

    /// Clears the bars; says what an interrupt has left.
    pub(crate) fn leave(&self, endings: &[Ending], interrupted: bool) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
        if !interrupted {
            return;
        }
        let unfinished = endings.iter().filter(|ending| ending.outcome == Outcome::Unfinished);
        let known = self.known.borrow();
        let kept = unfinished.filter_map(|ending| known.running.get(&ending.key));
        let (done, total) = kept
            .fold((0, 0), |(done, total), seen| (done + seen.progress.chunks_done, total + seen.progress.chunks_total));
        drop(known);
        let chunks = if total == 0 { String::new() } else { format!(", {done} of {total} chunks kept") };
        self.say(&format!("interrupted{chunks}"));
    }

    /// How many came to what.
    fn summary(&self, endings: &[Ending]) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for ending in endings {
            let word = match ending.outcome {
                Outcome::Made if ending.untold.is_some() => "up to date",
                Outcome::Made => "made",
                Outcome::Failed => "failed",
                Outcome::NotMade => "not made",
                Outcome::Held => "held",
                Outcome::Unfinished => "not finished",
            };
            *counts.entry(word).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(word, number)| format!("{number} {word}")).collect();
        if endings.is_empty() {
            self.say("there is no Render here");
        } else {
            let time = numbers::time(self.began.elapsed());
            self.say(&format!("{}: {}, in {time}", count(endings.len(), "render"), counts.join(", ")));
        }
    }
}

impl Running {
    fn observe(&mut self, progress: ProgressStatus, now: Instant) {
        if progress.frames_total > 0 && self.first.is_none() {
            self.first = Some((progress.frames_rendered, now));
        }
        self.progress = progress;
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(self.progress.percent).unwrap_or(0));
            bar.set_message(self.text(now));
        }
    }

    fn text(&self, now: Instant) -> String {
        let (frames, since) = self.first.unwrap_or((0, self.began));
        sentences::progress(&self.progress, now.duration_since(since), self.progress.frames_rendered - frames)
    }
}

fn bar(key: &ObjectKey) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:20!} {wide_bar} {msg}");
    let bar = ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_prefix(key.name.clone())
}

/// A Render as people call it; a stack by its kind too.
fn thing(key: &ObjectKey) -> String {
    match key.kind {
        Kind::Render => sentences::name(key),
        Kind::Stack => format!("stack {}", sentences::name(key)),
    }
}

fn print(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A Render as one line of JSON.
fn line(key: &ObjectKey, render: &Render) -> String {
    let status = render.status.clone().unwrap_or_default();
    let RenderStatus { attempt, progress, failure, output, warnings, .. } = &status;
    let line = json!({
        "object": key.to_string(),
        "state": sentences::reason(&status),
        "attempt": attempt,
        "progress": progress,
        "failure": failure,
        "warnings": warnings,
        "output": output,
    });
    line.to_string()
}

/// Standard error, with the bars out of the way while something is written.
struct AboveBars(Option<MultiProgress>);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(bars) => bars.suspend(|| io::stderr().lock().write(bytes)),
            None => io::stderr().lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
