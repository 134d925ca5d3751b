//! Where a chunk's time goes, by stage, at a cost of some microseconds a frame.

use std::time::{Duration, Instant};

use crds::line::Timings;
use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

use crate::draw::browser::procfs;

/// Measures one chunk. Browser stages are CPU time of the browser's processes, ours CPU time of the calling thread.
pub(crate) struct Stopwatch {
    asked: Instant,
    first_frame: Option<Instant>,
    browser: Vec<Pid>,
    browser_mark: Duration,
    own_mark: Duration,
    /// By [`Lap`].
    laps: [Duration; 4],
    read: u32,
    peak_memory: u64,
}

/// A part of a frame's way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lap {
    /// The page has arrived at the frame's time.
    Seek,
    /// The frame was drawn.
    Draw,
    /// A strip of its pixels was read.
    Read,
    /// The strip was converted.
    Convert,
}

/// Memory is looked at every so many frames read.
const MEMORY_EVERY: u32 = 30;

impl Stopwatch {
    /// Starts when the first frame is about to be sought; `asked` is when the chunk was asked for.
    pub(crate) fn start(asked: Instant, browser: Pid) -> Self {
        let browser = procfs::tree(browser);
        Self {
            asked,
            first_frame: None,
            browser_mark: procfs::cpu_time(&browser),
            browser,
            own_mark: Duration::ZERO,
            laps: [Duration::ZERO; 4],
            read: 0,
            peak_memory: 0,
        }
    }

    /// A part of a frame's way is done.
    pub(crate) fn lap(&mut self, lap: Lap) {
        let (now, mark) = match lap {
            Lap::Seek | Lap::Draw => (procfs::cpu_time(&self.browser), &mut self.browser_mark),
            Lap::Read | Lap::Convert => (thread_cpu_time(), &mut self.own_mark),
        };
        self.laps[lap as usize] += now.saturating_sub(std::mem::replace(mark, now));
        if matches!(lap, Lap::Convert) {
            self.first_frame.get_or_insert_with(Instant::now);
        }
    }

    /// A frame's pixels are about to be read.
    pub(crate) fn read_begins(&mut self) {
        self.own_mark = thread_cpu_time();
        if self.read.is_multiple_of(MEMORY_EVERY) {
            let own = procfs::resident(&[nix::unistd::getpid()]);
            self.peak_memory = self.peak_memory.max(own + procfs::resident(&self.browser));
        }
        self.read += 1;
    }

    /// The chunk is written.
    pub(crate) fn stop(self) -> Timings {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let [seek, draw, read, convert] = self.laps.map(ms);
        let first_frame = self.first_frame.unwrap_or_else(Instant::now);
        Timings {
            first_frame_ms: ms(first_frame - self.asked),
            frames_ms: ms(first_frame.elapsed()),
            seek_cpu_ms: seek,
            draw_cpu_ms: draw,
            take_cpu_ms: read,
            convert_cpu_ms: convert,
            taken: self.read,
            peak_memory_bytes: self.peak_memory,
        }
    }
}

/// CPU time of the calling thread so far.
fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
