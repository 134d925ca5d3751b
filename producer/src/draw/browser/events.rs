//! What a page reports by itself: requests, exceptions, crashes.
//!
//! Only the fields that are needed are read, so that a browser newer than the protocol types cannot make an event
//! silently unreadable.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::draw::server::{ORIGIN, is_frame};

/// Everything noted since the page was opened, as far as it is worth telling: a page may report without end.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Addresses of requests that are unanswered, by the browser's id.
    in_flight: HashMap<String, String>,
    /// Requests ever started.
    pub(crate) started: u64,
    /// Addresses of requests that left our own server.
    pub(crate) external: BTreeSet<String>,
    /// Addresses our server had no file for.
    pub(crate) missing: BTreeSet<String>,
    /// Addresses of files our server gave out.
    pub(crate) served: BTreeSet<String>,
    /// Addresses that images were given out under, our server's and others.
    pub(crate) images: BTreeSet<String>,
    /// Sessions of workers that wait to be let run.
    pub(super) workers: Vec<String>,
    /// The first exceptions nobody caught.
    pub(crate) exceptions: Vec<Exception>,
    /// What the runtime says of effects of pictures that it cannot draw.
    pub(crate) effects: BTreeSet<String>,
    /// The page's process is gone.
    pub(crate) page_crashed: bool,
}

/// The runtime asks for it wherever it sees captions, and does without.
const OVERRIDES: &str = "caption-overrides.json";
/// What else runs scripts and waits to be let run, as DevTools calls it.
pub(super) const WORKERS: [&str; 2] = ["worker", "worklet"];
/// So many different addresses are kept in each list.
const MOST_ADDRESSES: usize = 10_000;
const MOST_EXCEPTIONS: usize = 5;
/// So many characters are kept of a message or of an address whose request runs.
const MOST_CHARACTERS: usize = 1000;

/// An exception nobody caught.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) message: String,
    /// URL of the script, if it has one.
    pub(crate) url: Option<String>,
    /// Line in that script, from 1.
    pub(crate) line: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestStarted {
    request_id: String,
    request: RequestUrl,
}

#[derive(Deserialize)]
struct RequestUrl {
    url: String,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "type")]
    kind: String,
    response: ResponseStatus,
}

#[derive(Deserialize)]
struct ResponseStatus {
    url: String,
    status: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestEnded {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attached {
    session_id: String,
    target_info: TargetInfo,
}

#[derive(Deserialize)]
struct TargetInfo {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thrown {
    exception_details: ExceptionDetails,
}

/// `Runtime.ExceptionDetails`, also part of the answer to an evaluation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExceptionDetails {
    text: String,
    line_number: u32,
    url: Option<String>,
    exception: Option<ExceptionObject>,
}

#[derive(Deserialize)]
struct ExceptionObject {
    description: Option<String>,
}

#[derive(Deserialize)]
struct Logged {
    args: (Argument, Argument),
}

#[derive(Deserialize)]
struct Argument {
    value: String,
}

/// How the runtime begins what it logs of an error, and what follows where that is about an effect of pictures.
const RUNTIME_ERROR: &str = "[HyperFrames] composition script error:";
const EFFECT: &str = "vfx: ";

impl Events {
    pub(super) fn note(&mut self, method: &str, params: &RawValue) {
        let params = params.get();
        match method {
            "Network.requestWillBeSent" => {
                if let Ok(RequestStarted { request_id, request }) = serde_json::from_str(params)
                    && !is_frame(&request.url)
                {
                    self.started += 1;
                    self.in_flight.insert(request_id, beginning(&request.url));
                    if is_external(&request.url) {
                        note(&mut self.external, request.url);
                    }
                }
            }
            "Network.webSocketCreated" => {
                if let Ok(RequestUrl { url }) = serde_json::from_str(params) {
                    note(&mut self.external, url);
                }
            }
            "Network.responseReceived" => {
                if let Ok(Response { kind, response }) = serde_json::from_str(params)
                    && !response.url.starts_with("data:")
                    && !is_frame(&response.url)
                {
                    if kind == "Image" && response.status < 400 {
                        note(&mut self.images, response.url.clone());
                    }
                    match response.url.strip_prefix(ORIGIN) {
                        Some(_) if response.status < 400 => note(&mut self.served, response.url),
                        Some(path) if path != OVERRIDES => note(&mut self.missing, response.url),
                        _ => {}
                    }
                }
            }
            "Network.loadingFinished" | "Network.loadingFailed" => {
                if let Ok(RequestEnded { request_id }) = serde_json::from_str(params) {
                    self.in_flight.remove(&request_id);
                }
            }
            "Runtime.exceptionThrown" => {
                if self.exceptions.len() < MOST_EXCEPTIONS
                    && let Ok(Thrown { exception_details }) = serde_json::from_str(params)
                {
                    self.exceptions.push(exception_details.into());
                }
            }
            "Runtime.consoleAPICalled" => self.note_log(params),
            "Target.attachedToTarget" => {
                if let Ok(Attached { session_id, target_info }) = serde_json::from_str(params)
                    && WORKERS.contains(&&*target_info.kind)
                {
                    self.workers.push(session_id);
                }
            }
            "Inspector.targetCrashed" => self.page_crashed = true,
            _ => {}
        }
    }

    fn note_log(&mut self, params: &str) {
        if let Ok(Logged { args: (kind, message) }) = serde_json::from_str(params)
            && kind.value == RUNTIME_ERROR
            && let Some(message) = message.value.strip_prefix(EFFECT)
            && self.effects.len() < MOST_EXCEPTIONS
        {
            self.effects.insert(beginning(message));
        }
    }

    /// True while a request is unanswered.
    pub(crate) fn loading(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The addresses of requests that are unanswered.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        self.in_flight.values().cloned().collect()
    }
}

fn note(addresses: &mut BTreeSet<String>, address: String) {
    if addresses.len() < MOST_ADDRESSES {
        addresses.insert(address);
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

fn is_external(url: &str) -> bool {
    let inside = ["data:", "blob:", "about:", ORIGIN];
    !inside.iter().any(|prefix| url.starts_with(prefix))
}

impl From<ExceptionDetails> for Exception {
    fn from(details: ExceptionDetails) -> Self {
        let ExceptionDetails { text, line_number, url, exception } = details;
        let description = exception.and_then(|object| object.description);
        // The description is the message and the stack; the first line is the message.
        let message = beginning(description.as_deref().and_then(|text| text.lines().next()).unwrap_or(&text));
        let (url, line) = match description.as_deref().and_then(thrown_at) {
            Some((url, line)) => (Some(url), line),
            None => (url, line_number + 1),
        };
        Self { message, url, line }
    }
}

/// The first address and line in the stack of an error. (One of a timer is thrown on by us.)
fn thrown_at(description: &str) -> Option<(String, u32)> {
    description.lines().skip(1).find_map(|frame| {
        let address = frame.rsplit(['(', ' ']).next()?.trim_end_matches(')');
        let mut parts = address.rsplitn(3, ':').skip(1);
        let (line, url) = (parts.next()?.parse().ok()?, parts.next()?);
        url.starts_with("http").then(|| (url.to_owned(), line))
    })
}
