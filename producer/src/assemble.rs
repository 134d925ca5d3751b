//! `assemble`: chunks become the video, without encoding anything again.

use std::path::{Path, PathBuf};

use crds::{
    FrameRate, Stage,
    line::{ChunkRange, OutputReport},
};

use crate::{
    Error,
    context::{Context, Meter},
    draw::browser,
    encode::format::{FormatSpec, Output},
    files,
    libav::{self, Demuxer, Muxer, Packet, TAG_CHUNK, TAG_PLAN, Track},
    plan::Plan,
    target::{self, Inputs, Target},
};

mod gif;

/// Joins all chunks of the plan folder `plan` into the video `out`, whole or not at all. `chunks`: their files in order of
/// index, or one folder that holds them as `0.mp4`, `1.mp4` and so on, with the extension of the format's chunks.
///
/// Blocks the calling thread; nothing is decoded or encoded, but for a GIF.
///
/// # Errors
/// See [`Error`]; nothing is left behind. Foremost: `CHUNK_INVALID` with the path of a chunk that is missing, cut short, of
/// another plan or in the wrong place; `CONFIG_INVALID` when `out` has another format's extension; those of reading a plan.
pub fn assemble(plan: &Path, chunks: &[PathBuf], out: &Path, context: &Context) -> Result<OutputReport, Error> {
    let plan = Plan::open(plan)?;
    plan.format.check_output(out)?;
    let chunks = chunk_files(&plan, chunks);
    let target = open_target(plan.format, out, Inputs { project: None, plan: Some(plan.dir.path()), files: &chunks })?;
    let finished = target.scratch().join(plan.format.output_name());
    join(&plan, &chunks, &finished, context)?;
    let report = report(&plan, &finished, out)?;
    target.publish(&finished)?;
    Ok(report)
}

/// The place of an output: a file or a folder, as its format is.
pub(crate) fn open_target(format: &FormatSpec, out: &Path, inputs: Inputs<'_>) -> Result<Target, Error> {
    if format.is_folder() { Target::folder(out, inputs) } else { Target::file(out, inputs) }
}

fn chunk_files(plan: &Plan, given: &[PathBuf]) -> Vec<PathBuf> {
    match given {
        [folder] if folder.is_dir() => {
            plan.chunks.iter().map(|chunk| folder.join(plan.format.chunk_name(&chunk.index.to_string()))).collect()
        }
        files => files.to_vec(),
    }
}

/// What a finished video came to that is going to be `out`.
pub(crate) fn report(plan: &Plan, finished: &Path, out: &Path) -> Result<OutputReport, Error> {
    let (bytes, sha256) = target::digest(finished)?;
    Ok(OutputReport {
        path: out.display().to_string(),
        bytes,
        sha256,
        frames: plan.descriptor.total_frames,
        width: plan.layout.width,
        height: plan.layout.height,
    })
}

/// Joins all chunks, given in order, into a new file or folder.
pub(crate) fn join(plan: &Plan, chunks: &[PathBuf], finished: &Path, context: &Context) -> Result<(), Error> {
    if chunks.len() != plan.chunks.len() {
        let reason = format!("{} chunks were given, the plan has {}", chunks.len(), plan.chunks.len());
        return Err(Error::Chunk { path: plan.dir.path().to_owned(), reason });
    }
    let frames = plan.descriptor.total_frames;
    // A GIF's are looked at for their colours, and once more to be drawn with them.
    let passes = if plan.format.output == Output::Gif { 2 } else { 1 };
    let chunks = Chunks { plan, files: chunks, context, meter: context.stage(Stage::Assemble, frames * passes) };
    match plan.format.output {
        Output::Joined | Output::Hls => video(&chunks, finished),
        Output::Pictures => pictures(&chunks, finished),
        Output::Gif => gif::join(&chunks, finished),
    }
}

/// Every packet becomes a file, numbered from 1 (upstream's names).
fn pictures(chunks: &Chunks<'_>, folder: &Path) -> Result<(), Error> {
    files::create_dir(folder)?;
    let mut number = 0;
    chunks.packets(|_, packet| {
        number += 1;
        let file = folder.join(format!("frame_{number:06}.png"));
        Ok(files::write(&file, packet.data().unwrap_or_default())?)
    })
}

/// All packets become one track.
fn video(chunks: &Chunks<'_>, finished: &Path) -> Result<(), Error> {
    let plan = chunks.plan;
    let mut sound = plan.descriptor.has_audio.then(|| Sound::open(plan)).transpose()?;
    let mut video: Option<(Muxer, Track)> = None;
    chunks.packets(|chunk, packet| {
        let (muxer, track) = match &mut video {
            Some(video) => video,
            none => {
                let mut muxer = if plan.format.output == Output::Hls {
                    files::create_dir(finished)?;
                    Muxer::create_hls(finished)?
                } else {
                    Muxer::create(finished, plan.format.container, &provenance(plan))?
                };
                let track = muxer.add_video(plan.rate, chunk.parameters()?)?;
                if let Some(sound) = &mut sound {
                    sound.track = Some(muxer.add_sound(sound.demuxer.parameters()?)?);
                }
                none.insert((muxer, track))
            }
        };
        let frame = u32::try_from(packet.pts().unwrap_or_default()).unwrap_or_default();
        muxer.write(*track, packet)?;
        match &mut sound {
            Some(sound) => sound.write(muxer, frame + 1),
            None => Ok(()),
        }
    })?;
    match video {
        Some((mut muxer, _)) => {
            if let Some(sound) = &mut sound {
                sound.write(&mut muxer, u32::MAX)?;
            }
            Ok(muxer.finish()?)
        }
        None => Ok(()),
    }
}

/// The sound of a plan, on its way into the video.
struct Sound {
    demuxer: Demuxer,
    rate: FrameRate,
    track: Option<Track>,
    next: Option<Packet>,
}

impl Sound {
    fn open(plan: &Plan) -> Result<Self, Error> {
        let mut demuxer = Demuxer::open_sound(&plan.dir.sound())?;
        let next = demuxer.next_sound()?;
        Ok(Self { demuxer, rate: plan.rate, track: None, next })
    }

    /// Writes what is heard until the end of a frame: players want sound and pictures beside each other.
    fn write(&mut self, muxer: &mut Muxer, frame: u32) -> Result<(), Error> {
        let Some(track) = self.track else { return Ok(()) };
        #[expect(clippy::cast_possible_truncation, reason = "samples of less than 24 hours")]
        let until = (self.rate.time_of(frame) * f64::from(libav::RATE)) as i64;
        while let Some(packet) = self.next.take_if(|packet| packet.dts().unwrap_or(0) <= until) {
            muxer.write(track, packet)?;
            self.next = self.demuxer.next_sound()?;
        }
        Ok(())
    }
}

/// All chunks of a plan, in order.
struct Chunks<'a> {
    plan: &'a Plan,
    files: &'a [PathBuf],
    context: &'a Context,
    meter: Meter,
}

impl Chunks<'_> {
    /// Hands out every packet, its times counting frames of the video. A chunk that is not what the plan says is an error.
    fn packets(&self, mut each: impl FnMut(&Demuxer, Packet) -> Result<(), Error>) -> Result<(), Error> {
        let Self { plan, files, context, meter } = self;
        let mut pictures = None;
        for (path, planned) in files.iter().zip(&plan.chunks) {
            if context.stop.is_cancelled() {
                return Err(browser::Error::Interrupted.into());
            }
            let wrong = |reason: String| Error::Chunk { path: path.clone(), reason };
            files::open_regular(path).map_err(|error| wrong(error.to_string()))?;
            let mut chunk = Demuxer::open(path).map_err(|error| wrong(error.to_string()))?;
            is_planned(&chunk, plan, *planned).map_err(wrong)?;
            let found = chunk.pictures().map_err(|error| wrong(error.to_string()))?;
            let expected = *pictures.get_or_insert(found);
            let size = (plan.layout.width, plan.layout.height);
            if found != expected || (found.1, found.2) != size {
                return Err(wrong(format!("its pictures are {found:?}, those of this plan {expected:?} of {size:?}")));
            }
            let mut frames = 0;
            while let Some(mut packet) = chunk.next(plan.rate).map_err(|error| wrong(error.to_string()))? {
                libav::delay(&mut packet, planned.start_frame - plan.encoder.first_frame);
                each(&chunk, packet)?;
                frames += 1;
            }
            if frames != planned.frames() {
                return Err(wrong(format!("it has {frames} frames instead of {}", planned.frames())));
            }
            meter.add(frames);
        }
        Ok(())
    }
}

/// Whether a file says of itself that it is a chunk of a plan; else what it says.
fn is_planned(chunk: &Demuxer, plan: &Plan, planned: ChunkRange) -> Result<(), String> {
    let expected = planned.index;
    match (chunk.tag(TAG_PLAN), chunk.tag(TAG_CHUNK)) {
        (Some(hash), _) if hash != plan.descriptor.plan_hash => {
            Err(format!("it is a chunk of another plan, not chunk {expected} of this one"))
        }
        (Some(_), Some(index)) if index == expected.to_string() => Ok(()),
        (Some(_), Some(index)) => Err(format!("this is chunk {index}, where chunk {expected} was expected")),
        _ => Err(format!("it is no chunk at all; chunk {expected} was expected")),
    }
}

/// Who made a video, in upstream's tags.
fn provenance(plan: &Plan) -> [(&str, &str); 2] {
    [("hyperframes_renderer", "hyperframes-operator"), ("hyperframes_version", &plan.descriptor.producer_version)]
}
