//! Pictures as an encoder takes them: BT.709, limited range.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::jobs::memory_to_spare;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgra_to_yuv420};

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PixelFormat {
    /// Planar, 8 bits, chroma at half of both resolutions.
    Yuv420p,
}

impl PixelFormat {
    /// The format that libav names so, if pictures can be made in it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "yuv420p" => Some(Self::Yuv420p),
            _ => None,
        }
    }
}

/// Size and format of pictures. Width and height are even; an odd composition is padded with a black column or row, as
/// upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Layout {
    /// For a composition of this size.
    pub(crate) fn of(format: PixelFormat, width: u32, height: u32) -> Self {
        Self { format, width: width.next_multiple_of(2), height: height.next_multiple_of(2) }
    }

    /// Of each plane: bytes per row, and rows.
    fn planes(self) -> [(usize, usize); 3] {
        let (width, height) = (self.width as usize, self.height as usize);
        match self.format {
            PixelFormat::Yuv420p => [(width, height), (width / 2, height / 2), (width / 2, height / 2)],
        }
    }

    fn bytes(self) -> usize {
        self.planes().iter().map(|(row, rows)| row * rows).sum()
    }

    /// A black picture.
    fn black(self) -> Vec<u8> {
        let levels = match self.format {
            PixelFormat::Yuv420p => [16, 128, 128],
        };
        let planes = self.planes().into_iter().zip(levels);
        planes.flat_map(|((row, rows), level)| std::iter::repeat_n(level, row * rows)).collect()
    }
}

/// One picture.
pub(crate) struct Picture {
    bytes: Vec<u8>,
    layout: Layout,
    home: SyncSender<Vec<u8>>,
}

/// Planes with their bytes per row.
pub(crate) type Planes<'a> = [(&'a [u8], usize); 3];

impl Picture {
    /// Converts some rows of the composition. `first_row` is even; `bgra` has four bytes for each of `width` pixels.
    pub(crate) fn convert(&mut self, first_row: u32, bgra: &[u8], width: u32) {
        match self.layout.format {
            PixelFormat::Yuv420p => self.convert_to_yuv420(first_row as usize, bgra, width),
        }
    }

    fn convert_to_yuv420(&mut self, first: usize, bgra: &[u8], width: u32) {
        let rows = bgra.len() / (width as usize * 4);
        let [(luma, luma_rows), (chroma, chroma_rows), _] = self.layout.planes();
        let (y, rest) = self.bytes.split_at_mut(luma * luma_rows);
        let (u, v) = rest.split_at_mut(chroma * chroma_rows);
        let wanted = first / 2 * chroma..(first + rows).div_ceil(2) * chroma;
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut y[first * luma..(first + rows) * luma]),
            y_stride: stride(luma),
            u_plane: BufferStoreMut::Borrowed(&mut u[wanted.clone()]),
            u_stride: stride(chroma),
            v_plane: BufferStoreMut::Borrowed(&mut v[wanted]),
            v_stride: stride(chroma),
            width,
            height: stride(rows),
        };
        bgra_to_yuv420(
            &mut image,
            bgra,
            width * 4,
            YuvRange::Limited,
            YuvStandardMatrix::Bt709,
            YuvConversionMode::Professional,
        )
        .unwrap_or_else(|error| unreachable!("planes and rows fit by construction: {error}"));
    }

    /// The planes.
    pub(crate) fn planes(&self) -> Planes<'_> {
        let mut rest = &self.bytes[..];
        self.layout.planes().map(|(row, rows)| {
            let (plane, after) = rest.split_at(row * rows);
            rest = after;
            (plane, row)
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 7680")]
fn stride(value: usize) -> u32 {
    value as u32
}

impl Drop for Picture {
    fn drop(&mut self) {
        // Back to the pool; without one the memory is simply freed.
        let _ = self.home.try_send(std::mem::take(&mut self.bytes));
    }
}

/// Memory for pictures in flight. Whoever draws waits here when the encoders are behind.
pub(crate) struct Pool {
    layout: Layout,
    returned: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
    made: usize,
    most: usize,
}

/// Pictures in flight of one browser take at most this many bytes, and that only where there is memory to spare. It is half a
/// GOP of 1920×1080: an encoder has so many left when a GOP is drawn, and another begins with the next (measured: 256 MiB are
/// no faster).
const BUDGET: usize = 96 << 20;
/// So many pictures are always allowed: with fewer, drawing and encoding would wait for each other.
const FEWEST: usize = 12;

impl Pool {
    pub(crate) fn new(layout: Layout) -> Self {
        let most = (BUDGET / layout.bytes()).max(FEWEST);
        let (home, returned) = sync_channel(most);
        Self { layout, returned, home, made: 0, most }
    }

    /// A picture to convert into, black where nothing is converted; waits until one is free.
    pub(crate) fn take(&mut self) -> Picture {
        let layout = self.layout;
        let bytes = self.returned.try_recv().ok().or_else(|| {
            let another = self.made < FEWEST || self.made < self.most && memory_to_spare(layout.width, layout.height);
            if another { None } else { self.returned.recv().ok() }
        });
        let bytes = bytes.unwrap_or_else(|| {
            self.made += 1;
            layout.black()
        });
        Picture { bytes, layout, home: self.home.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(width: u32, height: u32) -> Pool {
        Pool::new(Layout::of(PixelFormat::Yuv420p, width, height))
    }

    /// Studio-range BT.709 from the definition (ITU-R BT.709-6, 8 bit): never further off than rounding.
    #[test]
    fn colours_are_converted_by_bt_709() {
        let levels = [0_u8, 1, 37, 64, 128, 200, 254, 255];
        let colours =
            levels.iter().flat_map(|blue| levels.iter().flat_map(move |green| levels.map(|red| [*blue, *green, red])));
        for [blue, green, red] in colours {
            let mut picture = pool(64, 4).take();
            picture.convert(0, &[blue, green, red, 255].repeat(64 * 4), 64);
            let [r, g, b] = [red, green, blue].map(|level| f64::from(level) / 255.0);
            let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            let expected =
                [16.0 + 219.0 * luma, 128.0 + 224.0 * (b - luma) / 1.8556, 128.0 + 224.0 * (r - luma) / 1.5748];
            for ((plane, _), want) in picture.planes().iter().zip(expected) {
                let got = f64::from(plane[0]);
                assert!((got - want).abs() <= 0.51, "red {red} green {green} blue {blue}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn odd_sizes_are_padded_with_black_and_strips_equal_the_whole() {
        let (width, height) = (35_u32, 27_u32);
        let bgra: Vec<u8> = (0..width * height * 4).map(|i| (i * 7 % 251) as u8).collect();
        let mut pool = pool(width, height);
        let mut whole = pool.take();
        whole.convert(0, &bgra, width);
        let mut strips = pool.take();
        for first in (0..height).step_by(10) {
            let rows = 10.min(height - first);
            strips.convert(first, &bgra[(first * width * 4) as usize..((first + rows) * width * 4) as usize], width);
        }
        assert!(whole.planes() == strips.planes());
        let [(y, row), ..] = whole.planes();
        assert_eq!((row, y.len()), (36, 36 * 28));
        assert!(y.chunks(row).all(|row| row[35] == 16) && y[27 * 36..].iter().all(|luma| *luma == 16));
    }
}
