use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crds::{Code, line::FrameSourceKind};
use serde_json::json;
use tests::{
    bins::{Run, bin, producer, render, run, tool},
    confined::without_reading_memory,
    events::moving_in,
    fixture::{Folder, SECOND, fixture},
    media::make,
    processes::output,
    video::{boxes, frame_hashes, probe},
};

/// Renders a project and returns the video, which lies in the folder.
fn rendered(folder: &Folder, project: &Path, options: &[&str]) -> PathBuf {
    let out = folder.join("out.mp4");
    render(project, &out, options);
    out
}

#[test]
#[ignore = "needs Chromium"]
fn a_video_is_tagged_timed_and_ordered_as_players_expect() {
    let folder = Folder::new();
    let video = rendered(&folder, &fixture("bars"), &[]);
    let stream = probe(&video);
    let expected = json!({
        "codec_name": "h264", "profile": "High", "width": 320, "height": 180, "pix_fmt": "yuv420p", "has_b_frames": 2,
        "color_range": "tv", "color_space": "bt709", "color_primaries": "bt709", "color_transfer": "bt709",
        "r_frame_rate": "30/1", "avg_frame_rate": "30/1", "nb_frames": "30", "nb_read_packets": "30",
        "duration": "1.000000", "start_pts": 0,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(stream[field], *value, "{field}");
    }
    assert_eq!(stream["tags"]["hyperframes_renderer"], "hyperframes-operator");
    let boxes = boxes(&video);
    let place = |name: &str| boxes.iter().position(|found| found == name).unwrap();
    assert!(place("moov") < place("mdat"), "{boxes:?}");
}

/// The option dictionary drops what it does not know, silently: the encoder's own account of its settings counts.
#[test]
#[ignore = "needs Chromium"]
fn the_encoders_settings_are_the_ones_asked_for() {
    let folder = Folder::new();
    let of = |name: &str, body: &str| {
        let html = format!(
            "<div data-composition-id=a data-no-timeline data-width=320 data-height=180 data-duration=1>{body}</div>"
        );
        folder.write(&format!("{name}/index.html"), &html);
        folder.join(name)
    };
    let image = |path: &str, source: &str| {
        make(&folder, path, &["-f", "lavfi", "-i", source].map(str::to_owned), "-frames:v 1");
    };
    let (logo, photograph) = (of("logo", "<img src=image.png>"), of("photograph", "<img src=image.png>"));
    image("logo/image.png", "color=red:size=200x200");
    image("photograph/image.png", "testsrc2=size=320x180,noise=alls=40");
    let canvas = of("canvas", "<canvas></canvas>");
    let shadow = of(
        "shadow",
        "<p></p><script>document.querySelector('p').attachShadow({ mode: 'closed' }).innerHTML = '<canvas></canvas>'</script>",
    );
    let drawn = ["crf=24.0", "subme=0", "ref=1", "bframes=3", "aq=3:0.80", "mbtree=0"];
    let filmed = ["crf=18.0", "subme=1", "ref=1", "bframes=3", "aq=3:0.80", "mbtree=1"];
    for (project, quality, expected) in [
        (&fixture("bars"), "draft", ["crf=28.0", "subme=0", "ref=1", "bframes=0", "aq=3:1.00", "mbtree=0"]),
        (&fixture("bars"), "standard", drawn),
        (&fixture("bars"), "high", ["crf=14.0", "subme=2", "ref=1", "bframes=3", "aq=3:0.80", "mbtree=1"]),
        (&logo, "standard", drawn),
        (&photograph, "standard", filmed),
        (&canvas, "standard", filmed),
        (&shadow, "standard", filmed),
    ] {
        let video = rendered(&folder, project, &["--quality", quality]);
        let bytes = fs::read(&video).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let settings = text.split("options: ").nth(1).unwrap_or_else(|| panic!("no settings in {quality}"));
        let settings: Vec<_> = settings.split('\0').next().unwrap().split_whitespace().collect();
        let always = ["keyint=60", "keyint_min=31", "scenecut=0", "threads=2"];
        for setting in expected.into_iter().chain(always) {
            assert!(settings.contains(&setting), "{project:?}, {quality}: {setting} is not in {settings:?}");
        }
    }
}

#[test]
#[ignore = "needs Chromium"]
fn frame_rates_are_exact() {
    let folder = Folder::new();
    for (rate, frames) in [("24", 48), ("25", 50), ("30000/1001", 60), ("60000/1001", 120), ("60", 120)] {
        let project = folder.project("site", "data-no-timeline data-duration=\"2\"", "<i></i>");
        let stream = probe(&rendered(&folder, &project, &["--fps", rate, "--quality", "draft"]));
        let fraction = if rate.contains('/') { rate.to_owned() } else { format!("{rate}/1") };
        assert_eq!((&stream["r_frame_rate"], &stream["avg_frame_rate"]), (&json!(fraction), &json!(fraction)));
        assert_eq!(stream["nb_read_packets"], json!(frames.to_string()), "{rate}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_composition_decides_what_the_command_line_leaves_open() {
    let folder = Folder::new();
    // Rate from data-fps; duration from a timeline, for the root gives none.
    let body = "<i></i><script>window.__timelines = { main: { duration: () => 1.5, totalDuration: () => 1.5, totalTime() { return this; }, \
                time: () => 0, pause() { return this; }, paused: () => true, seek() {}, getChildren: () => [] } };</script>";
    let project = folder.project("site", "data-fps=\"20\"", body);
    let stream = probe(&rendered(&folder, &project, &["--quality", "draft"]));
    assert_eq!((&stream["r_frame_rate"], &stream["nb_read_packets"]), (&json!("20/1"), &json!("30")));
}

#[test]
#[ignore = "needs Chromium"]
fn odd_and_tiny_sizes_are_padded_to_even() {
    let folder = Folder::new();
    for (width, height, padded) in [(321, 181, (322, 182)), (17, 33, (18, 34))] {
        let html = format!(
            "<body style=\"background:#fff\"><div data-composition-id=\"a\" data-no-timeline data-duration=\"0.5\" \
             data-width=\"{width}\" data-height=\"{height}\"></div></body>"
        );
        folder.write("odd/index.html", &html);
        let (project, out) = (folder.join("odd"), folder.join("odd.mp4"));
        let run = render(&project, &out, &[]);
        assert_eq!((run.output().width, run.output().height), padded);
        assert_eq!(run.chunks()[0].frame_source, FrameSourceKind::CompositorBitmap);
        let pixels = tests::video::rgb_frame(&out, 0);
        let pixel = |x: usize, y: usize| pixels[(y * padded.0 as usize + x) * 3];
        assert!(pixel(width as usize - 1, height as usize - 1) > 240, "the last pixel is white");
        assert!(pixel(width as usize, 0) < 30 && pixel(0, height as usize) < 30, "the padding is black");
    }
}

/// Chromium smooths its edges in another way when it also takes a screenshot, which is no reason to give up.
#[test]
#[ignore = "needs Chromium"]
fn a_layer_that_lies_between_pixels_is_drawn() {
    let folder = Folder::new();
    let body = "<script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script>\
        <style>.box { position: absolute; left: 10px; top: 10px; width: 60px; height: 60px; background: #393 }</style>\
        <div style=\"position: absolute; width: 160px; height: 180px; background: #eee; overflow: hidden\">\
        <div class=\"box\">one</div></div>\
        <script>const timeline = gsap.timeline({ paused: true });\
        timeline.to('.box', { x: 80, duration: 1, ease: 'none' }, 0);\
        window.__timelines = { main: timeline };</script>";
    let project = folder.project("site", "data-duration=\"1\"", body);
    assert_eq!(frame_hashes(&rendered(&folder, &project, &["--quality", "draft"])).len(), 30);
}

/// As in a container, or on Lambda: the same bytes, and nobody has to be told of it.
#[test]
#[ignore = "needs Chromium"]
fn where_memory_may_not_be_read_the_browser_shares_it() {
    let folder = Folder::new();
    let render = |project: &Path, name: &str| {
        let mut command = Command::new(bin("hf-producer"));
        command.args(["--json", "render", "--quality", "draft"]).arg(project).arg("-o").arg(folder.join(name));
        command
    };
    let all = |run: &Run, source| run.chunks().iter().all(|chunk| chunk.frame_source == source);
    let large = moving_in(&folder, (640, 480));
    let read = run(render(&large, "read.mp4")).ok();
    // Wherever the browser's files lie.
    let scratch = folder.join(&format!("a folder: {}", "long".repeat(30)));
    fs::create_dir(&scratch).unwrap();
    let mut command = render(&large, "shared.mp4");
    command.env("TMPDIR", &scratch);
    let shared = run(without_reading_memory(command)).ok();
    assert!(all(&read, FrameSourceKind::CompositorBitmap), "{read:?}");
    assert!(all(&shared, FrameSourceKind::SharedBitmap), "{shared:?}");
    assert_eq!(read.output().sha256, shared.output().sha256);
    assert_eq!(shared.warnings(), []);
    // A small bitmap has no block of memory of its own: that is the slow way, and is said.
    let small = folder.project_of_size("small", (64, 64), SECOND, "<p>small</p>");
    let photographed = run(without_reading_memory(render(&small, "small.mp4"))).ok();
    assert!(all(&photographed, FrameSourceKind::Screenshot), "{photographed:?}");
    assert_eq!(photographed.warnings(), [Code::SlowFrames]);
}

/// Text, clocks, chance, fonts and images that come late are the same in every run.
#[test]
#[ignore = "needs Chromium"]
fn what_is_used_late_is_drawn_in_its_first_frame() {
    let folder = Folder::new();
    let out = rendered(&folder, &fixture("late"), &["--quality", "high"]);
    let shown = |frame: u32, x: usize, y: usize| {
        let pixels = tests::video::rgb_frame(&out, frame);
        let at = (y * 320 + x) * 3;
        <[u8; 3]>::try_from(&pixels[at..at + 3]).unwrap().map(|part| part / 64)
    };
    // From 0.5 s on: a CSS background, an <img> source, and a picture painted into a canvas.
    for x in [40, 120, 200] {
        assert_eq!(shown(14, x, 90), [3, 3, 3], "x {x} before");
        assert_eq!(shown(15, x, 90), [3, 0, 0], "x {x} in the first frame");
        assert_eq!(shown(16, x, 90), [3, 0, 0], "x {x} after");
    }
}

/// `plan`, `chunk` and `assemble` by hand, as another machine would call them.
#[test]
#[ignore = "needs Chromium"]
fn the_three_verbs_make_what_render_makes() {
    let folder = Folder::new();
    let whole = rendered(&folder, &fixture("motion"), &["--quality", "draft", "--chunks", "2"]);
    let (plan, project) = (folder.join("plan"), fixture("motion"));
    let plan = plan.to_str().unwrap();
    let planned = producer(["plan", project.to_str().unwrap(), "-o", plan, "--quality", "draft", "--chunks", "2"]).ok();
    assert_eq!((planned.plan().chunks.len(), planned.plan().total_frames), (2, 600));
    let again = producer(["plan", project.to_str().unwrap(), "-o", plan, "--quality", "draft", "--chunks", "2"]).ok();
    assert_eq!(planned.plan(), again.plan(), "same input, same hash");
    let chunks: Vec<_> =
        (0..2).map(|index| folder.join(&format!("c{index}.mp4")).to_str().unwrap().to_owned()).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        let report = producer(["chunk", plan, &index.to_string(), "-o", chunk]).ok();
        assert_eq!(report.chunks()[0].frames, 300);
    }
    let joined = folder.join("joined.mp4");
    producer(["assemble", plan, &chunks[0], &chunks[1], "-o", joined.to_str().unwrap()]).ok();
    assert!(fs::read(&whole).unwrap() == fs::read(&joined).unwrap());

    // A chunk that is missing, twice there, cut short or of another plan is noticed.
    let assemble = |files: [&str; 2]| {
        let run = producer(["assemble", plan, files[0], files[1], "-o", folder.join("no.mp4").to_str().unwrap()]);
        (run.code, run.error().map(|failure| failure.code.as_str()).unwrap_or_default())
    };
    assert_eq!(assemble([&chunks[1], &chunks[0]]), (1, "CHUNK_INVALID"));
    assert_eq!(assemble([&chunks[0], &chunks[0]]), (1, "CHUNK_INVALID"));
    let short = folder.join("short.mp4");
    fs::write(&short, &fs::read(&chunks[1]).unwrap()[..20_000]).unwrap();
    assert_eq!(assemble([&chunks[0], short.to_str().unwrap()]), (1, "CHUNK_INVALID"));
    assert!(!folder.join("no.mp4").exists());

    // A plan that was touched is refused.
    fs::write(folder.join("plan/compiled/extra.txt"), "x").unwrap();
    let run = producer(["chunk", plan, "0", "-o", folder.join("no.mp4").to_str().unwrap()]);
    assert_eq!((run.code, run.error().unwrap().code.as_str()), (1, "PLAN_HASH_MISMATCH"));
}

/// The hash covers what pixels depend on: files, variables, rate, quality, and how the page is driven.
#[test]
#[ignore = "needs Chromium"]
fn the_plan_hash_follows_its_inputs() {
    let folder = Folder::new();
    let project = folder.project(
        "site",
        "data-no-timeline data-duration=\"1\" data-composition-variables='[{\"id\":\"a\",\"type\":\"number\"}]'",
        "<i></i>",
    );
    folder.write("one.json", "{\"a\": 1}");
    let hash = |options: &[&str]| {
        let (plan, project) = (folder.join("plan"), project.to_str().unwrap().to_owned());
        let mut arguments = vec!["plan", &project, "-o", plan.to_str().unwrap()];
        arguments.extend(options);
        producer(arguments).ok().plan().plan_hash.clone()
    };
    let plain = hash(&[]);
    assert_eq!(hash(&[]), plain);
    assert_eq!(hash(&["--fps", "30"]), plain, "30 is what an unsaid rate comes to");
    let variables = folder.join("one.json");
    let others = [vec!["--fps", "25"], vec!["--quality", "high"], vec!["--variables", variables.to_str().unwrap()]];
    let hashes: Vec<_> = others.iter().map(|options| hash(options)).collect();
    folder.write("site/unused.txt", "x");
    let mut all: Vec<_> = hashes.into_iter().chain([plain, hash(&[])]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
}

#[test]
#[ignore = "needs Chromium"]
fn doctor_knows_this_machine() {
    let said = tool(bin("hf-producer").to_str().unwrap(), &["doctor", "--json"]);
    let diagnosis: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(diagnosis["ready"], true, "{diagnosis:#}");
    assert_eq!(diagnosis["frameSource"], "compositorBitmap");
    assert_eq!(diagnosis["rendererDigest"].as_str().unwrap().len(), 64);
    let mut command = Command::new(bin("hf-producer"));
    command.args(["doctor"]).env("HF_BROWSER", "/nonexistent");
    let output = output(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("MISSING  browser") && text.contains("install chromium-headless-shell"), "{text}");
}

/// Fewer cores, the same bytes.
#[test]
#[ignore = "needs Chromium"]
fn one_core_makes_the_same_bytes() {
    let folder = Folder::new();
    let many = fs::read(rendered(&folder, &fixture("motion"), &["--quality", "draft"])).unwrap();
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(bin("hf-producer")).args(["--json", "render"]).arg(fixture("motion"));
    command.args(["--quality", "draft", "-o"]).arg(folder.join("one.mp4"));
    run(command).ok();
    assert!(many == fs::read(folder.join("one.mp4")).unwrap());
    assert_eq!(frame_hashes(&folder.join("one.mp4")).len(), 600);
}
