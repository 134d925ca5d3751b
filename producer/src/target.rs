//! Outputs: what a path to be written means, and that nothing of anybody's is destroyed there. Decided before any work.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use crds::{Code, folder::OUTPUT_MARK};
use fs_err as fs;
use walkdir::WalkDir;

use crate::{
    files::{self, Scratch, parent_of},
    plan::{hash, project},
};

/// Nothing may be written there.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be written to {}: {reason}", path.display())]
pub struct Error {
    path: PathBuf,
    reason: String,
    code: Code,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The output, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What an output must be no part of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inputs<'a> {
    /// The project folder that is read. Its top-level folders that are no part of a composition may be written into.
    pub(crate) project: Option<&'a Path>,
    /// The plan folder that is read.
    pub(crate) plan: Option<&'a Path>,
    /// Single files: variables, configuration, chunks.
    pub(crate) files: &'a [PathBuf],
}

/// A place that an output is written to, whole or not at all, when it is [published](Self::publish). Until then, and when
/// it never is, there is only a scratch folder beside it.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    place: Place,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File,
    Folder,
    Plan,
}

impl Target {
    /// A file: replaces a regular file that is no part of the input, follows links, makes missing folders.
    pub(crate) fn file(path: &Path, inputs: Inputs<'_>) -> Result<Self, crate::Error> {
        Self::open(path, inputs, Place::File)
    }

    /// A folder of files: replaces an empty folder, or one that holds what was written here before and nothing else.
    pub(crate) fn folder(path: &Path, inputs: Inputs<'_>) -> Result<Self, crate::Error> {
        Self::open(path, inputs, Place::Folder)
    }

    /// A plan folder: replaces an empty folder, or a plan that holds what was planned and nothing else.
    pub(crate) fn plan(path: &Path, inputs: Inputs<'_>) -> Result<Self, crate::Error> {
        Self::open(path, inputs, Place::Plan)
    }

    fn open(named: &Path, inputs: Inputs<'_>, place: Place) -> Result<Self, crate::Error> {
        let path = place.resolve(named).and_then(|path| {
            place.replaces(&path)?;
            inputs.keep_out(&path)?;
            Ok(path)
        });
        let path = path.map_err(|refused| refused.of(named))?;
        let scratch = Scratch::beside(&path)?;
        Ok(Self { path, place, scratch })
    }

    /// Where the output is made.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Puts a finished file or folder of the scratch folder in its place.
    pub(crate) fn publish(mut self, finished: &Path) -> Result<(), crate::Error> {
        // Somebody may have put something there meanwhile.
        self.place.replaces(&self.path).map_err(|refused| refused.of(&self.path))?;
        if self.place == Place::Folder {
            let (_, digest) = digest(finished)?;
            files::write(&finished.join(OUTPUT_MARK), digest + "\n")?;
        }
        Ok(self.scratch.publish(finished, &self.path)?)
    }
}

/// Size in bytes and SHA-256 of what an output is, a file or a folder.
pub(crate) fn digest(output: &Path) -> Result<(u64, String), files::Error> {
    if output.is_dir() { files::digest_of_folder(output) } else { files::digest(output) }
}

/// Why not, without the path that was named.
struct Refused {
    code: Code,
    reason: String,
}

impl Refused {
    fn of(self, named: &Path) -> Error {
        Error { path: named.to_owned(), reason: self.reason, code: self.code }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        let code = match files::write_code(error.kind()) {
            // A link to itself and the like stay so until somebody acts.
            Code::IoFailed => Code::OutputNotReplaceable,
            code => code,
        };
        Self { code, reason: error.to_string() }
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code: Code::OutputNotReplaceable, reason: reason.into() })
}

impl Place {
    /// The path that writing to a path writes to: links followed, missing folders still missing, the rest canonical.
    fn resolve(self, named: &Path) -> Result<PathBuf, Refused> {
        let bytes = named.as_os_str().as_encoded_bytes();
        let names_a_file = !bytes.ends_with(b"/") && !bytes.ends_with(b"/.") && named.file_name().is_some();
        if self == Self::File && !names_a_file {
            return refuse("it is the name of a folder: name a file");
        }
        resolve(named)
    }

    /// Whether what is at a path without links, if anything, may be replaced.
    fn replaces(self, path: &Path) -> Result<(), Refused> {
        let meta = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            meta => meta?,
        };
        match self {
            Self::File if meta.is_file() => Ok(()),
            Self::File if meta.is_dir() => refuse("it is a folder: name a file"),
            Self::Plan if meta.is_dir() => only_ours(path, &meta, |path| match hash::is_unchanged_plan(path) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    refuse("it is a plan in which something was changed since: remove it or name another folder")
                }
                Err(error) => {
                    refuse(format!("it is a folder with something else in it than a plan ({error}): name another"))
                }
            }),
            Self::Folder if meta.is_dir() => only_ours(path, &meta, only_an_output),
            Self::Plan | Self::Folder if meta.is_file() => refuse("it is a file: name a folder"),
            _ => refuse("it is a device, a pipe or a socket"),
        }
    }
}

/// Whether a folder is empty, or holds what was written as it was written: its own hash tells what was put in or changed
/// since.
fn only_ours(
    path: &Path,
    meta: &std::fs::Metadata,
    unchanged: impl Fn(&Path) -> Result<(), Refused>,
) -> Result<(), Refused> {
    if fs::metadata(parent_of(path))?.dev() != meta.dev() {
        return refuse("something is mounted there: name a folder in it");
    }
    if fs::read_dir(path)?.next().is_none() { Ok(()) } else { unchanged(path) }
}

fn only_an_output(path: &Path) -> Result<(), Refused> {
    let Ok(written) = files::read_text(&path.join(OUTPUT_MARK)) else {
        return refuse("it is a folder with something else in it: name another");
    };
    match digest(path) {
        Ok((_, digest)) if digest == written.trim_end() => Ok(()),
        _ => refuse("it is an output in which something was changed since: remove it or name another folder"),
    }
}

impl Inputs<'_> {
    fn keep_out(&self, target: &Path) -> Result<(), Refused> {
        // Where the file has other names, one of them may be an input's.
        let twin = fs::symlink_metadata(target).ok().filter(|meta| meta.is_file() && meta.nlink() > 1);
        let is_twin = |meta: &std::fs::Metadata| {
            twin.as_ref().is_some_and(|twin| (twin.dev(), twin.ino()) == (meta.dev(), meta.ino()))
        };
        let folders = [(self.project, "project"), (self.plan, "plan")];
        for (folder, kind) in folders.into_iter().filter_map(|(folder, kind)| Some((folder?, kind))) {
            // What cannot be found is reported by whoever reads it.
            let Ok(folder) = fs::canonicalize(folder) else { continue };
            let inside = target.strip_prefix(&folder).ok();
            // An ignore file that cannot be read is an error of the project, and told when it is.
            let skipped =
                |path: &Path| kind == "project" && project::skipped(&folder).is_ok_and(|all| all.skips(path, false));
            if inside.is_some_and(|inside| !skipped(inside)) {
                let or = if kind == "project" { ", or in its folder renders" } else { "" };
                return refuse(format!("it lies in the {kind} that is read: name a path outside it{or}"));
            }
            if folder.starts_with(target) {
                return refuse(format!("the {kind} that is read lies in it"));
            }
            let mut entries = WalkDir::new(&folder).into_iter().flatten();
            if twin.is_some() && entries.any(|entry| entry.metadata().is_ok_and(|meta| is_twin(&meta))) {
                return refuse(format!("it is another name of a file of the {kind} that is read"));
            }
        }
        for file in self.files {
            let Ok(path) = fs::canonicalize(file) else { continue };
            if path.starts_with(target) || fs::metadata(&path).is_ok_and(|meta| is_twin(&meta)) {
                return refuse(format!("{} is read", file.display()));
            }
        }
        Ok(())
    }
}

fn resolve(named: &Path) -> Result<PathBuf, Refused> {
    let named = follow(named)?;
    let mut missing = Vec::new();
    let mut existing = named.as_path();
    let found = loop {
        match fs::canonicalize(existing) {
            Ok(found) => break found,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return refuse("it lies below a file: name a path below folders");
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(_) if existing.is_symlink() => {
                return refuse(format!("{} is a link that leads nowhere", existing.display()));
            }
            Err(_) => {}
        }
        let Some(Component::Normal(name)) = existing.components().next_back() else {
            return refuse("it leads through folders that do not exist: name a plain path");
        };
        missing.push(name);
        existing = parent_of(existing);
    };
    if !missing.is_empty() && !found.is_dir() {
        return refuse("it lies below a file: name a path below folders");
    }
    let path = missing.into_iter().rev().fold(found, |path, name| path.join(name));
    let system = ["/dev", "/proc", "/sys"].iter().any(|folder| path.starts_with(folder));
    if system && !path.starts_with("/dev/shm/") {
        return refuse("it is one of the system's own places: name a file of yours");
    }
    Ok(path)
}

/// Follows links at the end of a path that lead to nothing yet: what they name is to be made.
fn follow(named: &Path) -> Result<PathBuf, Refused> {
    /// As many as Linux follows.
    const MOST_LINKS: u32 = 40;
    let mut path = named.to_owned();
    for _ in 0..MOST_LINKS {
        if !path.is_symlink() {
            return Ok(path);
        }
        path = parent_of(&path).join(fs::read_link(&path)?);
    }
    refuse("it is a link that leads to itself")
}
