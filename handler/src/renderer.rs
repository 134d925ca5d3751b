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
use producer::{Context, Request};
use tokio_util::sync::CancellationToken;

use crate::{browser::Browser, error::Error, log::Warnings, settings::Settings};

/// How long a page may take to become ready.
const READY: Duration = Duration::from_secs(45);
/// How long nothing may move.
const PROGRESS: Duration = Duration::from_mins(2);

/// Chunks rendered at the same time unless the configuration says (upstream's number).
const PARALLEL: u32 = 16;

/// Renders in one invocation's folder. Every call blocks its thread, which a browser must not outlive.
#[derive(Clone)]
pub struct Renderer {
    browser: Arc<Browser>,
    context: Context,
}

impl Renderer {
    /// `folder` takes the browsers' profiles; `stop` ends what is under way; `warnings` go to the log.
    #[must_use]
    pub(crate) fn new(
        settings: &Settings,
        browser: &Arc<Browser>,
        folder: &Path,
        stop: CancellationToken,
        warnings: Arc<Warnings>,
    ) -> Self {
        let settings = producer::Settings {
            browsers: Vec::new(),
            assets: settings.assets.clone(),
            packages: folder.join("npm"),
            registry: producer::default_registry(),
            networks: crds::Networks::default(),
            offline: false,
            scratch: folder.join("browser"),
            ready_timeout: READY,
            progress_timeout: PROGRESS,
            frame_source: None,
        };
        let mut context = Context::new(settings, warnings);
        context.stop = stop;
        Self { browser: Arc::clone(browser), context }
    }

    /// With the browser, once it is there.
    fn context(&self) -> Result<Context, Error> {
        let mut context = self.context.clone();
        context.settings.browsers = self.browser.programs()?;
        Ok(context)
    }

    pub(crate) fn plan(&self, project: PathBuf, config: &RenderConfig, out: &Path) -> Result<PlanReport, Error> {
        let mut config = config.clone();
        if config.chunk_size.is_none() {
            config.max_parallel_chunks.get_or_insert(PARALLEL);
        }
        Ok(producer::plan(&Request { project, config, frames: None, read_from: Vec::new() }, out, &self.context()?)?)
    }

    pub(crate) fn chunk(&self, plan: &Path, index: u32, out: &Path) -> Result<ChunkReport, Error> {
        Ok(producer::chunk(plan, index, out, &self.context()?)?)
    }

    pub(crate) fn assemble(&self, plan: &Path, chunks: &[PathBuf], out: &Path) -> Result<OutputReport, Error> {
        Ok(producer::assemble(plan, chunks, out, &self.context)?)
    }
}
