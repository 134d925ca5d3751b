//! `assemble`: chunks become the video, without encoding anything again.

use std::path::{Path, PathBuf};

use crds::{
    FrameRate, Stage,
    line::{ChunkRange, OutputReport},
};

use crate::{
    Error,
    context::Context,
    draw::browser,
    files,
    libav::{self, Demuxer, Muxer, TAG_CHUNK, TAG_PLAN, Track},
    plan::Plan,
    target::{Inputs, Target},
};

/// Joins all chunks of the plan folder `plan` into the video `out`, whole or not at all. `chunks`: their files in order of
/// index, or one folder that holds them as `0.mp4`, `1.mp4` and so on.
///
/// Blocks the calling thread; nothing is decoded or encoded.
///
/// # Errors
/// See [`Error`]; nothing is left behind. Foremost: `CHUNK_INVALID` with the path of a chunk that is missing, cut short, of
/// another plan or in the wrong place; `CONFIG_INVALID` when `out` has another format's extension; those of reading a plan.
pub fn assemble(plan: &Path, chunks: &[PathBuf], out: &Path, context: &Context) -> Result<OutputReport, Error> {
    let plan = Plan::open(plan)?;
    plan.format.check_output(out)?;
    let chunks = chunk_files(&plan, chunks);
    let target = Target::file(out, Inputs { project: None, plan: Some(plan.dir.path()), files: &chunks })?;
    let finished = target.scratch().join(plan.format.file_name("video"));
    join(&plan, &chunks, &finished, context)?;
    let report = report(&plan, &finished, out)?;
    target.publish(&finished)?;
    Ok(report)
}

fn chunk_files(plan: &Plan, given: &[PathBuf]) -> Vec<PathBuf> {
    match given {
        [folder] if folder.is_dir() => {
            plan.chunks.iter().map(|chunk| folder.join(plan.format.file_name(&chunk.index.to_string()))).collect()
        }
        files => files.to_vec(),
    }
}

/// What a finished video came to that is going to be `out`.
pub(crate) fn report(plan: &Plan, finished: &Path, out: &Path) -> Result<OutputReport, Error> {
    let (bytes, sha256) = files::digest(finished)?;
    Ok(OutputReport {
        path: out.display().to_string(),
        bytes,
        sha256,
        frames: plan.descriptor.total_frames,
        width: plan.layout.width,
        height: plan.layout.height,
    })
}

/// Joins all chunks, given in order, into a new file.
pub(crate) fn join(plan: &Plan, chunks: &[PathBuf], finished: &Path, context: &Context) -> Result<(), Error> {
    if chunks.len() != plan.chunks.len() {
        let reason = format!("{} chunks were given, the plan has {}", chunks.len(), plan.chunks.len());
        return Err(Error::Chunk { path: plan.dir.path().to_owned(), reason });
    }
    let meter = context.stage(Stage::Assemble, plan.descriptor.total_frames);
    let mut sound = plan.descriptor.has_audio.then(|| Sound::open(plan)).transpose()?;
    let mut video: Option<(Muxer, Track)> = None;
    let mut pictures = None;
    for (path, planned) in chunks.iter().zip(&plan.chunks) {
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
        let (muxer, track) = match &mut video {
            Some(video) => video,
            none => {
                let mut muxer = Muxer::create(finished, plan.format.container, &provenance(plan))?;
                let track = muxer.add_video(plan.rate, chunk.parameters()?)?;
                if let Some(sound) = &mut sound {
                    sound.track = Some(muxer.add_sound(sound.demuxer.parameters()?)?);
                }
                none.insert((muxer, track))
            }
        };
        let mut frames = 0;
        while let Some(mut packet) = chunk.next(plan.rate).map_err(|error| wrong(error.to_string()))? {
            libav::delay(&mut packet, planned.start_frame);
            muxer.write(*track, packet)?;
            if let Some(sound) = &mut sound {
                sound.write(muxer, planned.start_frame + frames + 1)?;
            }
            frames += 1;
        }
        if frames != planned.frames() {
            return Err(wrong(format!("it has {frames} frames instead of {}", planned.frames())));
        }
        meter.add(frames);
    }
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
    next: Option<libav::Packet>,
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
