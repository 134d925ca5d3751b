//! Pictures without loss become a GIF of one palette, made of all of them.

use std::path::Path;

use super::Chunks;
use crate::{
    Error,
    libav::gif::{Gif, Palette, Pictures},
};

pub(super) fn join(chunks: &Chunks<'_>, finished: &Path) -> Result<(), Error> {
    let plan = chunks.plan;
    let mut palette = Palette::new(plan.layout, plan.rate)?;
    let mut decoder = Pictures::default();
    chunks.packets(|chunk, packet| Ok(palette.add(&decoder.decode(chunk, &packet)?)?))?;
    let mut gif = Gif::create(finished, palette.finish()?, plan.layout, plan.rate, plan.encoder.gif_loop.unwrap_or(0))?;
    let mut decoder = Pictures::default();
    chunks.packets(|chunk, packet| Ok(gif.add(&decoder.decode(chunk, &packet)?)?))?;
    Ok(gif.finish()?)
}
