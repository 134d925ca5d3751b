//! Encoder presets by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much work goes into each byte: upstream's three presets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// x264 ultrafast, CRF 28: to look at.
    Draft,
    /// x264 medium, CRF 18: to publish.
    #[default]
    Standard,
    /// x264 slow, CRF 15: to keep.
    High,
}

impl Quality {
    /// All presets, fastest first.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Standard, Self::High];

    /// The preset's name in YAML, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Standard => "standard",
            Self::High => "high",
        }
    }
}

impl std::str::FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|quality| quality.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of draft, standard, high"))
    }
}
