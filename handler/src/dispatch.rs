//! Which event is it: found in the envelopes Step Functions and upstream's SDK put around it, of a protocol that is spoken.

use crds::{Code, Failure, event::Event};
use serde_json::Value;

/// Envelopes looked into, upstream's limit.
const MAX_ENVELOPE_DEPTH: usize = 4;
const ACTIONS: [&str; 3] = ["plan", "renderChunk", "assemble"];

/// What an invocation asks for.
///
/// # Errors
/// `EVENT_INVALID` when no verb is asked for or a field is missing, `PLAN_PROTOCOL_UNSUPPORTED` for plan protocol v1,
/// an unknown one, or locators of both.
pub fn dispatch(event: Value) -> Result<Event, Failure> {
    let event = unwrap(event)?;
    check_protocol(&event)?;
    serde_json::from_value(event).map_err(|error| invalid(&error.to_string()))
}

/// The event itself: `Payload` and `Input` are opened until an action is found.
fn unwrap(mut event: Value) -> Result<Value, Failure> {
    for _ in 0..MAX_ENVELOPE_DEPTH {
        if event["Action"].as_str().is_some_and(|action| ACTIONS.contains(&action)) {
            return Ok(event);
        }
        let Some(envelope) = ["Payload", "Input"].into_iter().find(|envelope| event.get(envelope).is_some()) else {
            break;
        };
        event = event[envelope].take();
    }
    Err(invalid("no recognised Action: it must be plan, renderChunk or assemble"))
}

/// Plan protocol v2 only: upstream itself has removed v1.
fn check_protocol(event: &Value) -> Result<(), Failure> {
    let unsupported = |message: &str| Err(Failure::new(Code::PlanProtocolUnsupported, message));
    match &event["PlanProtocol"] {
        Value::Null => {}
        Value::String(protocol) if protocol == "v2" => {}
        other => return unsupported(&format!("plan protocol {other} is not spoken here: send v2")),
    }
    let is_there = |field: &str| event[field].is_string();
    if event["Action"] != "plan" {
        if is_there("PlanS3Uri") {
            return unsupported(
                "PlanS3Uri belongs to plan protocol v1: send PlanV2ManifestS3Uri and PlanV2ArtifactS3Prefix",
            );
        }
        if !is_there("PlanV2ManifestS3Uri") || !is_there("PlanV2ArtifactS3Prefix") {
            return unsupported("plan protocol v2 needs PlanV2ManifestS3Uri and PlanV2ArtifactS3Prefix");
        }
    }
    // Absent is not null here: upstream refuses it too.
    if event["Action"] == "assemble" && event.get("AudioS3Uri") != Some(&Value::Null) {
        return unsupported("plan protocol v2 has its audio in the plan: AudioS3Uri must be null");
    }
    Ok(())
}

fn invalid(message: &str) -> Failure {
    Failure::new(Code::EventInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chunk() -> Value {
        json!({
            "Action": "renderChunk", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": "s3://b/r/v2/manifest.json",
            "PlanV2ArtifactS3Prefix": "s3://b/r/v2/artifacts/sha256", "PlanHash": "00", "ChunkIndex": 3,
            "ChunkOutputS3Prefix": "s3://b/r/", "Format": "mp4",
        })
    }

    fn assemble() -> Value {
        json!({
            "Action": "assemble", "PlanV2ManifestS3Uri": "s3://b/r/v2/manifest.json",
            "PlanV2ArtifactS3Prefix": "s3://b/r/v2/artifacts/sha256", "PlanHash": "00",
            "ChunkS3Uris": ["s3://b/r/chunks/0000.mp4"], "AudioS3Uri": null, "OutputS3Uri": "s3://b/o.mp4", "Format": "mp4",
        })
    }

    fn plan() -> Value {
        json!({
            "Action": "plan", "ProjectS3Uri": "s3://b/sites/x/project.tar.gz", "PlanOutputS3Prefix": "s3://b/r/",
            "Config": { "fps": 30, "width": 1920, "height": 1080, "format": "mp4" },
        })
    }

    fn with(mut event: Value, field: &str, value: Value) -> Value {
        event[field] = value;
        event
    }

    #[track_caller]
    fn check(event: Value, expected: Result<&str, Code>) {
        let verb = dispatch(event).map(|event| match event {
            Event::Plan(_) => "plan",
            Event::RenderChunk(chunk) => {
                assert_eq!(chunk.chunk_index, 3);
                "renderChunk"
            }
            Event::Assemble(_) => "assemble",
        });
        assert_eq!(verb.map_err(|failure| failure.code), expected);
    }

    #[test]
    fn bare_and_wrapped_events_are_understood() {
        check(plan(), Ok("plan"));
        check(chunk(), Ok("renderChunk"));
        check(assemble(), Ok("assemble"));
        check(json!({ "Payload": chunk() }), Ok("renderChunk"));
        check(json!({ "Action": "unknown", "Payload": { "Input": { "Payload": chunk() } } }), Ok("renderChunk"));
        check(json!({ "Payload": { "Input": { "Payload": { "Input": chunk() } } } }), Err(Code::EventInvalid));
        check(json!({ "Action": "unknown" }), Err(Code::EventInvalid));
        check(json!([]), Err(Code::EventInvalid));
    }

    #[test]
    fn only_plan_protocol_v2_is_spoken() {
        let refused = Err(Code::PlanProtocolUnsupported);
        check(with(plan(), "PlanProtocol", json!("v1")), refused);
        check(with(plan(), "PlanProtocol", json!(2)), refused);
        check(with(chunk(), "PlanS3Uri", json!("s3://b/plan.tar.gz")), refused);
        check(with(chunk(), "PlanV2ManifestS3Uri", Value::Null), refused);
        check(with(assemble(), "AudioS3Uri", json!("s3://b/audio.m4a")), refused);
        let mut absent = assemble();
        absent.as_object_mut().unwrap().remove("AudioS3Uri");
        check(absent, refused);
    }

    #[test]
    fn a_missing_field_is_named() {
        let failure = dispatch(with(chunk(), "ChunkIndex", Value::Null)).unwrap_err();
        assert_eq!(failure.code, Code::EventInvalid);
        assert!(failure.message.contains("u32"), "{failure}");
    }
}
