//! A HyperFrames project in, a video out: plan, render chunks, assemble.
//!
//! Three verbs, each a pure function over local folders, so that any orchestrator can spread them over machines:
//! [`plan`] turns a project and a configuration into a plan folder that is complete in itself, `chunk` one index of it
//! into a closed-GOP file, `assemble` all chunks into the video. [`render`] is the three in one process.
//!
//! Reading order: `project`, `html`, `css` (what a composition is), `plan`, `script`, `ready` (a page is made ready),
//! `browser`, `frames` (pixels), `yuv`, `encoders`, `libav` (bytes), `chunk`, `assemble`, [`render`].
//!
//! This crate never knows AWS or Kubernetes, and only `libav` knows libav, only `browser` knows Chromium.

mod args;
mod assemble;
mod assets;
mod browser;
mod chunk;
mod css;
pub mod doctor;
mod encoders;
mod error;
mod files;
mod frames;
mod html;
mod jobs;
mod layout;
mod libav;
pub mod plan;
mod project;
mod ready;
pub mod render;
pub mod report;
mod run;
mod script;
mod server;
pub mod settings;
mod stopwatch;
mod yuv;

pub use error::Error;
pub use run::run;

/// Version of this build; part of the plan hash.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
