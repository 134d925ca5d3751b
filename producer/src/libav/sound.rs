//! Sound of a media file as samples of one kind, and samples as an encoded track.

use std::path::Path;

use ffmpeg::{
    ChannelLayout, Dictionary, Packet, Rational, Rescale as _, codec, decoder, encoder, filter,
    format::sample::{Sample, Type},
    frame,
};
use ffmpeg_next as ffmpeg;

use super::{
    Error, Muxer, Result, encoding, file,
    mux::Track as Written,
    source::{MICROSECOND, Source, Track},
};

/// Samples a second of everything that is mixed.
pub(crate) const RATE: u32 = 48_000;
/// Left and right.
pub(crate) const CHANNELS: usize = 2;

/// A part of a file's sound, read from its beginning: [`RATE`] pairs of samples a second, left before right.
pub(crate) struct Sound {
    source: Source,
    track: Track,
    decoder: decoder::Audio,
    part: Part,
    graph: Option<filter::Graph>,
    /// Which sample of the file the next decoded one is.
    position: Option<i64>,
    drained: bool,
}

/// Which part of a file's sound, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    /// Seconds of the file.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Times as fast as it was recorded, at the same pitch.
    pub(crate) rate: f64,
}

/// Reading begins this much earlier, in microseconds: decoders need what came before.
const LEAD: i64 = 500_000;
/// A gap between packets of less than this part of a second is only the rounding of their times.
const GAPS: u32 = 20;

impl Sound {
    /// Opens a part of a file's sound; `None` where it has none.
    pub(crate) fn open(path: &Path, part: Part) -> Result<Option<Self>> {
        let mut source = Source::open(path)?;
        let Some(track) = source.sound() else { return Ok(None) };
        let refused = |source| file("decode the sound of", path)(source);
        let mut context = codec::Context::from_parameters(track.parameters.clone()).map_err(refused)?.decoder();
        context.set_packet_time_base(track.unit);
        let decoder = context.audio().map_err(refused)?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a file")]
        let from = (part.from * 1e6) as i64 + source.origin();
        if from > LEAD {
            // Where a file cannot be searched it is read from its beginning.
            let _ = source.input.seek(from - LEAD, ..from - LEAD);
        }
        Ok(Some(Self { source, track, decoder, part, graph: None, position: None, drained: false }))
    }

    /// Some more samples; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<f32>>> {
        loop {
            if let Some(graph) = &mut self.graph {
                let mut made = frame::Audio::empty();
                match sink(graph).and_then(|mut sink| sink.sink().frame(&mut made)) {
                    Ok(()) => {
                        let samples = made
                            .data(0)
                            .chunks_exact(4)
                            .map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap_or_default()));
                        return Ok(Some(samples.take(made.samples() * CHANNELS).collect()));
                    }
                    Err(ffmpeg::Error::Eof) => return Ok(None),
                    Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => {}
                    Err(source) => return Err(file("convert the sound of", &self.source.path)(source)),
                }
            }
            if !self.feed()? {
                return Ok(None);
            }
        }
    }

    /// Gives the filters a frame more, or the end. False when there never was a frame.
    fn feed(&mut self) -> Result<bool> {
        let fed = match (self.decode()?, &mut self.graph) {
            (None, None) => Ok(false),
            (None, Some(graph)) => source(graph).and_then(|mut source| source.source().flush()).map(|()| true),
            (Some(mut frame), _) => self.give(&mut frame).map(|()| true),
        };
        fed.map_err(file("convert the sound of", &self.source.path))
    }

    fn give(&mut self, frame: &mut frame::Audio) -> std::result::Result<(), ffmpeg::Error> {
        if frame.channel_layout().is_empty() {
            frame.set_channel_layout(ChannelLayout::default(frame.channels().into()));
        }
        let unit = Rational(1, frame.rate().cast_signed());
        let heard = frame
            .timestamp()
            .map(|time| time.rescale(self.track.unit, unit) - self.source.origin().rescale(MICROSECOND, unit));
        let expected = self.position.or(heard).unwrap_or(0);
        let gap = u64::from(frame.rate() / GAPS);
        let position = heard.filter(|heard| heard.abs_diff(expected) > gap).unwrap_or(expected);
        frame.set_pts(Some(position));
        self.position = i64::try_from(frame.samples()).ok().map(|samples| position + samples);
        let graph = match &mut self.graph {
            Some(graph) => graph,
            none => none.insert(convert(frame, self.part)?),
        };
        source(graph)?.source().add(frame)
    }

    fn decode(&mut self) -> Result<Option<frame::Audio>> {
        loop {
            let failed = |source| file("decode the sound of", &self.source.path)(source);
            let mut frame = frame::Audio::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => return Ok(Some(frame)),
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN } | ffmpeg::Error::InvalidData) => {}
                Err(source) => return Err(failed(source)),
            }
            if self.drained {
                return Ok(None);
            }
            let fed = self.source.feed(&self.track, &mut self.decoder);
            self.drained |= !fed.map_err(file("decode the sound of", &self.source.path))?;
        }
    }
}

fn source(graph: &mut filter::Graph) -> std::result::Result<filter::Context, ffmpeg::Error> {
    graph.get("in").ok_or(ffmpeg::Error::FilterNotFound)
}

fn sink(graph: &mut filter::Graph) -> std::result::Result<filter::Context, ffmpeg::Error> {
    graph.get("out").ok_or(ffmpeg::Error::FilterNotFound)
}

/// Filters from a file's samples to those of a mix: cut, brought to the rate with gaps filled, made stereo, made faster.
fn convert(frame: &frame::Audio, part: Part) -> std::result::Result<filter::Graph, ffmpeg::Error> {
    let mut graph = filter::Graph::new();
    let find = |name| filter::find(name).ok_or(ffmpeg::Error::FilterNotFound);
    let (rate, format) = (frame.rate(), frame.format().name());
    let layout = frame.channel_layout().bits();
    let arguments = format!("time_base=1/{rate}:sample_rate={rate}:sample_fmt={format}:channel_layout=0x{layout:x}");
    graph.add(&find("abuffer")?, "in", &arguments)?;
    graph.add(&find("abuffersink")?, "out", "")?;
    let sample = |seconds: f64| (seconds * f64::from(rate)).round();
    let (from, to) = (sample(part.from), sample(part.to));
    // One channel is heard from both sides as loud as it is; libav alone would make it quieter.
    let stereo = if frame.channels() == 1 { "pan=stereo|c0=c0|c1=c0" } else { "aformat=channel_layouts=stereo" };
    let spec = format!(
        "atrim=start_pts={from}:end_pts={to},asetpts=PTS-{from},aresample={RATE}:async=1:first_pts=0,{stereo},\
         {}aformat=sample_fmts=flt:channel_layouts=stereo:sample_rates={RATE}",
        tempo(part.rate)
    );
    graph.output("in", 0)?.input("out", 0)?.parse(&spec)?;
    graph.validate()?;
    Ok(graph)
}

/// Filters that make sound faster or slower, each by a factor it does well.
fn tempo(mut rate: f64) -> String {
    let mut filters = String::new();
    while !(0.5..=2.0).contains(&rate) {
        let step = if rate < 0.5 { 0.5 } else { 2.0 };
        filters += &format!("atempo={step},");
        rate /= step;
    }
    if (rate - 1.0).abs() > 1e-9 {
        filters += &format!("atempo={rate},");
    }
    filters
}

/// How sound is encoded. Names are libav's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SoundEncoding {
    pub(crate) encoder: &'static str,
    /// Bits a second.
    pub(crate) bit_rate: usize,
}

/// Writes a file with one track of sound.
pub(crate) struct SoundWriter {
    encoder: encoder::Audio,
    planar: bool,
    muxer: Muxer,
    track: Written,
    pending: Vec<f32>,
    written: i64,
}

impl SoundWriter {
    /// Starts a file of a container format, as libav names it.
    pub(crate) fn create(path: &Path, container: &str, encoding_as: SoundEncoding) -> Result<Self> {
        let SoundEncoding { encoder: name, bit_rate } = encoding_as;
        let codec = encoder::find_by_name(name).ok_or(Error::NoEncoder(name))?;
        let context = codec::Context::new_with_codec(codec);
        let mut audio = context.encoder().audio().map_err(encoding("set up the sound encoder"))?;
        let planar = name == "aac";
        audio.set_rate(RATE.cast_signed());
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_format(Sample::F32(if planar { Type::Planar } else { Type::Packed }));
        audio.set_bit_rate(bit_rate);
        audio.set_time_base(Rational(1, RATE.cast_signed()));
        audio.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::BITEXACT);
        let options: Dictionary = [("threads", "1")].into_iter().collect();
        let encoder = audio.open_as_with(codec, options).map_err(encoding("open the sound encoder"))?;
        let mut muxer = Muxer::create(path, container, &[])?;
        let track = muxer.add_sound(codec::Parameters::from(&encoder))?;
        Ok(Self { encoder, planar, muxer, track, pending: Vec::new(), written: 0 })
    }

    /// Appends samples, left before right.
    pub(crate) fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.pending.extend_from_slice(samples);
        let length = self.encoder.frame_size() as usize * CHANNELS;
        let mut pending = std::mem::take(&mut self.pending);
        let mut frames = pending.chunks_exact(length);
        for samples in &mut frames {
            self.encode(samples)?;
        }
        let rest = frames.remainder().len();
        pending.drain(..pending.len() - rest);
        self.pending = pending;
        Ok(())
    }

    /// Completes the file.
    pub(crate) fn finish(mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.encode(&rest)?;
        }
        self.encoder.send_eof().map_err(encoding("finish the sound"))?;
        self.drain()?;
        self.muxer.finish()
    }

    fn encode(&mut self, samples: &[f32]) -> Result<()> {
        let count = samples.len() / CHANNELS;
        let kind = if self.planar { Type::Planar } else { Type::Packed };
        let mut frame = frame::Audio::new(Sample::F32(kind), count, ChannelLayout::STEREO);
        frame.set_rate(RATE);
        frame.set_pts(Some(self.written));
        self.written += i64::try_from(count).unwrap_or(i64::MAX);
        let put = |to: &mut [u8], samples: &mut dyn Iterator<Item = &f32>| {
            to.chunks_exact_mut(4).zip(samples).for_each(|(to, sample)| to.copy_from_slice(&sample.to_ne_bytes()));
        };
        if self.planar {
            for channel in 0..CHANNELS {
                put(frame.data_mut(channel), &mut samples.iter().skip(channel).step_by(CHANNELS));
            }
        } else {
            put(frame.data_mut(0), &mut samples.iter());
        }
        self.encoder.send_frame(&frame).map_err(encoding("encode sound"))?;
        self.drain()
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => self.muxer.write(self.track, packet)?,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
                Err(source) => return Err(encoding("encode sound")(source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_of_tempo_is_one_that_is_done_well() {
        assert_eq!(tempo(1.0), "");
        assert_eq!(tempo(0.1), "atempo=0.5,atempo=0.5,atempo=0.5,atempo=0.8,");
        assert_eq!(tempo(5.0), "atempo=2,atempo=2,atempo=1.25,");
    }
}
