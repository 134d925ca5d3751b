//! The plan hash: upstream's execution-plan hash, over everything pixels and bytes depend on.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::{
    Error, files,
    layout::{Descriptor, HASH_SCHEMA, PlanDir},
};

const DESCRIPTOR: &str = "plan.json";
const ENCODER: &str = "meta/encoder.json";
const ENTRY: &str = "compiled/index.html";

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

/// The hash of a plan folder, as `plan.json` has to name it.
pub(crate) fn of(dir: &PlanDir, descriptor: &Descriptor) -> Result<String, Error> {
    let mut listed = Vec::new();
    for entry in WalkDir::new(dir.path()) {
        let entry =
            entry.map_err(|error| Error::PlanUnreadable { path: dir.path().to_owned(), reason: error.to_string() })?;
        let path = entry.path().strip_prefix(dir.path()).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        if entry.file_type().is_file() && ![DESCRIPTOR, ENCODER, ENTRY].contains(&path.as_str()) {
            listed.push((path, files::digest(entry.path())?.1));
        }
    }
    let missing =
        |error: files::Error| Error::PlanUnreadable { path: error.path().to_owned(), reason: error.to_string() };
    let size = &descriptor.dimensions;
    Ok(hash(Inputs {
        entry: &files::read(&dir.path().join(ENTRY)).map_err(missing)?,
        files: listed,
        font_snapshot_sha: &descriptor.font_snapshot_sha,
        encoder: &files::read(&dir.encoder()).map_err(missing)?,
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
    files::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::canonical;

    fn sha256(text: &str) -> String {
        files::hex(&Sha256::digest(text))
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
