use serde_json::Value;
use tests::{
    cluster::{Cluster, Stage},
    fixture::SECOND,
    processes::eventually,
};

const INSTANT: &str = "instant-producer";
const SITE: &str = "{source: {path: site}}";

/// A namespace with a small composition.
fn small(namespace: &'static str) -> Stage {
    let stage = Stage::new(namespace);
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn what_has_finished_is_deleted_after_its_ttl_and_its_video_stays() {
    let stage = small("outlived");
    let _operator = stage.operator(INSTANT).start();
    stage.apply("Render", "kept", SITE);
    stage.apply("Render", "one", "{source: {path: site}, ttl: 1s}");
    stage.wait_for("one", "its end", |render| render.is_null() && stage.video("one").is_file());
    stage.wait_for_reason("kept", "Completed");
    let events: Value = serde_json::from_str(&stage.kubectl(&["get", "events.events.k8s.io", "-o", "json"])).unwrap();
    let told = |event: &Value| event["reason"] == "TTLExpired" && event["regarding"]["name"] == "one";
    assert!(events["items"].as_array().unwrap().iter().any(told), "{events}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_stack_of_another_namespace_is_used_by_those_it_allows() {
    let stage = small("guest");
    let host = Stage::new("host");
    let _operator = stage.operator(INSTANT).env("HF_WATCH_NAMESPACES", "guest,host").start();
    stage.apply("Render", "one", "{source: {path: site}, stackRef: {name: local, namespace: host}}");
    let render = stage.wait_for_reason("one", "StackNotFound");
    assert!(render.to_string().contains("in its spec.allowedNamespaces"), "{render}");
    host.apply("HyperframesStack", "local", "{local: {maxParallelChunks: 1}, allowedNamespaces: [guest]}");
    let render = stage.wait_for_reason("one", "Completed");
    assert_eq!(render["status"]["attempts"][0]["stackNamespace"], "host");
    assert!(stage.video("one").is_file(), "its video is its own namespace's");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_composition_may_be_in_a_config_map_or_a_secret() {
    let stage = small("data");
    let _operator = stage.operator(INSTANT).env("HF_SOURCES", "").start();
    stage.apply("Render", "one", "{source: {configMapRef: {name: site}}}");
    let render = stage.wait_for_reason("one", "SourceNotReady");
    assert!(render.to_string().contains("there is no ConfigMap data/site"), "{render}");
    let page = |text: &str| format!("--from-literal=index.html=<p>{text}</p>");
    stage.kubectl(&["create", "configmap", "site", &page("1")]);
    let poke = |value: &str| {
        let annotation = format!("reconcile.fluxcd.io/requestedAt={value}");
        stage.kubectl(&["annotate", "--overwrite", "render", "one", &annotation]);
        stage.wait_for("one", "an answer", |render| render["status"]["lastHandledReconcileAt"] == value);
    };
    poke("1");
    stage.wait_for_reason("one", "Completed");
    // Another content is another video, at once for who asks.
    stage.kubectl(&["delete", "configmap", "site"]);
    stage.kubectl(&["create", "configmap", "site", &page("2")]);
    poke("2");
    stage.wait_for("one", "a second attempt", |render| render["status"]["attempt"] == 2);
    stage.kubectl(&["create", "secret", "generic", "site", &page("3"), "--from-literal=a.css=p{}"]);
    let items = "[{key: index.html, path: index.html}, {key: a.css, path: css/a.css}]";
    stage.apply("Render", "two", &format!("{{source: {{secretRef: {{name: site, items: {items}}}}}}}"));
    stage.wait_for_reason("two", "Completed");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_stack_answers_who_asks_for_a_look() {
    let stage = small("asked");
    let _operator = stage.operator(INSTANT).start();
    stage.kubectl(&["annotate", "hyperframesstack", "local", "reconcile.fluxcd.io/requestedAt=now"]);
    eventually("an answer", || {
        (stage.get("hyperframesstack", "local")["status"]["lastHandledReconcileAt"] == "now").then_some(())
    });
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn the_api_server_refuses_what_makes_no_sense() {
    let cluster = Cluster::shared();
    for (spec, complaint) in [
        ("{source: {}}", "exactly one member says where the composition is"),
        ("{source: {path: a, archive: {url: 'https://a/b', sha256: a}}}", "exactly one member"),
        ("{source: {archive: {url: 'http://a/b', sha256: a}}}", "should match"),
        ("{source: {path: a}, queueDeadline: 0s}", "a deadline is longer than 0s"),
        ("{source: {path: a}, activeDeadline: 0h0m}", "a deadline is longer than 0s"),
        ("{source: {path: a}, ttl: 1d}", "should match"),
        ("{source: {path: a}, stackRef: {name: a, namespace: A}}", "should match"),
    ] {
        let yaml = format!("apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: x}}\nspec: {spec}\n");
        let output = cluster.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &yaml);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(complaint), "{spec}: {said}");
    }
    let good = "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: x}\nspec: {source: {path: a}, ttl: 0s, queueDeadline: 1h30m, runToken: x}\n";
    let output = cluster.try_kubectl(&["create", "--dry-run=server", "-f", "-"], good);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
