//! The command line, and nothing else.

use std::{ffi::OsString, num::NonZeroUsize, ops::Range, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use crds::{Bitrate, Codec, Format, FrameRate, Quality, Resolution, Strictness, line::FrameSourceKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    plan::{LARGEST_CHUNK, MOST_CHUNKS},
    still::Moment,
};

/// Renders HyperFrames compositions (HTML, CSS, JavaScript) to video on this machine.
///
/// Exit codes: 0 done, 1 our fault or the machine's, 2 the composition's fault, 64 wrong usage, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "hf-producer", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object a line on standard output: progress, warnings, the result or the error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log on standard error what the browser and libav are asked to do
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How frames leave the browser; all ways give the same pixels, auto takes the fastest one that works here
    #[arg(long, global = true, value_enum, default_value_t = FrameSource::Auto)]
    pub(crate) frame_source: FrameSource,
    /// Fetch nothing while planning: only packages and files that are on this machine are there [env: HF_OFFLINE]
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// How long a page may take to become ready
    #[arg(long, global = true, value_name = "TIME", default_value = "45s", value_parser = deadline)]
    pub(crate) ready_timeout: Duration,
    /// How long nothing may move before the work is given up
    #[arg(long, global = true, value_name = "TIME", default_value = "120s", value_parser = deadline)]
    pub(crate) progress_timeout: Duration,
    /// End when the process of this id ends
    #[arg(long, global = true, value_name = "PID", hide = true)]
    pub(crate) parent: Option<i32>,
}

fn deadline(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_hours(24);
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=LONGEST).contains(&time) { Ok(time) } else { Err("from 1s to 24h".to_owned()) }
}

/// A way to read frames, or none in particular.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FrameSource {
    Auto,
    Bitmap,
    SharedBitmap,
    Screenshot,
}

impl FrameSource {
    pub(crate) fn kind(self) -> Option<FrameSourceKind> {
        match self {
            Self::Auto => None,
            Self::Bitmap => Some(FrameSourceKind::CompositorBitmap),
            Self::SharedBitmap => Some(FrameSourceKind::SharedBitmap),
            Self::Screenshot => Some(FrameSourceKind::Screenshot),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is there, what is missing, and how to get it
    Doctor,
    /// Turn a project into a plan folder that chunks can be rendered from anywhere
    Plan {
        #[command(flatten)]
        request: RequestArgs,
        /// The plan folder to write
        #[arg(short, long, value_name = "PLAN")]
        out: PathBuf,
    },
    /// Render one chunk of a plan
    Chunk {
        /// A plan folder
        plan: PathBuf,
        /// Index of the chunk, from 0
        index: u32,
        /// The chunk file to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Join all chunks of a plan into the video
    Assemble {
        /// A plan folder
        plan: PathBuf,
        /// All chunk files in order of index, or one folder that holds them as 0.mp4, 1.mp4 and so on, with the
        /// extension of the format's chunks
        #[arg(required = true, value_name = "CHUNKS")]
        chunks: Vec<PathBuf>,
        /// The video to write
        #[arg(short, long, value_name = "OUT")]
        out: PathBuf,
    },
    /// Look for everything that is wrong with a project, without rendering it; the flags say how it would be rendered
    Lint {
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Draw single frames as PNG files
    Still {
        #[command(flatten)]
        request: RequestArgs,
        /// A time in the video, as 2.5s or 2500ms; more than once for more files
        #[arg(long, value_name = "TIME", required_unless_present = "frame", value_parser = moment)]
        at: Vec<Moment>,
        /// The number of a frame, from 0; more than once for more files
        #[arg(long, value_name = "N", value_parser = |text: &str| text.parse().map(Moment::Frame))]
        frame: Vec<Moment>,
        /// The PNG file to write; of more than one, each gets its frame's number before the extension
        #[arg(short, long, value_name = "FILE.png")]
        out: PathBuf,
    },
    /// Plan, render and assemble in one go, in parallel on this machine
    Render {
        #[command(flatten)]
        request: RequestArgs,
        /// The video to write, or for png-sequence and hls the folder; - for standard output
        #[arg(short, long, value_name = "OUT")]
        out: PathBuf,
        /// Only these frames of the video, as FIRST..END, from 0 and without END itself; either may be left out
        #[arg(long, value_name = "FIRST..END", value_parser = frames)]
        frames: Option<Range<u32>>,
        /// Chunks rendered at the same time [default: as cores, memory and the number of frames make worthwhile]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZeroUsize>,
    },
}

/// What to plan. Where a thing is said more than once, the later of these counts:
///
/// 1. the composition's own attributes (`data-fps`) and, where it has none, the defaults named below;
/// 2. the file of `--config`: a `crds::RenderConfig` as JSON, upstream's names, unknown fields ignored;
/// 3. the flags. `--chunks` and `--chunk-size` both say how the work is cut: either one replaces both of the file's
///    `maxParallelChunks` and `chunkSize`; so do `--crf` and `--bitrate` for `crf` and `bitrate`. `--variables` replaces the file's variables as a whole.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Folder that holds index.html
    pub(crate) project: PathBuf,
    /// JSON file with the render configuration; the flags below override what it says
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Frames per second, 30 or 30000/1001 [default: the composition's data-fps, else 30]
    #[arg(long)]
    pub(crate) fps: Option<FrameRate>,
    /// Container and codec [default: the output's extension, else mp4]
    #[arg(long, value_parser = named::<Format, _>(Format::ALL.map(Format::as_str)))]
    pub(crate) format: Option<Format>,
    /// Codec of an mp4 [default: h264]
    #[arg(long, value_parser = named::<Codec, _>(Codec::ALL.map(Codec::as_str)))]
    pub(crate) codec: Option<Codec>,
    /// Constant rate factor, 0 (without loss; few players show such H.264) to 51 (smallest) [default: the quality's]
    #[arg(long, value_name = "N", conflicts_with = "bitrate", value_parser = clap::value_parser!(u8).range(0..=51))]
    pub(crate) crf: Option<u8>,
    /// Bit rate to aim at in place of a rate factor, such as 8M or 2500k
    #[arg(long, value_name = "RATE")]
    pub(crate) bitrate: Option<Bitrate>,
    /// Size of the pictures, a whole multiple of the composition's: landscape, portrait, square (1080 lines), the same with
    /// -4k, or 1080p and 4k for the composition's orientation [default: the composition's]
    #[arg(long, value_name = "SIZE", value_parser = resolution)]
    pub(crate) resolution: Option<(Resolution, bool)>,
    /// How often a GIF is shown, 0 for ever [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) gif_loop: Option<u16>,
    /// Encoder preset; looks is standard with a rate factor of 16, and delivery is high, as with upstream [default: standard]
    #[arg(long, value_parser = quality())]
    pub(crate) quality: Option<(Quality, Option<u8>)>,
    /// Whether defects that a browser passes over are errors [default: each defect's own]
    #[arg(long, value_parser = named::<Strictness, _>(["best-effort", "strict"]))]
    pub(crate) strictness: Option<Strictness>,
    /// Values for the composition's variables: a JSON file, or a JSON object as it stands
    #[arg(long, value_name = "FILE|JSON")]
    pub(crate) variables: Option<OsString>,
    /// Cut into at most so many chunks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CHUNKS)))]
    pub(crate) chunks: Option<u32>,
    /// Cut into chunks of at most so many frames, rounded up to whole GOPs of 2 s [default: 240]
    #[arg(long, value_name = "FRAMES", conflicts_with = "chunks", value_parser = clap::value_parser!(u32).range(1..=i64::from(LARGEST_CHUNK)))]
    pub(crate) chunk_size: Option<u32>,
}

/// `FIRST..END`, of which either may be left out. To the end is to `u32::MAX`.
fn frames(text: &str) -> Result<Range<u32>, String> {
    let number = |text: &str, open| if text.is_empty() { Some(open) } else { text.parse().ok() };
    let range = text.split_once("..").and_then(|(start, end)| Some(number(start, 0)?..number(end, u32::MAX)?));
    range.filter(|range| range.start < range.end).ok_or_else(|| "write it as 30..90, 30.. or ..90".to_owned())
}

/// A time in seconds or milliseconds.
fn moment(text: &str) -> Result<Moment, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let time = number.parse::<f64>().ok().filter(|_| plain);
    time.map(|time| Moment::Time(time / unit)).ok_or_else(|| "write it as 2.5s or 2500ms".to_owned())
}

/// A preset by its name or one of upstream's others, and whether it turns with the composition.
fn resolution(name: &str) -> Result<(Resolution, bool), String> {
    let preset = match name {
        "1080p" | "hd" => return Ok((Resolution::Landscape, true)),
        "4k" | "uhd" => return Ok((Resolution::Landscape4k, true)),
        "1080p-portrait" | "portrait-1080p" => Resolution::Portrait,
        "4k-portrait" => Resolution::Portrait4k,
        "1080p-square" | "square-1080p" => Resolution::Square,
        "4k-square" => Resolution::Square4k,
        name => {
            let found = Resolution::ALL.into_iter().find(|preset| preset.as_str() == name);
            found.ok_or_else(|| {
                format!("write one of 1080p, 4k, {}", Resolution::ALL.map(Resolution::as_str).join(", "))
            })?
        }
    };
    Ok((preset, false))
}

/// One of some names, as the wire type spells them; clap suggests the nearest.
fn named<T: DeserializeOwned + Clone + Send + Sync + 'static, const N: usize>(
    names: [&'static str; N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(Value::String(name)))
}

/// The presets by the names that upstream's command line has for them (0.8.170), with a rate factor where it is not the preset's own.
const QUALITIES: [(&str, Quality, Option<u8>); 5] = [
    ("draft", Quality::Draft, None),
    ("standard", Quality::Standard, None),
    ("looks", Quality::Standard, Some(16)),
    ("high", Quality::High, None),
    ("delivery", Quality::High, None),
];

fn quality() -> impl TypedValueParser<Value = (Quality, Option<u8>)> {
    let find = |name: String| QUALITIES.into_iter().find(|(known, ..)| *known == name);
    PossibleValuesParser::new(QUALITIES.map(|(name, ..)| name))
        .try_map(move |name| find(name).map(|(_, quality, crf)| (quality, crf)).ok_or("there is no such quality"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn times_and_parts_are_read_as_written() {
        assert_eq!(super::moment("2.5s"), Ok(super::Moment::Time(2.5)));
        assert_eq!(super::moment("250ms"), Ok(super::Moment::Time(0.25)));
        assert_eq!(super::moment("3"), Ok(super::Moment::Time(3.0)));
        for text in ["", "s", "-1s", "1e3", "inf", "2m", "1,5s"] {
            assert!(super::moment(text).is_err(), "{text}");
        }
        assert_eq!(super::frames("30..90"), Ok(30..90));
        assert_eq!((super::frames("30.."), super::frames("..90")), (Ok(30..u32::MAX), Ok(0..90)));
        for text in ["", "30", "90..30", "3..3", "-1..3", "1..=3"] {
            assert!(super::frames(text).is_err(), "{text}");
        }
    }
}
