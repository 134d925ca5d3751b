//! The reconciler against AWS in memory; files, store, sources and driver are the real ones.

use std::{collections::BTreeSet, sync::Arc};

use crds::{Code, HyperframesStackStatus, RenderStatus, condition::READY};
use fs_err as fs;

use super::{
    AwsBackend,
    cloud::{ExecutionState, Happened},
    fake::Fake,
};
use crate::{
    error::Class,
    ports::{DEFAULT_NAMESPACE, Kind, ObjectKey},
    reconcile::{
        Context, conditions,
        driver::{Unobserved, drive},
    },
    source::Sources,
    store::dir::{DirStore, Options, layout::Layout, requests, scan::Scanner},
};

/// A folder with a stack on AWS and a Render on it.
struct Home {
    folder: tempfile::TempDir,
    fake: Fake,
}

#[expect(clippy::disallowed_methods, reason = "files have real times, and statuses are compared with them")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

const STACK: &str = "{apiVersion: hyperframes.io/v1alpha1, kind: HyperframesStack, metadata: {name: prod}, spec: {aws: {region: eu-central-1 MORE}}}";
const RENDER: &str =
    "{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {name: a}, spec: {source: {path: project} MORE}}";
/// Calls that change nothing.
const READS: [&str; 8] = [
    "DescribeStacks",
    "DescribeStackEvents",
    "DescribeChangeSet",
    "DescribeStackDriftDetectionStatus",
    "HeadObject",
    "GetObject",
    "DescribeExecution",
    "GetExecutionHistory",
];

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), fake: Fake::default() };
        fs::create_dir(home.folder.path().join("project")).unwrap();
        home.write("project/index.html", "<p>");
        home.write("handler.zip", "zip");
        // A folder without any manifest counts as taken away.
        home.write("others.yaml", "");
        home.stack("");
        home.render(", output: {path: out/a.mp4}");
        home
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).unwrap();
    }

    fn stack(&self, more: &str) {
        self.write("stack.yaml", &STACK.replace(" MORE", more));
    }

    fn render(&self, more: &str) {
        self.write("render.yaml", &RENDER.replace(" MORE", more));
    }

    fn layout(&self) -> Layout {
        Layout::new(self.folder.path().canonicalize().unwrap(), None)
    }

    /// One run to its end, or to its death.
    async fn once(&self) {
        let layout = self.layout();
        let options = Options { prune: true, read_only: false };
        let store = DirStore::open(layout.clone(), options, now).unwrap();
        store.rescan(&Scanner::default().take(&layout));
        store.take_requests();
        let handler = Some(self.folder.path().join("handler.zip"));
        let backend = AwsBackend::with(Box::new(self.fake.clone()), handler, now);
        let sources = Arc::new(Sources::on_disk());
        let context = Context::new(Arc::new(store.clone()), Arc::new(backend), sources, now);
        let context = Arc::new(context);
        context.nudge();
        tokio::select! {
            _ = drive(Arc::clone(&context), &Unobserved, move |progress| progress.is_settled(3) && progress.seen() >= store.count()) => {}
            () = self.fake.died() => {}
        }
    }

    fn status(&self) -> RenderStatus {
        let key = ObjectKey { kind: Kind::Render, namespace: DEFAULT_NAMESPACE.into(), name: "a".into() };
        crate::store::dir::render_status(&self.layout(), &key).unwrap_or_default()
    }

    /// The reason of the Render's state.
    fn state(&self) -> String {
        let conditions = self.status().conditions;
        conditions::find(&conditions, READY).map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    fn stack_status(&self) -> HyperframesStackStatus {
        let path = self.folder.path().join(".status/hyperframesstack/default.prod.yaml");
        let text: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        serde_yaml::from_value(text["status"].clone()).unwrap()
    }

    fn stack_state(&self) -> String {
        let conditions = self.stack_status().conditions;
        conditions::find(&conditions, READY).map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    fn ask(&self, verb: crds::render::RequestVerb) {
        let key = ObjectKey { kind: Kind::Render, namespace: DEFAULT_NAMESPACE.into(), name: "a".into() };
        requests::ask(&self.layout(), &key, verb, now(), self.status().input_hash.as_deref()).unwrap();
    }

    /// How often what changes something was asked for.
    fn changes(&self) -> Vec<&'static str> {
        self.fake.truth().calls.iter().copied().filter(|call| !READS.contains(call)).collect()
    }

    fn forget_calls(&self) {
        self.fake.truth().calls.clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_is_made_a_video_rendered_and_brought_here_and_then_nothing_is_done() {
    let home = Home::new();
    home.once().await;
    assert_eq!(home.state(), "Completed", "{:?}", home.status());
    let expected = ["CreateBucket", "PutObject", "CreateChangeSet", "ExecuteChangeSet", "PutObject", "StartExecution"];
    assert_eq!(home.changes(), expected);
    assert_eq!(fs::read_to_string(home.folder.path().join("out/a.mp4")).unwrap(), "video");
    let status = home.status();
    let output = status.output.unwrap();
    assert!(output.uri.starts_with("s3://default-prod-bucket/outputs/hf-"), "{}", output.uri);
    assert_eq!((output.frames, output.width, output.height), (120, 640, 360));
    assert!(status.attempts[0].handle.as_ref().unwrap().contains(":execution:default-prod-render:hf-"));
    assert!(status.cost_usd.unwrap().millionths() > 1000, "{:?}", status.cost_usd);
    let aws = home.stack_status().aws.unwrap();
    assert_eq!(aws.stack_status.as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(aws.bucket_name.as_deref(), Some("default-prod-bucket"));
    // Beside the stack's making, and however short the video was.
    let calls = home.fake.truth().calls.clone();
    let of_the_render = calls.iter().skip_while(|call| **call != "ExecuteChangeSet").count();
    assert!(of_the_render <= 16, "{calls:?}");
    home.forget_calls();
    home.once().await;
    assert_eq!(home.changes(), [""; 0]);
    assert!(home.fake.truth().calls.len() <= 4, "{:?}", home.fake.truth().calls);
}

#[tokio::test(start_paused = true)]
async fn killed_after_every_single_call_it_makes_nothing_twice() {
    let home = Home::new();
    home.once().await;
    let calls = home.fake.truth().calls.len();
    for last in 1..=calls {
        let home = Home::new();
        home.fake.truth().dies_with = Some(last);
        home.once().await;
        home.fake.truth().dies_with = None;
        home.once().await;
        let call = home.fake.truth().calls[last - 1];
        assert_eq!(home.state(), "Completed", "killed after call {last}, {call}: {:?}", home.status());
        let truth = home.fake.truth();
        assert_eq!((truth.stacks.len(), truth.executions.len()), (1, 1), "killed after call {last}, {call}");
        for once in ["ExecuteChangeSet", "PutObject"] {
            let most = if once == "PutObject" { 2 } else { 1 };
            assert_eq!(truth.count(once), most, "{once}, killed after call {last}, {call}");
        }
        assert_eq!(home.status().attempts.len(), 1, "killed after call {last}, {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_file_any_more_is_taken_down_and_videos_stay() {
    let home = Home::new();
    home.once().await;
    fs::remove_file(home.folder.path().join("stack.yaml")).unwrap();
    fs::remove_file(home.folder.path().join("render.yaml")).unwrap();
    home.once().await;
    let truth = home.fake.truth();
    let statuses: Vec<_> = truth.stacks.values().map(|stack| stack.facts.status.as_str()).collect();
    assert_eq!(statuses, ["DELETE_COMPLETE"]);
    assert!(truth.objects.keys().any(|(_, key)| key.starts_with("outputs/")));
    assert_eq!(truth.count("DeleteStack"), 1);
    drop(truth);
    assert!(!home.folder.path().join(".status/hyperframesstack/default.prod.yaml").exists());
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_is_to_be_retained_is_let_go() {
    let home = Home::new();
    home.stack(", deletionPolicy: Retain");
    home.once().await;
    fs::remove_file(home.folder.path().join("stack.yaml")).unwrap();
    fs::remove_file(home.folder.path().join("render.yaml")).unwrap();
    home.once().await;
    assert_eq!(home.fake.truth().count("DeleteStack"), 0);
    assert!(!home.folder.path().join(".status/hyperframesstack/default.prod.yaml").exists());
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_cannot_be_made_says_why_and_is_made_anew_when_its_spec_changes() {
    let home = Home::new();
    home.fake.truth().stack_fails = Some("RenderFunction: no such zip".into());
    home.once().await;
    assert_eq!((home.stack_state(), home.state()), ("STACK_FAILED".into(), "StackNotReady".into()));
    let message = conditions::find(&home.stack_status().conditions, READY).unwrap().message.clone();
    assert!(message.contains("no such zip") && message.contains("change the spec"), "{message}");
    home.stack(", lambda: {memoryMb: 4096}");
    home.once().await;
    assert_eq!((home.stack_state(), home.state()), ("Available".into(), "Completed".into()));
    assert_eq!(home.fake.truth().count("DeleteStack"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_leaves_a_stack_that_still_renders() {
    let home = Home::new();
    home.once().await;
    home.fake.truth().stack_fails = Some("RenderFunction: too little memory".into());
    home.stack(", lambda: {memoryMb: 2048}");
    home.render(", output: {quality: high}");
    home.once().await;
    assert_eq!((home.stack_state(), home.state()), ("STACK_FAILED".into(), "Completed".into()));
    assert_eq!(home.fake.truth().executions.len(), 2);
    home.stack("");
    home.once().await;
    assert_eq!(home.stack_state(), "Available");
}

#[tokio::test(start_paused = true)]
async fn a_change_waits_for_approval() {
    let home = Home::new();
    home.stack(", updatePolicy: {mode: Approve}");
    home.once().await;
    assert_eq!(home.stack_state(), "Available", "the first change set needs none");
    home.stack(", updatePolicy: {mode: Approve}, lambda: {memoryMb: 2048}");
    home.once().await;
    assert_eq!(home.stack_state(), "STACK_CHANGE_WAITS");
    let change_set = home.stack_status().aws.unwrap().change_set.unwrap();
    assert_eq!(change_set.modify, 1);
    let approved = format!(
        ", updatePolicy: {{mode: Approve, approvedChangeSet: {}}}, lambda: {{memoryMb: 2048}}",
        change_set.name
    );
    home.stack(&approved);
    home.once().await;
    assert_eq!(home.stack_state(), "Available");
    assert_eq!(home.stack_status().aws.unwrap().change_set, None);
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_somebody_else_is_left_alone_unless_it_may_be_taken_over() {
    let home = Home::new();
    home.once().await;
    for stack in home.fake.truth().stacks.values_mut() {
        stack.facts.tags.clear();
    }
    home.stack(", lambda: {memoryMb: 2048}");
    home.forget_calls();
    home.once().await;
    assert_eq!(home.stack_state(), "STACK_NOT_OURS");
    assert_eq!(home.changes(), [""; 0]);
    home.stack(", lambda: {memoryMb: 2048}, adoptionPolicy: AdoptIfExists");
    home.once().await;
    assert_eq!(home.stack_state(), "Available");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_failed_is_tried_again() {
    let home = Home::new();
    home.once().await;
    for stack in home.fake.truth().stacks.values_mut() {
        stack.facts.status = "UPDATE_ROLLBACK_FAILED".into();
    }
    home.once().await;
    assert_eq!(home.stack_state(), "Available");
    assert_eq!(home.fake.truth().count("ContinueUpdateRollback"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_failed_says_why_and_is_tried_again() {
    let home = Home::new();
    home.once().await;
    home.fake.truth().stack_fails = Some("RenderBucket: not empty".into());
    fs::remove_file(home.folder.path().join("stack.yaml")).unwrap();
    fs::remove_file(home.folder.path().join("render.yaml")).unwrap();
    home.once().await;
    assert_eq!(home.fake.truth().count("DeleteStack"), 2);
    assert!(!home.folder.path().join(".status/hyperframesstack/default.prod.yaml").exists());
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_was_taken_away_is_made_anew() {
    let home = Home::new();
    home.once().await;
    for stack in home.fake.truth().stacks.values_mut() {
        stack.facts.status = "DELETE_COMPLETE".into();
    }
    home.render(", output: {quality: high}");
    home.once().await;
    assert_eq!((home.stack_state(), home.state()), ("Available".into(), "Completed".into()));
    assert_eq!(home.fake.truth().stacks.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn drift_is_told_and_put_right() {
    let home = Home::new();
    home.stack(", driftPolicy: {mode: Detect}");
    home.fake.truth().drifted = 2;
    home.once().await;
    home.once().await;
    assert_eq!(home.stack_state(), "STACK_DRIFTED");
    assert_eq!(home.stack_status().aws.unwrap().drift.unwrap().drifted_resources, 2);
    home.stack(", driftPolicy: {mode: Correct}");
    home.once().await;
    home.once().await;
    assert_eq!(home.stack_state(), "Available");
    assert_eq!(home.fake.truth().drifted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_video_that_is_gone_from_the_bucket_is_made_again() {
    let home = Home::new();
    home.once().await;
    home.fake.truth().objects.retain(|(_, key), _| !key.starts_with("outputs/"));
    home.once().await;
    assert_eq!((home.state().as_str(), home.status().attempt), ("Completed", Some(2)));
    assert_eq!(home.fake.truth().executions.len(), 2);
    let prefixes: BTreeSet<_> =
        home.fake.truth().executions.values().map(|known| known.input["PlanOutputS3Prefix"].to_string()).collect();
    assert_eq!(prefixes.len(), 1, "the second finds what the first has rendered");
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_was_stopped_goes_on_where_it_was() {
    let home = Home::new();
    home.fake.truth().dies_at = Some("StartExecution");
    home.once().await;
    home.fake.truth().dies_at = None;
    for known in home.fake.truth().executions.values_mut().filter(|known| known.state == ExecutionState::Running) {
        known.state = ExecutionState::Aborted;
        known.events.push(Happened::ExecutionAborted);
    }
    home.once().await;
    assert_eq!(home.state(), "Completed", "{:?}", home.status());
    assert_eq!(home.fake.truth().count("RedriveExecution"), 1);
    assert_eq!(home.fake.truth().executions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_costs_too_much_is_ended() {
    let home = Home::new();
    home.render(", budget: {maxUsd: \"0.000001\"}");
    home.once().await;
    assert_eq!(home.state(), "BUDGET_EXCEEDED", "{:?}", home.status());
    assert_eq!(home.fake.truth().count("StopExecution"), 1);
    home.render(", budget: {maxUsd: \"5\"}");
    home.once().await;
    assert_eq!(home.state(), "Completed", "{:?}", home.status());
}

#[tokio::test(start_paused = true)]
async fn without_credentials_the_stack_says_so_and_nobody_waits() {
    for (call, code, class) in [
        ("DescribeStacks", Code::AwsCredentials, Class::Transient),
        ("CreateChangeSet", Code::AwsAccessDenied, Class::Transient),
        ("CreateChangeSet", Code::AwsRefused, Class::Terminal),
    ] {
        let home = Home::new();
        home.fake.truth().always_fails = Some((call, code, class));
        home.once().await;
        home.fake.truth().always_fails = None;
        assert_eq!((home.stack_state(), home.state()), (code.to_string(), "StackNotReady".into()));
        home.once().await;
        assert_eq!((home.stack_state(), home.state()), ("Available".into(), "Completed".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_aws_have_consequences_by_their_class() {
    for (call, code, class) in [
        ("StartExecution", Code::AwsCredentials, Class::Transient),
        ("GetExecutionHistory", Code::AwsThrottled, Class::Throttled),
        ("PutObject", Code::AwsUnavailable, Class::Transient),
        ("CreateChangeSet", Code::AwsThrottled, Class::Throttled),
        ("DescribeStacks", Code::AwsUnavailable, Class::Transient),
        ("GetObject", Code::AwsUnavailable, Class::Transient),
    ] {
        let home = Home::new();
        home.fake.truth().fails.insert(call, (code, class));
        home.once().await;
        assert_eq!((home.state().as_str(), home.status().attempt), ("Completed", Some(1)), "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_video_that_cannot_be_brought_here_is_a_failure_that_says_so() {
    let home = Home::new();
    home.fake.truth().always_fails = Some(("GetObject", Code::NotWritable, Class::Terminal));
    home.once().await;
    assert_eq!(home.state(), "NOT_WRITABLE");
    let message = home.status().failure.unwrap().message;
    assert!(message.contains("was made and cannot be brought here"), "{message}");
    assert_eq!(home.fake.truth().executions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_the_execution_and_a_retry_renders() {
    let home = Home::new();
    home.render(", desiredState: Cancelled");
    home.once().await;
    assert_eq!((home.state().as_str(), home.fake.truth().executions.len()), ("Cancelled", 0));
    home.render("");
    home.once().await;
    assert_eq!(home.state(), "Completed");
    home.ask(crds::render::RequestVerb::Retry);
    home.once().await;
    assert_eq!(home.fake.truth().executions.len(), 2);
    let running = home.status().attempts.last().unwrap().handle.clone().unwrap();
    assert!(running.contains("-2-"), "{running}");
}

#[tokio::test(start_paused = true)]
async fn large_variables_travel_beside_the_configuration() {
    let home = Home::new();
    home.render(&format!(", variables: {{text: \"{}\"}}", "x".repeat(100_000)));
    home.once().await;
    assert_eq!(home.state(), "Completed");
    let truth = home.fake.truth();
    let input = &truth.executions.values().next().unwrap().input;
    assert!(input.to_string().len() < 2000, "{input}");
    let uri = input["Config"]["variablesS3Uri"].as_str().unwrap();
    let key = uri.strip_prefix("s3://default-prod-bucket/").unwrap();
    assert!(truth.objects[&("default-prod-bucket".to_owned(), key.to_owned())].1.len() > 100_000);
}
