//! The YAML files of a folder, and the objects in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crds::manifest::{self, Object, Problem};
use walkdir::{DirEntry, WalkDir};

use crate::{files, ports::ObjectKey, source};

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

/// The texts of all manifests of a folder at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    root: PathBuf,
    /// By absolute path. `Err` holds why a file cannot be read.
    texts: BTreeMap<PathBuf, Result<String, String>>,
}

/// A file may be caught half-written; when it was touched this recently it is read again after a pause.
const FRESH: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

impl Snapshot {
    /// Reads all manifests of a folder, or only some files of it.
    #[must_use]
    pub fn take(root: &Path, only: &[PathBuf]) -> Self {
        let paths = if only.is_empty() { manifests(root) } else { only.to_vec() };
        let read = |path: PathBuf| {
            let text = files::read_text(&path).map_err(|error| error.to_string());
            (path, text)
        };
        Self { root: root.to_owned(), texts: paths.into_iter().map(read).collect() }
    }

    /// Reads until nothing changes any more. A file that is just being written can be whole YAML and yet only half of
    /// what its author means.
    pub async fn take_stable(root: &Path, only: &[PathBuf]) -> Self {
        let mut snapshot = Self::take(root, only);
        while snapshot.is_fresh() {
            tokio::time::sleep(PAUSE).await;
            let again = Self::take(root, only);
            if again == snapshot {
                return again;
            }
            snapshot = again;
        }
        snapshot
    }

    /// No manifest, or no folder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn is_fresh(&self) -> bool {
        let age = |path: &PathBuf| path.metadata().ok()?.modified().ok()?.elapsed().ok();
        self.texts.keys().filter_map(age).any(|age| age < FRESH)
    }
}

/// What a snapshot holds.
pub(super) struct Scan {
    /// Every identity that some file defines; `None` where two do, or where two have the same video.
    pub(super) objects: BTreeMap<ObjectKey, Option<(Object, PathBuf)>>,
    pub(super) problems: Vec<FileProblem>,
    /// Files in which something is wrong: what they defined before is kept.
    pub(super) unreadable: BTreeSet<PathBuf>,
}

pub(super) fn scan(snapshot: &Snapshot) -> Scan {
    let mut scan = Scan { objects: BTreeMap::new(), problems: Vec::new(), unreadable: BTreeSet::new() };
    let mut places: BTreeMap<ObjectKey, &Path> = BTreeMap::new();
    for (path, text) in &snapshot.texts {
        let parsed = match text {
            Ok(text) => manifest::parse(text),
            Err(message) => {
                scan.problem(snapshot, path, whole_file(message.clone()));
                continue;
            }
        };
        for problem in parsed.problems {
            scan.problem(snapshot, path, problem);
        }
        for object in parsed.objects {
            let key = match &object {
                Object::Render(render) => ObjectKey::render(render),
                Object::Stack(stack) => ObjectKey::stack(stack),
            };
            if let Some(other) = places.insert(key.clone(), path) {
                scan.problem(snapshot, path, twice(&key, snapshot.relative(other)));
                scan.problem(snapshot, other, twice(&key, snapshot.relative(path)));
                scan.objects.insert(key, None);
            } else {
                scan.objects.insert(key, Some((object, path.clone())));
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

    /// Two Renders with one video would make it in turns, for ever.
    fn refuse_shared_outputs(&mut self, snapshot: &Snapshot) {
        let mut writers: BTreeMap<PathBuf, Vec<(ObjectKey, PathBuf)>> = BTreeMap::new();
        for (key, found) in &self.objects {
            if let Some((Object::Render(render), path)) = found {
                let output = source::output(render, path.parent().unwrap_or(&snapshot.root));
                writers.entry(output).or_default().push((key.clone(), path.clone()));
            }
        }
        for (output, writers) in writers.into_iter().filter(|(_, writers)| writers.len() > 1) {
            let names: Vec<_> = writers.iter().map(|(key, _)| key.to_string()).collect();
            let names = names.join(" and ");
            let message = format!("{names} have the same video, {}: give each a spec.output.path", output.display());
            for (key, path) in writers {
                self.problem(snapshot, &path, whole_file(message.clone()));
                self.objects.insert(key, None);
            }
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
fn manifests(root: &Path) -> Vec<PathBuf> {
    let root_is_project = root.join("index.html").is_file();
    let entered = |entry: &DirEntry| {
        let outermost = entry.depth() == 0;
        let folder = entry.file_type().is_dir();
        let project = folder && !outermost && (root_is_project || entry.path().join("index.html").is_file());
        outermost || !is_ignored(entry) && !project
    };
    let walk = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
    let is_manifest = |entry: &DirEntry| {
        let extension = entry.path().extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let known = matches!(extension, "yaml" | "yml") || extension == "json" && !root_is_project;
        entry.file_type().is_file() && known
    };
    // A link that leads nowhere or in circles is somebody else's; what can be read is read.
    walk.filter_entry(entered).flatten().filter(is_manifest).map(DirEntry::into_path).collect()
}

fn is_ignored(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let emacs = name.starts_with('#') && name.ends_with('#');
    let leftover = name.ends_with('~') || [".swp", ".swx", ".tmp"].iter().any(|suffix| name.ends_with(suffix));
    name.starts_with('.') || emacs || leftover || name == "4913" || name == "node_modules"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            files::write_atomic(&folder.path().join(path), text).unwrap();
        }
        folder
    }

    fn render(name: &str) -> String {
        format!(
            "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: {name}}}, spec: {{source: {{path: .}}}}}}"
        )
    }

    fn names(folder: &Path) -> Vec<String> {
        let snapshot = Snapshot::take(folder, &[]);
        snapshot.texts.keys().map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect()
    }

    #[test]
    fn leftovers_and_compositions_are_not_manifests() {
        let folder = folder(&[
            ("a.yaml", ""),
            ("b.yml", ""),
            ("c.json", ""),
            ("sub/d.yaml", ""),
            ("e.txt", ""),
            (".hidden.yaml", ""),
            (".status/x.yaml", ""),
            ("f.yaml~", ""),
            ("#g.yaml#", ""),
            ("h.yaml.tmp", ""),
            ("4913", ""),
            ("site/index.html", ""),
            ("site/package.json", ""),
            ("site/data/i.yaml", ""),
        ]);
        assert_eq!(names(folder.path()), ["a.yaml", "b.yml", "c.json", "sub/d.yaml"]);
    }

    #[test]
    fn a_folder_that_is_itself_a_project_has_its_manifests_at_the_top() {
        let folder = folder(&[("index.html", ""), ("a.yaml", ""), ("data.json", ""), ("data/b.yaml", "")]);
        assert_eq!(names(folder.path()), ["a.yaml"]);
    }

    #[test]
    fn a_mounted_config_map_is_read_through_its_links() {
        let folder = folder(&[("..2026_11/a.yaml", "")]);
        std::os::unix::fs::symlink("..2026_11", folder.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
        assert_eq!(names(folder.path()), ["a.yaml"]);
    }

    #[test]
    fn an_identity_in_two_files_is_an_error_in_both() {
        let folder =
            folder(&[("a.yaml", &render("one")), ("b.yaml", &format!("{}\n---\n{}", render("one"), render("two")))]);
        let scan = scan(&Snapshot::take(folder.path(), &[]));
        let problems: Vec<_> = scan.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "a.yaml:1:1: Render default/one is also defined in b.yaml: rename one",
                "b.yaml:1:1: Render default/one is also defined in a.yaml: rename one",
            ]
        );
        let found: Vec<_> = scan.objects.iter().map(|(key, found)| (key.name.as_str(), found.is_some())).collect();
        assert_eq!(found, [("one", false), ("two", true)]);
    }

    #[test]
    fn a_video_of_two_renders_is_an_error_in_both() {
        let other = render("one").replace("name: one", "name: one, namespace: other");
        let folder = folder(&[("a.yaml", &render("one")), ("b.yaml", &other), ("sub/c.yaml", &render("one2"))]);
        let scan = scan(&Snapshot::take(folder.path(), &[]));
        let places: Vec<_> = scan.problems.iter().map(|problem| problem.path.display().to_string()).collect();
        assert_eq!(places, ["a.yaml", "b.yaml"]);
        let text = scan.problems[0].to_string();
        assert!(text.contains("Render default/one and Render other/one have the same video"), "{text}");
        assert_eq!(scan.objects.values().filter(|found| found.is_some()).count(), 1);
    }
}
