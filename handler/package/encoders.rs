//! Encodes a second with every encoder that the Lambda function is packed with: what its package's test runs where nothing
//! of the build machine can be reached.

#![expect(clippy::print_stdout, reason = "what it is for")]

use ffmpeg::{Dictionary, Error, Packet, Rational, codec, encoder, format, frame};
use ffmpeg_next as ffmpeg;

const VIDEO: [(&str, format::Pixel); 4] = [
    ("libx264", format::Pixel::YUV420P),
    ("libx265", format::Pixel::YUV420P),
    ("libvpx-vp9", format::Pixel::YUVA420P),
    ("prores_ks", format::Pixel::YUVA444P10LE),
];
const AUDIO: [(&str, format::sample::Type); 2] =
    [("aac", format::sample::Type::Planar), ("libopus", format::sample::Type::Packed)];

fn main() -> Result<(), Error> {
    for (name, pixels) in VIDEO {
        println!("{name}: {} bytes", video(name, pixels)?);
    }
    for (name, layout) in AUDIO {
        println!("{name}: {} bytes", audio(name, layout)?);
    }
    Ok(())
}

fn video(name: &str, pixels: format::Pixel) -> Result<usize, Error> {
    let codec = encoder::find_by_name(name).ok_or(Error::EncoderNotFound)?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(320);
    video.set_height(180);
    video.set_format(pixels);
    video.set_time_base(Rational(1, 30));
    let mut encoder = video.open_as_with(codec, Dictionary::new())?;
    let mut bytes = 0;
    for index in 0..30_u8 {
        let mut frame = frame::Video::new(pixels, 320, 180);
        (0..frame.planes()).for_each(|plane| frame.data_mut(plane).fill(index));
        frame.set_pts(Some(index.into()));
        encoder.send_frame(&frame)?;
        bytes += drain(&mut encoder);
    }
    encoder.send_eof()?;
    Ok(bytes + drain(&mut encoder))
}

fn audio(name: &str, layout: format::sample::Type) -> Result<usize, Error> {
    let codec = encoder::find_by_name(name).ok_or(Error::EncoderNotFound)?;
    let mut audio = codec::Context::new_with_codec(codec).encoder().audio()?;
    let samples = format::Sample::F32(layout);
    audio.set_rate(48_000);
    audio.set_format(samples);
    audio.set_channel_layout(ffmpeg::ChannelLayout::STEREO);
    audio.set_time_base(Rational(1, 48_000));
    let mut encoder = audio.open_as_with(codec, Dictionary::new())?;
    let size = usize::try_from(encoder.frame_size()).map_err(|_| Error::InvalidData)?;
    let mut bytes = 0;
    for index in 0..48 {
        let mut frame = frame::Audio::new(samples, size, ffmpeg::ChannelLayout::STEREO);
        frame.set_rate(48_000);
        (0..frame.planes()).for_each(|plane| frame.data_mut(plane).fill(0));
        frame.set_pts(i64::try_from(index * size).ok());
        encoder.send_frame(&frame)?;
        bytes += drain(&mut encoder);
    }
    encoder.send_eof()?;
    Ok(bytes + drain(&mut encoder))
}

/// Bytes of all packets there are.
fn drain(encoder: &mut encoder::Encoder) -> usize {
    let mut packet = Packet::empty();
    std::iter::from_fn(|| encoder.receive_packet(&mut packet).ok().map(|()| packet.size())).sum()
}
