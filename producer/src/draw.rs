//! From a folder with a composition to the pixels of any of its frames.

pub(crate) mod browser;
pub(crate) mod drawer;
pub(crate) mod frames;
pub(crate) mod ready;
pub(crate) mod script;
pub(crate) mod server;
