//! A store in memory that a test can make slow, stale and unreliable.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use crds::{HyperframesStack, HyperframesStackStatus, Render, RenderStatus, manifest::Object};
use futures::{StreamExt as _, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;

use crate::{
    error::Error,
    feed::Feed,
    object::metadata as meta,
    ports::{Data, DataKey, DataObjects, Event, Kind, ObjectKey, Origin, Sourced, Store, Version},
    reconcile::queue::{QueueIndex, QueueView},
};

/// Called before and after every port call of a process under test. It may wait, fail the call, or end the process by never
/// returning.
#[async_trait]
pub(crate) trait Chaos: Send + Sync {
    /// Before a call: an error means that nothing was done.
    async fn before(&self, call: &'static str) -> Result<(), Error>;
    /// After a call has taken effect: an error means that the caller does not learn of it.
    async fn after(&self, call: &'static str) -> Result<(), Error>;
}

/// What is told of every write: the time, the object before, and after unless it is gone.
pub(crate) type OnWrite = Box<dyn Fn(Timestamp, &Object, Option<&Object>) + Send + Sync>;

/// Objects in memory.
pub(crate) struct MemoryStore {
    state: Mutex<State>,
    chaos: Arc<dyn Chaos>,
    now: fn() -> Timestamp,
    on_write: OnWrite,
    uids: AtomicU64,
}

struct State {
    objects: BTreeMap<ObjectKey, Object>,
    /// What a stale read still sees.
    before: BTreeMap<ObjectKey, Object>,
    /// Reads see what was before the last write.
    stale: bool,
    index: QueueIndex,
    version: u64,
    feed: Arc<Feed<ObjectKey>>,
}

impl MemoryStore {
    pub(crate) fn new(chaos: Arc<dyn Chaos>, now: fn() -> Timestamp, on_write: OnWrite) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            before: BTreeMap::new(),
            stale: false,
            index: QueueIndex::new(true),
            version: 0,
            feed: Arc::default(),
        };
        Self { state: Mutex::new(state), chaos, now, on_write, uids: AtomicU64::new(0) }
    }

    /// A user creates an object or edits its spec.
    pub(crate) fn apply(&self, mut object: Object) {
        let mut state = self.state();
        let key = ObjectKey::object(&object);
        let old = state.objects.get(&key).cloned();
        let uid = old.as_ref().and_then(|old| meta(old).uid.clone());
        let generation = old.as_ref().and_then(|old| meta(old).generation).unwrap_or(0) + 1;
        let created = old.as_ref().and_then(|old| meta(old).creation_timestamp.clone());
        let (finalizers, deleted) = old
            .as_ref()
            .map_or((None, None), |old| (meta(old).finalizers.clone(), meta(old).deletion_timestamp.clone()));
        let annotations = old.as_ref().and_then(|old| meta(old).annotations.clone());
        let metadata = meta_mut(&mut object);
        metadata.namespace = Some(key.namespace.clone());
        metadata.uid = uid.or_else(|| Some(format!("uid-{}", self.uids.fetch_add(1, Ordering::Relaxed))));
        metadata.generation = Some(generation);
        metadata.creation_timestamp = created.or_else(|| Some(Time((self.now)())));
        metadata.finalizers = finalizers;
        metadata.deletion_timestamp = deleted;
        metadata.annotations = annotations;
        copy_status(&mut object, old.as_ref());
        state.keep(&key, object);
    }

    /// A user annotates an object, or removes an annotation.
    pub(crate) fn annotate(&self, key: &ObjectKey, name: &str, value: Option<String>) {
        self.edit(key, |object| {
            let annotations = meta_mut(object).annotations.get_or_insert_default();
            annotations.remove(name);
            annotations.extend(value.map(|value| (name.to_owned(), value)));
        });
    }

    /// A user deletes an object.
    pub(crate) fn delete(&self, key: &ObjectKey) {
        let now = (self.now)();
        self.edit(key, |object| {
            let metadata = meta_mut(object);
            metadata.deletion_timestamp.get_or_insert(Time(now));
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        });
        let mut state = self.state();
        if state.objects.get(key).is_some_and(|object| meta(object).finalizers.as_ref().is_none_or(Vec::is_empty)) {
            state.forget(key);
        }
    }

    /// From now on reads see what was before the last write to each object, or what is there.
    pub(crate) fn set_stale(&self, stale: bool) {
        let mut state = self.state();
        if std::mem::replace(&mut state.stale, stale) && !stale {
            // They can be read only now.
            state.before.keys().for_each(|key| state.feed.send(key.clone()));
        }
    }

    /// The truth.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Object> {
        self.state().objects.get(key).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.state().objects.keys().cloned().collect()
    }

    fn edit(&self, key: &ObjectKey, edit: impl FnOnce(&mut Object)) {
        let mut state = self.state();
        if let Some(mut object) = state.objects.get(key).cloned() {
            edit(&mut object);
            state.keep(key, object);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, key: &ObjectKey) -> Result<Option<Object>, Error> {
        self.chaos.before("get").await?;
        let object = {
            let state = self.state();
            let seen = if state.stale {
                state.before.get(key).or_else(|| state.objects.get(key))
            } else {
                state.objects.get(key)
            };
            // What is gone is seen to be gone.
            seen.filter(|_| state.objects.contains_key(key)).cloned()
        };
        self.chaos.after("get").await?;
        Ok(object)
    }

    /// A guarded write. `change` may forget the object by returning `None`.
    async fn write<K: Resource>(
        &self,
        call: &'static str,
        key: &ObjectKey,
        read: &K,
        change: impl FnOnce(Object) -> Option<Object> + Send,
    ) -> Result<(), Error> {
        self.guarded(call, &Version::of(key.clone(), read), change).await
    }

    async fn guarded(
        &self,
        call: &'static str,
        version: &Version,
        change: impl FnOnce(Object) -> Option<Object> + Send,
    ) -> Result<(), Error> {
        self.chaos.before(call).await?;
        self.commit(version, change)?;
        self.chaos.after(call).await
    }

    fn commit(&self, version: &Version, change: impl FnOnce(Object) -> Option<Object>) -> Result<(), Error> {
        let mut state = self.state();
        let key = &version.key;
        let object = state.objects.get(key).cloned().ok_or_else(|| Error::NotFound(key.to_string()))?;
        if meta(&object).resource_version.as_deref() != Some(&version.resource_version) {
            return Err(Error::Conflict(key.to_string()));
        }
        let new = change(object.clone());
        (self.on_write)((self.now)(), &object, new.as_ref());
        match new {
            Some(new) => drop(state.keep_quietly(key, new)),
            None => state.forget(key),
        }
        Ok(())
    }
}

impl State {
    fn keep(&mut self, key: &ObjectKey, object: Object) {
        let moved = self.keep_quietly(key, object);
        moved.into_iter().chain([key.clone()]).for_each(|key| self.feed.send(key));
    }

    fn keep_quietly(&mut self, key: &ObjectKey, mut object: Object) -> Vec<ObjectKey> {
        self.version += 1;
        meta_mut(&mut object).resource_version = Some(self.version.to_string());
        let moved = match &object {
            Object::Render(render) => Vec::from_iter(self.index.put(render, false)),
            Object::Stack(stack) => self.index.put_stack(stack),
        };
        if let Some(old) = self.objects.insert(key.clone(), object) {
            self.before.insert(key.clone(), old);
        }
        moved
    }

    fn forget(&mut self, key: &ObjectKey) {
        self.objects.remove(key);
        self.before.remove(key);
        let moved = match key.kind {
            Kind::Render => Vec::from_iter(self.index.remove(key)),
            Kind::Stack => self.index.remove_stack(key),
        };
        moved.into_iter().chain([key.clone()]).for_each(|key| self.feed.send(key));
    }
}

fn meta_mut(object: &mut Object) -> &mut ObjectMeta {
    match object {
        Object::Render(render) => &mut Arc::make_mut(render).metadata,
        Object::Stack(stack) => &mut Arc::make_mut(stack).metadata,
    }
}

fn copy_status(object: &mut Object, old: Option<&Object>) {
    match (object, old) {
        (Object::Render(new), Some(Object::Render(old))) => Arc::make_mut(new).status.clone_from(&old.status),
        (Object::Stack(new), Some(Object::Stack(old))) => Arc::make_mut(new).status.clone_from(&old.status),
        _ => {}
    }
}

#[async_trait]
impl Store for MemoryStore {
    /// Every process under test listens anew, and begins with every object.
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        let mut state = self.state();
        state.feed = Arc::default();
        state.objects.keys().for_each(|key| state.feed.send(key.clone()));
        state.feed.listen().boxed()
    }

    async fn get_render(&self, key: &ObjectKey) -> Result<Option<Sourced<Render>>, Error> {
        Ok(self.read(key).await?.and_then(|object| match object {
            Object::Render(render) => Some(Sourced { object: render, origin: Origin::Cluster(Arc::default()) }),
            Object::Stack(_) => None,
        }))
    }

    async fn get_stack(&self, key: &ObjectKey) -> Result<Option<Sourced<HyperframesStack>>, Error> {
        Ok(self.read(key).await?.and_then(|object| match object {
            Object::Stack(stack) => Some(Sourced { object: stack, origin: Origin::Cluster(Arc::default()) }),
            Object::Render(_) => None,
        }))
    }

    async fn confirm(&self, object: &Version) -> Result<(), Error> {
        self.chaos.before("confirm").await?;
        let current = self.get(&object.key).ok_or_else(|| Error::NotFound(object.key.to_string()))?;
        let same = meta(&current).resource_version.as_deref() == Some(&object.resource_version);
        if same { Ok(()) } else { Err(Error::Conflict(object.key.to_string())) }
    }

    fn stack_of(&self, render: &Render) -> Result<ObjectKey, String> {
        self.state().index.stack_of(render)
    }

    fn queue(&self, stack: &ObjectKey) -> QueueView {
        self.state().index.view(stack)
    }

    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error> {
        let change = |object| match object {
            Object::Render(mut render) => {
                Arc::make_mut(&mut render).status = Some(status);
                Some(Object::Render(render))
            }
            stack @ Object::Stack(_) => Some(stack),
        };
        self.write("write_render_status", &ObjectKey::render(render), render, change).await
    }

    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error> {
        let change = |object| match object {
            Object::Stack(mut stack) => {
                Arc::make_mut(&mut stack).status = Some(status);
                Some(Object::Stack(stack))
            }
            render @ Object::Render(_) => Some(render),
        };
        self.write("write_stack_status", &ObjectKey::stack(stack), stack, change).await
    }

    async fn add_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let change = |mut object: Object| {
            meta_mut(&mut object).finalizers.get_or_insert_default().push(finalizer.to_owned());
            Some(object)
        };
        self.guarded("add_finalizer", object, change).await
    }

    async fn remove_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let change = |mut object: Object| {
            let finalizers = meta_mut(&mut object).finalizers.get_or_insert_default();
            finalizers.retain(|known| known != finalizer);
            let gone = finalizers.is_empty() && meta(&object).deletion_timestamp.is_some();
            (!gone).then_some(object)
        };
        self.guarded("remove_finalizer", object, change).await
    }

    async fn delete(&self, object: &Version) -> Result<(), Error> {
        self.chaos.before("delete").await?;
        let now = (self.now)();
        let change = |mut object: Object| {
            let metadata = meta_mut(&mut object);
            metadata.deletion_timestamp.get_or_insert(Time(now));
            metadata.generation = metadata.generation.map(|generation| generation + 1);
            Some(object)
        };
        self.commit(object, change)?;
        self.state().feed.send(object.key.clone());
        self.chaos.after("delete").await
    }

    async fn publish(&self, _: &Version, _: Event) -> Result<(), Error> {
        self.chaos.before("publish").await
    }
}

/// How long a look takes at most from what it sees to what it does, in the time of tests: ten calls of 40 ms.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_millis(400);

/// Secrets and ConfigMaps in memory.
#[derive(Default)]
pub(crate) struct MemoryData(Mutex<BTreeMap<DataKey, Data>>);

impl MemoryData {
    /// A user makes an object, changes it, or removes it.
    pub(crate) fn set(&self, key: &DataKey, data: Option<Data>) {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.remove(key);
        objects.extend(data.map(|data| (key.clone(), data)));
    }
}

#[async_trait]
impl DataObjects for MemoryData {
    async fn data(&self, key: &DataKey) -> Result<Option<Data>, Error> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }
}
