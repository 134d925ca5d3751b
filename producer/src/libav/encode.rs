//! One GOP in, H.264 packets out.
//!
//! Every GOP has an encoder of its own on one thread: rate control and look-ahead do not stop at a keyframe, so only a
//! fresh encoder makes a GOP's bytes independent of where a chunk was cut and how many cores there are.

use std::sync::Arc;

use crds::{FrameRate, Quality};
use ffmpeg::{Dictionary, Packet, Rational, codec, color, encoder, format::Pixel, frame};
use ffmpeg_next as ffmpeg;
use tracing::debug;

use super::{Error, Result, encoding, quiet};
use crate::encode::{
    preset::{self, X264},
    yuv::{Layout, Picture, PixelFormat, Planes, Pool},
};

/// How pictures are encoded. Everything here is part of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    /// The encoder's name.
    pub(crate) encoder: &'static str,
    pub(crate) layout: Layout,
    pub(crate) rate: FrameRate,
    pub(crate) preset: String,
    /// Constant rate factor.
    pub(crate) crf: u8,
    /// The encoder's own parameters, as `name=value:…`.
    pub(crate) params: String,
    /// Frames from one keyframe to the next.
    pub(crate) gop: u32,
}

/// An encoded GOP.
pub(crate) struct Gop {
    /// In order, `pts` counting frames from 0.
    pub(crate) packets: Vec<Packet>,
    /// What a container must know of the stream.
    pub(crate) parameters: codec::Parameters,
}

/// Encodes all pictures that arrive, `each` being called after every one. The first becomes an IDR frame.
///
/// A picture that is the same object as the one before is not copied again.
pub(crate) fn encode_gop(
    settings: &Encoding,
    pictures: impl Iterator<Item = Arc<Picture>>,
    mut each: impl FnMut(),
) -> Result<Gop> {
    let mut encoder = open(settings)?;
    let parameters = codec::Parameters::from(&encoder);
    let mut packets = Vec::new();
    let mut frame = frame::Video::new(pixel(settings.layout), settings.layout.width, settings.layout.height);
    let mut last: Option<Arc<Picture>> = None;
    for (index, picture) in (0..).zip(pictures) {
        if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &picture)) {
            make_writable(&mut frame)?;
            copy(&picture.planes(), &mut frame);
        }
        last = Some(picture);
        frame.set_pts(Some(index));
        encoder.send_frame(&frame).map_err(encoding("encode a frame"))?;
        drain(&mut encoder, &mut packets)?;
        each();
    }
    encoder.send_eof().map_err(encoding("finish a GOP"))?;
    drain(&mut encoder, &mut packets)?;
    Ok(Gop { packets, parameters })
}

fn pixel(layout: Layout) -> Pixel {
    match layout.format {
        PixelFormat::Yuv420p => Pixel::YUV420P,
    }
}

fn open(settings: &Encoding) -> Result<encoder::video::Encoder> {
    quiet();
    let codec = encoder::find_by_name(settings.encoder).ok_or(Error::NoEncoder(settings.encoder))?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video().map_err(encoding("set up the encoder"))?;
    let (num, den) = (settings.rate.num().cast_signed(), settings.rate.den().cast_signed());
    video.set_width(settings.layout.width);
    video.set_height(settings.layout.height);
    video.set_format(pixel(settings.layout));
    video.set_time_base(Rational(den, num));
    video.set_frame_rate(Some(Rational(num, den)));
    video.set_gop(settings.gop);
    video.set_colorspace(color::Space::BT709);
    video.set_color_range(color::Range::MPEG);
    video.set_color_primaries(color::Primaries::BT709);
    video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    video.set_flags(codec::Flags::GLOBAL_HEADER);
    let mut options = Dictionary::new();
    options.set("preset", &settings.preset);
    options.set("crf", &settings.crf.to_string());
    options.set("threads", "1");
    options.set("x264-params", &settings.params);
    debug!(encoder = settings.encoder, size = ?settings.layout, ?options, "opening an encoder");
    video.open_as_with(codec, options).map_err(encoding("open the encoder"))
}

fn drain(encoder: &mut encoder::video::Encoder, packets: &mut Vec<Packet>) -> Result<()> {
    loop {
        let mut packet = Packet::empty();
        match encoder.receive_packet(&mut packet) {
            Ok(()) => packets.push(packet),
            Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(()),
            Err(source) => return Err(encoding("encode a frame")(source)),
        }
    }
}

/// An encoder may still refer to the frame it was given last: then writing needs another buffer.
#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn make_writable(frame: &mut frame::Video) -> Result<()> {
    // SAFETY: the pointer is that of a frame of ours, which lives as long as `frame`.
    match unsafe { ffmpeg::ffi::av_frame_make_writable(frame.as_mut_ptr()) } {
        0.. => Ok(()),
        code => Err(encoding("allocate a frame")(code.into())),
    }
}

fn copy(planes: &Planes<'_>, frame: &mut frame::Video) {
    for (index, (plane, row)) in planes.iter().enumerate() {
        let stride = frame.stride(index);
        let rows = frame.data_mut(index).chunks_mut(stride);
        plane.chunks_exact(*row).zip(rows).for_each(|(from, to)| to[..*row].copy_from_slice(from));
    }
}

/// Name and build of the x264 library, as it writes them into every stream it makes.
pub(crate) fn x264_version() -> Result<String> {
    let X264 { preset, crf, params } = preset::x264(Quality::Draft, 1);
    let layout = Layout::of(PixelFormat::Yuv420p, 16, 16);
    let settings = Encoding {
        encoder: "libx264",
        layout,
        rate: FrameRate::default(),
        preset: preset.to_owned(),
        crf,
        params,
        gop: 1,
    };
    let picture = Arc::new(Pool::new(layout).take());
    let gop = encode_gop(&settings, std::iter::once(picture), || {})?;
    let bytes: Vec<u8> = gop.packets.iter().filter_map(|packet| packet.data()).flatten().copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    // "x264 - core 164 r3095 baee400 - H.264/MPEG-4 AVC codec - …"
    let name = text.split_once("x264 - ").and_then(|(_, rest)| rest.split_once(" - ")).map(|(name, _)| name);
    Ok(format!("x264 {}", name.unwrap_or("of unknown version")))
}
