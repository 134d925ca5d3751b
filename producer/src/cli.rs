//! From the command line to an exit code.

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    num::NonZeroUsize,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use crds::{Code, Fault, line::Report};
use signal_hook::consts::SIGXFSZ;
use tokio_util::sync::CancellationToken;

use crate::{Error, context::Context, plan::Request, settings::Settings};

mod args;
mod config;
mod report;
mod settings;
mod status;

use args::{Cli, Command};
use report::{Form, Reporter};

/// The composition's fault.
const COMPOSITION: u8 = 2;
/// Wrong usage (BSD's `EX_USAGE`).
const USAGE: u8 = 64;
/// Interrupted (128 + `SIGINT`, as shells have it).
const INTERRUPTED: u8 = 130;

/// Runs `hf-producer` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let asked = Instant::now();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if cli.parent.is_some_and(|parent| !ends_with(parent)) {
        return ExitCode::FAILURE;
    }
    if cli.verbose {
        log();
    }
    let reporter = Arc::new(Reporter::new(form(&cli), settings::no_color()));
    let settings = match Settings::resolve(&cli) {
        Ok(settings) => settings,
        Err(error) => {
            reporter.error(&error.failure());
            return exit_code(error.code());
        }
    };
    // Writing a file past the limit of `ulimit -f` is then an error like any other.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    let mut context = Context::new(settings, reporter.clone());
    (context.stop, context.asked) = (stopped_by_signals(), asked);
    match execute(cli, &context, &reporter) {
        Ok(code) => code,
        Err(error) => {
            reporter.error(&error.failure());
            exit_code(error.code())
        }
    }
}

/// Has Linux end this process with its parent. False when that has ended already.
fn ends_with(parent: i32) -> bool {
    let asked = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    asked.is_ok() && nix::unistd::getppid().as_raw() == parent
}

fn form(cli: &Cli) -> Form {
    match cli {
        Cli { json: true, .. } => Form::Json,
        Cli { quiet: true, .. } => Form::Quiet,
        // A bar and a log would write over each other.
        Cli { verbose: true, .. } => Form::Lines,
        _ => Form::Bar,
    }
}

/// Everything the browser and libav are asked to do, on standard error.
fn log() {
    let wanted = tracing_subscriber::EnvFilter::new("producer=debug,cdp=debug");
    tracing_subscriber::fmt().with_env_filter(wanted).with_writer(std::io::stderr).init();
}

/// A token that `SIGINT`, `SIGTERM` and `SIGHUP` cancel.
fn stopped_by_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    // Whoever asks again is not made to wait for an orderly end.
    let _ = ctrlc::set_handler(move || {
        if cancelled.is_cancelled() {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap_or_default();
        }
        cancelled.cancel();
    });
    stop
}

fn exit_code(code: Code) -> ExitCode {
    match (code, code.fault()) {
        (Code::Interrupted, _) => ExitCode::from(INTERRUPTED),
        (_, Fault::Composition) => ExitCode::from(COMPOSITION),
        (_, Fault::Transient | Fault::Permanent) => ExitCode::FAILURE,
    }
}

fn execute(cli: Cli, context: &Context, reporter: &Reporter) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Doctor => return Ok(doctor(context, cli.json)),
        Command::Plan { request, out } => {
            let report = crate::plan(&request.read(None)?, &out, context)?;
            let human = format!("{}: {} frames in {}", out.display(), report.total_frames, count(report.chunks.len()));
            reporter.result(Report::Plan(report), &human);
        }
        Command::Chunk { plan, index, out } => {
            let report = crate::chunk(&plan, index, &out, context)?;
            let human = format!("{}: chunk {index}, {} frames", out.display(), report.frames);
            reporter.result(Report::Chunk(Box::new(report)), &human);
        }
        Command::Assemble { plan, chunks, out } => {
            let report = crate::assemble(&plan, &chunks, &out, context)?;
            let human = status::video(&report, None, context.asked.elapsed());
            reporter.result(Report::Output(report), &human);
        }
        Command::Lint { request } => return lint(&request.read(None)?, context, reporter),
        Command::Still { request, at, frame, out } => {
            for report in crate::still(&request.read(None)?, &[at, frame].concat(), &out, context)? {
                let human = status::still(&report);
                reporter.result(Report::Output(report), &human);
            }
        }
        Command::Render { request, out, frames, jobs } if out.as_os_str() == "-" => {
            let request = Request { frames, ..request.read(None)? };
            return stream(&request, jobs, cli.json, context, reporter);
        }
        Command::Render { request, out, frames, jobs } => {
            let request = Request { frames, ..request.read(Some(&out))? };
            let rendered = crate::render(&request, &out, jobs, context)?;
            let human = status::video(&rendered.output, Some(rendered.rate), context.asked.elapsed());
            if cli.json {
                for chunk in rendered.chunks {
                    reporter.result(Report::Chunk(Box::new(chunk)), "");
                }
            }
            reporter.result(Report::Output(rendered.output), &human);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lint(request: &Request, context: &Context, reporter: &Reporter) -> Result<ExitCode, Error> {
    let found = crate::lint(request, context)?;
    found.iter().for_each(|failure| reporter.error(failure));
    let project = request.project.display();
    let (human, code) = match found.len() {
        0 => (format!("{project}: nothing would fail"), ExitCode::SUCCESS),
        1 => (format!("{project}: 1 error"), ExitCode::from(COMPOSITION)),
        errors => (format!("{project}: {errors} errors"), ExitCode::from(COMPOSITION)),
    };
    reporter.aside(&human);
    Ok(code)
}

/// Renders into standard output, which nothing else is written to.
fn stream(
    request: &Request,
    jobs: Option<NonZeroUsize>,
    json: bool,
    context: &Context,
    reporter: &Reporter,
) -> Result<ExitCode, Error> {
    let refused = match (json, std::io::stdout().is_terminal()) {
        (true, _) => "standard output cannot take the video and JSON lines both: leave --json out, or name a file",
        (_, true) => "a video is nothing for a terminal: name a file, or send standard output somewhere",
        (false, false) => {
            let rendered = crate::render::stream(request, &mut std::io::stdout().lock(), jobs, context)?;
            reporter.aside(&status::video(&rendered.output, Some(rendered.rate), context.asked.elapsed()));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let _ = Cli::command().error(ErrorKind::ArgumentConflict, refused).print();
    Ok(ExitCode::from(USAGE))
}

fn count(chunks: usize) -> String {
    if chunks == 1 { "1 chunk".to_owned() } else { format!("{chunks} chunks") }
}

fn doctor(context: &Context, json: bool) -> ExitCode {
    let diagnosis = crate::doctor(context);
    let text = if json {
        serde_json::to_string(&diagnosis).unwrap_or_else(|error| unreachable!("plain data: {error}")) + "\n"
    } else {
        crds::printable(&status::diagnosis(&diagnosis)).into_owned()
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if diagnosis.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
