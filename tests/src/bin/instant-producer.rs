//! Stands in for `hf-producer` where the reconciler itself is measured: it answers as the real one does, at once and without
//! a picture.

use std::{
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use crds::{
    Diagnosis, Line,
    line::{ChunkRange, ChunkReport, FrameSourceKind, OutputReport, PlanReport, Report, Timings},
};
use sha2::{Digest as _, Sha256};

const FRAMES: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| words.iter().skip_while(|word| *word != name).nth(1).cloned();
    let out = after("--out").map(PathBuf::from);
    let subject = after("--").map(PathBuf::from);
    let verb = ["doctor", "plan", "chunk", "assemble"].into_iter().find(|verb| words.iter().any(|word| word == verb));
    let report = match (verb, out, subject) {
        (Some("doctor"), ..) => {
            let diagnosis =
                Diagnosis { ready: true, jobs: 2, renderer_digest: None, frame_source: None, checks: Vec::new() };
            println!("{}", serde_json::to_string(&diagnosis)?);
            return Ok(());
        }
        (Some("plan"), Some(out), Some(project)) => Report::Plan(plan(&out, &project, after("--config"))?),
        (Some("chunk"), Some(out), Some(_)) => Report::Chunk(Box::new(chunk(&out)?)),
        (Some("assemble"), Some(out), Some(plan)) => Report::Output(assemble(&out, &plan)?),
        _ => return Err(format!("not a command line of the reconciler's: {words:?}").into()),
    };
    println!("{}", serde_json::to_string(&Line::Report(report))?);
    Ok(())
}

fn plan(out: &Path, project: &Path, config: Option<String>) -> Result<PlanReport, Box<dyn Error>> {
    let config = fs::read(config.ok_or("--config is missing")?)?;
    count(project)?;
    let identity = [project.as_os_str().as_encoded_bytes(), &config].concat();
    let plan_hash = hex::encode(Sha256::digest(identity));
    fs::create_dir_all(out)?;
    fs::write(out.join("plan.json"), &plan_hash)?;
    let chunk = ChunkRange { index: 0, start_frame: 0, end_frame: FRAMES };
    Ok(PlanReport { plan_hash, total_frames: FRAMES, chunks: vec![chunk] })
}

/// Adds a line to the file `plans` beside the project, where there is one: a test counts them.
fn count(project: &Path) -> Result<(), Box<dyn Error>> {
    match fs::OpenOptions::new().append(true).open(project.with_file_name("plans")) {
        Ok(mut plans) => Ok(plans.write_all(b"plan\n")?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn chunk(out: &Path) -> Result<ChunkReport, Box<dyn Error>> {
    fs::create_dir_all(out.parent().ok_or("a chunk lies in a folder")?)?;
    fs::write(out, "chunk")?;
    Ok(ChunkReport {
        index: 0,
        frames: FRAMES,
        sha256: hex::encode(Sha256::digest("chunk")),
        frame_source: FrameSourceKind::CompositorBitmap,
        timings: Timings::default(),
    })
}

fn assemble(out: &Path, plan: &Path) -> Result<OutputReport, Box<dyn Error>> {
    let video = fs::read(plan.join("plan.json"))?;
    fs::create_dir_all(out.parent().ok_or("a video lies in a folder")?)?;
    fs::write(out, &video)?;
    let (path, bytes) = (out.display().to_string(), video.len() as u64);
    let sha256 = hex::encode(Sha256::digest(&video));
    Ok(OutputReport { path, bytes, sha256, frames: FRAMES, width: 2, height: 2 })
}
