//! The script every document of a page starts with.

use crds::FrameRate;
use serde_json::{Map, Value, json};

use super::{browser::page::SETTLE, server::HELD};
use crate::{layout::MediaFiles, plan::PRE_ROLL_FRAMES};

const WORKERS: &str = include_str!("page/workers.js");
const TIME: &str = include_str!("page/time.js");
const MEDIA: &str = include_str!("page/media.js");
const SIZES: &str = include_str!("page/sizes.js");
const DRIVER: &str = include_str!("page/driver.js");
const LAYERS: &str = include_str!("page/layers.js");
const MOMENTS: &str = include_str!("page/moments.js");
const SOURCES: &str = include_str!("page/sources.js");
const TRANSITIONS: &str = include_str!("page/transitions.js");
const INSPECT: &str = include_str!("page/inspect.js");
const CANVAS: &str = include_str!("page/canvas.js");
const STEPS: &str = include_str!("page/steps.js");

/// What the page is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To look at what the composition uses.
    Inspect,
    /// To draw frames.
    Draw,
}

/// What a page's script has to know of the composition.
pub(crate) struct PageScript<'a> {
    pub(crate) rate: FrameRate,
    pub(crate) variables: &'a Map<String, Value>,
    /// What there is to play.
    pub(crate) media: &'a MediaFiles,
    /// Whether what it does not paint is transparent.
    pub(crate) transparent: bool,
    /// Some script registers a timeline.
    pub(crate) timelines: bool,
}

impl PageScript<'_> {
    /// The script: virtual time in every document, the driver in the top one.
    pub(crate) fn text(&self, purpose: Purpose) -> String {
        let Self { rate, variables, media, transparent, timelines } = self;
        let config = json!({
            "fps": rate.per_second(),
            "variables": variables,
            "media": media,
            "transparent": transparent,
            "timelines": timelines,
            "held": HELD,
            "settleMs": SETTLE.as_millis(),
            "preRollMs": 1000.0 * f64::from(PRE_ROLL_FRAMES) / rate.per_second(),
        });
        let (canvas, steps, inspect) =
            if purpose == Purpose::Inspect { (CANVAS, STEPS, INSPECT) } else { ("", "", "") };
        format!(
            "(() => {{ \"use strict\"; const config = {config};\n{WORKERS}\n{TIME}\n{canvas}\n{steps}\nif (window !== window.top) return;\n{MEDIA}\n{SIZES}\n{DRIVER}\n{LAYERS}\n{MOMENTS}\n{SOURCES}\n{TRANSITIONS}\n{inspect}\n}})();"
        )
    }
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
            .chain_update(MOMENTS)
            .chain_update(SOURCES)
            .chain_update(TRANSITIONS)
            .chain_update(crate::fonts::digest())
            .finalize(),
    )
}
