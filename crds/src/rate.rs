//! Frame rates: an integer or a rational number, never a decimal fraction.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Frames per second as a reduced fraction, 1 to 240 inclusive (upstream's grammar).
///
/// In YAML and on the command line: `30`, `"30000/1001"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

/// Why a frame rate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", advice(.0))]
pub struct RateError(String);

/// What to write instead of a text that is no frame rate.
pub(crate) fn advice(text: &str) -> String {
    let exact = match text.trim_matches(['"', '\'']) {
        "23.976" | "23.98" => "24000/1001",
        "29.97" => "30000/1001",
        "59.94" => "60000/1001",
        "119.88" => "120000/1001",
        _ => {
            return format!(
                "{text:?} is not a frame rate: write a whole number (30) or a fraction (\"30000/1001\") from 1 to 240"
            );
        }
    };
    format!("{text} is not a frame rate: write \"{exact}\", which is what it stands for")
}

impl FrameRate {
    /// `num / den` frames per second, reduced.
    ///
    /// # Errors
    /// When a part is zero or above 1 000 000, or the rate lies outside 1 to 240.
    pub fn new(num: u32, den: u32) -> Result<Self, RateError> {
        let fits = num <= 1_000_000 && den <= 1_000_000 && den > 0 && num >= den && num / 240 <= den;
        if !fits || u64::from(num) > 240 * u64::from(den) {
            return Err(RateError(format!("{num}/{den}")));
        }
        let divisor = gcd(num, den);
        Ok(Self { num: num / divisor, den: den / divisor })
    }

    /// Numerator: frames per [`den`](Self::den) seconds.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Denominator in seconds.
    #[must_use]
    pub const fn den(self) -> u32 {
        self.den
    }

    /// Frames per second as the nearest double, as the page's runtime computes it.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The time at which frame `index` is sampled, in seconds: `index × den ÷ num`, never accumulated.
    #[must_use]
    pub fn time_of(self, index: u32) -> f64 {
        f64::from(index) * f64::from(self.den) / f64::from(self.num)
    }

    /// How many frames a duration in seconds has: rounded within 1e-3 of a whole number, else rounded up
    /// (upstream's probe stage).
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "callers pass 0 to 24 hours: at most 20 736 000 frames"
    )]
    pub fn frames_in(self, seconds: f64) -> u32 {
        let raw = seconds * self.per_second();
        if (raw - raw.round()).abs() <= 1e-3 { raw.round() as u32 } else { raw.ceil() as u32 }
    }
}

impl Default for FrameRate {
    /// 30 frames per second.
    fn default() -> Self {
        Self { num: 30, den: 1 }
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl FromStr for FrameRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let bad = || RateError(text.to_owned());
        let part = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            if plain { digits.parse().map_err(|_| bad()) } else { Err(bad()) }
        };
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        Self::new(part(num)?, part(den)?).map_err(|_| bad())
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl Serialize for FrameRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.den == 1 { serializer.serialize_u32(self.num) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for FrameRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        }
        .map_err(de::Error::custom)
    }
}

impl JsonSchema for FrameRate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FrameRate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            // An API server weighs what the rule costs for the longest string.
            "maxLength": 13,
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^[1-9][0-9]{0,5}(/[1-9][0-9]{0,5})?$') \
                         && int(string(self).split('/')[0]) >= int((string(self) + '/1').split('/')[1]) \
                         && int(string(self).split('/')[0]) <= 240 * int((string(self) + '/1').split('/')[1])",
                "message": "a frame rate is a whole number (30) or a fraction (\"30000/1001\") from 1 to 240",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_of_upstream() {
        for (text, shown) in [("30", "30"), ("30000/1001", "30000/1001"), ("60/2", "30"), ("240", "240"), ("1", "1")] {
            assert_eq!(text.parse::<FrameRate>().unwrap().to_string(), shown, "{text}");
        }
        for text in
            ["", "0", "241", "29.97", "-30", "030", "30/0", "1/2", "30/", "/1", "3e1", " 30", "999999999999", "30/1/1"]
        {
            assert!(text.parse::<FrameRate>().is_err(), "{text}");
        }
    }

    /// Binary floating point must never make the runtime (`floor(t × fps + 1e-9)`) show a neighbour.
    #[test]
    fn every_frame_time_lands_on_its_own_frame() {
        for rate in ["24", "25", "30", "50", "60", "24000/1001", "30000/1001", "60000/1001"] {
            let rate: FrameRate = rate.parse().unwrap();
            for index in 0..=100_000 {
                let landed = (rate.time_of(index) * rate.per_second() + 1e-9).floor();
                assert!((landed - f64::from(index)).abs() < 0.5, "{rate} frame {index} lands on {landed}");
            }
        }
    }

    #[test]
    fn frame_counts_round_only_within_a_thousandth() {
        let count = |rate: &str, seconds| rate.parse::<FrameRate>().unwrap().frames_in(seconds);
        assert_eq!(count("30", 5.0), 150);
        assert_eq!(count("30", 5.000_01), 150);
        assert_eq!(count("30", 5.01), 151);
        assert_eq!(count("30000/1001", 10.0), 300);
    }
}
