//! How light the pixels of a JPEG are.

use ffmpeg::{Packet, codec, decoder, frame};
use ffmpeg_next as ffmpeg;

use super::{Error, Result, encoding, quiet};

/// The luma of a JPEG, from 0 to 255 (BT.601, full range), a byte a pixel, row by row.
pub(crate) fn luma(jpeg: &[u8]) -> Result<Vec<u8>> {
    quiet();
    let doing = "decode a JPEG";
    let codec = decoder::find(codec::Id::MJPEG).ok_or(Error::NoDecoder("mjpeg"))?;
    let decoder = codec::Context::new_with_codec(codec).decoder();
    let mut decoder = decoder.video().map_err(encoding(doing))?;
    let mut picture = frame::Video::empty();
    decoder.send_packet(&Packet::copy(jpeg)).map_err(encoding(doing))?;
    decoder.send_eof().map_err(encoding(doing))?;
    decoder.receive_frame(&mut picture).map_err(encoding(doing))?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(picture.data(0).chunks(picture.stride(0)).take(height).flat_map(|row| &row[..width]).copied().collect())
}
