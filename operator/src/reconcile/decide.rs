//! What follows from what was observed: pure, synchronous, no clock, no ports.
//!
//! A decision is one [`State`] (what the status will say), the [`Effect`] to bring about, and when to look again. An
//! attempt's name is decided one step before anything is started under it, and written to the status in between, so that a
//! controller that ends between any two writes goes on without rendering twice.

use std::{fmt, time::Duration};

use crds::{
    Code, Failure, Fault,
    render::{
        AttemptResult, AttemptStatus, DesiredState, FailureStatus, OutputStatus, ProgressStatus, RequestStatus,
        RequestVerb,
    },
};
use jiff::Timestamp;

use super::{
    observe::{Observed, StackView},
    queue::Admission,
    requests,
};
use crate::{
    error::{Class, backoff},
    ports::{AttemptReport, Inputs, OutputCheck, planning},
    source::SourceError,
};

/// The state a Render is in.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It is being deleted and nothing of it runs any more.
    Deleted,
    /// It is being deleted, and its attempt is being ended.
    Deleting,
    /// Its file is gone: it is left alone.
    Orphaned,
    /// The spec cannot be acted on.
    Invalid(Failure),
    /// What is to be rendered cannot be read at the moment.
    SourceNotReady(Failure),
    /// A user cancelled it.
    Cancelled,
    /// It is not started because `spec.suspend` says so.
    Suspended,
    /// It is not started because this process is about to end.
    Draining,
    /// The stack it needs does not exist, or not for much longer.
    StackNotFound(String),
    /// The stack it needs is being made or changed.
    StackPending(String),
    /// The stack it needs cannot render.
    StackNotReady(Failure),
    /// It waits for a slot, at this place from 1.
    Queued(i32),
    /// The last attempt failed; another follows at this time.
    Retrying(Failure, Timestamp),
    /// An attempt gets its number and name.
    Starting(i32, Cause),
    /// An attempt runs.
    Running(ProgressStatus),
    /// The running attempt is being ended: its inputs are no longer asked for, or a user wants it so.
    Cancelling,
    /// The video is there.
    Completed(OutputStatus),
    /// It failed and will not be tried again by itself.
    Failed(Failure, Retryable),
}

/// Why an attempt is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is the first.
    New,
    /// The composition has changed since the last.
    CompositionChanged,
    /// The spec has been edited since the last, and it or the composition asks for another video.
    SpecChanged,
    /// The video is not there as it was made, as one clause says.
    VideoLost(String),
    /// The last failed in a way that may pass.
    FailedBefore,
    /// A user asked for it.
    RetryRequested,
    /// The last was cancelled and is wanted again.
    WantedAgain,
    /// The last was on another stack.
    StackChanged,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "it is new",
            Self::CompositionChanged => "its composition has changed",
            Self::SpecChanged => "its spec has changed",
            Self::VideoLost(how) => how,
            Self::FailedBefore => "the last one failed",
            Self::RetryRequested => "a retry was asked for",
            Self::WantedAgain => "it is wanted again",
            Self::StackChanged => "it has another stack now",
        })
    }
}

/// Whether another attempt with the same inputs may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// It may.
    Yes,
    /// It fails again, or somebody must act first.
    No,
}

/// What is to be brought about. Each may be repeated without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the attempt that the status names.
    Start,
    /// End it.
    Cancel,
}

/// When to look again, if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When somebody changes something: nothing is going on.
    AwaitChange,
    /// When something that is going on moves: its attempt, its stack, the queue.
    AwaitProgress,
    /// After this time: something is going on.
    RequeueAfter(Duration),
    /// After this time, because something outside may be well again; nothing is expected to happen by itself.
    Recheck(Duration),
    /// Never: it is not there any more.
    Gone,
}

/// What follows from an observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The state it is in.
    pub state: State,
    /// What is to be brought about.
    pub effect: Option<Effect>,
    /// When to look again.
    pub next: Next,
    /// The request that the status is to carry.
    pub request: Option<RequestStatus>,
}

/// How often a source that cannot be read is tried again.
const RECHECK: Duration = Duration::from_secs(10);
/// How soon a backend that has not found out yet is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A state, an effect and a time to look again.
type Outcome = (State, Option<Effect>, Next);

const fn rest(state: State) -> Outcome {
    (state, None, Next::AwaitChange)
}

/// Decides what follows.
#[must_use]
pub fn decide(seen: &Observed) -> Decision {
    let request = requests::current(seen, seen.input_hash());
    let (state, effect, next) = Case { seen, request: request.as_ref() }.outcome();
    Decision { state, effect, next, request }
}

/// One observation, with the request that counts for it.
struct Case<'a> {
    seen: &'a Observed,
    request: Option<&'a RequestStatus>,
}

impl Next {
    /// As soon as possible.
    pub const AT_ONCE: Self = Self::RequeueAfter(Duration::ZERO);

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::AwaitChange | Self::Recheck(_) | Self::Gone)
    }
}

impl Case<'_> {
    fn outcome(&self) -> Outcome {
        let seen = self.seen;
        if seen.render.metadata.deletion_timestamp.is_some() {
            return if seen.attempt.may_run() { ending(State::Deleting) } else { rest(State::Deleted) };
        }
        let inputs = match &seen.inputs {
            Ok(inputs) => inputs,
            Err(SourceError::Unreadable(failure)) => {
                let waits = || (State::SourceNotReady(failure.clone()), None, Next::Recheck(RECHECK));
                return self.running().unwrap_or_else(waits);
            }
            Err(SourceError::Invalid(_)) if seen.attempt.may_run() => return ending(State::Cancelling),
            Err(SourceError::Invalid(failure)) => return rest(State::Invalid(failure.clone())),
        };
        let last = seen.last_attempt().filter(|attempt| attempt.input_hash == inputs.hash);
        if seen.attempt.may_run() && (last.is_none() || self.cancel_wanted(&inputs.hash)) {
            return ending(State::Cancelling);
        }
        if seen.attempt.may_run() && self.over_budget().is_some() {
            return ending(State::Cancelling);
        }
        if let Some(running) = self.running() {
            return running;
        }
        match last {
            Some(attempt) if attempt.stop_time.is_none() => self.under_way(attempt, inputs),
            Some(attempt) => self.finished(attempt, inputs),
            None => self.start(inputs, self.change()),
        }
    }

    /// What is different from the last attempt, which was for other inputs.
    fn change(&self) -> Cause {
        match self.seen.last_attempt() {
            None => Cause::New,
            Some(last) if last.generation == Some(self.seen.generation()) => Cause::CompositionChanged,
            Some(_) => Cause::SpecChanged,
        }
    }

    /// What runs goes on.
    fn running(&self) -> Option<Outcome> {
        let (progress, ask_again) = match &self.seen.attempt {
            AttemptReport::Running { progress, ask_again, .. } => (progress.clone(), *ask_again),
            AttemptReport::NotYetKnown => (self.seen.status().progress.unwrap_or(planning()), Some(ASK_AGAIN)),
            _ => return None,
        };
        let next = match ask_again {
            None => Next::AwaitProgress,
            // It runs elsewhere and goes on without us.
            Some(pause) if self.seen.draining => Next::Recheck(pause),
            Some(pause) => Next::RequeueAfter(pause),
        };
        Some((State::Running(progress), None, next))
    }

    /// An attempt for these inputs has a name and no end in the status, and nothing of it runs.
    fn under_way(&self, attempt: &AttemptStatus, inputs: &Inputs) -> Outcome {
        match &self.seen.attempt {
            AttemptReport::Succeeded { output, .. } => rest(State::Completed(output.clone())),
            AttemptReport::Failed { failure, .. } => self.failed(attempt, failure, is_retryable(failure), inputs),
            _ => match self.obstacle(inputs) {
                Some(obstacle) => obstacle,
                // Named but not started, or started by a process that has ended since: start it, under the same name.
                None if self.seen.resumes => (State::Running(planning()), Some(Effect::Start), Next::AwaitProgress),
                None => self.start(inputs, Cause::StackChanged),
            },
        }
    }

    /// The last attempt was for these inputs and has ended.
    fn finished(&self, attempt: &AttemptStatus, inputs: &Inputs) -> Outcome {
        let status = self.seen.status();
        let retry_asked = requests::counts(self.request, RequestVerb::Retry, &inputs.hash)
            && self
                .request
                .zip(attempt.stop_time.as_ref())
                .is_some_and(|(request, stop)| request.requested_time.0 > stop.0);
        match (attempt.result, &self.seen.output, status.output, status.failure) {
            _ if retry_asked => self.start(inputs, Cause::RetryRequested),
            (Some(AttemptResult::Succeeded), OutputCheck::Intact, Some(output), _) => rest(State::Completed(output)),
            (Some(AttemptResult::Failed), _, _, Some(written)) => {
                let (failure, retryable) = read_failure(&written);
                self.failed(attempt, &failure, retryable, inputs)
            }
            (Some(AttemptResult::Succeeded), OutputCheck::Lost(how), ..) => {
                self.start(inputs, Cause::VideoLost(how.clone()))
            }
            _ => self.start(inputs, Cause::WantedAgain),
        }
    }

    /// The last attempt failed: try again if that can help and is still allowed.
    fn failed(&self, attempt: &AttemptStatus, failure: &Failure, retryable: Retryable, inputs: &Inputs) -> Outcome {
        let seen = self.seen;
        // Somebody had to act first, and has edited the spec.
        let acted = attempt.generation.is_some_and(|generation| generation < seen.generation());
        if failure.code.fault() == Fault::Permanent && acted {
            return self.start(inputs, Cause::SpecChanged);
        }
        let failures = self.failures_in_a_row(&attempt.input_hash);
        let exhausted = i64::from(failures) > i64::from(seen.render.spec.retry.limit);
        if retryable == Retryable::No || exhausted || seen.orphaned {
            return rest(State::Failed(failure.clone(), retryable));
        }
        if self.cancel_wanted(&inputs.hash) {
            return rest(State::Cancelled);
        }
        let stopped = attempt.stop_time.as_ref().map_or(seen.now, |stop| stop.0);
        let due = stopped + backoff(Class::Transient, failures, 1.0);
        if due > seen.now {
            let left = Duration::try_from(due.duration_since(seen.now)).unwrap_or_default();
            return (State::Retrying(failure.clone(), due), None, Next::RequeueAfter(left));
        }
        self.start(inputs, Cause::FailedBefore)
    }

    /// Nothing runs and something should: name an attempt, unless something stands in the way.
    fn start(&self, inputs: &Inputs, cause: Cause) -> Outcome {
        if let Some(obstacle) = self.obstacle(inputs) {
            return obstacle;
        }
        let number = self.seen.render.status.as_ref().and_then(|status| status.attempt).unwrap_or(0);
        (State::Starting(number.saturating_add(1), cause), None, Next::AT_ONCE)
    }

    /// Why nothing may be started now.
    fn obstacle(&self, inputs: &Inputs) -> Option<Outcome> {
        let seen = self.seen;
        if seen.orphaned {
            return Some(rest(State::Orphaned));
        }
        if self.cancel_wanted(&inputs.hash) {
            return Some(rest(State::Cancelled));
        }
        if seen.render.spec.suspend {
            return Some(rest(State::Suspended));
        }
        if let Some(failure) = self.over_budget() {
            return Some(rest(State::Failed(failure, Retryable::No)));
        }
        if seen.draining {
            return Some(rest(State::Draining));
        }
        match (&seen.stack, seen.admission) {
            (StackView::NotFound(reason), _) => Some(rest(State::StackNotFound(reason.clone()))),
            (StackView::NotReady(failure), _) => Some(rest(State::StackNotReady(failure.clone()))),
            (_, Admission::Waiting(place)) => Some((State::Queued(place), None, Next::AwaitProgress)),
            (StackView::Pending(what), Admission::Admitted) => {
                Some((State::StackPending(what.clone()), None, Next::AwaitProgress))
            }
            (StackView::Ready { .. }, Admission::Admitted) => None,
        }
    }

    /// That more was spent than the spec allows.
    fn over_budget(&self) -> Option<Failure> {
        let (budget, spent) = (self.seen.render.spec.budget.as_ref()?.max_usd, self.seen.spent());
        let message =
            || format!("it has cost about {spent} USD and may cost {budget}: raise spec.budget.maxUsd to go on");
        (spent > budget).then(|| Failure::new(Code::BudgetExceeded, message()))
    }

    fn cancel_wanted(&self, hash: &str) -> bool {
        let asked = requests::counts(self.request, RequestVerb::Cancel, hash);
        asked || self.seen.render.spec.desired_state == DesiredState::Cancelled
    }

    /// Failed attempts for these inputs since the last success, cancel or asked-for retry, this one included.
    fn failures_in_a_row(&self, hash: &str) -> u32 {
        let attempts = self.seen.render.status.as_ref().map(|status| status.attempts.as_slice()).unwrap_or_default();
        let asked = self.request.filter(|_| requests::counts(self.request, RequestVerb::Retry, hash));
        let counts = |attempt: &&AttemptStatus| {
            let failed = attempt.stop_time.is_none() || attempt.result == Some(AttemptResult::Failed);
            let since = asked.is_none_or(|asked| attempt.start_time.0 >= asked.requested_time.0);
            attempt.input_hash == hash && failed && since
        };
        u32::try_from(attempts.iter().rev().take_while(counts).count()).unwrap_or(u32::MAX)
    }
}

/// What runs is being ended; its end is a change.
const fn ending(state: State) -> Outcome {
    (state, Some(Effect::Cancel), Next::RequeueAfter(ASK_AGAIN))
}

const fn is_retryable(failure: &Failure) -> Retryable {
    if failure.code.retryable() { Retryable::Yes } else { Retryable::No }
}

/// A failure as it was written into a status, by this version or another.
fn read_failure(written: &FailureStatus) -> (Failure, Retryable) {
    let FailureStatus { code, message, retryable, path, line } = written.clone();
    let line = line.and_then(|line| u32::try_from(line).ok());
    let failure = Failure::read(&code, message, path, line);
    (failure, if retryable { Retryable::Yes } else { Retryable::No })
}

#[cfg(test)]
pub(crate) mod tests;
