//! Condition types and reasons. Conditions follow kstatus: `Reconciling` and `Stalled` exist only while true,
//! `Ready` always exists once the controller has looked.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Type, normal is true: the object is as its spec asks.
pub const READY: &str = "Ready";
/// Type, normal is absent: work is going on; kstatus reports the object as in progress.
pub const RECONCILING: &str = "Reconciling";
/// Type, normal is absent: a human must act; kstatus reports the object as failed.
pub const STALLED: &str = "Stalled";
/// Type, of a Render, normal is true: how the work ended; unknown until it did.
pub const SUCCEEDED: &str = "Succeeded";
/// Type, of a Render, normal is true: nothing more will happen for these inputs, whatever the result.
pub const FINISHED: &str = "Finished";

/// Reason: waiting for a place among the stack's renders.
pub const QUEUED: &str = "Queued";
/// Reason: an attempt is under way.
pub const RUNNING: &str = "Running";
/// Reason: the running attempt is being ended.
pub const CANCELLING: &str = "Cancelling";
/// Reason: a failed attempt will be followed by another after a pause.
pub const RETRYING: &str = "Retrying";
/// Reason: the video is there.
pub const COMPLETED: &str = "Completed";
/// Reason: `spec.suspend` is true.
pub const SUSPENDED: &str = "Suspended";
/// Reason: a user cancelled it.
pub const CANCELLED: &str = "Cancelled";
/// Reason: the controller is being stopped and starts nothing more.
pub const DRAINING: &str = "Draining";
/// Reason: the object is being deleted.
pub const DELETING: &str = "Deleting";
/// Reason: a stack is to be deleted and still used.
pub const DELETION_BLOCKED: &str = "DeletionBlocked";
/// Reason: the file it was read from is gone, and it is left alone.
pub const ORPHANED: &str = "Orphaned";
/// Reason: the source cannot be read at the moment.
pub const SOURCE_NOT_READY: &str = "SourceNotReady";
/// Reason: the stack the render names does not exist, or none is named and there are several.
pub const STACK_NOT_FOUND: &str = "StackNotFound";
/// Reason: the stack cannot render yet.
pub const STACK_NOT_READY: &str = "StackNotReady";
/// Reason: the stack is being made or changed.
pub const PROGRESSING: &str = "Progressing";
/// Reason: the stack can render.
pub const AVAILABLE: &str = "Available";
