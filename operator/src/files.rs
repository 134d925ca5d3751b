//! File operations that have rules of their own: reading what anybody may have put there, and writing that is either whole
//! or absent. Everything else is `fs-err`, whose errors name the path.

use std::{
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt as _};
use nix::libc::{O_CLOEXEC, O_NONBLOCK};

/// Name of the folder of a folder's state, unless it is kept elsewhere.
pub(crate) const STATUS: &str = ".status";

/// The largest YAML file that is read: some thousand objects.
pub(crate) const LARGEST_TEXT: u64 = 4 << 20;

/// Opens a regular file. A folder, a pipe or a device is an error at once and is never waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK opening a pipe waits for its writer.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let message = format!("{} is not a regular file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// The text of a regular file of at most [`LARGEST_TEXT`] bytes.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    read_text_up_to(path, LARGEST_TEXT)
}

/// The text of a regular file of at most so many bytes.
pub(crate) fn read_text_up_to(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(most + 1).read_to_string(&mut text).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        io::Error::new(error.kind(), message)
    })?;
    if text.len() as u64 > most {
        let message = format!("{} is larger than {} MiB", path.display(), most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// As [`read_text`], of a file that may not be there.
pub(crate) fn read_text_if_any(path: &Path) -> io::Result<Option<String>> {
    match read_text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Whether a write must outlive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It must: something relies on it.
    Durable,
    /// It need not: the old content is as good.
    Fast,
}

/// Writes a file: whoever reads it sees the old content or the new.
pub(crate) fn write_atomic(path: &Path, content: &str, durability: Durability) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir_all(folder)?;
    let readable = std::fs::Permissions::from_mode(0o666); // less the umask, as for any file
    let mut file = tempfile::Builder::new().prefix(".tmp-").permissions(readable).tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    if durability == Durability::Durable {
        file.as_file().sync_all()?;
    }
    persist(file, path)
}

/// Puts a finished file in its place.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|error| {
        let message = format!("cannot write {}: {}", path.display(), error.error);
        io::Error::new(error.error.kind(), message)
    })
}

/// Makes a folder and those it lies in, but never the one that [`STATUS`] lies in: what was taken away, such as a mount, is
/// not made anew.
pub(crate) fn create_dir_all(folder: &Path) -> io::Result<()> {
    let create = || match fs::create_dir(folder) {
        // Another thread may have been faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    };
    match (create(), folder.parent()) {
        (Err(error), Some(parent))
            if error.kind() == io::ErrorKind::NotFound && folder.file_name() != Some(OsStr::new(STATUS)) =>
        {
            create_dir_all(parent)?;
            create()
        }
        (made, _) => made,
    }
}

/// Removes a file, which may be gone already.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes a folder and everything in it, which may be gone already.
pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Runs work that waits for a disk where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
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
            let error = read_text(path).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(LARGEST_TEXT + 1).unwrap();
        assert_eq!(read_text(&large).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_text_if_any(&folder.path().join("absent")).unwrap(), None);
    }

    #[test]
    fn a_folder_that_was_taken_away_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| write_atomic(&folder.path().join(path), "x", Durability::Fast);
        assert_eq!(write("gone/.status/render/a.yaml").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!folder.path().join("gone").exists());
        fs::create_dir(folder.path().join("gone")).unwrap();
        write("gone/.status/.work/0/attempts/a").unwrap();
        write("state/render/a.yaml").unwrap();
    }

    #[test]
    fn a_folder_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        let error = write_atomic(&folder.path().join("a"), "x", Durability::Fast).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
    }
}
