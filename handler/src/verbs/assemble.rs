//! `assemble`: all chunks of a published plan become the video.

use std::{collections::BTreeMap, path::PathBuf};

use crds::{
    Code, Failure, Format,
    event::{AssembleAnswer, AssembleEvent},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{FRAMES, Job, PLAN_HASH, content_type, extension, make, manifest};
use crate::{
    archive::{self, Limits},
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
    let packed = job.folder.join(format!("output.{}", extension(event.format)));
    let work = {
        let (renderer, packed, folder) = (job.renderer.clone(), packed.clone(), job.folder.join("pictures"));
        let format = event.format;
        move || -> Result<_, Error> {
            let chunks = chunks.into_iter().map(|chunk| unpacked(chunk, format)).collect::<Result<Vec<_>, _>>()?;
            make(format, &packed, &folder, |out| renderer.assemble(&plan, &chunks, out))
        }
    };
    let report = job.work.run(work).await?;
    let metadata = BTreeMap::from([
        (PLAN_HASH.to_owned(), event.plan_hash.clone()),
        (FRAMES.to_owned(), report.frames.to_string()),
    ]);
    let about = Description { content_type: content_type(event.format), metadata };
    let stored = job.transfer.store(&packed, &places.output, about, Overwrite::Allowed).await?;
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
    let to = job.folder.join(format!("chunks/{index:04}.{}", extension(event.format)));
    let expected = Expected { most: Some(files::free_space(&job.folder)?), sha256, ..Expected::default() };
    let fetched = job.transfer.fetch(uri, &to, &expected).await?;
    if fetched.metadata.get(PLAN_HASH).is_some_and(|hash| *hash != event.plan_hash) {
        let message = format!("{uri} is a chunk of another plan: render chunk {index} again");
        return Err(Failure::new(Code::ChunkInvalid, message).into());
    }
    Ok(to)
}

/// A chunk as the producer takes it: a folder, where pictures came as an archive.
fn unpacked(chunk: PathBuf, format: Format) -> Result<PathBuf, Error> {
    if format.extension().is_some() {
        return Ok(chunk);
    }
    let folder = chunk.with_extension("").with_extension("frames");
    archive::unpack(&chunk, &folder, Limits { bytes: u64::MAX / 2, ..Limits::default() })?;
    files::remove(&chunk);
    Ok(folder)
}
