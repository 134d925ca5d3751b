//! Starting and ending the browser process.

#![expect(clippy::disallowed_methods, reason = "the one place that starts a browser")]

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    libc,
    sys::signal::{Signal, killpg},
    unistd::{Pid, pipe2},
};

use tracing::debug;

use super::{Error, Result, cdp::Cdp, procfs, shared_memory::SharedMemory, system_fonts};
use crate::{context::Context, files, files::Scratch};

/// A running browser. Dropping it kills its whole process group, waits for it and removes its profile.
pub(crate) struct Browser {
    child: Child,
    profile: Scratch,
    /// Where its memory is shared with us.
    pub(super) shared: Option<SharedMemory>,
}

/// How big the browser's one window is, and where its only network peer listens.
pub(crate) struct Window {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Loopback port of the composition's server.
    pub(crate) proxy_port: u16,
    /// The key that it shows whoever asks for `https`.
    pub(crate) proxy_key: String,
    /// Frames are drawn when we say so; off only for plain screenshots.
    pub(crate) begin_frame_control: bool,
    /// Bitmaps of the window's size are shared with us.
    pub(crate) shares_memory: bool,
    /// A folder for each family that its fonts are to have besides the bundled ones.
    pub(crate) fallbacks: PathBuf,
}

impl Window {
    /// Bytes of a bitmap of it.
    fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * 4
    }
}

/// Pixels must not depend on the machine, on timing, or on what was drawn before. The partial-raster flag is needed
/// for that too: without it a tile's antialiased edges depend on what was damaged earlier.
const PIXELS: [&str; 5] = [
    "--disable-gpu",
    "--disable-partial-raster",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
];

/// The compositor draws one whole frame for each `BeginFrame`, and nothing else.
const BEGIN_FRAME: [&str; 7] = [
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
    "--disable-new-content-rendering-timeout",
];

/// The page never waits and nothing runs that was not asked for. `--no-sandbox`: a renderer in a container or under
/// root cannot use Chromium's own; confinement is the surrounding system's. That makes a process of its own for the network,
/// which costs 50 ms of CPU to start, no safer. Of two cores a browser would rasterize on one, while the other often has nothing to
/// do. Shader transitions need canvases that draw elements; the pictures of videos, that
/// garbage is collected.
const QUIET: [&str; 17] = [
    "--no-sandbox",
    "--no-first-run",
    "--mute-audio",
    "--lang=en-US",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-renderer-backgrounding",
    "--enable-features=CanvasDrawElement,NetworkServiceInProcess2",
    "--num-raster-threads=2",
    "--js-flags=--expose-gc-as=__hfCollectGarbage",
];

/// Every request goes to the composition's server, which answers for one origin and for what the plan recorded, and refuses
/// the rest; no name is ever looked up and no datagram sent. Its key is the only one that stands for any host.
fn network_flags(proxy_port: u16, proxy_key: &str) -> [String; 5] {
    [
        format!("--proxy-server=http://127.0.0.1:{proxy_port}"),
        format!("--ignore-certificate-errors-spki-list={proxy_key}"),
        "--proxy-bypass-list=<-loopback>".to_owned(),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp".to_owned(),
    ]
}

/// The browser's command line, without its program.
fn arguments(window: &Window, profile: &Path) -> Vec<String> {
    let begin_frame: &[&str] = if window.begin_frame_control { &BEGIN_FRAME } else { &[] };
    let fixed = PIXELS.iter().chain(begin_frame).chain(&QUIET).map(|flag| (*flag).to_owned());
    let own = [
        format!("--window-size={},{}", window.width, window.height),
        format!("--user-data-dir={}", profile.display()),
        "--remote-debugging-pipe".to_owned(),
    ];
    fixed.chain(network_flags(window.proxy_port, &window.proxy_key)).chain(own).collect()
}

impl Browser {
    /// Starts the first usable program of the settings.
    ///
    /// The calling thread must outlive the browser: Linux ends it when the thread that started it ends.
    pub(crate) fn launch(context: &Context, window: &Window) -> Result<(Self, Cdp)> {
        let settings = &context.settings;
        let program = find(&settings.browsers)?;
        files::private_dir(&settings.scratch)?;
        let profile = Scratch::new(&settings.scratch, "profile-")?;
        let fonts = system_fonts::install(profile.path(), &window.fallbacks)?;
        let shared = window.shares_memory.then(|| SharedMemory::prepare(profile.path(), window.bytes())).transpose()?;
        let (shared, sharing) = shared.unzip();
        let log_path = profile.path().join("browser.log");
        files::write(&log_path, "")?;
        let start = |source: io::Error| Error::Start { program: program.display().to_string(), source };
        let log = File::options().append(true).open(&log_path).map_err(start)?;
        let (requests_in, requests_out) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| start(errno.into()))?;
        let (answers_in, answers_out) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| start(errno.into()))?;

        let mut command = Command::new(&program);
        command
            .args(arguments(window, profile.path()))
            .current_dir(profile.path())
            .env_clear()
            .env("FONTCONFIG_FILE", &fonts)
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .env("TZ", "UTC")
            .envs(libraries(&program).map(|folder| ("LD_LIBRARY_PATH", folder)))
            .envs(sharing.into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        debug!(?command, "starting a browser");
        hand_over(&mut command, requests_in, answers_out);
        let child = command.spawn().map_err(start)?;
        // The child's ends of the pipes must be closed here, or its end would go unnoticed.
        drop(command);
        let cdp = Cdp::new(requests_out.into(), answers_in.into(), context);
        Ok((Self { child, profile, shared }, cdp))
    }

    /// Process id of the main process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// An error as it came from the connection, with what is known of the process's end.
    pub(crate) fn explain(&mut self, error: Error) -> Error {
        let Error::Ended { doing, .. } = error else { return error };
        let deadline = Instant::now() + Duration::from_secs(1);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status.to_string(),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                _ => break "it still runs, but closed its pipe".to_owned(),
            }
        };
        Error::Ended { status, doing, log: self.log_tail() }
    }

    fn log_tail(&self) -> String {
        const TAIL: u64 = 2048;
        let read = || -> io::Result<String> {
            let mut log = File::open(self.profile.path().join("browser.log"))?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().ok().filter(|log| !log.is_empty()).unwrap_or_else(|| "its log is empty".to_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let processes = procfs::tree(self.pid());
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        // The profile can be removed once the last process has let go of it.
        let deadline = Instant::now() + Duration::from_secs(1);
        while processes.iter().any(|pid| procfs::is_alive(*pid)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The child reads commands from descriptor 3, writes answers to 4, and dies with the thread that started it.
#[expect(unsafe_code, reason = "only async-signal-safe calls run between fork and exec")]
fn hand_over(command: &mut Command, requests: OwnedFd, answers: OwnedFd) {
    let parent = nix::unistd::getpid();
    let set_up = move || {
        // First out of the way: either descriptor may itself be 3 or 4.
        let [read, write] = [requests.as_raw_fd(), answers.as_raw_fd()]
            // SAFETY: fcntl on descriptors this closure owns.
            .map(|fd| unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10) });
        // SAFETY: dup2 onto numbers nothing of ours uses after exec.
        if read < 0 || write < 0 || unsafe { libc::dup2(read, 3) } < 0 || unsafe { libc::dup2(write, 4) } < 0 {
            return Err(io::Error::last_os_error());
        }
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have ended before that took hold.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(set_up) };
}

/// The first program that can be started itself. A script would stay between us and the browser: for Debian's
/// `/usr/bin/chromium-headless-shell`, the program that it starts is taken.
pub(crate) fn find(candidates: &[PathBuf]) -> Result<PathBuf> {
    let mut tried = Vec::new();
    for path in candidates {
        match is_program(path) {
            Ok(true) => return Ok(path.clone()),
            Ok(false) => match started_by_script(path).filter(|program| is_program(program).is_ok_and(|is| is)) {
                Some(program) => return Ok(program),
                None => tried.push(format!("{} is not a program but a script", path.display())),
            },
            Err(error) => tried.push(format!("{}: {error}", path.display())),
        }
    }
    Err(Error::NotFound { tried: tried.join("; ") })
}

/// The folder with the libraries that a packaged browser brings along.
fn libraries(program: &Path) -> Option<PathBuf> {
    program.parent().map(|folder| folder.join("lib")).filter(|folder| folder.is_dir())
}

fn is_program(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 4];
    File::open(path)?.read_exact(&mut magic)?;
    Ok(magic == *b"\x7fELF")
}

/// Where Debian's packages keep the program that the script `<prefix>/bin/<name>` starts.
fn started_by_script(script: &Path) -> Option<PathBuf> {
    let prefix = script.parent()?.parent()?;
    Some(prefix.join("lib/chromium").join(script.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_script_is_not_a_browser() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("chromium-headless-shell");
        files::write(&script, "#!/bin/sh\n").unwrap();
        let error = find(&[script, folder.path().join("absent")]).unwrap_err();
        assert_eq!(error.code(), crds::Code::BrowserNotFound);
        let text = error.to_string();
        assert!(text.contains("is not a program but a script") && text.contains("set HF_BROWSER"), "{text}");
    }

    #[test]
    fn the_program_that_debians_script_starts_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("bin/chromium-headless-shell");
        let program = folder.path().join("lib/chromium/chromium-headless-shell");
        for (path, content) in [(&script, b"#!/bin/sh\n" as &[u8]), (&program, b"\x7fELF...")] {
            files::create_dir(path.parent().unwrap()).unwrap();
            files::write(path, content).unwrap();
        }
        assert_eq!(find(&[script]).unwrap(), program);
    }

    #[test]
    fn the_command_line_reaches_no_network() {
        let window = Window {
            width: 640,
            height: 360,
            proxy_port: 4321,
            proxy_key: "key".to_owned(),
            begin_frame_control: true,
            shares_memory: false,
            fallbacks: PathBuf::new(),
        };
        let arguments = arguments(&window, Path::new("/profile"));
        for flag in [
            "--proxy-server=http://127.0.0.1:4321",
            "--proxy-bypass-list=<-loopback>",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--disable-partial-raster",
            "--window-size=640,360",
        ] {
            assert!(arguments.iter().any(|argument| argument == flag), "{flag}");
        }
    }
}
