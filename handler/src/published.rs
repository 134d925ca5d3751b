//! Plans in the store: published blobs first and manifest last, fetched as the files one reader needs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crds::{Code, Failure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::Error,
    files,
    manifest::{Artifact, Manifest, Target, canonical},
    objects::{
        Description, Overwrite,
        transfer::{CONCURRENCY, Expected, Transfer},
    },
    uri::S3Uri,
};

/// Where a plan is below its prefix.
const MANIFEST: &str = "v2/manifest.json";
const ARTIFACTS: &str = "v2/artifacts/sha256";
/// Largest manifest: 100,000 files.
const LARGEST_MANIFEST: u64 = 32 << 20;
/// Name in the manifest's metadata of what the plan was made from.
const INPUT: &str = "input-sha256";
/// Says in a folder that it is a part of a plan, and of which (upstream's name).
const MARKER: &str = ".hyperframes-plan-v2.json";

/// A plan's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its manifest.
    pub manifest: S3Uri,
    /// Prefix of its blobs.
    pub artifacts: S3Uri,
}

impl Places {
    /// Where a plan is published below a prefix.
    #[must_use]
    pub fn below(prefix: &S3Uri) -> Self {
        Self { manifest: prefix.join(MANIFEST), artifacts: prefix.join(ARTIFACTS) }
    }

    fn blob(&self, sha256: &str) -> S3Uri {
        self.artifacts.join(&format!("{}/{sha256}", &sha256[..2]))
    }
}

/// The manifest that is there already, if it is of a plan made from `input`. `scratch`: a file to write it to.
///
/// # Errors
/// `PLAN_ARTIFACT_DIGEST_MISMATCH` when a plan of something else is there.
pub async fn find(
    transfer: &Transfer,
    places: &Places,
    input: &str,
    scratch: &Path,
) -> Result<Option<Manifest>, Error> {
    let Some(head) = transfer.head(&places.manifest).await? else { return Ok(None) };
    if head.metadata.get(INPUT).is_none_or(|made_from| made_from != input) {
        let message = format!("{} is the plan of something else: use another prefix", places.manifest);
        return Err(Failure::new(Code::ArtifactDigestMismatch, message).into());
    }
    read(transfer, &places.manifest, scratch).await.map(Some)
}

/// Reads a manifest. `scratch`: a file to write it to.
///
/// # Errors
/// As the manifest's reader says, and of the store.
pub async fn read(transfer: &Transfer, uri: &S3Uri, scratch: &Path) -> Result<Manifest, Error> {
    let expected = Expected { most: Some(LARGEST_MANIFEST), ..Expected::default() };
    transfer.fetch(uri, scratch, &expected).await?;
    Ok(Manifest::read(&files::read(scratch)?)?)
}

/// Publishes a plan folder made from `input`. `scratch`: a file to write the manifest to.
///
/// # Errors
/// When a key that never changes holds other bytes, and of the store. Blobs may then be there, a manifest is not.
pub async fn publish(
    transfer: &Transfer,
    folder: &Path,
    places: &Places,
    input: &str,
    scratch: &Path,
) -> Result<Manifest, Error> {
    let manifest = Manifest::of(folder)?;
    let blobs: BTreeMap<_, _> =
        manifest.artifacts.iter().map(|artifact| (&artifact.sha256, folder.join(&artifact.path))).collect();
    let blobs =
        stream::iter(blobs).map(Ok::<_, Error>).try_for_each_concurrent(CONCURRENCY, |(sha256, path)| async move {
            let about = Description { content_type: "application/octet-stream", metadata: BTreeMap::new() };
            let stored = transfer.store(&path, &places.blob(sha256), about, Overwrite::Forbidden).await?;
            if stored.sha256 == *sha256 {
                return Ok(());
            }
            let message = format!("{} changed while it was published", path.display());
            Err(Error::from(Failure::new(Code::ArtifactDigestMismatch, message)))
        });
    blobs.await?;
    files::write(scratch, manifest.text().as_bytes())?;
    let metadata = BTreeMap::from([(INPUT.to_owned(), input.to_owned())]);
    let about = Description { content_type: "application/json", metadata };
    transfer.store(scratch, &places.manifest, about, Overwrite::Forbidden).await?;
    Ok(manifest)
}

/// Fetches what a reader needs into the new folder `to`, which appears when it is complete.
///
/// # Errors
/// `PLAN_TOO_LARGE` when the disk has less room than the manifest asks for, `PLAN_V2_INTEGRITY_UNRECOVERABLE` when a blob is
/// not there, `PLAN_ARTIFACT_DIGEST_MISMATCH` when it is another.
pub async fn materialise(
    transfer: &Transfer,
    manifest: &Manifest,
    places: &Places,
    target: Target,
    to: &Path,
) -> Result<(), Error> {
    let partial = to.with_extension("partial");
    files::create_dir(&partial)?;
    let mut blobs: BTreeMap<&str, Vec<&Artifact>> = BTreeMap::new();
    for artifact in manifest.selected(target) {
        blobs.entry(&artifact.sha256).or_default().push(artifact);
    }
    let bytes: u64 = blobs.values().map(|same| same[0].size_bytes).fold(0, u64::saturating_add);
    let free = files::free_space(&partial)?;
    if bytes > free {
        let message = format!("the plan has {bytes} bytes for this worker, whose disk has room for {free}");
        return Err(Failure::new(Code::PlanTooLarge, message).into());
    }
    // A size that two files of one digest disagree on is wrong for one of them.
    if blobs.values().any(|same| same.iter().any(|artifact| artifact.size_bytes != same[0].size_bytes)) {
        let message = "the published plan gives one digest two sizes: plan again";
        return Err(Failure::new(Code::PlanIntegrity, message).into());
    }
    let fetches = stream::iter(blobs).map(Ok::<_, Error>).try_for_each_concurrent(CONCURRENCY, |(sha256, same)| {
        let partial = &partial;
        async move {
            let first = partial.join(&same[0].path);
            let size = Some(same[0].size_bytes);
            let expected = Expected { bytes: size, most: size, sha256: Some(sha256.to_owned()) };
            transfer.fetch(&places.blob(sha256), &first, &expected).await.map_err(|error| match error.trouble {
                crate::objects::Trouble::Absent => Failure::new(
                    Code::PlanIntegrity,
                    format!("{} of the published plan is gone ({error}): plan again", same[0].path),
                )
                .into(),
                _ => Error::from(error),
            })?;
            for artifact in &same[1..] {
                files::link(&first, &partial.join(&artifact.path))?;
            }
            Ok::<_, Error>(())
        }
    });
    fetches.await?;
    let target = match target {
        Target::Chunk(index) => {
            video_folders(&partial)?;
            json!({ "kind": "chunk", "chunkIndex": index })
        }
        Target::Assembler => json!({ "kind": "assembler" }),
    };
    let marker = canonical(&json!({ "manifest": manifest, "target": target }));
    files::write(&partial.join(MARKER), marker.as_bytes())?;
    Ok(files::rename(&partial, to)?)
}

#[derive(Deserialize)]
struct Videos {
    extracted: Vec<Extracted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    video_id: String,
}

/// A chunk that shows no frame of a video finds its folder all the same, empty.
fn video_folders(plan: &Path) -> Result<(), Error> {
    let frames = plan.join("video-frames");
    files::create_dir(&frames)?;
    let list: PathBuf = plan.join("meta/videos.json");
    if !list.exists() {
        return Ok(());
    }
    let bad = |message: String| Failure::new(Code::PlanIntegrity, message);
    let videos: Videos = serde_json::from_slice(&files::read(&list)?)
        .map_err(|error| bad(format!("meta/videos.json cannot be read ({error}): plan again")))?;
    for Extracted { video_id } in videos.extracted {
        if ["", ".", ".."].contains(&video_id.as_str()) || video_id.contains(['/', '\\', '\0']) {
            return Err(bad(format!("{video_id:?} is no name for a folder: give the video another id")).into());
        }
        files::create_dir(&frames.join(video_id))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
