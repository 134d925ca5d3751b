//! Renders in AWS: a CloudFormation stack for each `HyperframesStack`, a Step Functions execution for each attempt.
//!
//! Everything that is made has a name that follows from what it is for (the change set from the template and its parameters,
//! the site from its files, the execution from the attempt), so that whoever comes back after a crash finds it again and
//! makes nothing twice.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use crds::{
    Code, Failure,
    render::{OutputStatus, ProgressStatus},
    stack::aws::AwsStackStatus,
};
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::{
    error::{Class, Error},
    feed::Feed,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, AwsPlace, Backend, DataObjects, Inputs, ObjectKey, OutputCheck, Place,
        StackEffect, StackReport, StackSpec, Started,
    },
};

mod cloud;
mod copies;
mod execution;
mod handlers;
mod history;
mod prices;
mod sdk;
mod site;
mod stack;
mod template;
mod wanted;

use cloud::{Cloud, Clouds, Identity};
use copies::Copies;
use execution::Execution;
use handlers::Handlers;
use stack::{Drift, Known};
pub use template::{POLICY, state_machine, template};

/// AWS.
#[derive(Clone)]
pub struct AwsBackend(Arc<Shared>);

struct Shared {
    clouds: Box<dyn Clouds>,
    handlers: Handlers,
    now: fn() -> Timestamp,
    stacks: Mutex<HashMap<ObjectKey, Known>>,
    turns: Mutex<HashMap<ObjectKey, Arc<tokio::sync::Mutex<()>>>>,
    /// Stacks that are to be deleted: what is wanted of them does not count any more.
    deleting: Mutex<HashSet<ObjectKey>>,
    drift: Mutex<HashMap<ObjectKey, Drift>>,
    executions: Mutex<HashMap<String, Execution>>,
    copies: Copies,
    changes: Arc<Feed<ObjectKey>>,
}

impl AwsBackend {
    /// Deploys this `handler.zip` where a stack's spec names none, with the access keys of these Secrets where it names one. Asks
    /// AWS for nothing yet.
    #[must_use]
    pub fn new(handler: Option<PathBuf>, secrets: Arc<dyn DataObjects>, now: fn() -> Timestamp) -> Self {
        Self::with(Box::new(sdk::Sdk::new(secrets, now)), handler, now)
    }

    fn with(clouds: Box<dyn Clouds>, handler: Option<PathBuf>, now: fn() -> Timestamp) -> Self {
        Self(Arc::new(Shared {
            clouds,
            handlers: Handlers::new(handler),
            now,
            stacks: Mutex::default(),
            turns: Mutex::default(),
            deleting: Mutex::default(),
            drift: Mutex::default(),
            executions: Mutex::default(),
            copies: Copies::default(),
            changes: Arc::default(),
        }))
    }

    /// How far every attempt is that was started or seen by this process and runs, by its Render.
    #[must_use]
    pub fn running(&self) -> Vec<(ObjectKey, ProgressStatus)> {
        lock(&self.0.executions).values().filter_map(Execution::running).collect()
    }

    async fn cloud(&self, place: &AwsPlace) -> Result<Arc<dyn Cloud>, Error> {
        let role = place.spec.credentials.as_ref().and_then(|credentials| credentials.assume_role.clone());
        self.0.clouds.cloud(Identity { region: place.spec.region.clone(), secret: place.secret.clone(), role }).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(stack: &StackSpec) -> Result<&AwsPlace, Error> {
    match &stack.place {
        Place::Aws(place) => Ok(place),
        Place::Local { .. } => Err(Error::NothingRuns(format!("{} does not render in AWS", stack.key))),
    }
}

fn terminal(code: Code, message: impl Into<String>) -> Error {
    Error::Backend { failure: Failure::new(code, message), class: Class::Terminal }
}

fn waiting(failure: Failure) -> Error {
    Error::Backend { failure, class: Class::Waiting }
}

#[async_trait]
impl Backend for AwsBackend {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.0.changes.listen()
    }

    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error> {
        Ok(self.known(stack).await?.report)
    }

    fn stack_details(&self, stack: &StackSpec) -> Option<AwsStackStatus> {
        lock(&self.0.stacks).get(&stack.key).map(|known| known.details.clone())
    }

    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error> {
        match effect {
            StackEffect::Ensure => self.ensure(stack).await,
            StackEffect::Delete => self.delete(stack).await,
        }
    }

    async fn start(&self, attempt: AttemptSpec) -> Result<Started, Error> {
        self.start_execution(attempt).await
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        self.observe_execution(attempt).await
    }

    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.stop_execution(attempt).await
    }

    async fn check_output(
        &self,
        stack: Option<&StackSpec>,
        recorded: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error> {
        self.check_video(stack, recorded, wanted).await
    }

    /// What is in the bucket serves other attempts, and is removed by the bucket itself.
    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error> {
        lock(&self.0.executions).remove(&attempt.name);
        Ok(())
    }
}
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
