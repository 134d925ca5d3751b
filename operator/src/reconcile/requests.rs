//! `cancel` and `retry` without touching the spec: annotations with the time they were asked for.
//!
//! In a cluster a user writes them with `kubectl annotate`; in file mode the store adds them from request files. A request
//! is taken into the status once, where it counts until the inputs change; the annotation may stay.

use crds::{
    Code,
    condition::FINISHED,
    render::{RequestStatus, RequestVerb},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::{conditions, observe::Observed};

/// Everything that can be asked for.
pub const VERBS: [RequestVerb; 2] = [RequestVerb::Cancel, RequestVerb::Retry];

/// When a cancel was asked for.
pub const CANCEL_ANNOTATION: &str = "hyperframes.io/cancel-requested-at";
/// When a retry was asked for.
pub const RETRY_ANNOTATION: &str = "hyperframes.io/retry-requested-at";

/// The annotation of a verb.
#[must_use]
pub const fn annotation(verb: RequestVerb) -> &'static str {
    match verb {
        RequestVerb::Cancel => CANCEL_ANNOTATION,
        RequestVerb::Retry => RETRY_ANNOTATION,
    }
}

/// The verb's name on the command line.
#[must_use]
pub const fn name(verb: RequestVerb) -> &'static str {
    match verb {
        RequestVerb::Cancel => "cancel",
        RequestVerb::Retry => "retry",
    }
}

/// The first whole second that is not before a moment: a status keeps no finer times, and what was asked for must not seem to
/// be newer than itself, nor older than an attempt that had ended before.
#[must_use]
pub fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}

/// What was asked for last: RFC 3339 time, then optionally a space and the input hash that the asker saw.
fn asked(metadata: &ObjectMeta) -> Option<(RequestVerb, Timestamp, Option<&str>)> {
    let request = |verb| {
        let text = metadata.annotations.as_ref()?.get(annotation(verb))?;
        let (at, hash) = text.split_once(' ').map_or((text.as_str(), None), |(at, hash)| (at, Some(hash)));
        Some((verb, whole_second(at.parse().ok()?), hash))
    };
    VERBS.into_iter().filter_map(request).max_by_key(|(_, at, _)| *at)
}

/// The request that the status has to carry: the one it carries, or a newer one. `hash` is the present input hash, if it
/// can be said.
pub(super) fn current(seen: &Observed, hash: Option<&str>) -> Option<RequestStatus> {
    let known = seen.render.status.as_ref().and_then(|status| status.request.clone());
    let newer = |at: Timestamp| known.as_ref().is_none_or(|known| at > known.requested_time.0);
    let Some((verb, at, seen_by_asker)) = asked(&seen.render.metadata).filter(|(_, at, _)| newer(*at)) else {
        // One that was taken while the inputs could not be read counts for the first that can. A run token that came after a
        // cancel overrules it.
        let overruled = seen.has_new_token() && seen.is_edited();
        return known.map(|known| RequestStatus {
            input_hash: known.input_hash.or_else(|| hash.map(str::to_owned)),
            obsolete: known.obsolete || overruled && known.verb == RequestVerb::Cancel,
            ..known
        });
    };
    let other_inputs = seen_by_asker.zip(hash).is_some_and(|(asker, now)| asker != now);
    let cancelled = hash.is_none_or(|hash| counts(known.as_ref(), RequestVerb::Cancel, hash));
    Some(RequestStatus {
        verb,
        requested_time: Time(at),
        input_hash: hash.map(str::to_owned),
        obsolete: other_inputs || !cancelled && without_effect(seen, verb, at, hash),
    })
}

/// Nothing is there to be cancelled, or to be tried again: what was asked for has happened in the meantime.
fn without_effect(seen: &Observed, verb: RequestVerb, at: Timestamp, hash: Option<&str>) -> bool {
    let last = seen.last_attempt().filter(|attempt| hash == Some(attempt.input_hash.as_str()));
    match (verb, last) {
        (RequestVerb::Cancel, None) => false,
        (RequestVerb::Cancel, Some(_)) => conditions::is_true(&seen.status().conditions, FINISHED),
        // It never had its turn.
        (RequestVerb::Retry, None) => {
            seen.status().failure.is_none_or(|failure| failure.code != Code::QueueDeadlineExceeded.as_str())
        }
        (RequestVerb::Retry, Some(last)) => last.stop_time.as_ref().is_none_or(|stop| stop.0 >= at),
    }
}

/// Whether a request has effect for these inputs.
pub(super) fn counts(request: Option<&RequestStatus>, verb: RequestVerb, hash: &str) -> bool {
    request.is_some_and(|request| {
        request.verb == verb && !request.obsolete && request.input_hash.as_deref().is_none_or(|own| own == hash)
    })
}
