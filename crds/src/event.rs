//! The events of the Lambda function, as upstream's state machine sends them (`packages/aws-lambda/src/events.ts`, plan
//! protocol v2), and its answers.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Failure, config::RenderConfig, format::Format, line::FrameSourceKind, rate::FrameRate};

/// What one invocation is asked to do; `Action` says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Action", rename_all = "camelCase")]
pub enum Event {
    /// Read the project, publish a plan.
    Plan(PlanEvent),
    /// Render one chunk of a published plan.
    RenderChunk(RenderChunkEvent),
    /// Join all chunks of a published plan.
    Assemble(AssembleEvent),
}

/// `Action: plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PlanEvent {
    /// `s3://bucket/key.tar.gz`: the project folder as a gzipped tar.
    #[serde(rename = "ProjectS3Uri")]
    pub project_s3_uri: String,
    /// `s3://bucket/prefix/` the plan is published under.
    #[serde(rename = "PlanOutputS3Prefix")]
    pub plan_output_s3_prefix: String,
    /// The render configuration.
    pub config: PlanConfig,
}

/// A render configuration, and what of upstream's only the function needs to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanConfig {
    /// What the producer needs to know.
    #[serde(flatten)]
    pub render: RenderConfig,
    /// `s3://bucket/key.json` of the variables, a JSON object, where they are too large for a state machine.
    #[serde(rename = "variablesS3Uri", default, skip_serializing_if = "Option::is_none")]
    pub variables_s3_uri: Option<String>,
    /// Asks for a constant frame rate. Every video here has one; the answer says it again, so that a state machine can
    /// hand it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfr: Option<bool>,
}

/// `Action: renderChunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RenderChunkEvent {
    /// `<prefix>/v2/manifest.json`.
    #[serde(rename = "PlanV2ManifestS3Uri")]
    pub plan_v2_manifest_s3_uri: String,
    /// `<prefix>/v2/artifacts/sha256`.
    #[serde(rename = "PlanV2ArtifactS3Prefix")]
    pub plan_v2_artifact_s3_prefix: String,
    /// 64 hexadecimal digits.
    pub plan_hash: String,
    /// Index from 0.
    pub chunk_index: u32,
    /// Prefix the chunk is written under.
    #[serde(rename = "ChunkOutputS3Prefix")]
    pub chunk_output_s3_prefix: String,
    /// The plan's format.
    pub format: Format,
}

/// `Action: assemble`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssembleEvent {
    /// `<prefix>/v2/manifest.json`.
    #[serde(rename = "PlanV2ManifestS3Uri")]
    pub plan_v2_manifest_s3_uri: String,
    /// `<prefix>/v2/artifacts/sha256`.
    #[serde(rename = "PlanV2ArtifactS3Prefix")]
    pub plan_v2_artifact_s3_prefix: String,
    /// 64 hexadecimal digits.
    pub plan_hash: String,
    /// All chunks, in order of index.
    #[serde(rename = "ChunkS3Uris", deserialize_with = "one_or_many")]
    pub chunk_s3_uris: Vec<String>,
    /// SHA-256 of each chunk's object, as `renderChunk` answered, if the state machine kept it: ours does, upstream's
    /// does not.
    #[serde(rename = "ChunkSha256s", default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub chunk_sha256s: Vec<String>,
    /// The finished video.
    #[serde(rename = "OutputS3Uri")]
    pub output_s3_uri: String,
    /// The plan's format.
    pub format: Format,
}

/// A path with a wildcard gives a list in AWS, also of one; LocalStack gives a lone match bare.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(text) => vec![text],
        Either::Many(texts) => texts,
    })
}

/// What an invocation answers; `Action` says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Action", rename_all = "camelCase")]
pub enum Answer {
    /// A plan was published.
    Plan(PlanAnswer),
    /// A chunk is there.
    RenderChunk(RenderChunkAnswer),
    /// The video is there.
    Assemble(AssembleAnswer),
}

/// The only plan protocol that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanProtocol {
    /// A manifest and blobs named by their digests.
    #[serde(rename = "v2")]
    V2,
}

/// The answer to `plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PlanAnswer {
    /// `v2`.
    pub plan_protocol: PlanProtocol,
    /// `<prefix>/v2/manifest.json`.
    #[serde(rename = "PlanV2ManifestS3Uri")]
    pub plan_v2_manifest_s3_uri: String,
    /// `<prefix>/v2/artifacts/sha256`.
    #[serde(rename = "PlanV2ArtifactS3Prefix")]
    pub plan_v2_artifact_s3_prefix: String,
    /// The manifest's hash.
    pub plan_hash: String,
    /// Number of chunks.
    pub chunk_count: u32,
    /// Number of frames.
    pub total_frames: u32,
    /// Frames per second: a number, or a text such as `30000/1001`.
    pub fps: FrameRate,
    /// Width of the page in CSS pixels.
    pub width: u32,
    /// Height of the page in CSS pixels.
    pub height: u32,
    /// Container and codec.
    pub format: Format,
    /// Whether the video has sound.
    pub has_audio: bool,
    /// Always null: in plan protocol v2 the sound is in the plan.
    #[serde(rename = "AudioS3Uri")]
    pub audio_s3_uri: Option<String>,
    /// Version of libav.
    pub ffmpeg_version: String,
    /// Version of the planning producer.
    pub producer_version: String,
    /// Whether a constant frame rate was asked for; upstream's answers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfr: Option<bool>,
    /// What is not as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Failure>,
    /// Wall time.
    pub duration_ms: u64,
}

/// The answer to `renderChunk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RenderChunkAnswer {
    /// `<prefix>/chunks/<NNNN>.<extension>`.
    #[serde(rename = "ChunkS3Uri")]
    pub chunk_s3_uri: String,
    /// Index from 0.
    pub chunk_index: u32,
    /// SHA-256 of the object's bytes.
    pub sha256: String,
    /// Frames in the chunk.
    pub frames_encoded: u32,
    /// `beginframe` or `screenshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_mode: Option<String>,
    /// How the pixels left the browser; not said of a chunk that was there already, nor by upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_source: Option<FrameSourceKind>,
    /// What is not as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Failure>,
    /// Wall time.
    pub duration_ms: u64,
}

/// The answer to `assemble`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssembleAnswer {
    /// The finished video.
    #[serde(rename = "OutputS3Uri")]
    pub output_s3_uri: String,
    /// Frames in the video.
    pub frames_encoded: u32,
    /// Bytes of the video.
    pub file_size: u64,
    /// SHA-256 of the video's bytes, hexadecimal; upstream's answers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Wall time.
    pub duration_ms: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Upstream's own shapes, field for field.
    #[test]
    fn answers_read_as_upstreams() {
        let plan = json!({
            "Action": "plan", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": "s3://b/renders/r1/v2/manifest.json",
            "PlanV2ArtifactS3Prefix": "s3://b/renders/r1/v2/artifacts/sha256", "PlanHash": "0a", "ChunkCount": 16,
            "TotalFrames": 1800, "Fps": 30, "Width": 1920, "Height": 1080, "Format": "mp4", "HasAudio": true,
            "AudioS3Uri": null, "FfmpegVersion": "ffmpeg version 6.1.1", "ProducerVersion": "0.8.10", "DurationMs": 13000,
        });
        let chunk = json!({
            "Action": "renderChunk", "ChunkS3Uri": "s3://b/renders/r1/chunks/0000.mp4", "ChunkIndex": 0, "Sha256": "0a",
            "FramesEncoded": 113, "CaptureMode": "beginframe", "DurationMs": 21500,
        });
        let assemble = json!({
            "Action": "assemble", "OutputS3Uri": "s3://b/renders/r1/output.mp4", "FramesEncoded": 1800,
            "FileSize": 9_000_000, "DurationMs": 7700,
        });
        for written in [plan, chunk, assemble] {
            let answer: Answer = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(answer).unwrap(), written);
        }
    }

    #[test]
    fn an_assemble_event_needs_no_digests() {
        let event = json!({
            "Action": "assemble", "PlanV2ManifestS3Uri": "s3://b/m", "PlanV2ArtifactS3Prefix": "s3://b/a", "PlanHash": "0a",
            "ChunkS3Uris": ["s3://b/c"], "AudioS3Uri": null, "OutputS3Uri": "s3://b/o", "Format": "mp4",
        });
        let Event::Assemble(read) = serde_json::from_value(event).unwrap() else { unreachable!() };
        assert!(read.chunk_sha256s.is_empty());
        let mut bare = serde_json::to_value(&read).unwrap();
        bare["ChunkS3Uris"] = json!("s3://b/c");
        assert_eq!(serde_json::from_value::<AssembleEvent>(bare).unwrap().chunk_s3_uris, ["s3://b/c"]);
        assert_eq!(serde_json::to_value(read).unwrap().get("ChunkSha256s"), None::<&Value>);
    }
}
