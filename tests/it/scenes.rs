use std::fs;

use crds::Code;
use serde_json::json;
use tests::{
    bins::{Run, producer, render},
    fixture::{Folder, SECOND, example, fixture},
    truth::{Truth, sampled},
    video::{frame_count, frame_hashes, rgb_frame, ssim_y},
};

/// Three levels, three instances of one file with their own variables and starts, ids they share, styles that would meet,
/// a template, and images beside their file: the same bytes as from a page that is written without sub-compositions, in
/// one chunk and in three, whose borders lie within scenes.
#[test]
#[ignore = "needs Chromium"]
fn mounted_is_as_flattened() {
    let folder = Folder::new();
    let video = |project: &std::path::Path, name: &str, options: &[&str]| {
        let out = folder.join(name);
        assert!(render(project, &out, options).warnings().is_empty());
        out
    };
    let whole = video(&example("scenes"), "whole.mp4", &["--chunks", "1"]);
    let flattened = video(&fixture("scenes-flattened"), "flattened.mp4", &["--chunks", "1"]);
    assert!(frame_hashes(&whole) == frame_hashes(&flattened), "frames differ from the flattened page's");
    let cut = video(&example("scenes"), "cut.mp4", &["--chunks", "3"]);
    assert!(fs::read(whole).unwrap() == fs::read(cut).unwrap(), "bytes differ with 3 chunks");
}

/// What the published runtime mounts itself, one level deep, looks the same in a plain browser.
#[test]
#[ignore = "needs Chromium"]
fn the_runtime_mounts_the_same() {
    let folder = Folder::new();
    let gsap = "https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js";
    folder.write(
        "site/index.html",
        &format!(
            "<!doctype html>\n<html><head><meta charset=\"utf-8\"><script src=\"{gsap}\"></script>\n\
             <style>body {{ margin: 0; font-family: Inter }} .box {{ background: #c33 }} .host {{ position: absolute; top: 0 }}</style></head>\n\
             <body><div data-composition-id=\"main\" data-width=\"320\" data-height=\"180\" data-duration=\"2\" data-no-timeline>\n\
             <div class=\"host\" style=\"left: 0\" data-composition-id=\"part\" data-composition-src=\"scenes/part.html\" data-start=\"0\" data-duration=\"1.5\"></div>\n\
             <div class=\"host\" style=\"left: 160px\" data-composition-id=\"part\" data-composition-src=\"scenes/part.html\" data-start=\"0.5\" data-duration=\"1.5\"\n\
             data-variable-values='{{\"word\": \"two\", \"colour\": \"#36c\"}}'></div></div></body></html>"
        ),
    );
    folder.write(
        "site/scenes/part.html",
        "<template id=\"part-template\"><div id=\"part\" class=\"part\" data-composition-id=\"part\" data-width=\"160\" data-height=\"180\"\n\
         data-composition-variables='[{\"id\":\"word\",\"default\":\"one\"},{\"id\":\"colour\",\"default\":\"#393\"}]'>\n\
         <style>#part { background: #eee } .part .box { position: absolute; left: 10px; top: 10px; width: 60px; height: 60px; background: var(--colour) }\n\
         [data-composition-id=\"part\"] img { position: absolute; left: 90px; top: 100px }</style>\n\
         <div class=\"box\" id=\"box\" data-var-text=\"word\"></div><img src=\"../dot.svg\" alt=\"\">\n\
         <script>const { word } = window.__hyperframes.getVariables(); window.__timelines = window.__timelines || {};\n\
         const timeline = gsap.timeline({ paused: true });\n\
         timeline.to(document.getElementById('box'), { x: word === 'two' ? 30 : 60, duration: 1, ease: 'none' });\n\
         timeline.to('.box', { y: 90, duration: 0.5, ease: 'none' }); window.__timelines.part = timeline;</script></div></template>",
    );
    let dot = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\"><circle cx=\"20\" cy=\"20\" r=\"20\"/></svg>";
    folder.write("site/dot.svg", dot);
    let (project, video) = (folder.join("site"), folder.join("out.mp4"));
    assert!(render(&project, &video, &["--quality", "high"]).warnings().is_empty());
    let truth = Truth::open(&project, 30.0, &json!({}));
    for frame in sampled(frame_count(&video)) {
        let png = folder.join("truth.png");
        truth.png(frame, &png);
        let ssim = ssim_y(&video, frame, &png);
        assert!(ssim >= 0.98, "frame {frame}: SSIM {ssim}");
    }
}

/// Whatever its host is called; and one that is written out is warned of, which another's timeline may move.
#[test]
#[ignore = "needs Chromium"]
fn a_composition_inside_of_another_needs_no_timeline() {
    let gsap = "<script src=\"https://unpkg.com/gsap@3.12.2/dist/gsap.min.js\"></script><script>\
                window.__timelines = { main: gsap.timeline({ paused: true }).to('b', { x: 9, duration: 1 }) }</script><b>x</b>";
    let card = "<div data-composition-id=\"card\" data-width=\"320\" data-height=\"90\"><h1></h1>\
                <script>document.querySelector('h1').textContent = window.__hyperframes.getVariables().title</script></div>";
    let hosts = ["card", "card-one", "card-two"].map(|id| {
        format!("<div data-composition-id=\"{id}\" data-composition-src=\"card.html\" data-variable-values='{{\"title\":\"x\"}}'></div>")
    });
    let folder = project(&format!("{gsap}{}", hosts.concat()), &[("card.html", card)]);
    let run = render(&folder.join("site"), &folder.join("out.mp4"), &["--quality", "draft"]);
    assert_eq!(run.warnings(), [], "{run:#?}");
    let folder = project(&format!("{gsap}<p data-composition-id=\"still\">x</p>"), &[]);
    let run = render(&folder.join("site"), &folder.join("out.mp4"), &["--quality", "draft"]);
    assert_eq!(run.warnings(), [Code::PageNotReady], "{run:#?}");
}

/// A composition `main` with this in it, and files beside it.
fn project(body: &str, files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    folder.project("site", SECOND, body);
    for (path, content) in files {
        folder.write(&format!("site/{path}"), content);
    }
    folder
}

fn run(folder: &Folder) -> Run {
    let (project, out) = (folder.join("site"), folder.join("out.mp4"));
    producer(["render", project.to_str().unwrap(), "-o", out.to_str().unwrap(), "--quality", "draft"])
}

/// A host of a file, on line 4 of the composition.
fn host(file: &str) -> String {
    format!("<div data-composition-id=\"a\"\ndata-composition-src=\"{file}\"></div>")
}

/// A file may mount another under the id that it is itself mounted under.
#[test]
#[ignore = "needs Chromium"]
fn a_host_inside_is_not_taken_for_the_content() {
    let inner =
        "<div data-composition-id=\"b\"><div style=\"width: 99px; height: 99px; background: #f00\"></div></div>";
    let outer =
        "<div data-composition-id=\"c\"><div data-composition-id=\"a\" data-composition-src=\"b.html\"></div></div>";
    let folder = project(&host("a.html"), &[("a.html", outer), ("b.html", inner)]);
    let run = run(&folder).ok();
    assert!(run.warnings().is_empty(), "{run:?}");
    let pixel = rgb_frame(&folder.join("out.mp4"), 0)[(50 * 320 + 50) * 3..][..3].to_vec();
    assert!(pixel[0] > 200 && pixel[1] < 50 && pixel[2] < 50, "{pixel:?}");
}

#[test]
fn what_cannot_be_mounted_is_named_with_its_place() {
    let scene = |inside: &str| format!("<div data-composition-id=\"a\">\n{inside}</div>");
    let nested = |file: &str| scene(&format!("<p data-composition-id=\"b\" data-composition-src=\"{file}\"></p>"));
    let (cycle, missing) = (nested("a.html"), nested("gone.html"));
    for (body, files, code, place, words) in [
        (host("a.html"), vec![("a.html", "")], Code::CompositionInvalid, "a.html", "empty"),
        (host("a.html"), vec![("a.html", "<p>x</p>")], Code::CompositionInvalid, "a.html", "data-composition-id"),
        (host("gone.html"), vec![], Code::AssetMissing, "index.html:4", "gone.html"),
        (host("a.html"), vec![("a.html", missing.as_str())], Code::AssetMissing, "a.html:2", "gone.html"),
        (
            format!("<tr data-composition-id=\"r\"></tr>{}", host("a.html")),
            vec![("a.html", "<p data-composition-id=\"a\">x</p>")],
            Code::CompositionInvalid,
            "index.html:3",
            "HTML allows none",
        ),
        (host("https://x.example/a.html"), vec![], Code::RemoteAssetUnsupported, "index.html:4", "x.example"),
        (host("a.html"), vec![("a.html", cycle.as_str())], Code::CompositionInvalid, "a.html:2", "a.html → a.html"),
        (host("index.html"), vec![], Code::CompositionInvalid, "index.html:4", "index.html → index.html"),
        (
            format!("{}\n", host("a.html").replace("a\"\n", "a\" data-variable-values='[1]'\n")),
            vec![("a.html", "<p data-composition-id=\"a\">x</p>")],
            Code::VariablesInvalid,
            "index.html:4",
            "data-variable-values",
        ),
    ] {
        let folder = project(&body, &files);
        let run = run(&folder);
        let failure = run.error().unwrap_or_else(|| panic!("{body}: no error in {run:#?}"));
        assert_eq!((failure.code, run.code), (code, 2), "{body}: {run:#?}");
        let text = failure.to_string();
        assert!(text.contains(place) && text.contains(words), "{body}: {text}");
    }
}

#[test]
fn scenes_are_nested_only_so_deep() {
    let level = |number: u32| {
        let next = number + 1;
        format!(
            "<div data-composition-id=\"s{number}\"><p data-composition-id=\"s{next}\" data-composition-src=\"s{next}.html\"></p></div>"
        )
    };
    let files: Vec<_> = (1..=21).map(|number| (format!("s{number}.html"), level(number))).collect();
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let body = "<div data-composition-id=\"s1\" data-composition-src=\"s1.html\"></div>";
    let run = run(&project(body, &files));
    let failure = run.error().unwrap();
    assert_eq!((failure.code, failure.path.as_deref()), (Code::CompositionInvalid, Some("s20.html")), "{failure}");
}

/// What nobody opens may be broken in every way.
#[test]
#[ignore = "needs Chromium"]
fn what_nobody_opens_is_not_judged() {
    let broken = "<video src=\"x.mp4\"></video><link rel=\"stylesheet\" href=\"draft.css\"><script src=\"draft.js\"></script>\n\
                  <div data-composition-id=\"x\" data-composition-src=\"gone.html\"></div><img src=\"../../outside.png\">";
    let folder = project(
        "<p>x</p><iframe src=\"frame.html\"></iframe>",
        &[
            ("draft.html", broken),
            ("draft.css", "a { font-family: Nowhere"),
            ("draft.js", "window.__timelines = {};"),
            ("frame.html", "<p>frame</p>"),
        ],
    );
    assert!(run(&folder).ok().warnings().is_empty());
    // Once something opens it, it counts.
    let opens = |body: &str| {
        folder.project("site", SECOND, body);
        let run = run(&folder);
        let failure = run.error().unwrap();
        assert_eq!(
            (failure.code, failure.path.as_deref()),
            (Code::FeatureUnsupported, Some("draft.html")),
            "{failure}"
        );
    };
    opens("<iframe src=\"draft.html\"></iframe>");
    opens("<iframe id=\"f\"></iframe><script>document.getElementById('f').src = 'draft' + '.html'</script>");
}

/// A scene that throws is told of by its own file and line; the others are drawn.
#[test]
#[ignore = "needs Chromium"]
fn one_bad_scene_does_not_stop_the_others() {
    let folder = project(
        "<div data-composition-id=\"a\" data-composition-src=\"scenes/a.html\"></div>\n\
         <div data-composition-id=\"b\" data-composition-src=\"scenes/b.html\"></div>",
        &[
            ("scenes/a.html", "<div data-composition-id=\"a\">\n<script>\n\nthrow new Error('boom');\n</script></div>"),
            (
                "scenes/b.html",
                "<div data-composition-id=\"b\"><i id=\"b\"></i>\n<script>const b = document.getElementById('b');\n\
                 b.style.cssText = 'position:absolute;left:0;top:0;width:320px;height:180px;background:#000'</script></div>",
            ),
        ],
    );
    let run = run(&folder).ok();
    assert_eq!(run.warnings(), [Code::ScriptError]);
    let text = format!("{:?}", run.reports);
    assert!(text.contains("scenes/a.html") && text.contains("line: Some(4)"), "{text}");
    assert!(rgb_frame(&folder.join("out.mp4"), 15)[(90 * 320 + 160) * 3] < 50);
}
