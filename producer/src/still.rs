//! `still`: single frames as PNG files, drawn as in the video.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crds::{
    Code, FrameRate, Stage,
    line::{ChunkRange, OutputReport},
};

use crate::{
    Error,
    context::Context,
    draw::{
        browser::page::Page,
        drawer::{Behind, Canvas, Drawer},
    },
    encode::{
        format::EncoderKind,
        settings::{self, Wanted},
        yuv::{Layout, PixelFormat},
    },
    error::composition,
    files,
    libav::{self, Encoding, encode_gop},
    plan::{self, Crew, Plan, Request},
    stopwatch::Stopwatch,
    target::Target,
};

/// Which frame of a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// By its number, from 0.
    Frame(u32),
    /// The one that is shown at so many seconds.
    Time(f64),
}

/// Draws single frames of a project into PNG files, each whole or not at all: one into `out`, several into files beside it
/// whose names have the number of the frame, as `x-75.png`. Where the format of the configuration keeps transparency they do
/// too.
///
/// Blocks the calling thread, which starts a browser and must live as long as the call.
///
/// # Errors
/// Those of [`plan`](crate::plan()) and [`chunk`](crate::chunk()); `CONFIG_INVALID` for a moment after the end.
pub fn still(request: &Request, moments: &[Moment], out: &Path, context: &Context) -> Result<Vec<OutputReport>, Error> {
    if out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
        let (message, path) = ("a still is a PNG: name it with .png".to_owned(), Some(out.display().to_string()));
        return Err(Error::Composition { code: Code::ConfigInvalid, message, path, line: None });
    }
    let first = Target::file(out, request.inputs())?;
    let folder = first.scratch().join("plan");
    let mut own = Own(None);
    let (_, page) = plan::write(request, &folder, &mut own, context)?;
    let mut plan = Plan::open(&folder)?;
    let (width, height) = plan.size.pixels();
    let pixels = if plan.format.alpha { PixelFormat::Rgba } else { PixelFormat::Rgb24 };
    plan.layout = Layout::of(pixels, width, height);
    let frames = moments.iter().map(|moment| moment.frame(plan.rate, plan.descriptor.total_frames));
    let mut frames = frames.collect::<Result<Vec<_>, _>>()?;
    // Several times may lie in one frame.
    let mut drawn = BTreeSet::new();
    frames.retain(|frame| drawn.insert(*frame));
    let meter = context.stage(Stage::Render, u32::try_from(frames.len()).unwrap_or(u32::MAX));
    let Some(behind) = own.0 else { unreachable!("a plan was looked at") };
    let mut drawer = behind.come_forward(page, &plan, context)?;
    let mut reports = Vec::new();
    for frame in &frames {
        let png = png(&plan, &mut drawer, *frame, context)?;
        let path = if frames.len() == 1 { out.to_owned() } else { numbered(out, *frame) };
        let target = Target::file(&path, request.inputs())?;
        let finished = target.scratch().join("still.png");
        files::write(&finished, png)?;
        let (bytes, sha256) = files::digest(&finished)?;
        target.publish(&finished)?;
        reports.push(OutputReport { path: path.display().to_string(), bytes, sha256, frames: 1, width, height });
        meter.add(1);
    }
    Ok(reports)
}

/// Draws with the browser that plans.
struct Own(Option<Behind>);

impl Crew for Own {
    fn parallel(&self, _: u32, _: u32, _: u32) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    fn open(&mut self, canvas: &Canvas, script: String, context: &Context) -> Result<Page, Error> {
        let (page, behind) = Behind::start(context, canvas.clone(), script)?;
        self.0 = Some(behind);
        Ok(page)
    }

    fn prepare(&mut self, _: &Canvas, _: usize) {}

    fn hears(&self) -> bool {
        false
    }
}

impl Moment {
    fn frame(self, rate: FrameRate, total: u32) -> Result<u32, Error> {
        let length = f64::from(total) / rate.per_second();
        let (frame, shown) = match self {
            Self::Frame(frame) => (Some(frame), format!("frame {frame}")),
            // The frame that began last; times that are a frame's but for rounding are that frame's.
            Self::Time(time) => ((time < length).then(|| frames_before(rate, time)), format!("{time} s")),
        };
        frame.filter(|frame| *frame < total).ok_or_else(|| {
            let last = total.saturating_sub(1);
            let message =
                format!("the composition lasts {length} s, its frames are 0 to {last}: {shown} is none of them");
            composition(Code::ConfigInvalid, message)
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time within the video, not negative")]
fn frames_before(rate: FrameRate, time: f64) -> u32 {
    (time * rate.per_second() + 1e-9).floor() as u32
}

/// One frame as the bytes of a PNG file.
fn png(plan: &Plan, drawer: &mut Drawer<'_>, frame: u32, context: &Context) -> Result<Vec<u8>, Error> {
    let only = ChunkRange { index: 0, start_frame: frame, end_frame: frame + 1 };
    drawer.begin(only)?;
    let mut watch = Stopwatch::start(context.asked, drawer.pid());
    let mut picture = None;
    drawer.frames(only, &mut watch, |drawn| {
        picture = Some(drawn);
        Ok(())
    })?;
    let wanted = Wanted { quality: plan.encoder.quality, crf: None, bitrate: None, filmed: false };
    let encoder = EncoderKind::Png;
    let encoding = Encoding {
        encoder,
        layout: plan.layout,
        rate: plan.rate,
        options: settings::options(encoder, &settings::settings(encoder, wanted, 1)),
        gop: 1,
        tag: None,
    };
    let packets = encode_gop(&encoding, picture.into_iter(), || {})?.packets;
    let bytes = packets.first().and_then(libav::Packet::data).map(<[u8]>::to_vec);
    Ok(bytes.unwrap_or_default())
}

/// `a/x.png` of frame 75 is `a/x-75.png`.
fn numbered(out: &Path, frame: u32) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-{frame}.png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_frame_that_is_shown_then() {
        let rate = "30".parse().unwrap();
        let frame = |moment: Moment| moment.frame(rate, 90).ok();
        for (moment, expected) in [
            (Moment::Time(0.0), Some(0)),
            (Moment::Time(1.0 / 30.0), Some(1)),
            (Moment::Time(0.0334), Some(1)),
            (Moment::Time(2.5), Some(75)),
            (Moment::Time(2.999), Some(89)),
            (Moment::Time(3.0), None),
            (Moment::Frame(89), Some(89)),
            (Moment::Frame(90), None),
        ] {
            assert_eq!(frame(moment), expected, "{moment:?}");
        }
        let message = Moment::Frame(90).frame(rate, 90).unwrap_err().to_string();
        assert_eq!(message, "the composition lasts 3 s, its frames are 0 to 89: frame 90 is none of them");
        assert_eq!(numbered(Path::new("a/x.y.png"), 75), Path::new("a/x.y-75.png"));
    }
}
