//! Objects of an API server: read from a cache that watches keep up to date, written with optimistic concurrency.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::{HyperframesStack, HyperframesStackStatus, Render, RenderStatus, manifest::Object};
use futures::{
    StreamExt as _,
    future::join_all,
    stream::{self, BoxStream},
};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ObjectReference};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::PartialObjectMeta,
    runtime::events::{self, EventType, Recorder, Reporter},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedSender, unbounded_channel},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

mod cache;
pub(crate) mod data;
mod errors;
mod watch;

use self::cache::{Cache, Scope};
use crate::{
    error::Error,
    object::metadata,
    ports::{Event, Folders, Kind, ObjectKey, Origin, Sourced, Store, Version},
    reconcile::queue::QueueView,
};
use errors::failed;
pub(crate) use errors::reason;

/// Who writes, in managed fields and events.
pub(crate) const MANAGER: &str = "hf-operator";
/// Longest note of an event that an API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// Events that may become a series.
const REMEMBERED_EVENTS: usize = 500;

/// Says whether this process may write.
pub(crate) type MayWrite = Arc<dyn Fn() -> bool + Send + Sync>;

/// Objects of an API server.
#[derive(Clone)]
pub(crate) struct KubeStore(Arc<Shared>);

struct Shared {
    client: Client,
    /// Where paths of its objects lead.
    folders: Arc<Folders>,
    reporter: Reporter,
    /// What has published the last events, and how many.
    recorder: Mutex<(Recorder, usize)>,
    may_write: MayWrite,
    state: Mutex<State>,
    /// Something has become known.
    progressed: Notify,
}

#[derive(Default)]
struct State {
    cache: Cache,
    /// Who listens to changes.
    listener: Option<UnboundedSender<ObjectKey>>,
    /// What is watched, and what keeps it from being known.
    watches: BTreeMap<Scope, Watched>,
}

/// How far a watch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Watched {
    /// Nothing is known yet, as one sentence says.
    Waiting(String),
    /// The cache holds everything.
    Filled,
}

impl KubeStore {
    /// A store of these namespaces, or of all where none is named, whose caches are still empty: [`watch`](Self::watch)
    /// fills them. `instance` is told of in events.
    pub(crate) fn new(
        client: Client,
        folders: Arc<Folders>,
        instance: String,
        may_write: MayWrite,
        namespaces: &[String],
    ) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(instance) };
        let recorder = Mutex::new((Recorder::new(client.clone(), reporter.clone()), 0));
        // All are known from the beginning: nothing counts as complete too early.
        let waiting = |scope: Scope| (scope.clone(), Watched::Waiting(format!("{scope} not listed yet")));
        let watches = Scope::all(namespaces).map(waiting).collect();
        let state = Mutex::new(State { watches, ..State::default() });
        Self(Arc::new(Shared { client, folders, reporter, recorder, may_write, state, progressed: Notify::new() }))
    }

    /// What publishes an event. It remembers each for minutes, to tell what happens again as one series, and looks through all of
    /// them for every new one: it is not let grow.
    fn recorder(&self) -> Recorder {
        let mut recorder = self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder.1 == REMEMBERED_EVENTS {
            *recorder = (Recorder::new(self.0.client.clone(), self.0.reporter.clone()), 0);
        }
        recorder.1 += 1;
        recorder.0.clone()
    }

    /// Keeps the caches up to date. Never ends.
    pub(crate) async fn watch(&self) {
        let scopes: Vec<_> = self.state().watches.keys().cloned().collect();
        join_all(scopes.into_iter().map(|scope| watch::follow(self, scope))).await;
    }

    /// Waits until everything is known.
    pub(crate) async fn filled(&self) {
        while !self.waits_for().is_empty() {
            self.0.progressed.notified().await;
        }
    }

    /// Why not everything is known yet, one sentence for each watch; empty when it is.
    pub(crate) fn waits_for(&self) -> Vec<String> {
        let state = self.state();
        let waits = state.watches.values().filter_map(|watched| match watched {
            Watched::Waiting(why) => Some(why.clone()),
            Watched::Filled => None,
        });
        waits.collect()
    }

    /// Has every object looked at again.
    pub(crate) fn touch_all(&self) {
        let state = self.state();
        state.tell(state.cache.keys().cloned().collect());
    }

    /// How many Renders are in each state.
    pub(crate) fn renders_by_state(&self) -> BTreeMap<String, i64> {
        self.state().cache.renders_by_state()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a watch tells, and tells those it concerns.
    fn note(&self, change: impl FnOnce(&mut Cache) -> Vec<ObjectKey>) {
        let mut state = self.state();
        let concerned = change(&mut state.cache);
        state.tell(concerned);
    }

    fn origin(&self) -> Origin {
        Origin::Cluster(Arc::clone(&self.0.folders))
    }

    fn api<K>(&self, key: &ObjectKey) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.0.client.clone(), &key.namespace)
    }

    /// The metadata as they are now, past the cache.
    async fn current<K>(&self, key: &ObjectKey) -> kube::Result<PartialObjectMeta<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>(key).get_metadata(&key.name).await
    }

    fn ensure_may_write(&self) -> Result<(), Error> {
        if (self.0.may_write)() { Ok(()) } else { Err(Error::NotLeading) }
    }

    /// Changes one field of an object, if it is still the version that was read.
    async fn change(&self, version: &Version, what: What, path: &str, value: Value) -> Result<(), Error> {
        let written = match version.key.kind {
            Kind::Render => Object::Render(Arc::new(self.patch::<Render>(version, what, path, value).await?)),
            Kind::Stack => Object::Stack(Arc::new(self.patch::<HyperframesStack>(version, what, path, value).await?)),
        };
        self.note(|cache| cache.written(written));
        Ok(())
    }

    async fn patch<K>(&self, version: &Version, what: What, path: &str, value: Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.ensure_may_write()?;
        let key = &version.key;
        // The API server compares the version with its own, and answers with a conflict where they differ.
        let guarded = json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": version.resource_version },
            { "op": "add", "path": path, "value": value },
        ]);
        let failed = |error: kube::Error| failed(format!("{} {key}", what.doing()), key, &error);
        let patch = serde_json::from_value(guarded);
        let patch = patch.unwrap_or_else(|error| unreachable!("that is a JSON patch: {error}"));
        let (api, params) =
            (self.api::<K>(key), PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() });
        let patch = Patch::<()>::Json(patch);
        let written = match what {
            What::Status => api.patch_status(&key.name, &params, &patch).await,
            What::Finalizers => api.patch(&key.name, &params, &patch).await,
        };
        written.map(without_managed_fields).map_err(failed)
    }

    async fn write_status(&self, version: &Version, status: impl Serialize + Send) -> Result<(), Error> {
        let status = serde_json::to_value(status);
        let status = status.unwrap_or_else(|error| unreachable!("a status is JSON: {error}"));
        self.change(version, What::Status, "/status", status).await
    }

    /// The finalizers of a version, if it is the one we know.
    fn finalizers(&self, version: &Version) -> Result<Vec<String>, Error> {
        let state = self.state();
        let object = state.cache.get(&version.key).map(metadata);
        let same = object.filter(|known| {
            known.resource_version.as_ref() == Some(&version.resource_version)
                && known.uid.as_ref() == Some(&version.uid)
        });
        let known = same.ok_or_else(|| Error::Conflict(version.key.to_string()))?;
        Ok(known.finalizers.clone().unwrap_or_default())
    }
}

/// What of an object is written.
#[derive(Clone, Copy)]
enum What {
    Status,
    Finalizers,
}

impl What {
    const fn doing(self) -> &'static str {
        match self {
            Self::Status => "write the status of",
            Self::Finalizers => "write the finalizers of",
        }
    }
}

impl State {
    fn tell(&self, concerned: Vec<ObjectKey>) {
        let Some(listener) = &self.listener else { return };
        // Without a listener nobody misses it.
        concerned.into_iter().for_each(|key| drop(listener.send(key)));
    }
}

/// Who owns which field is of no use to us, and larger than everything else.
fn without_managed_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

#[async_trait]
impl Store for KubeStore {
    /// What happened before somebody listens is in the cache, and needs no keeping.
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        let mut state = self.state();
        if state.listener.is_some() {
            return stream::pending().boxed();
        }
        let (sender, receiver) = unbounded_channel();
        state.listener = Some(sender);
        state.tell(state.cache.keys().cloned().collect());
        UnboundedReceiverStream::new(receiver).boxed()
    }

    async fn get_render(&self, key: &ObjectKey) -> Result<Option<Sourced<Render>>, Error> {
        Ok(match self.state().cache.get(key) {
            Some(Object::Render(render)) => Some(Sourced { object: Arc::clone(render), origin: self.origin() }),
            _ => None,
        })
    }

    async fn get_stack(&self, key: &ObjectKey) -> Result<Option<Sourced<HyperframesStack>>, Error> {
        Ok(match self.state().cache.get(key) {
            Some(Object::Stack(stack)) => Some(Sourced { object: Arc::clone(stack), origin: self.origin() }),
            _ => None,
        })
    }

    /// What follows may be started only by the leader.
    async fn confirm(&self, object: &Version) -> Result<(), Error> {
        let key = &object.key;
        let current = match key.kind {
            Kind::Render => self.current::<Render>(key).await.map(|current| current.metadata),
            Kind::Stack => self.current::<HyperframesStack>(key).await.map(|current| current.metadata),
        };
        let current = current.map_err(|error| failed(format!("read {key}"), key, &error))?;
        self.ensure_may_write()?;
        let same = current.uid.as_ref() == Some(&object.uid)
            && current.resource_version.as_ref() == Some(&object.resource_version);
        if same { Ok(()) } else { Err(Error::Conflict(key.to_string())) }
    }

    fn stack_of(&self, render: &Render) -> Result<ObjectKey, String> {
        self.state().cache.index().stack_of(render)
    }

    fn queue(&self, stack: &ObjectKey) -> QueueView {
        self.state().cache.queue(stack)
    }

    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error> {
        self.write_status(&Version::of(ObjectKey::render(render), render), status).await
    }

    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error> {
        self.write_status(&Version::of(ObjectKey::stack(stack), stack), status).await
    }

    async fn add_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = self.finalizers(object)?;
        if !finalizers.iter().any(|known| known == finalizer) {
            finalizers.push(finalizer.to_owned());
        }
        self.change(object, What::Finalizers, "/metadata/finalizers", json!(finalizers)).await
    }

    async fn remove_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = self.finalizers(object)?;
        finalizers.retain(|known| known != finalizer);
        self.change(object, What::Finalizers, "/metadata/finalizers", json!(finalizers)).await
    }

    /// The watch tells of it.
    async fn delete(&self, object: &Version) -> Result<(), Error> {
        self.ensure_may_write()?;
        let key = &object.key;
        let (uid, resource_version) = (Some(object.uid.clone()), Some(object.resource_version.clone()));
        let preconditions = Some(Preconditions { uid, resource_version });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let deleted = match key.kind {
            Kind::Render => self.api::<Render>(key).delete(&key.name, &params).await.map(drop),
            Kind::Stack => self.api::<HyperframesStack>(key).delete(&key.name, &params).await.map(drop),
        };
        deleted.map_err(|error| failed(format!("delete {key}"), key, &error))
    }

    async fn publish(&self, object: &Version, event: Event) -> Result<(), Error> {
        self.ensure_may_write()?;
        let key = &object.key;
        let (api_version, kind) = match key.kind {
            Kind::Render => (Render::api_version(&()), Render::kind(&())),
            Kind::Stack => (HyperframesStack::api_version(&()), HyperframesStack::kind(&())),
        };
        // Without a version: what happens again is told as one series.
        let reference = ObjectReference {
            api_version: Some(api_version.into_owned()),
            kind: Some(kind.into_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(object.uid.clone()),
            ..ObjectReference::default()
        };
        let event = events::Event {
            type_: if event.warning { EventType::Warning } else { EventType::Normal },
            reason: event.reason,
            note: Some(shortened(event.message)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        match self.recorder().publish(&event, &reference).await {
            // Nobody reads the events of a namespace that goes away.
            Err(error) if errors::namespace_goes(&error) => Ok(()),
            result => result.map_err(|error| failed(format!("write an event of {key}"), key, &error)),
        }
    }
}

fn shortened(mut note: String) -> String {
    const MORE: &str = "…";
    if note.len() > LONGEST_NOTE {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE - MORE.len()));
        note.push_str(MORE);
    }
    note
}

/// Objects of a list that cannot be read.
type Unreadable = HashSet<ObjectKey>;
