//! What of a project's folder is the composition's.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The file at the top of a project that names more to leave out, as a `.gitignore` does.
pub const IGNORE_FILE: &str = ".hyperframesignore";

/// What tools leave in a folder: upstream's list, where its CLI puts videos, where the reconciler keeps its state and puts
/// videos when the project is the folder it watches, and what editors and desktops write beside a file.
const SKIPPED: [&str; 21] = [
    "/node_modules",
    "/.git",
    "/.cache",
    "/output",
    "/failures",
    "/dist",
    "/.next",
    "/.turbo",
    "/renders",
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

/// The largest ignore file, in bytes: each line costs memory as a pattern.
const LARGEST: usize = 64 << 10;

/// Which entries of a project are left out of what is hashed and rendered.
#[derive(Clone, Debug)]
pub struct Skipped(Gitignore);

impl Skipped {
    /// Of every project.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::of(None).unwrap_or_else(|error| unreachable!("these are globs: {error}"))
    }

    /// Of a project whose ignore file, if it has one, holds these lines.
    ///
    /// # Errors
    /// It is larger than 64 KiB, or a line is no glob; the message names the file and the line.
    pub fn of(ignore_file: Option<&str>) -> Result<Self, String> {
        if ignore_file.is_some_and(|lines| lines.len() > LARGEST) {
            return Err(format!("{IGNORE_FILE} is larger than {} KiB", LARGEST >> 10));
        }
        let mut globs = GitignoreBuilder::new("");
        for line in SKIPPED {
            globs.add_line(None, line).map_err(|error| error.to_string())?;
        }
        for (number, line) in (1..).zip(ignore_file.unwrap_or_default().lines()) {
            globs.add_line(None, line).map_err(|error| format!("{IGNORE_FILE}:{number}: {error}"))?;
        }
        globs.build().map(Self).map_err(|error| format!("{IGNORE_FILE}: {error}"))
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
            "renders/a.mp4",
            ".status",
            "a/.index.html.swp",
            "index.html~",
            "a/.DS_Store",
            "#x#",
            ".#x",
        ] {
            assert!(skipped.skips(Path::new(path), false), "{path}");
        }
        for path in ["index.html", "sub/dist/z", ".hidden", "sub/out", "sub/renders", "a#b#c.css", "notes.md"] {
            assert!(!skipped.skips(Path::new(path), false), "{path}");
        }
    }

    #[test]
    fn an_ignore_file_adds_and_takes_back() {
        let skipped = Skipped::of(Some("# notes\n*.md\n/raw/\n!/dist\n")).unwrap();
        assert!(skipped.skips(Path::new("a/notes.md"), false) && skipped.skips(Path::new("raw"), true));
        assert!(!skipped.skips(Path::new("dist/app.js"), false) && !skipped.skips(Path::new("index.html"), false));
        let error = Skipped::of(Some("ok\n{a\n")).unwrap_err();
        assert!(error.starts_with(".hyperframesignore:2: "), "{error}");
        assert!(Skipped::of(Some(&"a\n".repeat(LARGEST))).is_err());
    }
}
