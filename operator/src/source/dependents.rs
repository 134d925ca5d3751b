//! Which Renders have to be looked at again when a folder or a file changes.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::stream::BoxStream;
use tokio::sync::Notify;

use super::digests::Stamp;
use crate::{feed::Feed, ports::ObjectKey};

/// Paths and who depends on them.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    known: Mutex<Known>,
    changes: Feed<ObjectKey>,
    /// Told when the projects are others.
    projects_changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    folders: HashMap<PathBuf, BTreeSet<ObjectKey>>,
    /// Videos, and how each looked when it was last compared.
    targets: HashMap<PathBuf, (ObjectKey, Option<Stamp>)>,
    /// What each Render depends on.
    of: HashMap<ObjectKey, Dependencies>,
}

/// What a Render depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependencies {
    /// The project as the spec names it, which may be a link, or not there.
    pub(super) written: PathBuf,
    /// The folder that it leads to, if it leads to one.
    pub(super) project: Option<PathBuf>,
    /// The video.
    pub(super) target: Option<PathBuf>,
}

impl Dependencies {
    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.written].into_iter().chain(&self.project)
    }
}

impl Dependents {
    pub(super) fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.changes.listen()
    }

    /// What a Render depends on now.
    pub(super) fn note(&self, key: &ObjectKey, dependencies: Dependencies) {
        let project = dependencies.project.clone();
        let mut known = self.known();
        let other = known.of.get(key).is_none_or(|known| known.project != project);
        known.set(key, dependencies);
        if other {
            self.projects_changed.notify_one();
        }
    }

    /// A Render is not there any more.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.known().take_out(key);
    }

    pub(super) async fn projects_changed(&self) {
        self.projects_changed.notified().await;
    }

    /// The project folders that Renders are made from.
    pub(super) fn projects(&self) -> BTreeSet<PathBuf> {
        self.known().of.values().filter_map(|known| known.project.clone()).collect()
    }

    /// The project folder that a Render is made from.
    pub(super) fn project_of(&self, key: &ObjectKey) -> Option<PathBuf> {
        self.known().of.get(key).and_then(|known| known.project.clone())
    }

    pub(super) fn folder_changed(&self, folder: &Path) {
        for key in self.known().folders.get(folder).into_iter().flatten() {
            self.changes.send(key.clone());
        }
    }

    /// Wakes those whose video is among these paths, and those whose project has come, gone or become another.
    pub(super) fn files_changed(&self, paths: &[PathBuf]) {
        let known = self.known();
        for path in paths {
            if let Some((key, _)) = known.targets.get(path) {
                self.changes.send(key.clone());
            }
            for key in known.folders.get(path).into_iter().flatten() {
                self.changes.send(key.clone());
            }
        }
    }

    /// Wakes those whose video looks different from the last time, or whose project is another folder now.
    pub(super) fn revalidate(&self) {
        let targets: Vec<_> = self.known().targets.keys().cloned().collect();
        for path in targets {
            let now = Stamp::of_file(&path);
            if let Some((key, seen)) = self.known().targets.get_mut(&path)
                && *seen != now
            {
                *seen = now;
                self.changes.send(key.clone());
            }
        }
        let places: BTreeSet<_> =
            self.known().of.values().map(|known| (known.written.clone(), known.project.clone())).collect();
        for (written, project) in places {
            if fs_err::canonicalize(&written).ok() != project {
                self.folder_changed(&written);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn set(&mut self, key: &ObjectKey, new: Dependencies) {
        if self.of.get(key) == Some(&new) {
            return;
        }
        self.take_out(key);
        for folder in new.folders() {
            self.folders.entry(folder.clone()).or_default().insert(key.clone());
        }
        if let Some(target) = &new.target {
            self.targets.insert(target.clone(), (key.clone(), Stamp::of_file(target)));
        }
        self.of.insert(key.clone(), new);
    }

    fn take_out(&mut self, key: &ObjectKey) {
        let Some(old) = self.of.remove(key) else { return };
        for folder in old.folders() {
            if let Some(keys) = self.folders.get_mut(folder) {
                keys.remove(key);
                if keys.is_empty() {
                    self.folders.remove(folder);
                }
            }
        }
        old.target.and_then(|target| self.targets.remove(&target));
    }
}
