//! Compositions that do not lie in a folder yet: in a ConfigMap or a Secret, or in an archive behind a URL. Each becomes a
//! folder, named by what is in it.
//!
//! A look never waits for a download: it is begun, and whoever wants it is looked at again when it has ended. Data of the
//! cluster is read once and then again in turn, a few objects a second: a watch would need the right to read them all.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::{
    Code, Failure, Networks, Render,
    render::{ArchiveSource, DataSource, KeyToPath},
};
use fs_err as fs;
use futures::stream::BoxStream;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use url::Url;

use super::SourceError;
use crate::{
    error::{Class, backoff},
    feed::Feed,
    files::blocking,
    ports::{Data, DataKey, DataKind, DataObjects, ObjectKey},
};

mod cache;
mod download;
mod unpack;

use cache::Cache;
use download::{Downloader, Problem};

/// Downloads at the same time.
const DOWNLOADS: usize = 4;
/// How often one object of the cluster is read again,
const DATA_AGE: Duration = Duration::from_mins(1);
/// and at most one in this time: with more than 300 objects each is read more seldom.
const DATA_PACE: Duration = Duration::from_millis(200);

/// Compositions that are fetched.
#[derive(Clone)]
pub struct Fetched(Arc<Shared>);

struct Shared {
    cache: Cache,
    downloader: Downloader,
    data: Arc<dyn DataObjects>,
    downloads: Semaphore,
    known: Mutex<Known>,
    changes: Feed<ObjectKey>,
}

#[derive(Default)]
struct Known {
    data: BTreeMap<DataWant, DataSeen>,
    archives: HashMap<ArchiveWant, Download>,
    /// What each Render wants.
    wants: HashMap<ObjectKey, Want>,
}

/// What a Render wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    Data(DataWant),
    Archive(ArchiveWant),
}

/// Files from an object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DataWant {
    key: DataKey,
    /// Keys and the files they become; empty: each the file of its name.
    items: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ArchiveWant {
    url: String,
    sha256: String,
}

#[derive(Default)]
struct DataSeen {
    /// What it was when it was read last.
    result: Option<Result<PathBuf, SourceError>>,
    /// When that was; `None` where the next look has to read it.
    at: Option<Instant>,
    users: BTreeSet<ObjectKey>,
}

struct Download {
    state: DownloadState,
    failures: u32,
    users: BTreeSet<ObjectKey>,
}

enum DownloadState {
    UnderWay,
    /// It may be tried again at this time; never, where there is none.
    Failed(Failure, Option<Instant>),
}

impl Fetched {
    /// Fetches into a folder: what lies behind URLs from public addresses and these `networks`, and `data` of a cluster.
    #[must_use]
    pub fn new(folder: PathBuf, networks: Networks, data: Arc<dyn DataObjects>) -> Self {
        Self(Arc::new(Shared {
            cache: Cache::new(folder),
            downloader: Downloader::new(networks),
            data,
            downloads: Semaphore::new(DOWNLOADS),
            known: Mutex::default(),
            changes: Feed::default(),
        }))
    }

    /// The folder of a Render's composition, where that is fetched; `None` where it lies in a folder.
    pub(super) async fn folder(&self, render: &Render) -> Result<Option<PathBuf>, SourceError> {
        let owner = ObjectKey::render(render);
        let source = &render.spec.source;
        let data = |kind, source: &DataSource| {
            let key = DataKey { kind, namespace: owner.namespace.clone(), name: source.name.clone() };
            let items = source.items.iter().map(|KeyToPath { key, path }| (key.clone(), path.clone())).collect();
            DataWant { key, items }
        };
        let want = match (&source.config_map_ref, &source.secret_ref, &source.archive) {
            (Some(config_map), ..) => Want::Data(data(DataKind::ConfigMap, config_map)),
            (_, Some(secret), _) => Want::Data(data(DataKind::Secret, secret)),
            (.., Some(ArchiveSource { url, sha256, path: _ })) => {
                Want::Archive(ArchiveWant { url: url.clone(), sha256: sha256.clone() })
            }
            _ => {
                self.forget(&owner);
                return Ok(None);
            }
        };
        self.note(&owner, &want);
        let folder = match want {
            Want::Data(want) => self.data(&owner, want).await?,
            Want::Archive(want) => self.archive(&owner, want).await?,
        };
        let inside = source.archive.as_ref().and_then(|archive| archive.path.as_deref());
        inside.map_or(Ok(Some(folder.clone())), |inside| within(&folder, inside).map(Some))
    }

    /// Keys of Renders whose composition has come, or has changed. Only the first call gets them.
    pub(super) fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.0.changes.listen()
    }

    /// What a Render wants is found out anew by its next look.
    pub(super) fn look_anew(&self, owner: &ObjectKey) {
        let mut known = self.known();
        match known.wants.get(owner).cloned() {
            Some(Want::Data(want)) => {
                if let Some(seen) = known.data.get_mut(&want) {
                    seen.at = None;
                }
            }
            Some(Want::Archive(want)) => {
                if matches!(known.archives.get(&want), Some(Download { state: DownloadState::Failed(..), .. })) {
                    known.archives.remove(&want);
                }
            }
            None => {}
        }
    }

    /// A Render wants nothing any more.
    pub(super) fn forget(&self, owner: &ObjectKey) {
        self.known().forget(owner);
    }

    /// Removes what nobody uses.
    pub(super) fn sweep(&self, projects: &BTreeSet<PathBuf>) {
        self.0.cache.sweep(|folder| projects.iter().any(|project| project.starts_with(folder)));
    }

    /// Reads the objects of the cluster again and again, each in its turn. Never ends.
    pub async fn keep_reading(&self) {
        let mut last = None;
        loop {
            sleep(DATA_PACE).await;
            let next = self.known().next_after(last.as_ref());
            last.clone_from(&next);
            let Some(want) = next else { continue };
            if self.known().data.get(&want).is_some_and(|seen| seen.at.is_none_or(|at| at.elapsed() >= DATA_AGE)) {
                let result = self.read(&want).await;
                self.note_read(&want, &result);
            }
        }
    }

    /// An object was read: who uses it is told if it has changed.
    fn note_read(&self, want: &DataWant, result: &Result<PathBuf, SourceError>) {
        let mut known = self.known();
        let Some(seen) = known.data.get_mut(want) else { return };
        seen.at = Some(Instant::now());
        if seen.result.replace(result.clone()).is_some_and(|before| before != *result) {
            seen.users.iter().for_each(|user| self.0.changes.send(user.clone()));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a Render wants now. What it wanted before is forgotten.
    fn note(&self, owner: &ObjectKey, want: &Want) {
        let mut known = self.known();
        if known.wants.get(owner) != Some(want) {
            known.forget(owner);
            known.wants.insert(owner.clone(), want.clone());
        }
    }

    async fn data(&self, owner: &ObjectKey, want: DataWant) -> Result<PathBuf, SourceError> {
        {
            let mut known = self.known();
            let seen = known.data.entry(want.clone()).or_default();
            seen.users.insert(owner.clone());
            if let (Some(result), Some(_)) = (&seen.result, seen.at) {
                return result.clone();
            }
        }
        let result = self.read(&want).await;
        self.note_read(&want, &result);
        result
    }

    /// An object of the cluster as a folder.
    async fn read(&self, want: &DataWant) -> Result<PathBuf, SourceError> {
        let unavailable = |message| SourceError::Unreadable(Failure::new(Code::SourceUnavailable, message));
        let key = &want.key;
        let data = match self.0.data.data(key).await {
            Ok(Some(data)) => data,
            Ok(None) => return Err(unavailable(format!("there is no {key}"))),
            Err(error) if error.class() == Class::Terminal => return Err(unavailable(format!("{error}"))),
            Err(error) => return Err(unavailable(format!("{key} cannot be read: {error}"))),
        };
        let files = files_of(data, want).map_err(|message| unavailable(format!("{key}: {message}")))?;
        let cache = self.0.cache.clone();
        blocking(move || {
            let fill = |folder: &Path| write(folder, &files);
            cache.put(&format!("data-{}", digest(&files)), fill).map_err(|error| super::unreadable(&error))
        })
        .await
    }

    async fn archive(&self, owner: &ObjectKey, want: ArchiveWant) -> Result<PathBuf, SourceError> {
        let (cache, name) = (self.0.cache.clone(), format!("archive-{}", want.sha256));
        if let Some(folder) = blocking(move || cache.get(&name)).await {
            self.known().archives.remove(&want);
            return Ok(folder);
        }
        let url = Url::parse(&want.url).map_err(|error| {
            let message = format!("spec.source.archive.url: {error}");
            SourceError::Invalid(Failure::new(Code::SpecInvalid, message))
        })?;
        let coming = SourceError::Coming(format!("{} is being fetched", download::shown(&url)));
        {
            let mut known = self.known();
            let fresh = || Download { state: DownloadState::UnderWay, failures: 0, users: BTreeSet::new() };
            let is_new = !known.archives.contains_key(&want);
            let download = known.archives.entry(want.clone()).or_insert_with(fresh);
            download.users.insert(owner.clone());
            match &download.state {
                DownloadState::UnderWay if is_new => {}
                DownloadState::UnderWay => return Err(coming),
                DownloadState::Failed(failure, None) => return Err(SourceError::Invalid(failure.clone())),
                DownloadState::Failed(failure, Some(again)) if Instant::now() < *again => {
                    return Err(SourceError::Unreadable(failure.clone()));
                }
                DownloadState::Failed(..) => download.state = DownloadState::UnderWay,
            }
        }
        let fetched = self.clone();
        tokio::spawn(async move {
            let result = fetched.fetch(&url, &want.sha256).await;
            fetched.fetched(&want, result);
        });
        Err(coming)
    }

    async fn fetch(&self, url: &Url, sha256: &str) -> Result<(), Problem> {
        let Ok(_turn) = self.0.downloads.acquire().await else { unreachable!("it is never closed") };
        let disk = |error: &std::io::Error| Problem::Passing(Failure::new(Code::IoFailed, error.to_string()));
        let cache = self.0.cache.clone();
        let folder = blocking(move || cache.unfinished()).await.map_err(|error| disk(&error))?;
        let path = folder.path().join("archive");
        let mut file = fs::OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path);
        let mut file = file.as_mut().map_err(|error| disk(error))?.try_clone().map_err(|error| disk(&error))?;
        self.0.downloader.download(url, sha256, &mut file).await?;
        let (cache, name) = (self.0.cache.clone(), format!("archive-{sha256}"));
        let unpacked = blocking(move || {
            use std::io::Seek as _;
            file.rewind()?;
            let result = cache.put(&name, |to| unpack::unpack(&mut file, to));
            drop(folder);
            result
        });
        match unpacked.await {
            Ok(_) => Ok(()),
            Err(unpack::Problem::Archive(failure)) => Err(Problem::Final(failure)),
            Err(unpack::Problem::Disk(error)) => Err(disk(&error)),
        }
    }

    /// A download has ended: whoever waits for it is told.
    fn fetched(&self, want: &ArchiveWant, result: Result<(), Problem>) {
        let mut known = self.known();
        let Some(download) = known.archives.get_mut(want) else { return };
        let users = download.users.clone();
        match result {
            Ok(()) => drop(known.archives.remove(want)),
            Err(problem) => {
                download.failures = download.failures.saturating_add(1);
                let pause = backoff(Class::Throttled, download.failures, 1.0);
                download.state = match problem {
                    Problem::Final(failure) => DownloadState::Failed(failure, None),
                    Problem::Passing(failure) => DownloadState::Failed(failure, Some(Instant::now() + pause)),
                };
            }
        }
        users.into_iter().for_each(|user| self.0.changes.send(user));
    }
}

impl Known {
    fn forget(&mut self, owner: &ObjectKey) {
        match self.wants.remove(owner) {
            Some(Want::Data(want)) => {
                if let Some(seen) = self.data.get_mut(&want)
                    && seen.users.remove(owner)
                    && seen.users.is_empty()
                {
                    self.data.remove(&want);
                }
            }
            Some(Want::Archive(want)) => {
                if let Some(download) = self.archives.get_mut(&want)
                    && download.users.remove(owner)
                    && download.users.is_empty()
                    && matches!(download.state, DownloadState::Failed(..))
                {
                    self.archives.remove(&want);
                }
            }
            None => {}
        }
    }

    /// Whose turn it is to be read after one, round and round.
    fn next_after(&self, last: Option<&DataWant>) -> Option<DataWant> {
        use std::ops::Bound::{Excluded, Unbounded};
        let behind = last.and_then(|last| self.data.range((Excluded(last), Unbounded)).next());
        behind.or_else(|| self.data.iter().next()).map(|(want, _)| want.clone())
    }
}

/// The files that an object's data become, by path.
fn files_of(mut data: Data, want: &DataWant) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    if want.items.is_empty() {
        return Ok(data.0.into_iter().map(|(key, bytes)| (key.into(), bytes)).collect());
    }
    let mut files = BTreeMap::new();
    for (key, path) in &want.items {
        let to = unpack::below(path).filter(|path| !path.as_os_str().is_empty());
        let to = to.ok_or_else(|| format!("{path:?} is no path of a file below the project"))?;
        let bytes = data.0.get_mut(key).ok_or_else(|| format!("it has no key {key:?}"))?.clone();
        if files.keys().any(|other: &PathBuf| other.starts_with(&to) || to.starts_with(other)) {
            return Err(format!("{path:?} is in the way of another of its files"));
        }
        files.insert(to, bytes);
    }
    Ok(files)
}

fn digest(files: &BTreeMap<PathBuf, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        let path = path.as_os_str().as_encoded_bytes();
        for part in [path, bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex::encode(hash.finalize())
}

fn write(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// A folder of an archive.
fn within(folder: &Path, path: &str) -> Result<PathBuf, SourceError> {
    let found = unpack::below(path).map(|path| folder.join(path)).filter(|found| found.is_dir());
    found.ok_or_else(|| {
        let message = format!("spec.source.archive.path: there is no folder {path:?} in the archive");
        SourceError::Invalid(Failure::new(Code::ProjectNotFound, message))
    })
}

#[cfg(test)]
mod tests;
