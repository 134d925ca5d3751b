use std::{fs, path::Path, process::Command, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    bins::{bin, producer},
    fixture::{Folder, copy, fixture, list},
    processes::{Watched, descendants, expect_gone, with_command},
};

/// Frames rendered when the blow falls, of 600: planned and nothing rendered, a third, two thirds.
const MOMENTS: [u64; 3] = [0, 200, 400];
const CHUNKS: usize = 5;
const CHILDREN_END: Duration = Duration::from_secs(2);

/// A folder with a Render of 600 frames in 5 chunks.
fn prepared() -> Folder {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("site"));
    folder.render("render.yaml", "motion", "  output: {quality: draft}\n  chunking: {chunkSize: 120}\n");
    fs::create_dir(folder.join("tmp")).unwrap();
    folder
}

fn reconcile(folder: &Folder) -> Watched {
    let mut command = Command::new(bin("hf-reconcile"));
    let log = fs::File::create(folder.join("log")).unwrap();
    command.args(["-o", "json", "--once"]).arg(folder.path());
    command.env("TMPDIR", folder.join("tmp")).env("RUST_LOG", "debug").stderr(log);
    Watched::start(command)
}

fn wait_for_frames(run: &mut Watched, frames: u64) {
    run.wait_for(&format!("{frames} frames"), |line| {
        let progress = &line["progress"];
        progress["stage"] == "Rendering" && progress["framesRendered"].as_u64() >= Some(frames)
    });
}

/// Chunk files that are finished.
fn finished_chunks(folder: &Folder) -> usize {
    let work = folder.join(".status/.work");
    let plans = list(&work).into_iter().filter(|name| name.len() == 64);
    plans.map(|plan| list(&work.join(plan).join("chunks")).iter().filter(|name| name.ends_with(".mp4")).count()).sum()
}

/// Chunks rendered to their end by the run whose log this is.
fn chunks_in_log(folder: &Folder) -> usize {
    fs::read_to_string(folder.join("log")).unwrap().lines().filter(|line| line.contains(" chunk index=")).count()
}

/// The video is there and right, and nothing else is: no process, no profile, no half of a file.
fn all_is_well(folder: &Folder, reference: &Path) {
    assert!(fs::read(folder.join("out/motion.mp4")).unwrap() == fs::read(reference).unwrap());
    assert_eq!(folder.list("out"), ["motion.mp4"]);
    assert_eq!(folder.list(".status/.work"), [".plans"]);
    assert_eq!(folder.list(".status/.work/.plans"), [""; 0]);
    for scratch in folder.list("tmp") {
        assert_eq!(folder.list(&format!("tmp/{scratch}")), [""; 0], "profiles are gone");
    }
}

/// The same video, never interrupted.
fn reference(folder: &Folder) -> std::path::PathBuf {
    let video = folder.join("reference.mp4");
    let (project, out) = (fixture("motion"), video.to_str().unwrap());
    producer(["render", project.to_str().unwrap(), "-o", out, "--quality", "draft", "--chunk-size", "120"]).ok();
    video
}

#[test]
#[ignore = "needs Chromium"]
fn hf_reconcile_is_killed() {
    let other = Folder::new();
    let reference = reference(&other);
    for frames in MOMENTS {
        let folder = prepared();
        let mut run = reconcile(&folder);
        wait_for_frames(&mut run, frames);
        let children = descendants(run.pid());
        assert!(!children.is_empty());
        run.signal(Signal::SIGKILL);
        assert_eq!(run.end(), None);
        expect_gone(&children, CHILDREN_END);

        let before = finished_chunks(&folder);
        assert_eq!(reconcile(&folder).end(), Some(0));
        assert_eq!(chunks_in_log(&folder), CHUNKS - before, "killed at {frames}: only unfinished chunks again");
        all_is_well(&folder, &reference);
    }
}

/// Kills one process below `hf-reconcile`, which tries again by itself.
fn a_child_is_killed(text: &str, failure: &str) {
    let other = Folder::new();
    let reference = reference(&other);
    for frames in MOMENTS {
        let folder = prepared();
        let mut run = reconcile(&folder);
        wait_for_frames(&mut run, frames);
        // At the very start the process may be about to be started.
        let victim = tests::processes::eventually("the victim", || with_command(&descendants(run.pid()), text));
        let children = descendants(victim);
        kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
        expect_gone(&children, CHILDREN_END);
        let last = run.wait_for("the second attempt's end", |line| line["state"] == "Completed");
        let retried = run.said.iter().find(|line| line["state"] == "Retrying").unwrap_or(&Value::Null);
        assert_eq!(retried["failure"]["code"], failure, "killed at {frames}: {last}");
        assert_eq!(run.end(), Some(0));
        assert_eq!(chunks_in_log(&folder), CHUNKS, "killed at {frames}: every chunk once");
        all_is_well(&folder, &reference);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_producer_is_killed() {
    a_child_is_killed("hf-producer\0--progress-timeout", "PRODUCER_CRASHED");
}

#[test]
#[ignore = "needs Chromium"]
fn the_browser_is_killed() {
    a_child_is_killed("--remote-debugging-pipe", "BROWSER_FAILED");
}
