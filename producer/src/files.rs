//! File operations that name the path in their error, and writing that is either whole or absent.

#![expect(clippy::disallowed_methods, reason = "this module is the one that touches the file system")]

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crds::Code;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}{}", path.display(), advice(self.code()))]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// The stable code: the disk is full, the place is not writable, or anything else.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if self.action != "read" => {
                Code::NotWritable
            }
            _ => Code::IoFailed,
        }
    }

    /// The file or folder it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn advice(code: Code) -> &'static str {
    match code {
        Code::DiskFull => ": free some space and run this again",
        Code::NotWritable => ": choose a folder you may write to",
        _ => "",
    }
}

type Result<T> = std::result::Result<T, Error>;

trait Named<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error { action, path: path.to_owned(), source })
    }
}

/// A failure another library reported for a path of ours.
pub(crate) fn error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error { action, path: path.to_owned(), source }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).named("read", path)
}

pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).named("read", path)
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).named("create folder", path)
}

/// Creates a folder only this user may look into. One that somebody else made in a shared place is refused.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    if made.is_err() {
        let meta = fs::symlink_metadata(path).named("create folder", path)?;
        if !meta.is_dir() || meta.uid() != nix::unistd::getuid().as_raw() || meta.mode() & 0o077 != 0 {
            return Err(error("use folder", path, io::ErrorKind::PermissionDenied.into()));
        }
    }
    Ok(())
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).named("write", path)
}

/// Copies one regular file, creating its folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        create_dir(folder)?;
    }
    fs::copy(from, to).map(drop).named("write", to)
}

/// Size in bytes and SHA-256 in hexadecimal of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).named("read", path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        match file.read(&mut buffer).named("read", path)? {
            0 => return Ok((size, hex(&hash.finalize()))),
            count => {
                hash.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder of our own that goes away with us: removed on drop, and when we are killed, by the next process that
/// makes one in the same place. A held file lock tells the living from the dead.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Scratch folders are named `<prefix><random>`; the lock file inside is named this.
const LOCK: &str = ".lock";
/// Between making a folder and locking it, a process may be this slow before its folder counts as abandoned.
const LOCK_GRACE: Duration = Duration::from_mins(1);

impl Scratch {
    /// A new folder in `parent` (created if missing), after removing the abandoned ones beside it.
    pub(crate) fn new(parent: &Path, prefix: &str) -> Result<Self> {
        create_dir(parent)?;
        sweep(parent, prefix);
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).named("create a folder in", parent)?;
        let lock = File::create(folder.path().join(LOCK)).named("write", folder.path())?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| error("lock", folder.path(), errno.into()))?;
        Ok(Self { path: folder.keep(), _lock: lock })
    }

    /// A new folder beside a file or folder that is to be written, so that a rename finishes it.
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        Self::new(parent_of(target), ".hf-part-")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a finished file or folder of this scratch folder the target, replacing it at once.
    pub(crate) fn publish(&self, finished: &Path, target: &Path) -> Result<()> {
        File::open(finished).and_then(|file| file.sync_all()).named("write", target)?;
        if target.is_dir() {
            let old = self.path.join(".replaced");
            fs::rename(target, old).named("replace", target)?;
        }
        fs::rename(finished, target).named("write", target)?;
        let parent = parent_of(target);
        File::open(parent).and_then(|folder| folder.sync_all()).named("write", parent)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process's sweep.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes())) {
        let path = entry.path();
        let abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => Flock::lock(lock, FlockArg::LockExclusiveNonblock).is_ok(),
            Err(_) => entry
                .metadata()
                .and_then(|meta| meta.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LOCK_GRACE)),
        };
        if abandoned {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoned_scratch_folders_are_removed_and_living_ones_kept() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::new(parent.path(), "x-").unwrap();
        let dead = parent.path().join("x-dead");
        create_dir(&dead).unwrap();
        write(&dead.join(LOCK), "").unwrap();
        let fresh = parent.path().join("x-fresh");
        create_dir(&fresh).unwrap();

        let newest = Scratch::new(parent.path(), "x-").unwrap();

        assert!(living.path().exists() && newest.path().exists() && fresh.exists());
        assert!(!dead.exists());
        let path = newest.path().to_owned();
        drop(newest);
        assert!(!path.exists());
    }

    #[test]
    fn publishing_replaces_files_and_folders() {
        let parent = tempfile::tempdir().unwrap();
        for folder in [false, true] {
            let target = parent.path().join(format!("target-{folder}"));
            for content in ["old", "new"] {
                let scratch = Scratch::beside(&target).unwrap();
                let finished = scratch.path().join("finished");
                let file = if folder { finished.join("file") } else { finished.clone() };
                create_dir(parent_of(&file)).unwrap();
                write(&file, content).unwrap();
                scratch.publish(&finished, &target).unwrap();
                assert_eq!(read_text(&if folder { target.join("file") } else { target.clone() }).unwrap(), content);
            }
        }
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
