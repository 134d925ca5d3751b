//! Makes what HyperFrames resources ask for exist, and keeps it so.
//!
//! ```text
//! YAML file ─┐
//!            ├─ Store → observe → decide → act → Backend        the same line for both
//! CR in k8s ─┘             (IO)    (pure)   (IO)
//!            └───────────────── status (pure) → Store
//! ```
//!
//! Reading order: [`ports`] (what the reconciler needs of the world), [`reconcile`] (the line, its steps, and the driver
//! that runs it), [`source`] (compositions and videos on disk); then the edges: [`store`] (where objects live),
//! [`backend`] (what renders), `cli` (what a person types and sees), `cluster` (a process in a cluster).
//!
//! This crate never knows Chromium or libav: it reaches rendering only by running `hf-producer`.

pub mod backend;
mod cli;
mod cluster;
pub mod error;
mod feed;
mod files;
pub mod object;
pub mod ports;
mod program;
pub mod reconcile;
mod settings;
pub mod source;
pub mod store;

pub use cli::run;
pub use cluster::run as run_operator;
