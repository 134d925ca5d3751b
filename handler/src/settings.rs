//! How this function runs: everything read from the environment, once.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment")]

use std::{env, ffi::OsString, path::PathBuf};

use producer::USUAL_BROWSERS;

/// Buckets and paths of one function.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only bucket events may name (`HYPERFRAMES_RENDER_BUCKET`, upstream's variable). Without it none is allowed.
    pub bucket: Option<String>,
    /// Where work folders are made.
    pub scratch: PathBuf,
    /// Folder with the browser of this package, unless another one is named.
    pub packed_browser: Option<PathBuf>,
    /// Headless-shell programs to try where none is packed, best first.
    pub browsers: Vec<PathBuf>,
    /// Folder with the packed npm packages that may not be embedded.
    pub assets: PathBuf,
}

impl Settings {
    /// Reads the environment.
    #[must_use]
    pub fn resolve() -> Self {
        let task = set("LAMBDA_TASK_ROOT").map_or_else(|| PathBuf::from("/var/task"), PathBuf::from);
        let named =
            ["HF_BROWSER", "PRODUCER_HEADLESS_SHELL_PATH"].into_iter().find_map(set).map(|path| vec![path.into()]);
        let bucket = set("HYPERFRAMES_RENDER_BUCKET").and_then(|bucket| bucket.into_string().ok());
        Self {
            bucket: bucket.map(|bucket| bucket.trim().to_owned()).filter(|bucket| !bucket.is_empty()),
            scratch: env::temp_dir(),
            packed_browser: named.is_none().then(|| task.join("browser")),
            browsers: named.unwrap_or_else(|| USUAL_BROWSERS.into_iter().map(PathBuf::from).collect()),
            assets: set("HF_ASSETS_DIR").map_or_else(|| task.join("assets"), PathBuf::from),
        }
    }
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
