//! Every path of a folder's state.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{files::STATUS, ports::ObjectKey};

/// A folder of objects, where its state is kept, and which part of it a run is about.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    status: PathBuf,
    /// Files and folders; none is the whole folder.
    only: Vec<PathBuf>,
}

/// Longest part of a file's name that is a key as written: a name may have 253 characters, a file's name 255.
const LONGEST_STEM: usize = 200;

impl Layout {
    /// Of an absolute path, with the state in it, or in `state` if that is named.
    #[must_use]
    pub fn new(root: PathBuf, state: Option<PathBuf>) -> Self {
        let status = state.unwrap_or_else(|| root.join(STATUS));
        Self { root, status, only: Vec::new() }
    }

    /// Only about these files and folders, absolute. Renders elsewhere are not touched.
    #[must_use]
    pub fn limited_to(self, only: Vec<PathBuf>) -> Self {
        Self { only, ..self }
    }

    /// Whether a file is what the run is about.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        self.entrances().iter().any(|entrance| path.starts_with(entrance))
    }

    /// The files and folders in which manifests are looked for.
    #[must_use]
    pub fn entrances(&self) -> &[PathBuf] {
        if self.only.is_empty() { std::slice::from_ref(&self.root) } else { &self.only }
    }

    /// The layout of the innermost folder above or at `folder` that has state of ours. What another user has put there is
    /// not ours.
    #[must_use]
    pub fn enclosing(folder: &Path) -> Option<Self> {
        let ours = |meta: std::fs::Metadata| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw();
        let mut layouts = folder.ancestors().map(|root| Self::new(root.to_owned(), None));
        layouts.find(|layout| layout.state().symlink_metadata().is_ok_and(ours))
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything of ours.
    #[must_use]
    pub fn status(&self) -> &Path {
        &self.status
    }

    /// Whether the state lies in the folder itself.
    #[must_use]
    pub fn is_self_contained(&self) -> bool {
        self.status.starts_with(&self.root)
    }

    /// An object's status, for people.
    #[must_use]
    pub fn sidecar(&self, key: &ObjectKey) -> PathBuf {
        let kind = key.kind.as_str().to_lowercase();
        self.status.join(kind).join(format!("{}.yaml", shortened(&format!("{}.{}", key.namespace, key.name))))
    }

    /// What happened, newest last.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.status.join("events.jsonl")
    }

    /// Requests not yet taken.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.status.join("requests")
    }

    /// What must survive and is nobody else's business.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.status.join(".state")
    }

    /// An object's record.
    #[must_use]
    pub fn record(&self, key: &ObjectKey) -> PathBuf {
        self.state().join(format!("{}.json", Self::stem(key)))
    }

    /// Plans and chunks in the making.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.status.join(".work")
    }

    /// A name for files about an object, which no other object has.
    #[must_use]
    pub fn stem(key: &ObjectKey) -> String {
        shortened(&format!("{}.{}.{}", key.kind.as_str(), key.namespace, key.name))
    }
}

/// The text itself, or its beginning and a digest of the whole.
fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_STEM {
        return text.to_owned();
    }
    // Namespaces and names are ASCII.
    let start = text.get(..LONGEST_STEM - 20).unwrap_or_default();
    format!("{start}-{}", &hex::encode(Sha256::digest(text))[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Kind;

    #[test]
    fn a_name_of_any_length_gives_a_file_name_of_its_own() {
        let layout = Layout::new("/r".into(), None);
        let key = |name: &str| ObjectKey { kind: Kind::Render, namespace: "n".repeat(63), name: name.to_owned() };
        let (one, other) = (key(&("a".repeat(252) + "b")), key(&("a".repeat(252) + "c")));
        for key in [&one, &other] {
            for path in [layout.sidecar(key), layout.record(key)] {
                assert!(path.file_name().unwrap().len() < 230, "{path:?}");
            }
        }
        assert_ne!(layout.sidecar(&one), layout.sidecar(&other));
        let short = ObjectKey { kind: Kind::Render, namespace: "default".into(), name: "a.b-c".into() };
        assert_eq!(layout.sidecar(&short), Path::new("/r/.status/render/default.a.b-c.yaml"));
    }

    #[test]
    fn the_state_of_an_enclosing_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs_err::create_dir_all(&inner).unwrap();
        assert!(Layout::enclosing(&inner).is_none());
        // Somebody else's folder of that name does not count.
        fs_err::create_dir_all(inner.join(".status")).unwrap();
        assert!(Layout::enclosing(&inner).is_none());
        fs_err::create_dir_all(folder.path().join(".status/.state")).unwrap();
        assert_eq!(Layout::enclosing(&inner).unwrap().root(), folder.path());
    }
}
