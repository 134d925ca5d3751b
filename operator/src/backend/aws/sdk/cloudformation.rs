//! CloudFormation.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::{
    Client,
    error::ProvideErrorMetadata as _,
    types::{
        Capability, Change as FoundChange, ChangeAction, ChangeSetType, DeploymentMode, Parameter, Replacement,
        ResourceStatus, Stack, StackDriftDetectionStatus, Tag,
    },
};
use crds::{Code, Failure};

use super::{
    super::cloud::{Change, ChangeSetFacts, StackFacts},
    errors::Asked as _,
};
use crate::error::{Class, Error};

/// What is not there is told in a `ValidationError` whose text alone says so.
const UNKNOWN: &str = "does not exist";

pub(super) async fn stack(client: &Client, name_or_id: &str) -> Result<Option<StackFacts>, Error> {
    let answer = client.describe_stacks().stack_name(name_or_id).send().await;
    if let Err(error) = &answer
        && error.code() == Some("ValidationError")
        && error.message().is_some_and(|message| message.contains(UNKNOWN))
    {
        return Ok(None);
    }
    let stacks = answer.asked("cloudformation:DescribeStacks")?.stacks.unwrap_or_default();
    Ok(stacks.into_iter().next().map(facts))
}

fn facts(stack: Stack) -> StackFacts {
    let pairs = |pairs: Vec<(Option<String>, Option<String>)>| -> BTreeMap<_, _> {
        pairs.into_iter().filter_map(|(name, value)| Some((name?, value.unwrap_or_default()))).collect()
    };
    let parameters = stack.parameters.unwrap_or_default();
    let outputs = stack.outputs.unwrap_or_default();
    let tags = stack.tags.unwrap_or_default();
    // arn:aws:cloudformation:REGION:ACCOUNT:changeSet/NAME/UUID
    let change_set = stack.change_set_id.as_deref().and_then(|arn| arn.split('/').nth(1)).map(str::to_owned);
    StackFacts {
        id: stack.stack_id.unwrap_or_default(),
        status: stack.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: stack.stack_status_reason,
        description: stack.description.unwrap_or_default(),
        parameters: pairs(parameters.into_iter().map(|it| (it.parameter_key, it.parameter_value)).collect()),
        outputs: pairs(outputs.into_iter().map(|it| (it.output_key, it.output_value)).collect()),
        tags: pairs(tags.into_iter().map(|it| (it.key, it.value)).collect()),
        change_set,
    }
}

/// The reason of the first resource that failed in the last operation; events come newest first.
pub(super) async fn first_failure(client: &Client, stack: &str) -> Result<Option<String>, Error> {
    let answer = client.describe_stack_events().stack_name(stack).send().await;
    let events = answer.asked("cloudformation:DescribeStackEvents")?.stack_events.unwrap_or_default();
    let mut first = None;
    for event in events {
        let status = event.resource_status.as_ref().map(ResourceStatus::as_str).unwrap_or_default();
        let itself = event.physical_resource_id.is_some() && event.physical_resource_id == event.stack_id;
        if itself && matches!(status, "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS") {
            break;
        }
        if let Some(reason) = event.resource_status_reason.filter(|_| status.ends_with("_FAILED"))
            // What was begun beside it is called off.
            && !reason.contains("cancelled")
        {
            first = Some(format!("{}: {reason}", event.logical_resource_id.unwrap_or_default()));
        }
    }
    Ok(first)
}

pub(super) async fn create_change_set(client: &Client, change: &Change) -> Result<(), Error> {
    let parameter =
        |(name, value): (&String, &String)| Parameter::builder().parameter_key(name).parameter_value(value).build();
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    let kind = if change.creates { ChangeSetType::Create } else { ChangeSetType::Update };
    let request = client
        .create_change_set()
        .stack_name(&change.stack)
        .change_set_name(&change.name)
        .client_token(&change.name)
        .change_set_type(kind)
        .template_body(&change.template)
        .set_parameters(Some(change.parameters.iter().map(parameter).collect()))
        .set_tags(Some(change.tags.iter().map(tag).collect()))
        .capabilities(Capability::CapabilityIam)
        .set_deployment_mode(change.reverts_drift.then_some(DeploymentMode::RevertDrift));
    let taken = ["AlreadyExistsException"];
    request.send().await.asked_unless("cloudformation:CreateChangeSet", &taken).map(drop)
}

pub(super) async fn change_set(client: &Client, stack: &str, name: &str) -> Result<Option<ChangeSetFacts>, Error> {
    let answer = client.describe_change_set().stack_name(stack).change_set_name(name).send().await;
    let unknown = ["ChangeSetNotFound", "ChangeSetNotFoundException"];
    if let Err(error) = &answer
        && error.code() == Some("ValidationError")
        && error.message().is_some_and(|message| message.contains(UNKNOWN))
    {
        return Ok(None);
    }
    let Some(found) = answer.asked_unless("cloudformation:DescribeChangeSet", &unknown)? else { return Ok(None) };
    let mut facts = ChangeSetFacts {
        status: found.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        reason: found.status_reason,
        ..ChangeSetFacts::default()
    };
    found.changes.unwrap_or_default().iter().for_each(|change| count(&mut facts, change));
    Ok(Some(facts))
}

fn count(facts: &mut ChangeSetFacts, change: &FoundChange) {
    let Some(change) = &change.resource_change else { return };
    let number = match (&change.action, &change.replacement) {
        (Some(ChangeAction::Add | ChangeAction::Import), _) => &mut facts.add,
        (Some(ChangeAction::Remove), _) => &mut facts.remove,
        (_, Some(Replacement::True)) => &mut facts.replace,
        _ => &mut facts.modify,
    };
    *number += 1;
}

pub(super) async fn execute_change_set(client: &Client, stack: &str, name: &str) -> Result<(), Error> {
    let request = client.execute_change_set().stack_name(stack).change_set_name(name).client_request_token(name);
    // Somebody, perhaps ourselves before a crash, has begun it: what follows is seen at the next look.
    let begun = ["InvalidChangeSetStatus", "InvalidChangeSetStatusException", "TokenAlreadyExistsException"];
    request.send().await.asked_unless("cloudformation:ExecuteChangeSet", &begun).map(drop)
}

pub(super) async fn drift(client: &Client, search: &str) -> Result<Option<i32>, Error> {
    let answer = client.describe_stack_drift_detection_status().stack_drift_detection_id(search).send().await;
    let found = answer.asked("cloudformation:DescribeStackDriftDetectionStatus")?;
    match found.detection_status {
        Some(StackDriftDetectionStatus::DetectionComplete) => Ok(Some(found.drifted_stack_resource_count.unwrap_or(0))),
        Some(StackDriftDetectionStatus::DetectionInProgress) => Ok(None),
        _ => {
            let reason = found.detection_status_reason.unwrap_or_default();
            let failure = Failure::new(Code::AwsRefused, format!("drift cannot be looked for: {reason}"));
            Err(Error::Backend { failure, class: Class::Terminal })
        }
    }
}
