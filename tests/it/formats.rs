use std::{
    fs,
    path::{Path, PathBuf},
};

use crds::{
    Code,
    line::{FrameSourceKind, Report},
};
use serde_json::{Value, json};
use tests::{
    bins::{bin, producer, render, tool, tool_output},
    fixture::{Folder, SECOND, fixture},
    video::{boxes, frame_hashes, probe, rgb_frame},
};

/// Every format, by the name of an output.
const OUTPUTS: [(&str, &[&str]); 7] = [
    ("v.mp4", &[]),
    ("h265.mp4", &["--codec", "h265"]),
    ("v.mov", &[]),
    ("v.webm", &[]),
    ("frames", &["--format", "png-sequence"]),
    ("v.gif", &["--fps", "15"]),
    ("hls", &["--format", "hls"]),
];

/// Where a player begins: the playlist or the first picture of a folder.
fn played(out: &Path) -> PathBuf {
    let inside = [out.join("index.m3u8"), out.join("frame_%06d.png")];
    if !out.is_dir() {
        return out.to_owned();
    }
    inside.into_iter().find(|path| path.exists()).unwrap_or_else(|| out.join("frame_%06d.png"))
}

/// Decodes with the decoder that knows of opacity; libav's own VP9 decoder does not.
fn decoder(out: &Path) -> &'static [&'static str] {
    if out.extension().is_some_and(|extension| extension == "webm") { &["-c:v", "libvpx-vp9"] } else { &[] }
}

/// One frame as red, green, blue and opacity.
fn rgba_frame(out: &Path, frame: u32) -> Vec<[u8; 4]> {
    let input = played(out);
    let filter = format!(
        "select=eq(n\\,{frame}),scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int+full_chroma_inp,format=rgba"
    );
    let input = ["-i", input.to_str().unwrap(), "-vf", &filter, "-frames:v", "1", "-f", "rawvideo", "-"];
    let arguments: Vec<_> = ["-v", "error"].iter().chain(decoder(out)).chain(&input).copied().collect();
    let output = tool_output("ffmpeg", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks().0.to_vec()
}

#[test]
#[ignore = "needs Chromium"]
fn every_format_is_tagged_and_timed_as_players_expect() {
    let folder = Folder::new();
    let bt709 =
        json!({"color_range": "tv", "color_space": "bt709", "color_primaries": "bt709", "color_transfer": "bt709"});
    let facts = [
        json!({"codec_name": "h264", "codec_tag_string": "avc1", "pix_fmt": "yuv420p", "duration": "1.000000"}),
        json!({"codec_name": "hevc", "codec_tag_string": "hvc1", "pix_fmt": "yuv420p", "duration": "1.000000"}),
        json!({
            "codec_name": "prores", "profile": "4444", "codec_tag_string": "ap4h", "duration": "1.000000",
            // As libav decodes it; its 10 bits are in the upper ones.
            "pix_fmt": "yuva444p12le",
        }),
        json!({"codec_name": "vp9", "pix_fmt": "yuv420p"}),
        json!({"codec_name": "png", "pix_fmt": "rgba"}),
        json!({"codec_name": "gif", "pix_fmt": "bgra"}),
        json!({"codec_name": "h264", "pix_fmt": "yuv420p"}),
    ];
    for ((name, options), mut expected) in OUTPUTS.into_iter().zip(facts) {
        let out = folder.join(name);
        let run = render(&fixture("bars"), &out, options);
        let stream = probe(&played(&out));
        let frames = if name == "v.gif" { 15 } else { 30 };
        assert_eq!((run.output().frames, run.output().width, run.output().height), (frames, 320, 180), "{name}");
        expected["width"] = 320.into();
        expected["height"] = 180.into();
        expected["nb_read_packets"] = frames.to_string().into();
        if !["frames", "v.gif"].contains(&name) {
            expected.as_object_mut().unwrap().extend(bt709.as_object().unwrap().clone());
            expected["r_frame_rate"] = "30/1".into();
        }
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(stream[field], *value, "{name}: {field} of {stream:#}");
        }
    }
    // Upstream's provenance, and the index in front.
    for name in ["h265.mp4", "v.mov"] {
        assert_eq!(probe(&folder.join(name))["tags"]["hyperframes_renderer"], "hyperframes-operator");
        let boxes = boxes(&folder.join(name));
        let place = |name: &str| boxes.iter().position(|found| found == name).unwrap();
        assert!(place("moov") < place("mdat"), "{boxes:?}");
    }
    let stream: Value = serde_json::from_str(&tool(
        "ffprobe",
        &["-v", "error", "-show_streams", "-of", "json", folder.join("v.webm").to_str().unwrap()],
    ))
    .unwrap();
    assert_eq!(stream["streams"][0]["tags"]["ALPHA_MODE"], "1");
}

/// From the colours in its style sheet: half red, a ramp of green, a blue box that moves by 32 pixels a second, and nothing
/// where the page and the root have their backgrounds.
#[test]
#[ignore = "needs Chromium"]
fn what_a_composition_leaves_open_is_transparent() {
    let folder = Folder::new();
    let outputs = ["frames", "v.mov", "v.webm", "v.gif"];
    let render = |name: &str| {
        let out = folder.join(name);
        let run = render(&fixture("alpha"), &out, if name == "frames" { &["--format", "png-sequence"] } else { &[] });
        // The compositor's bitmap is opaque.
        assert_eq!(run.warnings(), []);
        assert!(run.chunks().iter().all(|chunk| chunk.frame_source == FrameSourceKind::Screenshot), "{run:?}");
        out
    };
    let outputs = outputs.map(render);
    for frame in [0, 45, 90] {
        let left = 160 + frame as usize * 32 / 30;
        let [png, mov, webm, gif] = [0, 1, 2, 3].map(|format: usize| rgba_frame(&outputs[format], frame));
        let at = |pixels: &[[u8; 4]], x: usize, y: usize| pixels[y * 320 + x];
        assert_eq!(at(&png, 40, 40), [255, 0, 0, 128]);
        assert_eq!(at(&png, 310, 170), [0, 0, 0, 0]);
        assert_eq!(at(&png, left + 2, 40), [0x30, 0x60, 0xc0, 255], "frame {frame}");
        assert_eq!(at(&png, left - 2, 80)[3], 128 * u8::from(left - 2 < 160));
        for x in (0..320).step_by(8) {
            let ramp = f64::from(at(&png, x, 120)[3]);
            assert!((ramp - (x as f64 + 0.5) / 320.0 * 255.0).abs() <= 1.0, "x {x}: {ramp}");
        }
        // ProRes keeps opacity without loss, in 10 bits; VP9 encodes it like luma; a GIF has all of it or none.
        let furthest = |other: &[[u8; 4]]| png.iter().zip(other).map(|(a, b)| a[3].abs_diff(b[3])).max();
        assert!(furthest(&mov) <= Some(1), "{:?}", furthest(&mov));
        let squares: f64 = png.iter().zip(&webm).map(|(a, b)| f64::from(a[3].abs_diff(b[3])).powi(2)).sum();
        let psnr = 10.0 * (255.0_f64.powi(2) * png.len() as f64 / squares).log10();
        assert!(psnr > 45.0, "opacity of the webm: {psnr} dB");
        let halves = png.iter().zip(&gif).filter(|(a, b)| (a[3] >= 128) != (b[3] == 255)).count();
        assert_eq!(halves, 0, "a GIF's pixels are opaque from a half on");
        for (name, other, away) in [("mov", &mov, 6), ("webm", &webm, 14)] {
            for (x, y) in [(40, 40), (left + 20, 40), (310, 120)] {
                let (a, b) = (at(&png, x, y), at(other, x, y));
                assert!((0..3).all(|part| a[part].abs_diff(b[part]) <= away), "{name} {x},{y}: {b:?} instead of {a:?}");
            }
        }
    }
}

/// The page's background is left out where there can be none, and that of a composition is a part of it.
#[test]
#[ignore = "needs Chromium"]
fn a_compositions_own_background_is_drawn() {
    let folder = Folder::new();
    let body = "<style>body { background: #f80 } [data-composition-id] { background: #16a34a }</style>";
    let project = folder.project("site", "data-no-timeline data-duration=\"0.2\"", body);
    for out in ["frames", "v.mov", "v.gif"].map(|name| folder.join(name)) {
        render(&project, &out, if out.ends_with("frames") { &["--format", "png-sequence"] } else { &[] });
        let [red, green, blue, opacity] = rgba_frame(&out, 0)[90 * 320 + 160];
        let away = [(red, 0x16), (green, 0xa3), (blue, 0x4a)].map(|(level, wanted): (u8, u8)| level.abs_diff(wanted));
        assert!(opacity == 255 && away.iter().all(|levels| *levels < 8), "{out:?}: {red} {green} {blue} {opacity}");
    }
}

/// However the work is cut, the same bytes.
#[test]
#[ignore = "needs Chromium"]
fn three_chunks_make_what_one_makes_in_every_format() {
    let folder = Folder::new();
    for (name, options) in OUTPUTS {
        let digest = |chunks: &str| {
            let out = folder.join(&format!("{chunks}-{name}"));
            let options: Vec<_> = [options, &["--quality", "draft", "--chunks", chunks]].concat();
            let run = render(&fixture("alpha"), &out, &options);
            assert_eq!(run.chunks().len().to_string(), chunks, "{name}");
            run.output().sha256.clone()
        };
        assert_eq!(digest("1"), digest("3"), "{name}");
    }
    // And by hand, with chunks under the names that a folder has them by.
    let (plan, chunks) = (folder.join("plan"), folder.join("chunks"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let project = text(&fixture("alpha"));
    producer(["plan", &project, "-o", &text(&plan), "--format", "png-sequence", "--chunks", "3"]).ok();
    for index in ["0", "1", "2"] {
        producer(["chunk", &text(&plan), index, "-o", &text(&chunks.join(format!("{index}.mov")))]).ok();
    }
    let run = producer(["assemble", &text(&plan), &text(&chunks), "-o", &text(&folder.join("joined"))]).ok();
    assert_eq!(folder.list("joined").len(), 180 + 1);
    assert_eq!(folder.list("joined")[1..3], ["frame_000001.png", "frame_000002.png"]);
    let all: u64 =
        folder.list("joined").iter().map(|name| fs::metadata(folder.join("joined").join(name)).unwrap().len()).sum();
    assert_eq!(run.output().bytes + 65, all, "but for the mark");
}

#[test]
#[ignore = "needs Chromium"]
fn rate_factors_and_bit_rates_are_obeyed() {
    let folder = Folder::new();
    for (name, codec) in [("v.mp4", ""), ("h265.mp4", "h265"), ("v.webm", "")] {
        let bytes = |options: &[&str]| {
            let codec = if codec.is_empty() { vec![] } else { vec!["--codec", codec] };
            let out = folder.join(name);
            let run = render(
                &fixture("motion"),
                &out,
                &[options, &["--quality", "draft", "--frames", "0..120"], &codec].concat(),
            );
            (run.output().bytes, fs::read(out).unwrap())
        };
        let (fine, _) = bytes(&["--crf", "10"]);
        let (coarse, file) = bytes(&["--crf", "45"]);
        assert!(coarse * 3 < fine, "{name}: {coarse} and {fine} bytes");
        if name == "v.mp4" {
            assert!(String::from_utf8_lossy(&file).contains("crf=45.0"));
        }
        // 4 s of 400 kbit/s.
        let (aimed, _) = bytes(&["--bitrate", "400k"]);
        assert!((100_000..400_000).contains(&aimed), "{name}: {aimed} bytes");
    }
}

/// Every CSS pixel becomes a whole number of pixels, and what is drawn has as many details; scripts and style sheets know. (Boxes
/// begin and end with whole CSS pixels, as they do at the composition's own size.)
#[test]
#[ignore = "needs Chromium"]
fn resolutions_are_multiples_of_the_compositions() {
    let folder = Folder::new();
    let body = "<style>p { position: absolute; margin: 0; top: 20px; height: 100px; background: #fff }\n\
         @media (min-resolution: 4dppx) and (width: 480px) { #dense { background: #000 } }</style>\n\
         <svg style=\"position: absolute; left: 0; top: 20px\" width=\"40\" height=\"100\"><rect x=\"10.25\" width=\"0.5\" height=\"100\"/></svg>\n\
         <p id=\"dense\" style=\"left: 50px; width: 10px\"></p>\n\
         <canvas style=\"position: absolute; left: 100px; top: 20px; width: 10px; height: 10px\"></canvas>\n\
         <script>{ const canvas = document.querySelector('canvas'); canvas.width = canvas.height = 10 * devicePixelRatio;\n\
         const context = canvas.getContext('2d'); context.fillRect(3, 0, 1, 40) }</script>";
    let project = folder.project_of_size("site", (480, 270), "data-no-timeline data-duration=\"2\"", body);
    let rendered = |name: &str, options: &[&str]| {
        let out = folder.join(name);
        let run = render(&project, &out, &[options, &["--resolution", "1080p", "--quality", "high"]].concat());
        assert_eq!((run.output().width, run.output().height), (1920, 1080));
        assert!(run.warnings().is_empty(), "{run:#?}");
        out
    };
    let video = rendered("whole.mp4", &["--chunks", "1"]);
    let pixels = rgb_frame(&video, 30);
    let dark = |x: usize| pixels[(90 * 1920 + x) * 3] < 100;
    let columns: Vec<usize> = (0..1920).filter(|x| dark(*x)).collect();
    let expected: Vec<usize> = [41..43, 200..240, 403..404].into_iter().flatten().collect();
    assert_eq!(columns, expected);
    for (name, options) in [("two.mp4", ["--chunks", "2"]), ("slow.mp4", ["--frame-source", "screenshot"])] {
        let other = rendered(name, &options);
        assert!(frame_hashes(&other) == frame_hashes(&video), "{name}");
    }
    let tiny = folder.project_of_size("tiny", (96, 54), "data-no-timeline data-duration=\"1\"", "");
    for (project, size, said) in [
        (&project, "portrait", "same shape"),
        (&project, "square-4k", "same shape"),
        (&tiny, "1080p", "20 times the composition"),
    ] {
        let out = folder.join("no.mp4");
        let run = producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap(), "--resolution", size]);
        let error = run.error().unwrap();
        assert_eq!((run.code, error.code), (2, Code::ConfigInvalid));
        assert!(error.message.contains(said), "{error}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_gif_is_shown_as_often_as_asked_and_a_playlist_names_a_segment_for_every_gop() {
    let folder = Folder::new();
    let gif = |options: &[&str]| {
        render(&fixture("alpha"), &folder.join("v.gif"), &[options, &["--fps", "10"]].concat());
        let bytes = fs::read(folder.join("v.gif")).unwrap();
        let at = bytes.windows(11).position(|window| window == b"NETSCAPE2.0");
        at.map(|at| u16::from_le_bytes([bytes[at + 13], bytes[at + 14]]))
    };
    assert_eq!(gif(&[]), Some(0), "for ever");
    assert_eq!(gif(&["--gif-loop", "3"]), Some(3));
    render(&fixture("alpha"), &folder.join("hls"), &["--format", "hls", "--fps", "30000/1001"]);
    let files = folder.list("hls");
    let playlist = fs::read_to_string(folder.join("hls/index.m3u8")).unwrap();
    let expected = ["init.mp4", "segment_00000.m4s", "segment_00001.m4s", "segment_00002.m4s"];
    assert!(expected.iter().all(|name| files.contains(&(*name).to_owned()) && playlist.contains(name)), "{playlist}");
    for line in ["#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXTINF:2.002000,", "#EXT-X-ENDLIST"] {
        assert!(playlist.lines().any(|found| found == line), "{line}: {playlist}");
    }
    assert_eq!(probe(&folder.join("hls/index.m3u8"))["nb_read_packets"], "180");
}

/// A folder is replaced only while it holds what was written there and nothing else.
#[test]
#[ignore = "needs Chromium"]
fn a_folder_is_an_output_like_a_file() {
    let folder = Folder::new();
    let project = folder.project("site", SECOND, "<p>text</p>");
    let run = |out: &str| {
        let (project, out) = (project.to_str().unwrap(), folder.join(out));
        producer(["render", project, "--format", "png-sequence", "--fps", "4", "-o", out.to_str().unwrap()])
    };
    fs::create_dir(folder.join("frames")).unwrap();
    run("frames").ok();
    fs::remove_file(folder.join("site/index.html")).unwrap();
    folder.project("site", SECOND, "<p>another text</p>");
    run("frames").ok();
    assert_eq!(folder.list("frames").len(), 5);
    let refused = |out: &str, said: &str| {
        let run = run(out);
        let error = run.error().unwrap();
        assert_eq!((run.code, error.code), (1, Code::OutputNotReplaceable), "{error}");
        assert!(error.message.contains(said), "{error}");
    };
    folder.write("frames/mine.txt", "mine");
    refused("frames", "something was changed");
    folder.write("other/mine.txt", "mine");
    refused("other", "something else in it");
    folder.write("file", "mine");
    refused("file", "it is a file");
    refused("site/frames", "lies in the project");
    refused(".", "something else in it");
    assert_eq!(fs::read_to_string(folder.join("frames/mine.txt")).unwrap(), "mine");
}

/// One clear message, before anything is done.
#[test]
fn what_does_not_go_together_is_refused() {
    let folder = Folder::new();
    let project = folder.project("site", SECOND, "<p>text</p>");
    let run = |out: &str, options: &[&str]| {
        let out = folder.join(out);
        let fixed = ["render", project.to_str().unwrap(), "-o", out.to_str().unwrap()];
        producer(fixed.into_iter().chain(options.iter().copied()))
    };
    for (out, options, said) in [
        ("v.webm", &["--format", "mp4"][..], "the output is mp4: name it with .mp4"),
        ("v.mp4", &["--format", "hls"], "the output is hls: which is a folder"),
        ("v", &[], "the output is mp4: name it with .mp4"),
        ("v.avi", &[], "the output is mp4: name it with .mp4"),
        ("v.webm", &["--codec", "h265"], "codec h265 is one of mp4's, and the format is webm"),
        ("v.mov", &["--crf", "20"], "mov has neither a rate factor nor a bit rate"),
        ("v.gif", &["--bitrate", "1M"], "gif has neither a rate factor nor a bit rate"),
        ("v.mp4", &["--gif-loop", "2"], "gifLoop is for gif"),
    ] {
        let run = run(out, options);
        let error = run.error().unwrap_or_else(|| panic!("{run:?}"));
        assert_eq!((run.code, error.code), (2, Code::ConfigInvalid), "{out} {options:?}");
        assert!(error.message.starts_with(said), "{error}");
    }
    for (options, said) in [
        (&["--crf", "52"][..], "52 is not in 0..=51"),
        (&["--crf", "20", "--bitrate", "8M"], "cannot be used with"),
        (&["--bitrate", "fast"], "is not a bit rate"),
        (&["--resolution", "8k"], "write one of 1080p"),
        (&["--codec", "av1"], "possible values: h264, h265"),
    ] {
        let run = run("v.mp4", options);
        assert_eq!(run.code, 64, "{options:?}");
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    assert_eq!(folder.list("."), ["site"]);
}

/// A part of a video has the frames that the whole has there.
#[test]
#[ignore = "needs Chromium"]
fn a_part_and_a_still_show_what_the_whole_shows() {
    let folder = Folder::new();
    let project = fixture("alpha");
    let pictures = |out: &str, options: &[&str]| {
        render(&project, &folder.join(out), &[&["--format", "png-sequence"], options].concat());
    };
    pictures("whole", &[]);
    pictures("part", &["--frames", "70..140", "--chunks", "2"]);
    assert_eq!(folder.list("part").len(), 70 + 1);
    let file = |out: &str, number: u32| fs::read(folder.join(&format!("{out}/frame_{number:06}.png"))).unwrap();
    for frame in [70, 75, 129, 130, 139] {
        assert!(file("whole", frame + 1) == file("part", frame - 70 + 1), "frame {frame}");
    }
    let video = folder.join("part.mp4");
    let run = render(&project, &video, &["--frames", "70..140"]);
    assert_eq!((run.output().frames, &probe(&video)["start_pts"]), (70, &json!(0)));

    let out = folder.join("x.png");
    let still = |options: &[&str]| {
        let fixed = ["still", project.to_str().unwrap(), "-o", out.to_str().unwrap()];
        producer(fixed.into_iter().chain(options.iter().copied()))
    };
    still(&["--at", "2.5s", "--format", "png-sequence"]).ok();
    assert!(fs::read(&out).unwrap() == file("whole", 76), "the same file, opacity and all");
    let twice = still(&["--at", "0s", "--at", "0.01s", "--frame", "150"]).ok();
    assert_eq!(format!("{:?}", twice.reports).matches("x-0.png").count(), 1, "{twice:#?}");
    assert!(folder.list(".").contains(&"x-0.png".to_owned()) && folder.list(".").contains(&"x-150.png".to_owned()));
    // Without transparency it is the mp4's frame.
    let stream = probe(&folder.join("x-0.png"));
    assert_eq!((&stream["pix_fmt"], &stream["width"]), (&json!("rgb24"), &json!(320)));
    let page = rgba_frame(&folder.join("x-0.png"), 0)[170 * 320 + 310];
    assert_eq!(page, [0xff, 0x88, 0, 255], "the page's background");
    for options in [&["--at", "6s"][..], &["--frame", "180"]] {
        let run = still(options);
        assert_eq!((run.code, run.error().unwrap().code), (2, Code::ConfigInvalid), "{options:?}");
    }
    let run = producer(["render", project.to_str().unwrap(), "-o", "no.mp4", "--frames", "100..181"]);
    assert!(run.error().unwrap().message.contains("the composition has 180 frames"), "{run:?}");
}

/// A video may go into a pipe, and nothing else goes with it.
#[test]
#[ignore = "needs Chromium"]
fn a_video_can_be_streamed() {
    let folder = Folder::new();
    let (program, project) = (bin("hf-producer"), fixture("bars"));
    let stream = |options: &[&str]| {
        let fixed = ["render", project.to_str().unwrap(), "-o", "-", "--quality", "draft"];
        let arguments: Vec<_> = fixed.into_iter().chain(options.iter().copied()).collect();
        tool_output(program.to_str().unwrap(), &arguments)
    };
    let video = folder.join("v.webm");
    render(&project, &video, &["--quality", "draft"]);
    let output = stream(&["--format", "webm"]);
    assert!(output.status.success() && output.stdout == fs::read(&video).unwrap());
    assert!(String::from_utf8_lossy(&output.stderr).contains("-: 30 frames"));
    let refused = stream(&["--json"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(64), 0));
    let refused = stream(&["--format", "hls"]);
    assert_eq!(refused.status.code(), Some(2));
}

/// Everything that would fail is found at once, each with its place; what is only warned of is no error.
#[test]
#[ignore = "needs Chromium"]
fn a_project_is_looked_through_without_rendering_it() {
    let folder = Folder::new();
    let body = "<img src=\"gone.png\">\n<img src=\"http://127.0.0.1/far.png\">\n<p>text</p>";
    let bad = folder.project("bad", SECOND, body);
    let lint = |project: &Path, options: &[&str]| {
        producer(["lint", project.to_str().unwrap()].into_iter().chain(options.iter().copied()))
    };
    let errors = |run: &tests::bins::Run| -> Vec<_> {
        let error = |report: &Report| if let Report::Error(failure) = report { Some(failure.clone()) } else { None };
        run.reports.iter().filter_map(error).map(|error| (error.code, error.path, error.line)).collect()
    };
    let run = lint(&bad, &[]);
    let at = |code, line| (code, Some("index.html".to_owned()), Some(line));
    assert_eq!(errors(&run), [at(Code::AssetMissing, 4), at(Code::RemoteAssetUnsupported, 5)], "{run:?}");
    assert_eq!(run.code, 2);
    let run = lint(&bad, &["--strictness", "best-effort"]);
    assert_eq!((errors(&run).len(), run.warnings(), run.code), (1, vec![Code::AssetMissing], 2));
    let run = lint(&fixture("bars"), &[]);
    assert_eq!((run.reports.len(), run.code), (0, 0), "{run:?}");
    assert_eq!(folder.list("."), ["bad"]);
}
