//! The Lambda function's package: it renders where it will run. `make package` builds it and runs these.

use std::{fs, path::PathBuf, process::Command};

use serde_json::json;
use tests::{
    bins::{bin, run},
    confined::without_reading_memory,
    events::{assemble, chunk, moving_in, plan},
    fixture::{Folder, copy},
    lambda::{BUCKET, Environment},
    package::Package,
    rig::Rig,
    sites::archive,
    store::Store,
    video::frame_hashes,
};

/// Size of a frame: its bitmap is large enough to have a block of memory of its own.
const SIZE: (u32, u32) = (640, 480);

/// A folder with a bucket that has a project, and a `/tmp`.
struct Place {
    folder: Folder,
    store: Store,
    project: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        let store = Store::start(&folder.join("bucket"));
        let project = moving_in(&folder, SIZE);
        store.put(&format!("{BUCKET}/sites/x/project.tar.gz"), &archive(&project));
        fs::create_dir(folder.join("tmp")).unwrap();
        Self { folder, store, project }
    }

    /// The browser that the function unpacked, or will.
    fn browser(&self) -> PathBuf {
        let mut unpacked = fs::read_dir(self.folder.join("tmp")).unwrap().map(|entry| entry.unwrap().path());
        let folder = unpacked.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("hf-browser-"));
        folder.expect("an unpacked browser").join("chrome-headless-shell")
    }

    /// The whole way through a function; the answers to `renderChunk`.
    fn render(&self, environment: &mut Environment) -> Vec<serde_json::Value> {
        let config = json!({
            "fps": 30, "format": "mp4", "width": SIZE.0, "height": SIZE.1, "quality": "draft", "chunkSize": 60,
        });
        let plan = environment.invoke(&plan(config)).unwrap();
        let chunks: Vec<_> = (0..2).map(|index| environment.invoke(&chunk(&plan, index)).unwrap()).collect();
        environment.invoke(&assemble(&plan, &chunks)).unwrap();
        chunks
    }

    fn video(&self) -> PathBuf {
        let video = self.folder.join("video.mp4");
        fs::write(&video, self.store.get(&format!("{BUCKET}/outputs/video.mp4")).unwrap()).unwrap();
        video
    }

    /// The same project rendered by this machine's producer with the package's browser.
    fn rendered_here(&self) -> PathBuf {
        let video = self.folder.join("here.mp4");
        let mut command = Command::new(bin("hf-producer"));
        command.env("HF_BROWSER", self.browser()).arg("--json").arg("render").arg(&self.project).arg("-o").arg(&video);
        command.args(["--quality", "draft"]);
        run(command).ok();
        video
    }
}

#[test]
fn a_video_is_made_where_nothing_of_this_machine_is() {
    let (package, place) = (Package::built(), Place::new());
    let program = package.bootstrap(&place.folder.join("tmp"));
    let mut environment = Environment::start_program(program, &place.store, &[("TMPDIR", "/tmp")]);
    println!("cold start {:?}", environment.cold_start);
    let chunks = place.render(&mut environment);
    for chunk in &chunks {
        assert_eq!((&chunk["FrameSource"], &chunk["Warnings"]), (&json!("compositorBitmap"), &json!(null)), "{chunk}");
    }
    let hashes = frame_hashes(&place.video());
    assert_eq!(hashes.len(), 120);
    assert_eq!(hashes, frame_hashes(&place.rendered_here()), "the producer of this machine with the package's browser");

    // And from YAML, through CloudFormation and Step Functions.
    let yaml = place.folder.join("yaml");
    copy(&place.project, &yaml.join("site"));
    place.folder.write("yaml/stack.yaml", STACK);
    place.folder.write("yaml/render.yaml", RENDER);
    let rig = Rig::start_with(&package.zip());
    let (code, said) = rig.once(&yaml, &[]);
    assert_eq!(code, 0, "{said}\n{}", rig.log());
    assert_eq!(hashes, frame_hashes(&yaml.join("r.mp4")), "through AWS");
}

const STACK: &str = "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {name: s}\nspec: {aws: {region: us-east-1}}\n";
const RENDER: &str = "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata: {name: r}\nspec:\n  source: {path: site}\n  \
                      output: {path: r.mp4, quality: draft}\n  chunking: {chunkSize: 60}\n";

#[test]
fn where_memory_may_not_be_read_it_is_shared() {
    let (package, place) = (Package::built(), Place::new());
    let program = without_reading_memory(package.bootstrap(&place.folder.join("tmp")));
    let mut environment = Environment::start_program(program, &place.store, &[("TMPDIR", "/tmp")]);
    for chunk in place.render(&mut environment) {
        assert_eq!((&chunk["FrameSource"], &chunk["Warnings"]), (&json!("sharedBitmap"), &json!(null)), "{chunk}");
    }
    assert_eq!(frame_hashes(&place.video()), frame_hashes(&place.rendered_here()));
}

#[test]
fn every_encoder_works() {
    let (package, folder) = (Package::built(), Folder::new());
    let output = package.encoders(&folder.join("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    for encoder in ["libx264", "libx265", "libvpx-vp9", "prores_ks", "aac", "libopus"] {
        assert!(said.contains(&format!("{encoder}: ")), "{said}");
    }
}
