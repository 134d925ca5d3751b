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
    /// Those of a Render.
    ///
    /// # Errors
    /// Why its spec cannot say, in one sentence.
    pub(super) fn of(render: &Render, origin: &Origin) -> Result<Self, String> {
        let written = render.spec.source.path.as_deref().unwrap_or_default();
        match origin {
            Origin::File { path, .. } => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                let (project, target) = (folder.join(written), target_path(render, folder));
                Ok(Self { project, target, home: "this file", bounds: None })
            }
            Origin::Cluster(folders) => Self::in_cluster(render, written, folders),
            Origin::BuiltIn => Err("spec.source.path: there is no file that it could be relative to".to_owned()),
        }
    }

    fn in_cluster(render: &Render, written: &str, folders: &Folders) -> Result<Self, String> {
        let Some(sources) = folders.sources.clone() else {
            return Err("spec.source.path: this operator was started without a folder of compositions: set HF_SOURCES"
                .to_owned());
        };
        let ObjectKey { namespace, name, .. } = ObjectKey::render(render);
        let (outputs, own) = (folders.outputs.clone(), Path::new(&namespace).join(&name));
        let video = render.spec.output.path.clone().unwrap_or_else(|| format!("{name}.mp4"));
        Ok(Self {
            project: below(&sources, written, "spec.source.path")?,
            target: below(&outputs.join(&own), &video, "spec.output.path")?,
            home: "the operator's folder of compositions",
            bounds: Some(Bounds { sources, outputs, own }),
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
    let path = render.spec.output.path.clone().unwrap_or_else(|| format!("out/{}.mp4", render.name_any()));
    folder.join(path)
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
    resolve_target(folder)
}
