//! From what is wanted to how an encoder is set. Asked once, when planning: what it says is written into the plan and read
//! from there.

use crds::{Bitrate, Quality};

use super::{
    format::EncoderKind,
    preset::{self, X264},
};

/// How good and how large the pictures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) quality: Quality,
    /// In place of the quality's.
    pub(crate) crf: Option<u8>,
    /// In place of a rate factor.
    pub(crate) bitrate: Option<Bitrate>,
    /// They may be as filmed ones: of a video, photographs, or what a canvas draws. Otherwise they are a page's own.
    pub(crate) filmed: bool,
}

/// How an encoder is set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The encoder's preset; of those that have none, upstream's name for how it is set.
    pub(crate) preset: &'static str,
    /// Constant rate factor.
    pub(crate) crf: Option<u8>,
    /// What the encoder needs in addition to come to the same.
    pub(crate) crf_offset: f64,
    pub(crate) bitrate: Option<Bitrate>,
    /// The encoder's own parameters beyond that, as `name=value:…`.
    pub(crate) params: String,
}

/// Upstream's settings, and nothing that looks beyond a GOP of `gop` frames or depends on the number of cores.
pub(crate) fn settings(encoder: EncoderKind, wanted: Wanted, gop: u32) -> Settings {
    let Wanted { quality, crf, bitrate, filmed } = wanted;
    let rate_factor = |usual: u8| if bitrate.is_some() { None } else { Some(crf.unwrap_or(usual)) };
    match encoder {
        EncoderKind::X264 => {
            let X264 { preset, crf: usual, crf_offset, params } =
                preset::x264(quality, filmed || bitrate.is_some(), gop);
            // Nothing is lost with a rate factor of 0.
            let crf_offset = if crf == Some(0) { 0.0 } else { crf_offset };
            Settings { preset, crf: rate_factor(usual), crf_offset, bitrate, params }
        }
        EncoderKind::X265 => {
            let (preset, usual) = match quality {
                Quality::Draft => ("ultrafast", 28),
                Quality::Standard => ("medium", 18),
                Quality::High => ("slow", 15),
            };
            let params = format!(
                "log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=0:pools=none:frame-threads=1\
                 :wpp=0:pmode=0:pme=0"
            );
            Settings { preset, crf: rate_factor(usual), crf_offset: 0.0, bitrate, params }
        }
        EncoderKind::Vp9 => {
            let (preset, usual, cpu_used) = match quality {
                // Upstream names it so and encodes as `good` all the same, at a fifth of the speed.
                Quality::Draft => ("realtime", 28, 8),
                Quality::Standard => ("good", 18, 4),
                Quality::High => ("good", 15, 2),
            };
            // Alternate reference frames are not shown, and libav cannot keep alpha beside them.
            let params = format!("cpu-used={cpu_used}:auto-alt-ref=0:row-mt=0:tile-columns=0");
            Settings { preset, crf: rate_factor(usual), crf_offset: 0.0, bitrate, params }
        }
        EncoderKind::ProRes => {
            let params = "profile=4444:vendor=apl0:alpha_bits=16".to_owned();
            Settings { preset: "4444", crf: None, crf_offset: 0.0, bitrate: None, params }
        }
        // Of its filters, the one that pays: half the bytes of none in a third of the time of trying all.
        EncoderKind::Png => {
            let params = "pred=paeth".to_owned();
            Settings { preset: "lossless", crf: None, crf_offset: 0.0, bitrate: None, params }
        }
    }
}

/// What libav is told, by its names.
pub(crate) fn options(encoder: EncoderKind, settings: &Settings) -> Vec<(String, String)> {
    let Settings { preset, crf, crf_offset, bitrate, params } = settings;
    let mut options = Vec::new();
    let mut set = |name: &str, value: &str| options.push((name.to_owned(), value.to_owned()));
    set("threads", &encoder.threads().to_string());
    match encoder {
        EncoderKind::X264 => {
            set("preset", preset);
            set("x264-params", params);
        }
        EncoderKind::X265 => {
            set("preset", preset);
            set("x265-params", params);
        }
        EncoderKind::Vp9 => {
            set("deadline", preset);
            // Without a bit rate of nothing it would be an upper bound.
            set("b", "0");
            params.split(':').filter_map(|param| param.split_once('=')).for_each(|(name, value)| set(name, value));
        }
        EncoderKind::ProRes | EncoderKind::Png => {
            params.split(':').filter_map(|param| param.split_once('=')).for_each(|(name, value)| set(name, value));
        }
    }
    if let Some(crf) = crf {
        set("crf", &(f64::from(*crf) + crf_offset).to_string());
    }
    if let Some(bitrate) = bitrate {
        set("b", &bitrate.bits_per_second().to_string());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(crf: Option<u8>, bitrate: Option<&str>) -> Wanted {
        Wanted { quality: Quality::Standard, crf, bitrate: bitrate.map(|rate| rate.parse().unwrap()), filmed: false }
    }

    #[test]
    fn a_rate_factor_or_a_bit_rate_takes_the_place_of_the_qualitys() {
        for encoder in [EncoderKind::X264, EncoderKind::X265, EncoderKind::Vp9] {
            let rates = |wanted| {
                let settings = settings(encoder, wanted, 60);
                (settings.crf, settings.bitrate.map(Bitrate::bits_per_second))
            };
            assert!(rates(wanted(None, None)).0.is_some(), "{encoder:?}");
            assert_eq!(rates(wanted(Some(30), None)), (Some(30), None));
            assert_eq!(rates(wanted(None, Some("2M"))), (None, Some(2_000_000)));
            let options = options(encoder, &settings(encoder, wanted(None, Some("2M")), 60));
            let last = options.iter().rfind(|(name, _)| name == "b").unwrap();
            assert_eq!(last.1, "2000000", "{encoder:?}");
        }
    }

    #[test]
    fn what_is_written_into_a_plan_gives_the_same_settings_again() {
        for encoder in EncoderKind::ALL {
            for wanted in [wanted(None, None), wanted(Some(20), None), wanted(None, Some("1M"))] {
                let made = settings(encoder, wanted, 60);
                let again = Wanted { crf: made.crf, bitrate: made.bitrate, ..wanted };
                assert_eq!(settings(encoder, again, 60), made, "{encoder:?}");
            }
        }
    }
}
