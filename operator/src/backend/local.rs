//! Renders on this machine: one `hf-producer` process for each step of an attempt, as many chunks at the same time as a
//! stack allows.
//!
//! Finished chunks stay in the work folder until the attempt is released, named by the plan's hash: an attempt that was
//! interrupted, retried or restarted only renders what is missing.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use crds::{
    Code, Failure,
    render::{OutputStatus, ProgressStatus},
};
use futures::stream::BoxStream;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Class, Error},
    feed::Feed,
    files::blocking,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, Backend, Inputs, ObjectKey, OutputCheck, Place, StackCapacity,
        StackEffect, StackReport, StackSpec, Started,
    },
};

mod attempt;
mod outputs;
mod places;
mod process;
mod step;
mod work;

use attempt::{Attempt, Report};
use outputs::Outputs;
use places::{Machine, Places};
use process::Producer;
use work::Work;

/// This machine.
#[derive(Clone)]
pub struct LocalBackend(Arc<Shared>);

struct Shared {
    producer: Producer,
    /// Where stacks work that do not say where.
    work: PathBuf,
    outputs: Arc<Outputs>,
    machine: Arc<Machine>,
    stacks: Mutex<HashMap<ObjectKey, Pool>>,
    attempts: Mutex<HashMap<String, Running>>,
    changes: Arc<Feed<ObjectKey>>,
    /// Nothing new is started.
    draining: CancellationToken,
}

/// The worker pool of a stack.
struct Pool {
    /// The spec it was made for.
    place: Place,
    report: StackReport,
    /// None before the machine was looked at.
    places: Option<Places>,
    examined: Instant,
    examining: bool,
}

struct Running {
    owner: ObjectKey,
    report: Arc<Report>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How soon a machine that cannot render is looked at again at the earliest.
const EXAMINE_AGAIN: Duration = Duration::from_secs(10);

impl LocalBackend {
    /// Renders with this `hf-producer`, in folders below `work`; what is known of finished videos is kept in the file
    /// `outputs`. `progress_timeout`: how long nothing may move.
    #[must_use]
    pub fn new(producer: PathBuf, work: PathBuf, outputs: PathBuf, progress_timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            producer: Producer::new(producer, progress_timeout),
            work,
            outputs: Arc::new(Outputs::load(outputs)),
            machine: Arc::default(),
            stacks: Mutex::default(),
            attempts: Mutex::default(),
            changes: Arc::default(),
            draining: CancellationToken::new(),
        }))
    }

    /// From now on nothing new is started; chunks that are being rendered are finished.
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Ends everything at once. Finished chunks stay.
    pub fn stop_all(&self) {
        self.drain();
        self.attempts().values().for_each(|attempt| attempt.stop.cancel());
    }

    /// Whether no process of ours runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.attempts().values().all(|attempt| attempt.task.is_finished())
    }

    /// How far every attempt is that runs, by its Render.
    #[must_use]
    pub fn running(&self) -> Vec<(ObjectKey, ProgressStatus)> {
        let progress = |attempt: &Running| match attempt.report.get() {
            AttemptReport::Running { progress, .. } => Some((attempt.owner.clone(), progress)),
            _ => None,
        };
        self.attempts().values().filter_map(progress).collect()
    }

    /// Writes down what is known of finished videos, so that the next run need not read them.
    pub async fn remember_outputs(&self) {
        let outputs = Arc::clone(&self.0.outputs);
        blocking(move || outputs.save()).await;
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stacks(&self) -> MutexGuard<'_, HashMap<ObjectKey, Pool>> {
        self.0.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_of(&self, stack: &StackSpec) -> Work {
        match &stack.place {
            // A folder of the user's may hold anything: ours is one below it.
            Place::Local { work_dir: Some(folder), .. } => Work::new(folder.join(".hyperframes-work")),
            _ => Work::new(self.0.work.clone()),
        }
    }

    /// Asks the producer what this machine can do.
    async fn examine(self, stack: StackSpec) {
        let found = self.0.producer.doctor().await;
        let max_parallel_chunks = match stack.place {
            Place::Local { max_parallel_chunks, .. } => max_parallel_chunks,
            Place::Aws(_) => None,
        };
        if let Some(pool) = self.stacks().get_mut(&stack.key).filter(|pool| pool.place == stack.place) {
            pool.examining = false;
            pool.examined = Instant::now();
            match found {
                Ok(diagnosis) => {
                    let jobs = usize::try_from(diagnosis.jobs).unwrap_or(1).max(1);
                    let most = max_parallel_chunks.unwrap_or(jobs);
                    pool.places = Some(self.0.machine.places(jobs, most));
                    let parallel_chunks = i32::try_from(most).unwrap_or(i32::MAX);
                    let renderer_digest = diagnosis.renderer_digest;
                    pool.report = StackReport::Ready(StackCapacity {
                        parallel_chunks,
                        slots: most.max(1),
                        renderer_digest,
                        ..StackCapacity::default()
                    });
                }
                Err(failure) => pool.report = StackReport::NotReady(failure),
            }
        }
        self.0.changes.send(stack.key);
    }

    fn ensure(&self, stack: &StackSpec) {
        let mut stacks = self.stacks();
        let pool = stacks.entry(stack.key.clone()).or_insert_with(|| Pool::new(stack));
        if pool.place != stack.place {
            *pool = Pool::new(stack);
        }
        let due = match pool.report {
            StackReport::Ready(_) => false,
            StackReport::NotReady(_) => pool.examined.elapsed() >= EXAMINE_AGAIN,
            StackReport::Absent | StackReport::Outdated(_) | StackReport::Pending { .. } => true,
        };
        if due && !std::mem::replace(&mut pool.examining, true) {
            tokio::spawn(self.clone().examine(stack.clone()));
        }
    }
}

impl Pool {
    fn new(stack: &StackSpec) -> Self {
        let report = StackReport::Pending { what: "the renderer is being looked at".to_owned(), ask_again: None };
        Self { place: stack.place.clone(), report, places: None, examined: Instant::now(), examining: false }
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.0.changes.listen()
    }

    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error> {
        let stacks = self.stacks();
        let pool = stacks.get(&stack.key).filter(|pool| pool.place == stack.place);
        Ok(pool.map_or(StackReport::Absent, |pool| pool.report.clone()))
    }

    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error> {
        match effect {
            StackEffect::Ensure => self.ensure(stack),
            StackEffect::Delete => {
                self.stacks().remove(&stack.key);
                self.0.changes.send(stack.key.clone());
            }
        }
        Ok(())
    }

    async fn start(&self, spec: AttemptSpec) -> Result<Started, Error> {
        let places = self.stacks().get(&spec.attempt.stack.key).and_then(|pool| pool.places.clone());
        let places = places.filter(|_| !self.0.draining.is_cancelled()).ok_or_else(|| Error::Backend {
            failure: Failure::new(Code::Interrupted, "nothing is started on this stack at the moment"),
            class: Class::Waiting,
        })?;
        let mut attempts = self.attempts();
        if let Some(known) = attempts.get(&spec.attempt.name)
            && (!known.task.is_finished() || known.report.has_result())
        {
            return Ok(Started::default());
        }
        // Of an owner's earlier attempts nothing is asked any more.
        attempts.retain(|_, other| other.owner != spec.owner || !other.task.is_finished());
        let report = Arc::new(Report::new(spec.owner.clone(), Arc::clone(&self.0.changes)));
        let stop = CancellationToken::new();
        let attempt = Attempt {
            producer: self.0.producer.clone(),
            work: self.work_of(&spec.attempt.stack),
            outputs: Arc::clone(&self.0.outputs),
            places,
            report: Arc::clone(&report),
            stop: stop.clone(),
            draining: self.0.draining.clone(),
        };
        let (name, owner) = (spec.attempt.name.clone(), spec.owner.clone());
        let task = tokio::spawn(async move { attempt.run(spec).await });
        attempts.insert(name, Running { owner, report, stop, task });
        Ok(Started::default())
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        Ok(self.attempts().get(&attempt.name).map_or(AttemptReport::Unknown, |attempt| attempt.report.get()))
    }

    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error> {
        if let Some(attempt) = self.attempts().get(&attempt.name) {
            attempt.stop.cancel();
        }
        Ok(())
    }

    async fn check_output(
        &self,
        _: Option<&StackSpec>,
        recorded: &OutputStatus,
        Inputs { target, .. }: &Inputs,
    ) -> Result<OutputCheck, Error> {
        if recorded.uri != crate::source::uri(target) {
            return Ok(OutputCheck::Lost("its video is wanted elsewhere".to_owned()));
        }
        let (outputs, recorded, target) = (Arc::clone(&self.0.outputs), recorded.clone(), target.clone());
        blocking(move || Ok(outputs.check(&recorded, &target)?)).await
    }

    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error> {
        let (work, name) = (self.work_of(&attempt.stack), attempt.name.clone());
        blocking(move || work.release(&name)).await?;
        self.attempts().remove(&attempt.name);
        Ok(())
    }
}
