//! What of a project's folder is the composition's.

use std::{io, path::Path};

use fs_err as fs;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The file at the top of a project that names more to leave out, as a `.gitignore` does.
pub const IGNORE_FILE: &str = ".hyperframesignore";

/// What tools leave in a folder: upstream's list, where the reconciler keeps its state and puts videos when the project is
/// the folder it watches, and what editors and desktops write beside a file.
const SKIPPED: [&str; 20] = [
    "/node_modules",
    "/.git",
    "/.cache",
    "/output",
    "/failures",
    "/dist",
    "/.next",
    "/.turbo",
    "/.status",
    "/out",
    "/.hyperframes",
    "/.hyperframesignore",
    ".DS_Store",
    "Thumbs.db",
    "*.swp",
    "*.swo",
    "*~",
    ".#*",
    "\\#*#",
    "4913",
];

/// The largest ignore file, in bytes.
const LARGEST: u64 = 1 << 20;

/// Which entries of a project are left out of what is hashed and rendered.
#[derive(Clone, Debug)]
pub struct Skipped(Gitignore);

impl Skipped {
    /// Of every project.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::with("").unwrap_or_else(|error| unreachable!("these are globs: {error}"))
    }

    /// Of a project, with what its ignore file says.
    ///
    /// # Errors
    /// The ignore file is no regular file, too large, or has a line that is no glob; the message says which.
    pub fn of(project: &Path) -> io::Result<Self> {
        let path = project.join(IGNORE_FILE);
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("{IGNORE_FILE}{reason}"));
        let meta = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::everywhere()),
            meta => meta?,
        };
        // Opening a pipe would wait for its writer.
        if !meta.is_file() || meta.len() > LARGEST {
            return Err(invalid(" is not a file of at most 1 MiB".to_owned()));
        }
        Self::with(&fs::read_to_string(path)?).map_err(|error| invalid(format!(":{error}")))
    }

    /// With more lines; the error has the number of the bad one.
    fn with(lines: &str) -> Result<Self, String> {
        let mut globs = GitignoreBuilder::new("");
        for line in SKIPPED {
            globs.add_line(None, line).map_err(|error| error.to_string())?;
        }
        for (number, line) in (1..).zip(lines.lines()) {
            globs.add_line(None, line).map_err(|error| format!("{number}: {error}"))?;
        }
        globs.build().map(Self).map_err(|error| error.to_string())
    }

    /// Whether an entry, by its path in the project, is left out; a folder with everything in it.
    #[must_use]
    pub fn skips(&self, path: &Path, is_folder: bool) -> bool {
        self.0.matched_path_or_any_parents(path, is_folder).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_and_editors_leave_is_skipped() {
        let skipped = Skipped::everywhere();
        for path in [
            "node_modules/x/y.js",
            "dist",
            "out/a.mp4",
            ".status",
            "a/.index.html.swp",
            "index.html~",
            "a/.DS_Store",
            "#x#",
            ".#x",
        ] {
            assert!(skipped.skips(Path::new(path), false), "{path}");
        }
        for path in ["index.html", "sub/dist/z", ".hidden", "sub/out", "a#b#c.css", "notes.md"] {
            assert!(!skipped.skips(Path::new(path), false), "{path}");
        }
    }

    #[test]
    fn an_ignore_file_adds_and_takes_back() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(IGNORE_FILE), "# notes\n*.md\n/raw/\n!/dist\n").unwrap();
        let skipped = Skipped::of(folder.path()).unwrap();
        assert!(skipped.skips(Path::new("a/notes.md"), false) && skipped.skips(Path::new("raw"), true));
        assert!(!skipped.skips(Path::new("dist/app.js"), false) && !skipped.skips(Path::new("index.html"), false));
        fs::write(folder.path().join(IGNORE_FILE), "ok\n{a\n").unwrap();
        let error = Skipped::of(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with(".hyperframesignore:2: "), "{error}");
        fs::remove_file(folder.path().join(IGNORE_FILE)).unwrap();
        fs::create_dir(folder.path().join(IGNORE_FILE)).unwrap();
        assert!(Skipped::of(folder.path()).is_err());
    }
}
