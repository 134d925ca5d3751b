//! Which Renders of a stack may start: a pure function of the Renders that run or want to, never a lock in memory.
//!
//! [`QueueIndex`] is kept by a store and updated with every change, O(log n); a [`QueueView`] is a snapshot of one stack's
//! part of it, taken in O(1). Admission counts at most as many entries as there are slots.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use crds::{
    HyperframesStack, Render,
    condition::{FINISHED, RETRYING, SOURCE_NOT_READY, STACK_NOT_FOUND, SUCCEEDED},
    render::{AttemptStatus, DesiredState, StackRef},
};
use jiff::Timestamp;
use kube::ResourceExt as _;
use rpds::RedBlackTreeMapSync;

use super::conditions;
use crate::object::{Kind, ObjectKey};

/// Name of the built-in stack of a namespace without any, in file mode.
pub const BUILT_IN: &str = "built-in";

/// Places behind this one are all reported as it: nobody counts 10,000 Renders for each of 10,000.
const LAST_PLACE: i32 = 100;

/// Whether a Render may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admitted,
    /// It waits; place in the queue from 1, and 100 for all places behind.
    Waiting(i32),
}

/// The order of Renders: higher priority first, then age, then uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    priority: Reverse<i32>,
    created: Option<Timestamp>,
    uid: String,
}

impl Rank {
    /// The rank of a Render.
    #[must_use]
    pub fn of(render: &Render) -> Self {
        let created = render.creation_timestamp().map(|time| time.0);
        Self { priority: Reverse(render.spec.priority), created, uid: render.uid().unwrap_or_default() }
    }
}

type Ranked = RedBlackTreeMapSync<Rank, ObjectKey>;

/// The Renders of one stack that have an open attempt, and those that wait for one. A snapshot: cloning it is O(1).
#[derive(Clone, Debug, Default)]
pub struct QueueView {
    active: Ranked,
    waiting: Ranked,
    version: u64,
}

impl QueueView {
    /// Differs from that of another snapshot of the same queue when anything in it does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everybody in it, best first.
    #[must_use]
    pub fn everybody(&self) -> Vec<ObjectKey> {
        self.active.values().chain(self.waiting.values()).cloned().collect()
    }

    /// Those with an open attempt, best first.
    pub fn with_attempts(&self) -> impl Iterator<Item = ObjectKey> {
        self.active.values().cloned()
    }

    /// How many have an open attempt.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.size()
    }
}

/// Where a Render stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// An attempt has a name and no end.
    Active,
    /// It would start if it could, as far as its spec and its own status say.
    Waiting,
    /// Neither: it takes nobody's place.
    Out,
}

impl Standing {
    fn of(render: &Render, orphaned: bool) -> Self {
        let status = render.status.as_ref();
        if open_attempt_stack(render).is_some() {
            return Self::Active;
        }
        let known = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let reason = conditions::find(known, SUCCEEDED).map(|succeeded| succeeded.reason.as_str());
        let held_up = matches!(reason, Some(RETRYING | SOURCE_NOT_READY | STACK_NOT_FOUND));
        let finished = conditions::is_true(known, FINISHED);
        let wanted = render.spec.desired_state == DesiredState::Running && !render.spec.suspend && !orphaned;
        let waits = wanted && !held_up && !finished && render.metadata.deletion_timestamp.is_none();
        if waits { Self::Waiting } else { Self::Out }
    }
}

/// The stack of a Render's open attempt, if it has one.
fn open_attempt_stack(render: &Render) -> Option<ObjectKey> {
    let attempt = render.status.as_ref()?.attempts.last()?;
    attempt.stop_time.is_none().then(|| attempt_stack(render, attempt))
}

/// The stack that a Render's attempt was named for.
#[must_use]
pub fn attempt_stack(render: &Render, attempt: &AttemptStatus) -> ObjectKey {
    let name = attempt.stack.clone().unwrap_or_else(|| BUILT_IN.to_owned());
    let namespace = attempt.stack_namespace.clone().unwrap_or_else(|| ObjectKey::render(render).namespace);
    ObjectKey { kind: Kind::Stack, namespace, name }
}

/// The queues of all stacks of a store.
#[derive(Debug, Default)]
pub struct QueueIndex {
    /// Namespaces without a stack have a built-in one.
    built_in: bool,
    /// Names by namespace, each with the other namespaces whose Renders may use it.
    stacks: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    renders: HashMap<ObjectKey, Entry>,
    queues: HashMap<ObjectKey, QueueView>,
    /// Counts changes.
    version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `spec.stackRef`.
    reference: Option<StackRef>,
    /// The stack of the open attempt.
    held: Option<ObjectKey>,
    rank: Rank,
    standing: Standing,
    /// The queue it is in.
    queue: Option<ObjectKey>,
}

impl QueueIndex {
    /// An empty index. `built_in`: a namespace without a stack has one all the same, as in file mode.
    #[must_use]
    pub fn new(built_in: bool) -> Self {
        Self { built_in, ..Self::default() }
    }

    /// Takes a Render in, as it is now. Returns who is first where it waited before, and may start now.
    pub fn put(&mut self, render: &Render, orphaned: bool) -> Option<ObjectKey> {
        let key = ObjectKey::render(render);
        let mut entry = Entry {
            reference: render.spec.stack_ref.clone(),
            held: open_attempt_stack(render),
            rank: Rank::of(render),
            standing: Standing::of(render, orphaned),
            queue: None,
        };
        entry.queue = self.queue_of(&key.namespace, &entry);
        if self.renders.get(&key) == Some(&entry) {
            return None;
        }
        let left = self.take_out(&key);
        self.link(&key, &entry);
        self.renders.insert(key.clone(), entry);
        left.and_then(|queue| self.first(&queue)).filter(|first| *first != key)
    }

    /// Forgets a Render. Returns who is first where it waited, and may start now.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        self.take_out(key).and_then(|queue| self.first(&queue))
    }

    fn take_out(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let entry = self.renders.remove(key)?;
        self.unlink(&entry);
        entry.queue
    }

    fn first(&self, queue: &ObjectKey) -> Option<ObjectKey> {
        self.queues.get(queue)?.waiting.values().next().cloned()
    }

    /// Takes a stack in. Returns the Renders that have another stack because of it, or one at last, or none any more.
    pub fn put_stack(&mut self, stack: &HyperframesStack) -> Vec<ObjectKey> {
        let ObjectKey { namespace, name, .. } = ObjectKey::stack(stack);
        let allowed = &stack.spec.allowed_namespaces;
        let known = self.stacks.entry(namespace.clone()).or_default().insert(name, allowed.clone());
        if known.as_ref() == Some(allowed) { Vec::new() } else { self.requeue(&namespace) }
    }

    /// Forgets a stack. Returns the Renders that have another stack because of it, or none any more.
    pub fn remove_stack(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        let known = self.stacks.get_mut(&key.namespace).is_some_and(|names| names.remove(&key.name).is_some());
        if known { self.requeue(&key.namespace) } else { Vec::new() }
    }

    /// The stack a Render runs on; why there is none, in one sentence.
    ///
    /// # Errors
    /// The sentence.
    pub fn stack_of(&self, render: &Render) -> Result<ObjectKey, String> {
        let namespace = ObjectKey::render(render).namespace;
        self.resolve(&namespace, render.spec.stack_ref.as_ref())
    }

    /// The queue of a stack.
    #[must_use]
    pub fn view(&self, stack: &ObjectKey) -> QueueView {
        self.queues.get(stack).cloned().unwrap_or_default()
    }

    fn resolve(&self, namespace: &str, reference: Option<&StackRef>) -> Result<ObjectKey, String> {
        let none = BTreeMap::new();
        let names = self.stacks.get(namespace).unwrap_or(&none);
        let name = match reference {
            Some(StackRef { name, namespace: Some(other) }) if other != namespace => {
                return self.resolve_elsewhere(namespace, other, name);
            }
            Some(StackRef { name, .. }) if names.contains_key(name) => name,
            Some(StackRef { name, .. }) => {
                return Err(format!("there is no HyperframesStack {name:?} in this namespace"));
            }
            None => match (names.len(), names.first_key_value()) {
                (1, Some((only, _))) => only,
                (0, _) if self.built_in => BUILT_IN,
                (0, _) => return Err("this namespace has no HyperframesStack: create one".to_owned()),
                (count, _) => return Err(format!("this namespace has {count} stacks: name one in spec.stackRef")),
            },
        };
        Ok(ObjectKey { kind: Kind::Stack, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// A stack of another namespace. One that is not there and one that may not be used are told alike: nobody learns what
    /// others have.
    fn resolve_elsewhere(&self, namespace: &str, other: &str, name: &str) -> Result<ObjectKey, String> {
        let allowed = self.stacks.get(other).and_then(|names| names.get(name));
        if allowed.is_some_and(|allowed| allowed.iter().any(|allowed| allowed == "*" || allowed == namespace)) {
            return Ok(ObjectKey { kind: Kind::Stack, namespace: other.to_owned(), name: name.to_owned() });
        }
        Err(format!(
            "namespace {other:?} has no HyperframesStack {name:?} that Renders of {namespace:?} may use: whoever keeps it can name {namespace:?} in its spec.allowedNamespaces"
        ))
    }

    fn queue_of(&self, namespace: &str, entry: &Entry) -> Option<ObjectKey> {
        match entry.standing {
            Standing::Active => entry.held.clone(),
            Standing::Waiting => self.resolve(namespace, entry.reference.as_ref()).ok(),
            Standing::Out => None,
        }
    }

    /// Finds the queues anew of all that may use the stacks of a namespace.
    fn requeue(&mut self, namespace: &str) -> Vec<ObjectKey> {
        let named =
            |entry: &Entry| entry.reference.as_ref().and_then(|stack| stack.namespace.as_deref()) == Some(namespace);
        let here = self.renders.iter().filter(|(key, entry)| key.namespace == namespace || named(entry));
        let here: Vec<_> = here.map(|(key, _)| key.clone()).collect();
        let mut affected = Vec::new();
        for key in here {
            let Some(mut entry) = self.renders.remove(&key) else { continue };
            self.unlink(&entry);
            entry.queue = self.queue_of(&key.namespace, &entry);
            self.link(&key, &entry);
            self.renders.insert(key.clone(), entry);
            affected.push(key);
        }
        affected
    }

    fn link(&mut self, key: &ObjectKey, entry: &Entry) {
        let Some(stack) = &entry.queue else { return };
        self.version += 1;
        let queue = self.queues.entry(stack.clone()).or_default();
        queue.version = self.version;
        match entry.standing {
            Standing::Active => queue.active.insert_mut(entry.rank.clone(), key.clone()),
            Standing::Waiting => queue.waiting.insert_mut(entry.rank.clone(), key.clone()),
            Standing::Out => {}
        }
    }

    fn unlink(&mut self, entry: &Entry) {
        let Some(stack) = &entry.queue else { return };
        self.version += 1;
        if let Some(queue) = self.queues.get_mut(stack) {
            queue.version = self.version;
            queue.active.remove_mut(&entry.rank);
            queue.waiting.remove_mut(&entry.rank);
            if queue.active.is_empty() && queue.waiting.is_empty() {
                self.queues.remove(stack);
            }
        }
    }
}

/// What this process knows of slots before any store does: those just given out, whose status is being written, and open
/// attempts of which nothing runs, because the process that ran them has ended. Lost with the process without harm.
#[derive(Debug, Default)]
pub struct Slots(Mutex<HashMap<ObjectKey, StackSlots>>);

#[derive(Debug, Default)]
struct StackSlots {
    reserved: HashSet<ObjectKey>,
    idle: HashSet<ObjectKey>,
}

impl Slots {
    /// Whether a Render may start on a stack with this queue, which has room for `slots` at the same time. What was
    /// interrupted and `resumes` comes before all that wait.
    #[must_use]
    pub fn admission(
        &self,
        stack: &ObjectKey,
        render: &Render,
        resumes: bool,
        view: &QueueView,
        slots: usize,
    ) -> Admission {
        self.with(stack, |own| own.admission(render, resumes, view, slots))
    }

    /// Takes a slot for a Render, unless it would have to wait. It is held until [`settle`](Self::settle) is called: from
    /// then on the store's view must show it.
    pub fn reserve(
        &self,
        stack: &ObjectKey,
        render: &Render,
        resumes: bool,
        view: &QueueView,
        slots: usize,
    ) -> Admission {
        self.with(stack, |own| {
            let admission = own.admission(render, resumes, view, slots);
            if admission == Admission::Admitted {
                own.reserved.insert(ObjectKey::render(render));
            }
            admission
        })
    }

    /// Notes, after a look at a Render, whether anything of it runs. `view` shows what that look has written. True when that
    /// was not known before.
    pub fn settle(&self, stack: &ObjectKey, key: &ObjectKey, view: &QueueView, runs: bool) -> bool {
        self.with(stack, |own| {
            let reserved = own.reserved.remove(key);
            let idle = !runs && is_in(&view.active, key);
            let changed = if idle { own.idle.insert(key.clone()) } else { own.idle.remove(key) };
            reserved || changed
        })
    }

    /// Who may start now, as far as this stack's queue says: as many as there are free slots.
    #[must_use]
    pub fn startable(&self, stack: &ObjectKey, view: &QueueView, slots: usize) -> Vec<ObjectKey> {
        self.with(stack, |own| {
            let free = slots.max(1).saturating_sub(own.occupied(view, None));
            own.candidates(view).map(|(_, key)| key.clone()).take(free).collect()
        })
    }

    fn with<T>(&self, stack: &ObjectKey, work: impl FnOnce(&mut StackSlots) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(stack.clone()).or_default();
        let result = work(own);
        if own.reserved.is_empty() && own.idle.is_empty() {
            all.remove(stack);
        }
        result
    }
}

impl StackSlots {
    fn admission(&mut self, render: &Render, resumes: bool, view: &QueueView, slots: usize) -> Admission {
        let key = ObjectKey::render(render);
        let own = (!resumes, Rank::of(render));
        let free = slots.max(1).saturating_sub(self.occupied(view, Some(&key)));
        let most = free.max(usize::try_from(LAST_PLACE).unwrap_or(usize::MAX));
        let before = self.candidates(view).take_while(|(order, _)| *order < own).filter(|(_, other)| **other != key);
        let before = before.take(most).count();
        if before < free {
            Admission::Admitted
        } else {
            Admission::Waiting(i32::try_from(before + 1).unwrap_or(LAST_PLACE).min(LAST_PLACE))
        }
    }

    /// Slots that are taken by others.
    fn occupied(&self, view: &QueueView, but: Option<&ObjectKey>) -> usize {
        let counts = |key: &&ObjectKey| Some(*key) != but;
        let running = view.active.values().filter(|key| !self.idle.contains(*key)).filter(counts);
        let promised = self.reserved.iter().filter(|key| self.idle.contains(*key) || !is_in(&view.active, key));
        running.count() + promised.filter(counts).count()
    }

    /// Who would start if it could, best first: interrupted attempts, then those that wait. What has a slot already is
    /// left out.
    fn candidates<'a>(&'a self, view: &'a QueueView) -> impl Iterator<Item = ((bool, Rank), &'a ObjectKey)> {
        let interrupted = view.active.iter().filter(|(_, key)| self.idle.contains(*key));
        let interrupted = interrupted.map(|(rank, key)| ((false, rank.clone()), key));
        let waiting = view.waiting.iter().map(|(rank, key)| ((true, rank.clone()), key));
        interrupted.chain(waiting).filter(|(_, key)| !self.reserved.contains(*key))
    }
}

fn is_in(ranked: &Ranked, key: &ObjectKey) -> bool {
    ranked.values().any(|other| other == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::RenderStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    const STACK: &str = "built-in";

    fn stack() -> ObjectKey {
        ObjectKey { kind: Kind::Stack, namespace: "default".into(), name: STACK.into() }
    }

    /// `name`, priority, age in seconds, and whether it is active (`A`), finished (`F`) or neither (`-`).
    fn render((name, priority, age, state): (&str, i32, i64, char)) -> Render {
        let mut render = Render::new(name, crds::RenderSpec { priority, ..Default::default() });
        let created = Timestamp::from_second(1_000_000 - age).unwrap();
        render.metadata.creation_timestamp = Some(Time(created));
        render.metadata.uid = Some(name.to_owned());
        let mut status = RenderStatus::default();
        match state {
            'A' => status.attempts.push(AttemptStatus {
                number: 1,
                input_hash: String::new(),
                start_time: Time(created),
                stop_time: None,
                result: None,
                generation: None,
                stack: None,
                stack_namespace: None,
                handle: None,
                failure_code: None,
                cost_usd: None,
            }),
            'F' => status.conditions.push(conditions::new(FINISHED, "True", "Completed", "", 1, created)),
            _ => {}
        }
        render.status = Some(status);
        render
    }

    fn index(renders: &[Render]) -> QueueIndex {
        let mut index = QueueIndex::new(true);
        renders.iter().for_each(|render| drop(index.put(render, false)));
        index
    }

    #[track_caller]
    fn check(all: &[(&str, i32, i64, char)], slots: usize, expected: &[Admission]) {
        let renders: Vec<_> = all.iter().copied().map(render).collect();
        let view = index(&renders).view(&stack());
        let known = Slots::default();
        let admissions: Vec<_> = all
            .iter()
            .zip(&renders)
            .map(|((.., state), render)| known.admission(&stack(), render, *state == 'A', &view, slots))
            .collect();
        assert_eq!(admissions, expected);
    }

    use Admission::{Admitted, Waiting};

    #[test]
    fn older_first_and_priority_before_age() {
        check(&[("a", 0, 1, '-'), ("b", 0, 2, '-'), ("c", 5, 0, '-')], 1, &[Waiting(3), Waiting(2), Admitted]);
        check(&[("a", 0, 1, '-'), ("b", 0, 2, '-'), ("c", 5, 0, '-')], 2, &[Waiting(3), Admitted, Admitted]);
    }

    #[test]
    fn what_runs_takes_a_slot_and_what_has_finished_none() {
        let all = [("a", 0, 1, 'A'), ("b", 9, 2, '-'), ("c", 0, 3, '-'), ("d", 99, 0, 'F')];
        check(&all[..3], 1, &[Admitted, Waiting(1), Waiting(2)]);
        check(&all, 2, &[Admitted, Admitted, Waiting(2), Admitted]);
    }

    #[test]
    fn there_is_always_one_slot_and_places_are_counted_to_a_hundred() {
        check(&[("a", 0, 1, '-')], 0, &[Admitted]);
        let names: Vec<_> = (0..300).map(|n| format!("{n:03}")).collect();
        let renders: Vec<_> = names.iter().map(|name| render((name, 0, 0, '-'))).collect();
        let view = index(&renders).view(&stack());
        let known = Slots::default();
        assert_eq!(known.admission(&stack(), &renders[42], false, &view, 1), Waiting(43));
        assert_eq!(known.admission(&stack(), &renders[299], false, &view, 1), Waiting(100));
    }

    #[test]
    fn a_write_that_moves_nobody_is_no_change_of_the_queue() {
        let mut renders = [render(("a", 0, 2, '-')), render(("b", 0, 1, '-'))];
        let mut index = index(&renders);
        let before = index.view(&stack()).version();
        renders[0].metadata.resource_version = Some("2".into());
        index.put(&renders[0], false);
        assert_eq!(index.view(&stack()).version(), before);
        renders[0].spec.priority = -1;
        assert_eq!(index.put(&renders[0], false), Some(ObjectKey::render(&renders[1])));
        assert_ne!(index.view(&stack()).version(), before);
        assert_eq!(index.view(&stack()).everybody().len(), 2);
    }

    /// Two looks at the same moment must not both get the last slot.
    #[test]
    fn a_slot_is_given_once() {
        let renders = [render(("a", 0, 2, '-')), render(("b", 9, 1, '-'))];
        let view = index(&renders).view(&stack());
        let known = Slots::default();
        // `b` came later; `a` was looked at before it was there.
        let before = index(&renders[..1]).view(&stack());
        assert_eq!(known.reserve(&stack(), &renders[0], false, &before, 1), Admitted);
        assert_eq!(known.reserve(&stack(), &renders[1], false, &view, 1), Waiting(1));
        assert!(known.settle(&stack(), &ObjectKey::render(&renders[0]), &view, false));
        assert_eq!(known.reserve(&stack(), &renders[1], false, &view, 1), Admitted);
    }

    /// After a restart with fewer slots than open attempts they go on one after the other.
    #[test]
    fn interrupted_attempts_come_first_and_wait_for_each_other() {
        let renders = [render(("a", 0, 2, 'A')), render(("b", 0, 1, 'A')), render(("c", 9, 0, '-'))];
        let view = index(&renders).view(&stack());
        let keys: Vec<_> = renders.iter().map(ObjectKey::render).collect();
        let known = Slots::default();
        assert_eq!(known.admission(&stack(), &renders[0], true, &view, 1), Waiting(1), "the other may run");
        assert!(known.settle(&stack(), &keys[0], &view, false));
        assert!(known.settle(&stack(), &keys[1], &view, false));
        assert_eq!(known.startable(&stack(), &view, 1), keys[..1]);
        assert_eq!(known.reserve(&stack(), &renders[0], true, &view, 1), Admitted);
        assert_eq!(known.admission(&stack(), &renders[1], true, &view, 1), Waiting(1));
        assert_eq!(known.admission(&stack(), &renders[2], false, &view, 1), Waiting(2));
        assert!(known.settle(&stack(), &keys[0], &view, true));
        assert!(!known.settle(&stack(), &keys[0], &view, true));
        assert_eq!(known.startable(&stack(), &view, 1), []);
        assert_eq!(known.startable(&stack(), &view, 2), keys[1..2]);
    }

    fn shared(namespace: &str, name: &str, allowed: &[&str]) -> HyperframesStack {
        let allowed_namespaces = allowed.iter().map(ToString::to_string).collect();
        let spec = crds::HyperframesStackSpec { allowed_namespaces, ..Default::default() };
        let mut stack = HyperframesStack::new(name, spec);
        stack.metadata.namespace = Some(namespace.to_owned());
        stack
    }

    #[test]
    fn a_stack_of_another_namespace_is_used_by_those_it_allows() {
        let mut guest = render(("a", 0, 0, '-'));
        guest.spec.stack_ref = Some(StackRef { name: "s".into(), namespace: Some("studio".into()) });
        let mut index = index(&[guest.clone(), render(("b", 0, 0, '-'))]);
        let key = ObjectKey { kind: Kind::Stack, namespace: "studio".into(), name: "s".into() };
        let absent = index.stack_of(&guest).unwrap_err();
        for (allowed, may) in [(&[][..], false), (&["others"], false), (&["others", "default"], true), (&["*"], true)] {
            let told = index.put_stack(&shared("studio", "s", allowed));
            assert_eq!(told, [ObjectKey::render(&guest)], "{allowed:?}");
            assert_eq!(index.stack_of(&guest), if may { Ok(key.clone()) } else { Err(absent.clone()) }, "{allowed:?}");
            assert_eq!(index.view(&key).waiting.size(), usize::from(may));
        }
        assert!(absent.contains("\"default\" in its spec.allowedNamespaces"), "{absent}");
        // What is under way stays in the queue of the stack that it runs on.
        let mut running = guest.clone();
        running.status = render(("a", 0, 0, 'A')).status;
        let attempt = running.status.as_mut().and_then(|status| status.attempts.last_mut()).unwrap();
        (attempt.stack, attempt.stack_namespace) = (Some("s".into()), Some("studio".into()));
        index.put(&running, false);
        index.put_stack(&shared("studio", "s", &[]));
        assert_eq!(index.view(&key).active(), 1);
        // Its own namespace may be named, and needs no leave.
        guest.metadata.namespace = Some("studio".into());
        assert_eq!(index.stack_of(&guest), Ok(key));
    }

    #[test]
    fn a_stack_is_named_or_the_only_one_or_built_in() {
        let plain = render(("a", 0, 0, '-'));
        let mut named = render(("b", 0, 0, '-'));
        named.spec.stack_ref = Some(StackRef { name: "one".into(), namespace: None });
        let mut index = index(&[plain.clone(), named.clone()]);
        let name = |index: &QueueIndex, render: &Render| index.stack_of(render).map(|key| key.name);
        assert_eq!(name(&index, &plain).as_deref(), Ok("built-in"));
        assert!(name(&index, &named).unwrap_err().contains("no HyperframesStack \"one\""));
        let stack = |name: &str| ObjectKey { name: name.into(), ..stack() };
        assert_eq!(index.put_stack(&shared("default", "one", &[])).len(), 2);
        assert_eq!(index.put_stack(&shared("default", "one", &[])), []);
        assert_eq!(name(&index, &plain).as_deref(), Ok("one"));
        assert_eq!(index.view(&stack("one")).waiting.size(), 2);
        index.put_stack(&shared("default", "two", &[]));
        assert!(name(&index, &plain).unwrap_err().contains("2 stacks"));
        assert_eq!(index.view(&stack("one")).waiting.size(), 1);
        index.remove_stack(&stack("one"));
        assert_eq!(name(&index, &plain).as_deref(), Ok("two"));
        assert!(QueueIndex::new(false).stack_of(&plain).unwrap_err().contains("create one"));
    }
}
