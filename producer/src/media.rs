//! Videos and sound in a composition.
//!
//! The page never plays anything: its elements say what is to be heard and seen when (`found`), the sound of the whole video
//! is mixed while planning (`mix`), and whoever draws a chunk decodes the pictures that its frames show (`feed`), from the
//! files that the plan holds anyway. A frame's picture is the one that is shown at its time, whatever was shown before.

mod automation;
mod clip;
mod effects;
mod envelope;
mod feed;
mod found;
mod image;
mod mix;
mod samples;
mod speed;

use clip::Clip;
pub(crate) use feed::{Feed, Screening};
pub(crate) use found::{Fetched, Found, Judge, Library, Told, is_animated};
pub(crate) use image::without_an_end;
pub(crate) use mix::mix;
