//! What is told of a decision: the only writer of conditions, and of everything else in a status.

use crds::{
    HyperframesStack, HyperframesStackStatus, RenderStatus,
    condition::{
        AVAILABLE, CANCELLED, CANCELLING, COMPLETED, Condition, DELETING, DELETION_BLOCKED, DRAINING, FINISHED,
        ORPHANED, PROGRESSING, QUEUED, READY, RECONCILING, RETRYING, RUNNING, SOURCE_NOT_READY, STACK_NOT_FOUND,
        STACK_NOT_READY, STALLED, SUCCEEDED, SUSPENDED,
    },
    render::{AttemptResult, AttemptStatus, FailureStatus, WarningStatus},
    stack::aws::AwsStackStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    act::Done,
    conditions,
    decide::{Cause, Decision, Retryable, State},
    flux,
    observe::{Observed, StackView},
    stack::{StackDecision, StackState},
};
use crate::{
    error::{Class, Error},
    ports::{AttemptReport, ObjectKey, StackCapacity},
};

/// Attempts kept in a status, and warnings.
const KEPT: usize = 5;
/// Longest texts of a status, in bytes: etcd keeps every version of it.
const FAILURE_MESSAGE: usize = 1024;
const CONDITION_MESSAGE: usize = 320;
const WARNING_MESSAGE: usize = 256;
const PATH: usize = 256;
/// Digits of the input hash in an attempt's name.
const HASH_DIGITS: usize = 8;

/// The status that follows from a decision and what came of it.
#[must_use]
pub fn status(seen: &Observed, decision: &Decision, done: &Done) -> RenderStatus {
    let mut status = seen.status();
    let state = failed_start(done).unwrap_or_else(|| decision.state.clone());
    status.observed_generation = Some(seen.generation());
    status.request.clone_from(&decision.request);
    let handled = status.last_handled_reconcile_at.take();
    status.last_handled_reconcile_at = flux::last_asked(&seen.render.metadata, handled);
    status.queue_position = None;
    status.queued_time = decision.waits_since.map(Time);
    status.progress = None;
    status.failure = None;
    note_result(&mut status, &seen.attempt);
    if let (Some(cost), Some(last)) = (seen.attempt.cost(), status.attempts.last_mut()) {
        status.cost_usd = Some(seen.spent());
        last.cost_usd = last.cost_usd.max(Some(cost));
    }
    close_attempts(&mut status, &state, seen);
    if let (Ok(Some(started)), Some(last)) = (&done.started, status.attempts.last_mut()) {
        last.handle.clone_from(&started.handle);
    }
    let said = ConditionSet::of(&state, done);
    if state == State::Suspended || conditions::is_true(&status.conditions, FINISHED) && !said.kind.finished {
        status.start_time = None;
    }
    match &state {
        State::Starting(number, cause) => {
            let goes_on = matches!(cause, Cause::FailedBefore | Cause::StackChanged | Cause::WantedAgain);
            status.start_time = status.start_time.filter(|_| goes_on).or(Some(Time(seen.now)));
            name_attempt(&mut status, *number, seen);
        }
        State::Queued(place) => status.queue_position = Some(*place),
        State::Running(progress) => status.progress = Some(progress.clone()),
        State::Failed(failure, retryable) => status.failure = Some(failure_status(failure, *retryable)),
        State::Retrying(failure, _) => status.failure = Some(failure_status(failure, Retryable::Yes)),
        State::Invalid(failure) => status.failure = Some(failure_status(failure, Retryable::No)),
        State::Cancelling | State::Deleting => status.progress = seen.status().progress,
        State::Deleted
        | State::Completed(_)
        | State::Orphaned
        | State::SourceNotReady(_)
        | State::SourcePending(_)
        | State::Cancelled
        | State::Suspended
        | State::Draining
        | State::StackNotFound(_)
        | State::StackPending(_)
        | State::StackNotReady(_) => {}
    }
    // An attempt that is being ended is made for nothing any more.
    let made_for_it = matches!(state, State::Starting(..))
        || seen.has_open_attempt()
            && matches!(state, State::Running(_) | State::Completed(_) | State::Failed(..) | State::Retrying(..));
    if let Some(token) = seen.render.spec.run_token.as_ref().filter(|_| made_for_it) {
        status.run_token = Some(token.clone());
    }
    if let Some(hash) = seen.input_hash() {
        status.input_hash = Some(hash.to_owned());
    }
    status.conditions = conditions::merge(&status.conditions, said.conditions(seen.generation(), seen.now));
    status
}

/// An attempt that cannot be started, now or later, has failed.
fn failed_start(done: &Done) -> Option<State> {
    match &done.started {
        Err(Error::Backend { failure, class: Class::Terminal }) => Some(State::Failed(failure.clone(), Retryable::No)),
        _ => None,
    }
}

/// Writes down what an attempt came to, also where its inputs are not asked for any more, or cannot be read just now.
fn note_result(status: &mut RenderStatus, attempt: &AttemptReport) {
    if let AttemptReport::Succeeded { output, .. } = attempt {
        status.output = Some(output.clone());
    }
    let (AttemptReport::Succeeded { warnings, .. } | AttemptReport::Failed { warnings, .. }) = attempt else { return };
    status.warnings = warnings.iter().take(KEPT).map(warning_status).collect();
    let omitted = warnings.len().saturating_sub(KEPT);
    status.omitted_warnings = i32::try_from(omitted).ok().filter(|omitted| *omitted > 0);
}

/// Writes down how the open attempt ended, if nothing of it runs any more and it is not to go on.
fn close_attempts(status: &mut RenderStatus, state: &State, seen: &Observed) {
    let over = seen.attempt.has_result() || seen.inputs.is_ok() && !seen.resumes;
    let ended = match state {
        State::Starting(..)
        | State::Completed(_)
        | State::Failed(..)
        | State::Retrying(..)
        | State::Invalid(_)
        | State::Cancelled
        | State::Suspended
        | State::StackNotFound(_)
        | State::SourceNotReady(_)
        | State::SourcePending(_)
        | State::Orphaned => true,
        State::Draining | State::StackPending(_) | State::StackNotReady(_) | State::Queued(_) => over,
        State::Deleted | State::Deleting | State::Running(_) | State::Cancelling => false,
    };
    if !ended {
        return;
    }
    let (result, code) = match (&seen.attempt, state) {
        (AttemptReport::Succeeded { .. }, _) => (AttemptResult::Succeeded, None),
        (AttemptReport::Failed { failure, .. }, _) | (_, State::Failed(failure, _)) => {
            (AttemptResult::Failed, Some(failure.code.to_string()))
        }
        _ => (AttemptResult::Cancelled, None),
    };
    for attempt in status.attempts.iter_mut().filter(|attempt| attempt.stop_time.is_none()) {
        attempt.stop_time = Some(Time(seen.now));
        attempt.result = Some(result);
        attempt.failure_code.clone_from(&code);
    }
}

fn name_attempt(status: &mut RenderStatus, number: i32, seen: &Observed) {
    let (uid, hash) = (seen.render.metadata.uid.as_deref().unwrap_or_default(), seen.input_hash().unwrap_or_default());
    let stack = match &seen.stack {
        StackView::Ready { spec, .. } => Some(spec.key.clone()),
        StackView::NotFound(_) | StackView::Pending(_) | StackView::NotReady(_) => None,
    };
    let own = ObjectKey::render(&seen.render).namespace;
    let stack_namespace = stack.as_ref().map(|stack| stack.namespace.clone()).filter(|namespace| *namespace != own);
    status.attempt = Some(number);
    status.execution_name = Some(format!("hf-{uid}-{number}-{}", &hash[..HASH_DIGITS.min(hash.len())]));
    status.warnings.clear();
    status.omitted_warnings = None;
    status.attempts.push(AttemptStatus {
        number,
        input_hash: hash.to_owned(),
        start_time: Time(seen.now),
        stop_time: None,
        result: None,
        generation: Some(seen.generation()),
        stack: stack.map(|stack| stack.name),
        stack_namespace,
        handle: None,
        failure_code: None,
        cost_usd: None,
    });
    let surplus = status.attempts.len().saturating_sub(KEPT);
    status.attempts.drain(..surplus);
}

fn failure_status(failure: &crds::Failure, retryable: Retryable) -> FailureStatus {
    FailureStatus {
        code: failure.code.to_string(),
        message: shortened(&failure.message, FAILURE_MESSAGE),
        retryable: retryable == Retryable::Yes,
        path: failure.path.as_deref().map(|path| shortened(path, PATH)),
        line: failure.line.and_then(|line| i32::try_from(line).ok()),
    }
}

fn warning_status(warning: &crds::Failure) -> WarningStatus {
    WarningStatus {
        code: warning.code.to_string(),
        message: shortened(&warning.message, WARNING_MESSAGE),
        path: warning.path.as_deref().map(|path| shortened(path, PATH)),
        line: warning.line.and_then(|line| i32::try_from(line).ok()),
    }
}

/// At most so many bytes, the last of them an ellipsis where something was left out.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    text[..text.floor_char_boundary(most - '…'.len_utf8())].to_owned() + "…"
}

/// What a state is in the terms of the conditions.
struct ConditionSet {
    kind: ConditionKind,
    reason: String,
    message: String,
}

/// Statuses of `Succeeded`, `Ready` and `Finished`, and which of `Reconciling` and `Stalled` is there.
struct ConditionKind {
    succeeded: &'static str,
    ready: &'static str,
    finished: bool,
    abnormal: Option<&'static str>,
}

/// Nothing wrong, work to do.
const IN_PROGRESS: ConditionKind =
    ConditionKind { succeeded: "Unknown", ready: "Unknown", finished: false, abnormal: Some(RECONCILING) };
/// Not now, because somebody wants it so.
const ON_HOLD: ConditionKind = ConditionKind { succeeded: "Unknown", ready: "False", finished: false, abnormal: None };
/// Not now, because somebody must act first.
const BLOCKED: ConditionKind =
    ConditionKind { succeeded: "Unknown", ready: "False", finished: false, abnormal: Some(STALLED) };
/// Nothing more will happen by itself, and the video is not what was asked for.
const FINISHED_BADLY: ConditionKind =
    ConditionKind { succeeded: "False", ready: "False", finished: true, abnormal: Some(STALLED) };
/// The video is there.
const FINISHED_WELL: ConditionKind = ConditionKind { succeeded: "True", ready: "True", finished: true, abnormal: None };

impl ConditionSet {
    fn of(state: &State, done: &Done) -> Self {
        let set = |kind, reason: &str, message: String| Self { kind, reason: reason.to_owned(), message };
        if let (Err(error), State::Running(_)) = (&done.started, state) {
            return set(IN_PROGRESS, RUNNING, format!("cannot be started yet: {error}"));
        }
        match state {
            State::Deleted | State::Deleting => set(IN_PROGRESS, DELETING, "being deleted".to_owned()),
            State::Orphaned => set(ON_HOLD, ORPHANED, "its file is gone: it is left alone".to_owned()),
            State::Invalid(failure) | State::Failed(failure, _) => {
                set(FINISHED_BADLY, failure.code.as_str(), failure.to_string())
            }
            State::SourceNotReady(failure) => set(IN_PROGRESS, SOURCE_NOT_READY, failure.to_string()),
            State::SourcePending(what) => set(IN_PROGRESS, SOURCE_NOT_READY, what.clone()),
            State::Cancelled => {
                let message = "cancelled; ask for a retry or change the spec to start again";
                set(FINISHED_BADLY, CANCELLED, message.to_owned())
            }
            State::Suspended => set(ON_HOLD, SUSPENDED, "spec.suspend is true".to_owned()),
            State::Draining => {
                set(IN_PROGRESS, DRAINING, "the controller is being stopped: goes on when it is back".to_owned())
            }
            State::StackNotFound(reason) => set(BLOCKED, STACK_NOT_FOUND, reason.clone()),
            State::StackPending(what) => set(IN_PROGRESS, QUEUED, what.clone()),
            State::StackNotReady(failure) => set(IN_PROGRESS, STACK_NOT_READY, failure.to_string()),
            State::Queued(100) => set(IN_PROGRESS, QUEUED, "far behind in the queue".to_owned()),
            State::Queued(place) => set(IN_PROGRESS, QUEUED, format!("number {place} in the queue")),
            State::Retrying(failure, at) => {
                set(IN_PROGRESS, RETRYING, format!("next attempt at {at:.0} after {failure}"))
            }
            State::Starting(number, Cause::New) => set(IN_PROGRESS, RUNNING, format!("attempt {number} is starting")),
            State::Starting(number, cause) => {
                set(IN_PROGRESS, RUNNING, format!("attempt {number} is starting: {cause}"))
            }
            State::Running(progress) => set(IN_PROGRESS, RUNNING, progress.stage.as_str().to_lowercase()),
            State::Cancelling => set(IN_PROGRESS, CANCELLING, "the running attempt is being ended".to_owned()),
            State::Completed(output) => set(FINISHED_WELL, COMPLETED, output.uri.clone()),
        }
    }

    fn conditions(&self, generation: i64, now: Timestamp) -> Vec<Condition> {
        let ConditionKind { succeeded, ready, finished, abnormal } = self.kind;
        let message = shortened(&self.message, CONDITION_MESSAGE);
        let make = |kind: &str, status: &str| conditions::new(kind, status, &self.reason, &message, generation, now);
        let finished = if finished { "True" } else { "False" };
        let always = [make(READY, ready), make(SUCCEEDED, succeeded), make(FINISHED, finished)];
        always.into_iter().chain(abnormal.map(|kind| make(kind, "True"))).collect()
    }
}

/// The status of a stack that follows from a decision. `details`: what its backend knows of it besides.
#[must_use]
pub fn stack_status(
    stack: &HyperframesStack,
    decision: &StackDecision,
    details: Option<AwsStackStatus>,
    now: Timestamp,
) -> HyperframesStackStatus {
    let generation = stack.metadata.generation.unwrap_or(0);
    let old = stack.status.clone().unwrap_or_default();
    let known = (old.parallel_chunks, old.renderer_digest.clone());
    let blocked = |failure: &crds::Failure| (failure.code.as_str(), shortened(&failure.message, CONDITION_MESSAGE));
    let (ready, abnormal, reason, message) = match &decision.state {
        StackState::Deleted | StackState::Deleting(None) => {
            ("Unknown", Some(RECONCILING), DELETING, "being deleted".to_owned())
        }
        StackState::DeletionBlocked(users) => {
            let message = format!("{users} renders are under way: deleted when they have ended");
            ("Unknown", Some(RECONCILING), DELETION_BLOCKED, message)
        }
        StackState::Pending(what) => ("Unknown", Some(RECONCILING), PROGRESSING, what.clone()),
        StackState::Available(StackCapacity { degraded: None, parallel_chunks, .. }) => {
            ("True", None, AVAILABLE, format!("renders {parallel_chunks} chunks at the same time"))
        }
        StackState::NotReady(failure)
        | StackState::Deleting(Some(failure))
        | StackState::Available(StackCapacity { degraded: Some(failure), .. }) => {
            let (reason, message) = blocked(failure);
            ("False", Some(STALLED), reason, message)
        }
    };
    let (parallel_chunks, renderer_digest) = match &decision.state {
        StackState::Available(capacity) => (Some(capacity.parallel_chunks), capacity.renderer_digest.clone()),
        StackState::NotReady(_) => (None, None),
        StackState::Deleted | StackState::Deleting(_) | StackState::DeletionBlocked(_) | StackState::Pending(_) => {
            known
        }
    };
    let make = |kind: &str, status: &str| conditions::new(kind, status, reason, &message, generation, now);
    let said = [make(READY, ready)].into_iter().chain(abnormal.map(|kind| make(kind, "True"))).collect();
    HyperframesStackStatus {
        observed_generation: Some(generation),
        last_handled_reconcile_at: flux::last_asked(&stack.metadata, old.last_handled_reconcile_at),
        conditions: conditions::merge(&old.conditions, said),
        parallel_chunks,
        renderer_digest,
        aws: details.or(old.aws),
    }
}

#[cfg(test)]
mod tests;
