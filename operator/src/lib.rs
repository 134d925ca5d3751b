//! Makes what HyperFrames resources ask for exist, and keeps it so.
//!
//! ```text
//! YAML file ─┐
//!            ├─ Store → observe → decide → act → Backend        the same line for both
//! CR in k8s ─┘             (IO)    (pure)   (IO)
//!            └───────────────── status (pure) → Store
//! ```
//!
//! Reading order: [`ports`] (what the reconciler needs of the world), [`reconcile`] (the line), [`observe`], [`decide`],
//! [`status`], [`queue`]; then [`drive`], which runs it; then the edges: [`dir_store`] (objects in files), [`local`]
//! (rendering on this machine), [`source`] (projects and videos on disk); then the command line.
//!
//! This crate never knows Chromium or libav: it reaches rendering only by running `hf-producer`.

mod args;
pub mod conditions;
pub mod decide;
pub mod dir_store;
pub mod drive;
pub mod error;
mod files;
pub mod local;
pub mod observe;
pub mod ports;
pub mod queue;
pub mod reconcile;
pub mod requests;
mod run;
mod settings;
pub mod source;
pub mod status;
mod terminal;
mod view;

pub use run::run;
