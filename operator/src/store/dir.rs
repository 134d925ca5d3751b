//! Objects in a folder of YAML files: what an API server is to a cluster.
//!
//! ```text
//! DIR/**/*.yaml                                   desired state, the user's; never written
//! DIR/.status/<kind>/<namespace>.<name>.yaml      status, for people
//! DIR/.status/events.jsonl                        what happened, newest last
//! DIR/.status/requests/                           cancel and retry, until taken into a status
//! DIR/.status/.state/                             uid, generation, finalizers, last spec; the lock
//! DIR/.status/.work/                              plans and chunks in the making
//! ```
//!
//! Like an API server it gives every object a uid, counts its generations, refuses writes to what was changed
//! meanwhile, and keeps a deleted object until nobody holds a finalizer on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::{
    HyperframesStack, HyperframesStackSpec, HyperframesStackStatus, Render, RenderStatus, manifest::Object,
    render::RequestStatus,
};
use futures::stream::BoxStream;
use jiff::Timestamp;
use kube::Resource;
use tracing::warn;

use crate::{
    error::Error,
    feed::Feed,
    files::{Durability, blocking},
    ports::{Event, Kind, ObjectKey, Origin, Sourced, Store, Version},
    reconcile::{
        STACK_FINALIZER,
        queue::{BUILT_IN, QueueIndex, QueueView},
    },
};

mod definition;
pub mod events;
pub mod layout;
pub mod lock;
mod object;
mod record;
pub mod requests;
pub mod scan;
mod text;
pub mod watch;

use definition::Definition;
use layout::Layout;
use object::{Entry, Status, read_sidecar, with_status, write_sidecar};
use record::Record;
use scan::{FileProblem, Scan, Snapshot};

/// A folder of objects.
#[derive(Clone)]
pub struct DirStore(Arc<Shared>);

struct Shared {
    layout: Layout,
    options: Options,
    now: fn() -> Timestamp,
    state: Mutex<State>,
    log: events::Log,
    changes: Feed<ObjectKey>,
    notices: Feed<Notice>,
}

/// How a folder is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Objects whose file is gone are deleted instead of left alone.
    pub prune: bool,
    /// Nothing is written: another process may hold the folder.
    pub read_only: bool,
}

/// Something a person who watches wants to know.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A Render has a new status.
    Render {
        /// As it was before.
        old: Arc<Render>,
        /// As it is.
        new: Arc<Render>,
    },
    /// A stack has a new status.
    Stack(Arc<HyperframesStack>),
    /// The file of an object is gone, and the object is left alone.
    Orphaned(ObjectKey),
    /// The file of an object is gone, and the object is being deleted.
    Deleting(ObjectKey),
    /// An object is forgotten.
    Forgotten(ObjectKey),
}

struct State {
    entries: BTreeMap<ObjectKey, Entry>,
    /// Stacks of namespaces that have none, by namespace.
    built_in: BTreeMap<String, Arc<HyperframesStack>>,
    index: QueueIndex,
    problems: Vec<FileProblem>,
    version: u64,
}

impl State {
    /// Keeps the status of a built-in stack, which no file speaks of. None for any other stack.
    fn set_built_in(&mut self, key: &ObjectKey, status: &HyperframesStackStatus) -> Option<Arc<HyperframesStack>> {
        let built_in = self.built_in.get_mut(&key.namespace).filter(|_| key.name == BUILT_IN);
        let stack = built_in.filter(|_| !self.entries.contains_key(key))?;
        Arc::make_mut(stack).status = Some(status.clone());
        Some(Arc::clone(stack))
    }

    fn stack(&self, key: &ObjectKey) -> Option<Sourced<HyperframesStack>> {
        match self.entries.get(key) {
            Some(entry) => entry.stack(),
            None => {
                let built_in = self.built_in.get(&key.namespace).filter(|_| key.name == BUILT_IN)?;
                Some(Sourced { object: Arc::clone(built_in), origin: Origin::BuiltIn })
            }
        }
    }
}

impl DirStore {
    /// The objects that a folder's state remembers. Its files are not read yet: see [`rescan`](Self::rescan).
    ///
    /// # Errors
    /// When the state folder cannot be read.
    pub fn open(layout: Layout, options: Options, now: fn() -> Timestamp) -> Result<Self, Error> {
        let state = State {
            entries: BTreeMap::new(),
            built_in: BTreeMap::new(),
            index: QueueIndex::new(true),
            problems: Vec::new(),
            version: 0,
        };
        let (log, changes, notices) = (events::Log::default(), Feed::default(), Feed::default());
        let store = Self(Arc::new(Shared { layout, options, now, state: Mutex::new(state), log, changes, notices }));
        let records = Record::all(&store.0.layout, |damaged| warn!("{damaged}"))?;
        let mut state = store.state();
        let concerned =
            |key: &ObjectKey, record: &Record| key.kind == Kind::Stack || store.0.layout.covers(&record.file);
        for (key, record) in records.into_iter().filter(|(key, record)| concerned(key, record)) {
            match Entry::recorded(&store.0.layout, &key, record) {
                Some(entry) => store.keep(&mut state, &key, entry),
                None => warn!(object = %key, "its last spec is of another version: it is known again when its file is"),
            }
        }
        drop(state);
        Ok(store)
    }

    /// Makes the objects those of a snapshot. Every object that differs is told to [`changes`](Store::changes).
    ///
    /// A file that cannot be read keeps its last good objects; an object that two files define is left as it was; an
    /// object whose file is gone is left alone, or deleted when the store prunes. When the whole folder is gone or empty
    /// everything is left as it is, and the answer is false.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it takes in")]
    pub fn rescan(&self, snapshot: &Snapshot) -> bool {
        if snapshot.is_empty() && !self.state().entries.is_empty() {
            return false;
        }
        let Scan { objects, problems, unreadable } = scan::scan(snapshot);
        let mut state = self.state();
        state.problems = problems;
        let mut present: BTreeSet<ObjectKey> = BTreeSet::new();
        let mut changed = Vec::new();
        for (key, found) in objects {
            if let Some((definition, file)) = found
                && self.put(&mut state, &key, &definition, &file)
            {
                changed.push(key.clone());
            }
            present.insert(key);
        }
        let kept_by_its_file = |entry: &Entry| {
            let file = &entry.record.file;
            !self.0.layout.covers(file) || !entry.orphaned && unreadable.contains(file)
        };
        let gone = state.entries.iter().filter(|(key, entry)| !present.contains(*key) && !kept_by_its_file(entry));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.file_gone(&mut state, key));
        drop(state);
        changed.iter().for_each(|key| self.save(key));
        true
    }

    /// Writes an object's record, if it differs from the one on disk. Nobody waits for the disk meanwhile.
    fn save(&self, key: &ObjectKey) {
        let entry = self.state().entries.get(key).cloned();
        let Some(mut entry) = entry.filter(|entry| entry.is_known_on_disk() && !self.0.options.read_only) else {
            return;
        };
        match entry.save(&self.0.layout, key) {
            Ok(()) => {
                if let Some(current) = self.state().entries.get_mut(key) {
                    current.saved(&entry);
                }
            }
            Err(error) => warn!(object = %key, %error, "its generation is not written down"),
        }
    }

    /// Takes in what was asked for since the last time.
    pub fn take_requests(&self) {
        let mut pending = requests::pending(&self.0.layout);
        let mut state = self.state();
        let concerned =
            |key: &ObjectKey, entry: &Entry| entry.has_requests() || pending.contains_key(&Layout::stem(key));
        let keys: Vec<_> =
            state.entries.iter().filter(|(key, entry)| concerned(key, entry)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            let asked = pending.remove(&Layout::stem(&key)).unwrap_or_default();
            let Some(mut entry) = state.entries.get(&key).cloned() else { continue };
            if entry.set_requests(asked) {
                self.keep(&mut state, &key, entry);
            }
        }
    }

    /// Has every object looked at again.
    pub fn touch_all(&self) {
        let state = self.state();
        let built_in = state.built_in.keys().map(|namespace| built_in_key(namespace));
        state.entries.keys().cloned().chain(built_in).for_each(|key| self.0.changes.send(key));
    }

    /// Where things are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// What a person who watches wants to know. Only the first call gets it.
    #[must_use]
    pub fn notices(&self) -> BoxStream<'static, Notice> {
        self.0.notices.listen()
    }

    /// What is wrong in the folder's files.
    #[must_use]
    pub fn problems(&self) -> Vec<FileProblem> {
        self.state().problems.clone()
    }

    /// How many objects there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let state = self.state();
        state.entries.len() + state.built_in.len()
    }

    /// All Renders, in order of namespace and name, each as it is when its turn comes.
    pub fn renders(&self) -> impl Iterator<Item = Sourced<Render>> {
        self.keys(Kind::Render).into_iter().filter_map(|key| self.state().entries.get(&key)?.render())
    }

    /// All stacks that have a file, in order of namespace and name.
    pub fn stacks(&self) -> impl Iterator<Item = Sourced<HyperframesStack>> {
        self.keys(Kind::Stack).into_iter().filter_map(|key| self.state().entries.get(&key)?.stack())
    }

    /// The keys of all objects of a kind that have a file, in order of namespace and name.
    #[must_use]
    pub fn keys(&self, kind: Kind) -> Vec<ObjectKey> {
        self.state().entries.keys().filter(|key| key.kind == kind).cloned().collect()
    }

    /// A Render.
    #[must_use]
    pub fn render(&self, key: &ObjectKey) -> Option<Sourced<Render>> {
        self.state().entries.get(key).and_then(Entry::render)
    }

    /// A stack, also the one of a namespace that has none.
    #[must_use]
    pub fn stack(&self, key: &ObjectKey) -> Option<Sourced<HyperframesStack>> {
        self.state().stack(key)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a file says of an object. True when that differs.
    fn put(&self, state: &mut State, key: &ObjectKey, definition: &Arc<Definition>, file: &Path) -> bool {
        let entry = match state.entries.get(key) {
            None => Entry::new(Arc::clone(definition), file, (self.0.now)()),
            Some(known) if known.says(definition, file) => return false,
            Some(known) => known.observing(Arc::clone(definition), file),
        };
        self.keep(state, key, entry);
        true
    }

    fn file_gone(&self, state: &mut State, key: &ObjectKey) {
        let Some(entry) = state.entries.get(key) else { return };
        let Options { prune, read_only } = self.0.options;
        let mut entry = entry.clone();
        let newly = !std::mem::replace(&mut entry.orphaned, true);
        if prune && !read_only && entry.deleted.is_none() {
            entry.deleted = Some((self.0.now)());
            self.0.notices.send(Notice::Deleting(key.clone()));
        } else if newly {
            self.0.notices.send(Notice::Orphaned(key.clone()));
        } else {
            return;
        }
        if entry.is_known_on_disk() {
            self.keep(state, key, entry);
        } else {
            self.drop_entry(state, key);
            self.0.changes.send(key.clone());
        }
    }

    /// Stores what somebody else has changed, and has it and all who are concerned looked at.
    fn keep(&self, state: &mut State, key: &ObjectKey, entry: Entry) {
        let (_, concerned) = self.keep_quietly(state, key, entry);
        concerned.into_iter().chain([key.clone()]).for_each(|key| self.0.changes.send(key));
    }

    /// Stores an object under a new version. Returns it, and whom it concerns.
    fn keep_quietly(&self, state: &mut State, key: &ObjectKey, mut entry: Entry) -> (Object, Vec<ObjectKey>) {
        state.version += 1;
        entry.version = state.version;
        let object = entry.object();
        let concerned = match &object {
            Object::Render(render) => {
                let first = state.index.put(render, entry.orphaned);
                self.ensure_built_in(state, render);
                Vec::from_iter(first)
            }
            Object::Stack(stack) => state.index.put_stack(stack),
        };
        state.entries.insert(key.clone(), entry);
        (object, concerned)
    }

    /// The stack of a namespace without any comes to be with the first Render that needs it.
    fn ensure_built_in(&self, state: &mut State, render: &Render) {
        let Ok(stack) = state.index.stack_of(render) else { return };
        if stack.name == BUILT_IN
            && !state.entries.contains_key(&stack)
            && !state.built_in.contains_key(&stack.namespace)
        {
            let mut object = HyperframesStack::new(BUILT_IN, HyperframesStackSpec::default());
            object.metadata.namespace = Some(stack.namespace.clone());
            object.metadata.uid = Some(BUILT_IN.to_owned());
            object.metadata.generation = Some(1);
            object.metadata.finalizers = Some(vec![STACK_FINALIZER.to_owned()]);
            object.status = read_sidecar(&self.0.layout.sidecar(&stack));
            state.built_in.insert(stack.namespace.clone(), Arc::new(object));
            self.0.changes.send(stack);
        }
    }

    fn drop_entry(&self, state: &mut State, key: &ObjectKey) {
        state.entries.remove(key);
        let moved = match key.kind {
            Kind::Render => Vec::from_iter(state.index.remove(key)),
            Kind::Stack => state.index.remove_stack(key),
        };
        moved.into_iter().for_each(|key| self.0.changes.send(key));
    }

    /// The entry of a key, if it is still the version that was read.
    fn current(&self, version: &Version) -> Result<Entry, Error> {
        let state = self.state();
        let key = &version.key;
        let entry = state.entries.get(key).ok_or_else(|| Error::NotFound(key.to_string()))?;
        let same = entry.version.to_string() == version.resource_version && entry.record.uid == version.uid;
        if same { Ok(entry.clone()) } else { Err(Error::Conflict(key.to_string())) }
    }

    async fn write_status<K: Resource>(&self, key: ObjectKey, read: &K, status: Status) -> Result<(), Error> {
        self.is_there()?;
        let entry = self.current(&Version::of(key.clone(), read))?;
        let object = entry.object();
        let durability = if ends_an_attempt(&object, &status) { Durability::Durable } else { Durability::Fast };
        let (object, path) = (with_status(object, status.clone()), self.0.layout.sidecar(&key));
        blocking(move || write_sidecar(&path, &object, durability)).await?;
        let request = {
            let mut state = self.state();
            // Its file may have changed while the status was written: a status belongs to whatever spec it speaks of.
            let Some(mut entry) = state.entries.get(&key).cloned() else { return Ok(()) };
            let old = entry.object();
            entry.set_status(&status);
            let (new, _) = self.keep_quietly(&mut state, &key, entry);
            drop(state);
            self.notice(old, new)
        };
        let Some(request) = request else { return Ok(()) };
        let store = self.clone();
        blocking(move || Ok(requests::taken(&store.0.layout, &key, &request)?)).await
    }

    /// Tells of a new status. Returns the request that it speaks of.
    fn notice(&self, old: Object, new: Object) -> Option<RequestStatus> {
        match (old, new) {
            (Object::Render(old), Object::Render(new)) => {
                let request = new.status.as_ref().and_then(|status| status.request.clone());
                self.0.notices.send(Notice::Render { old, new });
                request
            }
            (_, Object::Stack(stack)) => {
                self.0.notices.send(Notice::Stack(stack));
                None
            }
            (Object::Stack(_), Object::Render(_)) => unreachable!("a status changes no kind"),
        }
    }

    /// A folder that is gone, for example because it was unmounted, is not made anew where it was.
    fn is_there(&self) -> Result<(), Error> {
        let root = self.0.layout.root();
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", root.display()));
        if root.is_dir() { Ok(()) } else { Err(gone().into()) }
    }

    async fn write_finalizers(&self, version: &Version, finalizers: Vec<String>) -> Result<(), Error> {
        self.is_there()?;
        let mut entry = self.current(version)?;
        let key = version.key.clone();
        let store = self.clone();
        blocking(move || {
            let layout = &store.0.layout;
            if finalizers.is_empty() && entry.deleted.is_some() {
                crate::files::remove_file(&layout.sidecar(&key))?;
                requests::forget(layout, &key)?;
                crate::files::remove_file(&layout.record(&key))?;
                store.drop_entry(&mut store.state(), &key);
                store.0.notices.send(Notice::Forgotten(key));
                return Ok(());
            }
            entry.set_finalizers(finalizers.clone());
            entry.save(layout, &key)?;
            let mut state = store.state();
            let Some(mut current) = state.entries.get(&key).cloned() else { return Ok(()) };
            current.set_finalizers(finalizers);
            current.save(layout, &key)?;
            store.keep_quietly(&mut state, &key, current);
            Ok(())
        })
        .await
    }
}

fn built_in_key(namespace: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Stack, namespace: namespace.to_owned(), name: BUILT_IN.to_owned() }
}

/// What is written down of a Render, without reading its folder.
#[must_use]
pub fn render_status(layout: &Layout, key: &ObjectKey) -> Option<RenderStatus> {
    read_sidecar(&layout.sidecar(key))
}

/// Whether a status says for the first time what an attempt came to: the one thing that a power cut must not take. Anything
/// else is seen again, or done again under the same name.
fn ends_an_attempt(object: &Object, new: &Status) -> bool {
    let (Object::Render(render), Status::Render(new)) = (object, new) else { return false };
    let ended = |status: &RenderStatus| {
        status.attempts.iter().rfind(|attempt| attempt.stop_time.is_some()).map(|attempt| attempt.number)
    };
    ended(new).is_some() && ended(new) != render.status.as_ref().and_then(ended)
}

#[async_trait]
impl Store for DirStore {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.0.changes.listen()
    }

    async fn get_render(&self, key: &ObjectKey) -> Result<Option<Sourced<Render>>, Error> {
        Ok(self.render(key))
    }

    async fn get_stack(&self, key: &ObjectKey) -> Result<Option<Sourced<HyperframesStack>>, Error> {
        Ok(self.stack(key))
    }

    async fn confirm(&self, object: &Version) -> Result<(), Error> {
        self.current(object).map(drop)
    }

    fn stack_of(&self, render: &Render) -> Result<ObjectKey, String> {
        self.state().index.stack_of(render)
    }

    fn queue(&self, stack: &ObjectKey) -> QueueView {
        self.state().index.view(stack)
    }

    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error> {
        self.write_status(ObjectKey::render(render), render, Status::Render(Box::new(status))).await
    }

    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error> {
        let key = ObjectKey::stack(stack);
        let Some(built_in) = self.state().set_built_in(&key, &status) else {
            return self.write_status(key, stack, Status::Stack(Box::new(status))).await;
        };
        let path = self.0.layout.sidecar(&key);
        self.0.notices.send(Notice::Stack(Arc::clone(&built_in)));
        blocking(move || write_sidecar(&path, &Object::Stack(built_in), Durability::Fast)).await
    }

    async fn add_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = self.current(object)?.record.finalizers;
        if !finalizers.iter().any(|known| known == finalizer) {
            finalizers.push(finalizer.to_owned());
        }
        self.write_finalizers(object, finalizers).await
    }

    async fn remove_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = self.current(object)?.record.finalizers;
        finalizers.retain(|known| known != finalizer);
        self.write_finalizers(object, finalizers).await
    }

    async fn delete(&self, object: &Version) -> Result<(), Error> {
        Err(Error::NothingRuns(format!("{} is in a file, which is its user's: remove it from there", object.key)))
    }

    async fn publish(&self, object: &Version, event: Event) -> Result<(), Error> {
        let (store, key) = (self.clone(), object.key.clone());
        blocking(move || Ok(store.0.log.append(&store.0.layout, (store.0.now)(), &key, event)?)).await
    }
}
