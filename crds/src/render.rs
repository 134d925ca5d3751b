//! `Render`: one video.
#![allow(
    clippy::duplicated_attributes,
    unreachable_pub,
    reason = "columns share a type, and KubeSchema repeats every struct inside a private block"
)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    bitrate::Bitrate,
    config::{RenderConfig, Strictness},
    format::{Codec, Format},
    period::Period,
    quality::Quality,
    rate::FrameRate,
    resolution::Resolution,
    usd::Usd,
};
pub use status::{
    AttemptResult, AttemptStatus, FailureStatus, OutputStatus, ProgressStage, ProgressStatus, RenderStatus,
    RequestStatus, RequestVerb, WarningStatus,
};

mod status;

/// One video: a composition, how to encode it, and the variables it is filled with.
///
/// A Render is level-triggered: when its inputs change, the running attempt is cancelled and a new one starts;
/// while they stay the same nothing runs.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "hyperframes.io",
    version = "v1alpha1",
    kind = "Render",
    plural = "renders",
    shortname = "hfr",
    category = "hyperframes",
    namespaced,
    status = "RenderStatus",
    derive = "PartialEq",
    selectable = ".spec.stackRef.name",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.progress.percent"),
    printcolumn(name = "Output", type_ = "string", json_path = ".status.output.uri", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RenderSpec {
    /// The stack that renders. Default: the only stack of the namespace; in file mode also a built-in local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_ref: Option<StackRef>,
    /// The composition.
    pub source: Source,
    /// The video to make.
    #[serde(default)]
    pub output: Output,
    /// How the work is cut.
    #[serde(default)]
    pub chunking: Chunking,
    /// Values for the composition's declared variables, by id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub variables: Map<String, Value>,
    /// `strict` makes every defect of the composition that a browser would pass over an error, `best-effort` a warning.
    /// Default: what shows in the picture (a missing image, an undeclared variable, a font that does not load) is an
    /// error, anything else a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strictness: Option<Strictness>,
    /// While true nothing new is started; what runs is only observed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// `Cancelled` ends the running attempt and starts no other. Default: `Running`.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// Renders of higher priority are started first; equal ones by age. -1,000,000 to 1,000,000. Default: 0.
    #[serde(default)]
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub priority: i32,
    /// What happens after an attempt failed by the machine's fault. A composition's fault is never retried.
    #[serde(default)]
    pub retry: Retry,
    /// What it may cost on a stack that costs something. Default: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long it may wait for its turn on a stack, as in `15m` or `1h30m`. Waiting begins anew with other inputs, with a
    /// retry that was asked for, and after `suspend`; a longer deadline lets it wait on. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("a deadline is longer than 0s"))]
    pub queue_deadline: Option<Period>,
    /// How long it may take, as in `15m` or `1h30m`: from the start of the first attempt to the end of the last, pauses
    /// between them included. What runs is ended then. Once it has passed, an edit of the spec or a retry begins anew.
    /// Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("a deadline is longer than 0s"))]
    pub active_deadline: Option<Period>,
    /// How long it is kept after it has finished, well or not, as in `24h`: then the object is deleted, and its video stays.
    /// A tool that keeps a folder's objects in a cluster makes it anew, and with it the video. In file mode it has no effect:
    /// nothing is ever deleted from your files. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Period>,
    /// Any text; another one than the last attempt was made for has the same video made once more, as a retry that is asked
    /// for has. An attempt that is under way is made for it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub run_token: Option<String>,
}

impl RenderSpec {
    /// What a renderer needs to know of it. Every field of the spec is either in the configuration or named here.
    #[must_use]
    pub fn config(&self) -> RenderConfig {
        let Self {
            stack_ref: _,
            source: _,
            output: Output { fps, format, codec, quality, crf, bitrate, resolution, gif_loop, path: _ },
            chunking: Chunking { chunk_size },
            variables,
            strictness,
            suspend: _,
            desired_state: _,
            priority: _,
            retry: _,
            budget: _,
            queue_deadline: _,
            active_deadline: _,
            ttl: _,
            run_token: _,
        } = self;
        RenderConfig {
            fps: *fps,
            format: *format,
            codec: *codec,
            quality: *quality,
            crf: crf.and_then(|crf| u8::try_from(crf).ok()),
            bitrate: *bitrate,
            output_resolution: *resolution,
            output_resolution_aspect_agnostic: false,
            gif_loop: gif_loop.and_then(|times| u16::try_from(times).ok()),
            chunk_size: chunk_size.and_then(|size| u32::try_from(size).ok()),
            max_parallel_chunks: None,
            strictness: *strictness,
            variables: variables.clone(),
        }
    }
}

/// A stack.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRef {
    /// Name of the `HyperframesStack`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace, where it is another: the stack has to name the Render's in `spec.allowedNamespaces`. Default: the
    /// Render's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

/// Where the composition comes from: exactly one member.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.path), has(self.configMapRef), has(self.secretRef), has(self.archive)].filter(given, given).size() == 1").message("exactly one member says where the composition is: path, configMapRef, secretRef or archive"))]
pub struct Source {
    /// Folder that holds `index.html`, relative to the YAML file; in a cluster relative to the operator's folder of
    /// compositions, and below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// A ConfigMap of the Render's namespace. It is read again about once a minute, and at once for the annotation
    /// `reconcile.fluxcd.io/requestedAt`. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<DataSource>,
    /// A Secret of the Render's namespace, read like a ConfigMap, where the operator was given the right to. Only in a
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<DataSource>,
    /// An archive behind a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSource>,
}

/// A ConfigMap or a Secret, of which each key becomes a file: at most 1 MiB together, as Kubernetes has it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The keys that become files, where not all do, or not all under their own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(max = 256))]
    pub items: Vec<KeyToPath>,
}

/// A key, and the file that it becomes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyToPath {
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Path of the file in the project, without `..`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A tar, gzipped or not, of regular files and folders: at most 1 GiB, unpacked 4 GiB and 50,000 files.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveSource {
    /// Where it is, with `https`. Only public addresses are asked, and those that whoever runs the operator allows.
    #[schemars(length(min = 9, max = 2048), pattern(r"^https://[^\s@]+$"))]
    pub url: String,
    /// SHA-256 of the archive, hexadecimal. One of another digest is not used.
    #[schemars(length(min = 64, max = 64), pattern(r"^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// Folder in the archive that holds `index.html`. Default: its uppermost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
}

/// The video to make.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.codec) || self.format == 'mp4'").message("only an mp4 has a choice of codecs"))]
#[x_kube(validation = Rule::new("!has(self.crf) || !has(self.bitrate)").message("crf and bitrate cannot both be given"))]
#[x_kube(validation = Rule::new("(!has(self.crf) && !has(self.bitrate)) || self.format in ['mp4', 'webm', 'hls']").message("mov, png-sequence and gif have neither a rate factor nor a bit rate"))]
#[x_kube(validation = Rule::new("!has(self.gifLoop) || self.format == 'gif'").message("gifLoop is for the format gif"))]
#[x_kube(validation = Rule::new("!has(self.path) || (self.format in ['png-sequence', 'hls'] ? !self.path.matches('[.](mp4|mov|webm|gif)$') : self.path.matches('[^/][.](mp4|mov|webm|gif)$') && self.path.endsWith('.' + self.format))").message("a path ends with its format's extension, and that of a folder with none"))]
pub struct Output {
    /// Container and codec: `mp4` (H.264 or H.265), `mov` (ProRes 4444), `webm` (VP9), `png-sequence` (a folder), `gif`, `hls`
    /// (a folder with a playlist). In `mov`, `webm`, `png-sequence` and `gif` what the composition leaves open is
    /// transparent, and its own background is left out. `png-sequence`, `gif` and `hls` cannot be had from AWS. Default: `mp4`.
    #[serde(default)]
    pub format: Format,
    /// Codec of an `mp4`. Default: `h264`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// Frames per second, `30` or `"30000/1001"`; of a `gif` 50 at most. Default: the composition's `data-fps`, else 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<FrameRate>,
    /// Encoder preset. Default: `standard`.
    #[serde(default)]
    pub quality: Quality,
    /// Constant rate factor of an `mp4`, `webm` or `hls`: 0 is best, 51 smallest. Default: the quality's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 51))]
    pub crf: Option<i32>,
    /// Bit rate to aim at in place of a rate factor, such as `8M` or `2500k`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<Bitrate>,
    /// Size of the pictures, a whole multiple of the composition's: `landscape` (1920×1080), `portrait`, `square`, or one of
    /// these with `-4k`. Default: the composition's own size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// How often a `gif` is shown, 0 for ever. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub gif_loop: Option<i32>,
    /// The file or folder to write, relative to the YAML file; in a cluster relative to the folder `<namespace>/<name>` of the
    /// operator's videos, and below it. A file ends with its format's extension. Default: `out/<name>` beside the file, or
    /// `<name>` in that folder, with the format's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
}

/// How the work is cut.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunking {
    /// Frames per chunk, rounded up to whole GOPs of 2 s. Default: 240, and fewer where cores would be idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub chunk_size: Option<i32>,
}

/// What a user wants of a Render.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesiredState {
    /// The video should exist.
    #[default]
    Running,
    /// Nothing should run.
    Cancelled,
}

/// What a Render may cost.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// US dollars for all attempts together, as a string such as `"2.50"`. What runs is ended when the estimate in
    /// `status.costUsd` goes beyond it; a larger amount lets it start again.
    pub max_usd: Usd,
}

/// What happens after an attempt failed by the machine's fault.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first, after pauses of 1 s, 2 s, 4 s and so on up to 5 minutes. Finished chunks are
    /// kept. 0 to 4, so that all attempts of a series fit into the status. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 4))]
    pub limit: i32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { limit: two() }
    }
}

const fn two() -> i32 {
    2
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
