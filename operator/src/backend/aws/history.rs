//! What the history of an execution tells, taken in event by event.

use std::collections::HashMap;

use crds::{
    Code, Failure, Usd,
    event::{Answer, PlanAnswer},
    render::{ProgressStage, ProgressStatus},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    cloud::{Happened, HistoryEvent},
    prices,
};
use crate::ports::planning;

/// Warnings that are kept; of a render that warns for each frame there could be any number.
const MOST_WARNINGS: usize = 100;

/// An execution as far as its history was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Id of the last event that was taken in.
    last: i64,
    /// Invocations under way, by the id of their last event.
    invocations: HashMap<i64, Invocation>,
    plan: Option<PlanAnswer>,
    chunks_done: u32,
    frames: u32,
    assembles: bool,
    billed_ms: u64,
    invoked: u64,
    transitions: u64,
    warnings: Vec<Failure>,
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Invocation {
    action: Action,
    began: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Plan,
    RenderChunk,
    Assemble,
    Unknown,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded(Video),
    Failed(Failure),
    Stopped,
}

/// What came of an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Video {
    pub(super) uri: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) frames: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Tally {
    pub(super) const fn last(&self) -> i64 {
        self.last
    }

    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(super) fn warnings(&self) -> &[Failure] {
        &self.warnings
    }

    /// Takes in what has happened since.
    pub(super) fn take_in(&mut self, events: Vec<HistoryEvent>) {
        for event in events {
            if event.id > self.last {
                self.last = event.id;
                self.take(event);
            }
        }
    }

    fn take(&mut self, HistoryEvent { id, previous, time, what }: HistoryEvent) {
        match what {
            Happened::StateEntered => self.transitions += 1,
            Happened::InvocationScheduled(input) => {
                self.invoked += 1;
                let action = action(&input);
                self.assembles |= action == Action::Assemble;
                self.invocations.insert(id, Invocation { action, began: None });
            }
            Happened::InvocationStarted => {
                if let Some(invocation) = self.invocations.remove(&previous) {
                    self.invocations.insert(id, Invocation { began: Some(time), ..invocation });
                }
            }
            Happened::InvocationSucceeded(answer) => {
                let invocation = self.invocations.remove(&previous);
                self.answered(&answer, invocation.as_ref(), time);
            }
            Happened::InvocationFailed(..) => {
                // It is tried again, or the execution fails with the same error.
                self.transitions += 1;
                let invocation = self.invocations.remove(&previous);
                self.billed_ms += elapsed_ms(invocation.as_ref(), time);
            }
            Happened::ExecutionSucceeded(output) => self.end = Some(End::Succeeded(video(&output))),
            Happened::ExecutionFailed(error, cause) => self.ended(End::Failed(failure(&error, &cause))),
            Happened::ExecutionTimedOut => self.ended(End::Failed(Failure::new(
                Code::ExecutionTimedOut,
                "the execution took longer than spec.aws.executionTimeoutSeconds of its stack; what it has finished is kept",
            ))),
            Happened::ExecutionAborted => self.ended(End::Stopped),
            Happened::ExecutionRedriven => self.end = None,
            Happened::Other => {}
        }
    }

    fn ended(&mut self, end: End) {
        self.invocations.clear();
        self.end = Some(end);
    }

    fn answered(&mut self, answer: &str, invocation: Option<&Invocation>, time: Timestamp) {
        let value: Value = serde_json::from_str(answer).unwrap_or_default();
        let payload = value.get("Payload").cloned().unwrap_or(value);
        let mut told = |warnings: &[Failure]| {
            let room = MOST_WARNINGS.saturating_sub(self.warnings.len());
            let new: Vec<_> = warnings.iter().filter(|warning| !self.warnings.contains(warning)).take(room).collect();
            self.warnings.extend(new.into_iter().cloned());
        };
        let billed = match serde_json::from_value::<Answer>(payload) {
            Ok(Answer::Plan(plan)) => {
                told(&plan.warnings);
                let billed = plan.duration_ms;
                self.plan = Some(plan);
                billed
            }
            Ok(Answer::RenderChunk(chunk)) => {
                told(&chunk.warnings);
                self.chunks_done += 1;
                self.frames = self.frames.saturating_add(chunk.frames_encoded);
                chunk.duration_ms
            }
            Ok(Answer::Assemble(assembled)) => assembled.duration_ms,
            Err(_) => 0,
        };
        self.billed_ms += if billed > 0 { billed } else { elapsed_ms(invocation, time) };
    }

    pub(super) fn progress(&self) -> ProgressStatus {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let Some(plan) = &self.plan else { return planning() };
        let running = self.invocations.values().filter(|invocation| invocation.action == Action::RenderChunk).count();
        let share = u64::from(self.frames) * 80 / u64::from(plan.total_frames.max(1));
        ProgressStatus {
            percent: 10 + i32::try_from(share.min(80)).unwrap_or(80),
            stage: if self.assembles { ProgressStage::Assembling } else { ProgressStage::Rendering },
            frames_rendered: number(self.frames.min(plan.total_frames)),
            frames_total: number(plan.total_frames),
            chunks_done: number(self.chunks_done.min(plan.chunk_count)),
            chunks_running: i32::try_from(running).unwrap_or(i32::MAX),
            chunks_total: number(plan.chunk_count),
        }
    }

    /// Estimate of what it has cost, with a function of so much memory.
    pub(super) fn cost(&self, memory_mb: i32) -> Usd {
        prices::invocations(self.invoked, self.billed_ms, memory_mb).plus(prices::transitions(self.transitions))
    }
}

fn elapsed_ms(invocation: Option<&Invocation>, until: Timestamp) -> u64 {
    let began = invocation.and_then(|invocation| invocation.began);
    began.map_or(0, |began| u64::try_from(until.as_millisecond() - began.as_millisecond()).unwrap_or(0))
}

fn action(input: &str) -> Action {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Asked {
        action: Option<String>,
        payload: Option<Box<Asked>>,
    }
    let asked = serde_json::from_str::<Asked>(input).ok();
    let asked = asked.map(|asked| asked.payload.map_or(asked.action, |payload| payload.action));
    match asked.flatten().as_deref() {
        Some("plan") => Action::Plan,
        Some("renderChunk") => Action::RenderChunk,
        Some("assemble") => Action::Assemble,
        _ => Action::Unknown,
    }
}

fn video(output: &str) -> Video {
    let output: Value = serde_json::from_str(output).unwrap_or_default();
    let number = |pointer: &str| output.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let small = |pointer: &str| u32::try_from(number(pointer)).unwrap_or(0);
    let text = |pointer: &str| output.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Video {
        uri: text("/Output/OutputS3Uri"),
        bytes: number("/Output/FileSize"),
        sha256: text("/Output/Sha256"),
        frames: small("/Output/FramesEncoded"),
        width: small("/Plan/Width"),
        height: small("/Plan/Height"),
    }
}

/// An execution's error as a failure with a code of ours.
fn failure(error: &str, cause: &str) -> Failure {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cause {
        error_message: String,
    }
    let message = serde_json::from_str::<Cause>(cause).map_or_else(|_| cause.to_owned(), |cause| cause.error_message);
    if let Some(code) = Code::of(error) {
        return Failure::new(code, message);
    }
    let code = match error {
        "Lambda.TooManyRequestsException" => Code::AwsThrottled,
        "States.Timeout" => Code::ExecutionTimedOut,
        "Sandbox.Timedout" => Code::NoProgress,
        "States.DataLimitExceeded" => Code::PlanTooLarge,
        _ => Code::ExecutionFailed,
    };
    Failure::new(code, format!("{error}: {message}"))
}
