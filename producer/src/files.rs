//! File operations that have rules of their own: only regular files of a sane size are read, and what is written is whole
//! or absent. Everything else is `fs-err`, whose errors name the path.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use crds::{
    Code,
    folder::{OUTPUT_MARK, digested},
};
use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt as _};
use nix::libc::{O_CLOEXEC, O_NOCTTY, O_NONBLOCK};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

mod scratch;

pub(crate) use scratch::Scratch;

/// A file operation failed. The messages name the path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be read.
    #[error("{0}")]
    Read(io::Error),
    /// Something could not be made, written or replaced.
    #[error("{0}{advice}", advice = advice(write_code(.0.kind())))]
    Write(io::Error),
}

impl Error {
    /// The stable code: the disk is full, the place is not writable, or anything else.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Read(_) => Code::IoFailed,
            Self::Write(error) => write_code(error.kind()),
        }
    }
}

/// What a failed write means. A file that is too large or has too long a name would be so again.
pub(crate) fn write_code(kind: io::ErrorKind) -> Code {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::ResourceBusy => Code::NotWritable,
        _ => Code::IoFailed,
    }
}

pub(crate) fn advice(code: Code) -> &'static str {
    match code {
        Code::DiskFull => ": free some space and run this again",
        Code::NotWritable => ": choose a place that you may write to, and check its limits (ulimit -f)",
        _ => "",
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The largest file that is read as a whole, to be parsed: style sheets, scripts, JSON.
pub(crate) const LARGEST_PARSED: u64 = 64 << 20;

/// The largest archive that is read as a whole. What is cut short is not what its digest says.
const LARGEST_ARCHIVE: u64 = 1 << 30;

/// Opens a regular file. A folder, a pipe or a device is an error at once and is never waited for.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    // Without O_NONBLOCK opening a pipe waits for its writer.
    let flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Error::Read)?;
    if file.metadata().map_err(Error::Read)?.is_file() {
        return Ok(file);
    }
    let message = format!("{} is not a regular file", path.display());
    Err(Error::Read(io::Error::new(io::ErrorKind::InvalidInput, message)))
}

/// The content of a regular file of at most [`LARGEST_PARSED`] bytes.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(LARGEST_PARSED + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    if bytes.len() as u64 > LARGEST_PARSED {
        let message = format!("{} is larger than {} MiB", path.display(), LARGEST_PARSED >> 20);
        return Err(Error::Read(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    Ok(bytes)
}

/// The content of a regular file that is no larger than its folder allows: archives.
pub(crate) fn read_large(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(LARGEST_ARCHIVE).read_to_end(&mut bytes).map_err(Error::Read)?;
    Ok(bytes)
}

/// As [`read`], of UTF-8 text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", path.display());
        Error::Read(io::Error::new(io::ErrorKind::InvalidData, message))
    })
}

/// The first bytes of a regular file, at most so many.
pub(crate) fn head(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most).read_to_end(&mut bytes).map_err(Error::Read)?;
    Ok(bytes)
}

/// The first and the last bytes of a regular file, at most so many each, and its size.
pub(crate) fn ends(path: &Path, most: u64) -> Result<(Vec<u8>, Vec<u8>, u64)> {
    let mut file = open_regular(path)?;
    let size = file.metadata().map_err(Error::Read)?.len();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    file.by_ref().take(most).read_to_end(&mut head).map_err(Error::Read)?;
    file.seek(SeekFrom::Start(size.saturating_sub(most))).map_err(Error::Read)?;
    file.take(most).read_to_end(&mut tail).map_err(Error::Read)?;
    Ok((head, tail, size))
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::Write)
}

/// Creates a folder only this user may look into. One that somebody else made in a shared place is refused.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    if std::fs::DirBuilder::new().mode(0o700).create(path).is_err() {
        let meta = fs::symlink_metadata(path).map_err(Error::Write)?;
        if !meta.is_dir() || meta.uid() != nix::unistd::getuid().as_raw() || meta.mode() & 0o077 != 0 {
            let message = format!("{} is no folder of this user alone", path.display());
            return Err(Error::Write(io::Error::new(io::ErrorKind::PermissionDenied, message)));
        }
    }
    Ok(())
}

/// Writes a file of a folder that nobody reads yet.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).map_err(Error::Write)
}

/// A new file in a folder, gone when dropped, unless it is [kept](persist).
pub(crate) fn temporary_in(folder: &Path) -> Result<NamedTempFile> {
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    tempfile::Builder::new().permissions(readable).tempfile_in(folder).map_err(Error::Write)
}

/// Gives a finished file its name.
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> Result<()> {
    file.persist(path).map(drop).map_err(|error| Error::Write(error.error))
}

/// Copies the content of a regular file, creating the copy's folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = open_regular(from)?;
    if let Some(folder) = to.parent() {
        create_dir(folder)?;
    }
    let mut copy = File::create(to).map_err(Error::Write)?;
    // Which of the two failed cannot be told; files that were just opened rarely fail to be read.
    io::copy(&mut source, &mut copy).map(drop).map_err(Error::Write)
}

/// Writes the content of a regular file into a stream.
pub(crate) fn send(from: &Path, to: &mut dyn io::Write) -> Result<()> {
    let mut source = open_regular(from)?;
    io::copy(&mut source, to).and_then(|_| to.flush()).map_err(Error::Write)
}

/// Size in bytes and SHA-256 in hexadecimal of a regular file.
pub(crate) fn digest(path: &Path) -> Result<(u64, String)> {
    let mut file = open_regular(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        match file.read(&mut buffer).map_err(Error::Read)? {
            0 => return Ok((size, hex::encode(hash.finalize()))),
            count => {
                hash.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// Size in bytes of all files of an output folder together, and their digest. What is no regular file is an error.
pub(crate) fn digest_of_folder(folder: &Path) -> Result<(u64, String)> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(Error::Read)?;
    let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != OUTPUT_MARK);
    names.sort_unstable();
    let (mut files, mut size) = (Vec::new(), 0);
    for name in names {
        let (bytes, sha256) = digest(&folder.join(&name))?;
        size += bytes;
        files.push((name, sha256));
    }
    Ok((size, hex::encode(Sha256::digest(digested(&files)))))
}

/// The folder a path lies in.
pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Folders that were made for something that may yet fail: removed again on drop, unless [kept](Self::keep) or in use.
#[derive(Debug, Default)]
pub(crate) struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Makes a folder and those above it.
    pub(crate) fn make(path: &Path) -> Result<Self> {
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Self(missing.map(Path::to_owned).collect());
        create_dir(path)?;
        Ok(made)
    }

    pub(crate) fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One that somebody has put something into meanwhile stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sane_size_are_read_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            for error in [read(path).unwrap_err(), digest(path).unwrap_err(), head(path, 1).unwrap_err()] {
                assert!(error.to_string().contains("not a regular file"), "{error}");
            }
        }
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(LARGEST_PARSED + 1).unwrap();
        let error = read_text(&large).unwrap_err();
        assert!(error.to_string().contains("larger than 64 MiB"), "{error}");
    }

    /// Upstream's vector.
    #[test]
    fn a_folders_digest_is_upstreams() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("frame_000002.png", "two"), ("frame_000001.png", "one"), (OUTPUT_MARK, "x")] {
            write(&folder.path().join(name), content).unwrap();
        }
        let digest = "a1ca7b73201b45a0dbe2d126cda3ac528375676371306f513bceabea4ef5f3a4".to_owned();
        assert_eq!(digest_of_folder(folder.path()).unwrap(), (6, digest));
        fs::create_dir(folder.path().join("deeper")).unwrap();
        assert!(digest_of_folder(folder.path()).is_err());
    }

    #[test]
    fn new_folders_go_away_unless_they_are_kept_or_used() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        drop(NewFolders::make(&deep).unwrap());
        assert!(!folder.path().join("a").exists());
        NewFolders::make(&deep).unwrap().keep();
        assert!(deep.exists());
        let other = NewFolders::make(&folder.path().join("a/b/x/y")).unwrap();
        write(&folder.path().join("a/b/x/file"), "").unwrap();
        drop(other);
        assert!(folder.path().join("a/b/x/file").exists() && !folder.path().join("a/b/x/y").exists());
    }
}
