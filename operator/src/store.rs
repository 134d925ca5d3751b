//! Where objects live.

pub mod dir;
pub(crate) mod kube;
#[cfg(test)]
pub(crate) mod memory;
