//! What `hf-producer doctor --json` tells of a machine.

use serde::{Deserialize, Serialize};

use crate::line::FrameSourceKind;

/// The state of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Whether everything that rendering needs is there.
    pub ready: bool,
    /// Chunks that can be rendered at the same time: as usable cores and memory allow, at least one.
    pub jobs: u32,
    /// SHA-256 over the versions that pixels and bytes depend on; absent while something is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renderer_digest: Option<String>,
    /// How frames would be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_source: Option<FrameSourceKind>,
    /// Everything that was checked.
    pub checks: Vec<Check>,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is: `browser`, `libav`, …
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether rendering is impossible without it.
    pub required: bool,
    /// Its version, or what is wrong and how to fix it.
    pub detail: String,
}
