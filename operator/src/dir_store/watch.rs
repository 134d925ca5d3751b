//! Notices that something in a folder may have changed. What changed is found by looking, never believed from an event.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

use super::layout::Layout;
use crate::error::Error;

/// A burst of events is over when nothing came for this long.
const QUIET: Duration = Duration::from_millis(200);
/// A folder is looked at anew this often in any case: events are lost on network file systems.
const RESCAN: Duration = Duration::from_secs(15);

/// Watches a folder and, outside it, the projects its objects point at.
pub struct Watch {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<PathBuf>,
    also: Vec<PathBuf>,
    root: PathBuf,
}

/// Why to look again.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// These paths were touched.
    Paths(Vec<PathBuf>),
    /// It is time.
    Anything,
}

impl Watch {
    /// Watches a folder.
    ///
    /// # Errors
    /// When the system cannot watch it.
    pub fn start(layout: &Layout) -> Result<Self, Error> {
        let (sender, events) = mpsc::unbounded_channel();
        let status = layout.status();
        let requests = layout.requests();
        let on_event = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(notify::event::AccessMode::Write))
            {
                return;
            }
            // What we write ourselves is no news; requests are written by others.
            let ours = |path: &Path| path.starts_with(&status) && !path.starts_with(&requests);
            event.paths.into_iter().filter(|path| !ours(path)).for_each(|path| drop(sender.send(path)));
        };
        let watching =
            |error: notify::Error| Error::Watch { path: layout.root().to_owned(), reason: error.to_string() };
        let mut watcher = notify::recommended_watcher(on_event).map_err(watching)?;
        watcher.watch(layout.root(), RecursiveMode::Recursive).map_err(watching)?;
        Ok(Self { watcher, events, also: Vec::new(), root: layout.root().to_owned() })
    }

    /// Watches projects outside the folder too.
    pub fn also(&mut self, folders: Vec<PathBuf>) {
        let outside: Vec<_> = folders.into_iter().filter(|folder| !folder.starts_with(&self.root)).collect();
        for gone in self.also.iter().filter(|folder| !outside.contains(folder)) {
            let _ = self.watcher.unwatch(gone);
        }
        for new in outside.iter().filter(|folder| !self.also.contains(folder)) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::Recursive) {
                warn!(folder = %new.display(), %error, "cannot be watched: changes are noticed every {} s", RESCAN.as_secs());
            }
        }
        self.also = outside;
    }

    /// Waits until something may have changed.
    pub async fn changed(&mut self) -> Changed {
        let Ok(Some(first)) = tokio::time::timeout(RESCAN, self.events.recv()).await else { return Changed::Anything };
        let mut paths = vec![first];
        let mut quiet_at = Instant::now() + QUIET;
        while let Ok(Some(path)) = tokio::time::timeout_at(quiet_at, self.events.recv()).await {
            paths.push(path);
            quiet_at = Instant::now() + QUIET;
        }
        Changed::Paths(paths)
    }
}
