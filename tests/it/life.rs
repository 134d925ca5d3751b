use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    bins::{Outcome, bin, tool},
    fixture::{Folder, SECOND},
    https::Https,
    processes::output,
};

/// A folder with a composition.
fn site() -> Folder {
    let folder = Folder::new();
    folder.project("site", SECOND, "<p>Text</p>");
    folder
}

/// A Render with this spec.
fn render(folder: &Folder, name: &str, spec: &str) {
    annotated(folder, name, "{}", spec);
}

fn annotated(folder: &Folder, name: &str, annotations: &str, spec: &str) {
    let text = format!(
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: {name}, annotations: {annotations}}}\nspec: {spec}\n"
    );
    folder.write(&format!("{name}.yaml"), &text);
}

fn once(folder: &Folder, producer: &str, more: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(bin("hf-reconcile"));
    command.args(["-o", "json", "--once"]).arg(folder.path()).args(["--producer", producer]).args(more);
    let output = output(command.envs(environment.iter().copied()));
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn instant(folder: &Folder) -> Outcome {
    once(folder, bin("instant-producer").to_str().unwrap(), &[], &[])
}

/// A producer that can do everything, and never comes to an end with it.
fn hanging(folder: &Folder) -> String {
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *doctor*) exec {} \"$@\";; esac\nexec /bin/sleep 600\n",
        bin("instant-producer").display()
    );
    let path = folder.write("hanging", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn status(folder: &Folder, name: &str) -> Value {
    let text = fs::read_to_string(folder.join(&format!(".status/render/default.{name}.yaml"))).unwrap();
    serde_yaml::from_str::<Value>(&text).unwrap()["status"].clone()
}

/// The code of a failure.
fn code(status: &Value) -> &str {
    status["failure"]["code"].as_str().unwrap_or_default()
}

#[test]
fn a_render_that_takes_too_long_fails_at_its_deadline() {
    let folder = site();
    render(&folder, "one", "{source: {path: site}, activeDeadline: 2s}");
    let begin = Instant::now();
    let outcome = once(&folder, &hanging(&folder), &[], &[]);
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let failed = status(&folder, "one");
    assert_eq!((code(&failed), &failed["attempts"][0]["result"]), ("ACTIVE_DEADLINE_EXCEEDED", &"Failed".into()));
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1, "it is not tried again: {failed}");
    // It stays so, until the spec allows more.
    assert_eq!(instant(&folder).code, 3);
    render(&folder, "one", "{source: {path: site}, activeDeadline: 1h}");
    assert_eq!(instant(&folder).code, 0);
    assert_eq!(status(&folder, "one")["attempt"], 2);
}

#[test]
fn a_render_whose_turn_does_not_come_fails_at_its_deadline() {
    let folder = site();
    folder.write(
        "stack.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {name: local}\nspec: {local: {maxParallelChunks: 1}}\n",
    );
    render(&folder, "one", "{source: {path: site}, priority: 1, activeDeadline: 8s}");
    render(&folder, "two", "{source: {path: site}, queueDeadline: 1s}");
    let outcome = once(&folder, &hanging(&folder), &[], &[]);
    let (one, two) = (status(&folder, "one"), status(&folder, "two"));
    assert_eq!((code(&one), code(&two)), ("ACTIVE_DEADLINE_EXCEEDED", "QUEUE_DEADLINE_EXCEEDED"), "{outcome:#?}");
    assert_eq!(two["attempt"], Value::Null);
    // There is a turn now, and it is too late; a longer deadline lets it have one.
    instant(&folder);
    assert_eq!(code(&status(&folder, "two")), "QUEUE_DEADLINE_EXCEEDED");
    render(&folder, "two", "{source: {path: site}, queueDeadline: 10h}");
    instant(&folder);
    assert_eq!(status(&folder, "two")["attempt"], 1);
}

#[test]
fn another_run_token_makes_the_same_video_once_more() {
    let folder = site();
    for (token, attempt) in [("", 1), (", runToken: a", 2), (", runToken: a", 2), (", runToken: b", 3), ("", 3)] {
        render(&folder, "one", &format!("{{source: {{path: site}}{token}}}"));
        assert_eq!(instant(&folder).code, 0);
        assert_eq!(status(&folder, "one")["attempt"], attempt, "{token:?}");
    }
}

#[test]
fn nothing_of_a_users_files_is_ever_deleted() {
    let folder = site();
    render(&folder, "one", "{source: {path: site}, ttl: 0s}");
    for _ in 0..2 {
        let outcome = instant(&folder);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
    }
    assert!(folder.join("one.yaml").is_file() && folder.join("out/one.mp4").is_file());
    assert_eq!(status(&folder, "one")["attempt"], 1);
}

#[test]
fn a_look_that_is_asked_for_is_written_down() {
    let folder = site();
    for asked in ["2026-01-01T00:00:00Z", "again"] {
        annotated(&folder, "one", &format!("{{reconcile.fluxcd.io/requestedAt: '{asked}'}}"), "{source: {path: site}}");
        assert_eq!(instant(&folder).code, 0);
        assert_eq!(status(&folder, "one")["lastHandledReconcileAt"], asked);
    }
    assert_eq!(status(&folder, "one")["attempt"], 1);
}

/// An archive of a composition: its bytes' SHA-256.
fn archive(https: &Https, name: &str) -> String {
    let folder = Folder::new();
    folder.project("cards-1.0/site", SECOND, "<p>Text</p>");
    let to = https.folder.join(name);
    tool("tar", &["-czf", to.to_str().unwrap(), "-C", folder.path().to_str().unwrap(), "cards-1.0"]);
    tool("sha256sum", &[to.to_str().unwrap()])[..64].to_owned()
}

#[test]
fn a_composition_comes_as_an_archive_of_the_digest_that_was_named() {
    let (https, folder) = (Https::start(), Folder::new());
    let digest = archive(&https, "cards.tar.gz");
    let spec = |url: &str, digest: &str| {
        format!("{{source: {{archive: {{url: '{url}', sha256: '{digest}', path: cards-1.0/site}}}}}}")
    };
    let producer = bin("instant-producer");
    let run = |more: &[&str]| {
        let environment = [("SSL_CERT_FILE", https.authority.to_str().unwrap())];
        once(&folder, producer.to_str().unwrap(), more, &environment)
    };
    let here = ["--source-network", "127.0.0.0/8"];

    // Private addresses only where whoever runs it says so, whether they are named or led to.
    render(&folder, "one", &spec(&https.url("cards.tar.gz"), &digest));
    assert_eq!(run(&[]).code, 1);
    assert_eq!(code(&status(&folder, "one")), "SOURCE_REFUSED");
    render(&folder, "one", &spec(&https.url(&format!("to?{}", "https://169.254.169.254/latest")), &digest));
    assert_eq!(run(&here).code, 1);
    assert_eq!(code(&status(&folder, "one")), "SOURCE_REFUSED");
    render(&folder, "one", &spec(&https.url("to?http://127.0.0.1/"), &digest));
    assert_eq!(run(&here).code, 1);
    assert_eq!(code(&status(&folder, "one")), "SOURCE_REFUSED");

    render(&folder, "one", &spec(&https.url("cards.tar.gz"), &"0".repeat(64)));
    assert_eq!(run(&here).code, 1);
    let refused = status(&folder, "one");
    assert_eq!(code(&refused), "SOURCE_DIGEST_MISMATCH");
    assert!(refused["failure"]["message"].as_str().unwrap().contains(&digest), "{refused}");

    render(&folder, "one", &spec(&https.url("none.tar.gz"), &digest));
    assert_eq!(run(&here).code, 1);
    assert!(status(&folder, "one").to_string().contains("the server answers with 404"));

    render(&folder, "one", &spec(&https.url(&format!("to?{}", https.url("cards.tar.gz"))), &digest));
    let outcome = run(&here);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    // It is there now: nobody is asked.
    fs::remove_file(https.folder.join("cards.tar.gz")).unwrap();
    render(&folder, "two", &spec(&https.url("cards.tar.gz"), &digest));
    assert_eq!(run(&here).code, 0);
    assert_eq!(status(&folder, "one")["inputHash"], status(&folder, "two")["inputHash"]);
}

#[test]
fn objects_of_a_cluster_are_not_looked_for_in_files() {
    let folder = Folder::new();
    render(&folder, "one", "{source: {configMapRef: {name: site}}}");
    let outcome = instant(&folder);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(status(&folder, "one").to_string().contains("ConfigMaps are objects of a cluster"), "{outcome:#?}");
}

#[test]
fn a_source_is_one_thing() {
    for source in ["{}", "{path: site, configMapRef: {name: a}}", "{archive: {url: 'http://a.b/c', sha256: x}}"] {
        let folder = site();
        render(&folder, "one", &format!("{{source: {source}}}"));
        let outcome = instant(&folder);
        assert_eq!(outcome.code, 1, "{outcome:#?}");
        assert!(outcome.stderr.contains("one.yaml"), "{outcome:#?}");
    }
    for wrong in ["queueDeadline: 0s", "activeDeadline: 5", "ttl: 1d", "runToken: ''"] {
        let folder = site();
        render(&folder, "one", &format!("{{source: {{path: site}}, {wrong}}}"));
        assert_eq!(instant(&folder).code, 1, "{wrong}");
    }
}
