//! What an API server remembers of an object besides its status.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{layout::Layout, text::Text};
use crate::{
    files::{self, Durability},
    ports::{Kind, ObjectKey},
};

/// One object's record. Its spec is kept so that an object whose file is gone can still be taken down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Random, given once.
    pub(super) uid: String,
    /// Counts changes of the spec, from 1.
    pub(super) generation: i64,
    /// When the object was first seen.
    pub(super) created: Timestamp,
    /// Who must let go before a deleted object is gone.
    #[serde(default)]
    pub(super) finalizers: Vec<String>,
    /// The file it was last read from.
    pub(super) file: PathBuf,
    /// The spec of that generation.
    pub(super) spec: Text,
}

impl Record {
    /// The first record of an object.
    pub(super) fn new(key: &ObjectKey, file: &Path, spec: Text, now: Timestamp) -> Self {
        Self {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: uuid::Uuid::new_v4().to_string(),
            generation: 1,
            created: now,
            finalizers: Vec::new(),
            file: file.to_owned(),
            spec,
        }
    }

    /// Takes in where the object stands now, and with what spec. True when that differs.
    pub(super) fn observe(&mut self, file: &Path, spec: Text) -> bool {
        let moved = self.file != file;
        if moved {
            file.clone_into(&mut self.file);
        }
        let edited = self.spec != spec;
        if edited {
            self.generation += 1;
            self.spec = spec;
        }
        moved || edited
    }

    pub(super) fn key(&self) -> Option<ObjectKey> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind)?;
        Some(ObjectKey { kind, namespace: self.namespace.clone(), name: self.name.clone() })
    }

    /// All records. One that cannot be read is put aside and said so: its object is as good as new.
    pub(super) fn all(layout: &Layout, mut damaged: impl FnMut(String)) -> io::Result<Vec<(ObjectKey, Self)>> {
        let mut records = Vec::new();
        let entries = match fs::read_dir(layout.state()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(records),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Ok(record) => records.push(record),
                Err(reason) => {
                    let aside = path.with_extension("json.damaged");
                    let kept = fs::rename(&path, &aside).map_or(path, |()| aside);
                    damaged(format!("{} cannot be used ({reason}): its object starts anew", kept.display()));
                }
            }
        }
        Ok(records)
    }

    pub(super) fn write(&self, layout: &Layout, key: &ObjectKey) -> io::Result<()> {
        let text = serde_json::to_string(self).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        files::write_atomic(&layout.record(key), &(text + "\n"), Durability::Fast)
    }
}

fn read(path: &Path) -> Result<(ObjectKey, Record), String> {
    let text = files::read_text(path).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let key = record.key().ok_or_else(|| format!("unknown kind {:?}", record.kind))?;
    Ok((key, record))
}
