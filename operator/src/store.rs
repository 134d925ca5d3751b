//! Where objects live.

pub mod dir;
#[cfg(test)]
pub(crate) mod memory;
