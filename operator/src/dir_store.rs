//! Objects in a folder of YAML files: what an API server is to a cluster.
//!
//! ```text
//! DIR/**/*.yaml                                   desired state, the user's; never written
//! DIR/.status/<kind>/<namespace>.<name>.yaml      status, for people
//! DIR/.status/events.jsonl                        what happened, newest last
//! DIR/.status/requests/                           cancel and retry, until taken into a status
//! DIR/.status/.state/                             uid, generation, finalizers; the lock
//! DIR/.status/.work/                              plans and chunks in the making
//! ```
//!
//! Like an API server it gives every object a uid, counts its generations, refuses writes to what was changed
//! meanwhile, and keeps a deleted object until nobody holds a finalizer on it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use crds::{HyperframesStack, HyperframesStackStatus, Render, RenderStatus, manifest::Object};
use futures::{StreamExt as _, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    error::Error,
    ports::{Event, Kind, ObjectKey, Store},
};

pub mod events;
pub mod layout;
mod listing;
pub mod lock;
mod object;
pub mod record;
pub mod requests;
pub mod scan;
pub mod watch;

use layout::Layout;
use object::{Kept, metadata, metadata_mut, same, set_status, spec_hash};
use record::Record;
use scan::{FileProblem, Snapshot};

/// A folder of objects.
pub struct DirStore {
    layout: Layout,
    prune: bool,
    /// Nothing is written: another process may hold the folder.
    looking: bool,
    now: fn() -> Timestamp,
    state: RefCell<State>,
    changed: mpsc::UnboundedSender<ObjectKey>,
    changes: RefCell<Option<mpsc::UnboundedReceiver<ObjectKey>>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<ObjectKey, Kept>,
    problems: Vec<FileProblem>,
    version: u64,
}

impl DirStore {
    /// The objects of a folder. Nothing is read yet: see [`rescan`](Self::rescan).
    #[must_use]
    pub fn new(layout: Layout, prune: bool, now: fn() -> Timestamp) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let changes = RefCell::new(Some(receiver));
        Self { layout, prune, looking: false, now, state: RefCell::default(), changed: sender, changes }
    }

    /// The objects of a folder that somebody else may be working on: nothing is written.
    #[must_use]
    pub fn for_looking(layout: Layout, now: fn() -> Timestamp) -> Self {
        Self { looking: true, ..Self::new(layout, false, now) }
    }

    /// Where things are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes the objects those of a snapshot. Every object that differs is told to [`changes`](Store::changes).
    ///
    /// A file that cannot be read keeps its last good objects; an object that two files define is left as it was; an
    /// object whose file is gone is left alone, or deleted when the store prunes. When the whole folder is gone or empty
    /// everything is left as it is, and the answer is false.
    ///
    /// # Errors
    /// When the state folder cannot be read or written.
    pub fn rescan(&self, snapshot: &Snapshot) -> Result<bool, Error> {
        if snapshot.is_empty() && !self.state.borrow().objects.is_empty() {
            return Ok(false);
        }
        let scan::Scan { objects, problems, unreadable } = scan::scan(snapshot);
        self.state.borrow_mut().problems = problems;
        let mut present: BTreeSet<ObjectKey> = BTreeSet::new();
        for (key, found) in objects {
            present.insert(key.clone());
            if let Some((object, file)) = found {
                self.put(&key, object, file)?;
            }
        }
        let missing: Vec<_> = self.known().into_iter().filter(|key| !present.contains(key)).collect();
        for key in missing {
            let file = self.state.borrow().objects.get(&key).map(|kept| kept.file.clone());
            let kept_by_its_file = file.is_some_and(|file| unreadable.contains(&file));
            if !kept_by_its_file {
                self.file_gone(&key)?;
            }
        }
        Ok(true)
    }

    /// Objects in memory, and those only a state file remembers.
    fn known(&self) -> BTreeSet<ObjectKey> {
        let mut known = Record::all(&self.layout);
        known.extend(self.state.borrow().objects.keys().cloned());
        known
    }

    fn put(&self, key: &ObjectKey, mut object: Object, file: PathBuf) -> Result<(), Error> {
        let old = self.state.borrow().objects.get(key).cloned();
        let record = Record::observe(&self.layout, key, &spec_hash(&object), (self.now)(), !self.looking)?;
        let metadata = metadata_mut(&mut object);
        metadata.uid = Some(record.uid);
        metadata.generation = Some(record.generation);
        metadata.creation_timestamp = Some(Time(record.created));
        metadata.finalizers = Some(record.finalizers);
        metadata.namespace = Some(key.namespace.clone());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(crate::source::MANIFEST.to_owned(), file.display().to_string());
        annotations.extend(requests::pending(&self.layout, key)?);
        set_status(&mut object, key, &self.layout, old.as_ref().map(|kept| &kept.object));
        let unchanged = old.as_ref().is_some_and(|old| !old.orphaned && same(&old.object, &object));
        if !unchanged {
            self.keep(key, Kept { object, file, orphaned: false });
            self.tell(key);
        }
        Ok(())
    }

    fn file_gone(&self, key: &ObjectKey) -> Result<(), Error> {
        let kept = self.state.borrow().objects.get(key).cloned();
        match kept {
            // Only a state file remembers it: nothing runs for it.
            None if self.prune => self.forget(key),
            None => Ok(()),
            Some(mut kept) if self.prune => {
                if metadata_mut(&mut kept.object).deletion_timestamp.is_none() {
                    metadata_mut(&mut kept.object).deletion_timestamp = Some(Time((self.now)()));
                    self.keep(key, kept);
                    self.tell(key);
                }
                Ok(())
            }
            Some(mut kept) => {
                kept.orphaned = true;
                self.state.borrow_mut().objects.insert(key.clone(), kept);
                Ok(())
            }
        }
    }

    /// Stores an object under a new version.
    fn keep(&self, key: &ObjectKey, mut kept: Kept) {
        let mut state = self.state.borrow_mut();
        state.version += 1;
        metadata_mut(&mut kept.object).resource_version = Some(state.version.to_string());
        state.objects.insert(key.clone(), kept);
    }

    fn forget(&self, key: &ObjectKey) -> Result<(), Error> {
        self.state.borrow_mut().objects.remove(key);
        crate::files::remove(&self.layout.sidecar(key))?;
        Record::remove(&self.layout, key)
    }

    fn tell(&self, key: &ObjectKey) {
        // Without a listener nobody misses it.
        let _ = self.changed.send(key.clone());
    }

    /// Has every Render looked at again: something its spec points at may have changed.
    pub fn touch_renders(&self) {
        for key in self.state.borrow().objects.keys().filter(|key| key.kind == Kind::Render) {
            self.tell(key);
        }
    }

    /// The object of a key, if it is still the version that was read.
    fn current(&self, key: &ObjectKey, read: &ObjectMeta) -> Result<Kept, Error> {
        let kept = self.state.borrow().objects.get(key).cloned().ok_or_else(|| Error::NotFound(key.to_string()))?;
        if metadata(&kept.object).resource_version == read.resource_version {
            Ok(kept)
        } else {
            Err(Error::Conflict(key.to_string()))
        }
    }
}

#[async_trait(?Send)]
impl Store for DirStore {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        match self.changes.borrow_mut().take() {
            Some(changes) => UnboundedReceiverStream::new(changes).boxed(),
            None => futures::stream::pending().boxed(),
        }
    }

    async fn render(&self, key: &ObjectKey) -> Result<Option<Arc<Render>>, Error> {
        let state = self.state.borrow();
        Ok(state.objects.get(key).and_then(|kept| match &kept.object {
            Object::Render(render) => Some(Arc::clone(render)),
            Object::Stack(_) => None,
        }))
    }

    async fn stack(&self, key: &ObjectKey) -> Result<Option<Arc<HyperframesStack>>, Error> {
        let state = self.state.borrow();
        Ok(state.objects.get(key).and_then(|kept| match &kept.object {
            Object::Stack(stack) => Some(Arc::clone(stack)),
            Object::Render(_) => None,
        }))
    }

    async fn stacks(&self, namespace: &str) -> Result<Vec<Arc<HyperframesStack>>, Error> {
        let here = |stack: &Arc<HyperframesStack>| stack.namespace().as_deref() == Some(namespace);
        Ok(self.all_stacks().into_iter().filter(here).collect())
    }

    async fn renders(&self, namespace: &str) -> Result<Vec<Arc<Render>>, Error> {
        let here = |render: &Arc<Render>| render.namespace().as_deref() == Some(namespace);
        Ok(self.all_renders().into_iter().map(|(render, _)| render).filter(here).collect())
    }

    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error> {
        let key = ObjectKey::render(render);
        let mut kept = self.current(&key, &render.metadata)?;
        if let Object::Render(render) = &mut kept.object {
            requests::taken(&self.layout, &key, status.request.as_ref())?;
            Arc::make_mut(render).status = Some(status);
            layout::write_sidecar(&self.layout.sidecar(&key), &**render)?;
        }
        self.keep(&key, kept);
        Ok(())
    }

    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error> {
        let key = ObjectKey::stack(stack);
        let mut kept = self.current(&key, &stack.metadata)?;
        if let Object::Stack(stack) = &mut kept.object {
            Arc::make_mut(stack).status = Some(status);
            layout::write_sidecar(&self.layout.sidecar(&key), &**stack)?;
        }
        self.keep(&key, kept);
        Ok(())
    }

    async fn set_finalizers(&self, render: &Render, finalizers: &[&str]) -> Result<(), Error> {
        let key = ObjectKey::render(render);
        let mut kept = self.current(&key, &render.metadata)?;
        let finalizers: Vec<_> = finalizers.iter().map(|finalizer| (*finalizer).to_owned()).collect();
        if finalizers.is_empty() && metadata(&kept.object).deletion_timestamp.is_some() {
            return self.forget(&key);
        }
        Record::set_finalizers(&self.layout, &key, &finalizers)?;
        metadata_mut(&mut kept.object).finalizers = Some(finalizers);
        self.keep(&key, kept);
        Ok(())
    }

    async fn event(&self, key: &ObjectKey, event: Event) -> Result<(), Error> {
        events::append(&self.layout, (self.now)(), key, &event)
    }
}

/// A folder as absolute path, made sure to exist.
///
/// # Errors
/// When it does not.
pub fn open_folder(folder: &Path) -> Result<PathBuf, Error> {
    use crate::files::Named as _;
    folder.canonicalize().named("open", folder)
}
