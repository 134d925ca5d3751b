//! Events: what users are told of a transition. That they cannot be told stops nothing.

use crds::{
    HyperframesStackStatus, RenderSpec, RenderStatus,
    condition::{Condition, READY, SUCCEEDED},
    render::RequestVerb,
};
use tracing::warn;

use super::{conditions, requests};
use crate::ports::{Event, Store, Version};

/// Tells of a Render's new state, of new warnings, and of a request that came too late.
pub(super) async fn render(version: &Version, old: Option<&RenderStatus>, new: &RenderStatus, store: &dyn Store) {
    let state = |status: &RenderStatus| conditions::find(&status.conditions, SUCCEEDED).cloned();
    let mut events: Vec<_> = transition(old.and_then(state), state(new)).into_iter().collect();
    let known = old.map(|old| old.warnings.as_slice()).unwrap_or_default();
    events.extend(new.warnings.iter().filter(|warning| !known.contains(warning)).map(|warning| {
        Event {
            warning: true,
            reason: warning.code.clone(),
            message: crds::Failure::read(
                &warning.code,
                warning.message.clone(),
                warning.path.clone(),
                warning.line.and_then(|line| u32::try_from(line).ok()),
            )
            .to_string(),
        }
    }));
    let request = new.request.as_ref().filter(|request| {
        request.obsolete
            && old.and_then(|old| old.request.as_ref()).is_none_or(|old| old.requested_time != request.requested_time)
    });
    events.extend(request.map(|request| Event {
        warning: false,
        reason: "RequestObsolete".to_owned(),
        message: match request.verb {
            RequestVerb::Cancel => format!("{}: it had ended already", requests::name(request.verb)),
            RequestVerb::Retry => format!("{}: there is nothing to try again", requests::name(request.verb)),
        },
    }));
    publish(version, events, store).await;
}

/// Tells that a Render is deleted because its time has passed.
pub(super) async fn outlived(version: &Version, spec: &RenderSpec, store: &dyn Store) {
    let ttl = spec.ttl.as_ref().map(ToString::to_string).unwrap_or_default();
    let message = format!("deleted {ttl} after it had finished, as spec.ttl asks for");
    publish(version, [Event { warning: false, reason: "TTLExpired".to_owned(), message }], store).await;
}

/// Tells of a stack's new state.
pub(super) async fn stack(
    version: &Version,
    old: Option<&HyperframesStackStatus>,
    new: &HyperframesStackStatus,
    store: &dyn Store,
) {
    let state = |status: &HyperframesStackStatus| conditions::find(&status.conditions, READY).cloned();
    publish(version, transition(old.and_then(state), state(new)), store).await;
}

fn transition(old: Option<Condition>, new: Option<Condition>) -> Option<Event> {
    let new = new.filter(|new| old.is_none_or(|old| old.reason != new.reason))?;
    Some(Event { warning: new.status == "False", reason: new.reason, message: new.message })
}

async fn publish(version: &Version, events: impl IntoIterator<Item = Event> + Send, store: &dyn Store) {
    let events: Vec<_> = events.into_iter().collect();
    for event in events {
        if let Err(error) = store.publish(version, event).await {
            warn!(object = %version.key, %error, "event not written");
        }
    }
}
