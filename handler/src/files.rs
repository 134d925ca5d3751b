//! File operations that name the path in their error. Files are only ever made anew, in folders of ours.

#![expect(clippy::disallowed_methods, reason = "this module is the one that touches the file system")]

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crds::Code;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::NotWritable,
            _ => Code::IoFailed,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A failure another library reported for a path of ours.
pub(crate) fn error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error { action, path: path.to_owned(), source }
}

fn named<T>(result: io::Result<T>, action: &'static str, path: &Path) -> Result<T> {
    result.map_err(|source| error(action, path, source))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    named(fs::read(path), "read", path)
}

/// A new file, in a folder that is made if need be. What is there already is never replaced or followed.
pub(crate) fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        create_dir(folder)?;
    }
    named(File::options().write(true).create_new(true).open(path), "create", path)
}

/// A new program, open for writing.
pub(crate) fn create_program(path: &Path) -> Result<File> {
    named(File::options().write(true).create_new(true).mode(0o755).open(path), "create", path)
}

/// Beginning of the names of work folders.
const WORK_FOLDER: &str = "hf-lambda-";

/// A new folder that goes when it is dropped. Its name says whose it is, so that a later process knows it for a dead one's.
pub(crate) fn work_folder(scratch: &Path) -> Result<TempDir> {
    let prefix = format!("{WORK_FOLDER}{}-", std::process::id());
    named(tempfile::Builder::new().prefix(&prefix).tempdir_in(scratch), "create folder in", scratch)
}

/// Removes work folders of processes that are no more: an invocation that was ended by force cannot do it itself.
pub(crate) fn sweep(scratch: &Path) {
    for name in names(scratch) {
        let pid =
            name.strip_prefix(WORK_FOLDER).and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid.parse::<u32>());
        let dead = pid.is_some_and(|pid| pid.is_ok_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()));
        if dead {
            remove_dir(&scratch.join(name));
        }
    }
}

/// Whether something is there and belongs to this user: others may write into a folder for temporary files too.
pub(crate) fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.uid() == nix::unistd::getuid().as_raw())
}

pub(crate) fn symlink(to: &Path, path: &Path) -> Result<()> {
    named(std::os::unix::fs::symlink(to, path), "link", path)
}

pub(crate) fn open(path: &Path) -> Result<File> {
    named(File::open(path), "read", path)
}

pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = create(path)?;
    named(io::Write::write_all(&mut file, content), "write", path)
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    named(fs::create_dir_all(path), "create folder", path)
}

/// One file under two names.
pub(crate) fn link(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        create_dir(folder)?;
    }
    named(fs::hard_link(from, to), "link", to)
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    named(fs::rename(from, to), "rename", to)
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Removes a folder and all in it, or as much of it as can be.
pub(crate) fn remove_dir(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

/// Names of a folder's entries; none when there is no such folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Bytes of a file.
pub(crate) fn size(path: &Path) -> Result<u64> {
    Ok(named(fs::metadata(path), "read", path)?.len())
}

/// Bytes that can still be written below a folder.
pub(crate) fn free_space(folder: &Path) -> Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder).map_err(io::Error::from);
    let found = named(found, "measure", folder)?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// Size of a file and its SHA-256, hexadecimal.
pub(crate) fn digest(path: &Path) -> Result<(u64, String)> {
    let (bytes, digest) = digest_part(path, 0, u64::MAX)?;
    Ok((bytes, hex::encode(digest)))
}

/// Size and SHA-256 of at most `length` bytes of a file.
pub(crate) fn digest_part(path: &Path, offset: u64, length: u64) -> Result<(u64, [u8; 32])> {
    let mut file = open(path)?;
    named(file.seek(SeekFrom::Start(offset)), "read", path)?;
    let mut hash = Sha256::new();
    let bytes = named(io::copy(&mut file.take(length), &mut HashWriter(&mut hash)), "read", path)?;
    Ok((bytes, hash.finalize().into()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of bytes, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
