//! What each output format is: the one table everything else asks.

use std::path::Path;

use crds::{Code, Format};

use crate::{Error, error::composition, libav::SoundEncoding};

/// What players of MP4 know.
const AAC: SoundEncoding = SoundEncoding { encoder: "aac", bit_rate: 192_000 };
/// What players of WebM know.
const OPUS: SoundEncoding = SoundEncoding { encoder: "libopus", bit_rate: 128_000 };

/// How a format is made. Names are libav's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatSpec {
    pub(crate) format: Format,
    /// The extension of its files, without a dot; `None`: the output is a folder.
    pub(crate) extension: Option<&'static str>,
    /// The muxer.
    pub(crate) container: &'static str,
    /// The encoder, as libav names it.
    pub(crate) encoder: &'static str,
    /// The encoder, as plans name it (upstream's names).
    pub(crate) planned_as: &'static str,
    pub(crate) pixel_format: &'static str,
    /// How its sound is encoded.
    pub(crate) sound: SoundEncoding,
    /// Whether what the page leaves transparent stays so.
    pub(crate) alpha: bool,
    /// Whether this build makes it.
    pub(crate) supported: bool,
}

/// Upstream's formats, made as upstream makes them.
pub(crate) const FORMATS: [FormatSpec; 4] = [
    FormatSpec {
        format: Format::Mp4,
        extension: Some("mp4"),
        container: "mp4",
        encoder: "libx264",
        planned_as: "libx264-software",
        pixel_format: "yuv420p",
        sound: AAC,
        alpha: false,
        supported: true,
    },
    FormatSpec {
        format: Format::Mov,
        extension: Some("mov"),
        container: "mov",
        encoder: "prores_ks",
        planned_as: "prores-software",
        pixel_format: "yuva444p10le",
        sound: AAC,
        alpha: true,
        supported: false,
    },
    FormatSpec {
        format: Format::Webm,
        extension: Some("webm"),
        container: "webm",
        encoder: "libvpx-vp9",
        planned_as: "libvpx-vp9-software",
        pixel_format: "yuva420p",
        sound: OPUS,
        alpha: true,
        supported: false,
    },
    FormatSpec {
        format: Format::PngSequence,
        extension: None,
        container: "image2",
        encoder: "png",
        planned_as: "png-sequence",
        pixel_format: "rgba",
        sound: AAC,
        alpha: true,
        supported: false,
    },
];

impl FormatSpec {
    /// How a format is made.
    ///
    /// # Errors
    /// `FEATURE_UNSUPPORTED` where this build does not make it.
    pub(crate) fn of(format: Format) -> Result<&'static Self, Error> {
        FORMATS.iter().find(|spec| spec.format == format && spec.supported).ok_or_else(|| {
            let message = format!("format {} is not made yet: ask for {}", format.as_str(), supported(Format::as_str));
            composition(Code::FeatureUnsupported, message)
        })
    }

    /// Checks that the name of an output says what will be in it.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the extension is missing or another format's.
    pub(crate) fn check_output(&self, out: &Path) -> Result<(), Error> {
        let Some(expected) = self.extension else { return Ok(()) };
        if out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(expected)) {
            return Ok(());
        }
        let only = supported(|format| format.extension().unwrap_or("a folder"));
        let message = format!("the output is {}: name it with .{expected} (only .{only} so far)", self.format.as_str());
        let path = Some(out.display().to_string());
        Err(Error::Composition { code: Code::ConfigInvalid, message, path, line: None })
    }

    /// The name of a file with these contents.
    pub(crate) fn file_name(&self, stem: &str) -> String {
        match self.extension {
            Some(extension) => format!("{stem}.{extension}"),
            None => stem.to_owned(),
        }
    }
}

/// Something of every supported format, as a list.
fn supported(name: impl Fn(Format) -> &'static str) -> String {
    let names: Vec<_> = FORMATS.iter().filter(|spec| spec.supported).map(|spec| name(spec.format)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_wire_has_its_row() {
        for format in Format::ALL {
            let rows: Vec<_> = FORMATS.iter().filter(|spec| spec.format == format).collect();
            assert_eq!(rows.len(), 1, "{format:?}");
            assert_eq!(rows[0].extension, format.extension());
        }
    }

    #[test]
    fn what_is_not_made_yet_is_refused_with_what_is() {
        assert_eq!(FormatSpec::of(Format::Mp4).unwrap().container, "mp4");
        for format in [Format::Mov, Format::Webm, Format::PngSequence] {
            let failure = FormatSpec::of(format).unwrap_err().failure();
            assert_eq!(failure.code, Code::FeatureUnsupported);
            assert!(failure.message.contains(format.as_str()) && failure.message.ends_with("ask for mp4"), "{failure}");
        }
    }

    #[test]
    fn the_name_of_an_output_says_what_is_in_it() {
        let check = |out: &str| FormatSpec::of(Format::Mp4).unwrap().check_output(Path::new(out));
        for out in ["x.mp4", "a.b/x.MP4", "-.mp4"] {
            check(out).unwrap();
        }
        for out in ["x.webm", "x.mov", "x", "-", ".mp4", "mp4", "x.mp4.part"] {
            let failure = check(out).unwrap_err().failure();
            assert_eq!((failure.code, failure.path.as_deref()), (Code::ConfigInvalid, Some(out)));
            assert!(failure.message.contains("only .mp4 so far"), "{failure}");
        }
    }
}
