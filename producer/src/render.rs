//! `render`: plan, chunks and assemble in one process, in parallel.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use crds::{
    Stage,
    line::{ChunkReport, OutputReport},
};

use crate::{
    Error, assemble, chunk,
    encode::encoders::Encoders,
    files::Scratch,
    plan::{self, Plan, Request},
    report::Reporter,
    settings::Settings,
};

/// How many chunks are rendered at the same time, and by how many encoder threads.
#[derive(Clone, Copy, Debug)]
pub struct Parallel {
    /// Chunks at the same time, each with a browser.
    pub jobs: NonZeroUsize,
    /// Encoder threads in all.
    pub cores: NonZeroUsize,
}

/// Renders a project into the video `out`, whole or not at all.
///
/// # Errors
/// See [`Error`]; nothing is left behind.
pub fn render(
    request: &Request,
    out: &Path,
    parallel: Parallel,
    settings: &Settings,
    reporter: &Arc<Reporter>,
    started: Instant,
) -> Result<(OutputReport, Vec<ChunkReport>), Error> {
    let scratch = Scratch::beside(out)?;
    let folder = scratch.path().join("plan");
    plan::plan(request, &folder, settings, reporter)?;
    let plan = Plan::open(&folder)?;
    let files: Vec<PathBuf> =
        plan.chunks.iter().map(|chunk| scratch.path().join(format!("{:04}.mp4", chunk.index))).collect();
    let chunks = render_chunks(&plan, &files, parallel, settings, reporter, started)?;
    Ok((assemble::assemble(&plan, &files, out, reporter)?, chunks))
}

fn render_chunks(
    plan: &Plan,
    files: &[PathBuf],
    parallel: Parallel,
    settings: &Settings,
    reporter: &Arc<Reporter>,
    started: Instant,
) -> Result<Vec<ChunkReport>, Error> {
    let encoders = Encoders::start(parallel.cores);
    let (total, done) = (plan.descriptor.total_frames, Arc::new(AtomicU32::new(0)));
    reporter.progress(Stage::Render, 0, total);
    let progress: chunk::Progress<'static> = {
        let reporter = Arc::clone(reporter);
        Arc::new(move |_| reporter.progress(Stage::Render, done.fetch_add(1, Ordering::Relaxed) + 1, total))
    };
    let next = AtomicU32::new(0);
    let outcome = Mutex::new(Ok(Vec::new()));
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index as usize) else { return };
            let report = chunk::render(plan, index, file, settings, &encoders, Arc::clone(&progress), started);
            let Ok(mut outcome) = outcome.lock() else { return };
            match (report, &mut *outcome) {
                (Ok(report), Ok(reports)) => reports.push(report),
                (Ok(_), Err(_)) => return,
                (Err(error), first) => {
                    if first.is_ok() {
                        *first = Err(error);
                    }
                    // The others stop at their next word with the browser; the first error is the one that counts.
                    settings.stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        // A browser ends with the thread that started it, so each is started by the worker that uses it.
        let workers: Vec<_> = (0..parallel.jobs.get().min(files.len())).map(|_| scope.spawn(worker)).collect();
        drop(workers);
    });
    outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
