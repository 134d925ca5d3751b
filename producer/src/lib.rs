//! A HyperFrames project in, a video out: plan, render chunks, assemble.
//!
//! Three verbs, each a pure function over local folders, so that any orchestrator can spread them over machines:
//! [`plan()`] turns a project and a configuration into a plan folder that is complete in itself, [`chunk()`] one index of it
//! into a closed-GOP file, [`assemble()`] all chunks into the video. [`render()`] is the three in one process,
//! [`still()`] single frames of it.
//!
//! Reading order: `plan` (what a composition is, and what rendering it needs), `remote` (what of that lies elsewhere), `layout` (what
//! is in a plan folder), `draw` (a page is opened, made ready, moved and read), `media` (videos and sound in it), `encode` and
//! `libav` (from pixels to bytes), `chunk`, `assemble`,
//! `render`, `still`; then `cli`.
//!
//! This crate never knows AWS or Kubernetes, and only `libav` knows libav, only `draw` knows Chromium.

mod assemble;
mod chunk;
mod cli;
mod context;
mod doctor;
mod draw;
mod encode;
mod error;
mod files;
mod fonts;
mod jobs;
mod layout;
mod libav;
mod lint;
mod media;
mod plan;
mod remote;
mod render;
mod settings;
mod still;
mod stopwatch;
mod target;

pub use assemble::assemble;
pub use chunk::chunk;
pub use cli::run;
pub use context::{Context, Observer};
pub use doctor::doctor;
pub use error::Error;
pub use lint::lint;
pub use plan::{Request, plan};
pub use render::{Rendered, render};
pub use settings::{Settings, USUAL_BROWSERS, default_registry};
pub use still::{Moment, still};

/// Version of this build; part of the plan hash.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
