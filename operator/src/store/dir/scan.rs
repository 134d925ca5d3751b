//! The YAML files of a folder, and the objects in them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::{GROUP, manifest::Problem};
use walkdir::{DirEntry, WalkDir};

use super::{
    definition::{Contents, Definition},
    layout::Layout,
};
use crate::{
    files,
    ports::ObjectKey,
    source::{self, Stamp},
};

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The file, relative to the folder.
    pub path: PathBuf,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.problem)
    }
}

/// The manifests of a folder at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    root: PathBuf,
    /// By absolute path. `Err` holds why a file cannot be read.
    files: BTreeMap<PathBuf, Result<Arc<Contents>, String>>,
    /// Files that were still being written.
    unstable: BTreeSet<PathBuf>,
    /// Folders below that have state of their own.
    pub nested: Vec<PathBuf>,
    /// Manifests inside a composition, where none is read.
    pub misplaced: Vec<PathBuf>,
}

/// A file may be caught half-written: when it was touched this recently it is looked at again after a pause.
const FRESH: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);
/// A file that is written to for longer than this keeps nobody waiting.
const ROUNDS: u32 = 20;

/// Reads folders, and every file only when it has changed.
#[derive(Debug, Default)]
pub struct Scanner {
    known: HashMap<PathBuf, (Stamp, Result<Arc<Contents>, String>)>,
}

impl Scanner {
    /// Reads until no file changes any more. A file that is just being written can be whole YAML and yet only half of what
    /// its author means.
    pub async fn take_stable(mut self, layout: &Layout) -> (Self, Snapshot) {
        let mut written: HashMap<PathBuf, Stamp> = HashMap::new();
        for round in 1.. {
            let layout = layout.clone();
            let (scanner, mut snapshot) = files::blocking(move || {
                let snapshot = self.take(&layout);
                (self, snapshot)
            })
            .await;
            self = scanner;
            let fresh = self.fresh(&snapshot);
            snapshot.unstable = fresh
                .iter()
                .filter(|(path, stamp)| written.get(*path) != Some(*stamp))
                .map(|(path, _)| path.clone())
                .collect();
            if snapshot.unstable.is_empty() || round == ROUNDS {
                return (self, snapshot);
            }
            written = fresh;
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("the last round returns")
    }

    /// Reads all manifests that a run is about. A file that is named is read whatever its name.
    pub fn take(&mut self, layout: &Layout) -> Snapshot {
        let mut snapshot = Snapshot { root: layout.root().to_owned(), ..Snapshot::default() };
        let mut paths = Vec::new();
        for entrance in layout.entrances() {
            if entrance.is_dir() {
                walk(entrance, &mut snapshot, &mut paths);
            } else if entrance != layout.root() {
                paths.push(entrance.clone());
            }
        }
        let known = std::mem::take(&mut self.known);
        let files = paths.into_iter().map(|path| {
            let stamp = Stamp::of_file(&path);
            let entry = match (known.get(&path), stamp) {
                (Some((old, file)), Some(new)) if *old == new => (new, file.clone()),
                (_, stamp) => {
                    let text = files::read_text(&path).map_err(|error| error.to_string());
                    (stamp.unwrap_or_default(), text.map(|text| Arc::new(Contents::of(&text))))
                }
            };
            self.known.insert(path.clone(), entry.clone());
            (path, entry.1)
        });
        snapshot.files = files.collect();
        snapshot
    }

    /// Files that were written to just now.
    fn fresh(&self, snapshot: &Snapshot) -> HashMap<PathBuf, Stamp> {
        let stamp = |path: &PathBuf| self.known.get(path).map(|(stamp, _)| (path.clone(), *stamp));
        snapshot
            .files
            .keys()
            .filter_map(stamp)
            .filter(|(_, stamp)| stamp.age().is_some_and(|age| age < FRESH))
            .collect()
    }
}

impl Snapshot {
    /// No manifest, or no folder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Documents that are somebody else's, with their file.
    pub fn foreign(&self) -> impl Iterator<Item = (&Path, usize)> {
        let count = |file: &Result<Arc<Contents>, String>| file.as_ref().map_or(0, |contents| contents.foreign);
        self.files.iter().map(move |(path, file)| (self.relative(path), count(file))).filter(|(_, count)| *count > 0)
    }

    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// What is said of an object, and in which file.
type Defined = (Arc<Definition>, Arc<Path>);

/// What a snapshot holds.
pub(super) struct Scan {
    /// Every identity that some file defines; `None` where two do, or where two have the same video.
    pub(super) objects: BTreeMap<ObjectKey, Option<Defined>>,
    pub(super) problems: Vec<FileProblem>,
    /// Files in which something is wrong, or that are being written: what they defined before is kept.
    pub(super) unreadable: BTreeSet<PathBuf>,
}

pub(super) fn scan(snapshot: &Snapshot) -> Scan {
    let unreadable = snapshot.unstable.clone();
    let mut scan = Scan { objects: BTreeMap::new(), problems: Vec::new(), unreadable };
    let mut places: BTreeMap<ObjectKey, &Path> = BTreeMap::new();
    for (path, file) in snapshot.files.iter().filter(|(path, _)| !snapshot.unstable.contains(*path)) {
        let contents = match file {
            Ok(contents) => contents,
            Err(message) => {
                scan.problem(snapshot, path, whole_file(message.clone()));
                continue;
            }
        };
        for problem in &contents.problems {
            scan.problem(snapshot, path, problem.clone());
        }
        let file: Arc<Path> = Arc::from(path.as_path());
        for definition in &contents.definitions {
            let key = definition.key.clone();
            if let Some(other) = places.insert(key.clone(), path) {
                scan.problem(snapshot, path, twice(&key, snapshot.relative(other)));
                scan.problem(snapshot, other, twice(&key, snapshot.relative(path)));
                scan.objects.insert(key, None);
            } else {
                scan.objects.insert(key, Some((Arc::clone(definition), Arc::clone(&file))));
            }
        }
    }
    scan.refuse_shared_outputs(snapshot);
    scan.problems.sort_by(|a, b| (&a.path, &a.problem).cmp(&(&b.path, &b.problem)));
    scan.problems.dedup();
    scan
}

impl Scan {
    fn problem(&mut self, snapshot: &Snapshot, path: &Path, problem: Problem) {
        self.problems.push(FileProblem { path: snapshot.relative(path).to_owned(), problem });
        self.unreadable.insert(path.to_owned());
    }

    /// Two Renders with one video, also through links, would make it in turns for ever; one cannot lie inside another.
    fn refuse_shared_outputs(&mut self, snapshot: &Snapshot) {
        let mut targets = Vec::new();
        for (key, found) in &self.objects {
            if let Some((definition, path)) = found
                && let Some(video) = &definition.video
            {
                let written = path.parent().unwrap_or(&snapshot.root).join(video);
                // One that cannot be written is told with its Render.
                if let Ok(target) = source::resolve_target(&written, crds::Format::of_name(&written).is_none()) {
                    targets.push((target, key.clone(), Arc::clone(path)));
                }
            }
        }
        targets.sort();
        let mut clashes: BTreeMap<ObjectKey, (Arc<Path>, String)> = BTreeMap::new();
        // A path that lies below another follows right behind it, or behind others that do.
        let mut above = 0;
        for place in 1..targets.len() {
            if !targets[place].0.starts_with(&targets[above].0) {
                above = place;
                continue;
            }
            let ((one, first, _), (other, second, _)) = (&targets[above], &targets[place]);
            let message = if one == other {
                format!("{first} and {second} have the same video, {}: give each a spec.output.path", one.display())
            } else {
                format!("the video of {second}, {}, would lie inside that of {first}", other.display())
            };
            for (_, key, path) in [&targets[above], &targets[place]] {
                clashes.insert(key.clone(), (Arc::clone(path), message.clone()));
            }
        }
        for (key, (path, message)) in clashes {
            self.problem(snapshot, &path, whole_file(message));
            self.objects.insert(key, None);
        }
    }
}

fn twice(key: &ObjectKey, other: &Path) -> Problem {
    whole_file(format!("{key} is also defined in {}: rename one", other.display()))
}

fn whole_file(message: String) -> Problem {
    Problem { line: 1, column: 1, field: String::new(), message }
}

/// The manifests of a folder: `.yaml`, `.yml` and `.json`, also in folders below, through links; not what editors and
/// tools leave behind, and nothing inside a composition, whose JSON is its own.
fn walk(folder: &Path, snapshot: &mut Snapshot, found: &mut Vec<PathBuf>) {
    let Snapshot { nested, misplaced, .. } = snapshot;
    let root_is_project = is_project(folder);
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| {
        if entry.depth() == 0 {
            return true;
        }
        if is_ignored(entry) {
            return false;
        }
        let folder = entry.file_type().is_dir();
        if folder && (root_is_project || is_project(entry.path())) {
            misplaced.extend(manifests_in_project(entry.path()));
            return false;
        }
        nested.extend((folder && has_state(entry.path())).then(|| entry.path().to_owned()));
        true
    });
    found.extend(walk.filter_map(|entry| match entry {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) => Some(entry.into_path()).filter(|path| is_manifest(path, root_is_project)),
        // A folder that may not be read, or a manifest that is a link to nowhere: told of when it is read. Links in circles
        // are somebody else's.
        Err(error) if error.loop_ancestor().is_some() => None,
        Err(error) => {
            let wanted = |path: &&Path| path.is_dir() || is_manifest(path, root_is_project);
            error.path().filter(wanted).map(Path::to_owned)
        }
    }));
}

fn has_state(folder: &Path) -> bool {
    Layout::new(folder.to_owned(), None).state().is_dir()
}

fn is_project(folder: &Path) -> bool {
    folder.join("index.html").is_file()
}

/// Whether a file may hold objects, by its name.
pub(super) fn is_manifest(path: &Path, in_project: bool) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "yaml" | "yml") || extension == "json" && !in_project
}

/// Files right inside a composition that look like manifests.
fn manifests_in_project(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        let text = if is_manifest(path, true) { files::read_text(path).unwrap_or_default() } else { String::new() };
        text.contains(&format!("{GROUP}/"))
    };
    entries.filter(ours).collect()
}

fn is_ignored(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let emacs = name.starts_with('#') && name.ends_with('#');
    let leftover = name.ends_with('~') || [".swp", ".swx", ".tmp"].iter().any(|suffix| name.ends_with(suffix));
    name.starts_with('.') || emacs || leftover || name == "4913" || name == "node_modules"
}

#[cfg(test)]
mod tests;
