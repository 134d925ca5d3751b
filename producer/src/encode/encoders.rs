//! Threads that encode GOPs, shared by all chunks of a process.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    encode::{
        format::EncoderKind,
        yuv::{Layout, Picture},
    },
    jobs::memory_to_spare,
    libav::{self, Encoding, Gop, encode_gop},
};

/// A pool of threads, each with an encoder at a time. GOPs are taken up in the order they were started. The first thread
/// always works, each further one only while there is memory to spare.
pub(crate) struct Encoders {
    jobs: Option<Sender<Job>>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How often a thread without memory looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

struct Job {
    index: u32,
    settings: Arc<Encoding>,
    pictures: Receiver<Arc<Picture>>,
    each: Arc<dyn Fn() + Send + Sync>,
    done: Sender<EncodedGop>,
}

/// An encoded GOP, or why it could not be encoded.
pub(crate) struct EncodedGop {
    /// Index of the GOP within its chunk.
    pub(crate) index: u32,
    pub(crate) gop: libav::Result<Gop>,
}

/// The GOPs of one chunk.
pub(crate) struct GopQueue<'a> {
    encoders: &'a Encoders,
    settings: Arc<Encoding>,
    each: Arc<dyn Fn() + Send + Sync>,
    started: u32,
    done: (Sender<EncodedGop>, Receiver<EncodedGop>),
}

impl Encoders {
    /// As many as keep all cores busy, for pictures like these.
    pub(crate) fn start(cores: NonZeroUsize, encoder: EncoderKind, layout: Layout) -> Self {
        let (jobs, queue) = channel::<Job>();
        let (queue, closing) = (Arc::new(Mutex::new(queue)), Arc::new(AtomicBool::new(false)));
        let start = |index| {
            let (queue, closing) = (Arc::clone(&queue), Arc::clone(&closing));
            thread::spawn(move || {
                while !closing.load(Ordering::Relaxed) {
                    if index > 0 && !memory_to_spare(layout.width, layout.height) {
                        thread::sleep(LOOK_AGAIN);
                    } else if let Some(job) = next(&queue) {
                        job.run();
                    }
                }
            })
        };
        let threads = (0..cores.get().div_ceil(encoder.threads())).map(start).collect();
        Self { jobs: Some(jobs), closing, threads }
    }

    /// A queue for the GOPs of a chunk; `each` is called after every encoded frame.
    pub(crate) fn queue(&self, settings: Encoding, each: Arc<dyn Fn() + Send + Sync>) -> GopQueue<'_> {
        GopQueue { encoders: self, settings: Arc::new(settings), each, started: 0, done: channel() }
    }
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().ok()?.recv().ok()
}

impl Drop for Encoders {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Job {
    fn run(self) {
        let each = self.each;
        let gop = encode_gop(&self.settings, self.pictures.into_iter(), || each());
        // A chunk that has failed meanwhile no longer listens.
        let _ = self.done.send(EncodedGop { index: self.index, gop });
    }
}

impl GopQueue<'_> {
    /// Starts the next GOP; its pictures are sent in order, its end is dropping the sender.
    ///
    /// The channel holds a whole GOP, so whoever draws never waits here; it waits for free pictures.
    pub(crate) fn start(&mut self) -> SyncSender<Arc<Picture>> {
        let (sender, pictures) = sync_channel(self.settings.gop as usize);
        let job = Job {
            index: self.started,
            settings: Arc::clone(&self.settings),
            pictures,
            each: Arc::clone(&self.each),
            done: self.done.0.clone(),
        };
        self.started += 1;
        if let Some(jobs) = &self.encoders.jobs {
            // Without a thread to take it the job is dropped, and the sender says so.
            let _ = jobs.send(job);
        }
        sender
    }

    /// A finished GOP, if one is waiting.
    pub(crate) fn try_next(&self) -> Option<EncodedGop> {
        self.done.1.try_recv().ok()
    }

    /// The next finished GOP. Only call it while one is under way.
    pub(crate) fn wait_next(&self) -> Option<EncodedGop> {
        self.done.1.recv().ok()
    }

    pub(crate) fn started(&self) -> u32 {
        self.started
    }
}
