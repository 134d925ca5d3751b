//! Pixels read out of the display compositor's own bitmap.
//!
//! A headless-shell without a GPU composes every frame into one bitmap (four bytes a pixel, rows without gaps, opaque)
//! in its GPU process. After the answer to a `BeginFrame` it holds exactly that frame and nothing changes it before the
//! next one. Reading it costs 1–2 ms for 1920×1080 where a PNG screenshot costs 60 and more.
//!
//! The bitmap is found by its content: the empty page is painted in one colour, then in another, and exactly one place
//! in the process's memory must show both. Where that memory may not be read, the browser shares it.

use std::{io::IoSliceMut, sync::Arc};

use crds::line::FrameSourceKind;
use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

use super::{BLANK, FrameSource, is_colour, screenshot};
use crate::{
    draw::browser::{self, Error, page::Page, procfs, shared_memory::Block},
    libav::jpeg,
};

/// Rows copied at once: few enough that they are still in the cache when they are converted.
const STRIP_ROWS: u32 = 24;

/// Two colours no page is likely to leave lying around, as 0xRRGGBB. The empty page is left in the second.
const PROBES: [u32; 2] = [0x003a_7bd1, BLANK];

/// While a browser starts on a busy machine its first frames may be answered without being drawn: so many are tried,
/// and then a screenshot says whether the page shows the colour at all.
const PROBE_FRAMES: u32 = 20;
const SCREENSHOTS: u32 = 20;

/// The bitmap of one page.
pub(crate) struct CompositorBitmap {
    place: Place,
    width: u32,
    height: u32,
    strip: Vec<u8>,
    /// How light the pixels of the frame just drawn must be, if it is to be checked.
    expected: Option<Vec<u8>>,
}

#[derive(Clone)]
struct Place {
    memory: Memory,
    address: usize,
}

#[derive(Clone)]
enum Memory {
    /// All of a process's.
    Process(Pid),
    /// A part that it shares with us.
    Shared(Arc<Block>),
}

/// Whether this process may read memory in the way that a bitmap is read. Yama may still forbid it for other processes.
pub(super) fn may_read_memory() -> bool {
    let (byte, mut copy) = ([1], [0]);
    read(&Place { memory: Memory::Process(Pid::this()), address: byte.as_ptr().addr() }, &mut copy) && copy == byte
}

impl CompositorBitmap {
    /// Finds the bitmap, or `None` where it is not to be had: another compositor, or reading is forbidden.
    pub(crate) fn find(page: &mut Page, width: u32, height: u32) -> browser::Result<Option<Self>> {
        let size = width as usize * height as usize * 4;
        let strip = vec![0; width as usize * 4 * STRIP_ROWS as usize];
        let mut bitmap = Self {
            place: Place { memory: Memory::Process(page.pid()), address: 0 },
            width,
            height,
            strip,
            expected: None,
        };
        let mut places: Option<Vec<Place>> = None;
        let mut forbidden = false;
        for colour in PROBES {
            page.evaluate::<serde_json::Value>(&format!(
                "document.documentElement.style.background = '#{colour:06x}'"
            ))?;
            let mut found = Vec::new();
            for frame in 1..=PROBE_FRAMES * SCREENSHOTS {
                let drawn = page.draw(forbidden || frame % PROBE_FRAMES == 0)?;
                let candidates = places.clone().or_else(|| candidates(page, size));
                forbidden |= candidates.is_none();
                found = candidates.into_iter().flatten().filter(|place| bitmap.shows(place, colour)).collect();
                let shown = drawn.screenshot.is_some_and(|png| screenshot::first_pixel(&png) == Some(colour));
                if shown || !found.is_empty() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            places = Some(found);
        }
        match places.as_deref() {
            Some([place]) => {
                bitmap.place = place.clone();
                Ok(Some(bitmap))
            }
            _ => Ok(None),
        }
    }

    /// Whether every pixel at a place has a colour.
    fn shows(&mut self, place: &Place, colour: u32) -> bool {
        let row = self.width as usize * 4;
        let size = row * self.height as usize;
        let mut sample = [0; 4];
        let sampled = [0, size / 8 * 4, size - 4]
            .into_iter()
            .all(|offset| read(&place.at(offset), &mut sample) && is_colour(&sample, colour));
        self.place = place.clone();
        let mut all = true;
        sampled && self.strips(&mut |_, bytes| all &= is_colour(bytes, colour)) && all
    }

    fn strips(&mut self, strip: &mut dyn FnMut(u32, &[u8])) -> bool {
        let row = self.width as usize * 4;
        (0..self.height).step_by(STRIP_ROWS as usize).all(|first| {
            let rows = STRIP_ROWS.min(self.height - first) as usize;
            let bytes = &mut self.strip[..rows * row];
            let whole = read(&self.place.at(first as usize * row), bytes);
            if whole {
                strip(first, bytes);
            }
            whole
        })
    }
}

impl FrameSource for CompositorBitmap {
    fn draw(&mut self, page: &mut Page) -> browser::Result<bool> {
        self.expected = None;
        Ok(page.draw(false)?.changed)
    }

    fn draw_checked(&mut self, page: &mut Page) -> browser::Result<bool> {
        let drawn = page.draw_to_jpeg()?;
        let luma = drawn.screenshot.map(|jpeg| jpeg::luma(&jpeg)).transpose();
        self.expected = luma.map_err(|error| screenshot::unusable(&error.to_string()))?;
        Ok(drawn.changed)
    }

    fn read(&mut self, strip: &mut dyn FnMut(u32, &[u8])) -> browser::Result<()> {
        let (expected, width) = (self.expected.take(), self.width as usize);
        let mut comparison = Comparison::default();
        let whole = self.strips(&mut |first, bytes| {
            if let Some(expected) = &expected {
                comparison.add(bytes, expected.get(first as usize * width..).unwrap_or_default());
            }
            strip(first, bytes);
        });
        // The address is stable while the GPU process lives; after a crash of it the read fails.
        match (whole, comparison.is_same_frame()) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::WrongBitmap),
            (false, _) => Err(Error::PageCrashed),
        }
    }

    fn kind(&self) -> FrameSourceKind {
        match self.place.memory {
            Memory::Process(_) => FrameSourceKind::CompositorBitmap,
            Memory::Shared(_) => FrameSourceKind::SharedBitmap,
        }
    }
}

/// How far a bitmap is from a screenshot of the same frame, in how light its pixels are.
///
/// The screenshot is a JPEG, which is made and read in a fifth of a PNG's time, and is up to 3 levels off (measured). Where the edge of a layer lies between two pixels, Chromium smooths it in another way when it also takes a screenshot:
/// seen 60 pixels of 57,600 with 24 of 255 levels. Another frame's bitmap, or no bitmap at all, is far more than that.
#[derive(Default)]
struct Comparison {
    pixels: usize,
    /// Those that no JPEG explains,
    different: usize,
    /// and those that no edge explains.
    gross: usize,
}

impl Comparison {
    /// Levels that a JPEG may make a difference of.
    const JPEG: u32 = 8;
    /// And an edge.
    const EDGE: u32 = 64;

    /// Compares pixels in the order blue, green, red, unused with the luma of as many.
    fn add(&mut self, bgrx: &[u8], luma: &[u8]) {
        let pixels = bgrx.len() / 4;
        self.pixels += pixels;
        let missing = pixels.saturating_sub(luma.len());
        self.different += missing;
        self.gross += missing;
        for ([blue, green, red, _], luma) in bgrx.as_chunks().0.iter().zip(luma) {
            // BT.601, as JPEG has it (JFIF 1.02).
            let [blue, green, red] = [blue, green, red].map(|level| u32::from(*level));
            let levels = ((29 * blue + 150 * green + 77 * red) >> 8).abs_diff(u32::from(*luma));
            self.different += usize::from(levels > Self::JPEG);
            self.gross += usize::from(levels > Self::EDGE);
        }
    }

    /// Whether it is the same frame: at most one pixel of 20 differs, and one of 1000 by more than an edge.
    const fn is_same_frame(&self) -> bool {
        self.different * 20 <= self.pixels && self.gross * 1000 <= self.pixels
    }
}

impl Place {
    fn at(&self, offset: usize) -> Self {
        Self { address: self.address + offset, ..self.clone() }
    }
}

fn read(place: &Place, bytes: &mut [u8]) -> bool {
    match &place.memory {
        Memory::Process(pid) => {
            let remote = [RemoteIoVec { base: place.address, len: bytes.len() }];
            let wanted = bytes.len();
            process_vm_readv(*pid, &mut [IoSliceMut::new(bytes)], &remote) == Ok(wanted)
        }
        Memory::Shared(block) => block.read(place.address, bytes),
    }
}

/// A bitmap starts at a page boundary.
const PAGE: usize = 4096;
/// Of a block of its own, the allocator keeps less than this for itself.
const LONGEST_HEADER: usize = 256 << 10;

/// Every place where a bitmap of `size` bytes could start; `None` when the browser's memory may not be seen.
fn candidates(page: &mut Page, size: usize) -> Option<Vec<Place>> {
    let Some(blocks) = page.shared_blocks() else { return in_process(page.pid(), size) };
    let large = blocks.into_iter().filter(|block| block.size >= size);
    let places = large.flat_map(|block| {
        let offsets = (0..=(block.size - size).min(LONGEST_HEADER)).step_by(PAGE);
        offsets.map(move |address| Place { memory: Memory::Shared(Arc::clone(&block)), address })
    });
    Some(places.collect())
}

/// Those in the GPU process's writable regions. The allocator gives a large bitmap a region of its own, one page in; a small
/// one shares a region with others.
fn in_process(browser: Pid, size: usize) -> Option<Vec<Place>> {
    const LONGEST_REGION: usize = 16 << 20;
    const SMALL: usize = 1 << 20;
    let longest_header = if size < SMALL { LONGEST_REGION } else { LONGEST_HEADER };
    let Some(pid) = procfs::gpu_process(browser) else { return Some(Vec::new()) };
    let regions = procfs::writable_regions(pid)?;
    let fits = regions.into_iter().filter(|region| (size..size + LONGEST_REGION).contains(&region.len()));
    let places = fits.flat_map(|region| {
        let last = longest_header.min(region.len() - size);
        let memory = Memory::Process(pid);
        (0..=last).step_by(PAGE).map(move |offset| Place { memory: memory.clone(), address: region.start + offset })
    });
    Some(places.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 2000;

    /// Compares a picture with itself, after some pixels of it have become lighter.
    fn compared(changed: usize, levels: u8) -> bool {
        let mut bgrx = [120, 110, 100, 0].repeat(PIXELS);
        bgrx.chunks_exact_mut(4).take(changed).for_each(|pixel| pixel.iter_mut().for_each(|level| *level += levels));
        let mut comparison = Comparison::default();
        bgrx.chunks(400).for_each(|bgrx| comparison.add(bgrx, &[108; 100]));
        comparison.is_same_frame()
    }

    #[test]
    fn edges_may_differ_and_frames_may_not() {
        for (changed, levels, same) in
            [(PIXELS, 8, true), (100, 64, true), (101, 9, false), (2, 65, true), (3, 65, false), (PIXELS, 9, false)]
        {
            assert_eq!(compared(changed, levels), same, "{changed} pixels by {levels}");
        }
    }

    #[test]
    fn a_screenshot_that_is_too_small_shows_another_frame() {
        let mut comparison = Comparison::default();
        comparison.add(&[0; 400], &[0; 90]);
        assert!(!comparison.is_same_frame());
    }
}
