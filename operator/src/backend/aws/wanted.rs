//! The CloudFormation stack as a spec asks for it, and the step that leads there from what is: pure.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use crds::{
    Code, Failure,
    stack::aws::{AdoptionPolicy, DriftMode, UpdateMode},
};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    cloud::{Change, ChangeSetFacts, StackFacts},
    template::template,
};
use crate::ports::AwsPlace;

/// Tag that says whose a stack is: the uid of its object.
pub(super) const OWNER: &str = "hyperframes.io/owner-uid";
/// Step Functions runs at most so many iterations of an inline Map at the same time.
const MOST_PARALLEL: i32 = 40;

/// Where an image runs, the template's defaults for a zip: they are checked as if they were used.
const UNUSED: &str = "unused";

static TEMPLATE: LazyLock<String> = LazyLock::new(template);

/// What the function runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandlerCode {
    /// A zip in S3, named by its digest.
    Zip { bucket: String, key: String },
    /// A container image.
    Image(String),
}

/// A stack as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    stack: String,
    parameters: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    /// Of everything that a change of it changes.
    digest: String,
}

impl Wanted {
    pub(super) fn of(place: &AwsPlace, code: &HandlerCode) -> Self {
        let spec = &place.spec;
        let (bucket, key, image) = match code {
            HandlerCode::Zip { bucket, key } => (bucket.as_str(), key.as_str(), ""),
            HandlerCode::Image(uri) => (UNUSED, UNUSED, uri.as_str()),
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let parameters = BTreeMap::from([
            ("ProjectName", place.stack_name.clone()),
            ("HandlerBucket", bucket.to_owned()),
            ("HandlerKey", key.to_owned()),
            ("HandlerImageUri", image.to_owned()),
            ("LambdaMemoryMb", spec.lambda.memory_mb.to_string()),
            ("LambdaTimeoutSec", spec.lambda.timeout_seconds.to_string()),
            ("ReservedConcurrency", spec.lambda.reserved_concurrency.unwrap_or(-1).to_string()),
            ("MapConcurrency", parallel_chunks(place).to_string()),
            ("ExecutionTimeoutSec", spec.execution_timeout_seconds.to_string()),
            ("IntermediatesExpirationDays", spec.bucket.intermediates_expiration_days.to_string()),
            ("OutputExpirationDays", spec.bucket.output_expiration_days.unwrap_or(0).to_string()),
            ("KmsKeyArn", text(&spec.bucket.kms_key_arn)),
            ("LogRetentionDays", spec.log_retention_days.to_string()),
            ("ChunkInvocationAlarmThreshold", spec.alarms.chunk_invocation_threshold.to_string()),
            ("AlarmTopicArn", text(&spec.alarms.sns_topic_arn)),
        ]);
        let parameters: BTreeMap<_, _> = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut tags = spec.tags.clone();
        tags.insert(OWNER.to_owned(), place.owner.clone());
        let all = json!({ "template": *TEMPLATE, "parameters": parameters, "tags": tags });
        let digest = hex::encode(Sha256::digest(all.to_string()));
        Self { stack: place.stack_name.clone(), parameters, tags, digest }
    }

    /// Name of the change set that leads here: whoever prepares the same change prepares the same change set.
    pub(super) fn change_set(&self) -> String {
        format!("hf-{}", &self.digest[..16])
    }

    pub(super) fn change(&self, creates: bool) -> Change {
        Change {
            stack: self.stack.clone(),
            name: self.change_set(),
            creates,
            reverts_drift: false,
            template: TEMPLATE.clone(),
            parameters: self.parameters.clone(),
            tags: self.tags.clone(),
        }
    }

    /// The change that puts back what somebody else has changed since a look at this time.
    pub(super) fn correction(&self, looked: Timestamp) -> Change {
        let name = format!("hf-drift-{}", looked.as_second());
        Change { name, reverts_drift: true, ..self.change(false) }
    }

    /// Which version of the function is to run: by it plans of one are kept from another.
    pub(super) fn code(&self) -> &str {
        let image = &self.parameters["HandlerImageUri"];
        if image.is_empty() { &self.parameters["HandlerKey"] } else { image }
    }

    fn is(&self, facts: &StackFacts) -> bool {
        let same = |wanted: &BTreeMap<String, String>, there: &BTreeMap<String, String>| {
            wanted.iter().all(|(name, value)| there.get(name) == Some(value))
        };
        TEMPLATE.contains(&facts.description)
            && !facts.description.is_empty()
            && same(&self.parameters, &facts.parameters)
            && same(&self.tags, &facts.tags)
    }
}

/// Chunks of one execution at the same time.
pub(super) fn parallel_chunks(place: &AwsPlace) -> i32 {
    place.spec.lambda.reserved_concurrency.unwrap_or(MOST_PARALLEL).min(MOST_PARALLEL)
}

/// What is to be done for a stack.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing: it can render. What is not as it should be, all the same.
    Ready(Option<Failure>),
    /// Nothing: it is in the making, as one sentence says.
    Wait(String),
    /// Nothing that we could.
    Fail(Failure),
    /// This, as one sentence says.
    Act(Action, String),
}

/// What can be done for a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Prepare {
        creates: bool,
    },
    PrepareCorrection,
    Execute(String),
    /// So that it can be made anew.
    Delete,
    ContinueRollback,
    DetectDrift,
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) place: &'a AwsPlace,
    pub(super) wanted: &'a Wanted,
    pub(super) stack: Option<&'a StackFacts>,
    /// The change set of [`Wanted::change_set`], where it matters.
    pub(super) change_set: Option<&'a ChangeSetFacts>,
    /// The change set that puts drift right, where it matters.
    pub(super) correction: Option<&'a ChangeSetFacts>,
    pub(super) now: Timestamp,
}

/// Whether the change set has to be known too.
pub(super) fn needs_change_set(wanted: &Wanted, stack: Option<&StackFacts>) -> bool {
    stack
        .is_some_and(|stack| stack.status == "REVIEW_IN_PROGRESS" || can_be_changed(&stack.status) && !wanted.is(stack))
}

fn can_be_changed(status: &str) -> bool {
    matches!(
        status,
        "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE"
    )
}

/// The next step from what was found to what is wanted.
pub(super) fn step(found: &Found<'_>) -> Step {
    let Found { place, wanted, stack, .. } = found;
    let name = &place.stack_name;
    let create =
        || Step::Act(Action::Prepare { creates: true }, format!("the CloudFormation stack {name} is being made"));
    let Some(stack) = stack else { return create() };
    if stack.status == "DELETE_COMPLETE" {
        return create();
    }
    if stack.tags.get(OWNER) != Some(&place.owner)
        && place.spec.adoption_policy == AdoptionPolicy::CreateOnly
        && stack.status != "REVIEW_IN_PROGRESS"
    {
        return Step::Fail(not_ours(name));
    }
    let reason = stack.reason.as_deref().unwrap_or("see its events");
    let last = stack.change_set.as_deref() == Some(&*wanted.change_set());
    match stack.status.as_str() {
        "REVIEW_IN_PROGRESS" => found.prepared(true),
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" if last => Step::Fail(failed(&format!(
            "the CloudFormation stack {name} could not be made: {reason}. Mend the cause, then change the spec or delete the stack in CloudFormation: it is made anew"
        ))),
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" => Step::Act(
            Action::Delete,
            format!("the CloudFormation stack {name}, which could not be made, is being removed"),
        ),
        "UPDATE_ROLLBACK_FAILED" => Step::Act(
            Action::ContinueRollback,
            format!(
                "a change of the CloudFormation stack {name} could neither be made nor be taken back ({reason}): trying again; if this lasts, mend what is named there, or run `aws cloudformation continue-update-rollback --stack-name {name} --resources-to-skip ...`"
            ),
        ),
        "DELETE_FAILED" => Step::Fail(Failure::new(Code::StackDeleteFailed, delete_failed(name, reason))),
        status if can_be_changed(status) && wanted.is(stack) => found.settled(),
        status if can_be_changed(status) && last && status == "UPDATE_ROLLBACK_COMPLETE" => {
            Step::Ready(Some(failed(&format!(
                "the CloudFormation stack {name} could not be changed and is as it was before: {reason}. Mend the cause and change the spec"
            ))))
        }
        status if can_be_changed(status) => found.prepared(false),
        status if status.ends_with("_IN_PROGRESS") => {
            Step::Wait(format!("the CloudFormation stack {name} is {}", status.to_lowercase().replace('_', " ")))
        }
        status => Step::Fail(failed(&format!("the CloudFormation stack {name} is {status}: {reason}"))),
    }
}

pub(super) fn delete_failed(name: &str, reason: &str) -> String {
    format!(
        "the CloudFormation stack {name} could not be deleted: {reason}. Remove what holds it back, or delete it in CloudFormation and keep those resources; it is tried again"
    )
}

pub(super) fn not_ours(name: &str) -> Failure {
    let message = format!(
        "a CloudFormation stack {name} exists that was not made for this object: choose another spec.aws.stackName, or take it over with adoptionPolicy: AdoptIfExists"
    );
    Failure::new(Code::StackNotOurs, message)
}

fn failed(message: &str) -> Failure {
    Failure::new(Code::StackFailed, message)
}

impl Found<'_> {
    /// The change that is wanted: prepared, judged, and made.
    fn prepared(&self, creates: bool) -> Step {
        let name = &self.place.stack_name;
        let policy = &self.place.spec.update_policy;
        let wanted = self.wanted.change_set();
        let making = if creates { "made" } else { "changed" };
        let prepare = || {
            Step::Act(Action::Prepare { creates }, format!("the CloudFormation stack {name} is about to be {making}"))
        };
        let Some(change_set) = self.change_set else { return prepare() };
        let reason = change_set.reason.as_deref().unwrap_or_default();
        match change_set.status.as_str() {
            "CREATE_COMPLETE" if creates || policy.mode == UpdateMode::Automatic => self.execute(wanted, making),
            "CREATE_COMPLETE" if policy.approved_change_set.as_deref() == Some(&wanted) => self.execute(wanted, making),
            "CREATE_COMPLETE" => {
                let message = format!(
                    "the change set {wanted} of the CloudFormation stack {name} waits for approval: set spec.aws.updatePolicy.approvedChangeSet to it"
                );
                Step::Ready(Some(Failure::new(Code::StackChangeWaits, message)))
            }
            "CREATE_PENDING" | "CREATE_IN_PROGRESS" => {
                Step::Wait(format!("the CloudFormation stack {name} is about to be {making}"))
            }
            "FAILED" if has_no_changes(reason) => Step::Ready(None),
            "FAILED" => {
                let failure = failed(&format!("CloudFormation refuses the stack {name}: {reason}"));
                if creates { Step::Fail(failure) } else { Step::Ready(Some(failure)) }
            }
            _ => prepare(),
        }
    }

    fn execute(&self, change_set: String, making: &str) -> Step {
        let what = format!("the CloudFormation stack {} is being {making}", self.place.stack_name);
        Step::Act(Action::Execute(change_set), what)
    }

    /// It is as it should be, as far as CloudFormation knows.
    fn settled(&self) -> Step {
        let (name, policy) = (&self.place.stack_name, &self.place.spec.drift_policy);
        let period = i64::from(policy.period_seconds);
        let due = self.place.drift.is_none_or(|(looked, _)| self.now.as_second() - looked.as_second() >= period);
        match (policy.mode, self.place.drift) {
            (DriftMode::Ignore, _) => Step::Ready(None),
            (DriftMode::Correct, Some((looked, drifted))) if drifted > 0 => self.corrected(looked),
            _ if due => Step::Act(
                Action::DetectDrift,
                format!("looking for changes by others in the CloudFormation stack {name}"),
            ),
            (_, Some((_, drifted))) if drifted > 0 => {
                let message = format!(
                    "somebody else has changed {drifted} resources of the CloudFormation stack {name}: take that back, or set spec.aws.driftPolicy.mode: Correct"
                );
                Step::Ready(Some(Failure::new(Code::StackDrifted, message)))
            }
            _ => Step::Ready(None),
        }
    }

    fn corrected(&self, looked: Timestamp) -> Step {
        let correction = self.wanted.correction(looked).name;
        let name = &self.place.stack_name;
        let look_again = || {
            Step::Act(Action::DetectDrift, format!("looking whether the CloudFormation stack {name} is right again"))
        };
        match self.correction.map(|change_set| (change_set.status.as_str(), change_set.reason.as_deref())) {
            _ if self.stack.is_some_and(|stack| stack.change_set.as_ref() == Some(&correction)) => look_again(),
            None => Step::Act(
                Action::PrepareCorrection,
                format!("what others have changed in the CloudFormation stack {name} is about to be put right"),
            ),
            Some(("CREATE_COMPLETE", _)) => self.execute(correction, "put right"),
            Some(("FAILED", reason)) if has_no_changes(reason.unwrap_or_default()) => look_again(),
            Some(("FAILED", reason)) => Step::Ready(Some(failed(&format!(
                "what others have changed in the CloudFormation stack {name} cannot be put right: {}",
                reason.unwrap_or("no reason is given")
            )))),
            Some(_) => Step::Wait(format!("the CloudFormation stack {name} is about to be put right")),
        }
    }

    /// When to look again although nothing is expected to change.
    pub(super) fn look_again(&self) -> Option<Duration> {
        let policy = &self.place.spec.drift_policy;
        let period = Duration::from_secs(u64::try_from(policy.period_seconds).unwrap_or(u64::MAX));
        (policy.mode != DriftMode::Ignore).then_some(period)
    }
}

/// CloudFormation's two ways to say that a change set changes nothing.
pub(super) fn has_no_changes(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}
