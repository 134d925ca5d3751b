//! Failures of the reconciler itself, and what follows from each.

use std::{io, path::PathBuf, time::Duration};

use crds::Failure;

/// Something the reconciler relies on failed. What is wrong with an object is not here: that is its status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
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
    /// What was named lies in several folders, each of which would have state of its own.
    #[error("{} does not lie in {}: name one folder, or files and folders of one", other.display(), one.display())]
    SeveralFolders {
        /// The folder of the first.
        one: PathBuf,
        /// What lies elsewhere.
        other: PathBuf,
    },
    /// State of one folder is not used for another.
    #[error("the state in {} is that of {}: use another --state-dir", state.display(), root.display())]
    ForeignState {
        /// Where it is kept.
        state: PathBuf,
        /// The folder it is about.
        root: PathBuf,
    },
    /// There is nobody who could do it, as one sentence says.
    #[error("{0}")]
    NothingRuns(String),
    /// The API server could not be asked, or refused.
    #[error("cannot {doing}: {reason}")]
    Api {
        /// What was to be done, as a part of a sentence.
        doing: String,
        /// What came of it.
        reason: String,
        /// What follows from it.
        class: Class,
    },
    /// Another process is the leader, or may be by now.
    #[error("this process does not lead any more: nothing is written")]
    NotLeading,
    /// A setting in the environment.
    #[error("{name}: {reason}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A backend could not do what it was asked to.
    #[error("{failure}")]
    Backend {
        /// What happened.
        failure: Failure,
        /// What follows from it.
        class: Class,
    },
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The object was read before it was changed: the change brings another look.
    Conflict,
    /// Something that was begun is not done yet: look again soon.
    Waiting,
    /// Try again later, and later still.
    Transient,
    /// Too many requests: try again much later.
    Throttled,
    /// Only a human can help.
    Terminal,
}

impl Class {
    /// The class's name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::Waiting => "Waiting",
            Self::Transient => "Transient",
            Self::Throttled => "Throttled",
            Self::Terminal => "Terminal",
        }
    }
}

impl Error {
    /// What follows from it.
    #[must_use]
    pub fn class(&self) -> Class {
        use io::ErrorKind::{
            InvalidFilename, IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported,
        };
        match self {
            Self::Conflict(_) => Class::Conflict,
            // Nothing of this goes away by itself.
            Self::Io(error) => match error.kind() {
                PermissionDenied | ReadOnlyFilesystem | IsADirectory | NotADirectory | InvalidFilename
                | Unsupported => Class::Terminal,
                _ => Class::Transient,
            },
            Self::Backend { class, .. } | Self::Api { class, .. } => *class,
            // The process is about to end.
            Self::NotLeading => Class::Waiting,
            Self::Damaged { .. }
            | Self::Locked(_)
            | Self::NotFound(_)
            | Self::SeveralFolders { .. }
            | Self::ForeignState { .. }
            | Self::NothingRuns(_)
            | Self::Setting { .. } => Class::Terminal,
        }
    }
}

/// How long to wait after the `count`-th failure of a class in a row, from 1. Doubles from the class's shortest pause up to
/// 5 minutes; between half of that and all of it, as `spread` (0 to 1) says, so that objects that failed together do not
/// come back together.
#[must_use]
pub fn backoff(class: Class, count: u32, spread: f64) -> Duration {
    const LONGEST: Duration = Duration::from_mins(5);
    let shortest = match class {
        Class::Conflict | Class::Waiting => Duration::from_millis(250),
        Class::Transient => Duration::from_secs(1),
        Class::Throttled => Duration::from_secs(5),
        Class::Terminal => Duration::from_mins(1),
    };
    let whole = shortest.saturating_mul(1 << count.saturating_sub(1).min(16)).min(LONGEST);
    whole.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_and_are_spread() {
        let waits = |class| (1..=10).map(|count| backoff(class, count, 1.0).as_secs_f64()).collect::<Vec<_>>();
        assert_eq!(waits(Class::Transient), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0]);
        assert_eq!(waits(Class::Throttled)[..4], [5.0, 10.0, 20.0, 40.0]);
        assert_eq!(backoff(Class::Conflict, u32::MAX, 1.0), Duration::from_mins(5));
        assert_eq!(backoff(Class::Transient, 3, 0.0), Duration::from_secs(2));
    }

    #[test]
    fn what_a_human_must_mend_is_terminal() {
        for (kind, class) in [
            (io::ErrorKind::PermissionDenied, Class::Terminal),
            (io::ErrorKind::IsADirectory, Class::Terminal),
            (io::ErrorKind::StorageFull, Class::Transient),
            (io::ErrorKind::Interrupted, Class::Transient),
        ] {
            assert_eq!(Error::from(io::Error::from(kind)).class(), class, "{kind:?}");
        }
    }
}
