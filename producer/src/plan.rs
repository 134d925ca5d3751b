//! `plan`: a project and a configuration become a plan folder, complete in itself.
//!
//! After planning nothing outside the plan folder is read any more: no project, no cache, no network.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crds::{
    Code, Format, FrameRate, RenderConfig, Stage,
    line::{ChunkRange, PlanReport},
};

use crate::{
    Error,
    context::{Context, Meter},
    draw::{
        browser::page::{Page, PageConfig, Size},
        drawer::Canvas,
        ready::Expected,
        script::{self, PageScript, Purpose},
    },
    encode::{
        format::{FormatSpec, Output},
        settings::{self, Settings, Wanted},
        yuv::{Layout, PixelFormat},
    },
    error::composition,
    files,
    layout::{self, Descriptor, Dimensions, PlanDir, Videos, canonical, pretty},
    libav, media,
    remote::Remote,
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
mod lut;
mod play;
mod probe;
pub(crate) mod project;
mod reach;
pub(crate) mod references;
mod remembered;
mod root;
mod sane;
mod scenes;
mod variables;

use defects::Defects;
use drawn::Lacking;
use grid::Chunking;
use play::Played;
use probe::{Look, Probe, Subject};
use project::Project;
use root::Shape;

/// What to plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project folder.
    pub project: PathBuf,
    /// How to make a video of it.
    pub config: RenderConfig,
    /// Which frames, counted from 0 in the whole video, as from the first to the one after the last; else all of them. Each
    /// is drawn as in the whole video.
    pub frames: Option<Range<u32>>,
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
pub(crate) const PRE_ROLL_FRAMES: u32 = 15;

const STEPS: u32 = 3;

/// Its clock counts hundredths of a second, and browsers slow down what is shown for only one.
const FASTEST_GIF: f64 = 50.0;

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
    let (report, _) = write(request, &finished, &mut Alone, context)?;
    target.publish(&finished)?;
    Ok(report)
}

/// Who renders what is planned.
pub(crate) trait Crew {
    /// How many chunks are rendered at the same time for so many frames of this width and height: where the configuration does
    /// not say how the work is cut there are at least so many.
    fn parallel(&self, width: u32, height: u32, frames: u32) -> NonZeroUsize;

    /// Opens the composition in a page of this canvas, to look at it; its documents begin with `script`. Asked once more, the
    /// canvas has what a first look found to be lacking.
    fn open(&mut self, canvas: &Canvas, script: String, context: &Context) -> Result<Page, Error>;

    /// At least so many chunks of this canvas will be rendered at the same time. The rest of planning takes about as long as a
    /// browser takes to show its first frame.
    fn prepare(&mut self, canvas: &Canvas, jobs: usize);

    /// Whether sound is of use to them.
    fn hears(&self) -> bool {
        true
    }
}

/// Nobody, here and now.
pub(crate) struct Alone;

impl Crew for Alone {
    fn parallel(&self, _: u32, _: u32, _: u32) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    fn open(&mut self, canvas: &Canvas, script: String, context: &Context) -> Result<Page, Error> {
        let mut page = Page::open(context, PageConfig { script, ..canvas.page() })?;
        page.navigate()?;
        Ok(page)
    }

    fn prepare(&mut self, _: &Canvas, _: usize) {}
}

/// Writes a plan into a new folder of ours. The answer also has the page that was looked at.
pub(crate) fn write(
    request: &Request,
    folder: &Path,
    crew: &mut dyn Crew,
    context: &Context,
) -> Result<(PlanReport, Page), Error> {
    let config = &request.config;
    let format = FormatSpec::of(config.format, config.codec)?;
    let wanted = wanted(config, format)?;
    let meter = context.stage(Stage::Plan, STEPS);
    let dir = PlanDir::new(folder);
    let Looked { source, mut page, probe, cut } = look(request, &dir, format, &meter, crew, context)?;
    let Source { compiled, remote, library, shape, scale, rate } = source;
    let Cut { duration, frames, chunks } = cut;
    let timelines = compiled.declares_timelines;
    remote.record()?;
    context.judge(Defects { visible: Vec::new(), minor: remote.remarks() }, config.strictness)?;
    meter.add(1);

    let (total_frames, strictness) = (frames.end - frames.start, config.strictness);
    let played = play::Subject {
        dir: &dir,
        compiled: &compiled,
        library,
        probe: &probe,
        frames,
        rate,
        format,
        hears: crew.hears(),
        strictness,
    };
    let played = play::write(played, &mut page, context)?;
    let has_audio = played.sounds > 0;
    let gop = grid::gop_size(rate);
    let facts =
        Facts { format, wanted, shape, scale, rate, duration, probe: &probe, played, timelines, gop, chunks: &chunks };
    write_meta(&dir, config, &facts)?;
    let mut descriptor = Descriptor {
        protocol: layout::Protocol::default(),
        plan_hash: String::new(),
        producer_version: crate::VERSION.to_owned(),
        ffmpeg_version: libav::version(format.encoder)?,
        font_snapshot_sha: compiled.font_snapshot_sha,
        dimensions: dimensions(rate, &shape, config.format),
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        total_frames,
        duration,
        has_audio,
    };
    descriptor.plan_hash = hash::of(&dir, &descriptor)?;
    files::write(&dir.descriptor(), pretty(&descriptor))?;
    meter.add(1);
    Ok((PlanReport { plan_hash: descriptor.plan_hash, total_frames, chunks }, page))
}

/// A project in its plan folder that was looked at, and how the work is cut.
struct Looked {
    source: Source,
    page: Page,
    probe: Probe,
    cut: Cut,
}

/// Compiles a project and looks at it; once more, if the first look shows that it lacks what packages may have.
fn look(
    request: &Request,
    dir: &PlanDir,
    format: &'static FormatSpec,
    meter: &Meter,
    crew: &mut dyn Crew,
    context: &Context,
) -> Result<Looked, Error> {
    let Request { project, config, frames, read_from: _ } = request;
    let cutting = chunking(config)?;
    let all = 0..u32::MAX;
    let hears = crew.hears() && !matches!(format.output, Output::Pictures | Output::Gif);
    let heard = hears.then_some(frames.as_ref().unwrap_or(&all));
    let mut lacking = None;
    loop {
        let source = source(project, config, lacking.as_ref(), dir, context)?;
        let canvas = source.canvas(dir, config, format);
        let Source { compiled, shape, rate, .. } = &source;
        in_time(format, *rate)?;
        if lacking.is_none() {
            meter.add(1);
        }
        let (timelines, duration) = (compiled.declares_timelines, shape.duration);
        let expected = Expected { timelines, missing_timelines: &[], duration };
        let script = source.script(config, format).text(Purpose::Inspect);
        let mut page = crew.open(&canvas, script, context)?;
        let mut cut = |seconds: f64| {
            let duration = root::in_range(seconds, compiled.root.line)?;
            let part = part(rate.frames_in(duration), frames.clone())?;
            Ok::<_, Error>(Cut::new(duration, part, *rate, cutting, &canvas, crew))
        };
        let known = shape.duration.map(&mut cut).transpose()?;
        let is_first = lacking.is_none();
        let (folder, rate) = (&*canvas.folder, *rate);
        let subject = Subject { folder, rate, duration: shape.duration, expected, compiled, is_first, heard };
        match probe::probe(&mut page, &subject, context, config.strictness)? {
            Look::Complete(probe) => {
                let cut = known.map_or_else(|| cut(probe.duration), Ok)?;
                return Ok(Looked { source, page, probe, cut });
            }
            Look::Lacking(found) => lacking = Some(found),
        }
    }
}

/// A project in its plan folder, before it is looked at.
struct Source {
    compiled: compile::Compiled,
    remote: Arc<Remote>,
    library: media::Library,
    shape: Shape,
    scale: u32,
    rate: FrameRate,
}

impl Source {
    /// What begins its documents.
    fn script<'a>(&'a self, config: &'a RenderConfig, format: &FormatSpec) -> PageScript<'a> {
        PageScript {
            rate: self.rate,
            variables: &config.variables,
            media: &self.library.files,
            transparent: format.alpha,
            timelines: self.compiled.declares_timelines,
        }
    }

    /// What its frames are drawn on.
    fn canvas(&self, dir: &PlanDir, config: &RenderConfig, format: &FormatSpec) -> Canvas {
        let Self { compiled, remote, shape, scale, .. } = self;
        Canvas {
            folder: dir.compiled(),
            remote: Arc::clone(remote),
            size: Size { width: shape.width, height: shape.height, scale: *scale },
            transparent: format.alpha,
            script: self.script(config, format).text(Purpose::Draw),
            timelines: compiled.declares_timelines,
            missing_timelines: Vec::new(),
            duration: shape.duration,
            video_starts: BTreeMap::new(),
        }
    }
}

/// Compiles a project into a plan folder, with what it lacked at a first look.
fn source(
    project: &Path,
    config: &RenderConfig,
    lacking: Option<&Lacking>,
    dir: &PlanDir,
    context: &Context,
) -> Result<Source, Error> {
    let project = Project::open(project)?;
    for folder in [dir.compiled(), dir.path().join("meta"), dir.video_frames()] {
        files::create_dir(&folder)?;
    }
    let remote = Arc::new(Remote::fetching(&dir.compiled(), &context.settings));
    let nothing = Lacking::default();
    let known = (&config.variables, lacking.unwrap_or(&nothing));
    let compiled = compile::compile(&project, &dir.compiled(), &remote, known, &context.stop)?;
    let mut defects = Defects::default();
    let shape = root::shape(&compiled.root, &mut defects)?;
    variables::check(&config.variables, &compiled.variables, &mut defects)?;
    let scale = scale(config, &shape)?;
    let pixels = PixelFormat::of(FormatSpec::of(config.format, config.codec)?.pixel_format);
    let size = (shape.width * scale, shape.height * scale);
    defects.minor.extend(pixels.and_then(|pixels| root::padding(&compiled.root, size, pixels)));
    context.judge(defects, config.strictness)?;
    let rate = config.fps.or(shape.rate).unwrap_or_default();
    let paths = project.files.iter().map(|file| file.path.as_str());
    let fetched = compiled.elsewhere.iter().filter_map(|url| {
        let address = url.as_str().split('#').next().unwrap_or_default().to_owned();
        let found =
            remote.found(&address).map_or_else(|| remote.failure(&address).map(Err), |found| Some(Ok(found)))?;
        Some(media::Fetched { address, found })
    });
    let library = media::Library::of(&dir.compiled(), paths, fetched);
    Ok(Source { compiled, remote, library, shape, scale, rate })
}

/// How the work is cut.
struct Cut {
    /// Of the whole composition, seconds.
    duration: f64,
    /// Those that are rendered.
    frames: Range<u32>,
    chunks: Vec<ChunkRange>,
}

impl Cut {
    /// Cuts, and tells whoever renders.
    fn new(
        duration: f64,
        frames: Range<u32>,
        rate: FrameRate,
        cutting: Chunking,
        canvas: &Canvas,
        crew: &mut dyn Crew,
    ) -> Self {
        let (width, height) = canvas.size.pixels();
        let total = frames.end - frames.start;
        let jobs = crew.parallel(width, height, total);
        let cutting = Chunking { parallel: u32::try_from(jobs.get()).unwrap_or(u32::MAX), ..cutting };
        let chunks = grid::chunks(total, grid::gop_size(rate), cutting, frames.start);
        crew.prepare(canvas, jobs.get().min(chunks.len()));
        Self { duration, frames, chunks }
    }
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

/// Whether a format can be shown as fast.
fn in_time(format: &FormatSpec, rate: FrameRate) -> Result<(), Error> {
    if format.output != Output::Gif || rate.per_second() <= FASTEST_GIF {
        return Ok(());
    }
    let message = format!("a GIF has at most {FASTEST_GIF} frames per second, and {rate} are asked for: 15 are usual");
    Err(composition(Code::ConfigInvalid, message))
}

fn dimensions(rate: FrameRate, shape: &Shape, format: Format) -> Dimensions {
    let (fps_num, fps_den) = (rate.num(), rate.den());
    Dimensions { fps_num, fps_den, width: shape.width, height: shape.height, format }
}

/// How good and how large a configuration wants the pictures.
fn wanted(config: &RenderConfig, format: &FormatSpec) -> Result<Wanted, Error> {
    /// Upstream's limit, and that of the encoders.
    const LARGEST_CRF: u8 = 51;
    let refuse = |message: String| Err(composition(Code::ConfigInvalid, message));
    let &RenderConfig { quality, crf, bitrate, gif_loop, .. } = config;
    let name = format.format.as_str();
    if gif_loop.is_some() && format.output != Output::Gif {
        return refuse(format!("gifLoop is for gif, and the format is {name}: leave it out"));
    }
    let wanted = Wanted { quality, crf, bitrate, filmed: false };
    let (rate, made) = (crf.is_some() || bitrate.is_some(), settings::settings(format.encoder, wanted, 1));
    match (crf, bitrate) {
        (Some(_), Some(_)) => refuse("crf and bitrate are both given: leave one of the two out".to_owned()),
        (Some(crf), None) if crf > LARGEST_CRF => {
            refuse(format!("crf is {crf}: write a number from 0 (best) to {LARGEST_CRF} (smallest)"))
        }
        _ if rate && (made.crf, made.bitrate) == (None, None) => {
            refuse(format!("{name} has neither a rate factor nor a bit rate: leave crf and bitrate out"))
        }
        _ => Ok(wanted),
    }
}

/// The frames that are asked for of those there are, to the last where no end is.
fn part(all: u32, asked: Option<Range<u32>>) -> Result<Range<u32>, Error> {
    match asked {
        None => Ok(0..all),
        Some(Range { start, end: u32::MAX }) if start < all => Ok(start..all),
        Some(part) if part.start < part.end && part.end <= all => Ok(part),
        Some(Range { start, end }) => {
            let end = if end == u32::MAX { String::new() } else { end.to_string() };
            let message = format!("the composition has {all} frames, 0..{all}: {start}..{end} is no part of that");
            Err(composition(Code::ConfigInvalid, message))
        }
    }
}

/// How many pixels each way a configuration has a CSS pixel become.
fn scale(config: &RenderConfig, shape: &Shape) -> Result<u32, Error> {
    let Some(asked) = config.output_resolution else { return Ok(1) };
    let turns = config.output_resolution_aspect_agnostic;
    let size = if turns { asked.turned_to(shape.width, shape.height) } else { asked };
    match size.scale_of(shape.width, shape.height) {
        Ok(scale) if scale <= sane::LARGEST_SCALE => Ok(scale),
        Ok(scale) => {
            let (name, most) = (size.as_str(), sane::LARGEST_SCALE);
            let message =
                format!("{name} is {scale} times the composition, and at most {most} times are drawn: make it larger");
            Err(composition(Code::ConfigInvalid, message))
        }
        Err(message) => Err(composition(Code::ConfigInvalid, message)),
    }
}

struct Facts<'a> {
    format: &'static FormatSpec,
    wanted: Wanted,
    shape: Shape,
    scale: u32,
    rate: FrameRate,
    duration: f64,
    probe: &'a Probe,
    played: Played,
    /// Some script registers a timeline.
    timelines: bool,
    gop: u32,
    chunks: &'a [ChunkRange],
}

fn write_meta(dir: &PlanDir, config: &RenderConfig, facts: &Facts<'_>) -> Result<(), Error> {
    let Facts { format, wanted, shape, scale, rate, duration, probe, ref played, timelines, gop, chunks } = *facts;
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
    let filmed = probe.films;
    let Settings { preset, crf, crf_offset: _, bitrate, params } =
        settings::settings(format.encoder, Wanted { filmed, ..wanted }, gop);
    let longest = chunks.iter().map(|chunk| chunk.frames()).max().unwrap_or(0);
    let encoder = layout::Encoder {
        encoder: format.planned_as.to_owned(),
        quality: config.quality,
        preset: preset.to_owned(),
        crf,
        bitrate,
        encoder_params: params,
        filmed,
        pixel_format: format.pixel_format.to_owned(),
        closed_gop: true,
        gop_size: gop,
        chunk_size: longest,
        chunk_count: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        first_frame: chunks.first().map_or(0, |chunk| chunk.start_frame),
        pre_roll_frames: PRE_ROLL_FRAMES,
        goes_through_all_frames: probe.goes_through_all_frames,
        capture_mode: "beginframe".to_owned(),
        device_scale_factor: scale,
        gif_loop: config.gif_loop,
        browser_gpu_mode: "software".to_owned(),
        ffmpeg_version: libav::version(format.encoder)?,
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
    /// Of its page.
    pub(crate) size: Size,
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
        let unreadable = |reason: String| Error::PlanUnreadable { path: path.to_owned(), reason };
        let format = FormatSpec::planned(descriptor.dimensions.format, &encoder.encoder).ok_or_else(|| {
            unreadable(format!("its encoder is {:?}, which this build does not have", encoder.encoder))
        })?;
        let here = libav::version(format.encoder)?;
        same_version(Code::FfmpegVersionMismatch, encoder.ffmpeg_version.clone(), here)?;
        let composition: layout::Composition = layout::read(&dir.composition())?;
        let chunks: Vec<ChunkRange> = layout::read(&dir.chunks())?;
        sane::check(&descriptor, &composition, &encoder, &chunks, format).map_err(unreadable)?;
        let rate = descriptor.rate()?;
        let pixels = PixelFormat::of(&encoder.pixel_format).ok_or_else(|| {
            unreadable(format!("its pixel format is {:?}, which this build does not make", encoder.pixel_format))
        })?;
        let size = Size { width: composition.width, height: composition.height, scale: encoder.device_scale_factor };
        let (width, height) = size.pixels();
        let layout = Layout::of(pixels, width, height);
        Ok(Self { dir, descriptor, composition, encoder, chunks, rate, format, size, layout })
    }

    /// An error, unless a browser is the one that planning looked with.
    pub(crate) fn check_browser(&self, product: &str) -> Result<(), Error> {
        same_version(Code::BrowserVersionMismatch, self.encoder.browser_version.clone(), product.to_owned())
    }

    /// What videos show in it.
    pub(crate) fn videos(&self) -> Result<Videos, Error> {
        let path = self.dir.videos();
        let videos: Videos = layout::read(&path)?;
        videos.check().map_err(|reason| Error::PlanUnreadable { path, reason })?;
        Ok(videos)
    }

    /// What its frames are drawn on.
    pub(crate) fn canvas(&self, videos: &Videos) -> Result<Canvas, Error> {
        let folder = self.dir.compiled();
        let remote = Arc::new(Remote::recorded(&folder)?);
        let script = PageScript {
            rate: self.rate,
            variables: &self.encoder.variables,
            media: &videos.files,
            transparent: self.format.alpha,
            timelines: self.composition.declares_timelines,
        };
        Ok(Canvas {
            folder,
            remote,
            size: self.size,
            transparent: self.format.alpha,
            script: script.text(Purpose::Draw),
            timelines: self.composition.declares_timelines,
            missing_timelines: self.composition.missing_timelines.clone(),
            duration: Some(self.composition.duration_seconds),
            video_starts: videos.starts(),
        })
    }

    /// The chunk of an index.
    pub(crate) fn chunk(&self, index: u32) -> Result<ChunkRange, Error> {
        let count = self.descriptor.chunk_count;
        self.chunks.get(index as usize).copied().ok_or(Error::ChunkIndex { index, count })
    }

    /// How its pictures are encoded.
    pub(crate) fn encoding(&self) -> libav::Encoding {
        let layout::Encoder { quality, crf, bitrate, filmed, gop_size: gop, .. } = self.encoder;
        // What the plan says it is, or it would not have been opened.
        let settings = settings::settings(self.format.encoder, Wanted { quality, crf, bitrate, filmed }, gop);
        libav::Encoding {
            encoder: self.format.encoder,
            layout: self.layout,
            rate: self.rate,
            options: settings::options(self.format.encoder, &settings),
            gop,
            tag: self.format.tag,
        }
    }
}
