//! From pixels to encoded GOPs.

pub(crate) mod encoders;
pub(crate) mod yuv;
