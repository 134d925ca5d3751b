//! `render`: plan, chunks and assemble in one process, in parallel.

use std::{
    io::Write,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crds::{
    Code, FrameRate,
    line::{ChunkRange, ChunkReport, OutputReport},
};

use crate::{
    Error, assemble,
    chunk::Work,
    context::Context,
    draw::drawer::Drawer,
    encode::format::FormatSpec,
    error::composition,
    files::{self, Scratch},
    jobs::Capacity,
    plan::{self, Plan, Request},
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
/// own; without a number as many as usable cores and memory allow for frames of this size.
///
/// Blocks the calling thread, which must live as long as the call.
///
/// # Errors
/// Those of [`plan`](crate::plan()), [`chunk`](crate::chunk()) and [`assemble`](crate::assemble()); nothing is left behind.
pub fn render(request: &Request, out: &Path, jobs: Option<NonZeroUsize>, context: &Context) -> Result<Rendered, Error> {
    let format = FormatSpec::of(request.config.format, request.config.codec)?;
    format.check_output(out)?;
    let target = assemble::open_target(format, out, request.inputs())?;
    let capacity = Capacity::of_this_machine();
    let parallel = |width, height| jobs.unwrap_or_else(|| capacity.jobs(width, height));
    let folder = target.scratch().join("plan");
    plan::write(request, &folder, parallel, context)?;
    let plan = Plan::open(&folder)?;
    let chunk_file = |index: u32| target.scratch().join(format.chunk_name(&index.to_string()));
    let files: Vec<_> = plan.chunks.iter().map(|chunk| chunk_file(chunk.index)).collect();
    let (width, height) = plan.size.pixels();
    let jobs = parallel(width, height);
    let chunks = render_chunks(&plan, &files, jobs, capacity, context)?;
    let finished = target.scratch().join(format.output_name());
    assemble::join(&plan, &files, &finished, context)?;
    let output = assemble::report(&plan, &finished, out)?;
    target.publish(&finished)?;
    Ok(Rendered { output, rate: plan.rate, chunks })
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

fn render_chunks(
    plan: &Plan,
    files: &[PathBuf],
    jobs: NonZeroUsize,
    capacity: Capacity,
    context: &Context,
) -> Result<Vec<ChunkReport>, Error> {
    let context = &context.within();
    let work = Work::new(plan, capacity, plan.descriptor.total_frames, context);
    let queue = Queue { work, plan, files, context, next: AtomicUsize::new(0), reports: Mutex::default() };
    thread::scope(|scope| {
        // A browser ends with the thread that started it, so each is started by the worker that uses it.
        let start = |_| scope.spawn(|| queue.work_off().inspect_err(|_| context.stop.cancel()));
        let workers: Vec<_> = (0..jobs.get().min(files.len())).map(start).collect();
        let ends =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // Once one has failed the others are interrupted: its error is the one that counts.
        let errors: Vec<_> = ends.filter_map(Result::err).collect();
        errors.into_iter().reduce(|first, other| if first.code() == Code::Interrupted { other } else { first })
    })
    .map_or_else(|| Ok(queue.reports.into_inner().unwrap_or_else(PoisonError::into_inner)), Err)
}

/// Chunks that are still to be rendered.
struct Queue<'a> {
    work: Work<'a>,
    plan: &'a Plan,
    files: &'a [PathBuf],
    context: &'a Context,
    next: AtomicUsize,
    reports: Mutex<Vec<ChunkReport>>,
}

impl Queue<'_> {
    /// Renders one chunk after the other, with one browser.
    fn work_off(&self) -> Result<(), Error> {
        let mut next = self.next();
        let mut drawer = match next {
            Some(_) => Some(Drawer::open(self.plan, self.context)?),
            None => None,
        };
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
