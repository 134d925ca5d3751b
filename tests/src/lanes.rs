//! Compositions whose every frame can be computed: lanes one below the other, and in each of them a white box that moves by
//! 100 pixels a second, for 3 s. What moves it is another rule in every lane.

use std::{ops::Range, path::PathBuf};

use crate::{
    fixture::Folder,
    media::{H264, make},
    video::rgb_frame,
};

/// Width of a lane, in pixels.
const WIDTH: usize = 320;
/// Height of a lane, in pixels.
const HEIGHT: usize = 20;
const SECONDS: u32 = 4;
/// Frames that are looked at, of 30 a second: all are at half seconds.
pub const FRAMES: [u32; 7] = [15, 30, 45, 60, 75, 90, 105];
/// So many pixels aside a box is in its place.
const ASIDE: f64 = 1.5;

/// What lies in a lane.
pub struct Lane {
    /// What moves its box.
    pub rule: &'static str,
    content: String,
    /// When its box is seen, in seconds.
    shown: Range<f64>,
    /// When it leaves its place, in seconds.
    begin: f64,
}

fn lane(rule: &'static str, content: impl Into<String>, shown: Range<f64>, begin: f64) -> Lane {
    Lane { rule, content: content.into(), shown, begin }
}

/// A box that is seen all the time.
fn always(rule: &'static str, content: impl Into<String>, begin: f64) -> Lane {
    lane(rule, content, 0.0..4.0, begin)
}

impl Lane {
    /// What is wrong with the box that begins at some pixel of its lane in a frame.
    fn judged(&self, frame: u32, found: Option<f64>) -> Result<(), String> {
        let time = f64::from(frame) / 30.0;
        let (rule, shown) = (self.rule, self.shown.contains(&time));
        let place = ((time - self.begin) * 100.0).clamp(0.0, 300.0);
        match found {
            Some(found) if shown && (found - place).abs() > ASIDE => {
                Err(format!("frame {frame}: the box is at {found}, not {place}: {rule}"))
            }
            Some(_) if !shown => Err(format!("frame {frame}: the box is seen: {rule}")),
            None if shown => Err(format!("frame {frame}: no box is seen: {rule}")),
            _ => Ok(()),
        }
    }
}

/// What is wrong with the box of each lane in a frame of a video.
pub fn judged(lanes: &[Lane], video: &std::path::Path, frame: u32) -> Vec<Result<(), String>> {
    let pixels = rgb_frame(video, frame);
    if pixels.is_empty() {
        return lanes.iter().map(|_| Err(format!("there is no frame {frame}"))).collect();
    }
    let white = |track: usize, x: u16| pixels[((track * HEIGHT + 5) * WIDTH + usize::from(x)) * 3] > 128;
    let found = |track| (0..320).find(|x| white(track, *x)).map(f64::from);
    lanes.iter().enumerate().map(|(track, lane)| lane.judged(frame, found(track))).collect()
}

/// Lanes that have something in common.
pub struct Group {
    pub name: &'static str,
    /// The folder of its project.
    project: &'static str,
    /// What the page needs before its lanes,
    head: &'static str,
    /// and after them.
    tail: &'static str,
    /// The root's attributes beside its size and time.
    root: &'static str,
    pub lanes: Vec<Lane>,
}

impl Group {
    fn plain(name: &'static str, project: &'static str, lanes: Vec<Lane>) -> Self {
        Self { name, project, head: "", tail: "", root: "data-no-timeline", lanes }
    }

    /// A composition of all lanes, in a project of a folder.
    pub fn write(&self, folder: &Folder) -> PathBuf {
        self.write_of(folder, &self.lanes)
    }

    /// A composition of some lanes, in the same project.
    pub fn write_of(&self, folder: &Folder, lanes: &[Lane]) -> PathBuf {
        let Self { project, head, tail, root, .. } = self;
        let place = |(track, Lane { content, .. }): (usize, &Lane)| {
            let content = content.replace("class=\"clip\"", &format!("class=\"clip\" data-track-index=\"{track}\""));
            format!("<article style=\"top: {}px\">{content}</article>\n", track * HEIGHT)
        };
        let content: String = lanes.iter().enumerate().map(place).collect();
        let html = format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><style>body {{ margin: 0; background: #000 }}\n\
             @keyframes go {{ to {{ left: 300px }} }}\n\
             article {{ position: absolute; width: {WIDTH}px; height: {HEIGHT}px; overflow: hidden }} iframe {{ border: 0; width: {WIDTH}px }}\n\
             i, b::before {{ position: absolute; left: 0; width: 10px; height: 10px; background: #fff }} svg, video, img {{ position: absolute; left: 0 }}\n\
             b::before {{ content: ''; animation: go 3s linear both }}</style>{head}</head><body>\n\
             <div data-composition-id=\"main\" data-start=\"0\" data-duration=\"{SECONDS}\" data-width=\"{WIDTH}\" data-height=\"{}\" {root}>{content}</div>\n\
             {tail}</body></html>\n",
            lanes.len() * HEIGHT
        );
        folder.write(&format!("{project}/index.html"), &html).parent().unwrap().to_owned()
    }
}

const CLIP: &str = "class=\"clip\" data-start=\"1\" data-duration=\"2\"";
const BOX: &str = "<i style=\"animation: go 3s linear both\"></i>";
/// What a document of its own needs besides.
const STYLE: &str = "<style>body { margin: 0 } @keyframes go { to { left: 300px } } i { position: absolute; left: 0; width: 10px; height: 10px; background: #fff }</style>";
const MOVE: &str = "animate([{ left: '0px' }, { left: '300px' }], { duration: 3000, fill: 'both' })";
const SMIL: &str = "<svg width=\"320\" height=\"20\"><rect width=\"10\" height=\"10\" fill=\"#fff\"><animate attributeName=\"x\" from=\"0\" to=\"300\" dur=\"3s\" fill=\"freeze\"/></rect></svg>";

/// A box, and a script that knows it as `box`.
fn script(script: &str) -> String {
    format!("<i></i><script>{{ const box = document.currentScript.previousElementSibling; {script} }}</script>")
}

/// A style sheet's animation begins when its element is shown, and where it is does not depend on who saw it first: an element
/// that is hidden and shown again has another one than the runtime has found.
pub fn style_sheets() -> Group {
    let late = "<i style=\"animation: go 3s linear 500ms both\"></i>";
    let frame =
        format!("<iframe srcdoc=\"{STYLE}<style>i {{ animation: go 3s linear both }}</style><i></i>\"></iframe>");
    let next = format!(
        "<section><div {CLIP} id=\"first\"></div></section><section><div class=\"clip\" data-start=\"first\" data-duration=\"1\">{BOX}</div></section>"
    );
    let clip = |inside: &str| format!("<section><div {CLIP}>{inside}</div></section>");
    let lanes = vec![
        always("an animation", BOX, 0.0),
        lane("in a clip", format!("<div {CLIP}>{BOX}</div>"), 1.0..3.0, 1.0),
        lane("in a clip in something else", clip(BOX), 1.0..3.0, 1.0),
        lane("that is delayed", clip(late), 1.0..3.0, 1.5),
        lane("of a pseudo-element", clip("<b></b>"), 1.0..3.0, 1.0),
        lane("in a clip that begins when another ends", next, 3.0..4.0, 3.0),
        always("in an iframe", frame.as_str(), 0.0),
        lane("in an iframe in a clip", clip(&frame), 1.0..3.0, 1.0),
    ];
    Group::plain("animations of style sheets", "sheets", lanes)
}

pub fn scripts() -> Group {
    let shadow = |mode: &str, inside: &str, then: &str| {
        format!(
            "<div></div><script>{{ const root = document.currentScript.previousElementSibling.attachShadow({{ mode: '{mode}' }}); \
             root.innerHTML = `{STYLE}{inside}`; {then} }}</script>"
        )
    };
    let framed =
        format!("<iframe srcdoc=\"{STYLE}<i></i><script>document.querySelector('i').{MOVE}</script>\"></iframe>");
    let numeric = "new Intl.DateTimeFormat('en', { second: 'numeric', fractionalSecondDigits: 2, timeZone: 'UTC' })";
    let every = |left: &str| script(&format!("setInterval(() => box.style.left = Math.min(300, {left}) + 'px', 10)"));
    let fast = MOVE.replace("animate", "box.animate").replace("3000", "6000");
    let lanes = vec![
        always("an animation in an open shadow tree", shadow("open", BOX, ""), 0.0),
        always("in a closed one", shadow("closed", BOX, ""), 0.0),
        always("animate() in it", shadow("closed", "<i></i>", &format!("root.querySelector('i').{MOVE}")), 0.0),
        always("animate() in an iframe", framed, 0.0),
        always("SMIL", SMIL, 0.0),
        lane("SMIL in a clip", format!("<section><div {CLIP}>{SMIL}</div></section>"), 1.0..3.0, 1.0),
        always("SMIL in a shadow tree", shadow("open", SMIL, ""), 0.0),
        always(
            "setTimeout in setTimeout",
            script(
                "(function step() { setTimeout(() => setTimeout(() => { box.style.left = Math.min(300, performance.now() / 10) + 'px'; step() }, 0), 10) })()",
            ),
            0.0,
        ),
        always("animate() after setTimeout", script(&format!("setTimeout(() => box.{MOVE}, 1000)")), 1.0),
        always(
            "setInterval",
            script("let x = 0; setInterval(() => box.style.left = Math.min(300, x += 25) + 'px', 250)"),
            0.0,
        ),
        always(
            "a short setInterval",
            script("let x = 0; setInterval(() => box.style.left = Math.min(300, x += 5) + 'px', 50)"),
            0.0,
        ),
        always("playbackRate", script(&format!("{fast}.playbackRate = 2")), 0.0),
        always("Intl.DateTimeFormat", every(&format!("100 * {numeric}.format()")), 0.0),
        always("timeStamp", every("new Event('x').timeStamp / 10"), 0.0),
        always(
            "Date.now",
            script(
                "const since = Date.now(); setInterval(() => box.style.left = Math.min(300, (Date.now() - since) / 10) + 'px', 10)",
            ),
            0.0,
        ),
    ];
    Group::plain("scripts and what else moves by itself", "scripts", lanes)
}

/// Every frame depends on the one before it.
pub fn from_frame_to_frame() -> Group {
    let lanes = vec![
        always(
            "requestAnimationFrame that counts",
            script(
                "let frames = -1; requestAnimationFrame(function step() { box.style.left = Math.min(300, Math.max(0, ++frames / 0.3)) + 'px'; requestAnimationFrame(step) })",
            ),
            0.0,
        ),
        always(
            "a transition",
            script(
                "box.style.transition = 'left 3s linear'; requestAnimationFrame(function step(now) { if (now < 1000) requestAnimationFrame(step); else box.style.left = '300px' })",
            ),
            1.0,
        ),
        always(
            "transitions that follow each other",
            script(
                "box.style.transition = `left ${14 / 30}s linear`; const go = () => box.style.left = Math.min(300, parseFloat(box.style.left || 0) + 50) + 'px';\
                 box.addEventListener('transitionend', go); requestAnimationFrame(go)",
            ),
            0.0,
        ),
    ];
    Group::plain("what goes on from frame to frame", "stepped", lanes)
}

/// GSAP, and a timeline that lanes fill.
const GSAP: &str = "<script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script>\n\
    <script>const timeline = gsap.timeline({ paused: true }); timeline.to({}, { duration: 4 });</script>";
const REGISTERED: &str =
    "<script>window.__timelines = window.__timelines || {}; window.__timelines.main = timeline;</script>";

pub fn timelines() -> Group {
    let canvas = "<canvas width=\"320\" height=\"20\"></canvas><script>{ const context = document.querySelector('canvas').getContext('2d'); const state = { x: 0 };\n\
        timeline.to(state, { x: 300, duration: 3, ease: 'none', onUpdate() { context.clearRect(0, 0, 320, 20); context.fillStyle = '#fff'; context.fillRect(state.x, 0, 10, 10) } }, 0) }</script>";
    let lanes = vec![
        always("a tween", script("timeline.to(box, { x: 300, duration: 3, ease: 'none' }, 0)"), 0.0),
        lane(
            "in a clip",
            format!("<div {CLIP}>{}</div>", script("timeline.to(box, { x: 300, duration: 3, ease: 'none' }, 1)")),
            1.0..3.0,
            1.0,
        ),
        always(
            "an animation of a style that comes later",
            script("timeline.call(() => box.style.animation = 'go 3s linear both', null, 1)"),
            1.0,
        ),
        always(
            "an animation that follows a scroll",
            "<section style=\"timeline-scope: --s\"><div style=\"height: 20px; overflow-y: scroll; scroll-timeline: --s block\"><div style=\"height: 320px\"></div></div>\
             <i style=\"top: 0; animation: go linear both; animation-timeline: --s\"></i></section>\
             <script>timeline.to(document.currentScript.previousElementSibling.firstElementChild, { scrollTop: 300, duration: 3, ease: 'none' }, 0)</script>",
            0.0,
        ),
        always(
            "relative ones that follow each other",
            script("for (const at of [0, 1, 2]) timeline.to(box, { x: '+=100', duration: 1, ease: 'none' }, at)"),
            0.0,
        ),
        always("fromTo", script("timeline.fromTo(box, { left: 0 }, { left: 300, duration: 3, ease: 'none' }, 0)"), 0.0),
        always(
            "keyframes",
            script(
                "timeline.to(box, { keyframes: { x: [0, 100, 200, 300], easeEach: 'none' }, duration: 3, ease: 'none' }, 0)",
            ),
            0.0,
        ),
        always(
            "a timeline in it",
            script("timeline.add(gsap.timeline().to(box, { x: 300, duration: 3, ease: 'none' }), 0.5)"),
            0.5,
        ),
        always(
            "a timeline in it at twice the speed",
            script("timeline.add(gsap.timeline().to(box, { x: 300, duration: 6, ease: 'none' }).timeScale(2), 0)"),
            0.0,
        ),
        always(
            "onUpdate",
            script(
                "const state = { x: 0 }; timeline.to(state, { x: 300, duration: 3, ease: 'none', onUpdate: () => box.style.left = state.x + 'px' }, 0)",
            ),
            0.0,
        ),
        always(
            "a variable of a style sheet",
            script(
                "box.style.left = 'var(--x, 0px)'; timeline.fromTo(box, { '--x': '0px' }, { '--x': '300px', duration: 3, ease: 'none' }, 0)",
            ),
            0.0,
        ),
        always("a canvas", canvas, 0.0),
        lane(
            "a frame source",
            "<canvas class=\"clip\" data-start=\"1\" data-duration=\"2\" width=\"320\" height=\"20\"></canvas><script>{ const element = document.currentScript.previousElementSibling; const context = element.getContext('2d');\n\
             window.__hyperframes.registerFrameSource({ element, ready: Promise.resolve(), async render(time) { await null; context.clearRect(0, 0, 320, 20); context.fillStyle = '#fff'; context.fillRect(time * 100, 0, 10, 10) } }) }</script>",
            1.0..3.0,
            1.0,
        ),
    ];
    Group { name: "GSAP timelines", project: "timelines", head: GSAP, tail: REGISTERED, root: "", lanes }
}

/// A video of a box that moves by so many pixels a second, until it has arrived.
fn filmed(folder: &Folder, path: &str, rate: u32, speed: u32, options: &str) {
    let seconds = 400 / speed;
    let graph = format!(
        "color=black:s={WIDTH}x{HEIGHT}:r={rate}:d={seconds}[lane];color=white:s=10x10:r={rate}:d={seconds}[box];\
         [lane][box]overlay=x='min(300,{speed}*t)':y=0"
    );
    let input = ["-f", "lavfi", "-i", &graph].map(str::to_owned);
    make(folder, path, &input, options);
}

/// Videos and animated images, which are put beside the project's page.
pub fn media(folder: &Folder) -> Group {
    let clip = |file: &str, rate, speed, options: &str| filmed(folder, &format!("media/{file}"), rate, speed, options);
    clip("box.mp4", 30, 100, H264);
    clip("slow.mp4", 60, 50, H264);
    clip("box.webm", 60, 100, "-c:v libvpx-vp9 -b:v 1M -pix_fmt yuv420p");
    clip("box.gif", 50, 100, "-loop 0");
    clip("box.png", 10, 100, "-f apng -plays 0");
    let video = |file: &str, attributes: &str| format!("<video src=\"{file}\" muted playsinline {attributes}></video>");
    let whole = "data-start=\"0\" data-duration=\"4\"";
    let lanes = vec![
        always("a video", video("box.mp4", whole), 0.0),
        lane("for some time", video("box.mp4", "data-start=\"1\" data-duration=\"2\""), 1.0..3.0, 1.0),
        lane(
            "from its middle on",
            video("box.mp4", "data-start=\"1\" data-duration=\"3\" data-media-start=\"1\""),
            1.0..4.0,
            0.0,
        ),
        always("at twice the speed", video("slow.mp4", &format!("{whole} data-playback-rate=\"2\"")), 0.0),
        always("VP9 of 60 frames a second", video("box.webm", whole), 0.0),
        always(
            "in something that is turned",
            format!("<div style=\"transform: scaleX(-1) scaleX(-1)\">{}</div>", video("box.mp4", whole)),
            0.0,
        ),
        always("a GIF", "<img alt=\"\" src=\"box.gif\">", 0.0),
        lane("that begins later", "<img alt=\"\" src=\"box.gif\" data-start=\"0.5\">", 0.5..4.0, 0.5),
        always("an animated PNG", "<img alt=\"\" src=\"box.png\">", 0.0),
    ];
    Group::plain("videos and animated images", "media", lanes)
}

/// Sub-compositions, which are put beside the project's page.
pub fn sub_compositions(folder: &Folder) -> Group {
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    let part = |file: &str, inside: &str| {
        let id = name(file);
        let html = format!(
            "<template id=\"{id}-template\"><div data-composition-id=\"{id}\" data-width=\"{WIDTH}\" data-height=\"{HEIGHT}\">\n\
             <style>[data-composition-id=\"{id}\"] .box {{ position: absolute; left: 0; top: 0; width: 10px; height: 10px; background: #fff }}</style>\n\
             {inside}</div></template>\n"
        );
        folder.write(&format!("parts/{file}.html"), &html);
    };
    let timeline = |id: &str, tween: &str| {
        format!(
            "<script>{{ const timeline = gsap.timeline({{ paused: true }}); {tween} window.__timelines = window.__timelines || {{}}; window.__timelines['{id}'] = timeline }}</script>"
        )
    };
    let tween = "timeline.to('.box', { x: 300, duration: 3, ease: 'none' }, 0);";
    part("tween", &format!("<div class=\"box\"></div>{}", timeline("tween", tween)));
    part("late", &format!("<div class=\"box\"></div>{}", timeline("late", tween)));
    part(
        "sheet",
        &format!(
            "<style>@keyframes along {{ to {{ left: 300px }} }} [data-composition-id=\"sheet\"] .box {{ animation: along 3s linear both }}</style>\n\
         <div class=\"box\"></div>{}",
            timeline("sheet", "timeline.to({}, { duration: 4 });")
        ),
    );
    part(
        "outer",
        &format!(
            "<div data-composition-id=\"inner\" data-composition-src=\"inner.html\" data-start=\"0.5\" data-duration=\"3\" data-track-index=\"0\"></div>{}",
            timeline("outer", "timeline.to({}, { duration: 4 });")
        ),
    );
    part("inner", &format!("<div class=\"box\"></div>{}", timeline("inner", tween)));
    filmed(folder, "parts/box.mp4", 30, 100, H264);
    let video = "<video src=\"box.mp4\" muted playsinline data-start=\"0.5\" data-duration=\"1\" data-track-index=\"0\"></video>";
    part("film", &format!("{video}{}", timeline("film", "timeline.to({}, { duration: 4 });")));
    folder.write("parts/deep/dot.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"><path fill=\"#fff\" d=\"M0 0h10v10H0z\"/></svg>");
    let image =
        "<img class=\"box\"><script>document.querySelector('.box').src = __hyperframes.assetUrl('dot.svg')</script>";
    part("deep/image", &format!("{image}{}", timeline("image", tween)));
    let host = |file: &str, start: &str, duration: &str| {
        let id = name(file);
        format!(
            "<div style=\"position: absolute; width: {WIDTH}px; height: {HEIGHT}px\" data-composition-id=\"{id}\" data-composition-src=\"{file}.html\" data-start=\"{start}\" data-duration=\"{duration}\" data-track-index=\"0\"></div>"
        )
    };
    part("cut", &format!("<div class=\"box\"></div>{}", timeline("cut", tween)));
    part(
        "cut-sheet",
        &format!(
            "<style>@keyframes on {{ to {{ left: 300px }} }} [data-composition-id=\"cut-sheet\"] .box {{ animation: on 3s linear both }}</style>\n\
             <div class=\"box\"></div>{}",
            timeline("cut-sheet", "timeline.to({}, { duration: 4 });")
        ),
    );
    part("cut-film", &format!("{video}{}", timeline("cut-film", "timeline.to({}, { duration: 4 });")));
    part(
        "cut-chain",
        &format!(
            "<div id=\"first\" data-start=\"0\" data-duration=\"0.5\"></div><div class=\"box\" data-start=\"first + 0.2\" data-duration=\"1\"></div>{}",
            timeline("cut-chain", tween)
        ),
    );
    let from_its_second_second =
        |file: &str| host(file, "1", "2").replacen("data-duration", "data-playback-start=\"1\" data-duration", 1);
    let lanes = vec![
        always("a sub-composition", host("tween", "0", "4"), 0.0),
        lane("that begins later and ends sooner", host("late", "1", "2"), 1.0..3.0, 1.0),
        lane("with an animation of a style sheet", host("sheet", "1", "2"), 1.0..3.0, 1.0),
        lane("in a sub-composition", host("outer", "0.5", "3"), 1.0..3.5, 1.0),
        always("with an image beside it that a script knows", host("deep/image", "0", "4"), 0.0),
        lane("with a video", host("film", "1", "2"), 1.5..2.5, 1.5),
        lane("from its second second on", from_its_second_second("cut"), 1.0..3.0, 0.0),
        lane("the same with an animation of a style sheet", from_its_second_second("cut-sheet"), 1.0..3.0, 0.0),
        lane("with a video", from_its_second_second("cut-film"), 1.0..1.5, 0.5),
        lane("with a clip after one that is over", from_its_second_second("cut-chain"), 1.0..1.7, 0.0),
    ];
    Group { name: "sub-compositions", project: "parts", head: GSAP, tail: REGISTERED, root: "", lanes }
}

/// All of them; files that they need are in their projects.
pub fn groups(folder: &Folder) -> [Group; 6] {
    [style_sheets(), scripts(), from_frame_to_frame(), timelines(), media(folder), sub_compositions(folder)]
}
