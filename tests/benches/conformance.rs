//! How like the page itself videos are, ours and those of upstream's published CLI: the same compositions, beside a plain browser's
//! pictures of them. Run it with `make conformance`.
//!
//! The first table tells SSIM of the luma over eight frames of each video, the first and the last among them. The second has a
//! line for every rule that says where something is in a frame, and in how many of those looked at it is there. Nothing is
//! asserted: `make test` does that for ours. A composition that somebody does not render has the reason in its place.

mod upstream;

use std::path::{Path, PathBuf};

use serde_json::json;
use tests::{
    bins::producer,
    fixture::{Folder, example, fixture},
    lanes::{self, FRAMES, Lane, judged},
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
    println!("{:58}{:>20}{:>20}", "SSIM-Y, mean and least", "ours", "upstream's");
    for (name, project, shown) in compositions() {
        let folder = Folder::new();
        let likeness = |video: Result<PathBuf, String>| {
            video.map_or_else(|reason| reason, |video| likeness(&video, &shown, &folder))
        };
        let (ours, theirs) = by_both(&project, &folder, upstream.as_ref());
        let theirs = theirs.map_or_else(|| "-".to_owned(), likeness);
        println!("{name:58}{:>20}{theirs:>20}", likeness(ours));
    }
    println!("\n{:58}{:>20}{:>20}", "frames in which it is where it should be", "ours", "upstream's");
    let folder = Folder::new();
    for group in lanes::groups(&folder) {
        println!("{}", group.name);
        // Each by itself: what one does must not spoil another.
        for lane in group.lanes.chunks(1) {
            let videos = Folder::new();
            let (ours, theirs) = by_both(&group.write_of(&folder, lane), &videos, upstream.as_ref());
            let theirs = theirs.map_or_else(|| "-".to_owned(), |video| right(lane, video));
            println!("  {:56}{:>20}{theirs:>20}", lane[0].rule, right(lane, ours));
        }
    }
}

/// A project rendered by both; none by upstream's CLI where that is not there.
fn by_both(
    project: &Path,
    folder: &Folder,
    upstream: Option<&Upstream>,
) -> (Result<PathBuf, String>, Option<Result<PathBuf, String>>) {
    let (ours, theirs) = (folder.join("ours.mp4"), folder.join("upstream.mp4"));
    let rate = RATE.to_string();
    let arguments = ["render".as_ref(), project.as_os_str(), "-o".as_ref(), ours.as_os_str()];
    let run = producer(arguments.into_iter().chain(["--fps".as_ref(), rate.as_ref()]));
    let theirs = upstream.map(|upstream| {
        let project = with_local_gsap(project, folder);
        upstream.try_render(&project, &theirs).map(|()| theirs)
    });
    (run.error().map_or(Ok(ours), |error| Err(error.code.to_string())), theirs)
}

/// In how many frames of a video a lane is right.
fn right(lane: &[Lane], video: Result<PathBuf, String>) -> String {
    video.map_or_else(
        |reason| reason,
        |video| {
            let is_right = |frame: &&u32| judged(lane, &video, **frame).iter().all(Result::is_ok);
            format!("{} of {}", FRAMES.iter().filter(is_right).count(), FRAMES.len())
        },
    )
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
