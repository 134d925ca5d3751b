//! Folders of our own that go away with us.

use std::{
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use nix::{
    fcntl::{Flock, FlockArg, RenameFlags, renameat2},
    unistd::syncfs,
};

use super::{Error, NewFolders, Result, open_regular, parent_of};

/// A folder of our own: removed on drop, and when we are killed, by the next process that makes one in the same place.
/// A held file lock tells the living from the dead.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: Flock<std::fs::File>,
    // Last: they can be removed when there is nothing in them any more.
    made: NewFolders,
}

/// The lock file inside. It gets this name once it is locked, so whoever finds it unlocked knows that its owner is gone.
const LOCK: &str = ".lock";
const LOCK_TO_BE: &str = ".lock-to-be";
/// What the lock file says: only a folder with such a file is removed with everything in it.
const MARK: &[u8] = b"A scratch folder of hf-producer, which removes it.\n";
/// Between making a folder and locking it, a process may be this slow before its folder counts as abandoned.
const GRACE: Duration = Duration::from_mins(1);

impl Scratch {
    /// A new folder `<prefix><random>` in `parent` (created if missing), after removing the abandoned ones beside it.
    pub(crate) fn new(parent: &Path, prefix: &str) -> Result<Self> {
        /// Another process may remove the folders that it had made just before we use them.
        const TRIES: u32 = 100;
        // Whoever makes the same folder is told that it exists, and then finds that it does not.
        let races = [io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists];
        let gone = |error: &Error| matches!(error, Error::Write(error) if races.contains(&error.kind()));
        let mut tries = 0;
        let (made, folder) = loop {
            tries += 1;
            match new_in(parent, prefix) {
                Err(error) if gone(&error) && tries < TRIES => {}
                made => break made?,
            }
        };
        let lock = lock_new(folder.path()).map_err(Error::Write)?;
        Ok(Self { path: folder.keep(), _lock: lock, made })
    }

    /// A new folder beside a file or folder that is to be written, so that a rename finishes it.
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        Self::new(parent_of(target), ".hf-part-")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a finished file or folder of this scratch folder the target, at once, so that it outlives a power cut.
    pub(crate) fn publish(&mut self, finished: &Path, target: &Path) -> Result<()> {
        self.move_to(finished, target).map_err(Error::Write)?;
        self.made.keep();
        Ok(())
    }

    fn move_to(&self, finished: &Path, target: &Path) -> io::Result<()> {
        let is_folder = finished.is_dir();
        let opened = fs::File::open(finished)?;
        if is_folder {
            // One call for all files and folders in it: as many single ones would each wait for the disk.
            syncfs(opened.file())?;
        } else {
            opened.sync_all()?;
        }
        if is_folder && target.is_dir() {
            let exchange = RenameFlags::RENAME_EXCHANGE;
            let here = nix::fcntl::AT_FDCWD;
            if renameat2(here, finished, here, target, exchange).is_err() {
                // Not every file system can.
                fs::rename(target, self.path.join(".replaced"))?;
                fs::rename(finished, target)?;
            }
        } else {
            fs::rename(finished, target)?;
        }
        fs::File::open(parent_of(target))?.sync_all()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process's sweep.
        let _ = remove(&self.path);
    }
}

fn new_in(parent: &Path, prefix: &str) -> Result<(NewFolders, tempfile::TempDir)> {
    let made = NewFolders::make(parent)?;
    sweep(parent, prefix);
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(Error::Write)?;
    Ok((made, folder))
}

/// Locks a new folder. The lock file cannot be seen under its name before it is locked.
fn lock_new(folder: &Path) -> io::Result<Flock<std::fs::File>> {
    let path = folder.join(LOCK_TO_BE);
    let mut file = fs::File::create_new(&path)?;
    file.write_all(MARK)?;
    let lock = Flock::lock(file.into_parts().0, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        let message = format!("cannot lock {}: {errno}", path.display());
        io::Error::new(io::Error::from(errno).kind(), message)
    })?;
    fs::rename(&path, folder.join(LOCK))?;
    Ok(lock)
}

/// Removes a folder, its lock last: when we are stopped in between, the next one goes on.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => fs::remove_dir_all(entry.path())?,
            _ if entry.file_name() == LOCK => {}
            _ => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_dir_all(folder)
}

fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = remove_if_abandoned(&entry.path());
        }
    }
}

fn remove_if_abandoned(folder: &Path) -> io::Result<()> {
    let path = folder.join(LOCK);
    let meta = match fs::symlink_metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove_if_never_locked(folder),
        Err(error) => return Err(error),
    };
    let marked = meta.is_file() && super::head(&path, MARK.len() as u64).is_ok_and(|mark| mark == MARK);
    let Ok(file) = open_regular(&path) else { return Ok(()) };
    let (true, Ok(lock)) = (marked, Flock::lock(file.into_parts().0, FlockArg::LockExclusiveNonblock)) else {
        return Ok(());
    };
    // Whoever swept at the same time may have removed the folder we looked at.
    let (held, there) = (lock.metadata()?, fs::symlink_metadata(&path)?);
    if (held.dev(), held.ino()) == (there.dev(), there.ino()) { remove(folder) } else { Ok(()) }
}

/// Its process ended between making and locking it: there is nothing in it but, perhaps, the file it wanted to lock.
fn remove_if_never_locked(folder: &Path) -> io::Result<()> {
    let age = fs::symlink_metadata(folder)?.modified()?.elapsed().unwrap_or_default();
    if age > GRACE {
        let _ = fs::remove_file(folder.join(LOCK_TO_BE));
        fs::remove_dir(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::FileTimes, time::SystemTime};

    use super::*;

    const PREFIX: &str = ".hf-part-";

    fn old(folder: &Path) {
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        fs::File::open(folder).unwrap().set_times(times).unwrap();
    }

    #[test]
    fn abandoned_scratch_folders_are_removed_and_living_ones_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| parent.path().join(format!("{PREFIX}{name}"));
        let living = Scratch::new(parent.path(), PREFIX).unwrap();
        fs::create_dir_all(folder("dead").join("deep")).unwrap();
        fs::write(folder("dead").join(LOCK), MARK).unwrap();
        for name in ["fresh", "unlocked"] {
            fs::create_dir(folder(name)).unwrap();
            fs::write(folder(name).join(LOCK_TO_BE), MARK).unwrap();
        }
        old(&folder("unlocked"));

        let newest = Scratch::new(parent.path(), PREFIX).unwrap();

        assert!(living.path().exists() && newest.path().exists() && folder("fresh").exists());
        assert!(!folder("dead").exists() && !folder("unlocked").exists());
        let path = newest.path().to_owned();
        drop(newest);
        assert!(!path.exists());
    }

    /// A folder of somebody else, whatever its name and whatever is called like our lock, is neither removed nor waited for.
    #[test]
    fn what_has_no_mark_of_ours_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| parent.path().join(format!("{PREFIX}{name}"));
        for name in ["theirs", "empty-lock", "pipe", "folder", "link"] {
            fs::create_dir(folder(name)).unwrap();
            fs::write(folder(name).join("letter"), "dear").unwrap();
        }
        fs::write(folder("empty-lock").join(LOCK), "").unwrap();
        nix::unistd::mkfifo(&folder("pipe").join(LOCK), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(folder("folder").join(LOCK)).unwrap();
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join(LOCK), MARK).unwrap();
        std::os::unix::fs::symlink(outside.join(LOCK), folder("link").join(LOCK)).unwrap();
        std::os::unix::fs::symlink("outside", folder("linked")).unwrap();
        for name in ["theirs", "empty-lock", "pipe", "folder", "link"] {
            old(&folder(name));
        }

        drop(Scratch::new(parent.path(), PREFIX).unwrap());

        for name in ["theirs", "empty-lock", "pipe", "folder", "link"] {
            assert!(folder(name).join("letter").exists(), "{name}");
        }
        assert!(outside.join(LOCK).exists() && folder("linked").exists());
    }

    #[test]
    fn many_at_once_never_take_each_others_folders() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("deep/place");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let scratch = Scratch::new(&place, PREFIX).unwrap();
                        fs::write(scratch.path().join("file"), "x").unwrap();
                        assert!(scratch.path().join(LOCK).exists());
                    }
                });
            }
        });
        // Whoever finds the place made by another leaves it; no scratch folder stays.
        let left = fs::read_dir(&place).map_or(0, Iterator::count);
        assert_eq!(left, 0);
    }

    #[test]
    fn publishing_replaces_files_and_folders_and_keeps_what_was_made_for_them() {
        let parent = tempfile::tempdir().unwrap();
        for is_folder in [false, true] {
            let target = parent.path().join(format!("new/target-{is_folder}"));
            for content in ["old", "new"] {
                let mut scratch = Scratch::beside(&target).unwrap();
                let finished = scratch.path().join("finished");
                let file = if is_folder { finished.join("file") } else { finished.clone() };
                fs::create_dir_all(parent_of(&file)).unwrap();
                fs::write(&file, content).unwrap();
                scratch.publish(&finished, &target).unwrap();
                drop(scratch);
                let file = if is_folder { target.join("file") } else { target.clone() };
                assert_eq!(fs::read_to_string(file).unwrap(), content);
            }
        }
        assert_eq!(fs::read_dir(parent.path().join("new")).unwrap().count(), 2);
    }
}
