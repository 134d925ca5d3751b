//! `chunk`: the frames of one chunk are drawn, taken, converted and encoded into one closed-GOP file.
//!
//! Drawing, converting and encoding overlap: while a frame is read and converted the page is already being moved to
//! the next one, and GOPs are encoded on threads of their own. The same plan and index give the same bytes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crds::{
    Code,
    line::{ChunkRange, ChunkReport},
};

use crate::{
    Error,
    draw::{
        browser::{
            self,
            page::{Page, PageConfig, SETTLE},
        },
        frames::{self, FrameSource},
        ready::{self, Expected},
        script::{Purpose, page_script},
    },
    encode::{
        encoders::{EncodedGop, Encoders, GopQueue},
        yuv::{Picture, Pool},
    },
    files::{self, Scratch},
    libav::{Mp4Writer, TAG_CHUNK, TAG_PLAN},
    plan::Plan,
    settings::Settings,
    stopwatch::Stopwatch,
};

/// Called with the number of frames encoded so far.
pub(crate) type Progress<'a> = Arc<dyn Fn(u32) + Send + Sync + 'a>;

/// Renders chunk `index` of a plan into the file `out`, whole or not at all. `started` is when the command began.
pub(crate) fn render(
    plan: &Plan,
    index: u32,
    out: &Path,
    settings: &Settings,
    encoders: &Encoders,
    progress: Progress<'static>,
    started: Instant,
) -> Result<ChunkReport, Error> {
    let chunk = plan.chunk(index)?;
    let scratch = Scratch::beside(out)?;
    let (mut page, source) = open(plan, settings, frames::best)?;
    let mut drawing = Drawing { source, pool: Pool::new(plan.composition.width, plan.composition.height), last: None };
    drawing.prelude(&mut page, plan, chunk)?;

    let encoded = AtomicU32::new(0);
    let each = Arc::new(move || progress(encoded.fetch_add(1, Ordering::Relaxed) + 1));
    let finished = scratch.path().join("chunk.mp4");
    let mut gops = Gops {
        queue: encoders.queue(plan.encoding(), each),
        waiting: Vec::new(),
        written: 0,
        writer: None,
        encode: Duration::ZERO,
    };
    let file = ChunkFile { path: &finished, plan, index };
    let mut watch = Stopwatch::start(started, page.pid());
    drawing.frames(&mut page, plan, chunk, &mut gops, &file, &mut watch)?;
    drop(page);
    let frames = gops.finish(&file)?;
    let timings = watch.stop(gops.encode);
    scratch.publish(&finished, out)?;
    let (_, sha256) = files::digest(out)?;
    Ok(ChunkReport { index, frames, sha256, frame_source: drawing.source.kind(), timings })
}

/// A page with the composition, ready to be moved to any frame, and the source of its pixels.
pub(crate) fn open(
    plan: &Plan,
    settings: &Settings,
    choose: impl FnOnce(&mut Page, u32, u32) -> browser::Result<Box<dyn FrameSource>>,
) -> Result<(Page, Box<dyn FrameSource>), Error> {
    let (width, height) = (plan.composition.width, plan.composition.height);
    let script = page_script(plan.rate, &plan.encoder.variables, Purpose::Draw);
    let mut page = Page::open(settings, PageConfig { folder: &plan.dir.compiled(), width, height, script })?;
    if page.product() != plan.encoder.browser_version {
        let (planned, here) = (plan.encoder.browser_version.clone(), page.product().to_owned());
        return Err(Error::Version { code: Code::BrowserVersionMismatch, planned, here });
    }
    let mut source = choose(&mut page, width, height)?;
    page.navigate()?;
    let expected = Expected { timelines: plan.composition.declares_timelines, duration: true };
    ready::wait(&mut page, expected, settings.ready_timeout)?;
    page.evaluate::<()>("__hfProducer.prepare()")?;
    frames::wait_for_document(&mut page, &mut *source, Instant::now() + SETTLE)?;
    // Composited layers take their raster offset from the first state they are drawn in: always the one at 0.
    page.settle(Instant::now() + SETTLE, |page| source.draw(page))?;
    Ok((page, source))
}

struct Drawing {
    source: Box<dyn FrameSource>,
    pool: Pool,
    last: Option<Arc<Picture>>,
}

impl Drawing {
    /// Draws the frames before a chunk's first without keeping them.
    fn prelude(&mut self, page: &mut Page, plan: &Plan, chunk: ChunkRange) -> Result<(), Error> {
        for frame in chunk.start_frame.saturating_sub(plan.encoder.prelude_frames)..chunk.start_frame {
            let requests = page.events().started;
            let seek = page.seek_later(plan.rate.time_of(frame))?;
            page.evaluated(seek)?;
            self.draw(page, requests)?;
        }
        Ok(())
    }

    fn frames(
        &mut self,
        page: &mut Page,
        plan: &Plan,
        chunk: ChunkRange,
        gops: &mut Gops<'_>,
        file: &ChunkFile<'_>,
        watch: &mut Stopwatch,
    ) -> Result<(), Error> {
        let mut requests = page.events().started;
        let mut seek = Some(page.seek_later(plan.rate.time_of(chunk.start_frame))?);
        let mut gop = None;
        for frame in chunk.start_frame..chunk.end_frame {
            if let Some(seek) = seek.take() {
                page.evaluated(seek)?;
            }
            watch.sought();
            let changed = self.draw(page, requests)?;
            watch.drawn();
            requests = page.events().started;
            if frame + 1 < chunk.end_frame {
                seek = Some(page.seek_later(plan.rate.time_of(frame + 1))?);
            }
            let picture = self.picture(changed, watch)?;
            if (frame - chunk.start_frame).is_multiple_of(plan.encoder.gop_size) {
                gop = Some(gops.queue.start());
            }
            let sent = gop.as_ref().is_some_and(|gop| gop.send(picture).is_ok());
            gops.write_finished(file)?;
            if !sent {
                return gops.why_not(file);
            }
        }
        Ok(())
    }

    /// Draws what the page shows, completely: waits for what the frame asked for, if it asked for anything.
    fn draw(&mut self, page: &mut Page, requests_before: u64) -> Result<bool, Error> {
        let mut changed = self.source.draw(page)?;
        if page.events().started != requests_before || page.events().loading() {
            changed |= page.settle(Instant::now() + SETTLE, |page| self.source.draw(page))?;
        }
        Ok(changed)
    }

    /// The picture of the frame just drawn; the one before, if nothing changed.
    fn picture(&mut self, changed: bool, watch: &mut Stopwatch) -> Result<Arc<Picture>, Error> {
        if let (false, Some(last)) = (changed, &self.last) {
            return Ok(Arc::clone(last));
        }
        let width = self.pool.composition_width();
        let mut picture = self.pool.take();
        watch.taking();
        self.source.take(&mut |first_row, rows| {
            watch.took();
            picture.convert(first_row, rows, width);
            watch.converted();
        })?;
        let picture = Arc::new(picture);
        self.last = Some(Arc::clone(&picture));
        Ok(picture)
    }
}

/// Where a chunk is written.
struct ChunkFile<'a> {
    path: &'a Path,
    plan: &'a Plan,
    index: u32,
}

/// GOPs under way, and the file the finished ones go to, in order.
struct Gops<'a> {
    queue: GopQueue<'a>,
    waiting: Vec<EncodedGop>,
    written: u32,
    writer: Option<Mp4Writer>,
    encode: Duration,
}

impl Gops<'_> {
    /// Writes every GOP that is finished and next in order.
    fn write_finished(&mut self, file: &ChunkFile<'_>) -> Result<(), Error> {
        while let Some(gop) = self.queue.try_next() {
            self.waiting.push(gop);
        }
        while let Some(position) = self.waiting.iter().position(|gop| gop.index == self.written) {
            let gop = self.waiting.swap_remove(position);
            self.encode += gop.cpu_time;
            self.write(gop.gop?, file)?;
        }
        Ok(())
    }

    fn write(&mut self, gop: crate::libav::Gop, file: &ChunkFile<'_>) -> Result<(), Error> {
        self.written += 1;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let index = file.index.to_string();
                let tags = [(TAG_PLAN, file.plan.descriptor.plan_hash.as_str()), (TAG_CHUNK, &index)];
                none.insert(Mp4Writer::create(file.path, file.plan.rate, gop.parameters, &tags)?)
            }
        };
        for packet in gop.packets {
            writer.write(packet)?;
        }
        Ok(())
    }

    /// Waits for the rest and completes the file. Returns its number of frames.
    fn finish(&mut self, file: &ChunkFile<'_>) -> Result<u32, Error> {
        while self.written < self.queue.started() {
            self.waiting.extend(self.queue.wait_next());
            self.write_finished(file)?;
        }
        Ok(self.writer.take().map_or(Ok(0), Mp4Writer::finish)?)
    }

    /// An encoder stopped listening: the reason is on its way.
    fn why_not(&mut self, file: &ChunkFile<'_>) -> Result<(), Error> {
        self.finish(file).map(drop)
    }
}
