//! Runs the reconciler: whenever an object, its source or its attempt moves, or its time has come. One object is never
//! looked at twice at once.
//!
//! Built on kube's scheduler, which delays and deduplicates, and not on kube's `Controller`: that serves one kind from one
//! reflector, while here one queue serves two kinds whose looks wake each other, from stores that need not be reflectors.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use kube::runtime::{scheduler, scheduler::ScheduleRequest};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::{Instrument as _, Span, debug, field::Empty, info_span, warn};

use super::{Context, Outcome, decide::Next, reconcile};
use crate::{
    error::{Class, Error, backoff},
    ports::ObjectKey,
};

/// Objects looked at the same time.
const CONCURRENCY: usize = 16;

/// Watches the driver at work.
pub trait Observer: Send + Sync {
    /// It has taken a turn: so many objects wait to be looked at, and so many are being looked at.
    fn turned(&self, due: usize, busy: usize);

    /// A look has ended.
    fn looked(&self, key: &ObjectKey, result: &Result<Next, Error>, took: Duration);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn turned(&self, _: usize, _: usize) {}

    fn looked(&self, _: &ObjectKey, _: &Result<Next, Error>, _: Duration) {}
}

/// What became of the objects so far.
#[derive(Debug, Default)]
pub struct Progress {
    last: HashMap<ObjectKey, Next>,
    /// How many of `last` are not settled.
    unsettled: usize,
    /// To be looked at as soon as there is room.
    due: HashSet<ObjectKey>,
    failures: HashMap<ObjectKey, u32>,
    /// The last failure of each object that could not be looked at.
    pub errors: HashMap<ObjectKey, Error>,
}

impl Progress {
    /// True when nothing more will happen by itself. An object that could not be looked at counts as settled after so many
    /// failures in a row.
    #[must_use]
    pub fn is_settled(&self, patience: u32) -> bool {
        let given_up = || self.failures.iter().filter(|(key, count)| **count >= patience && !self.is_settled_for(key));
        self.due.is_empty() && (self.unsettled == 0 || self.unsettled == given_up().count())
    }

    /// How many objects were looked at.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.last.len()
    }

    fn is_settled_for(&self, key: &ObjectKey) -> bool {
        self.last.get(key).is_none_or(|next| next.is_settled())
    }

    /// Takes in what a look came to; says when to look again.
    fn note(&mut self, key: &ObjectKey, result: Result<Next, Error>) -> Next {
        let next = match result {
            Ok(next) => {
                self.failures.remove(key);
                self.errors.remove(key);
                next
            }
            Err(error) => self.failed(key, error),
        };
        debug!(object = %key, ?next, "reconciled");
        self.unsettled -= usize::from(!self.is_settled_for(key));
        self.unsettled += usize::from(!next.is_settled());
        match next {
            Next::Gone => self.last.remove(key),
            _ => self.last.insert(key.clone(), next),
        };
        next
    }

    fn failed(&mut self, key: &ObjectKey, error: Error) -> Next {
        let count = self.failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let class = error.class();
        let pause = backoff(class, *count, spread(key, *count));
        if class == Class::Conflict {
            debug!(object = %key, %error, "looked at again");
        } else {
            warn!(object = %key, %error, class = class.as_str(), "not reconciled");
        }
        self.errors.insert(key.clone(), error);
        if class == Class::Terminal { Next::Recheck(pause) } else { Next::RequeueAfter(pause) }
    }
}

/// A number from 0 to 1 that differs from object to object and from try to try, the same in every run.
fn spread(key: &ObjectKey, count: u32) -> f64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((key, count));
    f64::from(u32::try_from(hash >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Runs until `done` says so, which is asked after every look while nothing is being looked at, and whenever
/// [`Context::nudge`] is called.
pub async fn drive(
    context: Arc<Context>,
    observer: &dyn Observer,
    mut done: impl FnMut(&Progress) -> bool + Send,
) -> Progress {
    let (to_scheduler, scheduled) = mpsc::unbounded_channel();
    let changes = [context.store.changes(), context.backend.changes(), context.sources.changes()];
    let mut incoming = stream::select_all(changes);
    let mut scheduler = Box::pin(scheduler(UnboundedReceiverStream::new(scheduled)));
    let mut progress = Progress::default();
    let mut busy: HashSet<ObjectKey> = HashSet::new();
    let mut running: FuturesUnordered<BoxFuture<'_, (ObjectKey, Outcome, Duration)>> = FuturesUnordered::new();
    let at = |message, run_at| drop(to_scheduler.send(ScheduleRequest { message, run_at }));
    loop {
        observer.turned(progress.due.len(), busy.len());
        let free = busy.len() < CONCURRENCY;
        let due = scheduler.as_mut();
        let mut due = due.hold_unless(|key| !busy.contains(key));
        tokio::select! {
            biased;
            Some((key, Outcome { next, wake }, took)) = running.next() => {
                busy.remove(&key);
                observer.looked(&key, &next, took);
                if let Next::RequeueAfter(delay) | Next::Recheck(delay) = span(&key).in_scope(|| progress.note(&key, next)) {
                    at(key, Instant::now() + delay);
                }
                for key in wake {
                    if progress.due.insert(key.clone()) {
                        at(key, Instant::now());
                    }
                }
            }
            Some(key) = incoming.next() => {
                if progress.due.insert(key.clone()) {
                    at(key, Instant::now());
                }
                continue;
            }
            Some(key) = due.next(), if free => {
                progress.due.remove(&key);
                busy.insert(key.clone());
                let context = Arc::clone(&context);
                running.push(look(key, context).boxed());
                continue;
            }
            () = context.nudged() => {}
        }
        if busy.is_empty() && done(&progress) {
            return progress;
        }
    }
}

/// One look, and how long it took. What it logs says of which object it speaks.
async fn look(key: ObjectKey, context: Arc<Context>) -> (ObjectKey, Outcome, Duration) {
    let begin = Instant::now();
    let span = span(&key);
    let outcome = reconcile(&key, &context).instrument(span.clone()).await;
    if let Err(error) = &outcome.next {
        span.record("otel.status_description", error.to_string()).record("otel.status_code", "ERROR");
    }
    (key, outcome, begin.elapsed())
}

fn span(key: &ObjectKey) -> Span {
    info_span!(
        "look",
        object.kind = key.kind.as_str(),
        object.namespace = key.namespace,
        object.name = key.name,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Kind;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: Kind::Render, namespace: "default".into(), name: name.into() }
    }

    #[test]
    fn settled_means_nothing_more_happens_by_itself() {
        let mut progress = Progress::default();
        assert!(progress.is_settled(3));
        progress.note(&key("a"), Ok(Next::AwaitProgress));
        progress.note(&key("b"), Ok(Next::AwaitChange));
        assert!(!progress.is_settled(3));
        progress.note(&key("a"), Ok(Next::Recheck(Duration::ZERO)));
        assert!(progress.is_settled(3));
        progress.due.insert(key("b"));
        assert!(!progress.is_settled(3), "a look is due");
        assert_eq!(progress.seen(), 2);
    }

    #[test]
    fn what_fails_again_and_again_is_given_up_and_what_only_a_human_can_mend_at_once() {
        let mut progress = Progress::default();
        let failure = |kind: std::io::ErrorKind| Err(Error::Io(kind.into()));
        for _ in 0..3 {
            assert!(progress.seen() == 0 || !progress.is_settled(3));
            progress.note(&key("a"), failure(std::io::ErrorKind::StorageFull));
        }
        assert!(progress.is_settled(3));
        progress.note(&key("b"), failure(std::io::ErrorKind::PermissionDenied));
        assert!(progress.is_settled(3));
        progress.note(&key("a"), Ok(Next::AwaitProgress));
        assert!(!progress.is_settled(3), "it works again");
        progress.note(&key("a"), Ok(Next::Gone));
        assert!(progress.is_settled(3));
        assert_eq!(progress.errors.len(), 1);
    }
}
