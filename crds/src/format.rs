//! Output formats by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Container and codec of an output: upstream's formats. How each is encoded is the producer's business.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// H.264 in MP4.
    #[default]
    Mp4,
    /// ProRes 4444 in QuickTime, with transparency.
    Mov,
    /// VP9 in WebM, with transparency.
    Webm,
    /// A folder of PNG files, with transparency.
    PngSequence,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Mp4, Self::Mov, Self::Webm, Self::PngSequence];

    /// The format's name in YAML, JSON, plans and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Webm => "webm",
            Self::PngSequence => "png-sequence",
        }
    }

    /// The extension of its files, without a dot; none for a folder.
    #[must_use]
    pub const fn extension(self) -> Option<&'static str> {
        match self {
            Self::Mp4 => Some("mp4"),
            Self::Mov => Some("mov"),
            Self::Webm => Some("webm"),
            Self::PngSequence => None,
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
