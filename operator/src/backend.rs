//! What renders.

pub mod local;
#[cfg(test)]
pub(crate) mod scripted;
