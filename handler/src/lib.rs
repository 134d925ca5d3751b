//! The Lambda function's side of rendering: an event becomes a verb, its inputs come from S3, its outputs go there.
//!
//! Reading order: [`dispatch`] (which event is it), [`guard`] (which objects may it name), [`function`] (one invocation: in
//! time, in a folder of its own, told of), [`verbs`] (plan, renderChunk, assemble), [`published`] and [`manifest`] (plan
//! protocol v2), [`archive`] (projects), [`objects`] (the store), [`renderer`] (the producer),
//! `browser` (how it is packed).
//!
//! An event, an archive and what is in the store are taken for somebody else's: everything is compared before it is used.
//!
//! This crate never knows Kubernetes.

pub mod archive;
mod browser;
pub mod dispatch;
pub mod error;
pub mod files;
pub mod function;
pub mod guard;
pub mod log;
pub mod manifest;
pub mod objects;
pub mod published;
pub mod renderer;
pub mod settings;
pub mod uri;
pub mod verbs;
pub mod work;
