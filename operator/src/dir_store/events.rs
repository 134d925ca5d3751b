//! What happened, one JSON object a line, newest last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::{
    error::Error,
    files,
    ports::{Event, ObjectKey},
};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason, as in the object's conditions.
    pub reason: String,
    /// `Render default/hello`.
    pub object: String,
    /// One sentence.
    pub message: String,
}

/// Lines kept; twice as many may stand in the file before it is shortened.
const KEPT: usize = 1000;

pub(super) fn append(layout: &Layout, now: Timestamp, key: &ObjectKey, event: &Event) -> Result<(), Error> {
    let Event { warning, reason, message } = event.clone();
    let kind = if warning { "Warning" } else { "Normal" }.to_owned();
    let entry = Entry { time: now, kind, reason, object: key.to_string(), message };
    let line = serde_json::to_string(&entry).unwrap_or_else(|error| unreachable!("plain data: {error}"));
    files::create_dir(&layout.status())?;
    files::append_line(&layout.events(), &line)?;
    shorten(layout)
}

fn shorten(layout: &Layout) -> Result<(), Error> {
    let text = files::read_text(&layout.events())?;
    let lines: Vec<_> = text.lines().collect();
    if lines.len() <= 2 * KEPT {
        return Ok(());
    }
    let newest = lines[lines.len() - KEPT..].join("\n");
    files::write_atomic(&layout.events(), &(newest + "\n"))
}

/// All events, oldest first. Lines that cannot be read are left out.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn all(layout: &Layout) -> Result<Vec<Entry>, Error> {
    let text = files::read_text_if_any(&layout.events())?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
