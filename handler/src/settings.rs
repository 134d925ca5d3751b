//! How this function runs: everything read from the environment, once.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use producer::USUAL_BROWSERS;

/// Buckets and paths of one function.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only bucket events may name (`HYPERFRAMES_RENDER_BUCKET`, upstream's variable). Without it none is allowed.
    pub bucket: Option<String>,
    /// Where work folders are made.
    pub scratch: PathBuf,
    /// Headless-shell programs to try, best first.
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
        let usual = || {
            let packaged = task.join("bin/chrome-headless-shell");
            [packaged].into_iter().chain(USUAL_BROWSERS.into_iter().map(PathBuf::from)).collect()
        };
        let bucket = set("HYPERFRAMES_RENDER_BUCKET").and_then(|bucket| bucket.into_string().ok());
        Self {
            bucket: bucket.map(|bucket| bucket.trim().to_owned()).filter(|bucket| !bucket.is_empty()),
            scratch: env::temp_dir(),
            browsers: named.unwrap_or_else(usual),
            assets: set("HF_ASSETS_DIR").map_or_else(|| Path::new(&task).join("assets"), PathBuf::from),
        }
    }
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
