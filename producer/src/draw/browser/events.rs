//! What a page reports by itself: requests, exceptions, crashes.
//!
//! Only the fields that are needed are read, so that a browser newer than the protocol types cannot make an event
//! silently unreadable.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Everything noted since the page was opened.
#[derive(Debug, Default)]
pub(crate) struct Events {
    in_flight: HashSet<String>,
    /// Requests ever started.
    pub(crate) started: u64,
    /// Requests that left our own server, by URL.
    pub(crate) external: Vec<String>,
    /// Requests our server had no file for, by URL.
    pub(crate) missing: Vec<String>,
    /// Files our server gave out, by URL.
    pub(crate) served: Vec<String>,
    /// Exceptions nobody caught.
    pub(crate) exceptions: Vec<Exception>,
    /// The page's process is gone.
    pub(crate) page_crashed: bool,
}

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

impl Events {
    pub(super) fn note(&mut self, method: &str, params: &RawValue) {
        let params = params.get();
        match method {
            "Network.requestWillBeSent" => {
                if let Ok(RequestStarted { request_id, request }) = serde_json::from_str(params) {
                    self.started += 1;
                    self.in_flight.insert(request_id);
                    if is_external(&request.url) {
                        self.external.push(request.url);
                    }
                }
            }
            "Network.responseReceived" => {
                if let Ok(Response { response }) = serde_json::from_str(params)
                    && response.url.starts_with(crate::draw::server::ORIGIN)
                {
                    let list = if response.status < 400 { &mut self.served } else { &mut self.missing };
                    list.push(response.url);
                }
            }
            "Network.loadingFinished" | "Network.loadingFailed" => {
                if let Ok(RequestEnded { request_id }) = serde_json::from_str(params) {
                    self.in_flight.remove(&request_id);
                }
            }
            "Runtime.exceptionThrown" => {
                if let Ok(Thrown { exception_details }) = serde_json::from_str(params) {
                    self.exceptions.push(exception_details.into());
                }
            }
            "Inspector.targetCrashed" => self.page_crashed = true,
            _ => {}
        }
    }

    /// True while a request is unanswered.
    pub(crate) fn loading(&self) -> bool {
        !self.in_flight.is_empty()
    }
}

fn is_external(url: &str) -> bool {
    let inside = ["data:", "blob:", "about:", crate::draw::server::ORIGIN];
    !inside.iter().any(|prefix| url.starts_with(prefix))
}

impl From<ExceptionDetails> for Exception {
    fn from(details: ExceptionDetails) -> Self {
        let ExceptionDetails { text, line_number, url, exception } = details;
        let description = exception.and_then(|object| object.description);
        // The description is the message and the stack; the first line is the message.
        let message = description.as_deref().and_then(|text| text.lines().next()).unwrap_or(&text).to_owned();
        Self { message, url, line: line_number + 1 }
    }
}
