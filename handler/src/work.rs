//! The one piece of blocking work of an invocation, on a thread of its own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
    time::Duration,
};

use crds::{Code, Failure};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// Runs work on threads that live as long as the work: Linux ends a browser with the thread that started it, so a pool,
/// whose threads come and go, will not do.
pub struct Work {
    stop: CancellationToken,
    running: watch::Sender<usize>,
}

impl Default for Work {
    fn default() -> Self {
        Self { stop: CancellationToken::new(), running: watch::Sender::new(0) }
    }
}

impl Work {
    /// Cancelled when the work has to end.
    #[must_use]
    pub fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs it to its end. Dropping the future leaves it running: see [`Work::stop`]. A panic in it is one here.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, result) = oneshot::channel();
        let running = self.running.clone();
        running.send_modify(|running| *running += 1);
        let started = thread::Builder::new().name("work".to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let _ = sender.send(outcome);
            running.send_modify(|running| *running -= 1);
        });
        if let Err(error) = started {
            self.running.send_modify(|running| *running -= 1);
            return Err(Failure::new(Code::Internal, format!("no thread can be started: {error}")).into());
        }
        match result.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Failure::new(Code::Internal, "the work ended without a result").into()),
        }
    }

    /// Asks what runs to end, and waits for it so long. Returns whether it did.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        let mut running = self.running.subscribe();
        timeout(grace, running.wait_for(|running| *running == 0)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn work_that_listens_ends_and_other_work_is_told_apart() {
        let work = Work::default();
        let stop = work.stopped();
        let listening = work.run(move || {
            while !stop.is_cancelled() {
                thread::yield_now();
            }
            Ok(())
        });
        assert!(timeout(Duration::from_millis(20), listening).await.is_err());
        assert!(work.stop(Duration::from_secs(10)).await);

        let work = Work::default();
        let (release, wait) = channel::<()>();
        let deaf = work.run(move || {
            let _ = wait.recv();
            Ok(())
        });
        assert!(timeout(Duration::from_millis(20), deaf).await.is_err());
        assert!(!work.stop(Duration::from_millis(20)).await);
        drop(release);
        assert!(work.stop(Duration::from_secs(10)).await);
    }
}
