//! `assemble`: chunks become the video, without encoding anything again.

use std::path::{Path, PathBuf};

use crds::{Stage, line::OutputReport};

use crate::{
    Error,
    files::{self, Scratch},
    libav::{Mp4Reader, Mp4Writer, TAG_CHUNK, TAG_PLAN},
    plan::Plan,
    report::Reporter,
};

/// Joins all chunks of a plan, given in order, into the file `out`, whole or not at all.
pub(crate) fn assemble(
    plan: &Plan,
    chunks: &[PathBuf],
    out: &Path,
    reporter: &Reporter,
) -> Result<OutputReport, Error> {
    let total = plan.descriptor.total_frames;
    reporter.progress(Stage::Assemble, 0, total);
    if chunks.len() != plan.chunks.len() {
        let reason = format!("{} chunks were given, the plan has {}", chunks.len(), plan.chunks.len());
        return Err(Error::Chunk { path: plan.dir.path().to_owned(), reason });
    }
    let scratch = Scratch::beside(out)?;
    let finished = scratch.path().join("video.mp4");
    let mut video: Option<Mp4Writer> = None;
    let mut frames = 0;
    for (path, planned) in chunks.iter().zip(&plan.chunks) {
        let wrong = |reason: String| Error::Chunk { path: path.clone(), reason };
        let mut chunk = Mp4Reader::open(path).map_err(|error| wrong(error.to_string()))?;
        let identity = (chunk.tag(TAG_PLAN), chunk.tag(TAG_CHUNK));
        let expected = (Some(plan.descriptor.plan_hash.clone()), Some(planned.index.to_string()));
        if identity != expected {
            return Err(wrong(format!("it is not chunk {} of this plan", planned.index)));
        }
        let writer = match &mut video {
            Some(writer) => writer,
            none => none.insert(Mp4Writer::create(&finished, plan.rate, chunk.parameters()?, &provenance(plan))?),
        };
        let before = frames;
        while let Some(packet) = chunk.next()? {
            writer.write(packet)?;
            frames += 1;
        }
        let (found, planned) = (frames - before, planned.frames());
        if found != planned {
            return Err(wrong(format!("it has {found} frames instead of {planned}")));
        }
        reporter.progress(Stage::Assemble, frames, total);
    }
    video.map_or(Ok(0), Mp4Writer::finish)?;
    scratch.publish(&finished, out)?;
    let (bytes, sha256) = files::digest(out)?;
    let libav_size = plan.encoding();
    let path = out.display().to_string();
    Ok(OutputReport { path, bytes, sha256, frames, width: libav_size.width, height: libav_size.height })
}

/// Who made a video, in upstream's tags.
fn provenance(plan: &Plan) -> [(&str, &str); 2] {
    [("hyperframes_renderer", "hyperframes-operator"), ("hyperframes_version", &plan.descriptor.producer_version)]
}
