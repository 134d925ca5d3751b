use std::fs;

use crds::Code;
use tests::{
    bins::{producer, render},
    fixture::Folder,
    media::{H264, RATE, heard, loudness, make, number, numbered, rgb_frames, sound, video},
    video::frame_hashes,
};

const FRAME: (usize, usize) = (320, 180);

/// Renders the project `site` of a folder and reads the number at a place of every frame.
fn shown(folder: &Folder, options: &[&str], place: (usize, usize)) -> Vec<Option<u32>> {
    let out = folder.join("out.mp4");
    let run = render(&folder.join("site"), &out, &[&["--quality", "high"], options].concat());
    assert!(run.warnings().is_empty(), "{run:#?}");
    rgb_frames(&out, FRAME).iter().map(|frame| number(frame, FRAME.0, place, 1)).collect()
}

fn seconds(duration: u32) -> String {
    format!("data-no-timeline data-duration=\"{duration}\"")
}

const PLACE: &str = "style=\"position: absolute; left: 32px; top: 48px\"";
const AT: (usize, usize) = (32, 48);

/// A video shows the picture of each moment, and its sound is as long as the frames.
#[test]
#[ignore = "needs Chromium"]
fn a_video_with_sound() {
    let folder = Folder::new();
    let mut input = numbered(&folder, 60, "30");
    input.extend(["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d=2"].map(str::to_owned));
    make(&folder, "site/clip.mp4", &input, &format!("{H264} -c:a aac -b:a 192k"));
    folder.project(
        "site",
        &seconds(2),
        &format!("<video id=\"clip\" src=\"clip.mp4\" data-start=\"0\" {PLACE}></video>"),
    );
    let numbers = shown(&folder, &[], AT);
    assert_eq!(numbers, (0..60).map(Some).collect::<Vec<_>>());
    let samples = heard(&folder.join("out.mp4"));
    assert!(samples.len().abs_diff(2 * RATE) <= 1024, "{}", samples.len());
    for channel in 0..2 {
        let level = loudness(&samples, channel, 0.1, 1.9);
        assert!((level - 0.3535).abs() < 0.01, "{level}");
    }
}

/// Where in the file a video begins, how fast it plays, that it begins again or holds its last picture; the same in chunks.
#[test]
#[ignore = "needs Chromium"]
fn parts_of_videos_and_their_speed() {
    let folder = Folder::new();
    video(&folder, "site/clip.mp4", 60, "30", H264);
    // What an element says, and the number of each frame; the video is 6 s long.
    type Expected = fn(u32) -> Option<u32>;
    let cases: [(&str, Expected); 10] = [
        ("data-start=\"1\" data-duration=\"1\" data-media-start=\"0.5\"", |f| (30..60).contains(&f).then(|| f - 15)),
        ("data-start=\"0\" data-duration=\"6\" data-playback-rate=\"2\"", |f| Some((2 * f).min(59))),
        ("data-start=\"0\" data-duration=\"6\" loop", |f| Some(f % 60)),
        ("data-start=\"2\" data-playback-rate=\"0.5\"", |f| (60..180).contains(&f).then(|| (f - 60) / 2)),
        ("data-start=\"0\" data-playback-start=\"1\"", |f| (f < 30).then(|| f + 30)),
        ("data-start=\"3\" data-end=\"4\"", |f| (90..120).contains(&f).then(|| f - 90)),
        ("data-start=\"0\" data-duration=\"6\" data-media-start=\"1\" loop", |f| Some(30 + f % 30)),
        ("data-start=\"0\" data-duration=\"6\" data-playback-rate=\"0.1\"", |f| Some(f / 10)),
        ("", |f| (f < 60).then_some(f)),
        ("data-start=\"0\" data-hidden", |_| None),
    ];
    let place = |index: usize| (index / 5 * 160, index % 5 * 36);
    let videos = cases.iter().enumerate().map(|(index, (attributes, _))| {
        let (left, top) = place(index);
        format!("<video src=\"clip.mp4\" muted {attributes} style=\"position: absolute; left: {left}px; top: {top}px\"></video>")
    });
    folder.project("site", &seconds(6), &videos.collect::<String>());
    let rendered = |chunks: &str| {
        let out = folder.join(&format!("{chunks}.mp4"));
        let run = render(&folder.join("site"), &out, &["--quality", "high", "--chunks", chunks]);
        assert!(run.warnings().is_empty() && run.chunks().len().to_string() == chunks, "{run:#?}");
        out
    };
    let whole = rendered("1");
    let frames = rgb_frames(&whole, FRAME);
    assert_eq!(frames.len(), 180);
    for (index, (attributes, expected)) in cases.iter().enumerate() {
        let numbers: Vec<_> = frames.iter().map(|frame| number(frame, FRAME.0, place(index), 1)).collect();
        assert_eq!(numbers, (0..180).map(expected).collect::<Vec<_>>(), "{attributes}");
    }
    assert!(fs::read(rendered("3")).unwrap() == fs::read(whole).unwrap(), "bytes differ in chunks");
}

/// A `rate` that `data-automation` moves is the pictures' and the sound's.
#[test]
#[ignore = "needs Chromium"]
fn speed_ramps_are_followed() {
    let folder = Folder::new();
    video(&folder, "site/clip.mp4", 120, "30", H264);
    sound(&folder, "site/mono.wav", "0.25", 4.0, "-c:a pcm_s16le");
    // Once as fast for a second, then three times as fast.
    let ramp = "data-duration=\"3\" data-automation='{\"version\":1,\"lanes\":[{\"target\":\"rate\",\"points\":[{\"t\":0,\"v\":1},{\"t\":1,\"v\":1},{\"t\":1.000001,\"v\":3}]}]}'";
    let body = format!(
        "<video src=\"clip.mp4\" muted data-start=\"0\" data-media-start=\"0.016\" {ramp} {PLACE}></video>\
         <section data-start=\"0.5\"><audio src=\"mono.wav\" data-start=\"0\" {ramp}></audio></section>"
    );
    folder.project("site", &seconds(3), &body);
    let expected = |frame: u32| Some(if frame < 30 { frame } else { (30 + (frame - 30) * 3).min(119) });
    for chunks in ["1", "3"] {
        assert_eq!(shown(&folder, &["--chunks", chunks], AT), (0..90).map(expected).collect::<Vec<_>>(), "{chunks}");
    }
    let samples = heard(&folder.join("out.mp4"));
    for (at, expected) in [(0.7, 0.25), (1.5, 0.25), (1.9, 0.25), (2.1, 0.0)] {
        let found = loudness(&samples, 0, at - 0.05, at + 0.05);
        assert!((found - expected).abs() < 0.02, "{found} instead of {expected} at {at}");
    }
}

/// What plays in a composition that its host plays from a second on is that much further.
#[test]
#[ignore = "needs Chromium"]
fn hosts_play_from_a_moment_on() {
    let folder = Folder::new();
    video(&folder, "site/clip.mp4", 60, "30", H264);
    sound(&folder, "site/mono.wav", "0.25|0", 4.0, "-c:a pcm_s16le");
    sound(&folder, "site/step.wav", "0|if(gte(t\\,1)\\,0.5\\,0)", 1.5, "-c:a pcm_s16le");
    // Where it stands, what it says, and the number of each frame: the host is there from second 1 to 3, and plays from 1 on.
    type Expected = fn(u32) -> Option<u32>;
    let cases: [(&str, Expected); 7] = [
        ("data-start=\"0\" data-duration=\"3\" loop", |f| (30..90).contains(&f).then_some(f % 60)),
        ("data-start=\"0\" data-duration=\"3\" data-media-start=\"1.5\" loop", |f| {
            (30..90).contains(&f).then(|| 45 + f % 15)
        }),
        ("data-start=\"0.5\" data-duration=\"1.5\"", |f| (30..60).contains(&f).then(|| f - 15)),
        ("data-start=\"0\" data-media-start=\"0.5\"", |f| (30..45).contains(&f).then(|| f + 15)),
        ("data-start=\"1.5\" data-duration=\"1\"", |f| (45..75).contains(&f).then(|| f - 45)),
        ("data-start=\"2\"", |f| (60..90).contains(&f).then(|| f - 60)),
        ("data-start=\"0\" data-duration=\"1\"", |_| None),
    ];
    let place = |index: usize| (index / 5 * 160, index % 5 * 36);
    let videos = cases.iter().enumerate().map(|(index, (attributes, _))| {
        let (left, top) = place(index);
        format!("<video src=\"../clip.mp4\" muted {attributes} style=\"position: absolute; left: {left}px; top: {top}px\"></video>")
    });
    let videos: String = videos.collect();
    let scene = format!(
        "<template><div data-composition-id=\"scene\" data-width=\"320\" data-height=\"180\" data-no-timeline>{videos}\
         <audio src=\"../mono.wav\" data-start=\"0.5\" data-duration=\"1.5\" data-fade-in=\"1\"></audio>\
         <audio src=\"../step.wav\" data-start=\"0\" data-duration=\"3\" loop></audio></div></template>"
    );
    folder.write("site/scenes/scene.html", &scene);
    for word in ["playback", "media"] {
        let host = format!(
            "data-start=\"1\" data-duration=\"2\" data-{word}-start=\"1\" data-width=\"320\" data-height=\"180\""
        );
        let body =
            format!("<div data-composition-id=\"scene\" data-composition-src=\"scenes/scene.html\" {host}></div>");
        folder.project("site", &seconds(4), &body);
        let out = folder.join("out.mp4");
        let run = render(&folder.join("site"), &out, &["--quality", "high"]);
        assert!(run.warnings().is_empty(), "{run:#?}");
        let frames = rgb_frames(&out, FRAME);
        for (index, (attributes, expected)) in cases.iter().enumerate() {
            let numbers: Vec<_> = frames.iter().map(|frame| number(frame, FRAME.0, place(index), 1)).collect();
            assert_eq!(numbers, (0..120).map(expected).collect::<Vec<_>>(), "{word}: {attributes}");
        }
        let samples = heard(&out);
        let left = [(0.9, 0.0), (1.1, 0.15), (1.3, 0.2), (1.7, 0.25), (2.1, 0.0)].map(|(at, level)| (0, at, level));
        // A second and a half that begin anew, of which the last half second is loud: from their second second on.
        let right = [(1.2, 0.5), (1.7, 0.0), (2.3, 0.0), (2.7, 0.5)].map(|(at, level)| (1, at, level));
        for (channel, at, expected) in left.into_iter().chain(right) {
            let found = loudness(&samples, channel, at - 0.05, at + 0.05);
            assert!((found - expected).abs() < 0.02, "{found} instead of {expected} at {at}");
        }
    }
}

/// Sound that is longer than the pictures by less than it takes to code it does not have the last one stand still.
#[test]
#[ignore = "needs Chromium"]
fn what_repeats_has_no_picture_too_many() {
    let folder = Folder::new();
    let mut input = numbered(&folder, 15, "30");
    input.extend(["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d=0.56"].map(str::to_owned));
    make(&folder, "site/clip.mp4", &input, &format!("{H264} -c:a aac -b:a 192k"));
    folder.project(
        "site",
        &seconds(3),
        &format!("<video src=\"clip.mp4\" data-start=\"0\" data-duration=\"3\" loop {PLACE}></video>"),
    );
    assert_eq!(shown(&folder, &[], AT), (0..90).map(|frame| Some(frame % 15)).collect::<Vec<_>>());
}

/// The runtime grades the colours of videos as of images, also by a table that lies beside a sub-composition.
#[test]
#[ignore = "needs Chromium"]
fn colours_are_graded() {
    let folder = Folder::new();
    let red = ["-f", "lavfi", "-i", "color=red:size=64x64:rate=30:duration=1"].map(str::to_owned);
    make(&folder, "site/red.mp4", &red, H264);
    // Red becomes green.
    let corner = |at: usize| format!("{} {} {}\n", at >> 2, at & 1, (at >> 1) & 1);
    let table = format!("LUT_3D_SIZE 2\n{}", (0..8).map(corner).collect::<String>());
    folder.write("site/scenes/swap.cube", &table);
    let scene = "<template><div data-composition-id=\"scene\" data-width=\"32\" data-height=\"32\" data-no-timeline>\
        <video src=\"../red.mp4\" muted data-start=\"0\" style=\"width: 32px; height: 32px\" data-color-grading='{\"lut\":{\"src\":\"./swap.cube\",\"intensity\":1}}'></video>\
        </div></template>";
    folder.write("site/scenes/scene.html", scene);
    let host = "<div data-composition-id=\"scene\" data-composition-src=\"scenes/scene.html\" data-start=\"0\" data-duration=\"0.1\"></div>";
    folder.project("site", "data-no-timeline data-duration=\"0.1\"", host);
    let out = folder.join("out.mp4");
    let run = render(&folder.join("site"), &out, &["--quality", "high"]);
    assert!(run.warnings().is_empty(), "{run:#?}");
    for frame in rgb_frames(&out, FRAME) {
        let green = &frame[(16 * FRAME.0 + 16) * 3..][..3];
        assert!(green[0] < 20 && green[1] > 230 && green[2] < 20, "{green:?}");
    }
    folder.write("site/scenes/swap.cube", "none");
    let run = producer(["lint", folder.join("site").to_str().unwrap()]);
    assert_eq!(run.error().unwrap().code, Code::MediaUnreadable);
}

/// Files as cameras and editors make them: rounded and uneven times, frames out of order, beginnings that are cut off.
#[test]
#[ignore = "needs Chromium"]
fn files_of_all_kinds() {
    let folder = Folder::new();
    let rate = ("30000/1001", "data-fps=\"30000/1001\"");
    let all: Vec<_> = (0..60).map(Some).collect();
    for (name, options) in [
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"),
        ("vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M"),
        ("open.mp4", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1 -pix_fmt yuv420p"),
        ("h264.mkv", "-c:v libx264 -bf 2 -g 250 -pix_fmt yuv444p"),
        ("hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1"),
        ("prores.mov", "-c:v prores_ks -profile:v 3"),
        ("mpeg4.avi", "-c:v mpeg4 -q:v 3"),
        ("h264.ts", "-c:v libx264 -bf 3 -g 20 -pix_fmt yuv420p"),
        ("full.mp4", "-c:v libx264 -pix_fmt yuvj420p -color_range pc"),
    ] {
        video(&folder, &format!("site/{name}"), 60, rate.0, options);
        let attributes = format!("data-no-timeline data-duration=\"2.002\" {}", rate.1);
        folder.project(
            "site",
            &attributes,
            &format!("<video src=\"{name}\" data-start=\"0\" data-duration=\"3\" {PLACE}></video>"),
        );
        assert_eq!(shown(&folder, &["--chunks", "2"], AT), all, "{name}");
    }
}

/// The picture of a moment is the last that begins by then, however long pictures last; an edit list says what is shown.
#[test]
#[ignore = "needs Chromium"]
fn uneven_times_and_edit_lists() {
    let folder = Folder::new();
    let input = numbered(&folder, 20, "10");
    // The pictures 0 to 9 last a tenth of a second each, all others three tenths.
    make(
        &folder,
        "site/vfr.mp4",
        &input,
        "-vf setpts=if(lt(N\\,10)\\,N\\,10+(N-10)*3) -fps_mode vfr -video_track_timescale 600 -c:v libx264 -bf 2",
    );
    folder.project(
        "site",
        &seconds(3),
        &format!("<video src=\"vfr.mp4\" data-start=\"0\" data-duration=\"3\" {PLACE}></video>"),
    );
    let expected = |frame: u32| if frame < 30 { frame / 3 } else { 10 + (frame - 30) / 9 };
    assert_eq!(shown(&folder, &[], AT), (0..90).map(|frame| Some(expected(frame))).collect::<Vec<_>>());

    // Copied from the middle of a group of pictures, from the keyframe before: what was before the cut is not shown.
    let whole = video(&folder, "whole.mp4", 90, "30", H264);
    let cut = ["-ss", "0.5", "-i", whole.to_str().unwrap()].map(str::to_owned);
    make(&folder, "site/cut.mp4", &cut, "-c copy");
    folder.project(
        "site",
        &seconds(2),
        &format!("<video src=\"cut.mp4\" data-start=\"0\" data-duration=\"2\" {PLACE}></video>"),
    );
    let numbers = shown(&folder, &[], AT);
    assert_eq!(numbers, (15..75).map(Some).collect::<Vec<_>>());
}

/// A video takes the place that its author gave it, as the same picture in a plain browser does.
#[test]
#[ignore = "needs Chromium"]
fn a_video_is_shown_as_an_image_would_be() {
    let folder = Folder::new();
    let input = numbered(&folder, 30, "30");
    make(&folder, "site/clip.mp4", &input, "-c:v libx264rgb -crf 0 -g 10");
    make(&folder, "truth/clip.png", &input, "-vf select=eq(n\\,12) -frames:v 1");
    let styles = [
        "left: 5px; top: 5px",
        "left: 170px; top: 5px; width: 60px",
        "left: 240px; top: 5px; width: 70px; height: 70px; object-fit: cover; border-radius: 20px",
        "left: 5px; top: 60px; width: 100px; height: 60px; object-fit: contain; background: #205080; border: 3px solid #f40; padding: 4px",
        "left: 130px; top: 60px; width: 80px; transform: rotate(20deg); opacity: 0.5; filter: invert(1)",
        "left: 230px; top: 90px; height: 40px; object-fit: none; object-position: 0 0; mix-blend-mode: difference",
        "left: 5px; top: 140px; width: 90px; height: 30px; object-fit: fill; clip-path: circle(40%)",
    ];
    let page = |element: &dyn Fn(&str) -> String| {
        format!(
            "<div style=\"position: absolute; inset: 0; background: linear-gradient(#8ac, #fda)\"></div>{}",
            styles.iter().map(|style| element(&format!("style=\"position: absolute; {style}\""))).collect::<String>()
        )
    };
    folder.project(
        "site",
        &seconds(1),
        &page(&|style| format!("<video src=\"clip.mp4\" data-start=\"0\" data-media-start=\"0.4\" {style}></video>")),
    );
    folder.project("truth", &seconds(1), &page(&|style| format!("<img alt=\"\" src=\"clip.png\" {style}>")));
    let rendered = |name: &str| {
        let out = folder.join(&format!("{name}.mp4"));
        render(&folder.join(name), &out, &["--quality", "high"]);
        rgb_frames(&out, FRAME).swap_remove(0)
    };
    let (site, truth) = (rendered("site"), rendered("truth"));
    let worst = site.iter().zip(&truth).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    let mean = site.iter().zip(&truth).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / site.len() as f64;
    // Both are encoded: they differ by what x264 leaves out.
    assert!(worst <= 48 && mean < 1.0, "worst {worst}, mean {mean}");
}

/// A chunk that goes through all frames before its own shows videos as any other.
#[test]
#[ignore = "needs Chromium"]
fn videos_beside_scripts_that_go_on_from_frame_to_frame() {
    let folder = Folder::new();
    video(&folder, "site/clip.mp4", 120, "30", H264);
    let body = format!(
        "<video src=\"clip.mp4\" data-start=\"0\" {PLACE}></video><p id=\"p\">Text</p><script>let n = 0;\n\
         requestAnimationFrame(function step() {{ p.style.marginLeft = n++ % 100 + 'px'; requestAnimationFrame(step) }})</script>"
    );
    let project = folder.project("site", &seconds(4), &body);
    let out = folder.join("out.mp4");
    let run = render(&project, &out, &["--quality", "high", "--chunk-size", "60"]);
    assert_eq!((run.warnings(), run.chunks().len()), (vec![Code::NotSeekable], 2));
    let numbers = rgb_frames(&out, FRAME).iter().map(|frame| number(frame, FRAME.0, AT, 1)).collect::<Vec<_>>();
    assert_eq!(numbers, (0..120).map(Some).collect::<Vec<_>>());
}

/// Whatever container it goes into.
#[test]
#[ignore = "needs Chromium"]
fn every_format_that_has_sound_is_heard() {
    let folder = Folder::new();
    sound(&folder, "site/good.wav", "0.5*sin(2*PI*440*t)", 1.0, "-c:a pcm_s16le");
    let project = folder.project("site", &seconds(1), "<audio src=\"good.wav\" data-start=\"0\"></audio>");
    for (name, options, played) in
        [("v.mov", &[][..], "v.mov"), ("v.webm", &[], "v.webm"), ("hls", &["--format", "hls"], "hls/index.m3u8")]
    {
        let run = render(&project, &folder.join(name), options);
        assert!(run.warnings().is_empty(), "{name}: {run:#?}");
        assert!(loudness(&heard(&folder.join(played)), 0, 0.2, 0.8) > 0.2, "{name}");
    }
}

/// What is transparent in a video shows what is behind it, also where a high dynamic range is brought into the page's.
#[test]
#[ignore = "needs Chromium"]
fn videos_are_transparent() {
    let folder = Folder::new();
    let red = ("format=rgba,geq=r=255:g=0:b=0", [255, 0, 0]);
    let vp9 = "-c:v libvpx-vp9 -pix_fmt yuva420p -auto-alt-ref 0";
    let hlg = format!("{vp9} -color_trc arib-std-b67 -colorspace bt2020nc -color_primaries bt2020 -color_range tv");
    for (name, (filter, right), options) in [
        ("vp9.webm", red, vp9),
        ("vp8.webm", red, "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0"),
        ("prores.mov", red, "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le"),
        // A signal of 75 %, which is reference white (ITU-R BT.2408, table 1).
        ("hlg.webm", ("format=yuva420p,geq=lum=180:cb=128:cr=128", [229, 229, 229]), &hlg),
    ] {
        let source = format!("color=s=160x90:r=30:d=1,{filter}:a=if(lt(X\\,80)\\,0\\,255)");
        make(&folder, &format!("site/{name}"), &["-f", "lavfi", "-i", &source].map(str::to_owned), options);
        let body = format!(
            "<div style=\"position: absolute; inset: 0; background: #00f\"></div><video src=\"{name}\" data-start=\"0\" style=\"position: absolute; left: 0; top: 0\"></video>"
        );
        folder.project("site", &seconds(1), &body);
        let out = folder.join("out.mp4");
        render(&folder.join("site"), &out, &["--quality", "high"]);
        let frame = rgb_frames(&out, FRAME).swap_remove(20);
        let pixel = |x: usize, y: usize| [0, 1, 2].map(|channel| frame[(y * FRAME.0 + x) * 3 + channel]);
        let near = |found: [u8; 3], wanted: [u8; 3]| found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(
            near(pixel(40, 45), [0, 0, 255]) && near(pixel(120, 45), right),
            "{name}: {:?} {:?}",
            pixel(40, 45),
            pixel(120, 45)
        );
    }
}

/// A video that does not say when it begins does so when its scene is seen first, also where it is over by then otherwise.
#[test]
#[ignore = "needs Chromium"]
fn a_video_begins_with_its_scene() {
    let folder = Folder::new();
    // Every tenth of a second is lighter than the one before.
    let source =
        ["-f", "lavfi", "-i", "color=s=160x90:r=30:d=1,format=yuv420p,geq=lum=20+20*floor(10*T):cb=128:cr=128"];
    make(&folder, "site/v.mp4", &source.map(str::to_owned), "");
    let gsap = "<script src=\"https://unpkg.com/gsap@3.12.2/dist/gsap.min.js\"></script>";
    let body = format!(
        "<div class=\"scene\" style=\"opacity: 0\"><video src=\"v.mp4\" muted style=\"position: absolute; left: 0; top: 0\"></video></div>\
         {gsap}<script>window.__timelines = {{ main: gsap.timeline({{ paused: true }}).set('.scene', {{ opacity: 1 }}, 1.5) }}</script>"
    );
    folder.project("site", "data-duration=\"3\"", &body);
    let level = |name: &str, options: &[&str], frame: usize| {
        let out = folder.join(name);
        render(&folder.join("site"), &out, options);
        rgb_frames(&out, FRAME)[frame][(45 * FRAME.0 + 80) * 3]
    };
    let whole = &["--quality", "high"][..];
    let page = level("whole.mp4", whole, 30);
    for (frame, tenth) in [(46, 0), (61, 5), (73, 9)] {
        let wanted = (20.0 + 20.0 * f64::from(tenth) - 16.0) * 255.0 / 219.0;
        for (name, options) in [("whole.mp4", whole), ("cut.mp4", &["--quality", "high", "--chunk-size", "60"])] {
            let found = f64::from(level(name, options, frame));
            assert!((found - wanted).abs() < 6.0 && page > 250, "frame {frame} of {name}: {found}, not {wanted}");
        }
    }
}

/// Of several sources the first that a browser would play: for this screen, of a type that it knows, and there.
#[test]
#[ignore = "needs Chromium"]
fn a_source_that_can_be_played_is_taken() {
    let folder = Folder::new();
    for (name, colour) in [("red.mp4", "red"), ("green.mp4", "lime")] {
        let source = ["-f", "lavfi", "-i", &format!("color=c={colour}:s=160x90:r=30:d=1")].map(str::to_owned);
        make(&folder, &format!("site/{name}"), &source, "");
    }
    let body = "<video data-start=\"0\" style=\"position: absolute; left: 0; top: 0\"><source src=\"none.webm\" type=\"video/webm\">\
                <source src=\"red.mp4\" type=\"video/x-unknown\"><source src=\"red.mp4\" media=\"(min-width: 5000px)\">\
                <source src=\"green.mp4\" type=\"video/mp4\"></video>";
    folder.project("site", &seconds(1), body);
    let out = folder.join("out.mp4");
    let run = render(&folder.join("site"), &out, &["--quality", "high"]);
    assert_eq!(run.warnings(), []);
    let frame = rgb_frames(&out, FRAME).swap_remove(20);
    let at = (45 * FRAME.0 + 80) * 3;
    assert!(frame[at] < 40 && frame[at + 1] > 215, "{:?}", &frame[at..at + 3]);
}

/// Colours are those of the file, whichever matrix and range it has; a camera that was turned is turned back.
#[test]
#[ignore = "needs Chromium"]
fn colours_and_turns() {
    let folder = Folder::new();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "color=c=0x2060c0:s=160x90:r=30:d=1,format=rgb24,drawbox=x=0:y=0:w=40:h=90:c=0xe0a010:t=fill",
    ]
    .map(str::to_owned);
    let pixel = |frame: &[u8], x: usize, y: usize| [0, 1, 2].map(|channel| frame[(y * FRAME.0 + x) * 3 + channel]);
    let check = |name: &str, right: (usize, usize), left: (usize, usize)| {
        folder.project(
            "site",
            &seconds(1),
            &format!("<video src=\"{name}\" data-start=\"0\" style=\"position: absolute; left: 0; top: 0\"></video>"),
        );
        let out = folder.join("out.mp4");
        render(&folder.join("site"), &out, &["--quality", "high"]);
        let frame = rgb_frames(&out, FRAME).swap_remove(15);
        for ((x, y), wanted) in [(right, [0x20, 0x60, 0xc0]), (left, [0xe0, 0xa0, 0x10])] {
            let found = pixel(&frame, x, y);
            assert!(
                found.iter().zip(wanted).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 6),
                "{name}: {found:?} is not {wanted:?}"
            );
        }
    };
    for (name, matrix, range, tag) in [
        ("709", "bt709", "tv", "bt709"),
        ("601", "bt601", "tv", "smpte170m"),
        ("full", "bt709", "pc", "bt709"),
        ("none", "bt601", "tv", "unknown"),
    ] {
        let filter = format!(
            "-vf scale=out_color_matrix={matrix}:out_range={range}:flags=accurate_rnd+full_chroma_int,format=yuv444p"
        );
        make(
            &folder,
            &format!("site/{name}.mp4"),
            &source,
            &format!("{filter} -c:v libx264 -crf 5 -colorspace {tag} -color_range {range}"),
        );
        check(&format!("{name}.mp4"), (100, 45), (20, 45));
    }
    let flat = folder.join("site/none.mp4");
    for (degrees, right, left) in
        [("90", (45, 40), (45, 140)), ("180", (40, 45), (140, 45)), ("270", (45, 100), (45, 20))]
    {
        let input = ["-i", flat.to_str().unwrap()].map(str::to_owned);
        make(&folder, "site/turned.mp4", &input, &format!("-c copy -metadata:s:v rotate={degrees}"));
        check("turned.mp4", right, left);
    }
}

/// Reference white of either curve of high dynamic range is a light grey of the page's, what is as bright as it gets is white, and
/// what is dark stays (levels of ITU-R BT.2408, table 1).
#[test]
#[ignore = "needs Chromium"]
fn a_high_dynamic_range_is_brought_into_the_pages() {
    let folder = Folder::new();
    for (curve, white) in [("arib-std-b67", 0.75), ("smpte2084", 0.58)] {
        // Black, grey of 18 %, white, and the most.
        let level = |signal: f64| 64.0 + 876.0 * signal;
        let luma = format!(
            "if(lt(X\\,40)\\,64\\,if(lt(X\\,80)\\,{}\\,if(lt(X\\,120)\\,{}\\,940)))",
            level(0.38),
            level(white)
        );
        let source = format!("color=s=160x90:r=30:d=1,format=yuv420p10le,geq=lum={luma}:cb=512:cr=512");
        let source = ["-f", "lavfi", "-i", &source].map(str::to_owned);
        let tags = format!("-color_trc {curve} -colorspace bt2020nc -color_primaries bt2020 -color_range tv");
        make(
            &folder,
            "site/high.mp4",
            &source,
            &format!("-c:v libx265 -x265-params lossless=1:log-level=none -tag:v hvc1 {tags}"),
        );
        let body = "<video src=\"high.mp4\" data-start=\"0\" style=\"position: absolute; left: 0; top: 0\"></video>";
        folder.project("site", &seconds(1), body);
        let out = folder.join("out.mp4");
        let run = render(&folder.join("site"), &out, &["--quality", "high"]);
        assert!(run.warnings().is_empty(), "{run:#?}");
        let frame = rgb_frames(&out, FRAME).swap_remove(15);
        for (x, wanted) in [(20, 0), (60, 100), (100, 229), (140, 255)] {
            let found = [0, 1, 2].map(|channel| frame[(45 * FRAME.0 + x) * 3 + channel]);
            assert!(found.iter().all(|level: &u8| level.abs_diff(wanted) <= 5), "{curve}: {found:?} is not {wanted}");
        }
    }
}

/// Volumes, channels, speed, parts, what begins again, what is not heard; each where it belongs, to the sample.
#[test]
#[ignore = "needs Chromium"]
fn sound_is_mixed() {
    let folder = Folder::new();
    // A half, but for a second before which is nothing: where it begins is heard to the sample.
    sound(&folder, "site/step.wav", "if(gte(t\\,0.5)\\,0.5\\,0)|if(gte(t\\,0.5)\\,-0.25\\,0)", 2.0, "-c:a pcm_s16le");
    sound(&folder, "site/mono.wav", "0.25", 4.0, "-c:a pcm_s16le");
    let heard_of = |body: &str, duration: u32| {
        folder.project("site", &seconds(duration), body);
        let (project, plan) = (folder.join("site"), folder.join("plan"));
        let run = producer(["plan", project.to_str().unwrap(), "-o", plan.to_str().unwrap()]).ok();
        assert!(run.warnings().is_empty(), "{run:#?}");
        heard(&plan.join("audio.m4a"))
    };
    let step = |samples: &[[f32; 2]], expected: usize| {
        let first = samples.iter().position(|pair| pair[0] > 0.2).unwrap();
        assert!(first.abs_diff(expected) <= 40, "{first} instead of {expected}");
    };
    let level = |samples: &[[f32; 2]], at: f64, expected: [f32; 2]| {
        for (channel, expected) in expected.into_iter().enumerate() {
            let found = loudness(samples, channel, at - 0.05, at + 0.05);
            assert!((found - expected.abs()).abs() < 0.015, "{found} instead of {expected} at {at}");
        }
    };

    let samples = heard_of("<audio src=\"step.wav\" data-start=\"1.25\"></audio>", 4);
    step(&samples, 84_000);
    level(&samples, 2.5, [0.5, 0.25]);
    level(&samples, 3.5, [0.0, 0.0]);

    let samples = heard_of(
        "<audio src=\"step.wav\" data-start=\"0\" data-media-start=\"0.25\" data-playback-rate=\"0.5\" data-volume=\"1.5\" data-duration=\"1.5\"></audio>",
        2,
    );
    level(&samples, 0.3, [0.0, 0.0]);
    level(&samples, 1.2, [0.75, 0.375]);
    level(&samples, 1.8, [0.0, 0.0]);

    let samples = heard_of(
        "<audio src=\"step.wav\" data-start=\"0\" data-media-start=\"1\" data-duration=\"3\" loop></audio><audio src=\"mono.wav\" data-start=\"0\" data-duration=\"4\"></audio>\
         <audio src=\"mono.wav\" data-start=\"0\" data-has-audio=\"false\"></audio><audio src=\"mono.wav\" data-start=\"0\" data-hidden></audio>",
        4,
    );
    level(&samples, 0.5, [0.75, 0.0]);
    level(&samples, 2.5, [0.75, 0.0]);
    level(&samples, 3.5, [0.25, 0.25]);

    let lanes = "{&quot;version&quot;:1,&quot;lanes&quot;:[{&quot;target&quot;:&quot;volume&quot;,&quot;points&quot;:[{&quot;t&quot;:0,&quot;v&quot;:0},{&quot;t&quot;:2,&quot;v&quot;:2}]}]}";
    let samples =
        heard_of(&format!("<audio src=\"mono.wav\" data-start=\"1\" data-automation=\"{lanes}\"></audio>"), 4);
    level(&samples, 2.0, [0.25, 0.25]);
    level(&samples, 3.5, [0.5, 0.5]);

    // What a group automates counts from the beginning of the video.
    let grouped = |group: &str, start: u32| {
        let member = format!(
            "<audio src=\"mono.wav\" data-start=\"{start}\" data-volume=\"2\" data-audio-group=\"bus\"></audio>"
        );
        heard_of(&format!("<hf-audio-group id=\"bus\" {group}></hf-audio-group>{member}"), 4)
    };
    level(&grouped("data-volume=\"0.5\"", 0), 2.0, [0.25, 0.25]);
    let samples = grouped(&format!("data-volume=\"0.5\" data-automation=\"{lanes}\""), 1);
    level(&samples, 1.5, [0.75, 0.75]);

    let samples =
        heard_of("<audio src=\"mono.wav\" data-start=\"0\" data-fade-in=\"1\" data-fade-out=\"2\"></audio>", 4);
    level(&samples, 0.5, [0.125, 0.125]);
    level(&samples, 1.5, [0.25, 0.25]);
    level(&samples, 3.0, [0.125, 0.125]);
}

/// Effects are upstream's: those of a sound, then those of its group, then those of everything.
#[test]
#[ignore = "needs Chromium"]
fn sound_goes_through_effects() {
    let folder = Folder::new();
    sound(&folder, "site/mono.wav", "0.25", 2.0, "-c:a pcm_s16le");
    let chain = |node: &str| format!("data-fx-chain='{{\"version\":1,\"nodes\":[{node}]}}'");
    let gain = |db: f64| chain(&format!("{{\"type\":\"gain\",\"id\":\"n1\",\"params\":{{\"gain\":{db}}}}}"));
    let level = |root: &str, body: &str, at: f64| {
        folder.project("site", &format!("{} {root}", seconds(3)), body);
        let (project, plan) = (folder.join("site"), folder.join("plan"));
        let run = producer(["plan", project.to_str().unwrap(), "-o", plan.to_str().unwrap()]).ok();
        assert!(run.warnings().is_empty(), "{run:#?}");
        loudness(&heard(&plan.join("audio.m4a")), 0, at - 0.05, at + 0.05)
    };
    let near = |found: f32, expected: f32| assert!((found - expected).abs() < 0.01, "{found} instead of {expected}");
    let [half, quadruple] = [-6.0206, 12.0412].map(gain);
    let of = |attributes: &str| format!("<audio src=\"mono.wav\" data-start=\"0\" {attributes}></audio>");

    near(level("", &of(&half), 1.0), 0.125);
    near(level("", &of(&format!("{half} data-volume=\"2\"")), 1.0), 0.25);
    let group = format!("<hf-audio-group id=\"bus\" data-volume=\"0.5\" {quadruple}></hf-audio-group>");
    let members = of("data-audio-group=\"bus\"") + &of(&format!("data-audio-group=\"bus\" {half}"));
    near(level(&half, &(group + &members), 1.0), 0.375);
    // An echo goes on.
    let echo = chain("{\"type\":\"delay\",\"params\":{\"time\":500,\"feedback\":0,\"mix\":1}}");
    let body = of(&format!("{echo} data-duration=\"1\""));
    near(level("", &body, 1.25), 0.25);
    near(level("", &body, 2.25), 0.0);
    // Its parameters move.
    let lanes = "data-automation='{\"version\":1,\"lanes\":[{\"target\":\"fx.n1.gain\",\"points\":[{\"t\":0,\"v\":0},{\"t\":2,\"v\":-12}]}]}'";
    near(level("", &of(&format!("{half} {lanes}")), 1.0), 0.125);
    near(level("", &of(&format!("{half} {lanes}")), 0.1), 0.233);
}

/// Timelines make sound louder and quieter, and what they did lasts.
#[test]
#[ignore = "needs Chromium"]
fn volume_follows_timelines() {
    let folder = Folder::new();
    sound(&folder, "site/mono.wav", "0.5", 6.0, "-c:a pcm_s16le");
    let body = "<audio id=\"music\" src=\"mono.wav\" data-start=\"0\" data-volume=\"1\"></audio>\
        <script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script>\
        <script>const timeline = gsap.timeline({ paused: true }); timeline.to('#music', { volume: 0.2, duration: 2, ease: 'none' }, 1);\
        timeline.to('#music', { volume: 1.5, duration: 0.1, ease: 'none' }, 5); window.__timelines = { main: timeline };</script>\
        <script>{ const made = document.createElement('script'); made.src = URL.createObjectURL(new Blob(['window.made = 1']));\
        made.onload = () => URL.revokeObjectURL(made.src); document.head.append(made) }</script>";
    folder.project("site", "data-duration=\"6\"", body);
    let out = folder.join("out.mp4");
    let run = render(&folder.join("site"), &out, &["--quality", "draft"]);
    assert!(run.warnings().is_empty(), "{run:#?}");
    let samples = heard(&out);
    for (at, expected) in [(0.5, 0.5), (2.0, 0.3), (4.0, 0.1), (5.5, 0.75)] {
        let found = loudness(&samples, 0, at - 0.02, at + 0.02);
        assert!((found - expected).abs() < 0.02, "{found} instead of {expected} at {at}");
    }
}

/// What timelines call may set volumes too.
#[test]
#[ignore = "needs Chromium"]
fn volume_follows_what_timelines_call() {
    let folder = Folder::new();
    sound(&folder, "site/left.wav", "0.5|0", 4.0, "-c:a pcm_s16le");
    sound(&folder, "site/right.wav", "0|0.5", 4.0, "-c:a pcm_s16le");
    let body = "<audio id=\"left\" src=\"left.wav\" data-start=\"0\"></audio><audio id=\"right\" src=\"right.wav\" data-start=\"0\"></audio>\
        <script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script>\
        <script>const timeline = gsap.timeline({ paused: true }), fade = { level: 0 }; const named = (id) => document.getElementById(id);\
        named('right').volume = 0.8;\
        timeline.to(fade, { level: 1, duration: 4, ease: 'none', onUpdate: () => (named('left').volume = fade.level) });\
        timeline.call(() => (named('right').volume = 0.2), null, 2); window.__timelines = { main: timeline };</script>";
    folder.project("site", "data-duration=\"4\"", body);
    let out = folder.join("out.mp4");
    let run = render(&folder.join("site"), &out, &["--quality", "draft"]);
    assert!(run.warnings().is_empty(), "{run:#?}");
    let samples = heard(&out);
    for (channel, at, expected) in
        [(0, 0.05, 0.006), (0, 2.0, 0.25), (0, 3.8, 0.475), (1, 0.1, 0.4), (1, 1.9, 0.4), (1, 2.1, 0.1), (1, 3.9, 0.1)]
    {
        let found = loudness(&samples, channel, at - 0.02, at + 0.02);
        assert!((found - expected).abs() < 0.02, "{found} instead of {expected} at {at}");
    }
}

/// What is not there or cannot be read is left out and told of; an error only for who is strict.
#[test]
#[ignore = "needs Chromium"]
fn what_cannot_be_played_is_told() {
    let folder = Folder::new();
    let whole = video(&folder, "whole.mp4", 60, "30", &format!("{H264} -movflags +faststart"));
    let bytes = fs::read(whole).unwrap();
    fs::create_dir_all(folder.join("site")).unwrap();
    fs::write(folder.join("site/cut.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(folder.join("site/head.mp4"), &bytes[..40]).unwrap();
    fs::write(folder.join("site/empty.mp4"), "").unwrap();
    fs::write(folder.join("site/text.mp4"), "#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n").unwrap();
    fs::write(folder.join("site/text.mp3"), "ffconcat version 1.0\nfile '/etc/hostname'\n").unwrap();
    sound(&folder, "site/good.wav", "0.25", 1.0, "-c:a pcm_s16le");
    let project = folder.join("site");
    let out = folder.join("out.mp4");
    for (element, code) in [
        ("<video id=\"x\" src=\"__VIDEO_SRC__\" data-start=\"0\"></video>", Code::AssetMissing),
        ("<audio id=\"x\" src=\"gone.mp3\" data-start=\"0\"></audio>", Code::AssetMissing),
        ("<video id=\"x\" src=\"head.mp4\" data-start=\"0\"></video>", Code::MediaUnreadable),
        ("<video id=\"x\" src=\"empty.mp4\" data-start=\"0\"></video>", Code::MediaUnreadable),
        ("<video id=\"x\" src=\"text.mp4\" data-start=\"0\"></video>", Code::MediaUnreadable),
        ("<audio id=\"x\" src=\"text.mp3\" data-start=\"0\"></audio>", Code::MediaUnreadable),
        ("<audio id=\"x\" src=\"index.html\" data-start=\"0\"></audio>", Code::MediaUnreadable),
        ("<audio id=\"x\" src=\"good.wav\" data-start=\"0\" data-fx-chain=\"{}\"></audio>", Code::FeatureUnsupported),
        ("<audio id=\"x\" src=\"good.wav\" data-start=\"0\" data-volume=\"50%\"></audio>", Code::CompositionInvalid),
        ("<audio id=\"x\" src=\"good.wav\" data-start=\"0\" muted></audio>", Code::MediaUnreadable),
    ] {
        folder.project("site", &seconds(1), &format!("<audio src=\"good.wav\" data-start=\"0\"></audio>\n{element}"));
        let run = render(&project, &out, &["--quality", "draft"]);
        assert_eq!(run.warnings(), [code], "{element}: {run:#?}");
        let told = run.reports.iter().map(|report| format!("{report:?}")).collect::<String>();
        assert!(told.contains("#x>") && told.contains("index.html"), "{element}: {told}");
        let level = loudness(&heard(&out), 0, 0.2, 0.8);
        let is_heard = [Code::FeatureUnsupported, Code::CompositionInvalid].contains(&code);
        assert!(level > 0.2 && (level > 0.3) == is_heard, "{element}: {level}");
        let strict =
            producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap(), "--strictness", "strict"]);
        assert_eq!(strict.error().map(|error| error.code), Some(code), "{element}");
    }
    // A group is named once, however many go through it.
    let member = "<audio src=\"good.wav\" data-start=\"0\" data-audio-group=\"bus\"></audio>";
    let group = "<hf-audio-group id=\"bus\" data-fx-chain=\"{}\"></hf-audio-group>";
    folder.project("site", &seconds(1), &format!("{group}{member}{member}"));
    let run = render(&project, &out, &["--quality", "draft"]);
    assert_eq!(run.warnings(), [Code::FeatureUnsupported], "{run:#?}");
    assert!(format!("{:?}", run.reports).contains("<hf-audio-group#bus>"), "{run:#?}");
    // Of a file that is cut short no picture is made up.
    let cut = format!("<video src=\"cut.mp4\" data-start=\"0\" data-duration=\"2\" {PLACE}></video>");
    folder.project("site", &seconds(2), &cut);
    let run = producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert_eq!(run.error().map(|error| error.code), Some(Code::MediaUnreadable), "{run:#?}");
    let address = "<video src=\"http://127.0.0.1/a.mp4\" data-start=\"0\"></video>";
    folder.project("site", &seconds(1), address);
    let run = producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert_eq!(run.error().map(|error| error.code), Some(Code::RemoteAssetUnsupported), "{run:#?}");
}

/// Scripts find what they ask videos for, draw them on canvases and make new ones, in the frame that shows them.
#[test]
#[ignore = "needs Chromium"]
fn scripts_and_videos() {
    let folder = Folder::new();
    video(&folder, "site/clip.mp4", 60, "30", H264);
    let body = "<video id=\"clip\" src=\"clip.mp4\" data-start=\"0\" style=\"position: absolute; left: -500px; top: 0\"></video>\
        <canvas id=\"canvas\" width=\"320\" height=\"180\" style=\"position: absolute; left: 0; top: 0\"></canvas>\
        <script>{ const clip = document.getElementById('clip'), context = document.getElementById('canvas').getContext('2d');\
        clip.addEventListener('loadedmetadata', () => { const made = document.createElement('video'); made.src = 'clip.mp4'; made.muted = true;\
        Object.assign(made.dataset, { start: '0.5', duration: '1' }); made.style.cssText = 'position: absolute; left: 100px; top: 100px';\
        if (clip.duration === 2 && clip.videoWidth === 160) document.querySelector('div').append(made) });\
        requestAnimationFrame(function tick() { context.clearRect(0, 0, 320, 180); context.drawImage(clip, 20, 20); requestAnimationFrame(tick) }) }</script>";
    folder.project("site", &seconds(2), body);
    let out = folder.join("out.mp4");
    render(&folder.join("site"), &out, &["--quality", "high", "--chunks", "1"]);
    let frames = rgb_frames(&out, FRAME);
    let numbers = |place| frames.iter().map(|frame| number(frame, FRAME.0, place, 1)).collect::<Vec<_>>();
    assert_eq!(numbers((20, 20)), (0..60).map(Some).collect::<Vec<_>>());
    let made = (0..60).map(|frame: u32| (15..45).contains(&frame).then(|| frame - 15));
    assert_eq!(numbers((100, 100)), made.collect::<Vec<_>>());
    assert_eq!(frame_hashes(&out).len(), 60);
}

/// Animated images show the frame of the moment, counted from when they are shown, as often as they say.
#[test]
#[ignore = "needs Chromium"]
fn animated_images() {
    let folder = Folder::new();
    let input = numbered(&folder, 10, "10");
    make(&folder, "site/forever.gif", &input, "-loop 0");
    make(&folder, "site/once.gif", &input, "-loop -1");
    make(&folder, "site/twice.png", &input, "-f apng -plays 2");
    type Shown = fn(u32) -> u32;
    let forever: Shown = |frame| frame / 3 % 10;
    let images: [(&str, &str, Shown); 4] = [
        ("forever.gif", "", forever),
        ("once.gif", "", |frame| (frame / 3).min(9)),
        ("twice.png", "", |frame| if frame < 60 { frame / 3 % 10 } else { 9 }),
        ("forever.gif", "data-start=\"0.5\" data-duration=\"3\"", |frame| (frame.max(15) - 15) / 3 % 10),
    ];
    let place = |index: usize| (0, index * 36);
    let body = images.iter().enumerate().map(|(index, (file, attributes, _))| {
        let (left, top) = place(index);
        format!("<img alt=\"\" src=\"{file}\" {attributes} style=\"position: absolute; left: {left}px; top: {top}px\">")
    });
    folder.project("site", &seconds(4), &body.collect::<String>());
    let rendered = |chunks: &str| {
        let out = folder.join(&format!("{chunks}.mp4"));
        let run = render(&folder.join("site"), &out, &["--quality", "high", "--chunks", chunks]);
        assert!(run.warnings().is_empty(), "{run:#?}");
        out
    };
    let whole = rendered("1");
    let frames = rgb_frames(&whole, FRAME);
    for (index, (file, attributes, expected)) in images.iter().enumerate() {
        let starts = if attributes.is_empty() { 0..120 } else { 15..105 };
        for (frame, pixels) in frames.iter().enumerate().take(starts.end).skip(starts.start) {
            let found = number(pixels, FRAME.0, place(index), 1);
            assert_eq!(found, Some(expected(u32::try_from(frame).unwrap())), "{file} {attributes} in frame {frame}");
        }
    }
    assert!(fs::read(rendered("2")).unwrap() == fs::read(whole).unwrap(), "bytes differ in chunks");
    // What the composition forbids its own scripts is not forbidden to the producer's.
    let policy = "<script>{ const policy = document.createElement('meta'); policy.httpEquiv = 'Content-Security-Policy';\
                  policy.content = \"connect-src 'none'\"; document.head.append(policy) }</script>";
    let image = "<img alt=\"\" src=\"forever.gif\" style=\"position: absolute; left: 0; top: 0\">";
    folder.project("site", &seconds(1), &format!("{policy}{image}"));
    let frames = rgb_frames(&rendered("1"), FRAME);
    assert_eq!(number(&frames[20], FRAME.0, (0, 0), 1), Some(forever(20)));
    let background = "<p style=\"background: url(forever.gif); width: 90px; height: 90px\"></p>";
    folder.project("site", &seconds(1), background);
    let (project, out) = (folder.join("site"), folder.join("out.mp4"));
    let run = producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    let error = run.error().unwrap();
    assert!(error.code == Code::FeatureUnsupported && error.path.as_deref() == Some("forever.gif"), "{run:#?}");
}
