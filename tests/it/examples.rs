use std::{fs, path::Path};

use palette::{IntoColor as _, Lab, Srgb, color_difference::Ciede2000 as _};
use serde_json::{Value, json};
use tests::{
    bins::{hf_reconcile, render},
    fixture::{Folder, copy, fixture, list, root},
    truth::{Truth, sampled},
    video::{frame_count, rgb_frame, ssim_y},
};

const LEAST_SSIM: f64 = 0.98;

/// Reconciles an example as its README says, and compares every video with a plain browser.
fn renders_rightly(name: &str, videos: &[(&str, Value)]) {
    renders_like(name, videos, &root().join("examples").join(name).join("project"));
}

/// The same for a project that a plain browser shows like the example's.
fn renders_like(name: &str, videos: &[(&str, Value)], shown: &Path) {
    let folder = Folder::new();
    copy(&root().join("examples").join(name), folder.path());
    // What a person left there by running the example.
    for leftover in [".status", "out"] {
        let _ = fs::remove_dir_all(folder.join(leftover));
    }
    let outcome = hf_reconcile(&["--once", folder.path().to_str().unwrap()]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    let expected: Vec<_> = videos.iter().map(|(video, _)| format!("{video}.mp4")).collect();
    assert_eq!(folder.list("out"), expected);
    for (video, variables) in videos {
        let video = folder.join(&format!("out/{video}.mp4"));
        looks_like(shown, variables, &video);
    }
}

/// Compares some frames of a video with the project in a plain browser.
pub(crate) fn looks_like(project: &Path, variables: &Value, video: &Path) {
    let truth = Truth::open(project, 30.0, variables);
    let folder = Folder::new();
    for frame in sampled(frame_count(video)) {
        let png = folder.join("truth.png");
        truth.png(frame, &png);
        let ssim = ssim_y(video, frame, &png);
        assert!(ssim >= LEAST_SSIM, "{} frame {frame}: SSIM {ssim}", video.display());
    }
}

#[test]
#[ignore = "needs Chromium"]
fn hello() {
    renders_rightly("hello", &[("hello", json!({}))]);
}

#[test]
#[ignore = "needs Chromium"]
fn kinetic_type() {
    renders_rightly("kinetic-type", &[("kinetic-type", json!({}))]);
}

#[test]
#[ignore = "needs Chromium"]
fn cards() {
    renders_rightly("cards", &[("cards", json!({}))]);
}

#[test]
#[ignore = "needs Chromium"]
fn batch() {
    let title = |city: &str, degrees: i32, sky: &str| json!({ "city": city, "degrees": degrees, "sky": sky });
    renders_rightly(
        "batch",
        &[
            ("lisbon", title("Lisbon", 24, "#f2a541")),
            ("oslo", title("Oslo", -3, "#5b8fb9")),
            ("zurich", title("Zürich", 11, "#7a9e7e")),
        ],
    );
}

/// The runtime alone mounts one level; the page without sub-compositions has the same in it.
#[test]
#[ignore = "needs Chromium"]
fn scenes() {
    renders_like("scenes", &[("scenes", json!({}))], &fixture("scenes-flattened"));
}

/// Every example is known to a test above.
#[test]
fn every_example_is_tested() {
    assert_eq!(list(&root().join("examples")), ["aws", "batch", "cards", "cluster", "hello", "kinetic-type", "scenes"]);
    for name in list(&root().join("examples")) {
        let readme = fs::read_to_string(root().join("examples").join(&name).join("README.md")).unwrap();
        assert_eq!(readme.lines().count(), 3, "{name}/README.md has three lines");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn colours_survive_encoding() {
    let folder = Folder::new();
    let video = folder.join("bars.mp4");
    render(&fixture("bars"), &video, &[]);
    let pixels = rgb_frame(&video, 15);
    let bars =
        [0x00ff_ffff, 0x00c0_c000, 0x0000_c0c0, 0x0000_c000, 0x00c0_00c0, 0x00c0_0000, 0x0020_60c0, 0x0010_1010_u32];
    for (index, colour) in bars.into_iter().enumerate() {
        let [_, r, g, b] = colour.to_be_bytes();
        let at = (90 * 320 + index * 40 + 20) * 3;
        let difference = lab(r, g, b).difference(lab(pixels[at], pixels[at + 1], pixels[at + 2]));
        assert!(difference <= 2.0, "bar {index}, #{colour:06x}: {:?} differs by {difference}", &pixels[at..at + 3]);
    }
}

fn lab(r: u8, g: u8, b: u8) -> Lab<palette::white_point::D65, f64> {
    Srgb::new(r, g, b).into_format::<f64>().into_color()
}
