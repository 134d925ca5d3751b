//! Pixels out of a PNG screenshot: slower, and possible everywhere.

use crds::line::FrameSourceKind;

use super::FrameSource;
use crate::draw::browser::{self, Error, page::Page};

/// While a browser starts on a busy machine its first frames may be answered without a picture.
const FIRST_PICTURE: u32 = 400;

/// The last screenshot of one page.
pub(crate) struct Screenshot {
    width: u32,
    height: u32,
    png: Vec<u8>,
}

impl Screenshot {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { width, height, png: Vec::new() }
    }
}

impl FrameSource for Screenshot {
    fn draw(&mut self, page: &mut Page) -> browser::Result<bool> {
        let mut png = page.draw(true)?.screenshot;
        for _ in 0..FIRST_PICTURE {
            if png.is_some() || !self.png.is_empty() {
                break;
            }
            png = page.draw(true)?.screenshot;
        }
        // An unchanged frame may come without a picture, and a first picture without a change.
        let Some(png) = png else { return Ok(false) };
        let changed = png != self.png;
        self.png = png;
        Ok(changed)
    }

    fn draw_checked(&mut self, page: &mut Page) -> browser::Result<bool> {
        self.draw(page)
    }

    fn read(&mut self, strip: &mut dyn FnMut(u32, &[u8])) -> browser::Result<()> {
        let mut pixels = decode(&self.png, self.width, self.height).map_err(|why| unusable(&why))?;
        pixels.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        strip(0, &pixels);
        Ok(())
    }

    fn kind(&self) -> FrameSourceKind {
        FrameSourceKind::Screenshot
    }
}

/// The browser answered with no picture of the frame.
pub(super) fn unusable(why: &str) -> Error {
    let message = format!("its screenshot cannot be used: {why}");
    Error::Refused { method: "HeadlessExperimental.beginFrame".to_owned(), message }
}

/// RGBA bytes of a PNG of the expected size.
fn decode(png: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let (info, pixels) = rgba(png)?;
    let shape = (info.width, info.height, info.color_type);
    if shape != (width, height, png::ColorType::Rgba) {
        return Err(format!("it is {shape:?}, not {width}x{height} in RGBA"));
    }
    Ok(pixels)
}

/// The first pixel of a PNG as 0xRRGGBB.
pub(super) fn first_pixel(png: &[u8]) -> Option<u32> {
    let (_, pixels) = rgba(png).ok()?;
    let [red, green, blue] = *pixels.first_chunk()?;
    Some(u32::from_be_bytes([0, red, green, blue]))
}

/// RGBA bytes of a PNG.
pub(super) fn rgba(png: &[u8]) -> Result<(png::OutputInfo, Vec<u8>), String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::ALPHA | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let info = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    Ok((info, pixels))
}
