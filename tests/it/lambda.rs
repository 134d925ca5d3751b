use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use handler::{
    objects::{
        Description, Overwrite, Trouble,
        s3::S3,
        transfer::{Expected, Pace, Transfer},
    },
    uri::S3Uri,
};
use serde_json::{Value, json};
use tests::{
    bins::render,
    events::{assemble, chunk, moving, plan, uri},
    fixture::{Folder, SECOND, list},
    lambda::{BUCKET, Environment},
    media::{H264, heard, loudness, make, number, numbered, rgb_frames},
    processes::{descendants, eventually, expect_gone},
    sites::archive,
    store::Store,
    video::frame_hashes,
};

/// A bucket with one project in it, and a folder that is an environment's `/tmp`.
struct Rig {
    store: Store,
    folder: Folder,
}

impl Rig {
    fn new(project: impl FnOnce(&Folder) -> PathBuf) -> Self {
        let folder = Folder::new();
        let store = Store::start(&folder.join("bucket"));
        store.put(&format!("{BUCKET}/sites/x/project.tar.gz"), &archive(&project(&folder)));
        fs::create_dir(folder.join("tmp")).unwrap();
        Self { store, folder }
    }

    fn environment(&self, variables: &[(&str, &str)]) -> Environment {
        Environment::start(&self.store, &self.folder.join("tmp"), variables)
    }

    fn object(&self, path: &str) -> String {
        format!("{BUCKET}/renders/run/{path}")
    }
}

fn still(folder: &Folder) -> PathBuf {
    folder.project("site", SECOND, "<p>still</p>")
}

/// The whole way, through the real function: the video has the frames a render on one machine has.
#[test]
#[ignore = "needs Chromium"]
fn a_video_through_the_store_is_the_local_one() {
    let rig = Rig::new(moving);
    let mut environment = rig.environment(&[]);
    let config =
        json!({ "fps": 30, "format": "mp4", "width": 320, "height": 180, "quality": "draft", "chunkSize": 60 });
    let plan = environment.invoke(&json!({ "Payload": plan(config) })).unwrap();
    let expected = json!({
        "Action": "plan", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": uri("renders/run/v2/manifest.json"),
        "PlanV2ArtifactS3Prefix": uri("renders/run/v2/artifacts/sha256"), "PlanHash": plan["PlanHash"], "ChunkCount": 2,
        "TotalFrames": 120, "Fps": 30, "Width": 320, "Height": 180, "Format": "mp4", "HasAudio": false, "AudioS3Uri": null,
        "Cfr": false, "FfmpegVersion": plan["FfmpegVersion"], "ProducerVersion": plan["ProducerVersion"], "DurationMs": plan["DurationMs"],
    });
    assert_eq!(plan, expected);
    let puts: Vec<_> = rig.store.requests().into_iter().filter(|request| request.starts_with("PUT")).collect();
    assert_eq!(puts.last().unwrap(), &format!("PUT {}", rig.object("v2/manifest.json")));

    let chunks: Vec<_> = (0..2).map(|index| environment.invoke(&chunk(&plan, index)).unwrap()).collect();
    let mut fields: Vec<_> = chunks[1].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected =
        ["Action", "CaptureMode", "ChunkIndex", "ChunkS3Uri", "DurationMs", "FrameSource", "FramesEncoded", "Sha256"];
    assert_eq!(fields, expected);
    assert_eq!((&chunks[1]["ChunkIndex"], &chunks[1]["FramesEncoded"]), (&json!(1), &json!(60)));
    assert_eq!(chunks[1]["ChunkS3Uri"], uri("renders/run/chunks/0001.mp4"));
    assert_eq!(rig.store.about(&rig.object("chunks/0001.mp4")).unwrap().metadata["sha256"], chunks[1]["Sha256"]);

    let output = environment.invoke(&assemble(&plan, &chunks)).unwrap();
    let video = rig.folder.write("remote.mp4", "");
    fs::write(&video, rig.store.get(&format!("{BUCKET}/outputs/video.mp4")).unwrap()).unwrap();
    assert_eq!(output["FramesEncoded"], 120);
    assert_eq!(output["FileSize"], fs::metadata(&video).unwrap().len());
    assert_eq!(output["Sha256"], rig.store.about(&format!("{BUCKET}/outputs/video.mp4")).unwrap().metadata["sha256"]);

    let local = rig.folder.join("local.mp4");
    render(&rig.folder.join("site"), &local, &["--quality", "draft", "--fps", "30"]);
    let hashes = frame_hashes(&video);
    assert_eq!(hashes.len(), 120);
    assert_eq!(hashes, frame_hashes(&local));

    assert_eq!(list(&rig.folder.join("tmp")), Vec::<String>::new(), "an environment keeps nothing");
    let starts = environment.log("handler_start");
    assert_eq!(starts.len(), 4);
    assert_eq!((&starts[2]["executionName"], &starts[2]["chunkIndex"]), (&json!("run"), &json!(1)));
    assert!(!environment.printed().contains("local-secret"));
}

/// What a composition plays goes the same way: its videos to the chunks, its sound to whoever joins them.
#[test]
#[ignore = "needs Chromium"]
fn videos_and_sound_go_through_the_store() {
    let rig = Rig::new(|folder| {
        let mut input = numbered(folder, 120, "30");
        input.extend(["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*500*t):s=48000:d=4"].map(str::to_owned));
        make(folder, "site/clip.mp4", &input, &format!("{H264} -c:a aac -shortest"));
        let video =
            "<video src=\"clip.mp4\" data-start=\"0\" style=\"position: absolute; left: 32px; top: 48px\"></video>";
        folder.project("site", "data-no-timeline data-duration=\"4\"", video)
    });
    let mut environment = rig.environment(&[]);
    let config =
        json!({ "fps": 30, "format": "mp4", "width": 320, "height": 180, "quality": "draft", "chunkSize": 60 });
    let plan = environment.invoke(&json!({ "Payload": plan(config) })).unwrap();
    assert_eq!((&plan["HasAudio"], &plan["ChunkCount"]), (&json!(true), &json!(2)));
    let chunks: Vec<_> = (0..2).map(|index| environment.invoke(&chunk(&plan, index)).unwrap()).collect();
    environment.invoke(&assemble(&plan, &chunks)).unwrap();
    let video = rig.folder.write("remote.mp4", "");
    fs::write(&video, rig.store.get(&format!("{BUCKET}/outputs/video.mp4")).unwrap()).unwrap();
    let frames = rgb_frames(&video, (320, 180));
    let numbers: Vec<_> = frames.iter().map(|frame| number(frame, 320, (32, 48), 1)).collect();
    assert_eq!(numbers, (0..120).map(Some).collect::<Vec<_>>());
    let local = rig.folder.join("local.mp4");
    render(&rig.folder.join("site"), &local, &["--quality", "draft", "--fps", "30"]);
    assert_eq!(frame_hashes(&video), frame_hashes(&local));
    assert!(heard(&video) == heard(&local) && loudness(&heard(&video), 0, 0.5, 3.5) > 0.3);
}

/// What is too large for a state machine lies beside the configuration, and is the same to the composition.
#[test]
#[ignore = "needs Chromium"]
fn variables_may_lie_in_the_bucket() {
    let rig = Rig::new(still);
    let mut environment = rig.environment(&[]);
    let beside = json!({ "quality": "draft", "variablesS3Uri": uri("renders/run/variables.json"), "cfr": true });
    rig.store.put(&rig.object("variables.json"), b"[1]");
    assert_eq!(environment.invoke(&plan(beside.clone())).unwrap_err().0, "VARIABLES_INVALID");
    rig.store.put(&rig.object("variables.json"), b"{\"nobody\": 1}");
    let (code, message) = environment.invoke(&plan(beside)).unwrap_err();
    assert_eq!(code, "VARIABLES_INVALID");
    assert!(message.contains("nobody"), "{message}");
    let elsewhere = json!({ "variablesS3Uri": "s3://elsewhere/v.json" });
    assert_eq!(environment.invoke(&plan(elsewhere)).unwrap_err().0, "S3_URI_NOT_ALLOWED");
}

/// Step Functions tries again what succeeded but was not heard.
#[test]
#[ignore = "needs Chromium"]
fn what_is_done_is_not_done_again() {
    let rig = Rig::new(still);
    let mut environment = rig.environment(&[]);
    let planned = environment.invoke(&plan(json!({ "quality": "draft" }))).unwrap();
    let rendered = environment.invoke(&chunk(&planned, 0)).unwrap();
    drop(environment);
    rig.store.requests();

    let mut without = rig.environment(&[("HF_BROWSER", "/nonexistent")]);
    let same = |first: &Value, second: Value| {
        let ageless = |value: &Value| {
            let mut value = value.clone();
            value["DurationMs"] = json!(0);
            // Said by who has made it.
            value.as_object_mut().unwrap().remove("FrameSource");
            value
        };
        assert_eq!(ageless(first), ageless(&second));
    };
    same(&planned, without.invoke(&plan(json!({ "quality": "draft" }))).unwrap());
    same(&rendered, without.invoke(&chunk(&planned, 0)).unwrap());
    assert!(rig.store.requests().iter().all(|request| !request.starts_with("PUT")));

    // Another configuration under the same prefix is another plan, and no plan is replaced.
    let other = without.invoke(&plan(json!({ "quality": "high" })));
    assert_eq!(other.unwrap_err().0, "PLAN_ARTIFACT_DIGEST_MISMATCH");
}

#[test]
#[ignore = "needs Chromium"]
fn failures_arrive_under_their_codes() {
    let rig = Rig::new(|folder| folder.project("site", "data-no-timeline", "<p>how long?</p>"));
    let mut environment = rig.environment(&[]);
    let (name, message) = environment.invoke(&plan(json!({}))).unwrap_err();
    assert_eq!(name, "DURATION_UNKNOWN", "{message}");
    let error = eventually("a line", || environment.log("handler_error").into_iter().next());
    assert_eq!((&error["name"], &error["action"]), (&json!("DURATION_UNKNOWN"), &json!("plan")));
    assert_eq!(environment.invoke(&json!({ "Action": "sing" })).unwrap_err().0, "EVENT_INVALID");
    let mut v1 = plan(json!({}));
    v1["PlanProtocol"] = "v1".into();
    assert_eq!(environment.invoke(&v1).unwrap_err().0, "PLAN_PROTOCOL_UNSUPPORTED");
    let mut foreign = plan(json!({}));
    foreign["PlanOutputS3Prefix"] = "s3://other/renders/run/".into();
    assert_eq!(environment.invoke(&foreign).unwrap_err().0, "S3_URI_NOT_ALLOWED");
    drop(environment);

    let mut open = rig.environment(&[("HYPERFRAMES_RENDER_BUCKET", " ")]);
    assert_eq!(open.invoke(&plan(json!({}))).unwrap_err().0, "S3_URI_NOT_ALLOWED");
}

#[test]
#[ignore = "needs Chromium"]
fn a_browser_that_cannot_be_had_is_named() {
    let rig = Rig::new(still);
    let mut environment = rig.environment(&[("HF_BROWSER", "/nonexistent")]);
    assert_eq!(environment.invoke(&plan(json!({}))).unwrap_err().0, "BROWSER_NOT_FOUND");
    assert_eq!(environment.ended(), None, "the next event may be one without a browser");
}

/// A store that throttles is waited for.
#[test]
#[ignore = "needs Chromium"]
fn a_busy_store_only_takes_longer() {
    let rig = Rig::new(still);
    rig.store.be_busy("GET", 2);
    rig.store.be_busy("PUT", 2);
    let mut environment = rig.environment(&[]);
    environment.invoke(&plan(json!({ "quality": "draft" }))).unwrap();
}

/// A page that never gets ready: the function answers in time, nothing is left, and the next event finds it well.
#[test]
#[ignore = "needs Chromium"]
fn before_lambda_would_kill_it_the_function_ends_by_itself() {
    let rig = Rig::new(|folder| folder.project("site", SECOND, "<script>while (true) {}</script>"));
    let mut environment = rig.environment(&[]);
    let outcome = environment.invoke_within(&plan(json!({})), Duration::from_secs(8));
    assert_eq!(outcome.unwrap_err().0, "INVOCATION_TIME_LIMIT");
    expect_gone(&descendants(environment.pid()), Duration::from_secs(5));
    assert_eq!(list(&rig.folder.join("tmp")), Vec::<String>::new());
}

/// The browser is killed in the middle: the answer says so, and the environment ends itself after it.
#[test]
#[ignore = "needs Chromium"]
fn an_environment_whose_browser_broke_takes_no_more_events() {
    let rig = Rig::new(|folder| folder.project("site", SECOND, "<script>while (true) {}</script>"));
    let mut environment = rig.environment(&[]);
    let pid = environment.pid();
    let killer = std::thread::spawn(move || {
        let browser = eventually("a browser", || descendants(pid).first().copied());
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(browser), nix::sys::signal::Signal::SIGKILL);
    });
    assert_eq!(environment.invoke(&plan(json!({}))).unwrap_err().0, "BROWSER_FAILED");
    killer.join().unwrap();
    eventually("its end", || environment.ended());
}

/// No event, no browser: what Lambda waits for when it makes an environment.
#[test]
fn an_environment_is_ready_at_once() {
    let rig = Rig::new(still);
    let cold = rig.environment(&[]).cold_start;
    eprintln!("cold start: {cold:?}");
    assert!(cold < Duration::from_secs(2), "{cold:?}");
}

/// The client against the wire: digests, conditions and parts, as S3 has them.
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_go_in_parts_and_come_back() {
    let folder = Folder::new();
    let store = tokio::task::block_in_place(|| Store::start(&folder.join("bucket")));
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("local", "secret", None, None, "test")))
        .endpoint_url(store.endpoint())
        .build();
    let pace = Pace { attempts: 3, pause: Duration::from_millis(1), part: 5 << 20, ..Pace::default() };
    let transfer = Transfer::new(Arc::new(S3::new(&config)), pace);
    let content: Vec<u8> = (0..12_u32 << 20).map(|index| (index % 251) as u8).collect();
    let (from, to) = (folder.join("from"), folder.join("to"));
    fs::write(&from, &content).unwrap();
    let at = S3Uri::parse("s3://b/renders/r/large").unwrap();
    let about = || Description { content_type: "video/mp4", metadata: BTreeMap::from([("frames".into(), "7".into())]) };
    store.be_busy("PUT", 2);
    let moved = transfer.store(&from, &at, about(), Overwrite::Forbidden).await.unwrap();
    assert_eq!(store.get("b/renders/r/large").unwrap(), content);
    assert_eq!(store.about("b/renders/r/large").unwrap().content_type.as_deref(), Some("video/mp4"));
    let mut kinds = HashMap::new();
    for request in store.requests() {
        *kinds.entry(request.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    let expected = [("HEAD", 1), ("POST", 2), ("PUT", 5)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(kinds, HashMap::from(expected));

    let fetched = transfer.fetch(&at, &to, &Expected::default()).await.unwrap();
    assert_eq!(fetched, moved);
    assert!(fs::read(&to).unwrap() == content);
    assert_eq!(transfer.store(&from, &at, about(), Overwrite::Forbidden).await.unwrap(), moved);
    fs::write(&from, &content[1..]).unwrap();
    let other = transfer.store(&from, &at, about(), Overwrite::Forbidden).await.unwrap_err();
    assert_eq!(other.trouble, Trouble::Exists);
    assert_eq!(list(&folder.join("bucket/uploads")), Vec::<String>::new());
    let none = S3Uri::parse("s3://b/renders/none").unwrap();
    assert_eq!(transfer.head(&none).await.unwrap(), None);
    let absent = transfer.fetch(&none, &folder.join("none"), &Expected::default()).await.unwrap_err();
    assert_eq!(absent.trouble, Trouble::Absent);
    tokio::task::block_in_place(|| drop(store));
}
