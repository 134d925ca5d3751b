//! SHA-256 of projects and videos, kept while nothing changes.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crds::project::is_skipped;
use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::{
    error::Error,
    files::{self, Named as _},
};

/// Digests of folders and files, kept until something says they may have changed.
#[derive(Debug, Default)]
pub struct Digests {
    sites: RefCell<HashMap<PathBuf, Site>>,
    files: RefCell<HashMap<PathBuf, (Stamp, String)>>,
}

#[derive(Debug)]
struct Site {
    digest: String,
    stamps: Vec<(PathBuf, Stamp)>,
    /// The stamps are to be compared before the digest is believed.
    doubted: bool,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Self { size: meta.size(), modified, changed, inode: meta.ino() }
    }
}

impl Digests {
    /// Forgets the digests of folders that hold any of these paths, or lie in them.
    pub fn forget(&self, paths: &[PathBuf]) {
        let related = |site: &Path| {
            paths.iter().any(|path| match path.strip_prefix(site) {
                Ok(inside) => !inside.iter().next().is_some_and(is_skipped),
                Err(_) => site.starts_with(path),
            })
        };
        self.sites.borrow_mut().retain(|site, _| !related(site));
    }

    /// Has every folder looked at again: its files are read only if one looks different.
    pub fn doubt(&self) {
        self.sites.borrow_mut().values_mut().for_each(|site| site.doubted = true);
    }

    /// The project folders that were asked for.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.sites.borrow().keys().cloned().collect()
    }

    /// SHA-256 of a project.
    pub(super) fn site(&self, folder: &Path) -> Result<String, Error> {
        let mut sites = self.sites.borrow_mut();
        let known = sites.get_mut(folder);
        if let Some(site) = known.as_ref().filter(|site| !site.doubted) {
            return Ok(site.digest.clone());
        }
        // Taken before the files are read: what is written meanwhile differs from it.
        let stamps = stamps(folder)?;
        if let Some(site) = known.filter(|site| site.stamps == stamps) {
            site.doubted = false;
            return Ok(site.digest.clone());
        }
        let digest = site_digest(folder)?;
        sites.insert(folder.to_owned(), Site { digest: digest.clone(), stamps, doubted: false });
        Ok(digest)
    }

    /// SHA-256 of a file, if it is there.
    pub(super) fn file(&self, path: &Path) -> Option<String> {
        let stamp = Stamp::of(&path.metadata().ok()?);
        if let Some((known, digest)) = self.files.borrow().get(path)
            && *known == stamp
        {
            return Some(digest.clone());
        }
        let digest = files::sha256(path).ok()?;
        self.files.borrow_mut().insert(path.to_owned(), (stamp, digest.clone()));
        Some(digest)
    }
}

/// Everything in a project, sorted by name.
fn entries(folder: &Path) -> impl Iterator<Item = Result<DirEntry, Error>> {
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| entry.depth() != 1 || !is_skipped(entry.file_name())).map(move |entry| {
        entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            Error::File { action: "read", path, source: error.into() }
        })
    })
}

fn stamps(folder: &Path) -> Result<Vec<(PathBuf, Stamp)>, Error> {
    let stamp = |entry: DirEntry| {
        let path = entry.into_path();
        let meta = path.symlink_metadata().named("read", &path)?;
        Ok((path, Stamp::of(&meta)))
    };
    entries(folder).map(|entry| entry.and_then(stamp)).collect()
}

/// SHA-256 over a project's files: upstream's site hash (of which upstream uses the first 16 digits), and where a
/// symbolic link leads, which upstream leaves out.
fn site_digest(folder: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for entry in entries(folder) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let mut name = || {
            hash.update(relative.as_os_str().as_encoded_bytes());
            hash.update(b"\0");
        };
        if entry.file_type().is_file() {
            name();
            files::feed(&mut hash, entry.path())?;
        } else if entry.file_type().is_symlink() {
            name();
            let target = entry.path().read_link().unwrap_or_default();
            hash.update(target.as_os_str().as_encoded_bytes());
        }
    }
    Ok(files::hex(&hash.finalize()))
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
            files::write_atomic(&folder.path().join(path), content).unwrap();
        }
        assert_eq!(site_digest(folder.path()).unwrap()[..16], *"d8baea9c528ea2df");
    }
}
