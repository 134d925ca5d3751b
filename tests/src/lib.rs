//! The harness: the built programs, folders to run them in, and ways to look at what they made.

pub mod account;
pub mod bins;
pub mod cluster;
pub mod collector;
pub mod confined;
pub mod events;
pub mod fixture;
pub mod https;
pub mod judge;
pub mod lambda;
pub mod lanes;
pub mod media;
pub mod objects;
pub mod package;
pub mod processes;
pub mod proxy;
pub mod rig;
pub mod sites;
pub mod store;
pub mod truth;
pub mod upstream;
pub mod video;
