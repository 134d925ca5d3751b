//! What GitOps tools make of every status that was ever written to the API server that tests share: the rules that the
//! reconciler's own tests hold it to, and the real kstatus.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use crds::condition::{Condition, READY, RECONCILING, STALLED};
use futures::{StreamExt as _, future::join};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;

use crate::objects::{Ours, client};

#[path = "../../operator/src/reconcile/conditions/oracle.rs"]
mod oracle;

/// Versions of objects, by namespace.
type History = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

static JUDGE: OnceLock<Judge> = OnceLock::new();

struct Judge {
    kstatus: PathBuf,
    history: History,
}

/// Watches everything from now on, with the judge in this folder of programs.
pub(crate) fn begin(kubeconfig: PathBuf, programs: &Path) {
    let judge = JUDGE.get_or_init(|| Judge { kstatus: programs.join("kstatus"), history: Arc::default() });
    let history = Arc::clone(&judge.history);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = client(&kubeconfig).await;
            join(watch::<crds::Render>(&client, &history), watch::<crds::HyperframesStack>(&client, &history)).await
        });
    });
}

async fn watch<K: Ours>(client: &Client, history: &History) {
    let api: Api<K> = Api::all(client.clone());
    // It begins anew when the server is not ready for it yet, or has ended it.
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else { continue };
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        let object = serde_json::to_value(&object).unwrap();
        history.lock().unwrap().entry(namespace).or_default().push(object);
    }
}

/// What is wrong with what was written in a namespace; and how many different statuses there were.
pub fn verdict(namespace: &str) -> (Vec<String>, usize) {
    let Some(judge) = JUDGE.get() else { return (Vec::new(), 0) };
    let versions = judge.history.lock().unwrap().get(namespace).cloned().unwrap_or_default();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for object in versions {
        let (metadata, status) = (&object["metadata"], &object["status"]);
        let conditions: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
        // Before the first look there are none.
        if conditions.is_empty() {
            continue;
        }
        let kinds: Vec<_> = conditions.iter().map(|one| (&one.type_, &one.status, one.observed_generation)).collect();
        let deleted = !metadata["deletionTimestamp"].is_null();
        let observed = status["observedGeneration"].as_i64();
        if !seen.insert(format!("{} {observed:?} {deleted} {kinds:?}", metadata["generation"])) {
            continue;
        }
        let generation = metadata["generation"].as_i64().unwrap();
        let broken = oracle::broken(generation, observed, &conditions);
        if !broken.is_empty() {
            wrong.push(format!("{broken:?} in {object}"));
        }
        let (said, expected) = (judge.kstatus(&object), expected(deleted, observed == Some(generation), &conditions));
        if !said.starts_with(expected) {
            wrong.push(format!("kstatus says {said:?} instead of {expected} of {object}"));
        }
    }
    (wrong, seen.len())
}

impl Judge {
    fn kstatus(&self, object: &Value) -> String {
        let mut command = Command::new(&self.kstatus);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

/// What a user of Flux should see.
fn expected(deleted: bool, current: bool, conditions: &[Condition]) -> &'static str {
    let is_true = |kind| conditions.iter().any(|one| one.type_ == kind && one.status == "True");
    match () {
        () if deleted => "Terminating",
        () if !current || is_true(RECONCILING) => "InProgress",
        () if is_true(STALLED) => "Failed",
        () if is_true(READY) => "Current",
        () => "InProgress",
    }
}
