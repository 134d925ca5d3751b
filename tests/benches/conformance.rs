//! How like the page itself videos are, ours and those of upstream's published CLI: the same compositions, beside a plain browser's
//! pictures of them. Run it with `make conformance`.
//!
//! What decides is SSIM of the luma over eight frames of each video, the first and the last among them. Nothing is asserted:
//! `make test` does that for ours. A composition that somebody does not render has the reason in its place.

mod upstream;

use std::path::{Path, PathBuf};

use serde_json::json;
use tests::{
    bins::producer,
    fixture::{Folder, example, fixture},
    truth::{Truth, sampled},
    video::{frame_count, ssim_y},
};

use upstream::{Upstream, with_local_gsap};

/// Frames per second.
const RATE: u32 = 30;

/// Name and folder of each composition, and the page that shows what it should look like, where it is another: the runtime alone mounts
/// one level of sub-compositions.
fn compositions() -> [(&'static str, PathBuf, PathBuf); 6] {
    let same = |name, project: PathBuf| (name, project.clone(), project);
    [
        same("hello", example("hello")),
        same("kinetic-type", example("kinetic-type")),
        same("batch", example("batch")),
        same("cards", example("cards")),
        ("scenes", example("scenes"), fixture("scenes-flattened")),
        same("bars", fixture("bars")),
    ]
}

fn main() {
    let upstream = Upstream::installed().inspect_err(|reason| eprintln!("nothing of upstream's: {reason}")).ok();
    println!("{:16}{:>28}{:>28}", "SSIM-Y, mean and least", "ours", "upstream's");
    for (name, project, shown) in compositions() {
        let folder = Folder::new();
        let (ours, theirs) = (folder.join("ours.mp4"), folder.join("upstream.mp4"));
        let run = producer([
            "render".as_ref(),
            project.as_os_str(),
            "-o".as_ref(),
            ours.as_os_str(),
            "--fps".as_ref(),
            RATE.to_string().as_ref(),
        ]);
        let ours = match run.error() {
            Some(error) => Err(error.code.to_string()),
            None => Ok(ours),
        };
        let theirs = upstream.as_ref().map(|upstream| {
            let project = with_local_gsap(&project, &folder);
            upstream.try_render(&project, &theirs).map(|()| theirs)
        });
        let likeness = |video: Result<PathBuf, String>| {
            video.map_or_else(|reason| reason, |video| likeness(&video, &shown, &folder))
        };
        let theirs = theirs.map_or_else(|| "-".to_owned(), likeness);
        println!("{name:16}{:>28}{theirs:>28}", likeness(ours));
    }
}

/// Mean and least of a video's frames.
fn likeness(video: &Path, shown: &Path, folder: &Folder) -> String {
    let truth = Truth::open(shown, f64::from(RATE), &json!({}));
    let ssim = sampled(frame_count(video)).map(|frame| {
        let png = folder.join(&format!("{frame}.png"));
        truth.png(frame, &png);
        ssim_y(video, frame, &png)
    });
    let ssim: Vec<_> = ssim.collect();
    let mean = ssim.iter().sum::<f64>() / ssim.len() as f64;
    format!("{mean:.5} {:.5}", ssim.iter().copied().fold(1.0, f64::min))
}
