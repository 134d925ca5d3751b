//! AWS itself, or whatever `AWS_ENDPOINT_URL` names.

mod cloudformation;
mod credentials;
mod errors;
mod limits;
mod s3;
mod sfn;

use std::{collections::HashMap, path::Path, sync::Arc};

use async_trait::async_trait;
use aws_config::SdkConfig;
use jiff::Timestamp;
use tokio::sync::{Mutex, OnceCell};

use super::cloud::{
    Change, ChangeSetFacts, Cloud, Clouds, ExecutionState, HistoryEvent, Identity, NewObject, ObjectFacts, StackFacts,
    StartedExecution,
};
use crate::{error::Error, ports::DataObjects};
use credentials::config;
use errors::Asked as _;
use limits::{Api, Limits};

/// Clients for each identity, made when they are first asked for.
pub(super) struct Sdk {
    secrets: Arc<dyn DataObjects>,
    now: fn() -> Timestamp,
    known: Mutex<HashMap<Identity, Arc<Account>>>,
}

impl Sdk {
    /// With the access keys of these Secrets.
    pub(super) fn new(secrets: Arc<dyn DataObjects>, now: fn() -> Timestamp) -> Self {
        Self { secrets, now, known: Mutex::default() }
    }
}

#[async_trait]
impl Clouds for Sdk {
    async fn cloud(&self, identity: Identity) -> Result<Arc<dyn Cloud>, Error> {
        let mut known = self.known.lock().await;
        if let Some(account) = known.get(&identity) {
            return Ok(Arc::clone(account) as Arc<dyn Cloud>);
        }
        let account = Arc::new(Account::new(&config(&identity, &self.secrets, self.now).await));
        known.insert(identity, Arc::clone(&account));
        Ok(account)
    }
}

/// The clients of one identity.
struct Account {
    region: String,
    cloudformation: aws_sdk_cloudformation::Client,
    s3: aws_sdk_s3::Client,
    sfn: aws_sdk_sfn::Client,
    sts: aws_sdk_sts::Client,
    number: OnceCell<String>,
    limits: Limits,
}

impl Account {
    fn new(config: &SdkConfig) -> Self {
        Self {
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            cloudformation: aws_sdk_cloudformation::Client::new(config),
            s3: s3::client(config),
            sfn: aws_sdk_sfn::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            number: OnceCell::new(),
            limits: Limits::default(),
        }
    }
}

#[async_trait]
impl Cloud for Account {
    async fn account(&self) -> Result<String, Error> {
        let number = self.number.get_or_try_init(|| async {
            let identity = self.sts.get_caller_identity().send().await.asked("sts:GetCallerIdentity")?;
            Ok::<_, Error>(identity.account.unwrap_or_default())
        });
        number.await.cloned()
    }

    async fn stack(&self, name_or_id: &str) -> Result<Option<StackFacts>, Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::stack(&self.cloudformation, name_or_id).await
    }

    async fn first_failure(&self, stack: &str) -> Result<Option<String>, Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::first_failure(&self.cloudformation, stack).await
    }

    async fn create_change_set(&self, change: &Change) -> Result<(), Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::create_change_set(&self.cloudformation, change).await
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetFacts>, Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::change_set(&self.cloudformation, stack, name).await
    }

    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::execute_change_set(&self.cloudformation, stack, name).await
    }

    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        self.limits.wait(Api::CloudFormation).await;
        let request = self.cloudformation.delete_change_set().stack_name(stack).change_set_name(name);
        request.send().await.asked("cloudformation:DeleteChangeSet").map(drop)
    }

    async fn delete_stack(&self, stack: &str, token: &str) -> Result<(), Error> {
        self.limits.wait(Api::CloudFormation).await;
        let request = self.cloudformation.delete_stack().stack_name(stack).client_request_token(token);
        request.send().await.asked("cloudformation:DeleteStack").map(drop)
    }

    async fn continue_rollback(&self, stack: &str) -> Result<(), Error> {
        self.limits.wait(Api::CloudFormation).await;
        let request = self.cloudformation.continue_update_rollback().stack_name(stack);
        request.send().await.asked("cloudformation:ContinueUpdateRollback").map(drop)
    }

    async fn detect_drift(&self, stack: &str) -> Result<String, Error> {
        self.limits.wait(Api::CloudFormation).await;
        let begun = self.cloudformation.detect_stack_drift().stack_name(stack).send().await;
        Ok(begun.asked("cloudformation:DetectStackDrift")?.stack_drift_detection_id.unwrap_or_default())
    }

    async fn drift(&self, search: &str) -> Result<Option<i32>, Error> {
        self.limits.wait(Api::CloudFormation).await;
        cloudformation::drift(&self.cloudformation, search).await
    }

    async fn ensure_bucket(&self, bucket: &str) -> Result<(), Error> {
        s3::ensure_bucket(&self.s3, &self.region, bucket).await
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Option<ObjectFacts>, Error> {
        s3::object(&self.s3, bucket, key).await
    }

    async fn put_file(&self, object: &NewObject<'_>, file: &Path) -> Result<(), Error> {
        s3::put_file(&self.s3, object, file).await
    }

    async fn get_file(&self, bucket: &str, key: &str, file: &Path) -> Result<(), Error> {
        s3::get_file(&self.s3, bucket, key, file).await
    }

    async fn start_execution(&self, machine: &str, name: &str, input: &str) -> Result<StartedExecution, Error> {
        self.limits.wait(Api::StartExecution).await;
        sfn::start(&self.sfn, machine, name, input).await
    }

    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Error> {
        self.limits.wait(Api::DescribeExecution).await;
        sfn::state(&self.sfn, arn).await
    }

    async fn history(&self, arn: &str, after: i64) -> Result<Option<Vec<HistoryEvent>>, Error> {
        sfn::history(&self.sfn, &self.limits, arn, after).await
    }

    async fn stop_execution(&self, arn: &str, cause: &str) -> Result<(), Error> {
        self.limits.wait(Api::StopExecution).await;
        sfn::stop(&self.sfn, arn, cause).await
    }

    async fn redrive_execution(&self, arn: &str) -> Result<(), Error> {
        self.limits.wait(Api::StartExecution).await;
        let request = self.sfn.redrive_execution().execution_arn(arn);
        request.send().await.asked("states:RedriveExecution").map(drop)
    }
}
