//! The work folder: plans and chunks in the making, by plan hash, shared by attempts and processes.
//!
//! ```text
//! <work>/.plans/<attempt>        a plan that was just made, and the variables it was made with
//! <work>/<plan hash>/plan        the plan
//! <work>/<plan hash>/chunks/     finished chunks
//! <work>/<plan hash>/.lock       held by whoever works there
//! ```

#![expect(clippy::disallowed_methods, reason = "a lock is taken on an open file")]

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

use crate::{
    error::Error,
    files::{self, Named as _},
};

/// A work folder.
#[derive(Clone, Debug)]
pub(super) struct Work {
    root: PathBuf,
}

/// A plan's folder that nobody else works in while this is held.
#[derive(Debug)]
pub(super) struct Claim {
    folder: PathBuf,
    _lock: Flock<File>,
}

/// A chunk of a plan: frames from `start_frame` up to but not including `end_frame`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk {
    pub(super) index: u32,
    start_frame: u32,
    end_frame: u32,
}

impl Chunk {
    pub(super) fn frames(self) -> u32 {
        self.end_frame - self.start_frame
    }
}

/// What nobody has worked on for this long is removed: upstream keeps intermediate files as long.
const ABANDONED: Duration = Duration::from_hours(7 * 24);
/// How often it is looked whether somebody else is done with a plan.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Work {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where an attempt's plan is made.
    pub(super) fn staging(&self, attempt: &str) -> PathBuf {
        self.root.join(".plans").join(attempt)
    }

    /// Where an attempt's variables are written.
    pub(super) fn variables(&self, attempt: &str) -> PathBuf {
        self.root.join(".plans").join(format!("{attempt}.variables.json"))
    }

    /// Takes the folder of a plan, waiting for whoever has it. A plan just made moves there, unless it is there already.
    pub(super) async fn claim(&self, plan_hash: &str, staged: &Path) -> Result<Claim, Error> {
        let folder = self.root.join(plan_hash);
        let claim = loop {
            if let Some(claim) = Claim::try_take(&folder)? {
                break claim;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        if claim.plan().join("plan.json").is_file() {
            files::remove(staged)?;
        } else {
            files::remove(&claim.plan())?;
            files::rename(staged, &claim.plan())?;
        }
        Ok(claim)
    }

    /// Removes what nobody has worked on for a week.
    pub(super) fn remove_abandoned(&self) {
        for folder in files::list(&self.root) {
            let age = folder.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            let old = age.is_some_and(|age| age > ABANDONED);
            if old && let Ok(Some(claim)) = Claim::try_take(&folder) {
                // What cannot be removed now is tried again next time.
                let _ = claim.remove();
            }
        }
    }
}

impl Claim {
    fn try_take(folder: &Path) -> Result<Option<Self>, Error> {
        files::create_dir(folder)?;
        let path = folder.join(".lock");
        let file = File::create(&path).named("write", &path)?;
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(None) };
        // Whoever had it may have removed the folder between our opening the lock and holding it.
        Ok(path.is_file().then(|| Self { folder: folder.to_owned(), _lock: lock }))
    }

    pub(super) fn plan(&self) -> PathBuf {
        self.folder.join("plan")
    }

    pub(super) fn chunk(&self, index: u32) -> PathBuf {
        self.folder.join("chunks").join(format!("{index:04}.mp4"))
    }

    /// The plan's chunks.
    pub(super) fn chunks(&self) -> Result<Vec<Chunk>, Error> {
        let path = self.plan().join("meta/chunks.json");
        let text = files::read_text(&path)?;
        serde_json::from_str(&text).map_err(|error| Error::Damaged { path, reason: error.to_string() })
    }

    /// Removes the plan and its chunks.
    pub(super) fn remove(self) -> Result<(), Error> {
        files::remove(&self.folder)
    }
}
