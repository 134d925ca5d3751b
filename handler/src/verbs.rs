//! What an event asks for: inputs from the store, the producer's verb, outputs to the store.

use std::path::PathBuf;

use crds::{
    Code, Failure, Format,
    event::{Answer, Event},
};

use crate::{
    error::Error, guard::Places, manifest::Manifest, objects::transfer::Transfer, published, renderer::Renderer,
    work::Work,
};

mod assemble;
mod chunk;
mod plan;

/// What one invocation works with.
pub struct Job<'a> {
    /// The store.
    pub transfer: &'a Transfer,
    /// The producer.
    pub renderer: Renderer,
    /// Where it runs.
    pub work: &'a Work,
    /// A folder of its own.
    pub folder: PathBuf,
}

/// Name in a chunk's metadata of its plan's hash.
const PLAN_HASH: &str = "plan-hash";
/// Of its number of frames, and a video's.
const FRAMES: &str = "frames";
/// Of its size.
const SIZE: &str = "size-bytes";

/// Does what an event asks for. Times in the answer are left at zero: the caller has the clock.
///
/// # Errors
/// See [`Error`]; objects may have been written, but none that says something is complete which is not.
pub async fn run(job: &Job<'_>, event: &Event, places: &Places) -> Result<Answer, Error> {
    match (event, places) {
        (Event::Plan(event), Places::Plan(places)) => plan::run(job, event, places).await.map(Answer::Plan),
        (Event::RenderChunk(event), Places::Chunk(places)) => {
            chunk::run(job, event, places).await.map(Answer::RenderChunk)
        }
        (Event::Assemble(event), Places::Assemble(places)) => {
            assemble::run(job, event, places).await.map(Answer::Assemble)
        }
        _ => Err(Failure::new(Code::Internal, "an event's places are of another event").into()),
    }
}

/// The published plan an event is about.
async fn manifest(job: &Job<'_>, at: &published::Places, plan_hash: &str, format: Format) -> Result<Manifest, Error> {
    let manifest = published::read(job.transfer, &at.manifest, &job.folder.join("manifest.json")).await?;
    if manifest.plan_hash != plan_hash {
        let message = format!("the plan at {} is {}, not {plan_hash}: plan again", at.manifest, manifest.plan_hash);
        return Err(Failure::new(Code::PlanHashMismatch, message).into());
    }
    if manifest.format != format {
        let (planned, asked) = (manifest.format.as_str(), format.as_str());
        let message = format!("the plan is for {planned}, the event asks for {asked}: send the plan's format");
        return Err(Failure::new(Code::EventInvalid, message).into());
    }
    Ok(manifest)
}

/// Extension of a finished object: a folder of pictures goes as an archive.
fn extension(format: Format) -> &'static str {
    format.extension().unwrap_or("tar.gz")
}

/// Content type of an object by its extension.
fn content_type(extension: &str) -> &'static str {
    match extension {
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "tar.gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}
