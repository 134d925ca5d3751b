//! Pictures as an encoder takes them: BT.709 and limited range, or RGB. Opacity is straight, as in a PNG.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::jobs::memory_to_spare;
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgra_to_yuv420, rgba10_to_i410,
};

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PixelFormat {
    /// Planar, 8 bits, chroma at half of both resolutions.
    Yuv420p,
    /// The same, and a plane of opacity.
    Yuva420p,
    /// Planar, 10 bits in two bytes, the lower first, and a plane of opacity.
    Yuva444p10,
    /// Red, green, blue and opacity, a byte each.
    Rgba,
    /// Red, green and blue, a byte each.
    Rgb24,
}

impl PixelFormat {
    /// The format that libav names so, if pictures can be made in it.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "yuv420p" => Some(Self::Yuv420p),
            "yuva420p" => Some(Self::Yuva420p),
            "yuva444p10le" => Some(Self::Yuva444p10),
            "rgba" => Some(Self::Rgba),
            _ => None,
        }
    }
}

/// Size and format of pictures. Those for H.264 and H.265 are even: an odd composition is padded with a black column or row,
/// as upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Layout {
    /// For frames of this size.
    pub(crate) fn of(format: PixelFormat, width: u32, height: u32) -> Self {
        let multiple = if format == PixelFormat::Yuv420p { 2 } else { 1 };
        Self { format, width: width.next_multiple_of(multiple), height: height.next_multiple_of(multiple) }
    }

    /// Of each plane: bytes per row, and rows.
    fn planes(self) -> Vec<(usize, usize)> {
        let (width, height) = (self.width as usize, self.height as usize);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        match self.format {
            PixelFormat::Yuv420p => vec![(width, height), chroma, chroma],
            PixelFormat::Yuva420p => vec![(width, height), chroma, chroma, (width, height)],
            PixelFormat::Yuva444p10 => vec![(width * 2, height); 4],
            PixelFormat::Rgba => vec![(width * 4, height)],
            PixelFormat::Rgb24 => vec![(width * 3, height)],
        }
    }

    fn bytes(self) -> usize {
        self.planes().iter().map(|(row, rows)| row * rows).sum()
    }

    /// A picture that is black where it may be left so.
    fn black(self) -> Vec<u8> {
        // Luma, chroma, chroma; the other formats have no padding.
        let levels = [16, 128, 128, 0];
        let mut bytes = Vec::with_capacity(self.bytes());
        for ((row, rows), level) in self.planes().into_iter().zip(levels) {
            bytes.resize(bytes.len() + row * rows, level);
        }
        bytes
    }
}

/// One picture.
pub(crate) struct Picture {
    bytes: Vec<u8>,
    layout: Layout,
    home: SyncSender<Vec<u8>>,
}

/// Planes with their bytes per row.
pub(crate) type Planes<'a> = Vec<(&'a [u8], usize)>;

impl Picture {
    /// Converts some rows of the frame. `first_row` is even; `bgra` has blue, green, red and straight opacity for each of
    /// `width` pixels.
    pub(crate) fn convert(&mut self, first_row: u32, bgra: &[u8], width: u32) {
        let first = first_row as usize;
        match self.layout.format {
            PixelFormat::Yuv420p => self.convert_to_yuv420(first, bgra, width),
            PixelFormat::Yuva420p => {
                self.convert_to_yuv420(first, bgra, width);
                let [.., (row, rows)] = self.layout.planes()[..] else { return };
                let start = self.bytes.len() - row * rows + first * row;
                let opacity = bgra.as_chunks::<4>().0.iter().map(|[.., opacity]| *opacity);
                self.bytes[start..].iter_mut().zip(opacity).for_each(|(to, from)| *to = from);
            }
            PixelFormat::Yuva444p10 => self.convert_to_yuva444p10(first, bgra, width),
            PixelFormat::Rgba => {
                let to = self.bytes[first * width as usize * 4..].as_chunks_mut::<4>().0.iter_mut();
                to.zip(bgra.as_chunks::<4>().0).for_each(|(to, [blue, green, red, opacity])| {
                    *to = [*red, *green, *blue, *opacity];
                });
            }
            PixelFormat::Rgb24 => {
                let to = self.bytes[first * width as usize * 3..].as_chunks_mut::<3>().0.iter_mut();
                to.zip(bgra.as_chunks::<4>().0).for_each(|(to, [blue, green, red, _])| *to = [*red, *green, *blue]);
            }
        }
    }

    fn convert_to_yuv420(&mut self, first: usize, bgra: &[u8], width: u32) {
        let rows = bgra.len() / (width as usize * 4);
        let [(luma, luma_rows), (chroma, chroma_rows), ..] = self.layout.planes()[..] else { return };
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
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt709);
        bgra_to_yuv420(&mut image, bgra, width * 4, range, matrix, YuvConversionMode::Professional)
            .unwrap_or_else(|error| unreachable!("planes and rows fit by construction: {error}"));
    }

    fn convert_to_yuva444p10(&mut self, first: usize, bgra: &[u8], width: u32) {
        let pixels = bgra.len() / 4;
        let levels = bgra.as_chunks::<4>().0.iter();
        let rgba: Vec<u16> =
            levels.flat_map(|[blue, green, red, opacity]| [*red, *green, *blue, *opacity].map(ten_bits)).collect();
        let mut planes = [vec![0; pixels], vec![0; pixels], vec![0; pixels]];
        let [y, u, v] = &mut planes;
        let mut image = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: width,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: width,
            width,
            height: stride(pixels / width as usize),
        };
        rgba10_to_i410(&mut image, &rgba, width * 4, YuvRange::Limited, YuvStandardMatrix::Bt709)
            .unwrap_or_else(|error| unreachable!("planes and rows fit by construction: {error}"));
        let [y, u, v] = planes;
        let opacity = rgba.into_iter().skip(3).step_by(4).collect();
        let plane = self.bytes.len() / 4;
        for (to, from) in self.bytes.chunks_exact_mut(plane).zip([y, u, v, opacity]) {
            let to = to[first * width as usize * 2..].as_chunks_mut::<2>().0;
            to.iter_mut().zip(from).for_each(|(to, level): (_, u16)| *to = level.to_le_bytes());
        }
    }

    /// The planes.
    pub(crate) fn planes(&self) -> Planes<'_> {
        let mut rest = &self.bytes[..];
        let split = |(row, rows)| {
            let (plane, after) = rest.split_at(row * rows);
            rest = after;
            (plane, row)
        };
        self.layout.planes().into_iter().map(split).collect()
    }
}

/// A level of 255 as the nearest of 1023.
fn ten_bits(level: u8) -> u16 {
    // As exact as (level × 1023 + 127) ÷ 255, and without leaving 16 bits: 1023 is 4 × 255 + 3.
    let level = u16::from(level);
    level * 4 + (level * 3 + 127) / 255
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
        pool_of(PixelFormat::Yuv420p, width, height)
    }

    fn pool_of(format: PixelFormat, width: u32, height: u32) -> Pool {
        Pool::new(Layout::of(format, width, height))
    }

    /// A frame without two equal pixels near each other.
    fn noise(width: u32, height: u32) -> Vec<u8> {
        (0..width * height * 4).map(|i| (i * 7 % 251) as u8).collect()
    }

    #[test]
    fn but_for_h264_odd_sizes_stay_and_strips_equal_the_whole() {
        let (width, height) = (35_u32, 27_u32);
        let (bgra, row) = (noise(width, height), width as usize * 4);
        for format in [PixelFormat::Yuva420p, PixelFormat::Yuva444p10, PixelFormat::Rgba, PixelFormat::Rgb24] {
            let mut pool = pool_of(format, width, height);
            assert_eq!((pool.layout.width, pool.layout.height), (width, height));
            let (mut whole, mut strips) = (pool.take(), pool.take());
            whole.convert(0, &bgra, width);
            for (first, rows) in (0..).step_by(10).zip(bgra.chunks(row * 10)) {
                strips.convert(first, rows, width);
            }
            assert!(whole.planes() == strips.planes(), "{format:?}");
        }
    }

    #[test]
    fn opacity_is_kept_exactly() {
        let bgra: Vec<u8> = (0..=255).flat_map(|opacity| [9, 8, 7, opacity]).collect();
        let opacity = |format, bytes: usize| {
            let mut picture = pool_of(format, 64, 4).take();
            picture.convert(0, &bgra, 64);
            picture.planes().last().unwrap().0.chunks(bytes).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let exactly: Vec<_> = (0..=255_u8).map(|level| vec![level]).collect();
        assert_eq!(opacity(PixelFormat::Yuva420p, 1), exactly);
        for (level, found) in (0..=255_u8).zip(opacity(PixelFormat::Yuva444p10, 2)) {
            let found = f64::from(u16::from_le_bytes([found[0], found[1]]));
            assert!((found - f64::from(level) / 255.0 * 1023.0).abs() <= 0.5, "{level}: {found}");
        }
        assert_eq!(opacity(PixelFormat::Rgba, 4)[3], [7, 8, 9, 3]);
    }

    /// BT.709 from the definition (ITU-R BT.709-6, 10 bit): off by rounding twice at most, once to 10 bits of RGB.
    #[test]
    fn ten_bits_are_converted_by_bt_709() {
        for [blue, green, red] in [[0, 0, 0], [255, 255, 255], [0, 0, 255], [0, 255, 0], [255, 0, 0], [37, 200, 128]] {
            let mut picture = pool_of(PixelFormat::Yuva444p10, 64, 2).take();
            picture.convert(0, &[blue, green, red, 255].repeat(64 * 2), 64);
            let [r, g, b] = [red, green, blue].map(|level| f64::from(level) / 255.0);
            let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            let expected =
                [64.0 + 876.0 * luma, 512.0 + 896.0 * (b - luma) / 1.8556, 512.0 + 896.0 * (r - luma) / 1.5748];
            for ((plane, _), want) in picture.planes().into_iter().zip(expected) {
                let got = f64::from(u16::from_le_bytes([plane[0], plane[1]]));
                assert!((got - want).abs() <= 1.1, "red {red} green {green} blue {blue}: {got} instead of {want}");
            }
        }
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
            for ((plane, _), want) in picture.planes().into_iter().zip(expected) {
                let got = f64::from(plane[0]);
                assert!((got - want).abs() <= 0.51, "red {red} green {green} blue {blue}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn odd_sizes_are_padded_with_black_and_strips_equal_the_whole() {
        let (width, height) = (35_u32, 27_u32);
        let bgra = noise(width, height);
        let mut pool = pool(width, height);
        let mut whole = pool.take();
        whole.convert(0, &bgra, width);
        let mut strips = pool.take();
        for first in (0..height).step_by(10) {
            let rows = 10.min(height - first);
            strips.convert(first, &bgra[(first * width * 4) as usize..((first + rows) * width * 4) as usize], width);
        }
        assert!(whole.planes() == strips.planes());
        let (y, row) = whole.planes()[0];
        assert_eq!((row, y.len()), (36, 36 * 28));
        assert!(y.chunks(row).all(|row| row[35] == 16) && y[27 * 36..].iter().all(|luma| *luma == 16));
    }
}
