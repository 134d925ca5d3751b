//! The reconciler: one straight line for each kind, the same in a cluster and in a folder.
//!
//! ```text
//! observe (IO) → decide (pure) → act (IO) → status (pure) → write (IO) → release (IO, once the status is durable)
//! ```

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crds::{HyperframesStack, Render, RenderStatus, condition::READY, stack::aws::AwsStackStatus};
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use tokio::sync::Notify;
use tracing::{debug, instrument};

use crate::{
    error::Error,
    ports::{AttemptRef, Backend, Kind, ObjectKey, Sourced, StackReport, Store, Version},
    source::{self, Sources},
};

pub mod act;
pub mod conditions;
pub mod decide;
pub mod driver;
pub mod flux;
pub mod observe;
pub mod queue;
pub mod requests;
pub mod stack;
pub mod status;
mod tell;
mod throttle;
#[cfg(test)]
mod world;

use act::act;
use decide::{Decision, Effect, Next, State, decide};
use observe::{Observed, Place, StackSeen, attempt_ref, observe};
use queue::{Admission, QueueView, Slots};
use stack::{StackDecision, StackState};
use status::{stack_status, status};
use throttle::Throttle;

/// Keeps a Render in sight until what runs for it has ended. Should the controller be gone for good, remove it by hand:
/// `kubectl patch render NAME --type merge -p '{"metadata":{"finalizers":null}}'`.
pub const RENDER_FINALIZER: &str = "hyperframes.io/render";
/// Keeps a stack in sight until it is taken down.
pub const STACK_FINALIZER: &str = "hyperframes.io/stack";

/// What the reconciler works with.
pub struct Context {
    /// Where objects live.
    pub store: Arc<dyn Store>,
    /// What renders.
    pub backend: Arc<dyn Backend>,
    /// Compositions and their digests.
    pub sources: Arc<Sources>,
    /// Tells the time.
    pub now: fn() -> Timestamp,
    slots: Slots,
    throttle: Mutex<Throttle>,
    /// The last attempt of each Render that this process has let go of.
    released: Mutex<HashMap<ObjectKey, String>>,
    /// What each stack was when it was looked at last; none where a Render has seen something else since.
    stacks: Mutex<HashMap<ObjectKey, StackSeen>>,
    /// Counts changes of stacks: a look at a Render that began before one of them is repeated.
    stack_changes: AtomicU64,
    draining: AtomicBool,
    nudge: Notify,
}

impl Context {
    /// A reconciler's context.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        backend: Arc<dyn Backend>,
        sources: Arc<Sources>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            store,
            backend,
            sources,
            now,
            slots: Slots::default(),
            throttle: Mutex::default(),
            released: Mutex::default(),
            stacks: Mutex::default(),
            stack_changes: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            nudge: Notify::new(),
        }
    }

    /// From now on nothing new is started.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.nudge();
    }

    /// Whether nothing new may be started.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Has the driver ask whether it is done.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Notes that a Render has seen something else of a stack than the last look at it has: the next one tells everybody.
    fn forget_stack_unless(&self, key: &ObjectKey, seen: &StackSeen) {
        let mut stacks = lock(&self.stacks);
        if stacks.get(key).is_some_and(|known| known != seen) {
            stacks.remove(key);
        }
    }

    async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

/// What a look at an object came to.
#[derive(Debug)]
pub struct Outcome {
    /// When to look again; or what the store or the backend could not do.
    pub next: Result<Next, Error>,
    /// Objects for which something has changed by it, also where it failed.
    pub wake: Vec<ObjectKey>,
}

/// Looks at one object and does what follows.
pub async fn reconcile(key: &ObjectKey, context: &Context) -> Outcome {
    let mut wake = Vec::new();
    let next = look(key, context, &mut wake).await;
    Outcome { next, wake }
}

async fn look(key: &ObjectKey, context: &Context, wake: &mut Vec<ObjectKey>) -> Result<Next, Error> {
    match key.kind {
        Kind::Render => match context.store.get_render(key).await? {
            Some(render) => reconcile_render(key, &render, context, wake).await,
            None => {
                context.sources.forget(key);
                Ok(Next::Gone)
            }
        },
        Kind::Stack => match context.store.get_stack(key).await? {
            Some(stack) => reconcile_stack(key, &stack, context, wake).await,
            None => Ok(Next::Gone),
        },
    }
}

/// True for an object that has to get a finalizer of ours before anything is done for it.
fn lacks<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.meta().deletion_timestamp.is_none() && !object.finalizers().iter().any(|own| own == finalizer)
}

async fn reconcile_render(
    key: &ObjectKey,
    render: &Sourced<Render>,
    context: &Context,
    wake: &mut Vec<ObjectKey>,
) -> Result<Next, Error> {
    let version = Version::of(key.clone(), &*render.object);
    if lacks(&*render.object, RENDER_FINALIZER) && !render.origin.is_orphaned() {
        context.store.add_finalizer(&version, RENDER_FINALIZER).await?; // IO
        return Ok(Next::AT_ONCE);
    }
    let stack_changes = context.stack_changes.load(Ordering::Relaxed);
    let (mut seen, place) = observe(render, context).await?; // IO
    let before = place.views(context);
    let decision = admit(&mut seen, &place, context); // pure
    let turn = Turn { version, render, seen: &seen, decision: &decision, place: &place, context };
    let result = turn.carry_out().await; // IO
    wake.extend(turn.who_may_start(&before, result.is_ok()));
    let stack_moved = context.stack_changes.load(Ordering::Relaxed) != stack_changes;
    // A stack's change was told before there was anybody waiting to be told, however far away a deadline may be.
    let missed = decision.state.waits() && stack_moved;
    result.map(|next| if missed { Next::AT_ONCE } else { next })
}

/// Decides, and keeps a slot where an attempt is to begin. Since the look somebody else may have got it.
fn admit(seen: &mut Observed, place: &Place, context: &Context) -> Decision {
    let decision = decide(seen);
    let starts = matches!(decision.state, State::Starting(..)) || decision.effect == Some(Effect::Start);
    let (true, Some(queue)) = (starts, place.wanted()) else { return decision };
    let view = context.store.queue(queue);
    match context.slots.reserve(queue, &seen.render, seen.resumes, &view, seen.stack.slots()) {
        Admission::Admitted => decision,
        waiting @ Admission::Waiting(_) => {
            seen.admission = waiting;
            decide(seen)
        }
    }
}

/// One look at a Render, and what it came to.
struct Turn<'a> {
    version: Version,
    render: &'a Sourced<Render>,
    seen: &'a Observed,
    decision: &'a Decision,
    place: &'a Place,
    context: &'a Context,
}

impl Turn<'_> {
    async fn carry_out(&self) -> Result<Next, Error> {
        let Self { seen, decision, context, .. } = self;
        debug!(object = %self.version.key, state = ?decision.state, effect = ?decision.effect, attempt = ?seen.attempt, stack = ?seen.stack, "decided");
        let attempt = attempt_ref(&self.render.object, self.place, context).await?; // IO
        if decision.state == State::Deleted {
            if let Some(attempt) = &attempt {
                context.backend.release(attempt).await?; // IO
            }
            context.store.remove_finalizer(&self.version, RENDER_FINALIZER).await?; // IO
            lock(&context.released).remove(&self.version.key);
            context.sources.forget(&self.version.key);
            return Ok(Next::Gone);
        }
        if decision.state == State::Orphaned && !seen.has_open_attempt() {
            return Ok(decision.next);
        }
        let done = act(seen, decision, attempt.clone(), context).await?; // IO
        let status = status(seen, decision, &done); // pure
        let held_back = self.write(&status).await?; // IO
        self.release(attempt.as_ref(), &status).await?; // IO
        done.started?;
        Ok(held_back.map_or(decision.next, Next::RequeueAfter))
    }

    /// Writes the status if it differs, and tells users of a new state. Mere progress is only written now and then; the answer
    /// is when it may be, if it was not.
    #[instrument(level = "debug", skip_all)]
    async fn write(&self, new: &RenderStatus) -> Result<Option<Duration>, Error> {
        let old = self.render.object.status.as_ref();
        if old == Some(new) {
            return Ok(None);
        }
        let (key, now) = (&self.version.key, self.seen.now);
        if let Some(pause) = lock(&self.context.throttle).pause(key, old, new, now) {
            return Ok(Some(pause));
        }
        self.context.store.write_render_status(&self.render.object, new.clone()).await?;
        lock(&self.context.throttle).written(key, new, now);
        tell::render(&self.version, old, new, &*self.context.store).await;
        Ok(None)
    }

    /// Lets go of what an attempt leaves behind, once the written status says that it is not needed any more: its video is
    /// there, or an attempt for other inputs has its place. What a failed or cancelled attempt has finished serves the next.
    #[instrument(level = "debug", skip_all)]
    async fn release(&self, attempt: Option<&AttemptRef>, written: &RenderStatus) -> Result<(), Error> {
        let Some(attempt) = attempt else { return Ok(()) };
        let other_inputs =
            self.seen.last_attempt().is_some_and(|last| Some(&*last.input_hash) != self.seen.input_hash());
        let superseded = other_inputs && written.execution_name.as_ref() != Some(&attempt.name);
        let completed = matches!(self.decision.state, State::Completed(_));
        let known = lock(&self.context.released).get(&self.version.key) == Some(&attempt.name);
        if !superseded && !completed || known {
            return Ok(());
        }
        self.context.backend.release(attempt).await?;
        lock(&self.context.released).insert(self.version.key.clone(), attempt.name.clone());
        Ok(())
    }

    /// Notes whether the Render still has its slot. Names who may start now that something has changed in its queues, and a
    /// stack that nobody uses any more. Itself only where it was told to wait, for a slot that has become free since.
    fn who_may_start(&self, before: &[(ObjectKey, QueueView)], done: bool) -> Vec<ObjectKey> {
        let under_way = matches!(
            self.decision.state,
            State::Starting(..) | State::Running(_) | State::Cancelling | State::Deleting
        );
        let runs = self.seen.attempt.may_run() || under_way && done;
        let mut wake = Vec::new();
        for (queue, before) in before {
            let now = self.context.store.queue(queue);
            let moved = self.context.slots.settle(queue, &self.version.key, &now, runs);
            if moved || now.version() != before.version() {
                wake.extend(self.context.slots.startable(queue, &now, self.seen.stack.slots()));
                wake.extend((now.active() == 0).then(|| queue.clone()));
            }
        }
        let told_to_wait = matches!(self.decision.state, State::Queued(_));
        wake.retain(|key| told_to_wait || *key != self.version.key);
        wake
    }
}

async fn reconcile_stack(
    key: &ObjectKey,
    stack: &Sourced<HyperframesStack>,
    context: &Context,
    wake: &mut Vec<ObjectKey>,
) -> Result<Next, Error> {
    let version = Version::of(key.clone(), &*stack.object);
    if lacks(&*stack.object, STACK_FINALIZER) {
        context.store.add_finalizer(&version, STACK_FINALIZER).await?; // IO
        return Ok(Next::AT_ONCE);
    }
    let spec = source::stack_spec(&stack.object, &stack.origin);
    let seen = match StackSeen::look(stack, spec.as_ref(), context).await {
        Ok(seen) => seen,
        Err(error) => {
            explain(&version, stack, &error, context).await?; // IO
            return Err(error);
        }
    };
    let users = context.store.queue(key).active();
    let decision = stack::decide(&seen, users, context.is_draining()); // pure
    debug!(object = %key, state = ?decision.state, effect = ?decision.effect, "decided");
    if decision.state == StackState::Deleted {
        context.store.remove_finalizer(&version, STACK_FINALIZER).await?; // IO
        lock(&context.stacks).remove(key);
        return Ok(Next::Gone);
    }
    let before = lock(&context.stacks).insert(key.clone(), seen.clone());
    if before.as_ref() != Some(&seen) {
        context.stack_changes.fetch_add(1, Ordering::Relaxed);
        wake.extend(renders_that_wait(key, before.as_ref(), &seen, context));
    }
    let applied = match (decision.effect, &spec) {
        (Some(effect), Ok(spec)) => context.backend.apply_stack(spec, effect).await, // IO
        _ => Ok(()),
    };
    let details = spec.as_ref().ok().and_then(|spec| context.backend.stack_details(spec));
    write_stack(&version, stack, &decision, details, context).await?; // IO
    applied.map(|()| decision.next)
}

/// Says on a stack that was never ready why it is not. One that was stays as it is: what cannot be asked at the moment may
/// well go on.
async fn explain(
    version: &Version,
    stack: &Sourced<HyperframesStack>,
    error: &Error,
    context: &Context,
) -> Result<(), Error> {
    let old = stack.object.status.as_ref();
    let ready = old.and_then(|status| conditions::find(&status.conditions, READY));
    if ready.is_some_and(|ready| ready.status == "True") || !matches!(error, Error::Backend { .. }) {
        return Ok(());
    }
    let state = StackState::Pending(error.to_string());
    let decision = StackDecision { state, effect: None, next: Next::AwaitChange };
    write_stack(version, stack, &decision, old.and_then(|status| status.aws.clone()), context).await
}

/// Writes the status if it differs, and tells users of a new state.
#[instrument(level = "debug", skip_all)]
async fn write_stack(
    version: &Version,
    stack: &Sourced<HyperframesStack>,
    decision: &StackDecision,
    details: Option<AwsStackStatus>,
    context: &Context,
) -> Result<(), Error> {
    let old = stack.object.status.as_ref();
    let new = stack_status(&stack.object, decision, details, (context.now)()); // pure
    if old != Some(&new) {
        context.store.write_stack_status(&stack.object, new.clone()).await?; // IO
        tell::stack(version, old, &new, &*context.store).await; // IO
    }
    Ok(())
}

/// Who has to know that a stack has changed: all that wait for it where it could not render, or cannot any more, or nobody
/// knew; else those that have an attempt on it, of which nothing need run, and those that may start.
fn renders_that_wait(
    key: &ObjectKey,
    before: Option<&StackSeen>,
    now: &StackSeen,
    context: &Context,
) -> Vec<ObjectKey> {
    let queue = context.store.queue(key);
    let cannot_render = |seen: &StackSeen| matches!(seen.report, Ok(StackReport::NotReady(_)) | Err(_));
    if before.is_none_or(cannot_render) || cannot_render(now) {
        return queue.everybody();
    }
    let slots = match now.report {
        Ok(StackReport::Ready(ref capacity)) => capacity.slots,
        _ => 1,
    };
    queue.with_attempts().chain(context.slots.startable(key, &queue, slots)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
