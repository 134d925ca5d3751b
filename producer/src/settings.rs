//! How this process runs: everything read from the environment, once.
//!
//! Precedence, lowest to highest: the places programs and packages usually are, then upstream's variable, then ours.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Paths and deadlines of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Headless-shell programs to try, best first.
    pub browsers: Vec<PathBuf>,
    /// Folder with the packed npm packages.
    pub assets: PathBuf,
    /// Folder for browser profiles; private to this user.
    pub scratch: PathBuf,
    /// How long a page may take to become ready.
    pub ready_timeout: Duration,
    /// How long nothing may move.
    pub progress_timeout: Duration,
    /// Set when the process was asked to stop.
    pub stop: Arc<AtomicBool>,
}

/// Where packages and archives put the real program. `/usr/bin/chromium-headless-shell` is not among them: it is a
/// shell script that stays between us and the browser.
const USUAL_BROWSERS: [&str; 2] =
    ["/usr/lib/chromium/chromium-headless-shell", "/opt/chrome-headless-shell/chrome-headless-shell"];

impl Settings {
    /// Reads the environment.
    #[must_use]
    pub fn resolve(ready_timeout: Duration, progress_timeout: Duration) -> Self {
        let named =
            ["HF_BROWSER", "PRODUCER_HEADLESS_SHELL_PATH"].into_iter().filter_map(set).map(PathBuf::from).next();
        let path = set("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).map(|folder| folder.join("chrome-headless-shell"));
        let usual = || USUAL_BROWSERS.into_iter().map(PathBuf::from).chain(in_path).collect();
        let cache =
            || set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".cache")));
        let assets = || cache().unwrap_or_else(env::temp_dir).join("hyperframes-operator/assets");
        Self {
            browsers: named.map_or_else(usual, |path| vec![path]),
            assets: set("HF_ASSETS_DIR").map_or_else(assets, PathBuf::from),
            scratch: env::temp_dir().join(format!("hf-producer-{}", nix::unistd::getuid())),
            ready_timeout,
            progress_timeout,
            stop: Arc::default(),
        }
    }
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
