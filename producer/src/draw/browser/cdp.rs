//! The DevTools protocol over a pair of pipes: NUL-terminated JSON, one conversation, one thread.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read as _, Write as _},
    marker::PhantomData,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use chromiumoxide_cdp::cdp::{
    browser_protocol::{
        network,
        target::{FilterEntry, SetAutoAttachParams, TargetFilter},
    },
    js_protocol::runtime,
};
use chromiumoxide_types::Command;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Error, Result,
    events::{Events, WORKERS},
};
use crate::context::Context;

/// While waiting, a request to stop is noticed this soon.
const STOP_NOTICED: Duration = Duration::from_millis(100);

/// A connection to a browser.
pub(crate) struct Cdp {
    requests: File,
    answers: File,
    received: BytesMut,
    /// So much of what was received is known to hold no end of a message.
    searched: usize,
    /// Answers that came while another was waited for, by the command's id.
    early: HashMap<u64, BytesMut>,
    /// Commands whose answers nobody waits for.
    unheard: HashSet<u64>,
    last_id: u64,
    session: Session,
    /// What every page reported besides answers.
    reported: HashMap<Session, Events>,
    /// Whose page a worker's session belongs to.
    workers: HashMap<Session, Session>,
    patience: Duration,
    stop: CancellationToken,
}

/// Whom commands go to and events come from: a page or a worker of one; `None`: the browser itself.
pub(crate) type Session = Option<String>;

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
    #[serde(borrow, rename = "sessionId")]
    session: Option<Cow<'a, str>>,
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
        // Writing must not wait for a browser that has stopped reading; a file that stays blocking only loses the deadline.
        let _ = fcntl(&requests, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        Self {
            requests,
            answers,
            received: BytesMut::new(),
            searched: 0,
            early: HashMap::new(),
            unheard: HashSet::new(),
            last_id: 0,
            session: None,
            reported: HashMap::from([(None, Events::default())]),
            workers: HashMap::new(),
            patience,
            stop,
        }
    }

    /// How long an answer may take from now on before the browser counts as stuck; returns how long it was.
    pub(crate) fn replace_patience(&mut self, patience: Duration) -> Duration {
        std::mem::replace(&mut self.patience, patience)
    }

    /// From here on commands go to this page, and its events are those that are seen.
    pub(crate) fn use_session(&mut self, session: Session) {
        self.reported.entry(session.clone()).or_default();
        self.session = session;
    }

    /// A page is closed, and commands go to the browser itself.
    pub(crate) fn forget_session(&mut self, session: &Session) {
        self.reported.remove(session);
        self.workers.retain(|_, page| page != session);
        self.use_session(None);
    }

    /// What the page that commands go to has reported by itself.
    pub(crate) fn events(&self) -> &Events {
        &self.reported[&self.session]
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
        self.write(&method, &bytes)?;
        Ok(Pending { id: self.last_id, method, command: PhantomData })
    }

    /// Begins to listen to a page's workers, and to workers of their own, and lets them run.
    fn let_workers_run(&mut self) -> Result<()> {
        let waiting = self.reported.iter_mut().filter(|(_, events)| !events.workers.is_empty());
        let waiting: Vec<_> =
            waiting.map(|(page, events)| (page.clone(), std::mem::take(&mut events.workers))).collect();
        for (page, workers) in waiting {
            for worker in workers {
                self.workers.insert(Some(worker.clone()), page.clone());
                let current = self.session.replace(worker);
                self.send_unheard(&network::EnableParams::default())?;
                self.send_unheard(&attach_workers())?;
                self.send_unheard(&runtime::RunIfWaitingForDebuggerParams::default())?;
                self.session = current;
            }
        }
        Ok(())
    }

    /// Notes an event of a page, or of a worker of it.
    fn note(&mut self, session: Option<&str>, event: &str, params: &RawValue) {
        let session = session.map(str::to_owned);
        let page = self.workers.get(&session).unwrap_or(&session);
        if let Some(events) = self.reported.get_mut(page) {
            events.note(event, params);
        }
    }

    /// Sends a command whose answer nobody waits for.
    pub(crate) fn send_unheard<C: Command>(&mut self, command: &C) -> Result<()> {
        let Pending { id, .. } = self.send(command)?;
        self.unheard.insert(id);
        Ok(())
    }

    fn write(&mut self, method: &str, mut bytes: &[u8]) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match self.requests.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let requests = PollFd::new(self.requests.as_fd(), PollFlags::POLLOUT);
                    self.poll(requests, method, deadline)?;
                }
                Err(_) => return Err(ended(method)),
            }
        }
        Ok(())
    }

    /// Takes the answer of a command. Events that arrive meanwhile are noted.
    pub(crate) fn wait<C: Command>(&mut self, pending: Pending<C>) -> Result<C::Response> {
        let Pending { id, method, .. } = pending;
        let deadline = Instant::now() + self.patience;
        if let Some(early) = self.early.remove(&id) {
            return answer::<C>(&method, &parse(&method, &early)?);
        }
        loop {
            while let Some(bytes) = self.next_message() {
                let message = parse(&method, &bytes)?;
                if let (Some(event), Some(params)) = (&message.method, message.params) {
                    self.note(message.session.as_deref(), event, params);
                }
                match message.id {
                    Some(found) if found == id => return answer::<C>(&method, &message),
                    Some(other) if !self.unheard.remove(&other) => drop(self.early.insert(other, bytes)),
                    _ => {}
                }
            }
            self.let_workers_run()?;
            if self.events().page_crashed {
                return Err(Error::PageCrashed);
            }
            self.read_more(&method, deadline)?;
        }
    }

    /// The next whole message among what was received, without the NUL that ends it.
    fn next_message(&mut self) -> Option<BytesMut> {
        let Some(end) = memchr::memchr(0, &self.received[self.searched..]) else {
            self.searched = self.received.len();
            return None;
        };
        let mut message = self.received.split_to(self.searched + end + 1);
        message.truncate(message.len() - 1);
        self.searched = 0;
        Some(message)
    }

    fn read_more(&mut self, method: &str, deadline: Instant) -> Result<()> {
        if !self.poll(PollFd::new(self.answers.as_fd(), PollFlags::POLLIN), method, deadline)? {
            return Ok(());
        }
        let mut piece = [0; 1 << 14];
        match self.answers.read(&mut piece) {
            Ok(0) => Err(ended(method)),
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(ended(method)),
        }
    }

    /// Waits a moment for a pipe; whether it has something. An error once it is too late, or we are to stop.
    fn poll(&self, pipe: PollFd<'_>, method: &str, deadline: Instant) -> Result<bool> {
        if self.stop.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::NoProgress { method: method.to_owned(), after: self.patience });
        }
        let timeout = PollTimeout::try_from(left.min(STOP_NOTICED)).unwrap_or(PollTimeout::ZERO);
        Ok(!matches!(poll(&mut [pipe], timeout), Ok(0) | Err(nix::errno::Errno::EINTR)))
    }
}

/// Has every new worker of a session wait until it is listened to: else its first requests would not be told.
pub(super) fn attach_workers() -> SetAutoAttachParams {
    let mut attach = SetAutoAttachParams::new(true, true);
    attach.flatten = Some(true);
    let kinds = WORKERS.map(|kind| FilterEntry { exclude: Some(false), r#type: Some(kind.to_owned()) });
    attach.filter = Some(TargetFilter::new(kinds.to_vec()));
    attach
}

fn parse<'a>(method: &str, bytes: &'a [u8]) -> Result<Message<'a>> {
    serde_json::from_slice(bytes).map_err(|source| protocol(method, source))
}

fn answer<C: Command>(method: &str, message: &Message<'_>) -> Result<C::Response> {
    if let Some(Refusal { message }) = &message.error {
        return Err(Error::Refused { method: method.to_owned(), message: message.clone() });
    }
    let result = message.result.map_or("null", RawValue::get);
    serde_json::from_str(result).map_err(|source| protocol(method, source))
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
