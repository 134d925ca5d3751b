//! The producer's three verbs, as this crate calls them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::{
    RenderConfig,
    line::{ChunkReport, OutputReport, PlanReport},
};
use producer::{Context, Error, Request};
use tokio_util::sync::CancellationToken;

use crate::{log::Warnings, settings::Settings};

/// How long a page may take to become ready.
const READY: Duration = Duration::from_secs(45);
/// How long nothing may move.
const PROGRESS: Duration = Duration::from_mins(2);

/// Chunks rendered at the same time unless the configuration says (upstream's number).
const PARALLEL: u32 = 16;

/// Renders in one invocation's folder. Every call blocks its thread, which a browser must not outlive.
#[derive(Clone, Debug)]
pub struct Renderer(Context);

impl Renderer {
    /// `folder` takes the browsers' profiles; `stop` ends what is under way; `warnings` go to the log.
    #[must_use]
    pub fn new(settings: &Settings, folder: &Path, stop: CancellationToken, warnings: Arc<Warnings>) -> Self {
        let settings = producer::Settings {
            browsers: settings.browsers.clone(),
            assets: settings.assets.clone(),
            scratch: folder.join("browser"),
            ready_timeout: READY,
            progress_timeout: PROGRESS,
            frame_source: None,
        };
        let mut context = Context::new(settings, warnings);
        context.stop = stop;
        Self(context)
    }

    pub(crate) fn plan(&self, project: PathBuf, config: &RenderConfig, out: &Path) -> Result<PlanReport, Error> {
        let mut config = config.clone();
        if config.chunk_size.is_none() {
            config.max_parallel_chunks.get_or_insert(PARALLEL);
        }
        producer::plan(&Request { project, config, read_from: Vec::new() }, out, &self.0)
    }

    pub(crate) fn chunk(&self, plan: &Path, index: u32, out: &Path) -> Result<ChunkReport, Error> {
        producer::chunk(plan, index, out, &self.0)
    }

    pub(crate) fn assemble(&self, plan: &Path, chunks: &[PathBuf], out: &Path) -> Result<OutputReport, Error> {
        producer::assemble(plan, chunks, out, &self.0)
    }
}
