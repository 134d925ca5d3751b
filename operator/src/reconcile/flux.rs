//! A look that somebody asks for by Flux's annotation, on either kind: `flux reconcile` writes it, and waits until the status says
//! that it was handled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Any text asks; the same text does not ask twice.
pub const ANNOTATION: &str = "reconcile.fluxcd.io/requestedAt";
/// Longer texts ask for nothing: a status is small.
const LONGEST_TEXT: usize = 128;

/// The look that is asked for.
#[must_use]
pub fn asked(metadata: &ObjectMeta) -> Option<&str> {
    let asked = metadata.annotations.as_ref()?.get(ANNOTATION)?;
    (1..=LONGEST_TEXT).contains(&asked.len()).then_some(asked.as_str())
}

/// The look that was asked for last: the one that is asked for now, else the one that was handled before.
pub(super) fn last_asked(metadata: &ObjectMeta, handled: Option<String>) -> Option<String> {
    asked(metadata).map(str::to_owned).or(handled)
}
