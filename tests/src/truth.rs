//! What a frame should look like: a page as its author wrote it, moved by the published runtime, in a plain browser that
//! takes an ordinary screenshot. It shares no code with the producer, neither what prepares the page nor what drives it.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Path as Matched,
    http::{HeaderName, header::CONTENT_TYPE},
    response::Html,
    routing::get,
};
use chromiumoxide::{
    Browser, Page,
    cdp::browser_protocol::{
        emulation::SetDeviceMetricsOverrideParams,
        page::{CaptureScreenshotFormat, CaptureScreenshotParams},
    },
    handler::HandlerConfig,
};
use futures::StreamExt as _;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tower_http::services::ServeDir;

/// A composition in a plain browser.
pub struct Truth {
    page: Page,
    rate: f64,
    runtime: Runtime,
    _browser: Shell,
}

/// Where Debian and Chrome for Testing put the program.
const BROWSERS: [&str; 2] =
    ["/usr/lib/chromium/chromium-headless-shell", "/opt/chrome-headless-shell/chrome-headless-shell"];

/// Flags that pixels depend on.
const PIXELS: [&str; 5] = [
    "--disable-gpu",
    "--disable-partial-raster",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
];

impl Truth {
    /// Opens a project. `rate`: frames per second.
    pub fn open(project: &Path, rate: f64, variables: &Value) -> Self {
        let runtime = Runtime::new().unwrap();
        let shell = Shell::start();
        let html = fs::read_to_string(project.join("index.html")).unwrap();
        let size = ["width", "height"].map(|name| {
            let value = html.split(&format!("data-{name}=\"")).nth(1).unwrap();
            value.split('"').next().unwrap().parse::<i64>().unwrap()
        });
        let page = runtime.block_on(async {
            let address = serve(project, prepare(&html, variables)).await;
            // The tests' own deadline is the one that counts; nothing is emulated but the size.
            let config =
                HandlerConfig { request_timeout: Duration::from_mins(1), viewport: None, ..Default::default() };
            let (browser, mut handler) = Browser::connect_with_config(shell.address(), config).await.unwrap();
            tokio::spawn(async move { while handler.next().await.is_some() {} });
            let page = browser.new_page("about:blank").await.unwrap();
            page.execute(SetDeviceMetricsOverrideParams::new(size[0], size[1], 1.0, false)).await.unwrap();
            page.goto(format!("{address}/index.html")).await.unwrap();
            page.evaluate_function(READY).await.unwrap();
            page
        });
        Self { page, rate, runtime, _browser: shell }
    }

    /// Writes the PNG of a frame.
    pub fn png(&self, frame: u32, file: &Path) {
        // A transition or a filter may look at the frame before.
        for frame in frame.saturating_sub(1)..=frame {
            self.seek(f64::from(frame) / self.rate);
        }
        let screenshot = CaptureScreenshotParams::builder().format(CaptureScreenshotFormat::Png).build();
        let png = self.runtime.block_on(self.page.screenshot(screenshot)).unwrap();
        fs::write(file, png).unwrap();
    }

    fn seek(&self, seconds: f64) {
        self.runtime.block_on(self.page.evaluate_function(SEEK.replace("TIME", &seconds.to_string()))).unwrap();
    }
}

const READY: &str = "async () => {
  while (document.readyState !== 'complete' || !window.__renderReady) await new Promise((r) => setTimeout(r, 20));
  await Promise.all(Array.from(document.fonts, (face) => face.load()));
}";

/// Two animation frames later the seek is on the screen.
const SEEK: &str = "async () => {
  window.__player.renderSeek(TIME);
  for (let i = 0; i < 2; i++) await new Promise((r) => requestAnimationFrame(r));
}";

/// The page with the runtime, the variables, and local files in place of what the network would give.
fn prepare(html: &str, variables: &Value) -> String {
    let mut html = html.to_owned();
    for (address, path) in [("gsap@3.14.2/dist", "gsap-3.14.2"), ("ajax/libs/gsap/3.12.2", "gsap-3.12.2")] {
        for host in ["https://cdn.jsdelivr.net/npm/", "https://cdnjs.cloudflare.com/"] {
            html = html.replace(&format!("{host}{address}/gsap.min.js"), &format!("/truth/{path}.js"));
        }
    }
    html = html.replace("https://cdn.jsdelivr.net/npm/", "/truth/npm/");
    let faces: String = [400, 700]
        .map(|weight| format!("@font-face{{font-family:Inter;font-weight:{weight};src:url(/truth/{weight}.woff2)}}"))
        .concat();
    let first = format!(
        "<head><style>*{{text-rendering:geometricPrecision}}{faces}</style><script>__hfVariables={variables}</script>"
    );
    html.replacen("<head>", &first, 1).replacen("</head>", "<script src=\"/truth/runtime.js\"></script></head>", 1)
}

async fn serve(project: &Path, html: String) -> String {
    let file = |kind: &'static str, archive: &str, path: &str| {
        let bytes = packed(archive, path);
        get(move || std::future::ready(([(CONTENT_TYPE, kind)], bytes)))
    };
    let script = "text/javascript";
    let inter =
        |weight: u32| file("font/woff2", "fontsource-inter-5.3.0", &format!("files/inter-latin-{weight}-normal.woff2"));
    let routes = Router::new()
        .route("/index.html", get(move || std::future::ready(Html(html))))
        .route("/truth/runtime.js", file(script, "hyperframes-core-0.8.64", "dist/hyperframe.runtime.iife.js"))
        .route("/truth/gsap-3.14.2.js", file(script, "gsap-3.14.2", "dist/gsap.min.js"))
        .route("/truth/gsap-3.12.2.js", file(script, "gsap-3.12.2", "dist/gsap.min.js"))
        .route("/truth/npm/{*file}", get(|Matched(file): Matched<String>| async move { published(&file) }))
        .route("/truth/400.woff2", inter(400))
        .route("/truth/700.woff2", inter(700))
        .fallback_service(ServeDir::new(project));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// `name@version/path` of any npm package, which the npm client fetches.
fn published(file: &str) -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    let at = file[1..].find('@').unwrap() + 1;
    let (package, path) = file.split_at(at + file[at..].find('/').unwrap());
    let folder = PathBuf::from(env::var("HF_ASSETS_DIR").unwrap()).with_file_name("test-packages");
    let archive = folder.join(package.trim_start_matches('@').replace(['/', '@'], "-") + ".tgz");
    if !archive.exists() {
        fs::create_dir_all(&folder).unwrap();
        let fetched = tempfile::tempdir_in(&folder).unwrap();
        let to = fetched.path().to_str().unwrap();
        crate::bins::tool("npm", &["pack", "--silent", "--pack-destination", to, package]);
        let packed = fs::read_dir(to).unwrap().next().unwrap().unwrap().path();
        fs::rename(packed, &archive).unwrap();
    }
    let output = crate::bins::tool_output("tar", &["xzOf", archive.to_str().unwrap(), &format!("package{path}")]);
    let kind = if path.ends_with(".css") { "text/css" } else { "text/javascript" };
    ([(CONTENT_TYPE, kind)], output.stdout)
}

/// A file of one of the packed npm packages.
pub fn packed(archive: &str, path: &str) -> Vec<u8> {
    let cache = env::var("HF_ASSETS_DIR").expect("HF_ASSETS_DIR: run `make test`");
    let archive = format!("{cache}/{archive}.tgz");
    let output = crate::bins::tool_output("tar", &["xzOf", &archive, &format!("package/{path}")]);
    assert!(output.status.success(), "{archive}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Frames of a video that are compared with the truth.
pub const SAMPLES: u32 = 8;

/// Which frames of a video of so many: the first, the last and some between.
pub fn sampled(frames: u32) -> impl Iterator<Item = u32> {
    (0..SAMPLES).map(move |place| place * (frames - 1) / (SAMPLES - 1))
}

/// The browser's program.
pub fn browser() -> PathBuf {
    let named = env::var_os("HF_BROWSER").map(PathBuf::from);
    let usual = BROWSERS.iter().map(PathBuf::from).find(|path| path.exists());
    named.or(usual).expect("a headless-shell: run `make test`, which installs it")
}

/// The browser process and its profile.
struct Shell {
    child: Child,
    profile: tempfile::TempDir,
}

impl Shell {
    fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("hf-truth-").tempdir().unwrap();
        let child = Command::new(browser())
            .args(PIXELS)
            .args(["--no-sandbox", "--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("TZ", "UTC")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, profile }
    }

    /// Where the browser listens, which it writes into its profile.
    fn address(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(self.profile.path().join("DevToolsActivePort")).unwrap_or_default();
            if let [port, path] = text.lines().collect::<Vec<_>>()[..] {
                return format!("ws://127.0.0.1:{port}{path}");
            }
            assert!(Instant::now() < deadline, "the plain browser does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
