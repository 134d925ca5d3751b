//! Which Renders of a stack may start: a pure function of the listed Renders, never a lock in memory.

use std::cmp::Reverse;

use crds::{
    Render,
    condition::{FINISHED, RETRYING, SUCCEEDED},
    render::DesiredState,
};
use kube::ResourceExt as _;

use crate::conditions;

/// Whether a Render may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, or already has.
    Admitted,
    /// It waits; place in the queue from 1.
    Waiting(i32),
}

/// Judges one Render among all of its stack. `slots`: Renders that may be under way at the same time.
///
/// Those under way come first; then higher priority, then age, then uid.
#[must_use]
pub fn admission(render: &Render, all: &[&Render], slots: usize) -> Admission {
    if is_active(render) {
        return Admission::Admitted;
    }
    let active = all.iter().filter(|other| is_active(other)).count();
    let rank = |render: &Render| {
        let created = render.creation_timestamp().map(|time| time.0);
        (Reverse(render.spec.priority), created, render.uid())
    };
    let own = rank(render);
    let before = all.iter().filter(|other| wants_to_start(other) && rank(other) < own).count();
    if active + before < slots.max(1) {
        Admission::Admitted
    } else {
        Admission::Waiting(i32::try_from(before + 1).unwrap_or(i32::MAX))
    }
}

/// An attempt has a name and no end: it runs, or will as soon as it is looked at.
fn is_active(render: &Render) -> bool {
    let last = render.status.as_ref().and_then(|status| status.attempts.last());
    last.is_some_and(|attempt| attempt.stop_time.is_none())
}

/// Would start if it could, as far as its spec and its own status say. One that waits out a pause after a failure, or
/// has finished, takes nobody's place.
fn wants_to_start(render: &Render) -> bool {
    let known = render.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let retrying = conditions::find(known, SUCCEEDED).is_some_and(|succeeded| succeeded.reason == RETRYING);
    let out = retrying || conditions::is_true(known, FINISHED);
    let wanted = render.spec.desired_state == DesiredState::Running && !render.spec.suspend;
    wanted && !out && !is_active(render) && render.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::{RenderStatus, render::AttemptStatus};

    /// `name`, priority, age in seconds, and whether it is active (`A`), finished (`F`) or neither (`-`).
    fn renders(all: &[(&str, i32, i64, char)]) -> Vec<Render> {
        let make = |(name, priority, age, state): &(&str, i32, i64, char)| {
            let mut render = Render::new(name, crds::RenderSpec { priority: *priority, ..Default::default() });
            let created = jiff::Timestamp::from_second(1_000_000 - age).unwrap();
            render.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
            let mut status = RenderStatus::default();
            match state {
                'A' => status.attempts.push(AttemptStatus {
                    number: 1,
                    input_hash: String::new(),
                    start_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created),
                    stop_time: None,
                    result: None,
                    generation: None,
                    stack: None,
                    handle: None,
                    failure_code: None,
                }),
                'F' => status.conditions.push(conditions::new(FINISHED, "True", "Completed", "", 1, created)),
                _ => {}
            }
            render.status = Some(status);
            render
        };
        all.iter().map(make).collect()
    }

    #[track_caller]
    fn check(all: &[(&str, i32, i64, char)], slots: usize, expected: &[Admission]) {
        let renders = renders(all);
        let references: Vec<_> = renders.iter().collect();
        let admissions: Vec<_> = renders.iter().map(|render| admission(render, &references, slots)).collect();
        assert_eq!(admissions, expected);
    }

    use Admission::{Admitted, Waiting};

    #[test]
    fn older_first_and_priority_before_age() {
        check(&[("a", 0, 1, '-'), ("b", 0, 2, '-'), ("c", 5, 0, '-')], 1, &[Waiting(3), Waiting(2), Admitted]);
        check(&[("a", 0, 1, '-'), ("b", 0, 2, '-'), ("c", 5, 0, '-')], 2, &[Waiting(3), Admitted, Admitted]);
    }

    #[test]
    fn what_runs_keeps_its_place_and_takes_one() {
        let all = [("a", 0, 1, 'A'), ("b", 9, 2, '-'), ("c", 0, 3, '-'), ("d", 99, 0, 'F')];
        check(&all[..3], 1, &[Admitted, Waiting(1), Waiting(2)]);
        check(&all, 2, &[Admitted, Admitted, Waiting(2), Admitted]);
    }

    #[test]
    fn there_is_always_one_slot() {
        check(&[("a", 0, 1, '-')], 0, &[Admitted]);
    }
}
