//! Tracks into one file and out of it: exact constant frame rates, the index in front of the data.

use std::path::{Path, PathBuf};

use crds::FrameRate;
use ffmpeg::{Dictionary, Packet, Rational, codec, format, media};
use ffmpeg_next as ffmpeg;
use tracing::debug;

use super::{Error, Result, file, local, quiet, sound::RATE};

/// Metadata of a chunk file: the plan hash it belongs to.
pub(crate) const TAG_PLAN: &str = "hyperframes_plan";
/// Metadata of a chunk file: its index in the plan.
pub(crate) const TAG_CHUNK: &str = "hyperframes_chunk";

/// Writes tracks into one file, their packets in the order of time.
///
/// The file is begun with the first packet: all tracks are added before it.
pub(crate) struct Muxer {
    output: format::context::Output,
    path: PathBuf,
    /// Of each track, what its packets' times count, in seconds.
    units: Vec<Rational>,
    options: Vec<(&'static str, String)>,
    /// Whether the clocks of its tracks can be chosen.
    quicktime: bool,
    begun: bool,
}

/// A track of a [`Muxer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track(usize);

/// Units per second of the track's clock, and units per frame: the frame rate's numerator times the smallest factor
/// that gives at least 10 000, so that every frame lasts a whole number of units.
pub(crate) fn track_clock(rate: FrameRate) -> (u32, u32) {
    let factor = 10_000_u32.div_ceil(rate.num());
    (rate.num() * factor, rate.den() * factor)
}

impl Muxer {
    /// Starts a file of a container format, as libav names it. `tags` become its metadata.
    pub(crate) fn create(path: &Path, container: &str, tags: &[(&str, &str)]) -> Result<Self> {
        quiet();
        debug!(path = %path.display(), container, ?tags, "writing a video file");
        let mut output = format::output_as(&local(path)?, container).map_err(file("create", path))?;
        output.set_metadata(tags.iter().copied().collect());
        let mut options = vec![("fflags", "+bitexact".to_owned())];
        let quicktime = matches!(container, "mp4" | "mov");
        if quicktime {
            options.push(("movflags", "+faststart+use_metadata_tags".to_owned()));
        }
        Ok(Self { output, path: path.to_owned(), units: Vec::new(), options, quicktime, begun: false })
    }

    /// Starts an HLS playlist `index.m3u8` in a folder, with a segment of fragmented MP4 for every GOP beside it.
    pub(crate) fn create_hls(folder: &Path) -> Result<Self> {
        let mut muxer = Self::create(&folder.join("index.m3u8"), "hls", &[])?;
        let segments = local(&folder.join("segment_%05d.m4s"))?;
        let options = [
            ("hls_segment_type", "fmp4"),
            ("hls_playlist_type", "vod"),
            ("hls_flags", "independent_segments"),
            ("hls_fmp4_init_filename", "init.mp4"),
            ("hls_segment_filename", &segments),
            // It is cut at the first keyframe after so many seconds: at every one, for a GOP has more.
            ("hls_time", "1"),
        ];
        muxer.options.extend(options.map(|(name, value)| (name, value.to_owned())));
        Ok(muxer)
    }

    /// Adds a video track, whose packets' times count frames.
    pub(crate) fn add_video(&mut self, rate: FrameRate, mut parameters: codec::Parameters) -> Result<Track> {
        let id = parameters.id();
        // A chunk's own average would make the file depend on how the video was cut; the muxer computes its own.
        parameters.set_bit_rate(0);
        let (units, _) = track_clock(rate);
        if self.quicktime {
            self.options.push(("video_track_timescale", units.to_string()));
        }
        let mut stream = self.output.add_stream(codec::Id::None).map_err(file("add a track to", &self.path))?;
        stream.set_parameters(parameters);
        stream.set_time_base(Rational(1, units.cast_signed()));
        let frame = frame_time(rate);
        stream.set_avg_frame_rate(frame.invert());
        // All VP9 that is made here has opacity, in a stream of its own.
        if id == codec::Id::VP9 {
            // Players look for it only where they are told of it.
            stream.set_metadata(std::iter::once(("alpha_mode", "1")).collect());
        }
        self.units.push(frame);
        Ok(Track(self.units.len() - 1))
    }

    /// Adds a track of sound, whose packets' times count samples.
    pub(crate) fn add_sound(&mut self, parameters: codec::Parameters) -> Result<Track> {
        // What is skipped at its beginning and where it ends is said in this unit, in which sound is exact.
        if self.quicktime {
            self.options.push(("movie_timescale", RATE.to_string()));
        }
        let mut stream = self.output.add_stream(codec::Id::None).map_err(file("add a track to", &self.path))?;
        stream.set_parameters(parameters);
        stream.set_time_base(SAMPLE);
        self.units.push(SAMPLE);
        Ok(Track(self.units.len() - 1))
    }

    fn begin(&mut self) -> Result<()> {
        let options: Dictionary = self.options.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let left = self.output.write_header_with(options).map_err(file("write", &self.path))?;
        let unknown: Vec<_> = left.iter().map(|(name, _)| name.to_owned()).collect();
        self.begun = true;
        if unknown.is_empty() { Ok(()) } else { Err(Error::UnknownOptions(unknown.join(", "))) }
    }

    /// Appends a packet of a track; within a track they come in the order of decoding.
    pub(crate) fn write(&mut self, track: Track, mut packet: Packet) -> Result<()> {
        if !self.begun {
            self.begin()?;
        }
        let Track(index) = track;
        let clock = self.output.stream(index).map_or(self.units[index], |stream| stream.time_base());
        packet.set_stream(index);
        packet.set_position(-1);
        packet.rescale_ts(self.units[index], clock);
        packet.write_interleaved(&mut self.output).map_err(file("write", &self.path))
    }

    /// Completes the file.
    pub(crate) fn finish(mut self) -> Result<()> {
        debug!(path = %self.path.display(), "finishing a video file");
        self.output.write_trailer().map_err(file("write", &self.path))
    }
}

/// How long a sample of sound lasts, in seconds.
const SAMPLE: Rational = Rational(1, RATE.cast_signed());

/// How long a frame lasts, in seconds.
pub(super) fn frame_time(rate: FrameRate) -> Rational {
    Rational(rate.den().cast_signed(), rate.num().cast_signed())
}

/// Reads one track of a file without decoding it.
pub(crate) struct Demuxer {
    input: format::context::Input,
    path: PathBuf,
    stream: usize,
}

impl Demuxer {
    /// Opens a file for its pictures.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_track(path, media::Type::Video)
    }

    /// Opens a file for its sound.
    pub(crate) fn open_sound(path: &Path) -> Result<Self> {
        Self::open_track(path, media::Type::Audio)
    }

    fn open_track(path: &Path, medium: media::Type) -> Result<Self> {
        quiet();
        let input = format::input(&local(path)?).map_err(file("open", path))?;
        let stream = input
            .streams()
            .find(|stream| stream.parameters().medium() == medium)
            .map(|stream| stream.index())
            .ok_or_else(|| file("find a track in", path)(ffmpeg::Error::StreamNotFound))?;
        Ok(Self { input, path: path.to_owned(), stream })
    }

    pub(crate) fn tag(&self, name: &str) -> Option<String> {
        self.input.metadata().get(name).map(str::to_owned)
    }

    pub(crate) fn parameters(&self) -> Result<codec::Parameters> {
        let stream = self.input.stream(self.stream);
        let stream = stream.ok_or_else(|| file("read", &self.path)(ffmpeg::Error::StreamNotFound))?;
        Ok(stream.parameters())
    }

    /// Codec, width, height and pixel format of its pictures.
    pub(crate) fn pictures(&self) -> Result<(codec::Id, u32, u32, format::Pixel)> {
        let parameters = self.parameters()?;
        let id = parameters.id();
        let decoder = codec::Context::from_parameters(parameters).and_then(|context| context.decoder().video());
        let decoder = decoder.map_err(file("read", &self.path))?;
        Ok((id, decoder.width(), decoder.height(), decoder.format()))
    }

    /// The next packet, its times counting frames; `None` after the last.
    pub(crate) fn next(&mut self, rate: FrameRate) -> Result<Option<Packet>> {
        self.next_in(frame_time(rate))
    }

    /// The next packet of sound, its times counting samples; `None` after the last.
    pub(crate) fn next_sound(&mut self) -> Result<Option<Packet>> {
        self.next_in(SAMPLE)
    }

    fn next_in(&mut self, unit: Rational) -> Result<Option<Packet>> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                // libav hands out what there is of a packet that is cut short.
                Ok(()) if packet.is_corrupt() => return Err(file("read", &self.path)(ffmpeg::Error::InvalidData)),
                Ok(()) if packet.stream() == self.stream => {
                    let clock = self.input.stream(self.stream).map_or(unit, |stream| stream.time_base());
                    packet.rescale_ts(clock, unit);
                    return Ok(Some(packet));
                }
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(source) => return Err(file("read", &self.path)(source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_lasts_a_whole_number_of_units() {
        let clock = |rate: &str| track_clock(rate.parse().unwrap());
        assert_eq!(clock("30"), (10_020, 334));
        assert_eq!(clock("24"), (10_008, 417));
        assert_eq!(clock("30000/1001"), (30_000, 1001));
        assert_eq!(clock("60000/1001"), (60_000, 1001));
        assert_eq!(clock("240"), (10_080, 42));
    }
}
