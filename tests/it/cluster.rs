use std::{thread, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    bins::{bin, tool_output},
    cluster::{Cluster, Operator, Stage, Wire, meanwhile, reason},
    fixture::{SECOND, copy, fixture},
    processes::{descendants, expect_gone, output},
    video::frame_count,
};

const INSTANT: &str = "instant-producer";
const REAL: &str = "hf-producer";
/// A Render of the composition `site`.
const SITE: &str = "{source: {path: site}, output: {quality: draft}}";
/// The same in several chunks, which takes some seconds.
const LONG: &str = "{source: {path: site}, output: {quality: draft}, chunking: {chunkSize: 60}}";
const CHILDREN_END: Duration = Duration::from_secs(5);

/// A namespace with a small composition.
fn small(namespace: &'static str) -> Stage {
    let stage = Stage::new(namespace);
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage
}

/// A namespace with a composition of 600 frames and a Render of it that is being rendered.
fn rendering(namespace: &'static str) -> (Stage, Operator) {
    let stage = Stage::new(namespace);
    copy(&fixture("motion"), &stage.folder.join("sources/site"));
    let operator = stage.operator(REAL).start();
    stage.apply("Render", "one", LONG);
    stage.wait_for("one", "frames", |render| render["status"]["progress"]["framesRendered"].as_u64() > Some(0));
    (stage, operator)
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn definitions_may_come_after_the_operator() {
    // Watches all namespaces: it has an API server of its own.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let stage = Stage { cluster, namespace: "default", folder: tests::fixture::Folder::new() };
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let mut operator = stage.operator(INSTANT).env("HF_WATCH_NAMESPACES", "").start();
    operator.wait_for("the API server does not know renders: install the custom resource definitions");
    let (code, why) = operator.ask("/readyz").unwrap();
    assert!(code == 503 && why.contains("hf-operator crds"), "{code} {why}");
    assert_eq!(operator.ask("/healthz").unwrap().0, 200, "it would not help to start again");
    cluster.install();
    cluster.kubectl(&["create", "namespace", "other"]);
    for namespace in ["default", "other"] {
        let stage = Stage { cluster, namespace, folder: tests::fixture::Folder::new() };
        stage.apply("HyperframesStack", "local", "{local: {}}");
        stage.apply("Render", "one", SITE);
        stage.wait_for_reason("one", "Completed");
    }
    assert_eq!(operator.ask("/readyz").unwrap().0, 200);
}

#[test]
#[ignore = "needs Chromium and a Kubernetes API server"]
fn a_render_is_made_and_then_left_alone() {
    let stage = small("made");
    let operator = stage.operator(REAL).start();
    stage.apply("Render", "one", SITE);
    let render = stage.wait_for_reason("one", "Completed");
    let video = stage.video("one");
    assert_eq!(frame_count(&video), 30);
    assert_eq!(render["metadata"]["finalizers"][0], "hyperframes.io/render");
    assert_eq!(render["metadata"]["generation"], 1, "a status is no change of what is asked for");
    assert_eq!(render["status"]["output"]["uri"], format!("file://{}", video.canonicalize().unwrap().display()));
    stage.kubectl(&["wait", "--for=condition=Finished", "--timeout=60s", "render/one"]);
    let events = stage.kubectl(&["get", "events.events.k8s.io", "-o", "json"]);
    let events: Value = serde_json::from_str(&events).unwrap();
    let about = |event: &&Value| event["regarding"]["kind"] == "Render" && event["reason"] == "Completed";
    assert_eq!(events["items"].as_array().unwrap().iter().filter(about).count(), 1);
    let (_, metrics) = operator.ask("/metrics").unwrap();
    assert!(metrics.contains("hyperframes_renders{state=\"Completed\"} 1"), "{metrics}");
    assert!(metrics.contains("hyperframes_api_requests_total{verb=\"watch\",code=\"200\"}"), "{metrics}");

    // Neither this process nor the next has anything to do.
    operator.process.signal(Signal::SIGTERM);
    assert_eq!(operator.process.end(), Some(0));
    let mut next = stage.operator(REAL).start();
    next.wait_for("\"leading\"");
    // It has to find out first what the machine can do.
    let is_look = |line: &Value| line["message"] == "reconciled" && line["object"] == "HyperframesStack made/local";
    next.process
        .wait_for("a stack that can render", |line| is_look(line) && line["next"].as_str() == Some("AwaitChange"));
    let stack = stage.get("hyperframesstack", "local");
    next.process.expect_silence(Duration::from_secs(6), |line| line["level"] == "WARN");
    assert_eq!(version(&stage.get("render", "one")), version(&render));
    assert_eq!(version(&stage.get("hyperframesstack", "local")), version(&stack));

    // A changed composition is seen by looking.
    stage.folder.project("sources/site", SECOND, "<p>Other</p>");
    stage.wait_for("one", "a second attempt", |render| {
        render["status"]["attempt"] == 2 && reason(render) == "Completed"
    });
}

#[test]
#[ignore = "needs Chromium and a Kubernetes API server"]
fn a_deletion_stops_what_runs_and_keeps_finalizers_of_others() {
    let (stage, operator) = rendering("deleted");
    let keep = "[{\"op\": \"add\", \"path\": \"/metadata/finalizers/-\", \"value\": \"example.com/keep\"}]";
    stage.kubectl(&["patch", "render", "one", "--type", "json", "-p", keep]);
    let children = descendants(operator.process.pid());
    assert!(!children.is_empty());
    stage.kubectl(&["delete", "render", "one", "--wait=false"]);
    stage.wait_for("one", "our finalizer to go", |render| {
        render["metadata"]["finalizers"] == serde_json::json!(["example.com/keep"])
    });
    expect_gone(&children, CHILDREN_END);
    stage.kubectl(&["patch", "render", "one", "--type", "merge", "-p", "{\"metadata\": {\"finalizers\": null}}"]);
    stage.wait_for("one", "its end", Value::is_null);
    // A stack goes when nobody uses it, and one of the same name may come.
    stage.kubectl(&["delete", "hyperframesstack", "local", "--timeout=60s"]);
    stage.apply("HyperframesStack", "local", "{local: {}}");
    stage.apply("Render", "one", LONG);
    stage.wait_for_reason("one", "Running");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_suspended_render_waits() {
    let stage = small("suspended");
    stage.apply("Render", "one", "{source: {path: site}, suspend: true}");
    let _operator = stage.operator(INSTANT).start();
    stage.wait_for_reason("one", "Suspended");
    stage.kubectl(&["patch", "render", "one", "--type", "merge", "-p", "{\"spec\": {\"suspend\": false}}"]);
    stage.wait_for_reason("one", "Completed");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn edits_of_others_make_no_second_attempt() {
    let stage = small("edited");
    let operator = stage.operator(INSTANT).start();
    let mut count = 0;
    let edit = || {
        count += 1;
        for name in ["one", "two", "three"] {
            let label = format!("edit={count}");
            let arguments = ["--namespace", stage.namespace, "label", "--overwrite", "render", name, &label];
            let _ = stage.cluster.try_kubectl(&arguments, "");
        }
    };
    meanwhile(edit, || {
        for name in ["one", "two", "three"] {
            stage.apply("Render", name, SITE);
        }
        for name in ["one", "two", "three"] {
            assert_eq!(stage.wait_for_reason(name, "Completed")["status"]["attempt"], 1);
        }
    });
    assert!(operator.ask("/metrics").unwrap().1.contains("hyperframes_renders{state=\"Completed\"} 3"));
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn another_takes_over_when_the_leader_is_gone() {
    let stage = small("elected");
    let mut first = stage.operator(INSTANT).start();
    first.wait_for("\"leading\"");
    let mut second = stage.operator(INSTANT).start();
    second.wait_for("leads: waiting");
    assert_eq!(second.ask("/readyz").unwrap().0, 200, "it stands by");
    stage.apply("Render", "one", SITE);
    stage.wait_for_reason("one", "Completed");
    first.process.signal(Signal::SIGKILL);
    first.process.end();
    second.wait_for("\"leading\"");
    assert!(second.leads(&stage));
    stage.apply("Render", "two", SITE);
    stage.wait_for_reason("two", "Completed");
    assert_eq!(stage.get("lease", "hf-operator")["spec"]["leaseTransitions"], 1);
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_leader_that_was_asleep_writes_nothing() {
    let stage = small("asleep");
    let mut first = stage.operator(INSTANT).start();
    first.wait_for("\"leading\"");
    first.process.signal(Signal::SIGSTOP);
    let mut second = stage.operator(INSTANT).start();
    second.wait_for("\"leading\"");
    stage.apply("Render", "one", SITE);
    let done = stage.wait_for_reason("one", "Completed");
    stage.kubectl(&["annotate", "render", "one", "note=changed"]);
    let before = stage.get("render", "one");
    first.process.signal(Signal::SIGCONT);
    assert_eq!(first.process.end(), Some(1));
    assert_eq!(version(&stage.get("render", "one")), version(&before));
    assert_eq!(done["status"]["attempt"], 1);
    assert!(second.leads(&stage));
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_leader_that_was_deposed_ends() {
    let stage = small("deposed");
    let mut operator = stage.operator(INSTANT).start();
    operator.wait_for("\"leading\"");
    let other = "{\"spec\": {\"holderIdentity\": \"another\"}}";
    stage.kubectl(&["patch", "lease", "hf-operator", "--type", "merge", "-p", other]);
    operator.wait_for("another leads now");
    assert_eq!(operator.process.end(), Some(1));
    assert_eq!(stage.leader().as_deref(), Some("another"), "what another holds is not released");
}

#[test]
#[ignore = "needs Chromium and a Kubernetes API server"]
fn a_killed_operator_goes_on_with_the_same_attempt() {
    let (stage, operator) = rendering("killed");
    let children = descendants(operator.process.pid());
    operator.process.signal(Signal::SIGKILL);
    operator.process.end();
    expect_gone(&children, CHILDREN_END);
    let _next = stage.operator(REAL).start();
    let render = stage.wait_for_reason("one", "Completed");
    assert_eq!((&render["status"]["attempt"], frame_count(&stage.video("one"))), (&1.into(), 600));
}

#[test]
#[ignore = "needs Chromium and a Kubernetes API server"]
fn an_operator_that_is_to_end_stops_what_runs_and_lets_go() {
    let (stage, operator) = rendering("drained");
    let children = descendants(operator.process.pid());
    let begin = std::time::Instant::now();
    operator.process.signal(Signal::SIGTERM);
    assert_eq!(operator.process.end(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    expect_gone(&children, CHILDREN_END);
    assert_eq!(stage.leader(), None, "the next need not wait");
    let mut next = stage.operator(REAL).start();
    next.wait_for("\"leading\"");
    let render = stage.wait_for_reason("one", "Completed");
    assert_eq!(frame_count(&stage.video("one")), 600, "{render}");
}

#[test]
#[ignore = "needs Chromium and a Kubernetes API server"]
fn an_api_server_may_be_away_for_a_while() {
    let stage = Stage::new("away");
    copy(&fixture("motion"), &stage.folder.join("sources/site"));
    let wire = Wire::new(&stage);
    let mut operator = stage.operator(REAL).env("KUBECONFIG", &wire.kubeconfig).start();
    stage.apply("Render", "one", LONG);
    stage.wait_for("one", "frames", |render| render["status"]["progress"]["framesRendered"].as_u64() > Some(0));
    wire.cut();
    operator.wait_for("cannot watch renders in away");
    thread::sleep(Duration::from_secs(4));
    // Its caches do not know of this one yet.
    stage.apply("Render", "two", SITE);
    wire.mend();
    for name in ["one", "two"] {
        assert_eq!(stage.wait_for_reason(name, "Completed")["status"]["attempt"], 1, "{name}");
    }
    assert!(operator.leads(&stage));
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn what_is_forbidden_is_said_in_words() {
    let stage = small("forbidden");
    let kubeconfig = stage.of_a_service_account(
        "operator",
        &[
            "get,list,watch,patch renders.hyperframes.io,hyperframesstacks.hyperframes.io",
            "get,create,update leases.coordination.k8s.io",
        ],
    );
    let mut operator = stage.operator(INSTANT).env("KUBECONFIG", kubeconfig).start();
    let said = operator.wait_for("cannot write the status of HyperframesStack forbidden/local");
    for part in ["is forbidden", "system:serviceaccount:forbidden:operator", "hyperframesstacks/status"] {
        assert!(said.to_string().contains(part), "{said}");
    }
    assert_eq!(
        (&said["span"]["object.namespace"], &said["span"]["object.name"]),
        (&"forbidden".into(), &"local".into())
    );
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_path_stays_below_the_operators_folders() {
    let stage = small("confined");
    stage.folder.project("outside", SECOND, "<p>Secret</p>");
    let operator = stage.operator(INSTANT).start();
    for (name, spec) in [
        ("up", "{source: {path: ../outside}}"),
        ("absolute", "{source: {path: /etc}}"),
        ("video", "{source: {path: site}, output: {path: ../../x.mp4}}"),
    ] {
        stage.apply("Render", name, spec);
        let render = stage.wait_for_reason(name, "SPEC_INVALID");
        assert!(render["status"]["failure"]["message"].as_str().unwrap().contains("leads out of"), "{render}");
        let stalled = |condition: &&Value| condition["type"] == "Stalled" && condition["status"] == "True";
        assert!(
            render["status"]["conditions"].as_array().unwrap().iter().any(|condition| stalled(&condition)),
            "{render}"
        );
    }
    operator.process.signal(Signal::SIGTERM);
    operator.process.end();
    let _without = stage.operator(INSTANT).env("HF_SOURCES", "").start();
    stage.apply("Render", "nowhere", SITE);
    let render = stage.wait_for_reason("nowhere", "SPEC_INVALID");
    assert!(render["status"]["failure"]["message"].as_str().unwrap().contains("HF_SOURCES"), "{render}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn nothing_is_uninstalled_while_objects_need_the_operator() {
    let stage = small("needed");
    let check = || {
        let mut command = std::process::Command::new(bin("hf-operator"));
        command.arg("uninstall-check").env("KUBECONFIG", stage.cluster.kubeconfig());
        let output = output(command.env("HF_WATCH_NAMESPACES", "needed"));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(check(), (Some(0), String::new()), "nobody has looked at it yet");
    let _operator = stage.operator(INSTANT).start();
    stage.apply("Render", "one", SITE);
    stage.wait_for_reason("one", "Completed");
    let (code, said) = check();
    assert_eq!(code, Some(1));
    assert!(said.contains("Render needed/one, HyperframesStack needed/local"), "{said}");
    stage.kubectl(&["delete", "render,hyperframesstack", "--all", "--timeout=60s"]);
    assert_eq!(check(), (Some(0), String::new()));
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    assert_eq!(tool_output(bin("hf-operator").to_str().unwrap(), &["walk"]).status.code(), Some(64));
}
