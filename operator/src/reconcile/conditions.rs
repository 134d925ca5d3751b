//! Conditions as values: made, merged with the old ones, and judged by kstatus's rules.

pub use crds::condition::Condition;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A condition.
#[must_use]
pub fn new(kind: &str, status: &str, reason: &str, message: &str, generation: i64, now: Timestamp) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(generation),
        last_transition_time: Time(now),
    }
}

/// The new conditions, each with the time it last changed its status: the old one's where it has not.
#[must_use]
pub fn merge(old: &[Condition], mut new: Vec<Condition>) -> Vec<Condition> {
    for condition in &mut new {
        let before = old.iter().find(|old| old.type_ == condition.type_ && old.status == condition.status);
        if let Some(before) = before {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
    new
}

/// The condition of a type.
#[must_use]
pub fn find<'c>(conditions: &'c [Condition], kind: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether a condition is there and true.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
pub(crate) mod oracle {
    //! The rules GitOps tools live by (Flux's condition checker, kstatus), as an oracle for every status we write.

    use super::*;
    use crds::condition::{FINISHED, READY, RECONCILING, STALLED, SUCCEEDED};

    /// Every rule a status breaks.
    pub(crate) fn broken(generation: i64, observed: Option<i64>, conditions: &[Condition]) -> Vec<&'static str> {
        let status = |kind| find(conditions, kind).map(|condition| condition.status.as_str());
        let ready = status(READY);
        let (reconciling, stalled) = (is_true(conditions, RECONCILING), is_true(conditions, STALLED));
        let all_observed = conditions.iter().all(|condition| condition.observed_generation == observed);
        let rules = [
            ("Ready exists", ready.is_some()),
            ("Ready is not True while Reconciling or Stalled is", ready != Some("True") || !reconciling && !stalled),
            ("Reconciling and Stalled are never both", !(reconciling && stalled)),
            ("Ready is not True while nothing else is said by Stalled", !stalled || ready == Some("False")),
            ("Ready is Unknown only while Reconciling", ready != Some("Unknown") || reconciling),
            ("the observed generation is not ahead", observed.is_some_and(|observed| observed <= generation)),
            ("all conditions speak of the observed generation", all_observed),
            (
                "abnormal conditions are removed, not False",
                status(RECONCILING) != Some("False") && status(STALLED) != Some("False"),
            ),
            ("types are unique", {
                let mut types: Vec<_> = conditions.iter().map(|condition| &condition.type_).collect();
                types.sort();
                types.windows(2).all(|pair| pair[0] != pair[1])
            }),
            (
                "what has finished has succeeded or not",
                !is_true(conditions, FINISHED) || status(SUCCEEDED) != Some("Unknown"),
            ),
        ];
        rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect()
    }
}
