//! Pictures as the encoder takes them: planar YUV 4:2:0, BT.709, limited range.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::jobs::memory_to_spare;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgra_to_yuv420};

/// One picture. Width and height are even; an odd composition is padded with a black column or row, as upstream does.
pub(crate) struct Picture {
    planes: Vec<u8>,
    width: usize,
    height: usize,
    home: SyncSender<Vec<u8>>,
}

/// Y, U and V with their bytes per row.
pub(crate) type Planes<'a> = [(&'a [u8], usize); 3];

impl Picture {
    /// Converts some rows of the composition. `first_row` is even; `bgra` has four bytes for each of `width` pixels.
    pub(crate) fn convert(&mut self, first_row: u32, bgra: &[u8], width: u32) {
        let (first, rows) = (first_row as usize, bgra.len() / (width as usize * 4));
        let (luma, chroma) = (self.width, self.width / 2);
        let (y, rest) = self.planes.split_at_mut(self.width * self.height);
        let (u, v) = rest.split_at_mut(chroma * self.height / 2);
        let chroma_rows = first / 2 * chroma..(first + rows).div_ceil(2) * chroma;
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut y[first * luma..(first + rows) * luma]),
            y_stride: stride(luma),
            u_plane: BufferStoreMut::Borrowed(&mut u[chroma_rows.clone()]),
            u_stride: stride(chroma),
            v_plane: BufferStoreMut::Borrowed(&mut v[chroma_rows]),
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
        let (y, rest) = self.planes.split_at(self.width * self.height);
        let (u, v) = rest.split_at(rest.len() / 2);
        [(y, self.width), (u, self.width / 2), (v, self.width / 2)]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 7680")]
fn stride(value: usize) -> u32 {
    value as u32
}

impl Drop for Picture {
    fn drop(&mut self) {
        // Back to the pool; without one the memory is simply freed.
        let _ = self.home.try_send(std::mem::take(&mut self.planes));
    }
}

/// Memory for pictures in flight. Whoever draws waits here when the encoders are behind.
pub(crate) struct Pool {
    returned: Receiver<Vec<u8>>,
    home: SyncSender<Vec<u8>>,
    made: usize,
    most: usize,
    composition_width: u32,
    width: usize,
    height: usize,
}

/// Pictures in flight of one browser take at most this many bytes, and that only where there is memory to spare. It is
/// more than a GOP of 1920×1080, so that two encoders can work on what one browser draws.
const BUDGET: usize = 256 << 20;
/// So many pictures are always allowed: with fewer, drawing and encoding would wait for each other.
const FEWEST: usize = 12;

impl Pool {
    /// For pictures of a composition of this size.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let even = |value: u32| value.next_multiple_of(2) as usize;
        let (composition_width, width, height) = (width, even(width), even(height));
        let most = (BUDGET / (width * height * 3 / 2)).max(FEWEST);
        let (home, returned) = sync_channel(most);
        Self { returned, home, made: 0, most, composition_width, width, height }
    }

    /// Pixels per row of what is converted.
    pub(crate) fn composition_width(&self) -> u32 {
        self.composition_width
    }

    /// A picture to convert into, black where nothing is converted; waits until one is free.
    pub(crate) fn take(&mut self) -> Picture {
        let (width, height) = (self.width, self.height);
        let planes = self.returned.try_recv().ok().or_else(|| {
            let another = self.made < FEWEST || self.made < self.most && memory_to_spare();
            if another { None } else { self.returned.recv().ok() }
        });
        let planes = planes.unwrap_or_else(|| {
            self.made += 1;
            let mut planes = vec![16; width * height];
            planes.resize(width * height * 3 / 2, 128);
            planes
        });
        Picture { planes, width, height, home: self.home.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Studio-range BT.709 from the definition (ITU-R BT.709-6, 8 bit): never further off than rounding.
    #[test]
    fn colours_are_converted_by_bt_709() {
        let levels = [0_u8, 1, 37, 64, 128, 200, 254, 255];
        let colours =
            levels.iter().flat_map(|blue| levels.iter().flat_map(move |green| levels.map(|red| [*blue, *green, red])));
        for [blue, green, red] in colours {
            let mut picture = Pool::new(64, 4).take();
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
        let mut pool = Pool::new(width, height);
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
