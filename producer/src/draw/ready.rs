//! Waiting until a page can be drawn, and saying why when it cannot.

use std::time::{Duration, Instant};

use crds::{Code, Failure};
use serde::Deserialize;

use crate::draw::{
    browser::{self, events::Exception, page::Page},
    server,
};

/// A page that never became ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The browser.
    #[error(transparent)]
    Browser(#[from] browser::Error),
    /// A script threw, and what it should have made is missing.
    #[error("a script threw and {consequence}: {message}")]
    Script {
        /// What is missing because of it.
        consequence: String,
        /// The exception.
        message: String,
        /// The script's file and line.
        place: Option<(String, u32)>,
    },
    /// There is no duration.
    #[error(
        "the composition has no duration: give its root data-duration in seconds, or register a timeline with a length"
    )]
    NoDuration,
    /// Something is still missing at the deadline.
    #[error("the page was not ready within {}: {missing} (--ready-timeout allows more)", humantime::format_duration(*.after))]
    NotReady {
        /// The deadline.
        after: Duration,
        /// What is missing.
        missing: String,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Browser(error) => error.code(),
            Self::Script { .. } => Code::ScriptError,
            Self::NoDuration => Code::DurationUnknown,
            Self::NotReady { .. } => Code::PageNotReady,
        }
    }

    /// File and line, where known.
    pub(crate) fn place(&self) -> (Option<String>, Option<u32>) {
        match self {
            Self::Script { place: Some((path, line)), .. } => (Some(path.clone()), Some(*line)),
            _ => (None, None),
        }
    }
}

/// What is known about the composition before its page is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Some script registers a timeline.
    pub(crate) timelines: bool,
    /// The root says its duration.
    pub(crate) duration: bool,
}

/// What a ready page came to.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Seconds, as the runtime computes it.
    pub(crate) duration: f64,
    /// What is not as it should be.
    pub(crate) warnings: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    loaded: bool,
    seekable: bool,
    duration: f64,
    missing_timelines: Vec<String>,
}

/// Once everything has loaded, a script may still register its timeline or duration this much later (upstream's
/// fixtures do so 3 s late).
const LATE: Duration = Duration::from_secs(5);
/// The same, when a script has thrown and so will probably never do it.
const LATE_AFTER_THROW: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// Waits until the page has a runtime, a duration and the timelines it declares.
pub(crate) fn wait(page: &mut Page, expected: Expected, timeout: Duration) -> Result<Ready, Error> {
    let start = Instant::now();
    let mut quiet_since = None;
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let state: State = match page.evaluate_within(left, "__hfProducer.state()") {
            Ok(state) => state,
            Err(browser::Error::NoProgress { .. }) => return Err(not_ready(timeout, "its scripts do not return")),
            // Between two documents there is no driver yet.
            Err(browser::Error::Script { .. }) if start.elapsed() < timeout => {
                std::thread::sleep(POLL);
                continue;
            }
            Err(browser::Error::Script { .. }) => return Err(not_ready(timeout, "it never loaded")),
            Err(error) => return Err(error.into()),
        };
        let timelines_there = !expected.timelines || state.missing_timelines.is_empty();
        let usable = state.loaded && state.seekable && state.duration > 0.0;
        if usable && timelines_there {
            return Ok(ready(page, state.duration, &[]));
        }
        if !state.loaded || page.events().loading() {
            quiet_since = None;
        }
        let quiet = quiet_since.get_or_insert_with(Instant::now).elapsed();
        let exception = page.events().exceptions.first();
        let patience = if exception.is_some() { LATE_AFTER_THROW } else { LATE };
        if state.loaded && quiet >= patience {
            match exception {
                Some(exception) if state.seekable => return Err(thrown(exception, &consequence(&state))),
                None if usable => return Ok(ready(page, state.duration, &state.missing_timelines)),
                None if state.seekable && !expected.duration => return Err(Error::NoDuration),
                _ => {}
            }
        }
        if start.elapsed() >= timeout {
            return Err(match exception {
                Some(exception) => thrown(exception, &consequence(&state)),
                None => not_ready(timeout, &consequence(&state)),
            });
        }
        std::thread::sleep(POLL);
    }
}

fn not_ready(after: Duration, missing: &str) -> Error {
    Error::NotReady { after, missing: missing.to_owned() }
}

fn consequence(state: &State) -> String {
    if !state.loaded {
        "the document is still loading".to_owned()
    } else if !state.seekable {
        "the runtime did not finish starting".to_owned()
    } else if state.duration <= 0.0 {
        "the composition has no duration".to_owned()
    } else {
        format!("no timeline was registered for {}", state.missing_timelines.join(", "))
    }
}

fn thrown(exception: &Exception, consequence: &str) -> Error {
    Error::Script { consequence: consequence.to_owned(), message: exception.message.clone(), place: place(exception) }
}

/// The file of the project an exception came from.
fn place(exception: &Exception) -> Option<(String, u32)> {
    let url = exception.url.as_deref()?;
    let path = url.strip_prefix(server::ORIGIN)?.split(['?', '#']).next()?;
    Some((path.to_owned(), exception.line))
}

fn ready(page: &Page, duration: f64, missing_timelines: &[String]) -> Ready {
    let thrown = page.events().exceptions.iter().map(|exception| {
        let (path, line) = place(exception).unzip();
        let message = format!("a script threw, and the page is ready all the same: {}", exception.message);
        Failure { code: Code::ScriptError, message, path, line }
    });
    let missing = missing_timelines.iter().map(|id| {
        let message = format!("no timeline was registered for {id:?}: it stays as it is; say so with data-no-timeline");
        Failure::new(Code::PageNotReady, message)
    });
    Ready { duration, warnings: thrown.chain(missing).collect() }
}
