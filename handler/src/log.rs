//! What an invocation tells CloudWatch: one JSON object a line, upstream's events and names. Nothing of a composition's
//! variables, and no credentials, which nothing here ever holds.

use std::{
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crds::{
    Failure,
    event::{Answer, Event},
    line::Progress,
};
use producer::Observer;
use serde_json::{Value, json};

/// Who is speaking: repeated on every line of an invocation.
#[derive(Clone, Debug)]
pub struct Subject {
    request_id: String,
    action: Option<&'static str>,
    execution: Option<String>,
    chunk: Option<u32>,
    input: Value,
}

impl Subject {
    /// Before the event is understood.
    #[must_use]
    pub fn unknown(request_id: &str) -> Self {
        Self { request_id: request_id.to_owned(), action: None, execution: None, chunk: None, input: Value::Null }
    }

    /// Of an event.
    #[must_use]
    pub fn of(request_id: &str, event: &Event) -> Self {
        let (action, chunk, uri, input) = match event {
            Event::Plan(event) => {
                let input = json!({
                    "projectS3Uri": event.project_s3_uri, "planOutputS3Prefix": event.plan_output_s3_prefix,
                    "format": event.config.render.format, "fps": event.config.render.fps,
                });
                ("plan", None, &event.plan_output_s3_prefix, input)
            }
            Event::RenderChunk(event) => {
                let input = json!({
                    "planV2ManifestS3Uri": event.plan_v2_manifest_s3_uri, "planHash": event.plan_hash,
                    "chunkOutputS3Prefix": event.chunk_output_s3_prefix, "chunkIndex": event.chunk_index,
                    "format": event.format,
                });
                ("renderChunk", Some(event.chunk_index), &event.plan_v2_manifest_s3_uri, input)
            }
            Event::Assemble(event) => {
                let input = json!({
                    "planV2ManifestS3Uri": event.plan_v2_manifest_s3_uri, "planHash": event.plan_hash,
                    "chunkCount": event.chunk_s3_uris.len(), "outputS3Uri": event.output_s3_uri, "format": event.format,
                });
                ("assemble", None, &event.plan_v2_manifest_s3_uri, input)
            }
        };
        Self { request_id: request_id.to_owned(), action: Some(action), execution: execution(uri), chunk, input }
    }

    /// The event was understood and is allowed.
    pub fn started(&self) {
        self.line("handler_start", &json!({ "input": self.input }));
    }

    /// It was done.
    pub fn ended(&self, answer: &Answer, took: Duration) {
        self.line("handler_end", &json!({ "durationMs": millis(took), "answer": answer }));
    }

    /// It was not.
    pub fn failed(&self, failure: &Failure, took: Duration) {
        let about = json!({
            "name": failure.code, "message": failure.message, "path": failure.path, "line": failure.line,
            "durationMs": millis(took), "input": self.input,
        });
        self.line("handler_error", &about);
    }

    fn line(&self, event: &str, about: &Value) {
        write(&self.value(event, about));
    }

    fn value(&self, event: &str, about: &Value) -> Value {
        let mut line = json!({
            "event": event, "requestId": self.request_id, "action": self.action, "executionName": self.execution,
            "chunkIndex": self.chunk,
        });
        if let (Some(line), Some(about)) = (line.as_object_mut(), about.as_object()) {
            line.extend(about.clone());
            line.retain(|_, value| !value.is_null());
        }
        line
    }
}

/// The producer's warnings: logged, and the first of them kept for the answer.
#[derive(Debug)]
pub struct Warnings {
    subject: Subject,
    kept: Mutex<Vec<Failure>>,
}

/// An answer is a part of an execution's state, which has an end.
const MOST_WARNINGS: usize = 20;

impl Warnings {
    /// Of one invocation.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self { subject, kept: Mutex::default() }
    }

    /// Those that were kept.
    #[must_use]
    pub fn kept(&self) -> Vec<Failure> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Warnings {
    fn progress(&self, _: Progress) {}

    fn warning(&self, warning: &Failure) {
        let about = json!({
            "name": warning.code, "message": warning.message, "path": warning.path, "line": warning.line,
        });
        self.subject.line("handler_warning", &about);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_WARNINGS {
            kept.push(warning.clone());
        }
    }
}

/// Milliseconds, as they are told.
#[must_use]
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `renders/<execution>/…`: upstream's SDK and our operator name prefixes so.
fn execution(uri: &str) -> Option<String> {
    let rest = uri.split_once("/renders/")?.1;
    rest.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Tells of panics as a line of the log too.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        write(&json!({ "event": "panic", "message": panic.payload_as_str(), "at": place }));
    }));
}

/// A log nobody reads is no reason to stop.
pub(crate) fn write(line: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::dispatch;

    #[test]
    fn lines_say_who_speaks_and_no_variables() {
        let event = json!({
            "Action": "plan", "ProjectS3Uri": "s3://b/sites/x.tar.gz", "PlanOutputS3Prefix": "s3://b/renders/run-1/",
            "Config": { "fps": 30, "format": "mp4", "variables": { "token": "hush" } },
        });
        let subject = Subject::of("id", &dispatch(event).unwrap());
        let line = subject.value("handler_start", &json!({ "input": subject.input }));
        let expected = json!({
            "event": "handler_start", "requestId": "id", "action": "plan", "executionName": "run-1",
            "input": {
                "projectS3Uri": "s3://b/sites/x.tar.gz", "planOutputS3Prefix": "s3://b/renders/run-1/", "format": "mp4",
                "fps": 30,
            },
        });
        assert_eq!(line, expected);
    }
}
