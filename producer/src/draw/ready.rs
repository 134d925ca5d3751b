//! Waiting until a page can be drawn, and saying why when it cannot.

use std::time::{Duration, Instant};

use crds::{Code, Failure};
use serde::Deserialize;

use crate::{
    draw::{
        browser::{self, events::Exception, page::Page},
        server,
    },
    plan::defects::Defects,
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
        "the composition has no duration: give its root data-duration in seconds, register a timeline while the page loads, or have an animation with an end"
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
pub(crate) struct Expected<'a> {
    /// Some script registers a timeline.
    pub(crate) timelines: bool,
    /// Compositions whose timeline is known not to come.
    pub(crate) missing_timelines: &'a [String],
    /// Its duration in seconds, where known.
    pub(crate) duration: Option<f64>,
}

/// What a ready page came to.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Seconds, as the runtime computes it.
    pub(crate) duration: f64,
    /// Compositions whose timeline never came.
    pub(crate) missing_timelines: Vec<String>,
    /// How many exceptions its defects tell of.
    pub(crate) exceptions: usize,
    /// What is not as it should be.
    pub(crate) defects: Defects,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    loaded: bool,
    seekable: bool,
    duration: f64,
    missing_timelines: Vec<String>,
    stray_timelines: Vec<String>,
    /// What the composition itself is called.
    root: Option<String>,
    open_builds: Vec<String>,
    uses_gsap: bool,
}

/// Once everything has loaded, a script may still register its timeline or duration this much later (upstream's
/// fixtures do so 3 s late; a timer takes 1.5 s longer while a page loads).
const LATE: Duration = Duration::from_secs(7);
/// The same, when it will probably never happen: a script has thrown, or a timeline has a name that nothing else has.
const LATE_IN_VAIN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);
/// After so many answers in a row that it has loaded and still lacks something, a frame is drawn: what watches for sizes or for what
/// comes into view is only told when one is. Not sooner, for layers keep what they were when they were drawn first.
const POLLS_TO_A_FRAME: u32 = 50;
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Waits until the page has a runtime, a duration and the timelines it declares.
pub(crate) fn wait(page: &mut Page, expected: Expected<'_>, timeout: Duration) -> Result<Ready, Error> {
    let ready = wait_for_all(page, expected, timeout)?;
    if expected.duration.is_none() {
        // As in the pages that are drawn.
        page.evaluate::<()>(&format!("__hfProducer.last({})", ready.duration))?;
    }
    Ok(ready)
}

fn wait_for_all(page: &mut Page, expected: Expected<'_>, timeout: Duration) -> Result<Ready, Error> {
    let start = Instant::now();
    let (mut quiet_since, mut quiet_polls) = (None, 0_u32);
    let mut untold = expected.duration;
    loop {
        // What is asked just before the deadline still gets its answer: it says what is missing.
        let left = timeout.saturating_sub(start.elapsed()).max(LAST_ANSWER);
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
        let movable = state.loaded && state.seekable;
        if let Some(seconds) = untold.take_if(|_| movable) {
            page.evaluate_within::<()>(left, &format!("__hfProducer.last({seconds})"))?;
            continue;
        }
        let comes = |id: &String| expected.timelines && !expected.missing_timelines.contains(id);
        let usable = movable && state.duration > 0.0;
        if usable && !state.missing_timelines.iter().any(comes) {
            return Ok(ready(
                page,
                State { missing_timelines: Vec::new(), ..state },
                !state.missing_timelines.is_empty(),
            ));
        }
        if !state.loaded || page.events().loading() {
            (quiet_since, quiet_polls) = (None, 0);
        }
        quiet_polls += 1;
        if quiet_polls.is_multiple_of(POLLS_TO_A_FRAME) {
            page.draw(false)?;
        }
        let quiet = quiet_since.get_or_insert_with(Instant::now).elapsed();
        let exception = page.events().exceptions.first();
        let in_vain = exception.is_some() || !state.stray_timelines.is_empty() || !expected.timelines && !usable;
        let patience = if in_vain { LATE_IN_VAIN } else { LATE };
        if state.loaded && quiet >= patience {
            match exception {
                Some(exception) if state.seekable => return Err(thrown(exception, &consequence(&state))),
                None if usable => return Ok(ready(page, state, true)),
                None if state.seekable && expected.duration.is_none() => {
                    untold = Some(until_animations_end(page, left)?);
                    continue;
                }
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

/// How long a composition lasts that says nothing, in seconds.
fn until_animations_end(page: &mut Page, left: Duration) -> Result<f64, Error> {
    let seconds = page.evaluate_within(left, "__hfProducer.animationsEnd()")?;
    if seconds > 0.0 { Ok(seconds) } else { Err(Error::NoDuration) }
}

fn not_ready(after: Duration, missing: &str) -> Error {
    Error::NotReady { after, missing: missing.to_owned() }
}

fn consequence(state: &State) -> String {
    if !state.loaded {
        "the document is still loading".to_owned()
    } else if let (false, [_, ..]) = (state.seekable, &*state.open_builds) {
        let names = state.open_builds.join(", ");
        format!("a script has not settled the promise that window.__hf.buildReady has for {names}")
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

/// What scripts threw after so many other exceptions, while the page was moved.
pub(crate) fn thrown_since(page: &Page, before: usize) -> impl Iterator<Item = Failure> {
    page.events().exceptions.iter().skip(before).map(|exception| {
        let (path, line) = place(exception).unzip();
        Failure { code: Code::ScriptError, message: format!("a script threw: {}", exception.message), path, line }
    })
}

/// `lacks`: some composition has no timeline, whether or not one was to be expected.
fn ready(page: &Page, state: State, lacks: bool) -> Ready {
    let mut defects = Defects::default();
    for exception in &page.events().exceptions {
        let (path, line) = place(exception).unzip();
        let message = format!("a script threw, and the page is ready all the same: {}", exception.message);
        // A library that is not there: what was to move stands still.
        let list = if lacks && exception.message.starts_with("ReferenceError") {
            &mut defects.visible
        } else {
            &mut defects.minor
        };
        list.push(Failure { code: Code::ScriptError, message, path, line });
    }
    let missing = state.missing_timelines.iter().map(|id| {
        let strays = state.stray_timelines.join(", ");
        let message = if strays.is_empty() {
            format!("no timeline was registered as {id:?}: register one, or say data-no-timeline")
        } else {
            format!(
                "no timeline was registered as {id:?}, but as {strays:?}, which nothing is called: give them one name"
            )
        };
        Failure::new(Code::PageNotReady, message)
    });
    // Without GSAP it is a line that everybody writes, and what moves is moved by CSS. A composition inside of another is often
    // moved by the other's timeline.
    let stands = state.uses_gsap
        && (state.root.is_some_and(|root| state.missing_timelines.contains(&root))
            || !page.events().exceptions.is_empty());
    let list = if stands || !state.stray_timelines.is_empty() { &mut defects.visible } else { &mut defects.minor };
    list.extend(missing);
    let exceptions = page.events().exceptions.len();
    Ready { duration: state.duration, missing_timelines: state.missing_timelines, exceptions, defects }
}
