//! `assemble`: all chunks of a published plan become the video.

use std::{collections::BTreeMap, path::PathBuf};

use crds::{
    Code, Failure,
    event::{AssembleAnswer, AssembleEvent},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{FRAMES, Job, PLAN_HASH, content_type, extension, manifest};
use crate::{
    archive,
    error::Error,
    files,
    guard::AssemblePlaces,
    manifest::{Target, is_digest},
    objects::{
        Description, Overwrite,
        transfer::{CONCURRENCY, Expected},
    },
    published,
    uri::S3Uri,
};

pub(super) async fn run(
    job: &Job<'_>,
    event: &AssembleEvent,
    places: &AssemblePlaces,
) -> Result<AssembleAnswer, Error> {
    let manifest = manifest(job, &places.plan, &event.plan_hash, event.format).await?;
    let (given, planned) = (places.chunks.len(), manifest.chunk_count as usize);
    if given != planned {
        let message = format!("{given} chunks are given, the plan has {planned}: send all, in order of index");
        return Err(Failure::new(Code::ChunkInvalid, message).into());
    }
    let digests = digests(event, planned)?;
    let plan = job.folder.join("plan");
    let plan_files = published::materialise(job.transfer, &manifest, &places.plan, Target::Assembler, &plan);
    let chunks = stream::iter(places.chunks.iter().zip(digests).enumerate())
        .map(|(index, (uri, sha256))| fetch(job, event, index, uri, sha256))
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>();
    let ((), chunks) = futures::try_join!(plan_files, chunks)?;
    let extension = extension(event.format);
    let file = job.folder.join(format!("output.{extension}"));
    let work = {
        let (renderer, file, folder) = (job.renderer.clone(), file.clone(), job.folder.join("pictures"));
        let is_folder = event.format.extension().is_none();
        move || -> Result<_, Error> {
            if !is_folder {
                return renderer.assemble(&plan, &chunks, &file);
            }
            let report = renderer.assemble(&plan, &chunks, &folder)?;
            archive::pack(&folder, &file)?;
            Ok(report)
        }
    };
    let report = job.work.run(work).await?;
    let metadata = BTreeMap::from([
        (PLAN_HASH.to_owned(), event.plan_hash.clone()),
        (FRAMES.to_owned(), report.frames.to_string()),
    ]);
    let about = Description { content_type: content_type(extension), metadata };
    let stored = job.transfer.store(&file, &places.output, about, Overwrite::Allowed).await?;
    Ok(AssembleAnswer {
        output_s3_uri: places.output.to_string(),
        frames_encoded: report.frames,
        file_size: report.bytes,
        sha256: Some(stored.sha256),
        duration_ms: 0,
    })
}

/// The digest of each chunk, if the event has them.
fn digests(event: &AssembleEvent, planned: usize) -> Result<Vec<Option<String>>, Failure> {
    let digests = &event.chunk_sha256s;
    if digests.is_empty() {
        return Ok(vec![None; planned]);
    }
    if digests.len() != planned || !digests.iter().all(|digest| is_digest(digest)) {
        let message = "ChunkSha256s must have the SHA-256 of every chunk, in order of index";
        return Err(Failure::new(Code::EventInvalid, message));
    }
    Ok(digests.iter().cloned().map(Some).collect())
}

/// One chunk's object as a file.
async fn fetch(
    job: &Job<'_>,
    event: &AssembleEvent,
    index: usize,
    uri: &S3Uri,
    sha256: Option<String>,
) -> Result<PathBuf, Error> {
    let to = job.folder.join(format!("chunks/{index:04}.{}", event.format.chunk_extension()));
    let expected = Expected { most: Some(files::free_space(&job.folder)?), sha256, ..Expected::default() };
    let fetched = job.transfer.fetch(uri, &to, &expected).await?;
    if fetched.metadata.get(PLAN_HASH).is_some_and(|hash| *hash != event.plan_hash) {
        let message = format!("{uri} is a chunk of another plan: render chunk {index} again");
        return Err(Failure::new(Code::ChunkInvalid, message).into());
    }
    Ok(to)
}
