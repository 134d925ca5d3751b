//! Every type that crosses a process boundary as text: the custom resources, the lines `hf-producer` prints,
//! the plan's descriptor, the Lambda events and the registry of error codes.
//!
//! Reading order: [`render`] and [`stack`] (what a user writes), [`config`] (what of it a renderer needs), [`condition`]
//! (what the controller answers), [`manifest`] (a YAML file becomes checked objects), [`line`] and [`diagnosis`] (what the
//! producer tells), [`event`] (Lambda: events and answers), [`networks`] (which addresses anything may be fetched from).
//!
//! This crate never reads a file, a clock, the environment or the network, and never decides anything:
//! everybody depends on it, so it stays inert.

pub mod bitrate;
pub mod code;
pub mod condition;
pub mod config;
pub mod diagnosis;
pub mod event;
pub mod folder;
pub mod format;
pub mod line;
pub mod manifest;
pub mod networks;
pub mod period;
pub mod printable;
pub mod project;
pub mod quality;
pub mod rate;
pub mod render;
pub mod resolution;
pub mod schema;
pub mod stack;
pub mod usd;

pub use bitrate::Bitrate;
pub use code::{Code, Fault};
pub use config::{RenderConfig, Strictness};
pub use diagnosis::Diagnosis;
pub use format::{Codec, Format};
pub use line::{Failure, Line, Stage};
pub use networks::Networks;
pub use period::Period;
pub use printable::printable;
pub use quality::Quality;
pub use rate::FrameRate;
pub use render::{Render, RenderSpec, RenderStatus};
pub use resolution::Resolution;
pub use stack::{HyperframesStack, HyperframesStackSpec, HyperframesStackStatus};
pub use usd::Usd;

/// API group of every custom resource.
pub const GROUP: &str = "hyperframes.io";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
