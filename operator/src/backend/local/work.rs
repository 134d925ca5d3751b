//! The work folder: plans and chunks in the making, by plan hash, shared by attempts and processes.
//!
//! ```text
//! <work>/.plans/<attempt>                 a plan that was just made
//! <work>/.plans/<attempt>.config.json     the configuration it was made with
//! <work>/<plan hash>/plan                 the plan
//! <work>/<plan hash>/chunks/              finished chunks
//! <work>/<plan hash>/attempts/<attempt>   who needs it; once its video is there, what it came to
//! <work>/<plan hash>/.lock                held by whoever works there
//! ```
//!
//! Only what has such a name and such a lock is ever removed.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crds::{Failure, Format, render::OutputStatus};
use fs_err as fs;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};

/// A work folder.
#[derive(Clone, Debug)]
pub(super) struct Work {
    root: PathBuf,
}

/// A plan's folder that nobody else works in while this is held.
#[derive(Debug)]
pub(super) struct PlanLock {
    folder: PathBuf,
    _lock: Flock<File>,
}

/// What an attempt came to, kept until it is released: a controller that ends before it could write that into a status finds
/// it here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AttemptResult {
    pub(super) output: OutputStatus,
    pub(super) warnings: Vec<Failure>,
}

const CONFIG: &str = ".config.json";
/// What nobody has worked on for this long is removed: upstream keeps intermediate files as long.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

impl Work {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where an attempt's plan is made.
    pub(super) fn staging(&self, attempt: &str) -> PathBuf {
        self.root.join(".plans").join(attempt)
    }

    /// Where an attempt's configuration is written.
    pub(super) fn config(&self, attempt: &str) -> PathBuf {
        self.root.join(".plans").join(format!("{attempt}{CONFIG}"))
    }

    /// Takes the folder of a plan for an attempt, if nobody else has it. The plan just made moves there: it is the same as
    /// one that is there, and whole.
    pub(super) fn try_lock(&self, plan_hash: &str, attempt: &str) -> io::Result<Option<PlanLock>> {
        let folder = self.root.join(plan_hash);
        // Written first: whoever has the folder does not remove it while somebody needs it.
        files::write_atomic(&folder.join("attempts").join(attempt), "", Durability::Fast)?;
        let Some(lock) = PlanLock::try_take(&folder)? else { return Ok(None) };
        files::remove_dir_all(&lock.plan())?;
        fs::rename(self.staging(attempt), lock.plan())?;
        Ok(Some(lock))
    }

    /// What an attempt came to, if that was written down.
    pub(super) fn result(&self, attempt: &str) -> Option<AttemptResult> {
        let notes = self.folders().into_iter().map(|folder| folder.join("attempts").join(attempt));
        notes.into_iter().find_map(|note| serde_json::from_str(&files::read_text(&note).ok()?).ok())
    }

    /// Forgets an attempt and those of the same Render before it, and removes every plan folder that nobody needs any more.
    pub(super) fn release(&self, attempt: &str) -> io::Result<()> {
        for folder in self.folders() {
            let notes: Vec<_> = names_in(&folder.join("attempts"))?;
            let notes: Vec<_> = notes.into_iter().filter(|note| note == attempt || is_before(note, attempt)).collect();
            if notes.is_empty() {
                continue;
            }
            for note in notes {
                files::remove_file(&folder.join("attempts").join(note))?;
            }
            if let Some(lock) = PlanLock::try_take(&folder)?
                && lock.is_needed_by_nobody()?
            {
                lock.remove()?;
            }
        }
        for name in names_in(&self.root.join(".plans"))? {
            let staged = name.strip_suffix(CONFIG).unwrap_or(&name);
            if staged == attempt || is_before(staged, attempt) {
                self.forget_staged(staged)?;
            }
        }
        Ok(())
    }

    /// Removes what was only there to make a plan.
    pub(super) fn forget_staged(&self, attempt: &str) -> io::Result<()> {
        files::remove_dir_all(&self.staging(attempt))?;
        files::remove_file(&self.config(attempt))
    }

    /// Removes what nobody has worked on for a week. What cannot be removed now is tried again another time.
    pub(super) fn remove_abandoned(&self) {
        let is_old = |path: &Path| {
            let age = path.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            age.is_some_and(|age| age > ABANDONED)
        };
        for folder in self.folders().into_iter().filter(|folder| is_old(folder)) {
            if let Ok(Some(lock)) = PlanLock::try_take(&folder) {
                let _ = lock.remove();
            }
        }
    }

    /// Plan folders: nothing else is named by 64 hexadecimal digits and has our lock in it.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let hash = |name: &std::ffi::OsStr| {
            name.len() == 64 && name.as_encoded_bytes().iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        let ours = |path: &PathBuf| path.join(".lock").symlink_metadata().is_ok_and(|meta| meta.is_file());
        let entries =
            entries.filter(|entry| hash(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_dir()));
        entries.map(|entry| entry.path()).filter(ours).collect()
    }
}

/// Whether one attempt is an earlier one of the same Render: `hf-<uid>-<number>-<hash>`.
fn is_before(one: &str, other: &str) -> bool {
    let parts = |name: &str| {
        let (rest, _) = name.rsplit_once('-')?;
        let (owner, number) = rest.rsplit_once('-')?;
        Some((owner.to_owned(), number.parse::<i64>().ok()?))
    };
    parts(one).zip(parts(other)).is_some_and(|(one, other)| one.0 == other.0 && one.1 < other.1)
}

/// Names in a folder; none if it is not there.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

impl PlanLock {
    fn try_take(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(".lock");
        let file = File::from(fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path)?);
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(None) };
        // Whoever had it may have removed it between our opening and locking, and another may have made a new one.
        let (held, there) = (lock.metadata()?, path.metadata());
        let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
        Ok(same.then(|| Self { folder: folder.to_owned(), _lock: lock }))
    }

    pub(super) fn plan(&self) -> PathBuf {
        self.folder.join("plan")
    }

    /// Where chunks lie under the names that the producer expects.
    pub(super) fn chunks(&self) -> PathBuf {
        self.folder.join("chunks")
    }

    pub(super) fn chunk(&self, index: u32, format: Format) -> PathBuf {
        self.chunks().join(format!("{index}.{}", format.chunk_extension()))
    }

    /// Writes down what an attempt came to.
    pub(super) fn note_result(&self, attempt: &str, result: &AttemptResult) -> io::Result<()> {
        let text = serde_json::to_string(result).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        files::write_atomic(&self.folder.join("attempts").join(attempt), &text, Durability::Fast)
    }

    fn is_needed_by_nobody(&self) -> io::Result<bool> {
        Ok(names_in(&self.folder.join("attempts"))?.is_empty())
    }

    fn remove(self) -> io::Result<()> {
        files::remove_dir_all(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn work() -> (tempfile::TempDir, Work) {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::new(folder.path().to_owned());
        (folder, work)
    }

    fn locked(work: &Work, attempt: &str) -> Option<PlanLock> {
        fs::create_dir_all(work.staging(attempt)).unwrap();
        work.try_lock(HASH, attempt).unwrap()
    }

    #[test]
    fn a_plan_folder_is_one_attempts_at_a_time_and_goes_with_the_last_that_needs_it() {
        let (folder, work) = work();
        let first = locked(&work, "one").unwrap();
        assert!(locked(&work, "two").is_none());
        fs::create_dir(folder.path().join(HASH).join("chunks")).unwrap();
        drop(first);
        work.release("one").unwrap();
        assert!(folder.path().join(HASH).join("chunks").is_dir(), "the second needs it");
        drop(locked(&work, "two").unwrap());
        work.release("two").unwrap();
        work.release("two").unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".plans"]);
        assert_eq!(fs::read_dir(folder.path().join(".plans")).unwrap().count(), 0);
    }

    #[test]
    fn attempts_before_a_released_one_need_nothing_either() {
        let (folder, work) = work();
        for attempt in ["hf-u-1-abc", "hf-u-2-abc", "hf-u-10-abc", "hf-v-1-abc"] {
            drop(locked(&work, attempt).unwrap());
        }
        work.release("hf-u-2-abc").unwrap();
        let mut left = names_in(&folder.path().join(HASH).join("attempts")).unwrap();
        left.sort();
        assert_eq!(left, ["hf-u-10-abc", "hf-v-1-abc"]);
        work.release("hf-u-10-abc").unwrap();
        work.release("hf-v-1-abc").unwrap();
        assert!(!folder.path().join(HASH).exists());
    }

    #[test]
    fn a_result_is_found_until_it_is_released() {
        let (_folder, work) = work();
        let output = OutputStatus { uri: "u".into(), bytes: 1, sha256: "s".into(), frames: 1, width: 2, height: 2 };
        let result = AttemptResult { output, warnings: Vec::new() };
        let lock = locked(&work, "one").unwrap();
        assert_eq!(work.result("one"), None);
        lock.note_result("one", &result).unwrap();
        drop(lock);
        assert_eq!(work.result("one"), Some(result));
        work.release("one").unwrap();
        assert_eq!(work.result("one"), None);
    }

    /// Whoever opened the lock of a folder that was then removed must not work beside a newcomer.
    #[test]
    fn a_lock_of_a_removed_folder_is_nobodys() {
        let (folder, work) = work();
        let lock = locked(&work, "one").unwrap();
        let path = folder.path().join(HASH).join(".lock");
        let stale = fs::File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop((lock, stale));
        assert!(locked(&work, "two").is_some());
    }

    #[test]
    fn only_what_is_ours_and_old_is_removed() {
        let (folder, work) = work();
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let names = ["precious", &"a".repeat(64), HASH];
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        drop(locked(&work, "one").unwrap());
        for name in names {
            File::open(folder.path().join(name)).unwrap().set_modified(old).unwrap();
        }
        work.remove_abandoned();
        assert!(folder.path().join("precious").is_dir() && folder.path().join("a".repeat(64)).is_dir());
        assert!(!folder.path().join(HASH).exists());
    }
}
