//! Upstream's published CLI, from npm.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::RATE;
use tests::{
    fixture::{Folder, copy},
    truth::{browser, packed},
};

const VERSION: &str = "0.8.170";
/// The CLI needs this version of Node.js, whichever the system has.
const NODE: &str = "22";
/// The network's copy of GSAP, which not every machine can reach.
const GSAP: &str = "https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js";

/// The CLI, installed.
pub struct Upstream {
    /// Where npm put it, and its home.
    folder: PathBuf,
}

impl Upstream {
    /// Installs it if it is not there.
    ///
    /// # Errors
    /// One line that says why it cannot be had.
    pub fn installed() -> Result<Self, String> {
        let upstream = Self { folder: cache_folder() };
        if upstream.version().is_some_and(|version| version == VERSION) {
            return Ok(upstream);
        }
        eprintln!("installing hyperframes@{VERSION} from npm");
        let mut npm = Command::new("npm");
        npm.arg("install").arg("--prefix").arg(&upstream.folder);
        npm.args([format!("hyperframes@{VERSION}"), format!("node@{NODE}")]);
        output(npm)?;
        match upstream.version() {
            Some(version) if version == VERSION => Ok(upstream),
            version => Err(format!("installed from npm, `hyperframes --version` says {version:?}")),
        }
    }

    fn version(&self) -> Option<String> {
        let mut command = self.command();
        command.arg("--version");
        Some(output(command).ok()?.trim().to_owned())
    }

    /// Renders a project as a user would.
    ///
    /// # Errors
    /// One line that says why it does not.
    pub fn try_render(&self, project: &Path, video: &Path) -> Result<(), String> {
        let mut command = self.command();
        command.arg("render").arg(project).arg("-o").arg(video);
        command.args(["--fps", &RATE.to_string(), "-q", "standard"]);
        output(command).map(drop)
    }

    /// The CLI with our browser and its own Node.js. It keeps to its folder, and neither calls home nor updates itself.
    fn command(&self) -> Command {
        let programs = self.folder.join("node_modules/.bin");
        let system = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs.clone()].into_iter().chain(env::split_paths(&system))).unwrap();
        let mut command = Command::new(programs.join("hyperframes"));
        command
            .envs([("PATH", path), ("HOME", self.folder.clone().into())])
            .envs(["PRODUCER_HEADLESS_SHELL_PATH", "HYPERFRAMES_BROWSER_PATH"].map(|name| (name, browser())))
            .envs([("DO_NOT_TRACK", "1"), ("HYPERFRAMES_TELEMETRY", "0")])
            .envs([("HYPERFRAMES_NO_UPDATE_CHECK", "1"), ("HYPERFRAMES_NO_AUTO_INSTALL", "1")]);
        command
    }
}

/// Copies a project, with GSAP beside it.
pub fn with_local_gsap(project: &Path, folder: &Folder) -> PathBuf {
    let copied = folder.join("project");
    copy(project, &copied);
    for file in fs::read_dir(&copied).unwrap() {
        let page = file.unwrap().path();
        if page.extension().is_some_and(|extension| extension == "html") {
            let html = fs::read_to_string(&page).unwrap();
            fs::write(page, html.replace(GSAP, "gsap.min.js")).unwrap();
        }
    }
    fs::write(copied.join("gsap.min.js"), packed("gsap-3.14.2", "dist/gsap.min.js")).unwrap();
    copied
}

fn cache_folder() -> PathBuf {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("HF_UPSTREAM_DIR").unwrap_or_else(|| {
        let cache = folder("XDG_CACHE_HOME").unwrap_or_else(|| folder("HOME").expect("HOME").join(".cache"));
        cache.join("hyperframes-operator/upstream")
    })
}

/// Runs a program to its end; its standard output, or a line that says why there is none.
fn output(mut command: Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = stderr.lines().find(|line| line.to_lowercase().contains("error")).or_else(|| stderr.lines().last());
    Err(format!("{program}: {}: {}", output.status, reason.unwrap_or_default()))
}
