//! What a command tells while it works: JSON lines for machines, a bar for people.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Mutex,
};

use crds::{
    Failure, Line, Stage,
    line::{Progress, Report},
};
use indicatif::{ProgressBar, ProgressStyle};

/// Where progress goes. Shared by all threads of a command.
#[derive(Debug)]
pub struct Reporter {
    form: Form,
    last: Mutex<Option<Progress>>,
}

#[derive(Debug)]
enum Form {
    Json,
    Bar(ProgressBar),
    Quiet,
}

impl Reporter {
    /// JSON lines on standard output.
    #[must_use]
    pub fn json() -> Self {
        Self { form: Form::Json, last: Mutex::default() }
    }

    /// A bar on standard error, if that is a terminal; warnings in any case.
    #[must_use]
    pub fn human() -> Self {
        let form = if io::stderr().is_terminal() { Form::Bar(bar()) } else { Form::Quiet };
        Self { form, last: Mutex::default() }
    }

    /// How far the work is. Falling or repeated numbers, which threads may report out of order, are not told.
    pub fn progress(&self, stage: Stage, done: u32, total: u32) {
        let Ok(mut last) = self.last.lock() else { return };
        let next = Progress { stage, done, total };
        if last.is_some_and(|last| last.stage == stage && last.done >= done) {
            return;
        }
        *last = Some(next);
        match &self.form {
            Form::Json => print(&Line::Progress(next)),
            Form::Bar(bar) => {
                bar.set_length(total.into());
                bar.set_position(done.into());
                bar.set_message(match stage {
                    Stage::Plan => "planning",
                    Stage::Render => "rendering",
                    Stage::Assemble => "assembling",
                });
            }
            Form::Quiet => {}
        }
    }

    /// Some things are not as they should be, and work goes on.
    pub fn warnings(&self, warnings: &[Failure]) {
        for warning in warnings {
            match &self.form {
                Form::Json => print(&Line::Report(Report::Warning(warning.clone()))),
                Form::Bar(bar) => bar.suspend(|| say(&format!("warning: {warning}"))),
                Form::Quiet => say(&format!("warning: {warning}")),
            }
        }
    }

    /// The result of the command; `human` is how a person reads it.
    pub fn result(&self, report: Report, human: &str) {
        match &self.form {
            Form::Json => print(&Line::Report(report)),
            Form::Bar(bar) => {
                bar.finish_and_clear();
                out(human);
            }
            Form::Quiet => out(human),
        }
    }

    /// The command failed.
    pub fn error(&self, failure: &Failure) {
        match &self.form {
            Form::Json => print(&Line::Report(Report::Error(failure.clone()))),
            Form::Bar(bar) => {
                bar.finish_and_clear();
                say(&format!("error: {failure}"));
            }
            Form::Quiet => say(&format!("error: {failure}")),
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn print(line: &Line) {
    out(&serde_json::to_string(line).unwrap_or_else(|error| unreachable!("plain data: {error}")));
}

/// A reader that has gone away is no reason to stop rendering.
fn out(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
