//! `Render.status`: everything the controller knows. Attempt numbers, attempts and the request are known nowhere else;
//! all other fields can be observed again.
#![allow(unreachable_pub, reason = "KubeSchema repeats every struct inside a private block")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{condition::Condition, usd::Usd};

/// What the controller knows of a Render.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of the annotation `reconcile.fluxcd.io/requestedAt` when it was last looked at: whoever asked has been heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready`, `Succeeded` and `Finished`; `Reconciling` or `Stalled` while they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// SHA-256 over site digest, configuration and variables: what an attempt is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
    /// Place in the stack's queue, from 1, when it was last looked at; 100 stands for any place behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i32>,
    /// Since when it waits for its turn on a stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_time: Option<Time>,
    /// When the first attempt of the present series was named: a series ends with a video, a final failure, or `suspend`, or when
    /// something else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Number of the current or last attempt, from 1, never reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// `hf-<uid>-<attempt>-<8 digits of the input hash>`, at most 80 characters, written before the attempt starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_name: Option<String>,
    /// The `spec.runToken` that the current or last attempt is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub run_token: Option<String>,
    /// The last five attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub attempts: Vec<AttemptStatus>,
    /// How far the current attempt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
    /// The video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// What is not as it should be although the video was made: the first five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub warnings: Vec<WarningStatus>,
    /// Further warnings that were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted_warnings: Option<i32>,
    /// Estimate in US dollars of what all attempts have cost, failed ones too; absent where nothing costs anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
    /// Why the last attempt, or the spec itself, failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,
    /// The last `cancel` or `retry` asked for outside the spec; it counts until the inputs change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestStatus>,
}

/// One attempt to make the video.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStatus {
    /// Its number, from 1.
    pub number: i32,
    /// The input hash it was started for.
    pub input_hash: String,
    /// When its name was written.
    pub start_time: Time,
    /// When its end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_time: Option<Time>,
    /// How it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<AttemptResult>,
    /// Generation of the spec it was named for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Name of the stack it was started on; absent for the built-in one of file mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Namespace of that stack; absent where it is the Render's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_namespace: Option<String>,
    /// What the backend calls it, such as the ARN of an execution; absent where its name is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// The failure's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// Estimate in US dollars of what it has cost; absent where it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

/// How an attempt ended.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptResult {
    /// The video was made.
    Succeeded,
    /// It failed.
    Failed,
    /// It was ended because its inputs were no longer asked for, or by a user.
    Cancelled,
}

/// What an attempt is doing.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgressStage {
    /// The project is read, compiled and probed.
    Planning,
    /// Chunks are rendered.
    Rendering,
    /// Chunks are joined.
    Assembling,
}

impl ProgressStage {
    /// The stage's name in YAML and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "Planning",
            Self::Rendering => "Rendering",
            Self::Assembling => "Assembling",
        }
    }
}

/// How far an attempt is.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressStatus {
    /// 0 to 100: 10 for the plan, 80 for the frames, 10 for assembling.
    pub percent: i32,
    /// What is being done.
    pub stage: ProgressStage,
    /// Frames encoded so far.
    pub frames_rendered: i32,
    /// Frames in all; 0 while planning.
    pub frames_total: i32,
    /// Chunks finished.
    pub chunks_done: i32,
    /// Chunks being rendered; all others wait for a place among the stack's chunks.
    pub chunks_running: i32,
    /// Chunks in all; 0 while planning.
    pub chunks_total: i32,
}

/// The video.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// Where it is; `file://` in file mode.
    pub uri: String,
    /// Size of the file in bytes.
    pub bytes: i64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Frames in the video.
    pub frames: i32,
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
}

/// A failure.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// The stable code.
    pub code: String,
    /// What happened and what to do, at most 1024 characters.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Whether another attempt with the same input may succeed.
    pub retryable: bool,
    /// The file it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub path: Option<String>,
    /// The line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
}

/// Something that is not as it should be.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningStatus {
    /// The stable code.
    pub code: String,
    /// What is wrong and what to do, at most 256 characters.
    #[schemars(length(max = 256))]
    pub message: String,
    /// The file it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub path: Option<String>,
    /// The line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
}

/// A `cancel` or `retry` asked for outside the spec.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// What was asked for.
    pub verb: RequestVerb,
    /// When it was asked for.
    pub requested_time: Time,
    /// The input hash it counts for; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
    /// There was nothing to cancel or to try again when it was seen, and it has no effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub obsolete: bool,
}

/// What can be asked for outside the spec.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestVerb {
    /// End the running attempt and start no other.
    Cancel,
    /// Start a new attempt although one has finished.
    Retry,
}
