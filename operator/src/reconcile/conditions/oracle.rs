//! The rules GitOps tools live by (Flux's condition checker, kstatus), as an oracle for every status we write. Tests at a real
//! API server read this file too.

use crds::condition::{Condition, FINISHED, READY, RECONCILING, STALLED, SUCCEEDED};

/// Every rule a status breaks.
pub(crate) fn broken(generation: i64, observed: Option<i64>, conditions: &[Condition]) -> Vec<&'static str> {
    let status = |kind: &str| {
        conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
    };
    let is_true = |kind| status(kind) == Some("True");
    let ready = status(READY);
    let (reconciling, stalled) = (is_true(RECONCILING), is_true(STALLED));
    let all_observed = conditions.iter().all(|condition| condition.observed_generation == observed);
    let rules = [
        ("Ready exists", ready.is_some()),
        ("Ready is not True while Reconciling or Stalled is", ready != Some("True") || !reconciling && !stalled),
        ("Reconciling and Stalled are never both", !(reconciling && stalled)),
        ("Ready is not True while nothing else is said by Stalled", !stalled || ready == Some("False")),
        ("Ready is Unknown only while Reconciling", ready != Some("Unknown") || reconciling),
        ("the observed generation is not ahead", observed.is_some_and(|observed| observed <= generation)),
        ("all conditions speak of the observed generation", all_observed),
        ("abnormal conditions are removed, not False", {
            status(RECONCILING) != Some("False") && status(STALLED) != Some("False")
        }),
        ("types are unique", {
            let mut types: Vec<_> = conditions.iter().map(|condition| &condition.type_).collect();
            types.sort();
            types.windows(2).all(|pair| pair[0] != pair[1])
        }),
        ("what has finished has succeeded or not", !is_true(FINISHED) || status(SUCCEEDED) != Some("Unknown")),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect()
}
