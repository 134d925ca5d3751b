//! Everything a decision is made from, gathered into one value.

use std::sync::Arc;

use crds::{Failure, Render, RenderStatus, render::AttemptStatus};
use jiff::Timestamp;

use crate::{
    ports::{AttemptReport, StackReport, StackSpec},
    queue::Admission,
    source::{Inputs, OutputCheck},
};

/// What is known of a Render at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Now.
    pub now: Timestamp,
    /// The object as it was read; its status is what we wrote last.
    pub render: Arc<Render>,
    /// What is to be rendered, or why that cannot be said.
    pub inputs: Result<Inputs, Failure>,
    /// Where.
    pub stack: StackView,
    /// Whether it may start.
    pub admission: Admission,
    /// What the backend knows of the last attempt.
    pub attempt: AttemptReport,
    /// Whether the video of the last success is still as it was made.
    pub output: OutputCheck,
    /// Nothing new may be started: the process is about to end.
    pub draining: bool,
}

/// Where a Render runs.
#[derive(Clone, Debug)]
pub enum StackView {
    /// The stack it names does not exist, or it names none and there is not exactly one.
    NotFound(String),
    /// The stack and its state.
    Found(StackSpec, StackReport),
}

impl Observed {
    /// The status we wrote last.
    #[must_use]
    pub fn status(&self) -> RenderStatus {
        self.render.status.clone().unwrap_or_default()
    }

    /// The last attempt we wrote down.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptStatus> {
        self.render.status.as_ref()?.attempts.last()
    }

    /// The spec's generation.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.render.metadata.generation.unwrap_or(0)
    }
}
