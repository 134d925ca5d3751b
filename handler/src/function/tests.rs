use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    manifest::Manifest,
    objects::memory::{Fault, Memory},
    published,
    uri::S3Uri,
};

struct Rig {
    memory: Arc<Memory>,
    function: Function,
    scratch: TempDir,
}

impl Rig {
    fn new() -> Self {
        let (memory, scratch) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
        let settings = Settings {
            bucket: Some("b".to_owned()),
            scratch: scratch.path().to_owned(),
            packed_browser: None,
            browsers: vec!["/nonexistent".into()],
            assets: "/nonexistent".into(),
        };
        Self { function: Function::new(settings, Arc::clone(&memory) as _), memory, scratch }
    }

    async fn handle(&self, event: Value) -> Result<Answer, Code> {
        self.handle_in(event, Duration::from_mins(1)).await
    }

    async fn handle_in(&self, event: Value, remaining: Duration) -> Result<Answer, Code> {
        let call = Call { request_id: "id".to_owned(), remaining };
        let outcome = self.function.handle(event, &call).await;
        assert_eq!(files::names(self.scratch.path()), Vec::<String>::new(), "nothing is left behind");
        outcome.map_err(|Told(failure)| failure.code)
    }

    /// A published plan of two chunks, without a composition.
    async fn plan(&self) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        let plan = json!({
            "planHash": "b".repeat(64), "producerVersion": "0.1.0", "ffmpegVersion": "libav",
            "dimensions": { "fpsNum": 30, "fpsDen": 1, "width": 64, "height": 36, "format": "mp4" },
            "chunkCount": 2, "totalFrames": 60,
        });
        files::write(&folder.path().join("plan/plan.json"), plan.to_string().as_bytes()).unwrap();
        let at = published::Places::below(&S3Uri::parse("s3://b/renders/r").unwrap());
        let scratch = folder.path().join("manifest.json");
        published::publish(&self.function.transfer, &folder.path().join("plan"), &at, "x", &scratch).await.unwrap()
    }
}

fn chunk(plan_hash: &str, index: u32) -> Value {
    json!({
        "Action": "renderChunk", "PlanV2ManifestS3Uri": "s3://b/renders/r/v2/manifest.json",
        "PlanV2ArtifactS3Prefix": "s3://b/renders/r/v2/artifacts/sha256", "PlanHash": plan_hash, "ChunkIndex": index,
        "ChunkOutputS3Prefix": "s3://b/renders/r/", "Format": "mp4",
    })
}

fn assemble(plan_hash: &str, chunks: &[&str], digests: &[&str]) -> Value {
    json!({
        "Action": "assemble", "PlanV2ManifestS3Uri": "s3://b/renders/r/v2/manifest.json",
        "PlanV2ArtifactS3Prefix": "s3://b/renders/r/v2/artifacts/sha256", "PlanHash": plan_hash,
        "ChunkS3Uris": chunks, "ChunkSha256s": digests, "AudioS3Uri": null, "OutputS3Uri": "s3://b/outputs/o.mp4",
        "Format": "mp4",
    })
}

fn plan() -> Value {
    json!({
        "Action": "plan", "ProjectS3Uri": "s3://b/sites/x/project.tar.gz", "PlanOutputS3Prefix": "s3://b/renders/r/",
        "Config": { "fps": 30, "format": "mp4" },
    })
}

#[tokio::test]
async fn nothing_is_fetched_for_what_is_not_understood_or_not_allowed() {
    let rig = Rig::new();
    assert_eq!(rig.handle(json!({})).await, Err(Code::EventInvalid));
    let mut elsewhere = plan();
    elsewhere["ProjectS3Uri"] = "s3://other/sites/x/project.tar.gz".into();
    assert_eq!(rig.handle(elsewhere).await, Err(Code::S3UriNotAllowed));
    assert!(rig.memory.calls().is_empty());
}

#[tokio::test]
async fn a_project_must_be_there_and_be_an_archive() {
    let rig = Rig::new();
    assert_eq!(rig.handle(plan()).await, Err(Code::ObjectNotFound));
    rig.memory.insert("s3://b/sites/x/project.tar.gz", b"no archive", &[]);
    assert_eq!(rig.handle(plan()).await, Err(Code::ArchiveInvalid));
    assert!(!rig.function.is_spent());
}

#[tokio::test]
async fn a_plan_is_compared_before_anything_of_it_is_fetched() {
    let rig = Rig::new();
    let hash = rig.plan().await.plan_hash;
    assert_eq!(rig.handle(chunk(&"0".repeat(64), 0)).await, Err(Code::PlanHashMismatch));
    assert_eq!(rig.handle(chunk(&hash, 2)).await, Err(Code::ChunkIndexOutOfRange));
    let mut other = chunk(&hash, 0);
    other["Format"] = "mov".into();
    assert_eq!(rig.handle(other).await, Err(Code::EventInvalid));
    assert!(rig.memory.calls().iter().all(|call| !call.starts_with("get") || call.ends_with("manifest.json")));
    rig.memory.insert("s3://b/renders/r/v2/manifest.json", b"{}", &[]);
    assert_eq!(rig.handle(chunk(&hash, 0)).await, Err(Code::PlanProtocolUnsupported));
}

/// The renderer here has no browser, so an answer means that nothing was rendered.
#[tokio::test]
async fn a_chunk_that_is_there_and_right_is_not_rendered_again() {
    let rig = Rig::new();
    let hash = rig.plan().await.plan_hash;
    assert!(rig.handle(chunk(&hash, 1)).await.is_err());
    let digest = files::sha256(b"chunk");
    let metadata = [("sha256", digest.as_str()), ("plan-hash", &hash), ("frames", "30"), ("size-bytes", "5")];
    rig.memory.insert("s3://b/renders/r/chunks/0001.mp4", b"chunk", &metadata);
    let Ok(Answer::RenderChunk(answer)) = rig.handle(chunk(&hash, 1)).await else { panic!("no answer") };
    assert_eq!((answer.chunk_index, answer.frames_encoded, answer.sha256), (1, 30, digest.clone()));
    rig.memory.insert("s3://b/renders/r/chunks/0001.mp4", b"chunk cut", &metadata);
    assert!(rig.handle(chunk(&hash, 1)).await.is_err());
}

#[tokio::test]
async fn chunks_are_compared_before_they_are_joined() {
    let rig = Rig::new();
    let hash = rig.plan().await.plan_hash;
    let uris = ["s3://b/renders/r/chunks/0000.mp4", "s3://b/renders/r/chunks/0001.mp4"];
    let digest = files::sha256(b"chunk");
    assert_eq!(rig.handle(assemble(&hash, &uris[..1], &[])).await, Err(Code::ChunkInvalid));
    assert_eq!(rig.handle(assemble(&hash, &uris, &[])).await, Err(Code::ObjectNotFound));
    for uri in uris {
        rig.memory.insert(uri, b"chunk", &[]);
    }
    assert_eq!(rig.handle(assemble(&hash, &uris, &[&digest])).await, Err(Code::EventInvalid));
    let wrong = files::sha256(b"other");
    assert_eq!(rig.handle(assemble(&hash, &uris, &[&digest, &wrong])).await, Err(Code::ArtifactDigestMismatch));
    rig.memory.insert(uris[1], b"chunk", &[("plan-hash", "another")]);
    assert_eq!(rig.handle(assemble(&hash, &uris, &[&digest, &digest])).await, Err(Code::ChunkInvalid));
}

#[tokio::test]
async fn before_the_deadline_the_invocation_ends_itself() {
    let rig = Rig::new();
    rig.memory.insert("s3://b/sites/x/project.tar.gz", b"", &[]);
    rig.memory.fail("get", Fault::Slow(Duration::from_secs(30)));
    let started = Instant::now();
    assert_eq!(rig.handle_in(plan(), Duration::from_secs(1)).await, Err(Code::InvocationTimeLimit));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!rig.function.is_spent(), "nothing hangs");
}

#[tokio::test]
async fn folders_of_dead_processes_are_removed_and_others_are_not() {
    let rig = Rig::new();
    let folder = |pid: u32| rig.scratch.path().join(format!("hf-lambda-{pid}-x"));
    // Above every possible id.
    let (dead, alive, other) = (folder(5_000_000), folder(std::process::id()), rig.scratch.path().join("else"));
    for path in [&dead, &alive, &other] {
        files::create_dir(path).unwrap();
    }
    files::sweep(rig.scratch.path());
    assert_eq!((dead.exists(), alive.exists(), other.exists()), (false, true, true));
}
