//! How this process runs: everything read from the environment, once.

#![expect(clippy::disallowed_methods, reason = "the one reader of the environment and of the clock")]

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;

use crate::args::ReconcileArgs;

/// Everything a run needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The `hf-producer` program.
    pub(crate) producer: PathBuf,
    /// How long nothing may move.
    pub(crate) progress_timeout: Duration,
    /// Forget renders whose file is gone.
    pub(crate) prune: bool,
}

impl Settings {
    /// Precedence for the producer, lowest to highest: `PATH`, beside the own program, the argument.
    pub(crate) fn resolve(args: &ReconcileArgs) -> Self {
        let own = env::current_exe().ok();
        let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join("hf-producer"));
        let beside = beside.filter(|program| program.is_file());
        Self {
            producer: args.producer.clone().or(beside).unwrap_or_else(|| PathBuf::from("hf-producer")),
            progress_timeout: args.progress_timeout,
            prune: args.prune,
        }
    }
}

/// What is logged: warnings, or what `RUST_LOG` says.
pub(crate) fn log_filter() -> EnvFilter {
    EnvFilter::builder().with_default_directive(tracing::level_filters::LevelFilter::WARN.into()).from_env_lossy()
}

/// The clock, handed to whoever needs the time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
