//! A stack on AWS: one CloudFormation stack with one Lambda function, one Step Functions state machine and one bucket.
#![allow(unreachable_pub, reason = "KubeSchema repeats every struct inside a private block")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A CloudFormation stack that renders in AWS Lambda.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.region == oldSelf.region").message("the region cannot be changed: make another stack"))]
#[x_kube(validation = Rule::new("has(self.stackName) == has(oldSelf.stackName) && (!has(self.stackName) || self.stackName == oldSelf.stackName)").message("the stack's name cannot be changed: make another stack"))]
pub struct AwsStack {
    /// AWS region, such as `us-east-1`. Cannot be changed.
    #[schemars(length(min = 1, max = 32), pattern(r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub region: String,
    /// Name of the CloudFormation stack, and prefix of the names of what it holds. Cannot be changed. Default:
    /// `<namespace>-<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53), pattern(r"^[A-Za-z][A-Za-z0-9-]*$"))]
    pub stack_name: Option<String>,
    /// What the function runs. Default: the `handler.zip` that the controller was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<Handler>,
    /// Who the controller acts as. Default: whoever it is itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The function.
    #[serde(default)]
    pub lambda: Lambda,
    /// Longest execution in seconds. Default: 3600.
    #[serde(default = "execution_timeout_seconds")]
    #[schemars(range(min = 60, max = 86400))]
    pub execution_timeout_seconds: i32,
    /// Renders of this stack that are under way at the same time. Default: 4.
    #[serde(default = "max_active_renders")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_active_renders: i32,
    /// The bucket.
    #[serde(default)]
    pub bucket: Bucket,
    /// Days that logs are kept. Default: 30.
    #[serde(default = "log_retention_days")]
    #[schemars(extend("enum" = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365]))]
    pub log_retention_days: i32,
    /// Alarms.
    #[serde(default)]
    pub alarms: Alarms,
    /// Tags of the stack and all that it holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 40))]
    pub tags: BTreeMap<String, String>,
    /// What happens when a CloudFormation stack of this name exists that is not this object's. `CreateOnly` leaves it alone;
    /// `AdoptIfExists` takes it over. Default: `CreateOnly`.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// What becomes of the CloudFormation stack when this object is deleted; the bucket is kept in any case. Default: `Delete`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How changes are made.
    #[serde(default)]
    pub update_policy: UpdatePolicy,
    /// What is done about resources that somebody else has changed.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
}

const fn execution_timeout_seconds() -> i32 {
    3600
}

const fn max_active_renders() -> i32 {
    4
}

const fn log_retention_days() -> i32 {
    30
}

/// What the function runs: exactly one member.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.zip) != has(self.imageUri)").message("exactly one member says what the function runs: zip or imageUri"))]
pub struct Handler {
    /// File mode only: a zip with the program `bootstrap`, relative to the YAML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub zip: Option<String>,
    /// A container image in a registry of this account and region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image_uri: Option<String>,
}

/// Who the controller acts as. With both members it assumes the role as whoever the Secret says.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) || has(self.assumeRole)").message("say who to be: secretRef, assumeRole, or both"))]
pub struct Credentials {
    /// In a cluster only: access keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AccessKeysSecret>,
    /// A role that the controller, or who the Secret says, may assume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
}

/// A Secret with the keys `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for temporary ones, `AWS_SESSION_TOKEN`. A changed
/// Secret counts within a minute.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeysSecret {
    /// Its name. It lies in the stack's namespace.
    #[schemars(length(min = 1, max = 253), pattern(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// A role to assume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssumeRole {
    /// The role.
    #[schemars(length(min = 20, max = 2048), pattern(r"^arn:[^:]+:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: String,
    /// What the role's trust policy asks for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
}

/// The function.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lambda {
    /// Memory in MiB; processors grow with it, one for each 1769. Default: 10240.
    #[serde(default = "memory_mb")]
    #[schemars(range(min = 2048, max = 10240))]
    pub memory_mb: i32,
    /// Longest invocation in seconds. Default: 900.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 60, max = 900))]
    pub timeout_seconds: i32,
    /// Invocations at the same time that the account sets aside for this function. Default: none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub reserved_concurrency: Option<i32>,
}

const fn memory_mb() -> i32 {
    10240
}

const fn timeout_seconds() -> i32 {
    900
}

impl Default for Lambda {
    fn default() -> Self {
        Self { memory_mb: memory_mb(), timeout_seconds: timeout_seconds(), reserved_concurrency: None }
    }
}

/// The bucket. It outlives its stack.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Days after which plans and chunks are removed. Default: 7.
    #[serde(default = "intermediates_expiration_days")]
    #[schemars(range(min = 1, max = 3650))]
    pub intermediates_expiration_days: i32,
    /// Days after which videos are removed. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub output_expiration_days: Option<i32>,
    /// KMS key that encrypts it. Default: Amazon S3's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 2048), pattern(r"^arn:[^:]+:kms:"))]
    pub kms_key_arn: Option<String>,
}

const fn intermediates_expiration_days() -> i32 {
    7
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            intermediates_expiration_days: intermediates_expiration_days(),
            output_expiration_days: None,
            kms_key_arn: None,
        }
    }
}

/// Alarms.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarms {
    /// Invocations in an hour above which something is taken to run wild. Default: 1000.
    #[serde(default = "chunk_invocation_threshold")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub chunk_invocation_threshold: i32,
    /// SNS topic that alarms are sent to. Default: the stack makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 512), pattern(r"^arn:[^:]+:sns:"))]
    pub sns_topic_arn: Option<String>,
}

const fn chunk_invocation_threshold() -> i32 {
    1000
}

impl Default for Alarms {
    fn default() -> Self {
        Self { chunk_invocation_threshold: chunk_invocation_threshold(), sns_topic_arn: None }
    }
}

/// What happens when a stack of that name exists that is somebody else's.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdoptionPolicy {
    /// It is left alone.
    #[default]
    CreateOnly,
    /// It is taken over.
    AdoptIfExists,
}

/// What becomes of the CloudFormation stack when its object is deleted.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It is left as it is.
    Retain,
}

/// How changes of the CloudFormation stack are made.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// `Automatic` makes them; `Approve` prepares a change set, names it in `status.aws.changeSet`, and waits. Default:
    /// `Automatic`.
    #[serde(default)]
    pub mode: UpdateMode,
    /// The change set that may be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub approved_change_set: Option<String>,
}

/// Whether changes wait for somebody.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateMode {
    /// They are made at once.
    #[default]
    Automatic,
    /// They wait.
    Approve,
}

/// What is done about resources that somebody else has changed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftPolicy {
    /// `Ignore` does not look; `Detect` tells; `Correct` puts them back. Default: `Ignore`.
    #[serde(default)]
    pub mode: DriftMode,
    /// How often it is looked at, in seconds. Default: 36000.
    #[serde(default = "period_seconds")]
    #[schemars(range(min = 300, max = 2_592_000))]
    pub period_seconds: i32,
}

const fn period_seconds() -> i32 {
    36000
}

impl Default for DriftPolicy {
    fn default() -> Self {
        Self { mode: DriftMode::default(), period_seconds: period_seconds() }
    }
}

/// Whether drift is looked for, and put right.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriftMode {
    /// Nobody looks.
    #[default]
    Ignore,
    /// It is told.
    Detect,
    /// It is put right.
    Correct,
}

/// What the controller knows of a CloudFormation stack.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsStackStatus {
    /// Id of the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub stack_id: Option<String>,
    /// CloudFormation's word for its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub stack_status: Option<String>,
    /// The bucket. It outlives the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub bucket_name: Option<String>,
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub function_arn: Option<String>,
    /// The state machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub state_machine_arn: Option<String>,
    /// A change that waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<ChangeSetStatus>,
    /// What was found when drift was looked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
}

/// A change that waits for approval.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetStatus {
    /// Its name, to be put into `spec.aws.updatePolicy.approvedChangeSet`.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Resources it adds.
    pub add: i32,
    /// Resources it changes in place.
    pub modify: i32,
    /// Resources it removes.
    pub remove: i32,
    /// Resources it replaces by others.
    pub replace: i32,
}

/// What was found when drift was looked for last.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// Resources that somebody else has changed.
    pub drifted_resources: i32,
    /// When that was.
    pub last_check_time: Time,
}
