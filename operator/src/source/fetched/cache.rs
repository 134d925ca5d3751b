//! Folders that were fetched, by what is in them: `archive-<sha256>` and `data-<sha256>`, each with a mark beside it that
//! says when it was last used. Nothing else in their folder is ever touched.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fs_err as fs;

use crate::files::{self, Durability};

/// What nobody has used for so long is removed.
const UNUSED: Duration = Duration::from_hours(1);
/// How exactly it is known when that was.
const NOTED: Duration = Duration::from_mins(10);
const MARK: &str = ".used";
const UNFINISHED: &str = ".tmp-";

/// Fetched folders.
#[derive(Clone, Debug)]
pub(super) struct Cache(PathBuf);

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// A folder that is there, and whole.
    pub(super) fn get(&self, name: &str) -> Option<PathBuf> {
        let folder = self.0.join(name);
        let there = folder.is_dir() && self.mark(name).is_file();
        (there && self.note_use(name).is_ok()).then_some(folder)
    }

    /// Makes a folder: it appears under its name once it is whole.
    pub(super) fn put<E: From<io::Error>>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(folder) = self.get(name) {
            return Ok(folder);
        }
        files::create_dir_all(&self.0)?;
        let made = self.unfinished()?;
        let content = made.path().join("content");
        fill(&content)?;
        // First: one without a mark is nobody's, and would stay for ever.
        self.note_use(name)?;
        let folder = self.0.join(name);
        match fs::rename(&content, &folder) {
            // Somebody else was faster.
            Err(_) if folder.is_dir() => {}
            result => result?,
        }
        Ok(folder)
    }

    /// A folder for what is in the making. Only its owner may look into it, and into what becomes of it.
    pub(super) fn unfinished(&self) -> io::Result<tempfile::TempDir> {
        files::create_dir_all(&self.0)?;
        tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.0)
    }

    /// Removes what nobody uses, and what was never finished. What cannot be removed now is tried again another time.
    pub(super) fn sweep(&self, in_use: impl Fn(&Path) -> bool) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with(UNFINISHED) && is_older(&path, UNUSED) {
                let _ = files::remove_dir_all(&path);
            }
            // Projects are known by where links lead to.
            let used = || fs::canonicalize(&path).is_ok_and(|path| in_use(&path));
            if is_ours(&name) && is_older(&self.mark(&name), UNUSED) && !used() {
                let _ = files::remove_dir_all(&path).and_then(|()| files::remove_file(&self.mark(&name)));
            }
        }
    }

    fn mark(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{MARK}"))
    }

    fn note_use(&self, name: &str) -> io::Result<()> {
        let mark = self.mark(name);
        let noted = mark.is_file() && !is_older(&mark, NOTED);
        if noted { Ok(()) } else { files::write_atomic(&mark, "", Durability::Fast) }
    }
}

fn is_ours(name: &str) -> bool {
    let digest = name.strip_prefix("archive-").or_else(|| name.strip_prefix("data-"));
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_older(path: &Path, limit: Duration) -> bool {
    let modified = path.metadata().and_then(|meta| meta.modified());
    let age = modified.ok().and_then(|at: SystemTime| at.elapsed().ok());
    age.is_some_and(|age| age > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(cache: &Cache, name: &str) -> PathBuf {
        let fill = |folder: &Path| -> io::Result<()> {
            fs::create_dir(folder)?;
            fs::write(folder.join("index.html"), "<p>")
        };
        cache.put(name, fill).unwrap()
    }

    fn age(path: &Path) {
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::open(path).unwrap().set_modified(old).unwrap();
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path().join("sources"));
        let name = format!("archive-{}", "a".repeat(64));
        let fails = |folder: &Path| {
            fs::create_dir(folder)?;
            Err(io::Error::other("no"))
        };
        assert!(cache.put(&name, fails).is_err());
        assert_eq!(cache.get(&name), None);
        assert_eq!(cache.get(&name), None, "nothing is left");
        let folder = make(&cache, &name);
        assert_eq!(cache.get(&name), Some(folder.clone()));
        assert_eq!(make(&cache, &name), folder, "it is made once");
    }

    #[test]
    fn only_what_is_ours_and_unused_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path().to_owned());
        let names = ["a", "b", "c"].map(|digit| format!("data-{}", digit.repeat(64)));
        let folders = names.each_ref().map(|name| make(&cache, name));
        for name in ["precious", &format!("data-{}", "d".repeat(64))] {
            fs::create_dir(root.path().join(name)).unwrap();
            age(&root.path().join(name));
        }
        age(&cache.mark(&names[0]));
        age(&cache.mark(&names[1]));
        cache.sweep(|folder| folder == fs::canonicalize(&folders[1]).unwrap());
        assert_eq!(folders.each_ref().map(|folder| folder.exists()), [false, true, true]);
        assert!(root.path().join("precious").exists(), "not ours");
        assert!(root.path().join(format!("data-{}", "d".repeat(64))).exists(), "without a mark nobody's");
    }
}
