//! What is told of a decision: the only writer of conditions, and of everything else in a status.

use crds::{
    HyperframesStack, HyperframesStackStatus, RenderStatus,
    condition::{
        AVAILABLE, CANCELLED, COMPLETED, Condition, FINISHED, PROGRESSING, QUEUED, READY, RECONCILING, RETRYING,
        RUNNING, STACK_NOT_FOUND, STACK_NOT_READY, STALLED, SUCCEEDED, SUSPENDED,
    },
    render::{AttemptResult, AttemptStatus, FailureStatus, RequestStatus},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    conditions,
    decide::{Decision, Verdict, request},
    observe::Observed,
    ports::StackReport,
};

/// Attempts kept in a status.
const ATTEMPTS: usize = 5;
/// Longest failure message, in characters.
const MESSAGE: usize = 1024;

/// The status that follows from a decision.
#[must_use]
pub fn status(seen: &Observed, decision: &Decision) -> RenderStatus {
    let mut status = seen.status();
    let hash = seen.inputs.as_ref().ok().map(|inputs| inputs.hash.clone());
    status.observed_generation = Some(seen.generation());
    status.request = hash.as_deref().and_then(|hash| {
        let (verb, at) = request(seen, hash)?;
        Some(RequestStatus { verb, requested_time: Time(at), input_hash: Some(hash.to_owned()) })
    });
    status.queue_position = None;
    status.progress = None;
    status.failure = None;
    close_attempts(&mut status, &decision.verdict, seen.now);
    match &decision.verdict {
        Verdict::Named(number) => name_attempt(&mut status, *number, seen, hash.as_deref().unwrap_or_default()),
        Verdict::Queued(position) => status.queue_position = Some(*position),
        Verdict::Running(progress) => status.progress = Some(progress.clone()),
        Verdict::Completed(output) => status.output = Some(output.clone()),
        Verdict::Invalid(failure) | Verdict::Failed(failure) | Verdict::Retrying(failure, _) => {
            status.failure = Some(failure_status(failure));
        }
        Verdict::Stopping => status.progress = seen.status().progress,
        Verdict::Gone
        | Verdict::Leaving
        | Verdict::Cancelled
        | Verdict::Suspended
        | Verdict::NoStack(_)
        | Verdict::StackPending
        | Verdict::StackNotReady(_) => {}
    }
    status.input_hash = hash;
    let said = say(&decision.verdict);
    status.conditions = conditions::merge(&status.conditions, said.conditions(seen.generation(), seen.now));
    status
}

/// Writes down how attempts ended that do not run any more.
fn close_attempts(status: &mut RenderStatus, verdict: &Verdict, now: Timestamp) {
    let (result, code) = match verdict {
        Verdict::Completed(_) => (AttemptResult::Succeeded, None),
        Verdict::Failed(failure) | Verdict::Retrying(failure, _) => {
            (AttemptResult::Failed, Some(failure.code.to_string()))
        }
        Verdict::Named(_) | Verdict::Cancelled | Verdict::Suspended => (AttemptResult::Cancelled, None),
        Verdict::Gone
        | Verdict::Leaving
        | Verdict::Invalid(_)
        | Verdict::NoStack(_)
        | Verdict::StackPending
        | Verdict::StackNotReady(_)
        | Verdict::Queued(_)
        | Verdict::Running(_)
        | Verdict::Stopping => return,
    };
    for attempt in status.attempts.iter_mut().filter(|attempt| attempt.stop_time.is_none()) {
        attempt.stop_time = Some(Time(now));
        attempt.result = Some(result);
        attempt.failure_code.clone_from(&code);
    }
}

fn name_attempt(status: &mut RenderStatus, number: i32, seen: &Observed, hash: &str) {
    let uid = seen.render.metadata.uid.as_deref().unwrap_or_default();
    status.attempt = Some(number);
    status.execution_name = Some(format!("hf-{uid}-{number}"));
    status.attempts.push(AttemptStatus {
        number,
        input_hash: hash.to_owned(),
        start_time: Time(seen.now),
        stop_time: None,
        result: None,
        generation: None,
        stack: None,
        handle: None,
        failure_code: None,
    });
    let surplus = status.attempts.len().saturating_sub(ATTEMPTS);
    status.attempts.drain(..surplus);
}

fn failure_status(failure: &crds::Failure) -> FailureStatus {
    FailureStatus {
        code: failure.code.to_string(),
        message: failure.message.chars().take(MESSAGE).collect(),
        retryable: failure.code.retryable(),
        path: failure.path.clone(),
        line: failure.line.and_then(|line| i32::try_from(line).ok()),
    }
}

/// What is said of a verdict, in the terms of the conditions.
struct Said {
    succeeded: &'static str,
    ready: &'static str,
    finished: bool,
    /// `Reconciling` or `Stalled`, if either.
    abnormal: Option<&'static str>,
    reason: String,
    message: String,
}

/// Nothing wrong, work to do.
const IN_PROGRESS: (&str, &str, bool, Option<&str>) = ("Unknown", "Unknown", false, Some(RECONCILING));
/// Nothing more will happen by itself, and the video is not what was asked for.
const OVER: (&str, &str, bool, Option<&str>) = ("False", "False", true, Some(STALLED));

fn say(verdict: &Verdict) -> Said {
    let (kind, reason, message) = match verdict {
        Verdict::Gone | Verdict::Leaving => (IN_PROGRESS, CANCELLED.to_owned(), "being deleted".to_owned()),
        Verdict::Invalid(failure) | Verdict::Failed(failure) => (OVER, failure.code.to_string(), failure.to_string()),
        Verdict::Cancelled => {
            (OVER, CANCELLED.to_owned(), "cancelled; ask for a retry or change the spec to start again".to_owned())
        }
        Verdict::Suspended => {
            (("Unknown", "False", false, None), SUSPENDED.to_owned(), "spec.suspend is true".to_owned())
        }
        Verdict::NoStack(message) => {
            (("Unknown", "False", false, Some(STALLED)), STACK_NOT_FOUND.to_owned(), message.clone())
        }
        Verdict::StackNotReady(message) => (IN_PROGRESS, STACK_NOT_READY.to_owned(), message.clone()),
        Verdict::StackPending => (IN_PROGRESS, QUEUED.to_owned(), "the stack is being looked at".to_owned()),
        Verdict::Queued(position) => (IN_PROGRESS, QUEUED.to_owned(), format!("number {position} in the queue")),
        Verdict::Retrying(failure, at) => {
            (IN_PROGRESS, RETRYING.to_owned(), format!("next attempt at {at:.0} after {failure}"))
        }
        Verdict::Named(number) => (IN_PROGRESS, RUNNING.to_owned(), format!("attempt {number} is starting")),
        Verdict::Running(progress) => (IN_PROGRESS, RUNNING.to_owned(), progress.stage.as_str().to_lowercase()),
        Verdict::Stopping => (IN_PROGRESS, RUNNING.to_owned(), "the running attempt is being ended".to_owned()),
        Verdict::Completed(output) => (("True", "True", true, None), COMPLETED.to_owned(), output.uri.clone()),
    };
    let (succeeded, ready, finished, abnormal) = kind;
    Said { succeeded, ready, finished, abnormal, reason, message }
}

impl Said {
    fn conditions(&self, generation: i64, now: Timestamp) -> Vec<Condition> {
        let make =
            |kind: &str, status: &str| conditions::new(kind, status, &self.reason, &self.message, generation, now);
        let finished = if self.finished { "True" } else { "False" };
        let always = [make(READY, self.ready), make(SUCCEEDED, self.succeeded), make(FINISHED, finished)];
        always.into_iter().chain(self.abnormal.map(|kind| make(kind, "True"))).collect()
    }
}

/// The status of a stack.
#[must_use]
pub fn stack_status(stack: &HyperframesStack, report: &StackReport, now: Timestamp) -> HyperframesStackStatus {
    let generation = stack.metadata.generation.unwrap_or(0);
    let make = |kind: &str, status: &str, reason: &str, message: &str| {
        conditions::new(kind, status, reason, message, generation, now)
    };
    let old = stack.status.clone().unwrap_or_default();
    let (said, parallel_chunks, renderer_digest) = match report {
        StackReport::Pending => {
            let message = "the renderer is being looked at";
            let ready = make(READY, "Unknown", PROGRESSING, message);
            let known = (old.parallel_chunks, old.renderer_digest.clone());
            (vec![ready, make(RECONCILING, "True", PROGRESSING, message)], known.0, known.1)
        }
        StackReport::Ready { parallel_chunks, renderer_digest } => {
            let message = format!("renders {parallel_chunks} chunks at the same time");
            (vec![make(READY, "True", AVAILABLE, &message)], Some(*parallel_chunks), renderer_digest.clone())
        }
        StackReport::NotReady(failure) => {
            let reason = failure.code.to_string();
            let conditions = [(READY, "False"), (STALLED, "True")];
            (conditions.map(|(kind, status)| make(kind, status, &reason, &failure.message)).into(), None, None)
        }
    };
    HyperframesStackStatus {
        observed_generation: Some(generation),
        conditions: conditions::merge(&old.conditions, said),
        parallel_chunks,
        renderer_digest,
    }
}

#[cfg(test)]
mod tests;
