//! One attempt: plan, chunks in parallel, assemble.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::{
    Code, Failure, Format,
    line::{ChunkRange, OutputReport, PlanReport, Report as Line},
    render::{OutputStatus, ProgressStage, ProgressStatus},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, instrument, warn};

use super::{
    outputs::Outputs,
    places::{Permit, Places},
    process::{Producer, StepError, Told},
    step::Step,
    work::{AttemptResult, PlanLock, Work},
};
use crate::{
    feed::Feed,
    files::{self, Durability, blocking},
    ports::{AttemptReport, AttemptSpec, ObjectKey, OutputCheck, Source, planning},
    source,
};

/// Everything an attempt works with.
pub(super) struct Attempt {
    pub(super) producer: Producer,
    pub(super) work: Work,
    pub(super) outputs: Arc<Outputs>,
    /// Where its browsers run.
    pub(super) places: Places,
    /// What is told of it.
    pub(super) report: Arc<Report>,
    /// Ends it at once.
    pub(super) stop: CancellationToken,
    /// Ends it after the chunks that are being rendered.
    pub(super) draining: CancellationToken,
}

/// What an attempt has come to so far; whoever waits for it is told when that moves.
pub(super) struct Report {
    owner: ObjectKey,
    changes: Arc<Feed<ObjectKey>>,
    now: Mutex<Now>,
}

struct Now {
    report: AttemptReport,
    told: Instant,
}

/// Mere progress is told at most this often.
const TELL_PROGRESS: Duration = Duration::from_millis(200);

impl Report {
    pub(super) fn new(owner: ObjectKey, changes: Arc<Feed<ObjectKey>>) -> Self {
        let report = AttemptReport::Running { progress: planning(), cost: None, ask_again: None };
        Self { owner, changes, now: Mutex::new(Now { report, told: Instant::now() }) }
    }

    pub(super) fn get(&self) -> AttemptReport {
        self.now().report.clone()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_result(&self) -> bool {
        matches!(self.now().report, AttemptReport::Succeeded { .. } | AttemptReport::Failed { .. })
    }

    fn progress(&self, progress: ProgressStatus) {
        let mut now = self.now();
        now.report = AttemptReport::Running { progress, cost: None, ask_again: None };
        if now.told.elapsed() >= TELL_PROGRESS {
            now.told = Instant::now();
            self.changes.send(self.owner.clone());
        }
    }

    fn end(&self, report: AttemptReport) {
        self.now().report = report;
        self.changes.send(self.owner.clone());
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long somebody else may work on the same plan before an attempt gives up and is tried again later.
const PLAN_LOCKED: Duration = Duration::from_mins(30);
/// How often it is looked whether somebody else is done with a plan.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Warnings kept of an attempt.
const WARNINGS: usize = 100;

impl From<std::io::Error> for StepError {
    fn from(error: std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::DiskFull,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Code::NotWritable,
            _ => Code::IoFailed,
        };
        Self::Failed(Failure::new(code, error.to_string()))
    }
}

impl Attempt {
    /// Runs it to its end; the report says which.
    #[instrument(name = "attempt", level = "debug", parent = None, skip_all, fields(attempt = spec.attempt.name))]
    pub(super) async fn run(self, spec: AttemptSpec) {
        let warnings = Mutex::default();
        let result = self.attempt(&spec, &warnings).await;
        debug!(attempt = spec.attempt.name, ?result, "ended");
        let warnings = warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.report.end(match result {
            Ok(AttemptResult { output, warnings }) => AttemptReport::Succeeded { output, warnings, cost: None },
            Err(StepError::Stopped) => AttemptReport::Stopped { cost: None },
            Err(StepError::Failed(failure)) => AttemptReport::Failed { failure, warnings, cost: None },
        });
    }

    async fn attempt(&self, spec: &AttemptSpec, warnings: &Warnings) -> Result<AttemptResult, StepError> {
        let (name, work) = (&spec.attempt.name, &self.work);
        if let Some(result) = self.finished_before(spec).await {
            return Ok(result);
        }
        let plan = self.plan(spec, warnings).await?;
        let lock = self.lock(&plan.plan_hash, name).await?;
        self.chunks(&lock, &plan, spec.inputs.config.format, warnings).await?;
        let output = self.assemble(spec, &lock, &plan, warnings).await?;
        self.outputs.made(&spec.inputs.target, &output.sha256);
        let warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = AttemptResult { output, warnings };
        let (noted, name, staged) = (result.clone(), name.clone(), work.clone());
        blocking(move || {
            lock.note_result(&name, &noted)?;
            staged.forget_staged(&name)
        })
        .await?;
        Ok(result)
    }

    /// The result of this very attempt, if it ended without anybody there to write it down.
    async fn finished_before(&self, spec: &AttemptSpec) -> Option<AttemptResult> {
        let (work, outputs) = (self.work.clone(), Arc::clone(&self.outputs));
        let (name, target) = (spec.attempt.name.clone(), spec.inputs.target.clone());
        blocking(move || {
            work.remove_abandoned();
            let result = work.result(&name)?;
            let there = result.output.uri == source::uri(&target)
                && outputs.check(&result.output, &target).is_ok_and(|check| check == OutputCheck::Intact);
            there.then_some(result)
        })
        .await
    }

    #[instrument(level = "debug", skip_all)]
    async fn plan(&self, spec: &AttemptSpec, warnings: &Warnings) -> Result<PlanReport, StepError> {
        let name = &spec.attempt.name;
        let (staging, config) = (self.work.staging(name), self.work.config(name));
        let text =
            serde_json::to_string(&spec.inputs.config).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        let written = config.clone();
        blocking(move || files::write_atomic(&written, &text, Durability::Fast)).await?;
        let Source::Folder { path, .. } = &spec.inputs.source;
        let step = Step::Plan { project: path.clone(), out: staging, config };
        let _permit = self.permit(&self.stop).await?;
        match self.run_step(&step, &self.stop, warnings, |_| {}).await? {
            Line::Plan(plan) => Ok(plan),
            _ => Err(unexpected(&step)),
        }
    }

    /// Takes the plan's folder, waiting for whoever has it.
    #[instrument(level = "debug", skip_all)]
    async fn lock(&self, plan_hash: &str, name: &str) -> Result<PlanLock, StepError> {
        let give_up = Instant::now() + PLAN_LOCKED;
        loop {
            let (work, hash, name) = (self.work.clone(), plan_hash.to_owned(), name.to_owned());
            if let Some(lock) = blocking(move || work.try_lock(&hash, &name)).await? {
                return Ok(lock);
            }
            if Instant::now() >= give_up {
                let message =
                    format!("another process has worked on the same plan for {} min", PLAN_LOCKED.as_secs() / 60);
                return Err(StepError::Failed(Failure::new(Code::NoProgress, message)));
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = self.stop.cancelled() => return Err(StepError::Stopped),
                () = self.draining.cancelled() => return Err(StepError::Stopped),
            }
        }
    }

    /// Renders the chunks that are missing, as many at the same time as there are places.
    async fn chunks(
        &self,
        lock: &PlanLock,
        plan: &PlanReport,
        format: Format,
        warnings: &Warnings,
    ) -> Result<(), StepError> {
        let (done, missing): (Vec<ChunkRange>, Vec<ChunkRange>) =
            plan.chunks.iter().partition(|chunk| lock.chunk(chunk.index, format).is_file());
        debug!(already_done = done.len(), missing = missing.len(), "chunks");
        let counter = ProgressCounter::new(&self.report, plan, &done, missing.len());
        let abort = self.stop.child_token();
        let mut running: FuturesUnordered<_> = (0..)
            .zip(&missing)
            .map(|(place, chunk)| {
                let out = lock.chunk(chunk.index, format);
                self.chunk(lock, *chunk, out, ChunkCounter { counter: &counter, place }, &abort, warnings)
            })
            .collect();
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

    #[instrument(level = "debug", skip_all, fields(index = chunk.index))]
    async fn chunk(
        &self,
        lock: &PlanLock,
        chunk: ChunkRange,
        out: PathBuf,
        counter: ChunkCounter<'_>,
        abort: &CancellationToken,
        warnings: &Warnings,
    ) -> Result<(), StepError> {
        let _permit = self.permit(abort).await?;
        debug!(index = chunk.index, "a place is free: the chunk starts");
        counter.started();
        let step = Step::Chunk { plan: lock.plan(), index: chunk.index, out };
        let made = self.run_step(&step, abort, warnings, |frames| counter.frames(frames)).await;
        counter.ended(made.as_ref().ok().map(|_| chunk));
        match made? {
            Line::Chunk(report) => {
                debug!(index = report.index, source = ?report.frame_source, timings = ?report.timings, "chunk");
                Ok(())
            }
            _ => Err(unexpected(&step)),
        }
    }

    #[instrument(level = "debug", skip_all)]
    async fn assemble(
        &self,
        spec: &AttemptSpec,
        lock: &PlanLock,
        plan: &PlanReport,
        warnings: &Warnings,
    ) -> Result<OutputStatus, StepError> {
        if self.draining.is_cancelled() {
            return Err(StepError::Stopped);
        }
        self.report.progress(ProgressStatus { percent: 90, stage: ProgressStage::Assembling, ..whole(plan) });
        let step = Step::Assemble { plan: lock.plan(), chunks: lock.chunks(), out: spec.inputs.target.clone() };
        let made = self.run_step(&step, &self.stop, warnings, |_| {}).await;
        if let Err(StepError::Failed(failure)) = &made
            && failure.code == Code::ChunkInvalid
        {
            // Rendered again by the next attempt.
            let format = spec.inputs.config.format;
            let files = plan.chunks.iter().map(|chunk| lock.chunk(chunk.index, format));
            for file in files.filter(|file| failure.path.as_deref() == file.to_str()) {
                files::remove_file(&file).unwrap_or_else(|error| warn!(%error, "a broken chunk stays"));
            }
        }
        match made? {
            Line::Output(output) => Ok(output_status(spec, &output)),
            _ => Err(unexpected(&step)),
        }
    }

    async fn run_step(
        &self,
        step: &Step,
        cancel: &CancellationToken,
        warnings: &Warnings,
        mut frames: impl FnMut(u32) + Send,
    ) -> Result<Line, StepError> {
        let told = |told| match told {
            Told::Progress(progress) => frames(progress.done),
            Told::Warning(warning) => {
                let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
                if warnings.len() < WARNINGS && !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        };
        self.producer.run(step, cancel, told).await
    }

    /// Waits for a place for a browser.
    async fn permit(&self, abort: &CancellationToken) -> Result<Permit, StepError> {
        let permit = tokio::select! {
            permit = self.places.take() => permit.map_err(|_| StepError::Stopped)?,
            () = abort.cancelled() => return Err(StepError::Stopped),
            () = self.draining.cancelled() => return Err(StepError::Stopped),
        };
        if self.draining.is_cancelled() { Err(StepError::Stopped) } else { Ok(permit) }
    }
}

type Warnings = Mutex<Vec<Failure>>;

/// It made something, but not what it was asked for.
fn unexpected(step: &Step) -> StepError {
    let message = format!("hf-producer {} answered with the result of another verb", step.verb());
    StepError::Failed(Failure::new(Code::ProducerCrashed, message))
}

/// Counts frames and chunks of an attempt.
struct ProgressCounter<'a> {
    report: &'a Report,
    plan: &'a PlanReport,
    counts: Mutex<Counts>,
}

struct Counts {
    /// Frames of all chunks together.
    frames: u32,
    /// Of these, frames of each chunk that was missing.
    of_chunk: Vec<u32>,
    chunks_done: usize,
    chunks_running: usize,
}

impl Counts {
    fn set(&mut self, place: usize, frames: u32) {
        let before = std::mem::replace(&mut self.of_chunk[place], frames);
        self.frames = self.frames - before + frames;
    }
}

/// The counter, for one chunk.
#[derive(Clone, Copy)]
struct ChunkCounter<'a> {
    counter: &'a ProgressCounter<'a>,
    place: usize,
}

impl<'a> ProgressCounter<'a> {
    fn new(report: &'a Report, plan: &'a PlanReport, done: &[ChunkRange], missing: usize) -> Self {
        let frames = done.iter().map(|chunk| chunk.frames()).sum();
        let counts = Counts { frames, of_chunk: vec![0; missing], chunks_done: done.len(), chunks_running: 0 };
        let counter = Self { report, plan, counts: Mutex::new(counts) };
        counter.count(|_| {});
        counter
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts);
        let percent = 10 + 80 * u64::from(counts.frames) / u64::from(self.plan.total_frames.max(1));
        self.report.progress(ProgressStatus {
            percent: i32::try_from(percent).unwrap_or(90),
            stage: ProgressStage::Rendering,
            frames_rendered: number(counts.frames),
            chunks_done: i32::try_from(counts.chunks_done).unwrap_or(i32::MAX),
            chunks_running: i32::try_from(counts.chunks_running).unwrap_or(i32::MAX),
            ..whole(self.plan)
        });
    }
}

impl ChunkCounter<'_> {
    fn started(self) {
        self.counter.count(|counts| counts.chunks_running += 1);
    }

    fn frames(self, frames: u32) {
        self.counter.count(|counts| counts.set(self.place, frames));
    }

    fn ended(self, made: Option<ChunkRange>) {
        self.counter.count(|counts| {
            counts.chunks_running -= 1;
            counts.set(self.place, made.map_or(0, ChunkRange::frames));
            counts.chunks_done += usize::from(made.is_some());
        });
    }
}

/// All frames and chunks done.
fn whole(plan: &PlanReport) -> ProgressStatus {
    let chunks = i32::try_from(plan.chunks.len()).unwrap_or(i32::MAX);
    ProgressStatus {
        percent: 100,
        stage: ProgressStage::Assembling,
        frames_rendered: number(plan.total_frames),
        frames_total: number(plan.total_frames),
        chunks_done: chunks,
        chunks_running: 0,
        chunks_total: chunks,
    }
}

fn output_status(spec: &AttemptSpec, output: &OutputReport) -> OutputStatus {
    OutputStatus {
        uri: source::uri(&spec.inputs.target),
        bytes: i64::try_from(output.bytes).unwrap_or(i64::MAX),
        sha256: output.sha256.clone(),
        frames: number(output.frames),
        width: number(output.width),
        height: number(output.height),
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
