//! What a real API server takes of our kinds and what it refuses, who owns which field, and what is told of it to GitOps tools.

use std::collections::BTreeSet;

use crds::{HyperframesStack, Render};
use serde_json::{Value, json};
use tests::{
    bins::{bin, tool},
    cluster::{Stage, reason},
    fixture::SECOND,
    judge,
    objects::{Objects, Ours},
    processes::eventually,
};

const INSTANT: &str = "instant-producer";

/// Messages of all rules in a definition.
fn rules(definition: &Value, found: &mut BTreeSet<String>) {
    match definition {
        Value::Object(members) => {
            for rule in members.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                found.insert(rule["message"].as_str().expect("a rule says what it wants").to_owned());
            }
            members.values().for_each(|member| rules(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| rules(item, found)),
        _ => {}
    }
}

/// Tries specs: all of the first are taken, all others are refused with this message.
#[track_caller]
fn check<K: Ours>(objects: &Objects, message: &str, taken: &[Value], refused: &[Value]) {
    for spec in taken {
        assert_eq!(objects.try_create::<K>(spec), Ok(()), "{spec}");
    }
    for spec in refused {
        let said = objects.try_create::<K>(spec).expect_err(&spec.to_string());
        assert!(said.contains(message), "{spec}: {said}");
    }
}

/// The same of changes of an object.
#[track_caller]
fn check_changes(objects: &Objects, message: &str, old: &Value, taken: &[Value], refused: &[Value]) {
    objects.create::<HyperframesStack>("old", old);
    for spec in taken {
        assert_eq!(objects.try_replace::<HyperframesStack>("old", spec), Ok(()), "{spec}");
    }
    for spec in refused {
        let said = objects.try_replace::<HyperframesStack>("old", spec).expect_err(&spec.to_string());
        assert!(said.contains(message), "{spec}: {said}");
    }
    objects.delete::<HyperframesStack>("old");
}

fn render(member: &str, value: Value) -> Value {
    let mut spec = json!({ "source": { "path": "site" } });
    spec[member] = value;
    spec
}

fn aws(member: &str, value: Value) -> Value {
    let mut spec = json!({ "aws": { "region": "us-east-1" } });
    spec["aws"][member] = value;
    spec
}

const SOURCE: &str = "exactly one member says where the composition is";
const RATE: &str = "a frame rate is a whole number (30) or a fraction (\"30000/1001\") from 1 to 240";
const PLACE: &str = "exactly one member says where to render: aws or local";
const HANDLER: &str = "exactly one member says what the function runs: zip or imageUri";
const IDENTITY: &str = "say who to be: secretRef, assumeRole, or both";
const DEADLINE: &str = "a deadline is longer than 0s";
const CODEC: &str = "only an mp4 has a choice of codecs";
const RATES: &str = "crf and bitrate cannot both be given";
const NO_RATE: &str = "mov, png-sequence and gif have neither a rate factor nor a bit rate";
const LOOP: &str = "gifLoop is for the format gif";
const ENDING: &str = "a path ends with its format's extension, and that of a folder with none";
const MOVES: &str = "a stack does not move between aws and local: make another stack";
const REGION: &str = "the region cannot be changed: make another stack";
const NAME: &str = "the stack's name cannot be changed: make another stack";

#[test]
#[ignore = "needs a Kubernetes API server"]
fn every_rule_takes_and_refuses() {
    let stage = Stage::new("rules");
    let objects = Objects::new(&stage);
    let site = json!({ "source": { "path": "site" } });
    let config_map = json!({ "source": { "configMapRef": { "name": "site" } } });
    let two = json!({ "source": { "path": "site", "configMapRef": { "name": "site" } } });
    check::<Render>(&objects, SOURCE, &[site, config_map], &[json!({ "source": {} }), two]);
    for deadline in ["queueDeadline", "activeDeadline"] {
        let deadline = |period: &str| render(deadline, json!(period));
        check::<Render>(&objects, DEADLINE, &["1s", "1h30m"].map(deadline), &["0s", "0h0m"].map(deadline));
    }
    let fps = |fps: Value| render("output", json!({ "fps": fps }));
    check::<Render>(
        &objects,
        RATE,
        &[json!(1), json!(240), json!("30"), json!("30000/1001"), json!("240/1")].map(fps),
        &[json!(0), json!(241), json!(-30), json!("29.97"), json!("030"), json!("30/0"), json!("1/2"), json!("")]
            .map(fps),
    );
    let (both, none) = (json!({ "aws": { "region": "us-east-1" }, "local": {} }), json!({}));
    check::<HyperframesStack>(&objects, PLACE, &[json!({ "local": {} }), aws("tags", json!({}))], &[both, none]);
    check_outputs(&objects);
    let handler = |handler: Value| aws("handler", handler);
    check::<HyperframesStack>(
        &objects,
        HANDLER,
        &[json!({ "zip": "a.zip" }), json!({ "imageUri": "registry/a" })].map(handler),
        &[json!({}), json!({ "zip": "a.zip", "imageUri": "registry/a" })].map(handler),
    );
    let identity = |identity: Value| aws("credentials", identity);
    let (role, keys) = (json!({ "roleArn": "arn:aws:iam::123456789012:role/video" }), json!({ "name": "keys" }));
    let both = json!({ "assumeRole": role, "secretRef": keys });
    check::<HyperframesStack>(
        &objects,
        IDENTITY,
        &[json!({ "assumeRole": role }), json!({ "secretRef": keys }), both].map(identity),
        &[identity(json!({}))],
    );

    let local = json!({ "local": {} });
    check_changes(
        &objects,
        MOVES,
        &local,
        &[json!({ "local": { "maxParallelChunks": 2 } })],
        &[aws("tags", json!({}))],
    );
    let elsewhere = aws("region", json!("eu-west-1"));
    check_changes(&objects, REGION, &aws("tags", json!({})), &[aws("maxActiveRenders", json!(2))], &[elsewhere]);
    let named = |name: &str| aws("stackName", json!(name));
    let same = json!({ "aws": { "region": "us-east-1", "stackName": "films", "tags": { "a": "b" } } });
    check_changes(&objects, NAME, &named("films"), &[same], &[named("other"), aws("tags", json!({}))]);
    check_changes(&objects, NAME, &aws("tags", json!({})), &[], &[named("films")]);

    // A rule that is not tried above is found here.
    let mut all = BTreeSet::new();
    for definition in tool(bin("hf-operator").to_str().unwrap(), &["crds"]).split("---\n") {
        rules(&serde_yaml::from_str(definition).unwrap(), &mut all);
    }
    let tried =
        [SOURCE, DEADLINE, RATE, CODEC, RATES, NO_RATE, LOOP, ENDING, PLACE, HANDLER, IDENTITY, MOVES, REGION, NAME];
    let untried: Vec<_> = all.iter().filter(|rule| !tried.iter().any(|tried| rule.contains(tried))).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

fn check_outputs(objects: &Objects) {
    let output = |output: Value| render("output", output);
    let rules = [
        (
            CODEC,
            vec![json!({ "codec": "h265" }), json!({ "format": "mp4", "codec": "h264" })],
            vec![json!({ "format": "webm", "codec": "h265" })],
        ),
        (RATES, vec![json!({ "crf": 20 }), json!({ "bitrate": "8M" })], vec![json!({ "crf": 20, "bitrate": "8M" })]),
        (
            NO_RATE,
            vec![json!({ "format": "webm", "crf": 20 }), json!({ "format": "hls", "bitrate": "8M" })],
            vec![json!({ "format": "mov", "crf": 20 }), json!({ "format": "gif", "bitrate": "8M" })],
        ),
        (LOOP, vec![json!({ "format": "gif", "gifLoop": 0 })], vec![json!({ "gifLoop": 1 })]),
        (
            ENDING,
            vec![
                json!({ "path": "out/a.mp4" }),
                json!({ "format": "webm", "path": "a.webm" }),
                json!({ "format": "png-sequence", "path": "a.b/frames" }),
            ],
            vec![
                json!({ "path": "a.mov" }),
                json!({ "path": ".mp4" }),
                json!({ "path": "out/.mp4" }),
                json!({ "format": "webm", "path": "a" }),
                json!({ "format": "hls", "path": "a.mp4" }),
            ],
        ),
    ];
    for (rule, taken, refused) in rules {
        let [taken, refused] = [taken, refused].map(|all| all.into_iter().map(output).collect::<Vec<_>>());
        check::<Render>(objects, rule, &taken, &refused);
    }
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn every_bound_takes_its_ends_and_refuses_what_is_beyond() {
    let stage = Stage::new("bounds");
    let objects = Objects::new(&stage);
    let limit = |limit: i32| render("retry", json!({ "limit": limit }));
    check::<Render>(&objects, "spec.retry.limit", &[0, 4].map(limit), &[-1, 5].map(limit));
    let priority = |priority: i32| render("priority", json!(priority));
    let end = 1_000_000;
    check::<Render>(&objects, "spec.priority", &[-end, end].map(priority), &[-end - 1, end + 1].map(priority));
    let size = |size: i32| render("chunking", json!({ "chunkSize": size }));
    check::<Render>(&objects, "spec.chunking.chunkSize", &[1, 3600].map(size), &[0, 3601].map(size));
    let path = |path: &str| render("output", json!({ "path": path }));
    check::<Render>(&objects, "spec.output.path", &["a.mp4", "../a.mp4"].map(path), &[path("")]);
    let crf = |crf: i32| render("output", json!({ "crf": crf }));
    check::<Render>(&objects, "spec.output.crf", &[0, 51].map(crf), &[-1, 52].map(crf));
    let bitrate = |bitrate: &str| render("output", json!({ "bitrate": bitrate }));
    check::<Render>(&objects, "spec.output.bitrate", &["8M", "1.5m", "800000"].map(bitrate), &["", "8 M"].map(bitrate));
    let state = |state: &str| render("desiredState", json!(state));
    check::<Render>(&objects, "spec.desiredState", &["Running", "Cancelled"].map(state), &[state("Stopped")]);
    let unknown = render("sourse", json!({}));
    check::<Render>(&objects, "unknown field \"spec.sourse\"", &[], &[unknown]);
    let chunks = |count: i32| json!({ "local": { "maxParallelChunks": count } });
    check::<HyperframesStack>(&objects, "maxParallelChunks", &[1, 256].map(chunks), &[0, 257].map(chunks));
    let region = |region: &str| json!({ "aws": { "region": region } });
    check::<HyperframesStack>(
        &objects,
        "spec.aws.region",
        &["us-east-1", "us-gov-west-1"].map(region),
        &["", "US-EAST-1", "us-east"].map(region),
    );
    let days = |days: i32| aws("logRetentionDays", json!(days));
    check::<HyperframesStack>(&objects, "spec.aws.logRetentionDays", &[1, 365].map(days), &[2, 0].map(days));
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn kubectl_says_why_something_is_refused() {
    let stage = Stage::new("refused");
    let manifest = "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\n\
                    metadata: {name: a, namespace: refused}\nspec: {local: {}, aws: {region: us-east-1}}\n";
    let output = stage.cluster.try_kubectl(&["apply", "-f", "-"], manifest);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(&format!("spec: Invalid value: {PLACE}")), "{said}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn two_who_write_one_field_are_told_of_each_other() {
    let stage = Stage::new("owners");
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let _operator = stage.operator(INSTANT).start();
    let apply = |manager: &str, priority: i32, more: &[&str]| {
        let manifest = format!(
            "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: one, namespace: owners}}\n\
             spec: {{source: {{path: site}}, priority: {priority}}}\n"
        );
        let manager = format!("--field-manager={manager}");
        let arguments = [&["apply", "--server-side", &manager, "-f", "-"], more].concat();
        let output = stage.cluster.try_kubectl(&arguments, &manifest);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    };
    apply("flux", 1, &[]).unwrap();
    let done = stage.wait_for_reason("one", "Completed");
    let said = apply("ann", 2, &[]).unwrap_err();
    assert!(said.contains("conflict with \"flux\"") && said.contains(".spec.priority"), "{said}");
    apply("ann", 2, &["--force-conflicts"]).unwrap();
    // The operator owns nothing of what users write, so that no one of them is ever told of it.
    apply("ann", 3, &[]).unwrap();
    let render = stage.wait_for("one", "the third priority to be seen", |render| {
        render["spec"]["priority"] == 3 && render["status"]["observedGeneration"] == render["metadata"]["generation"]
    });
    assert_eq!((&render["status"]["attempt"], reason(&render)), (&done["status"]["attempt"], "Completed"));
    let owned = stage.kubectl(&["get", "render", "one", "-o", "json", "--show-managed-fields"]);
    let owned: Value = serde_json::from_str(&owned).unwrap();
    let ours: Vec<_> = owned["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["manager"] == "hf-operator")
        .collect();
    assert!(ours.len() == 2 && ours.iter().all(|entry| entry["fieldsV1"].get("f:spec").is_none()), "{ours:#?}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_spec_and_a_status_are_written_apart() {
    let stage = Stage::new("apart");
    stage.apply("Render", "one", "{source: {path: site}, suspend: true}");
    let patch = |more: &[&str], patch: &str| {
        stage.kubectl(&[&["patch", "render", "one", "--type", "merge", "-p", patch], more].concat());
        stage.get("render", "one")
    };
    let before = stage.get("render", "one");
    assert_eq!(before["status"], json!({ "observedGeneration": -1 }), "a new one counts as not current");
    let both = "{\"spec\": {\"priority\": 7}, \"status\": {\"observedGeneration\": 7}}";
    let status = patch(&["--subresource", "status"], both);
    assert_eq!((&status["spec"], &status["status"]["observedGeneration"]), (&before["spec"], &json!(7)));
    assert_eq!(status["metadata"]["generation"], before["metadata"]["generation"], "nobody asks for anything else");
    let both = "{\"spec\": {\"priority\": 8}, \"status\": {\"observedGeneration\": 8}}";
    let spec = patch(&[], both);
    assert_eq!((&spec["spec"]["priority"], &spec["status"]), (&json!(8), &status["status"]));
    assert_eq!(spec["metadata"]["generation"], 2);
}

/// Every test's statuses are judged when it ends; here are those of all states that a machine without a fault leads to.
#[test]
#[ignore = "needs a Kubernetes API server"]
fn every_state_is_understood_by_gitops_tools() {
    let stage = Stage::new("states");
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let operator = stage.operator(INSTANT).start();
    for (name, spec, state) in [
        ("completed", "{source: {path: site}}", "Completed"),
        ("suspended", "{source: {path: site}, suspend: true}", "Suspended"),
        ("cancelled", "{source: {path: site}, desiredState: Cancelled}", "Cancelled"),
        ("nowhere", "{source: {path: site}, stackRef: {name: none}}", "StackNotFound"),
        ("outside", "{source: {path: ../site}}", "SPEC_INVALID"),
    ] {
        stage.apply("Render", name, spec);
        stage.wait_for_reason(name, state);
    }
    // Something that was finished is asked for otherwise, and again.
    stage.apply("Render", "completed", "{source: {path: site}, variables: {a: 1}}");
    stage.wait_for("completed", "a second attempt", |one| one["status"]["attempt"] == 2 && reason(one) == "Completed");
    stage.kubectl(&["delete", "render,hyperframesstack", "--all", "--timeout=60s"]);
    // The judge hears a little later. States that differ by their reasons alone count once.
    eventually("many statuses", || (judge::verdict("states").1 >= 7).then_some(()));
    drop(operator);
}
