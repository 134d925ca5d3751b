//! Every path and file of a plan folder. Names and roles are upstream's plan directory's.
//!
//! ```text
//! plan.json               what the plan is: hash, versions, size, number of chunks
//! meta/composition.json   what the composition is
//! meta/encoder.json       everything that decides bytes and is not a file: locked when planned
//! meta/chunks.json        which frames each chunk has
//! meta/videos.json        media in the page
//! audio.m4a               the sound of the whole video, if there is any
//! compiled/               the project as the browser gets it; `compiled/__hf/` holds the renderer's own files
//! video-frames/           upstream's folder of extracted pictures; empty, for chunks decode the sources in `compiled/`
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use crds::{Bitrate, Format, FrameRate, Quality, Strictness};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Error, files};

/// Name of the file with the sound.
pub(crate) const SOUND: &str = "audio.m4a";

/// A plan folder.
#[derive(Clone, Debug)]
pub(crate) struct PlanDir(PathBuf);

impl PlanDir {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn descriptor(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    pub(crate) fn composition(&self) -> PathBuf {
        self.0.join("meta/composition.json")
    }

    pub(crate) fn encoder(&self) -> PathBuf {
        self.0.join("meta/encoder.json")
    }

    pub(crate) fn chunks(&self) -> PathBuf {
        self.0.join("meta/chunks.json")
    }

    pub(crate) fn videos(&self) -> PathBuf {
        self.0.join("meta/videos.json")
    }

    pub(crate) fn sound(&self) -> PathBuf {
        self.0.join(SOUND)
    }

    pub(crate) fn compiled(&self) -> PathBuf {
        self.0.join("compiled")
    }

    pub(crate) fn video_frames(&self) -> PathBuf {
        self.0.join("video-frames")
    }
}

/// Reads a file of a plan.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bad = |reason: String| Error::PlanUnreadable { path: path.to_owned(), reason };
    let text = files::read_text(path).map_err(|error| bad(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| bad(error.to_string()))
}

/// The protocol this build writes and reads: upstream's execution plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    schema_version: u32,
    artifact_layout: String,
    hash_schema: String,
}

/// Name of the plan hash's definition, which is part of it.
pub(crate) const HASH_SCHEMA: &str = "hyperframes-plan-hash-v1";

impl Default for Protocol {
    fn default() -> Self {
        Self { schema_version: 1, artifact_layout: "plan-dir-v1".to_owned(), hash_schema: HASH_SCHEMA.to_owned() }
    }
}

/// `plan.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) protocol: Protocol,
    pub(crate) plan_hash: String,
    pub(crate) producer_version: String,
    pub(crate) ffmpeg_version: String,
    pub(crate) font_snapshot_sha: String,
    pub(crate) dimensions: Dimensions,
    pub(crate) chunk_count: u32,
    pub(crate) total_frames: u32,
    /// Seconds.
    pub(crate) duration: f64,
    pub(crate) has_audio: bool,
}

/// Frame rate, size of the page in CSS pixels, and container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dimensions {
    pub(crate) fps_num: u32,
    pub(crate) fps_den: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: Format,
}

/// `meta/composition.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Composition {
    pub(crate) duration_seconds: f64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: Fps,
    pub(crate) video_count: u32,
    pub(crate) audio_count: u32,
    pub(crate) image_count: u32,
    /// Whether some script registers a timeline: a page without one is not waited for.
    pub(crate) declares_timelines: bool,
    /// Compositions in it whose timeline never came while planning: they are not waited for again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing_timelines: Vec<String>,
    /// Addresses of files that it asked for while planning and that are not there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) missing_assets: BTreeSet<String>,
}

/// `meta/videos.json`: upstream's lists, and what the elements of a page say of their files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Videos {
    pub(crate) videos: Vec<Video>,
    /// Pictures in `video-frames/`: none.
    pub(crate) extracted: [(); 0],
    pub(crate) files: MediaFiles,
}

impl Videos {
    /// When those begin that do not begin at once, in seconds, by name.
    pub(crate) fn starts(&self) -> BTreeMap<String, f64> {
        let late = self.videos.iter().filter(|video| video.start > 0.0);
        late.map(|video| (video.id.clone(), video.start)).collect()
    }

    /// What is wrong with it, as half a sentence: it is input like any other.
    pub(crate) fn check(&self) -> Result<(), String> {
        for Video { id, src, start, end, media_start, before, playback_rate, speed_ramp, .. } in &self.videos {
            let mut numbers = [start, end, media_start, before, playback_rate].into_iter();
            let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
            let ramp = speed_ramp.iter().all(|point| point.0.is_finite() && point.1.is_finite())
                && speed_ramp.windows(2).all(grows);
            if !numbers.all(|number| number.is_finite()) || *playback_rate <= 0.0 || !ramp {
                return Err(format!("the times of {id:?} make no sense"));
            }
            if Path::new(src).components().any(|part| !matches!(part, Component::Normal(_))) {
                return Err(format!("the file of {id:?} lies elsewhere"));
            }
        }
        Ok(())
    }
}

/// A video in the page. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Video {
    /// The name of its element, upstream's render id.
    pub(crate) id: String,
    /// Its file, relative to `compiled/`.
    pub(crate) src: String,
    /// From when to when it is shown.
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// Where in the file it begins.
    pub(crate) media_start: f64,
    /// Seconds for which it has been playing when it is shown first, if it begins anew after its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) before: f64,
    /// Seconds of the file in a second.
    pub(crate) playback_rate: f64,
    /// Instead of it: seconds since its start, and of the file played by then, both growing; straight between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) speed_ramp: Vec<(f64, f64)>,
    /// It begins anew after its end, instead of holding its last picture.
    #[serde(rename = "loop")]
    pub(crate) repeat: bool,
    pub(crate) has_audio: bool,
}

/// Media files, by their path relative to `compiled/`.
pub(crate) type MediaFiles = BTreeMap<String, MediaFile>;

/// What a page may ask of a media file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MediaFile {
    /// Seconds, where the file says.
    pub(crate) duration: Option<f64>,
    /// Seconds until its pictures end, where its sound goes on for a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pictures_end: Option<f64>,
    /// Pixels, where it has pictures.
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// Whether it has sound.
    #[serde(default)]
    pub(crate) sound: bool,
    /// It is an image with more than one frame.
    #[serde(default)]
    pub(crate) animated: bool,
}

impl MediaFile {
    /// Seconds until it ends or, where it repeats, begins anew: with its pictures, so that none stands still.
    pub(crate) fn lasts(&self, repeat: bool) -> Option<f64> {
        self.pictures_end.filter(|_| repeat).or(self.duration)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fps {
    pub(crate) num: u32,
    pub(crate) den: u32,
}

/// `meta/encoder.json`: what decides pixels and bytes and is not a file of the project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Encoder {
    pub(crate) encoder: String,
    pub(crate) quality: Quality,
    pub(crate) preset: String,
    /// Neither this nor a bit rate where the encoder has no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crf: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bitrate: Option<Bitrate>,
    /// The encoder's own parameters, as `name=value:…`.
    pub(crate) encoder_params: String,
    /// Pictures may be as filmed ones, and are encoded with more care.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) filmed: bool,
    pub(crate) pixel_format: String,
    pub(crate) closed_gop: bool,
    /// Frames from keyframe to keyframe; every chunk starts on this grid.
    pub(crate) gop_size: u32,
    pub(crate) chunk_size: u32,
    pub(crate) chunk_count: u32,
    /// The frame of the whole video that the output begins with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) first_frame: u32,
    /// Frames drawn and not kept before a chunk's first.
    pub(crate) pre_roll_frames: u32,
    /// All frames before a chunk's first are gone through: the composition remembers them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) goes_through_all_frames: bool,
    pub(crate) capture_mode: String,
    /// Pixels of the output that one CSS pixel becomes, in each direction.
    pub(crate) device_scale_factor: u32,
    /// How often a GIF is shown, 0 for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gif_loop: Option<u16>,
    pub(crate) browser_gpu_mode: String,
    pub(crate) ffmpeg_version: String,
    pub(crate) browser_version: String,
    /// SHA-256 of the scripts that drive the page.
    pub(crate) page_script_sha256: String,
    /// Which defects of the composition are errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strictness: Option<Strictness>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) variables: Map<String, Value>,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl Descriptor {
    pub(crate) fn rate(&self) -> Result<FrameRate, Error> {
        let Dimensions { fps_num, fps_den, .. } = self.dimensions;
        FrameRate::new(fps_num, fps_den)
            .map_err(|error| Error::PlanUnreadable { path: "plan.json".into(), reason: error.to_string() })
    }
}

/// JSON as upstream writes descriptors: two spaces, a newline at the end.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|error| unreachable!("plain data: {error}"));
    text + "\n"
}

/// JSON in the one canonical form hashes are taken over (RFC 8785).
pub(crate) fn canonical(value: &impl Serialize) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}
