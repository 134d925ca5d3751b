use std::fs;

use crds::{Code, line::Report};
use tests::{
    bins::{producer, render},
    fixture::{Folder, fixture},
    media::make,
    video::{frame_hashes, rgb_frame},
};

const CELL: (usize, usize) = (200, 90);
const COLUMNS: usize = 6;

/// Text wherever a page can show any, with fonts that nobody brings: a case per cell of one page.
const TEXTS: [&str; 31] = [
    "<p>Plain</p>",
    "<input value=\"Value\">",
    "<input placeholder=\"Placeholder\">",
    "<textarea>Area</textarea>",
    "<button>Button</button>",
    "<select><option>Option</option></select>",
    "<style>.counted { counter-reset: n 7 } .counted::before { content: counter(n) '.' counter(n) }</style><p class=\"counted\"></p>",
    "<ol start=\"88\" style=\"margin-left: 60px\"><li></li></ol>",
    "<style>.letter { color: transparent } .letter::first-letter { color: #000; font-size: 40px }</style><p class=\"letter\">Wm</p>",
    "<style>.line { color: transparent } .line::first-line { color: #000 }</style><p class=\"line\">First line</p>",
    "<p style=\"font-size: 48px\"><q></q></p>",
    "<img alt=\"\" src=\"text.svg\">",
    "<div style=\"width: 200px; height: 60px; background: url(text.svg)\"></div>",
    "<iframe srcdoc=\"<p>Frame</p>\"></iframe>",
    "<iframe src=\"frame.html\"></iframe>",
    "<div id=\"open\"></div><script>document.getElementById('open').attachShadow({ mode: 'open' }).innerHTML = '<p>Open</p>'</script>",
    "<div id=\"shut\"></div><script>document.getElementById('shut').attachShadow({ mode: 'closed' }).innerHTML = '<p>Closed</p>'</script>",
    "<p id=\"set\">Set</p><script>document.getElementById('set').style.fontFamily = 'sans-serif'</script>",
    "<style id=\"sheet\"></style><p class=\"rule\">Rule</p><script>document.getElementById('sheet').sheet.insertRule('.rule { font-family: serif }')</script>",
    "<p class=\"made\">Made</p><script>const made = new CSSStyleSheet(); made.replaceSync('.made { font-family: monospace }'); document.adoptedStyleSheets = [made]</script>",
    "<canvas id=\"named\" width=\"200\" height=\"60\"></canvas><script>{ const c = document.getElementById('named').getContext('2d'); c.font = '30px sans-serif'; c.fillText('Canvas', 5, 40) }</script>",
    "<canvas id=\"default\" width=\"200\" height=\"60\"></canvas><script>{ const c = document.getElementById('default').getContext('2d'); c.scale(3, 3); c.fillText('Canvas', 2, 15) }</script>",
    "<canvas id=\"off\" width=\"200\" height=\"60\"></canvas><script>{ const o = new OffscreenCanvas(200, 60); const c = o.getContext('2d'); c.font = '30px fantasy'; c.fillText('Off', 5, 40); document.getElementById('off').getContext('2d').drawImage(o, 0, 0) }</script>",
    "<svg width=\"200\" height=\"60\"><text x=\"5\" y=\"40\" font-size=\"30\">Inline</text></svg>",
    "<svg width=\"200\" height=\"60\"><text x=\"5\" y=\"40\" font-size=\"30\" font-family=\"system-ui\">System</text></svg>",
    "<p style=\"font-family: Arial\">Alias</p>",
    "<p style=\"font-family: cursive\">Generic</p>",
    "<p style=\"font-family: Lato\">Bundled</p>",
    "<fieldset style=\"border: 0\"><legend>Legend</legend></fieldset>",
    "<details open><summary style=\"list-style: none\">Summary</summary></details>",
    "<p id=\"between\"></p><script>requestAnimationFrame(function tick(now) { document.getElementById('between').textContent = now > 100 && now < 200 ? 'Between' : ''; requestAnimationFrame(tick) })</script>",
];

/// No text is invisible, whatever shows it.
#[test]
#[ignore = "needs Chromium"]
fn text_is_there() {
    let folder = Folder::new();
    let cell = |(index, text): (usize, &&str)| {
        let (left, top) = (index % COLUMNS * CELL.0, index / COLUMNS * CELL.1);
        format!("<section style=\"left: {left}px; top: {top}px\">{text}</section>")
    };
    let cells: String = TEXTS.iter().enumerate().map(cell).collect();
    let (width, height) = (COLUMNS * CELL.0, TEXTS.len().div_ceil(COLUMNS) * CELL.1);
    folder.write(
        "site/index.html",
        &format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><style>body {{ margin: 0; background: #fff; color: #000; font-size: 28px }}\n\
             section {{ position: absolute; width: {}px; height: {}px; overflow: hidden }}\n\
             iframe, input, textarea, button, select {{ border: 0; background: none; outline: none; resize: none; appearance: none; width: 190px; font-size: 24px }}\n\
             ::placeholder {{ color: #000 }}</style></head>\n\
             <body><div data-composition-id=\"main\" data-width=\"{width}\" data-height=\"{height}\" data-no-timeline data-duration=\"1\">{cells}</div></body></html>",
            CELL.0, CELL.1
        ),
    );
    let text = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"60\"><text x=\"5\" y=\"40\" font-size=\"30\">Image</text></svg>";
    folder.write("site/text.svg", text);
    folder.write("site/frame.html", "<!doctype html><p style=\"font: 28px sans-serif\">Page</p>");
    let video = folder.join("out.mp4");
    render(&folder.join("site"), &video, &[]);
    let pixels = rgb_frame(&video, 5);
    assert_eq!(pixels.len(), width * height * 3);
    let dark = |x: usize, y: usize| pixels[(y * width + x) * 3] < 100;
    for (index, text) in TEXTS.iter().enumerate() {
        let (left, top) = (index % COLUMNS * CELL.0, index / COLUMNS * CELL.1);
        let ink = (top..top + CELL.1).flat_map(|y| (left..left + CELL.0).map(move |x| (x, y)));
        let ink = ink.filter(|(x, y)| dark(*x, *y)).count();
        assert!(ink > 40, "{ink} dark pixels of {text}");
    }
}

/// The slow way gives the same video, byte for byte, and no warning when it was asked for.
#[test]
#[ignore = "needs Chromium"]
fn screenshots_and_bitmaps_make_the_same_video() {
    let folder = Folder::new();
    let rendered = |source: &str| {
        let video = folder.join(&format!("{source}.mp4"));
        let run = render(&fixture("bars"), &video, &["--frame-source", source]);
        assert!(run.warnings().is_empty(), "{run:#?}");
        std::fs::read(video).unwrap()
    };
    assert!(rendered("screenshot") == rendered("bitmap"));
}

/// An image that only appears between the moments planning looks at is on the very frame that shows it first.
#[test]
#[ignore = "needs Chromium"]
fn what_comes_late_is_there_when_it_is_shown() {
    let folder = Folder::new();
    let black = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"180\"><rect width=\"320\" height=\"180\"/></svg>";
    folder.project(
        "site",
        "data-no-timeline data-duration=\"1\"",
        "<img id=\"late\" alt=\"\" style=\"position: absolute; left: 0; top: 0\"><script>requestAnimationFrame(function tick(now) {\n\
         const image = document.getElementById('late'); if (now > 290 && !image.src) image.src = 'black.svg'; requestAnimationFrame(tick) })</script>",
    );
    folder.write("site/black.svg", black);
    let video = folder.join("out.mp4");
    render(&folder.join("site"), &video, &["--quality", "high"]);
    let middle = |frame: u32| rgb_frame(&video, frame)[(90 * 320 + 160) * 3];
    assert!(middle(8) > 200 && middle(9) < 50, "{} {}", middle(8), middle(9));
    assert_eq!(frame_hashes(&video).len(), 30);
}

/// Clips of images are as large as their images, whether these arrive before the runtime looks or after.
#[test]
#[ignore = "needs Chromium"]
fn images_have_their_own_size() {
    let clip = "data-start=\"0\" data-duration=\"1\" style=\"position: absolute;";
    let clips = format!(
        "<img alt=\"\" src=\"black.svg\" {clip} left: 300px; top: 0\">\n\
         <img alt=\"\" src=\"black.svg\" {clip} left: 0; top: 0; width: 30px\">\n\
         <div {clip} left: 80px; top: 90px; background: #000\"><img alt=\"\" src=\"black.svg\"></div>"
    );
    let slowly: String = (0..8).map(|index| format!("<script src=\"empty.js?{index}\"></script>")).collect();
    let folder = Folder::new();
    let rendered = |name: &str, body: &str| {
        let project = folder.project(name, "data-no-timeline data-duration=\"1\"", body);
        let black = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\"><rect width=\"40\" height=\"40\"/></svg>";
        folder.write(&format!("{name}/black.svg"), black);
        folder.write(&format!("{name}/empty.js"), ";");
        let video = folder.join(&format!("{name}.mp4"));
        render(&project, &video, &["--quality", "high"]);
        rgb_frame(&video, 5)
    };
    let after = rendered("after", &clips);
    for ((x, y), black) in [
        ((310, 20), true),
        ((310, 100), false),
        ((15, 15), true),
        ((15, 60), false),
        ((100, 110), true),
        ((200, 110), false),
        ((100, 170), false),
    ] {
        assert_eq!(after[(y * 320 + x) * 3] < 50, black, "at {x}, {y}");
    }
    assert!(after == rendered("before", &format!("{clips}{slowly}")));
}

/// What is asked for as an image and is none, or only the beginning of one, is an error with its place, whatever shows it.
#[test]
#[ignore = "needs Chromium"]
fn images_that_cannot_be_shown_are_named() {
    let folder = Folder::new();
    let body = "<img alt=\"\" src=\"empty.png\">\n\
        <div style=\"width: 50px; height: 50px; background: url(text.png)\"></div>\n\
        <img alt=\"\" src=\"short.gif\">\n\
        <img alt=\"\" src=\"whole.svg\">\n\
        <div style=\"width: 50px; height: 50px; background: url(whole.svg)\"></div>";
    let project = folder.project("site", "data-no-timeline data-duration=\"1\"", body);
    folder.write("site/empty.png", "");
    folder.write("site/text.png", "no image");
    folder
        .write("site/whole.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"40\" height=\"40\"/></svg>");
    let input = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10:duration=1"].map(str::to_owned);
    let animation = fs::read(make(&folder, "animation.gif", &input, "-loop 0")).unwrap();
    fs::write(project.join("short.gif"), &animation[..animation.len() * 2 / 3]).unwrap();
    let video = folder.join("out.mp4");
    let run = producer(["render", project.to_str().unwrap(), "--out", video.to_str().unwrap()]);
    let error = run.error().unwrap();
    assert_eq!((error.code, error.path.as_deref(), error.line), (Code::MediaUnreadable, Some("index.html"), Some(4)));
    for named in ["empty.png", "text.png", "short.gif"] {
        assert!(error.message.contains(named), "{error}");
    }
    assert!(!error.message.contains("whole.svg"), "{error}");
    let run = render(&project, &video, &["--strictness", "best-effort"]);
    assert_eq!(run.warnings().len(), 3, "{run:#?}");
}

/// A browser shows as much of an image as there is of it.
#[test]
#[ignore = "needs Chromium"]
fn still_images_that_are_cut_short_are_named() {
    let folder = Folder::new();
    let kinds = ["png", "jpg", "webp", "gif"];
    let body: String = kinds
        .iter()
        .flat_map(|kind| {
            [
                format!("<img alt=\"\" src=\"{kind}/short\"><img alt=\"\" src=\"{kind}/longer\">\n"),
                format!("<div style=\"width: 50px; height: 50px; background: url({kind}/behind)\"></div>\n"),
            ]
        })
        .collect();
    let project = folder.project("site", "data-no-timeline data-duration=\"1\"", &body);
    let input = ["-f", "lavfi", "-i", "testsrc2=size=160x90", "-frames:v", "1"].map(str::to_owned);
    for kind in kinds {
        let image = fs::read(make(&folder, &format!("image.{kind}"), &input, "")).unwrap();
        folder.write(&format!("site/{kind}/note"), "");
        let written = |name: &str, bytes: &[u8]| fs::write(project.join(kind).join(name), bytes).unwrap();
        written("short", &image[..image.len() / 2]);
        written("behind", &image[..image.len() - 8]);
        written("longer", &[&image, &b"what a camera writes behind it"[..]].concat());
    }
    let video = folder.join("out.mp4");
    let run = render(&project, &video, &["--strictness", "best-effort"]);
    let named: Vec<_> = run
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::Warning(warning) => Some((warning.code, warning.message.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(named.len(), 2 * kinds.len(), "{named:#?}");
    for name in kinds
        .iter()
        .flat_map(|kind| ["short", "behind"].map(|name| format!("\"{kind}/{name}\" is no image, or not the whole")))
    {
        let is_it = |(code, message): &(Code, &str)| *code == Code::MediaUnreadable && message.starts_with(&name);
        assert!(named.iter().any(is_it), "{name}: {named:#?}");
    }
}

/// A file that is only asked for between the moments planning looks at, and is not there, is an error of the chunk.
#[test]
#[ignore = "needs Chromium"]
fn what_is_missed_late_is_an_error_or_a_warning() {
    let folder = Folder::new();
    let project = folder.project(
        "site",
        "data-no-timeline data-duration=\"1\"",
        "<script>requestAnimationFrame(function tick(now) { if (now > 290 && now < 330) new Image().src = 'gone.png';\nrequestAnimationFrame(tick) })</script>",
    );
    let (project, out) = (project.to_str().unwrap(), folder.join("out.mp4"));
    let arguments = ["render", project, "-o", out.to_str().unwrap()];
    let run = producer(arguments);
    assert_eq!((run.error().unwrap().code, run.code), (crds::Code::AssetMissing, 2), "{run:#?}");
    let run = producer(arguments.into_iter().chain(["--strictness", "best-effort"])).ok();
    assert_eq!(run.warnings(), [crds::Code::AssetMissing]);
}
