//! A project folder: which files belong to the composition, and that none lies outside.

use std::path::{Component, Path, PathBuf};

use crds::{
    Code,
    project::{IGNORE_FILE, Skipped},
};
use percent_encoding::percent_decode_str;
use walkdir::{DirEntry, WalkDir};

use crate::files;

/// A project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such folder.
    #[error("{} is not a folder: name the folder that holds index.html", .0.display())]
    NotAFolder(PathBuf),
    /// The folder has no composition.
    #[error("{} has no index.html: name the folder that holds the composition", .0.display())]
    NoEntry(PathBuf),
    /// A symbolic link leads out.
    #[error("this link leads out of the project, to {}: copy the file into the project", target.display())]
    LinkOutside {
        /// The link, relative to the project.
        path: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// A reference leads out.
    #[error("{url:?} leads out of the project: copy the file into the project and refer to it there")]
    ReferenceOutside {
        /// The file that refers.
        path: String,
        /// Its line, if known.
        line: Option<u32>,
        /// The reference.
        url: String,
    },
    /// A link loop, or a name that is not UTF-8.
    #[error("cannot read the project: {0}")]
    Unreadable(String),
    /// The ignore file names the composition itself.
    #[error("{IGNORE_FILE} leaves out index.html, the composition itself: add the line !/index.html to it")]
    EntrySkipped,
    /// The folder name is ours.
    #[error("the folder {RESERVED} is reserved for the renderer's own files: rename it")]
    Reserved,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotAFolder(_) => Code::ProjectNotFound,
            Self::NoEntry(_) | Self::EntrySkipped => Code::EntryNotFound,
            Self::LinkOutside { .. } | Self::ReferenceOutside { .. } => Code::PathOutsideProject,
            Self::Unreadable(_) | Self::Reserved => Code::CompositionInvalid,
        }
    }
}

/// The entry of every composition.
pub(crate) const ENTRY: &str = "index.html";

/// The folder of a compiled project that holds the renderer's own files.
pub(crate) const RESERVED: &str = "__hf";

/// The files of a project, sorted by path.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) files: Vec<ProjectFile>,
}

#[derive(Debug)]
pub(crate) struct ProjectFile {
    /// Relative to the project, with `/`.
    pub(crate) path: String,
    /// Where its content is.
    pub(crate) source: PathBuf,
}

impl Project {
    /// Lists a project. Links are followed as long as they stay inside.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let root = folder.canonicalize().ok().filter(|root| root.is_dir());
        let root = root.ok_or_else(|| Error::NotAFolder(folder.to_owned()))?;
        if !root.join(ENTRY).is_file() {
            return Err(Error::NoEntry(folder.to_owned()));
        }
        if root.join(RESERVED).exists() {
            return Err(Error::Reserved);
        }
        let mut files = Vec::new();
        let skipped = skipped(&root).map_err(Error::Unreadable)?;
        let walk = WalkDir::new(&root).follow_links(true).sort_by_file_name().into_iter();
        let belongs = |entry: &DirEntry| {
            let path = entry.path().strip_prefix(&root).unwrap_or(entry.path());
            entry.depth() == 0 || !skipped.skips(path, entry.file_type().is_dir())
        };
        for entry in walk.filter_entry(belongs) {
            let entry = entry.map_err(|error| Error::Unreadable(error.to_string()))?;
            let relative = entry.path().strip_prefix(&root).unwrap_or(entry.path());
            let path =
                relative.to_str().ok_or_else(|| Error::Unreadable(format!("{} is not UTF-8", relative.display())))?;
            if entry.path_is_symlink() {
                let target = entry.path().canonicalize().map_err(|error| Error::Unreadable(error.to_string()))?;
                if !target.starts_with(&root) {
                    return Err(Error::LinkOutside { path: path.to_owned(), target });
                }
            }
            if entry.file_type().is_file() {
                files.push(ProjectFile { path: path.to_owned(), source: entry.path().to_owned() });
            }
        }
        if !files.iter().any(|file| file.path == ENTRY) {
            return Err(Error::EntrySkipped);
        }
        files.sort_by(|a, b| a.path.encode_utf16().cmp(b.path.encode_utf16()));
        Ok(Self { files })
    }
}

/// What in a folder is no part of the project.
pub(crate) fn skipped(project: &Path) -> Result<Skipped, String> {
    let path = project.join(IGNORE_FILE);
    if path.is_symlink() {
        return Err(format!("{IGNORE_FILE} is a link: put the file itself there"));
    }
    let lines = path.exists().then(|| files::read_text(&path)).transpose().map_err(|error| error.to_string())?;
    Skipped::of(lines.as_deref())
}

/// Whether a reference written in a file of the project stays inside the project. Addresses with a scheme other than
/// `file` are not paths and are judged elsewhere.
pub(crate) fn stays_inside(file: &str, url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    // A browser takes `%2e` for a dot.
    let path = &*percent_decode_str(path).decode_utf8_lossy();
    if let Some((scheme, _)) = path.split_once(':').filter(|(scheme, _)| !scheme.contains('/')) {
        return !scheme.eq_ignore_ascii_case("file");
    }
    if path.starts_with('/') {
        return true;
    }
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut depth = 0_i32;
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

/// Reads a text file of a project.
pub(crate) fn read_text(file: &ProjectFile) -> Result<String, crate::Error> {
    let bytes = files::read(&file.source)?;
    String::from_utf8(bytes).map_err(|_| Error::Unreadable(format!("{} is not UTF-8 text", file.path)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in files {
            let path = folder.path().join(path);
            files::create_dir(path.parent().unwrap()).unwrap();
            files::write(&path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn files_are_listed_without_what_tools_keep_there() {
        let folder = project(&[
            "index.html",
            "b/c.txt",
            "a.css",
            "node_modules/x.js",
            "sub/dist/z",
            "dist/z",
            "out/a.mp4",
            ".status/x",
            ".hidden",
        ]);
        std::os::unix::fs::symlink("b", folder.path().join("linked")).unwrap();
        let paths: Vec<_> = Project::open(folder.path()).unwrap().files.into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [".hidden", "a.css", "b/c.txt", "index.html", "linked/c.txt", "sub/dist/z"]);
    }

    #[test]
    fn what_leads_outside_is_refused() {
        let folder = project(&["index.html"]);
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("secret")).unwrap();
        assert_eq!(Project::open(folder.path()).unwrap_err().code(), Code::PathOutsideProject);
        for (url, inside) in [
            ("a.png", true),
            ("../a.png", false),
            ("b/../a.png", true),
            ("b/../../a.png", false),
            ("/../a.png", true),
            ("file:///etc/passwd", false),
            ("https://x/../..", true),
            ("data:image/png;base64,../..", true),
            ("?../..", true),
            ("%2e%2E/x", false),
        ] {
            assert_eq!(stays_inside("index.html", url), inside, "{url}");
        }
        assert!(stays_inside("scenes/a.css", "../a.png"));
    }

    #[test]
    fn a_missing_folder_and_a_missing_entry_are_told_apart() {
        let folder = project(&["a.html"]);
        assert_eq!(Project::open(folder.path()).unwrap_err().code(), Code::EntryNotFound);
        assert_eq!(Project::open(&folder.path().join("x")).unwrap_err().code(), Code::ProjectNotFound);
    }
}
