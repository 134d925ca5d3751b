//! `HyperframesStack`: a place that can render.
#![allow(
    clippy::duplicated_attributes,
    unreachable_pub,
    reason = "columns share a type, and KubeSchema repeats every struct inside a private block"
)]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

pub mod aws;

/// A place that can render: exactly one member says where.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "hyperframes.io",
    version = "v1alpha1",
    kind = "HyperframesStack",
    plural = "hyperframesstacks",
    shortname = "hfs",
    category = "hyperframes",
    namespaced,
    status = "HyperframesStackStatus",
    derive = "PartialEq",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("has(self.aws) != has(self.local)").message("exactly one member says where to render: aws or local"))]
#[x_kube(validation = Rule::new("has(self.aws) == has(oldSelf.aws)").message("a stack does not move between aws and local: make another stack"))]
#[serde(rename_all = "camelCase")]
pub struct HyperframesStackSpec {
    /// Render in AWS Lambda.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::AwsStack>,
    /// Render on the machine the controller runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalStack>,
    /// Namespaces whose Renders may use it besides those of its own, by `spec.stackRef.namespace`; `*` stands for all of them.
    /// Whoever may make Renders there renders at this stack's expense. What is under way when a namespace is taken away goes
    /// on to its end. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63), pattern(r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")))]
    pub allowed_namespaces: Vec<String>,
}

/// A worker pool on one machine.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalStack {
    /// Chunks rendered at the same time. Default: as many as usable cores and memory (600 MiB each) allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub max_parallel_chunks: Option<i32>,
    /// Folder for plans and chunks in the making, relative to the YAML file; in a cluster relative to the operator's work
    /// folder, and below it. Default: `.status/.work` of the watched folder, or `work` in that work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub work_dir: Option<String>,
}

/// What the controller knows of a stack.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HyperframesStackStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of the annotation `reconcile.fluxcd.io/requestedAt` when it was last looked at: whoever asked has been heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_reconcile_at: Option<String>,
    /// `Ready`, and `Reconciling` or `Stalled` while they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Chunks that can be rendered at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_chunks: Option<i32>,
    /// Versions that pixels depend on, as `hf-producer doctor --json` tells them, in one SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renderer_digest: Option<String>,
    /// What is known of a stack on AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::AwsStackStatus>,
}
