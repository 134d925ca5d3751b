//! Keeps the cache as the API server's objects are: one watch for each kind and namespace.

use std::{
    fmt::{self, Debug},
    mem,
    sync::Arc,
};

use crds::{HyperframesStack, Render, manifest::Object};
use futures::StreamExt as _;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::{KubeStore, Scope, Unreadable, Watched, errors, without_managed_fields};
use crate::object::{DEFAULT_NAMESPACE, Kind, ObjectKey};

/// Keeps up with one watch. Never ends.
pub(super) async fn follow(store: &KubeStore, scope: Scope) {
    let kind = scope.kind;
    let follower = Follower { store, scope, listed: Vec::new(), unreadable: Unreadable::default(), trouble: None };
    match kind {
        Kind::Stack => follower.follow::<HyperframesStack>(Object::Stack).await,
        Kind::Render => follower.follow::<Render>(Object::Render).await,
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = match self.kind {
            Kind::Stack => HyperframesStack::plural(&()),
            Kind::Render => Render::plural(&()),
        };
        match &self.namespace {
            Some(namespace) => write!(f, "{plural} in {namespace}"),
            None => write!(f, "{plural}"),
        }
    }
}

impl KubeStore {
    /// Notes how far a watch has come.
    fn set_watched(&self, scope: &Scope, watched: Watched) {
        self.state().watches.insert(scope.clone(), watched);
        self.0.progressed.notify_one();
    }
}

/// One watch.
struct Follower<'a> {
    store: &'a KubeStore,
    scope: Scope,
    /// A list in the making.
    listed: Vec<Object>,
    unreadable: Unreadable,
    /// What is wrong with the watch, and was said.
    trouble: Option<String>,
}

impl Follower<'_> {
    /// Takes in everything that happens. Never ends.
    async fn follow<K>(mut self, wrap: fn(Arc<K>) -> Object)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let api = self.api::<DeserializeGuard<K>>(self.store.0.client.clone());
        // One object that cannot be read keeps nobody from reading the others.
        let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.happened(event, wrap),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn api<K>(&self, client: Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.scope.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    fn happened<K: Resource<DynamicType = ()>>(
        &mut self,
        event: Event<DeserializeGuard<K>>,
        wrap: fn(Arc<K>) -> Object,
    ) {
        match event {
            Event::Init => {
                self.listed.clear();
                self.unreadable.clear();
                let scope = &self.scope;
                self.store.note(|cache| {
                    cache.list_begins(scope);
                    Vec::new()
                });
                return;
            }
            Event::InitApply(object) => {
                let read = self.read(object, wrap);
                self.listed.extend(read);
                return;
            }
            Event::InitDone => {
                let (listed, unreadable, scope) =
                    (mem::take(&mut self.listed), mem::take(&mut self.unreadable), &self.scope);
                info!(objects = listed.len(), "{scope} listed");
                self.store.note(|cache| cache.listed(scope, listed, &unreadable));
                self.store.set_watched(scope, Watched::Filled);
            }
            Event::Apply(object) => {
                if let Some(object) = self.read(object, wrap) {
                    self.store.note(|cache| cache.told(object));
                }
            }
            Event::Delete(object) => {
                let key = self.key(object.meta());
                self.store.note(|cache| cache.gone(&key, object.meta().uid.as_deref()));
            }
        }
        if self.trouble.take().is_some() {
            info!("{} are watched again", self.scope);
        }
    }

    fn read<K: Resource<DynamicType = ()>>(
        &mut self,
        object: DeserializeGuard<K>,
        wrap: fn(Arc<K>) -> Object,
    ) -> Option<Object> {
        match object.0 {
            Ok(object) => Some(wrap(Arc::new(without_managed_fields(object)))),
            Err(invalid) => {
                let key = self.key(&invalid.metadata);
                warn!(
                    object = %key,
                    error = invalid.error,
                    "it is left as it is: this build cannot read it",
                );
                self.unreadable.insert(key);
                None
            }
        }
    }

    fn key(&self, metadata: &ObjectMeta) -> ObjectKey {
        let namespace = metadata.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        ObjectKey { kind: self.scope.kind, namespace, name: metadata.name.clone().unwrap_or_default() }
    }

    /// Says what is wrong, once.
    fn failed(&mut self, error: &watcher::Error) {
        if matches!(error, watcher::Error::WatchError(status) if status.code == 410) {
            // The API server keeps a history of some minutes only: everything is listed anew.
            return;
        }
        let plural = &self.scope;
        let reason = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => format!(
                "the API server does not know {plural}: install the custom resource definitions, as in `hf-operator crds | kubectl apply -f -`"
            ),
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => format!("cannot watch {plural}: {}", errors::reason(error)),
            watcher::Error::WatchError(status) => format!("cannot watch {plural}: {}", errors::message(status)),
            watcher::Error::NoResourceVersion => format!("cannot watch {plural}: {error}"),
        };
        // Where a list fails, what was known before it is still the best that is known; but nothing may count on it where
        // the API server knows no such objects any more.
        let known = matches!(self.store.state().watches.get(&self.scope), Some(Watched::Filled));
        let unknown =
            matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404);
        if !known || unknown {
            self.store.set_watched(&self.scope, Watched::Waiting(reason.clone()));
        }
        if self.trouble.as_ref() != Some(&reason) {
            warn!("{reason}");
            self.trouble = Some(reason);
        }
    }
}
