//! Failures of the reconciler itself, and what follows from each.

use std::{io, path::PathBuf, time::Duration};

/// Something the reconciler relies on failed. What is wrong with an object is not here: that is its status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of ours does not hold what we wrote.
    #[error("{} is damaged ({reason}): remove it and start again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The object was changed since it was read.
    #[error("{0} was changed meanwhile")]
    Conflict(String),
    /// Another process works on this folder.
    #[error("another hf-reconcile works on {}: stop it first", .0.display())]
    Locked(PathBuf),
    /// There is no such object.
    #[error("there is no {0}")]
    NotFound(String),
    /// The folder cannot be watched.
    #[error("cannot watch {}: {reason}", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Look again at once: the object was read before it was changed.
    Conflict,
    /// Try again later, and later still.
    Transient,
    /// Only a human can help.
    Terminal,
}

impl Error {
    /// What follows from it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Conflict(_) => Class::Conflict,
            Self::File { .. } => Class::Transient,
            Self::Damaged { .. } | Self::Locked(_) | Self::NotFound(_) | Self::Watch { .. } => Class::Terminal,
        }
    }
}

/// How long to wait after the `count`-th failure in a row, from 1: 1 s, doubling up to 5 minutes.
#[must_use]
pub fn backoff(count: u32) -> Duration {
    const LONGEST: Duration = Duration::from_mins(5);
    Duration::from_secs(1 << count.saturating_sub(1).min(10)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let waits: Vec<_> = (1..=11).map(|count| backoff(count).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(u32::MAX), Duration::from_mins(5));
    }
}
