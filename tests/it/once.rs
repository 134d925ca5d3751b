use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    bins::{Outcome, bin, hf_reconcile},
    fixture::{DRAFT, Folder, SECOND, copy, draft_in_chunks, fixture},
    processes::{Watched, descendants, eventually, expect_gone, with_command},
    video::frame_count,
};

fn once(folder: &Folder) -> Outcome {
    hf_reconcile(&["--once", folder.path().to_str().unwrap()])
}

/// A command about one Render of the folder.
fn about(folder: &Folder, verb: &str, name: &str) -> Outcome {
    hf_reconcile(&[verb, "-C", folder.path().to_str().unwrap(), name])
}

fn get(folder: &Folder, name: &str) -> Value {
    let outcome = hf_reconcile(&["get", "-C", folder.path().to_str().unwrap(), name, "-o", "json"]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Status and reason of a condition.
fn condition(object: &Value, kind: &str) -> (String, String) {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    let text = |field: &str| found.map_or("-", |condition| condition[field].as_str().unwrap()).to_owned();
    (text("status"), text("reason"))
}

fn simple() -> Folder {
    let folder = Folder::new();
    folder.project("site", SECOND, "<p>Text</p>");
    folder.render("render.yaml", "one", DRAFT);
    folder
}

#[test]
#[ignore = "needs Chromium"]
fn a_second_run_has_nothing_to_do() {
    let folder = simple();
    let first = once(&folder);
    let video = folder.path().canonicalize().unwrap().join("out/one.mp4");
    assert_eq!((first.code, first.stdout.lines().last()), (0, video.to_str()), "{first:#?}");
    assert_eq!(frame_count(&video), 30);
    let written = fs::metadata(&video).unwrap().modified().unwrap();
    let status = fs::read_to_string(folder.join(".status/render/default.one.yaml")).unwrap();
    let second = once(&folder);
    assert_eq!((second.code, second.stdout.lines().last()), (0, video.to_str()));
    assert!(second.stderr.contains("default/one: nothing to do"), "{second:#?}");
    assert_eq!(fs::metadata(&video).unwrap().modified().unwrap(), written);
    assert_eq!(fs::read_to_string(folder.join(".status/render/default.one.yaml")).unwrap(), status);
}

#[test]
#[ignore = "needs Chromium"]
fn a_video_that_is_gone_or_changed_is_made_again() {
    let folder = simple();
    assert_eq!(once(&folder).code, 0);
    let video = folder.join("out/one.mp4");
    let bytes = fs::read(&video).unwrap();
    for damage in [|video: &std::path::Path| fs::remove_file(video), |video: &std::path::Path| fs::write(video, "x")] {
        damage(&video).unwrap();
        assert_eq!(once(&folder).code, 0);
        assert!(fs::read(&video).unwrap() == bytes);
    }
    assert_eq!(get(&folder, "one")["status"]["attempt"], 3);
}

/// All problems of all files at once, each with its place; what is right is rendered all the same.
#[test]
#[ignore = "needs Chromium"]
fn a_broken_file_does_not_hold_up_the_others() {
    let folder = simple();
    folder.write(
        "broken.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: two}\nspec:\n  source: {path: no}\n  fps: 30\n  retry: {limit: 9}\n",
    );
    let outcome = once(&folder);
    assert_eq!(outcome.code, 1);
    for problem in [
        "broken.yaml:5:18: spec.source.path: no without quotes is a boolean in YAML 1.1",
        "broken.yaml:6:3: spec.fps: unknown field",
        "broken.yaml:7:18: spec.retry.limit: 9 is greater than the maximum of 4",
    ] {
        assert!(outcome.stderr.contains(problem), "{problem:?} is not in {}", outcome.stderr);
    }
    assert!(folder.join("out/one.mp4").is_file());
}

#[test]
#[ignore = "needs Chromium"]
fn a_composition_that_cannot_be_rendered_fails_once_and_for_all() {
    let folder = simple();
    folder.project("site", "data-no-timeline", "<p>Text</p>");
    for _ in 0..2 {
        let outcome = once(&folder);
        assert_eq!(outcome.code, 3, "{outcome:#?}");
        let object = get(&folder, "one");
        assert_eq!(object["status"]["failure"]["code"], "DURATION_UNKNOWN");
        assert_eq!(object["status"]["attempt"], 1, "the same input fails again: it is not tried");
        assert_eq!(condition(&object, "Stalled"), ("True".into(), "DURATION_UNKNOWN".into()));
        assert_eq!(condition(&object, "Finished").0, "True");
    }
    assert_eq!(about(&folder, "retry", "one").code, 0);
    assert_eq!(once(&folder).code, 3);
    assert_eq!(get(&folder, "one")["status"]["attempt"], 2, "unless asked for");
    // Mended: tried by itself, for the inputs are others.
    folder.project("site", SECOND, "<p>Text</p>");
    assert_eq!(once(&folder).code, 0);
    let object = get(&folder, "one");
    assert_eq!(condition(&object, "Ready"), ("True".into(), "Completed".into()));
    assert_eq!(object["status"].get("failure"), None);
}

/// What runs is ended, and stays ended until a retry is asked for; a request that comes too late does nothing.
#[test]
#[ignore = "needs Chromium"]
fn cancel_and_retry() {
    let folder = simple();
    let outcome = about(&folder, "cancel", "one");
    assert_eq!(outcome.code, 1, "nobody is there to take it: {outcome:#?}");
    assert!(outcome.stderr.contains("spec.suspend"), "{outcome:#?}");
    copy(&fixture("motion"), &folder.join("site"));
    let mut command = Command::new(bin("hf-reconcile"));
    command.args(["-o", "json", "--once"]).arg(folder.path());
    let mut run = Watched::start(command);
    run.wait_for("frames", |line| line["progress"]["framesRendered"].as_u64() > Some(30));
    let children = descendants(run.pid());
    let outcome = about(&folder, "cancel", "one");
    assert_eq!((outcome.code, &*outcome.stdout), (0, "default/one: cancelled\n"), "{outcome:#?}");
    assert_eq!(run.end(), Some(0), "a cancelled Render is as asked for");
    expect_gone(&children, Duration::ZERO);
    assert_eq!(condition(&get(&folder, "one"), "Succeeded"), ("False".into(), "Cancelled".into()));
    assert!(!folder.join("out").exists());
    let outcome = about(&folder, "cancel", "one");
    assert!(outcome.stdout.contains("has ended already"), "{outcome:#?}");
    assert_eq!(once(&folder).code, 0);
    assert!(!folder.join("out").exists(), "it stays cancelled");
    folder.project("site", SECOND, "<p>Text</p>");
    assert_eq!(once(&folder).code, 0);
    assert!(folder.join("out/one.mp4").is_file(), "until its inputs change");
    assert_eq!(about(&folder, "retry", "one").code, 0);
    assert_eq!(once(&folder).code, 0);
    assert_eq!(get(&folder, "one")["status"]["attempt"], 3, "or a retry is asked for");
    assert_eq!(about(&folder, "cancel", "two").code, 1, "there is no such Render");
}

#[test]
#[ignore = "needs Chromium"]
fn looking_at_a_folder() {
    let folder = simple();
    folder.write(
        "stack.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {name: here}\nspec:\n  local: {maxParallelChunks: 1}\n",
    );
    assert_eq!(once(&folder).code, 0);
    let run = |arguments: &[&str]| {
        let outcome =
            hf_reconcile(&[&arguments[..1], &["-C", folder.path().to_str().unwrap()], &arguments[1..]].concat());
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome.stdout
    };
    let table = run(&["get"]);
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAMESPACE", "NAME", "READY", "STATE", "PROGRESS", "AGE"]);
    assert_eq!(lines[1][..5], ["default", "one", "True", "Completed", "-"]);
    assert_eq!(lines[4][..3], ["default", "here", "True"]);
    assert!(run(&["get", "-o", "wide"]).contains("out/one.mp4"));
    let list: Value = serde_json::from_str(&run(&["get", "-o", "json"])).unwrap();
    assert_eq!((&list["kind"], &list["items"][1]["status"]["parallelChunks"]), (&"List".into(), &1.into()));
    let object: Value = serde_yaml::from_str(&run(&["get", "one", "-o", "yaml"])).unwrap();
    assert_eq!(object["status"]["output"]["frames"], 30);
    let described = run(&["describe", "one"]);
    for word in ["Name:         one", "Conditions:", "Attempts:", "Succeeded", "\n              30 frames, 320x180"] {
        assert!(described.contains(word), "{word:?} is not in {described}");
    }
    let events: Vec<Value> = serde_json::from_str(&run(&["events", "one", "-o", "json"])).unwrap();
    let reasons: Vec<_> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.last(), Some(&"Completed"), "{reasons:?}");
    assert!(run(&["events"]).contains("Completed"));
}

#[test]
#[ignore = "needs Chromium"]
fn one_process_works_on_a_folder_and_any_number_look() {
    let folder = simple();
    let mut command = Command::new(bin("hf-reconcile"));
    command.args(["-o", "json", "--watch"]).arg(folder.path());
    let mut watching = Watched::start(command);
    watching.wait_for("the video", |line| line["state"] == "Completed");
    let second = once(&folder);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another hf-reconcile works on"), "{}", second.stderr);
    assert_eq!(condition(&get(&folder, "one"), "Ready").0, "True");
    watching.signal(Signal::SIGTERM);
    assert_eq!(watching.end(), Some(0));
    assert_eq!(once(&folder).code, 0);
}

#[test]
fn wrong_usage_and_missing_things() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    for arguments in [
        &[] as &[_],
        &["--once"],
        &["--once", path, "--watch", path],
        &["--once", path, "-o", "yaml"],
        &["dance"],
        &["get", "-o", "xml"],
    ] {
        let outcome = hf_reconcile(arguments);
        assert_eq!(outcome.code, 64, "{arguments:?}: {outcome:#?}");
        assert!(outcome.stderr.contains("--help"), "{outcome:#?}");
    }
    for arguments in [&["--once", "/nonexistent"] as &[_], &["get", "-C", "/nonexistent"], &["get", "-C", path, "one"]]
    {
        let outcome = hf_reconcile(arguments);
        assert_eq!(outcome.code, 1, "{arguments:?}: {outcome:#?}");
        assert!(outcome.stderr.starts_with("error: "), "{outcome:#?}");
    }
    let outcome = hf_reconcile(&["--once", path]);
    assert_eq!(outcome.code, 0, "an empty folder asks for nothing");
    assert!(outcome.stderr.contains("there is no Render here"), "{outcome:#?}");
}

#[test]
#[ignore = "needs Chromium"]
fn a_producer_that_cannot_be_had() {
    let folder = simple();
    let path = folder.path().to_str().unwrap();
    let outcome = hf_reconcile(&["--producer", "/nonexistent", "--once", path]);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    let (status, reason) = condition(&get(&folder, "one"), "Reconciling");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "StackNotReady"));
    assert!(outcome.stderr.contains("--producer"), "{outcome:#?}");
}

/// The deadline looks at progress: a producer that stands still is ended and its chunk rendered anew.
#[test]
#[ignore = "needs Chromium"]
fn a_producer_that_stands_still() {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("site"));
    folder.render("render.yaml", "one", DRAFT);
    let mut command = Command::new(bin("hf-reconcile"));
    command.args(["-o", "json", "--progress-timeout", "1s", "--once"]).arg(folder.path());
    let mut run = Watched::start(command);
    run.wait_for("frames", |line| line["progress"]["framesRendered"].as_u64() > Some(30));
    let producer = eventually("a producer", || with_command(&descendants(run.pid()), "hf-producer\0--parent"));
    kill(Pid::from_raw(producer), Signal::SIGSTOP).unwrap();
    let stopped = SystemTime::now();
    let retrying = run.wait_for("a retry", |line| line["state"] == "Retrying");
    assert_eq!(retrying["failure"]["code"], "NO_PROGRESS", "{retrying}");
    assert!(stopped.elapsed().unwrap() < Duration::from_secs(30));
    run.wait_for("the video", |line| line["state"] == "Completed");
    assert_eq!(run.end(), Some(0));
}

/// Chunks of one Render, and Renders of one folder, share the stack's places.
#[test]
#[ignore = "needs Chromium"]
fn a_stack_bounds_what_runs_at_the_same_time() {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("site"));
    folder.write(
        "stack.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {name: here}\nspec:\n  local: {maxParallelChunks: 1}\n",
    );
    folder.render("render.yaml", "one", &draft_in_chunks(120));
    let mut command = Command::new(bin("hf-reconcile"));
    command.args(["-o", "json", "--once"]).arg(folder.path());
    let mut run = Watched::start(command);
    let pid = run.pid();
    let mut most = 0;
    run.wait_for("the video", |line| {
        let commands = descendants(pid);
        let chunks = commands.iter().filter(|pid| with_command(&[**pid], "\0chunk\0").is_some()).count();
        most = most.max(chunks);
        line["state"] == "Completed"
    });
    assert_eq!((most, run.end()), (1, Some(0)));
}
