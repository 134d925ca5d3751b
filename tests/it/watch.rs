use std::{fs, process::Command, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    bins::{bin, hf_reconcile},
    fixture::{DRAFT, Folder, SECOND, copy, draft_in_chunks, fixture},
    processes::{Watched, descendants, eventually, expect_gone},
};

/// Longer than a change takes to be noticed, and shorter than the periodic look at everything.
const A_WHILE: Duration = Duration::from_secs(3);

fn watch(folder: &Folder, options: &[&str]) -> Watched {
    let mut command = Command::new(bin("hf-reconcile"));
    let log = fs::File::create(folder.join(".log")).unwrap();
    command.args(["-o", "json"]).args(options).arg("--watch").arg(folder.path().join("renders")).stderr(log);
    Watched::start(command)
}

/// A folder `renders` with a site and no Render.
fn site() -> Folder {
    let folder = Folder::new();
    folder.project("renders/site", SECOND, "<p>Text</p>");
    folder
}

fn render(folder: &Folder, file: &str, name: &str, spec: &str) {
    folder.render(&format!("renders/{file}"), name, spec);
}

fn completed(watching: &mut Watched, name: &str) -> Value {
    let object = format!("Render default/{name}");
    watching.wait_for(&format!("{name} completed"), |line| line["object"] == object && line["state"] == "Completed")
}

/// A folder with one Render, watched with `--prune` until its video is there.
fn watching_one() -> (Folder, Watched) {
    let folder = site();
    render(&folder, "a.yaml", "one", DRAFT);
    let mut watching = watch(&folder, &["--prune"]);
    completed(&mut watching, "one");
    (folder, watching)
}

fn get(folder: &Folder) -> Vec<Value> {
    let outcome = hf_reconcile(&["get", "-C", folder.join("renders").to_str().unwrap(), "-o", "json"]);
    let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn attempt(folder: &Folder) -> i64 {
    get(folder)[0]["status"]["attempt"].as_i64().unwrap()
}

/// Waits until standard error says something.
fn told(folder: &Folder, words: &str) {
    let said = || fs::read_to_string(folder.join(".log")).unwrap().contains(words).then_some(());
    eventually(words, said);
}

#[test]
#[ignore = "needs Chromium"]
fn files_come_and_change() {
    let folder = site();
    let mut watching = watch(&folder, &[]);
    render(&folder, "a.yaml", "one", DRAFT);
    completed(&mut watching, "one");
    // In a folder that did not exist.
    folder.write(
        "renders/deep/er/b.yaml",
        &fs::read_to_string(folder.join("renders/a.yaml")).unwrap().replace("one", "two").replace("site", "../../site"),
    );
    completed(&mut watching, "two");
    assert!(folder.join("renders/deep/er/out/two.mp4").is_file());

    // Edited by writing into it, and by renaming another over it, as editors and tools do.
    render(&folder, "a.yaml", "one", "  output: {quality: high}\n");
    completed(&mut watching, "one");
    assert_eq!(attempt(&folder), 2);
    render(&folder, "a.yaml.tmp", "one", "  output: {quality: standard}\n");
    fs::rename(folder.join("renders/a.yaml.tmp"), folder.join("renders/a.yaml")).unwrap();
    completed(&mut watching, "one");
    assert_eq!(attempt(&folder), 3);

    // A file that moves is the same object; one that says the same asks for nothing.
    fs::rename(folder.join("renders/a.yaml"), folder.join("renders/c.yaml")).unwrap();
    let text = fs::read_to_string(folder.join("renders/c.yaml")).unwrap();
    folder.write("renders/c.yaml", &format!("# The same.\n{text}"));
    watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
    assert_eq!(attempt(&folder), 3);
}

/// A new attempt starts when the composition changes, and the one that runs is ended.
#[test]
#[ignore = "needs Chromium"]
fn a_composition_changes_while_it_is_rendered() {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("renders/site"));
    render(&folder, "a.yaml", "one", DRAFT);
    let mut watching = watch(&folder, &[]);
    watching.wait_for("frames", |line| line["progress"]["framesRendered"].as_u64() > Some(30));
    let first = descendants(watching.pid());
    folder.project("renders/site", SECOND, "<p>Text</p>");
    let line = completed(&mut watching, "one");
    assert_eq!(line["output"]["frames"], 30);
    expect_gone(&first, Duration::ZERO);
    let attempts = get(&folder)[0]["status"]["attempts"].clone();
    assert_eq!((&attempts[0]["result"], &attempts[1]["result"]), (&"Cancelled".into(), &"Succeeded".into()));
}

#[test]
#[ignore = "needs Chromium"]
fn a_file_is_deleted() {
    for prune in [false, true] {
        let folder = site();
        render(&folder, "a.yaml", "one", DRAFT);
        // Another one stays, or the folder would count as vanished.
        render(&folder, "b.yaml", "two", DRAFT);
        let mut watching = watch(&folder, if prune { &["--prune"] } else { &[] });
        // In any order.
        let mut left = ["one", "two"].map(|name| format!("Render default/{name}")).to_vec();
        watching.wait_for("both", |line| {
            left.retain(|object| line["object"] != **object || line["state"] != "Completed");
            left.is_empty()
        });
        fs::remove_file(folder.join("renders/a.yaml")).unwrap();
        let sidecar = folder.join("renders/.status/render/default.one.yaml");
        if prune {
            eventually("the status to go", || (!sidecar.exists()).then_some(()));
            assert_eq!(get(&folder).len(), 1);
        } else {
            watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
            assert!(sidecar.exists());
        }
        let table = hf_reconcile(&["get", "-C", folder.join("renders").to_str().unwrap()]).stdout;
        assert_eq!(table.contains("Orphaned"), !prune, "{table}");
        assert!(folder.join("renders/out/one.mp4").exists(), "a video is the user's");
    }
}

/// A file that breaks keeps its last good objects, and is heeded again when it is mended.
#[test]
#[ignore = "needs Chromium"]
fn a_file_breaks() {
    let (folder, mut watching) = watching_one();
    render(&folder, "a.yaml", "one", "  output: {quality: best}\n");
    told(&folder, "a.yaml:7:21: spec.output.quality: \"best\" is not one of");
    watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
    assert!(folder.join("renders/.status/render/default.one.yaml").exists(), "not pruned");
    // What it last asked for still holds.
    folder.project("renders/site", SECOND, "<p>Other text</p>");
    completed(&mut watching, "one");
    render(&folder, "a.yaml", "one", "  output: {quality: high}\n");
    completed(&mut watching, "one");
    assert_eq!(attempt(&folder), 3);
}

#[test]
#[ignore = "needs Chromium"]
fn two_files_define_the_same() {
    let (folder, mut watching) = watching_one();
    render(&folder, "b.yaml", "one", "  output: {quality: high}\n");
    told(&folder, "b.yaml:1:1: Render default/one is also defined in a.yaml: rename one");
    told(&folder, "a.yaml:1:1: Render default/one is also defined in b.yaml: rename one");
    watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
    assert_eq!(attempt(&folder), 1, "neither is acted on");
    // With the other gone, the newer one counts.
    fs::remove_file(folder.join("renders/a.yaml")).unwrap();
    completed(&mut watching, "one");
    assert_eq!(attempt(&folder), 2);
}

/// An unmounted folder deletes nothing, and is watched again when it is back.
#[test]
#[ignore = "needs Chromium"]
fn the_folder_vanishes() {
    let (folder, mut watching) = watching_one();
    fs::rename(folder.join("renders"), folder.join("elsewhere")).unwrap();
    told(&folder, "the folder is gone or empty: nothing is removed");
    watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
    assert!(!folder.join("renders").exists(), "it is not made anew");
    fs::create_dir(folder.join("renders")).unwrap();
    copy(&folder.join("elsewhere"), &folder.join("copied"));
    // In one step, as a mount: half a folder is another matter.
    fs::rename(folder.join("copied"), folder.join("renders")).unwrap();
    told(&folder, "the folder is back");
    watching.expect_silence(A_WHILE, |line| line["state"] != "Completed");
    assert_eq!(attempt(&folder), 1);
    render(&folder, "a.yaml", "one", "  output: {quality: high}\n");
    completed(&mut watching, "one");
    assert_eq!(attempt(&folder), 2);
}

/// Once: running chunks are finished. Twice: every child is ended. What is done stays, and the next run goes on.
#[test]
#[ignore = "needs Chromium"]
fn ctrl_c() {
    for signals in 1..=2 {
        let folder = Folder::new();
        copy(&fixture("motion"), &folder.join("renders/site"));
        render(&folder, "a.yaml", "one", &draft_in_chunks(120));
        let mut watching = watch(&folder, &[]);
        watching.wait_for("a chunk", |line| line["progress"]["chunksDone"].as_u64() >= Some(1));
        let children = descendants(watching.pid());
        watching.signal(Signal::SIGINT);
        told(&folder, "interrupt again to stop at once");
        if signals == 2 {
            watching.signal(Signal::SIGINT);
        }
        assert_eq!(watching.end(), Some(130), "it is not converged");
        expect_gone(&children, Duration::ZERO);
        let object = &get(&folder)[0];
        assert_eq!(object["status"]["attempt"], 1);
        let renders = folder.join("renders");
        let outcome = hf_reconcile(&["--once", renders.to_str().unwrap()]);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        assert_eq!(attempt(&folder), 1, "the same attempt went on");
    }
}
