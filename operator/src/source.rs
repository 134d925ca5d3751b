//! What a Render's spec points at on this machine: its project, its video, and the hash over everything it is made from.

use std::path::{Path, PathBuf};

use crds::{Code, Failure, Render, render::OutputStatus};
use kube::ResourceExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::files;

mod digests;

pub use digests::Digests;

/// The YAML file an object came from; the paths in its spec are relative to that file's folder.
pub const MANIFEST: &str = "hyperframes.io/manifest-path";

/// What is to be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// SHA-256 over site digest, configuration and variables. The same hash gives the same video.
    pub hash: String,
    /// The project folder.
    pub project: PathBuf,
    /// The video to write.
    pub output: PathBuf,
}

/// Whether a video is still as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputCheck {
    /// None was made yet.
    NotMade,
    /// It is there, byte for byte.
    Intact,
    /// It is gone, changed, or the spec now wants it elsewhere.
    Lost(String),
}

/// Where a Render's spec points, and the hash of what is there now.
///
/// # Errors
/// A [`Failure`] for the user when a path cannot be used.
pub fn inputs(render: &Render, digests: &Digests) -> Result<Inputs, Failure> {
    let manifest = render.annotations().get(MANIFEST).map(PathBuf::from);
    let folder = manifest.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let spec = &render.spec;
    let path = spec.source.path.as_deref().unwrap_or_default();
    let project = folder.join(path).canonicalize().ok().filter(|project| project.is_dir()).ok_or_else(|| Failure {
        code: Code::ProjectNotFound,
        message: format!("spec.source.path: {path:?} is not a folder beside this file"),
        path: manifest.as_ref().map(|manifest| manifest.display().to_string()),
        line: None,
    })?;
    let output = output(render, folder);
    if output.strip_prefix(&project).is_ok_and(|inside| !inside.starts_with("out") && !inside.starts_with("output")) {
        let message =
            "spec.output.path lies inside the project: the video would become part of its own source".to_owned();
        return Err(Failure::new(Code::SpecInvalid, message));
    }
    let site = digests.site(&project).map_err(|error| Failure::new(Code::IoFailed, error.to_string()))?;
    let made_from = json!({
        "site": site,
        "config": { "fps": spec.output.fps, "quality": spec.output.quality },
        "variables": spec.variables,
    });
    let canonical = serde_json_canonicalizer::to_vec(&made_from)
        .map_err(|error| Failure::new(Code::VariablesInvalid, error.to_string()))?;
    Ok(Inputs { hash: files::hex(&Sha256::digest(canonical)), project, output })
}

/// The video of a Render whose YAML file lies in this folder.
#[must_use]
pub fn output(render: &Render, folder: &Path) -> PathBuf {
    let path = render.spec.output.path.clone().unwrap_or_else(|| format!("out/{}.mp4", render.name_any()));
    absolute(&folder.join(path))
}

/// Whether the video of the last success is where the spec wants it, byte for byte.
pub fn check_output(recorded: Option<&OutputStatus>, wanted: &Path, digests: &Digests) -> OutputCheck {
    let Some(recorded) = recorded else { return OutputCheck::NotMade };
    if recorded.uri != uri(wanted) {
        return OutputCheck::Lost("the spec wants it elsewhere".to_owned());
    }
    match digests.file(wanted) {
        Some(digest) if digest == recorded.sha256 => OutputCheck::Intact,
        Some(_) => OutputCheck::Lost("it was changed".to_owned()),
        None => OutputCheck::Lost("it is gone".to_owned()),
    }
}

/// The `file://` address of an absolute path.
#[must_use]
pub fn uri(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from)
}

/// An absolute path without `.` and `..`, which need not exist.
fn absolute(path: &Path) -> PathBuf {
    use std::path::Component;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
        clean
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, content: &str) {
        files::write_atomic(path, content).unwrap();
    }

    #[test]
    fn the_input_hash_follows_what_the_video_is_made_from_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("site/index.html"), "1");
        let digests = Digests::default();
        let hash = |spec: &str| {
            let mut render: Render = serde_yaml::from_str(&format!(
                "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: a}}, spec: {{source: {{path: site}}, {spec}}}}}"
            ))
            .unwrap();
            let manifest = folder.path().join("a.yaml").display().to_string();
            render.metadata.annotations = Some([(MANIFEST.to_owned(), manifest)].into());
            inputs(&render, &digests).unwrap().hash
        };
        let plain = hash("");
        assert_eq!(hash("priority: 3, output: {path: x.mp4}, chunking: {chunkSize: 60}"), plain);
        assert_eq!(hash("variables: {a: 1, b: 2}"), hash("variables: {b: 2, a: 1}"));
        for other in ["variables: {a: 1}", "output: {fps: 25}", "output: {quality: draft}"] {
            assert_ne!(hash(other), plain, "{other}");
        }
        write(&folder.path().join("site/index.html"), "2");
        assert_eq!(hash(""), plain, "a digest is kept until something may have changed");
        let site = folder.path().canonicalize().unwrap().join("site");
        digests.forget(&[site.join("out/video.mp4")]);
        assert_eq!(hash(""), plain, "videos are not part of a site");
        digests.forget(&[site.join("index.html")]);
        let second = hash("");
        assert_ne!(second, plain);
        write(&folder.path().join("site/index.html"), "3");
        digests.doubt();
        assert_ne!(hash(""), second);
    }
}
