//! From pictures of high dynamic range to those of a page: sRGB, whose white is the reference white of 203 cd/m² (ITU-R BT.2408).

use ffmpeg::color::TransferCharacteristic;
use ffmpeg_next as ffmpeg;

/// What the numbers of such a picture mean (ITU-R BT.2100).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HighRange {
    /// Perceptual quantizer: light of the display.
    Pq,
    /// Hybrid log-gamma: light of the scene.
    Hlg,
}

impl HighRange {
    /// Of pictures with this transfer function, if they have such a range.
    pub(super) fn of(transfer: TransferCharacteristic) -> Option<Self> {
        match transfer {
            TransferCharacteristic::SMPTE2084 => Some(Self::Pq),
            TransferCharacteristic::ARIB_STD_B67 => Some(Self::Hlg),
            _ => None,
        }
    }
}

/// Reference white, in cd/m².
const WHITE: f32 = 203.0;
/// The brightest that is told from what is brighter, in cd/m²: nominal for HLG, and what most PQ is mastered for.
const PEAK: f32 = 1000.0;
/// From the primaries of BT.2020 to those of BT.709, by rows (ITU-R BT.2087).
const TO_BT_709: [[f32; 3]; 3] = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]];
/// Luminance of BT.2020's primaries.
const LUMINANCE: [f32; 3] = [0.2627, 0.6780, 0.0593];
/// Entries of a table, and levels of a picture.
const STEPS: u16 = 4096;

/// Brings pictures into the range of a page. Light is relative to reference white throughout.
pub(super) struct ToneMap {
    range: HighRange,
    /// Light by level; of HLG that of the scene, up to 1.
    light: Vec<f32>,
    /// By the root of the scene's luminance: what its light is multiplied with to be the display's.
    shown: Vec<f32>,
    /// By the root of the largest of three lights, relative to the peak: what they are multiplied with to fit.
    fitted: Vec<f32>,
    /// Levels of sRGB by the root of light.
    level: Vec<u8>,
}

impl ToneMap {
    pub(super) fn new(range: HighRange) -> Self {
        let steps = || (0..STEPS).map(|step| f32::from(step) / f32::from(STEPS - 1));
        let light = |level: f32| match range {
            HighRange::Pq => pq_light(level) / WHITE,
            HighRange::Hlg => hlg_light(level),
        };
        let fitted = |root: f32| {
            let nits = root * root * PEAK;
            if nits > 0.0 { fit(nits) / nits } else { 1.0 }
        };
        Self {
            range,
            light: steps().map(light).collect(),
            shown: steps().map(|root| (root * root).powf(0.2) * PEAK / WHITE).collect(),
            fitted: steps().map(fitted).collect(),
            level: steps().map(|root| srgb_level(root * root)).collect(),
        }
    }

    /// Levels of sRGB for one pixel's levels of twelve bits, of BT.2020's primaries.
    pub(super) fn map(&self, [red, green, blue]: [u16; 3]) -> [u8; 3] {
        let light = |level: u16| self.light[usize::from(level.min(STEPS - 1))];
        let mut light = [light(red), light(green), light(blue)];
        if self.range == HighRange::Hlg {
            let shown = between(&self.shown, product(LUMINANCE, light));
            light = [light[0] * shown, light[1] * shown, light[2] * shown];
        }
        let [red, green, blue] = TO_BT_709;
        let [red, green, blue] = [product(red, light), product(green, light), product(blue, light)];
        let fitted = between(&self.fitted, red.max(green).max(blue) * (WHITE / PEAK));
        let level = |light: f32| self.level[nearest(light * fitted)];
        [level(red), level(green), level(blue)]
    }
}

fn product(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Where light from 0 to 1 is in a table by roots.
fn place(light: f32) -> f32 {
    light.clamp(0.0, 1.0).sqrt() * f32::from(STEPS - 1)
}

/// What a table by roots has between two entries: with the nearer one alone a ramp would go back by a level here and there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last step but one")]
fn between(table: &[f32], light: f32) -> f32 {
    let place = place(light);
    // Rounding down or to the nearest is a call into a library where SSE 4.1 is not certain; this is not.
    let before = (place as u16).min(STEPS - 2);
    let [a, b] = [table[usize::from(before)], table[usize::from(before) + 1]];
    a + (b - a) * (place - f32::from(before))
}

/// The nearest entry of a table by roots.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last step")]
fn nearest(light: f32) -> usize {
    usize::from((place(light) + 0.5) as u16)
}

/// Constants of PQ (BT.2100, table 4).
const PQ: [f32; 5] = [2610.0 / 16384.0, 2523.0 / 32.0, 3424.0 / 4096.0, 2413.0 / 128.0, 2392.0 / 128.0];

/// Light of the display in cd/m², for a signal of PQ from 0 to 1.
fn pq_light(signal: f32) -> f32 {
    let [m1, m2, c1, c2, c3] = PQ;
    let root = signal.powf(1.0 / m2);
    10_000.0 * ((root - c1).max(0.0) / (c2 - c3 * root)).powf(1.0 / m1)
}

fn pq_signal(nits: f32) -> f32 {
    let [m1, m2, c1, c2, c3] = PQ;
    let power = (nits / 10_000.0).powf(m1);
    ((c1 + c2 * power) / (1.0 + c3 * power)).powf(m2)
}

/// Light of the scene from 0 to 1, for a signal of HLG (BT.2100, table 5).
fn hlg_light(signal: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 1.0 - 4.0 * A;
    const C: f32 = 0.559_910_7;
    if signal <= 0.5 { signal * signal / 3.0 } else { (((signal - C) / A).exp() + B) / 12.0 }
}

/// Light up to the peak as light up to white, both in cd/m²: what is darker stays, what is brighter is rolled off
/// (ITU-R BT.2390, 5.4.1).
fn fit(nits: f32) -> f32 {
    let (peak, white) = (pq_signal(PEAK), pq_signal(WHITE));
    let (signal, most) = (pq_signal(nits) / peak, white / peak);
    let knee = 1.5 * most - 0.5;
    if signal < knee {
        return nits;
    }
    let t = (signal - knee) / (1.0 - knee);
    let (t2, t3) = (t * t, t * t * t);
    let rolled = (2.0 * t3 - 3.0 * t2 + 1.0) * knee + (t3 - 2.0 * t2 + t) * (1.0 - knee) + (3.0 * t2 - 2.0 * t3) * most;
    pq_light(rolled * peak)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
fn srgb_level(light: f32) -> u8 {
    let encoded = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (encoded.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal from 0 to 1 as a level of twelve bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 4095")]
    fn level(signal: f32) -> u16 {
        (signal * 4095.0).round() as u16
    }

    fn grey(range: HighRange, signal: f32) -> u8 {
        let [red, green, blue] = ToneMap::new(range).map([level(signal); 3]);
        assert!(red.abs_diff(green) <= 1 && green.abs_diff(blue) <= 1, "{red} {green} {blue}");
        green
    }

    /// Signals from table 1 of BT.2408: white of graphics, and grey that reflects 18 % of what white does.
    #[test]
    fn both_curves_show_reference_levels_alike() {
        for (pq, hlg, expected) in [(0.58, 0.75, 229), (0.38, 0.38, 100), (0.0, 0.0, 0)] {
            let (pq, hlg) = (grey(HighRange::Pq, pq), grey(HighRange::Hlg, hlg));
            assert!(pq.abs_diff(expected) <= 4 && hlg.abs_diff(expected) <= 4, "{pq} {hlg} instead of {expected}");
        }
        assert_eq!((grey(HighRange::Pq, pq_signal(PEAK)), grey(HighRange::Hlg, 1.0)), (255, 255));
        assert_eq!(grey(HighRange::Pq, 1.0), 255);
    }

    #[test]
    fn what_is_brighter_is_never_darker_and_what_is_dark_stays() {
        for range in [HighRange::Pq, HighRange::Hlg] {
            let map = ToneMap::new(range);
            let levels: Vec<u8> = (0..=4095).map(|level| map.map([level; 3])[1]).collect();
            assert!(levels.is_sorted(), "{range:?}");
        }
        for nits in [2.0, 10.0, 50.0] {
            let level = grey(HighRange::Pq, pq_signal(nits));
            assert!(level.abs_diff(srgb_level(nits / WHITE)) <= 1, "{nits}: {level}");
        }
    }

    /// A colour of BT.709 that was put into BT.2020's primaries comes out as it was.
    #[test]
    fn colours_keep_their_hue() {
        // 0.4 of reference white in red alone: the first column of the matrix from BT.709 (BT.2087).
        let light = [0.6274, 0.0691, 0.0164].map(|part| part * 0.4 * WHITE);
        let pixel = light.map(|nits| level(pq_signal(nits)));
        let [red, green, blue] = ToneMap::new(HighRange::Pq).map(pixel);
        assert!(red.abs_diff(srgb_level(0.4)) <= 2 && green <= 6 && blue <= 6, "{red} {green} {blue}");
    }
}
