//! Everything read from the environment, once.
//!
//! Precedence, lowest to highest: the places programs and packages usually are, then upstream's variable, then ours.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::args::Cli;
use crate::settings::{Settings, USUAL_BROWSERS};

impl Settings {
    /// Reads the environment; the rest stands on the command line.
    pub(crate) fn resolve(cli: &Cli) -> Self {
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
            ready_timeout: cli.ready_timeout,
            progress_timeout: cli.progress_timeout,
            frame_source: cli.frame_source.kind(),
        }
    }
}

/// Whether people asked programs not to use colours (<https://no-color.org>).
pub(crate) fn no_color() -> bool {
    set("NO_COLOR").is_some()
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
impl Settings {
    /// Those of a command without options.
    pub(crate) fn of_tests() -> Self {
        use clap::Parser as _;
        Self::resolve(&Cli::try_parse_from(["hf-producer", "doctor"]).unwrap())
    }
}
