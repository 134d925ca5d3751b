//! The DevTools protocol over a pair of pipes: NUL-terminated JSON, one conversation, one thread.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read as _, Write as _},
    marker::PhantomData,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use chromiumoxide_types::Command;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Error, Result, events::Events};
use crate::context::Context;

/// While waiting, a request to stop is noticed this soon.
const STOP_NOTICED: Duration = Duration::from_millis(100);

/// A connection to a browser.
pub(crate) struct Cdp {
    requests: File,
    answers: File,
    received: Vec<u8>,
    last_id: u64,
    session: Option<String>,
    patience: Duration,
    stop: CancellationToken,
    /// What the page reported besides answers.
    pub(crate) events: Events,
}

/// A command that was sent and whose answer is still to come.
#[must_use]
pub(crate) struct Pending<C> {
    id: u64,
    method: Cow<'static, str>,
    command: PhantomData<C>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a, C> {
    id: u64,
    method: &'a str,
    params: &'a C,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Cdp {
    /// A conversation over the two pipes, with the settings' patience for each answer.
    pub(crate) fn new(requests: File, answers: File, context: &Context) -> Self {
        let (patience, stop) = (context.settings.progress_timeout, context.stop.clone());
        let events = Events::default();
        Self { requests, answers, received: Vec::new(), last_id: 0, session: None, patience, stop, events }
    }

    /// How long an answer may take from now on before the browser counts as stuck; returns how long it was.
    pub(crate) fn replace_patience(&mut self, patience: Duration) -> Duration {
        std::mem::replace(&mut self.patience, patience)
    }

    /// From here on commands go to this page; `None`: to the browser itself.
    pub(crate) fn use_session(&mut self, id: Option<String>) {
        self.session = id;
    }

    /// Sends a command and waits for its answer.
    pub(crate) fn call<C: Command>(&mut self, command: &C) -> Result<C::Response> {
        let pending = self.send(command)?;
        self.wait(pending)
    }

    /// Sends a command; its answer is taken with [`wait`](Self::wait), while we do something else.
    pub(crate) fn send<C: Command>(&mut self, command: &C) -> Result<Pending<C>> {
        self.last_id += 1;
        let method = command.identifier();
        let request =
            Request { id: self.last_id, method: &method, params: command, session_id: self.session.as_deref() };
        let mut bytes = serde_json::to_vec(&request).map_err(|source| protocol(&method, source))?;
        debug!(target: "cdp", id = self.last_id, %method, params = %shown(&bytes), "command");
        bytes.push(0);
        self.requests.write_all(&bytes).map_err(|_| ended(&method))?;
        Ok(Pending { id: self.last_id, method, command: PhantomData })
    }

    /// Takes the answer of a command. Events that arrive meanwhile are noted.
    pub(crate) fn wait<C: Command>(&mut self, pending: Pending<C>) -> Result<C::Response> {
        let Pending { id, method, .. } = pending;
        let deadline = Instant::now() + self.patience;
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == 0) {
                let rest = self.received.split_off(end + 1);
                let bytes = std::mem::replace(&mut self.received, rest);
                let message = serde_json::from_slice(&bytes[..end]).map_err(|source| protocol(&method, source))?;
                if let Some(result) = self.take::<C>(id, &method, &message)? {
                    return Ok(result);
                }
            }
            if self.events.page_crashed {
                return Err(Error::PageCrashed);
            }
            self.read_more(&method, deadline)?;
        }
    }

    fn take<C: Command>(&mut self, id: u64, method: &str, message: &Message<'_>) -> Result<Option<C::Response>> {
        if let (Some(event), Some(params)) = (&message.method, message.params) {
            self.events.note(event, params);
        }
        if message.id != Some(id) {
            return Ok(None);
        }
        if let Some(Refusal { message }) = &message.error {
            return Err(Error::Refused { method: method.to_owned(), message: message.clone() });
        }
        let result = message.result.map_or("null", RawValue::get);
        serde_json::from_str(result).map(Some).map_err(|source| protocol(method, source))
    }

    fn read_more(&mut self, method: &str, deadline: Instant) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::NoProgress { method: method.to_owned(), after: self.patience });
        }
        let timeout = PollTimeout::try_from(left.min(STOP_NOTICED)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(()),
            Ok(_) | Err(_) => {}
        }
        let mut chunk = [0; 1 << 13];
        match self.answers.read(&mut chunk) {
            Ok(0) => Err(ended(method)),
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(ended(method)),
        }
    }
}

/// What the log shows of a command: its beginning. A script is left out, for it holds the composition's variables.
fn shown(request: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(request);
    let params = text.split_once("\"params\":").map_or(&*text, |(_, params)| params);
    if params.starts_with("{\"source\"") {
        return format!("a script of {} bytes", params.len());
    }
    params.chars().take(LONGEST).collect()
}

fn protocol(method: &str, source: serde_json::Error) -> Error {
    Error::Protocol { method: method.to_owned(), source }
}

/// The caller that owns the process adds how it ended.
fn ended(method: &str) -> Error {
    Error::Ended { status: String::new(), doing: method.to_owned(), log: String::new() }
}
