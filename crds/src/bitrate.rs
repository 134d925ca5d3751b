//! Bit rates as ffmpeg writes them.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bits per second, written as upstream has it: `8M`, `2500k`, `1.5M`, `800000`. From 1 kbit/s to 1 Gbit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate(u32);

/// Why a bit rate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a bit rate: write a number from 1k to 1000M, such as 8M or 2500k")]
pub struct BitrateError(String);

/// Upstream's grammar.
const PATTERN: &str = r"^[0-9]+(\.[0-9]+)?[kKmM]?$";

impl Bitrate {
    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u32 {
        self.0
    }
}

impl FromStr for Bitrate {
    type Err = BitrateError;

    fn from_str(text: &str) -> Result<Self, BitrateError> {
        let bad = || BitrateError(text.to_owned());
        let (number, unit) = match text.strip_suffix(['k', 'K']) {
            Some(number) => (number, 1_000),
            None => text.strip_suffix(['m', 'M']).map_or((text, 1), |number| (number, 1_000_000)),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 10 || part.len() > 6 {
            return Err(bad());
        }
        let [whole, millionths] =
            [whole, &format!("{part:0<6}")].map(|digits| digits.parse::<u64>().unwrap_or(u64::MAX));
        let bits = whole.saturating_mul(unit).saturating_add(millionths * unit / 1_000_000);
        let bits = u32::try_from(bits).ok().filter(|bits| (1_000..=1_000_000_000).contains(bits));
        bits.map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits % 1_000_000 == 0 => write!(f, "{}M", bits / 1_000_000),
            bits if bits % 1_000 == 0 => write!(f, "{}k", bits / 1_000),
            bits => write!(f, "{bits}"),
        }
    }
}

impl Serialize for Bitrate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bitrate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Bitrate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bitrate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 18, "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_are_read_as_ffmpeg_reads_them_and_written_short() {
        let read = |text: &str| text.parse::<Bitrate>().map(|rate| (rate.bits_per_second(), rate.to_string()));
        for (text, bits, written) in [
            ("8M", 8_000_000, "8M"),
            ("2500k", 2_500_000, "2500k"),
            ("1.5m", 1_500_000, "1500k"),
            ("0.8M", 800_000, "800k"),
            ("800001", 800_001, "800001"),
            ("1K", 1_000, "1k"),
        ] {
            assert_eq!(read(text), Ok((bits, written.to_owned())), "{text}");
            assert_eq!(read(written), read(text));
        }
        for text in ["", "M", "8 M", "-1M", "8MB", ".5M", "1.", "0", "999", "1001M", "99999999999999999999", "0x8"] {
            let error = text.parse::<Bitrate>().unwrap_err().to_string();
            assert!(error.contains("such as 8M"), "{text}: {error}");
        }
    }
}
