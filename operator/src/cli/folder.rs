//! From the paths that a person names to the folder they lie in, and its objects.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::args::{FolderArgs, StateArgs};
use crate::{
    error::Error,
    ports::{DEFAULT_NAMESPACE, Kind, ObjectKey, Sourced},
    settings::now,
    store::dir::{DirStore, Options, layout::Layout, scan::Scanner},
};
use crds::Render;

/// The folder that some paths, at least one, are about: the nearest at or above them that has state, else the folder that
/// is named, or holds the files that are. Makes nothing.
///
/// # Errors
/// When a path does not exist, or they lie in several folders.
pub(crate) fn layout(paths: &[PathBuf], state: &StateArgs) -> Result<Layout, Error> {
    let places = paths.iter().map(|path| place(path)).collect::<Result<Vec<_>, _>>()?;
    let parents = places.iter().map(|place| if place.is_dir() { &**place } else { place.parent().unwrap_or(place) });
    let mut parents: Vec<_> = parents.collect();
    parents.dedup();
    let [first, ..] = parents[..] else { return Err(Error::NotFound("folder".to_owned())) };
    let layout = match &state.state_dir {
        Some(dir) => Layout::new(first.to_owned(), Some(std::path::absolute(dir)?)),
        None => Layout::enclosing(first).unwrap_or_else(|| Layout::new(first.to_owned(), None)),
    };
    if let Some(outside) = places.iter().find(|place| !place.starts_with(layout.root())) {
        return Err(Error::SeveralFolders { one: layout.root().to_owned(), other: outside.clone() });
    }
    Ok(if places == [layout.root()] { layout } else { layout.limited_to(places) })
}

/// An absolute path; a link at its end is kept as it is, for it is under its name that an object is known.
fn place(path: &Path) -> Result<PathBuf, Error> {
    if path.metadata()?.is_dir() {
        return Ok(fs::canonicalize(path)?);
    }
    let path = std::path::absolute(path)?;
    let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    Ok(fs::canonicalize(folder)?.join(name))
}

/// The folder of a command that only looks or asks.
pub(crate) fn layout_of(args: &FolderArgs) -> Result<Layout, Error> {
    if !args.folder.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(Error::NotFound(format!("folder {}", args.folder.display())));
    }
    layout(std::slice::from_ref(&args.folder), &args.state)
}

/// A folder's objects, for looking only.
pub(crate) fn look(layout: &Layout) -> Result<DirStore, Error> {
    let snapshot = Scanner::default().take(layout);
    let store = DirStore::open(layout.clone(), Options { prune: false, read_only: true }, now)?;
    store.rescan(&snapshot);
    store.take_requests();
    Ok(store)
}

/// `NAME` or `NAMESPACE/NAME` of a Render.
pub(crate) fn render_key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or((DEFAULT_NAMESPACE, name));
    ObjectKey { kind: Kind::Render, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// A certain Render.
///
/// # Errors
/// When there is none; similar names are named.
pub(crate) fn find(store: &DirStore, key: &ObjectKey) -> Result<Sourced<Render>, Error> {
    if let Some(render) = store.render(key) {
        return Ok(render);
    }
    let similar = store.keys(Kind::Render).into_iter().max_by(|a, b| {
        let likeness = |other: &ObjectKey| strsim::jaro_winkler(&other.to_string(), &key.to_string());
        likeness(a).total_cmp(&likeness(b))
    });
    let hint = similar.filter(|other| strsim::jaro_winkler(&other.name, &key.name) > 0.8);
    let hint = hint.map_or(String::new(), |other| format!("; did you mean {}/{}?", other.namespace, other.name));
    Err(Error::NotFound(format!("{key}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_STATE_DIR: StateArgs = StateArgs { state_dir: None };

    #[test]
    fn state_is_found_above_and_a_part_stays_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(root.join("sub/a.yaml"), "").unwrap();
        let of = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| root.join(path)).collect();
            layout(&paths, &NO_STATE_DIR).map(|layout| (layout.root().to_owned(), layout.entrances().to_vec()))
        };
        let sub = root.join("sub");
        assert_eq!(of(&["sub"]).unwrap(), (sub.clone(), vec![sub.clone()]));
        assert_eq!(of(&["sub/a.yaml"]).unwrap(), (sub.clone(), vec![sub.join("a.yaml")]));
        fs::create_dir_all(root.join(".status/.state")).unwrap();
        assert_eq!(of(&["sub"]).unwrap(), (root.clone(), vec![sub.clone()]));
        assert_eq!(of(&["sub/a.yaml", "sub/deep"]).unwrap().1, [sub.join("a.yaml"), sub.join("deep")]);
        assert_eq!(of(&["."]).unwrap(), (root.clone(), vec![root.clone()]));
        assert!(of(&["nope"]).is_err());
        assert!(matches!(of(&["sub", "/tmp"]), Err(Error::SeveralFolders { .. })));
    }
}
