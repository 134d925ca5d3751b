//! Every path of a folder's state, and the form of its sidecars.

use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::{
    error::Error,
    files,
    ports::{Kind, ObjectKey},
};

/// A watched folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Of an absolute path.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything of ours in it.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.root.join(".status")
    }

    /// An object's status, for people.
    #[must_use]
    pub fn sidecar(&self, key: &ObjectKey) -> PathBuf {
        let kind = key.kind.as_str().to_lowercase();
        self.status().join(kind).join(format!("{}.{}.yaml", key.namespace, key.name))
    }

    /// What happened, newest last.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.status().join("events.jsonl")
    }

    /// Requests not yet taken.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.status().join("requests")
    }

    /// What must survive and is nobody else's business.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.status().join(".state")
    }

    /// Plans and chunks in the making.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.status().join(".work")
    }

    /// `<kind>.<namespace>.<name>`, which no two objects share: a namespace has no dots.
    #[must_use]
    pub fn stem(key: &ObjectKey) -> String {
        format!("{}.{}.{}", key.kind.as_str(), key.namespace, key.name)
    }

    /// The key of a stem.
    #[must_use]
    pub fn key(stem: &str) -> Option<ObjectKey> {
        let mut parts = stem.splitn(3, '.');
        let kind = [Kind::Stack, Kind::Render].into_iter().find(|kind| Some(kind.as_str()) == parts.clone().next())?;
        parts.next();
        Some(ObjectKey { kind, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
    }
}

/// Writes an object's sidecar: who it is, and its status.
pub(super) fn write_sidecar(path: &Path, object: &impl Serialize) -> Result<(), Error> {
    let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
    let mut value = serde_yaml::to_value(object).map_err(|error| damaged(error.to_string()))?;
    if let Some(fields) = value.as_mapping_mut() {
        fields.remove("spec");
    }
    for bookkeeping in ["annotations", "finalizers", "labels", "resourceVersion"] {
        if let Some(metadata) = value.get_mut("metadata").and_then(|metadata| metadata.as_mapping_mut()) {
            metadata.remove(bookkeeping);
        }
    }
    let text = serde_yaml::to_string(&value).map_err(|error| damaged(error.to_string()))?;
    files::write_atomic(path, &text)
}

/// The status in a sidecar. One that cannot be read counts as none: a status can always be observed again.
pub(super) fn read_sidecar<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = files::read_text_if_any(path).ok()??;
    let status = serde_yaml::from_str::<serde_yaml::Value>(&text)
        .and_then(|value| serde_yaml::from_value(value.get("status").cloned().unwrap_or_default()));
    match status {
        Ok(status) => Some(status),
        Err(error) => {
            warn!(path = %path.display(), %error, "status cannot be read and is made anew");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_and_keys_are_each_others_inverse() {
        let key = ObjectKey { kind: Kind::Render, namespace: "default".into(), name: "a.b-c".into() };
        assert_eq!(Layout::key(&Layout::stem(&key)), Some(key));
        assert_eq!(Layout::key("Pod.a.b"), None);
        assert_eq!(Layout::key("Render.a"), None);
    }
}
