//! Media files of a composition: opened as what they are, and only if they are files of their own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ffmpeg::{Dictionary, Packet, Rational, Rescale as _, codec, decoder, format, media, packet::side_data};
use ffmpeg_next as ffmpeg;

use super::{Error, Result, file, local, quiet};

/// Containers that are taken, as libav names them: none that names other files, as a playlist does.
const CONTAINERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mp3,wav,w64,aiff,caf,ogg,flac,aac";

/// Pixels of the largest picture that is decoded: 16384×4096.
const MOST_PIXELS: u64 = 1 << 26;

/// Seconds: sound is coded in pieces of a fixed length, and its last one is filled up. A piece of AAC at 22.05 kHz takes half of it.
const MOST_PADDING: f64 = 0.1;

/// What times of media are counted in.
pub(super) const MICROSECOND: Rational = Rational(1, 1_000_000);

/// An open media file.
pub(super) struct Source {
    pub(super) input: format::context::Input,
    pub(super) path: PathBuf,
}

/// A track of a media file, and how its times are to be read.
pub(super) struct Track {
    pub(super) index: usize,
    pub(super) unit: Rational,
    pub(super) parameters: codec::Parameters,
}

/// What a media file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MediaInfo {
    /// Seconds, where it says so.
    pub(crate) duration: Option<f64>,
    /// Seconds until its pictures end, where its sound goes on for a moment.
    pub(crate) pictures_end: Option<f64>,
    /// Width and height as shown, where it has pictures.
    pub(crate) picture: Option<(u32, u32)>,
    /// Whether it has a track of sound.
    pub(crate) sound: bool,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        quiet();
        let options: Dictionary =
            [("format_whitelist", CONTAINERS), ("protocol_whitelist", "file")].into_iter().collect();
        let input = format::input_with_dictionary(&local(path)?, options).map_err(file("read", path))?;
        Ok(Self { input, path: path.to_owned() })
    }

    /// Where its clock begins, in microseconds of its tracks' times.
    pub(super) fn origin(&self) -> i64 {
        #[expect(unsafe_code, reason = "ffmpeg-next does not tell the start of a file")]
        // SAFETY: the pointer is that of an open file of ours.
        let start = unsafe { (*self.input.as_ptr()).start_time };
        if start == ffmpeg::ffi::AV_NOPTS_VALUE { 0 } else { start }
    }

    /// Seconds of the file at which a track ends, where it says so.
    fn end(&self, track: usize) -> Option<f64> {
        let stream = self.input.stream(track)?;
        let lasts = Some(stream.duration()).filter(|lasts| *lasts > 0)?;
        let end = stream.start_time().max(0).saturating_add(lasts).rescale(stream.time_base(), MICROSECOND);
        Some(Duration::from_micros(u64::try_from(end.saturating_sub(self.origin())).ok()?).as_secs_f64())
    }

    /// Gives a decoder the next packet, if it is of this track; false once it has got everything. Of a file that is cut short
    /// there is what there is, and what cannot be decoded is passed over, as players do; one that cannot be read is an error.
    pub(super) fn feed(
        &mut self,
        track: &Track,
        decoder: &mut decoder::Opened,
    ) -> std::result::Result<bool, ffmpeg::Error> {
        let mut packet = Packet::empty();
        let (sent, more) = match packet.read(&mut self.input) {
            Ok(()) if packet.stream() == track.index => (decoder.send_packet(&packet), true),
            Ok(()) => (Ok(()), true),
            Err(source @ ffmpeg::Error::Other { .. }) => return Err(source),
            Err(_) => (decoder.send_eof(), false),
        };
        match sent {
            Ok(()) | Err(ffmpeg::Error::InvalidData | ffmpeg::Error::Eof) => Ok(more),
            Err(source) => Err(source),
        }
    }

    /// Its track of pictures that move; no picture on a cover.
    pub(super) fn pictures(&self) -> Option<Track> {
        let is_cover = |stream: &format::stream::Stream<'_>| {
            stream.disposition().contains(format::stream::Disposition::ATTACHED_PIC)
        };
        self.track(|stream| stream.parameters().medium() == media::Type::Video && !is_cover(stream))
    }

    /// Its track of sound.
    pub(super) fn sound(&self) -> Option<Track> {
        self.track(|stream| stream.parameters().medium() == media::Type::Audio)
    }

    fn track(&self, wanted: impl Fn(&format::stream::Stream<'_>) -> bool) -> Option<Track> {
        let stream = self.input.streams().find(wanted)?;
        Some(Track { index: stream.index(), unit: stream.time_base(), parameters: stream.parameters() })
    }

    /// The decoder of its pictures. The transparency of VP8 and VP9, which a file says of, has only libvpx.
    pub(super) fn picture_decoder(&self, track: &Track) -> Result<decoder::Video> {
        let refused = |source| file("decode the pictures of", &self.path)(source);
        let transparent = self.is_transparent(track);
        let named = match track.parameters.id() {
            codec::Id::VP8 if transparent => Some("libvpx"),
            codec::Id::VP9 if transparent => Some("libvpx-vp9"),
            _ => None,
        };
        let codec = match named {
            Some(name) => decoder::find_by_name(name).ok_or(Error::NoDecoder(name))?,
            None => decoder::find(track.parameters.id()).ok_or_else(|| refused(ffmpeg::Error::DecoderNotFound))?,
        };
        let mut context = codec::Context::from_parameters(track.parameters.clone()).map_err(refused)?.decoder();
        context.set_packet_time_base(track.unit);
        let options: Dictionary = [("threads", "1"), ("max_pixels", &MOST_PIXELS.to_string())].into_iter().collect();
        context.open_as_with(codec, options).and_then(decoder::Opened::video).map_err(refused)
    }

    fn is_transparent(&self, track: &Track) -> bool {
        let stream = self.input.stream(track.index);
        stream.is_some_and(|stream| {
            stream.metadata().iter().any(|(name, value)| name.eq_ignore_ascii_case("alpha_mode") && value == "1")
        })
    }

    /// How its pictures are turned to be shown, as a filter; none for most.
    pub(super) fn turn(&self, track: &Track) -> Turn {
        let stream = self.input.stream(track.index);
        let matrix = stream.and_then(|stream| {
            let side = stream.side_data().find(|side| side.kind() == side_data::Type::DisplayMatrix)?;
            let number = |bytes: &[u8]| bytes.try_into().map(i32::from_ne_bytes).unwrap_or_default();
            let numbers: Vec<i32> = side.data().chunks_exact(4).map(number).collect();
            <[i32; 9]>::try_from(numbers).ok()
        });
        matrix.map_or(Turn::None, Turn::of)
    }
}

/// Turns by right angles; what else a matrix can say is not said by cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Clockwise,
    Over,
    Counterclockwise,
    Mirrored,
}

impl Turn {
    /// Of a display matrix (ISO 14496-12, 8.5.2: the first column of each row are 16.16 numbers).
    fn of(matrix: [i32; 9]) -> Self {
        match (matrix[0].signum(), matrix[1].signum(), matrix[4].signum()) {
            (0, 1, _) => Self::Clockwise,
            (0, -1, _) => Self::Counterclockwise,
            (-1, _, -1) => Self::Over,
            (-1, _, 1) => Self::Mirrored,
            _ => Self::None,
        }
    }

    pub(super) fn filter(self) -> &'static str {
        match self {
            Self::None => "null",
            Self::Clockwise => "transpose=clock",
            Self::Over => "hflip,vflip",
            Self::Counterclockwise => "transpose=cclock",
            Self::Mirrored => "hflip",
        }
    }

    /// Width and height after it.
    pub(super) fn turned(self, (width, height): (u32, u32)) -> (u32, u32) {
        if matches!(self, Self::Clockwise | Self::Counterclockwise) { (height, width) } else { (width, height) }
    }
}

/// Width and height of pictures on a screen, whose pixels are square, before they are turned.
pub(super) fn square((width, height): (u32, u32), pixel: Rational) -> (u32, u32) {
    let Rational(num, den) = pixel;
    let (Ok(num), Ok(den)) = (u64::try_from(num), u64::try_from(den)) else { return (width, height) };
    if num == 0 || den == 0 || num == den {
        return (width, height);
    }
    let wide = (u64::from(width) * num + den / 2) / den;
    (u32::try_from(wide).unwrap_or(width).max(1), height)
}

/// What a media file says of itself.
///
/// # Errors
/// When libav cannot read it, or its pictures are too large or of a kind that cannot be decoded.
pub(crate) fn media_info(path: &Path) -> Result<MediaInfo> {
    let source = Source::open(path)?;
    let duration = u64::try_from(source.input.duration()).ok().filter(|micros| *micros > 0);
    let duration = duration.map(|micros| Duration::from_micros(micros).as_secs_f64());
    let mut info = MediaInfo { duration, pictures_end: None, picture: None, sound: source.sound().is_some() };
    if let Some(track) = source.pictures() {
        let decoder = source.picture_decoder(&track)?;
        let (width, height) = (decoder.width(), decoder.height());
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(file("take the size of the pictures of", path)(ffmpeg::Error::InvalidData));
        }
        let filled_up =
            |end: &f64| duration.is_some_and(|duration| (end + f64::EPSILON..end + MOST_PADDING).contains(&duration));
        info.pictures_end = source.end(track.index).filter(filled_up);
        info.picture = Some(source.turn(&track).turned(square((width, height), decoder.aspect_ratio())));
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_of_cameras_are_turns() {
        const ONE: i32 = 1 << 16;
        for (matrix, turn) in [
            ([ONE, 0, 0, ONE], Turn::None),
            ([0, ONE, -ONE, 0], Turn::Clockwise),
            ([-ONE, 0, 0, -ONE], Turn::Over),
            ([0, -ONE, ONE, 0], Turn::Counterclockwise),
            ([-ONE, 0, 0, ONE], Turn::Mirrored),
        ] {
            let [a, b, c, d] = matrix;
            assert_eq!(Turn::of([a, b, 0, c, d, 0, 0, 0, 1 << 30]), turn);
        }
        assert_eq!(Turn::Clockwise.turned((64, 36)), (36, 64));
    }

    #[test]
    fn pixels_become_square() {
        assert_eq!(square((720, 576), Rational(64, 45)), (1024, 576));
        assert_eq!(square((64, 36), Rational(0, 1)), (64, 36));
    }
}
