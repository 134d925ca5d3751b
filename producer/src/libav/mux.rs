//! H.264 in MP4: exact constant frame rate, index in front of the data.

use std::path::{Path, PathBuf};

use crds::FrameRate;
use ffmpeg::{Dictionary, Packet, Rational, codec, format, media};
use ffmpeg_next as ffmpeg;

use super::{Error, Result, file, quiet};

/// Metadata of a chunk file: the plan hash it belongs to.
pub(crate) const TAG_PLAN: &str = "hyperframes_plan";
/// Metadata of a chunk file: its index in the plan.
pub(crate) const TAG_CHUNK: &str = "hyperframes_chunk";

/// Writes one video track.
pub(crate) struct Mp4Writer {
    output: format::context::Output,
    path: PathBuf,
    ticks_per_frame: i64,
    timescale: Rational,
    frames: i64,
}

/// Units per second of the track's clock, and units per frame: the frame rate's numerator times the smallest factor
/// that gives at least 10 000, so that every frame lasts a whole number of units.
pub(crate) fn track_clock(rate: FrameRate) -> (u32, u32) {
    let factor = 10_000_u32.div_ceil(rate.num());
    (rate.num() * factor, rate.den() * factor)
}

impl Mp4Writer {
    /// Starts a file. `tags` become its metadata.
    pub(crate) fn create(
        path: &Path,
        rate: FrameRate,
        mut parameters: codec::Parameters,
        tags: &[(&str, &str)],
    ) -> Result<Self> {
        quiet();
        let mut output = format::output_as(path, "mp4").map_err(file("create", path))?;
        let (units, per_frame) = track_clock(rate);
        let timescale = Rational(1, units.cast_signed());
        // A chunk's own average would make the file depend on how the video was cut; the muxer computes its own.
        parameters.set_bit_rate(0);
        let mut stream = output.add_stream(codec::Id::None).map_err(file("add a track to", path))?;
        stream.set_parameters(parameters);
        stream.set_time_base(timescale);
        stream.set_avg_frame_rate(Rational(rate.num().cast_signed(), rate.den().cast_signed()));
        output.set_metadata(tags.iter().copied().collect());
        let mut options = Dictionary::new();
        options.set("movflags", "+faststart+use_metadata_tags");
        options.set("video_track_timescale", &units.to_string());
        options.set("fflags", "+bitexact");
        let unknown: Vec<_> = output
            .write_header_with(options)
            .map_err(file("write", path))?
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        if !unknown.is_empty() {
            return Err(Error::UnknownOptions(unknown.join(", ")));
        }
        Ok(Self { output, path: path.to_owned(), ticks_per_frame: i64::from(per_frame), timescale, frames: 0 })
    }

    /// Appends the next frame.
    pub(crate) fn write(&mut self, mut packet: Packet) -> Result<()> {
        let time = Some(self.frames * self.ticks_per_frame);
        packet.set_stream(0);
        packet.set_pts(time);
        packet.set_dts(time);
        packet.set_duration(self.ticks_per_frame);
        packet.set_position(-1);
        packet.set_time_base(self.timescale);
        packet.write(&mut self.output).map_err(file("write", &self.path))?;
        self.frames += 1;
        Ok(())
    }

    /// Completes the file and returns how many frames it has.
    pub(crate) fn finish(mut self) -> Result<u32> {
        self.output.write_trailer().map_err(file("write", &self.path))?;
        Ok(u32::try_from(self.frames).unwrap_or(u32::MAX))
    }
}

/// Reads the one video track of a file without decoding it.
pub(crate) struct Mp4Reader {
    input: format::context::Input,
    path: PathBuf,
    stream: usize,
}

impl Mp4Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        quiet();
        let input = format::input(path).map_err(file("open", path))?;
        let stream = input
            .streams()
            .find(|stream| stream.parameters().medium() == media::Type::Video)
            .map(|stream| stream.index())
            .ok_or_else(|| file("find a video track in", path)(ffmpeg::Error::StreamNotFound))?;
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

    /// The next frame, `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => return Ok(Some(packet)),
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
