//! What is asked of AWS, in the reconciler's words. It is answered by the SDK, and in tests by a twin in memory that keeps
//! AWS's rules; failures come with their class and code.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use crds::stack::aws::AssumeRole;
use jiff::Timestamp;

use crate::{error::Error, ports::DataKey};

/// One account and region, as one identity.
#[async_trait]
pub(super) trait Cloud: Send + Sync {
    /// The account's number.
    async fn account(&self) -> Result<String, Error>;

    /// A stack by name or id; a deleted one is only known by its id.
    async fn stack(&self, name_or_id: &str) -> Result<Option<StackFacts>, Error>;

    /// Why the last operation on a stack failed first, as CloudFormation says.
    async fn first_failure(&self, stack: &str) -> Result<Option<String>, Error>;

    /// Prepares a change; nothing happens where one of that name exists.
    async fn create_change_set(&self, change: &Change) -> Result<(), Error>;

    /// A prepared change.
    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetFacts>, Error>;

    /// Begins to make a prepared change.
    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Error>;

    /// Forgets a prepared change.
    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Error>;

    /// Begins to delete a stack. The same `token` never deletes twice.
    async fn delete_stack(&self, stack: &str, token: &str) -> Result<(), Error>;

    /// Begins to take a failed change back once more.
    async fn continue_rollback(&self, stack: &str) -> Result<(), Error>;

    /// Begins to look for drift. Returns the id of the search.
    async fn detect_drift(&self, stack: &str) -> Result<String, Error>;

    /// What a search for drift has found: the number of resources that differ; `None` while it goes on.
    async fn drift(&self, search: &str) -> Result<Option<i32>, Error>;

    /// Makes a private bucket of this account, unless it is there.
    async fn ensure_bucket(&self, bucket: &str) -> Result<(), Error>;

    /// An object, without its content.
    async fn object(&self, bucket: &str, key: &str) -> Result<Option<ObjectFacts>, Error>;

    /// Writes an object from a file.
    async fn put_file(&self, object: &NewObject<'_>, file: &Path) -> Result<(), Error>;

    /// Writes an object into a file, which is whole or absent afterwards.
    async fn get_file(&self, bucket: &str, key: &str, file: &Path) -> Result<(), Error>;

    /// Starts an execution. Like AWS: the same name with the same input is the running one, any other use of a name that was
    /// used within 90 days is refused.
    async fn start_execution(&self, machine: &str, name: &str, input: &str) -> Result<StartedExecution, Error>;

    /// The state of an execution.
    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Error>;

    /// Events of an execution after the one of this id, in order. `None` for an execution that is not there.
    async fn history(&self, arn: &str, after: i64) -> Result<Option<Vec<HistoryEvent>>, Error>;

    /// Stops an execution, if it runs.
    async fn stop_execution(&self, arn: &str, cause: &str) -> Result<(), Error>;

    /// Lets an execution that was stopped or failed go on where it ended.
    async fn redrive_execution(&self, arn: &str) -> Result<(), Error>;
}

/// Who asks, and where. Without a Secret and a role it is whoever this process is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) region: String,
    /// Access keys.
    pub(super) secret: Option<DataKey>,
    /// Is assumed, with these keys if there are some.
    pub(super) role: Option<AssumeRole>,
}

/// Gives a [`Cloud`] for each identity.
#[async_trait]
pub(super) trait Clouds: Send + Sync {
    async fn cloud(&self, identity: Identity) -> Result<Arc<dyn Cloud>, Error>;
}

/// A CloudFormation stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StackFacts {
    pub(super) id: String,
    /// CloudFormation's word, such as `UPDATE_COMPLETE`.
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) description: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    /// Name of the change set that was executed last.
    pub(super) change_set: Option<String>,
}

/// A change to prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) stack: String,
    pub(super) name: String,
    /// The stack is not there yet.
    pub(super) creates: bool,
    /// Puts back what somebody else has changed.
    pub(super) reverts_drift: bool,
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A prepared change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeSetFacts {
    /// CloudFormation's word, such as `CREATE_COMPLETE`.
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) add: i32,
    pub(super) modify: i32,
    pub(super) remove: i32,
    pub(super) replace: i32,
}

/// An object without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectFacts {
    pub(super) bytes: u64,
    /// By lower-case name, without `x-amz-meta-`.
    pub(super) metadata: BTreeMap<String, String>,
}

/// An object to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewObject<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) content_type: &'a str,
    pub(super) metadata: &'a [(&'a str, &'a str)],
}

/// What came of starting an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartedExecution {
    /// It runs.
    Running(String),
    /// The name is taken.
    NameTaken,
}

/// The state of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExecutionState {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

/// Something that happened in an execution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HistoryEvent {
    pub(super) id: i64,
    /// The event that led to it; 0 for none.
    pub(super) previous: i64,
    pub(super) time: Timestamp,
    pub(super) what: Happened,
}

/// What happened. Of the two ways in which a state machine may call a function, events of both come out the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happened {
    /// A state was entered.
    StateEntered,
    /// An invocation was asked for, with this JSON; behind the service integration, in its `Payload`.
    InvocationScheduled(String),
    /// An invocation began.
    InvocationStarted,
    /// It answered with this JSON.
    InvocationSucceeded(String),
    /// It failed: error and cause.
    InvocationFailed(String, String),
    /// The execution's input or output: `output` is set when it has ended well.
    ExecutionSucceeded(String),
    /// It ended badly: error and cause.
    ExecutionFailed(String, String),
    /// It took too long.
    ExecutionTimedOut,
    /// Somebody stopped it.
    ExecutionAborted,
    /// It goes on after it had ended.
    ExecutionRedriven,
    /// Anything else.
    Other,
}
