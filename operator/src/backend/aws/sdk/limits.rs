//! Token buckets: an account has so many requests a second of each API for everybody in it, and we leave some to others.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::backend::aws::lock;

/// What has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Api {
    CloudFormation,
    StartExecution,
    DescribeExecution,
    StopExecution,
    GetExecutionHistory,
}

impl Api {
    /// Requests at once, and for each second: half of what AWS gives in its smaller regions (Step Functions' quotas for API
    /// actions; CloudFormation does not publish its own).
    const fn rate(self) -> (u32, Duration) {
        match self {
            Self::CloudFormation => (10, Duration::from_millis(500)),
            Self::StartExecution => (250, Duration::from_millis(14)),
            Self::DescribeExecution => (100, Duration::from_millis(200)),
            Self::StopExecution => (250, Duration::from_millis(80)),
            Self::GetExecutionHistory => (200, Duration::from_millis(100)),
        }
    }
}

/// The buckets of one account and region.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<Api, Instant>>);

impl Limits {
    /// Takes a token; waits for one where there is none.
    pub(super) async fn wait(&self, api: Api) {
        let (burst, each) = api.rate();
        let ready = {
            let mut full = lock(&self.0);
            let now = Instant::now();
            // When the bucket will be full again: each token moves that by the time it takes to come back.
            let time = full.entry(api).or_insert(now);
            *time = (*time).max(now) + each;
            *time - each * burst
        };
        sleep_until(ready).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_so_many_a_second() {
        let (limits, begin) = (Limits::default(), Instant::now());
        for _ in 0..10 {
            limits.wait(Api::CloudFormation).await;
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            limits.wait(Api::CloudFormation).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 5);
        limits.wait(Api::StopExecution).await;
        assert_eq!(begin.elapsed().as_secs(), 5, "each has its own");
    }
}
