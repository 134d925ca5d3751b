//! Runs the reconciler: whenever an object changed, or its time has come. One object is never looked at twice at once.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::LocalBoxFuture,
    stream::{self, FuturesUnordered},
};
use kube::runtime::{scheduler, scheduler::ScheduleRequest};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::{debug, warn};

use crate::{
    decide::Next,
    error::{Class, Error, backoff},
    ports::ObjectKey,
    reconcile::{Context, Outcome, reconcile},
};

/// Objects looked at the same time.
const CONCURRENCY: usize = 16;

/// What became of the objects so far.
#[derive(Debug, Default)]
pub struct Progress {
    last: HashMap<ObjectKey, Next>,
    failures: HashMap<ObjectKey, u32>,
    /// The last failure of each object that could not be looked at.
    pub errors: HashMap<ObjectKey, Error>,
}

impl Progress {
    /// True when nothing more will happen by itself.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.last.values().all(|next| matches!(next, Next::AwaitChange | Next::Recheck(_)))
    }

    /// Whether an object was looked at.
    #[must_use]
    pub fn has_seen(&self, key: &ObjectKey) -> bool {
        self.last.contains_key(key)
    }

    /// Takes an outcome in; says when to look again, and whether others may go on.
    fn note(&mut self, key: &ObjectKey, result: Result<Outcome, Error>) -> (Next, bool) {
        let (next, wake_others) = match result {
            Ok(outcome) => {
                self.failures.remove(key);
                self.errors.remove(key);
                (outcome.next, outcome.wake_others)
            }
            Err(error) => {
                let count = self.failures.entry(key.clone()).or_default();
                *count += 1;
                let next = match error.class() {
                    Class::Conflict => Next::After(Duration::ZERO),
                    Class::Transient => Next::After(backoff(*count)),
                    Class::Terminal => Next::AwaitChange,
                };
                warn!(object = %key, %error, "not reconciled");
                self.errors.insert(key.clone(), error);
                (next, false)
            }
        };
        let before = self.last.insert(key.clone(), next);
        debug!(object = %key, ?next, "reconciled");
        (next, wake_others && before != Some(next))
    }

    fn waiting(&self) -> Vec<ObjectKey> {
        self.last.iter().filter(|(_, next)| **next != Next::AwaitChange).map(|(key, _)| key.clone()).collect()
    }
}

/// Runs until `done` says so, which is asked whenever nothing is being looked at and nothing is due.
pub async fn drive(context: Rc<Context>, mut done: impl FnMut(&Progress) -> bool) -> Progress {
    let (later, requests) = mpsc::unbounded_channel();
    let now = |message| ScheduleRequest { message, run_at: Instant::now() };
    let incoming = stream::select(context.store.changes().map(now), UnboundedReceiverStream::new(requests));
    let mut scheduler = Box::pin(scheduler(incoming));
    let mut progress = Progress::default();
    let mut busy: HashSet<ObjectKey> = HashSet::new();
    let mut running: FuturesUnordered<LocalBoxFuture<'_, (ObjectKey, Result<Outcome, Error>)>> =
        FuturesUnordered::new();
    let mut idle = tokio::time::interval(IDLE_CHECK);
    loop {
        let free = busy.len() < CONCURRENCY;
        let due = scheduler.as_mut();
        let mut due = due.hold_unless(|key| !busy.contains(key));
        tokio::select! {
            biased;
            Some((key, result)) = running.next() => {
                busy.remove(&key);
                let (next, wake_others) = progress.note(&key, result);
                if let Next::After(delay) | Next::Recheck(delay) = next {
                    let _ = later.send(ScheduleRequest { message: key, run_at: Instant::now() + delay });
                }
                if wake_others {
                    progress.waiting().into_iter().map(now).for_each(|request| drop(later.send(request)));
                }
            }
            next = due.next(), if free => match next {
                Some(key) => {
                    busy.insert(key.clone());
                    let context = Rc::clone(&context);
                    running.push(async move { let result = reconcile(&key, &context).await; (key, result) }.boxed_local());
                }
                None => return progress,
            },
            _ = idle.tick() => if busy.is_empty() && done(&progress) {
                return progress;
            }
        }
    }
}

/// How often it is looked whether everything is done.
const IDLE_CHECK: Duration = Duration::from_millis(20);
