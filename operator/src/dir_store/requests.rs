//! `cancel` and `retry` as files: written by anybody, at any time, taken by whoever holds the folder's lock.

use std::path::PathBuf;

use crds::render::{RequestStatus, RequestVerb};
use jiff::Timestamp;

use super::layout::Layout;
use crate::{
    error::Error,
    files,
    ports::ObjectKey,
    requests::{VERBS, annotation},
};

/// Asks for something.
///
/// # Errors
/// When the request cannot be written.
pub fn ask(layout: &Layout, key: &ObjectKey, verb: RequestVerb, now: Timestamp) -> Result<(), Error> {
    files::write_atomic(&path(layout, key, verb), &format!("{now}\n"))
}

/// What was asked for and not yet taken, as annotations.
pub(super) fn pending(layout: &Layout, key: &ObjectKey) -> Result<Vec<(String, String)>, Error> {
    let mut pending = Vec::new();
    for verb in VERBS {
        if let Some(text) = files::read_text_if_any(&path(layout, key, verb))? {
            pending.push((annotation(verb).to_owned(), text.trim().to_owned()));
        }
    }
    Ok(pending)
}

/// Removes the requests a status now speaks of, and older ones.
pub(super) fn taken(layout: &Layout, key: &ObjectKey, status: Option<&RequestStatus>) -> Result<(), Error> {
    let Some(status) = status else { return Ok(()) };
    for verb in VERBS {
        let path = path(layout, key, verb);
        let asked = files::read_text_if_any(&path)?.and_then(|text| text.trim().parse::<Timestamp>().ok());
        if asked.is_some_and(|asked| asked <= status.requested_time.0) {
            files::remove(&path)?;
        }
    }
    Ok(())
}

fn path(layout: &Layout, key: &ObjectKey, verb: RequestVerb) -> PathBuf {
    let name = match verb {
        RequestVerb::Cancel => "cancel",
        RequestVerb::Retry => "retry",
    };
    layout.requests().join(format!("{}.{name}", Layout::stem(key)))
}
