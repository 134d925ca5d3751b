//! Where a chunk's time goes, by stage, at a cost of some microseconds a frame.

use std::time::{Duration, Instant};

use crds::line::Timings;
use nix::unistd::Pid;

use crate::{draw::browser::memory, encode::encoders::thread_cpu_time};

/// Measures one chunk. Browser stages are CPU time of the browser's processes, ours CPU time of the calling thread.
pub(crate) struct Stopwatch {
    command_started: Instant,
    first_frame: Option<Instant>,
    browser: Vec<Pid>,
    browser_mark: Duration,
    own_mark: Duration,
    seek: Duration,
    draw: Duration,
    take: Duration,
    convert: Duration,
    taken: u32,
    peak_memory: u64,
}

/// Memory is looked at every so many frames taken.
const MEMORY_EVERY: u32 = 30;

impl Stopwatch {
    pub(crate) fn start(command_started: Instant, browser: Pid) -> Self {
        let browser = memory::tree(browser);
        let zero = Duration::ZERO;
        Self {
            command_started,
            first_frame: None,
            browser_mark: memory::cpu_time(&browser),
            browser,
            own_mark: zero,
            seek: zero,
            draw: zero,
            take: zero,
            convert: zero,
            taken: 0,
            peak_memory: 0,
        }
    }

    /// The page has arrived at a frame's time.
    pub(crate) fn sought(&mut self) {
        let lap = self.browser_lap();
        self.seek += lap;
    }

    /// A frame was drawn.
    pub(crate) fn drawn(&mut self) {
        let lap = self.browser_lap();
        self.draw += lap;
    }

    /// A frame's pixels are about to be taken.
    pub(crate) fn taking(&mut self) {
        self.own_mark = thread_cpu_time();
        if self.taken.is_multiple_of(MEMORY_EVERY) {
            let own = memory::resident(&[nix::unistd::getpid()]);
            self.peak_memory = self.peak_memory.max(own + memory::resident(&self.browser));
        }
        self.taken += 1;
    }

    /// A strip of pixels was taken.
    pub(crate) fn took(&mut self) {
        let lap = self.own_lap();
        self.take += lap;
    }

    /// A strip of pixels was converted.
    pub(crate) fn converted(&mut self) {
        let lap = self.own_lap();
        self.convert += lap;
        self.first_frame.get_or_insert_with(Instant::now);
    }

    /// The chunk is written.
    pub(crate) fn stop(self, encode: Duration) -> Timings {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let first_frame = self.first_frame.unwrap_or_else(Instant::now);
        Timings {
            first_frame_ms: ms(first_frame - self.command_started),
            frames_ms: ms(first_frame.elapsed()),
            seek_cpu_ms: ms(self.seek),
            draw_cpu_ms: ms(self.draw),
            take_cpu_ms: ms(self.take),
            convert_cpu_ms: ms(self.convert),
            encode_cpu_ms: ms(encode),
            taken: self.taken,
            peak_memory_bytes: self.peak_memory,
        }
    }

    fn browser_lap(&mut self) -> Duration {
        let now = memory::cpu_time(&self.browser);
        now.saturating_sub(std::mem::replace(&mut self.browser_mark, now))
    }

    fn own_lap(&mut self) -> Duration {
        let now = thread_cpu_time();
        now.saturating_sub(std::mem::replace(&mut self.own_mark, now))
    }
}
