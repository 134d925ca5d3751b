//! How fast `hf-producer` is, beside upstream's published CLI where npm is there. Run it with `make bench`.
//!
//! Compositions of 1920×1080 and 30 frames a second are rendered: `examples/cards`, where much moves,
//! `tests/fixtures/static`, where little does, and `tests/fixtures/video`, which shows a video of 1280×720, of 5 s each, and
//! `tests/fixtures/many-scenes`, of 90 s. After a round that does not count, ours and upstream's take turns, so that whatever
//! else the machine does falls on both; times are medians of the rounds. The long one is rendered once. A stage's CPU time is
//! that of all chunks together, divided by all frames of the video. The time to the first frame is the one that
//! `hf-producer chunk` reports, from the start of its process. Memory is that of a chunk's browser and of the whole
//! producer, whose chunks share it. Likeness is SSIM of the luma against a plain browser, which shows no video in time: of one
//! in a video it is not measured.
//!
//! Targets are reported, not asserted: the benchmark fails only where something does not run. `HF_BENCH_ONLY` names the
//! compositions that are wanted, as in `cards,static`; `HF_BENCH_JSON` names a file for a copy of all numbers.

mod targets;
mod upstream;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crds::line::{ChunkReport, FrameSourceKind, Timings};
use serde_json::{Value, json};
use tests::{
    bins::{producer, render},
    fixture::{Folder, example, fixture},
    media::{H264, make},
    truth::{SAMPLES, Truth, sampled},
    video::{frame_count, ssim_y},
};

use targets::{Target, targets};
use upstream::{Upstream, with_local_gsap};

/// Rounds that count, of a composition of some seconds.
const ROUNDS: usize = 3;
/// Chunk processes whose time to the first frame is measured.
const STARTS: usize = 5;
/// Frames per second.
const RATE: u32 = 30;

/// The composition that shows a video.
const VIDEO: &str = "video";

/// What is rendered, and in how many rounds.
const COMPOSITIONS: [(&str, usize); 4] = [("cards", ROUNDS), ("static", ROUNDS), (VIDEO, ROUNDS), ("many-scenes", 1)];

type Stage = (&'static str, fn(&Timings) -> f64);

/// Where a frame's CPU time goes before it is encoded, in order.
const STAGES: [Stage; 4] = [
    ("seek", |timings| timings.seek_cpu_ms),
    ("draw", |timings| timings.draw_cpu_ms),
    ("take", |timings| timings.take_cpu_ms),
    ("convert", |timings| timings.convert_cpu_ms),
];

fn main() {
    let upstream = Upstream::installed().inspect_err(|reason| eprintln!("no comparison with upstream: {reason}")).ok();
    let folder = Folder::new();
    let only = env::var("HF_BENCH_ONLY").ok();
    let wanted = COMPOSITIONS.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only.contains(name)));
    let measured: Vec<_> = wanted
        .map(|(name, rounds)| {
            let project = match name {
                "cards" => example(name),
                VIDEO => with_a_clip(&folder),
                _ => fixture(name),
            };
            Measured::of(name, &project, rounds, upstream.as_ref())
        })
        .collect();
    assert!(!measured.is_empty(), "HF_BENCH_ONLY names none of {COMPOSITIONS:?}");
    let targets = targets(&measured);
    print_table(&measured);
    println!();
    targets.iter().for_each(Target::print);
    if let Some(file) = env::var_os("HF_BENCH_JSON") {
        let compositions: Vec<_> = measured.iter().map(Measured::json).collect();
        let targets: Vec<_> = targets.iter().map(Target::json).collect();
        let all = json!({ "compositions": compositions, "targets": targets });
        fs::write(file, format!("{all:#}\n")).unwrap();
    }
}

/// Everything about a composition.
struct Measured {
    name: &'static str,
    frames: u32,
    ours: Video,
    upstream: Option<Video>,
    /// Milliseconds per frame.
    cpu: [f64; STAGES.len()],
    /// Of the last round. A video this short is cut into no more chunks than are rendered at the same time.
    chunks: Vec<ChunkReport>,
    /// Of the largest chunk in any round, bytes.
    peak_memory: u64,
    first_frame_ms: f64,
}

impl Measured {
    fn of(name: &'static str, project: &Path, rounds: usize, upstream: Option<&Upstream>) -> Self {
        let folder = Folder::new();
        let (ours, theirs) = (folder.join("ours.mp4"), folder.join("upstream.mp4"));
        let upstream = upstream.map(|upstream| (upstream, with_local_gsap(project, &folder)));
        let turns = |round: &str| {
            let (chunks, seconds) = timed(&format!("{name}, {round}, ours"), || rendered(project, &ours));
            let upstream_seconds = upstream.as_ref().map(|(upstream, project)| {
                timed(&format!("{name}, {round}, upstream's"), || upstream.try_render(project, &theirs).unwrap()).1
            });
            Round { chunks, seconds, upstream_seconds }
        };
        if rounds > 1 {
            turns("warm-up");
        }
        let rounds: Vec<_> = (1..=rounds).map(|round| turns(&format!("round {round}"))).collect();
        let first_frame_ms = first_frame_ms(name, project, &folder);
        let frames = frame_count(&ours);
        let truth = if name == VIDEO { Vec::new() } else { truth(project, frames, &folder) };
        let per_frame = |stage: fn(&Timings) -> f64| {
            let sum = |round: &Round| round.chunks.iter().map(|chunk| stage(&chunk.timings)).sum();
            median(rounds.iter().map(sum).collect()) / f64::from(frames)
        };
        let all_chunks = rounds.iter().flat_map(|round| &round.chunks);
        let upstream_seconds: Option<Vec<_>> = rounds.iter().map(|round| round.upstream_seconds).collect();
        Self {
            name,
            frames,
            ours: Video::of(&ours, rounds.iter().map(|round| round.seconds).collect(), &truth),
            upstream: upstream_seconds.map(|seconds| Video::of(&theirs, seconds, &truth)),
            cpu: STAGES.map(|(_, stage)| per_frame(stage)),
            peak_memory: all_chunks.map(|chunk| chunk.timings.peak_memory_bytes).max().unwrap(),
            chunks: rounds.into_iter().next_back().unwrap().chunks,
            first_frame_ms,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.upstream.as_ref().map(|upstream| upstream.seconds() / self.ours.seconds())
    }

    fn read_from(&self) -> &'static str {
        let bitmap = |chunk: &ChunkReport| chunk.frame_source == FrameSourceKind::CompositorBitmap;
        if self.chunks.iter().all(bitmap) { "bitmap" } else { "screenshots" }
    }

    fn taken(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.timings.taken).sum()
    }

    /// The lines of the table, the same for every composition.
    fn rows(&self) -> Vec<(String, String)> {
        let theirs = |cell: &dyn Fn(&Video) -> String| self.upstream.as_ref().map_or_else(|| "-".to_owned(), cell);
        let mut rows = Vec::new();
        let mut row = |what: &str, value: String| rows.push((what.to_owned(), value));
        let mut both = |what: &str, cell: &dyn Fn(&Video) -> String| {
            row(what, cell(&self.ours));
            row("  upstream's", theirs(cell));
        };
        both("whole render, s", &|video| format!("{:.2}", video.seconds()));
        both("whole render, frames/s", &|video| format!("{:.1}", f64::from(self.frames) / video.seconds()));
        both("file, KiB", &|video| (video.bytes >> 10).to_string());
        let likeness = |ssim: Option<f64>| ssim.map_or_else(|| "-".to_owned(), |ssim| format!("{ssim:.5}"));
        both("SSIM-Y, mean", &|video| likeness(video.mean_ssim()));
        both("SSIM-Y, least", &|video| likeness(video.least_ssim()));
        row("upstream's time / ours", self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
        for ((stage, _), ms) in STAGES.iter().zip(self.cpu) {
            row(&format!("CPU ms/frame, {stage}"), format!("{ms:.2}"));
        }
        row("frames read from", self.read_from().to_owned());
        row("frames taken, others equal the one before", format!("{} of {}", self.taken(), self.frames));
        row("chunks at the same time", self.chunks.len().to_string());
        row("peak memory of the largest chunk, MiB", (self.peak_memory >> 20).to_string());
        row("chunk process to first frame, ms", format!("{:.0}", self.first_frame_ms));
        rows
    }

    fn json(&self) -> Value {
        let cpu: serde_json::Map<_, _> =
            STAGES.iter().zip(self.cpu).map(|((stage, _), ms)| ((*stage).to_owned(), json!(ms))).collect();
        json!({
            "name": self.name,
            "frames": self.frames,
            "ours": self.ours.json(),
            "upstream": self.upstream.as_ref().map(Video::json),
            "ratio": self.ratio(),
            "cpuMsPerFrame": cpu,
            "readFrom": self.read_from(),
            "taken": self.taken(),
            "chunks": self.chunks.len(),
            "peakMemoryBytes": self.peak_memory,
            "firstFrameMs": self.first_frame_ms,
        })
    }
}

/// One render by each.
struct Round {
    chunks: Vec<ChunkReport>,
    seconds: f64,
    upstream_seconds: Option<f64>,
}

/// What somebody's renders came to.
struct Video {
    /// Of each round.
    rounds: Vec<f64>,
    bytes: u64,
    /// Of each frame compared, if any was.
    ssim: Vec<f64>,
}

impl Video {
    fn of(video: &Path, rounds: Vec<f64>, truth: &[(u32, PathBuf)]) -> Self {
        let ssim = truth.iter().map(|(frame, png)| ssim_y(video, *frame, png)).collect();
        Self { rounds, bytes: fs::metadata(video).unwrap().len(), ssim }
    }

    fn seconds(&self) -> f64 {
        median(self.rounds.clone())
    }

    fn mean_ssim(&self) -> Option<f64> {
        (!self.ssim.is_empty()).then(|| self.ssim.iter().sum::<f64>() / f64::from(SAMPLES))
    }

    fn least_ssim(&self) -> Option<f64> {
        self.ssim.iter().copied().reduce(f64::min)
    }

    fn json(&self) -> Value {
        json!({
            "seconds": self.seconds(),
            "rounds": self.rounds,
            "bytes": self.bytes,
            "meanSsimY": self.mean_ssim(),
            "leastSsimY": self.least_ssim(),
        })
    }
}

fn print_table(measured: &[Measured]) {
    let names: String = measured.iter().map(|measured| format!("{:>12}", measured.name)).collect();
    println!("{:44}{names}", "");
    let rows: Vec<_> = measured.iter().map(Measured::rows).collect();
    for (line, (what, _)) in rows[0].iter().enumerate() {
        let cells: String = rows.iter().map(|rows| format!("{:>12}", rows[line].1)).collect();
        println!("{what:44}{cells}");
    }
}

/// Renders a project as a user would.
fn rendered(project: &Path, video: &Path) -> Vec<ChunkReport> {
    let run = render(project, video, &["--fps", &RATE.to_string(), "--quality", "standard"]);
    run.chunks().into_iter().cloned().collect()
}

/// Median time of a chunk process to its first frame.
fn first_frame_ms(name: &str, project: &Path, folder: &Folder) -> f64 {
    let (plan, file) = (folder.join("plan"), folder.join("chunk.mp4"));
    producer([Path::new("plan"), project, Path::new("--out"), &plan]).ok();
    let start = |start| {
        let (run, _) = timed(&format!("{name}, chunk {start}"), || {
            producer([Path::new("chunk"), &plan, Path::new("0"), Path::new("--out"), &file]).ok()
        });
        run.chunks()[0].timings.first_frame_ms
    };
    median((1..=STARTS).map(start).collect())
}

/// The composition that shows a video, with one.
fn with_a_clip(folder: &Folder) -> PathBuf {
    let input = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=5"].map(str::to_owned);
    let clip = make(folder, "video/clip.mp4", &input, H264);
    let project = clip.parent().unwrap().to_owned();
    fs::copy(fixture("video").join("index.html"), project.join("index.html")).unwrap();
    project
}

/// What some frames of a video of so many should look like.
fn truth(project: &Path, frames: u32, folder: &Folder) -> Vec<(u32, PathBuf)> {
    let truth = Truth::open(project, f64::from(RATE), &json!({}));
    sampled(frames)
        .map(|frame| {
            let png = folder.join(&format!("{frame}.png"));
            truth.png(frame, &png);
            (frame, png)
        })
        .collect()
}

/// Does something and says how many seconds it took.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let outcome = work();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{what}: {seconds:.1} s");
    (outcome, seconds)
}

/// Of an odd number of values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
