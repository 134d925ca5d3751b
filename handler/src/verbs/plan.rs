//! `plan`: a project's archive becomes a published plan.

use crds::{
    Code, Failure, RenderConfig,
    event::{PlanAnswer, PlanEvent, PlanProtocol},
};
use serde_json::json;

use super::Job;
use crate::{
    archive::{self, Limits},
    error::Error,
    files,
    guard::PlanPlaces,
    manifest::{Manifest, canonical},
    objects::transfer::Expected,
    published::{self, Places},
};

/// Largest archive of a project.
const LARGEST_ARCHIVE: u64 = 2 << 30;
/// Largest variables; an object of a cluster cannot hold as much.
const LARGEST_VARIABLES: u64 = 4 << 20;

pub(super) async fn run(job: &Job<'_>, event: &PlanEvent, places: &PlanPlaces) -> Result<PlanAnswer, Error> {
    let format = event.config.render.format;
    if !format.distributed() {
        let message = format!("{} is made on one machine only: ask for another format", format.as_str());
        return Err(Failure::new(Code::FormatNotDistributed, message).into());
    }
    let archive = job.folder.join("project.tar.gz");
    let expected = Expected { most: Some(LARGEST_ARCHIVE), ..Expected::default() };
    let project = job.transfer.fetch(&places.project, &archive, &expected).await?;
    let config = config(job, event, places).await?;
    let (at, input) = (Places::below(&places.output), input(&project.sha256, &config));
    // An invocation that is tried again after its manifest was written has nothing left to do.
    let there = published::find(job.transfer, &at, &input, &job.folder.join("there.json")).await?;
    let manifest = match there {
        Some(manifest) => manifest,
        None => {
            let plan = job.folder.join("plan");
            let (project, out) = (job.folder.join("project"), plan.clone());
            let renderer = job.renderer.clone();
            let work = move || -> Result<_, Error> {
                archive::unpack(&archive, &project, Limits::default())?;
                files::remove(&archive);
                renderer.plan(project, &config, &out)
            };
            job.work.run(work).await?;
            published::publish(job.transfer, &plan, &at, &input, &job.folder.join("manifest.json")).await?
        }
    };
    Ok(answer(manifest, &at, event.config.cfr.unwrap_or(false)))
}

/// The configuration, with the variables that lie beside it.
async fn config(job: &Job<'_>, event: &PlanEvent, places: &PlanPlaces) -> Result<RenderConfig, Error> {
    let mut config = event.config.render.clone();
    if let Some(uri) = &places.variables {
        let file = job.folder.join("variables.json");
        let expected = Expected { most: Some(LARGEST_VARIABLES), ..Expected::default() };
        job.transfer.fetch(uri, &file, &expected).await?;
        config.variables = serde_json::from_slice(&files::read(&file)?).map_err(|error| {
            let message = format!("{uri} is no JSON object: {error}");
            Failure::new(Code::VariablesInvalid, message)
        })?;
    }
    Ok(config)
}

/// Digest of everything a plan is made from.
fn input(project_sha256: &str, config: &RenderConfig) -> String {
    let input = json!({ "project": project_sha256, "config": config, "producer": producer::VERSION });
    files::sha256(canonical(&input).as_bytes())
}

fn answer(manifest: Manifest, at: &Places, cfr: bool) -> PlanAnswer {
    PlanAnswer {
        plan_protocol: PlanProtocol::V2,
        plan_v2_manifest_s3_uri: at.manifest.to_string(),
        plan_v2_artifact_s3_prefix: at.artifacts.to_string(),
        has_audio: manifest.has_audio(),
        plan_hash: manifest.plan_hash,
        chunk_count: manifest.chunk_count,
        total_frames: manifest.total_frames,
        fps: manifest.fps,
        width: manifest.width,
        height: manifest.height,
        format: manifest.format,
        audio_s3_uri: None,
        ffmpeg_version: manifest.ffmpeg_version,
        producer_version: manifest.producer_version,
        cfr: Some(cfr),
        warnings: Vec::new(),
        duration_ms: 0,
    }
}
