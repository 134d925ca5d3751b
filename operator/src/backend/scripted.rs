//! A backend that a test plays: attempts move when the test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use crds::{
    Failure,
    render::{OutputStatus, ProgressStage, ProgressStatus},
};
use futures::stream::BoxStream;
use tokio::time::Instant;

use crate::{
    error::{Class, Error},
    feed::Feed,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, Backend, Inputs, ObjectKey, OutputCheck, StackCapacity, StackEffect,
        StackReport, StackSpec, Started, planning,
    },
    store::memory::{Chaos, LONGEST_LOOK},
};

/// How long a stack is made.
const MAKING: Duration = Duration::from_millis(5);

/// Where attempts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the controller's process: they end with it, and what they had finished stays until it is released.
    Process,
    /// Elsewhere: they go on without it, and it has to be asked how they are.
    Elsewhere,
}

/// What really goes on.
pub(crate) struct ScriptedBackend {
    truth: Mutex<Truth>,
    chaos: Arc<dyn Chaos>,
    home: Home,
}

#[derive(Default)]
struct Truth {
    stacks: BTreeMap<ObjectKey, StackReport>,
    /// What a stack is once it was made.
    made: BTreeMap<ObjectKey, StackReport>,
    /// Until when the making of a stack takes.
    in_making: BTreeMap<ObjectKey, Instant>,
    /// Slots that a stack had, and until when.
    earlier_slots: Vec<(ObjectKey, usize, Instant)>,
    attempts: BTreeMap<String, Attempt>,
    outputs: BTreeMap<String, OutputCheck>,
    feed: Arc<Feed<ObjectKey>>,
    /// Nothing is started in this process any more.
    stopping: bool,
    /// What a test must never see.
    wrong: Vec<String>,
    /// Attempts that this process has started.
    started_here: BTreeSet<String>,
    /// Videos that were made, by Render and input hash.
    finished: BTreeMap<(ObjectKey, String), u32>,
}

#[derive(Clone, Debug)]
struct Attempt {
    owner: ObjectKey,
    stack: ObjectKey,
    hash: String,
    target: String,
    state: State,
    /// The video was made, and what was made for it is kept.
    made: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Running(i32),
    Succeeded,
    Failed(Failure),
    Stopped,
    /// Its process has ended.
    Forgotten,
}

fn video(target: &str) -> OutputStatus {
    OutputStatus { uri: target.to_owned(), bytes: 1, sha256: "s".into(), frames: 1, width: 2, height: 2 }
}

impl ScriptedBackend {
    pub(crate) fn new(chaos: Arc<dyn Chaos>, home: Home) -> Self {
        Self { truth: Mutex::default(), chaos, home }
    }

    /// What a stack is from now on, once it is made.
    pub(crate) fn set_stack(&self, key: &ObjectKey, report: StackReport) {
        let mut truth = self.truth();
        truth.made.insert(key.clone(), report.clone());
        let slots = truth.slots(key);
        truth.earlier_slots.push((key.clone(), slots, Instant::now()));
        if truth.stacks.contains_key(key) {
            truth.stacks.insert(key.clone(), report);
            truth.feed.send(key.clone());
        }
    }

    /// Everything that runs moves on by so many percent, or ends.
    pub(crate) fn progress(&self, percent: i32) {
        self.each_running(|attempt| {
            let State::Running(done) = &mut attempt.state else { return };
            *done = (*done + percent).min(99);
        });
    }

    /// Everything that runs makes its video.
    pub(crate) fn succeed(&self) {
        let mut finished = Vec::new();
        self.each_running(|attempt| {
            attempt.state = State::Succeeded;
            if !std::mem::replace(&mut attempt.made, true) {
                finished.push((attempt.owner.clone(), attempt.hash.clone(), attempt.target.clone()));
            }
        });
        let mut truth = self.truth();
        for (owner, hash, target) in finished {
            *truth.finished.entry((owner, hash)).or_default() += 1;
            truth.outputs.insert(target, OutputCheck::Intact);
        }
    }

    pub(crate) fn fail(&self, failure: &Failure) {
        self.each_running(|attempt| attempt.state = State::Failed(failure.clone()));
    }

    /// A Render's video is removed.
    pub(crate) fn lose_output(&self, target: &str) {
        self.truth().outputs.insert(target.to_owned(), OutputCheck::Lost("it is gone".into()));
    }

    /// The controller's process ends, and another begins.
    pub(crate) fn restart(&self) {
        let mut truth = self.truth();
        truth.started_here.clear();
        truth.stopping = false;
        truth.in_making.clear();
        if self.home == Home::Process {
            truth.stacks.clear();
            truth.attempts.values_mut().for_each(|attempt| attempt.state = State::Forgotten);
        }
    }

    /// Whether nothing runs in the controller's process.
    pub(crate) fn is_idle(&self) -> bool {
        let running = |attempt: &Attempt| matches!(attempt.state, State::Running(_));
        self.home == Home::Elsewhere || !self.truth().attempts.values().any(running)
    }

    pub(crate) fn running_on(&self, stack: &ObjectKey) -> usize {
        self.truth().running_on(stack)
    }

    /// How often a Render's video was made for the inputs it was made for most often.
    pub(crate) fn most_finished(&self, owner: &ObjectKey) -> u32 {
        let truth = self.truth();
        let of_owner = truth.finished.iter().filter(|((key, _), _)| key == owner);
        of_owner.map(|(_, count)| *count).max().unwrap_or(0)
    }

    /// From now on a Render's video may be made once more: other inputs are wanted.
    pub(crate) fn wants_other_inputs(&self, owner: &ObjectKey) {
        self.truth().finished.retain(|(key, _), _| key != owner);
    }

    /// What runs in the controller's process stops, as it is asked to end.
    pub(crate) fn stop(&self) {
        if self.home == Home::Process {
            self.each_running(|attempt| attempt.state = State::Stopped);
            self.truth().stopping = true;
        }
    }

    /// Has an object looked at.
    pub(crate) fn touch(&self, key: ObjectKey) {
        self.truth().feed.send(key);
    }

    /// How many attempts run for Renders that are not among these.
    pub(crate) fn running_for_others(&self, known: &[ObjectKey]) -> usize {
        let truth = self.truth();
        let stray = |attempt: &&Attempt| matches!(attempt.state, State::Running(_)) && !known.contains(&attempt.owner);
        truth.attempts.values().filter(stray).count()
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.truth().wrong.clone()
    }

    fn each_running(&self, mut change: impl FnMut(&mut Attempt)) {
        let mut truth = self.truth();
        let mut moved = Vec::new();
        for attempt in truth.attempts.values_mut().filter(|attempt| matches!(attempt.state, State::Running(_))) {
            change(attempt);
            moved.push(attempt.owner.clone());
        }
        if self.home == Home::Process {
            moved.into_iter().for_each(|owner| truth.feed.send(owner));
        }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, spec: &AttemptSpec) {
        let mut truth = self.truth();
        let name = spec.attempt.name.clone();
        if let Some(known) = truth.attempts.get_mut(&name) {
            if known.hash != spec.inputs.hash {
                truth.wrong.push(format!("{name} was used for other inputs"));
                return;
            }
            match known.state {
                // Starting twice is starting once.
                State::Running(_) | State::Succeeded | State::Failed(_) => return,
                State::Stopped | State::Forgotten => {}
            }
        }
        if !truth.started_here.insert(name.clone())
            && !matches!(truth.attempts.get(&name).map(|attempt| &attempt.state), Some(State::Stopped))
        {
            truth.wrong.push(format!("{name} was started twice by one process"));
        }
        let made = truth.attempts.get(&name).is_some_and(|attempt| attempt.made);
        let attempt = Attempt {
            owner: spec.owner.clone(),
            stack: spec.attempt.stack.key.clone(),
            hash: spec.inputs.hash.clone(),
            target: spec.inputs.target.display().to_string(),
            state: if made { State::Succeeded } else { State::Running(0) },
            made,
        };
        truth.attempts.insert(name, attempt);
        let running = truth.running_on(&spec.attempt.stack.key);
        let slots = truth.recent_slots(&spec.attempt.stack.key);
        if running > slots && !made {
            truth.wrong.push(format!("{running} attempts run on {}, which has {slots} slots", spec.attempt.stack.key));
        }
        truth.feed.send(spec.owner.clone());
    }
}

impl Truth {
    fn running_on(&self, stack: &ObjectKey) -> usize {
        let here = |attempt: &&Attempt| matches!(attempt.state, State::Running(_)) && attempt.stack == *stack;
        self.attempts.values().filter(here).count()
    }

    /// Begins to make a stack, which tells when it is made.
    fn make(&mut self, stack: &ObjectKey) {
        let until = Instant::now() + MAKING;
        self.in_making.insert(stack.clone(), until);
        let (feed, stack) = (Arc::clone(&self.feed), stack.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            feed.send(stack);
        });
    }

    fn slots(&self, stack: &ObjectKey) -> usize {
        match self.stacks.get(stack) {
            Some(StackReport::Ready(capacity)) => capacity.slots,
            _ => 1,
        }
    }

    /// The most slots that somebody who looked a moment ago may have seen.
    fn recent_slots(&self, stack: &ObjectKey) -> usize {
        let recent =
            self.earlier_slots.iter().filter(|(key, _, until)| key == stack && until.elapsed() <= LONGEST_LOOK);
        recent.map(|(_, slots, _)| *slots).max().unwrap_or(0).max(self.slots(stack))
    }
}

#[async_trait]
impl Backend for ScriptedBackend {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        let mut truth = self.truth();
        truth.feed = Arc::default();
        truth.feed.listen()
    }

    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error> {
        let truth = self.truth();
        if truth.in_making.get(&stack.key).is_some_and(|until| *until > Instant::now()) {
            return Ok(StackReport::Pending { what: "m".to_owned(), ask_again: None });
        }
        Ok(truth.stacks.get(&stack.key).cloned().unwrap_or(StackReport::Absent))
    }

    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error> {
        self.chaos.before("apply_stack").await?;
        {
            let mut truth = self.truth();
            match effect {
                StackEffect::Ensure => {
                    let ready = StackReport::Ready(StackCapacity { slots: 1, ..StackCapacity::default() });
                    let made = truth.made.get(&stack.key).cloned().unwrap_or(ready);
                    if truth.stacks.insert(stack.key.clone(), made).is_none() {
                        truth.make(&stack.key);
                    }
                }
                StackEffect::Delete => {
                    if truth.running_on(&stack.key) > 0 {
                        truth.wrong.push(format!("{} was deleted while it was used", stack.key));
                    }
                    truth.stacks.remove(&stack.key);
                }
            }
            truth.feed.send(stack.key.clone());
        }
        self.chaos.after("apply_stack").await
    }

    async fn start(&self, attempt: AttemptSpec) -> Result<Started, Error> {
        self.chaos.before("start").await?;
        if self.truth().stopping {
            let failure = Failure::new(crds::Code::Interrupted, "m");
            return Err(Error::Backend { failure, class: Class::Waiting });
        }
        self.begin(&attempt);
        self.chaos.after("start").await?;
        Ok(Started { handle: (self.home == Home::Elsewhere).then(|| format!("arn:{}", attempt.attempt.name)) })
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        self.chaos.before("observe").await?;
        let truth = self.truth();
        let Some(known) = truth.attempts.get(&attempt.name) else { return Ok(AttemptReport::Unknown) };
        Ok(match &known.state {
            State::Forgotten => AttemptReport::Unknown,
            State::Running(percent) => AttemptReport::Running {
                progress: ProgressStatus { percent: *percent, stage: ProgressStage::Rendering, ..planning() },
                cost: None,
                ask_again: (self.home == Home::Elsewhere).then_some(Duration::from_secs(5)),
            },
            State::Succeeded => {
                AttemptReport::Succeeded { output: video(&known.target), warnings: Vec::new(), cost: None }
            }
            State::Failed(failure) => {
                AttemptReport::Failed { failure: failure.clone(), warnings: Vec::new(), cost: None }
            }
            State::Stopped => AttemptReport::Stopped { cost: None },
        })
    }

    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.chaos.before("cancel").await?;
        {
            let mut truth = self.truth();
            if let Some(known) = truth.attempts.get_mut(&attempt.name)
                && matches!(known.state, State::Running(_))
            {
                known.state = State::Stopped;
                let owner = known.owner.clone();
                truth.feed.send(owner);
            }
        }
        self.chaos.after("cancel").await
    }

    async fn check_output(
        &self,
        _: Option<&StackSpec>,
        _: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error> {
        let target = wanted.target.display().to_string();
        Ok(self.truth().outputs.get(&target).cloned().unwrap_or_else(|| OutputCheck::Lost("it is gone".into())))
    }

    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.chaos.before("release").await?;
        self.truth().attempts.remove(&attempt.name);
        self.chaos.after("release").await
    }
}
