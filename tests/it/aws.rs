use std::{fs, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tests::{
    account::{Account, STACK, bucket, machine, status},
    bins::render,
    fixture::{Folder, SECOND, copy, fixture, root},
    processes::{eventually, output},
    rig::Rig,
    upstream::node,
    video::frame_hashes,
};

/// `examples/aws`, and its composition beside it.
fn example() -> Folder {
    let folder = Folder::new();
    for name in ["aws", "cards"] {
        copy(&root().join("examples").join(name), &folder.join(name));
    }
    folder
}

#[test]
#[ignore = "needs the AWS emulator and Chromium"]
fn the_example_is_deployed_rendered_brought_here_and_taken_down() {
    let (rig, folder) = (Rig::start(), example());
    let (account, aws) = (Account::of(&rig), folder.join("aws"));
    let (code, said) = rig.once(&aws, &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    assert_eq!(account.stack_status("default-video").as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(account.executions("default-video"), ["SUCCEEDED"]);
    let local = folder.join("local.mp4");
    render(&root().join("examples/cards/project"), &local, &[]);
    assert_eq!(frame_hashes(&aws.join("out/cards.mp4")), frame_hashes(&local));
    let first = status(&aws, "cards");
    let cost: f64 = first["costUsd"].as_str().unwrap().parse().unwrap();
    assert!((0.0005..0.05).contains(&cost), "{first}");

    let (code, said) = rig.once(&aws, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing to do"), "{said}");
    assert_eq!(status(&aws, "cards"), first);
    assert_eq!(account.executions("default-video").len(), 1);

    // Somebody removes the video: it is made again from chunks that are still there.
    let bucket = bucket(&aws, "video");
    let outputs = account.keys(&bucket, "outputs/");
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    account.delete(&bucket, &outputs[0]);
    let (code, said) = rig.once(&aws, &[]);
    assert_eq!((code, account.executions("default-video").len()), (0, 2), "{said}");
    assert_eq!(account.keys(&bucket, "outputs/").len(), 1);

    fs::remove_file(aws.join("stack.yaml")).unwrap();
    fs::remove_file(aws.join("render.yaml")).unwrap();
    let (code, said) = rig.once(&aws, &["--prune"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(account.stack_status("default-video"), None);
    assert_eq!(account.keys(&bucket, "outputs/").len(), 1, "videos stay");
    assert!(!aws.join(".status/hyperframesstack/default.video.yaml").exists());
}

/// A stack that renders one chunk at a time.
fn one_at_a_time() -> String {
    STACK.replace("us-east-1", "us-east-1, lambda: {reservedConcurrency: 1}")
}

/// A folder with a stack and a Render of 600 frames in ten chunks, one after the other: longer than ten seconds, which is how
/// often an execution is looked at.
fn ten_chunks() -> Folder {
    let folder = Folder::new();
    copy(&fixture("motion"), &folder.join("site"));
    folder.write("stack.yaml", &one_at_a_time());
    folder.write(
        "render.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: r}\nspec:\n  source: {path: site}\n  output: {quality: draft}\n  chunking: {chunkSize: 60}\n",
    );
    folder
}

#[test]
#[ignore = "needs the AWS emulator and Chromium"]
fn what_is_killed_or_damaged_is_made_good() {
    let (rig, folder) = (Rig::start(), ten_chunks());
    let account = Account::of(&rig);
    // The reconciler dies while chunks are rendered, and a function too.
    let mut run = rig.watched(folder.path());
    run.wait_for("the attempt", |line| line["state"] == "Running" && line["progress"]["stage"] == "Rendering");
    run.signal(Signal::SIGKILL);
    run.end();
    let functions = rig.functions();
    assert!(!functions.is_empty(), "{}", rig.log());
    kill(Pid::from_raw(functions[0]), Signal::SIGKILL).unwrap();
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    assert_eq!(account.executions("default-s"), ["SUCCEEDED"]);
    assert_eq!(status(folder.path(), "r")["attempts"].as_array().unwrap().len(), 1);
    // A chunk is damaged after it was made, and the video is gone: the chunk is made again, the video is the same.
    let bucket = bucket(folder.path(), "s");
    let output = &account.keys(&bucket, "outputs/")[0];
    let made = status(folder.path(), "r")["output"]["sha256"].clone();
    let chunks: Vec<_> = account.keys(&bucket, "renders/").into_iter().filter(|key| key.contains("/chunks/")).collect();
    assert!(chunks.len() >= 2, "{chunks:?}");
    account.put(&bucket, &chunks[1], b"damaged");
    account.delete(&bucket, output);
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    let again = status(folder.path(), "r");
    assert_eq!((&again["output"]["sha256"], &again["attempt"]), (&made, &Value::from(2)));
}

#[test]
#[ignore = "needs the AWS emulator and Chromium"]
fn a_failure_leaves_with_its_code_and_a_cancel_ends_the_execution() {
    let (rig, folder) = (Rig::start(), Folder::new());
    let account = Account::of(&rig);
    // One chunk after the other, since the emulator only ends an execution when what it invoked has answered.
    folder.write("stack.yaml", &one_at_a_time());
    folder.project("site", SECOND, "<img src=\"missing.png\">");
    folder.write(
        "render.yaml",
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: r}\nspec: {source: {path: site}, output: {quality: draft}, chunking: {chunkSize: 60}}\n",
    );
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 3, "{said}\n{}", rig.log());
    let failed = status(folder.path(), "r");
    assert_eq!(failed["failure"]["code"], "ASSET_MISSING", "{failed}");
    assert!(failed["failure"]["message"].as_str().unwrap().contains("missing.png"), "{failed}");
    assert_eq!(account.executions("default-s"), ["FAILED"]);

    fs::remove_dir_all(folder.join("site")).unwrap();
    copy(&fixture("motion"), &folder.join("site"));
    let mut run = rig.watched(folder.path());
    run.wait_for("the attempt", |line| line["state"] == "Running" && line["progress"]["stage"] == "Rendering");
    let cancel = output(&mut rig.hf_reconcile(&["cancel", "-C", folder.path().to_str().unwrap(), "r"]));
    assert!(cancel.status.success(), "{cancel:?}");
    run.wait_for("the cancel", |line| line["state"] == "Cancelled");
    run.end();
    let mut ended = eventually("the end of the execution", || {
        let executions = account.executions("default-s");
        thread::sleep(Duration::from_millis(200));
        (!executions.contains(&"RUNNING".to_owned())).then_some(executions)
    });
    ended.sort();
    assert_eq!(ended, ["ABORTED", "FAILED"]);
}

#[test]
#[ignore = "needs the AWS emulator, Chromium and npm"]
fn upstreams_client_drives_our_stack() {
    let (rig, folder) = (Rig::start(), Folder::new());
    let account = Account::of(&rig);
    folder.write("stacks/stack.yaml", STACK);
    let project = folder.project("site", SECOND, "<p>Text</p>");
    let (code, said) = rig.once(&folder.join("stacks"), &[]);
    assert_eq!(code, 0, "{said}");
    let bucket = bucket(&folder.join("stacks"), "s");
    let machine = machine("default-s");
    let mut client = rig.aws(node("render.mjs"));
    let output = output(client.args([project.to_str().unwrap(), &bucket, &machine]));
    assert!(output.status.success(), "{output:?}\n{}", rig.log());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Object(answer) = answer else { panic!("{answer}") };
    assert_eq!((&answer["site"]["uploaded"], &answer["again"]["uploaded"]), (&true.into(), &false.into()));
    let progress = &answer["progress"];
    assert_eq!(progress["status"], "SUCCEEDED", "{progress}");
    assert_eq!((&progress["overallProgress"], &progress["framesRendered"]), (&1.into(), &30.into()), "{progress}");
    assert_eq!((&progress["totalFrames"], &progress["lambdasInvoked"]), (&30.into(), &3.into()), "{progress}");
    assert_eq!(progress["outputFile"]["s3Uri"], answer["handle"]["outputS3Uri"], "{progress}");
    assert!(progress["outputFile"]["bytes"].as_u64() > Some(1000), "{progress}");
    let name = answer["handle"]["renderId"].as_str().unwrap();
    assert_eq!(account.keys(&bucket, &format!("renders/{name}/output.mp4")).len(), 1);

    // Older clients do not say which protocol they speak, and may speak one that is gone.
    let input = json!({
        "ProjectS3Uri": answer["site"]["projectS3Uri"], "PlanOutputS3Prefix": format!("s3://{bucket}/renders/bare/"),
        "OutputS3Uri": format!("s3://{bucket}/outputs/bare/video.mp4"), "Config": { "format": "mp4", "quality": "draft" },
    });
    assert_eq!(account.execute(&machine, "bare", &input), ("SUCCEEDED".to_owned(), None));
    let mut old = input;
    old["PlanProtocol"] = json!("v1");
    let unsupported = Some("PLAN_PROTOCOL_UNSUPPORTED".to_owned());
    assert_eq!(account.execute(&machine, "old", &old), ("FAILED".to_owned(), unsupported));
}
