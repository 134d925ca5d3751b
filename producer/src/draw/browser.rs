//! A headless-shell process of our own: started with nothing but what it needs, spoken to over a pipe, gone when we are.
//!
//! Chromium's DevTools protocol is spoken over `--remote-debugging-pipe`, with `chromiumoxide`'s types, not over
//! `chromiumoxide`'s WebSocket: measured on 2 cores, an evaluate and a BeginFrame cost 0.25 ms and 0.16 CPU ms
//! by pipe, 0.42 ms and 0.30 CPU ms by socket. A pipe also has no port that other users could connect to, no fixed
//! 30-second limit per command, and it closes when the browser ends.

use std::time::Duration;

use crds::Code;

pub(crate) mod cdp;
pub(crate) mod events;
pub(crate) mod launch;
pub(crate) mod page;
pub(crate) mod procfs;
pub(crate) mod shared_memory;
pub(crate) mod system_fonts;

/// The browser did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program to start.
    #[error("no headless-shell found ({tried}): install chromium-headless-shell or set HF_BROWSER to the program")]
    NotFound {
        /// Every place looked at and what was there.
        tried: String,
    },
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The process ended or closed its pipe.
    #[error("the browser ended unexpectedly ({status}) while {doing}: {log}")]
    Ended {
        /// Its exit status or signal.
        status: String,
        /// The command it was asked to do.
        doing: String,
        /// The end of its log.
        log: String,
    },
    /// The page's process crashed.
    #[error("the page crashed; it may need more memory than there is")]
    PageCrashed,
    /// A command was answered with an error.
    #[error("the browser refused {method}: {message}")]
    Refused {
        /// The command.
        method: String,
        /// The answer.
        message: String,
    },
    /// An answer did not have the expected form.
    #[error("the browser's answer to {method} cannot be read: {source}")]
    Protocol {
        /// The command.
        method: String,
        /// Why.
        source: serde_json::Error,
    },
    /// No answer in time.
    #[error("the browser has not answered {method} for {:.0} s: the machine is overloaded or the composition's scripts never return", .after.as_secs_f64())]
    NoProgress {
        /// The command.
        method: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// What a frame needs has not arrived in time.
    #[error("after {:.0} s the page still waits for {what}: the machine is overloaded, or the composition asks for what never ends", .after.as_secs_f64())]
    Late {
        /// Addresses, fonts.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The compositor's bitmap was asked for and is not to be had.
    #[error("the compositor's bitmap cannot be read here, as doctor says: leave out --frame-source, or use screenshot")]
    NoBitmap,
    /// The compositor's bitmap is not what the page shows.
    #[error(
        "the compositor's bitmap is not what the page shows: render again, and with --frame-source screenshot if it stays so"
    )]
    WrongBitmap,
    /// The process was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A script of ours or of the composition threw while being evaluated.
    #[error("{message}")]
    Script {
        /// The exception's text.
        message: String,
    },
    /// Its files could not be written.
    #[error(transparent)]
    Files(#[from] crate::files::Error),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::BrowserNotFound,
            Self::Start { .. }
            | Self::Ended { .. }
            | Self::PageCrashed
            | Self::NoBitmap
            | Self::WrongBitmap
            | Self::Refused { .. }
            | Self::Protocol { .. } => Code::BrowserFailed,
            Self::NoProgress { .. } | Self::Late { .. } => Code::NoProgress,
            Self::Interrupted => Code::Interrupted,
            Self::Script { .. } => Code::ScriptError,
            Self::Files(error) => error.code(),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
