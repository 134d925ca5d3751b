//! `plan`: a project and a configuration become a plan folder, complete in itself.
//!
//! After planning nothing outside the plan folder is read any more: no project, no cache, no network.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crds::{
    Code, FrameRate, RenderConfig, Stage,
    line::{ChunkRange, PlanReport},
};

use crate::{
    Error,
    context::Context,
    draw::{
        browser::page::{Page, PageConfig},
        ready::Expected,
        script::{self, Purpose, page_script},
        server::Frames,
    },
    encode::{
        format::FormatSpec,
        preset::{self, X264},
        yuv::{Layout, PixelFormat},
    },
    error::composition,
    files,
    layout::{self, Descriptor, Dimensions, PlanDir, canonical, pretty},
    libav,
    media::{self, Library},
    target::{Inputs, Target},
};

pub(crate) mod assets;
mod compile;
pub(crate) mod css;
pub(crate) mod defects;
mod drawn;
mod fonts;
pub(crate) mod grid;
pub(crate) mod hash;
pub(crate) mod html;
mod play;
mod probe;
pub(crate) mod project;
mod reach;
pub(crate) mod references;
mod root;
mod sane;
mod scenes;
mod variables;

use compile::Compiled;
use defects::Defects;
use grid::Chunking;
use play::Played;
use probe::{Probe, Subject};
use project::Project;
use root::Shape;

/// What to plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project folder.
    pub project: PathBuf,
    /// How to make a video of it.
    pub config: RenderConfig,
    /// The files that the configuration was read from: no output replaces them.
    pub read_from: Vec<PathBuf>,
}

impl Request {
    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs { project: Some(&self.project), plan: None, files: &self.read_from }
    }
}

/// Frames drawn and not kept before a chunk's first: what composited layers and scripts remember of earlier frames is
/// then as in a whole render (measured: more is no better).
const PRE_ROLL_FRAMES: u32 = 15;

const STEPS: u32 = 3;

/// Upstream's limits of `chunkSize` and `maxParallelChunks`.
pub(crate) const LARGEST_CHUNK: u32 = 3600;
pub(crate) const MOST_CHUNKS: u32 = 10_000;

/// Writes the plan folder `out`, whole or not at all. An older plan there is replaced, if nothing else is in it.
///
/// Blocks the calling thread, which starts a browser to look at the composition and must live as long as the call.
///
/// # Errors
/// See [`Error`]; nothing is left behind. Foremost the composition's own mistakes ([`crds::Fault::Composition`]), with file
/// and line; `CONFIG_INVALID` and `FEATURE_UNSUPPORTED` for a configuration that cannot be made.
pub fn plan(request: &Request, out: &Path, context: &Context) -> Result<PlanReport, Error> {
    let target = Target::plan(out, request.inputs())?;
    let finished = target.scratch().join("plan");
    let report = write(request, &finished, |_, _| NonZeroUsize::MIN, context)?;
    target.publish(&finished)?;
    Ok(report)
}

/// Writes a plan into a new folder of ours. `parallel`: how many chunks of frames of this width and height can be rendered
/// at the same time; where the configuration does not say how the work is cut there are at least so many.
pub(crate) fn write(
    request: &Request,
    folder: &Path,
    parallel: impl FnOnce(u32, u32) -> NonZeroUsize,
    context: &Context,
) -> Result<PlanReport, Error> {
    let Request { project, config, read_from: _ } = request;
    let format = FormatSpec::of(config.format)?;
    let cut = chunking(config)?;
    let meter = context.stage(Stage::Plan, STEPS);
    let project = Project::open(project)?;
    let dir = PlanDir::new(folder);
    for folder in [dir.compiled(), dir.path().join("meta"), dir.video_frames()] {
        files::create_dir(&folder)?;
    }
    let compiled = compile::compile(&project, &dir.compiled(), &context.settings.assets, &config.variables)?;
    let mut defects = Defects::default();
    let shape = root::shape(&compiled.root, &mut defects)?;
    variables::check(&config.variables, &compiled.variables, &mut defects)?;
    defects.minor.extend(compiled.remarks.iter().cloned());
    context.warn(&defects.judge(config.strictness)?);
    let rate = config.fps.or(shape.rate).unwrap_or_default();
    meter.add(1);

    let library = media::files(&dir.compiled(), project.files.iter().map(|file| file.path.as_str()));
    let probe = look(&dir, &compiled, (shape, rate), &library, config, context)?;
    let duration = root::in_range(probe.duration, compiled.root.line)?;
    meter.add(1);

    let total = rate.frames_in(duration);
    let strictness = config.strictness;
    let subject = play::Subject {
        dir: &dir,
        compiled: &compiled,
        library,
        probe: &probe,
        frames: total,
        rate,
        format,
        strictness,
    };
    let played = play::write(subject, context)?;
    let parallel = parallel(shape.width, shape.height).get();
    let cut = Chunking { parallel: u32::try_from(parallel).unwrap_or(u32::MAX), ..cut };
    let gop = grid::gop_size(rate);
    let chunks = grid::chunks(total, gop, cut);
    let (has_audio, timelines) = (played.sounds > 0, compiled.declares_timelines);
    let facts = Facts { format, shape, rate, duration, probe: &probe, played, timelines, gop, chunks: &chunks };
    write_meta(&dir, config, &facts)?;
    let (fps_num, fps_den, width, height) = (rate.num(), rate.den(), shape.width, shape.height);
    let mut descriptor = Descriptor {
        protocol: layout::Protocol::default(),
        plan_hash: String::new(),
        producer_version: crate::VERSION.to_owned(),
        ffmpeg_version: libav::version()?,
        font_snapshot_sha: compiled.font_snapshot_sha,
        dimensions: Dimensions { fps_num, fps_den, width, height, format: config.format },
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        total_frames: total,
        duration,
        has_audio,
    };
    descriptor.plan_hash = hash::of(&dir, &descriptor)?;
    files::write(&dir.descriptor(), pretty(&descriptor))?;
    meter.add(1);
    let Descriptor { plan_hash, total_frames, .. } = descriptor;
    Ok(PlanReport { plan_hash, total_frames, chunks })
}

/// Opens the compiled composition and looks at it.
fn look(
    dir: &PlanDir,
    compiled: &Compiled,
    (shape, rate): (Shape, FrameRate),
    library: &Library,
    config: &RenderConfig,
    context: &Context,
) -> Result<Probe, Error> {
    let (timelines, duration) = (compiled.declares_timelines, shape.duration.is_some());
    let expected = Expected { timelines, missing_timelines: &[], duration };
    let script = page_script(rate, &config.variables, &library.files, Purpose::Inspect);
    let Shape { width, height, duration, .. } = shape;
    let page = PageConfig { folder: &dir.compiled(), width, height, script, frames: Frames::default() };
    let mut page = Page::open(context, page)?;
    probe::probe(&mut page, &Subject { rate, duration, expected, compiled }, context, config.strictness)
}

/// How a configuration wants the work cut.
fn chunking(config: &RenderConfig) -> Result<Chunking, Error> {
    let within = |name: &str, value: Option<u32>, most: u32| match value {
        Some(value) if !(1..=most).contains(&value) => {
            Err(composition(Code::ConfigInvalid, format!("{name} is {value}: write a number from 1 to {most}")))
        }
        value => Ok(value),
    };
    let size = within("chunkSize", config.chunk_size, LARGEST_CHUNK)?;
    let most = within("maxParallelChunks", config.max_parallel_chunks, MOST_CHUNKS)?;
    Ok(Chunking { size, most, parallel: 1 })
}

struct Facts<'a> {
    format: &'static FormatSpec,
    shape: Shape,
    rate: FrameRate,
    duration: f64,
    probe: &'a Probe,
    played: Played,
    timelines: bool,
    gop: u32,
    chunks: &'a [ChunkRange],
}

fn write_meta(dir: &PlanDir, config: &RenderConfig, facts: &Facts<'_>) -> Result<(), Error> {
    let Facts { format, shape, rate, duration, probe, ref played, timelines, gop, chunks } = *facts;
    let composition = layout::Composition {
        duration_seconds: duration,
        width: shape.width,
        height: shape.height,
        fps: layout::Fps { num: rate.num(), den: rate.den() },
        video_count: played.videos,
        audio_count: played.sounds,
        image_count: probe.image_count,
        declares_timelines: timelines,
        missing_timelines: probe.missing_timelines.clone(),
        missing_assets: probe.missing_assets.clone(),
    };
    let X264 { preset, crf, params } = preset::x264(config.quality, gop);
    let longest = chunks.iter().map(|chunk| chunk.frames()).max().unwrap_or(0);
    let encoder = layout::Encoder {
        encoder: format.planned_as.to_owned(),
        quality: config.quality,
        preset: preset.to_owned(),
        crf,
        encoder_params: params,
        pixel_format: format.pixel_format.to_owned(),
        closed_gop: true,
        gop_size: gop,
        chunk_size: longest,
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        pre_roll_frames: PRE_ROLL_FRAMES,
        capture_mode: "beginframe".to_owned(),
        device_scale_factor: 1,
        browser_gpu_mode: "software".to_owned(),
        ffmpeg_version: libav::version()?,
        browser_version: probe.browser_version.clone(),
        page_script_sha256: script::digest(),
        strictness: config.strictness,
        variables: config.variables.clone(),
    };
    files::write(&dir.composition(), pretty(&composition))?;
    files::write(&dir.chunks(), pretty(&chunks))?;
    Ok(files::write(&dir.encoder(), canonical(&encoder))?)
}

fn same_version(code: Code, planned: String, here: String) -> Result<(), Error> {
    if planned == here { Ok(()) } else { Err(Error::Version { code, planned, here }) }
}

/// A plan that was read and found unchanged, for this machine.
pub(crate) struct Plan {
    pub(crate) dir: PlanDir,
    pub(crate) descriptor: Descriptor,
    pub(crate) composition: layout::Composition,
    pub(crate) encoder: layout::Encoder,
    pub(crate) chunks: Vec<ChunkRange>,
    pub(crate) rate: FrameRate,
    pub(crate) format: &'static FormatSpec,
    /// Of its pictures.
    pub(crate) layout: Layout,
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
        hash::check(&dir, &descriptor)?;
        let made_by = |version: &str, script: &str| format!("hf-producer {version} with page script {script}");
        let planned = made_by(&descriptor.producer_version, &encoder.page_script_sha256);
        same_version(Code::ProducerVersionMismatch, planned, made_by(crate::VERSION, &script::digest()))?;
        same_version(Code::FfmpegVersionMismatch, encoder.ffmpeg_version.clone(), libav::version()?)?;
        let composition: layout::Composition = layout::read(&dir.composition())?;
        let chunks: Vec<ChunkRange> = layout::read(&dir.chunks())?;
        sane::check(&descriptor, &composition, &encoder, &chunks)
            .map_err(|reason| Error::PlanUnreadable { path: path.to_owned(), reason })?;
        let (rate, format) = (descriptor.rate()?, FormatSpec::of(descriptor.dimensions.format)?);
        let pixels = PixelFormat::of(&encoder.pixel_format).ok_or_else(|| Error::PlanUnreadable {
            path: dir.encoder(),
            reason: format!("pixel format {:?} is not made by this build", encoder.pixel_format),
        })?;
        let layout = Layout::of(pixels, composition.width, composition.height);
        Ok(Self { dir, descriptor, composition, encoder, chunks, rate, format, layout })
    }

    /// The chunk of an index.
    pub(crate) fn chunk(&self, index: u32) -> Result<ChunkRange, Error> {
        let count = self.descriptor.chunk_count;
        self.chunks.get(index as usize).copied().ok_or(Error::ChunkIndex { index, count })
    }

    /// How its pictures are encoded.
    pub(crate) fn encoding(&self) -> libav::Encoding {
        libav::Encoding {
            encoder: self.format.encoder,
            layout: self.layout,
            rate: self.rate,
            preset: self.encoder.preset.clone(),
            crf: self.encoder.crf,
            params: self.encoder.encoder_params.clone(),
            gop: self.encoder.gop_size,
        }
    }
}
