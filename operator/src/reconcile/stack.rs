//! What follows from what was observed of a stack: pure, as for a Render.

use std::time::Duration;

use crds::Failure;

use super::{decide::Next, observe::StackSeen};
use crate::ports::{StackCapacity, StackEffect, StackReport};

/// The state a stack is in.
#[derive(Clone, Debug, PartialEq)]
pub enum StackState {
    /// It is being deleted and nothing of it is left.
    Deleted,
    /// It is being taken down, or cannot be.
    Deleting(Option<Failure>),
    /// It is to be deleted, and so many Renders are under way on it.
    DeletionBlocked(usize),
    /// It is being made or changed, as one sentence says.
    Pending(String),
    /// It can render.
    Available(StackCapacity),
    /// It cannot render.
    NotReady(Failure),
}

/// What follows from an observation of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackDecision {
    /// The state it is in.
    pub state: StackState,
    /// What is to be brought about.
    pub effect: Option<StackEffect>,
    /// When to look again.
    pub next: Next,
}

/// How often a stack that cannot render is looked at anew.
const RECHECK: Duration = Duration::from_secs(30);
/// How soon a stack is looked at again of which the deletion was begun.
const DELETION_BEGUN: Duration = Duration::from_secs(5);
/// How soon a stack is looked at again for which a step was taken.
const STEP_TAKEN: Duration = Duration::from_secs(1);

/// Decides what follows. `users` are the Renders with an open attempt on it. A process that is `draining` waits for nothing.
#[must_use]
pub(super) fn decide(seen: &StackSeen, users: usize, draining: bool) -> StackDecision {
    let decision = |state, effect, next: Next| {
        let next = if draining && !next.is_settled() { Next::AwaitChange } else { next };
        StackDecision { state, effect, next }
    };
    match (seen.deleting, &seen.report) {
        (true, Ok(StackReport::Absent) | Err(_)) if users == 0 => {
            decision(StackState::Deleted, None, Next::AwaitChange)
        }
        (true, _) if users > 0 => decision(StackState::DeletionBlocked(users), None, Next::AwaitProgress),
        (true, report) => {
            let (failure, pause) = match report {
                Ok(StackReport::NotReady(failure)) => (Some(failure.clone()), RECHECK),
                Ok(StackReport::Pending { ask_again, .. }) => (None, ask_again.unwrap_or(RECHECK)),
                _ => (None, DELETION_BEGUN),
            };
            decision(StackState::Deleting(failure), Some(StackEffect::Delete), Next::RequeueAfter(pause))
        }
        (false, Err(failure)) => decision(StackState::NotReady(failure.clone()), None, Next::AwaitChange),
        (false, Ok(report)) => match report.clone() {
            StackReport::Absent => {
                let state = StackState::Pending("the renderer is being looked at".to_owned());
                decision(state, Some(StackEffect::Ensure), Next::AwaitProgress)
            }
            StackReport::Outdated(what) => {
                decision(StackState::Pending(what), Some(StackEffect::Ensure), Next::RequeueAfter(STEP_TAKEN))
            }
            StackReport::Pending { what, ask_again } => {
                let next = ask_again.map_or(Next::AwaitProgress, Next::RequeueAfter);
                decision(StackState::Pending(what), None, next)
            }
            StackReport::Ready(capacity) => {
                let next = capacity.look_again.map_or(Next::AwaitChange, Next::Recheck);
                decision(StackState::Available(capacity), None, next)
            }
            StackReport::NotReady(failure) => {
                decision(StackState::NotReady(failure), Some(StackEffect::Ensure), Next::Recheck(RECHECK))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::Code;

    #[track_caller]
    fn check(deleting: bool, users: usize, report: StackReport, expected: &str) {
        check_draining(deleting, users, report, false, expected);
    }

    #[track_caller]
    fn check_draining(deleting: bool, users: usize, report: StackReport, draining: bool, expected: &str) {
        let decision = decide(&StackSeen { deleting, report: Ok(report) }, users, draining);
        let state = match decision.state {
            StackState::Deleted => "Deleted".to_owned(),
            StackState::Deleting(None) => "Deleting".to_owned(),
            StackState::Deleting(Some(failure)) => format!("Deleting {}", failure.code),
            StackState::DeletionBlocked(users) => format!("DeletionBlocked {users}"),
            StackState::Pending(_) => "Pending".to_owned(),
            StackState::Available(capacity) => format!("Available {}", capacity.parallel_chunks),
            StackState::NotReady(failure) => format!("NotReady {}", failure.code),
        };
        let effect = decision.effect.map_or(String::new(), |effect| format!(", {effect:?}"));
        assert_eq!(format!("{state}{effect}, {:?}", decision.next), expected);
    }

    fn ready() -> StackReport {
        StackReport::Ready(StackCapacity { parallel_chunks: 2, slots: 2, ..StackCapacity::default() })
    }

    fn pending(ask_again: Option<Duration>) -> StackReport {
        StackReport::Pending { what: "p".into(), ask_again }
    }

    #[test]
    fn a_stack_is_made_and_looked_at_again_while_it_cannot_render() {
        check(false, 0, StackReport::Absent, "Pending, Ensure, AwaitProgress");
        check(false, 0, pending(None), "Pending, AwaitProgress");
        check(false, 0, pending(Some(Duration::from_secs(5))), "Pending, RequeueAfter(5s)");
        check(false, 0, StackReport::Outdated("o".into()), "Pending, Ensure, RequeueAfter(1s)");
        check(false, 3, ready(), "Available 2, AwaitChange");
        let failure = Failure::new(Code::BrowserNotFound, "m");
        check(false, 0, StackReport::NotReady(failure), "NotReady BROWSER_NOT_FOUND, Ensure, Recheck(30s)");
    }

    #[test]
    fn a_deleted_stack_goes_when_nobody_uses_it() {
        check(true, 2, ready(), "DeletionBlocked 2, AwaitProgress");
        check(true, 0, ready(), "Deleting, Delete, RequeueAfter(5s)");
        let failure = Failure::new(Code::StackDeleteFailed, "m");
        let failed = StackReport::NotReady(failure);
        check(true, 0, failed, "Deleting STACK_DELETE_FAILED, Delete, RequeueAfter(30s)");
        check(true, 0, StackReport::Absent, "Deleted, AwaitChange");
    }

    #[test]
    fn a_process_that_is_about_to_end_waits_for_no_stack() {
        check_draining(true, 2, ready(), true, "DeletionBlocked 2, AwaitChange");
    }
}
