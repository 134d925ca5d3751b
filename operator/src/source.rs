//! What a Render's spec points at on this machine: its project, its video, and the hash over everything it is made from.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::OsStr,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crds::{Code, Failure, Render, render::OutputStatus};
use kube::ResourceExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;
use walkdir::{DirEntry, WalkDir};

use crate::{
    error::Error,
    files::{self, Named as _},
    observe::OutputCheck,
};

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

/// Digests of folders and files, kept until something says they may have changed.
#[derive(Debug, Default)]
pub struct Digests {
    sites: RefCell<HashMap<PathBuf, Site>>,
    files: RefCell<HashMap<PathBuf, (Stamp, String)>>,
}

#[derive(Debug)]
struct Site {
    digest: String,
    stamps: Vec<(PathBuf, Stamp)>,
    /// The stamps are to be compared before the digest is believed.
    doubted: bool,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Self { size: meta.size(), modified, changed, inode: meta.ino() }
    }
}

impl Digests {
    /// Forgets the digests of folders that hold any of these paths, or lie in them.
    pub fn forget(&self, paths: &[PathBuf]) {
        let related = |site: &Path| {
            paths.iter().any(|path| match path.strip_prefix(site) {
                Ok(inside) => !inside.iter().next().is_some_and(is_skipped),
                Err(_) => site.starts_with(path),
            })
        };
        self.sites.borrow_mut().retain(|site, _| !related(site));
    }

    /// Has every folder looked at again: its files are read only if one looks different.
    pub fn doubt(&self) {
        self.sites.borrow_mut().values_mut().for_each(|site| site.doubted = true);
    }

    /// The project folders that were asked for.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.sites.borrow().keys().cloned().collect()
    }

    fn site(&self, folder: &Path) -> Result<String, Error> {
        if let Some(site) = self.sites.borrow_mut().get_mut(folder)
            && (!site.doubted || site.stamps == stamps(folder)?)
        {
            site.doubted = false;
            return Ok(site.digest.clone());
        }
        // Taken before the files are read: what is written meanwhile differs from it.
        let stamps = stamps(folder)?;
        let digest = site_digest(folder)?;
        self.sites.borrow_mut().insert(folder.to_owned(), Site { digest: digest.clone(), stamps, doubted: false });
        Ok(digest)
    }

    fn file(&self, path: &Path) -> Option<String> {
        let stamp = Stamp::of(&path.metadata().ok()?);
        if let Some((known, digest)) = self.files.borrow().get(path)
            && *known == stamp
        {
            return Some(digest.clone());
        }
        let digest = files::sha256(path).ok()?;
        self.files.borrow_mut().insert(path.to_owned(), (stamp, digest.clone()));
        Some(digest)
    }
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
    let output = spec.output.path.clone().unwrap_or_else(|| format!("out/{}.mp4", render.name_any()));
    let output = absolute(&folder.join(output));
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

/// Top-level folders that are tools' business, not the composition's: upstream's list, and where state and videos go when
/// the project is the watched folder. The producer skips the same.
const SKIPPED: [&str; 10] =
    ["node_modules", ".git", ".cache", "output", "failures", "dist", ".next", ".turbo", ".status", "out"];

fn is_skipped(name: &OsStr) -> bool {
    SKIPPED.iter().any(|skipped| name == *skipped)
}

/// Everything in a project, sorted by name.
fn entries(folder: &Path) -> impl Iterator<Item = Result<DirEntry, Error>> {
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| entry.depth() != 1 || !is_skipped(entry.file_name())).map(move |entry| {
        entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            Error::File { action: "read", path, source: error.into() }
        })
    })
}

fn stamps(folder: &Path) -> Result<Vec<(PathBuf, Stamp)>, Error> {
    let stamp = |entry: DirEntry| {
        let path = entry.into_path();
        let meta = path.symlink_metadata().named("read", &path)?;
        Ok((path, Stamp::of(&meta)))
    };
    entries(folder).map(|entry| entry.and_then(stamp)).collect()
}

/// SHA-256 over a project's files: upstream's site hash (of which upstream uses the first 16 digits), and where a
/// symbolic link leads, which upstream leaves out.
fn site_digest(folder: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for entry in entries(folder) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let mut name = || {
            hash.update(relative.as_os_str().as_encoded_bytes());
            hash.update(b"\0");
        };
        if entry.file_type().is_file() {
            name();
            files::feed(&mut hash, entry.path())?;
        } else if entry.file_type().is_symlink() {
            name();
            let target = entry.path().read_link().unwrap_or_default();
            hash.update(target.as_os_str().as_encoded_bytes());
        }
    }
    Ok(files::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, content: &str) {
        files::write_atomic(path, content).unwrap();
    }

    /// Made by running upstream's hash.
    #[test]
    fn the_site_digest_is_upstreams() {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [
            (".hidden", "h"),
            ("assets/a.css", "body{}"),
            ("b/c.txt", "1"),
            ("b.txt", "2"),
            ("index.html", "<html></html>"),
            ("sub/dist/z", "kept"),
            ("node_modules/x/y.js", "ignored"),
            ("dist/z", "ignored"),
        ] {
            write(&folder.path().join(path), content);
        }
        assert_eq!(site_digest(folder.path()).unwrap()[..16], *"d8baea9c528ea2df");
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
