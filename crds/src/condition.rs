//! Condition types and reasons. Conditions follow kstatus: `Reconciling` and `Stalled` exist only while true,
//! `Ready` always exists once the controller has looked.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The object is as its spec asks.
pub const READY: &str = "Ready";
/// Work is going on; kstatus reports the object as in progress.
pub const RECONCILING: &str = "Reconciling";
/// A human must act; kstatus reports the object as failed.
pub const STALLED: &str = "Stalled";
/// Render: how the work ended; unknown until it did.
pub const SUCCEEDED: &str = "Succeeded";
/// Render: nothing more will happen for these inputs, whatever the result.
pub const FINISHED: &str = "Finished";

/// Waiting for a place among the stack's renders.
pub const QUEUED: &str = "Queued";
/// An attempt is under way.
pub const RUNNING: &str = "Running";
/// A failed attempt will be followed by another after a pause.
pub const RETRYING: &str = "Retrying";
/// The video is there.
pub const COMPLETED: &str = "Completed";
/// `spec.suspend` is true.
pub const SUSPENDED: &str = "Suspended";
/// A user cancelled it.
pub const CANCELLED: &str = "Cancelled";
/// The stack the render names does not exist, or none is named and there are several.
pub const STACK_NOT_FOUND: &str = "StackNotFound";
/// The stack cannot render yet.
pub const STACK_NOT_READY: &str = "StackNotReady";
/// The stack is being looked at.
pub const PROGRESSING: &str = "Progressing";
/// The stack can render.
pub const AVAILABLE: &str = "Available";
