//! What the chart's README tells its readers to type does what it says.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tests::{
    bins::tool,
    cluster::Stage,
    fixture::{SECOND, root},
    processes::output,
};

const INSTANT: &str = "instant-producer";

/// The commands under "Waiting", each with the line of comment before it.
fn recipes() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("charts/README.md")).unwrap();
    let (_, section) = text.split_once("\n## Waiting\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let mut comment = String::new();
    let mut found = Vec::new();
    for block in section.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("# ") {
                Some(text) => comment = text.to_owned(),
                None => found.push((std::mem::take(&mut comment), line.to_owned())),
            }
        }
    }
    found
}

/// Types a command in a stage's namespace.
fn type_in(stage: &Stage, command: &str) -> Output {
    let programs = tool(root().join("tests/cluster/build").to_str().unwrap(), &[]);
    let programs = Path::new(programs.lines().last().unwrap());
    let config = fs::read_to_string(stage.cluster.kubeconfig()).unwrap();
    let config = config.replace("user: admin}", &format!("user: admin, namespace: {}}}", stage.namespace));
    let config = stage.folder.write("kubeconfig", &config);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    output(shell.args(["-c", command]).env("PATH", path).env("KUBECONFIG", config))
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn every_wait_ends_as_the_readme_says() {
    let stage = Stage::new("waits");
    stage.folder.project("sources/cards", SECOND, "<p>Text</p>");
    stage.kubectl(&["delete", "hyperframesstack", "local"]);
    stage.apply("HyperframesStack", "video", "{local: {}}");
    let _operator = stage.operator(INSTANT).start();
    stage.apply("Render", "cards", "{source: {path: cards}}");
    let (mut recipes, last) = (recipes(), "kubectl delete render/cards");
    recipes.sort_by_key(|(_, command)| command.starts_with(last));
    assert!(recipes.len() >= 8 && recipes.iter().all(|(_, command)| command.starts_with("kubectl ")), "{recipes:#?}");
    for (comment, command) in &recipes {
        let output = type_in(&stage, command);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        if comment == "Where the video is." {
            let uri = format!("file://{}", stage.video("cards").canonicalize().unwrap().display());
            assert_eq!(String::from_utf8(output.stdout).unwrap(), uri);
        }
    }
    assert_eq!(stage.get("render", "cards"), Value::Null);

    // The same of one that fails.
    stage.apply("Render", "cards", "{source: {path: ../cards}}");
    for (_, command) in recipes.iter().filter(|(_, command)| command.contains("render/cards --for=condition")) {
        let output = type_in(&stage, command);
        assert_eq!(output.status.success(), !command.contains("Succeeded"), "{command}: {output:?}");
    }
}

/// What Flux's samples name is there.
#[test]
fn flux_samples_hold_together() {
    let objects = ["operator", "videos"].map(|name| {
        let text = fs::read_to_string(root().join(format!("charts/flux/{name}.yaml"))).unwrap();
        let documents = serde_yaml::Deserializer::from_str(&text);
        documents.map(|document| serde::Deserialize::deserialize(document).unwrap()).collect::<Vec<Value>>()
    });
    let objects = objects.concat();
    let named = |kind: &str, name: &Value| {
        objects.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == *name)
    };
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "flux-system");
        let spec = &object["spec"];
        for source in [&spec["sourceRef"], &spec["chart"]["spec"]["sourceRef"]].into_iter().filter(|one| !one.is_null())
        {
            assert!(named(source["kind"].as_str().unwrap(), &source["name"]), "{source}");
        }
        for other in spec["dependsOn"].as_array().into_iter().flatten() {
            assert!(named("Kustomization", &other["name"]), "{other}");
        }
        if let Some(chart) = spec["chart"]["spec"]["chart"].as_str() {
            assert!(root().join(chart).join("Chart.yaml").is_file(), "{chart}");
        }
        for check in spec["healthChecks"].as_array().into_iter().flatten() {
            assert_eq!((&check["apiVersion"], &check["kind"]), (&"hyperframes.io/v1alpha1".into(), &"Render".into()));
        }
        let waits = spec["wait"] == true || !spec["healthChecks"].is_null();
        assert!(object["kind"] != "Kustomization" || waits && spec["timeout"].is_string(), "{object}");
    }
    assert_eq!(objects.len(), 6);
}
