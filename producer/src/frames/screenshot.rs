//! Pixels out of a PNG screenshot: slower, and possible everywhere.

use crds::line::FrameSourceKind;

use super::FrameSource;
use crate::browser::{self, Error, page::Page};

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
        let drawn = page.draw(true)?;
        // An unchanged frame may come without a picture, and a first picture without a change.
        let Some(png) = drawn.png else { return Ok(false) };
        let changed = png != self.png;
        self.png = png;
        Ok(changed)
    }

    fn take(&mut self, strip: &mut dyn FnMut(u32, &[u8])) -> browser::Result<()> {
        let mut pixels = decode(&self.png, self.width, self.height).map_err(|message| Error::Refused {
            method: "HeadlessExperimental.beginFrame".to_owned(),
            message: format!("its screenshot cannot be used: {message}"),
        })?;
        pixels.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        strip(0, &pixels);
        Ok(())
    }

    fn kind(&self) -> FrameSourceKind {
        FrameSourceKind::Screenshot
    }
}

/// RGBA bytes of a PNG of the expected size.
fn decode(png: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::ALPHA | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let info = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    let shape = (info.width, info.height, info.color_type);
    if shape != (width, height, png::ColorType::Rgba) {
        return Err(format!("it is {shape:?}, not {width}x{height} in RGBA"));
    }
    Ok(pixels)
}
