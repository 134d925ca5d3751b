//! What a command tells while it works: JSON lines for machines, a bar or lines for people.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crds::{
    Code, Failure, Line,
    line::{Progress, Report},
    printable,
};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::status;
use crate::context::Observer;

/// How a command tells what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON lines on standard output.
    Json,
    /// A bar on standard error, or lines where that is no terminal.
    Bar,
    /// A line on standard error every [`HEARTBEAT`].
    Lines,
    /// Only warnings and errors.
    Quiet,
}

/// Without a bar a sign of life comes this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Tells people or machines. Shared by all threads of a command.
pub(crate) struct Reporter {
    channel: Channel,
    colour: bool,
    /// What is under way, and since when.
    now: Now,
}

type Now = Arc<Mutex<Option<(Progress, Instant)>>>;

enum Channel {
    Json,
    Bar(ProgressBar),
    /// The thread that speaks ends with the sender.
    Lines(#[expect(dead_code, reason = "kept alive")] Sender<()>),
    Quiet,
}

impl Reporter {
    pub(crate) fn new(form: Form, no_color: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let now = Now::default();
        let channel = match form {
            Form::Json => Channel::Json,
            Form::Quiet => Channel::Quiet,
            Form::Bar if terminal => Channel::Bar(bar(&now)),
            Form::Bar | Form::Lines => Channel::Lines(heart(Arc::clone(&now), HEARTBEAT, say)),
        };
        Self { channel, colour: terminal && !no_color, now }
    }

    /// The result of the command; `human` is how a person reads it.
    pub(crate) fn result(&self, report: Report, human: &str) {
        match &self.channel {
            Channel::Json => print(&Line::Report(report)),
            Channel::Bar(bar) => {
                bar.finish_and_clear();
                out(&printable(human));
            }
            Channel::Lines(_) => out(&printable(human)),
            Channel::Quiet => {}
        }
    }

    /// The result, for a person, where standard output is taken.
    pub(crate) fn aside(&self, human: &str) {
        if let Channel::Bar(bar) = &self.channel {
            bar.finish_and_clear();
        }
        if !matches!(self.channel, Channel::Quiet | Channel::Json) {
            say(&printable(human));
        }
    }

    /// The command failed.
    pub(crate) fn error(&self, failure: &Failure) {
        match &self.channel {
            Channel::Json => print(&Line::Report(Report::Error(failure.clone()))),
            _ if failure.code == Code::Interrupted => self.say("interrupted: nothing was written"),
            _ => self.say(&self.titled("error", 31, failure)),
        }
    }

    /// A line that stays, above the bar if there is one.
    fn say(&self, text: &str) {
        match &self.channel {
            Channel::Bar(bar) => bar.suspend(|| say(text)),
            _ => say(text),
        }
    }

    /// A failure after a title, in an ANSI colour where colours are wanted.
    fn titled(&self, title: &str, colour: u8, failure: &Failure) -> String {
        let text = failure.to_string();
        let text = printable(&text);
        if self.colour { format!("\x1b[1;{colour}m{title}:\x1b[0m {text}") } else { format!("{title}: {text}") }
    }
}

impl Observer for Reporter {
    fn progress(&self, progress: Progress) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match *now {
            Some((last, begun)) if last.stage == progress.stage => begun,
            _ => Instant::now(),
        };
        *now = Some((progress, begun));
        drop(now);
        match &self.channel {
            Channel::Json => print(&Line::Progress(progress)),
            Channel::Bar(bar) => {
                bar.set_length(progress.total.into());
                bar.set_position(progress.done.into());
            }
            Channel::Lines(_) | Channel::Quiet => {}
        }
    }

    fn warning(&self, warning: &Failure) {
        match &self.channel {
            Channel::Json => print(&Line::Report(Report::Warning(warning.clone()))),
            _ => self.say(&self.titled("warning", 33, warning)),
        }
    }
}

/// A bar after what is known of the stage under way.
fn bar(now: &Now) -> ProgressBar {
    let now = Arc::clone(now);
    let status = move |_: &ProgressState, line: &mut dyn std::fmt::Write| {
        let _ = line.write_str(&current(&now).unwrap_or_default());
    };
    let style = ProgressStyle::with_template("{status} {wide_bar}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style.with_key("status", status));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn current(now: &Now) -> Option<String> {
    let now = *now.lock().unwrap_or_else(PoisonError::into_inner);
    now.map(|(progress, begun)| status::progress(progress, begun.elapsed()))
}

/// Starts a thread that says what is under way, until the sender is dropped.
fn heart(now: Now, every: Duration, say: impl Fn(&str) + Send + 'static) -> Sender<()> {
    let (alive, end) = mpsc::channel();
    thread::spawn(move || {
        while end.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            if let Some(status) = current(&now) {
                say(&status);
            }
        }
    });
    alive
}

fn print(line: &Line) {
    out(&serde_json::to_string(line).unwrap_or_else(|error| unreachable!("plain data: {error}")));
}

/// A reader that has gone away is no reason to stop rendering.
fn out(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// In one write: a line of two threads or programs never mixes with another.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use crds::Stage;

    use super::*;

    #[test]
    fn without_a_bar_there_are_signs_of_life_even_when_nothing_moves() {
        let progress = Progress { stage: Stage::Render, done: 0, total: 150 };
        let now = Now::new(Mutex::new(Some((progress, Instant::now()))));
        let (sender, said) = mpsc::channel();
        let alive = heart(now, Duration::from_millis(1), move |text| sender.send(text.to_owned()).unwrap_or_default());
        for _ in 0..3 {
            assert_eq!(said.recv().unwrap(), "rendering 0/150 · 0 s");
        }
        drop(alive);
        // The thread ends, and its end of the channel with it.
        while said.recv().is_ok() {}
    }

    #[test]
    fn what_files_say_never_reaches_the_terminal_as_it_stands() {
        let failure = Failure::new(Code::CompositionInvalid, "\x1b[2Jgone");
        let reporter = |colour| Reporter { channel: Channel::Quiet, colour, now: Now::default() };
        assert_eq!(reporter(false).titled("error", 31, &failure), "error: COMPOSITION_INVALID: \\u{1b}[2Jgone");
        assert!(reporter(true).titled("error", 31, &failure).starts_with("\x1b[1;31merror:\x1b[0m COMPOSITION"));
    }
}
