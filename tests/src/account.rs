//! What is in the account that an emulator of AWS stands for, and what `hf-reconcile` has written about it.

use std::{fs, path::Path};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sfn::types::ExecutionListItem;
use serde_json::Value;

use crate::{
    processes::eventually,
    rig::{REGION, Rig},
};

/// A stack with the defaults.
pub const STACK: &str = "apiVersion: hyperframes.io/v1alpha1\nkind: HyperframesStack\nmetadata: {name: s}\nspec: {aws: {region: us-east-1}}\n";

/// What is in the emulator.
pub struct Account {
    cloudformation: aws_sdk_cloudformation::Client,
    s3: aws_sdk_s3::Client,
    sfn: aws_sdk_sfn::Client,
    runtime: tokio::runtime::Runtime,
}

impl Account {
    /// Of an emulator.
    pub fn of(rig: &Rig) -> Self {
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(rig.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sfn: aws_sdk_sfn::Client::new(&config),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    /// What CloudFormation says of a stack, `None` when there is none.
    pub fn stack_status(&self, name: &str) -> Option<String> {
        let answer = self.runtime.block_on(self.cloudformation.describe_stacks().stack_name(name).send());
        let stack = answer.ok()?.stacks?.into_iter().next()?;
        Some(stack.stack_status?.as_str().to_owned())
    }

    /// The statuses of all executions of a stack's state machine, newest first.
    pub fn executions(&self, stack: &str) -> Vec<String> {
        self.listed(stack).into_iter().map(|execution| execution.status.as_str().to_owned()).collect()
    }

    /// The errors that tasks of a stack's executions have met, whatever became of them.
    pub fn task_errors(&self, stack: &str) -> Vec<String> {
        let history = |execution: ExecutionListItem| {
            let request = self.sfn.get_execution_history().execution_arn(execution.execution_arn).max_results(1000);
            self.runtime.block_on(request.send()).unwrap().events
        };
        let events = self.listed(stack).into_iter().flat_map(history);
        events.filter_map(|event| event.task_failed_event_details?.error).collect()
    }

    fn listed(&self, stack: &str) -> Vec<ExecutionListItem> {
        let answer = self.runtime.block_on(self.sfn.list_executions().state_machine_arn(machine(stack)).send());
        answer.unwrap().executions
    }

    /// Has the executions of a stack's state machine end after so many seconds.
    pub fn limit_executions(&self, stack: &str, seconds: u64) {
        let request = self.sfn.describe_state_machine().state_machine_arn(machine(stack));
        let definition = self.runtime.block_on(request.send()).unwrap().definition;
        let mut definition: Value = serde_json::from_str(&definition).unwrap();
        definition["TimeoutSeconds"] = seconds.into();
        let request = self.sfn.update_state_machine().state_machine_arn(machine(stack));
        self.runtime.block_on(request.definition(definition.to_string()).send()).unwrap();
    }

    /// Runs an execution to its end: status and error.
    pub fn execute(&self, machine: &str, name: &str, input: &Value) -> (String, Option<String>) {
        let request = self.sfn.start_execution().state_machine_arn(machine).name(name).input(input.to_string());
        let arn = self.runtime.block_on(request.send()).unwrap().execution_arn;
        eventually("the end of an execution", || {
            let answer = self.runtime.block_on(self.sfn.describe_execution().execution_arn(&arn).send()).unwrap();
            let status = answer.status.as_str().to_owned();
            (status != "RUNNING").then_some((status, answer.error))
        })
    }

    /// The keys in a bucket that begin so.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let answer = self.runtime.block_on(self.s3.list_objects_v2().bucket(bucket).prefix(prefix).send());
        answer.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect()
    }

    /// Removes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.runtime.block_on(self.s3.delete_object().bucket(bucket).key(key).send()).unwrap();
    }

    /// Puts an object.
    pub fn put(&self, bucket: &str, key: &str, content: &'static [u8]) {
        let body = aws_sdk_s3::primitives::ByteStream::from_static(content);
        self.runtime.block_on(self.s3.put_object().bucket(bucket).key(key).body(body).send()).unwrap();
    }
}

/// The state machine of a stack.
pub fn machine(stack: &str) -> String {
    format!("arn:aws:states:{REGION}:000000000000:stateMachine:{stack}-render")
}

/// The status of a Render in a folder of YAML files.
pub fn status(folder: &Path, render: &str) -> Value {
    let text = fs::read_to_string(folder.join(format!(".status/render/default.{render}.yaml"))).unwrap();
    let sidecar: Value = serde_yaml::from_str(&text).unwrap();
    sidecar["status"].clone()
}

/// The bucket of a stack in a folder of YAML files.
pub fn bucket(folder: &Path, stack: &str) -> String {
    let text = fs::read_to_string(folder.join(format!(".status/hyperframesstack/default.{stack}.yaml"))).unwrap();
    let sidecar: Value = serde_yaml::from_str(&text).unwrap();
    sidecar["status"]["aws"]["bucketName"].as_str().unwrap().to_owned()
}
