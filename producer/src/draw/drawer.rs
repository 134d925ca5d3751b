//! A browser that draws one chunk after the other.

use std::{collections::BTreeMap, ops::Range, path::PathBuf, sync::Arc};

use chromiumoxide_cdp::cdp::js_protocol::runtime::EvaluateParams;
use crds::{
    Code, Failure,
    line::{ChunkRange, FrameSourceKind},
};
use nix::unistd::Pid;
use serde_json::json;

use super::{
    browser::{
        cdp::Pending,
        page::{Page, PageConfig, Size},
    },
    frames::{self, FrameSource},
    ready::{self, Expected},
    server::Frames,
};
use crate::{
    Error,
    context::Context,
    encode::yuv::{Picture, Pool},
    layout::Videos,
    media::{Feed, Screening},
    plan::{Plan, defects::Defects, references::References},
    remote::Remote,
    stopwatch::{Lap, Stopwatch},
};

/// A page of a plan's composition, the source of its pixels and memory for pictures. Its browser ends with the thread that
/// opened it.
pub(crate) struct Drawer<'a> {
    plan: &'a Plan,
    context: &'a Context,
    canvas: Canvas,
    opened: Opened,
    /// The page is not as a chunk has to find it.
    used: bool,
    pool: Pool,
    videos: Videos,
    /// What the videos of the chunk show.
    feed: Option<Feed>,
    /// Where the page finds it.
    shown: Frames,
    /// The picture of the frame drawn last.
    last: Option<Arc<Picture>>,
    /// The time in seconds of the frame that the page shows, if it lies in a shader transition.
    transition: Option<f64>,
}

/// The second frame of every so many chunks (the first frame that differs from what was there before) and every so many more
/// of each chunk are compared with a screenshot, which costs as much as some 10 frames.
const CHECKED_CHUNKS: u32 = 4;
const CHECKED_EVERY: u32 = 600;

/// What a browser has to know from its beginning, and what is known before a plan is complete.
#[derive(Clone)]
pub(crate) struct Canvas {
    /// Holds `index.html`.
    pub(crate) folder: PathBuf,
    /// What is under other addresses.
    pub(crate) remote: Arc<Remote>,
    pub(crate) size: Size,
    /// Whether what it does not paint is transparent.
    pub(crate) transparent: bool,
    /// Begins every document.
    pub(crate) script: String,
    /// Some script registers a timeline.
    pub(crate) timelines: bool,
    /// Compositions whose timeline is known not to come.
    pub(crate) missing_timelines: Vec<String>,
    /// Seconds, once planning knows them.
    pub(crate) duration: Option<f64>,
    /// When videos begin, in seconds, by name.
    pub(crate) video_starts: BTreeMap<String, f64>,
}

impl Canvas {
    /// Of an empty page.
    pub(crate) fn page(&self) -> PageConfig<'_> {
        let Self { folder, remote, size, transparent, script, .. } = self;
        let (remote, script, frames) = (Arc::clone(remote), script.clone(), Frames::default());
        PageConfig { folder, remote, size: *size, transparent: *transparent, script, frames }
    }
}

/// A composition that loads behind the page that planning looks at, in the same browser: to start one more would take as long
/// as to load it.
pub(crate) struct Behind {
    source: Box<dyn FrameSource>,
    canvas: Canvas,
}

impl Behind {
    /// Starts a browser. The answer also has a page before this one, whose documents begin with `script`, and which is loading
    /// too: it is needed first, so it has loaded a while when this one begins.
    pub(crate) fn start(context: &Context, canvas: Canvas, script: String) -> Result<(Page, Self), Error> {
        let before = PageConfig { script, ..canvas.page() };
        let (mut page, source) = frames::start(context, &before, |page| {
            page.navigate()?;
            page.open_before(canvas.script.clone())
        })?;
        page.navigate()?;
        page.turn();
        Ok((page, Self { source, canvas }))
    }

    /// The page before it is closed, and it shows the first frame of what has been planned.
    pub(crate) fn come_forward<'a>(
        self,
        mut page: Page,
        plan: &'a Plan,
        context: &'a Context,
    ) -> Result<Drawer<'a>, Error> {
        let Self { source, mut canvas } = self;
        page.close()?;
        let mut opened = Opened { page, source };
        canvas.missing_timelines.clone_from(&plan.composition.missing_timelines);
        canvas.duration = Some(plan.composition.duration_seconds);
        canvas.video_starts = plan.videos()?.starts();
        opened.show(context, &canvas)?;
        Drawer::with(opened, plan, context)
    }
}

/// A browser that shows the first frame of a composition, and how frames leave it.
pub(crate) struct Opened {
    page: Page,
    source: Box<dyn FrameSource>,
}

impl Opened {
    /// Starts a browser.
    pub(crate) fn start(context: &Context, canvas: &Canvas) -> Result<Self, Error> {
        Self::start_checked(context, canvas, |_| Ok(()))
    }

    /// The same; `check` is asked about the browser's name and version before the composition is opened.
    fn start_checked(
        context: &Context,
        canvas: &Canvas,
        check: impl FnOnce(&str) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (page, source) = frames::start(context, &canvas.page(), |_| Ok(()))?;
        check(page.product())?;
        let mut opened = Self { page, source };
        opened.load(context, canvas)?;
        Ok(opened)
    }

    /// Begins anew, as if the browser had just been started: what a composition leaves behind (storage, history, layers)
    /// must not reach another chunk, so each gets a page that shares nothing with it.
    fn renew(&mut self, context: &Context, canvas: &Canvas) -> Result<(), Error> {
        self.page.begin_documents_with(canvas.script.clone());
        self.page.renew()?;
        self.source = frames::open(&mut self.page, canvas.size, frames::asked(context, canvas.transparent))?;
        self.load(context, canvas)
    }

    fn load(&mut self, context: &Context, canvas: &Canvas) -> Result<(), Error> {
        self.page.navigate()?;
        self.show(context, canvas)
    }

    fn show(&mut self, context: &Context, canvas: &Canvas) -> Result<(), Error> {
        let Self { page, source } = self;
        let Canvas { timelines, ref missing_timelines, duration, .. } = *canvas;
        ready::wait(page, Expected { timelines, missing_timelines, duration }, context.settings.ready_timeout)?;
        if !canvas.video_starts.is_empty() {
            page.evaluate::<()>(&format!("__hfProducer.beginVideos({})", json!(canvas.video_starts)))?;
        }
        page.prepare()?;
        frames::wait_for_document(page, &mut **source)?;
        // Composited layers take their raster offset from the first state they are drawn in: always the one at 0.
        page.settle(|page| source.draw(page))?;
        Ok(())
    }
}

impl<'a> Drawer<'a> {
    /// Starts a browser.
    pub(crate) fn open(plan: &'a Plan, context: &'a Context) -> Result<Self, Error> {
        let videos = plan.videos()?;
        let canvas = plan.canvas(&videos)?;
        let opened = Opened::start_checked(context, &canvas, |product| plan.check_browser(product))?;
        Ok(Self::of(opened, false, canvas, videos, plan, context))
    }

    /// Draws with a browser that was started while the plan was made.
    pub(crate) fn with(opened: Opened, plan: &'a Plan, context: &'a Context) -> Result<Self, Error> {
        plan.check_browser(opened.page.product())?;
        let videos = plan.videos()?;
        let canvas = plan.canvas(&videos)?;
        let used = opened.page.script() != canvas.script;
        Ok(Self::of(opened, used, canvas, videos, plan, context))
    }

    fn of(opened: Opened, used: bool, canvas: Canvas, videos: Videos, plan: &'a Plan, context: &'a Context) -> Self {
        let (pool, shown) = (Pool::new(plan.layout), opened.page.frames().clone());
        Self { plan, context, canvas, opened, used, pool, videos, feed: None, shown, last: None, transition: None }
    }

    /// How pixels leave the browser.
    pub(crate) fn source(&self) -> FrameSourceKind {
        self.opened.source.kind()
    }

    /// The browser's main process.
    pub(crate) fn pid(&self) -> Pid {
        self.opened.page.pid()
    }

    /// Makes the page ready for a chunk's first frame.
    pub(crate) fn begin(&mut self, chunk: ChunkRange) -> Result<(), Error> {
        let Self { plan, context, .. } = *self;
        if std::mem::replace(&mut self.used, true) {
            self.opened.renew(context, &self.canvas)?;
        }
        self.last = None;
        let drawn = chunk.start_frame.saturating_sub(plan.encoder.pre_roll_frames);
        let gone_through = if plan.encoder.goes_through_all_frames { 0 } else { drawn };
        if !plan.encoder.goes_through_all_frames {
            self.opened.page.go_through_moments(drawn, plan.rate)?;
        }
        self.feed = Some(Feed::start(&self.videos, &plan.dir.compiled(), plan.rate, gone_through..chunk.end_frame)?);
        self.pre_roll(gone_through..chunk.start_frame, drawn)
    }

    /// Starts moving the page to the frame after the last one.
    fn seek_later(&mut self, frame: u32) -> Result<Pending<EvaluateParams>, Error> {
        let Screening { shown, ahead, new } = match &mut self.feed {
            Some(feed) => feed.next(self.context)?,
            None => Screening::default(),
        };
        self.shown.put(new, |address| shown.iter().any(|shown| shown.address == address));
        let pictures: Vec<_> = shown.iter().map(|shown| (shown.id.as_str(), shown.address.as_str())).collect();
        Ok(self.opened.page.seek_later(self.plan.rate.time_of(frame), &pictures, &ahead)?)
    }

    /// Waits until the page has come to a frame.
    fn arrive(&mut self, frame: u32, seek: Pending<EvaluateParams>) -> Result<(), Error> {
        let blends = self.opened.page.evaluated(seek)? == true;
        self.transition = blends.then(|| self.plan.rate.time_of(frame));
        Ok(())
    }

    /// Goes through the frames before a chunk's first, and draws those from `drawn` on, without keeping them.
    fn pre_roll(&mut self, frames: Range<u32>, drawn: u32) -> Result<(), Error> {
        for frame in frames {
            let requests = self.opened.page.events().started;
            let seek = self.seek_later(frame)?;
            self.arrive(frame, seek)?;
            if frame >= drawn {
                self.draw(requests, false)?;
            } else {
                self.opened.page.pass()?;
            }
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
        let mut requests = self.opened.page.events().started;
        let mut seek = Some(self.seek_later(chunk.start_frame)?);
        for frame in chunk.start_frame..chunk.end_frame {
            if let Some(seek) = seek.take() {
                self.arrive(frame, seek)?;
            }
            watch.lap(Lap::Seek);
            let drawn = frame - chunk.start_frame;
            let checked = drawn % CHECKED_EVERY == 1 && (drawn > 1 || chunk.index.is_multiple_of(CHECKED_CHUNKS));
            let changed = self.draw(requests, checked)?;
            watch.lap(Lap::Draw);
            requests = self.opened.page.events().started;
            // The page moves on while this frame is read and converted.
            if frame + 1 < chunk.end_frame {
                seek = Some(self.seek_later(frame + 1)?);
            }
            each(self.picture(changed, watch)?)?;
        }
        self.tell_defects()
    }

    /// What the page asked for in vain: planning saw only a few of its moments.
    fn tell_defects(&self) -> Result<(), Error> {
        let (events, references) = (self.opened.page.events(), References::default());
        self.context.refuse(references.external(self.opened.page.refused()))?;
        let told = &self.plan.composition.missing_assets;
        let missing = events.missing.iter().filter(|address| !told.contains(*address));
        let defects = Defects { visible: references.missing(missing), minor: Vec::new() };
        self.context.judge(defects, self.plan.encoder.strictness)
    }

    /// Draws what the page shows, completely, with its scenes blended if it is in a shader transition. The answer is whether
    /// anything changed.
    fn draw(&mut self, requests_before: u64, check: bool) -> Result<bool, Error> {
        let Some(time) = self.transition.take() else { return self.draw_settled(requests_before, check) };
        // Copies of the scenes are drawn once, then what was drawn of them can be blended.
        self.opened.page.evaluate::<()>(&format!("__hfProducer.copyScenes({time:?})"))?;
        self.draw_settled(requests_before, false)?;
        if !self.opened.page.evaluate::<bool>("__hfProducer.blendScenes()")? {
            let message = format!(
                "the shader transition at {time:.3} s cannot be drawn: the browser made no copies of its scenes"
            );
            self.context.refuse(vec![Failure::new(Code::FeatureUnsupported, message)])?;
        }
        self.draw_settled(self.opened.page.events().started, check)?;
        Ok(true)
    }

    /// Draws a frame; again, once everything has come, if the frame asked for anything. The answer is whether anything changed.
    fn draw_settled(&mut self, requests_before: u64, check: bool) -> Result<bool, Error> {
        let Opened { page, source } = &mut self.opened;
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
        self.opened.source.read(&mut |first_row, rows| {
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
        (&mut self.opened.page, &mut *self.opened.source)
    }
}
