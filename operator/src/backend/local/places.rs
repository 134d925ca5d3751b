//! Places for chunks: each stack has its own, and all of them share the machine's.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// What all stacks on this machine share, so that its memory is promised once.
#[derive(Debug)]
pub(super) struct Machine {
    places: Arc<Semaphore>,
    made: Mutex<usize>,
}

/// Where a stack's chunks are rendered.
#[derive(Clone, Debug)]
pub(super) struct Places {
    stack: Arc<Semaphore>,
    machine: Arc<Semaphore>,
}

/// A place for one process with a browser, free again when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _stack: OwnedSemaphorePermit,
    _machine: OwnedSemaphorePermit,
}

impl Default for Machine {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(0)), made: Mutex::new(0) }
    }
}

impl Machine {
    /// Places for a stack: `most` of them, of a machine that has room for `jobs`. A stack that says more than that gets it,
    /// and the machine counts as larger.
    pub(super) fn places(&self, jobs: usize, most: usize) -> Places {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = jobs.max(most);
        self.places.add_permits(wanted.saturating_sub(*made));
        *made = wanted.max(*made);
        Places { stack: Arc::new(Semaphore::new(most)), machine: Arc::clone(&self.places) }
    }
}

impl Places {
    /// Waits for a place.
    pub(super) async fn take(&self) -> Result<Permit, AcquireError> {
        let stack = Arc::clone(&self.stack).acquire_owned().await?;
        let machine = Arc::clone(&self.machine).acquire_owned().await?;
        Ok(Permit { _stack: stack, _machine: machine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_share_the_machine_and_the_largest_wish_counts() {
        let machine = Machine::default();
        let (small, large) = (machine.places(2, 1), machine.places(2, 3));
        assert_eq!(machine.places.available_permits(), 3);
        let taken = futures::executor::block_on(async { [large.take().await, large.take().await] });
        assert!(taken.iter().all(Result::is_ok));
        assert_eq!((small.stack.available_permits(), machine.places.available_permits()), (1, 1));
        drop(taken);
        assert_eq!(machine.places.available_permits(), 3);
    }
}
