//! One GOP in, packets out.
//!
//! Every GOP has an encoder of its own on one thread: rate control and look-ahead do not stop at a keyframe, so only a
//! fresh encoder makes a GOP's bytes independent of where a chunk was cut and how many cores there are.

use std::{
    ffi::c_void,
    sync::{Arc, OnceLock},
};

use crds::{FrameRate, Quality};
use ffmpeg::{
    Dictionary, Packet, Rational, codec, color, encoder,
    ffi::{AV_BUFFER_FLAG_READONLY, av_buffer_create, av_buffer_unref},
    format::Pixel,
    frame, picture,
};
use ffmpeg_next as ffmpeg;
use tracing::debug;

use super::{
    Error, Result, encoding,
    holds::{Holds, Turn},
    quiet,
};
use crate::encode::{
    format::EncoderKind,
    settings::{self, Wanted},
    yuv::{Layout, Picture, PixelFormat, Pool},
};

/// How pictures are encoded. Everything here is part of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    pub(crate) encoder: EncoderKind,
    pub(crate) layout: Layout,
    pub(crate) rate: FrameRate,
    /// The encoder's own options, by libav's names.
    pub(crate) options: Vec<(String, String)>,
    /// Frames from one keyframe to the next.
    pub(crate) gop: u32,
    /// What a container calls the codec, where it has a choice.
    pub(crate) tag: Option<[u8; 4]>,
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
/// Of pictures that stay the same the encoder sees few, where the codec allows it.
pub(crate) fn encode_gop(
    settings: &Encoding,
    pictures: impl Iterator<Item = Arc<Picture>>,
    mut each: impl FnMut(),
) -> Result<Gop> {
    let mut encoder = open(settings)?;
    let mut parameters = codec::Parameters::from(&encoder);
    let mut packets = Vec::new();
    let mut holds = Holds::of(settings.encoder, header(&parameters));
    let mut frame = frame::Video::empty();
    frame.set_format(pixel(settings.layout));
    frame.set_width(settings.layout.width);
    frame.set_height(settings.layout.height);
    // Some encoders ask the frame, some their context.
    let colours = Colours::of(settings.layout.format);
    frame.set_color_space(colours.space);
    frame.set_color_range(colours.range);
    frame.set_color_primaries(color::Primaries::BT709);
    frame.set_color_transfer_characteristic(colours.transfer);
    let mut last: Option<Arc<Picture>> = None;
    let mut sent = 0;
    for (index, picture) in (0..).zip(pictures) {
        // By what they show: how a picture came about depends on where a chunk begins.
        let same = last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &picture) || last.planes() == picture.planes());
        if !same {
            show(&picture, &mut frame)?;
        }
        last = Some(picture);
        match holds.as_mut().map_or(Turn::Any, |holds| holds.turn(index, same)) {
            turn @ (Turn::Any | Turn::Reference) => {
                frame.set_kind(if turn == Turn::Any { picture::Type::None } else { picture::Type::P });
                frame.set_pts(Some(sent));
                sent += 1;
                encoder.send_frame(&frame).map_err(encoding("encode a frame"))?;
                drain(&mut encoder, &mut packets)?;
            }
            Turn::Repeat => {}
        }
        each();
    }
    encoder.send_eof().map_err(encoding("finish a GOP"))?;
    drain(&mut encoder, &mut packets)?;
    if let Some(holds) = holds {
        let parameter_sets = holds.parameter_sets(header(&parameters));
        set_header(&mut parameters, &parameter_sets)?;
        packets = holds.fill_in(packets, reordering(&parameters))?;
    }
    Ok(Gop { packets, parameters })
}

/// So many frames are decoded ahead of showing.
#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn reordering(parameters: &codec::Parameters) -> i64 {
    // SAFETY: the pointer is that of parameters of ours, and the field is a plain number.
    unsafe { (*parameters.as_ptr()).video_delay.into() }
}

fn pixel(layout: Layout) -> Pixel {
    match layout.format {
        PixelFormat::Yuv420p => Pixel::YUV420P,
        PixelFormat::Yuva420p => Pixel::YUVA420P,
        PixelFormat::Yuva444p10 => Pixel::YUVA444P10LE,
        PixelFormat::Rgba => Pixel::RGBA,
        PixelFormat::Rgb24 => Pixel::RGB24,
    }
}

/// What the numbers of a picture mean, beside BT.709's primaries.
struct Colours {
    space: color::Space,
    range: color::Range,
    transfer: color::TransferCharacteristic,
}

impl Colours {
    fn of(format: PixelFormat) -> Self {
        use color::{Range, Space, TransferCharacteristic};
        match format {
            PixelFormat::Yuv420p | PixelFormat::Yuva420p | PixelFormat::Yuva444p10 => {
                Self { space: Space::BT709, range: Range::MPEG, transfer: TransferCharacteristic::BT709 }
            }
            // Pictures of a browser: sRGB.
            PixelFormat::Rgba | PixelFormat::Rgb24 => {
                Self { space: Space::RGB, range: Range::JPEG, transfer: TransferCharacteristic::IEC61966_2_1 }
            }
        }
    }
}

fn open(settings: &Encoding) -> Result<encoder::video::Encoder> {
    quiet();
    let name = settings.encoder.name();
    let codec = encoder::find_by_name(name).ok_or(Error::NoEncoder(name))?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video().map_err(encoding("set up the encoder"))?;
    let (num, den) = (settings.rate.num().cast_signed(), settings.rate.den().cast_signed());
    let colours = Colours::of(settings.layout.format);
    video.set_width(settings.layout.width);
    video.set_height(settings.layout.height);
    video.set_format(pixel(settings.layout));
    video.set_time_base(Rational(den, num));
    video.set_frame_rate(Some(Rational(num, den)));
    video.set_gop(settings.gop);
    video.set_colorspace(colours.space);
    video.set_color_range(colours.range);
    video.set_color_primaries(color::Primaries::BT709);
    video.set_color_transfer_characteristic(colours.transfer);
    video.set_flags(codec::Flags::GLOBAL_HEADER);
    if let Some(tag) = settings.tag {
        set_tag(&mut video, tag);
    }
    let mut options: Dictionary =
        settings.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if settings.encoder == EncoderKind::X264 && reads_unwritten_memory(settings.layout.width) {
        let parameters = options.get(X264_PARAMS).map(|own| format!("{own}:asm=AVX2"));
        options.set(X264_PARAMS, &parameters.unwrap_or_default());
    }
    debug!(encoder = name, size = ?settings.layout, ?options, "opening an encoder");
    video.open_as_with(codec, options).map_err(encoding("open the encoder"))
}

/// The option with x264's own parameters.
const X264_PARAMS: &str = "x264-params";

/// Whether x264 would make something of memory that nobody has written: with AVX-512, where the number of macroblocks in a row
/// is no multiple of eight (build 164, in its `mbtree`, for every such width that was tried). A GOP would not have the same bytes
/// twice; with the instructions of AVX2 it has, which takes 7 % longer.
fn reads_unwritten_memory(width: u32) -> bool {
    #[cfg(target_arch = "x86_64")]
    let affected = std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    let affected = false;
    affected && !width.div_ceil(16).is_multiple_of(8)
}

#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn set_tag(video: &mut encoder::video::Video, tag: [u8; 4]) {
    // SAFETY: the pointer is that of a context of ours, which lives as long as `video`, and the field is a plain number.
    unsafe { (*video.as_mut_ptr()).codec_tag = u32::from_le_bytes(tag) }
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

/// Has a frame show a picture in the picture's own memory, which stays as it is until no encoder refers to it.
#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn show(picture: &Arc<Picture>, frame: &mut frame::Video) -> Result<()> {
    unsafe extern "C" fn release(picture: *mut c_void, _: *mut u8) {
        // SAFETY: libav calls it once, with what `Arc::into_raw` gave.
        drop(unsafe { Arc::from_raw(picture.cast_const().cast::<Picture>()) });
    }
    let planes = picture.planes();
    let bytes = planes.iter().map(|(plane, _)| plane.len()).sum();
    let Some((first, _)) = planes.first() else { return Ok(()) };
    let held = Arc::into_raw(Arc::clone(picture));
    let start = first.as_ptr().cast_mut();
    // SAFETY: the planes lie one after the other in memory that lives and does not change while `held` does, and libav does not write
    // where it may only read; the frame is ours, and gives back what it showed before.
    unsafe {
        let buffer = av_buffer_create(start, bytes, Some(release), held.cast_mut().cast(), AV_BUFFER_FLAG_READONLY);
        if buffer.is_null() {
            drop(Arc::from_raw(held));
            return Err(encoding("allocate a frame")(ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM }));
        }
        let frame = &mut *frame.as_mut_ptr();
        av_buffer_unref(&raw mut frame.buf[0]);
        frame.buf[0] = buffer;
        for ((plane, row), (data, stride)) in planes.iter().zip(frame.data.iter_mut().zip(&mut frame.linesize)) {
            (*data, *stride) = (plane.as_ptr().cast_mut(), i32::try_from(*row).unwrap_or(i32::MAX));
        }
    }
    Ok(())
}

/// Name and build of an encoder's library, as it writes them into every stream it makes; of those that do not, nothing more
/// than is said of libav.
pub(crate) fn version(encoder: EncoderKind) -> Result<String> {
    static X264: OnceLock<String> = OnceLock::new();
    static X265: OnceLock<String> = OnceLock::new();
    // "x264 - core 164 r3095 baee400 - H.264/MPEG-4 AVC codec - …", "x265 (build 199) - 3.5+1-f0c1022b6:[Linux]… - H.265/…"
    let (known, name, before) = match encoder {
        EncoderKind::X264 => (&X264, "x264 ", "x264 - "),
        EncoderKind::X265 => (&X265, "x265 ", "x265 "),
        EncoderKind::Vp9 | EncoderKind::ProRes | EncoderKind::Png => return Ok(encoder.name().to_owned()),
    };
    if let Some(version) = known.get() {
        return Ok(version.clone());
    }
    let wanted = Wanted { quality: Quality::Draft, crf: None, bitrate: None, filmed: false };
    let layout = Layout::of(PixelFormat::Yuv420p, 64, 64);
    let settings = Encoding {
        encoder,
        layout,
        rate: FrameRate::default(),
        options: settings::options(encoder, &settings::settings(encoder, wanted, 1)),
        gop: 1,
        tag: None,
    };
    let picture = Arc::new(Pool::new(layout).take());
    let gop = encode_gop(&settings, std::iter::once(picture), || {})?;
    let header = header(&gop.parameters);
    let packets = gop.packets.iter().filter_map(|packet| packet.data()).flatten();
    let bytes: Vec<u8> = header.iter().chain(packets).copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    let version = text.split_once(before).and_then(|(_, rest)| rest.split_once(" - H.26")).map(|(version, _)| version);
    Ok(known.get_or_init(|| format!("{name}{}", version.unwrap_or("of unknown version"))).clone())
}

/// What an encoder puts in front of all packets.
#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn header(parameters: &codec::Parameters) -> &[u8] {
    // SAFETY: libav keeps `extradata_size` bytes at `extradata`, or none, for as long as the parameters live.
    unsafe {
        let parameters = &*parameters.as_ptr();
        match usize::try_from(parameters.extradata_size) {
            Ok(size) if !parameters.extradata.is_null() => std::slice::from_raw_parts(parameters.extradata, size),
            _ => &[],
        }
    }
}

#[expect(unsafe_code, reason = "ffmpeg-next has no safe call for it")]
fn set_header(parameters: &mut codec::Parameters, bytes: &[u8]) -> Result<()> {
    use ffmpeg::ffi::{AV_INPUT_BUFFER_PADDING_SIZE, av_free, av_mallocz};
    let size = i32::try_from(bytes.len()).map_err(|_| encoding("finish a GOP")(ffmpeg::Error::InvalidData))?;
    // SAFETY: `extradata` is libav's own memory, or none, and belongs to parameters of ours; the new one has room for all bytes
    // and for the padding that libav reads beyond them.
    unsafe {
        let parameters = &mut *parameters.as_mut_ptr();
        let memory: *mut u8 = av_mallocz(bytes.len() + AV_INPUT_BUFFER_PADDING_SIZE as usize).cast();
        if memory.is_null() {
            return Err(encoding("finish a GOP")(ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM }));
        }
        memory.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        av_free(std::mem::replace(&mut parameters.extradata, memory).cast());
        parameters.extradata_size = size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::libc::{M_PERTURB, mallopt};

    use super::*;

    const GOP: u32 = 60;

    /// Textures that move over each other, with noise.
    fn pictures(layout: Layout) -> Vec<Arc<Picture>> {
        let mut pool = Pool::new(layout);
        let mut chance = 1_u32;
        let mut picture = |frame: u32| {
            let pixel = |i: u32| {
                let (x, y) = (i % layout.width, i / layout.width);
                chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = chance >> 29;
                [(x + frame * 3) ^ y, x.wrapping_mul(y + frame * 5) / 7 + noise, (x + y * 2 + noise + frame) * 3, 255]
            };
            let pixels: Vec<u8> =
                (0..layout.width * layout.height).flat_map(pixel).map(|level| level.to_le_bytes()[0]).collect();
            let mut picture = pool.take();
            picture.convert(0, &pixels, layout.width);
            Arc::new(picture)
        };
        (0..GOP).map(&mut picture).collect()
    }

    fn encoding(layout: Layout) -> Encoding {
        let wanted = Wanted { quality: Quality::High, crf: None, bitrate: None, filmed: false };
        let encoder = EncoderKind::X264;
        let options = settings::options(encoder, &settings::settings(encoder, wanted, GOP));
        Encoding { encoder, layout, rate: FrameRate::default(), options, gop: GOP, tag: None }
    }

    /// Whatever memory the encoder is given holds, and however many macroblocks are in a row.
    #[test]
    #[expect(unsafe_code, reason = "no crate has it")]
    fn a_gop_has_the_same_bytes_in_every_run() {
        for width in [320, 352, 384] {
            let layout = Layout::of(PixelFormat::Yuv420p, width, 100);
            let pictures = pictures(layout);
            let settings = encoding(layout);
            let encoded = |fill: i32| {
                // SAFETY: it only sets what memory holds that nobody has written yet.
                assert_eq!(unsafe { mallopt(M_PERTURB, fill) }, 1);
                let gop = encode_gop(&settings, pictures.iter().cloned(), || {}).unwrap();
                gop.packets.iter().flat_map(|packet| packet.data().unwrap().to_vec()).collect::<Vec<u8>>()
            };
            let first = encoded(0);
            assert!([85, 170, 0].into_iter().all(|fill| encoded(fill) == first), "{width}");
        }
    }

    /// Pictures of large blocks in colours of chance, each held for so many frames.
    fn held(layout: Layout, frames: &[usize]) -> Vec<Arc<Picture>> {
        let mut pool = Pool::new(layout);
        let mut picture = |number: usize| {
            let block = |x: usize, y: usize| ((x / 16 * 7 + y / 16 * 13 + number * 31) % 17 * 15).to_le_bytes()[0];
            let width = layout.width as usize;
            let places = (0..width * layout.height as usize).map(|place| (place % width, place / width));
            let pixels: Vec<u8> = places.flat_map(|(x, y)| [block(x, y), block(y, x), block(x + y, x), 255]).collect();
            let mut picture = pool.take();
            picture.convert(0, &pixels, layout.width);
            Arc::new(picture)
        };
        frames.iter().enumerate().flat_map(|(number, frames)| vec![picture(number); *frames]).collect()
    }

    /// The luma of each frame, as libav decodes them.
    fn decoded(gop: &Gop, layout: Layout) -> Vec<Vec<u8>> {
        let context = codec::Context::from_parameters(gop.parameters.clone()).unwrap();
        let mut decoder = context.decoder().video().unwrap();
        let mut frames = Vec::new();
        let mut receive = |decoder: &mut ffmpeg::decoder::Video| {
            let mut frame = frame::Video::empty();
            while decoder.receive_frame(&mut frame).is_ok() {
                let rows = frame.data(0).chunks(frame.stride(0)).take(layout.height as usize);
                frames.push(rows.flat_map(|row| row[..layout.width as usize].to_vec()).collect());
            }
        };
        for packet in &gop.packets {
            decoder.send_packet(packet).unwrap();
            receive(&mut decoder);
        }
        decoder.send_eof().unwrap();
        receive(&mut decoder);
        frames
    }

    /// The same of a decoder that shares nothing with libav.
    fn decoded_by_another(gop: &Gop) -> Vec<Vec<u8>> {
        use openh264::{
            OpenH264API,
            decoder::{DecodedYUV, Decoder, DecoderConfig, Flush},
            formats::YUVSource as _,
            nal_units,
        };
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let mut decoder = Decoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        let luma = |frame: &DecodedYUV<'_>| {
            let ((width, height), (stride, ..)) = (frame.dimensions(), frame.strides());
            frame.y().chunks(stride).take(height).flat_map(|row| row[..width].to_vec()).collect::<Vec<u8>>()
        };
        let packets = gop.packets.iter().filter_map(|packet| packet.data()).flatten();
        let bytes: Vec<u8> = header(&gop.parameters).iter().chain(packets).copied().collect();
        let mut frames = Vec::new();
        for unit in nal_units(&bytes) {
            frames.extend(decoder.decode(unit).unwrap().as_ref().map(luma));
        }
        frames.extend(decoder.flush_remaining().unwrap().iter().map(luma));
        frames
    }

    fn difference(a: &[u8], b: &[u8]) -> u64 {
        a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / a.len() as u64
    }

    /// However long pictures are held, every frame shows its own, to whoever decodes it.
    #[test]
    fn what_stays_is_encoded_once_and_shown_in_its_place() {
        let mut chance = 1_usize;
        let mut frames_of_a_picture = || {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0xffff_ffff;
            [1, 1, 1, 2, 3, 4, 5, 6, 9, 13, 25, 60][(chance >> 16) % 12]
        };
        for (width, height) in [(176, 144), (16, 16), (330, 34), (16, 400)].into_iter().cycle().take(80) {
            let layout = Layout::of(PixelFormat::Yuv420p, width, height);
            let mut lengths = Vec::new();
            while lengths.iter().sum::<usize>() < GOP as usize {
                lengths.push(frames_of_a_picture());
            }
            let mut pictures = held(layout, &lengths);
            pictures.truncate(GOP as usize);
            let gop = encode_gop(&encoding(layout), pictures.iter().cloned(), || {}).unwrap();
            let mut shown: Vec<_> = gop.packets.iter().map(|packet| packet.pts().unwrap()).collect();
            shown.sort_unstable();
            assert_eq!(shown, (0..i64::from(GOP)).collect::<Vec<_>>(), "{lengths:?}");
            assert!(gop.packets.iter().all(|packet| packet.dts() <= packet.pts()), "{lengths:?}");
            assert!(gop.packets.is_sorted_by_key(Packet::dts), "{lengths:?}");
            let frames = decoded(&gop, layout);
            assert_eq!(frames.len(), pictures.len(), "{lengths:?}");
            for (frame, picture) in frames.iter().zip(&pictures) {
                let difference = difference(frame, picture.planes()[0].0);
                assert!(difference < 8, "{layout:?} {lengths:?}: {difference}");
            }
            assert!(frames == decoded_by_another(&gop), "{layout:?} {lengths:?}");
        }
    }

    #[test]
    fn what_stays_takes_hardly_any_bytes() {
        let layout = Layout::of(PixelFormat::Yuv420p, 176, 144);
        let pictures = held(layout, &[GOP as usize]);
        let gop = encode_gop(&encoding(layout), pictures.into_iter(), || {}).unwrap();
        let small = gop.packets.iter().filter(|packet| packet.size() < 24).count();
        // All but those that the encoder sees.
        assert!(small >= GOP as usize - 4, "{small}");
    }
}
