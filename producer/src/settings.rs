//! How a process runs: plain data, the same for every verb.

use std::{path::PathBuf, time::Duration};

use crds::{Networks, line::FrameSourceKind};
use url::Url;

/// Paths and deadlines. Nothing in it changes a pixel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Headless-shell programs to try, best first.
    pub browsers: Vec<PathBuf>,
    /// Folder with the packed npm packages.
    pub assets: PathBuf,
    /// Folder with the npm packages that earlier plans fetched.
    pub packages: PathBuf,
    /// The npm registry that planning asks for packages.
    pub registry: Url,
    /// Networks besides the public ones that planning may fetch files from.
    pub networks: Networks,
    /// Planning fetches nothing: only what is on this machine is there.
    pub offline: bool,
    /// Folder for browser profiles; private to this user.
    pub scratch: PathBuf,
    /// How long a page may take to become ready.
    pub ready_timeout: Duration,
    /// How long nothing may move before the work is given up.
    pub progress_timeout: Duration,
    /// How frames leave the browser; `None`: the fastest way that works here. All ways give the same pixels.
    pub frame_source: Option<FrameSourceKind>,
}

/// npm's own default.
///
/// # Panics
/// Never: it is a URL.
#[must_use]
pub fn default_registry() -> Url {
    Url::parse("https://registry.npmjs.org/").unwrap_or_else(|error| unreachable!("{error}"))
}

/// Where packages and archives put the real program. `/usr/bin/chromium-headless-shell` is not among them: it is a
/// shell script that stays between us and the browser.
pub const USUAL_BROWSERS: [&str; 2] =
    ["/usr/lib/chromium/chromium-headless-shell", "/opt/chrome-headless-shell/chrome-headless-shell"];
