//! `renderChunk`: one chunk of a published plan becomes an object, once.

use std::collections::BTreeMap;

use crds::{
    Code, Failure,
    event::{RenderChunkAnswer, RenderChunkEvent},
    line::FrameSourceKind,
};

use super::{FRAMES, Job, PLAN_HASH, SIZE, content_type, manifest};
use crate::{
    error::Error,
    files,
    guard::ChunkPlaces,
    manifest::{Target, is_digest},
    objects::{
        Description, Head, Overwrite,
        transfer::{Moved, SHA256},
    },
    published,
    uri::S3Uri,
};

/// How every frame is made: drawn when we say so. Upstream's other ways are not ours.
const CAPTURE_MODE: &str = "beginframe";

pub(super) async fn run(
    job: &Job<'_>,
    event: &RenderChunkEvent,
    places: &ChunkPlaces,
) -> Result<RenderChunkAnswer, Error> {
    let index = event.chunk_index;
    let manifest = manifest(job, &places.plan, &event.plan_hash, event.format).await?;
    if index >= manifest.chunk_count {
        let message =
            format!("the plan has {} chunks, numbered from 0: there is no chunk {index}", manifest.chunk_count);
        return Err(Failure::new(Code::ChunkIndexOutOfRange, message).into());
    }
    let extension = event.format.chunk_extension();
    let to = places.output.join(&format!("chunks/{index:04}.{extension}"));
    if let Some((frames, sha256)) = there(&job.transfer.head(&to).await?.unwrap_or_default(), &event.plan_hash) {
        return Ok(answer(&to, index, frames, sha256, None));
    }
    let plan = job.folder.join("plan");
    published::materialise(job.transfer, &manifest, &places.plan, Target::Chunk(index), &plan).await?;
    let file = job.folder.join(format!("chunk.{extension}"));
    let work = {
        let (renderer, file) = (job.renderer.clone(), file.clone());
        move || renderer.chunk(&plan, index, &file)
    };
    let report = job.work.run(work).await?;
    let metadata = BTreeMap::from([
        (PLAN_HASH.to_owned(), event.plan_hash.clone()),
        (FRAMES.to_owned(), report.frames.to_string()),
        (SIZE.to_owned(), files::size(&file)?.to_string()),
    ]);
    let about = Description { content_type: content_type(extension), metadata };
    // Whoever renders this chunk too writes the same bytes; what another plan left here goes.
    let Moved { sha256, .. } = job.transfer.store(&file, &to, about, Overwrite::Allowed).await?;
    Ok(answer(&to, index, report.frames, sha256, Some(report.frame_source)))
}

/// Frames and digest of a chunk that is there already, whole and of this plan.
fn there(head: &Head, plan_hash: &str) -> Option<(u32, String)> {
    let said = |name: &str| head.metadata.get(name);
    let whole = said(SIZE)?.parse() == Ok(head.bytes);
    let digest = said(SHA256).filter(|sha256| is_digest(sha256))?;
    let ours = said(PLAN_HASH).is_some_and(|hash| hash == plan_hash);
    if whole && ours { Some((said(FRAMES)?.parse().ok()?, digest.clone())) } else { None }
}

fn answer(
    to: &S3Uri,
    index: u32,
    frames: u32,
    sha256: String,
    frame_source: Option<FrameSourceKind>,
) -> RenderChunkAnswer {
    RenderChunkAnswer {
        chunk_s3_uri: to.to_string(),
        chunk_index: index,
        sha256,
        frames_encoded: frames,
        capture_mode: Some(CAPTURE_MODE.to_owned()),
        frame_source,
        warnings: Vec::new(),
        duration_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_chunk_of_this_plan_is_reused() {
        let digest = "a".repeat(64);
        let right = [(SIZE, "7"), (SHA256, digest.as_str()), (PLAN_HASH, "plan"), (FRAMES, "60")];
        let head = |metadata: &[(&str, &str)]| Head {
            bytes: 7,
            metadata: metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        assert_eq!(there(&head(&right), "plan"), Some((60, digest.clone())));
        assert_eq!(there(&head(&right), "another plan"), None);
        assert_eq!(there(&Head { bytes: 6, ..head(&right) }, "plan"), None);
        for missing in 0..right.len() {
            let mut some = right.to_vec();
            some.remove(missing);
            assert_eq!(there(&head(&some), "plan"), None, "{some:?}");
        }
    }
}
