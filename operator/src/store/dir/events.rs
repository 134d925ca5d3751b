//! What happened, one JSON object a line, newest last.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use fs_err::OpenOptions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::{
    files::{self, Durability},
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
const KEPT: usize = 10_000;
/// Far more than so many lines can come to.
const LARGEST: u64 = 64 << 20;

/// Writes events.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Lines in the file; not counted yet at first.
    lines: Mutex<Option<usize>>,
}

impl Log {
    pub(super) fn append(&self, layout: &Layout, now: Timestamp, key: &ObjectKey, event: Event) -> io::Result<()> {
        let Event { warning, reason, message } = event;
        let kind = if warning { "Warning" } else { "Normal" }.to_owned();
        let entry = Entry { time: now, kind, reason, object: key.to_string(), message };
        let line = serde_json::to_string(&entry).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let path = layout.events();
        let before = match *lines {
            Some(lines) => lines,
            None => read(layout)?.lines().count(),
        };
        files::create_dir_all(layout.status())?;
        OpenOptions::new().create(true).append(true).open(&path)?.write_all(format!("{line}\n").as_bytes())?;
        *lines = Some(before + 1);
        if before + 1 > 2 * KEPT {
            let text = read(layout)?;
            let all: Vec<_> = text.lines().collect();
            let newest = all[all.len().saturating_sub(KEPT)..].join("\n");
            files::write_atomic(&path, &(newest + "\n"), Durability::Fast)?;
            *lines = Some(KEPT);
        }
        Ok(())
    }
}

/// All events, oldest first. Lines that cannot be read are left out.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn all(layout: &Layout) -> io::Result<Vec<Entry>> {
    Ok(read(layout)?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn read(layout: &Layout) -> io::Result<String> {
    match files::read_text_up_to(&layout.events(), LARGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}
