use std::{fs, path::Path, process::Command, time::Duration};

use crds::Code;
use tests::{
    bins::{Run, bin, run},
    fixture::{Folder, SECOND, fixture},
    media::{H264, video},
    processes::output,
};

/// `hf-producer --json` whose temporary files lie in the test's own folder.
fn producer_in(folder: &Folder) -> Command {
    let mut command = Command::new(bin("hf-producer"));
    command.arg("--json").current_dir(folder.path()).env("TMPDIR", folder.path().join("tmp"));
    std::fs::create_dir_all(folder.path().join("tmp")).unwrap();
    command
}

/// A render of the project `site` into `out.mp4`.
fn render(folder: &Folder, options: &[&str]) -> Run {
    let mut command = producer_in(folder);
    command.args(["render", "site", "-o", "out.mp4"]).args(options);
    run(command)
}

/// Nothing of a failed run is left: no video, no half of one, no browser profile.
#[track_caller]
fn nothing_left(folder: &Folder) {
    let ours: Vec<_> = folder.list("").into_iter().filter(|name| !["site", "tmp"].contains(&name.as_str())).collect();
    assert_eq!(ours, [""; 0]);
    for scratch in folder.list("tmp") {
        assert_eq!(folder.list(&format!("tmp/{scratch}")), [""; 0]);
    }
}

/// The run failed with this code and exit code, said why in these words, and left nothing.
#[track_caller]
fn failed(folder: &Folder, run: &Run, code: Code, exit: i32, words: &[&str]) {
    let failure = run.error().unwrap_or_else(|| panic!("no error in {run:#?}"));
    assert_eq!((failure.code, run.code), (code, exit), "{run:#?}");
    for word in words {
        assert!(failure.to_string().contains(word), "{word:?} is not in: {failure}");
    }
    nothing_left(folder);
}

/// What a browser passes over and leaves the picture as it was meant.
#[test]
#[ignore = "needs Chromium"]
fn what_does_no_harm() {
    let folder = Folder::new();
    folder.write(
        "site/dot.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><rect width=\"9\" height=\"9\"/></svg>",
    );
    folder.write("site/text.js", "document.querySelector('p').textContent = 'Žluťoučký — “kůň”'");
    // No encoding, no timeline, a file above the project's folder that is in it, captions without overrides.
    let html = "<!doctype html><html><body><div data-composition-id=\"main\" data-width=\"320\" data-height=\"180\" data-duration=\"1\" \
                data-composition-variables='{\"a\":1}'><p style=\"font-family: Inter\">Žluťoučký — “kůň”</p><img alt=\"\" src=\"../dot.svg\"></div>\
                <script src=\"text.js\"></script><script>window.__timelines = window.__timelines || {};\
                fetch('caption-overrides.json'); if (document.characterSet !== 'UTF-8') throw Error(document.characterSet)</script></body></html>";
    folder.write("site/index.html", html);
    let run = render(&folder, &["--quality", "draft"]).ok();
    assert_eq!(run.warnings(), [Code::VariablesInvalid, Code::PageNotReady], "{run:#?}");

    folder.write("site/index.html", &html.replace("fetch(", "nobody.knows("));
    std::fs::remove_file(folder.join("out.mp4")).unwrap();
    failed(&folder, &render(&folder, &[]), Code::ScriptError, 2, &["nobody is not defined"]);
}

/// Letters of one width that are drawn with another font, by upstream's rule, are told of.
#[test]
#[ignore = "needs Chromium"]
fn generic_families_of_one_width() {
    let folder = Folder::new();
    for (style, expected) in [
        ("font-family: monospace", vec![Code::FontFetchFailed]),
        ("font-family: ui-monospace, Menlo, monospace", vec![Code::FontFetchFailed]),
        ("font-family: Menlo, monospace", vec![]),
        ("font: 20px monospace", vec![]),
        ("font-family: sans-serif", vec![]),
    ] {
        folder.project("site", SECOND, &format!("<p style=\"{style}\">iiii</p>"));
        let run = render(&folder, &["--quality", "draft"]).ok();
        assert_eq!(run.warnings(), expected, "{style}: {run:#?}");
        std::fs::remove_file(folder.join("out.mp4")).unwrap();
    }
}

/// A browser takes them for 0, or for none.
#[test]
#[ignore = "needs Chromium"]
fn times_that_are_none() {
    let folder = Folder::new();
    let clip = |times: &str| {
        format!("<p id=\"intro\" data-start=\"0\" data-duration=\"1\">A</p><p id=\"other\" {times}>B</p>")
    };
    let wrong = [
        "data-start=\"2s\"",
        "data-start=\"intro.end\"",
        "data-start=\"nosuch + 1\"",
        "data-start=\"0\" data-duration=\"500ms\"",
    ];
    for times in wrong {
        folder.project("site", "data-duration=\"3\"", &clip(times));
        let run = render(&folder, &["--quality", "draft"]).ok();
        assert_eq!(run.warnings(), [Code::CompositionInvalid], "{times}: {run:#?}");
        let value = times.rsplit('"').nth(1).unwrap();
        assert!(format!("{run:?}").contains(value), "{times}: {run:#?}");
        std::fs::remove_file(folder.join("out.mp4")).unwrap();
    }
    for times in [
        "data-start=\"intro\"",
        "data-start=\" intro + 0.5 \"",
        "data-start=\"intro-0.5\"",
        "data-start=\"+1\" data-duration=\"\"",
    ] {
        folder.project("site", "data-duration=\"3\"", &clip(times));
        let run = render(&folder, &["--quality", "draft"]).ok();
        assert_eq!(run.warnings(), [], "{times}: {run:#?}");
        std::fs::remove_file(folder.join("out.mp4")).unwrap();
    }
}

/// Such an image goes after three seconds, in a browser as well.
#[test]
#[ignore = "needs Chromium"]
fn an_image_that_does_not_say_how_long_it_is_there() {
    let folder = Folder::new();
    let dot = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E";
    let image = |attributes: &str| format!("<img class=\"clip\" src=\"{dot}\" {attributes}>");
    let [brief, long] = ["", "data-duration=\"5\""].map(|more| image(&format!("id=\"dot\" data-start=\"1\" {more}")));
    let last = image("data-start=\"2\"");
    for (body, expected) in [(brief, vec![Code::CompositionInvalid]), (long, vec![]), (last, vec![])] {
        folder.project("site", "data-duration=\"5\"", &body);
        let run = render(&folder, &["--quality", "draft"]).ok();
        assert_eq!(run.warnings(), expected, "{body}: {run:#?}");
        std::fs::remove_file(folder.join("out.mp4")).unwrap();
    }
}

#[test]
fn a_project_without_an_entry() {
    let folder = Folder::new();
    failed(&folder, &render(&folder, &[]), Code::ProjectNotFound, 2, &["site"]);
    folder.write("site/page.html", "x");
    failed(&folder, &render(&folder, &[]), Code::EntryNotFound, 2, &["index.html"]);
    folder.write("site/index.html", "<p>x</p>");
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &["data-composition-id"]);
    folder.write("site/index.html", "<template>\n<p data-composition-id=\"card\" data-duration=\"1\">x</p></template>");
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &["in a <template>"]);
}

#[test]
#[ignore = "needs Chromium"]
fn durations_that_cannot_be_rendered() {
    let folder = Folder::new();
    folder.project("site", "data-no-timeline", "<p>x</p>");
    failed(&folder, &render(&folder, &[]), Code::DurationUnknown, 2, &["data-duration"]);
    for (duration, code) in [
        ("1e9", Code::DurationOutOfRange),
        ("86400.5", Code::DurationOutOfRange),
        ("0", Code::DurationUnknown),
        ("-3", Code::DurationUnknown),
        ("soon", Code::DurationUnknown),
    ] {
        folder.project("site", &format!("data-no-timeline data-duration=\"{duration}\""), "<p>x</p>");
        let run = render(&folder, &[]);
        failed(&folder, &run, code, 2, &[]);
        // Either the error or the warning before it says where the bad value stands.
        let text = format!("{:?}", run.reports);
        assert!(text.contains("index.html") && text.contains("line: Some(3)"), "{text}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_script_that_throws_is_an_error_if_the_page_needed_it() {
    let folder = Folder::new();
    let throws = "<script>\nthrow new Error('boom');\n</script>";
    let declares = format!("{throws}<script>setTimeout(() => missing());\nif (0) window.__timelines = {{}};</script>");
    folder.project("site", "data-duration=\"1\"", &declares);
    let run = render(&folder, &["--ready-timeout", "3s"]);
    failed(&folder, &run, Code::ScriptError, 2, &["index.html:5: ", "boom"]);

    folder.project("site", SECOND, throws);
    let run = render(&folder, &["--quality", "draft"]).ok();
    assert_eq!(run.warnings(), [Code::ScriptError]);
    assert_eq!(run.output().frames, 30);
}

/// The deadline holds for a page that waits, one whose timeline never comes, and one that never returns.
#[test]
#[ignore = "needs Chromium"]
fn a_page_that_never_becomes_ready() {
    let folder = Folder::new();
    for (attributes, body) in [
        (SECOND, "<script>Object.defineProperty(window, '__renderReady', { get: () => false, set() {} });</script>"),
        ("data-duration=\"1\"", "<script>if (0) window.__timelines = {};</script>"),
        (SECOND, "<script>for (;;);</script>"),
        (SECOND, "<script>addEventListener('load', () => { for (;;); });</script>"),
    ] {
        folder.project("site", attributes, body);
        let run = render(&folder, &["--ready-timeout", "2s"]);
        failed(&folder, &run, Code::PageNotReady, 2, &["2s", "--ready-timeout"]);
    }
    let promise = "<script>window.__hf.buildReady = { map: new Promise(() => {}), data: Promise.resolve() };</script>";
    folder.project("site", SECOND, promise);
    let run = render(&folder, &["--ready-timeout", "2s"]);
    failed(&folder, &run, Code::PageNotReady, 2, &["window.__hf.buildReady has for map ("]);
}

/// What watches for its size, or for coming into view, is told of it while the page gets ready, as by any browser.
#[test]
#[ignore = "needs Chromium"]
fn a_page_that_waits_for_its_layout() {
    let folder = Folder::new();
    for observer in ["ResizeObserver", "IntersectionObserver"] {
        let seen = format!("new {observer}(() => settled()).observe(document.querySelector('div'))");
        for script in [
            format!("window.__hf.buildReady = {{ size: new Promise((settled) => {seen}) }}"),
            format!(
                "const settled = () => (window.__timelines = {{ main: {{ duration: () => 1, pause() {{}}, seek() {{}} }} }}); {seen}"
            ),
        ] {
            folder.project("site", "data-duration=\"0.1\"", &format!("<script>{script}</script>"));
            let run = render(&folder, &["--quality", "draft"]).ok();
            assert!(run.warnings().is_empty(), "{script}: {run:#?}");
        }
    }
}

/// Once the page is ready, a frame that never comes is the watchdog's business.
#[test]
#[ignore = "needs Chromium"]
fn a_page_that_gets_stuck_later() {
    let folder = Folder::new();
    let body = "<script>requestAnimationFrame(function tick(now) { for (; now > 500;); requestAnimationFrame(tick); });</script>";
    folder.project("site", SECOND, body);
    let run = render(&folder, &["--progress-timeout", "2s", "--quality", "draft"]);
    failed(&folder, &run, Code::NoProgress, 1, &["2 s"]);
}

#[test]
fn no_browser() {
    let folder = Folder::new();
    folder.project("site", SECOND, "");
    // The second is the shell script that Debian puts into PATH, which would not end with us.
    let script = folder.write("tmp/wrapper", "#!/bin/sh\nexec sleep 60\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    for browser in ["/nonexistent", script.to_str().unwrap()] {
        let mut command = producer_in(&folder);
        command.args(["render", "site", "-o", "out.mp4"]).env("HF_BROWSER", browser);
        let run = run(command);
        let failure = run.error().unwrap();
        assert_eq!((failure.code, run.code), (Code::BrowserNotFound, 1), "{run:#?}");
        assert!(failure.message.contains("chromium-headless-shell"), "{failure}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn paths_that_leave_the_project() {
    let folder = Folder::new();
    folder.write("tmp/secret.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
    for body in [
        "<img src=\"../tmp/secret.svg\" alt=\"\">",
        "<style>\np { background: url(../tmp/secret.svg) }</style>",
        "<img srcset=\"%2e%2e/tmp/secret.svg 1x\" alt=\"\">",
    ] {
        folder.project("site", SECOND, body);
        failed(&folder, &render(&folder, &[]), Code::PathOutsideProject, 2, &["index.html:", "secret.svg"]);
    }
    folder.project("site", SECOND, "");
    std::os::unix::fs::symlink("../tmp", folder.join("site/link")).unwrap();
    failed(&folder, &render(&folder, &[]), Code::PathOutsideProject, 2, &["link"]);
}

#[test]
#[ignore = "needs Chromium"]
fn what_would_need_the_network() {
    let folder = Folder::new();
    for address in ["https://example.com/x.png", "http://127.0.0.1:1/x.png", "//example.com/x.png"] {
        folder.project("site", SECOND, &format!("<img src=\"{address}\" alt=\"\">"));
        failed(
            &folder,
            &render(&folder, &["--offline"]),
            Code::RemoteAssetUnsupported,
            2,
            &["index.html:4: ", "x.png"],
        );
    }
}

/// What a browser would pass over, each with the place where it is written: an error, or a warning for whoever wants one.
#[test]
#[ignore = "needs Chromium"]
fn defects_by_strictness() {
    let folder = Folder::new();
    let gsap = "<script src=\"https://unpkg.com/gsap@3.12.2/dist/gsap.min.js\"></script>";
    let timeline = "<script>const tl = gsap.timeline({ paused: true }); tl.to('div', { x: 9, duration: 1 }); window.__timelines = { mian: tl }</script>";
    let late_font = "<style>@font-face { font-family: Mine; src: local(Lato) }</style><canvas></canvas><script>const c = document.querySelector('canvas').getContext('2d'); c.font = '20px Mine'; c.fillText('a', 9, 9)</script>";
    for (attributes, body, code, words) in [
        (SECOND, "<img alt=\"\" src=\"img/logo.png\">", Code::AssetMissing, "index.html:4: \"img/logo.png\""),
        (
            SECOND,
            "<style>\np { background: url(a.png) }</style><p>x</p>",
            Code::AssetMissing,
            "index.html:5: \"a.png\"",
        ),
        ("data-duration=\"1\"", &format!("{gsap}{timeline}"), Code::PageNotReady, "mian"),
        (SECOND, "<p style=\"font-family: Gotham\">x</p>", Code::FontFetchFailed, "index.html:4: "),
        (SECOND, late_font, Code::FontFetchFailed, "before its font"),
    ] {
        folder.project("site", attributes, body);
        let run = render(&folder, &[]);
        failed(&folder, &run, code, 2, &[words]);
        let run = render(&folder, &["--strictness", "best-effort", "--quality", "draft"]).ok();
        assert!(run.warnings().contains(&code), "{run:#?}");
        std::fs::remove_file(folder.join("out.mp4")).unwrap();
    }
    // A variable the composition does not declare, and one more when everything is an error.
    folder.project("site", SECOND, "");
    let variables = ["--variables", "{\"titel\": 1}"];
    failed(&folder, &render(&folder, &variables), Code::VariablesInvalid, 2, &["titel"]);
    folder.write("site/index.html", "<div data-composition-id=\"m\" data-no-timeline data-duration=\"1\"></div>");
    failed(&folder, &render(&folder, &["--strictness", "strict"]), Code::CompositionInvalid, 2, &["1080", "1920"]);
}

/// Everything that is wrong is told at once.
#[test]
#[ignore = "needs Chromium"]
fn all_problems_of_a_kind_at_once() {
    let folder = Folder::new();
    folder.project("site", SECOND, "<p data-requires-webgpu></p>\n<p data-requires-webgpu></p>");
    failed(
        &folder,
        &render(&folder, &[]),
        Code::FeatureUnsupported,
        2,
        &["index.html:4: WebGPU", "index.html:5: WebGPU"],
    );
    folder.project(
        "site",
        SECOND,
        "<img alt=\"\" src=\"https://a.example/a.png\">\n<img alt=\"\" src=\"//b.example/b.png\">",
    );
    let words = ["index.html:4: ", "https://a.example/a.png", "index.html:5: ", "b.example/b.png"];
    failed(&folder, &render(&folder, &["--offline"]), Code::RemoteAssetUnsupported, 2, &words);
}

/// A script that may not be loaded is named, not what fails without it.
#[test]
#[ignore = "needs Chromium"]
fn the_cause_is_told_before_its_consequence() {
    let folder = Folder::new();
    let body = |address: &str| {
        format!("<script src=\"{address}\"></script>\n<script>window.__timelines = {{ main: lib.timeline() }}</script>")
    };
    folder.project("site", "data-duration=\"1\"", &body("https://cdn.example/lib.js"));
    let words = ["index.html:4: ", "cdn.example/lib.js"];
    failed(&folder, &render(&folder, &["--offline"]), Code::RemoteAssetUnsupported, 2, &words);
    folder.project("site", "data-duration=\"1\"", &body("lib.js"));
    failed(&folder, &render(&folder, &[]), Code::AssetMissing, 2, &["index.html:4: ", "lib.js"]);
}

/// Workers are listened to: what they load is waited for, and what never ends does not hang the render.
#[test]
#[ignore = "needs Chromium"]
fn workers() {
    let folder = Folder::new();
    folder.project("site", SECOND, "<script>new Worker('worker.js')</script>");
    folder.write("site/data.json", "{}");
    folder.write("site/more.js", "");
    folder.write("site/worker.js", "importScripts('more.js'); fetch('data.json'); new Worker('more.js');");
    let run = render(&folder, &["--quality", "draft"]).ok();
    assert!(run.warnings().is_empty(), "{run:#?}");
    std::fs::remove_file(folder.join("out.mp4")).unwrap();
    folder.write("site/worker.js", "fetch('https://a.example/data.json'); new WebSocket('wss://b.example/');");
    let words = ["a.example/data.json", "wss://b.example/"];
    failed(&folder, &render(&folder, &["--offline"]), Code::RemoteAssetUnsupported, 2, &words);
}

/// What is no file in a project, and what editors and tools leave there, is no part of it.
#[test]
#[ignore = "needs Chromium"]
fn what_does_not_belong_to_a_project() {
    let folder = Folder::new();
    folder.project("site", SECOND, "<img alt=\"\" src=\"pipe.png\"><img alt=\"\" src=\"notes/a.png\">");
    nix::unistd::mkfifo(&folder.join("site/pipe.png"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("site/socket")).unwrap();
    folder.write("site/notes/a.png", "");
    folder.write("site/.index.html.swp", "\0");
    folder.write("site/.hyperframesignore", "/notes/\n");
    failed(&folder, &render(&folder, &[]), Code::AssetMissing, 2, &["\"pipe.png\"", "\"notes/a.png\""]);
    folder.write("site/.hyperframesignore", "{a\n");
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &[".hyperframesignore:1"]);
    folder.write("site/.hyperframesignore", "*\n");
    failed(&folder, &render(&folder, &[]), Code::EntryNotFound, 2, &[".hyperframesignore", "!/index.html"]);
    folder.write("site/.hyperframesignore", &"a\n".repeat(1 << 16));
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &["64 KiB"]);
    std::fs::remove_file(folder.join("site/.hyperframesignore")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.join("site/.hyperframesignore")).unwrap();
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &["is a link"]);
    std::fs::remove_file(folder.join("site/.hyperframesignore")).unwrap();
    std::fs::create_dir(folder.join("site/.hyperframesignore")).unwrap();
    failed(&folder, &render(&folder, &[]), Code::CompositionInvalid, 2, &["not a regular file"]);
}

/// Never a wrong picture: what cannot be drawn rightly yet is refused, also where a script brings it in.
#[test]
#[ignore = "needs Chromium"]
fn what_is_not_supported_yet() {
    let folder = Folder::new();
    folder.write("site/frame.html", "<!doctype html><video src=\"a.mp4\"></video>");
    let elsewhere = Folder::new();
    fs::copy(video(&elsewhere, "a.mp4", 30, "30", H264), folder.join("site/a.mp4")).unwrap();
    for (body, feature) in [
        (
            "<script>{ const host = document.createElement('p'); host.dataset.compositionSrc = 'index.html'; document.querySelector('div').append(host) }</script>",
            "sub-compositions",
        ),
        ("<iframe src=\"frame.html\"></iframe>", "<video> in a document of its own"),
        (
            "<canvas></canvas><script>{ const video = document.createElement('video'); video.src = 'a.mp4'; window.__hf.buildReady = \
             { video: new Promise((loaded) => (video.onloadeddata = loaded)) }; addEventListener('hf-seek', () => \
             document.querySelector('canvas').getContext('2d').drawImage(video, 0, 0)) }</script>",
            "the video a.mp4 is drawn by a script and is not in the document",
        ),
    ] {
        folder.project("site", SECOND, body);
        failed(&folder, &render(&folder, &[]), Code::FeatureUnsupported, 2, &[feature]);
    }
    for (style, family) in [("font-family: Gotham", "Gotham"), ("font-family: 'Comic Sans MS'", "Comic Sans MS")] {
        folder.project("site", SECOND, &format!("<p style=\"{style}\">Text</p>"));
        failed(&folder, &render(&folder, &[]), Code::FontFetchFailed, 2, &[family]);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn variables_that_do_not_fit() {
    let folder = Folder::new();
    let declared = "data-composition-variables='[{\"id\":\"size\",\"type\":\"number\",\"default\":1}]'";
    folder.project("site", &format!("{SECOND} {declared}"), "");
    for (text, word) in [("[1]", "object"), ("{\"size\": \"big\"}", "size"), ("{\"size\": }", "line 1")] {
        folder.write("tmp/variables.json", text);
        let run = render(&folder, &["--variables", "tmp/variables.json"]);
        let failure = run.error().unwrap();
        assert_eq!((failure.code, run.code), (Code::VariablesInvalid, 2), "{run:#?}");
        assert!(failure.to_string().contains(word), "{failure}");
    }
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    for arguments in
        [&["render"] as &[_], &["render", "site", "-o", "x.mp4", "--fps", "0"], &["dance"], &["chunk", "plan", "one"]]
    {
        let mut command = producer_in(&folder);
        let output = output(command.args(arguments));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("--help"));
    }
}

#[test]
fn a_folder_that_is_not_a_plan_is_not_replaced() {
    let folder = Folder::new();
    folder.project("site", SECOND, "");
    folder.write("tmp/mine/notes.txt", "keep");
    let mut command = producer_in(&folder);
    command.args(["plan", "site", "-o", "tmp/mine"]);
    let run = run(command);
    assert_eq!((run.error().unwrap().code, run.code), (Code::OutputNotReplaceable, 1));
    assert_eq!(folder.list("tmp/mine"), ["notes.txt"]);
}

/// A render into `out` where a file system of this kind is mounted, in a mount namespace of its own; standard error
/// ends with the names of what is left there.
fn render_into(folder: &Folder, project: &Path, mount: &str) -> Run {
    for name in ["out", "tmp"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let script = format!(
        "mount -t tmpfs -o size={mount} none out && \
         {{ \"$0\" --json render \"$1\" -o out/video.mp4 --quality high; code=$?; ls -A out >&2; exit $code; }}"
    );
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(bin("hf-producer")).arg(project).current_dir(folder.path());
    // In there everybody is root, to whom the usual folder need not belong.
    command.env("TMPDIR", folder.join("tmp"));
    run(command)
}

#[test]
#[ignore = "needs Chromium"]
fn a_full_disk_and_a_read_only_one() {
    let folder = Folder::new();
    // Full while the plan is written, full while a chunk is, and not writable at all.
    for (mount, code) in [("200k", Code::DiskFull), ("1600k", Code::DiskFull), ("1m,ro", Code::NotWritable)] {
        let run = render_into(&folder, &fixture("motion"), mount);
        let failure = run.error().unwrap_or_else(|| panic!("{mount}: no error in {run:#?}"));
        assert_eq!((failure.code, run.code), (code, 1), "{mount}: {run:#?}");
        assert!(failure.message.contains("out"), "{failure}");
        assert_eq!(run.stderr, "", "{mount}: something is left");
    }
}

/// The system ends a run politely: it says so and leaves nothing.
#[test]
#[ignore = "needs Chromium"]
fn a_run_that_is_interrupted() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("site")).unwrap();
    tests::fixture::copy(&fixture("motion"), &folder.join("site"));
    let mut command = producer_in(&folder);
    command.args(["render", "site", "-o", "out.mp4"]);
    let mut watched = tests::processes::Watched::start(command);
    watched.wait_for("the first frames", |line| line["stage"] == "render" && line["done"].as_u64() > Some(10));
    let children = tests::processes::descendants(watched.pid());
    watched.signal(nix::sys::signal::Signal::SIGTERM);
    watched.wait_for("its error", |line| line["error"]["code"] == "INTERRUPTED");
    assert_eq!(watched.end(), Some(130));
    tests::processes::expect_gone(&children, Duration::from_secs(2));
    nothing_left(&folder);
}
