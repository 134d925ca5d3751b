//! What follows from what was observed: pure, synchronous, no clock, no ports.
//!
//! A decision is one [`State`] (what the status will say), the [`Effect`] to bring about, and when to look again. An
//! attempt's name is decided one step before anything is started under it, and written to the status in between, so that a
//! controller that ends between any two writes goes on without rendering twice.

use std::{fmt, time::Duration};

use crds::{
    Code, Failure, Fault, Period,
    condition::FINISHED,
    render::{
        AttemptResult, AttemptStatus, DesiredState, FailureStatus, OutputStatus, ProgressStatus, RequestStatus,
        RequestVerb,
    },
};
use jiff::Timestamp;

use super::{
    conditions,
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
    /// What is to be rendered is being fetched, as one sentence says.
    SourcePending(String),
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

impl State {
    /// Whether it waits for its turn on a stack.
    pub(super) const fn waits(&self) -> bool {
        matches!(self, Self::Queued(_) | Self::StackPending(_) | Self::StackNotReady(_) | Self::StackNotFound(_))
    }
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
    /// The spec has another run token than the last was for.
    RunTokenChanged,
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
            Self::RunTokenChanged => "its run token has changed",
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
    /// Delete the Render, which has finished long enough ago.
    Delete,
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
    /// Since when it waits for its turn; `None` where it does not.
    pub waits_since: Option<Timestamp>,
}

/// How often a source that cannot be read is tried again.
const RECHECK: Duration = Duration::from_secs(10);
/// How soon a backend that has not found out yet is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How far ahead a deadline is waited for: then it is looked at again.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// A state, an effect and a time to look again.
type Outcome = (State, Option<Effect>, Next);

const fn rest(state: State) -> Outcome {
    (state, None, Next::AwaitChange)
}

/// Decides what follows.
#[must_use]
pub fn decide(seen: &Observed) -> Decision {
    let request = requests::current(seen, seen.input_hash());
    let case = Case { seen, request: request.as_ref() };
    let (state, effect, next) = case.until_deleted(case.outcome());
    let waits_since = case.waits_since(&state);
    Decision { state, effect, next, request, waits_since }
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

    /// The same, and a look when so much time has passed.
    fn but_within(self, left: Option<Duration>) -> Self {
        let Some(left) = left.map(|left| left.min(LONGEST_WAIT)) else { return self };
        match self {
            Self::AwaitChange => Self::Recheck(left),
            Self::AwaitProgress => Self::RequeueAfter(left),
            Self::RequeueAfter(pause) => Self::RequeueAfter(pause.min(left)),
            Self::Recheck(pause) => Self::Recheck(pause.min(left)),
            Self::Gone => Self::Gone,
        }
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
            Err(error @ (SourceError::Unreadable(_) | SourceError::Coming(_))) => {
                let waits = || match error {
                    SourceError::Coming(what) => {
                        // Who comes next begins anew.
                        let next = if seen.draining { Next::AwaitChange } else { Next::AwaitProgress };
                        (State::SourcePending(what.clone()), None, next)
                    }
                    SourceError::Unreadable(failure) | SourceError::Invalid(failure) => {
                        (State::SourceNotReady(failure.clone()), None, Next::Recheck(RECHECK))
                    }
                };
                return match self.running() {
                    Some(_) if self.overdue().is_some() => ending(State::Cancelling),
                    running => running.unwrap_or_else(waits),
                };
            }
            Err(SourceError::Invalid(_)) if seen.attempt.may_run() => return ending(State::Cancelling),
            Err(SourceError::Invalid(failure)) => return rest(State::Invalid(failure.clone())),
        };
        let last = seen.last_attempt().filter(|attempt| attempt.input_hash == inputs.hash);
        if seen.attempt.may_run() && (last.is_none() || self.cancel_wanted(&inputs.hash)) {
            return ending(State::Cancelling);
        }
        if seen.attempt.may_run() && (self.over_budget().is_some() || self.overdue().is_some()) {
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

    /// What has finished is deleted when its time has passed: counted from when its status first said so.
    fn until_deleted(&self, (state, effect, next): Outcome) -> Outcome {
        let seen = self.seen;
        let finished = matches!(state, State::Completed(_) | State::Failed(..) | State::Invalid(_) | State::Cancelled);
        let Some(ttl) = seen.render.spec.ttl.as_ref().filter(|_| finished && effect.is_none() && seen.may_be_deleted)
        else {
            return (state, effect, next);
        };
        let status = seen.status();
        let since = conditions::find(&status.conditions, FINISHED).filter(|finished| finished.status == "True");
        let since = since.map_or(seen.now, |finished| finished.last_transition_time.0);
        match left(ttl, since, seen.now) {
            // What was decided for an older spec is written first: an edit may have been meant to keep it.
            Duration::ZERO if seen.is_edited() => (state, None, Next::AT_ONCE),
            Duration::ZERO => (state, Some(Effect::Delete), Next::AwaitChange),
            left => (state, None, next.but_within(Some(left))),
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
        Some((State::Running(progress), None, next.but_within(self.time_left())))
    }

    /// An attempt for these inputs has a name and no end in the status, and nothing of it runs.
    fn under_way(&self, attempt: &AttemptStatus, inputs: &Inputs) -> Outcome {
        match &self.seen.attempt {
            AttemptReport::Succeeded { output, .. } => rest(State::Completed(output.clone())),
            AttemptReport::Failed { failure, .. } => self.failed(attempt, failure, is_retryable(failure), inputs),
            _ => match (self.overdue_unless_cancelled(inputs), self.obstacle(inputs)) {
                (Some(failure), _) => rest(State::Failed(failure, Retryable::No)),
                (None, Some((state, effect, next))) => {
                    let waits_anew = !self.seen.resumes || matches!(state, State::StackNotFound(_));
                    let left = self.time_left().filter(|_| state.waits());
                    let next = if waits_anew { Next::AT_ONCE } else { next.but_within(left) };
                    (state, effect, next)
                }
                // Named but not started, or started by a process that has ended since: start it, under the same name.
                (None, None) if self.seen.resumes => {
                    let next = Next::AwaitProgress.but_within(self.time_left());
                    (State::Running(planning()), Some(Effect::Start), next)
                }
                (None, None) => self.start(inputs, Cause::StackChanged),
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
            _ if self.seen.has_new_token() => self.start(inputs, Cause::RunTokenChanged),
            (Some(AttemptResult::Succeeded), OutputCheck::Intact, Some(output), _) => rest(State::Completed(output)),
            (Some(AttemptResult::Failed), _, _, Some(written)) => {
                let (failure, retryable) = read_failure(&written);
                self.failed(attempt, &failure, retryable, inputs)
            }
            (Some(AttemptResult::Succeeded), OutputCheck::Lost(how), ..) => {
                self.start(inputs, Cause::VideoLost(how.clone()))
            }
            _ => self.go_on(inputs, Cause::WantedAgain),
        }
    }

    /// The series of attempts goes on, unless its time has passed.
    fn go_on(&self, inputs: &Inputs, cause: Cause) -> Outcome {
        let (state, effect, next) = self.start(inputs, cause);
        match self.overdue() {
            _ if !state.waits() && !matches!(state, State::Starting(..)) => (state, effect, next),
            Some(failure) => rest(State::Failed(failure, Retryable::No)),
            None => (state, effect, next.but_within(self.time_left())),
        }
    }

    /// The last attempt failed: try again if that can help and is still allowed.
    fn failed(&self, attempt: &AttemptStatus, failure: &Failure, retryable: Retryable, inputs: &Inputs) -> Outcome {
        let seen = self.seen;
        // Somebody had to act first, and has edited the spec; an edit before a deadline passed is no answer to it.
        let edited_since = match failure.code {
            Code::ActiveDeadlineExceeded => seen.status().observed_generation,
            _ => attempt.generation,
        };
        let acted = edited_since.is_some_and(|generation| generation < seen.generation());
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
        if let Some(overdue) = self.overdue_unless_cancelled(inputs) {
            let message = format!("{}; the last attempt failed: {failure}", overdue.message);
            return rest(State::Failed(Failure { message, ..overdue }, Retryable::No));
        }
        let stopped = attempt.stop_time.as_ref().map_or(seen.now, |stop| stop.0);
        let due = stopped + backoff(Class::Transient, failures, 1.0);
        if due > seen.now {
            let left = Duration::try_from(due.duration_since(seen.now)).unwrap_or_default();
            let next = Next::RequeueAfter(left).but_within(self.time_left());
            return (State::Retrying(failure.clone(), due), None, next);
        }
        self.go_on(inputs, Cause::FailedBefore)
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
        let turn = self.turn_left(&inputs.hash);
        if let Some((deadline, Duration::ZERO)) = turn {
            let message =
                format!("it has waited {deadline} for its turn: raise spec.queueDeadline, or ask for a retry");
            return Some(rest(State::Failed(Failure::new(Code::QueueDeadlineExceeded, message), Retryable::No)));
        }
        if seen.draining {
            return Some(rest(State::Draining));
        }
        let waits = |state, next: Next| Some((state, None, next.but_within(turn.map(|(_, left)| left))));
        match (&seen.stack, seen.admission) {
            (StackView::NotFound(reason), _) => waits(State::StackNotFound(reason.clone()), Next::AwaitChange),
            (StackView::NotReady(failure), _) => waits(State::StackNotReady(failure.clone()), Next::AwaitChange),
            (_, Admission::Waiting(place)) => waits(State::Queued(place), Next::AwaitProgress),
            (StackView::Pending(what), Admission::Admitted) => {
                waits(State::StackPending(what.clone()), Next::AwaitProgress)
            }
            (StackView::Ready { .. }, Admission::Admitted) => None,
        }
    }

    /// The deadline for its turn, and how much of it is left. What has been started has had its turn.
    fn turn_left(&self, hash: &str) -> Option<(&Period, Duration)> {
        let deadline = self.seen.render.spec.queue_deadline.as_ref()?;
        let waits = !self.seen.has_open_attempt();
        waits.then(|| (deadline, left(deadline, self.queued_since(hash), self.seen.now)))
    }

    /// Since when it waits for its turn with these inputs, or would from now on.
    fn queued_since(&self, hash: &str) -> Timestamp {
        let (seen, status) = (self.seen, self.seen.status());
        let anew = seen.has_new_token() && seen.is_edited();
        let waited = status.queued_time.filter(|_| status.input_hash.as_deref() == Some(hash) && !anew);
        let asked = self.request.filter(|_| requests::counts(self.request, RequestVerb::Retry, hash));
        waited.map_or(seen.now, |since| asked.map_or(since.0, |asked| since.0.max(asked.requested_time.0)))
    }

    /// Since when a Render in this state waits for its turn.
    fn waits_since(&self, state: &State) -> Option<Timestamp> {
        let known = || self.seen.status().queued_time.map(|since| since.0);
        let hash = self.seen.input_hash();
        match state {
            state if state.waits() => {
                hash.filter(|_| !self.seen.has_open_attempt()).map(|hash| self.queued_since(hash))
            }
            State::Failed(failure, _) if failure.code == Code::QueueDeadlineExceeded => {
                hash.map(|hash| self.queued_since(hash))
            }
            // Nobody knows for how long.
            State::SourceNotReady(_) | State::SourcePending(_) | State::Draining => known(),
            _ => None,
        }
    }

    /// How much time is left for the attempts of this series.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.seen.render.spec.active_deadline.as_ref()?;
        let status = self.seen.status();
        // What has finished begins anew, if it does.
        let first = status.start_time.filter(|_| !conditions::is_true(&status.conditions, FINISHED));
        let open = || self.seen.last_attempt().filter(|_| self.seen.has_open_attempt());
        let since = first.or_else(|| open().map(|attempt| attempt.start_time.clone()))?;
        Some(left(deadline, since.0, self.seen.now))
    }

    fn overdue_unless_cancelled(&self, inputs: &Inputs) -> Option<Failure> {
        self.overdue().filter(|_| !self.cancel_wanted(&inputs.hash))
    }

    /// That this series of attempts has taken longer than the spec allows.
    fn overdue(&self) -> Option<Failure> {
        let deadline = self.seen.render.spec.active_deadline.as_ref()?;
        let message =
            || format!("it was not done {deadline} after its start: raise spec.activeDeadline, or ask for a retry");
        let overdue = self.time_left().is_some_and(|left| left.is_zero());
        overdue.then(|| Failure::new(Code::ActiveDeadlineExceeded, message()))
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

    /// Failed attempts of this series since the last success, cancel or asked-for retry, this one included.
    fn failures_in_a_row(&self, hash: &str) -> u32 {
        let status = self.seen.status();
        let asked = self.request.filter(|_| requests::counts(self.request, RequestVerb::Retry, hash));
        let begin = status.start_time.as_ref().map(|begin| begin.0);
        let counts = |attempt: &&AttemptStatus| {
            let failed = attempt.stop_time.is_none() || attempt.result == Some(AttemptResult::Failed);
            let since = asked.is_none_or(|asked| attempt.start_time.0 >= asked.requested_time.0);
            let in_series = begin.is_none_or(|begin| attempt.start_time.0 >= begin);
            attempt.input_hash == hash && failed && since && in_series
        };
        u32::try_from(status.attempts.iter().rev().take_while(counts).count()).unwrap_or(u32::MAX)
    }
}

/// How much of a deadline is left.
fn left(deadline: &Period, since: Timestamp, now: Timestamp) -> Duration {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    deadline.duration().saturating_sub(passed)
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
