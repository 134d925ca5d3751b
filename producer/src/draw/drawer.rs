//! A browser that draws one chunk after the other.

use std::sync::Arc;

use crds::{
    Code,
    line::{ChunkRange, FrameSourceKind},
};
use nix::unistd::Pid;

use super::{
    browser::page::{Page, PageConfig},
    frames::{self, FrameSource},
    ready::{self, Expected},
    script::{Purpose, page_script},
};
use crate::{
    Error,
    context::Context,
    encode::yuv::{Picture, Pool},
    layout,
    plan::{Plan, defects::Defects, references::References},
    stopwatch::{Lap, Stopwatch},
};

/// A page of a plan's composition, the source of its pixels and memory for pictures. Its browser ends with the thread that
/// opened it.
pub(crate) struct Drawer<'a> {
    plan: &'a Plan,
    context: &'a Context,
    page: Page,
    source: Box<dyn FrameSource>,
    pool: Pool,
    /// The picture of the frame drawn last.
    last: Option<Arc<Picture>>,
    /// Nothing was opened in the page yet.
    empty: bool,
}

/// The second frame of every so many chunks (the first frame that differs from what was there before) and every so many more
/// of each chunk are compared with a screenshot, which costs as much as some 10 frames.
const CHECKED_CHUNKS: u32 = 4;
const CHECKED_EVERY: u32 = 600;

impl<'a> Drawer<'a> {
    /// Starts a browser.
    pub(crate) fn open(plan: &'a Plan, context: &'a Context) -> Result<Self, Error> {
        let script = page_script(plan.rate, &plan.encoder.variables, Purpose::Draw);
        let folder = plan.dir.compiled();
        let config = PageConfig { folder: &folder, size: plan.size, transparent: plan.format.alpha, script };
        let (page, source) = frames::start(context, &config)?;
        if page.product() != plan.encoder.browser_version {
            let (planned, here) = (plan.encoder.browser_version.clone(), page.product().to_owned());
            return Err(Error::Version { code: Code::BrowserVersionMismatch, planned, here });
        }
        let pool = Pool::new(plan.layout);
        Ok(Self { plan, context, page, source, pool, last: None, empty: true })
    }

    /// How pixels leave the browser.
    pub(crate) fn source(&self) -> FrameSourceKind {
        self.source.kind()
    }

    /// The browser's main process.
    pub(crate) fn pid(&self) -> Pid {
        self.page.pid()
    }

    /// Makes the page ready for a chunk's first frame, as if the browser had just been started: what a composition leaves
    /// behind (storage, history, layers) must not reach another chunk, so each gets a page that shares nothing with it.
    pub(crate) fn begin(&mut self, chunk: ChunkRange) -> Result<(), Error> {
        let Self { plan, context, page, source, .. } = self;
        if !std::mem::replace(&mut self.empty, false) {
            page.renew()?;
            *source = frames::open(page, plan.size, frames::asked(context, plan.format.alpha))?;
        }
        self.last = None;
        page.navigate()?;
        let layout::Composition { declares_timelines: timelines, ref missing_timelines, .. } = plan.composition;
        let expected = Expected { timelines, missing_timelines, duration: true };
        ready::wait(page, expected, context.settings.ready_timeout)?;
        page.prepare()?;
        frames::wait_for_document(page, &mut **source)?;
        // Composited layers take their raster offset from the first state they are drawn in: always the one at 0.
        page.settle(|page| source.draw(page))?;
        self.pre_roll(chunk.start_frame)
    }

    /// Draws the frames before a chunk's first without keeping them.
    fn pre_roll(&mut self, first: u32) -> Result<(), Error> {
        for frame in first.saturating_sub(self.plan.encoder.pre_roll_frames)..first {
            let requests = self.page.events().started;
            let seek = self.page.seek_later(self.plan.rate.time_of(frame))?;
            self.page.evaluated(seek)?;
            self.draw(requests, false)?;
        }
        Ok(())
    }

    /// Draws the frames of a chunk that was begun; `each` gets their pictures in order.
    pub(crate) fn frames(
        &mut self,
        chunk: ChunkRange,
        watch: &mut Stopwatch,
        mut each: impl FnMut(Arc<Picture>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let rate = self.plan.rate;
        let mut requests = self.page.events().started;
        let mut seek = Some(self.page.seek_later(rate.time_of(chunk.start_frame))?);
        for frame in chunk.start_frame..chunk.end_frame {
            if let Some(seek) = seek.take() {
                self.page.evaluated(seek)?;
            }
            watch.lap(Lap::Seek);
            let drawn = frame - chunk.start_frame;
            let checked = drawn % CHECKED_EVERY == 1 && (drawn > 1 || chunk.index.is_multiple_of(CHECKED_CHUNKS));
            let changed = self.draw(requests, checked)?;
            watch.lap(Lap::Draw);
            requests = self.page.events().started;
            // The page moves on while this frame is read and converted.
            if frame + 1 < chunk.end_frame {
                seek = Some(self.page.seek_later(rate.time_of(frame + 1))?);
            }
            each(self.picture(changed, watch)?)?;
        }
        self.tell_defects()
    }

    /// What the page asked for in vain: planning saw only a few of its moments.
    fn tell_defects(&self) -> Result<(), Error> {
        let (events, references) = (self.page.events(), References::default());
        self.context.refuse(references.external(&events.external))?;
        let told = &self.plan.composition.missing_assets;
        let missing = events.missing.iter().filter(|address| !told.contains(*address));
        let defects = Defects { visible: references.missing(missing), minor: Vec::new() };
        self.context.judge(defects, self.plan.encoder.strictness)
    }

    /// Draws what the page shows, completely: waits for what the frame asked for, if it asked for anything. The answer is
    /// whether anything changed.
    fn draw(&mut self, requests_before: u64, check: bool) -> Result<bool, Error> {
        let Self { page, source, .. } = self;
        let mut changed = if check { source.draw_checked(page)? } else { source.draw(page)? };
        if page.events().started != requests_before || page.events().loading() {
            changed |= page.settle(|page| source.draw(page))?;
        }
        Ok(changed)
    }

    /// The picture of the frame just drawn; the one before, if nothing changed.
    fn picture(&mut self, changed: bool, watch: &mut Stopwatch) -> Result<Arc<Picture>, Error> {
        if let (false, Some(last)) = (changed, &self.last) {
            return Ok(Arc::clone(last));
        }
        let (width, _) = self.plan.size.pixels();
        let mut picture = self.pool.take();
        watch.read_begins();
        self.source.read(&mut |first_row, rows| {
            watch.lap(Lap::Read);
            picture.convert(first_row, rows, width);
            watch.lap(Lap::Convert);
        })?;
        let picture = Arc::new(picture);
        self.last = Some(Arc::clone(&picture));
        Ok(picture)
    }
}

#[cfg(test)]
impl Drawer<'_> {
    /// The page and the source by themselves.
    pub(crate) fn parts(&mut self) -> (&mut Page, &mut dyn FrameSource) {
        (&mut self.page, &mut *self.source)
    }
}
