use std::fs;

use tests::{
    bins::{producer, render},
    fixture::{Folder, example, fixture},
    video::frame_hashes,
};

/// Every kind of motion for 20 s, GSAP, CSS, WAAPI, canvas, clip windows, chance and clocks: whole and in chunks.
#[test]
#[ignore = "needs Chromium"]
fn chunks_do_not_change_frames() {
    let folder = Folder::new();
    let rendered = |name: &str, options: &[&str]| {
        let out = folder.join(name);
        (render(&fixture("motion"), &out, options).chunks().len(), out)
    };
    let (_, whole) = rendered("1.mp4", &["--chunks", "1"]);
    let hashes = frame_hashes(&whole);
    assert_eq!(hashes.len(), 600);
    let mut distinct = hashes.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 600, "every frame shows something else");
    // The 8 chunks with one job, the others with as many as there are: neither changes a byte.
    for (count, options) in
        [(2, &["--chunks", "2"] as &[_]), (3, &["--chunks", "3"]), (8, &["--chunks", "8", "--jobs", "1"])]
    {
        let (chunks, video) = rendered(&format!("{count}.mp4"), options);
        assert_eq!(chunks, count);
        assert!(frame_hashes(&video) == hashes, "frames differ with {count} chunks");
        assert!(fs::read(&video).unwrap() == fs::read(&whole).unwrap(), "bytes differ with {count} chunks");
    }
}

/// The examples and the fixtures, all that a composition is made of among them, in 1, 3 and 8 chunks: the same bytes.
#[test]
#[ignore = "needs Chromium"]
fn every_composition_is_the_same_in_any_number_of_chunks() {
    let examples = ["batch", "hello", "kinetic-type", "scenes"].map(example);
    let fixtures = ["alpha", "bars", "late", "scenes-flattened", "static"].map(fixture);
    for project in examples.into_iter().chain(fixtures) {
        let folder = Folder::new();
        let [whole, three, eight] = ["1", "3", "8"].map(|chunks| {
            let out = folder.join(&format!("{chunks}.mp4"));
            render(&project, &out, &["--quality", "draft", "--chunks", chunks]);
            fs::read(out).unwrap()
        });
        assert!(whole == three && whole == eight, "{}", project.display());
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_chunk_is_the_same_every_time() {
    let folder = Folder::new();
    let (plan, project) = (folder.join("plan"), fixture("motion"));
    let plan = plan.to_str().unwrap();
    producer(["plan", project.to_str().unwrap(), "-o", plan, "--chunks", "3"]).ok();
    let chunk = |name: &str| {
        let out = folder.join(name);
        producer(["chunk", plan, "1", "-o", out.to_str().unwrap()]).ok();
        fs::read(out).unwrap()
    };
    let (first, second) = (chunk("a"), chunk("b"));
    assert!(!first.is_empty() && first == second);
}
