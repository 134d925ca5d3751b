//! `chunk`: the frames of one chunk are drawn, read, converted and encoded into one file of closed GOPs.
//!
//! Drawing, converting and encoding overlap: while a frame is read and converted the page is already being moved to
//! the next one, and GOPs are encoded on threads of their own. The same plan and index give the same bytes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::SyncSender},
};

use crds::{
    Code, Failure, Stage,
    line::{ChunkRange, ChunkReport, FrameSourceKind},
};

use crate::{
    Error,
    context::{Context, Meter},
    draw::{drawer::Drawer, frames},
    encode::{
        encoders::{EncodedGop, Encoders, GopQueue},
        yuv::Picture,
    },
    files,
    jobs::Capacity,
    libav::{self, Muxer, TAG_CHUNK, TAG_PLAN, Track},
    plan::Plan,
    stopwatch::Stopwatch,
    target::{Inputs, Target},
};

/// Renders chunk `index` (from 0) of the plan folder `plan` into the file `out`, whole or not at all.
///
/// Blocks the calling thread, which starts the browser and must live as long as the call: Linux ends a browser with the
/// thread that started it. Encoding uses as many threads as there are usable cores.
///
/// # Errors
/// See [`Error`]; nothing is left behind. Foremost: `MISSING_PLAN_ARTIFACT`, `PLAN_HASH_MISMATCH`,
/// `CHUNK_INDEX_OUT_OF_RANGE`, `FFMPEG_VERSION_MISMATCH` and `BROWSER_VERSION_MISMATCH` (the plan and this machine do not
/// fit), `BROWSER_FAILED`, `NO_PROGRESS` and `INTERRUPTED` (another try may succeed).
pub fn chunk(plan: &Path, index: u32, out: &Path, context: &Context) -> Result<ChunkReport, Error> {
    let plan = Plan::open(plan)?;
    let chunk = plan.chunk(index)?;
    let target = Target::file(out, Inputs { plan: Some(plan.dir.path()), ..Inputs::default() })?;
    let finished = target.scratch().join(plan.format.chunk_name("chunk"));
    let work = Work::new(&plan, Capacity::of_this_machine(), chunk.frames(), context);
    let mut drawer = Drawer::open(&plan, context)?;
    let drawn = work.draw(&mut drawer, chunk, finished.clone())?;
    drop(drawer);
    let report = drawn.finish()?;
    target.publish(&finished)?;
    Ok(report)
}

/// What chunks that are rendered in one process share.
pub(crate) struct Work<'a> {
    plan: &'a Plan,
    encoders: Encoders,
    context: &'a Context,
    meter: Arc<Meter>,
}

impl<'a> Work<'a> {
    /// For chunks of `frames` frames together.
    pub(crate) fn new(plan: &'a Plan, capacity: Capacity, frames: u32, context: &'a Context) -> Self {
        let encoders = Encoders::start(capacity.cores, plan.format.encoder, plan.layout);
        Self { plan, encoders, context, meter: Arc::new(context.stage(Stage::Render, frames)) }
    }

    /// Draws all frames of a chunk, which go into a new file. What is left then is encoded without the drawer.
    pub(crate) fn draw(&self, drawer: &mut Drawer<'_>, chunk: ChunkRange, file: PathBuf) -> Result<Drawn<'_>, Error> {
        drawer.begin(chunk)?;
        let source = drawer.source();
        let chosen = frames::asked(self.context, self.plan.format.alpha).is_some();
        let pixels = self.plan.layout.width * self.plan.layout.height;
        if source == FrameSourceKind::Screenshot && !chosen && pixels >= LEAST_WORTH_READING {
            self.context.warn(&[slow()]);
        }
        let meter = Arc::clone(&self.meter);
        let queue = self.encoders.queue(self.plan.encoding(), Arc::new(move || meter.add(1)));
        let mut gops = Gops::new(self.plan, chunk, file, queue);
        let mut watch = Stopwatch::start(self.context.asked, drawer.pid());
        drawer.frames(chunk, &mut watch, |picture| gops.push(picture))?;
        Ok(Drawn { gops, watch, source })
    }
}

/// Pixels below which a frame has no memory of its own in the browser (measured: 48×48 has none, 64×64 has), and is a screenshot
/// in no time.
const LEAST_WORTH_READING: u32 = 64 * 64;

/// Frames are read the slow way, though nobody asked for it.
fn slow() -> Failure {
    let message = "frames are taken as screenshots, ten times slower, because the browser's memory can neither be read nor shared: \
                   allow process_vm_readv (ptrace) between processes of this user";
    Failure::new(Code::SlowFrames, message)
}

/// A chunk whose frames are all drawn.
pub(crate) struct Drawn<'a> {
    gops: Gops<'a>,
    watch: Stopwatch,
    source: FrameSourceKind,
}

impl Drawn<'_> {
    /// Waits for its encoders and completes its file.
    pub(crate) fn finish(self) -> Result<ChunkReport, Error> {
        let Self { mut gops, watch, source } = self;
        let frames = gops.finish()?;
        let timings = watch.stop();
        let (_, sha256) = files::digest(&gops.file)?;
        Ok(ChunkReport { index: gops.chunk.index, frames, sha256, frame_source: source, timings })
    }
}

/// GOPs under way, and the file the finished ones go to, in order.
struct Gops<'a> {
    plan: &'a Plan,
    chunk: ChunkRange,
    file: PathBuf,
    queue: GopQueue<'a>,
    /// The GOP that pictures now belong to.
    current: Option<SyncSender<Arc<Picture>>>,
    /// Frames pushed.
    pushed: u32,
    /// Finished out of order.
    waiting: Vec<EncodedGop>,
    /// GOPs written.
    written: u32,
    /// Frames written.
    frames: u32,
    writer: Option<(Muxer, Track)>,
}

impl<'a> Gops<'a> {
    fn new(plan: &'a Plan, chunk: ChunkRange, file: PathBuf, queue: GopQueue<'a>) -> Self {
        Self {
            plan,
            chunk,
            file,
            queue,
            current: None,
            pushed: 0,
            waiting: Vec::new(),
            written: 0,
            frames: 0,
            writer: None,
        }
    }

    /// Hands the next picture to its GOP's encoder, and writes what is finished.
    fn push(&mut self, picture: Arc<Picture>) -> Result<(), Error> {
        if self.pushed.is_multiple_of(self.plan.encoder.gop_size) {
            self.current = Some(self.queue.start());
        }
        self.pushed += 1;
        let sent = self.current.as_ref().is_some_and(|gop| gop.send(picture).is_ok());
        self.write_finished()?;
        // An encoder that stopped listening has a reason, and it is on its way.
        if sent { Ok(()) } else { self.finish().map(drop) }
    }

    /// Writes every GOP that is finished and next in order.
    fn write_finished(&mut self) -> Result<(), Error> {
        while let Some(gop) = self.queue.try_next() {
            self.waiting.push(gop);
        }
        while let Some(position) = self.waiting.iter().position(|gop| gop.index == self.written) {
            let gop = self.waiting.swap_remove(position);
            self.write(gop.gop?)?;
        }
        Ok(())
    }

    fn write(&mut self, gop: libav::Gop) -> Result<(), Error> {
        self.written += 1;
        let (muxer, track) = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let index = self.chunk.index.to_string();
                let tags = [(TAG_PLAN, self.plan.descriptor.plan_hash.as_str()), (TAG_CHUNK, &index)];
                let mut muxer = Muxer::create(&self.file, self.plan.format.container, &tags)?;
                let track = muxer.add_video(self.plan.rate, gop.parameters)?;
                none.insert((muxer, track))
            }
        };
        let start = self.frames;
        for mut packet in gop.packets {
            libav::delay(&mut packet, start);
            muxer.write(*track, packet)?;
            self.frames += 1;
        }
        Ok(())
    }

    /// Waits for the rest and completes the file. Returns its number of frames.
    fn finish(&mut self) -> Result<u32, Error> {
        self.current = None;
        while self.written < self.queue.started() {
            self.waiting.extend(self.queue.wait_next());
            self.write_finished()?;
        }
        if let Some((muxer, _)) = self.writer.take() {
            muxer.finish()?;
        }
        Ok(self.frames)
    }
}
