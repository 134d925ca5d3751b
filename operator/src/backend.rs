//! What renders.

pub mod aws;
pub mod local;
pub mod router;
#[cfg(test)]
pub(crate) mod scripted;
