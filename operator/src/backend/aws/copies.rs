//! Videos brought to this machine.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::lock;
use crate::source::{Stamp, file_digest};

/// Digests of files, kept while they look as they did.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<HashMap<PathBuf, (Stamp, String)>>);

impl Copies {
    /// Whether a file has this size and, where one is known, this digest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn is_copy(&self, file: &Path, bytes: u64, sha256: &str) -> io::Result<bool> {
        let Some(stamp) = Stamp::of_file(file).filter(|stamp| stamp.size() == bytes) else { return Ok(false) };
        if sha256.is_empty() {
            return Ok(true);
        }
        if let Some((_, digest)) = lock(&self.0).get(file).filter(|(known, _)| *known == stamp) {
            return Ok(digest == sha256);
        }
        let digest = file_digest(file)?;
        let same = digest == sha256;
        lock(&self.0).insert(file.to_owned(), (stamp, digest));
        Ok(same)
    }
}
