//! Renders on this machine: one `hf-producer` process for each step of an attempt, as many chunks at the same time as a
//! stack allows.
//!
//! Finished chunks stay in the work folder until the video is there, named by the plan's hash: an attempt that was
//! interrupted, retried or restarted only renders what is missing.

use std::{cell::RefCell, collections::HashMap, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use crds::{Code, Failure};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::ports::{AttemptReport, AttemptSpec, Backend, StackReport, StackSpec, planning};

mod attempt;
mod process;
mod step;
mod work;

use attempt::Attempt;
use process::Producer;
use step::Step;
use work::Work;

/// This machine.
pub struct LocalBackend {
    producer: Producer,
    /// Where stacks work that do not say where.
    work: PathBuf,
    stacks: RefCell<HashMap<StackKey, Rc<Pool>>>,
    attempts: RefCell<HashMap<String, Running>>,
    /// Nothing new is started.
    draining: CancellationToken,
}

/// Stacks with the same key share a worker pool.
type StackKey = (Option<String>, Option<i32>, Option<String>);

/// The worker pool of a stack.
struct Pool {
    report: RefCell<StackReport>,
    /// One permit for each chunk that may be rendered now; none until the machine has been looked at.
    slots: Arc<Semaphore>,
}

struct Running {
    report: Rc<RefCell<AttemptReport>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl LocalBackend {
    /// Renders with this `hf-producer`. `progress_timeout`: how long nothing may move.
    #[must_use]
    pub fn new(producer: PathBuf, work: PathBuf, progress_timeout: Duration) -> Self {
        Self {
            producer: Producer::new(producer, progress_timeout),
            work,
            stacks: RefCell::default(),
            attempts: RefCell::default(),
            draining: CancellationToken::new(),
        }
    }

    /// From now on nothing new is started; chunks that are being rendered are finished.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Ends everything at once. Finished chunks stay.
    pub fn stop_all(&self) {
        self.drain();
        self.attempts.borrow().values().for_each(|attempt| attempt.stop.cancel());
    }

    /// Whether no process of ours runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.attempts.borrow().values().all(|attempt| attempt.task.is_finished())
    }

    fn pool(&self, stack: &StackSpec) -> Rc<Pool> {
        let local = &stack.local;
        let key = (stack.key.as_ref().map(ToString::to_string), local.max_parallel_chunks, local.work_dir.clone());
        if let Some(pool) = self.stacks.borrow().get(&key) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool { report: RefCell::new(StackReport::Pending), slots: Arc::new(Semaphore::new(0)) });
        self.stacks.borrow_mut().insert(key, Rc::clone(&pool));
        tokio::task::spawn_local(examine(self.producer.clone(), local.max_parallel_chunks, Rc::clone(&pool)));
        pool
    }
}

/// How soon a machine that cannot render is looked at again.
const EXAMINE_AGAIN: Duration = Duration::from_secs(30);

/// Asks the producer what this machine can do, until it can render.
async fn examine(producer: Producer, max_parallel_chunks: Option<i32>, pool: Rc<Pool>) {
    loop {
        let found = producer.doctor().await;
        let report = match found {
            Ok(diagnosis) => {
                let jobs = i32::try_from(diagnosis.jobs).unwrap_or(i32::MAX);
                let parallel_chunks = max_parallel_chunks.unwrap_or(jobs);
                pool.slots.add_permits(usize::try_from(parallel_chunks).unwrap_or(1));
                StackReport::Ready { parallel_chunks, renderer_digest: diagnosis.renderer_digest }
            }
            Err(failure) => StackReport::NotReady(failure),
        };
        let ready = matches!(report, StackReport::Ready { .. });
        pool.report.replace(report);
        if ready {
            return;
        }
        tokio::time::sleep(EXAMINE_AGAIN).await;
    }
}

impl Backend for LocalBackend {
    fn stack(&self, stack: &StackSpec) -> StackReport {
        self.pool(stack).report.borrow().clone()
    }

    fn start(&self, spec: AttemptSpec) {
        let running = self.attempts.borrow().get(&spec.name).is_some_and(|attempt| !attempt.task.is_finished());
        if running || self.draining.is_cancelled() {
            return;
        }
        let pool = self.pool(&spec.stack);
        let work = spec.stack.local.work_dir.as_ref().map_or_else(|| self.work.clone(), PathBuf::from);
        let report = Rc::new(RefCell::new(AttemptReport::Running(planning())));
        let stop = CancellationToken::new();
        let attempt = Attempt {
            producer: self.producer.clone(),
            work: Work::new(work),
            slots: Arc::clone(&pool.slots),
            report: Rc::clone(&report),
            stop: stop.clone(),
            draining: self.draining.clone(),
        };
        let name = spec.name.clone();
        let task = tokio::task::spawn_local(async move { attempt.run(spec).await });
        self.attempts.borrow_mut().insert(name, Running { report, stop, task });
    }

    fn observe(&self, name: &str) -> AttemptReport {
        self.attempts.borrow().get(name).map_or(AttemptReport::Unknown, |attempt| attempt.report.borrow().clone())
    }

    fn cancel(&self, name: &str) {
        if let Some(attempt) = self.attempts.borrow().get(name) {
            attempt.stop.cancel();
        }
    }
}

/// It made something, but not what it was asked for.
fn unexpected(step: &Step) -> Failure {
    Failure::new(Code::ProducerCrashed, format!("hf-producer {} answered with the result of another verb", step.verb()))
}
