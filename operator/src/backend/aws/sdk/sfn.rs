//! Step Functions.

use aws_sdk_sfn::{
    Client,
    types::{ExecutionStatus, HistoryEvent as Event, HistoryEventType as Type},
};
use jiff::Timestamp;

use super::{
    super::cloud::{ExecutionState, Happened, HistoryEvent, StartedExecution},
    errors::Asked as _,
    limits::{Api, Limits},
};
use crate::error::Error;

/// Events in an answer; Step Functions gives no more.
const PAGE: i32 = 1000;

pub(super) async fn start(client: &Client, machine: &str, name: &str, input: &str) -> Result<StartedExecution, Error> {
    let request = client.start_execution().state_machine_arn(machine).name(name).input(input);
    let started = request.send().await.asked_unless("states:StartExecution", &["ExecutionAlreadyExists"])?;
    Ok(started.map_or(StartedExecution::NameTaken, |started| StartedExecution::Running(started.execution_arn)))
}

pub(super) async fn state(client: &Client, arn: &str) -> Result<Option<ExecutionState>, Error> {
    let answer = client.describe_execution().execution_arn(arn).send().await;
    let found = answer.asked_unless("states:DescribeExecution", &["ExecutionDoesNotExist"])?;
    Ok(found.map(|found| match found.status {
        ExecutionStatus::Succeeded => ExecutionState::Succeeded,
        ExecutionStatus::Failed => ExecutionState::Failed,
        ExecutionStatus::TimedOut => ExecutionState::TimedOut,
        ExecutionStatus::Aborted => ExecutionState::Aborted,
        _ => ExecutionState::Running,
    }))
}

pub(super) async fn stop(client: &Client, arn: &str, cause: &str) -> Result<(), Error> {
    let request = client.stop_execution().execution_arn(arn).cause(cause);
    // One that has ended, or never was, needs no stop.
    request.send().await.asked_unless("states:StopExecution", &["ExecutionDoesNotExist"]).map(drop)
}

/// Newest first, so that only what is new is read.
pub(super) async fn history(
    client: &Client,
    limits: &Limits,
    arn: &str,
    after: i64,
) -> Result<Option<Vec<HistoryEvent>>, Error> {
    let (mut events, mut next) = (Vec::new(), None);
    loop {
        limits.wait(Api::GetExecutionHistory).await;
        let request = client.get_execution_history().execution_arn(arn).reverse_order(true).max_results(PAGE);
        let answer = request.set_next_token(next).send().await;
        let unknown = ["ExecutionDoesNotExist"];
        let Some(page) = answer.asked_unless("states:GetExecutionHistory", &unknown)? else { return Ok(None) };
        let known = page.events.iter().any(|event| event.id <= after);
        events.extend(page.events.into_iter().filter(|event| event.id > after).map(read));
        next = page.next_token.filter(|_| !known);
        if next.is_none() {
            events.sort_by_key(|event: &HistoryEvent| event.id);
            return Ok(Some(events));
        }
    }
}

fn read(event: Event) -> HistoryEvent {
    let time = Timestamp::from_millisecond(event.timestamp.to_millis().unwrap_or(0)).unwrap_or_default();
    HistoryEvent { id: event.id, previous: event.previous_event_id, time, what: happened(event) }
}

fn happened(event: Event) -> Happened {
    let text = Option::<String>::unwrap_or_default;
    let failed = |error: Option<String>, cause: Option<String>| Happened::InvocationFailed(text(error), text(cause));
    match event.r#type {
        Type::TaskStateEntered
        | Type::MapStateEntered
        | Type::PassStateEntered
        | Type::ChoiceStateEntered
        | Type::SucceedStateEntered
        | Type::FailStateEntered
        | Type::WaitStateEntered
        | Type::ParallelStateEntered => Happened::StateEntered,
        Type::TaskScheduled => event
            .task_scheduled_event_details
            .map_or(Happened::Other, |details| Happened::InvocationScheduled(details.parameters)),
        Type::LambdaFunctionScheduled => event
            .lambda_function_scheduled_event_details
            .map_or(Happened::Other, |details| Happened::InvocationScheduled(text(details.input))),
        Type::TaskStarted | Type::LambdaFunctionStarted => Happened::InvocationStarted,
        Type::TaskSucceeded => event
            .task_succeeded_event_details
            .map_or(Happened::Other, |details| Happened::InvocationSucceeded(text(details.output))),
        Type::LambdaFunctionSucceeded => event
            .lambda_function_succeeded_event_details
            .map_or(Happened::Other, |details| Happened::InvocationSucceeded(text(details.output))),
        Type::TaskFailed => {
            event.task_failed_event_details.map_or(Happened::Other, |details| failed(details.error, details.cause))
        }
        Type::TaskStartFailed => event
            .task_start_failed_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::TaskSubmitFailed => event
            .task_submit_failed_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::TaskTimedOut => {
            event.task_timed_out_event_details.map_or(Happened::Other, |details| failed(details.error, details.cause))
        }
        Type::LambdaFunctionFailed => event
            .lambda_function_failed_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::LambdaFunctionStartFailed => event
            .lambda_function_start_failed_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::LambdaFunctionScheduleFailed => event
            .lambda_function_schedule_failed_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::LambdaFunctionTimedOut => event
            .lambda_function_timed_out_event_details
            .map_or(Happened::Other, |details| failed(details.error, details.cause)),
        Type::ExecutionSucceeded => event
            .execution_succeeded_event_details
            .map_or(Happened::Other, |details| Happened::ExecutionSucceeded(text(details.output))),
        Type::ExecutionFailed => event
            .execution_failed_event_details
            .map_or(Happened::Other, |details| Happened::ExecutionFailed(text(details.error), text(details.cause))),
        Type::ExecutionTimedOut => Happened::ExecutionTimedOut,
        Type::ExecutionAborted => Happened::ExecutionAborted,
        Type::ExecutionRedriven => Happened::ExecutionRedriven,
        _ => Happened::Other,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::{
        primitives::DateTime,
        types::{
            LambdaFunctionFailedEventDetails, LambdaFunctionScheduledEventDetails, LambdaFunctionSucceededEventDetails,
            TaskFailedEventDetails, TaskScheduledEventDetails, TaskSucceededEventDetails,
            builders::HistoryEventBuilder,
        },
    };

    use super::*;

    fn event(kind: Type, details: impl FnOnce(HistoryEventBuilder) -> HistoryEventBuilder) -> Happened {
        let event = details(Event::builder().r#type(kind).id(7).timestamp(DateTime::from_secs(1)));
        let read = read(event.build().unwrap());
        assert_eq!((read.id, read.time), (7, Timestamp::from_second(1).unwrap()));
        read.what
    }

    /// Of the service integration, and of a function that is the task's resource itself, as upstream's first stacks have it.
    #[test]
    fn both_ways_to_call_a_function_are_read_alike() {
        let asked = "{\"Action\":\"plan\"}";
        let by_task = event(Type::TaskScheduled, |event| {
            let details = TaskScheduledEventDetails::builder().resource_type("lambda").resource("invoke").region("r");
            event.task_scheduled_event_details(details.parameters(asked).build().unwrap())
        });
        let directly = event(Type::LambdaFunctionScheduled, |event| {
            let details = LambdaFunctionScheduledEventDetails::builder().resource("arn").input(asked);
            event.lambda_function_scheduled_event_details(details.build().unwrap())
        });
        assert_eq!((&by_task, &directly), (&directly, &Happened::InvocationScheduled(asked.to_owned())));
        let by_task = event(Type::TaskSucceeded, |event| {
            let details = TaskSucceededEventDetails::builder().resource_type("lambda").resource("invoke").output("{}");
            event.task_succeeded_event_details(details.build().unwrap())
        });
        let directly = event(Type::LambdaFunctionSucceeded, |event| {
            let details = LambdaFunctionSucceededEventDetails::builder().output("{}").build();
            event.lambda_function_succeeded_event_details(details)
        });
        assert_eq!((&by_task, &directly), (&directly, &Happened::InvocationSucceeded("{}".to_owned())));
        let by_task = event(Type::TaskFailed, |event| {
            let details = TaskFailedEventDetails::builder().resource_type("lambda").resource("invoke");
            event.task_failed_event_details(details.error("E").cause("c").build().unwrap())
        });
        let directly = event(Type::LambdaFunctionFailed, |event| {
            let details = LambdaFunctionFailedEventDetails::builder().error("E").cause("c").build();
            event.lambda_function_failed_event_details(details)
        });
        assert_eq!((&by_task, &directly), (&directly, &Happened::InvocationFailed("E".to_owned(), "c".to_owned())));
    }
}
