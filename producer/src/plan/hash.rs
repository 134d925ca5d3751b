//! The plan hash: upstream's execution-plan hash, over everything pixels and bytes depend on.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::{
    Error, files,
    layout::{self, Descriptor, HASH_SCHEMA, PlanDir, SOUND},
};

const DESCRIPTOR: &str = "plan.json";
const ENCODER: &str = "meta/encoder.json";
const ENTRY: &str = "compiled/index.html";

/// Says that a folder is the part of a plan one worker needs, of which every file was compared when it was fetched
/// (upstream's name). The hash of the whole is then not to be had.
const PART: &str = ".hyperframes-plan-v2.json";

/// Compares a plan folder with the hash it names.
pub(crate) fn check(dir: &PlanDir, descriptor: &Descriptor) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest {
        source_plan_v1_hash: String,
    }
    #[derive(serde::Deserialize)]
    struct Marker {
        manifest: Manifest,
    }
    let expected = &descriptor.plan_hash;
    let found = if dir.path().join(PART).exists() {
        files_of(dir, &[DESCRIPTOR, PART, SOUND])?;
        layout::read::<Marker>(&dir.path().join(PART))?.manifest.source_plan_v1_hash
    } else {
        of(dir, descriptor)?
    };
    if found == *expected { Ok(()) } else { Err(Error::PlanChanged { expected: expected.clone(), found }) }
}

/// Everything the hash is taken over.
struct Inputs<'a> {
    entry: &'a [u8],
    /// Path and hexadecimal SHA-256 of every other file.
    files: Vec<(String, String)>,
    font_snapshot_sha: &'a str,
    encoder: &'a [u8],
    producer_version: &'a str,
    ffmpeg_version: &'a str,
    /// `30/1x1920x1080xmp4`
    shape: String,
}

/// Folders of a plan.
const FOLDERS: [&str; 3] = ["compiled", "meta", "video-frames"];

/// Whether a folder holds a plan as it was written and nothing else.
pub(crate) fn is_unchanged_plan(folder: &Path) -> Result<bool, Error> {
    let dir = PlanDir::new(folder);
    let descriptor: Descriptor = layout::read(&dir.descriptor())?;
    Ok(of(&dir, &descriptor)? == descriptor.plan_hash)
}

/// The files of a plan folder. Whatever is no file or folder, such as a link, or lies where a plan has nothing, is an error.
fn files_of(dir: &PlanDir, at_the_top: &[&str]) -> Result<Vec<String>, Error> {
    let mut files = Vec::new();
    for entry in WalkDir::new(dir.path()).min_depth(1) {
        let entry = entry.map_err(|error| unreadable(dir.path(), error.to_string()))?;
        let path = entry.path().strip_prefix(dir.path()).unwrap_or(Path::new(""));
        let path = path.to_str().ok_or_else(|| unreadable(entry.path(), "its name is not UTF-8".to_owned()))?;
        let known = if entry.file_type().is_dir() {
            entry.depth() > 1 || FOLDERS.contains(&path)
        } else {
            entry.file_type().is_file() && (entry.depth() > 1 || at_the_top.contains(&path))
        };
        if !known {
            return Err(unreadable(entry.path(), "no plan has such a thing".to_owned()));
        }
        if entry.file_type().is_file() {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, reason: String) -> Error {
    Error::PlanUnreadable { path: path.to_owned(), reason }
}

/// The hash of a plan folder, as `plan.json` has to name it. It covers every file.
pub(crate) fn of(dir: &PlanDir, descriptor: &Descriptor) -> Result<String, Error> {
    let files = files_of(dir, &[DESCRIPTOR, SOUND])?
        .into_iter()
        .filter(|path| ![DESCRIPTOR, ENCODER, ENTRY].contains(&&**path));
    let digest = |path: String| files::digest(&dir.path().join(&path)).map(|(_, digest)| (path, digest));
    let listed = files.map(digest).collect::<Result<Vec<_>, _>>()?;
    let read = |path: &str| {
        let path = dir.path().join(path);
        files::read(&path).map_err(|error| unreadable(&path, error.to_string()))
    };
    let size = &descriptor.dimensions;
    Ok(hash(Inputs {
        entry: &read(ENTRY)?,
        files: listed,
        font_snapshot_sha: &descriptor.font_snapshot_sha,
        encoder: &read(ENCODER)?,
        producer_version: &descriptor.producer_version,
        ffmpeg_version: &descriptor.ffmpeg_version,
        shape: format!("{}/{}x{}x{}x{}", size.fps_num, size.fps_den, size.width, size.height, size.format.as_str()),
    }))
}

fn hash(mut inputs: Inputs<'_>) -> String {
    inputs.files.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(bytes);
        hash.update(b"\0");
    };
    part(HASH_SCHEMA.as_bytes());
    part(inputs.entry);
    for (path, digest) in &inputs.files {
        part(path.as_bytes());
        part(digest.as_bytes());
    }
    part(inputs.font_snapshot_sha.as_bytes());
    part(inputs.encoder);
    part(inputs.producer_version.as_bytes());
    part(inputs.ffmpeg_version.as_bytes());
    hash.update(inputs.shape.as_bytes());
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::canonical;

    fn sha256(text: &str) -> String {
        hex::encode(Sha256::digest(text))
    }

    /// Made by running upstream's hash.
    #[test]
    fn the_hash_is_upstreams() {
        let encoder = canonical(&serde_json::json!({
            "gopSize": 240, "encoder": "libx264-software", "crf": 18, "closedGop": true, "z": [1, 2.5, null], "a": "é\"\u{2028}",
        }));
        assert_eq!(
            encoder,
            "{\"a\":\"é\\\"\u{2028}\",\"closedGop\":true,\"crf\":18,\"encoder\":\"libx264-software\",\"gopSize\":240,\"z\":[1,2.5,null]}"
        );
        let inputs = Inputs {
            entry: b"<html></html>",
            files: vec![("meta/chunks.json".into(), sha256("b")), ("compiled/style.css".into(), sha256("a"))],
            font_snapshot_sha: &sha256("{}"),
            encoder: encoder.as_bytes(),
            producer_version: "0.8.10",
            ffmpeg_version: "ffmpeg version 6.1.1",
            shape: "30/1x1920x1080xmp4".into(),
        };
        assert_eq!(hash(inputs), "988b259ff2d8057723778072fc47337d7cd0f2f6420e09d6088472e36dc0539e");
    }
}
