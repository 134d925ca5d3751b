//! One process per folder.

#![expect(clippy::disallowed_methods, reason = "a lock is taken on an open file")]

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};

use super::layout::Layout;
use crate::{
    error::Error,
    files::{self, Named as _},
};

/// Held while this process works on a folder; let go when it ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    /// Takes a folder.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it.
    pub fn take(layout: &Layout) -> Result<Self, Error> {
        files::create_dir(&layout.state())?;
        let path = layout.state().join("lock");
        let file = File::create(&path).named("write", &path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err(_) => Err(Error::Locked(layout.root().to_owned())),
        }
    }
}
