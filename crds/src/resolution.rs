//! Sizes that a composition can be drawn at instead of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Size of the pictures: upstream's presets.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// 1920×1080.
    Landscape,
    /// 1080×1920.
    Portrait,
    /// 1080×1080.
    Square,
    /// 3840×2160.
    #[serde(rename = "landscape-4k")]
    Landscape4k,
    /// 2160×3840.
    #[serde(rename = "portrait-4k")]
    Portrait4k,
    /// 2160×2160.
    #[serde(rename = "square-4k")]
    Square4k,
}

impl Resolution {
    /// All presets.
    pub const ALL: [Self; 6] =
        [Self::Landscape, Self::Portrait, Self::Square, Self::Landscape4k, Self::Portrait4k, Self::Square4k];

    /// The preset's name in YAML, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Landscape => "landscape",
            Self::Portrait => "portrait",
            Self::Square => "square",
            Self::Landscape4k => "landscape-4k",
            Self::Portrait4k => "portrait-4k",
            Self::Square4k => "square-4k",
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(self) -> (u32, u32) {
        match self {
            Self::Landscape => (1920, 1080),
            Self::Portrait => (1080, 1920),
            Self::Square => (1080, 1080),
            Self::Landscape4k => (3840, 2160),
            Self::Portrait4k => (2160, 3840),
            Self::Square4k => (2160, 2160),
        }
    }

    /// The preset of the same number of lines for a composition's orientation: what upstream's aliases such as `4k` mean.
    #[must_use]
    pub const fn turned_to(self, width: u32, height: u32) -> Self {
        let large = matches!(self, Self::Landscape4k | Self::Portrait4k | Self::Square4k);
        match (width, height, large) {
            _ if width == height && large => Self::Square4k,
            _ if width == height => Self::Square,
            _ if width > height && large => Self::Landscape4k,
            _ if width > height => Self::Landscape,
            _ if large => Self::Portrait4k,
            _ => Self::Portrait,
        }
    }

    /// How many pixels of the output, in each direction, one CSS pixel of a composition becomes.
    ///
    /// # Errors
    /// When that is no whole number, or not the same in both directions (upstream's rule): a sentence that says so.
    pub fn scale_of(self, width: u32, height: u32) -> Result<u32, String> {
        let (to_width, to_height) = self.size();
        let name = self.as_str();
        if u64::from(width) * u64::from(to_height) != u64::from(height) * u64::from(to_width) {
            return Err(format!(
                "{name} is {to_width}x{to_height}, and the composition {width}x{height}: ask for a size of the same shape"
            ));
        }
        if !to_width.is_multiple_of(width) {
            return Err(format!(
                "{name} is {to_width}x{to_height}, and no whole multiple of the composition's {width}x{height}"
            ));
        }
        Ok(to_width / width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_multiples_of_the_same_shape_can_be_made() {
        assert_eq!(Resolution::Landscape4k.scale_of(1920, 1080), Ok(2));
        assert_eq!(Resolution::Landscape.scale_of(1920, 1080), Ok(1));
        assert_eq!(Resolution::Square4k.scale_of(540, 540), Ok(4));
        for (preset, width, height) in [
            (Resolution::Landscape, 3840, 2160),
            (Resolution::Landscape, 1280, 720),
            (Resolution::Portrait4k, 1920, 1080),
            (Resolution::Landscape, 1921, 1080),
        ] {
            assert!(preset.scale_of(width, height).unwrap_err().contains(&format!("{width}x{height}")), "{preset:?}");
        }
    }

    #[test]
    fn a_number_of_lines_turns_with_the_composition() {
        assert_eq!(Resolution::Landscape4k.turned_to(1080, 1920), Resolution::Portrait4k);
        assert_eq!(Resolution::Landscape.turned_to(500, 500), Resolution::Square);
        assert_eq!(Resolution::Portrait.turned_to(640, 360), Resolution::Landscape);
    }

    #[test]
    fn names_are_the_wires() {
        for preset in Resolution::ALL {
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
        }
    }
}
