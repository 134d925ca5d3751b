use std::{net::TcpListener, path::Path, process::Command};

use crds::Code;
use serde_json::json;
use tests::{
    bins::{Run, bin, run, tool},
    fixture::{Folder, SECOND},
    https::Https,
    media::{H264, heard, loudness, make, number, numbered, sound, video},
    truth::packed,
    video::rgb_frame,
};

/// What `hf-producer` runs with that fetches from a server of the test's own, which it takes for a public one and for npm's
/// registry.
struct Fetching {
    https: Https,
    folder: Folder,
}

impl Fetching {
    fn new() -> Self {
        Self { https: Https::start(), folder: Folder::new() }
    }

    fn producer(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(bin("hf-producer"));
        command.arg("--json").args(arguments).current_dir(self.folder.path());
        command.env("SSL_CERT_FILE", &self.https.authority).env_remove("SSL_CERT_DIR");
        command.env("HF_SOURCE_NETWORKS", "127.0.0.0/8").env("npm_config_registry", self.https.url("npm"));
        command.env("HF_PACKAGES_DIR", self.folder.join("packages"));
        run(command)
    }

    fn plan(&self, options: &[&str]) -> Run {
        self.producer(&[&["plan", "site", "-o", "plan"], options].concat())
    }

    /// The colour in the middle of a frame of the plan's first chunk.
    fn colour(&self, frame: u32) -> [u8; 3] {
        self.producer(&["chunk", "plan", "0", "-o", "chunk.mp4"]).ok();
        let pixels = rgb_frame(&self.folder.join("chunk.mp4"), frame);
        let middle = (90 * 320 + 160) * 3;
        [pixels[middle], pixels[middle + 1], pixels[middle + 2]]
    }

    /// Publishes a version of a package, beside those that are there.
    fn publish(&self, name: &str, versions: &[(&str, &str)]) {
        let mut list = json!({ "name": name, "dist-tags": { "latest": versions[0].0 }, "versions": {} });
        for (version, script) in versions {
            let archive = format!("npm/{name}-{version}.tgz");
            self.https.folder.write(&format!("{version}/package/package.json"), &json!({ "name": name }).to_string());
            self.https.folder.write(&format!("{version}/package/dist/{name}.js"), script);
            self.https.folder.write("npm/.keep", "");
            let path = self.https.folder.join(&archive);
            let folder = self.https.folder.join(version);
            tool("tar", &["czf", path.to_str().unwrap(), "-C", folder.to_str().unwrap(), "package"]);
            list["versions"][version] = json!({ "version": version, "dist": { "tarball": self.https.url(&archive), "integrity": integrity(&path) } });
        }
        self.https.folder.write(&format!("npm/{name}"), &list.to_string());
    }
}

fn integrity(file: &Path) -> String {
    let command = format!("openssl dgst -sha512 -binary '{}' | openssl base64 -A", file.display());
    format!("sha512-{}", tool("sh", &["-c", &command]))
}

fn paints(colour: &str) -> String {
    format!("document.getElementById('x').style.background = '{colour}'")
}

const BOX: &str = "<div id=\"x\" style=\"position: absolute; inset: 0\"></div>";

#[track_caller]
fn near(found: [u8; 3], expected: [u8; 3]) {
    let close = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 12);
    assert!(close, "{found:?} instead of {expected:?}");
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// An exact version gives exactly that one, a range what npm takes, and afterwards the registry is not needed any more.
#[test]
#[ignore = "needs Chromium"]
fn packages_come_from_the_registry_once() {
    let fetching = Fetching::new();
    fetching.publish("paint", &[("1.2.0", &paints("#f00")), ("1.1.0", &paints("#00f"))]);
    let project = |address: &str| {
        fetching.folder.project("site", SECOND, &format!("{BOX}<script src=\"{address}\"></script>"));
    };
    project("https://cdn.jsdelivr.net/npm/paint@1.1.0/dist/paint.js");
    let exact = fetching.plan(&[]).ok();
    assert!(exact.warnings().is_empty(), "{exact:#?}");
    near(fetching.colour(9), BLUE);
    project("https://unpkg.com/paint@1/dist/paint.js");
    let range = fetching.plan(&[]).ok();
    assert_eq!(range.warnings(), [Code::VersionNotPinned]);
    near(fetching.colour(9), RED);
    assert!(format!("{:?}", range.reports).contains("write paint@1.2.0"), "{range:#?}");

    let again = fetching.plan(&["--offline"]).ok();
    assert_eq!(again.plan().plan_hash, range.plan().plan_hash);
    project("https://unpkg.com/paint@2/dist/paint.js");
    for (options, code) in [(&["--offline"] as &[_], Code::RemoteAssetUnsupported), (&[], Code::AssetMissing)] {
        let failed = fetching.plan(options);
        let failure = failed.error().unwrap();
        assert_eq!((failure.code, failure.path.as_deref()), (code, Some("index.html")), "{failed:#?}");
        assert!(failure.message.contains("paint@2"), "{failure}");
    }
}

/// Bytes that the registry does not announce are not taken, neither from it nor from the cache.
#[test]
#[ignore = "needs Chromium"]
fn packages_are_what_the_registry_announces() {
    let fetching = Fetching::new();
    fetching.publish("paint", &[("1.0.0", &paints("#f00"))]);
    fetching.folder.project(
        "site",
        SECOND,
        &format!("{BOX}<script src=\"https://cdn.jsdelivr.net/npm/paint@1.0.0/dist/paint.js\"></script>"),
    );
    fetching.plan(&[]).ok();
    let cached = tool("find", &[fetching.folder.join("packages").to_str().unwrap(), "-name", "*.tgz"]);
    std::fs::write(cached.trim(), "changed").unwrap();
    let failed = fetching.plan(&["--offline"]);
    assert_eq!(failed.error().unwrap().code, Code::RemoteAssetUnsupported, "{failed:#?}");
    fetching.plan(&[]).ok();
    std::fs::remove_dir_all(fetching.folder.join("packages")).unwrap();
    std::fs::copy(fetching.https.folder.join("npm/.keep"), fetching.https.folder.join("npm/paint-1.0.0.tgz")).unwrap();
    let failed = fetching.plan(&[]);
    assert!(failed.error().unwrap().message.contains("not what the registry announces"), "{failed:#?}");
}

/// Whatever names an address, HTML, style sheets, modules, scripts, workers, gets what is there, and a chunk gets it from the
/// plan alone.
#[test]
#[ignore = "needs Chromium"]
fn what_lies_elsewhere_is_in_the_plan() {
    let fetching = Fetching::new();
    let remote = &fetching.https.folder;
    let square = |colour: &str| {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\"><rect width=\"40\" height=\"40\" fill=\"{colour}\"/></svg>"
        )
    };
    for (path, content) in [
        ("img.svg", square("#f00")),
        ("deep/back.svg", square("#00f")),
        ("site.css", "@import 'deep/more.css';".to_owned()),
        ("deep/more.css", "#css { background: url(back.svg) }".to_owned()),
        ("module.js", "export { paint } from './deep/part.js';".to_owned()),
        (
            "deep/part.js",
            "export const paint = (id, colour) => { document.getElementById(id).style.background = colour };"
                .to_owned(),
        ),
        ("data.json", "{\"colour\": \"#00f\"}".to_owned()),
        ("worker.json", "{\"colour\": \"#f00\"}".to_owned()),
    ] {
        remote.write(path, &content);
    }
    let url = |path: &str| fetching.https.url(path);
    let cell = |place: usize, id: &str| {
        format!(
            "<div id=\"{id}\" style=\"position: absolute; left: {}px; top: 0; width: 40px; height: 40px\"></div>",
            place * 40
        )
    };
    let cells: String =
        ["css", "module", "fetched", "worked"].iter().enumerate().map(|(i, id)| cell(i + 1, id)).collect();
    fetching.folder.write(
        "site/worker.js",
        &format!("fetch('{}').then((a) => a.json()).then((d) => postMessage(d.colour));", url("worker.json")),
    );
    let leads_on = url(&format!("to?{}", url("img.svg")));
    let body = format!(
        "<img alt=\"\" src=\"{leads_on}\" style=\"position: absolute; left: 0; top: 0\"><link rel=\"stylesheet\" href=\"{}\">{cells}\n\
         <script type=\"module\">import {{ paint }} from '{}'; paint('module', '#f00');\n\
         paint('fetched', (await (await fetch('{}')).json()).colour);\n\
         new Worker('worker.js').onmessage = (event) => paint('worked', event.data);</script>",
        url("site.css"),
        url("module.js"),
        url("data.json"),
    );
    fetching.folder.project("site", SECOND, &body);
    let planned = fetching.plan(&[]).ok();
    assert!(planned.warnings().is_empty(), "{planned:#?}");
    let again = fetching.producer(&["plan", "site", "-o", "again"]).ok();
    assert_eq!(planned.plan().plan_hash, again.plan().plan_hash, "the same plan twice");
    // Nothing is there any more but the plan.
    for path in ["img.svg", "site.css", "module.js", "data.json", "worker.json"] {
        std::fs::remove_file(fetching.https.folder.join(path)).unwrap();
    }
    fetching.producer(&["chunk", "plan", "0", "-o", "chunk.mp4"]).ok();
    let pixels = rgb_frame(&fetching.folder.join("chunk.mp4"), 9);
    for (place, colour) in [RED, BLUE, RED, BLUE, RED].into_iter().enumerate() {
        let at = (20 * 320 + place * 40 + 20) * 3;
        near([pixels[at], pixels[at + 1], pixels[at + 2]], colour);
    }
}

/// Videos and sound of other hosts are played as the project's own.
#[test]
#[ignore = "needs Chromium"]
fn media_elsewhere_are_in_the_plan() {
    let fetching = Fetching::new();
    let remote = &fetching.https.folder;
    video(remote, "clip.mp4", 60, "30", H264);
    sound(remote, "tone.wav", "0.5*sin(880*PI*t)", 2.0, "");
    make(remote, "moving.gif", &numbered(remote, 10, "10"), "-loop 0");
    let url = |path: &str| fetching.https.url(path);
    let page = |video: &str| {
        let body = format!(
            "<video src=\"{video}\" muted data-start=\"0\" data-media-start=\"0.5\" style=\"position: absolute; left: 0; top: 0\"></video>\n\
             <img alt=\"\" src=\"{}\" style=\"position: absolute; left: 0; top: 60px\"><audio src=\"{}\" data-start=\"0\"></audio>",
            url("moving.gif"),
            url("tone.wav")
        );
        fetching.folder.project("site", SECOND, &body);
    };
    page(&url(&format!("to?{}#t=0", url("clip.mp4"))));
    let run = fetching.producer(&["render", "site", "-o", "out.mp4", "--quality", "high"]).ok();
    assert!(run.warnings().is_empty(), "{run:#?}");
    let out = fetching.folder.join("out.mp4");
    for frame in [0, 7, 29] {
        let pixels = rgb_frame(&out, frame);
        assert_eq!(number(&pixels, 320, (0, 0), 1), Some(15 + frame));
        assert_eq!(number(&pixels, 320, (0, 60), 1), Some(frame / 3));
    }
    assert!(loudness(&heard(&out), 0, 0.2, 0.8) > 0.2);
    page(&url("gone.mp4?token=secret"));
    let failed = fetching.plan(&[]);
    let failure = failed.error().unwrap();
    assert_eq!(
        (failure.code, failure.path.as_deref(), failure.line),
        (Code::AssetMissing, Some("index.html"), Some(4))
    );
    assert!(failure.message.contains("404") && !failure.message.contains("secret"), "{failure}");
}

/// What a composition asks for only between the moments that planning looks at is an error with its address.
#[test]
#[ignore = "needs Chromium"]
fn what_planning_did_not_see_is_not_fetched_later() {
    let fetching = Fetching::new();
    fetching.https.folder.write("late.json", "{}");
    // No script goes on from frame to frame, so planning does not go through every one.
    let body = format!(
        "<style>@keyframes pass {{ 27%, 33% {{ left: -900px }} 28%, 32% {{ left: 0 }} }}\n\
         #p {{ position: absolute; left: -900px; width: 10px; height: 10px; animation: pass 1s linear }}</style><i id=\"p\"></i><link id=\"late\" rel=\"stylesheet\">\n\
         <script>new IntersectionObserver(([seen]) => {{ if (seen.isIntersecting) late.href = '{}' }}).observe(p)</script>",
        fetching.https.url("late.json")
    );
    fetching.folder.project("site", SECOND, &body);
    fetching.plan(&[]).ok();
    let failed = fetching.producer(&["chunk", "plan", "0", "-o", "chunk.mp4"]);
    let failure = failed.error().unwrap();
    assert_eq!((failure.code, failed.code), (Code::RemoteAssetUnsupported, 2), "{failed:#?}");
    assert!(failure.message.contains("late.json was not asked for while planning"), "{failure}");
}

/// Whatever a composition tries, nobody on this machine or in its networks is spoken to, and each try is named.
#[test]
#[ignore = "needs Chromium"]
fn nothing_private_is_reached() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let folder = Folder::new();
    let hosts = ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]"];
    let images: String = hosts.map(|host| format!("<img alt=\"\" src=\"http://{host}:{port}/image\">")).concat();
    let (http, https) = (format!("http://127.0.0.1:{port}"), format!("https://127.0.0.1:{port}"));
    let body = format!(
        "{images}<link rel=\"stylesheet\" href=\"{http}/sheet\"><link rel=\"prefetch\" href=\"{http}/prefetch\"><link rel=\"preconnect\" href=\"{https}\">\n\
         <link rel=\"dns-prefetch\" href=\"{http}\"><iframe src=\"{https}/frame\"></iframe><object data=\"{http}/object\"></object><embed src=\"{http}/embed\">\n\
         <style>@font-face {{ font-family: F; src: url({http}/font) }} #b {{ background: url({http}/background) }}</style><p id=\"b\">x</p>\n\
         <script type=\"module\" src=\"{https}/module\"></script><script>\n\
         for (const tried of [() => fetch('{http}/fetch'), () => navigator.sendBeacon('{http}/beacon', 'x'), () => new WebSocket('ws://127.0.0.1:{port}/socket'),\n\
         () => new WebSocket('wss://127.0.0.1:{port}/secure'), () => new EventSource('{http}/events'), () => import('{https}/import'),\n\
         () => new Worker('worker.js'), () => {{ const x = new XMLHttpRequest(); x.open('POST', '{http}/post'); x.send('x') }},\n\
         () => {{ const p = new RTCPeerConnection({{ iceServers: [{{ urls: 'stun:127.0.0.1:{port}' }}] }}); p.createDataChannel('x'); p.createOffer().then((o) => p.setLocalDescription(o)) }},\n\
         () => navigator.serviceWorker?.register('worker.js'), () => fetch('http://169.254.169.254/latest/meta-data/'), () => fetch('file:///etc/passwd')])\n\
         try {{ Promise.resolve(tried()).catch(() => {{}}) }} catch {{}}</script>"
    );
    folder.project("site", SECOND, &body);
    folder.write(
        "site/worker.js",
        &format!("try {{ importScripts('{http}/worker') }} catch {{}} fetch('{http}/inner').catch(() => {{}})"),
    );
    let mut command = Command::new(bin("hf-producer"));
    command.args(["--json", "lint", "site"]).current_dir(folder.path()).env_remove("HF_SOURCE_NETWORKS");
    let failed = run(command);
    assert_eq!((failed.error().unwrap().code, failed.code), (Code::RemoteAssetUnsupported, 2), "{failed:#?}");
    let told = format!("{:?}", failed.reports);
    for try_ in [
        "image",
        "sheet",
        "frame",
        "object",
        "background",
        "module",
        "fetch",
        "beacon",
        "socket",
        "secure",
        "events",
        "import",
        "worker",
        "inner",
        "post",
        "meta-data",
    ] {
        assert!(told.contains(&format!("/{try_}")), "{try_} is not in {failed:#?}");
    }
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// A name server that gives a public address first and this machine's from then on, and says whom it was asked for; and what
/// listens here, which says that it was spoken to.
const CHANGING: &str = r"
import socket, threading
def listen(port):
    server = socket.create_server(('127.0.0.1', port))
    while True:
        server.accept()
        print('spoken to', flush=True)
for port in (80, 443):
    threading.Thread(target=listen, args=(port,), daemon=True).start()
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(('127.0.0.1', 53))
address = b'\x5d\xb8\xd8\x22'
while True:
    query, sender = names.recvfrom(512)
    question = query[12:]
    is_a = question[question.index(b'\0') + 2] == 1
    answer = b'\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04' + address if is_a else b''
    end = question.index(b'\0') + 5
    names.sendto(query[:2] + b'\x81\x80\0\x01\0' + (b'\x01' if is_a else b'\0') + b'\0\0\0\0' + question[:end] + answer, sender)
    if is_a:
        print('asked', flush=True)
        address = b'\x7f\0\0\x01'
";

/// What is dialled is the address that was judged: a name that has another one a moment later leads nowhere else.
#[test]
#[ignore = "needs Chromium"]
fn a_name_that_changes_its_address_leads_nowhere_private() {
    let folder = Folder::new();
    folder.write("names.py", CHANGING);
    folder.write("resolv.conf", "nameserver 127.0.0.1\n");
    folder.project("site", SECOND, "<img alt=\"\" src=\"https://changing.test/a.png\">");
    // In namespaces of their own, whose only network is this machine.
    let script = "mount --bind resolv.conf /etc/resolv.conf && ip link set lo up && { python3 names.py > told & names=$!; } && \
         until grep -q :0035 /proc/net/udp; do sleep 0.05; done; \
         \"$0\" --json plan site -o plan; code=$?; kill $names; exit $code";
    let mut command = Command::new("unshare");
    command.args(["-rmn", "sh", "-c", script]).arg(bin("hf-producer")).current_dir(folder.path());
    command.env("TMPDIR", folder.path()).env_remove("HF_SOURCE_NETWORKS");
    let failed = run(command);
    let failure = failed.error().unwrap_or_else(|| panic!("{failed:#?}"));
    assert_eq!((failure.code, failure.line), (Code::RemoteAssetUnavailable, Some(4)), "{failed:#?}");
    let told = std::fs::read_to_string(folder.join("told")).unwrap();
    assert!(told.starts_with("asked") && !told.contains("spoken to"), "{told}");
}

/// What is not there, and what leads where nothing may be fetched from.
#[test]
#[ignore = "needs Chromium"]
fn what_cannot_be_fetched_is_named_with_its_place() {
    let fetching = Fetching::new();
    let inside = |address: &str| fetching.https.url(&format!("to?{address}"));
    for (address, code, words) in [
        (fetching.https.url("gone.png"), Code::AssetMissing, "404"),
        (inside("https://10.1.2.3/a.png"), Code::RemoteAssetUnsupported, "10.1.2.3 is not a public address"),
        (inside("http://169.254.169.254/latest/"), Code::RemoteAssetUnsupported, "without https"),
        (inside("https://169.254.169.254/latest/"), Code::RemoteAssetUnsupported, "not a public address"),
        ("https://127.0.0.1:1/a.png".to_owned(), Code::RemoteAssetUnavailable, "refused"),
    ] {
        fetching.folder.project("site", SECOND, &format!("<img alt=\"\" src=\"{address}\">"));
        let failed = fetching.plan(&[]);
        let failure = failed.error().unwrap();
        assert_eq!(
            (failure.code, failure.path.as_deref(), failure.line),
            (code, Some("index.html"), Some(4)),
            "{failed:#?}"
        );
        assert!(failure.message.contains(words), "{failure}");
        assert!(!fetching.folder.join("plan").exists());
    }
}

/// Fonts that Google's addresses and style sheets name are those of their packages, with their weights, slopes and alphabets.
#[test]
#[ignore = "needs Chromium"]
fn fonts_come_from_packages() {
    let folder = Folder::new();
    let google = "https://fonts.googleapis.com/css2";
    let links = format!(
        "<link rel=\"preconnect\" href=\"https://fonts.googleapis.com\">\
         <link rel=\"stylesheet\" href=\"{google}?family=Space+Grotesk:wght@300;700&family=Lora:ital,wght@1,500&family=Archivo:wdth,wght@62..125,100..900&display=swap\">\n\
         <style>@import url('{google}?family=Pacifico'); :root {{ --heading: 'Fira Code', monospace }} p {{ margin: 0; font-size: 26px; line-height: 36px; white-space: nowrap }}</style>"
    );
    let text = |style: &str, text: &str| format!("<p><span style=\"{style}\">{text}</span></p>");
    let body = [
        text("font-family: 'Space Grotesk'; font-weight: 300", "Handgloves"),
        text("font-family: 'Space Grotesk'; font-weight: 700", "Handgloves"),
        text("font-family: Lora; font-style: italic; font-weight: 500", "Žluťoučký"),
        text("font-family: Pacifico", "Handgloves"),
        text("font-family: var(--heading)", "Жук =&gt;"),
        text("font-family: Archivo; font-stretch: 62%; font-weight: 850", "Handgloves"),
        text("font-family: Archivo; font-variation-settings: 'wdth' 125, 'wght' 850", "Handgloves"),
    ]
    .concat();
    let project = folder.project_of_size("site", (320, 260), SECOND, &(links + &body));
    let video = folder.join("out.mp4");
    let run = tests::bins::render(&project, &video, &["--quality", "high"]);
    assert!(run.warnings().is_empty(), "{run:#?}");
    let pixels = rgb_frame(&video, 5);
    let line = |line: usize| {
        let rows = line * 36..line * 36 + 36;
        rows.flat_map(|y| (0..320).map(move |x| (y * 320 + x) * 3)).filter(|at| pixels[*at] < 128).count()
    };
    let ink = [0, 1, 2, 3, 4, 5, 6].map(line);
    assert!(ink.iter().all(|ink| *ink > 100) && ink[1] > ink[0] * 5 / 4 && ink[6] > ink[5] * 5 / 4, "{ink:?}");
}

/// Characters that no font has which is asked for are Noto's, and a family that only a variable, a script or a canvas names is
/// fetched; what the browser sets in a monospaced font by itself is one.
#[test]
#[ignore = "needs Chromium"]
fn characters_and_families_are_looked_for() {
    let folder = Folder::new();
    let text = |style: &str, text: &str| format!("<p><span style=\"{style}\">{text}</span></p>");
    let body = [
        "<style>:root { --own: 'Pacifico' } p { margin: 0; font-size: 26px; line-height: 36px; white-space: nowrap } code { font-size: 26px; background: #000 }</style>",
        &text("font-family: Inter", "Handgloves"),
        &text("font-family: var(--own), Inter", "Handgloves"),
        &text("font-family: 'PingFang SC', Inter", "漢字 → 漢字"),
        &text("font-family: Inter", "😀🔒⚡"),
        "<p><code>iiii</code></p><p><code>MMMM</code></p>",
        "<canvas id=\"c\" width=\"320\" height=\"36\"></canvas><script>const c = document.getElementById('c').getContext('2d');\
         c.font = '26px Lobster'; document.fonts.load(c.font).then(() => c.fillText('Handgloves', 0, 26))</script>",
        &text("font-family: Inter", "1\u{fe0f}\u{20e3}👍🏽❤\u{fe0f}\u{200d}🔥"),
        &text("font-family: Inter", "CO₂ x⁴ 5‰ ⅓ up\u{2011}to\u{2011}date ├─█ ⠋"),
    ]
    .concat();
    let project = folder.project_of_size("site", (320, 326), SECOND, &body);
    let video = folder.join("out.mp4");
    let run = tests::bins::render(&project, &video, &["--quality", "high"]);
    let told = format!("{:?}", run.reports);
    for family in ["Noto Color Emoji", "Noto Sans,", "Noto Sans Mono", "Noto Sans SC", "Noto Sans Symbols"] {
        assert!(told.contains(family), "{run:#?}");
    }
    let pixels = rgb_frame(&video, 5);
    let line = |line: usize| (line * 36..line * 36 + 36).flat_map(|y| (0..320).map(move |x| (y * 320 + x) * 3));
    let ink = |number: usize| line(number).filter(|at| pixels[*at] < 128).count();
    let coloured = |number: usize| line(number).filter(|at| pixels[*at].abs_diff(pixels[*at + 2]) > 60);
    assert!(coloured(3).count() > 300, "{}", coloured(3).count());
    // A keycap, a skin and what two emoji make are one picture each.
    let each = [0, 1, 2].map(|third| coloured(7).filter(|at| at / 3 % 320 / 33 == third).count());
    assert!(each.iter().all(|count| *count > 60) && coloured(7).all(|at| at / 3 % 320 < 99), "{each:?}");
    assert!(ink(1).abs_diff(ink(0)) > 50 && ink(6).abs_diff(ink(0)) > 50, "{} {} {}", ink(0), ink(1), ink(6));
    let widths = [4, 5].map(|number| line(number).filter(|at| pixels[*at] < 128).map(|at| at / 3 % 320).max());
    assert!(widths[0].is_some() && widths[0] == widths[1], "{widths:?}");

    // A mark that only another font has, which the browser does not ask.
    let project = folder.project("marks", SECOND, "<p style=\"font-family: Inter\">F\u{20d7}</p>");
    let video = folder.join("marks.mp4");
    let failed = tests::bins::producer(["render", project.to_str().unwrap(), "-o", video.to_str().unwrap()]);
    assert_eq!(failed.error().map(|failure| failure.code), Some(Code::FontFetchFailed), "{failed:#?}");

    let fetching = Fetching::new();
    fetching.folder.project("site", SECOND, "<p style=\"font-family: Inter\">漢</p>");
    let failed = fetching.plan(&[]);
    let failure = failed.error().unwrap();
    assert_eq!(failure.code, Code::FontFetchFailed, "{failed:#?}");
    assert!(failure.message.contains("noto-sans-sc"), "{failure}");
}

/// A library that goes on from frame to frame is found, though nothing in the project says that it does; one that keeps the time is not
/// taken for one. Where it would draw in a worker it draws in the page.
#[test]
#[ignore = "needs Chromium"]
fn libraries_that_go_on_are_found() {
    let fetching = Fetching::new();
    let goes_on = "window.grow = (x, n = 0) => { const step = () => { x.style.opacity = n++ / 40; requestAnimationFrame(step) }; \
                   if (HTMLCanvasElement.prototype.transferControlToOffscreen) new Worker('none.js'); else step() }";
    let keeps_time = goes_on.replace("n++ / 40", "performance.now() / 2000");
    fetching.publish("paint", &[("1.0.0", goes_on), ("2.0.0", &keeps_time)]);
    let project = |version: &str| {
        let address = format!("https://cdn.jsdelivr.net/npm/paint@{version}/dist/paint.js");
        let script = "Error.prepareStackTrace = (_, frames) => frames; grow(document.getElementById('x')); document.getElementById('x').style.background = '#f00'";
        let body = format!("{BOX}<script src=\"{address}\"></script><script>{script}</script>");
        fetching.folder.project("site", SECOND, &body);
    };
    project("1.0.0");
    assert_eq!(fetching.plan(&[]).ok().warnings(), [Code::NotSeekable]);
    near(fetching.colour(18), [255, 128, 128]);
    project("2.0.0");
    assert!(fetching.plan(&[]).ok().warnings().is_empty());
}

/// What is only shown between the moments that planning looks at has fonts all the same.
#[test]
#[ignore = "needs Chromium"]
fn characters_that_planning_does_not_see_are_looked_for() {
    let folder = Folder::new();
    let body = "<style>@keyframes pass { 0%, 27%, 33%, 100% { display: none } 28%, 32% { display: block } }\n\
                p { margin: 0; font: 90px Inter; animation: pass 1s linear }</style><p>🔥</p>";
    let project = folder.project("site", SECOND, body);
    let video = folder.join("out.mp4");
    tests::bins::render(&project, &video, &[]);
    let pixels = rgb_frame(&video, 9);
    let coloured = pixels.chunks_exact(3).filter(|pixel| pixel[0].abs_diff(pixel[2]) > 60).count();
    assert!(coloured > 2000, "{coloured}");
}

/// Pages have all alphabets of the bundled families, whoever names them; where one has no more, another stands in, which is told.
#[test]
#[ignore = "needs Chromium"]
fn bundled_families_have_their_alphabets() {
    let fetching = Fetching::new();
    let body = "<style>:root { --own: 'Playfair Display' }</style><p style=\"font-family: Montserrat\">Zażółć <b>Русский</b> Tiếng Việt</p>\
                <p style=\"font-family: var(--own)\">Łódź</p><p style=\"font-family: Georgia\">Ελληνικά</p>\
                <p style=\"font-family: Poppins\">हिन्दी</p><p style=\"font-family: 'Courier New'\">Türkçe İş</p>\
                <ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li></ul><details open><summary>d</summary></details>";
    fetching.folder.project("site", SECOND, body);
    let planned = fetching.plan(&[]).ok();
    assert!(planned.warnings().is_empty(), "{planned:#?}");

    fetching.folder.project("site", SECOND, "<p style=\"font-family: 'League Gothic'\">Łódź Русский</p>");
    let planned = fetching.plan(&[]).ok();
    assert_eq!(planned.warnings(), [Code::FontFetchFailed], "{planned:#?}");
    assert!(format!("{:?}", planned.reports).contains("drawn with Inter"), "{planned:#?}");
}

/// A family that nobody has fails, with what to do; one that comes with the composition, however late, does not.
#[test]
#[ignore = "needs Chromium"]
fn fonts_that_nobody_has() {
    let fetching = Fetching::new();
    fetching.folder.project("site", SECOND, "<p style=\"font-family: Gotham\">x</p>");
    let failed = fetching.plan(&[]);
    let failure = failed.error().unwrap();
    assert_eq!((failure.code, failure.line), (Code::FontFetchFailed, Some(4)), "{failed:#?}");
    assert!(failure.message.contains("@fontsource/gotham") && failure.message.contains("@font-face"), "{failure}");

    std::fs::write(
        fetching.folder.join("site/inter.woff2"),
        packed("fontsource-inter-5.3.0", "files/inter-latin-400-normal.woff2"),
    )
    .unwrap();
    let body = "<p style=\"font-family: Inter\">x</p><script>setTimeout(async () => {\n\
                document.fonts.add(await new FontFace('Inter', 'url(inter.woff2)').load()) }, 700)</script>";
    fetching.folder.project("site", SECOND, body);
    assert!(fetching.plan(&[]).ok().warnings().is_empty());
}
