//! How this process is: what it counts, and when it last did what it has to do all the time.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use crate::{
    error::Error,
    object::{Kind, ObjectKey},
    reconcile::{decide::Next, driver::Observer},
};

/// How long a watch may be silent: it is asked for anew every 5 minutes.
const SILENCE: Duration = Duration::from_mins(10);
/// How long the driver may take for a turn: it is given something to do far more often.
const TURN: Duration = Duration::from_mins(1);

/// Labels of few values each, never of one object.
type Labels<const N: usize> = [(&'static str, String); N];

/// How this process is.
pub(super) struct Vitals {
    registry: Registry,
    looks: Family<Labels<1>, Counter>,
    errors: Family<Labels<3>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    due: Gauge<i64, AtomicI64>,
    busy: Gauge<i64, AtomicI64>,
    renders: Family<Labels<1>, Gauge>,
    requests: Family<Labels<2>, Counter<u64, AtomicU64>>,
    leading: Gauge,
    pulse: Mutex<Pulse>,
}

/// When things happened last.
#[derive(Debug)]
struct Pulse {
    begin: Instant,
    /// By the path of what is listed and watched.
    watches: BTreeMap<String, Instant>,
    /// `None` while another process leads.
    turn: Option<Instant>,
}

impl Vitals {
    pub(super) fn new() -> Self {
        let begin = Instant::now();
        let mut vitals = Self {
            registry: Registry::with_prefix("hyperframes"),
            looks: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8))),
            due: Gauge::default(),
            busy: Gauge::default(),
            renders: Family::default(),
            requests: Family::default(),
            leading: Gauge::default(),
            pulse: Mutex::new(Pulse { begin, watches: BTreeMap::new(), turn: None }),
        };
        vitals.register();
        vitals
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("reconcile", "Looks at an object that have ended", self.looks.clone());
        registry.register("reconcile_errors", "Looks that failed, by what follows and error code", self.errors.clone());
        registry.register_with_unit("reconcile", "How long a look takes", Unit::Seconds, self.seconds.clone());
        registry.register("queue_depth", "Objects that wait to be looked at", self.due.clone());
        registry.register("active_workers", "Objects that are being looked at", self.busy.clone());
        registry.register("renders", "Renders, by the reason of their condition Succeeded", self.renders.clone());
        registry.register("api_requests", "Requests to the API server, by verb and status code", self.requests.clone());
        registry.register("leading", "1 while this process leads", self.leading.clone());
    }

    /// A request to the API server was answered, or was not.
    pub(super) fn requested(&self, verb: &'static str, outcome: String) {
        self.requests.get_or_create(&[("verb", verb.to_owned()), ("code", outcome)]).inc();
    }

    /// A list or a watch was asked for.
    pub(super) fn watch_asked_for(&self, path: &str) {
        self.pulse().watches.insert(path.to_owned(), Instant::now());
    }

    /// From now on this process leads, and its driver has to turn.
    pub(super) fn leads(&self) {
        self.leading.set(1);
        self.pulse().turn = Some(Instant::now());
    }

    /// What has not happened for too long.
    pub(super) fn troubles(&self) -> Vec<String> {
        let pulse = self.pulse();
        let mut troubles: Vec<_> = pulse
            .watches
            .iter()
            .filter(|(_, asked)| asked.elapsed() > SILENCE)
            .map(|(path, asked)| format!("{path} was last asked for {} s ago", asked.elapsed().as_secs()))
            .collect();
        if pulse.watches.is_empty() && pulse.begin.elapsed() > SILENCE {
            troubles.push("nothing is watched".to_owned());
        }
        troubles.extend(
            pulse
                .turn
                .filter(|turn| turn.elapsed() > TURN)
                .map(|turn| format!("the reconciler has not moved for {} s", turn.elapsed().as_secs())),
        );
        troubles
    }

    /// Everything that is counted, as Prometheus reads it.
    pub(super) fn text(&self, renders: BTreeMap<String, i64>) -> String {
        self.renders.clear();
        for (state, count) in renders {
            self.renders.get_or_create(&[("state", state)]).set(count);
        }
        let mut text = String::new();
        // A text in memory takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Vitals {
    fn turned(&self, due: usize, busy: usize) {
        let count = |objects: usize| i64::try_from(objects).unwrap_or(i64::MAX);
        self.due.set(count(due));
        self.busy.set(count(busy));
        self.pulse().turn = Some(Instant::now());
    }

    fn looked(&self, key: &ObjectKey, result: &Result<Next, Error>, took: Duration) {
        let kind = |kind: Kind| ("kind", kind.as_str().to_owned());
        self.looks.get_or_create(&[kind(key.kind)]).inc();
        self.seconds.get_or_create(&[kind(key.kind)]).observe(took.as_secs_f64());
        if let Err(error) = result {
            let code = match error {
                Error::Backend { failure, .. } => failure.code.as_str(),
                _ => "",
            };
            let class = error.class().as_str();
            self.errors.get_or_create(&[kind(key.kind), ("class", class.to_owned()), ("code", code.to_owned())]).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ObjectKey {
        ObjectKey { kind: Kind::Render, namespace: "n".into(), name: "one".into() }
    }

    #[test]
    fn what_is_counted_names_no_object() {
        let vitals = Vitals::new();
        vitals.looked(&key(), &Ok(Next::AwaitChange), Duration::from_millis(3));
        vitals.looked(&key(), &Err(Error::Conflict("Render n/one".into())), Duration::ZERO);
        vitals.requested("watch", "200".to_owned());
        vitals.turned(3, 1);
        let text = vitals.text(BTreeMap::from([("Completed".to_owned(), 2)]));
        for line in [
            "hyperframes_reconcile_total{kind=\"Render\"} 2",
            "hyperframes_reconcile_errors_total{kind=\"Render\",class=\"Conflict\",code=\"\"} 1",
            "hyperframes_queue_depth 3",
            "hyperframes_renders{state=\"Completed\"} 2",
            "hyperframes_api_requests_total{verb=\"watch\",code=\"200\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
        assert!(!text.contains("one"), "{text}");
        assert!(!vitals.text(BTreeMap::new()).contains("Completed"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_is_named() {
        let vitals = Vitals::new();
        vitals.watch_asked_for("/apis/x/renders");
        vitals.leads();
        assert_eq!(vitals.troubles(), [""; 0]);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(vitals.troubles(), ["the reconciler has not moved for 61 s"]);
        vitals.turned(0, 0);
        tokio::time::advance(SILENCE).await;
        vitals.turned(0, 0);
        assert_eq!(vitals.troubles(), ["/apis/x/renders was last asked for 661 s ago"]);
    }
}
