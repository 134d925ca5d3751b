//! Amounts of money.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of US dollars, exact to the millionth. In YAML a string such as `"2.50"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount of US dollars: write \"2.50\", with at most 9 digits before the point and 6 behind")]
pub struct UsdError(String);

const ONE: u64 = 1_000_000;

impl Usd {
    /// So many millionths of a dollar.
    #[must_use]
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// Millionths of a dollar.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// With another amount; the largest one where that is too much.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Without another amount; nothing where that is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    fn from_str(text: &str) -> Result<Self, UsdError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| {
            let fine = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
            fine.then(|| text.parse::<u64>().ok()).flatten()
        };
        let millionths = digits(whole, 9).zip(digits(&format!("{part:0<6}"), 6)).filter(|_| !part.is_empty());
        let (whole, part) = millionths.ok_or_else(|| UsdError(text.to_owned()))?;
        Ok(Self(whole * ONE + part))
    }
}

/// At least two digits behind the point, and no zeros beyond them.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:06}", self.0 % ONE);
        let shown = part.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / ONE, &part[..shown])
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 16, "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, written) in [
            ("2.5", "2.50"),
            ("0", "0.00"),
            ("0.000001", "0.000001"),
            ("12.34", "12.34"),
            ("999999999.9", "999999999.90"),
        ] {
            assert_eq!(text.parse::<Usd>().unwrap().to_string(), written);
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1.2345678", "1,5", "1234567890", "$1"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
    }
}
