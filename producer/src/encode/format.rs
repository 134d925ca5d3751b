//! What each output format is: the one table everything else asks.

use std::path::Path;

use crds::{Code, Codec, Format};

use crate::{Error, error::composition, libav::SoundEncoding};

/// What players of MP4 know.
const AAC: SoundEncoding = SoundEncoding { encoder: "aac", bit_rate: 192_000 };
/// What players of WebM know.
const OPUS: SoundEncoding = SoundEncoding { encoder: "libopus", bit_rate: 128_000 };

/// How a format is made. Names are libav's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FormatSpec {
    pub(crate) format: Format,
    /// Where a format has more than one codec, which it is.
    pub(crate) codec: Option<Codec>,
    /// The muxer of chunks; of the output too, where chunks are only joined.
    pub(crate) container: &'static str,
    /// What is made of the chunks.
    pub(crate) output: Output,
    pub(crate) encoder: EncoderKind,
    /// The encoder, as plans name it (upstream's names, where upstream has it).
    pub(crate) planned_as: &'static str,
    pub(crate) pixel_format: &'static str,
    /// How its sound is encoded.
    pub(crate) sound: SoundEncoding,
    /// Whether what the page leaves transparent stays so.
    pub(crate) alpha: bool,
    /// What the container calls the codec, where it has a choice.
    pub(crate) tag: Option<[u8; 4]>,
}

/// What is made of the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// One file of the chunks' container, their packets unchanged.
    Joined,
    /// A folder with a file for every packet.
    Pictures,
    /// A GIF of all pictures, decoded.
    Gif,
    /// A folder with a playlist and segments, the chunks' packets unchanged.
    Hls,
}

/// An encoder that is known how to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncoderKind {
    X264,
    X265,
    Vp9,
    ProRes,
    Png,
}

impl EncoderKind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::X264, Self::X265, Self::Vp9, Self::ProRes, Self::Png];

    /// Its name in libav.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::X265 => "libx265",
            Self::Vp9 => "libvpx-vp9",
            Self::ProRes => "prores_ks",
            Self::Png => "png",
        }
    }

    /// Threads that one works with, on whatever machine. With two of them x264 makes the same of a GOP (measured: within
    /// a thousandth of its bytes) and ends with both; what the others make depends on their number.
    pub(crate) const fn threads(self) -> usize {
        match self {
            Self::X264 => 2,
            Self::X265 | Self::Vp9 | Self::ProRes | Self::Png => 1,
        }
    }
}

const MP4: FormatSpec = FormatSpec {
    format: Format::Mp4,
    codec: Some(Codec::H264),
    container: "mp4",
    output: Output::Joined,
    encoder: EncoderKind::X264,
    planned_as: "libx264-software",
    pixel_format: "yuv420p",
    sound: AAC,
    alpha: false,
    tag: None,
};

const MOV: FormatSpec = FormatSpec {
    format: Format::Mov,
    codec: None,
    container: "mov",
    encoder: EncoderKind::ProRes,
    planned_as: "prores-software",
    pixel_format: "yuva444p10le",
    alpha: true,
    ..MP4
};

const PNG_SEQUENCE: FormatSpec = FormatSpec {
    format: Format::PngSequence,
    codec: None,
    container: "mov",
    output: Output::Pictures,
    encoder: EncoderKind::Png,
    planned_as: "png-sequence",
    pixel_format: "rgba",
    alpha: true,
    ..MP4
};

/// Upstream's formats, made as upstream makes them, and HLS.
pub(crate) const FORMATS: [FormatSpec; 7] = [
    MP4,
    // Apple's players know H.265 by this name alone.
    FormatSpec {
        codec: Some(Codec::H265),
        encoder: EncoderKind::X265,
        planned_as: "libx265-software",
        tag: Some(*b"hvc1"),
        ..MP4
    },
    MOV,
    FormatSpec {
        format: Format::Webm,
        codec: None,
        container: "webm",
        encoder: EncoderKind::Vp9,
        planned_as: "libvpx-vp9-software",
        pixel_format: "yuva420p",
        sound: OPUS,
        alpha: true,
        ..MP4
    },
    PNG_SEQUENCE,
    FormatSpec { format: Format::Gif, output: Output::Gif, planned_as: "gif", ..PNG_SEQUENCE },
    FormatSpec { format: Format::Hls, codec: None, output: Output::Hls, ..MP4 },
];

impl FormatSpec {
    /// How a format is made.
    ///
    /// # Errors
    /// `CONFIG_INVALID` where the format has no such codec.
    pub(crate) fn of(format: Format, codec: Option<Codec>) -> Result<&'static Self, Error> {
        let mut rows = FORMATS.iter().filter(|spec| spec.format == format);
        let found = match codec {
            None => rows.next(),
            codec => rows.find(|spec| spec.codec == codec),
        };
        found.ok_or_else(|| {
            let (codec, format) = (codec.map_or("", Codec::as_str), format.as_str());
            let message =
                format!("codec {codec} is one of mp4's, and the format is {format}: leave one of the two out");
            composition(Code::ConfigInvalid, message)
        })
    }

    /// The format of a plan, by what it calls the encoder.
    pub(crate) fn planned(format: Format, planned_as: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|spec| spec.format == format && spec.planned_as == planned_as)
    }

    /// Checks that the name of an output says what will be in it.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the extension is missing or another format's.
    pub(crate) fn check_output(&self, out: &Path) -> Result<(), Error> {
        let advice = match (self.format.extension(), out.extension()) {
            (Some(expected), Some(found)) if found.eq_ignore_ascii_case(expected) => return Ok(()),
            (Some(expected), _) => format!("name it with .{expected}, or ask for another --format"),
            // Whatever a folder is called, if it is not called a file of another format.
            (None, _) if Format::of_name(out).is_none() => return Ok(()),
            (None, _) => {
                "which is a folder: give it a name without that extension, or ask for another --format".to_owned()
            }
        };
        let message = format!("the output is {}: {advice}", self.format.as_str());
        let path = Some(out.display().to_string());
        Err(Error::Composition { code: Code::ConfigInvalid, message, path, line: None })
    }

    /// Whether the output is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.format.extension().is_none()
    }

    /// The name of an output before it has its own.
    pub(crate) fn output_name(&self) -> String {
        self.format.extension().map_or_else(|| "video".to_owned(), |extension| format!("video.{extension}"))
    }

    /// The name of a chunk's file.
    pub(crate) fn chunk_name(&self, stem: &str) -> String {
        format!("{stem}.{}", self.format.chunk_extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_wire_has_its_row_and_every_row_its_name() {
        for format in Format::ALL {
            let spec = FormatSpec::of(format, None).unwrap();
            assert_eq!((spec.format, spec.is_folder()), (format, format.extension().is_none()));
            assert_eq!(spec.container, format.chunk_extension());
        }
        for spec in &FORMATS {
            assert_eq!(FormatSpec::planned(spec.format, spec.planned_as), Some(spec));
        }
    }

    #[test]
    fn only_mp4_has_a_choice_of_codecs() {
        assert_eq!(FormatSpec::of(Format::Mp4, None).unwrap().encoder, EncoderKind::X264);
        assert_eq!(FormatSpec::of(Format::Mp4, Some(Codec::H265)).unwrap().encoder, EncoderKind::X265);
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Mp4) {
            let failure = FormatSpec::of(format, Some(Codec::H264)).unwrap_err().failure();
            assert_eq!(failure.code, Code::ConfigInvalid);
            assert!(failure.message.contains("codec h264") && failure.message.contains(format.as_str()), "{failure}");
        }
    }

    #[test]
    fn the_name_of_an_output_says_what_is_in_it() {
        let check = |format, out: &str| FormatSpec::of(format, None).unwrap().check_output(Path::new(out));
        for (format, out) in [
            (Format::Mp4, "x.mp4"),
            (Format::Mp4, "a.b/x.MP4"),
            (Format::Mp4, "-.mp4"),
            (Format::Webm, "x.webm"),
            (Format::PngSequence, "x"),
            (Format::PngSequence, "x.frames/"),
            (Format::Hls, "v1.2"),
        ] {
            check(format, out).unwrap();
        }
        for (format, out) in [
            (Format::Mp4, "x.webm"),
            (Format::Mp4, "x"),
            (Format::Mp4, ".mp4"),
            (Format::Mp4, "x.mp4.part"),
            (Format::Mov, "x.mp4"),
            (Format::Hls, "x.mp4"),
            (Format::PngSequence, "x.gif"),
        ] {
            let failure = check(format, out).unwrap_err().failure();
            assert_eq!((failure.code, failure.path.as_deref()), (Code::ConfigInvalid, Some(out)));
            assert!(failure.message.contains(format.as_str()), "{failure}");
        }
    }

    #[test]
    fn an_extension_names_a_format() {
        assert_eq!(Format::of_name(Path::new("a/b.WebM")), Some(Format::Webm));
        assert_eq!(Format::of_name(Path::new("a/b.mov")), Some(Format::Mov));
        for out in ["a", "a.mp4/b", "a.avi", ".mp4", "-"] {
            assert_eq!(Format::of_name(Path::new(out)), None, "{out}");
        }
    }
}
