//! Where a frame's pixels come from.

use std::time::Instant;

use crds::line::FrameSourceKind;

use crate::{
    context::Context,
    draw::browser::{
        self,
        page::{Page, PageConfig, SETTLE, Size},
    },
};

mod bitmap;
mod screenshot;

use bitmap::CompositorBitmap;
use screenshot::Screenshot;

/// Draws what the page shows and hands out its pixels. All ways give the same pixels; a test says so.
pub(crate) trait FrameSource: Send {
    /// Draws one frame. True when anything on the screen changed since the last one.
    fn draw(&mut self, page: &mut Page) -> browser::Result<bool>;

    /// As [`draw`](Self::draw), and has [`read`](Self::read) fail if what it reads is not what a screenshot shows.
    fn draw_checked(&mut self, page: &mut Page) -> browser::Result<bool>;

    /// The pixels of the frame just drawn, in strips of whole rows from the top, an even number of rows each but for
    /// the last: `strip(first_row, rows)`, four bytes a pixel in the order blue, green, red, straight
    /// opacity. Only where the page is transparent the last one means anything.
    fn read(&mut self, strip: &mut dyn FnMut(u32, &[u8])) -> browser::Result<()>;

    /// Which implementation this is.
    fn kind(&self) -> FrameSourceKind;
}

/// The colour of the empty page, as 0xRRGGBB, once a source was chosen.
const BLANK: u32 = 0x00c4_275e;

/// Starts a browser, and takes its frames in the settings' way; without one, in the cheapest that works here. `first` is done
/// before that, and leaves an empty page.
pub(crate) fn start(
    context: &Context,
    config: &PageConfig<'_>,
    first: impl Fn(&mut Page) -> browser::Result<()>,
) -> browser::Result<(Page, Box<dyn FrameSource>)> {
    let asked = asked(context, config.transparent);
    let open = |share: bool| {
        let mut page =
            if share { Page::open_sharing(context, config.clone()) } else { Page::open(context, config.clone()) }?;
        first(&mut page)?;
        let source = open(&mut page, config.size, asked)?;
        Ok((page, source))
    };
    let share = asked.map_or_else(|| !bitmap::may_read_memory(), |kind| kind == FrameSourceKind::SharedBitmap);
    let started = open(share)?;
    // Another process's memory may be forbidden where one's own is not.
    if asked.is_none() && !share && started.1.kind() == FrameSourceKind::Screenshot {
        drop(started);
        return open(true);
    }
    Ok(started)
}

/// The way that frames must be taken in, if there is only one: the compositor's bitmap is opaque, whatever it shows.
pub(crate) fn asked(context: &Context, transparent: bool) -> Option<FrameSourceKind> {
    if transparent { Some(FrameSourceKind::Screenshot) } else { context.settings.frame_source }
}

/// A source of a kind; without one, the cheapest that works here: the compositor's bitmap, else screenshots.
///
/// Must be called while the page is still empty.
pub(crate) fn open(
    page: &mut Page,
    size: Size,
    kind: Option<FrameSourceKind>,
) -> browser::Result<Box<dyn FrameSource>> {
    let (width, height) = size.pixels();
    let bitmap = match kind {
        Some(FrameSourceKind::Screenshot) => None,
        Some(FrameSourceKind::CompositorBitmap | FrameSourceKind::SharedBitmap) => {
            Some(CompositorBitmap::find(page, width, height)?.ok_or(browser::Error::NoBitmap)?)
        }
        None => CompositorBitmap::find(page, width, height)?,
    };
    Ok(match bitmap {
        Some(bitmap) => Box::new(bitmap),
        None => Box::new(Screenshot::new(width, height)),
    })
}

/// Draws until the composition is on the screen: a busy browser may show the empty page for some frames more.
pub(crate) fn wait_for_document(page: &mut Page, source: &mut dyn FrameSource) -> browser::Result<()> {
    let give_up = Instant::now() + SETTLE;
    loop {
        let mut blank = true;
        source.draw(page)?;
        source.read(&mut |_, pixels| blank &= is_colour(pixels, BLANK))?;
        if !blank {
            return Ok(());
        }
        if Instant::now() >= give_up {
            // A composition may be all of that colour: then a screenshot shows it too.
            let png = page.draw(true)?.screenshot;
            let shown = png.and_then(|png| screenshot::rgba(&png).ok()).map(|(_, pixels)| pixels);
            let same = |pixels: &[u8]| pixels.chunks_exact(4).all(|pixel| pixel[..3] == BLANK.to_be_bytes()[1..]);
            let late = || browser::Error::Late { what: "its first frame".to_owned(), after: SETTLE };
            return shown.filter(|pixels| same(pixels)).map(drop).ok_or_else(late);
        }
    }
}

/// Whether every pixel of a strip has a colour, given as 0xRRGGBB.
fn is_colour(pixels: &[u8], colour: u32) -> bool {
    pixels.chunks_exact(4).all(|pixel| pixel[..3] == colour.to_le_bytes()[..3])
}

#[cfg(test)]
mod tests;
