//! Lengths of time.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in hours, minutes and seconds, as in `90s`, `15m` or `1h30m`: Kubernetes' `Duration`, without what is
/// shorter than a second. It is kept as it was written, so that writing an object back changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period(String);

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time: write hours, minutes and seconds, as in \"1h30m\" or \"90s\"")]
pub struct PeriodError(String);

/// Digits of one number: 1,000,000 h are 114 years.
const DIGITS: usize = 6;

impl Period {
    /// How long that is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        parse(&self.0).unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, Duration::ZERO);
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((number, behind)) = rest.split_once(unit) else { continue };
        let digits = (1..=DIGITS).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().ok().filter(|_| digits)?;
        (rest, total) = (behind, total + Duration::from_secs(number * seconds));
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        parse(text).map(|_| Self(text.to_owned())).ok_or_else(|| PeriodError(text.to_owned()))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 21,
            "pattern": "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written_as_they_are() {
        for (text, seconds) in [("90s", 90), ("0s", 0), ("1h30m", 5400), ("15m0s", 900), ("999999h", 3_599_996_400)] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.duration().as_secs(), &*period.to_string()), (seconds, text));
        }
        for text in ["", "5", "s", "-1s", "1.5h", "30s1m", "1d", "100ms", "1h 2m", "1000000h", "1m1m", "+1s"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
