//! Image files that may be cut short.

use std::path::Path;

use crate::files;

/// The media type of an image file that does not end as images of its kind do: it is cut short, or something follows the
/// image. None for every other file.
///
/// The ends are those of the PNG specification (11.2.5, the `IEND` chunk), ITU-T T.81 (B.1.1.3, the `EOI` marker), the GIF89a
/// specification (27, the trailer) and the WebP container specification (the `RIFF` header's size).
pub(crate) fn without_an_end(path: &Path) -> Option<&'static str> {
    let (head, tail, size) = files::ends(path, 12).ok()?;
    let (kind, ends) = match head.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => ("image/png", tail.ends_with(b"IEND\xaeB`\x82")),
        [0xff, 0xd8, 0xff, ..] => ("image/jpeg", tail.ends_with(b"\xff\xd9")),
        [b'G', b'I', b'F', b'8', ..] => ("image/gif", tail.ends_with(b";")),
        [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P'] => {
            ("image/webp", size >= u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8)
        }
        _ => return None,
    };
    (!ends).then_some(kind)
}
