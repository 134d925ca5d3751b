//! Starting `hf-producer`, listening to it, and seeing that it ends.

#![expect(clippy::disallowed_methods, reason = "the one place that starts processes")]

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use crds::{Code, Diagnosis, Failure, Line, line::Report};
use futures::StreamExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    sync::CancellationToken,
};
use tracing::debug;

use super::step::Step;

/// The program that renders.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    program: PathBuf,
    progress_timeout: Duration,
}

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StepError {
    /// We ended it.
    Stopped,
    /// It failed.
    Failed(Failure),
}

/// The producer itself gives up first; this is for one that hangs as a whole.
const WATCHDOG_GRACE: Duration = Duration::from_secs(15);
/// How long a process that was asked to end, or that has closed its output, may take to be gone.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long looking at the machine may take.
const DOCTOR: Duration = Duration::from_mins(1);
/// Kept of what a process writes to standard error, in bytes.
const STDERR_TAIL: usize = 4096;
/// Longest line a process may write, in bytes.
const LONGEST_LINE: usize = 16 << 20;

impl Producer {
    pub(super) fn new(program: PathBuf, progress_timeout: Duration) -> Self {
        Self { program, progress_timeout }
    }

    /// Runs a step to its end. `told` gets every line of progress and every warning; the answer is what it made.
    pub(super) async fn run(
        &self,
        step: &Step,
        cancel: &CancellationToken,
        mut told: impl FnMut(Told) + Send,
    ) -> Result<Report, StepError> {
        let mut arguments: Vec<OsString> =
            vec!["--progress-timeout".into(), format!("{}ms", self.progress_timeout.as_millis()).into()];
        arguments.extend(step.arguments());
        let mut child = self.spawn(&arguments).map_err(|failure| StepError::Failed(*failure))?;
        let stderr = child.stderr.take().map(|stderr| tokio::spawn(stderr_tail(stderr)));
        let Some(stdout) = child.stdout.take() else { return Err(StepError::Stopped) };
        let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(LONGEST_LINE));
        let mut result = None;
        let patience = self.progress_timeout.saturating_add(WATCHDOG_GRACE);
        loop {
            let line = tokio::select! {
                line = timeout(patience, lines.next()) => line,
                () = cancel.cancelled() => {
                    terminate(&mut child).await;
                    return Err(StepError::Stopped);
                }
            };
            let Ok(line) = line else {
                terminate(&mut child).await;
                let seconds = patience.as_secs_f64();
                let message = format!("hf-producer {} has said nothing for {seconds:.0} s", step.verb());
                return Err(StepError::Failed(Failure::new(Code::NoProgress, message)));
            };
            let Some(Ok(line)) = line else { break };
            match serde_json::from_str(&line) {
                Ok(Line::Progress(progress)) => told(Told::Progress(progress)),
                Ok(Line::Report(Report::Warning(warning))) => told(Told::Warning(warning)),
                Ok(Line::Report(report)) => result = Some(report),
                Err(error) => debug!(%error, line, "a line of another version is passed over"),
            }
        }
        let status = exit_status(&mut child).await;
        let stderr = match stderr {
            // Something it has started may hold it open for longer.
            Some(task) => timeout(TERM_GRACE, task).await.map(Result::unwrap_or_default).unwrap_or_default(),
            None => String::new(),
        };
        exit_result(step, status, result, &stderr)
    }

    /// Asks what this machine can do.
    pub(super) async fn doctor(&self) -> Result<Diagnosis, Failure> {
        let mut child = self.spawn(&["doctor".into(), "--json".into()]).map_err(|failure| *failure)?;
        let mut text = String::new();
        if let Some(stdout) = &mut child.stdout {
            let _ = timeout(DOCTOR, stdout.read_to_string(&mut text)).await;
        }
        terminate(&mut child).await;
        let diagnosis: Diagnosis = serde_json::from_str(&text).map_err(|error| {
            let message = format!("hf-producer doctor did not answer in time or not in its form: {error}");
            Failure::new(Code::ProducerCrashed, message)
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

    /// Must be called on a thread that outlives the process: it has Linux end it with the thread that started it. That it asks for
    /// that itself, instead of having it done between fork and exec, saves copying our page tables for each process.
    fn spawn(&self, arguments: &[OsString]) -> Result<Child, Box<Failure>> {
        debug!(program = %self.program.display(), ?arguments, "starting");
        let mut command = Command::new(&self.program);
        command.arg("--parent").arg(std::process::id().to_string());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own group: Ctrl-C on the terminal is for us to answer. Killed with us, however we end.
        command.process_group(0).kill_on_drop(true);
        command.spawn().map_err(|error| {
            let program = self.program.display();
            let message = format!("cannot start {program}: {error}: name the program with --producer");
            Box::new(Failure::new(Code::ProducerNotFound, message))
        })
    }
}

/// What a run tells while it works.
#[derive(Debug)]
pub(super) enum Told {
    /// How far it is.
    Progress(crds::line::Progress),
    /// Something is not as it should be.
    Warning(Failure),
}

/// Asks a process to end, waits a little, and ends it.
async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(TERM_GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// How a process that has closed its output ended; one that goes on all the same is ended.
async fn exit_status(child: &mut Child) -> io::Result<ExitStatus> {
    if let Ok(status) = timeout(TERM_GRACE, child.wait()).await {
        return status;
    }
    terminate(child).await;
    Err(io::Error::other("nothing more to say, and had to be ended"))
}

/// The end of what a process writes to standard error.
async fn stderr_tail(mut stderr: ChildStderr) -> String {
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
fn exit_result(
    step: &Step,
    status: io::Result<ExitStatus>,
    result: Option<Report>,
    stderr: &str,
) -> Result<Report, StepError> {
    let status = match (status, result) {
        (_, Some(Report::Error(failure))) => return Err(StepError::Failed(failure)),
        (Ok(status), Some(report)) if status.success() => return Ok(report),
        (Ok(status), _) => status.to_string(),
        (Err(error), _) => error.to_string(),
    };
    let log = if stderr.is_empty() { String::new() } else { format!(": {stderr}") };
    let message = format!("hf-producer {} ended with {status} and without a result{log}", step.verb());
    Err(StepError::Failed(Failure::new(Code::ProducerCrashed, message)))
}
