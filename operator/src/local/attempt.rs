//! One attempt: plan, chunks in parallel, assemble.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use crds::{
    Code, Failure,
    line::{OutputReport, PlanReport, Report},
    render::{OutputStatus, ProgressStage, ProgressStatus},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    process::{Ended, Producer},
    step::Step,
    unexpected,
    work::{Chunk, Claim, Work},
};
use crate::{
    error::Error,
    files,
    ports::{AttemptReport, AttemptSpec},
    source,
};

/// Everything an attempt works with.
pub(super) struct Attempt {
    pub(super) producer: Producer,
    pub(super) work: Work,
    /// One permit for each chunk that may be rendered at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// What is told of it.
    pub(super) report: Rc<RefCell<AttemptReport>>,
    /// Ends it at once.
    pub(super) stop: CancellationToken,
    /// Ends it after the chunks that are being rendered.
    pub(super) draining: CancellationToken,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(Failure::new(Code::IoFailed, error.to_string()))
    }
}

impl Attempt {
    /// Runs it to its end; the report says which.
    pub(super) async fn run(self, spec: AttemptSpec) {
        self.work.remove_abandoned();
        let result = self.attempt(&spec).await;
        debug!(attempt = spec.name, ?result, "ended");
        self.report.replace(match result {
            Ok(output) => AttemptReport::Succeeded(output),
            Err(Ended::Stopped) => AttemptReport::Stopped,
            Err(Ended::Failed(failure)) => AttemptReport::Failed(failure),
        });
    }

    async fn attempt(&self, spec: &AttemptSpec) -> Result<OutputStatus, Ended> {
        let plan = self.plan(spec).await?;
        let staged = self.work.staging(&spec.name);
        let claim = tokio::select! {
            claim = self.work.claim(&plan.plan_hash, &staged) => claim?,
            () = self.stop.cancelled() => return Err(Ended::Stopped),
        };
        let chunks = claim.chunks()?;
        self.chunks(&claim, &chunks, &plan).await?;
        let output = self.assemble(spec, &claim, &chunks, &plan).await?;
        // The video is there; what cannot be removed now goes when it has become old.
        if let Err(error) = claim.remove() {
            warn!(attempt = spec.name, %error, "work folder kept");
        }
        Ok(output)
    }

    async fn plan(&self, spec: &AttemptSpec) -> Result<PlanReport, Ended> {
        let AttemptSpec { name, project, fps, quality, chunk_size, variables, .. } = spec;
        let variables_file = self.work.variables(name);
        if !variables.is_empty() {
            let text = serde_json::to_string(variables).unwrap_or_else(|error| unreachable!("JSON values: {error}"));
            files::write_atomic(&variables_file, &text)?;
        }
        let step = Step::Plan {
            project: project.clone(),
            out: self.work.staging(name),
            fps: *fps,
            quality: *quality,
            variables: (!variables.is_empty()).then(|| variables_file.clone()),
            chunk_size: *chunk_size,
        };
        let said = self.producer.run(&step, &self.stop, |_| {}).await;
        files::remove(&variables_file)?;
        match said? {
            Report::Plan(plan) => Ok(plan),
            _ => Err(Ended::Failed(unexpected(&step))),
        }
    }

    /// Renders the chunks that are missing, as many at the same time as there are slots.
    async fn chunks(&self, claim: &Claim, chunks: &[Chunk], plan: &PlanReport) -> Result<(), Ended> {
        let (there, missing): (Vec<Chunk>, Vec<Chunk>) =
            chunks.iter().partition(|chunk| claim.chunk(chunk.index).is_file());
        debug!(there = there.len(), missing = missing.len(), "chunks");
        let tally = Tally {
            report: &self.report,
            there: there.iter().map(|chunk| chunk.frames()).sum(),
            in_work: missing.iter().map(|_| Cell::new(0)).collect(),
            done: Cell::new(there.len()),
            plan,
        };
        tally.tell();
        let abort = self.stop.child_token();
        let mut running: FuturesUnordered<_> =
            (0..).zip(&missing).map(|(place, chunk)| self.chunk(claim, *chunk, place, &tally, &abort)).collect();
        let mut first = Ok(());
        while let Some(result) = running.next().await {
            // The first failure is the one that counts; the others end because of it.
            if result.is_err() && first.is_ok() {
                first = result;
                abort.cancel();
            }
        }
        first
    }

    async fn chunk(
        &self,
        claim: &Claim,
        chunk: Chunk,
        place: usize,
        tally: &Tally<'_>,
        abort: &CancellationToken,
    ) -> Result<(), Ended> {
        let permit = tokio::select! {
            permit = self.slots.acquire() => permit.map_err(|_| Ended::Stopped)?,
            () = abort.cancelled() => return Err(Ended::Stopped),
            () = self.draining.cancelled() => return Err(Ended::Stopped),
        };
        if self.draining.is_cancelled() {
            return Err(Ended::Stopped);
        }
        let step = Step::Chunk { plan: claim.plan(), index: chunk.index, out: claim.chunk(chunk.index) };
        let said = self
            .producer
            .run(&step, abort, |progress| {
                tally.in_work[place].set(progress.done);
                tally.tell();
            })
            .await;
        drop(permit);
        match said? {
            Report::Chunk(report) => {
                debug!(index = report.index, source = ?report.frame_source, timings = ?report.timings, "chunk");
                tally.in_work[place].set(chunk.frames());
                tally.done.set(tally.done.get() + 1);
                tally.tell();
                Ok(())
            }
            _ => Err(Ended::Failed(unexpected(&step))),
        }
    }

    async fn assemble(
        &self,
        spec: &AttemptSpec,
        claim: &Claim,
        chunks: &[Chunk],
        plan: &PlanReport,
    ) -> Result<OutputStatus, Ended> {
        if self.draining.is_cancelled() {
            return Err(Ended::Stopped);
        }
        let all = ProgressStatus { percent: 90, stage: ProgressStage::Assembling, ..whole(plan, chunks.len()) };
        self.report.replace(AttemptReport::Running(all));
        let files: Vec<PathBuf> = chunks.iter().map(|chunk| claim.chunk(chunk.index)).collect();
        let step = Step::Assemble { plan: claim.plan(), chunks: files.clone(), out: spec.output.clone() };
        let said = self.producer.run(&step, &self.stop, |_| {}).await;
        if let Err(Ended::Failed(failure)) = &said
            && failure.code == Code::ChunkInvalid
        {
            // Rendered again by the next attempt.
            let broken = files.iter().filter(|file| failure.path.as_deref() == file.to_str());
            broken.for_each(|file| drop(files::remove(file)));
        }
        match said? {
            Report::Output(output) => Ok(output_status(spec, &output)),
            _ => Err(Ended::Failed(unexpected(&step))),
        }
    }
}

/// Counts frames over all chunks of an attempt.
struct Tally<'a> {
    report: &'a RefCell<AttemptReport>,
    /// Frames of chunks that were there already.
    there: u32,
    in_work: Vec<Cell<u32>>,
    done: Cell<usize>,
    plan: &'a PlanReport,
}

impl Tally<'_> {
    fn tell(&self) {
        let frames = self.there + self.in_work.iter().map(Cell::get).sum::<u32>();
        let total = self.plan.total_frames.max(1);
        let percent = 10 + 80 * u64::from(frames) / u64::from(total);
        let progress = ProgressStatus {
            percent: i32::try_from(percent).unwrap_or(90),
            stage: ProgressStage::Rendering,
            frames_rendered: i32::try_from(frames).unwrap_or(i32::MAX),
            chunks_done: i32::try_from(self.done.get()).unwrap_or(i32::MAX),
            ..whole(self.plan, 0)
        };
        self.report.replace(AttemptReport::Running(progress));
    }
}

/// All frames and `chunks` chunks done.
fn whole(plan: &PlanReport, chunks: usize) -> ProgressStatus {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    ProgressStatus {
        percent: 100,
        stage: ProgressStage::Assembling,
        frames_rendered: number(plan.total_frames),
        frames_total: number(plan.total_frames),
        chunks_done: i32::try_from(chunks).unwrap_or(i32::MAX),
        chunks_total: i32::try_from(plan.chunks.len()).unwrap_or(i32::MAX),
    }
}

fn output_status(spec: &AttemptSpec, output: &OutputReport) -> OutputStatus {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    OutputStatus {
        uri: source::uri(&spec.output),
        bytes: i64::try_from(output.bytes).unwrap_or(i64::MAX),
        sha256: output.sha256.clone(),
        frames: number(output.frames),
        width: number(output.width),
        height: number(output.height),
    }
}
