//! SHA-256 of projects, kept while nothing changes.

use std::{
    collections::{BTreeSet, HashMap},
    fs::Metadata,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crds::project::{IGNORE_FILE, Skipped};
use fs_err::{self as fs, File};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::files;

/// Digests of folders, kept until something says they may have changed.
#[derive(Debug, Default)]
pub(super) struct Digests {
    /// By folder. Each has a lock of its own: a large one keeps nobody from a small one, and is read by one at a time.
    sites: Mutex<HashMap<PathBuf, Arc<Mutex<Option<Site>>>>>,
}

#[derive(Debug)]
struct Site {
    digest: String,
    stamps: Vec<(PathBuf, Stamp)>,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Self { size: meta.size(), modified, changed, inode: meta.ino() }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// How long ago the file was written to; `None` for a time to come.
    pub(crate) fn age(&self) -> Option<Duration> {
        let since_epoch = Duration::new(u64::try_from(self.modified.0).ok()?, u32::try_from(self.modified.1).ok()?);
        (SystemTime::UNIX_EPOCH + since_epoch).elapsed().ok()
    }

    /// Of a file, links followed; `None` where none is.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        path.metadata().ok().filter(Metadata::is_file).map(|meta| Self::of(&meta))
    }
}

impl Digests {
    /// Forgets the digests of folders that hold any of these paths, or lie in them; names these folders.
    pub(super) fn invalidate(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        // What only an ignore file leaves out comes to the same digest again.
        let skipped = Skipped::everywhere();
        let related = |site: &Path| {
            paths.iter().any(|path| match path.strip_prefix(site) {
                Ok(inside) => !skipped.skips(inside, false),
                Err(_) => site.starts_with(path),
            })
        };
        let related: Vec<_> = self.sites().extract_if(|site, _| related(site)).collect();
        related.into_iter().map(|(site, _)| site).collect()
    }

    /// Forgets the digests of folders in which any file looks different, and names these folders; and of all but the
    /// `wanted` ones.
    pub(super) fn revalidate(&self, wanted: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        self.sites().retain(|folder, _| wanted.contains(folder));
        let sites: Vec<_> = self.sites().iter().map(|(folder, site)| (folder.clone(), Arc::clone(site))).collect();
        let differs = |folder: &Path, site: &Mutex<Option<Site>>| {
            let site = lock(site);
            site.as_ref().is_some_and(|site| stamps(folder).ok().as_ref() != Some(&site.stamps))
        };
        let changed: Vec<_> =
            sites.into_iter().filter(|(folder, site)| differs(folder, site)).map(|(folder, _)| folder).collect();
        self.sites().retain(|folder, _| !changed.contains(folder));
        changed
    }

    /// SHA-256 of a project.
    pub(super) fn site(&self, folder: &Path) -> io::Result<String> {
        let site = Arc::clone(self.sites().entry(folder.to_owned()).or_default());
        let mut site = lock(&site);
        if let Some(known) = &*site {
            return Ok(known.digest.clone());
        }
        // Taken before the files are read: what is written meanwhile differs from it.
        let stamps = stamps(folder)?;
        let digest = site_digest(folder)?;
        *site = Some(Site { digest: digest.clone(), stamps });
        Ok(digest)
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Mutex<Option<Site>>>>> {
        lock(&self.sites)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What in a folder is no part of the project.
pub(super) fn skipped(project: &Path) -> io::Result<Skipped> {
    let (path, invalid) = (project.join(IGNORE_FILE), |reason| io::Error::new(io::ErrorKind::InvalidData, reason));
    if path.is_symlink() {
        return Err(invalid(format!("{IGNORE_FILE} is a link: put the file itself there")));
    }
    Skipped::of(files::read_text_if_any(&path)?.as_deref()).map_err(invalid)
}

/// Everything in a project, sorted by name.
pub(super) fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<DirEntry>>> {
    let skipped = skipped(folder)?;
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    let entries = walk.filter_entry(move |entry| {
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        entry.depth() == 0 || !skipped.skips(path, entry.file_type().is_dir())
    });
    Ok(entries.map(|entry| entry.map_err(io::Error::from)))
}

fn stamps(folder: &Path) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let stamp = |entry: DirEntry| {
        let meta = fs::symlink_metadata(entry.path())?;
        Ok((entry.into_path(), Stamp::of(&meta)))
    };
    entries(folder)?.map(|entry| entry.and_then(stamp)).collect()
}

/// SHA-256 over a project's files: upstream's site hash (of which upstream uses the first 16 digits), and where a
/// symbolic link leads, which upstream leaves out. Pipes and devices are not opened.
pub(super) fn site_digest(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for entry in entries(folder)? {
        let entry = entry?;
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        hash_entry(&mut hash, relative, &entry)?;
    }
    Ok(hex::encode(hash.finalize()))
}

/// What comes before an entry's content in the site's hash.
pub(super) fn hash_name(hash: &mut Sha256, relative: &Path) {
    hash.update(relative.as_os_str().as_encoded_bytes());
    hash.update(b"\0");
}

/// An entry's share of the site's hash.
pub(super) fn hash_entry(hash: &mut Sha256, relative: &Path, entry: &DirEntry) -> io::Result<()> {
    if entry.file_type().is_file() {
        hash_name(hash, relative);
        feed(hash, entry.path())?;
    } else if entry.file_type().is_symlink() {
        hash_name(hash, relative);
        let target = fs::read_link(entry.path())?;
        hash.update(target.as_os_str().as_encoded_bytes());
    }
    Ok(())
}

/// SHA-256 of a file's content in hexadecimal.
pub(crate) fn file_digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    feed(&mut hash, path)?;
    Ok(hex::encode(hash.finalize()))
}

fn feed(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by running upstream's hash.
    #[test]
    fn the_site_digest_is_upstreams() {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [
            (".hidden", "h"),
            ("assets/a.css", "body{}"),
            ("b/c.txt", "1"),
            ("b.txt", "2"),
            ("index.html", "<html></html>"),
            ("sub/dist/z", "kept"),
            ("node_modules/x/y.js", "ignored"),
            ("dist/z", "ignored"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
        }
        assert_eq!(site_digest(folder.path()).unwrap()[..16], *"d8baea9c528ea2df");
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(site_digest(folder.path()).unwrap()[..16], *"d8baea9c528ea2df", "a pipe is not waited for");
    }
}
