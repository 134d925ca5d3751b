//! Pictures of a video by the time they are shown at, one after the other, as images that a browser reads.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ffmpeg::{Rational, Rescale as _, color, decoder, filter, format::Pixel, frame};
use ffmpeg_next as ffmpeg;
use png::ColorType;
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb};

use super::{
    Result, file,
    source::{MICROSECOND, Source, Track, Turn, square},
    tone::{HighRange, ToneMap},
};

/// A video that is being read. It holds the picture that is shown and the one after it.
pub(crate) struct Pictures {
    source: Source,
    track: Track,
    decoder: decoder::Video,
    turn: Turn,
    origin: i64,
    converter: Option<Converter>,
    shown: Option<Timed>,
    ahead: Option<Timed>,
    /// Everything was given to the decoder.
    drained: bool,
    stop: Arc<AtomicBool>,
}

/// A picture and when it is shown first, in microseconds of the file.
struct Timed {
    time: i64,
    frame: frame::Video,
}

/// Further ahead than this it pays to look for a keyframe. In microseconds.
const FAR: i64 = 2_000_000;
/// A keyframe may be followed by pictures that are shown before it and need those before it: then reading begins earlier
/// by so much. In microseconds.
const EARLIER: [i64; 4] = [0, 1_000_000, 10_000_000, i64::MAX];

impl Pictures {
    /// Opens a video. Once `stop` is set, reading ends with an error.
    pub(crate) fn open(path: &Path, stop: Arc<AtomicBool>) -> Result<Self> {
        let source = Source::open(path)?;
        let none = || file("find pictures in", path)(ffmpeg::Error::StreamNotFound);
        let track = source.pictures().ok_or_else(none)?;
        let decoder = source.picture_decoder(&track)?;
        let (turn, origin) = (source.turn(&track), source.origin());
        Ok(Self {
            source,
            track,
            decoder,
            turn,
            origin,
            converter: None,
            shown: None,
            ahead: None,
            drained: false,
            stop,
        })
    }

    /// Moves to the picture that is shown at a time in microseconds: the last one that begins by then; the first before
    /// it begins, the last after its end. The answer is when it begins, which names it.
    pub(crate) fn show(&mut self, time: i64) -> Result<i64> {
        let time = time.saturating_add(self.tolerance());
        let at = self.shown.as_ref().map_or(i64::MIN, |shown| shown.time);
        let unread = self.shown.is_none() && self.ahead.is_none();
        let ended = self.drained && self.ahead.is_none();
        let far = time > at.saturating_add(FAR) && !ended && !self.reaches(time);
        if time < at || if unread { time > FAR } else { far } {
            self.jump(time)?;
        }
        self.advance(time)?;
        if self.shown.is_none() {
            self.shown = self.ahead.take();
        }
        let none = || file("find a picture in", &self.source.path)(ffmpeg::Error::InvalidData);
        self.shown.as_ref().map(|shown| shown.time).ok_or_else(none)
    }

    /// The picture that is shown, as a PNG file.
    pub(crate) fn png(&mut self) -> Result<Vec<u8>> {
        let failed = file("convert a picture of", &self.source.path);
        let Some(Timed { frame, .. }) = &self.shown else { return Err(failed(ffmpeg::Error::InvalidData)) };
        let kind = Kind::of(frame);
        if let Some((matrix, range)) = kind.usual(self.turn) {
            return planar(frame, matrix, range).map_err(failed);
        }
        if self.converter.as_ref().is_none_or(|converter| converter.kind != kind) {
            self.converter = None;
        }
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => match Converter::new(kind, self.turn) {
                Ok(converter) => none.insert(converter),
                Err(source) => return Err(failed(source)),
            },
        };
        converter.convert(frame).map_err(failed)
    }

    /// Times are rounded to the track's unit when a file is written: half of one, where that is less than a thousandth
    /// of a second; and our own are rounded to microseconds.
    fn tolerance(&self) -> i64 {
        1_i64.rescale(self.track.unit, MICROSECOND).clamp(1, 1000) / 2 + 1
    }

    /// Whether a time lies before the end of what was read.
    fn reaches(&self, time: i64) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.time > time)
    }

    /// Reads until the next picture begins after a time.
    fn advance(&mut self, time: i64) -> Result<()> {
        loop {
            if self.ahead.is_none() {
                self.ahead = self.read()?;
            }
            match &self.ahead {
                Some(ahead) if ahead.time <= time => self.shown = self.ahead.take(),
                _ => return Ok(()),
            }
        }
    }

    /// Goes to a keyframe from which the picture at a time can be decoded.
    fn jump(&mut self, time: i64) -> Result<()> {
        for earlier in EARLIER {
            self.shown = None;
            self.ahead = None;
            self.drained = false;
            let target = time.saturating_sub(earlier).max(0);
            if target == 0 || self.source.input.seek(target + self.origin, ..target + self.origin).is_err() {
                self.source = Source::open(&self.source.path)?;
                self.decoder = self.source.picture_decoder(&self.track)?;
                return Ok(());
            }
            self.decoder.flush();
            self.ahead = self.read()?;
            if self.ahead.as_ref().is_some_and(|first| first.time <= time) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next picture in the order of showing; `None` after the last. What cannot be decoded is passed over, as players do.
    fn read(&mut self) -> Result<Option<Timed>> {
        loop {
            let failed = |source| file("decode", &self.source.path)(source);
            let mut frame = frame::Video::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    let Some(time) = frame.timestamp() else { continue };
                    let time = time.rescale(self.track.unit, MICROSECOND) - self.origin;
                    return Ok(Some(Timed { time, frame }));
                }
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) if self.drained => return Ok(None),
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN } | ffmpeg::Error::InvalidData) => {}
                Err(source) => return Err(failed(source)),
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(failed(ffmpeg::Error::Exit));
            }
            let fed = self.source.feed(&self.track, &mut self.decoder);
            self.drained |= !fed.map_err(file("decode", &self.source.path))?;
        }
    }
}

/// What a conversion is set up for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    format: Pixel,
    size: (u32, u32),
    pixel: Rational,
    space: color::Space,
    range: color::Range,
    high_range: Option<HighRange>,
}

impl Kind {
    fn of(frame: &frame::Video) -> Self {
        Self {
            format: frame.format(),
            size: (frame.width(), frame.height()),
            pixel: frame.aspect_ratio(),
            space: frame.color_space(),
            range: frame.color_range(),
            high_range: HighRange::of(frame.color_transfer_characteristic()),
        }
    }

    /// The matrix that its colours were made with, as libav's scaler names it. Where a file does not say: as players
    /// guess, by the height.
    fn matrix(self) -> &'static str {
        match self.space {
            color::Space::BT709 => "bt709",
            color::Space::BT2020NCL | color::Space::BT2020CL => "bt2020",
            color::Space::SMPTE240M => "smpte240m",
            color::Space::FCC => "fcc",
            color::Space::BT470BG | color::Space::SMPTE170M => "bt601",
            _ if self.size.1 >= 720 => "bt709",
            _ => "bt601",
        }
    }

    /// Matrix and range of the most usual pictures: 8 bits, chroma at half of both resolutions, shown as they are.
    fn usual(self, turn: Turn) -> Option<(YuvStandardMatrix, YuvRange)> {
        let full = self.format == Pixel::YUVJ420P || self.range == color::Range::JPEG;
        let matrix = match self.matrix() {
            "bt709" => YuvStandardMatrix::Bt709,
            "bt601" => YuvStandardMatrix::Bt601,
            _ => return None,
        };
        let usual = matches!(self.format, Pixel::YUV420P | Pixel::YUVJ420P)
            && self.space != color::Space::RGB
            && self.high_range.is_none()
            && turn == Turn::None
            && square(self.size, self.pixel) == self.size;
        usual.then_some((matrix, if full { YuvRange::Full } else { YuvRange::Limited }))
    }

    /// What is made of it, as libav names it.
    fn made(self) -> &'static str {
        match self.high_range {
            Some(_) if self.has_alpha() => "gbrap12le",
            Some(_) => "gbrp12le",
            None if self.has_alpha() => "rgba",
            None => "rgb24",
        }
    }

    fn is_rgb(self) -> bool {
        self.space == color::Space::RGB || self.descriptor_says(ffmpeg::ffi::AV_PIX_FMT_FLAG_RGB)
    }

    fn has_alpha(self) -> bool {
        self.descriptor_says(ffmpeg::ffi::AV_PIX_FMT_FLAG_ALPHA)
    }

    #[expect(unsafe_code, reason = "ffmpeg-next does not tell flags of pixel formats")]
    fn descriptor_says(self, flag: i32) -> bool {
        // SAFETY: libav's table of pixel formats is constant; it gives null for what is not in it.
        let descriptor = unsafe { ffmpeg::ffi::av_pix_fmt_desc_get(self.format.into()).as_ref() };
        descriptor.is_some_and(|descriptor| descriptor.flags & u64::from(flag.cast_unsigned()) != 0)
    }
}

/// The image of a usual picture. In a thirtieth of the time that libav's exact scaler takes, and as near to what was filmed.
fn planar(
    frame: &frame::Video,
    matrix: YuvStandardMatrix,
    range: YuvRange,
) -> std::result::Result<Vec<u8>, ffmpeg::Error> {
    let (width, height) = (frame.width(), frame.height());
    let stride = |plane| u32::try_from(frame.stride(plane)).map_err(|_| ffmpeg::Error::InvalidData);
    let image = YuvPlanarImage {
        y_plane: frame.data(0),
        y_stride: stride(0)?,
        u_plane: frame.data(1),
        u_stride: stride(1)?,
        v_plane: frame.data(2),
        v_stride: stride(2)?,
        width,
        height,
    };
    let mut pixels = vec![0; width as usize * height as usize * 3];
    yuv420_to_rgb(&image, &mut pixels, width * 3, range, matrix).map_err(|_| ffmpeg::Error::InvalidData)?;
    stored(width, height, ColorType::Rgb, &pixels)
}

/// From decoded pictures to images.
struct Converter {
    kind: Kind,
    graph: filter::Graph,
    /// For pictures of high dynamic range, which the graph leaves as they are.
    tone_map: Option<ToneMap>,
    /// The picture it makes, reused.
    made: frame::Video,
}

impl Converter {
    fn new(kind: Kind, turn: Turn) -> std::result::Result<Self, ffmpeg::Error> {
        let Kind { format, size: (width, height), .. } = kind;
        let mut graph = filter::Graph::new();
        let find = |name| filter::find(name).ok_or(ffmpeg::Error::FilterNotFound);
        let name = format.descriptor().ok_or(ffmpeg::Error::InvalidData)?.name();
        let arguments = format!("width={width}:height={height}:pix_fmt={name}:time_base=1/1:pixel_aspect=1/1");
        graph.add(&find("buffer")?, "in", &arguments)?;
        graph.add(&find("buffersink")?, "out", "")?;
        let range = if kind.range == color::Range::JPEG { "full" } else { "limited" };
        let colour = if kind.is_rgb() {
            String::new()
        } else {
            format!(":in_color_matrix={}:in_range={range}:out_range=full", kind.matrix())
        };
        let (wide, high) = square(kind.size, kind.pixel);
        let spec = format!(
            "scale=w={wide}:h={high}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp{colour},format={},{}",
            kind.made(),
            turn.filter()
        );
        graph.output("in", 0)?.input("out", 0)?.parse(&spec)?;
        graph.validate()?;
        Ok(Self { kind, graph, tone_map: kind.high_range.map(ToneMap::new), made: frame::Video::empty() })
    }

    fn convert(&mut self, frame: &frame::Video) -> std::result::Result<Vec<u8>, ffmpeg::Error> {
        let missing = || ffmpeg::Error::FilterNotFound;
        self.graph.get("in").ok_or_else(missing)?.source().add(frame)?;
        self.graph.get("out").ok_or_else(missing)?.sink().frame(&mut self.made)?;
        let made = &self.made;
        let (width, height) = (made.width() as usize, made.height() as usize);
        let (colour, bytes) = if self.kind.has_alpha() { (ColorType::Rgba, 4) } else { (ColorType::Rgb, 3) };
        if let Some(tone_map) = &self.tone_map {
            return stored(made.width(), made.height(), colour, &mapped(made, bytes, tone_map));
        }
        let rows = made.data(0).chunks(made.stride(0)).take(height);
        let mut pixels = Vec::with_capacity(width * height * bytes);
        rows.for_each(|row| pixels.extend_from_slice(&row[..width * bytes]));
        stored(made.width(), made.height(), colour, &pixels)
    }
}

/// Levels of sRGB in so many bytes a pixel, the fourth opacity, for planes of green, blue, red and opacity of twelve bits in two
/// bytes.
fn mapped(picture: &frame::Video, bytes: usize, tone_map: &ToneMap) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut pixels = vec![0; width * height * bytes];
    for (row, made) in pixels.chunks_exact_mut(width * bytes).enumerate() {
        let levels = |plane: usize| {
            let start = row * picture.stride(plane);
            let (levels, _) = picture.data(plane)[start..start + width * 2].as_chunks::<2>();
            levels.iter().map(|bytes| u16::from_le_bytes(*bytes))
        };
        let colours = levels(2).zip(levels(0)).zip(levels(1));
        for (to, ((red, green), blue)) in made.chunks_exact_mut(bytes).zip(colours) {
            to[..3].copy_from_slice(&tone_map.map([red, green, blue]));
        }
        if bytes == 4 {
            let opacities = levels(3).map(|level| (level >> 4).to_le_bytes()[0]);
            made.iter_mut().skip(3).step_by(4).zip(opacities).for_each(|(to, opacity)| *to = opacity);
        }
    }
    pixels
}

/// A PNG of pixels that are stored as they are: no other image is read by a browser as soon.
fn stored(width: u32, height: u32, colour: ColorType, pixels: &[u8]) -> std::result::Result<Vec<u8>, ffmpeg::Error> {
    let mut file = Vec::with_capacity(pixels.len() + pixels.len() / 256 + 1024);
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::NoCompression);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.map_err(|_| ffmpeg::Error::InvalidData)?;
    Ok(file)
}
