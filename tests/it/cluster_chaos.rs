//! The operator is cut at every point of a Render's life, hears things late and twice, and loses its API server.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
    thread,
    time::{Duration, Instant},
};

use crds::{HyperframesStack, Render};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, Operator, Stage, reason},
    fixture::{Folder, SECOND},
    objects::Objects,
    processes::eventually,
    proxy::{Fault, Proxy},
};

const INSTANT: &str = "instant-producer";
/// A Render's life with one fault in it takes a second or two.
const LIFE: Duration = Duration::from_secs(60);

/// A namespace where one Render after the other lives its life with one fault in it.
struct Lane {
    stage: Stage,
    proxy: Proxy,
    objects: Objects,
}

/// One operator after the other, each begun when the one before was cut off.
struct Succession<'a> {
    lane: &'a Lane,
    case: String,
    operator: Operator,
    kills: bool,
    heard: Receiver<()>,
    /// Whether the fault has happened.
    faulty: bool,
}

impl Lane {
    fn new(namespace: &'static str) -> Self {
        let stage = Stage { cluster: Cluster::shared(), namespace, folder: Folder::new() };
        stage.cluster.kubectl(&["create", "namespace", namespace]);
        stage.folder.project("sources/site", SECOND, "<p>Text</p>");
        stage.folder.write("sources/plans", "");
        let (proxy, objects) = (Proxy::new(&stage), Objects::new(&stage));
        Self { stage, proxy, objects }
    }

    fn operator(&self) -> Operator {
        let settings = self.stage.operator(INSTANT).env("KUBECONFIG", &self.proxy.kubeconfig);
        settings.env("HF_LEADER_ELECTION", "false").start()
    }

    fn plans(&self) -> usize {
        fs::read_to_string(self.stage.folder.join("sources/plans")).unwrap().lines().count()
    }

    /// A Render is made, finished and deleted, and its stack with it, while the call of this number has this fault. Whether
    /// there was such a call.
    fn life(&self, number: usize, fault: Fault) -> bool {
        let name = format!("r{number}-{fault:?}").to_lowercase();
        let before = self.plans();
        let objects = &self.objects;
        objects.create::<HyperframesStack>("local", &json!({ "local": { "maxParallelChunks": 1 } }));
        objects.create::<Render>(&name, &json!({ "source": { "path": "site" } }));
        let kills = matches!(fault, Fault::Lost | Fault::Unanswered);
        let heard = self.proxy.plan(number, fault);
        let case = format!("call {number} {fault:?}");
        let mut operators =
            Succession { lane: self, case: case.clone(), operator: self.operator(), kills, heard, faulty: false };
        let render = operators.wait_for("Completed", || {
            Some(objects.get::<Render>(&name)).filter(|render| reason(render) == "Completed")
        });
        assert!(self.stage.video(&name).is_file(), "{case}");
        objects.delete::<Render>(&name);
        operators.wait_for("its end", || objects.get::<Render>(&name).is_null().then_some(()));
        objects.delete::<HyperframesStack>("local");
        operators.wait_for("the stack's end", || objects.get::<HyperframesStack>("local").is_null().then_some(()));
        let status = &render["status"];
        assert_eq!((&status["attempt"], status["attempts"].as_array().unwrap().len()), (&1.into(), 1), "{case}");
        // A process that was killed may have begun what the next has to begin again; no process does it twice.
        let (plans, most) = (self.plans() - before, if operators.faulty && kills { 2 } else { 1 });
        assert!((1..=most).contains(&plans), "{case}: planned {plans} times");
        operators.faulty
    }
}

impl Succession<'_> {
    #[track_caller]
    fn wait_for<T>(&mut self, what: &str, mut get: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + LIFE;
        loop {
            if self.heard.try_recv().is_ok() {
                self.faulty = true;
                if self.kills {
                    self.operator.process.signal(Signal::SIGKILL);
                    self.operator = self.lane.operator();
                }
            }
            if let Some(got) = get() {
                return got;
            }
            if Instant::now() > deadline {
                self.operator.process.expect_silence(Duration::ZERO, |_| false);
                let said: Vec<_> = self.operator.process.said.iter().map(Value::to_string).collect();
                panic!("{}: {what}: not within {LIFE:?}:\n{}", self.case, said.join("\n"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn whatever_call_of_a_renders_life_fails_it_is_made_once_and_goes() {
    let first = Lane::new("life-0");
    assert!(!first.life(usize::MAX, Fault::Lost));
    let calls = first.proxy.calls();
    assert!(calls.len() > 15, "{calls:#?}");
    let count = calls.len();
    let faults = [Fault::Lost, Fault::Unanswered, Fault::CutShort, Fault::Refused];
    let cases = (1..=count).flat_map(|number| faults.map(|fault| (number, fault))).collect::<Vec<_>>();
    let lanes = [first, Lane::new("life-1"), Lane::new("life-2"), Lane::new("life-3")];
    let next = Mutex::new(cases.into_iter());
    let happened = AtomicUsize::new(0);
    thread::scope(|scope| {
        for lane in &lanes {
            let (next, happened) = (&next, &happened);
            scope.spawn(move || {
                while let Some((number, fault)) = { next.lock().unwrap().next() } {
                    let faulty = lane.life(number, fault);
                    happened.fetch_add(usize::from(faulty), Ordering::Relaxed);
                }
            });
        }
    });
    let happened = happened.into_inner();
    // How often progress is written depends on the time.
    assert!(happened * 10 >= count * faults.len() * 9, "only {happened} faults of {count} calls: {calls:#?}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn what_is_told_late_and_twice_makes_nothing_twice() {
    let stage = Stage::new("repeated");
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage.folder.write("sources/plans", "");
    let proxy = Proxy::that_repeats(&stage);
    let objects = Objects::new(&stage);
    let _operator = stage.operator(INSTANT).env("KUBECONFIG", &proxy.kubeconfig).start();
    let names: Vec<_> = (0..8).map(|number| format!("r{number}")).collect();
    for name in &names {
        objects.create::<Render>(name, &json!({ "source": { "path": "site" } }));
    }
    for name in &names {
        stage.kubectl(&["annotate", "render", name, "note=changed"]);
    }
    for name in &names {
        let done =
            eventually("Completed", || Some(objects.get::<Render>(name)).filter(|one| reason(one) == "Completed"));
        assert_eq!(done["status"]["attempt"], 1, "{name}");
    }
    let plans = fs::read_to_string(stage.folder.join("sources/plans")).unwrap();
    assert_eq!(plans.lines().count(), names.len());
    stage.kubectl(&["delete", "render,hyperframesstack", "--all", "--timeout=60s"]);
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn what_was_missed_is_found_by_listing_anew() {
    let stage = Stage::new("expired");
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let proxy = Proxy::new(&stage);
    let operator = stage.operator(INSTANT).env("KUBECONFIG", &proxy.kubeconfig).start();
    for name in ["kept", "edited", "deleted"] {
        stage.apply("Render", name, "{source: {path: site}}");
    }
    for name in ["kept", "edited", "deleted"] {
        stage.wait_for_reason(name, "Completed");
    }
    let kept = stage.get("render", "kept");
    proxy.mute();
    stage.apply("Render", "edited", "{source: {path: site}, variables: {a: 1}}");
    stage.apply("Render", "new", "{source: {path: site}}");
    stage.kubectl(&["delete", "render", "deleted", "--wait=false"]);
    proxy.expire();
    stage.wait_for_reason("new", "Completed");
    stage.wait_for("edited", "a second attempt", |render| {
        render["status"]["attempt"] == 2 && reason(render) == "Completed"
    });
    stage.wait_for("deleted", "its end", Value::is_null);
    assert_eq!(stage.get("render", "kept")["metadata"]["resourceVersion"], kept["metadata"]["resourceVersion"]);
    assert!(operator.leads(&stage), "it is the same process");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn an_api_server_and_its_etcd_may_be_killed_and_come_back() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start_to_be_killed()));
    cluster.install();
    let stage = Stage { cluster, namespace: "default", folder: Folder::new() };
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage.apply("HyperframesStack", "local", "{local: {}}");
    // An administrator may do everything from the beginning; what anybody else may do an API server has to learn first.
    let kubeconfig = stage.of_a_service_account(
        "operator",
        &[
            "get,list,watch,patch,update renders.hyperframes.io,hyperframesstacks.hyperframes.io",
            "patch,update renders.hyperframes.io/status,hyperframesstacks.hyperframes.io/status",
            "create,patch events.events.k8s.io",
            "get,create,update leases.coordination.k8s.io",
        ],
    );
    let start = || stage.operator(INSTANT).env("KUBECONFIG", &kubeconfig).start();
    let mut operator = start();
    let mut make = |name: &str| {
        // Whatever comes first in an API server's life may be refused.
        eventually("an API server", || stage.try_apply("Render", name, "{source: {path: site}}").then_some(()));
        let begin = Instant::now();
        let done = eventually("Completed", || {
            // A leader that could not say so in time ends, and is started again, as in a pod.
            if operator.process.has_ended() {
                println!("{name}: another operator begins");
                operator = start();
            }
            Some(stage.get("render", name)).filter(|render| reason(render) == "Completed")
        });
        println!("{name}: finished {:?} after the API server took it", begin.elapsed());
        assert_eq!(done["status"]["attempt"], 1, "{name}");
    };
    make("before");
    for (what, away) in [
        (&["kube-apiserver"][..], Duration::from_secs(2)),
        (&["etcd"], Duration::from_secs(2)),
        (&["kube-apiserver", "etcd"], Duration::ZERO),
    ] {
        let held = cluster.kill(what);
        thread::sleep(away);
        drop(held);
        make(&what.join("-and-"));
    }
    assert_eq!(stage.get("render", "before")["status"]["attempt"], 1);
    stage.kubectl(&["delete", "render,hyperframesstack", "--all", "--timeout=60s"]);
}
