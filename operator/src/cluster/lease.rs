//! One process at a time leads: the one that holds a `Lease`, as client-go's leader election has it.
//!
//! No clock is ever compared with another machine's: a record counts as given up when it has not changed for as long as it
//! was taken for, by the clock of whoever watches it. A leader that could not renew in time stops writing before anybody else
//! may begin.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::store::kube::reason;

/// Name of the Lease.
const NAME: &str = "hf-operator";
/// How long a record that does not change is respected.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader goes on without having renewed.
const RENEWED_WITHIN: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

const NO_ANSWER: &str = "no answer from the API server";

/// Until when this process may write.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenure(Arc<Mutex<Option<Instant>>>);

impl Tenure {
    /// Whether this process leads.
    pub(super) fn holds(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Takes part in an election.
pub(super) struct Candidate {
    api: Api<Lease>,
    /// Differs from that of every other process, also of one that had the same pod's name.
    identity: String,
    now: fn() -> Timestamp,
    tenure: Tenure,
    seen: Option<Seen>,
}

/// A record, and when it was seen first.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// What follows from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is none: make it.
    Create,
    /// Nobody holds it any more: take it.
    Take,
    /// We hold it: say that we are still there.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// What follows from a record that has been seen unchanged for so long.
fn step(identity: &str, record: Option<&LeaseSpec>, unchanged: Duration) -> Step {
    let Some(record) = record else { return Step::Create };
    let holder = record.holder_identity.as_deref().unwrap_or_default();
    let seconds = record.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let taken_for = seconds.map_or(DURATION, Duration::from_secs);
    match holder {
        _ if holder == identity => Step::Renew,
        "" => Step::Take,
        _ if unchanged >= taken_for => Step::Take,
        _ => Step::Wait,
    }
}

/// The record that a step leads to.
fn record(identity: &str, step: Step, old: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
    let now = Some(MicroTime(now));
    let old = old.cloned().unwrap_or_default();
    let taken = step != Step::Renew;
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: if taken { now.clone() } else { old.acquire_time },
        renew_time: now,
        lease_transitions: Some(old.lease_transitions.unwrap_or(0).saturating_add(i32::from(step == Step::Take))),
        ..LeaseSpec::default()
    }
}

impl Candidate {
    /// A candidate of this name in this namespace.
    pub(super) fn new(client: Client, namespace: &str, identity: String, now: fn() -> Timestamp) -> Self {
        Self { api: Api::namespaced(client, namespace), identity, now, tenure: Tenure::default(), seen: None }
    }

    /// Until when it may write.
    pub(super) fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Waits until it leads.
    pub(super) async fn elected(&mut self) {
        let mut said = None;
        loop {
            let news = match self.advance().await {
                Ok(Step::Wait) => format!("{} leads: waiting", self.holder()),
                Ok(_) => break,
                Err(reason) => format!("cannot take the Lease {NAME}: {reason}"),
            };
            if said.as_ref() != Some(&news) {
                info!("{news}");
                said = Some(news);
            }
            sleep(PERIOD).await;
        }
        info!(identity = self.identity, "leading");
    }

    /// Renews until that fails for too long, or somebody else has taken over; says which.
    pub(super) async fn deposed(&mut self) -> String {
        loop {
            sleep(PERIOD).await;
            let until = self.tenure.until().unwrap_or_else(Instant::now);
            let advanced = timeout_at(until, self.advance()).await;
            match advanced.unwrap_or_else(|_| Err(NO_ANSWER.to_owned())) {
                Ok(Step::Wait) => {
                    self.tenure.set(None);
                    return format!("{} leads now", self.holder());
                }
                Ok(_) => {}
                Err(reason) if self.tenure.holds() => warn!(reason, "the Lease {NAME} was not renewed"),
                Err(reason) => {
                    let within = RENEWED_WITHIN.as_secs();
                    return format!("the Lease {NAME} was not renewed within {within} s: {reason}");
                }
            }
        }
    }

    /// Gives up, so that the next need not wait.
    pub(super) async fn release(&mut self) {
        if !self.tenure.holds() {
            return;
        }
        self.tenure.set(None);
        let Some(Seen { mut lease, .. }) = self.seen.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime((self.now)()));
        match timeout(CALL, self.api.replace(NAME, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => info!("the Lease {NAME} is released"),
            Ok(Err(error)) => warn!(reason = reason(&error), "the Lease {NAME} is not released"),
            Err(_) => warn!("the Lease {NAME} is not released: no answer"),
        }
    }

    fn holder(&self) -> &str {
        let record = self.seen.as_ref().and_then(|seen| seen.lease.spec.as_ref());
        record.and_then(|record| record.holder_identity.as_deref()).unwrap_or("another process")
    }

    /// Looks at the record and takes the step that follows. Somebody else may be faster: that is an error.
    async fn advance(&mut self) -> Result<Step, String> {
        let answer = timeout(CALL, self.look_and_step()).await;
        answer.unwrap_or_else(|_| Err(NO_ANSWER.to_owned()))
    }

    async fn look_and_step(&mut self) -> Result<Step, String> {
        let begin = Instant::now();
        let current = self.api.get_opt(NAME).await.map_err(|error| reason(&error))?;
        let unchanged = self.note(current.as_ref(), begin);
        let spec = current.as_ref().and_then(|lease| lease.spec.as_ref());
        let step = step(&self.identity, current.as_ref().map(|_| spec.unwrap_or(&NOBODYS)), unchanged);
        let new = record(&self.identity, step, spec, (self.now)());
        let params = PostParams::default();
        let written = match (step, current.clone()) {
            (Step::Wait, _) => return Ok(step),
            // Its version goes along: whoever is faster wins.
            (_, Some(lease)) => self.api.replace(NAME, &params, &Lease { spec: Some(new), ..lease }).await,
            (_, None) => {
                let mut lease = Lease { spec: Some(new), ..Lease::default() };
                lease.metadata.name = Some(NAME.to_owned());
                self.api.create(&params, &lease).await
            }
        };
        let written = written.map_err(|error| reason(&error))?;
        self.note(Some(&written), begin);
        self.tenure.set(Some(begin + RENEWED_WITHIN));
        Ok(step)
    }

    /// Takes in a record as it is now; says how long it has been so. Whoever may have renewed it did so before `now`.
    fn note(&mut self, lease: Option<&Lease>, now: Instant) -> Duration {
        let version = |lease: &Lease| (lease.metadata.uid.clone(), lease.metadata.resource_version.clone());
        let known = self.seen.as_ref().map(|seen| version(&seen.lease));
        if known != lease.map(version) {
            self.seen = lease.map(|lease| Seen { lease: lease.clone(), since: Instant::now() });
        }
        self.seen.as_ref().map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen.since))
    }
}

/// A Lease without a record.
const NOBODYS: LeaseSpec = LeaseSpec {
    acquire_time: None,
    holder_identity: None,
    lease_duration_seconds: None,
    lease_transitions: None,
    preferred_holder: None,
    renew_time: None,
    strategy: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: Option<&str>, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(3),
            acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn each_record_has_its_step() {
        let secs = Duration::from_secs;
        for (record, unchanged, expected) in [
            (None, secs(0), Step::Create),
            (Some(NOBODYS), secs(0), Step::Take),
            (Some(held(None, 1)), secs(0), Step::Take),
            (Some(held(Some(""), 1)), secs(0), Step::Take),
            (Some(held(Some("me"), 15)), secs(0), Step::Renew),
            (Some(held(Some("me"), 15)), secs(99), Step::Renew),
            (Some(held(Some("other"), 15)), secs(0), Step::Wait),
            (Some(held(Some("other"), 15)), secs(14), Step::Wait),
            (Some(held(Some("other"), 15)), secs(15), Step::Take),
            (Some(held(Some("other"), 60)), secs(15), Step::Wait),
            (Some(held(Some("other"), -1)), secs(14), Step::Wait),
        ] {
            assert_eq!(step("me", record.as_ref(), unchanged), expected, "{record:?} {unchanged:?}");
        }
    }

    #[test]
    fn a_record_tells_since_when_and_after_how_many() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let old = held(Some("other"), 15);
        let taken = record("me", Step::Take, Some(&old), now);
        assert_eq!((taken.lease_transitions, taken.acquire_time), (Some(4), Some(MicroTime(now))));
        let renewed = record("me", Step::Renew, Some(&old), now);
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(3), old.acquire_time));
        assert_eq!(renewed.renew_time, Some(MicroTime(now)));
        assert_eq!(record("me", Step::Create, None, now).lease_transitions, Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenure_ends_by_itself() {
        let tenure = Tenure::default();
        assert!(!tenure.holds());
        tenure.set(Some(Instant::now() + RENEWED_WITHIN));
        assert!(tenure.holds());
        tokio::time::advance(RENEWED_WITHIN).await;
        assert!(!tenure.holds(), "nobody had to say so");
    }
}
