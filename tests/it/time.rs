use crds::Code;
use tests::{
    bins::{producer, render},
    fixture::Folder,
    lanes::{self, Group},
    video::{frame_hashes, rgb_frame},
};

/// Renders lanes in one chunk and in two, and compares every box with where it should be.
fn check(folder: &Folder, group: &Group) {
    let project = group.write(folder);
    let (whole, cut) = (folder.join("whole.mp4"), folder.join("cut.mp4"));
    render(&project, &whole, &["--chunk-size", "120"]);
    render(&project, &cut, &["--chunk-size", "60"]);
    let judged = lanes::FRAMES.into_iter().flat_map(|frame| lanes::judged(&group.lanes, &whole, frame));
    let wrong: Vec<_> = judged.filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(frame_hashes(&whole), frame_hashes(&cut));
}

#[test]
#[ignore = "needs Chromium"]
fn animations_of_style_sheets_begin_with_their_clip() {
    check(&Folder::new(), &lanes::style_sheets());
}

#[test]
#[ignore = "needs Chromium"]
fn whatever_moves_by_itself_follows_the_frame() {
    check(&Folder::new(), &lanes::scripts());
}

#[test]
#[ignore = "needs Chromium"]
fn what_goes_on_from_frame_to_frame_is_gone_through() {
    check(&Folder::new(), &lanes::from_frame_to_frame());
}

#[test]
#[ignore = "needs Chromium"]
fn timelines_follow_the_frame() {
    check(&Folder::new(), &lanes::timelines());
}

#[test]
#[ignore = "needs Chromium"]
fn videos_and_animated_images_follow_the_frame() {
    let folder = Folder::new();
    check(&folder, &lanes::media(&folder));
}

#[test]
#[ignore = "needs Chromium"]
fn sub_compositions_follow_the_frame() {
    let folder = Folder::new();
    check(&folder, &lanes::sub_compositions(&folder));
}

/// What says no duration lasts until the last animation ends, from the beginning of the clip that it lies in: of style sheets, of
/// scripts and in shadow trees. What repeats for ever has no end.
#[test]
#[ignore = "needs Chromium"]
fn a_composition_lasts_as_long_as_its_animations() {
    let folder = Folder::new();
    let style = "<style>@keyframes go { to { translate: 200px } } p { width: 9px; animation: go 0.4s linear 0.1s 2 both }\
                 i { animation: go 1s infinite }</style><i>x</i>";
    let frames = "[{ translate: '0' }, { translate: '200px' }], { duration: 600, delay: 100, fill: 'both' }";
    for (body, frames) in [
        (format!("{style}<div class=\"clip\" data-start=\"0.3\"><p>x</p></div>"), 36),
        (format!("{style}<b>x</b><script>document.querySelector('b').animate({frames})</script>"), 21),
        (
            format!(
                "{style}<div></div><script>const root = document.querySelector('div > div').attachShadow({{ mode: 'closed' }});\
                 root.append('x', document.createElement('u')); root.lastChild.animate({frames})</script>"
            ),
            21,
        ),
        (
            format!(
                "{style}<b data-composition-id=\"a\" data-start=\"0\">x</b><div data-composition-id=\"c\" data-start=\"0.5\" data-no-timeline><p>x</p></div>\
                 <script src=\"https://unpkg.com/gsap@3.12.2/dist/gsap.min.js\"></script><script>\
                 window.__timelines = {{ main: gsap.timeline({{ paused: true }}), a: gsap.timeline({{ paused: true }}).to('b', {{ opacity: 0.5, duration: 1 }}) }}</script>"
            ),
            42,
        ),
    ] {
        let project = folder.project("site", "", &body);
        let video = folder.join("out.mp4");
        let run = render(&project, &video, &["--chunks", "1"]);
        assert_eq!(run.output().frames, frames, "{body}");
        let cut = folder.join("cut.mp4");
        render(&project, &cut, &["--chunk-size", "1"]);
        assert_eq!(frame_hashes(&video), frame_hashes(&cut), "{body}");
    }
}

/// Where nothing moves every frame is the same: no caret blinks, and what a worklet paints is there from the first one on.
#[test]
#[ignore = "needs Chromium"]
fn what_stands_still_stays() {
    let folder = Folder::new();
    let body = "<input autofocus value=\"Text\" style=\"font-size: 60px; width: 200px\">\
                <div style=\"position: absolute; left: 0; top: 100px; width: 320px; height: 80px; background: paint(all)\"></div>\
                <script>CSS.paintWorklet.addModule('paint.js')</script>";
    let paint = "registerPaint('all', class { paint(context, size) { context.fillStyle = '#f00'; context.fillRect(0, 0, size.width, size.height) } })";
    let project = folder.project("site", "data-no-timeline data-duration=\"3\"", body);
    folder.write("site/paint.js", paint);
    let video = folder.join("out.mp4");
    render(&project, &video, &["--crf", "0"]);
    let hashes = frame_hashes(&video);
    assert!(hashes.len() == 90 && hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    let pixel = &rgb_frame(&video, 0)[(140 * 320 + 160) * 3..][..3];
    assert!(pixel[0] > 240 && pixel[1] < 15, "{pixel:?}");
}

#[test]
#[ignore = "needs Chromium"]
fn what_does_not_follow_the_frame_is_named() {
    let folder = Folder::new();
    let counter = "<p id=\"p\">Text</p><script>let n = 0; requestAnimationFrame(function step() { p.style.marginLeft = n++ % 100 + 'px'; requestAnimationFrame(step) })</script>";
    let channel = "<p id=\"p\"></p><script>let n = 0; const c = new MessageChannel(); c.port1.onmessage = () => { n++; c.port2.postMessage(0) }; c.port2.postMessage(0);\n\
                   requestAnimationFrame(function step() { p.textContent = n; requestAnimationFrame(step) })</script>";
    let ticker = "<script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script><p id=\"p\">Text</p>\n\
                  <script>let n = 0; gsap.ticker.add(() => { p.style.marginLeft = n++ % 100 + 'px' })</script>";
    let ends = "<p id=\"p\" style=\"transition: margin-left .1s\">Text</p><script>let n = 0; const go = () => p.style.marginLeft = ++n * 20 + 'px';\n\
                p.addEventListener('transitionend', go); p.offsetWidth; go()</script>";
    let begins = "<style>@keyframes go { to { margin-left: 300px } } .go { animation: go 1s linear both }</style><p id=\"p\">Text</p>\n\
                  <script>setTimeout(() => p.classList.add('go'), 300)</script>";
    folder.write("drawing/drawing.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"20\"><rect width=\"10\" height=\"10\"><animate attributeName=\"x\" to=\"300\" dur=\"3s\"/></rect></svg>");
    folder.write("file/step.js", "let n = 0;\nfunction step() { p.style.marginLeft = n++ % 100 + 'px'; requestAnimationFrame(step) }\n\nstep();\n");
    let forged = |path: &str, line: &str| {
        format!(
            "<script>Error.prepareStackTrace = () => 'at http://composition.localhost/{path}:{line}:1'</script>{counter}"
        )
    };
    // Three lines of the page are before its body.
    let (page, late) = (Some("index.html"), "<script>setTimeout(() => nothing.of.that.name, 500)</script>");
    for (name, body, code, path, line) in [
        ("counter", counter, Code::NotSeekable, page, Some(4)),
        ("file", "<p id=\"p\">Text</p><script src=\"step.js\"></script>", Code::NotSeekable, Some("step.js"), Some(2)),
        ("ticker", ticker, Code::NotSeekable, None, None),
        ("forged", &forged("%1b%0aerror", "5"), Code::NotSeekable, None, None),
        ("forged-line", &forged("index.html", &"9".repeat(400)), Code::NotSeekable, None, None),
        ("channel", channel, Code::NotRepeatable, page, Some(5)),
        ("drawing", "<img src=\"drawing.svg\">", Code::NotSeekable, Some("drawing.svg"), None),
        ("progress", "<progress></progress>", Code::NotSeekable, None, None),
        ("ends", ends, Code::NotSeekable, page, Some(5)),
        ("begins", begins, Code::NotSeekable, None, None),
        ("late", late, Code::ScriptError, page, Some(4)),
    ] {
        let project = folder.project(name, "data-no-timeline data-duration=\"1\"", body);
        let (project, plan) = (project.to_str().unwrap(), folder.join(&format!("{name}.plan")));
        let arguments = ["plan", project, "-o", plan.to_str().unwrap()];
        let run = producer(arguments).ok();
        let told: Vec<_> = run.warned().map(|told| (told.code, told.path.as_deref(), told.line)).collect();
        assert_eq!(told, [(code, path, line)], "{name}");
        let run = producer(arguments.into_iter().chain(["--strictness", "strict"]));
        assert_eq!((run.error().unwrap().code, run.code), (code, 2), "{name}");
    }
}
