//! `cancel` and `retry` as files: written by anybody, at any time, taken by whoever holds the folder's lock.

use std::{collections::HashMap, io, path::PathBuf};

use crds::render::{RequestStatus, RequestVerb};
use fs_err as fs;
use jiff::Timestamp;

use super::layout::Layout;
use crate::{
    files::{self, Durability},
    ports::ObjectKey,
    reconcile::requests::{VERBS, annotation, name},
};

/// Asks for something. `input_hash` is what the asker saw: for other inputs the request has no effect.
///
/// # Errors
/// When the request cannot be written.
pub fn ask(
    layout: &Layout,
    key: &ObjectKey,
    verb: RequestVerb,
    now: Timestamp,
    input_hash: Option<&str>,
) -> io::Result<()> {
    let text = input_hash.map_or_else(|| format!("{now}\n"), |hash| format!("{now} {hash}\n"));
    files::write_atomic(&path(layout, key, verb), &text, Durability::Durable)
}

/// Whether a request still waits to be taken.
#[must_use]
pub fn waits(layout: &Layout, key: &ObjectKey, verb: RequestVerb) -> bool {
    path(layout, key, verb).exists()
}

/// Requests not taken yet, as annotations, by [`Layout::stem`] of their object.
pub(super) fn pending(layout: &Layout) -> HashMap<String, Vec<(String, String)>> {
    let mut pending: HashMap<String, Vec<_>> = HashMap::new();
    for entry in fs::read_dir(layout.requests()).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let known = VERBS.into_iter().find_map(|verb| Some((file.strip_suffix(name(verb))?.strip_suffix('.')?, verb)));
        let Some((stem, verb)) = known else { continue };
        // One that cannot be read is somebody else's.
        if let Ok(text) = files::read_text(&entry.path()) {
            let request = (annotation(verb).to_owned(), text.trim().to_owned());
            pending.entry(stem.to_owned()).or_default().push(request);
        }
    }
    pending
}

/// Removes the requests that a status now speaks of, and older ones.
pub(super) fn taken(layout: &Layout, key: &ObjectKey, status: &RequestStatus) -> io::Result<()> {
    for verb in VERBS {
        let path = path(layout, key, verb);
        let text = files::read_text_if_any(&path)?;
        let asked = text.as_deref().and_then(|text| text.split_whitespace().next()?.parse::<Timestamp>().ok());
        // What is no time will never be one.
        if text.is_some() && asked.is_none_or(|asked| asked <= status.requested_time.0) {
            files::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes all requests for an object.
pub(super) fn forget(layout: &Layout, key: &ObjectKey) -> io::Result<()> {
    VERBS.into_iter().try_for_each(|verb| files::remove_file(&path(layout, key, verb)))
}

fn path(layout: &Layout, key: &ObjectKey, verb: RequestVerb) -> PathBuf {
    layout.requests().join(format!("{}.{}", Layout::stem(key), name(verb)))
}
