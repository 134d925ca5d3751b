use std::sync::Arc;

use super::*;
use crate::objects::{
    memory::{Fault, Memory},
    transfer::Pace,
};

struct Rig {
    memory: Arc<Memory>,
    transfer: Transfer,
    folder: tempfile::TempDir,
}

const PREFIX: &str = "s3://b/renders/r";

impl Rig {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        let pause = std::time::Duration::from_millis(1);
        let pace = Pace { attempts: 3, pause, longest_pause: pause, ..Pace::default() };
        let rig = Self {
            transfer: Transfer::new(Arc::clone(&memory) as _, pace),
            memory,
            folder: tempfile::tempdir().unwrap(),
        };
        let plan = json!({
            "planHash": "b".repeat(64), "producerVersion": "0.1.0", "ffmpegVersion": "libav",
            "dimensions": { "fpsNum": 30, "fpsDen": 1, "width": 64, "height": 36, "format": "mp4" },
            "chunkCount": 2, "totalFrames": 60,
        });
        rig.write("plan.json", &plan.to_string());
        rig.write("meta/videos.json", r#"{"videos":[],"extracted":[{"videoId":"clip"}]}"#);
        rig.write("compiled/index.html", "<html>");
        rig.write("compiled/same.html", "<html>");
        rig.write("audio.m4a", "AAC");
        rig
    }

    fn write(&self, path: &str, content: &str) {
        files::write(&self.folder.path().join("plan").join(path), content.as_bytes()).unwrap();
    }

    fn scratch(&self) -> PathBuf {
        let path = self.folder.path().join("manifest.json");
        files::remove(&path);
        path
    }

    async fn publish(&self, input: &str) -> Result<Manifest, Code> {
        let plan = self.folder.path().join("plan");
        let published = publish(&self.transfer, &plan, &places(), input, &self.scratch()).await;
        published.map_err(|error| error.code())
    }

    async fn find(&self, input: &str) -> Result<Option<Manifest>, Code> {
        find(&self.transfer, &places(), input, &self.scratch()).await.map_err(|error| error.code())
    }

    async fn materialise(&self, manifest: &Manifest, target: Target, name: &str) -> Result<PathBuf, Code> {
        let to = self.folder.path().join(name);
        let made = materialise(&self.transfer, manifest, &places(), target, &to).await;
        assert_eq!(made.is_ok(), to.exists(), "the folder is there when it is complete");
        made.map(|()| to).map_err(|error| error.code())
    }
}

fn places() -> Places {
    Places::below(&S3Uri::parse(PREFIX).unwrap())
}

#[tokio::test]
async fn blobs_go_first_once_each_and_the_manifest_last() {
    let rig = Rig::new();
    assert_eq!(rig.find("input").await, Ok(None));
    let manifest = rig.publish("input").await.unwrap();
    let puts: Vec<_> = rig.memory.calls().into_iter().filter(|call| call.starts_with("put")).collect();
    assert_eq!(puts.len(), 5, "four different blobs and the manifest");
    assert_eq!(puts[4], format!("put {PREFIX}/v2/manifest.json"));
    let html = files::sha256(b"<html>");
    assert_eq!(rig.memory.bytes(&format!("{PREFIX}/v2/artifacts/sha256/{}/{html}", &html[..2])).unwrap(), b"<html>");
    assert_eq!(rig.find("input").await, Ok(Some(manifest.clone())));
    assert_eq!(rig.find("other").await, Err(Code::ArtifactDigestMismatch));
    assert_eq!(rig.publish("input").await, Ok(manifest), "the same plan again");
    rig.write("more", "x");
    assert_eq!(rig.publish("input").await, Err(Code::ArtifactDigestMismatch), "another plan");
}

#[tokio::test]
async fn without_all_blobs_there_is_no_manifest() {
    let rig = Rig::new();
    rig.memory.fail("put", Fault::Refused);
    assert_eq!(rig.publish("input").await, Err(Code::StorageRefused));
    assert!(rig.memory.keys().iter().all(|key| !key.ends_with("manifest.json")));
}

#[tokio::test]
async fn each_reader_gets_its_own_files_and_no_more() {
    let rig = Rig::new();
    let manifest = rig.publish("input").await.unwrap();
    let chunk = rig.materialise(&manifest, Target::Chunk(1), "chunk").await.unwrap();
    assert_eq!(files::names(&chunk), [MARKER, "compiled", "meta", "plan.json", "video-frames"]);
    assert_eq!(files::names(&chunk.join("video-frames")), ["clip"]);
    assert_eq!(files::read(&chunk.join("compiled/same.html")).unwrap(), b"<html>");
    let marker: serde_json::Value = serde_json::from_slice(&files::read(&chunk.join(MARKER)).unwrap()).unwrap();
    assert_eq!(marker["manifest"]["planHash"], manifest.plan_hash.as_str());
    assert_eq!(marker["target"], json!({ "kind": "chunk", "chunkIndex": 1 }));
    let assembler = rig.materialise(&manifest, Target::Assembler, "assembler").await.unwrap();
    assert_eq!(files::names(&assembler), [MARKER, "audio.m4a", "plan.json"]);
}

#[tokio::test]
async fn a_blob_that_is_gone_or_another_is_noticed() {
    let rig = Rig::new();
    let manifest = rig.publish("input").await.unwrap();
    rig.memory.fail("get", Fault::WrongByte);
    rig.materialise(&manifest, Target::Chunk(0), "once").await.unwrap();
    let html = files::sha256(b"<html>");
    let blob = format!("{PREFIX}/v2/artifacts/sha256/{}/{html}", &html[..2]);
    rig.memory.insert(&blob, b"<HTML>", &[]);
    assert_eq!(rig.materialise(&manifest, Target::Chunk(0), "other").await, Err(Code::ArtifactDigestMismatch));
    rig.memory.insert(&blob, b"<html>, longer", &[]);
    assert_eq!(rig.materialise(&manifest, Target::Chunk(0), "longer").await, Err(Code::ArtifactDigestMismatch));
    rig.memory.remove(&blob);
    assert_eq!(rig.materialise(&manifest, Target::Chunk(0), "gone").await, Err(Code::PlanIntegrity));
}

#[test]
fn a_video_cannot_name_a_folder_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let list = r#"{"videos":[],"extracted":[{"videoId":"../../x"}]}"#;
    files::write(&folder.path().join("meta/videos.json"), list.as_bytes()).unwrap();
    assert_eq!(video_folders(folder.path()).unwrap_err().code(), Code::PlanIntegrity);
}
