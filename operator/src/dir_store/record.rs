//! What an API server remembers of an object besides what the user wrote.

use std::{collections::BTreeSet, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::{error::Error, files, ports::ObjectKey};

/// One object's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Random, given once.
    pub uid: String,
    /// Counts changes of the spec, from 1.
    pub generation: i64,
    /// SHA-256 of the spec of that generation.
    pub spec_hash: String,
    /// When the object was first seen.
    pub created: Timestamp,
    /// Who must let go before a deleted object is gone.
    #[serde(default)]
    pub finalizers: Vec<String>,
}

impl Record {
    /// The record of an object with this spec: the known one, with a new generation if the spec is new, or a first one.
    pub(super) fn observe(
        layout: &Layout,
        key: &ObjectKey,
        spec_hash: &str,
        now: Timestamp,
        write: bool,
    ) -> Result<Self, Error> {
        let mut record = match Self::read(layout, key)? {
            Some(record) if record.spec_hash == spec_hash => return Ok(record),
            Some(record) => record,
            None => Self {
                uid: uuid::Uuid::new_v4().to_string(),
                generation: 0,
                spec_hash: String::new(),
                created: now,
                finalizers: Vec::new(),
            },
        };
        record.generation += 1;
        spec_hash.clone_into(&mut record.spec_hash);
        if write {
            record.write(layout, key)?;
        }
        Ok(record)
    }

    pub(super) fn set_finalizers(layout: &Layout, key: &ObjectKey, finalizers: &[String]) -> Result<(), Error> {
        match Self::read(layout, key)? {
            Some(record) => Self { finalizers: finalizers.to_vec(), ..record }.write(layout, key),
            None => Err(Error::NotFound(key.to_string())),
        }
    }

    pub(super) fn remove(layout: &Layout, key: &ObjectKey) -> Result<(), Error> {
        files::remove(&path(layout, key))
    }

    /// Keys of all objects with a record.
    pub(super) fn all(layout: &Layout) -> BTreeSet<ObjectKey> {
        let stem = |path: PathBuf| path.file_name()?.to_str()?.strip_suffix(".json").and_then(Layout::key);
        files::list(&layout.state()).into_iter().filter_map(stem).collect()
    }

    fn read(layout: &Layout, key: &ObjectKey) -> Result<Option<Self>, Error> {
        let path = path(layout, key);
        let text = files::read_text_if_any(&path)?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| Error::Damaged { path, reason: error.to_string() })
        };
        text.map(read).transpose()
    }

    fn write(&self, layout: &Layout, key: &ObjectKey) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        files::write_atomic(&path(layout, key), &(text + "\n"))
    }
}

fn path(layout: &Layout, key: &ObjectKey) -> PathBuf {
    layout.state().join(format!("{}.json", Layout::stem(key)))
}
