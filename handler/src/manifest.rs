//! Plan protocol v2: a plan as a manifest and blobs named by their digests (upstream's `planV2.ts`).
//!
//! The manifest says of every file of the plan folder which chunks read it, and whether assembling does; a worker fetches
//! only those. Its hash is taken over its canonical JSON, in the order the files are listed in.

use std::{collections::BTreeSet, path::Path};

use crds::{Code, Failure, Format, FrameRate};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkdir::WalkDir;

use crate::files;

/// Name of the hash's definition, which is part of it.
const HASH_SCHEMA: &str = "hyperframes-plan-manifest-hash-v2";
/// The one file every reader needs.
pub(crate) const PLAN_JSON: &str = "plan.json";
const CHUNKS_JSON: &str = "meta/chunks.json";
/// Marks an extracted video as complete while planning; no part of the plan.
const COMPLETE_MARK: &str = ".hf-complete";
const AUDIO: [&str; 2] = ["audio.m4a", "audio.aac"];

/// A published plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    protocol: Protocol,
    /// 64 hexadecimal digits over all the rest.
    pub plan_hash: String,
    /// The hash of the plan folder itself.
    pub source_plan_v1_hash: String,
    /// Number of chunks.
    pub chunk_count: u32,
    /// Number of frames.
    pub total_frames: u32,
    /// Frames per second. Upstream has only whole numbers; other rates are written as `"30000/1001"`.
    pub fps: FrameRate,
    /// Width of the page in CSS pixels.
    pub width: u32,
    /// Height of the page in CSS pixels.
    pub height: u32,
    /// Container and codec.
    pub format: Format,
    /// Version of libav.
    pub ffmpeg_version: String,
    /// Version of the planning producer.
    pub producer_version: String,
    limitations: Limitations,
    /// Every file.
    pub artifacts: Vec<Artifact>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Protocol {
    schema_version: u32,
    artifact_layout: String,
    hash_schema: String,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            schema_version: 2,
            artifact_layout: "content-addressed-plan-v2".to_owned(),
            hash_schema: HASH_SCHEMA.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limitations {
    video_dependency_mode: VideoDependencies,
}

/// Whether chunks get only the video frames they show, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VideoDependencies {
    ExactRenderedFrames,
    FullSourcePack,
}

/// A file of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Where it is in the plan folder.
    pub path: String,
    /// Its digest, and the name of its blob.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    chunks: Readers,
    assembler: bool,
}

/// Which chunks read a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Readers {
    All(All),
    Some(Vec<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum All {
    All,
}

/// Who reads a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The worker of one chunk.
    Chunk(u32),
    /// Whoever joins them.
    Assembler,
}

/// What `plan.json` says, as far as a manifest repeats it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlanJson {
    plan_hash: String,
    producer_version: String,
    ffmpeg_version: String,
    dimensions: Dimensions,
    chunk_count: u32,
    total_frames: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimensions {
    fps_num: u32,
    fps_den: u32,
    width: u32,
    height: u32,
    format: Format,
}

fn broken(message: impl std::fmt::Display) -> Failure {
    Failure::new(Code::PlanIntegrity, format!("the published plan cannot be used ({message}): plan again"))
}

impl Manifest {
    /// The manifest of a plan folder.
    ///
    /// # Errors
    /// `PLAN_V2_INTEGRITY_UNRECOVERABLE` when the folder holds something that is no file, or lacks `plan.json`.
    pub fn of(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: files::Error| Failure::new(error.code(), error.to_string());
        let plan: PlanJson =
            serde_json::from_slice(&files::read(&folder.join(PLAN_JSON)).map_err(failed)?).map_err(broken)?;
        let mut artifacts = Vec::new();
        let mut full_pack = false;
        for entry in WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.map_err(broken)?;
            if entry.file_type().is_dir() {
                continue;
            }
            let path = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
            let path = path.ok_or_else(|| broken("a file has a name that is not UTF-8"))?;
            if !entry.file_type().is_file() {
                return Err(broken(format!("{path} is neither a file nor a folder")));
            }
            let (size_bytes, sha256) = files::digest(entry.path()).map_err(failed)?;
            if path.starts_with("video-frames/") && path.ends_with(&format!("/{COMPLETE_MARK}")) {
                if size_bytes == 0 {
                    continue;
                }
                return Err(broken(format!("{path} is not empty")));
            }
            full_pack |= path.starts_with("video-frames/");
            let (chunks, assembler) = roles(path);
            artifacts.push(Artifact { path: path.to_owned(), sha256, size_bytes, chunks, assembler });
        }
        let Dimensions { fps_num, fps_den, width, height, format } = plan.dimensions;
        let mode = if full_pack { VideoDependencies::FullSourcePack } else { VideoDependencies::ExactRenderedFrames };
        let mut manifest = Self {
            protocol: Protocol::default(),
            plan_hash: String::new(),
            source_plan_v1_hash: plan.plan_hash,
            chunk_count: plan.chunk_count,
            total_frames: plan.total_frames,
            fps: FrameRate::new(fps_num, fps_den).map_err(broken)?,
            width,
            height,
            format,
            ffmpeg_version: plan.ffmpeg_version,
            producer_version: plan.producer_version,
            limitations: Limitations { video_dependency_mode: mode },
            artifacts,
        };
        manifest.plan_hash = manifest.hash();
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads a manifest and compares it with its hash.
    ///
    /// # Errors
    /// `PLAN_PROTOCOL_UNSUPPORTED` for another protocol, `PLAN_V2_INTEGRITY_UNRECOVERABLE` for anything else that is not as
    /// a manifest has it.
    pub fn read(text: &[u8]) -> Result<Self, Failure> {
        let value: Value = serde_json::from_slice(text).map_err(broken)?;
        let protocol = serde_json::from_value::<Protocol>(value["protocol"].clone());
        if protocol.ok() != Some(Protocol::default()) {
            let message = "the plan has a protocol this build does not read: plan again with this build";
            return Err(Failure::new(Code::PlanProtocolUnsupported, message));
        }
        let manifest: Self = serde_json::from_value(value).map_err(broken)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as it is written: canonical JSON.
    #[must_use]
    pub fn text(&self) -> String {
        canonical(self)
    }

    fn hash(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        if let Some(fields) = value.as_object_mut() {
            fields.remove("planHash");
        }
        hash_of(&value)
    }

    fn check(&self) -> Result<(), Failure> {
        if [&self.plan_hash, &self.source_plan_v1_hash].iter().any(|hash| !is_digest(hash)) {
            return Err(broken("a hash is not 64 hexadecimal digits"));
        }
        let mut paths = BTreeSet::new();
        for artifact in &self.artifacts {
            let path = &artifact.path;
            if !is_safe(path) || !paths.insert(path.as_str()) {
                return Err(broken(format!("{path:?} is no path of a file, or is there twice")));
            }
            if !is_digest(&artifact.sha256) {
                return Err(broken(format!("the digest of {path} is not 64 hexadecimal digits")));
            }
            if let Readers::Some(chunks) = &artifact.chunks
                && chunks.iter().any(|chunk| *chunk >= self.chunk_count)
            {
                return Err(broken(format!("{path} is for a chunk the plan does not have")));
            }
        }
        if !paths.contains(PLAN_JSON) {
            return Err(broken("it has no plan.json"));
        }
        let found = self.hash();
        if found == self.plan_hash {
            Ok(())
        } else {
            Err(broken(format!("its hash is {found} instead of {}", self.plan_hash)))
        }
    }

    /// The files somebody needs.
    pub fn selected(&self, target: Target) -> impl Iterator<Item = &Artifact> {
        self.artifacts.iter().filter(move |artifact| match (target, &artifact.chunks) {
            (Target::Assembler, _) => artifact.assembler,
            (Target::Chunk(_), Readers::All(All::All)) => true,
            (Target::Chunk(index), Readers::Some(chunks)) => chunks.contains(&index),
        })
    }

    /// Whether the video has sound.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.artifacts.iter().any(|artifact| AUDIO.contains(&artifact.path.as_str()))
    }
}

/// Who reads a file: upstream's table. Video frames go to every chunk.
fn roles(path: &str) -> (Readers, bool) {
    let everybody = || Readers::All(All::All);
    match path {
        path if AUDIO.contains(&path) => (Readers::Some(Vec::new()), true),
        // Assembling compares chunks with the composition's size, which upstream's does not.
        PLAN_JSON | CHUNKS_JSON | "meta/encoder.json" | "meta/composition.json" => (everybody(), true),
        "meta/videos.json" => (everybody(), false),
        path if path.starts_with("compiled/") || path.starts_with("video-frames/") => (everybody(), false),
        _ => (everybody(), true),
    }
}

fn hash_of(value: &Value) -> String {
    files::sha256(format!("{HASH_SCHEMA}\0{}", canonical(value)).as_bytes())
}

/// JSON in the one canonical form hashes are taken over (RFC 8785).
pub(crate) fn canonical(value: &impl Serialize) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A path that stays in its folder, on every system.
fn is_safe(path: &str) -> bool {
    let parts = path.split(['/', '\\']);
    !path.contains('\0') && parts.into_iter().all(|part| !["", ".", ".."].contains(&part))
}

#[cfg(test)]
mod tests;
