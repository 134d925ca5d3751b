//! From pixels to encoded GOPs.

pub(crate) mod encoders;
pub(crate) mod format;
pub(crate) mod preset;
pub(crate) mod settings;
pub(crate) mod yuv;
