use serde_json::json;
use tests::{
    account::{Account, STACK, status},
    fixture::{Folder, SECOND, copy, fixture},
    rig::Rig,
};

/// A Render without an attempt more.
fn render(name: &str, chunk_size: u32) -> String {
    format!(
        "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {{name: {name}}}\nspec:\n  source: {{path: site}}\n  output: {{quality: draft}}\n  chunking: {{chunkSize: {chunk_size}}}\n  retry: {{limit: 0}}\n"
    )
}

#[test]
#[ignore = "needs the AWS emulator and Chromium"]
fn invocations_that_are_refused_are_made_again() {
    // A new account may have no more than ten, and there are others who want some.
    let (rig, folder) = (Rig::start_limited(1), Folder::new());
    let account = Account::of(&rig);
    folder.write("stack.yaml", STACK);
    copy(&fixture("motion"), &folder.join("site"));
    folder.write("r.yaml", &render("r", 300));
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    assert_eq!(account.executions("default-s"), ["SUCCEEDED"]);
    let errors = account.task_errors("default-s");
    assert!(!errors.is_empty(), "the emulator refused nothing");
    assert!(errors.iter().all(|error| error == "Lambda.TooManyRequestsException"), "{errors:?}");
}

#[test]
#[ignore = "needs the AWS emulator and Chromium"]
fn an_execution_that_takes_too_long_has_a_code() {
    let (rig, folder) = (Rig::start(), Folder::new());
    let account = Account::of(&rig);
    folder.write("stack.yaml", STACK);
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    account.limit_executions("default-s", 2);
    copy(&fixture("motion"), &folder.join("site"));
    folder.write("r.yaml", &render("r", 600));
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 3, "{said}\n{}", rig.log());
    assert_eq!(account.executions("default-s"), ["TIMED_OUT"]);
    let failed = status(folder.path(), "r");
    assert_eq!(failed["failure"]["code"], "EXECUTION_TIMED_OUT", "{failed}");
    assert!(said.contains("executionTimeoutSeconds"), "{said}");
}

#[test]
#[ignore = "needs the AWS emulator"]
fn a_plan_without_chunks_is_refused() {
    let plan = json!({
        "PlanV2ManifestS3Uri": "s3://bucket/renders/r/plan-v2/manifest.json", "PlanV2ArtifactS3Prefix": "s3://bucket/renders/r/plan-v2/",
        "PlanHash": "0", "ChunkCount": 0, "TotalFrames": 0, "Width": 320, "Height": 180, "Format": "mp4", "HasAudio": false, "Cfr": null,
    });
    let (rig, folder) = (Rig::start_answering(&plan), Folder::new());
    folder.write("stack.yaml", STACK);
    folder.project("site", SECOND, "<p>Text</p>");
    folder.write("r.yaml", &render("r", 60));
    let (code, said) = rig.once(folder.path(), &[]);
    assert_eq!(code, 3, "{said}\n{}", rig.log());
    assert_eq!(Account::of(&rig).executions("default-s"), ["FAILED"]);
    let failed = status(folder.path(), "r");
    assert_eq!(failed["failure"]["code"], "PLAN_TOO_LARGE", "{failed}");
}
