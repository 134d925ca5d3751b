//! `render`: plan, chunks and assemble in one process, in parallel.

use std::{
    io::Write,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crds::{
    Code, FrameRate,
    line::{ChunkRange, ChunkReport, OutputReport},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, assemble,
    chunk::Work,
    context::Context,
    draw::{
        browser::page::Page,
        drawer::{Behind, Canvas, Drawer, Opened},
    },
    encode::format::FormatSpec,
    error::composition,
    files::{self, Scratch},
    jobs::Capacity,
    plan::{self, Crew, Plan, Request},
};

/// What a render came to.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The video.
    pub output: OutputReport,
    /// Its frame rate.
    pub rate: FrameRate,
    /// Its chunks, as they were finished.
    pub chunks: Vec<ChunkReport>,
}

/// Renders a project into the video `out`, whole or not at all, `jobs` chunks at the same time, each with a browser of its
/// own; without a number as many as are worth it: one for every two usable cores, up to one for each with more frames, and no
/// more than memory allows for frames of this size.
///
/// Blocks the calling thread, which must live as long as the call.
///
/// # Errors
/// Those of [`plan`](crate::plan()), [`chunk`](crate::chunk()) and [`assemble`](crate::assemble()); nothing is left behind.
pub fn render(request: &Request, out: &Path, jobs: Option<NonZeroUsize>, context: &Context) -> Result<Rendered, Error> {
    let format = FormatSpec::of(request.config.format, request.config.codec)?;
    format.check_output(out)?;
    let target = assemble::open_target(format, out, request.inputs())?;
    let folder = target.scratch().join("plan");
    let capacity = Capacity::of_this_machine();
    let within = context.within();
    let (plan, queue) = (OnceLock::new(), OnceLock::new());
    thread::scope(|scope| {
        let released = Released { queue: &queue, stop: &within.stop };
        // A browser ends with the thread that started it, so each is started by the worker that uses it; the first one is
        // this thread, which plans with it before.
        let start = |canvas: Canvas| {
            let (queue, context) = (&queue, &within);
            scope.spawn(move || work(Opened::start(context, &canvas), queue))
        };
        let mut crew = Workers { capacity, jobs, start, threads: Vec::new(), stale: false, own: None };
        let (_, page) = plan::write(request, &folder, &mut crew, &within)?;
        let plan = Plan::open(&folder).map(|read| plan.get_or_init(|| read))?;
        let Workers { threads, stale, own, .. } = crew;
        let ready = queue.get_or_init(|| Some(Queue::new(plan, target.scratch(), capacity, stale, &within)));
        drop(released);
        let own = own.zip(ready.as_ref());
        let own = own.map(|(behind, queue)| queue.work_off(behind.come_forward(page, plan, &within)));
        let others =
            threads.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // Once one has failed the others are interrupted: its error is the one that counts.
        let errors = own.into_iter().chain(others).filter_map(Result::err);
        errors.reduce(|first, other| if first.code() == Code::Interrupted { other } else { first }).map_or(Ok(()), Err)
    })?;
    let (Some(plan), Some(Some(queue))) = (plan.get(), queue.get()) else { unreachable!("all chunks are rendered") };
    let finished = target.scratch().join(format.output_name());
    assemble::join(plan, &queue.files, &finished, context)?;
    let output = assemble::report(plan, &finished, out)?;
    target.publish(&finished)?;
    let chunks = std::mem::take(&mut *queue.reports.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Rendered { output, rate: plan.rate, chunks })
}

/// What workers wait for; none if there is nothing to be done after all.
type Awaited<'a> = OnceLock<Option<Queue<'a>>>;

/// Nobody waits for ever, whatever happens.
struct Released<'a, 'b> {
    queue: &'a Awaited<'b>,
    stop: &'a CancellationToken,
}

impl Drop for Released<'_, '_> {
    fn drop(&mut self) {
        if self.queue.get_or_init(|| None).is_none() {
            self.stop.cancel();
        }
    }
}

/// As [`render`], into a stream, once the video is whole.
///
/// # Errors
/// Those of [`render`]; `CONFIG_INVALID` for a format that is a folder, `IO_FAILED` where the stream takes no more.
pub(crate) fn stream(
    request: &Request,
    to: &mut dyn Write,
    jobs: Option<NonZeroUsize>,
    context: &Context,
) -> Result<Rendered, Error> {
    let format = FormatSpec::of(request.config.format, request.config.codec)?;
    if format.is_folder() {
        let message = format!("the output is {}, which is a folder: name one", format.format.as_str());
        return Err(composition(Code::ConfigInvalid, message));
    }
    files::private_dir(&context.settings.scratch)?;
    let scratch = Scratch::new(&context.settings.scratch, "stream-")?;
    let file = scratch.path().join(format.output_name());
    let mut rendered = render(request, &file, jobs, context)?;
    files::send(&file, to)?;
    "-".clone_into(&mut rendered.output.path);
    Ok(rendered)
}

/// Starts workers while planning goes on.
struct Workers<F, T> {
    capacity: Capacity,
    /// As many as were asked for.
    jobs: Option<NonZeroUsize>,
    start: F,
    threads: Vec<T>,
    /// Their browsers do not have what the composition was found to lack.
    stale: bool,
    /// What this thread will draw.
    own: Option<Behind>,
}

impl<T, F: Fn(Canvas) -> T> Crew for Workers<F, T> {
    fn parallel(&self, width: u32, height: u32, frames: u32) -> NonZeroUsize {
        self.jobs.unwrap_or_else(|| self.capacity.jobs(width, height, frames))
    }

    fn open(&mut self, canvas: &Canvas, script: String, context: &Context) -> Result<Page, Error> {
        let (page, behind) = Behind::start(context, canvas.clone(), script)?;
        self.stale = !self.threads.is_empty();
        self.own = Some(behind);
        Ok(page)
    }

    fn prepare(&mut self, canvas: &Canvas, jobs: usize) {
        let (start, missing) = (&self.start, self.threads.len() + 1..jobs);
        self.threads.extend(missing.map(|_| start(canvas.clone())));
    }
}

/// Waits for chunks, and renders one after the other.
fn work(browser: Result<Opened, Error>, queue: &Awaited<'_>) -> Result<(), Error> {
    let Some(queue) = queue.wait() else { return Ok(()) };
    let Queue { plan, stale, context, .. } = *queue;
    queue.work_off(if stale {
        drop(browser);
        Drawer::open(plan, context)
    } else {
        browser.and_then(|opened| Drawer::with(opened, plan, context))
    })
}

/// Chunks that are still to be rendered.
struct Queue<'a> {
    work: Work<'a>,
    plan: &'a Plan,
    files: Vec<PathBuf>,
    /// Browsers that were started before do not have the plan's fonts.
    stale: bool,
    context: &'a Context,
    next: AtomicUsize,
    reports: Mutex<Vec<ChunkReport>>,
}

impl<'a> Queue<'a> {
    /// All chunks of a plan, which go into files of a folder.
    fn new(plan: &'a Plan, folder: &Path, capacity: Capacity, stale: bool, context: &'a Context) -> Self {
        let file = |chunk: &ChunkRange| folder.join(plan.format.chunk_name(&chunk.index.to_string()));
        let files = plan.chunks.iter().map(file).collect();
        let work = Work::new(plan, capacity, plan.descriptor.total_frames, context);
        Self { work, plan, files, stale, context, next: AtomicUsize::new(0), reports: Mutex::default() }
    }

    /// Renders one chunk after the other, with one browser.
    fn work_off(&self, drawer: Result<Drawer<'_>, Error>) -> Result<(), Error> {
        drawer.and_then(|drawer| self.draw(drawer)).inspect_err(|_| self.context.stop.cancel())
    }

    fn draw(&self, drawer: Drawer<'_>) -> Result<(), Error> {
        let (mut next, mut drawer) = (self.next(), Some(drawer));
        while let (Some((chunk, file)), Some(open)) = (next, &mut drawer) {
            let drawn = self.work.draw(open, chunk, file.clone())?;
            next = self.next();
            if next.is_none() {
                // Its memory is free while the last GOPs are encoded.
                drawer = None;
            }
            let report = drawn.finish()?;
            self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
        Ok(())
    }

    fn next(&self) -> Option<(ChunkRange, &PathBuf)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Some((*self.plan.chunks.get(index)?, self.files.get(index)?))
    }
}
