//! Whether what a plan folder says makes sense. It is input like any other: a hash says only that nobody changed it since.

use crds::line::ChunkRange;

use super::{grid, root};
use crate::{
    encode::{
        format::FormatSpec,
        settings::{Settings, Wanted, settings},
    },
    layout::{Composition, Descriptor, Encoder, Fps},
};

/// More frames are never needed before a chunk's first.
const LONGEST_PRE_ROLL: u32 = 600;

/// Chromium draws a CSS pixel as at most so many in each direction.
pub(super) const LARGEST_SCALE: u32 = 10;

/// What is wrong with a plan, as half a sentence.
pub(super) fn check(
    descriptor: &Descriptor,
    composition: &Composition,
    encoder: &Encoder,
    chunks: &[ChunkRange],
    format: &FormatSpec,
) -> Result<(), String> {
    let rate = descriptor.rate().map_err(|error| error.to_string())?;
    let size = &descriptor.dimensions;
    let whole = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let sizes = [size.width, size.height];
    whole(sizes.into_iter().all(|pixels| root::SIZES.contains(&pixels)), "its size is none that can be rendered")?;
    whole(sizes == [composition.width, composition.height], "its sizes differ")?;
    whole(composition.fps == Fps { num: rate.num(), den: rate.den() }, "its frame rates differ")?;
    let total = descriptor.total_frames;
    let longest = rate.frames_in(root::LONGEST);
    let ends = total.saturating_add(encoder.first_frame);
    whole((1..=longest).contains(&total) && ends <= longest, "it has no frames, or more than 24 hours of them")?;
    let gop = grid::gop_size(rate);
    whole(encoder.gop_size == gop, "its GOPs are not those of this build")?;
    let Encoder { quality, crf, bitrate, filmed, .. } = *encoder;
    let made_so = settings(format.encoder, Wanted { quality, crf, bitrate, filmed }, gop);
    let Settings { preset, crf: made_crf, crf_offset: _, bitrate: made_bitrate, params } = made_so;
    whole(
        encoder.preset == preset
            && (crf, bitrate) == (made_crf, made_bitrate)
            && encoder.encoder_params == params
            && encoder.pixel_format == format.pixel_format,
        "its encoder's settings are not those of this build",
    )?;
    whole((1..=LARGEST_SCALE).contains(&encoder.device_scale_factor), "its pictures are too large")?;
    whole(encoder.pre_roll_frames <= LONGEST_PRE_ROLL, "it draws too many frames before each chunk")?;
    let counts = [descriptor.chunk_count, encoder.chunk_count].map(|count| count as usize);
    whole(counts == [chunks.len(); 2], "its numbers of chunks differ")?;
    let mut start = encoder.first_frame;
    for (index, chunk) in (0..).zip(chunks) {
        let follows = chunk.index == index && chunk.start_frame == start && chunk.end_frame > start;
        whole(
            follows && (start - encoder.first_frame).is_multiple_of(gop),
            "its chunks do not follow each other on whole GOPs",
        )?;
        start = chunk.end_frame;
    }
    whole(start - encoder.first_frame == total, "its chunks are not all of its frames")
}

#[cfg(test)]
mod tests {
    use crds::{Format, Quality};
    use serde_json::{Map, json};

    use super::*;
    use crate::encode::format::EncoderKind;

    type Parts = (Descriptor, Composition, Encoder, Vec<ChunkRange>);

    fn plan() -> Parts {
        let rate = "30".parse().unwrap();
        let gop = grid::gop_size(rate);
        let wanted = Wanted { quality: Quality::Draft, crf: None, bitrate: None, filmed: false };
        let x264 = settings(EncoderKind::X264, wanted, gop);
        let descriptor = json!({
            "protocol": crate::layout::Protocol::default(), "planHash": "", "producerVersion": "", "ffmpegVersion": "",
            "fontSnapshotSha": "", "chunkCount": 2, "totalFrames": 100, "duration": 3.4, "hasAudio": false,
            "dimensions": { "fpsNum": 30, "fpsDen": 1, "width": 64, "height": 36, "format": Format::Mp4 },
        });
        let composition = json!({
            "durationSeconds": 3.4, "width": 64, "height": 36, "fps": { "num": 30, "den": 1 }, "videoCount": 0,
            "audioCount": 0, "imageCount": 0, "declaresTimelines": false,
        });
        let encoder = Encoder {
            encoder: String::new(),
            quality: Quality::Draft,
            preset: x264.preset.to_owned(),
            crf: x264.crf,
            bitrate: None,
            encoder_params: x264.params,
            filmed: false,
            pixel_format: "yuv420p".to_owned(),
            closed_gop: true,
            gop_size: gop,
            chunk_size: gop,
            chunk_count: 2,
            first_frame: 0,
            pre_roll_frames: 15,
            goes_through_all_frames: false,
            capture_mode: String::new(),
            device_scale_factor: 1,
            gif_loop: None,
            browser_gpu_mode: String::new(),
            ffmpeg_version: String::new(),
            browser_version: String::new(),
            page_script_sha256: String::new(),
            strictness: None,
            variables: Map::new(),
        };
        let chunk = |index, start_frame, end_frame| ChunkRange { index, start_frame, end_frame };
        let chunks = vec![chunk(0, 0, gop), chunk(1, gop, 100)];
        (serde_json::from_value(descriptor).unwrap(), serde_json::from_value(composition).unwrap(), encoder, chunks)
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let judge = |change: &dyn Fn(&mut Parts)| {
            let mut parts = plan();
            change(&mut parts);
            check(&parts.0, &parts.1, &parts.2, &parts.3, FormatSpec::of(Format::Mp4, None).unwrap())
        };
        assert_eq!(judge(&|_| {}), Ok(()));
        let changes: [&dyn Fn(&mut Parts); 21] = [
            &|parts| parts.2.gop_size = 0,
            &|parts| parts.2.gop_size = u32::MAX,
            &|parts| parts.2.pre_roll_frames = u32::MAX,
            &|parts| parts.2.encoder_params += ":stats=/tmp/x",
            &|parts| parts.2.crf = None,
            &|parts| parts.2.bitrate = "8M".parse().ok(),
            &|parts| parts.2.pixel_format = "rgba".to_owned(),
            &|parts| parts.2.device_scale_factor = 0,
            &|parts| parts.0.total_frames = 0,
            &|parts| parts.0.total_frames = u32::MAX,
            &|parts| parts.0.dimensions.width = 0,
            &|parts| parts.0.dimensions.fps_den = 0,
            &|parts| parts.1.height = 7682,
            &|parts| parts.0.chunk_count = 3,
            &|parts| parts.3[1].end_frame = u32::MAX,
            &|parts| parts.3[1].start_frame = u32::MAX,
            &|parts| parts.3[0].start_frame = 1,
            &|parts| parts.2.first_frame = 1,
            &|parts| parts.2.first_frame = u32::MAX,
            &|parts| parts.3[1].index = 0,
            &|parts| parts.3.clear(),
        ];
        for (number, change) in changes.iter().enumerate() {
            assert!(judge(change).is_err(), "change {number}");
        }
    }
}
