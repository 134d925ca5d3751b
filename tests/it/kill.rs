use std::{fs, path::Path, process::Command, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    bins::{bin, render},
    fixture::{Folder, copy, draft_in_chunks, fixture, list},
    processes::{Watched, descendants, eventually, expect_gone, with_command},
};

/// Frames rendered when the blow falls, of 600: planned and nothing rendered, a third, two thirds. With two chunks at
/// the same time, a third and two thirds fall into the middle of chunks of 150 frames.
const MOMENTS: [u64; 3] = [0, 200, 400];
const CHUNK_SIZE: u32 = 150;
const CHUNKS: usize = 4;
const CHILDREN_END: Duration = Duration::from_secs(5);

/// A folder with a Render of 600 frames.
fn prepared() -> Folder {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("site"));
    folder.render("render.yaml", "motion", &draft_in_chunks(CHUNK_SIZE));
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

/// A run that has rendered so many frames.
fn running(frames: u64) -> (Folder, Watched) {
    let folder = prepared();
    let mut run = reconcile(&folder);
    run.wait_for(&format!("{frames} frames"), |line| {
        let progress = &line["progress"];
        progress["stage"] == "Rendering" && progress["framesRendered"].as_u64() >= Some(frames)
    });
    (folder, run)
}

/// Chunk files that are finished.
fn finished_chunks(folder: &Folder) -> usize {
    let work = folder.join(".status/.work");
    let plans = list(&work).into_iter().filter(|name| name.len() == 64);
    plans.map(|plan| list(&work.join(plan).join("chunks")).iter().filter(|name| name.ends_with(".mp4")).count()).sum()
}

/// Chunks the last attempt found, and chunks it rendered, by the log.
fn chunks_in_log(folder: &Folder) -> (usize, usize) {
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let (_, attempt) = log.rsplit_once(" chunks already_done=").expect("an attempt");
    let (done, rest) = attempt.split_once(' ').unwrap();
    (done.parse().unwrap(), rest.matches(" chunk index=").count())
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
    render(&fixture("motion"), &video, &["--quality", "draft", "--chunk-size", &CHUNK_SIZE.to_string()]);
    video
}

#[test]
#[ignore = "needs Chromium"]
fn hf_reconcile_is_killed() {
    let other = Folder::new();
    let reference = reference(&other);
    for frames in MOMENTS {
        let (folder, run) = running(frames);
        let children = descendants(run.pid());
        assert!(!children.is_empty());
        run.signal(Signal::SIGKILL);
        assert_eq!(run.end(), None);
        expect_gone(&children, CHILDREN_END);

        let before = finished_chunks(&folder);
        assert_eq!(reconcile(&folder).end(), Some(0));
        assert_eq!(
            chunks_in_log(&folder),
            (before, CHUNKS - before),
            "killed at {frames}: only unfinished chunks again"
        );
        all_is_well(&folder, &reference);
    }
}

/// Kills one process below `hf-reconcile`, which tries again by itself.
fn a_child_is_killed(text: &str, failure: &str) {
    let other = Folder::new();
    let reference = reference(&other);
    for frames in MOMENTS {
        let (folder, mut run) = running(frames);
        // At the very start the process may be about to be started.
        let victim = eventually("the victim", || with_command(&descendants(run.pid()), text));
        let children = descendants(victim);
        let before = finished_chunks(&folder);
        kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
        expect_gone(&children, CHILDREN_END);
        let last = run.wait_for("the second attempt's end", |line| line["state"] == "Completed");
        let retried = run.said.iter().find(|line| line["state"] == "Retrying").unwrap_or(&Value::Null);
        // A browser that has drawn all of its chunk is not needed any more.
        let was_needed = frames == 0 || last["attempt"] != 1;
        if was_needed {
            assert_eq!(retried["failure"]["code"], failure, "killed at {frames}: {last}");
        }
        assert_eq!(run.end(), Some(0));
        let (there, rendered) = chunks_in_log(&folder);
        // One more may have been finished in the meantime.
        assert!(there >= before && there + rendered == CHUNKS, "killed at {frames}: {before}, {there}, {rendered}");
        all_is_well(&folder, &reference);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_producer_is_killed() {
    a_child_is_killed("hf-producer\0--parent", "PRODUCER_CRASHED");
}

#[test]
#[ignore = "needs Chromium"]
fn the_browser_is_killed() {
    a_child_is_killed("--remote-debugging-pipe", "BROWSER_FAILED");
}
