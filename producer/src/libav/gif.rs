//! From pictures to a GIF: libavfilter's palette of all of them, and its dithering to it, as upstream sets them.

use std::path::{Path, PathBuf};

use crds::FrameRate;
use ffmpeg::{Dictionary, Packet, Rational, codec, decoder, encoder, filter, format, frame, threading};
use ffmpeg_next as ffmpeg;

use super::{Demuxer, Error, Result, encoding, file, local, mux::frame_time, quiet};
use crate::encode::yuv::Layout;

/// Decodes pictures, each from its own packet.
#[derive(Default)]
pub(crate) struct Pictures(Option<decoder::Video>);

impl Pictures {
    /// The picture of a packet; its time counts frames.
    pub(crate) fn decode(&mut self, chunk: &Demuxer, packet: &Packet) -> Result<frame::Video> {
        let doing = "decode a picture";
        let decoder = match &mut self.0 {
            Some(decoder) => decoder,
            none => {
                let mut context = codec::Context::from_parameters(chunk.parameters()?).map_err(encoding(doing))?;
                // More threads would hand out each picture some packets later.
                context.set_threading(threading::Config::count(1));
                none.insert(context.decoder().video().map_err(encoding(doing))?)
            }
        };
        let mut picture = frame::Video::empty();
        decoder.send_packet(packet).map_err(encoding(doing))?;
        decoder.receive_frame(&mut picture).map_err(encoding(doing))?;
        picture.set_pts(packet.pts());
        Ok(picture)
    }
}

/// Looks for the palette that suits all pictures.
pub(crate) struct Palette(filter::Graph);

impl Palette {
    pub(crate) fn new(layout: Layout, rate: FrameRate) -> Result<Self> {
        quiet();
        // What moves counts more than what stands still.
        let inputs = [("in", layout, format::Pixel::RGBA, rate)];
        let graph = graph(&inputs, "[in]palettegen=stats_mode=diff:reserve_transparent=1[out]");
        graph.map(Self).map_err(encoding("set up the palette"))
    }

    pub(crate) fn add(&mut self, picture: &frame::Video) -> Result<()> {
        push(&mut self.0, "in", picture)
    }

    /// The palette, as a picture of 16×16 colours.
    pub(crate) fn finish(mut self) -> Result<frame::Video> {
        close(&mut self.0, "in")?;
        pull(&mut self.0)?.ok_or_else(|| encoding("make a palette")(ffmpeg::Error::Eof))
    }
}

/// A GIF in the making.
pub(crate) struct Gif {
    graph: filter::Graph,
    encoder: encoder::video::Encoder,
    output: format::context::Output,
    path: PathBuf,
    unit: Rational,
}

impl Gif {
    /// Starts a file. `shown` is how often it is shown, 0 for ever.
    pub(crate) fn create(
        path: &Path,
        mut palette: frame::Video,
        layout: Layout,
        rate: FrameRate,
        shown: u16,
    ) -> Result<Self> {
        let colours = Layout { width: palette.width(), height: palette.height(), ..layout };
        let inputs = [("in", layout, format::Pixel::RGBA, rate), ("palette", colours, palette.format(), rate)];
        let spec = "[in][palette]paletteuse=dither=sierra2_4a:alpha_threshold=128[out]";
        let mut graph = graph(&inputs, spec).map_err(encoding("set up the palette"))?;
        palette.set_pts(Some(0));
        push(&mut graph, "palette", &palette)?;
        close(&mut graph, "palette")?;
        let unit = frame_time(rate);
        let encoder = encoder(layout, unit).map_err(encoding("open the gif encoder"))?;
        let mut output = format::output_as(&local(path)?, "gif").map_err(file("create", path))?;
        let mut stream = output.add_stream(codec::Id::None).map_err(file("add a track to", path))?;
        stream.set_parameters(codec::Parameters::from(&encoder));
        stream.set_time_base(unit);
        let options = [("loop", shown.to_string()), ("fflags", "+bitexact".to_owned())];
        let options: Dictionary = options.iter().map(|(name, value)| (*name, value.as_str())).collect();
        output.write_header_with(options).map_err(file("write", path))?;
        Ok(Self { graph, encoder, output, path: path.to_owned(), unit })
    }

    pub(crate) fn add(&mut self, picture: &frame::Video) -> Result<()> {
        push(&mut self.graph, "in", picture)?;
        self.encode()
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        close(&mut self.graph, "in")?;
        self.encode()?;
        self.encoder.send_eof().map_err(encoding("finish a GIF"))?;
        self.write()?;
        self.output.write_trailer().map_err(file("write", &self.path))
    }

    /// Encodes what has been dithered by now.
    fn encode(&mut self) -> Result<()> {
        while let Some(picture) = pull(&mut self.graph)? {
            self.encoder.send_frame(&picture).map_err(encoding("encode a picture"))?;
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let mut packet = Packet::empty();
        while is_there(self.encoder.receive_packet(&mut packet), "encode a picture")? {
            let clock = self.output.stream(0).map_or(self.unit, |stream| stream.time_base());
            packet.set_stream(0);
            packet.set_duration(1);
            packet.rescale_ts(self.unit, clock);
            packet.write_interleaved(&mut self.output).map_err(file("write", &self.path))?;
        }
        Ok(())
    }
}

fn encoder(layout: Layout, unit: Rational) -> std::result::Result<encoder::video::Encoder, ffmpeg::Error> {
    let codec = encoder::find(codec::Id::GIF).ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(layout.width);
    video.set_height(layout.height);
    video.set_format(format::Pixel::PAL8);
    video.set_time_base(unit);
    video.open()
}

/// A graph with named inputs of pictures whose times count frames, and the output `out`.
fn graph(
    inputs: &[(&str, Layout, format::Pixel, FrameRate)],
    spec: &str,
) -> std::result::Result<filter::Graph, ffmpeg::Error> {
    let known = |name: &str| filter::find(name).ok_or(ffmpeg::Error::FilterNotFound);
    let mut graph = filter::Graph::new();
    for (name, Layout { width, height, .. }, pixel, rate) in inputs {
        let pixel = pixel.descriptor().map_or("", |descriptor| descriptor.name());
        let (den, num) = (rate.den(), rate.num());
        let arguments = format!("video_size={width}x{height}:pix_fmt={pixel}:time_base={den}/{num}:pixel_aspect=1/1");
        graph.add(&known("buffer")?, name, &arguments)?;
    }
    graph.add(&known("buffersink")?, "out", "")?;
    let parser = graph.input("out", 0)?;
    inputs.iter().try_fold(parser, |parser, (name, ..)| parser.output(name, 0))?.parse(spec)?;
    graph.validate()?;
    Ok(graph)
}

fn push(graph: &mut filter::Graph, input: &str, picture: &frame::Video) -> Result<()> {
    let doing = "dither a picture";
    let mut context = graph.get(input).ok_or_else(|| encoding(doing)(ffmpeg::Error::FilterNotFound))?;
    context.source().add(picture).map_err(encoding(doing))
}

fn close(graph: &mut filter::Graph, input: &str) -> Result<()> {
    let doing = "dither a picture";
    let mut context = graph.get(input).ok_or_else(|| encoding(doing)(ffmpeg::Error::FilterNotFound))?;
    context.source().flush().map_err(encoding(doing))
}

/// What comes out by now.
fn pull(graph: &mut filter::Graph) -> Result<Option<frame::Video>> {
    let doing = "dither a picture";
    let mut context = graph.get("out").ok_or_else(|| encoding(doing)(ffmpeg::Error::FilterNotFound))?;
    let mut picture = frame::Video::empty();
    Ok(is_there(context.sink().frame(&mut picture), doing)?.then_some(picture))
}

/// Whether libav had something to hand out; neither its end nor a want of input is an error.
fn is_there(answer: std::result::Result<(), ffmpeg::Error>, doing: &'static str) -> Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => Ok(false),
        Err(source) => Err(Error::Encode { doing, source }),
    }
}
