//! What a person, or a machine reading lines, sees of a running `hf-reconcile`.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write},
    sync::Arc,
};

use crds::{
    Render, RenderStatus,
    condition::{COMPLETED, QUEUED, RUNNING, SUCCEEDED},
    render::ProgressStatus,
};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::{args::LineFormat, conditions, dir_store::scan::FileProblem, ports::ObjectKey};

/// Bars on a terminal; lines on standard error elsewhere; JSON lines on standard output if asked for.
pub(crate) struct Terminal {
    json: bool,
    bars: Option<MultiProgress>,
    seen: RefCell<BTreeMap<ObjectKey, Seen>>,
    problems: RefCell<Vec<FileProblem>>,
}

struct Seen {
    state: String,
    progress: Option<ProgressStatus>,
    bar: Option<ProgressBar>,
    /// It was already as asked for when we first looked.
    nothing_to_do: bool,
}

impl Terminal {
    pub(crate) fn new(format: Option<LineFormat>) -> Self {
        let json = format.is_some();
        let bars = (!json && io::stderr().is_terminal()).then(MultiProgress::new);
        Self { json, bars, seen: RefCell::default(), problems: RefCell::default() }
    }

    /// Sends the log to standard error, above the bars.
    pub(crate) fn log_to(&self, filter: EnvFilter) {
        let bars = self.bars.clone();
        let writer = move || AboveBars(bars.clone());
        let colours = io::stderr().is_terminal();
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_target(false);
        // A second log in one process changes nothing.
        let _ = log.with_writer(writer).try_init();
    }

    /// Tells a person something.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(AboveBars(self.bars.clone()), "{text}");
    }

    /// Tells of problems that are new.
    pub(crate) fn problems(&self, problems: &[FileProblem]) {
        for problem in problems.iter().filter(|problem| !self.problems.borrow().contains(problem)) {
            self.say(&format!("error: {problem}"));
        }
        self.problems.replace(problems.to_vec());
    }

    /// Shows how things are, where that has changed.
    pub(crate) fn show(&self, renders: &[(Arc<Render>, bool)]) {
        for (render, _) in renders {
            let key = ObjectKey::render(render);
            let Some((status, state, message)) = state(render) else { continue };
            let mut seen = self.seen.borrow_mut();
            let first = !seen.contains_key(&key);
            let known = seen.entry(key.clone()).or_insert_with(|| Seen {
                state: String::new(),
                progress: None,
                bar: None,
                nothing_to_do: state == COMPLETED,
            });
            let changed = known.state != state;
            let moved = known.progress != status.progress;
            if !changed && !moved {
                continue;
            }
            known.nothing_to_do &= state == COMPLETED;
            if self.json {
                print_line(&key, status, &state);
            } else if let Some(bars) = &self.bars {
                show_bar(bars, known, &key, status, &state);
            } else if changed && !(first && known.nothing_to_do) {
                self.say(&sentence(&key, status, &state, message));
            }
            state.clone_into(&mut known.state);
            known.progress.clone_from(&status.progress);
        }
    }

    /// The last word: a line for each render, and the videos on standard output.
    pub(crate) fn finish(&self, renders: &[(Arc<Render>, bool)]) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
        if self.json {
            return;
        }
        for (render, _) in renders {
            let key = ObjectKey::render(render);
            let Some((status, state, message)) = state(render) else { continue };
            let nothing_to_do = self.seen.borrow().get(&key).is_some_and(|seen| seen.nothing_to_do);
            if nothing_to_do {
                self.say(&format!("{}/{}: nothing to do", key.namespace, key.name));
            } else if self.bars.is_some() {
                self.say(&sentence(&key, status, &state, message));
            }
            if let Some(path) =
                status.output.as_ref().filter(|_| state == COMPLETED).and_then(|output| path(&output.uri))
            {
                let _ = writeln!(io::stdout().lock(), "{path}");
            }
        }
    }
}

fn print_line(key: &ObjectKey, status: &RenderStatus, state: &str) {
    let line = json!({
        "object": key.to_string(),
        "state": state,
        "progress": status.progress,
        "failure": status.failure,
        "output": status.output,
    });
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn path(uri: &str) -> Option<String> {
    Some(url::Url::parse(uri).ok()?.to_file_path().ok()?.display().to_string())
}

/// A render's status, and the reason and message of its `Succeeded` condition.
fn state(render: &Render) -> Option<(&RenderStatus, String, &str)> {
    let status = render.status.as_ref()?;
    let succeeded = conditions::find(&status.conditions, SUCCEEDED)?;
    Some((status, succeeded.reason.clone(), &succeeded.message))
}

fn sentence(key: &ObjectKey, status: &RenderStatus, state: &str, message: &str) -> String {
    let name = format!("{}/{}", key.namespace, key.name);
    match (&status.failure, &status.output, state) {
        (Some(failure), ..) => {
            let place = match (&failure.path, failure.line) {
                (Some(path), Some(line)) => format!("{path}:{line}: "),
                (Some(path), None) => format!("{path}: "),
                (None, _) => String::new(),
            };
            format!("{name}: {state}: {place}{}", failure.message)
        }
        (None, Some(output), COMPLETED) => {
            let size = HumanBytes(u64::try_from(output.bytes).unwrap_or(0));
            format!("{name}: {} frames, {}x{}, {size}", output.frames, output.width, output.height)
        }
        (None, _, QUEUED | RUNNING) => format!("{name}: {}", state.to_lowercase()),
        (None, ..) => format!("{name}: {state}: {message}"),
    }
}

fn show_bar(bars: &MultiProgress, seen: &mut Seen, key: &ObjectKey, status: &RenderStatus, state: &str) {
    let Some(progress) = &status.progress else {
        if let Some(bar) = seen.bar.take() {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
        return;
    };
    let bar = seen.bar.get_or_insert_with(|| {
        let style = ProgressStyle::with_template("{prefix:<24} {msg:<10} {wide_bar} {pos:>3} % {elapsed}");
        let bar = ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bars.add(bar.with_prefix(key.name.clone()))
    });
    bar.set_position(u64::try_from(progress.percent).unwrap_or(0));
    bar.set_message(if state == RUNNING { progress.stage.as_str().to_lowercase() } else { state.to_lowercase() });
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
