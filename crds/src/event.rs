//! The events of the Lambda function, as upstream's state machine sends them (`packages/aws-lambda/src/events.ts`, plan
//! protocol v2).

use serde::{Deserialize, Serialize};

use crate::config::RenderConfig;

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
    pub config: RenderConfig,
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
    /// `mp4`, `mov`, `webm` or `png-sequence`.
    pub format: String,
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
    #[serde(rename = "ChunkS3Uris")]
    pub chunk_s3_uris: Vec<String>,
    /// The finished video.
    #[serde(rename = "OutputS3Uri")]
    pub output_s3_uri: String,
    /// `mp4`, `mov`, `webm` or `png-sequence`.
    pub format: String,
}
