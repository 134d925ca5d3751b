//! What may lie in a folder, beside a producer that answers at once: what is tested is the reconciler.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use serde_json::Value;
use tests::{
    bins::{Outcome, bin, hf_reconcile},
    fixture::{Folder, SECOND},
    processes::{Watched, eventually, output},
};

/// `hf-reconcile` on a folder, with a producer that answers at once.
fn once(folder: &Folder, more: &[&str]) -> Outcome {
    let producer = bin("instant-producer");
    let fixed = ["--producer", producer.to_str().unwrap()];
    hf_reconcile(&[&fixed, more, &["--once", folder.path().to_str().unwrap()]].concat())
}

fn watch(folder: &Folder, options: &[&str]) -> Watched {
    let mut command = Command::new(bin("hf-reconcile"));
    command.arg("--producer").arg(bin("instant-producer")).args(["-o", "json"]).args(options);
    command.arg("--watch").arg(folder.path()).stderr(fs::File::create(folder.join(".log")).unwrap());
    Watched::start(command)
}

/// A folder with one Render that can be made.
fn good() -> Folder {
    let folder = Folder::new();
    folder.project("site", SECOND, "<p>Text</p>");
    folder.render("good.yaml", "good", "");
    folder
}

fn completed(watching: &mut Watched, name: &str) {
    let object = format!("Render default/{name}");
    watching.wait_for(&object, |line| line["object"] == object && line["state"] == "Completed");
}

fn statuses(folder: &Folder) -> Vec<(String, String)> {
    let list = hf_reconcile(&["get", "-C", folder.path().to_str().unwrap(), "-o", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let text = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
    let failure = |item| (text(item, "/metadata/name"), text(item, "/status/failure/code"));
    list["items"].as_array().unwrap().iter().map(failure).collect()
}

fn stack(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {{name: {name}}}\nspec:\n  local: {spec}\n"
    )
}

/// What is no regular file is a problem of its own: nobody waits for it, and the others are made.
#[test]
fn manifests_that_are_no_files() {
    type Make = fn(&Path);
    let makes: [(&str, Make); 4] = [
        ("pipe", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("endless", |path| symlink("/dev/zero", path).unwrap()),
        ("terminal", |path| symlink("/dev/tty", path).unwrap()),
        ("dangling", |path| symlink("nowhere", path).unwrap()),
    ];
    for (what, make) in makes {
        let folder = good();
        make(&folder.join("odd.yaml"));
        let outcome = once(&folder, &[]);
        assert_eq!(outcome.code, 1, "{what}: {outcome:#?}");
        assert!(outcome.stderr.contains("odd.yaml:1:1: "), "{what}: {outcome:#?}");
        assert!(folder.join("out/good.mp4").is_file(), "{what}: {outcome:#?}");
    }
}

/// Only a regular file that is no part of the input is replaced; everything else is an error before anything is done.
#[test]
fn outputs_that_are_not_replaced() {
    let folder = good();
    fs::create_dir(folder.join("folder.mp4")).unwrap();
    folder.write("folder.mp4/precious", "");
    mkfifo(&folder.join("pipe.mp4"), Mode::S_IRWXU).unwrap();
    symlink("/dev/null", folder.join("device.mp4")).unwrap();
    symlink("folder.mp4", folder.join("link.mp4")).unwrap();
    symlink("site", folder.join("linked")).unwrap();
    folder.write("file", "");
    folder.write("site/part.mp4", "part of the composition");
    let kept = ["folder.mp4", "pipe.mp4", "device.mp4", "link.mp4", "file/x.mp4", "/proc/x.mp4"];
    let inside = ["linked/part.mp4", "site/new.mp4"];
    let codes = kept.map(|output| (output, "OUTPUT_NOT_REPLACEABLE")).into_iter();
    let codes: Vec<_> = codes.chain(inside.map(|output| (output, "SPEC_INVALID"))).collect();
    for (number, (output, _)) in codes.iter().enumerate() {
        let name = format!("bad{number}");
        folder.render(&format!("{name}.yaml"), &name, &format!("  output: {{path: {output}}}\n"));
    }
    let outcome = once(&folder, &[]);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(!outcome.stderr.contains("bad0: attempt"), "nothing is begun: {outcome:#?}");
    assert!(folder.join("out/good.mp4").is_file());
    assert_eq!(folder.list("folder.mp4"), ["precious"]);
    assert_eq!(fs::read_to_string(folder.join("site/part.mp4")).unwrap(), "part of the composition");
    assert!(!folder.join("site/new.mp4").exists());
    let found = statuses(&folder);
    for (number, (output, expected)) in codes.iter().enumerate() {
        let code = &found.iter().find(|(name, _)| *name == format!("bad{number}")).unwrap().1;
        assert_eq!(code, expected, "{output}: {outcome:#?}");
    }
}

#[test]
fn a_link_to_a_video_is_followed() {
    let folder = good();
    folder.write("elsewhere/video.mp4", "old");
    symlink("elsewhere/video.mp4", folder.join("link.mp4")).unwrap();
    folder.render("good.yaml", "good", "  output: {path: link.mp4}\n");
    for _ in 0..2 {
        assert_eq!(once(&folder, &[]).code, 0);
        assert!(folder.join("link.mp4").symlink_metadata().unwrap().is_symlink());
        assert_ne!(fs::read_to_string(folder.join("elsewhere/video.mp4")).unwrap(), "old");
    }
    assert_eq!(statuses(&folder).len(), 1);
}

/// Whatever a work folder holds besides stays, however old.
#[test]
fn a_work_folder_that_holds_something_else() {
    let folder = good();
    folder.write("stack.yaml", &stack("here", "{workDir: .}"));
    folder.write("precious/file", "");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in ["precious", "site"] {
        fs::File::open(folder.join(path)).unwrap().set_modified(old).unwrap();
    }
    let outcome = once(&folder, &[]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert!(folder.join("precious/file").exists() && folder.join("site/index.html").exists());
}

/// State that cannot be read or written is told, and holds up nobody else.
#[test]
fn state_that_cannot_be_used() {
    let folder = good();
    assert_eq!(once(&folder, &[]).code, 0);
    let sidecar = folder.join(".status/render/default.good.yaml");
    fs::remove_file(&sidecar).unwrap();
    fs::create_dir(&sidecar).unwrap();
    folder.write(".status/.state/Render.default.damaged.json", "{");
    folder.render("other.yaml", "other", "");
    let begin = Instant::now();
    let outcome = once(&folder, &[]);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(outcome.stderr.contains("default.good.yaml") && outcome.stderr.contains("damaged"), "{outcome:#?}");
    assert!(folder.join("out/other.mp4").is_file());

    let folder = good();
    fs::create_dir_all(folder.join(".status/.state")).unwrap();
    mkfifo(&folder.join(".status/.state/lock"), Mode::S_IRWXU).unwrap();
    assert_eq!(once(&folder, &[]).code, 1, "a pipe is not waited for");
}

/// A folder that nobody may write to, such as a mounted ConfigMap.
#[test]
fn a_read_only_folder_with_its_state_elsewhere() {
    let (folder, state) = (good(), Folder::new());
    folder.render("good.yaml", "good", &format!("  output: {{path: {}/video.mp4}}\n", state.path().display()));
    let script = "mount --bind . . && mount -o remount,ro,bind . && exec \"$@\"";
    let run = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(bin("hf-reconcile")).args(arguments);
        // The folder is entered through the mount.
        let output = output(command.arg(folder.path()).current_dir(folder.path()));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let producer = bin("instant-producer");
    let fixed = ["--producer", producer.to_str().unwrap()];
    let (code, stderr) = run(&[&fixed, &["--once"] as &[_]].concat());
    assert!(code == Some(1) && stderr.contains("Read-only file system"), "{code:?}: {stderr}");
    let elsewhere = state.join("state");
    let (code, stderr) = run(&[&fixed, &["--state-dir", elsewhere.to_str().unwrap(), "--once"] as &[_]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(state.join("video.mp4").is_file());
    assert!(!folder.join(".status").exists());
}

/// Documents of others are none of our business.
#[test]
fn files_of_others() {
    let folder = good();
    folder.write("docker-compose.yml", "services:\n  web: {image: x}\n");
    folder.write("deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n");
    let outcome = once(&folder, &["-v"]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.contains("docker-compose.yml: 1 document of another API skipped"), "{outcome:#?}");
}

/// The same state serves whatever part of a folder is named.
#[test]
fn a_part_of_a_folder() {
    let folder = good();
    folder.project("deep/site", SECOND, "<p>Text</p>");
    folder.render("deep/part.yaml", "part", "");
    assert_eq!(once(&folder, &[]).code, 0);
    let part = folder.join("deep");
    let producer = bin("instant-producer");
    let outcome = hf_reconcile(&["--producer", producer.to_str().unwrap(), "--once", part.to_str().unwrap()]);
    assert!(outcome.code == 0 && outcome.stderr.contains("default/part: nothing to do"), "{outcome:#?}");
    assert!(!outcome.stdout.contains("good.mp4") && !part.join(".status").exists(), "{outcome:#?}");
    let table = hf_reconcile(&["get", "-C", part.to_str().unwrap()]);
    assert!(table.stdout.contains("part") && table.stdout.contains("Completed"), "{table:#?}");
    assert_eq!(hf_reconcile(&["--once", folder.join("nope").to_str().unwrap()]).code, 1);
    assert!(!folder.join("nope").exists());
}

/// No terminal gets a control character out of a file.
#[test]
fn escape_sequences_in_files() {
    let folder = good();
    folder.write(
        "odd.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: odd}\nspec:\n  source: {path: \"\\e[31mred\\a\"}\n",
    );
    let outcome = once(&folder, &[]);
    assert_eq!(outcome.code, 1);
    let looks = [&["get"] as &[_], &["describe", "odd"], &["events"]].map(|look| {
        let folder = ["-C", folder.path().to_str().unwrap()];
        hf_reconcile(&[look, &folder].concat()).stdout
    });
    for text in [outcome.stderr, outcome.stdout].into_iter().chain(looks) {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

/// A file that is written to all the time blinds nobody.
#[test]
fn a_log_in_a_watched_folder() {
    let folder = good();
    let mut watching = watch(&folder, &[]);
    completed(&mut watching, "good");
    let log = folder.join("busy.log");
    let mut writer = Command::new("sh");
    writer.args(["-c", "while :; do echo line >> \"$0\"; sleep 0.01; done"]).arg(&log);
    let _writer = Watched::start(writer);
    eventually("the log", || log.exists().then_some(()));
    for number in 0..3 {
        let begin = Instant::now();
        folder.render(&format!("more{number}.yaml"), &format!("more{number}"), "");
        completed(&mut watching, &format!("more{number}"));
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    }
}

/// A composition outside the folder is followed as one inside: every change of it, not every second.
#[test]
fn a_composition_outside_the_folder() {
    let (folder, outside) = (Folder::new(), Folder::new());
    outside.project("site", SECOND, "<p>0</p>");
    let site = outside.join("site");
    let text =
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: far}\nspec:\n  source: {path: SITE}\n";
    folder.write("far.yaml", &text.replace("SITE", site.to_str().unwrap()));
    let mut watching = watch(&folder, &[]);
    completed(&mut watching, "far");
    for number in 1..4 {
        let begin = Instant::now();
        outside.project("site", SECOND, &format!("<p>{number}</p>"));
        completed(&mut watching, "far");
        assert!(begin.elapsed() < Duration::from_secs(10), "change {number}: {:?}", begin.elapsed());
    }
}

/// With `--prune` a deleted stack goes, after those who use it; without, a deleted Render is left alone for good.
#[test]
fn what_is_deleted() {
    let folder = good();
    folder.write("stack.yaml", &stack("here", "{}"));
    assert_eq!(once(&folder, &[]).code, 0);
    fs::remove_file(folder.join("stack.yaml")).unwrap();
    let outcome = once(&folder, &["--prune"]);
    assert!(outcome.code == 0 && outcome.stderr.contains("stack default/here: removed"), "{outcome:#?}");
    assert!(!folder.join(".status/hyperframesstack/default.here.yaml").exists());
    assert_eq!(statuses(&folder).len(), 1);

    folder.render("other.yaml", "other", "");
    assert_eq!(once(&folder, &[]).code, 0);
    fs::rename(folder.join("good.yaml"), folder.join("good.txt")).unwrap();
    folder.project("site", SECOND, "<p>Another</p>");
    for _ in 0..2 {
        let outcome = once(&folder, &[]);
        assert!(outcome.code == 0 && !outcome.stdout.contains("good.mp4"), "{outcome:#?}");
    }
    let table = hf_reconcile(&["get", "-C", folder.path().to_str().unwrap()]).stdout;
    assert!(table.contains("Orphaned"), "{table}");
    let outcome = once(&folder, &["--prune"]);
    assert!(outcome.stderr.contains("default/good: removed"), "{outcome:#?}");
    assert!(folder.join("out/good.mp4").is_file(), "a video is the user's");
}

/// Interrupted with more Renders than slots: it ends.
#[test]
fn ctrl_c_with_many_that_wait() {
    let folder = good();
    folder.write("stack.yaml", &stack("here", "{maxParallelChunks: 1}"));
    for number in 0..300 {
        folder.render(&format!("many{number}.yaml"), &format!("many{number}"), "");
    }
    let mut watching = watch(&folder, &[]);
    watching.wait_for("a video", |line| line["state"] == "Completed");
    watching.signal(Signal::SIGINT);
    assert_eq!(watching.end(), Some(130));
    let log = fs::read_to_string(folder.join(".log")).unwrap();
    assert!(log.lines().last().unwrap().starts_with("interrupted"), "{log}");
    assert_eq!(once(&folder, &[]).code, 0);
}
