//! The render configuration: one value from a Render's spec through its input hash, `hf-producer --config FILE` and the
//! plan folder to the Lambda event. Names and values are upstream's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    bitrate::Bitrate,
    format::{Codec, Format},
    quality::Quality,
    rate::FrameRate,
    resolution::Resolution,
};

/// How a composition is made into a video. Fields of upstream's configuration that are not here are ignored when read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderConfig {
    /// Frames per second; else the composition's `data-fps`, else 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<FrameRate>,
    /// Container and codec.
    #[serde(default)]
    pub format: Format,
    /// Codec, where the format is mp4; else h264.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// Encoder preset.
    #[serde(default)]
    pub quality: Quality,
    /// Constant rate factor, 0 to 51; else the quality's. Less is better and larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// Bit rate to aim at in place of a rate factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<Bitrate>,
    /// Size of the pictures, a whole multiple of the composition's; else the composition's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_resolution: Option<Resolution>,
    /// Whether that size turns with the composition: upstream's mark of aliases such as `4k`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub output_resolution_aspect_agnostic: bool,
    /// How often a GIF is shown, 0 for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gif_loop: Option<u16>,
    /// Most frames in a chunk, 1 to 3600, rounded up to whole GOPs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u32>,
    /// Most chunks, 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel_chunks: Option<u32>,
    /// Which defects of a composition are errors; else each defect's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strictness: Option<Strictness>,
    /// Values for the composition's declared variables, by id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
}

impl RenderConfig {
    /// What of it decides whether two renders of a composition come to the same, as canonical JSON hashes it. How the work
    /// is cut does not: chunked output is identical.
    #[must_use]
    pub fn identity(&self) -> Value {
        let Self {
            fps,
            format,
            codec,
            quality,
            crf,
            bitrate,
            output_resolution,
            output_resolution_aspect_agnostic,
            gif_loop,
            chunk_size: _,
            max_parallel_chunks: _,
            strictness,
            variables,
        } = self;
        let mut identity = json!({
            "fps": fps, "format": format, "quality": quality, "strictness": strictness, "variables": variables,
        });
        // What joined later is there only where it is said: by a new version alone nothing is rendered again.
        let joined = [
            ("codec", json!(codec)),
            ("crf", json!(crf)),
            ("bitrate", json!(bitrate)),
            ("outputResolution", json!(output_resolution)),
            ("outputResolutionAspectAgnostic", json!(output_resolution_aspect_agnostic.then_some(true))),
            ("gifLoop", json!(gif_loop)),
        ];
        for (name, value) in joined.into_iter().filter(|(_, value)| !value.is_null()) {
            identity[name] = value;
        }
        identity
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What a defect of a composition means that a browser would pass over, such as a missing image (upstream's names).
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// A warning; the video is made without what is missing.
    BestEffort,
    /// An error; no video is made.
    Strict,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_configuration_is_read_and_unknown_fields_are_ignored() {
        let text = r#"{"fps":30,"width":1920,"height":1080,"format":"mp4","quality":"high","chunkSize":240,
            "maxParallelChunks":16,"strictness":"best-effort","hdrMode":"force-sdr","variables":{"a":1},"codec":"h265",
            "bitrate":"2.5M","outputResolution":"landscape-4k","outputResolutionAspectAgnostic":true}"#;
        let config: RenderConfig = serde_json::from_str(text).unwrap();
        assert_eq!((config.fps, config.quality), ("30".parse().ok(), Quality::High));
        assert_eq!((config.chunk_size, config.max_parallel_chunks), (Some(240), Some(16)));
        assert_eq!(config.strictness, Some(Strictness::BestEffort));
        assert_eq!(config.variables["a"], 1);
        assert_eq!((config.codec, config.bitrate), (Some(Codec::H265), "2500k".parse().ok()));
        assert_eq!(config.output_resolution, Some(Resolution::Landscape4k));
        let written: Value = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<RenderConfig>(written).unwrap(), config);
    }

    #[test]
    fn what_says_nothing_new_is_what_it_was() {
        let first = json!({ "fps": null, "format": "mp4", "quality": "standard", "strictness": null, "variables": {} });
        assert_eq!(RenderConfig::default().identity(), first);
    }

    #[test]
    fn how_the_work_is_cut_is_no_part_of_the_identity() {
        let plain = RenderConfig::default();
        let cut = RenderConfig { chunk_size: Some(60), max_parallel_chunks: Some(3), ..plain.clone() };
        assert_eq!(cut.identity(), plain.identity());
        for other in [
            RenderConfig { strictness: Some(Strictness::Strict), ..plain.clone() },
            RenderConfig { codec: Some(Codec::H265), ..plain.clone() },
            RenderConfig { crf: Some(20), ..plain.clone() },
            RenderConfig { bitrate: "8M".parse().ok(), ..plain.clone() },
            RenderConfig { output_resolution: Some(Resolution::Square), ..plain.clone() },
            RenderConfig { gif_loop: Some(1), ..plain.clone() },
        ] {
            assert_ne!(other.identity(), plain.identity(), "{other:?}");
        }
    }
}
