//! Starting `hf-producer`, listening to it, and seeing that it ends.

#![expect(clippy::disallowed_methods, reason = "the one place that starts processes")]

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use crds::{Code, Failure, Line, line::Report};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::step::Step;

/// The program that renders.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    program: PathBuf,
    progress_timeout: Duration,
}

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// We ended it.
    Stopped,
    /// It failed.
    Failed(Failure),
}

/// What `hf-producer doctor --json` tells, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Diagnosis {
    ready: bool,
    pub(super) jobs: usize,
    pub(super) renderer_digest: Option<String>,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    ok: bool,
    required: bool,
    detail: String,
}

/// The producer itself gives up first; this is for one that hangs as a whole.
const OWN_PATIENCE: Duration = Duration::from_secs(15);
/// How long a process that was asked to end may tidy up.
const TIDY: Duration = Duration::from_secs(2);
/// How long looking at the machine may take.
const DOCTOR: Duration = Duration::from_mins(1);
/// Kept of what a process writes to standard error, in bytes.
const STDERR_TAIL: usize = 4096;

impl Producer {
    pub(super) fn new(program: PathBuf, progress_timeout: Duration) -> Self {
        Self { program, progress_timeout }
    }

    /// Runs a step to its end. `progress` gets every line that is progress, the log every warning;
    /// the answer is what it made.
    pub(super) async fn run(
        &self,
        step: &Step,
        cancel: &CancellationToken,
        mut progress: impl FnMut(crds::line::Progress),
    ) -> Result<Report, Ended> {
        let patience = format!("{}ms", self.progress_timeout.as_millis());
        let mut arguments: Vec<OsString> = vec!["--progress-timeout".into(), patience.into()];
        arguments.extend(step.arguments());
        let mut child = self.spawn(step.verb(), &arguments).map_err(|failure| Ended::Failed(*failure))?;
        let stderr = child.stderr.take().map(|stderr| tokio::task::spawn_local(tail(stderr)));
        let Some(stdout) = child.stdout.take() else { return Err(Ended::Stopped) };
        let mut lines = BufReader::new(stdout).lines();
        let mut result = None;
        let patience = self.progress_timeout + OWN_PATIENCE;
        loop {
            let line = tokio::select! {
                line = timeout(patience, lines.next_line()) => line,
                () = cancel.cancelled() => {
                    end(&mut child).await;
                    return Err(Ended::Stopped);
                }
            };
            match line {
                Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
                    Ok(Line::Progress(done)) => progress(done),
                    Ok(Line::Report(Report::Warning(warning))) => warn!("{warning}"),
                    Ok(Line::Report(report)) => result = Some(report),
                    Err(_) => {}
                },
                Ok(Ok(None) | Err(_)) => break,
                Err(_) => {
                    end(&mut child).await;
                    let message =
                        format!("hf-producer {} has said nothing for {:.0} s", step.verb(), patience.as_secs_f64());
                    return Err(Ended::Failed(Failure::new(Code::NoProgress, message)));
                }
            }
        }
        let status = child.wait().await;
        let stderr = match stderr {
            Some(task) => task.await.unwrap_or_default(),
            None => String::new(),
        };
        judge(step, status, result, &stderr)
    }

    /// Asks what this machine can do.
    pub(super) async fn doctor(&self) -> Result<Diagnosis, Failure> {
        let mut child = self.spawn("doctor", &["doctor".into(), "--json".into()]).map_err(|failure| *failure)?;
        let mut text = String::new();
        if let Some(stdout) = &mut child.stdout {
            let _ = timeout(DOCTOR, stdout.read_to_string(&mut text)).await;
        }
        end(&mut child).await;
        let diagnosis: Diagnosis = serde_json::from_str(&text).map_err(|error| {
            Failure::new(
                Code::ProducerCrashed,
                format!("hf-producer doctor did not answer in time or not in its form: {error}"),
            )
        })?;
        let missing = diagnosis.checks.iter().find(|check| check.required && !check.ok);
        match missing.filter(|_| !diagnosis.ready) {
            None => Ok(diagnosis),
            Some(check) => {
                let code = if check.name == "browser" { Code::BrowserNotFound } else { Code::EncoderUnavailable };
                Err(Failure::new(code, check.detail.clone()))
            }
        }
    }

    fn spawn(&self, verb: &str, arguments: &[OsString]) -> Result<Child, Box<Failure>> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own group: Ctrl-C on the terminal is for us to answer. Killed with us, however we end.
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command);
        command.spawn().map_err(|error| {
            let program = self.program.display();
            let message = format!("cannot start {program} {verb}: {error}: name the program with --producer");
            Box::new(Failure::new(Code::ProducerNotFound, message))
        })
    }
}

#[expect(unsafe_code, reason = "only async-signal-safe calls run between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let set_up = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have ended before that took hold.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(set_up) };
}

/// Asks a process to end, waits a little, and ends it.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(TIDY, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The end of what a process writes to standard error.
async fn tail(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(STDERR_TAIL);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// What a process's end means.
fn judge(step: &Step, status: io::Result<ExitStatus>, result: Option<Report>, stderr: &str) -> Result<Report, Ended> {
    let status = match (status, result) {
        (_, Some(Report::Error(failure))) => return Err(Ended::Failed(failure)),
        (Ok(status), Some(report)) if status.success() => return Ok(report),
        (Ok(status), _) => status.to_string(),
        (Err(error), _) => error.to_string(),
    };
    let log = if stderr.is_empty() { String::new() } else { format!(": {stderr}") };
    let message = format!("hf-producer {} ended with {status} and without a result{log}", step.verb());
    Err(Ended::Failed(Failure::new(Code::ProducerCrashed, message)))
}
