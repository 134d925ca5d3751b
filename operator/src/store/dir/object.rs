//! One object as it is kept.

use std::{path::Path, sync::Arc};

use crds::{HyperframesStack, HyperframesStackStatus, Render, RenderStatus, manifest::Object};
use fs_err as fs;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use super::{definition::Definition, layout::Layout, record::Record, text::Text};
use crate::{
    error::Error,
    files::{self, Durability},
    ports::{Kind, ObjectKey, Origin, Sourced},
};

/// An object, where it stands, and what is known of it besides. Kept small; the object itself is made when it is asked for.
#[derive(Clone)]
pub(super) struct Entry {
    definition: Arc<Definition>,
    status: Option<Text>,
    pub(super) record: Record,
    /// Its record is on disk.
    recorded: bool,
    /// Its file is gone.
    pub(super) orphaned: bool,
    /// Since when it is to be deleted.
    pub(super) deleted: Option<Timestamp>,
    /// Its resource version.
    pub(super) version: u64,
    requests: Vec<(String, String)>,
}

impl Entry {
    /// An object that was not known.
    pub(super) fn new(definition: Arc<Definition>, file: &Path, now: Timestamp) -> Self {
        let record = Record::new(&definition.key, file, spec(&definition.object()), now);
        Self {
            definition,
            status: None,
            record,
            recorded: false,
            orphaned: false,
            deleted: None,
            version: 0,
            requests: Vec::new(),
        }
    }

    /// An object that only its record remembers: as far as is known so far its file is gone, unless the run is not about it.
    pub(super) fn recorded(layout: &Layout, key: &ObjectKey, record: Record) -> Option<Self> {
        let sidecar = layout.sidecar(key);
        let (object, status) = match key.kind {
            Kind::Render => {
                let mut render = Render::new(&key.name, record.spec.read()?);
                render.metadata.namespace = Some(key.namespace.clone());
                let object = Object::Render(Arc::new(render));
                (object, read_sidecar::<RenderStatus>(&sidecar).map(|status| Text::of(&status)))
            }
            Kind::Stack => {
                let mut stack = HyperframesStack::new(&key.name, record.spec.read()?);
                stack.metadata.namespace = Some(key.namespace.clone());
                let object = Object::Stack(Arc::new(stack));
                (object, read_sidecar::<HyperframesStackStatus>(&sidecar).map(|status| Text::of(&status)))
            }
        };
        let orphaned = layout.covers(&record.file);
        let definition = Definition::of(&object);
        Some(Self {
            definition: Arc::new(definition),
            status,
            record,
            recorded: true,
            orphaned,
            deleted: None,
            version: 0,
            requests: Vec::new(),
        })
    }

    /// As it is handed out: what its file says, with metadata, status and requests.
    pub(super) fn object(&self) -> Object {
        let mut object = self.definition.object();
        let Record { uid, generation, created, finalizers, namespace, .. } = &self.record;
        let metadata = metadata_mut(&mut object);
        metadata.uid = Some(uid.clone());
        metadata.generation = Some(*generation);
        metadata.creation_timestamp = Some(Time(*created));
        metadata.deletion_timestamp = self.deleted.map(Time);
        metadata.finalizers = Some(finalizers.clone());
        metadata.namespace = Some(namespace.clone());
        metadata.resource_version = Some(self.version.to_string());
        if !self.requests.is_empty() {
            metadata.annotations.get_or_insert_default().extend(self.requests.iter().cloned());
        }
        match &mut object {
            Object::Render(render) => Arc::make_mut(render).status = self.status.as_ref().and_then(Text::read),
            Object::Stack(stack) => Arc::make_mut(stack).status = self.status.as_ref().and_then(Text::read),
        }
        object
    }

    pub(super) fn render(&self) -> Option<Sourced<Render>> {
        match self.object() {
            Object::Render(object) => Some(Sourced { object, origin: self.origin() }),
            Object::Stack(_) => None,
        }
    }

    pub(super) fn stack(&self) -> Option<Sourced<HyperframesStack>> {
        match self.object() {
            Object::Stack(object) => Some(Sourced { object, origin: self.origin() }),
            Object::Render(_) => None,
        }
    }

    fn origin(&self) -> Origin {
        Origin::File { path: Arc::from(self.record.file.as_path()), orphaned: self.orphaned }
    }

    /// Whether it stands in this file and says just this, as far as can be told without comparing: a file that was not read
    /// again gives the very same definition.
    pub(super) fn says(&self, definition: &Arc<Definition>, file: &Path) -> bool {
        !self.orphaned && Arc::ptr_eq(&self.definition, definition) && self.record.file == file
    }

    /// The entry as it is with what a file says now.
    pub(super) fn observing(&self, definition: Arc<Definition>, file: &Path) -> Self {
        let mut entry = Self { orphaned: false, definition, ..self.clone() };
        let changed = entry.record.observe(file, spec(&entry.definition.object()));
        entry.recorded &= !changed;
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
        let differ = self.requests != requests;
        self.requests = requests;
        differ
    }

    pub(super) fn set_status(&mut self, status: &Status) {
        self.status = Some(match status {
            Status::Render(status) => Text::of(status),
            Status::Stack(status) => Text::of(status),
        });
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
        self.record.finalizers = finalizers;
        self.recorded = false;
    }
}

fn metadata_mut(object: &mut Object) -> &mut ObjectMeta {
    match object {
        Object::Render(render) => &mut Arc::make_mut(render).metadata,
        Object::Stack(stack) => &mut Arc::make_mut(stack).metadata,
    }
}

/// The spec; its change is a new generation.
fn spec(object: &Object) -> Text {
    match object {
        Object::Render(render) => Text::of(&render.spec),
        Object::Stack(stack) => Text::of(&stack.spec),
    }
}

/// A status that can be written beside an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Status {
    Render(Box<RenderStatus>),
    Stack(Box<HyperframesStackStatus>),
}

/// The object with another status.
pub(super) fn with_status(mut object: Object, status: Status) -> Object {
    match (&mut object, status) {
        (Object::Render(render), Status::Render(status)) => Arc::make_mut(render).status = Some(*status),
        (Object::Stack(stack), Status::Stack(status)) => Arc::make_mut(stack).status = Some(*status),
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
