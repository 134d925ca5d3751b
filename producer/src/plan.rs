//! `plan`: a project and a configuration become a plan folder, complete in itself.
//!
//! After planning nothing outside the plan folder is read any more: no project, no cache, no network.

use std::path::{Path, PathBuf};

use crds::{
    Code, FrameRate, Quality, Stage,
    line::{ChunkRange, PlanReport},
};
use serde_json::{Map, Value, json};

use crate::{
    Error,
    draw::{
        browser::page::{Page, PageConfig},
        ready::Expected,
        script::{self, Purpose, page_script},
    },
    files::{self, Scratch},
    layout::{self, Descriptor, Dimensions, PlanDir, canonical, pretty},
    libav,
    report::Reporter,
    settings::Settings,
};

pub(crate) mod assets;
mod compile;
pub(crate) mod css;
mod drawn;
mod fonts;
pub(crate) mod grid;
pub(crate) mod hash;
pub(crate) mod html;
mod probe;
pub(crate) mod project;
mod root;
mod variables;

pub use grid::Chunking;
use probe::Probe;
use project::Project;
use root::Shape;

/// What to plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project folder.
    pub project: PathBuf,
    /// Frame rate; else the composition's, else 30.
    pub rate: Option<FrameRate>,
    /// Encoder preset.
    pub quality: Quality,
    /// Values for the composition's variables.
    pub variables: Map<String, Value>,
    /// How to cut it.
    pub chunking: Chunking,
}

/// Frames drawn and not kept before a chunk's first: what composited layers and scripts remember of earlier frames is
/// then as in a whole render (measured: more is no better).
const PRELUDE_FRAMES: u32 = 15;

const STEPS: u32 = 3;

/// Writes the plan folder `out`, whole or not at all. An older plan there is replaced.
///
/// # Errors
/// See [`Error`]; nothing is left behind.
pub fn plan(request: &Request, out: &Path, settings: &Settings, reporter: &Reporter) -> Result<PlanReport, Error> {
    keep_what_is_no_plan(out)?;
    reporter.progress(Stage::Plan, 0, STEPS);
    let project = Project::open(&request.project)?;
    let scratch = Scratch::beside(out)?;
    let dir = PlanDir::new(scratch.path().join("plan"));
    for folder in [dir.compiled(), dir.path().join("meta"), dir.video_frames()] {
        files::create_dir(&folder)?;
    }
    let compiled = compile::compile(&project, &dir.compiled(), &settings.assets)?;
    let mut warnings = Vec::new();
    let shape = root::shape(&compiled.root, &mut warnings)?;
    variables::check(&request.variables, compiled.variables.as_ref(), &mut warnings)?;
    reporter.warnings(&warnings);
    let rate = request.rate.or(shape.rate).unwrap_or_default();
    reporter.progress(Stage::Plan, 1, STEPS);

    let expected = Expected { timelines: compiled.declares_timelines, duration: shape.duration.is_some() };
    let script = page_script(rate, &request.variables, Purpose::Inspect);
    let config = PageConfig { folder: &dir.compiled(), width: shape.width, height: shape.height, script };
    let mut page = Page::open(settings, config)?;
    let probe = probe::probe(&mut page, &dir, rate, shape.duration, expected, &compiled.fonts, settings)?;
    drop(page);
    reporter.warnings(&probe.warnings);
    let duration = root::in_range(probe.duration, compiled.root.line)?;
    reporter.progress(Stage::Plan, 2, STEPS);

    let total = rate.frames_in(duration);
    let gop = grid::gop_size(rate);
    let chunks = grid::chunks(total, gop, request.chunking);
    write_meta(&dir, request, &Facts { shape, rate, duration, probe: &probe, expected, gop, chunks: &chunks })?;
    let size = Dimensions {
        fps_num: rate.num(),
        fps_den: rate.den(),
        width: shape.width,
        height: shape.height,
        format: "mp4".into(),
    };
    let mut descriptor = Descriptor {
        protocol: layout::Protocol::default(),
        plan_hash: String::new(),
        producer_version: crate::VERSION.to_owned(),
        ffmpeg_version: libav::version()?,
        font_snapshot_sha: compiled.font_snapshot_sha,
        dimensions: size,
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        total_frames: total,
        duration,
        has_audio: false,
    };
    descriptor.plan_hash = hash::of(&dir, &descriptor)?;
    files::write(&dir.descriptor(), pretty(&descriptor))?;
    scratch.publish(dir.path(), out)?;
    reporter.progress(Stage::Plan, STEPS, STEPS);
    let Descriptor { plan_hash, total_frames, .. } = descriptor;
    Ok(PlanReport { plan_hash, total_frames, chunks })
}

/// A folder with anything else in it is somebody's.
fn keep_what_is_no_plan(out: &Path) -> Result<(), Error> {
    let is_plan = PlanDir::new(out).descriptor().is_file();
    let holds_something = out.read_dir().is_ok_and(|mut folder| folder.next().is_some());
    if holds_something && !is_plan { Err(Error::NotAPlan(out.to_owned())) } else { Ok(()) }
}

struct Facts<'a> {
    shape: Shape,
    rate: FrameRate,
    duration: f64,
    probe: &'a Probe,
    expected: Expected,
    gop: u32,
    chunks: &'a [ChunkRange],
}

fn write_meta(dir: &PlanDir, request: &Request, facts: &Facts<'_>) -> Result<(), Error> {
    let Facts { shape, rate, duration, probe, expected, gop, chunks } = *facts;
    let composition = layout::Composition {
        duration_seconds: duration,
        width: shape.width,
        height: shape.height,
        fps: layout::Fps { num: rate.num(), den: rate.den() },
        video_count: 0,
        audio_count: 0,
        image_count: probe.image_count,
        declares_timelines: expected.timelines,
    };
    let (preset, crf) = libav::preset(request.quality);
    let longest = chunks.iter().map(|chunk| chunk.frames()).max().unwrap_or(0);
    let encoder = layout::Encoder {
        encoder: "libx264-software".to_owned(),
        quality: request.quality,
        preset: preset.to_owned(),
        crf,
        pixel_format: "yuv420p".to_owned(),
        closed_gop: true,
        gop_size: gop,
        chunk_size: longest,
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        prelude_frames: PRELUDE_FRAMES,
        capture_mode: "beginframe".to_owned(),
        device_scale_factor: 1,
        browser_gpu_mode: "software".to_owned(),
        ffmpeg_version: libav::version()?,
        browser_version: probe.browser_version.clone(),
        page_script_sha256: script::digest(),
        variables: request.variables.clone(),
    };
    files::write(&dir.composition(), pretty(&composition))?;
    files::write(&dir.chunks(), pretty(&chunks))?;
    files::write(&dir.videos(), pretty(&json!({ "videos": [], "extracted": [] })).trim_end())?;
    Ok(files::write(&dir.encoder(), canonical(&encoder))?)
}

/// A plan that was read and found unchanged, for this machine.
pub(crate) struct Plan {
    pub(crate) dir: PlanDir,
    pub(crate) descriptor: Descriptor,
    pub(crate) composition: layout::Composition,
    pub(crate) encoder: layout::Encoder,
    pub(crate) chunks: Vec<ChunkRange>,
    pub(crate) rate: FrameRate,
}

impl Plan {
    /// Reads a plan folder and compares it with its hash and with this build.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let dir = PlanDir::new(path);
        let descriptor: Descriptor = layout::read(&dir.descriptor())?;
        if descriptor.protocol != layout::Protocol::default() {
            return Err(Error::PlanProtocol);
        }
        let encoder: layout::Encoder = layout::read(&dir.encoder())?;
        let found = hash::of(&dir, &descriptor)?;
        if found != descriptor.plan_hash {
            return Err(Error::PlanChanged { expected: descriptor.plan_hash, found });
        }
        let here = format!("{}, page script {}", libav::version()?, script::digest());
        let planned = format!("{}, page script {}", encoder.ffmpeg_version, encoder.page_script_sha256);
        if here != planned {
            return Err(Error::Version { code: Code::FfmpegVersionMismatch, planned, here });
        }
        let (composition, chunks) = (layout::read(&dir.composition())?, layout::read(&dir.chunks())?);
        let rate = descriptor.rate()?;
        Ok(Self { dir, descriptor, composition, encoder, chunks, rate })
    }

    /// The chunk of an index.
    pub(crate) fn chunk(&self, index: u32) -> Result<ChunkRange, Error> {
        let count = self.descriptor.chunk_count;
        self.chunks.get(index as usize).copied().ok_or(Error::ChunkIndex { index, count })
    }

    /// How its pictures are encoded.
    pub(crate) fn encoding(&self) -> libav::Encoding {
        libav::Encoding {
            width: self.composition.width.next_multiple_of(2),
            height: self.composition.height.next_multiple_of(2),
            rate: self.rate,
            quality: self.encoder.quality,
            gop: self.encoder.gop_size,
        }
    }
}
