//! CloudFormation stacks: looked at, and led step by step to what is wanted.

use std::{sync::Arc, time::Duration};

use crds::{
    Code, Failure,
    stack::aws::{AwsStackStatus, ChangeSetStatus, DeletionPolicy, DriftMode, DriftStatus},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::{sync::OwnedMutexGuard, time::Instant};
use tracing::{info, warn};

use super::{
    AwsBackend,
    cloud::{ChangeSetFacts, Cloud, StackFacts},
    lock, place,
    wanted::{self, Action, Found, HandlerCode, OWNER, Step, Wanted},
};
use crate::{
    error::{Class, Error},
    ports::{AwsPlace, ObjectKey, StackCapacity, StackReport, StackSpec},
};

/// How often a stack is looked at while CloudFormation works on it.
const POLL: Duration = Duration::from_secs(5);
/// How long a look at a stack that cannot render is believed.
const NOT_READY: Duration = Duration::from_secs(20);
/// How often a search for drift is looked at, and how often at the most.
const DRIFT_POLL: Duration = Duration::from_secs(5);
const DRIFT_POLLS: u32 = 120;

/// What the last look at a stack has found.
#[derive(Clone, Debug)]
pub(super) struct Known {
    place: AwsPlace,
    looked: Instant,
    believed: Option<Duration>,
    pub(super) report: StackReport,
    pub(super) details: AwsStackStatus,
    /// Which version of the function runs, where that is known.
    pub(super) code: Option<String>,
}

impl Known {
    fn holds(&self, place: &AwsPlace) -> bool {
        let asked = |place: &AwsPlace| AwsPlace { stack_id: None, ..place.clone() };
        asked(&self.place) == asked(place) && self.believed.is_none_or(|time| self.looked.elapsed() < time)
    }
}

/// What is known of drift before the status tells it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drift {
    Searching,
    Found(Timestamp, i32),
}

/// Everything that a step is decided from.
struct Look {
    code: HandlerCode,
    wanted: Wanted,
    stack: Option<StackFacts>,
    change_set: Option<ChangeSetFacts>,
    correction: Option<ChangeSetFacts>,
}

impl Look {
    fn found<'a>(&'a self, place: &'a AwsPlace, now: Timestamp) -> Found<'a> {
        Found {
            place,
            wanted: &self.wanted,
            stack: self.stack.as_ref(),
            change_set: self.change_set.as_ref(),
            correction: self.correction.as_ref(),
            now,
        }
    }
}

impl AwsBackend {
    /// What is known of a stack; looks where that is too old.
    pub(super) async fn known(&self, stack: &StackSpec) -> Result<Known, Error> {
        let place = place(stack)?;
        let _turn = self.turn(stack).await;
        if let Some(known) = lock(&self.0.stacks).get(&stack.key).filter(|known| known.holds(place)) {
            return Ok(known.clone());
        }
        let known = match self.look_anew(stack, place).await {
            Ok(known) => known,
            Err(error) => self.hindered(stack, place, refused(error)?),
        };
        let before = lock(&self.0.stacks).insert(stack.key.clone(), known.clone());
        if before.is_none_or(|before| before.report != known.report) {
            // Whoever looked, the stack itself is looked at, and tells all that wait for it.
            self.0.changes.send(stack.key.clone());
        }
        Ok(known)
    }

    /// One look or step at a time for each stack: of two looks the older one must not be remembered.
    async fn turn(&self, stack: &StackSpec) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.0.turns).entry(stack.key.clone()).or_default());
        turn.lock_owned().await
    }

    /// What is known of a stack about which AWS refuses to be asked, or to do what was asked: what was known before is still
    /// there, as far as anybody can tell.
    fn hindered(&self, stack: &StackSpec, place: &AwsPlace, failure: Failure) -> Known {
        let mut known = Known::new(place, StackReport::NotReady(failure), None);
        if let Some(before) = lock(&self.0.stacks).get(&stack.key) {
            known.details.clone_from(&before.details);
        }
        known
    }

    async fn look_anew(&self, stack: &StackSpec, place: &AwsPlace) -> Result<Known, Error> {
        let cloud = self.cloud(place).await?;
        Ok(if lock(&self.0.deleting).contains(&stack.key) {
            let facts = facts(place, &*cloud).await?;
            let let_go = place.spec.deletion_policy == DeletionPolicy::Retain
                || facts.as_ref().is_some_and(|facts| facts.tags.get(OWNER) != Some(&place.owner));
            let report = if let_go { StackReport::Absent } else { deletion(place, facts.as_ref()) };
            Known::new(place, report, facts.as_ref())
        } else {
            match self.look(place, &*cloud).await? {
                Ok(look) => self.judged(&stack.key, place, &look),
                Err((failure, facts)) => Known::new(place, StackReport::NotReady(failure), facts.as_ref()),
            }
        })
    }

    /// The next look asks AWS again.
    pub(super) fn forget(&self, stack: &StackSpec) {
        lock(&self.0.stacks).remove(&stack.key);
    }

    async fn look(
        &self,
        place: &AwsPlace,
        cloud: &dyn Cloud,
    ) -> Result<Result<Look, (Failure, Option<StackFacts>)>, Error> {
        let stack = facts(place, cloud).await?;
        let code = match self.0.handlers.code(place, cloud).await? {
            Ok(code) => code,
            Err(failure) => return Ok(Err((failure, stack))),
        };
        let wanted = Wanted::of(place, &code);
        let (mut change_set, mut correction) = (None, None);
        if wanted::needs_change_set(&wanted, stack.as_ref()) {
            change_set = cloud.change_set(&place.stack_name, &wanted.change_set()).await?;
        } else if let Some((looked, drifted)) = place.drift
            && drifted > 0
            && place.spec.drift_policy.mode == DriftMode::Correct
        {
            correction = cloud.change_set(&place.stack_name, &wanted.correction(looked).name).await?;
        }
        Ok(Ok(Look { code, wanted, stack, change_set, correction }))
    }

    fn judged(&self, key: &ObjectKey, place: &AwsPlace, look: &Look) -> Known {
        let found = look.found(place, (self.0.now)());
        let drift = lock(&self.0.drift).get(key).copied();
        let step = match (wanted::step(&found), drift) {
            (Step::Act(Action::DetectDrift, _), Some(Drift::Searching)) => Step::Ready(None),
            // The status does not tell it yet, or has just told it.
            (Step::Act(Action::DetectDrift, _), Some(Drift::Found(looked, _)))
                if place.drift.is_none_or(|(known, _)| known < looked) =>
            {
                Step::Ready(None)
            }
            (step, _) => step,
        };
        let report = match step {
            Step::Ready(degraded) => StackReport::Ready(StackCapacity {
                parallel_chunks: wanted::parallel_chunks(place),
                slots: usize::try_from(place.spec.max_active_renders).unwrap_or(1),
                renderer_digest: None,
                degraded,
                look_again: found.look_again(),
            }),
            Step::Wait(what) => StackReport::Pending { what, ask_again: Some(POLL) },
            Step::Fail(failure) => StackReport::NotReady(failure),
            Step::Act(_, what) => StackReport::Outdated(what),
        };
        let mut known = Known::new(place, report, look.stack.as_ref());
        if let Some(Drift::Found(looked, drifted_resources)) = drift {
            known.details.drift = Some(DriftStatus { drifted_resources, last_check_time: Time(looked) });
        }
        known.code = Some(look.wanted.code().to_owned());
        known.details.change_set = look.change_set.as_ref().filter(|_| waits(&known.report)).map(|facts| {
            let ChangeSetFacts { add, modify, remove, replace, .. } = *facts;
            ChangeSetStatus { name: look.wanted.change_set(), add, modify, remove, replace }
        });
        known
    }

    /// Takes the next step to what is wanted.
    pub(super) async fn ensure(&self, stack: &StackSpec) -> Result<(), Error> {
        let place = place(stack)?;
        let _turn = self.turn(stack).await;
        let cloud = self.cloud(place).await?;
        lock(&self.0.deleting).remove(&stack.key);
        let done = match self.look(place, &*cloud).await {
            Ok(Ok(look)) => self.take_step(stack, place, &look, &cloud).await,
            Ok(Err(_)) => Ok(()),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => self.forget(stack),
            // Told by the next look.
            Err(error) => {
                let known = self.hindered(stack, place, refused(error)?);
                lock(&self.0.stacks).insert(stack.key.clone(), known);
            }
        }
        Ok(())
    }

    async fn take_step(
        &self,
        stack: &StackSpec,
        place: &AwsPlace,
        look: &Look,
        cloud: &Arc<dyn Cloud>,
    ) -> Result<(), Error> {
        let name = &place.stack_name;
        let action = match wanted::step(&look.found(place, (self.0.now)())) {
            Step::Act(action, what) => {
                info!(stack = %stack.key, "{what}");
                action
            }
            // What was refused is asked for anew: the cause may be gone.
            Step::Fail(_) if look.change_set.as_ref().is_some_and(|change_set| change_set.status == "FAILED") => {
                return cloud.delete_change_set(name, &look.wanted.change_set()).await;
            }
            Step::Ready(_) | Step::Wait(_) | Step::Fail(_) => return Ok(()),
        };
        match action {
            Action::Prepare { creates } => {
                self.0.handlers.upload(place, &look.code, &**cloud).await?;
                cloud.create_change_set(&look.wanted.change(creates)).await
            }
            Action::PrepareCorrection => {
                let looked = place.drift.map_or((self.0.now)(), |(looked, _)| looked);
                cloud.create_change_set(&look.wanted.correction(looked)).await
            }
            Action::Execute(change_set) => cloud.execute_change_set(name, &change_set).await,
            Action::Delete => {
                let id = look.stack.as_ref().map_or(name, |stack| &stack.id);
                cloud.delete_stack(id, &token(place, "remake", id)).await
            }
            Action::ContinueRollback => cloud.continue_rollback(name).await,
            Action::DetectDrift => self.detect_drift(stack, place, Arc::clone(cloud)).await,
        }
    }

    /// Looks for drift. What is found goes into the status, and from there into the next step.
    async fn detect_drift(&self, stack: &StackSpec, place: &AwsPlace, cloud: Arc<dyn Cloud>) -> Result<(), Error> {
        let search = cloud.detect_drift(&place.stack_name).await?;
        lock(&self.0.drift).insert(stack.key.clone(), Drift::Searching);
        let (backend, stack) = (self.clone(), stack.clone());
        tokio::spawn(async move {
            let mut found = None;
            for _ in 0..DRIFT_POLLS {
                match cloud.drift(&search).await {
                    Ok(None) => tokio::time::sleep(DRIFT_POLL).await,
                    Ok(Some(drifted)) => {
                        found = Some(drifted);
                        break;
                    }
                    Err(error) => {
                        warn!(stack = %stack.key, %error, "it cannot be found out whether somebody else has changed it");
                        break;
                    }
                }
            }
            // Where it could not be found out, nothing is known to differ until the next time.
            lock(&backend.0.drift).insert(stack.key.clone(), Drift::Found((backend.0.now)(), found.unwrap_or(0)));
            backend.forget(&stack);
            backend.0.changes.send(stack.key);
        });
        Ok(())
    }

    /// Takes a stack down, if it is ours and may be.
    pub(super) async fn delete(&self, stack: &StackSpec) -> Result<(), Error> {
        let place = place(stack)?;
        let _turn = self.turn(stack).await;
        lock(&self.0.deleting).insert(stack.key.clone());
        self.forget(stack);
        if place.spec.deletion_policy == DeletionPolicy::Retain {
            return Ok(());
        }
        let cloud = self.cloud(place).await?;
        let Some(facts) = facts(place, &*cloud).await? else { return Ok(()) };
        let ours = facts.tags.get(OWNER) == Some(&place.owner);
        if ours && !matches!(facts.status.as_str(), "DELETE_COMPLETE" | "DELETE_IN_PROGRESS") {
            cloud.delete_stack(&facts.id, &token(place, "delete", &facts.status)).await?;
        }
        Ok(())
    }
}

impl Known {
    fn new(place: &AwsPlace, report: StackReport, facts: Option<&StackFacts>) -> Self {
        let believed = match &report {
            StackReport::Absent | StackReport::Outdated(_) => Some(Duration::from_secs(1)),
            StackReport::Pending { .. } => Some(POLL / 2),
            StackReport::NotReady(_) => Some(NOT_READY),
            StackReport::Ready(capacity) => capacity.look_again,
        };
        let output = |name: &str| facts.and_then(|facts| facts.outputs.get(name)).cloned();
        let last_check = place
            .drift
            .map(|(looked, drifted_resources)| DriftStatus { drifted_resources, last_check_time: Time(looked) });
        let details = AwsStackStatus {
            stack_id: facts.map(|facts| facts.id.clone()).or_else(|| place.stack_id.clone()),
            stack_status: facts.map(|facts| facts.status.clone()),
            bucket_name: output("RenderBucketName"),
            function_arn: output("RenderFunctionArn"),
            state_machine_arn: output("RenderStateMachineArn"),
            change_set: None,
            drift: last_check,
        };
        Self { place: place.clone(), looked: Instant::now(), believed, report, details, code: None }
    }
}

/// By its id where that is known: a stack that was deleted has no name any more. One that has been made anew has another id.
async fn facts(place: &AwsPlace, cloud: &dyn Cloud) -> Result<Option<StackFacts>, Error> {
    if let Some(mut facts) = cloud.stack(&place.stack_name).await? {
        if facts.status.contains("ROLLBACK") || facts.status.ends_with("_FAILED") {
            facts.reason = cloud.first_failure(&facts.id).await?.or(facts.reason);
        }
        return Ok(Some(facts));
    }
    Ok(None)
}

/// What only a human can help with, for the stack's status; any other error is one of the look.
fn refused(error: Error) -> Result<Failure, Error> {
    match error {
        Error::Backend { failure, class }
            if class == Class::Terminal || matches!(failure.code, Code::AwsCredentials | Code::AwsAccessDenied) =>
        {
            Ok(failure)
        }
        error => Err(error),
    }
}

fn deletion(place: &AwsPlace, facts: Option<&StackFacts>) -> StackReport {
    let name = &place.stack_name;
    match facts.map(|facts| (facts.status.as_str(), facts.reason.as_deref())) {
        None | Some(("DELETE_COMPLETE", _)) => StackReport::Absent,
        Some(("DELETE_FAILED", reason)) => {
            let message = wanted::delete_failed(name, reason.unwrap_or("see its events"));
            StackReport::NotReady(Failure::new(Code::StackDeleteFailed, message))
        }
        Some((status, _)) if status.ends_with("_IN_PROGRESS") => {
            let what = format!("the CloudFormation stack {name} is being deleted");
            StackReport::Pending { what, ask_again: Some(POLL) }
        }
        Some(_) => StackReport::Outdated(format!("the CloudFormation stack {name} is to be deleted")),
    }
}

fn waits(report: &StackReport) -> bool {
    let waits = |failure: &Failure| failure.code == Code::StackChangeWaits;
    matches!(report, StackReport::Ready(StackCapacity { degraded: Some(failure), .. }) if waits(failure))
}

/// What a request is known by, so that one that is sent twice has one effect: up to 128 letters, digits and dashes.
fn token(place: &AwsPlace, verb: &str, state: &str) -> String {
    let state: String = state.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let mut token = format!("hf-{verb}-{}-{state}", place.owner);
    token.truncate(128);
    token
}
