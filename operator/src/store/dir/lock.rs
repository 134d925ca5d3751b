//! One process per folder.

use std::{fs::File, path::Path};

use fs_err as fs;
use nix::fcntl::{Flock, FlockArg};

use super::layout::Layout;
use crate::{error::Error, files};

/// Held while this process works on a folder; let go when it ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes a folder.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it; [`Error::ForeignState`] when the state is kept elsewhere and is that of
    /// another folder; an I/O error when there is no regular file to lock.
    pub fn take(layout: &Layout) -> Result<Self, Error> {
        files::create_dir_all(&layout.state())?;
        let path = layout.state().join("lock");
        if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            // Fails on whatever else is there under this name.
            fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        }
        match Flock::lock(File::from(fs::File::open(&path)?), FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                note_root(layout, &path)?;
                Ok(Self { _file: file })
            }
            Err(_) => Err(Error::Locked(layout.root().to_owned())),
        }
    }

    /// Whether some process has a folder.
    #[must_use]
    pub fn is_taken(layout: &Layout) -> bool {
        let file = fs::File::open(layout.state().join("lock"));
        file.is_ok_and(|file| Flock::lock(File::from(file), FlockArg::LockSharedNonblock).is_err())
    }
}

/// State beside its folder moves with it; state elsewhere says in its lock whose it is.
fn note_root(layout: &Layout, lock: &Path) -> Result<(), Error> {
    if layout.is_self_contained() {
        return Ok(());
    }
    let (known, root) = (files::read_text(lock)?, layout.root());
    if known.is_empty() {
        fs::write(lock, root.as_os_str().as_encoded_bytes())?;
    } else if known.as_bytes() != root.as_os_str().as_encoded_bytes() {
        return Err(Error::ForeignState { state: layout.status().to_owned(), root: known.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_a_folder_and_one_folder_has_a_state() {
        let (root, other, state) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let layout = |root: &tempfile::TempDir| Layout::new(root.path().to_owned(), Some(state.path().to_owned()));
        let lock = Lock::take(&layout(&root)).unwrap();
        assert!(Lock::is_taken(&layout(&root)));
        assert!(matches!(Lock::take(&layout(&root)), Err(Error::Locked(_))));
        drop(lock);
        assert!(!Lock::is_taken(&layout(&root)));
        assert!(matches!(Lock::take(&layout(&other)), Err(Error::ForeignState { .. })));
        drop(Lock::take(&layout(&root)).unwrap());
        nix::unistd::mkfifo(&other.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let fifo = Layout::new(other.path().to_owned(), None);
        fs::create_dir_all(fifo.state()).unwrap();
        fs::rename(other.path().join("fifo"), fifo.state().join("lock")).unwrap();
        assert!(matches!(Lock::take(&fifo), Err(Error::Io(_))), "a pipe is not waited for");
    }
}
