use std::{fs, path::Path};

use crds::Code;
use serde_json::json;
use tests::{
    bins::render,
    fixture::{Folder, SECOND},
    video::{frame_hashes, rgb_frame},
};

use crate::examples::looks_like;

const NPM: &str = "https://cdn.jsdelivr.net/npm";
const TIMELINE: &str = "data-duration=\"6\"";
const NO_TIMELINE: &str = "data-no-timeline data-duration=\"6\"";
const BOX: &str = "<div id=\"box\" style=\"position: absolute; left: 0; top: 60px; width: 40px; height: 40px; background: #c00\"></div>";
/// Registers what GSAP does as a timeline.
const TWEEN: &str = "tl.to('#box', { duration: 6, ease: 'none', x: 240 }); window.__timelines = { main: tl };";

/// A project of 6 s, rendered whole and in three chunks, which must be the same bytes and show something new every second.
fn rendered(folder: &Folder, name: &str, attributes: &str, body: &str) -> std::path::PathBuf {
    let project = folder.project(name, &format!("{attributes} data-start=\"0\""), body);
    let video = |chunks: &str| {
        let out = folder.join(&format!("{name}-{chunks}.mp4"));
        let run = render(&project, &out, &["--chunks", chunks]);
        // What goes on from frame to frame is right all the same.
        assert!(run.warnings().iter().all(|code| *code == Code::NotSeekable), "{name}: {run:#?}");
        out
    };
    let (whole, cut) = (video("1"), video("3"));
    assert!(fs::read(&whole).unwrap() == fs::read(cut).unwrap(), "{name}: bytes differ with 3 chunks");
    let mut seconds: Vec<_> = frame_hashes(&whole).into_iter().step_by(30).collect();
    assert_eq!(seconds.len(), 6);
    seconds.sort();
    seconds.dedup();
    assert_eq!(seconds.len(), 6, "{name}: every second shows something else");
    whole
}

/// The same, and each frame is what a plain browser shows that the published runtime seeks.
fn like_a_plain_browser(name: &str, attributes: &str, body: &str) {
    let folder = Folder::new();
    let video = rendered(&folder, name, attributes, body);
    looks_like(&folder.join(name), &json!({}), &video);
}

/// The left edge of the red box in a frame.
fn left_edge(video: &Path, frame: u32) -> usize {
    let pixels = rgb_frame(video, frame);
    let red = |x: &usize| pixels[(80 * 320 + x) * 3] > 150 && pixels[(80 * 320 + x) * 3 + 1] < 90;
    (0..320).find(red).unwrap()
}

/// For what only moves with virtual time: a box is where it should be, in every second.
fn moves_evenly(name: &str, body: &str) {
    moves_evenly_in(&Folder::new(), name, body);
}

/// The same in a folder where something else may lie in the project.
fn moves_evenly_in(folder: &Folder, name: &str, body: &str) {
    let video = rendered(folder, name, NO_TIMELINE, body);
    for second in 0..6_u32 {
        let (found, expected) = (left_edge(&video, second * 30), second as usize * 40);
        assert!(found.abs_diff(expected) <= 2, "{name}: at {found} instead of {expected} after {second} s");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn gsap_with_plugins() {
    like_a_plain_browser(
        "gsap",
        TIMELINE,
        &format!(
            "{BOX}<script src=\"{NPM}/gsap@3.12.7/dist/gsap.min.js\"></script><script src=\"{NPM}/gsap@3.12.7/dist/MotionPathPlugin.min.js\"></script>\n\
             <script>gsap.registerPlugin(MotionPathPlugin); const tl = gsap.timeline({{ paused: true }});\n\
             tl.to('#box', {{ duration: 6, ease: 'none', motionPath: {{ path: [{{ x: 0, y: 0 }}, {{ x: 100, y: 60 }}, {{ x: 240, y: -40 }}] }} }});\n\
             window.__timelines = {{ main: tl }};</script>"
        ),
    );
}

#[test]
#[ignore = "needs Chromium"]
fn gsap_as_modules() {
    let body = format!(
        "{BOX}<script type=\"importmap\">{{\"imports\": {{\"gsap\": \"{NPM}/gsap@3.14.2/index.js\"}}}}</script>\n\
         <script type=\"module\">import gsap from 'gsap'; const tl = gsap.timeline({{ paused: true }}); {TWEEN}</script>"
    );
    like_a_plain_browser("modules", TIMELINE, &body);
}

#[test]
#[ignore = "needs Chromium"]
fn anime_3() {
    let body = format!(
        "{BOX}<script src=\"{NPM}/animejs@3.2.1/lib/anime.min.js\"></script>\n\
         <script>anime({{ targets: '#box', translateX: 240, duration: 6000, easing: 'linear' }});</script>"
    );
    moves_evenly("anime3", &body);
}

#[test]
#[ignore = "needs Chromium"]
fn anime_4() {
    let body = format!(
        "{BOX}<script src=\"{NPM}/animejs@4.0.2/lib/anime.iife.min.js\"></script>\n\
         <script>window.__hfAnime = [anime.animate('#box', {{ x: 240, duration: 6000, ease: 'linear', autoplay: false }})];</script>"
    );
    like_a_plain_browser("anime4", NO_TIMELINE, &body);
}

/// A box that moves to the right in 180 frames.
const LOTTIE: &str = r#"{"v":"5.7.4","fr":30,"ip":0,"op":180,"w":320,"h":180,"nm":"x","ddd":0,"assets":[],"layers":[{"ddd":0,"ind":1,"ty":4,"nm":"s","sr":1,"ks":{"o":{"a":0,"k":100},"r":{"a":0,"k":0},"p":{"a":1,"k":[{"i":{"x":0.833,"y":0.833},"o":{"x":0.167,"y":0.167},"t":0,"s":[20,90,0],"to":[0,0,0],"ti":[0,0,0]},{"t":180,"s":[300,90,0]}]},"a":{"a":0,"k":[0,0,0]},"s":{"a":0,"k":[100,100,100]}},"ao":0,"shapes":[{"ty":"gr","it":[{"ty":"rc","d":1,"s":{"a":0,"k":[40,40]},"p":{"a":0,"k":[0,0]},"r":{"a":0,"k":0}},{"ty":"fl","c":{"a":0,"k":[0.8,0,0,1]},"o":{"a":0,"k":100},"r":1},{"ty":"tr","p":{"a":0,"k":[0,0]},"a":{"a":0,"k":[0,0]},"s":{"a":0,"k":[100,100]},"r":{"a":0,"k":0},"o":{"a":0,"k":100}}]}],"ip":0,"op":180,"st":0,"bm":0}]}"#;

#[test]
#[ignore = "needs Chromium"]
fn lottie() {
    let body = format!(
        "<div id=\"anim\" style=\"position: absolute; inset: 0\"></div><script src=\"{NPM}/lottie-web@5.12.2/build/player/lottie.min.js\"></script>\n\
         <script>lottie.loadAnimation({{ container: document.getElementById('anim'), renderer: 'svg', loop: false, autoplay: false, animationData: {LOTTIE} }});</script>"
    );
    like_a_plain_browser("lottie", NO_TIMELINE, &body);
}

/// WebGL, and geometry of a module that must be of the same three.js.
fn three_from(three: &str, geometries: &str) -> String {
    format!(
        "<canvas id=\"c\" width=\"320\" height=\"180\" style=\"position: absolute; left: 0; top: 0\"></canvas>\n\
         <script type=\"importmap\">{{\"imports\": {{\"three\": \"{three}\", \"three/addons/\": \"{NPM}/three@0.160.0/examples/jsm/\"}}}}</script>\n\
         <script type=\"module\">import * as THREE from 'three'; import {{ RoundedBoxGeometry }} from '{geometries}';\n\
         const renderer = new THREE.WebGLRenderer({{ canvas: document.getElementById('c'), antialias: true }});\n\
         const scene = new THREE.Scene(); scene.background = new THREE.Color(0xffffff);\n\
         const camera = new THREE.PerspectiveCamera(50, 16 / 9, 0.1, 100); camera.position.z = 3;\n\
         const geometry = new RoundedBoxGeometry(1, 1, 1, 4, 0.1);\n\
         if (!(geometry instanceof THREE.BufferGeometry)) throw new Error('three.js is there twice');\n\
         const cube = new THREE.Mesh(geometry, new THREE.MeshNormalMaterial()); scene.add(cube);\n\
         const draw = (t) => {{ cube.rotation.set(t, t * 0.7, 0); renderer.render(scene, camera); }};\n\
         addEventListener('hf-seek', (event) => draw(event.detail.time)); draw(0);</script>"
    )
}

const ROUNDED_BOX: &str = "geometries/RoundedBoxGeometry.js";

/// An import map and modules that import others of their package.
#[test]
#[ignore = "needs Chromium"]
fn three() {
    let three = format!("{NPM}/three@0.160.0/build/three.module.js");
    like_a_plain_browser("three", NO_TIMELINE, &three_from(&three, &format!("three/addons/{ROUNDED_BOX}")));
}

/// The same by other addresses, of modules whose imports the package server answers.
#[test]
#[ignore = "needs Chromium"]
fn three_of_package_servers() {
    let folder = Folder::new();
    let (file, addon) = (format!("three@0.160.0/examples/jsm/{ROUNDED_BOX}"), format!("three/addons/{ROUNDED_BOX}"));
    let main = format!("{NPM}/three@0.160.0/build/three.module.js");
    let plain = rendered(&folder, "plain", NO_TIMELINE, &three_from(&main, &addon));
    for (name, three, geometries) in [
        ("file", main, format!("{NPM}/{file}/+esm")),
        ("package", format!("{NPM}/three@0.160.0/+esm"), format!("https://esm.sh/{file}")),
        ("other", "https://esm.sh/three@0.160.0".to_owned(), addon),
        ("unpkg", "https://unpkg.com/three@0.160.0?module".to_owned(), format!("https://unpkg.com/{file}?module")),
    ] {
        let video = rendered(&folder, name, NO_TIMELINE, &three_from(&three, &geometries));
        assert!(fs::read(&plain).unwrap() == fs::read(video).unwrap(), "{name}");
    }
}

/// Transitions move with the video's time, and do not keep the page from being ready.
#[test]
#[ignore = "needs Chromium"]
fn d3() {
    let body = format!(
        "{BOX}<script src=\"{NPM}/d3@7.9.0/dist/d3.min.js\"></script>\n\
         <script>window.__hfD3 = window.__hfD3 || [];\n\
         window.__hfD3.push(d3.select('#box').transition().duration(6000).ease(d3.easeLinear).style('left', '240px'));</script>"
    );
    moves_evenly("d3", &body);
}

/// A module of a package that is made of other packages, each of which is there once.
#[test]
#[ignore = "needs Chromium"]
fn d3_as_modules() {
    let body = format!(
        "{BOX}<script type=\"module\">import * as d3 from '{NPM}/d3@7.9.0/+esm'; import {{ easeLinear }} from 'https://esm.sh/d3@7.9.0';\n\
         if (d3.easeLinear !== easeLinear) throw new Error('d3 is there twice');\n\
         window.__hfD3 = [d3.select('#box').transition().duration(6000).ease(easeLinear).style('left', '240px')];</script>"
    );
    moves_evenly("d3-modules", &body);
}

/// A library that has no ES modules, and draws by steps aside.
#[test]
#[ignore = "needs Chromium"]
fn react() {
    let body = "<div id=\"app\"></div><script type=\"module\">import React, { useEffect, useState } from 'https://esm.sh/react@18.3.1';\n\
        import { createRoot } from 'https://cdn.jsdelivr.net/npm/react-dom@18.3.1/client/+esm';\n\
        const style = { position: 'absolute', top: '60px', width: '40px', height: '40px', background: '#c00' };\n\
        const Box = () => { const [left, move] = useState(0);\n\
        useEffect(() => { requestAnimationFrame(function step(now) { move(now / 25); requestAnimationFrame(step) }) }, []);\n\
        return React.createElement('div', { style: { ...style, left: `${left}px` } }) };\n\
        createRoot(document.getElementById('app')).render(React.createElement(Box));</script>";
    moves_evenly("react", body);
}

/// An animation counts from the beginning of its scene, and begins again where it says so.
#[test]
#[ignore = "needs Chromium"]
fn lottie_in_a_scene() {
    let folder = Folder::new();
    let drawing = LOTTIE.replace("\"op\":180", "\"op\":60").replace("\"t\":180,\"s\":[300", "\"t\":60,\"s\":[140");
    let scene = format!(
        "<template><div data-composition-id=\"scene\" data-width=\"320\" data-height=\"180\" data-no-timeline>\
         <div id=\"anim\" style=\"position: absolute; inset: 0\"></div><script src=\"{NPM}/lottie-web@5.12.2/build/player/lottie.min.js\"></script>\n\
         <script>lottie.loadAnimation({{ container: document.getElementById('anim'), renderer: 'svg', loop: true, autoplay: false, animationData: {drawing} }});</script></div></template>"
    );
    folder.write("scene/scene.html", &scene);
    let body = "<div data-composition-id=\"scene\" data-composition-src=\"scene.html\" data-start=\"1\" data-duration=\"5\"></div>";
    let project = folder.project("scene", NO_TIMELINE, body);
    let video = folder.join("scene.mp4");
    let run = render(&project, &video, &["--chunks", "3"]);
    assert!(run.warnings().is_empty(), "{run:#?}");
    for (frame, expected) in [(30, 0), (60, 60), (75, 90), (90, 0), (105, 30)] {
        let found = left_edge(&video, frame);
        assert!(found.abs_diff(expected) <= 2, "at {found} instead of {expected} in frame {frame}");
    }
}

/// The other player of Lottie files, whose frames are set.
#[test]
#[ignore = "needs Chromium"]
fn dotlottie() {
    let folder = Folder::new();
    // Its parser wants the keys in this order.
    let drawing = r#"{"v":"5.7.0","fr":30,"ip":0,"op":180,"w":320,"h":180,"assets":[],
"layers":[{"ty":4,"ind":1,"ip":0,"op":180,"st":0,"ks":{"o":{"a":0,"k":100},"r":{"a":0,"k":0},"p":{"a":1,"k":[{"t":0,"s":[20,80,0],"i":{"x":[1],"y":[1]},"o":{"x":[0],"y":[0]}},{"t":180,"s":[260,80,0]}]},"a":{"a":0,"k":[0,0,0]},"s":{"a":0,"k":[100,100,100]}},
"shapes":[{"ty":"gr","it":[{"ty":"rc","d":1,"s":{"a":0,"k":[40,40]},"p":{"a":0,"k":[0,0]},"r":{"a":0,"k":0}},{"ty":"fl","c":{"a":0,"k":[0.8,0,0,1]},"o":{"a":0,"k":100}},{"ty":"tr","p":{"a":0,"k":[0,0]},"a":{"a":0,"k":[0,0]},"s":{"a":0,"k":[100,100]},"r":{"a":0,"k":0},"o":{"a":0,"k":100}}]}]}]}"#;
    folder.write("dotlottie/drawing.json", drawing);
    let body = format!(
        "<canvas id=\"drawing\" width=\"320\" height=\"180\" style=\"position: absolute; inset: 0\"></canvas>\n\
         <script type=\"module\">import {{ DotLottie }} from '{NPM}/@lottiefiles/dotlottie-web@0.40.1/+esm';\n\
         window.__hfLottie = [new DotLottie({{ canvas: document.getElementById('drawing'), src: new URL('drawing.json', location.href).href }})];</script>"
    );
    moves_evenly_in(&folder, "dotlottie", &body);
}

/// Scenes that the published library blends, out of copies which show what the scenes do.
#[test]
#[ignore = "needs Chromium"]
fn shader_transitions_blend_scenes() {
    let folder = Folder::new();
    let place = |left: u32| format!("position: absolute; left: {left}px; top: 20px; width: 40px; height: 40px");
    let scene = |id: &str, colour: &str, body: &str| {
        format!(
            "<div id=\"{id}\" class=\"scene\" style=\"position: absolute; inset: 0; background: {colour}\">{body}</div>"
        )
    };
    let shown = format!(
        "<style>@keyframes move {{ to {{ translate: 160px }} }} #moving {{ animation: move 4s linear both; background: #0f0 }}</style>\n\
         <div id=\"moving\" style=\"{}\"></div><canvas width=\"40\" height=\"40\" style=\"{}\"></canvas>\n\
         <script>const drawing = document.querySelector('canvas').getContext('2d'); drawing.fillStyle = '#ff0'; drawing.fillRect(0, 0, 40, 40)</script>",
        place(0),
        place(200)
    );
    let body = format!(
        "{}{}<script src=\"{NPM}/gsap@3.14.2/dist/gsap.min.js\"></script><script src=\"{NPM}/@hyperframes/shader-transitions@0.8.41/dist/index.global.js\"></script>\n\
         <script>const tl = gsap.timeline({{ paused: true }}); tl.to({{}}, {{ duration: 4 }}); window.__timelines = {{ main: tl }};\n\
         HyperShader.init({{ bgColor: '#000', accentColor: '#fff', scenes: ['a', 'b'], timeline: tl, compositionId: 'main', transitions: [{{ time: 1.5, shader: 'domain-warp', duration: 1 }}] }});</script>",
        scene("a", "#c00", &shown),
        scene("b", "#00c", ""),
    );
    let project = folder.project("site", "data-duration=\"4\" data-start=\"0\"", &body);
    let video = |chunks: &str| {
        let out = folder.join(&format!("{chunks}.mp4"));
        assert!(render(&project, &out, &["--chunks", chunks, "--quality", "high"]).warnings().is_empty());
        out
    };
    // The border of the two chunks lies in the transition.
    let (whole, cut) = (video("1"), video("2"));
    assert!(fs::read(&whole).unwrap() == fs::read(cut).unwrap());
    let shares = |frame: u32| {
        let pixels = rgb_frame(&whole, frame);
        let share =
            |channel: usize| pixels.chunks_exact(3).filter(|pixel| pixel[channel] > 100).count() * 3000 / pixels.len();
        (share(0), share(2))
    };
    assert!(matches!(shares(30), (940.., ..60)), "{:?}", shares(30));
    let (red, blue) = shares(60);
    assert!(red > 150 && blue > 150, "{red} and {blue} of 1000 pixels");
    assert_eq!(shares(100), (0, 1000));
    // Nothing is displaced yet where the transition begins.
    let pixels = rgb_frame(&whole, 45);
    let at = |x: usize| pixels[(40 * 320 + x) * 3..][..3].iter().map(|level| *level > 128).collect::<Vec<_>>();
    assert_eq!(
        [at(30), at(80), at(130), at(220)],
        [[true, false, false], [false, true, false], [true, false, false], [true, true, false]]
    );
}

/// Versions of that library which leave the blending to somebody else.
#[test]
#[ignore = "needs Chromium"]
fn transitions_that_nobody_blends_are_named() {
    let folder = Folder::new();
    let body = "<script>window.__hf.transitions = [{ time: 0.2, duration: 0.5, shader: 'domain-warp', fromScene: 'a', toScene: 'b' }]</script>";
    let project = folder.project("site", SECOND, body);
    let run = render(&project, &folder.join("out.mp4"), &[]);
    assert_eq!(run.warnings(), [Code::FeatureUnsupported]);
}

/// Tiles and markers, with the package's own style sheet and the images that this names.
#[test]
#[ignore = "needs Chromium"]
fn leaflet() {
    let folder = Folder::new();
    let tile = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"256\" height=\"256\"><rect width=\"255\" height=\"255\" fill=\"#aaccee\"/></svg>";
    folder.write("leaflet/tile.svg", tile);
    let body = format!(
        "<link rel=\"stylesheet\" href=\"{NPM}/leaflet@1.9.4/dist/leaflet.css\"><script src=\"{NPM}/leaflet@1.9.4/dist/leaflet.js\"></script>\n\
         <div id=\"map\" style=\"position: absolute; inset: 0\"></div>\n\
         <script>const map = L.map('map', {{ zoomControl: false, attributionControl: false, fadeAnimation: false }}).setView([51.5, -0.1], 5);\n\
         L.tileLayer('tile.svg?{{z}}-{{x}}-{{y}}').addTo(map); L.marker([51.5, -0.1]).addTo(map); window.__hfLeaflet = [map];</script>"
    );
    let project = folder.project("leaflet", "data-no-timeline data-duration=\"1\" data-start=\"0\"", &body);
    let video = folder.join("out.mp4");
    assert!(render(&project, &video, &["--quality", "high"]).warnings().is_empty());
    looks_like(&project, &json!({}), &video);
}

/// Drawn by workers and WebGL; its camera follows a timeline.
#[test]
#[ignore = "needs Chromium"]
fn maplibre() {
    let folder = Folder::new();
    let body = format!(
        "<link rel=\"stylesheet\" href=\"{NPM}/maplibre-gl@4.7.1/dist/maplibre-gl.css\"><script src=\"{NPM}/maplibre-gl@4.7.1/dist/maplibre-gl.js\"></script>\n\
         <script src=\"{NPM}/gsap@3.14.2/dist/gsap.min.js\"></script><div id=\"map\" style=\"position: absolute; inset: 0\"></div>\n\
         <script>const square = [[[-40, -40], [40, -40], [40, 40], [-40, 40], [-40, -40]]];\n\
         const layers = [{{ id: 'sea', type: 'background', paint: {{ 'background-color': '#00c' }} }}, {{ id: 'land', type: 'fill', source: 'land', paint: {{ 'fill-color': '#c00' }} }}];\n\
         const style = {{ version: 8, sources: {{ land: {{ type: 'geojson', data: {{ type: 'Polygon', coordinates: square }} }} }}, layers }};\n\
         const map = new maplibregl.Map({{ container: 'map', attributionControl: false, zoom: 0, center: [-60, 0], style }}); window.__hfMaplibre = [map];\n\
         const camera = {{ lng: -60 }}; const tl = gsap.timeline({{ paused: true }});\n\
         tl.to(camera, {{ lng: 60, duration: 4, ease: 'none', onUpdate: () => map.jumpTo({{ center: [camera.lng, 0] }}) }}); window.__timelines = {{ main: tl }};</script>"
    );
    let project = folder.project("map", "data-duration=\"4\" data-start=\"0\"", &body);
    let video = |chunks: &str| {
        let out = folder.join(&format!("{chunks}.mp4"));
        render(&project, &out, &["--chunks", chunks, "--quality", "high"]);
        out
    };
    let (whole, cut) = (video("1"), video("2"));
    assert!(fs::read(&whole).unwrap() == fs::read(cut).unwrap());
    // A world of 512 pixels: 120 degrees are 171 of them, in 120 frames.
    for frame in [0, 30, 60, 90, 119] {
        let pixels = rgb_frame(&whole, frame);
        let left = (0..320).find(|x| pixels[(90 * 320 + x) * 3] > 128).unwrap();
        let expected = 160.0 + (20.0 - f64::from(frame)) * 512.0 / 360.0;
        assert!(
            (f64::from(u16::try_from(left).unwrap()) - expected).abs() <= 2.0,
            "at {left} instead of {expected} in frame {frame}"
        );
    }
}
