//! How this process runs: everything read from the environment, once.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment and of the clock")]

use std::{
    env,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

/// The `hf-producer` program: the one that is named, else the one beside this program, else the one in `PATH`.
pub(crate) fn producer(named: Option<&Path>) -> PathBuf {
    named.map(Path::to_owned).or_else(|| beside("hf-producer")).unwrap_or_else(|| PathBuf::from("hf-producer"))
}

/// The Lambda function's zip: the one that is named, else the one beside this program, if there is one.
pub(crate) fn handler(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| beside("handler.zip"))
}

fn beside(name: &str) -> Option<PathBuf> {
    let own = env::current_exe().ok();
    own.as_deref().and_then(Path::parent).map(|folder| folder.join(name)).filter(|file| file.is_file())
}

/// A variable of the environment; one that is no text counts as not set.
pub(crate) fn variable(name: &'static str) -> Option<String> {
    env::var(name).ok()
}

/// What is logged: warnings, more where that is asked for, or what `RUST_LOG` says.
pub(crate) fn log_filter(verbose: u8) -> EnvFilter {
    let own = match verbose {
        // What the AWS SDK could not do is told by whoever asked it.
        0 | 1 => "warn,aws_config=off,aws_runtime=off,aws_smithy_runtime=off",
        _ => "warn,operator=debug",
    };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(own))
}

/// Whether people want no colours (no-color.org).
pub(crate) fn no_color() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The folder a person stands in; paths are shown from there.
pub(crate) fn here() -> PathBuf {
    env::current_dir().unwrap_or_default()
}

/// The clock, handed to whoever needs the time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
