//! One object as it is kept.

use std::{path::Path, sync::Arc};

use crds::{HyperframesStack, HyperframesStackStatus, Render, RenderStatus, manifest::Object};
use fs_err as fs;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use super::{
    layout::Layout,
    record::{Record, Spec},
};
use crate::{
    error::Error,
    files::{self, Durability},
    ports::{Kind, ObjectKey, Origin, Sourced},
};

/// An object, where it stands, and what is known of it besides.
#[derive(Clone)]
pub(super) struct Entry {
    /// As it is handed out: with metadata, status and requests.
    pub(super) object: Object,
    /// As it was read from its file.
    written: Object,
    pub(super) record: Record,
    /// Its record is on disk.
    recorded: bool,
    /// Its file is gone.
    pub(super) orphaned: bool,
    requests: Vec<(String, String)>,
}

impl Entry {
    /// An object that was not known.
    pub(super) fn new(key: &ObjectKey, written: Object, file: &Path, now: jiff::Timestamp) -> Self {
        let record = Record::new(key, file, spec(&written), now);
        let mut entry =
            Self { object: written.clone(), written, record, recorded: false, orphaned: false, requests: Vec::new() };
        entry.compose(None);
        entry
    }

    /// An object that only its record remembers: as far as is known so far its file is gone, unless the run is not about it.
    pub(super) fn recorded(layout: &Layout, key: &ObjectKey, record: Record) -> Option<Self> {
        let written = match key.kind {
            Kind::Render => {
                let spec = record.spec.read()?;
                Object::Render(Arc::new(Render::new(&key.name, spec)))
            }
            Kind::Stack => {
                let spec = record.spec.read()?;
                Object::Stack(Arc::new(HyperframesStack::new(&key.name, spec)))
            }
        };
        let orphaned = layout.covers(&record.file);
        let mut entry =
            Self { object: written.clone(), written, record, recorded: true, orphaned, requests: Vec::new() };
        entry.compose(None);
        match &mut entry.object {
            Object::Render(render) => Arc::make_mut(render).status = read_sidecar(&layout.sidecar(key)),
            Object::Stack(stack) => Arc::make_mut(stack).status = read_sidecar(&layout.sidecar(key)),
        }
        Some(entry)
    }

    pub(super) fn render(&self) -> Option<Sourced<Render>> {
        match &self.object {
            Object::Render(render) => Some(Sourced { object: Arc::clone(render), origin: self.origin() }),
            Object::Stack(_) => None,
        }
    }

    pub(super) fn stack(&self) -> Option<Sourced<HyperframesStack>> {
        match &self.object {
            Object::Stack(stack) => Some(Sourced { object: Arc::clone(stack), origin: self.origin() }),
            Object::Render(_) => None,
        }
    }

    fn origin(&self) -> Origin {
        Origin::File { path: Arc::from(self.record.file.as_path()), orphaned: self.orphaned }
    }

    /// Whether it stands in this file and says just this, as far as can be told without comparing.
    pub(super) fn says(&self, written: &Object, file: &Path) -> bool {
        !self.orphaned && same(&self.written, written) && self.record.file == file
    }

    /// The entry as it is with what a file says now.
    pub(super) fn observing(&self, written: &Object, file: &Path) -> Self {
        let mut entry = Self { orphaned: false, written: written.clone(), ..self.clone() };
        let changed = entry.record.observe(file, spec(written));
        entry.recorded &= !changed;
        entry.compose(Some(self.object.clone()));
        entry
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Notes that a record was written.
    pub(super) fn saved(&mut self, written: &Self) {
        self.recorded |= self.record == written.record;
    }

    /// Takes in what is asked for. True when that differs.
    pub(super) fn set_requests(&mut self, requests: Vec<(String, String)>) -> bool {
        if self.requests == requests {
            return false;
        }
        self.requests = requests;
        self.compose(Some(self.object.clone()));
        true
    }

    /// Writes the record if it differs from the one on disk.
    pub(super) fn save(&mut self, layout: &Layout, key: &ObjectKey) -> std::io::Result<()> {
        if !self.recorded {
            self.record.write(layout, key)?;
            self.recorded = true;
        }
        Ok(())
    }

    /// Whether its record was written once: only such an object is remembered.
    pub(super) fn is_known_on_disk(&self) -> bool {
        !self.record.finalizers.is_empty()
    }

    pub(super) fn set_finalizers(&mut self, finalizers: Vec<String>) {
        self.record.finalizers.clone_from(&finalizers);
        self.recorded = false;
        metadata_mut(&mut self.object).finalizers = Some(finalizers);
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        metadata(&self.object)
    }

    pub(super) fn metadata_mut(&mut self) -> &mut ObjectMeta {
        metadata_mut(&mut self.object)
    }

    /// Makes the object anew from what its file says and what is known of it, with the status and bookkeeping of the old.
    fn compose(&mut self, old: Option<Object>) {
        let mut object = self.written.clone();
        let Record { uid, generation, created, finalizers, namespace, .. } = &self.record;
        let old_metadata = old.as_ref().map(metadata);
        let metadata = metadata_mut(&mut object);
        metadata.uid = Some(uid.clone());
        metadata.generation = Some(*generation);
        metadata.creation_timestamp = Some(Time(*created));
        metadata.finalizers = Some(finalizers.clone());
        metadata.namespace = Some(namespace.clone());
        metadata.deletion_timestamp = old_metadata.and_then(|old| old.deletion_timestamp.clone());
        metadata.resource_version = old_metadata.and_then(|old| old.resource_version.clone());
        if !self.requests.is_empty() {
            metadata.annotations.get_or_insert_default().extend(self.requests.iter().cloned());
        }
        match (&mut object, old) {
            (Object::Render(new), Some(Object::Render(old))) => Arc::make_mut(new).status.clone_from(&old.status),
            (Object::Stack(new), Some(Object::Stack(old))) => Arc::make_mut(new).status.clone_from(&old.status),
            _ => {}
        }
        self.object = object;
    }
}

pub(super) fn key(object: &Object) -> ObjectKey {
    match object {
        Object::Render(render) => ObjectKey::render(render),
        Object::Stack(stack) => ObjectKey::stack(stack),
    }
}

fn metadata(object: &Object) -> &ObjectMeta {
    match object {
        Object::Render(render) => &render.metadata,
        Object::Stack(stack) => &stack.metadata,
    }
}

fn metadata_mut(object: &mut Object) -> &mut ObjectMeta {
    match object {
        Object::Render(render) => &mut Arc::make_mut(render).metadata,
        Object::Stack(stack) => &mut Arc::make_mut(stack).metadata,
    }
}

/// The spec; its change is a new generation.
fn spec(object: &Object) -> Spec {
    match object {
        Object::Render(render) => Spec::of(&render.spec),
        Object::Stack(stack) => Spec::of(&stack.spec),
    }
}

/// Certainly equal: the very same value, as a file that was not read again gives it.
fn same(one: &Object, other: &Object) -> bool {
    match (one, other) {
        (Object::Render(one), Object::Render(other)) => Arc::ptr_eq(one, other),
        (Object::Stack(one), Object::Stack(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// A status that can be written beside an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Status {
    Render(Box<RenderStatus>),
    Stack(HyperframesStackStatus),
}

/// The object with another status.
pub(super) fn with_status(object: &Object, status: Status) -> Object {
    let mut object = object.clone();
    match (&mut object, status) {
        (Object::Render(render), Status::Render(mut status)) => {
            status.conditions.shrink_to_fit();
            status.attempts.shrink_to_fit();
            Arc::make_mut(render).status = Some(*status);
        }
        (Object::Stack(stack), Status::Stack(status)) => Arc::make_mut(stack).status = Some(status),
        (Object::Render(_), Status::Stack(_)) | (Object::Stack(_), Status::Render(_)) => {
            unreachable!("a key's kind is that of its object")
        }
    }
    object
}

/// Writes an object's sidecar: who it is, and its status.
pub(super) fn write_sidecar(path: &Path, object: &Object, durability: Durability) -> Result<(), Error> {
    let text = match object {
        Object::Render(render) => sidecar(&**render),
        Object::Stack(stack) => sidecar(&**stack),
    };
    let text = text.map_err(|error| Error::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    Ok(files::write_atomic(path, &text, durability)?)
}

fn sidecar(object: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let mut value = serde_yaml::to_value(object)?;
    if let Some(fields) = value.as_mapping_mut() {
        fields.remove("spec");
    }
    for bookkeeping in ["annotations", "finalizers", "labels", "resourceVersion"] {
        if let Some(metadata) = value.get_mut("metadata").and_then(|metadata| metadata.as_mapping_mut()) {
            metadata.remove(bookkeeping);
        }
    }
    serde_yaml::to_string(&value)
}

/// The status in a sidecar. One that cannot be read counts as none: attempts are numbered anew then, under other names, for
/// a name holds the inputs it is for.
pub(super) fn read_sidecar<T: DeserializeOwned>(path: &Path) -> Option<T> {
    #[derive(serde::Deserialize)]
    struct Sidecar<T> {
        status: Option<T>,
    }
    match fs::symlink_metadata(path) {
        Err(_) => return None,
        Ok(meta) if !meta.is_file() => {
            warn!(path = %path.display(), "is not a regular file: the status is made anew");
            return None;
        }
        Ok(_) => {}
    }
    let text = files::read_text(path).map_err(|error| error.to_string());
    let sidecar = text.and_then(|text| serde_yaml::from_str::<Sidecar<T>>(&text).map_err(|error| error.to_string()));
    match sidecar {
        Ok(sidecar) => sidecar.status,
        Err(error) => {
            warn!(path = %path.display(), %error, "status cannot be read and is made anew");
            None
        }
    }
}
