//! All ways to take a frame give the same pixels, and they are those of a plain browser's screenshot.

use std::{path::Path, sync::Arc};

use crds::{
    Quality, RenderConfig,
    line::{ChunkRange, FrameSourceKind},
};

use super::*;
use crate::{
    context::Context,
    draw::{
        drawer::Drawer,
        ready::{self, Expected},
    },
    plan::{self, Plan, Request},
    settings::Settings,
};

/// Blue, green and red of every pixel.
type Pixels = Vec<[u8; 3]>;

fn planned(project: &str, folder: &Path, context: &Context) -> Plan {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let config = RenderConfig { quality: Quality::Draft, ..RenderConfig::default() };
    let request = Request { project: root.join(project), config, frames: None, read_from: Vec::new() };
    plan::plan(&request, &folder.join("plan"), context).unwrap();
    Plan::open(&folder.join("plan")).unwrap()
}

/// Frames drawn one after the other, some kept.
fn drawn(plan: &Plan, context: &Context, kind: FrameSourceKind) -> Vec<Pixels> {
    let mut context = context.clone();
    context.settings.frame_source = Some(kind);
    let mut drawer = Drawer::open(plan, &context).unwrap();
    assert_eq!(drawer.source(), kind);
    drawer.begin(ChunkRange { index: 0, start_frame: 0, end_frame: 60 }).unwrap();
    let (page, source) = drawer.parts();
    let mut frames = Vec::new();
    for frame in 0..=KEPT[KEPT.len() - 1] {
        let seek = page.seek_later(plan.rate.time_of(frame), &[], &[]).unwrap();
        page.evaluated(seek).unwrap();
        source.draw(page).unwrap();
        if KEPT.contains(&frame) {
            let mut pixels = Pixels::new();
            let mut strip =
                |_: u32, bytes: &[u8]| pixels.extend(bytes.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]));
            source.read(&mut strip).unwrap();
            frames.push(pixels);
        }
    }
    frames
}

/// The same frames in a browser that draws when it likes.
fn photographed(plan: &Plan, context: &Context) -> Vec<Pixels> {
    let canvas = plan.canvas(&plan.videos().unwrap()).unwrap();
    let mut page = Page::open_plain(context, canvas.page()).unwrap();
    page.navigate().unwrap();
    let timelines = plan.composition.declares_timelines;
    let expected = Expected { timelines, missing_timelines: &[], duration: None };
    ready::wait(&mut page, expected, context.settings.ready_timeout).unwrap();
    page.prepare().unwrap();
    let mut take = |frame: u32| {
        // What a script remembers of the frame before is then as in a render.
        for frame in frame.saturating_sub(1)..=frame {
            let seek = page.seek_later(plan.rate.time_of(frame), &[], &[]).unwrap();
            page.evaluated(seek).unwrap();
            page.evaluate::<()>(NEXT_FRAME).unwrap();
        }
        let (_, rgba) = screenshot::rgba(&page.screenshot().unwrap()).unwrap();
        rgba.chunks_exact(4).map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
    };
    KEPT.iter().map(|frame| take(*frame)).collect()
}

/// What was sought is on the screen when the frame after it begins.
const NEXT_FRAME: &str = "new Promise((done) => {
    const next = __HF_VIRTUAL_TIME__.originalRequestAnimationFrame;
    next(() => next(() => done()));
})";

fn different(one: &Pixels, other: &Pixels) -> usize {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).filter(|(one, other)| one != other).count()
}

const KEPT: [u32; 5] = [0, 1, 17, 38, 59];

fn same_pixels(project: &str, allowed_in_plain_browser: usize) {
    let context = Context::new(Settings::of_tests(), Arc::new(()));
    let folder = tempfile::tempdir().unwrap();
    let plan = planned(project, folder.path(), &context);
    let bitmaps = drawn(&plan, &context, FrameSourceKind::CompositorBitmap);
    let screenshots = drawn(&plan, &context, FrameSourceKind::Screenshot);
    let shared = drawn(&plan, &context, FrameSourceKind::SharedBitmap);
    let photographs = photographed(&plan, &context);
    for (place, frame) in KEPT.iter().enumerate() {
        assert_eq!(different(&bitmaps[place], &screenshots[place]), 0, "frame {frame}: bitmap and screenshot");
        assert_eq!(different(&bitmaps[place], &shared[place]), 0, "frame {frame}: bitmap and shared bitmap");
        let in_plain_browser = different(&bitmaps[place], &photographs[place]);
        assert!(
            in_plain_browser <= allowed_in_plain_browser,
            "frame {frame}: {in_plain_browser} pixels differ from a plain browser's"
        );
    }
}

#[test]
#[ignore = "needs Chromium"]
fn hello_is_the_same_however_it_is_taken() {
    same_pixels("examples/hello/project", 0);
}

#[test]
#[ignore = "needs Chromium"]
fn kinetic_type_is_the_same_however_it_is_taken() {
    same_pixels("examples/kinetic-type/project", 0);
}

#[test]
#[ignore = "needs Chromium"]
fn cards_is_the_same_however_it_is_taken() {
    same_pixels("examples/cards/project", 0);
}

#[test]
#[ignore = "needs Chromium"]
fn batch_is_the_same_however_it_is_taken() {
    same_pixels("examples/batch/project", 0);
}

/// A frame is read as it was drawn, or not at all.
#[test]
#[ignore = "needs Chromium"]
fn a_bitmap_of_another_frame_is_an_error() {
    let context = Context::new(Settings::of_tests(), Arc::new(()));
    let folder = tempfile::tempdir().unwrap();
    let plan = planned("examples/cards/project", folder.path(), &context);
    let mut drawer = Drawer::open(&plan, &context).unwrap();
    assert_eq!(drawer.source(), FrameSourceKind::CompositorBitmap);
    drawer.begin(ChunkRange { index: 0, start_frame: 0, end_frame: 60 }).unwrap();
    let (page, source) = drawer.parts();
    let show = |page: &mut Page, frame: u32| {
        let seek = page.seek_later(plan.rate.time_of(frame), &[], &[]).unwrap();
        page.evaluated(seek).unwrap();
    };
    for frame in [20, 40] {
        show(page, frame);
        assert!(source.draw_checked(page).unwrap());
        source.read(&mut |_, _| {}).unwrap();
    }
    show(page, 60);
    assert!(source.draw_checked(page).unwrap());
    show(page, 80);
    page.draw(false).unwrap();
    assert!(matches!(source.read(&mut |_, _| {}), Err(browser::Error::WrongBitmap)));
}

/// A layer that is turned, skewed or scaled gets other anti-aliased edges when Chromium draws on demand than when it
/// draws as it likes, whatever was drawn before: measured 66 of 230,400 pixels here, by at most 15 of 255 levels.
#[test]
#[ignore = "needs Chromium"]
fn every_kind_of_motion_is_the_same_however_it_is_taken() {
    same_pixels("tests/fixtures/motion", 100);
}
