use serde_json::json;

use super::*;

/// Made by running upstream's planner; its own reader takes it.
fn upstreams() -> Value {
    json!({
        "protocol": {
            "schemaVersion": 2, "artifactLayout": "content-addressed-plan-v2",
            "hashSchema": "hyperframes-plan-manifest-hash-v2",
        },
        "planHash": "ba9a3af4d848ab80d7afa6fb05ba6d3349a94e248796cd351dc9ceb1c20046a8",
        "sourcePlanV1Hash": "a".repeat(64), "chunkCount": 2, "totalFrames": 60, "fps": 30, "width": 640, "height": 360,
        "format": "mp4", "ffmpegVersion": "ffmpeg version 6.1.1", "producerVersion": "0.8.10",
        "limitations": { "videoDependencyMode": "exact-rendered-frames" },
        "artifacts": [
            { "path": "audio.m4a", "sha256": files::sha256(b"AAC"), "sizeBytes": 3, "chunks": [], "assembler": true },
            { "path": "plan.json", "sha256": files::sha256(b"{}"), "sizeBytes": 2, "chunks": "all", "assembler": true },
        ],
    })
}

fn read(value: &Value) -> Result<Manifest, Code> {
    Manifest::read(value.to_string().as_bytes()).map_err(|failure| failure.code)
}

/// The same with its hash made right again.
fn rehashed(mut value: Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    fields.remove("planHash");
    let hash = hash_of(&value);
    value["planHash"] = hash.into();
    value
}

#[test]
fn the_hash_is_upstreams() {
    assert_eq!(
        hash_of(&json!({ "a": 1, "b": ["x"] })),
        "5fcceebdc460378a0e916a127e67b847badf003daaf76c21f81b1f43d6a7063d"
    );
    let manifest = read(&upstreams()).unwrap();
    assert_eq!(manifest.hash(), manifest.plan_hash);
    assert_eq!(Manifest::read(manifest.text().as_bytes()).unwrap(), manifest);
}

#[test]
fn each_reader_gets_its_files() {
    let manifest = read(&upstreams()).unwrap();
    let paths = |target| manifest.selected(target).map(|artifact| artifact.path.as_str()).collect::<Vec<_>>();
    assert_eq!(paths(Target::Chunk(0)), ["plan.json"]);
    assert_eq!(paths(Target::Assembler), ["audio.m4a", "plan.json"]);
    assert!(manifest.has_audio());
}

#[test]
fn reading_is_strict() {
    let broken = Err(Code::PlanIntegrity);
    let with = |pointer: &str, value: Value| {
        let mut manifest = upstreams();
        *manifest.pointer_mut(pointer).unwrap() = value;
        read(&rehashed(manifest)).map(drop)
    };
    assert_eq!(with("/fps", json!(60)), Ok(()));
    for path in ["../x", "/x", "a//b", "a/./b", "a\\..\\b", "", "a/"] {
        assert_eq!(with("/artifacts/0/path", json!(path)), broken, "{path}");
    }
    assert_eq!(with("/artifacts/0/path", json!("plan.json")), broken, "twice");
    assert_eq!(with("/artifacts/1/path", json!("other.json")), broken, "no plan.json");
    assert_eq!(with("/artifacts/0/sha256", json!("AB".repeat(32))), broken);
    assert_eq!(with("/artifacts/0/sizeBytes", json!(-1)), broken);
    assert_eq!(with("/artifacts/0/chunks", json!([2])), broken);
    assert_eq!(with("/artifacts/0/chunks", json!("some")), broken);
    assert_eq!(with("/fps", json!(0)), broken);
    assert_eq!(with("/format", json!("avi")), broken);
    let mut changed = upstreams();
    changed["totalFrames"] = json!(61);
    assert_eq!(read(&changed).map(drop), broken, "the hash");
    assert_eq!(Manifest::read(b"{").map(drop).map_err(|failure| failure.code), broken);
}

#[test]
fn other_protocols_are_named_as_such() {
    let unsupported = Err(Code::PlanProtocolUnsupported);
    for (field, value) in [("schemaVersion", json!(3)), ("artifactLayout", json!("plan-dir-v1")), ("more", json!(1))] {
        let mut manifest = upstreams();
        manifest["protocol"][field] = value;
        assert_eq!(read(&rehashed(manifest)).map(drop), unsupported);
    }
    let mut none = upstreams();
    none.as_object_mut().unwrap().remove("protocol");
    assert_eq!(read(&none).map(drop), unsupported);
}

/// A plan folder, and what each reader of it gets.
#[test]
fn a_folder_becomes_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let plan = json!({
        "planHash": "b".repeat(64), "producerVersion": "0.1.0", "ffmpegVersion": "libav",
        "dimensions": { "fpsNum": 30000, "fpsDen": 1001, "width": 64, "height": 36, "format": "mp4" },
        "chunkCount": 3, "totalFrames": 90,
    });
    let write = |path: &str, content: &str| files::write(&folder.path().join(path), content.as_bytes()).unwrap();
    write("plan.json", &plan.to_string());
    for path in ["meta/chunks.json", "meta/encoder.json", "meta/composition.json", "meta/videos.json", "audio.m4a"] {
        write(path, path);
    }
    write("compiled/index.html", "<html>");
    write("video-frames/v/frame_00001.png", "png");
    write("video-frames/v/.hf-complete", "");
    write("unknown", "x");
    let manifest = Manifest::of(folder.path()).unwrap();
    assert_eq!(Manifest::read(manifest.text().as_bytes()).unwrap(), manifest);
    assert_eq!((manifest.chunk_count, manifest.fps.to_string().as_str()), (3, "30000/1001"));
    let paths = |target| manifest.selected(target).map(|artifact| artifact.path.as_str()).collect::<Vec<_>>();
    let chunk = [
        "compiled/index.html",
        "meta/chunks.json",
        "meta/composition.json",
        "meta/encoder.json",
        "meta/videos.json",
        "plan.json",
        "unknown",
        "video-frames/v/frame_00001.png",
    ];
    assert_eq!(paths(Target::Chunk(2)), chunk);
    let assembler =
        ["audio.m4a", "meta/chunks.json", "meta/composition.json", "meta/encoder.json", "plan.json", "unknown"];
    assert_eq!(paths(Target::Assembler), assembler);

    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
    assert_eq!(Manifest::of(folder.path()).unwrap_err().code, Code::PlanIntegrity);
    files::remove(&folder.path().join("link"));
    files::remove(&folder.path().join("video-frames/v/.hf-complete"));
    write("video-frames/v/.hf-complete", "x");
    assert_eq!(Manifest::of(folder.path()).unwrap_err().code, Code::PlanIntegrity);
}
