//! The backend of each stack, by where it renders.

use async_trait::async_trait;
use crds::{
    render::{OutputStatus, ProgressStatus},
    stack::aws::AwsStackStatus,
};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{aws::AwsBackend, local::LocalBackend};
use crate::{
    error::Error,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, Backend, Inputs, ObjectKey, OutputCheck, Place, StackEffect,
        StackReport, StackSpec, Started,
    },
};

/// All backends.
#[derive(Clone)]
pub struct Router {
    /// This machine.
    pub local: LocalBackend,
    /// AWS.
    pub aws: AwsBackend,
}

impl Router {
    /// How far every attempt is that runs, by its Render.
    #[must_use]
    pub fn running(&self) -> Vec<(ObjectKey, ProgressStatus)> {
        let mut running = self.local.running();
        running.extend(self.aws.running());
        running
    }

    fn of(&self, stack: &StackSpec) -> &dyn Backend {
        match stack.place {
            Place::Local { .. } => &self.local,
            Place::Aws(_) => &self.aws,
        }
    }
}

#[async_trait]
impl Backend for Router {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        stream::select(self.local.changes(), self.aws.changes()).boxed()
    }

    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error> {
        self.of(stack).observe_stack(stack).await
    }

    fn stack_details(&self, stack: &StackSpec) -> Option<AwsStackStatus> {
        self.of(stack).stack_details(stack)
    }

    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error> {
        self.of(stack).apply_stack(stack, effect).await
    }

    async fn start(&self, attempt: AttemptSpec) -> Result<Started, Error> {
        self.of(&attempt.attempt.stack).start(attempt).await
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        self.of(&attempt.stack).observe(attempt).await
    }

    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.of(&attempt.stack).cancel(attempt).await
    }

    async fn check_output(
        &self,
        stack: Option<&StackSpec>,
        recorded: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error> {
        match stack {
            Some(stack) => self.of(stack).check_output(Some(stack), recorded, wanted).await,
            // Its stack is gone; where its video is tells who made it.
            None if recorded.uri.starts_with("s3://") => self.aws.check_output(None, recorded, wanted).await,
            None => self.local.check_output(None, recorded, wanted).await,
        }
    }

    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.of(&attempt.stack).release(attempt).await
    }
}
