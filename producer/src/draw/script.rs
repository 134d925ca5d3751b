//! The script every document of a page starts with.

use crds::FrameRate;
use serde_json::{Map, Value, json};

use super::browser::page::NO_BACKGROUND;
use crate::layout::MediaFiles;

const TIME: &str = include_str!("page/time.js");
const MEDIA: &str = include_str!("page/media.js");
const SIZES: &str = include_str!("page/sizes.js");
const DRIVER: &str = include_str!("page/driver.js");
const TRANSITIONS: &str = include_str!("page/transitions.js");
const INSPECT: &str = include_str!("page/inspect.js");
const CANVAS: &str = include_str!("page/canvas.js");

/// What the page is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look at what the composition uses.
    Inspect,
    /// To draw frames.
    Draw,
}

/// The script for a composition: virtual time in every document, the driver in the top one. `media`: what there is to play.
pub(crate) fn page_script(
    rate: FrameRate,
    variables: &Map<String, Value>,
    media: &MediaFiles,
    purpose: Purpose,
) -> String {
    let config = json!({ "fps": rate.per_second(), "variables": variables, "media": media });
    let (canvas, inspect) = if purpose == Purpose::Inspect { (CANVAS, INSPECT) } else { ("", "") };
    format!(
        "(() => {{ \"use strict\"; const config = {config};\n{TIME}\n{canvas}\nif (window !== window.top) return;\n{MEDIA}\n{SIZES}\n{DRIVER}\n{TRANSITIONS}\n{inspect}\n}})();"
    )
}

/// SHA-256 of what draws, scripts and fonts; part of the plan hash.
pub(crate) fn digest() -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(
        Sha256::new()
            .chain_update(TIME)
            .chain_update(MEDIA)
            .chain_update(SIZES)
            .chain_update(DRIVER)
            .chain_update(TRANSITIONS)
            .chain_update(NO_BACKGROUND)
            .chain_update(crate::fonts::digest())
            .finalize(),
    )
}
