//! What would be stranded if the operator went away.

use std::{fmt::Debug, time::Duration};

use crds::{HyperframesStack, Render};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _, api::ListParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{session, settings::Settings};
use crate::{
    error::Error,
    reconcile::{RENDER_FINALIZER, STACK_FINALIZER},
    store::kube::reason,
};

/// How long the API server may take for all lists. The Job that asks has two minutes.
const ANSWERS: Duration = Duration::from_secs(30);
/// How many objects are named.
const NAMED: usize = 5;

/// Which objects have a finalizer of ours, in one sentence; `None` where none has.
pub(super) fn check(settings: &Settings) -> Result<Option<String>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let held = runtime.block_on(async {
        let client = session::client(settings.kubeconfig, None).await?;
        timeout(ANSWERS, held(&client, &settings.namespaces)).await.unwrap_or_else(|_| {
            let reason = format!("no answer from the API server within {} s", ANSWERS.as_secs());
            Err(session::refused("list what has our finalizers".to_owned(), reason))
        })
    });
    // Whoever still waits for a file keeps nobody.
    runtime.shutdown_background();
    held.map(|held| sentence(&held))
}

async fn held(client: &Client, namespaces: &[String]) -> Result<Vec<String>, Error> {
    let mut held = Vec::new();
    let everywhere = namespaces.is_empty().then_some(None);
    for namespace in namespaces.iter().map(|namespace| Some(namespace.as_str())).chain(everywhere) {
        held.extend(with_finalizer::<Render>(client, namespace, RENDER_FINALIZER).await?);
        held.extend(with_finalizer::<HyperframesStack>(client, namespace, STACK_FINALIZER).await?);
    }
    Ok(held)
}

async fn with_finalizer<K>(client: &Client, namespace: Option<&str>, finalizer: &str) -> Result<Vec<String>, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = namespace.map_or_else(|| Api::all(client.clone()), |name| Api::namespaced(client.clone(), name));
    let list = match api.list_metadata(&ListParams::default()).await {
        // Without definitions there are no objects.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
        result => result.map_err(|error| session::refused(format!("list {}", K::plural(&())), reason(&error)))?,
    };
    let held = list.items.iter().filter(|object| object.finalizers().iter().any(|own| own == finalizer));
    let name =
        |namespace: Option<String>, name: String| format!("{} {}/{name}", K::kind(&()), namespace.unwrap_or_default());
    Ok(held.map(|object| name(object.namespace(), object.name_any())).collect())
}

fn sentence(held: &[String]) -> Option<String> {
    let more = match held.len() {
        0 => return None,
        count if count > NAMED => format!(" and {} more", count - NAMED),
        _ => String::new(),
    };
    let named = held.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Some(format!("delete these while the operator runs, or they can never be deleted: {named}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_are_named() {
        let held = |count: usize| (1..=count).map(|number| format!("Render n/{number}")).collect::<Vec<_>>();
        assert_eq!(sentence(&held(0)), None);
        assert!(sentence(&held(2)).unwrap().ends_with(": Render n/1, Render n/2"));
        assert!(sentence(&held(8)).unwrap().ends_with("Render n/5 and 3 more"));
    }
}
