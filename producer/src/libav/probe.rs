//! What kind of picture a file is.

use std::path::Path;

use ffmpeg::format;
use ffmpeg_next as ffmpeg;

use super::{local, quiet};

/// Whether an image file holds more than one picture.
///
/// GIF and PNG are asked of libav; this libav cannot read animated WebP, whose header says it in one bit
/// (WebP container specification, "Extended File Format").
pub(crate) fn is_animated(path: &Path, head: &[u8]) -> bool {
    if let [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', b'8', b'X', _, _, _, _, flags, ..] =
        head
    {
        return flags & 0b10 != 0;
    }
    let is = |magic: &[u8]| head.starts_with(magic);
    if !is(b"GIF8") && !is(b"\x89PNG") {
        return false;
    }
    quiet();
    local(path).is_ok_and(|path| format::input(&path).is_ok_and(|mut input| input.packets().take(2).count() > 1))
}
