//! What follows from what was observed: pure, synchronous, no clock, no ports.
//!
//! A decision is one [`Verdict`] (what the status will say), the [`Effect`]s to bring about, and when to look again. An
//! attempt's name is decided here and written to the status one step before anything is started under it, so that a
//! controller killed between any two writes goes on without rendering twice.

use std::time::Duration;

use crds::{
    Code, Failure,
    render::{AttemptResult, AttemptStatus, DesiredState, OutputStatus, ProgressStatus, RequestVerb},
};
use jiff::Timestamp;

use crate::{
    error::backoff,
    observe::{Observed, StackView},
    ports::{AttemptReport, StackReport, planning},
    queue::Admission,
    source::OutputCheck,
};

/// What is so.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The object is being deleted and nothing of it runs any more.
    Gone,
    /// The object is being deleted, and its attempt is being ended.
    Leaving,
    /// The spec cannot be acted on.
    Invalid(Failure),
    /// A user cancelled it.
    Cancelled,
    /// It is not started because `spec.suspend` says so.
    Suspended,
    /// The stack it needs does not exist.
    NoStack(String),
    /// The stack it needs cannot render.
    StackNotReady(String),
    /// It waits for a place, from 1.
    Queued(i32),
    /// It waits until the stack has been looked at.
    StackPending,
    /// The last attempt failed; another follows at this time.
    Retrying(Failure, Timestamp),
    /// An attempt gets its number and name.
    Named(i32),
    /// An attempt runs.
    Running(ProgressStatus),
    /// The running attempt is being ended: its inputs are no longer asked for, or a user wants it so.
    Stopping,
    /// The video is there.
    Completed(OutputStatus),
    /// It failed and will not be tried again by itself.
    Failed(Failure),
}

/// What is to be brought about. Each may be repeated without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the named attempt.
    Start,
    /// End it.
    Cancel,
}

/// When to look again, if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    AwaitChange,
    /// When another Render has left its place.
    AwaitSlot,
    /// After this time: something is going on.
    After(Duration),
    /// After this time, because something outside may have been mended; nothing is expected to happen by itself.
    Recheck(Duration),
}

/// What follows from an observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is so.
    pub verdict: Verdict,
    /// What is to be brought about.
    pub effect: Option<Effect>,
    /// When to look again.
    pub next: Next,
}

/// How often a running attempt is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How often a stack that is not ready is looked at.
const STACK_POLL: Duration = Duration::from_millis(100);
/// How often it is looked whether a stack has been mended.
pub(crate) const RECHECK: Duration = Duration::from_secs(10);
const AT_ONCE: Next = Next::After(Duration::ZERO);

fn decision(verdict: Verdict, effect: Option<Effect>, next: Next) -> Decision {
    Decision { verdict, effect, next }
}

/// Decides what follows.
#[must_use]
pub fn decide(seen: &Observed) -> Decision {
    let running = matches!(seen.attempt, AttemptReport::Running(_));
    if seen.render.metadata.deletion_timestamp.is_some() {
        return if running {
            decision(Verdict::Leaving, Some(Effect::Cancel), Next::After(POLL))
        } else {
            decision(Verdict::Gone, None, Next::AwaitChange)
        };
    }
    let inputs = match &seen.inputs {
        Ok(inputs) => inputs,
        Err(failure) => {
            let effect = running.then_some(Effect::Cancel);
            return decision(Verdict::Invalid(failure.clone()), effect, Next::AwaitChange);
        }
    };
    let wanted = seen.last_attempt().is_some_and(|attempt| attempt.input_hash == inputs.hash);
    if running && (!wanted || cancel_wanted(seen, &inputs.hash)) {
        return decision(Verdict::Stopping, Some(Effect::Cancel), Next::After(POLL));
    }
    match seen.last_attempt().filter(|_| wanted) {
        Some(attempt) if attempt.stop_time.is_none() => under_way(seen, attempt, &inputs.hash),
        Some(attempt) => finished(seen, attempt, &inputs.hash),
        None => start(seen, &inputs.hash),
    }
}

/// An attempt for these inputs has a name and no end in our books.
fn under_way(seen: &Observed, attempt: &AttemptStatus, hash: &str) -> Decision {
    match &seen.attempt {
        AttemptReport::Running(progress) => decision(Verdict::Running(progress.clone()), None, Next::After(POLL)),
        AttemptReport::Succeeded(output) => decision(Verdict::Completed(output.clone()), None, Next::AwaitChange),
        AttemptReport::Failed(failure) => failed(seen, attempt, failure.clone()),
        // Named but not started, or started by a process that has ended since: start it, under the same name.
        AttemptReport::Unknown | AttemptReport::Stopped => match obstacle(seen, hash) {
            Some(obstacle) => obstacle,
            None => decision(Verdict::Running(planning()), Some(Effect::Start), Next::After(POLL)),
        },
    }
}

/// The last attempt was for these inputs and has ended.
fn finished(seen: &Observed, attempt: &AttemptStatus, hash: &str) -> Decision {
    let retry_asked = request(seen, hash).is_some_and(|(verb, at)| {
        verb == RequestVerb::Retry && attempt.stop_time.as_ref().is_some_and(|stop| at > stop.0)
    });
    let status = seen.status();
    match (attempt.result, &seen.output, status.output, status.failure) {
        _ if retry_asked => start(seen, hash),
        (Some(AttemptResult::Succeeded), OutputCheck::Intact, Some(output), _) => {
            decision(Verdict::Completed(output), None, Next::AwaitChange)
        }
        (Some(AttemptResult::Failed), _, _, Some(failure)) => failed(seen, attempt, from_status(&failure)),
        // The video is gone, or a cancelled Render is wanted again.
        _ => start(seen, hash),
    }
}

/// The last attempt failed: try again if that can help and is still allowed.
fn failed(seen: &Observed, attempt: &AttemptStatus, failure: Failure) -> Decision {
    let failures = failures_in_a_row(seen, &attempt.input_hash);
    let exhausted = i64::from(failures) > i64::from(seen.render.spec.retry.limit);
    if !failure.code.retryable() || exhausted {
        return decision(Verdict::Failed(failure), None, Next::AwaitChange);
    }
    let stopped = attempt.stop_time.as_ref().map_or(seen.now, |stop| stop.0);
    let due = stopped + backoff(failures);
    if due > seen.now {
        let left = Duration::try_from(due.duration_since(seen.now)).unwrap_or_default();
        return decision(Verdict::Retrying(failure, due), None, Next::After(left));
    }
    start(seen, &attempt.input_hash)
}

/// Nothing runs and something should: name an attempt, unless something stands in the way.
fn start(seen: &Observed, hash: &str) -> Decision {
    if let Some(obstacle) = obstacle(seen, hash) {
        return obstacle;
    }
    let number = seen.render.status.as_ref().and_then(|status| status.attempt).unwrap_or(0) + 1;
    decision(Verdict::Named(number), None, AT_ONCE)
}

/// Why nothing may be started now.
fn obstacle(seen: &Observed, hash: &str) -> Option<Decision> {
    if cancel_wanted(seen, hash) {
        return Some(decision(Verdict::Cancelled, None, Next::AwaitChange));
    }
    if seen.render.spec.suspend {
        return Some(decision(Verdict::Suspended, None, Next::AwaitChange));
    }
    match &seen.stack {
        StackView::NotFound(message) => {
            return Some(decision(Verdict::NoStack(message.clone()), None, Next::AwaitChange));
        }
        StackView::Found(_, StackReport::NotReady(failure)) => {
            return Some(decision(Verdict::StackNotReady(failure.to_string()), None, Next::Recheck(RECHECK)));
        }
        StackView::Found(_, StackReport::Pending) => {
            return Some(decision(Verdict::StackPending, None, Next::After(STACK_POLL)));
        }
        StackView::Found(_, StackReport::Ready { .. }) => {}
    }
    match seen.admission {
        Admission::Waiting(position) => Some(decision(Verdict::Queued(position), None, Next::AwaitSlot)),
        Admission::Admitted if seen.draining => Some(decision(Verdict::Queued(1), None, Next::AwaitChange)),
        Admission::Admitted => None,
    }
}

/// The last `cancel` or `retry` asked for outside the spec, while it counts: until the inputs change.
#[must_use]
pub fn request(seen: &Observed, hash: &str) -> Option<(RequestVerb, Timestamp)> {
    let taken = seen.render.status.as_ref().and_then(|status| status.request.as_ref());
    let taken = taken.filter(|request| request.input_hash.as_deref() == Some(hash));
    let taken = taken.map(|request| (request.verb, request.requested_time.0));
    let asked = crate::requests::asked(&seen.render.metadata);
    match (asked, seen.render.status.as_ref().and_then(|status| status.request.as_ref())) {
        (Some(asked), Some(known)) if asked.1 <= known.requested_time.0 => taken,
        (Some(asked), _) => Some(asked),
        (None, _) => taken,
    }
}

fn cancel_wanted(seen: &Observed, hash: &str) -> bool {
    let asked = request(seen, hash).is_some_and(|(verb, _)| verb == RequestVerb::Cancel);
    asked || seen.render.spec.desired_state == DesiredState::Cancelled
}

/// Failed attempts for these inputs since the last success, cancel or asked-for retry, this one included.
fn failures_in_a_row(seen: &Observed, hash: &str) -> u32 {
    let attempts = seen.render.status.as_ref().map(|status| status.attempts.as_slice()).unwrap_or_default();
    let asked = request(seen, hash).filter(|(verb, _)| *verb == RequestVerb::Retry).map(|(_, at)| at);
    let counts = |attempt: &&AttemptStatus| {
        let failed = attempt.stop_time.is_none() || attempt.result == Some(AttemptResult::Failed);
        attempt.input_hash == hash && failed && asked.is_none_or(|asked| attempt.start_time.0 >= asked)
    };
    u32::try_from(attempts.iter().rev().take_while(counts).count()).unwrap_or(u32::MAX)
}

fn from_status(failure: &crds::render::FailureStatus) -> Failure {
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == failure.code).unwrap_or(Code::IoFailed);
    let line = failure.line.and_then(|line| u32::try_from(line).ok());
    Failure { code, message: failure.message.clone(), path: failure.path.clone(), line }
}

#[cfg(test)]
pub(crate) mod tests;
