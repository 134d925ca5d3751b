//! Where the paths of a spec lead: beside its YAML file, or, for an object of a cluster, to folders that whoever runs the
//! operator has named, and never out of them.

use std::path::{Component, Path, PathBuf};

use crds::Render;
use fs_err as fs;
use kube::ResourceExt as _;

use super::resolve_target;
use crate::ports::{Folders, ObjectKey, Origin};

/// What a Render is made from and where to, as written; nothing of it need be there.
pub(super) struct Places {
    /// The composition.
    pub(super) project: PathBuf,
    /// The video.
    pub(super) target: PathBuf,
    /// What paths are relative to, for people.
    pub(super) home: &'static str,
    /// What neither may leave, each in its own; `None` where the user may name any path.
    bounds: Option<Bounds>,
}

struct Bounds {
    sources: PathBuf,
    outputs: PathBuf,
    /// The Render's own folder in `outputs`.
    own: PathBuf,
}

impl Places {
    /// Those of a Render. `fetched`: its composition, where that does not lie where its spec says.
    ///
    /// # Errors
    /// Why its spec cannot say, in one sentence.
    pub(super) fn of(render: &Render, origin: &Origin, fetched: Option<&Path>) -> Result<Self, String> {
        match (origin, fetched, render.spec.source.path.as_deref()) {
            (_, None, None) => Err("spec.source: nothing is fetched here".to_owned()),
            (Origin::File { path, .. }, fetched, written) => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                let project = fetched.map_or_else(|| folder.join(written.unwrap_or_default()), Path::to_owned);
                Ok(Self { project, target: target_path(render, folder), home: "this file", bounds: None })
            }
            (Origin::Cluster(folders), Some(fetched), _) => Self::in_cluster(render, fetched, ".", folders),
            (Origin::Cluster(folders), None, Some(written)) => {
                let sources = folders.sources.as_deref().ok_or(
                    "spec.source.path: this operator was started without a folder of compositions: set HF_SOURCES",
                )?;
                Self::in_cluster(render, sources, written, folders)
            }
            (Origin::BuiltIn, ..) => Err("spec.source.path: there is no file that it could be relative to".to_owned()),
        }
    }

    fn in_cluster(render: &Render, sources: &Path, written: &str, folders: &Folders) -> Result<Self, String> {
        let ObjectKey { namespace, name, .. } = ObjectKey::render(render);
        let (outputs, own) = (folders.outputs.clone(), Path::new(&namespace).join(&name));
        let video = render.spec.output.path.clone().unwrap_or_else(|| file_name(render, &name));
        Ok(Self {
            project: below(sources, written, "spec.source.path")?,
            target: below(&outputs.join(&own), &video, "spec.output.path")?,
            home: "the operator's folder of compositions",
            bounds: Some(Bounds { sources: sources.to_owned(), outputs, own }),
        })
    }

    /// Makes sure that links do not lead out either.
    ///
    /// # Errors
    /// What leads out, in one sentence.
    pub(super) fn confine(&self, project: &Path, target: &Path) -> Result<(), String> {
        let Some(Bounds { sources, outputs, own }) = &self.bounds else { return Ok(()) };
        if !project.starts_with(resolved(sources)?) {
            return Err("spec.source.path: a link in it leads out of the operator's folder of compositions".to_owned());
        }
        if !target.starts_with(resolved(outputs)?.join(own)) {
            return Err("spec.output.path: a link in it leads out of this Render's folder of videos".to_owned());
        }
        Ok(())
    }
}

/// The video of a Render whose YAML file lies in this folder, as written.
#[must_use]
pub fn target_path(render: &Render, folder: &Path) -> PathBuf {
    let path = render.spec.output.path.clone();
    folder.join(path.unwrap_or_else(|| format!("out/{}", file_name(render, &render.name_any()))))
}

/// What a video is called where its Render does not say: with the extension of its format, if that has one.
fn file_name(render: &Render, name: &str) -> String {
    render.spec.output.format.extension().map_or_else(|| name.to_owned(), |extension| format!("{name}.{extension}"))
}

/// A path below a folder, as written.
///
/// # Errors
/// That it leads elsewhere, in one sentence.
pub(super) fn below(folder: &Path, path: &str, field: &str) -> Result<PathBuf, String> {
    let mut parts = Path::new(path).components();
    if path.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!(
            "{field}: {path:?} leads out of the operator's folder: name a path below it, without \"..\""
        ));
    }
    Ok(folder.join(path))
}

/// A folder with links followed, whether it is there or not.
fn resolved(folder: &Path) -> Result<PathBuf, String> {
    if folder.is_dir() {
        return fs::canonicalize(folder).map_err(|error| error.to_string());
    }
    resolve_target(folder, false)
}
