//! The CloudFormation template and the state machine in it.
//!
//! Names of resources, parameters, outputs and states are upstream's (`examples/aws-lambda/template.yaml`), so that its SDK
//! can drive what is deployed here. The codes that are not retried come from the one registry.

use crds::Code;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const TEMPLATE: &str = include_str!("template.yaml");
/// The IAM policy of whoever deploys stacks and renders on them: what this program asks of AWS, and what CloudFormation asks in
/// its name.
pub const POLICY: &str = include_str!("policy.json");
const STATE_MACHINE: &str = include_str!("state-machine.json");
/// Parameters that are numbers in the state machine: as text until CloudFormation has put them in.
const NUMBERS: &[&str] = &["${ExecutionTimeoutSec}", "${MapConcurrency}"];
/// Column of the state machine in the template.
const INDENT: &str = "          ";

/// The whole template, the same for every stack. Its description names its digest.
#[must_use]
pub fn template() -> String {
    let machine: String = state_machine().lines().map(|line| format!("{INDENT}{line}\n")).collect();
    let text = TEMPLATE.replace("@STATE_MACHINE@\n", &machine);
    let digest = hex::encode(Sha256::digest(&text));
    text.replace("@DESCRIPTION@", &description(&digest[..DIGITS]))
}

/// Digits of the template's digest in its description.
const DIGITS: usize = 16;

fn description(digest: &str) -> String {
    format!("Renders HyperFrames compositions. Made by hyperframes-operator; template {digest}.")
}

/// The state machine, as text in which CloudFormation still puts in ARNs and numbers.
#[must_use]
pub fn state_machine() -> String {
    let mut machine: Value = serde_json::from_str(STATE_MACHINE).unwrap_or_else(|error| unreachable!("ours: {error}"));
    put_in_retries(&mut machine);
    let text = serde_json::to_string_pretty(&machine).unwrap_or_else(|error| unreachable!("plain data: {error}"));
    NUMBERS.iter().fold(text, |text, number| text.replace(&format!("\"{number}\""), number))
}

/// Every task gets the same retries.
fn put_in_retries(value: &mut Value) {
    let Some(fields) = value.as_object_mut() else { return };
    if fields.get("Type") == Some(&json!("Task")) {
        fields.insert("Retry".to_owned(), retries());
    }
    fields.values_mut().for_each(put_in_retries);
}

fn retries() -> Value {
    json!([
        { "ErrorEquals": not_retried(), "MaxAttempts": 0 },
        // All chunks want to start at once, and may have to wait for others' for as long as a chunk takes.
        retry(&["Lambda.TooManyRequestsException"], 5, 60),
        retry(
            &[
                "Lambda.AWSLambdaException",
                "Lambda.ClientExecutionTimeoutException",
                "Lambda.SdkClientException",
                "Lambda.ServiceException",
            ],
            2,
            6,
        ),
        retry(&["States.ALL"], 2, 4),
    ])
}

fn retry(errors: &[&str], interval_seconds: u32, max_attempts: u32) -> Map<String, Value> {
    let retry = json!({
        "ErrorEquals": errors, "IntervalSeconds": interval_seconds, "MaxAttempts": max_attempts, "BackoffRate": 2,
        "MaxDelaySeconds": 60, "JitterStrategy": "FULL",
    });
    match retry {
        Value::Object(fields) => fields,
        _ => unreachable!("an object was written"),
    }
}

/// Codes after which the same invocation fails again.
fn not_retried() -> Vec<&'static str> {
    Code::ALL.iter().filter(|code| !code.retryable()).map(|code| code.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest template that CloudFormation takes in a request (`TemplateBody`).
    const LARGEST: usize = 51_200;

    #[test]
    fn the_template_fits_into_a_request() {
        let text = template();
        assert!(text.len() <= LARGEST, "{} bytes", text.len());
        assert!(!text.contains('@'.to_string().as_str()) || !text.contains("@STATE"), "something was not put in");
    }

    #[test]
    fn every_task_knows_what_not_to_retry() {
        let text = state_machine();
        let tasks = text.matches("\"Type\": \"Task\"").count();
        assert_eq!(tasks, 3);
        for code in ["FONT_FETCH_FAILED", "PLAN_HASH_MISMATCH", "S3_URI_NOT_ALLOWED"] {
            assert_eq!(text.matches(&format!("\"{code}\"")).count(), tasks, "{code}");
        }
        for code in ["BROWSER_FAILED", "STORAGE_UNAVAILABLE", "CHUNK_INVALID"] {
            assert!(!text.contains(code), "{code}");
        }
        assert!(text.contains("\"MaxConcurrency\": ${MapConcurrency}"), "{text}");
    }

    #[test]
    fn a_changed_template_has_another_description() {
        let line = |text: &str| text.lines().find(|line| line.starts_with("Description")).map(str::to_owned);
        assert_eq!(line(&template()), line(&template()));
        assert!(line(&template()).unwrap().contains("; template "));
    }
}
