//! `cancel` and `retry` without touching the spec: annotations with the time they were asked for.
//!
//! In a cluster a user writes them with `kubectl annotate`; in file mode `DirStore` adds them from request files.

use crds::render::RequestVerb;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Everything that can be asked for.
pub const VERBS: [RequestVerb; 2] = [RequestVerb::Cancel, RequestVerb::Retry];

/// When a cancel was asked for.
pub const CANCEL: &str = "hyperframes.io/cancel-requested-at";
/// When a retry was asked for.
pub const RETRY: &str = "hyperframes.io/retry-requested-at";

/// The annotation of a verb.
#[must_use]
pub const fn annotation(verb: RequestVerb) -> &'static str {
    match verb {
        RequestVerb::Cancel => CANCEL,
        RequestVerb::Retry => RETRY,
    }
}

/// What was asked for last.
#[must_use]
pub fn asked(metadata: &ObjectMeta) -> Option<(RequestVerb, Timestamp)> {
    let time = |verb| {
        let text = metadata.annotations.as_ref()?.get(annotation(verb))?;
        Some((verb, text.parse().ok()?))
    };
    VERBS.into_iter().filter_map(time).max_by_key(|(_, at)| *at)
}
