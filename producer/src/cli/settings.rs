//! Everything read from the environment, once.
//!
//! Precedence, lowest to highest: the places programs and packages usually are, then upstream's variable, then ours.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crds::{Code, Networks};
use url::Url;

use super::args::Cli;
use crate::{
    Error,
    error::composition,
    files,
    settings::{Settings, USUAL_BROWSERS, default_registry},
};

impl Settings {
    /// Reads the environment; the rest stands on the command line.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for a variable that makes no sense.
    pub(crate) fn resolve(cli: &Cli) -> Result<Self, Error> {
        let named =
            ["HF_BROWSER", "PRODUCER_HEADLESS_SHELL_PATH"].into_iter().filter_map(set).map(PathBuf::from).next();
        let path = set("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).map(|folder| folder.join("chrome-headless-shell"));
        let usual = || USUAL_BROWSERS.into_iter().map(PathBuf::from).chain(in_path).collect();
        let cache =
            || set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".cache")));
        let ours = || cache().unwrap_or_else(env::temp_dir).join("hyperframes-operator");
        Ok(Self {
            browsers: named.map_or_else(usual, |path| vec![path]),
            assets: set("HF_ASSETS_DIR").map_or_else(|| ours().join("assets"), PathBuf::from),
            packages: set("HF_PACKAGES_DIR").map_or_else(|| ours().join("npm"), PathBuf::from),
            registry: registry()?,
            networks: networks()?,
            offline: cli.offline || set("HF_OFFLINE").is_some(),
            scratch: env::temp_dir().join(format!("hf-producer-{}", nix::unistd::getuid())),
            ready_timeout: cli.ready_timeout,
            progress_timeout: cli.progress_timeout,
            frame_source: cli.frame_source.kind(),
        })
    }
}

/// The registry that the npm client of this user asks: what its variables say, else its own and the system's file.
fn registry() -> Result<Url, Error> {
    const FILES: [&str; 2] = ["/usr/local/etc/npmrc", "/etc/npmrc"];
    let text = |name| set(name).and_then(|value| value.into_string().ok());
    let own = set("NPM_CONFIG_USERCONFIG").or_else(|| set("npm_config_userconfig")).map(PathBuf::from);
    let own = own.or_else(|| Some(Path::new(&set("HOME")?).join(".npmrc")));
    let mut files = own.into_iter().chain(FILES.map(PathBuf::from));
    let read = || files.find_map(|file| registry_in(&files::read_text(&file).ok()?));
    let Some(registry) = text("npm_config_registry").or_else(|| text("NPM_CONFIG_REGISTRY")).or_else(read) else {
        return Ok(default_registry());
    };
    // Names of packages count from it.
    let folder = format!("{}/", registry.trim_end_matches('/'));
    let usable = Url::parse(&folder).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    usable.ok_or_else(|| composition(Code::ConfigInvalid, format!("npm's registry {registry:?} is no URL")))
}

/// The registry that an `.npmrc` names.
fn registry_in(npmrc: &str) -> Option<String> {
    let mut named = npmrc.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| key.trim() == "registry");
    named.next_back().map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
}

fn networks() -> Result<Networks, Error> {
    let named = set("HF_SOURCE_NETWORKS").unwrap_or_default();
    let invalid = |why| composition(Code::ConfigInvalid, format!("HF_SOURCE_NETWORKS: {why}"));
    Networks::read(&named.to_string_lossy()).map_err(invalid)
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
        Self::resolve(&Cli::try_parse_from(["hf-producer", "doctor"]).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npms_own_file_names_the_registry() {
        assert_eq!(
            registry_in("fund=false\n registry = \"https://x.example/npm\"\n"),
            Some("https://x.example/npm".to_owned())
        );
        assert_eq!(registry_in("@scope:registry=https://y.example/\n; registry=z"), None);
    }
}
