use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crds::Code;
use nix::{sys::stat::Mode, unistd::mkfifo};
use tests::{
    bins::{Run, producer},
    fixture::Folder,
};

const SMALL: &str = "data-no-timeline data-duration=\"0.1\"";

/// A folder with a small project, and one of everything that may stand where an output should go.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.project("site", SMALL, "<p>Text</p>");
    folder.write("full/precious", "");
    folder.write("full/plan.json", "{}");
    folder.write("variables.mp4", "{}");
    folder.write("file", "");
    fs::create_dir(folder.join("empty")).unwrap();
    mkfifo(&folder.join("pipe.mp4"), Mode::S_IRWXU).unwrap();
    for (name, to) in
        [("to-folder.mp4", "full"), ("to-device.mp4", "/dev/null"), ("linked", "site"), ("me.mp4", "me.mp4")]
    {
        symlink(to, folder.join(name)).unwrap();
    }
    fs::hard_link(folder.join("site/index.html"), folder.join("twin.mp4")).unwrap();
    folder
}

/// Names, kinds and sizes of everything in a folder.
fn listing(folder: &Path) -> Vec<(PathBuf, bool, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.path().symlink_metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            }
            all.push((entry.path(), meta.is_dir(), if meta.is_dir() { 0 } else { meta.len() }));
        }
    }
    all.sort();
    all
}

#[track_caller]
fn refused(folder: &Folder, arguments: &[&str], code: Code) {
    let before = listing(folder.path());
    let path = |argument: &&str| {
        if argument.contains('.')
            || argument.contains('/')
            || ["full", "empty", "site", "file", "linked"].contains(argument)
        {
            folder.join(argument).display().to_string() + if argument.ends_with('/') { "/" } else { "" }
        } else {
            (*argument).to_owned()
        }
    };
    let run = producer(arguments.iter().map(path));
    let failure = run.error().unwrap_or_else(|| panic!("{arguments:?}: no error in {run:#?}"));
    assert_eq!((failure.code, run.code), (code, 1), "{arguments:?}: {run:#?}");
    assert_eq!(listing(folder.path()), before, "{arguments:?}");
}

/// Nothing is destroyed, and nothing is begun: no browser is needed to say so.
#[test]
fn what_is_never_replaced() {
    let folder = folder();
    for out in [
        "full.mp4/",
        "pipe.mp4",
        "to-folder.mp4",
        "to-device.mp4",
        "me.mp4",
        "twin.mp4",
        "site/new.mp4",
        "linked/new.mp4",
        "site/sub/../new.mp4",
        "file/x.mp4",
        "/dev/null/x.mp4",
        "/proc/x.mp4",
        "/sys/x.mp4",
        "variables.mp4",
    ] {
        refused(&folder, &["render", "site", "-o", out, "--variables", "variables.mp4"], Code::OutputNotReplaceable);
    }
    fs::create_dir(folder.join("folder.mp4")).unwrap();
    folder.write("folder.mp4/precious", "");
    refused(&folder, &["render", "site", "-o", "folder.mp4"], Code::OutputNotReplaceable);
    for out in ["full", "site", "site/plan", "linked/plan", "file", "pipe.mp4", "to-device.mp4", "/proc/plan"] {
        refused(&folder, &["plan", "site", "-o", out], Code::OutputNotReplaceable);
    }
}

fn ok(run: Run) {
    run.ok();
}

/// What may be replaced is, links are followed, and folders are made.
#[test]
#[ignore = "needs Chromium"]
fn what_is_replaced() {
    let folder = folder();
    let site = folder.join("site");
    folder.write("elsewhere/video.mp4", "old");
    symlink("elsewhere/video.mp4", folder.join("link.mp4")).unwrap();
    for out in ["link.mp4", "new/er/video.mp4"] {
        ok(producer(["render".as_ref(), site.as_os_str(), "-o".as_ref(), folder.join(out).as_os_str()]));
    }
    assert!(folder.join("link.mp4").symlink_metadata().unwrap().is_symlink());
    assert!(
        fs::read(folder.join("elsewhere/video.mp4")).unwrap() == fs::read(folder.join("new/er/video.mp4")).unwrap()
    );
    let plan = |out: &str| producer(["plan".as_ref(), site.as_os_str(), "-o".as_ref(), folder.join(out).as_os_str()]);
    ok(plan("empty"));
    ok(plan("empty"));
    // A file of somebody's in it: it is not ours alone any more.
    folder.write("empty/compiled/mine", "");
    assert_eq!(plan("empty").error().unwrap().code, Code::OutputNotReplaceable);
    assert!(folder.join("empty/compiled/mine").exists());
}

/// Folders that were made for an output go away again when nothing comes of it.
#[test]
#[ignore = "needs Chromium"]
fn a_render_that_fails_leaves_no_folders() {
    let folder = Folder::new();
    folder.project("site", "data-no-timeline", "<p>No duration</p>");
    let before = listing(folder.path());
    let out = folder.join("deep/er/video.mp4");
    let run = producer(["render".as_ref(), folder.join("site").as_os_str(), "-o".as_ref(), out.as_os_str()]);
    assert_eq!(run.error().unwrap().code, Code::DurationUnknown);
    assert_eq!(listing(folder.path()), before);
}

/// What is no regular file is neither waited for nor read to its end.
#[test]
fn inputs_that_are_no_files() {
    let folder = folder();
    symlink("/dev/zero", folder.join("zero.json")).unwrap();
    for input in ["pipe.mp4", "zero.json", "to-folder.mp4"] {
        for flag in ["--variables", "--config"] {
            refused(&folder, &["render", "site", "-o", "new.mp4", flag, input], Code::IoFailed);
        }
    }
    refused(&folder, &["chunk", "full", "0", "-o", "new.mp4"], Code::MissingPlanArtifact);
    refused(&folder, &["assemble", "full", "pipe.mp4", "-o", "new.mp4"], Code::MissingPlanArtifact);
}

/// Chunks are compared with the plan, whoever made them.
#[test]
#[ignore = "needs Chromium"]
fn chunks_that_are_not_the_plans() {
    let folder = Folder::new();
    folder.project("site", "data-no-timeline data-duration=\"3\"", "<p>Text</p>");
    let path = |name: &str| folder.join(name).display().to_string();
    ok(producer(["plan", &path("site"), "-o", &path("plan"), "--chunks", "2", "--quality", "draft"]));
    for index in ["0", "1"] {
        ok(producer(["chunk", &path("plan"), index, "-o", &path(&format!("chunks/a:{index}.mp4"))]));
    }
    let assemble = |chunks: [&str; 2]| {
        producer(["assemble", &path("plan"), &path(chunks[0]), &path(chunks[1]), "-o", &path("video.mp4")])
    };
    ok(assemble(["chunks/a:0.mp4", "chunks/a:1.mp4"]));
    let whole = fs::read(folder.join("chunks/a:1.mp4")).unwrap();
    fs::write(folder.join("short.mp4"), &whole[..whole.len() - 1]).unwrap();
    fs::write(folder.join("half.mp4"), &whole[..whole.len() / 2]).unwrap();
    folder.write("text.mp4", "not a video");
    mkfifo(&folder.join("pipe.mp4"), Mode::S_IRWXU).unwrap();
    let odd = ["short.mp4", "half.mp4", "text.mp4", "pipe.mp4", "chunks", "missing.mp4", "chunks/a:0.mp4"];
    for chunk in odd {
        let run = assemble(["chunks/a:0.mp4", chunk]);
        let failure = run.error().unwrap_or_else(|| panic!("{chunk}: no error in {run:#?}"));
        assert_eq!(failure.code, Code::ChunkInvalid, "{chunk}: {failure}");
        assert_eq!(failure.path.as_deref(), Some(&*path(chunk)), "{failure}");
    }
    let failure = assemble(["chunks/a:1.mp4", "chunks/a:0.mp4"]).error().unwrap().clone();
    assert!(failure.message.contains("this is chunk 1"), "{failure}");
    let run = producer([
        "assemble",
        &path("plan"),
        &path("chunks/a:0.mp4"),
        &path("chunks/a:1.mp4"),
        "-o",
        &path("chunks/a:0.mp4"),
    ]);
    assert_eq!(run.error().unwrap().code, Code::OutputNotReplaceable, "an input is no output");
}

/// A plan folder is believed as far as its hash goes, and holds nothing but files.
#[test]
#[ignore = "needs Chromium"]
fn a_plan_with_a_link_in_it() {
    let folder = folder();
    let path = |name: &str| folder.join(name).display().to_string();
    ok(producer(["plan", &path("site"), "-o", &path("plan")]));
    symlink("/etc/passwd", folder.join("plan/compiled/passwd")).unwrap();
    let run = producer(["chunk", &path("plan"), "0", "-o", &path("new.mp4")]);
    assert_eq!(run.error().unwrap().code, Code::MissingPlanArtifact, "{run:#?}");
    fs::remove_file(folder.join("plan/compiled/passwd")).unwrap();
    ok(producer(["chunk", &path("plan"), "0", "-o", &path("new.mp4")]));
}
