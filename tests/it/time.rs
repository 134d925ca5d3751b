use std::ops::Range;

use crds::Code;
use tests::{
    bins::{producer, render},
    fixture::Folder,
    video::{frame_hashes, rgb_frame},
};

/// Height of a lane, in pixels.
const LANE: usize = 20;
const SECONDS: u32 = 4;

/// What lies in a lane: a white box that moves by 100 pixels a second, for 3 s.
struct Lane {
    content: String,
    /// When its box is seen, in seconds.
    shown: Range<f64>,
    /// When it leaves its place, in seconds.
    begin: f64,
}

fn lane(content: impl Into<String>, shown: Range<f64>, begin: f64) -> Lane {
    Lane { content: content.into(), shown, begin }
}

/// A box that is seen all the time.
fn always(content: impl Into<String>, begin: f64) -> Lane {
    lane(content, 0.0..4.0, begin)
}

/// Renders lanes in one chunk and in two, and compares every box with where it should be.
fn check(lanes: &[Lane]) {
    let folder = Folder::new();
    let place = |(track, Lane { content, .. }): (usize, &Lane)| {
        let content = content.replace("class=\"clip\"", &format!("class=\"clip\" data-track-index=\"{track}\""));
        format!("<article style=\"top: {}px\">{content}</article>", track * LANE)
    };
    let content: String = lanes.iter().enumerate().map(place).collect();
    folder.write(
        "site/index.html",
        &format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><style>body {{ margin: 0; background: #000 }}\n\
             @keyframes go {{ to {{ left: 300px }} }}\n\
             article {{ position: absolute; width: 320px; height: {LANE}px; overflow: hidden }} iframe {{ border: 0; width: 320px }}\n\
             i, b::before {{ position: absolute; left: 0; width: 10px; height: 10px; background: #fff }} svg {{ position: absolute }}\n\
             b::before {{ content: ''; animation: go 3s linear both }}</style></head><body>\n\
             <div data-composition-id=\"main\" data-start=\"0\" data-duration=\"{SECONDS}\" data-width=\"320\" data-height=\"{}\" data-no-timeline>{content}</div>\n\
             </body></html>\n",
            lanes.len() * LANE
        ),
    );
    let (whole, cut) = (folder.join("whole.mp4"), folder.join("cut.mp4"));
    render(&folder.join("site"), &whole, &["--chunk-size", "120"]);
    render(&folder.join("site"), &cut, &["--chunk-size", "60"]);
    for frame in [15, 45, 75, 105] {
        let picture = rgb_frame(&whole, frame);
        let time = f64::from(frame) / 30.0;
        for (track, Lane { content, shown, begin }) in lanes.iter().enumerate() {
            let row = (track * LANE + 5) * 320;
            let found = (0..320_u16).find(|x| picture[(row + usize::from(*x)) * 3] > 128);
            assert_eq!(found.is_some(), shown.contains(&time), "frame {frame}: {content}");
            let place = ((time - begin) * 100.0).clamp(0.0, 300.0);
            let off = found.map_or(0.0, |x| (f64::from(x) - place).abs());
            assert!(off <= 1.5, "frame {frame}: off by {off} pixels: {content}");
        }
    }
    assert_eq!(frame_hashes(&whole), frame_hashes(&cut));
}

const CLIP: &str = "class=\"clip\" data-start=\"1\" data-duration=\"2\"";
const BOX: &str = "<i style=\"animation: go 3s linear both\"></i>";
/// What a document of its own needs besides.
const STYLE: &str = "<style>body { margin: 0 } @keyframes go { to { left: 300px } } i { position: absolute; left: 0; width: 10px; height: 10px; background: #fff }</style>";
const MOVE: &str = "animate([{ left: '0px' }, { left: '300px' }], { duration: 3000, fill: 'both' })";
const SMIL: &str = "<svg width=\"320\" height=\"20\"><rect width=\"10\" height=\"10\" fill=\"#fff\"><animate attributeName=\"x\" from=\"0\" to=\"300\" dur=\"3s\" fill=\"freeze\"/></rect></svg>";

/// A style sheet's animation begins when its element is shown, and where it is does not depend on who saw it first: an element
/// that is hidden and shown again has another one than the runtime has found.
#[test]
#[ignore = "needs Chromium"]
fn animations_of_style_sheets_begin_with_their_clip() {
    let late = "<i style=\"animation: go 3s linear 500ms both\"></i>";
    let frame =
        format!("<iframe srcdoc=\"{STYLE}<style>i {{ animation: go 3s linear both }}</style><i></i>\"></iframe>");
    let next = format!(
        "<section><div {CLIP} id=\"first\"></div></section><section><div class=\"clip\" data-start=\"first\" data-duration=\"1\">{BOX}</div></section>"
    );
    check(&[
        always(BOX, 0.0),
        lane(format!("<div {CLIP}>{BOX}</div>"), 1.0..3.0, 1.0),
        lane(format!("<section><div {CLIP}>{BOX}</div></section>"), 1.0..3.0, 1.0),
        lane(format!("<section><div {CLIP}>{late}</div></section>"), 1.0..3.0, 1.5),
        lane(format!("<section><div {CLIP}><b></b></div></section>"), 1.0..3.0, 1.0),
        lane(next, 3.0..4.0, 3.0),
        always(frame.as_str(), 0.0),
        lane(format!("<section><div {CLIP}>{frame}</div></section>"), 1.0..3.0, 1.0),
    ]);
}

#[test]
#[ignore = "needs Chromium"]
fn whatever_moves_by_itself_follows_the_frame() {
    let script = |script: &str| {
        format!("<i></i><script>{{ const box = document.currentScript.previousElementSibling; {script} }}</script>")
    };
    let shadow = |mode: &str, inside: &str, then: &str| {
        format!(
            "<div></div><script>{{ const root = document.currentScript.previousElementSibling.attachShadow({{ mode: '{mode}' }}); \
             root.innerHTML = `{STYLE}{inside}`; {then} }}</script>"
        )
    };
    let framed =
        format!("<iframe srcdoc=\"{STYLE}<i></i><script>document.querySelector('i').{MOVE}</script>\"></iframe>");
    let numeric = "new Intl.DateTimeFormat('en', { second: 'numeric', fractionalSecondDigits: 2, timeZone: 'UTC' })";
    check(&[
        always(shadow("open", BOX, ""), 0.0),
        always(shadow("closed", BOX, ""), 0.0),
        always(shadow("closed", "<i></i>", &format!("root.querySelector('i').{MOVE}")), 0.0),
        always(framed, 0.0),
        always(SMIL, 0.0),
        lane(format!("<section><div {CLIP}>{SMIL}</div></section>"), 1.0..3.0, 1.0),
        always(shadow("open", SMIL, ""), 0.0),
        always(script(&format!("setTimeout(() => box.{MOVE}, 1000)")), 1.0),
        always(script("let x = 0; setInterval(() => box.style.left = Math.min(300, x += 25) + 'px', 250)"), 0.0),
        always(
            script(&format!("{}.playbackRate = 2", MOVE.replace("animate", "box.animate").replace("3000", "6000"))),
            0.0,
        ),
        always(
            script(&format!("setInterval(() => box.style.left = Math.min(300, 100 * {numeric}.format()) + 'px', 10)")),
            0.0,
        ),
        always(
            script("setInterval(() => box.style.left = Math.min(300, new Event('x').timeStamp / 10) + 'px', 10)"),
            0.0,
        ),
    ]);
}

#[test]
#[ignore = "needs Chromium"]
fn what_goes_on_from_frame_to_frame_is_gone_through() {
    let script = |script: &str| {
        format!("<i></i><script>{{ const box = document.currentScript.previousElementSibling; {script} }}</script>")
    };
    check(&[
        always(
            script(
                "let frames = -2; requestAnimationFrame(function step() { box.style.left = Math.min(300, Math.max(0, ++frames / 0.3)) + 'px'; requestAnimationFrame(step) })",
            ),
            0.0,
        ),
        always(
            script(
                "box.style.transition = 'left 3s linear'; requestAnimationFrame(function step(now) { if (now < 1000) requestAnimationFrame(step); else box.style.left = '300px' })",
            ),
            1.0,
        ),
    ]);
}

#[test]
#[ignore = "needs Chromium"]
fn what_does_not_follow_the_frame_is_named() {
    let folder = Folder::new();
    let counter = "<p id=\"p\">Text</p><script>let n = 0; requestAnimationFrame(function step() { p.style.marginLeft = n++ % 100 + 'px'; requestAnimationFrame(step) })</script>";
    let channel = "<p id=\"p\"></p><script>let n = 0; const c = new MessageChannel(); c.port1.onmessage = () => { n++; c.port2.postMessage(0) }; c.port2.postMessage(0);\n\
                   requestAnimationFrame(function step() { p.textContent = n; requestAnimationFrame(step) })</script>";
    folder.write("drawing/drawing.svg", &SMIL.replace("<svg", "<svg xmlns=\"http://www.w3.org/2000/svg\""));
    for (name, body, code) in [
        ("counter", counter, Code::NotSeekable),
        ("channel", channel, Code::NotRepeatable),
        ("drawing", "<img src=\"drawing.svg\">", Code::NotSeekable),
    ] {
        let project = folder.project(name, "data-no-timeline data-duration=\"1\"", body);
        let (project, plan) = (project.to_str().unwrap(), folder.join(&format!("{name}.plan")));
        let arguments = ["plan", project, "-o", plan.to_str().unwrap()];
        assert_eq!(producer(arguments).ok().warnings(), [code], "{name}");
        let run = producer(arguments.into_iter().chain(["--strictness", "strict"]));
        assert_eq!((run.error().unwrap().code, run.code), (code, 2), "{name}");
    }
}
