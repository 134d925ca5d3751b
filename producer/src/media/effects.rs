//! Effects of sound, `data-fx-chain`: upstream's published code applies them, in the browser that the composition is planned with.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

use crate::{
    draw::{
        browser::{self, page::Page},
        server,
    },
    libav::{CHANNELS, RATE},
    plan::assets,
};

/// A chain of effects, and how their parameters move, as attributes write them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Effects {
    chain: String,
    automation: Option<String>,
}

/// Why sound is heard without effects.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The chain cannot be read, or the browser failed.
    #[error(transparent)]
    Browser(#[from] browser::Error),
    /// What came back is no sound.
    #[error("the browser gave no samples: {0}")]
    NoSamples(#[from] base64::DecodeError),
    /// More came back than can have been made.
    #[error("the browser gave too many samples")]
    TooMany,
}

/// Seconds. More sound would take more memory than a browser has: of ten minutes it takes 900 MiB.
pub(super) const LONGEST: u32 = 600;
/// Seconds that an echo goes on at the most, upstream's limit.
const ECHO: u32 = 5;
/// Samples that come back at once.
const PART: usize = 1 << 20;

impl Effects {
    /// Pairs of samples after the effects. There are more of them where an echo goes on.
    pub(super) fn apply(&self, samples: &[f32], page: &mut Page) -> Result<Vec<f32>, Error> {
        let addresses = ["runtime", "samples"].map(server::sound_address);
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let files = [assets::effects().into(), bytes.into()];
        page.frames().put(addresses.clone().into_iter().zip(files).collect(), |_| false);
        let Self { chain, automation } = self;
        let arguments = json!([addresses, CHANNELS, RATE, chain, automation]);
        let count = page.evaluate(&format!("__hfProducer.applyEffects(...{arguments})"));
        page.frames().put(Vec::new(), |_| false);
        let count: usize = count?;
        // The composition's scripts may have changed what the page says.
        if count > samples.len() + ECHO as usize * RATE as usize * CHANNELS {
            return Err(Error::TooMany);
        }
        let mut made = Vec::with_capacity(count);
        for from in (0..count).step_by(PART) {
            let part: String = page.evaluate(&format!("__hfProducer.affected({from}, {PART})"))?;
            let bytes = STANDARD.decode(part)?;
            made.extend(bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)));
        }
        Ok(made)
    }
}
