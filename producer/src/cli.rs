//! From the command line to an exit code.

use std::{
    ffi::OsString,
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use clap::Parser as _;
use crds::{Code, Fault, Stage, line::Report};
use serde_json::{Map, Value};

use crate::{
    Error, assemble, chunk,
    encode::encoders::Encoders,
    files,
    jobs::Capacity,
    plan::{self, Chunking, Plan, Request},
    render::{self, Parallel},
    report::Reporter,
    settings::Settings,
};

mod args;
pub mod doctor;

use args::{Cli, Command, RequestArgs};

/// Wrong usage (BSD's `EX_USAGE`).
const USAGE: u8 = 64;

/// Runs `hf-producer` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let settings = Settings::resolve(cli.ready_timeout, cli.progress_timeout);
    let stop = Arc::clone(&settings.stop);
    // Whoever asks again is not made to wait for an orderly end.
    let _ = ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap_or_default();
        }
    });
    let reporter = Arc::new(if cli.json { Reporter::json() } else { Reporter::human() });
    match execute(cli, &settings, &reporter, started) {
        Ok(code) => code,
        Err(error) => {
            reporter.error(&error.failure());
            exit_code(error.code())
        }
    }
}

fn exit_code(code: Code) -> ExitCode {
    match code.fault() {
        Fault::Composition => ExitCode::from(2),
        Fault::Transient | Fault::Permanent => ExitCode::FAILURE,
    }
}

fn execute(cli: Cli, settings: &Settings, reporter: &Arc<Reporter>, started: Instant) -> Result<ExitCode, Error> {
    let capacity = Capacity::of_this_machine();
    match cli.command {
        Command::Doctor => return Ok(doctor(settings, cli.json)),
        Command::Plan { request, out } => {
            let report = plan::plan(&request.read(1)?, &out, settings, reporter)?;
            let human = format!("{} frames in {} chunks: {}", report.total_frames, report.chunks.len(), out.display());
            reporter.result(Report::Plan(report), &human);
        }
        Command::Chunk { plan, index, out } => {
            let plan = Plan::open(&plan)?;
            let planned = plan.chunk(index)?;
            let total = planned.frames();
            let encoders = Encoders::start(capacity.cores);
            reporter.progress(Stage::Render, 0, total);
            let report = {
                let (reporter, done) = (Arc::clone(reporter), AtomicU32::new(0));
                let progress = move |_| {
                    reporter.progress(Stage::Render, done.fetch_add(1, Ordering::Relaxed) + 1, total);
                };
                chunk::render(&plan, index, &out, settings, &encoders, Arc::new(progress), started)?
            };
            let human = format!("chunk {index}, {} frames: {}", report.frames, out.display());
            reporter.result(Report::Chunk(Box::new(report)), &human);
        }
        Command::Assemble { plan, chunks, out } => {
            let report = assemble::assemble(&Plan::open(&plan)?, &chunks, &out, reporter)?;
            let human = report.path.clone();
            reporter.result(Report::Output(report), &human);
        }
        Command::Render { request, out, jobs } => {
            let parallel = Parallel { jobs: jobs.unwrap_or_else(|| capacity.jobs()), cores: capacity.cores };
            let request = request.read(u32::try_from(parallel.jobs.get()).unwrap_or(u32::MAX))?;
            let (output, chunks) = render::render(&request, &out, parallel, settings, reporter, started)?;
            if cli.json {
                for chunk in chunks {
                    reporter.result(Report::Chunk(Box::new(chunk)), "");
                }
            }
            let human = output.path.clone();
            reporter.result(Report::Output(output), &human);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn doctor(settings: &Settings, json: bool) -> ExitCode {
    let diagnosis = doctor::diagnose(settings);
    let text = if json {
        serde_json::to_string(&diagnosis).unwrap_or_else(|error| unreachable!("plain data: {error}")) + "\n"
    } else {
        diagnosis.lines()
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if diagnosis.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl RequestArgs {
    /// Opens what the arguments name. `parallel`: how many chunks can be rendered at the same time.
    fn read(self, parallel: u32) -> Result<Request, Error> {
        let Self { project, fps, quality, variables, chunks, chunk_size } = self;
        let variables = variables.as_deref().map(read_variables).transpose()?.unwrap_or_default();
        let chunking = match (chunks, chunk_size) {
            (Some(count), _) => Chunking::Count(count),
            (None, Some(size)) => Chunking::Size(size),
            (None, None) => Chunking::Default { parallel },
        };
        Ok(Request { project, rate: fps, quality, variables, chunking })
    }
}

fn read_variables(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::Composition {
        code: Code::VariablesInvalid,
        message: format!("not a JSON object with values by id: {error}"),
        path: Some(path.display().to_string()),
        line: u32::try_from(error.line()).ok().filter(|line| *line > 0),
    })
}
