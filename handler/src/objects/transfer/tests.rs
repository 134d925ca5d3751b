use std::{path::PathBuf, sync::atomic::Ordering};

use super::*;
use crate::objects::memory::{Fault, Memory};

struct Rig {
    memory: Arc<Memory>,
    transfer: Arc<Transfer>,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        let pace = Pace {
            attempts: 3,
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(2),
            silence: Duration::from_millis(200),
            part: 10,
        };
        let transfer = Arc::new(Transfer::new(Arc::clone(&memory) as _, pace));
        Self { memory, transfer, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, content: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{}.in", files::sha256(content.as_bytes())));
        files::remove(&path);
        files::write(&path, content.as_bytes()).unwrap();
        path
    }

    async fn store(&self, content: &str, overwrite: Overwrite) -> std::result::Result<Moved, Trouble> {
        let about = Description { content_type: "text/plain", metadata: BTreeMap::new() };
        let stored = self.transfer.store(&self.file(content), &uri("k"), about, overwrite).await;
        stored.map_err(|error| error.trouble)
    }

    async fn fetch(&self, expected: Expected) -> std::result::Result<String, Trouble> {
        let to = self.folder.path().join("out");
        let fetched = self.transfer.fetch(&uri("k"), &to, &expected).await.map_err(|error| error.trouble);
        assert_eq!(fetched.is_ok(), to.exists(), "a file is there exactly when the object came");
        let fetched = fetched?;
        let bytes = files::read(&to).unwrap();
        assert_eq!((fetched.bytes, fetched.sha256), (bytes.len() as u64, files::sha256(&bytes)));
        Ok(String::from_utf8(bytes).unwrap())
    }
}

fn uri(key: &str) -> S3Uri {
    S3Uri { bucket: "b".to_owned(), key: key.to_owned() }
}

/// That a file has a text's digest.
fn digest_of(text: &str) -> Expected {
    Expected { sha256: Some(files::sha256(text.as_bytes())), ..Expected::default() }
}

#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    for fault in [Fault::Busy, Fault::WrongByte, Fault::Cut, Fault::Slow(Duration::from_secs(5))] {
        let rig = Rig::new();
        rig.memory.insert("s3://b/k", b"content", &[]);
        rig.memory.fail("get", fault);
        rig.memory.fail("get", fault);
        let expected = digest_of("content");
        assert_eq!(rig.fetch(expected).await.unwrap(), "content", "{fault:?}");
        assert_eq!(rig.memory.calls().len(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn what_stays_wrong_is_told_apart() {
    let rig = Rig::new();
    assert_eq!(rig.fetch(Expected::default()).await, Err(Trouble::Absent));
    assert_eq!(rig.memory.calls().len(), 1, "an absent object is not asked for twice");

    rig.memory.insert("s3://b/k", b"content", &[]);
    let wrong = digest_of("other");
    assert_eq!(rig.fetch(wrong).await, Err(Trouble::WrongBytes));
    assert_eq!(rig.fetch(Expected { bytes: Some(6), ..Expected::default() }).await, Err(Trouble::WrongBytes));
    assert_eq!(rig.fetch(Expected { most: Some(6), ..Expected::default() }).await, Err(Trouble::TooLarge));
    for _ in 0..3 {
        rig.memory.fail("get", Fault::Busy);
    }
    assert_eq!(rig.fetch(Expected::default()).await, Err(Trouble::Busy));
    rig.memory.fail("get", Fault::Refused);
    assert_eq!(rig.fetch(Expected::default()).await, Err(Trouble::Refused));
    assert_eq!(rig.fetch(Expected::default()).await.unwrap(), "content");

    let other = files::sha256(b"other");
    rig.memory.insert("s3://b/k", b"content", &[("sha256", &other)]);
    assert_eq!(rig.fetch(Expected::default()).await, Err(Trouble::WrongBytes), "a digest its writer left counts");
}

#[tokio::test]
async fn an_immutable_object_is_reused_or_refused_and_never_replaced() {
    let rig = Rig::new();
    let first = rig.store("content", Overwrite::Forbidden).await.unwrap();
    assert_eq!(first.metadata["sha256"], files::sha256(b"content"));
    assert_eq!(rig.store("content", Overwrite::Forbidden).await.unwrap(), first);
    assert_eq!(rig.store("other", Overwrite::Forbidden).await, Err(Trouble::Exists));
    assert_eq!(rig.memory.bytes("s3://b/k").unwrap(), b"content");
    rig.store("other", Overwrite::Allowed).await.unwrap();
    assert_eq!(rig.memory.bytes("s3://b/k").unwrap(), b"other");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found() {
    for (content, call) in [("content", "put"), ("content in parts", "complete")] {
        let rig = Rig::new();
        rig.memory.fail(call, Fault::Lost);
        rig.store(content, Overwrite::Forbidden).await.unwrap();
        assert_eq!(rig.memory.bytes("s3://b/k").unwrap(), content.as_bytes());
    }
}

#[tokio::test]
async fn large_files_go_in_parts_and_each_part_is_tried_again() {
    let rig = Rig::new();
    for fault in [Fault::Busy, Fault::WrongByte, Fault::Lost] {
        rig.memory.fail("put_part", fault);
    }
    rig.memory.fail("begin", Fault::Busy);
    rig.memory.fail("complete", Fault::Busy);
    let content = "0123456789abcdefghij!";
    let moved = rig.store(content, Overwrite::Forbidden).await.unwrap();
    assert_eq!((moved.bytes, moved.sha256.clone()), (21, files::sha256(content.as_bytes())));
    assert_eq!(rig.memory.bytes("s3://b/k").unwrap(), content.as_bytes());
    let parts = rig.memory.calls().iter().filter(|call| call.starts_with("put_part")).count();
    assert_eq!((parts, rig.memory.open_uploads()), (6, 0));
    assert_eq!(rig.store("another of 21 bytes..", Overwrite::Forbidden).await, Err(Trouble::Exists));
    assert_eq!(rig.memory.open_uploads(), 0, "a refused upload is given up");
}

#[tokio::test]
async fn an_upload_that_fails_is_given_up() {
    let rig = Rig::new();
    rig.memory.fail("put_part", Fault::Refused);
    assert_eq!(rig.store("content in parts", Overwrite::Allowed).await, Err(Trouble::Refused));
    assert_eq!((rig.memory.open_uploads(), rig.memory.bytes("s3://b/k")), (0, None));
}

#[tokio::test]
async fn calls_at_a_time_are_bounded() {
    let rig = Rig::new();
    for index in 0..60 {
        rig.memory.insert(&format!("s3://b/{index}"), b"x", &[]);
        rig.memory.fail("get", Fault::Slow(Duration::from_millis(5)));
    }
    let fetches = (0..60).map(|index| {
        let (transfer, to) = (Arc::clone(&rig.transfer), rig.folder.path().join(index.to_string()));
        async move { transfer.fetch(&uri(&index.to_string()), &to, &Expected::default()).await.map(drop) }
    });
    futures::future::try_join_all(fetches).await.unwrap();
    assert_eq!(rig.memory.most_at_once.load(Ordering::SeqCst), CONCURRENCY);
}
