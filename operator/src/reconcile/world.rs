//! A world in which anything may happen, in any order, while the real driver and the real reconciler keep several Renders and
//! stacks as they are asked to be: edits, deletions, cancels, retries, drains, failing and slow calls, lost answers, stale
//! reads, and a controller that ends before or after any call of a port. Time is paused: a world takes a millisecond.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use crds::{
    Code, Failure, HyperframesStack, HyperframesStackSpec, Period, Render, RenderSpec, RenderStatus,
    condition::{FINISHED, QUEUED, RUNNING, SOURCE_NOT_READY, SUCCEEDED, SUSPENDED},
    manifest::Object,
    render::{AttemptResult, DesiredState, RequestVerb, StackRef},
};
use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use tokio::{sync::Notify, time::Instant};

use super::{
    Context,
    conditions::{self, oracle},
    driver::{Progress, Unobserved, drive},
    flux,
    queue::{BUILT_IN, Rank},
    requests,
};
use crate::{
    backend::scripted::{Home, ScriptedBackend},
    error::Error,
    object::metadata,
    ports::{Kind, ObjectKey, StackCapacity, StackReport, Store as _},
    source::{SourceError, Sources, scripted::ScriptedSources},
    store::memory::{Chaos, LONGEST_LOOK, MemoryStore},
};

const RENDERS: usize = 5;
/// Stands for a deadline that is far away.
const FAR: u8 = 12;
/// A process that was asked to end, with nothing running any more, has ended after this.
const DRAINED: Duration = Duration::from_mins(10);

thread_local! {
    static BEGINNING: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn now() -> Timestamp {
    let beginning = BEGINNING.get().unwrap();
    Timestamp::from_second(1_800_000_000).unwrap() + Instant::now().duration_since(beginning)
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A user creates a Render, or edits its spec.
    Apply {
        render: usize,
        priority: i32,
        stack: usize,
        input: u8,
    },
    Suspend(usize, bool),
    CancelSpec(usize, bool),
    /// Deadlines in seconds; 0 is none, [`FAR`] is hours.
    Deadlines {
        render: usize,
        queue: u8,
        active: u8,
    },
    /// Somebody asks for a look.
    Poke(usize, u8),
    /// The same video is wanted once more.
    Token(usize, u8),
    /// How many seconds it is kept once it has finished; 0 is for ever.
    Ttl(usize, u8),
    Ask(usize, RequestVerb),
    /// A user removes the annotation of a request that was taken.
    Unask(usize),
    Delete(usize),
    /// The composition changes.
    Digest(usize, u8),
    /// The composition cannot be used, or not be read.
    BreakSource(usize, bool),
    /// The composition has to be fetched first.
    Fetch(usize),
    /// A user creates a stack, or changes how many Renders may be under way on it.
    Stack(i32),
    DeleteStack,
    /// The stack of another namespace may be used, or may not be any more.
    Share(bool),
    BreakStack(bool),
    Progress(i32),
    Succeed,
    Fail(Code),
    LoseOutput(usize),
    /// Reads see what was before the last write.
    Stale(bool),
    /// The controller ends at a call of a port, before or after it has taken effect.
    EndAt {
        calls: u32,
        after: bool,
    },
    /// Calls fail, before or after they have taken effect.
    FailCalls {
        calls: u32,
        after: bool,
    },
    /// The controller is asked to end, and begins anew.
    Drain,
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{
        Apply, Ask, BreakSource, BreakStack, CancelSpec, Deadlines, Delete, DeleteStack, Digest, Drain, EndAt, Fail,
        FailCalls, Fetch, LoseOutput, Poke, Progress, Share, Stack, Stale, Succeed, Suspend, Token, Ttl, Unask, Wait,
    };
    let render = 0..RENDERS;
    let deadline = prop_oneof![3 => 0..FAR, 1 => Just(FAR)];
    let code = prop_oneof![Just(Code::ScriptError), Just(Code::BrowserFailed), Just(Code::NotWritable)];
    let verb = prop_oneof![Just(RequestVerb::Cancel), Just(RequestVerb::Retry)];
    let one = prop_oneof![
        6 => (render.clone(), -1..2_i32, 0..3_usize, 0..2_u8)
            .prop_map(|(render, priority, stack, input)| Apply { render, priority, stack, input }),
        1 => (render.clone(), any::<bool>()).prop_map(|(render, on)| Suspend(render, on)),
        1 => (render.clone(), any::<bool>()).prop_map(|(render, on)| CancelSpec(render, on)),
        2 => (render.clone(), deadline.clone(), deadline)
            .prop_map(|(render, queue, active)| Deadlines { render, queue, active }),
        1 => (render.clone(), any::<u8>()).prop_map(|(render, at)| Poke(render, at)),
        1 => (render.clone(), any::<u8>()).prop_map(|(render, token)| Token(render, token)),
        1 => (render.clone(), 0..8_u8).prop_map(|(render, ttl)| Ttl(render, ttl)),
        2 => (render.clone(), verb).prop_map(|(render, verb)| Ask(render, verb)),
        1 => render.clone().prop_map(Unask),
        1 => render.clone().prop_map(Delete),
        1 => (render.clone(), 0..3_u8).prop_map(|(render, digest)| Digest(render, digest)),
        1 => (render.clone(), any::<bool>()).prop_map(|(render, invalid)| BreakSource(render, invalid)),
        1 => render.clone().prop_map(Fetch),
        2 => (1..4_i32).prop_map(Stack),
        1 => Just(DeleteStack),
        2 => any::<bool>().prop_map(Share),
        1 => any::<bool>().prop_map(BreakStack),
        3 => (1..30_i32).prop_map(Progress),
        3 => Just(Succeed),
        2 => code.prop_map(Fail),
        1 => render.prop_map(LoseOutput),
        1 => any::<bool>().prop_map(Stale),
        3 => (0..25_u32, any::<bool>()).prop_map(|(calls, after)| EndAt { calls, after }),
        2 => (1..6_u32, any::<bool>()).prop_map(|(calls, after)| FailCalls { calls, after }),
        1 => Just(Drain),
        8 => (1..4000_u16).prop_map(Wait),
    ];
    proptest::collection::vec(one, 1..40)
}

/// What goes wrong with calls of ports.
#[derive(Default)]
struct Trouble {
    state: Mutex<TroubleState>,
    ended: Notify,
}

#[derive(Default)]
struct TroubleState {
    seed: u64,
    end_at: Option<(u32, bool)>,
    failing: u32,
    fail_after: bool,
    dead: bool,
}

impl Trouble {
    fn state(&self) -> MutexGuard<'_, TroubleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing goes wrong.
    fn end(&self) {
        let mut state = self.state();
        (state.end_at, state.failing) = (None, 0);
    }

    async fn point(&self, after: bool) -> Result<(), Error> {
        let (delay, ends, fails) = {
            let mut state = self.state();
            state.seed = state.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dice = state.seed >> 40;
            let delay = if dice.is_multiple_of(4) { Duration::from_millis(dice % 40) } else { Duration::ZERO };
            let ends = match &mut state.end_at {
                Some((0, when)) => *when == after,
                Some((left, _)) => {
                    *left -= u32::from(!after);
                    false
                }
                None => false,
            };
            state.dead |= ends;
            let fails = state.failing > 0 && state.fail_after == after;
            state.failing -= u32::from(fails);
            (delay, state.dead, fails)
        };
        if ends {
            self.ended.notify_one();
            return std::future::pending().await;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if fails { Err(Error::Io(io::ErrorKind::TimedOut.into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Chaos for Trouble {
    async fn before(&self, _: &'static str) -> Result<(), Error> {
        self.point(false).await
    }

    async fn after(&self, _: &'static str) -> Result<(), Error> {
        self.point(true).await
    }
}

/// What was seen of the statuses that were written.
#[derive(Default)]
struct Witness {
    wrong: Vec<String>,
    /// Renders that wait, since when, and in which order.
    queued: BTreeMap<ObjectKey, (Timestamp, Rank, String)>,
    /// How many slots each stack has had, and since when.
    slots: BTreeMap<String, Vec<(Timestamp, usize)>>,
    /// When progress was last written, and how far it was.
    progress: BTreeMap<ObjectKey, (Timestamp, i32)>,
}

impl Witness {
    fn wrote(&mut self, at: Timestamp, before: &Object, after: Option<&Object>, backend: &ScriptedBackend) {
        match (before, after) {
            (Object::Render(before), Some(Object::Render(after))) if before.status != after.status => {
                self.wrote_render(at, before, after, backend);
            }
            (Object::Stack(before), Some(Object::Stack(after))) if before.status != after.status => {
                let status = after.status.as_ref().unwrap();
                self.judge(after.metadata.generation, status.observed_generation, &status.conditions);
            }
            (Object::Render(before), Some(Object::Render(after)))
                if before.metadata.deletion_timestamp != after.metadata.deletion_timestamp =>
            {
                self.deleted(at, before);
            }
            (Object::Render(before), None) => drop(self.queued.remove(&ObjectKey::render(before))),
            _ => {}
        }
    }

    fn judge(&mut self, generation: Option<i64>, observed: Option<i64>, conditions: &[conditions::Condition]) {
        let broken = oracle::broken(generation.unwrap(), observed, conditions);
        self.wrong.extend((!broken.is_empty()).then(|| format!("{broken:?} in {conditions:#?}")));
    }

    fn wrote_render(&mut self, at: Timestamp, before: &Render, after: &Render, backend: &ScriptedBackend) {
        let key = ObjectKey::render(after);
        let status = after.status.as_ref().unwrap();
        let old = before.status.clone().unwrap_or_default();
        self.judge(after.metadata.generation, status.observed_generation, &status.conditions);
        if status.attempt < old.attempt || status.attempts.len() > 5 {
            self.wrong.push(format!("attempt {:?} after {:?}", status.attempt, old.attempt));
        }
        if status.attempts.iter().rev().skip(1).any(|attempt| attempt.stop_time.is_none()) {
            self.wrong.push(format!("{key}: an old attempt has no end"));
        }
        self.progress_within_budget(at, &key, &old, status);
        self.in_time(at, &key, &after.spec, reason(&old).as_deref(), status);
        let waits = reason(status).as_deref() == Some(QUEUED) && is_closed(status);
        let place = after.spec.stack_ref.as_ref().map_or(BUILT_IN, |stack| &stack.name).to_owned();
        if waits {
            self.queued.entry(key).or_insert((at, Rank::of(after), place));
            return;
        }
        self.queued.remove(&key);
        if status.attempt > old.attempt {
            self.started_in_order(at, &key, &Rank::of(after), &place, backend);
        }
    }

    /// Only what has finished long enough ago is deleted by us.
    fn deleted(&mut self, at: Timestamp, render: &Render) {
        let status = render.status.clone().unwrap_or_default();
        let finished = conditions::find(&status.conditions, FINISHED).filter(|finished| finished.status == "True");
        let due = finished.zip(render.spec.ttl.as_ref());
        let due = due.map(|(finished, ttl)| finished.last_transition_time.0 + ttl.duration());
        if due.is_none_or(|due| at < due) || status.observed_generation != render.metadata.generation {
            self.wrong.push(format!("deleted before its time: {render:#?}"));
        }
        self.queued.remove(&ObjectKey::render(render));
    }

    /// Nothing ends before its deadline, and nothing is seen to go on after it.
    fn in_time(&mut self, at: Timestamp, key: &ObjectKey, spec: &RenderSpec, before: Option<&str>, new: &RenderStatus) {
        let passed = |since: &Option<Time>, deadline: &Option<Period>| {
            let due = since.as_ref().zip(deadline.as_ref()).map(|(since, deadline)| since.0 + deadline.duration());
            due.map(|due| Duration::try_from(at.duration_since(due)).ok())
        };
        let turn = passed(&new.queued_time, &spec.queue_deadline);
        let done = passed(&new.start_time, &spec.active_deadline);
        let now = reason(new).unwrap_or_default();
        for (code, deadline, goes_on) in [
            (Code::QueueDeadlineExceeded, turn, now == QUEUED && is_closed(new)),
            (Code::ActiveDeadlineExceeded, done, now == RUNNING),
        ] {
            if now == code.as_str() && before != Some(&now) && !matches!(deadline, Some(Some(_))) {
                self.wrong.push(format!("{key}: {code} before its time: {new:#?}"));
            }
            if goes_on && deadline.flatten().is_some_and(|late| late > LONGEST_LOOK) {
                self.wrong.push(format!("{key}: {now} after its deadline: {new:#?}"));
            }
        }
    }

    /// Whoever is before it in the queue, and has been for longer than a look takes, has a slot too.
    fn started_in_order(
        &mut self,
        at: Timestamp,
        key: &ObjectKey,
        rank: &Rank,
        place: &str,
        backend: &ScriptedBackend,
    ) {
        let recent = |since: Timestamp| Duration::try_from(at.duration_since(since)).unwrap() <= LONGEST_LOOK;
        let before =
            self.queued.iter().filter(|(_, (since, other, stack))| stack == place && other < rank && !recent(*since));
        let before: Vec<_> = before.map(|(other, _)| other.name.clone()).collect();
        let history = self.slots.get(place).map(Vec::as_slice).unwrap_or_default();
        let lately =
            history.iter().enumerate().filter(|(index, _)| history.get(index + 1).is_none_or(|next| recent(next.0)));
        let slots = lately.map(|(_, (_, slots))| *slots).max().unwrap_or(1);
        let here = ObjectKey { kind: Kind::Stack, namespace: key.namespace.clone(), name: place.to_owned() };
        let stack = if place == shared_key().name { shared_key() } else { here };
        if !before.is_empty() && before.len() + backend.running_on(&stack) >= slots {
            self.wrong.push(format!("{key} was started before {before:?}, with {slots} slots"));
        }
    }

    fn progress_within_budget(&mut self, at: Timestamp, key: &ObjectKey, old: &RenderStatus, new: &RenderStatus) {
        let Some(progress) = &new.progress else {
            self.progress.remove(key);
            return;
        };
        let only_progress = RenderStatus { progress: new.progress.clone(), ..old.clone() } == *new;
        if let (true, Some((last, percent))) = (only_progress, self.progress.get(key)) {
            let passed = Duration::try_from(at.duration_since(*last)).unwrap();
            if passed + LONGEST_LOOK < Duration::from_secs(2) && progress.percent - percent < 5 {
                self.wrong.push(format!("{key}: {} % after {percent} % and {passed:?}", progress.percent));
            }
        }
        self.progress.insert(key.clone(), (at, progress.percent));
    }
}

fn reason(status: &RenderStatus) -> Option<String> {
    conditions::find(&status.conditions, SUCCEEDED).map(|condition| condition.reason.clone())
}

fn is_closed(status: &RenderStatus) -> bool {
    status.attempts.last().is_none_or(|attempt| attempt.stop_time.is_some())
}

struct World {
    store: Arc<MemoryStore>,
    backend: Arc<ScriptedBackend>,
    sources: Arc<Sources>,
    trouble: Arc<Trouble>,
    witness: Arc<Mutex<Witness>>,
    process: Option<Process>,
    /// Of which object something was asked last, and when.
    asked: BTreeMap<ObjectKey, (Option<String>, Timestamp)>,
    /// How often something was made again because a user wanted it, or because it was lost.
    again: BTreeMap<ObjectKey, u32>,
    deleted: BTreeSet<ObjectKey>,
    digests: BTreeMap<ObjectKey, String>,
    unreadable: BTreeSet<ObjectKey>,
    coming: BTreeSet<usize>,
}

struct Process {
    driving: BoxFuture<'static, Progress>,
    context: Arc<Context>,
    settled: Arc<AtomicBool>,
}

fn render_key(render: usize) -> ObjectKey {
    ObjectKey { kind: Kind::Render, namespace: "default".into(), name: format!("r{render}") }
}

fn stack_key() -> ObjectKey {
    ObjectKey { kind: Kind::Stack, namespace: "default".into(), name: "stack".into() }
}

/// A stack of another namespace.
fn shared_key() -> ObjectKey {
    ObjectKey { kind: Kind::Stack, namespace: "studio".into(), name: "shared".into() }
}

fn built_in() -> ObjectKey {
    ObjectKey { name: BUILT_IN.into(), ..stack_key() }
}

/// A length of time; none where it is 0.
fn seconds(seconds: u8) -> Option<Period> {
    (seconds > 0).then(|| format!("{seconds}s").parse().unwrap())
}

/// A deadline of so many seconds, or one that passes after the world has ended: nobody is woken by it.
fn deadline(after: u8) -> Option<Period> {
    if after == FAR { Some("10h".parse().unwrap()) } else { seconds(after) }
}

fn ready(slots: i32) -> StackReport {
    StackReport::Ready(StackCapacity {
        parallel_chunks: slots,
        slots: usize::try_from(slots).unwrap(),
        ..StackCapacity::default()
    })
}

impl World {
    fn new(home: Home, seed: u64) -> Self {
        BEGINNING.set(Some(Instant::now()));
        let trouble = Arc::new(Trouble::default());
        trouble.state().seed = seed;
        let witness: Arc<Mutex<Witness>> = Arc::default();
        let backend = Arc::new(ScriptedBackend::new(Arc::clone(&trouble) as _, home));
        let (seen, truth) = (Arc::clone(&witness), Arc::clone(&backend));
        let on_write = move |at, before: &Object, after: Option<&Object>| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).wrote(at, before, after, &truth);
        };
        let store = Arc::new(MemoryStore::new(Arc::clone(&trouble) as _, now, Box::new(on_write)));
        let sources = Arc::new(Sources::Scripted(ScriptedSources::default()));
        let mut world = Self {
            store,
            backend,
            sources,
            trouble,
            witness,
            process: None,
            asked: BTreeMap::new(),
            again: BTreeMap::new(),
            deleted: BTreeSet::new(),
            digests: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            coming: BTreeSet::new(),
        };
        // The stack of Renders that name none.
        world.apply_stack(&built_in(), 1, &[]);
        world.begin();
        world
    }

    fn begin(&mut self) {
        let mut state = self.trouble.state();
        (state.dead, state.end_at) = (false, None);
        drop(state);
        self.witness().progress.clear();
        self.backend.restart();
        let context =
            Context::new(Arc::clone(&self.store) as _, Arc::clone(&self.backend) as _, Arc::clone(&self.sources), now);
        let context = Arc::new(context);
        let settled = Arc::new(AtomicBool::new(false));
        let done = {
            let (context, settled) = (Arc::clone(&context), Arc::clone(&settled));
            let (store, backend) = (Arc::clone(&self.store), Arc::clone(&self.backend));
            move |progress: &Progress| {
                let all = progress.is_settled(u32::MAX) && progress.seen() >= store.keys().len();
                settled.store(all, Ordering::Relaxed);
                context.is_draining() && all && backend.is_idle()
            }
        };
        let driving = drive(Arc::clone(&context), &Unobserved, done).boxed();
        self.process = Some(Process { driving, context, settled });
    }

    /// Lets time pass. A controller that ends begins anew.
    async fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let Some(process) = &mut self.process else {
                self.begin();
                continue;
            };
            tokio::select! {
                biased;
                () = self.trouble.ended.notified() => self.process = None,
                _ = &mut process.driving => self.process = None,
                () = tokio::time::sleep_until(end) => {}
            }
        }
        if self.process.is_none() {
            self.begin();
        }
    }

    fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sources(&self) -> &ScriptedSources {
        match &*self.sources {
            Sources::Scripted(sources) => sources,
            Sources::Disk(_) => unreachable!("worlds have no disks"),
        }
    }

    fn spec(&self, render: usize) -> Option<RenderSpec> {
        match self.store.get(&render_key(render))? {
            Object::Render(render) => Some(render.spec.clone()),
            Object::Stack(_) => None,
        }
    }

    fn status(&self, key: &ObjectKey) -> Option<RenderStatus> {
        match self.store.get(key)? {
            Object::Render(render) => Some(render.status.clone().unwrap_or_default()),
            Object::Stack(_) => None,
        }
    }

    fn apply(&mut self, render: usize, spec: RenderSpec) {
        let key = render_key(render);
        let deleting = self.store.get(&key).is_some_and(|object| metadata(&object).deletion_timestamp.is_some());
        if !deleting {
            self.witness().queued.remove(&key);
            self.store.apply(Object::Render(Arc::new(Render::new(&key.name, spec))));
        }
    }

    fn edit(&mut self, render: usize, edit: impl FnOnce(&mut RenderSpec)) {
        if let Some(mut spec) = self.spec(render) {
            edit(&mut spec);
            self.apply(render, spec);
        }
    }

    fn apply_stack(&self, key: &ObjectKey, slots: i32, allowed: &[&str]) {
        self.backend.set_stack(key, ready(slots));
        let slots = usize::try_from(slots).unwrap();
        self.witness().slots.entry(key.name.clone()).or_default().push((now(), slots));
        let allowed_namespaces = allowed.iter().map(ToString::to_string).collect();
        let spec = HyperframesStackSpec { allowed_namespaces, ..HyperframesStackSpec::default() };
        let mut stack = HyperframesStack::new(&key.name, spec);
        stack.metadata.namespace = Some(key.namespace.clone());
        self.store.apply(Object::Stack(Arc::new(stack)));
    }

    fn set_digest(&mut self, render: usize, digest: &str) {
        let key = render_key(render);
        if self.digests.insert(key.clone(), digest.to_owned()).as_deref().unwrap_or("0") != digest {
            self.backend.wants_other_inputs(&key);
        }
        self.unreadable.remove(&key);
        self.sources().set(&key, Ok(digest.to_owned()));
    }

    /// Something may rightly be made once more.
    fn allow_again(&mut self, key: &ObjectKey) {
        *self.again.entry(key.clone()).or_default() += 1;
    }

    #[expect(clippy::too_many_lines, reason = "one line for each thing that may happen")]
    async fn happen(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Apply { render, priority, stack, input } => {
                let mut spec = self.spec(render).unwrap_or_default();
                spec.priority = priority;
                let named = [built_in(), stack_key(), shared_key()][stack].clone();
                let namespace = (named.namespace != "default").then_some(named.namespace);
                let stack = Some(StackRef { name: named.name, namespace });
                if std::mem::replace(&mut spec.stack_ref, stack.clone()) != stack {
                    // What another stack was making when the process ended is of no use here.
                    self.allow_again(&render_key(render));
                }
                let old = spec.variables.insert("input".into(), input.into());
                if old != Some(input.into()) {
                    self.backend.wants_other_inputs(&render_key(render));
                }
                self.apply(render, spec);
            }
            Step::Suspend(render, suspend) => self.edit(render, |spec| spec.suspend = suspend),
            Step::CancelSpec(render, cancelled) => {
                let state = if cancelled { DesiredState::Cancelled } else { DesiredState::Running };
                self.edit(render, |spec| spec.desired_state = state);
            }
            Step::Deadlines { render, queue, active } => {
                self.edit(render, |spec| {
                    (spec.queue_deadline, spec.active_deadline) = (deadline(queue), deadline(active));
                });
                // What was made for an attempt that was given up is made once more.
                self.again.insert(render_key(render), 1000);
            }
            Step::Poke(render, at) => {
                self.store.annotate(&render_key(render), flux::ANNOTATION, Some(at.to_string()));
            }
            Step::Token(render, token) => {
                self.edit(render, |spec| spec.run_token = Some(token.to_string()));
                self.allow_again(&render_key(render));
            }
            Step::Ttl(render, ttl) => {
                self.edit(render, |spec| spec.ttl = seconds(ttl));
                // Another of its name is another video.
                self.again.insert(render_key(render), 1000);
            }
            Step::Ask(render, verb) => self.ask(&render_key(render), verb),
            Step::Unask(render) => self.unask(&render_key(render)),
            Step::Delete(render) => {
                self.store.delete(&render_key(render));
                self.deleted.insert(render_key(render));
                self.witness().queued.remove(&render_key(render));
                self.asked.remove(&render_key(render));
                self.again.insert(render_key(render), 1000);
            }
            Step::Digest(render, digest) => self.set_digest(render, &digest.to_string()),
            Step::BreakSource(render, invalid) => {
                let failure = Failure::new(Code::ProjectNotFound, "m");
                let problem = if invalid { SourceError::Invalid(failure) } else { SourceError::Unreadable(failure) };
                self.sources().set(&render_key(render), Err(problem));
                self.unreadable.remove(&render_key(render));
                self.unreadable.extend((!invalid).then(|| render_key(render)));
            }
            Step::Fetch(render) => {
                self.sources().set(&render_key(render), Err(SourceError::Coming("m".into())));
                self.coming.insert(render);
            }
            Step::Stack(slots) => self.apply_stack(&stack_key(), slots, &[]),
            Step::Share(with) => {
                self.apply_stack(&shared_key(), 1, if with { &["default"] } else { &[] });
                // What was interrupted there cannot go on.
                (0..RENDERS).for_each(|render| self.allow_again(&render_key(render)));
            }
            Step::DeleteStack => {
                self.store.delete(&stack_key());
                self.deleted.insert(stack_key());
            }
            Step::BreakStack(broken) => {
                let failure = Failure::new(Code::BrowserNotFound, "m");
                let report = if broken { StackReport::NotReady(failure) } else { ready(1) };
                self.backend.set_stack(&built_in(), report);
            }
            Step::Progress(percent) => self.backend.progress(percent),
            Step::Succeed => self.backend.succeed(),
            Step::Fail(code) => self.backend.fail(&Failure::new(code, "m")),
            Step::LoseOutput(render) => {
                self.backend.lose_output(&format!("/out/r{render}.mp4"));
                self.allow_again(&render_key(render));
            }
            Step::Stale(stale) => self.store.set_stale(stale),
            Step::EndAt { calls, after } => self.trouble.state().end_at = Some((calls, after)),
            Step::FailCalls { calls, after } => {
                let mut state = self.trouble.state();
                (state.failing, state.fail_after) = (calls, after);
            }
            Step::Drain => self.drain().await?,
            Step::Wait(ms) => self.run(Duration::from_millis(ms.into())).await,
        }
        self.no_harm()
    }

    fn ask(&mut self, key: &ObjectKey, verb: RequestVerb) {
        let Some(object) = self.store.get(key) else { return };
        // Two requests at the same instant are one.
        if self.asked.get(key).is_none_or(|(_, at)| *at != now()) {
            self.store.annotate(key, requests::annotation(verb), Some(now().to_string()));
            self.asked.insert(key.clone(), (metadata(&object).uid.clone(), now()));
            self.allow_again(key);
        }
    }

    fn unask(&mut self, key: &ObjectKey) {
        let taken = self.status(key).and_then(|status| status.request).map(|request| request.requested_time.0);
        if taken.is_some() && taken >= self.asked.get(key).map(|(_, at)| *at) {
            requests::VERBS.into_iter().for_each(|verb| self.store.annotate(key, requests::annotation(verb), None));
        }
    }

    /// The controller is asked to end: it does, whatever waits.
    async fn drain(&mut self) -> Result<(), TestCaseError> {
        self.trouble.end();
        if self.trouble.state().dead {
            self.begin();
        }
        self.store.set_stale(false);
        let Some(process) = &mut self.process else { return Ok(()) };
        process.context.drain();
        self.backend.stop();
        self.store.keys().into_iter().for_each(|key| self.backend.touch(key));
        let ended = tokio::time::timeout(DRAINED, &mut process.driving).await;
        prop_assert!(ended.is_ok(), "a drained controller does not end: {:#?}", self.store.keys());
        self.begin();
        Ok(())
    }

    fn no_harm(&self) -> Result<(), TestCaseError> {
        let wrong = [self.witness().wrong.clone(), self.backend.wrong()].concat();
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
        for key in self.store.keys().into_iter().filter(|key| key.kind == Kind::Render) {
            let allowed = 1 + self.again.get(&key).copied().unwrap_or(0);
            let most = self.backend.most_finished(&key);
            prop_assert!(most <= allowed, "{key} was made {most} times for the same inputs, {allowed} were asked for");
        }
        Ok(())
    }

    /// Left alone in a kind world, everything ends as it should, and then nothing happens any more: at first what can be
    /// read, whatever cannot, then all.
    async fn comes_to_rest(&mut self) -> Result<(), TestCaseError> {
        self.trouble.end();
        self.store.set_stale(false);
        self.backend.set_stack(&built_in(), ready(1));
        for render in std::mem::take(&mut self.coming) {
            self.set_digest(render, "0");
        }
        self.rests().await?;
        for render in 0..RENDERS {
            self.set_digest(render, "0");
        }
        self.rests().await
    }

    async fn rests(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..40 {
            self.run(Duration::from_secs(30)).await;
            self.backend.succeed();
            self.no_harm()?;
        }
        self.run(Duration::from_mins(15)).await;
        let settled = self.process.as_ref().is_some_and(|process| process.settled.load(Ordering::Relaxed));
        let keys = self.store.keys();
        let states: Vec<_> =
            keys.iter().map(|key| (&key.name, self.status(key).and_then(|status| reason(&status)))).collect();
        prop_assert!(settled, "something is stuck: {states:?}");
        prop_assert_eq!(self.backend.running_for_others(&keys), 0, "something runs for nobody");
        for key in &keys {
            self.is_as_asked(key)?;
        }
        self.no_harm()
    }

    fn is_as_asked(&self, key: &ObjectKey) -> Result<(), TestCaseError> {
        let Some(object) = self.store.get(key) else { return Ok(()) };
        prop_assert!(metadata(&object).deletion_timestamp.is_none(), "{} is not gone", key);
        let Object::Render(render) = object else { return Ok(()) };
        let status = render.status.clone().unwrap_or_default();
        if let Some((_, asked)) = self.asked.get(key).filter(|(uid, _)| *uid == render.metadata.uid) {
            let taken = status.request.as_ref().map(|request| request.requested_time.0);
            prop_assert!(taken.is_some_and(|taken| taken >= *asked), "{}: a request was lost", key);
        }
        let asked = flux::asked(&render.metadata);
        prop_assert_eq!(status.last_handled_reconcile_at.as_deref(), asked, "{} was not looked at", key);
        if reason(&status).as_deref() == Some(SOURCE_NOT_READY) && self.unreadable.contains(key) {
            return Ok(());
        }
        prop_assert!(is_closed(&status), "{} has an open attempt: {:#?}", key, status);
        let has_stack = self.store.stack_of(&render).is_ok();
        let finished = conditions::is_true(&status.conditions, FINISHED);
        prop_assert!(!finished || render.spec.ttl.is_none(), "{} has outlived its time", key);
        let held = render.spec.suspend && reason(&status).as_deref() == Some(SUSPENDED);
        prop_assert!(finished || held || !has_stack, "{} is neither done nor held: {:#?}", key, status);
        let made = status.attempts.last().is_some_and(|attempt| attempt.result == Some(AttemptResult::Succeeded));
        let succeeded = conditions::is_true(&status.conditions, SUCCEEDED);
        let token = render.spec.run_token.as_ref();
        let made_for_it = token.is_none() || status.run_token.as_ref() == token;
        prop_assert!(!succeeded || made_for_it, "{} was not made for its token: {:#?}", key, status);
        prop_assert!(!succeeded || made, "{} has a video that nobody made: {:#?}", key, status);
        Ok(())
    }
}

fn world(home: Home, seed: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        tracing::debug!(?home, seed, ?steps, "a world begins");
        let mut world = World::new(home, seed);
        for step in steps {
            tracing::debug!(?step, at = %now(), "happens");
            world.happen(step).await?;
        }
        world.comes_to_rest().await
    })
}

/// A test of worlds in which nothing goes wrong, each with calls that take their own time.
#[expect(clippy::needless_pass_by_value, reason = "tests read better without a reference")]
fn alone(seeds: Range<u64>, test: impl AsyncFn(&mut World)) {
    for (home, seed) in
        [Home::Process, Home::Elsewhere].into_iter().flat_map(|home| seeds.clone().map(move |seed| (home, seed)))
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { test(&mut World::new(home, seed)).await });
    }
}

impl World {
    async fn reads(&mut self, seconds: u64, expected: &[&str]) {
        self.run(Duration::from_secs(seconds)).await;
        let states =
            (0..expected.len()).map(|render| self.status(&render_key(render)).and_then(|status| reason(&status)));
        assert_eq!(states.map(Option::unwrap_or_default).collect::<Vec<_>>(), expected);
        self.no_harm().unwrap();
    }
}

/// Nothing else happens that could have anybody look.
#[test]
fn deadlines_pass_by_themselves() {
    alone(0..1, async |world| {
        world.apply(0, RenderSpec { active_deadline: seconds(40), ..RenderSpec::default() });
        world.reads(1, &["Running"]).await;
        world.apply(1, RenderSpec { queue_deadline: seconds(20), ..RenderSpec::default() });
        world.apply(2, RenderSpec { queue_deadline: seconds(60), ..RenderSpec::default() });
        world.reads(19, &["Running", "Queued", "Queued"]).await;
        world.reads(3, &["Running", "QUEUE_DEADLINE_EXCEEDED", "Queued"]).await;
        world.reads(16, &["Running", "QUEUE_DEADLINE_EXCEEDED", "Queued"]).await;
        world.reads(4, &["ACTIVE_DEADLINE_EXCEEDED", "QUEUE_DEADLINE_EXCEEDED", "Running"]).await;
        assert_eq!(world.backend.running_on(&built_in()), 1);
        // A longer deadline lets it wait on.
        world.edit(1, |spec| spec.queue_deadline = seconds(200));
        world.reads(1, &["ACTIVE_DEADLINE_EXCEEDED", "Queued", "Running"]).await;
    });
}

/// The stack is made while the Render is told that it is in the making; until then it was finished, and waited for nothing.
#[test]
fn what_is_to_wait_for_a_stack_that_was_made_meanwhile_begins() {
    alone(0..100, async |world| {
        world.apply(0, RenderSpec::default());
        world.reads(5, &["Running"]).await;
        world.backend.fail(&Failure::new(Code::ScriptError, "m"));
        world.reads(5, &["SCRIPT_ERROR"]).await;
        world.edit(0, |spec| (spec.run_token, spec.queue_deadline) = (Some("a".to_owned()), deadline(FAR)));
        world.begin();
        world.reads(5, &["Running"]).await;
    });
}

#[test]
fn what_has_finished_goes_when_its_time_has_passed() {
    alone(0..1, async |world| {
        world.apply(0, RenderSpec { ttl: seconds(60), ..RenderSpec::default() });
        world.apply(1, RenderSpec::default());
        world.reads(5, &["Running", "Queued"]).await;
        world.backend.fail(&Failure::new(Code::ScriptError, "m"));
        world.reads(59, &["SCRIPT_ERROR", "Running"]).await;
        world.run(Duration::from_secs(7)).await;
        assert_eq!(world.store.keys().len(), 2, "one Render and its stack");
    });
}

/// So many worlds; `HF_WORLDS` asks for more.
fn config() -> ProptestConfig {
    #[expect(clippy::disallowed_methods, reason = "a test asks how long it may take")]
    let cases = std::env::var("HF_WORLDS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(5000);
    ProptestConfig { cases, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_runs_in_the_controllers_process_is_as_asked_whatever_happens(seed: u64, steps in steps()) {
        world(Home::Process, seed, steps)?;
    }

    #[test]
    fn what_runs_elsewhere_is_as_asked_whatever_happens(seed: u64, steps in steps()) {
        world(Home::Elsewhere, seed, steps)?;
    }
}
