//! Events of the Lambda function, for a project in the bucket's `sites/x` that is rendered to `renders/run`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{fixture::Folder, lambda::BUCKET};

pub fn uri(path: &str) -> String {
    format!("s3://{BUCKET}/{path}")
}

/// A box that moves for four seconds.
pub fn moving(folder: &Folder) -> PathBuf {
    moving_in(folder, (320, 180))
}

/// The same in a page of another size.
pub fn moving_in(folder: &Folder, size: (u32, u32)) -> PathBuf {
    folder.project_of_size(
        "site",
        size,
        "data-no-timeline data-duration=\"4\"",
        "<style>@keyframes m { to { transform: translateX(200px) } }</style>\
         <div style=\"width: 60px; height: 60px; background: teal; animation: m 4s linear\"></div>",
    )
}

pub fn plan(config: Value) -> Value {
    json!({
        "Action": "plan", "PlanProtocol": "v2", "ProjectS3Uri": uri("sites/x/project.tar.gz"),
        "PlanOutputS3Prefix": uri("renders/run/"), "Config": config,
    })
}

pub fn chunk(plan: &Value, index: u64) -> Value {
    json!({
        "Action": "renderChunk", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": plan["PlanV2ManifestS3Uri"],
        "PlanV2ArtifactS3Prefix": plan["PlanV2ArtifactS3Prefix"], "PlanHash": plan["PlanHash"], "ChunkIndex": index,
        "ChunkOutputS3Prefix": uri("renders/run/"), "Format": plan["Format"],
    })
}

pub fn assemble(plan: &Value, chunks: &[Value]) -> Value {
    let field = |name: &str| chunks.iter().map(|chunk| chunk[name].clone()).collect::<Vec<_>>();
    json!({
        "Action": "assemble", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": plan["PlanV2ManifestS3Uri"],
        "PlanV2ArtifactS3Prefix": plan["PlanV2ArtifactS3Prefix"], "PlanHash": plan["PlanHash"],
        "ChunkS3Uris": field("ChunkS3Uri"), "ChunkSha256s": field("Sha256"), "AudioS3Uri": null,
        "OutputS3Uri": uri("outputs/video.mp4"), "Format": plan["Format"],
    })
}
