//! Notices that something in a folder may have changed. What changed is found by looking, never believed from an event.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind, event::AccessMode};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tracing::warn;

use super::layout::Layout;

/// A burst of events is over when nothing came for this long,
const DEBOUNCE: Duration = Duration::from_millis(150);
/// or after this long, for a file may be written to all the time.
const LONGEST_BURST: Duration = Duration::from_millis(500);
/// Where more paths than this were touched, everything is looked at.
const MOST_PATHS: usize = 1_000;
/// A folder is looked at anew this often in any case: events are lost on network file systems, and where the system allows
/// no more watches.
const RESYNC: Duration = Duration::from_secs(15);

/// Which paths are worth an event. The rest is filtered out before it can fill a queue.
pub type Filter = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// Watches a folder and, outside it, the projects its objects point at.
pub struct Watch {
    layout: Layout,
    filter: Filter,
    watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<PathBuf>,
    extra: Vec<PathBuf>,
    next_resync: Instant,
}

/// The first sign of a change.
#[derive(Debug)]
pub struct Stir(Option<PathBuf>);

/// Why to look again.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// These paths were touched.
    Paths(Vec<PathBuf>),
    /// Anything may have been.
    Resync,
}

impl Watch {
    /// Watches a folder. Where the system cannot, it is looked at every 15 s instead, and said so.
    #[must_use]
    pub fn start(layout: &Layout, filter: Filter) -> Self {
        // As many as are ever looked at one by one: when more come, some are lost, and so everything is looked at.
        let (sender, events) = mpsc::channel(MOST_PATHS + 1);
        let (requests, status) = (layout.requests(), layout.status().to_owned());
        let wanted = Arc::clone(&filter);
        let on_event = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let written = AccessKind::Close(AccessMode::Write);
            if matches!(event.kind, EventKind::Access(kind) if kind != written) {
                return;
            }
            // What we write ourselves is no news; requests are written by others.
            let ours = |path: &Path| path.starts_with(&status) && !path.starts_with(&requests);
            for path in event.paths.into_iter().filter(|path| !ours(path) && wanted(path)) {
                let _ = sender.try_send(path);
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(layout.root(), RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = watcher.inspect_err(|error| {
            let seconds = RESYNC.as_secs();
            warn!(folder = %layout.root().display(), %error, "cannot be watched: changes are noticed within {seconds} s");
        });
        let mut watch = Self {
            layout: layout.clone(),
            filter,
            watcher: watcher.ok(),
            events,
            extra: Vec::new(),
            next_resync: Instant::now() + RESYNC,
        };
        if !layout.is_self_contained() {
            watch.add(&layout.requests());
        }
        watch
    }

    /// Watches again what may have become another folder of the same name.
    #[must_use]
    pub fn restart(self) -> Self {
        Self::start(&self.layout, self.filter)
    }

    /// Watches these folders too, as far as they lie outside, and no others besides.
    pub fn watch_extra(&mut self, folders: Vec<PathBuf>) {
        let outside: Vec<_> = folders.into_iter().filter(|folder| !folder.starts_with(self.layout.root())).collect();
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.extra).into_iter().partition(|folder| !outside.contains(folder));
        self.extra = kept;
        for folder in gone {
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&folder);
            }
        }
        for folder in outside {
            if !self.extra.contains(&folder) {
                self.add(&folder);
                self.extra.push(folder);
            }
        }
    }

    fn add(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if let Err(error) = watcher.watch(folder, RecursiveMode::Recursive) {
            let seconds = RESYNC.as_secs();
            warn!(folder = %folder.display(), %error, "cannot be watched: changes are noticed within {seconds} s");
        }
    }

    /// Waits until something may have changed. May be dropped while it waits: nothing is lost.
    pub async fn stirs(&mut self) -> Stir {
        let waits = timeout_at(self.next_resync, self.events.recv());
        match waits.await {
            Ok(Some(path)) => Stir(Some(path)),
            // Without a watcher there are no events, and the time has to come by itself.
            _ => {
                tokio::time::sleep_until(self.next_resync).await;
                Stir(None)
            }
        }
    }

    /// What has changed, once that has come to rest.
    pub async fn changed(&mut self, first: Stir) -> Changed {
        let Some(first) = first.0.filter(|_| Instant::now() < self.next_resync) else { return self.resync() };
        let mut paths = HashSet::from([first]);
        let end = Instant::now() + LONGEST_BURST;
        while let Ok(Some(path)) = timeout_at((Instant::now() + DEBOUNCE).min(end), self.events.recv()).await {
            paths.insert(path);
            if paths.len() > MOST_PATHS {
                return self.resync();
            }
        }
        Changed::Paths(paths.into_iter().collect())
    }

    fn resync(&mut self) -> Changed {
        while self.events.try_recv().is_ok() {}
        self.next_resync = Instant::now() + RESYNC;
        Changed::Resync
    }
}
