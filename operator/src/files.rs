//! File operations that name the path in their error, and writing that is either whole or absent.

#![expect(clippy::disallowed_methods, reason = "this module is the one that touches the file system")]

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Names the path in a failed file operation.
pub(crate) trait Named<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::File { action, path: path.to_owned(), source })
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).named("read", path)
}

/// The text of a file that may not be there.
pub(crate) fn read_text_if_any(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.named("read", path).map(Some),
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).named("create folder", path)
}

/// Writes a file: whoever reads it sees the old content or the new, also after a power cut.
pub(crate) fn write_atomic(path: &Path, content: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir(folder)?;
    let readable = fs::Permissions::from_mode(0o666); // less the umask, as for any file
    let temporary = tempfile::Builder::new().prefix(".tmp-").permissions(readable).tempfile_in(folder);
    let mut file = temporary.named("write", path)?;
    file.write_all(content.as_bytes()).named("write", path)?;
    file.as_file().sync_all().named("write", path)?;
    file.persist(path).map_err(|error| error.error).named("write", path)?;
    Ok(())
}

/// Adds a line to a file.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<(), Error> {
    let mut file = File::options().create(true).append(true).open(path).named("write", path)?;
    file.write_all(format!("{line}\n").as_bytes()).named("write", path)
}

/// Removes a file or folder, which may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.named("remove", path),
    }
}

/// Moves a file or folder within a file system.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).named("rename", from)
}

/// The entries of a folder, sorted; none if it is not there.
pub(crate) fn list(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// SHA-256 of a file's content in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    feed(&mut hash, path)?;
    Ok(hex(&hash.finalize()))
}

/// Adds a file's content to a hash.
pub(crate) fn feed(hash: &mut Sha256, path: &Path) -> Result<(), Error> {
    let mut file = File::open(path).named("read", path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).named("read", path)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
