//! Output formats by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Container and codec of an output: upstream's formats, and HLS. How each is encoded is the producer's business.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// H.264 or H.265 in MP4.
    #[default]
    Mp4,
    /// ProRes 4444 in QuickTime, with transparency.
    Mov,
    /// VP9 in WebM, with transparency.
    Webm,
    /// A folder of PNG files, with transparency.
    PngSequence,
    /// An animated GIF of one palette, with pixels that are transparent or not. Not on AWS.
    Gif,
    /// A folder with an HLS playlist and segments of H.264. Not on AWS.
    Hls,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [Self::Mp4, Self::Mov, Self::Webm, Self::PngSequence, Self::Gif, Self::Hls];

    /// The format's name in YAML, JSON, plans and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mov => "mov",
            Self::Webm => "webm",
            Self::PngSequence => "png-sequence",
            Self::Gif => "gif",
            Self::Hls => "hls",
        }
    }

    /// The extension of its files, without a dot; none for a folder.
    #[must_use]
    pub const fn extension(self) -> Option<&'static str> {
        match self {
            Self::Mp4 => Some("mp4"),
            Self::Mov => Some("mov"),
            Self::Webm => Some("webm"),
            Self::Gif => Some("gif"),
            Self::PngSequence | Self::Hls => None,
        }
    }

    /// The format that a file of this name has.
    #[must_use]
    pub fn of_name(path: &std::path::Path) -> Option<Self> {
        let extension = path.extension()?;
        Self::ALL.into_iter().find(|format| format.extension().is_some_and(|its| extension.eq_ignore_ascii_case(its)))
    }

    /// The extension of its chunks, without a dot. Pictures without loss lie in a QuickTime file until they are joined.
    #[must_use]
    pub const fn chunk_extension(self) -> &'static str {
        match self {
            Self::Mp4 | Self::Hls => "mp4",
            Self::Mov | Self::PngSequence | Self::Gif => "mov",
            Self::Webm => "webm",
        }
    }

    /// Whether upstream's wire format has it: only those are made on AWS.
    #[must_use]
    pub const fn distributed(self) -> bool {
        !matches!(self, Self::Gif | Self::Hls)
    }
}

/// Codec of an MP4 (upstream's names).
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Plays everywhere.
    #[default]
    H264,
    /// HEVC, tagged `hvc1` as Apple's players want it: smaller, and slower to make.
    H265,
}

impl Codec {
    /// All codecs.
    pub const ALL: [Self; 2] = [Self::H264, Self::H265];

    /// The codec's name in YAML, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
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
