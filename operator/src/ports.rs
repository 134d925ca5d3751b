//! The ports of the reconciler, and the values they speak in: where objects live, what renders, and the data of Secrets and
//! ConfigMaps.
//!
//! All are declared here, by their user, and implemented at the edges: [`Store`] by a folder of YAML files and by an API
//! server, [`Backend`] by this machine and by AWS, [`DataObjects`] by an API server. Each has a twin in memory that tests
//! drive through failures, restarts and stale reads.

use std::{collections::BTreeMap, fmt, path::Path, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use crds::{
    Failure, HyperframesStack, HyperframesStackStatus, Render, RenderConfig, RenderStatus, Usd,
    render::{OutputStatus, ProgressStage, ProgressStatus},
    stack::aws::{AwsStack, AwsStackStatus},
};
use futures::stream::BoxStream;
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};

pub use crate::object::{DEFAULT_NAMESPACE, Kind, ObjectKey};
use crate::{error::Error, reconcile::queue::QueueView};

/// Where an object comes from. It decides what the paths in a spec are relative to, and is never read from what a user may
/// write on the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A YAML file.
    File {
        /// The file, absolute.
        path: Arc<Path>,
        /// The file is gone and the object was not pruned: it is left alone.
        orphaned: bool,
    },
    /// The stack of a namespace without any, in file mode.
    BuiltIn,
    /// An API server, and the folders of whoever runs the operator.
    Cluster(Arc<Folders>),
}

/// Where paths of objects in a cluster lead to, and nowhere else. Whoever runs the operator says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// Compositions, by `spec.source.path`; `None` where there are none.
    pub sources: Option<PathBuf>,
    /// Videos, each Render's in `<namespace>/<name>`.
    pub outputs: PathBuf,
    /// Plans and chunks in the making.
    pub work: PathBuf,
}

impl Origin {
    /// Whether the object is to be left alone because its file is gone.
    #[must_use]
    pub const fn is_orphaned(&self) -> bool {
        matches!(self, Self::File { orphaned: true, .. })
    }

    /// Whether the object may be deleted by us: what a user has written into a file is the user's.
    #[must_use]
    pub const fn may_be_deleted(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// An object as it was read, and where it comes from.
#[derive(Clone, Debug)]
pub struct Sourced<K> {
    /// The object.
    pub object: Arc<K>,
    /// Where it comes from.
    pub origin: Origin,
}

/// One version of an object: what a write is guarded by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which object.
    pub key: ObjectKey,
    /// Its uid: an object that was deleted and made anew is another.
    pub uid: String,
    /// The version that was read.
    pub resource_version: String,
}

impl Version {
    /// The version of an object as it was read.
    #[must_use]
    pub fn of<K: Resource>(key: ObjectKey, object: &K) -> Self {
        let uid = object.uid().unwrap_or_default();
        Self { key, uid, resource_version: object.resource_version().unwrap_or_default() }
    }
}

/// Something worth telling a user about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is bad news.
    pub warning: bool,
    /// The reason of a condition, or an error code.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Where objects live.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keys of objects that were added, changed or removed: at first every object, then each that changes, at least once
    /// after the change can be read; several changes of one object may come as one. One object that cannot be read never
    /// ends it. Only the first call gets them.
    fn changes(&self) -> BoxStream<'static, ObjectKey>;

    /// A Render, `None` when there is none. It may be older than the last write; a write that relies on it is then refused.
    ///
    /// # Errors
    /// When the store cannot be reached or read.
    async fn get_render(&self, key: &ObjectKey) -> Result<Option<Sourced<Render>>, Error>;

    /// A stack, as [`get_render`](Self::get_render).
    ///
    /// # Errors
    /// When the store cannot be reached or read.
    async fn get_stack(&self, key: &ObjectKey) -> Result<Option<Sourced<HyperframesStack>>, Error>;

    /// Makes sure that an object was not read too late: what cannot be taken back is only done for its last version. One read
    /// of the store itself, past any cache.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not the version any more that was read.
    async fn confirm(&self, object: &Version) -> Result<(), Error>;

    /// The stack a Render runs on: the one it names, else the only one of its namespace, else the built-in one where there
    /// is one. `Err` says, for the user, why there is none.
    ///
    /// # Errors
    /// The sentence.
    fn stack_of(&self, render: &Render) -> Result<ObjectKey, String>;

    /// The Renders of a stack that run or want to, as of the last change or own write that this store knows of. Kept up to
    /// date on change: a look costs nothing.
    fn queue(&self, stack: &ObjectKey) -> QueueView;

    /// Replaces a Render's status.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the Render is not the version any more that `render` is; nothing was written then.
    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error>;

    /// Replaces a stack's status.
    ///
    /// # Errors
    /// As [`write_render_status`](Self::write_render_status).
    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error>;

    /// Adds a finalizer of ours; those of others stay.
    ///
    /// # Errors
    /// As [`write_render_status`](Self::write_render_status).
    async fn add_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error>;

    /// Removes a finalizer of ours; those of others stay. An object that is being deleted and has none left is gone.
    ///
    /// # Errors
    /// As [`write_render_status`](Self::write_render_status).
    async fn remove_finalizer(&self, object: &Version, finalizer: &str) -> Result<(), Error>;

    /// Deletes an object, as a user would: it is gone once it has no finalizer left. Never called for one that comes from a
    /// file.
    ///
    /// # Errors
    /// As [`write_render_status`](Self::write_render_status).
    async fn delete(&self, object: &Version) -> Result<(), Error>;

    /// Tells users. Called on transitions only.
    ///
    /// # Errors
    /// When it cannot be told; nothing depends on it.
    async fn publish(&self, object: &Version, event: Event) -> Result<(), Error>;
}

/// A kind of object that holds data under names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataKind {
    /// What anybody in the namespace may read.
    ConfigMap,
    /// What only some may: its data appear in no status, event or log.
    Secret,
}

impl DataKind {
    /// The kind's name in YAML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// A Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataKey {
    /// Its kind.
    pub kind: DataKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// What a Secret or a ConfigMap holds, by key: at most 1 MiB, as Kubernetes has it. Only its keys are ever shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data(pub BTreeMap<String, Vec<u8>>);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The data of Secrets and ConfigMaps.
#[async_trait]
pub trait DataObjects: Send + Sync {
    /// What an object holds now, past any cache; `None` when there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read; [`Class::Terminal`](crate::error::Class) when it may not be, or there are no such objects here.
    async fn data(&self, key: &DataKey) -> Result<Option<Data>, Error>;
}

/// No Secrets and no ConfigMaps, as in file mode: whoever asks for one is told so.
#[derive(Clone, Copy, Debug)]
pub struct NoDataObjects;

#[async_trait]
impl DataObjects for NoDataObjects {
    async fn data(&self, key: &DataKey) -> Result<Option<Data>, Error> {
        let kind = key.kind.as_str();
        Err(Error::NothingRuns(format!("there is no {kind} {:?}: {kind}s are objects of a cluster", key.name)))
    }
}

/// A stack as backends know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSpec {
    /// The object.
    pub key: ObjectKey,
    /// Where it renders.
    pub place: Place,
}

/// Where a stack renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Local {
        /// Chunks at the same time; `None` leaves it to cores and memory.
        max_parallel_chunks: Option<usize>,
        /// Folder for plans and chunks in the making, absolute; `None` is the usual one.
        work_dir: Option<PathBuf>,
    },
    /// In AWS Lambda.
    Aws(Box<AwsPlace>),
}

/// A stack on AWS, as asked for and as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsPlace {
    /// The object's uid: whose the CloudFormation stack is.
    pub owner: String,
    /// Name of the CloudFormation stack.
    pub stack_name: String,
    /// What is asked for.
    pub spec: AwsStack,
    /// The Secret with access keys that the spec names.
    pub secret: Option<DataKey>,
    /// The handler's zip that the spec names, absolute.
    pub zip: Option<PathBuf>,
    /// Id of the CloudFormation stack, once it was seen: after its deletion it is only known by that.
    pub stack_id: Option<String>,
    /// When drift was looked for last, and how many resources were found to differ.
    pub drift: Option<(Timestamp, i32)>,
}

/// What a backend knows of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackReport {
    /// Nothing of it is there.
    Absent,
    /// It is not as its spec says, as one sentence says: [`StackEffect::Ensure`] takes the next step.
    Outdated(String),
    /// Something is going on, as one sentence says; it ends by itself.
    Pending {
        /// What.
        what: String,
        /// When to ask again; `None` where the backend says by itself when it has ended.
        ask_again: Option<Duration>,
    },
    /// It can render.
    Ready(StackCapacity),
    /// It cannot render.
    NotReady(Failure),
}

/// What a stack that can render is able to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackCapacity {
    /// Chunks at the same time, at least 1.
    pub parallel_chunks: i32,
    /// Renders that may be under way at the same time, at least 1.
    pub slots: usize,
    /// SHA-256 over the versions that pixels depend on.
    pub renderer_digest: Option<String>,
    /// It renders, but is not as its spec says, and only a human can help.
    pub degraded: Option<Failure>,
    /// When to look at it again although nothing is expected to change.
    pub look_again: Option<Duration>,
}

/// What is to be brought about for a stack. Each may be repeated without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackEffect {
    /// Make it, or make it as its spec says; where it cannot render, find out anew why.
    Ensure,
    /// Take it down.
    Delete,
}

/// What a video is made from, on disk or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A project folder.
    Folder {
        /// The folder, absolute and without links.
        path: PathBuf,
        /// SHA-256 over its files.
        digest: String,
    },
}

/// What is to be rendered, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// SHA-256 over the source's digest and the configuration's identity. The same hash gives the same video.
    pub hash: String,
    /// The composition.
    pub source: Source,
    /// How it is made into a video.
    pub config: RenderConfig,
    /// The file to write, absolute.
    pub target: PathBuf,
    /// The spec names that file: a backend that renders elsewhere brings the video there.
    pub target_named: bool,
}

/// Which attempt of which Render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRef {
    /// The stack it was started on.
    pub stack: StackSpec,
    /// `hf-<uid>-<attempt>-<8 digits of the input hash>`.
    pub name: String,
    /// What the backend called it when it was started; `None` where the name is enough, or nobody could write it down.
    pub handle: Option<String>,
    /// The file that a video which is made elsewhere is to be brought to, absolute.
    pub bring_to: Option<PathBuf>,
}

/// Everything an attempt needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptSpec {
    /// Which one: starting it twice is starting it once.
    pub attempt: AttemptRef,
    /// The Render it is for; it is looked at again when the attempt moves.
    pub owner: ObjectKey,
    /// What is rendered.
    pub inputs: Inputs,
}

/// An attempt that was started, or ran already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// What the backend calls it, such as the ARN of an execution.
    pub handle: Option<String>,
}

/// What a backend knows of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptReport {
    /// It has not found out yet.
    NotYetKnown,
    /// Nothing: it was never started, or by a process that has ended since and took it along.
    Unknown,
    /// It runs.
    Running {
        /// How far it is.
        progress: ProgressStatus,
        /// Estimate of what it has cost so far; `None` where it costs nothing.
        cost: Option<Usd>,
        /// When to ask again; `None` where the backend says by itself when it moves.
        ask_again: Option<Duration>,
    },
    /// The video is there.
    Succeeded {
        /// The video.
        output: OutputStatus,
        /// What is not as it should be, all the same.
        warnings: Vec<Failure>,
        /// Estimate of what it has cost; `None` where it costs nothing.
        cost: Option<Usd>,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// What else was not as it should be.
        warnings: Vec<Failure>,
        /// Estimate of what it has cost; `None` where it costs nothing.
        cost: Option<Usd>,
    },
    /// It was cancelled, or stopped before it was done. What it had finished is kept.
    Stopped {
        /// Estimate of what it has cost; `None` where it costs nothing.
        cost: Option<Usd>,
    },
}

impl AttemptReport {
    /// Whether something of it may still be going on.
    #[must_use]
    pub const fn may_run(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::NotYetKnown)
    }

    /// Estimate of what it has cost, as far as it is known.
    #[must_use]
    pub const fn cost(&self) -> Option<Usd> {
        match self {
            Self::Running { cost, .. } | Self::Succeeded { cost, .. } | Self::Failed { cost, .. } => *cost,
            Self::Stopped { cost } => *cost,
            Self::NotYetKnown | Self::Unknown => None,
        }
    }

    /// Whether it has come to an end by itself.
    #[must_use]
    pub const fn has_result(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. })
    }
}

/// How far an attempt is that has just begun.
#[must_use]
pub const fn planning() -> ProgressStatus {
    ProgressStatus {
        percent: 0,
        stage: ProgressStage::Planning,
        frames_rendered: 0,
        frames_total: 0,
        chunks_done: 0,
        chunks_running: 0,
        chunks_total: 0,
    }
}

/// Whether a video is still as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputCheck {
    /// None was made yet.
    NotMade,
    /// It is there, byte for byte.
    Intact,
    /// It is gone, changed, or wanted elsewhere, as one clause says.
    Lost(String),
}

/// What renders. No call waits for the work it asks for: progress comes from observing.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Keys of Renders and stacks of which something moved, so that an attempt need not be polled. Only the first call gets
    /// them. A backend that cannot tell says in its reports when to ask again.
    fn changes(&self) -> BoxStream<'static, ObjectKey>;

    /// What is known of a stack. Makes nothing.
    ///
    /// # Errors
    /// When it cannot be found out now.
    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error>;

    /// What is worth writing down of a stack, as of the last look; `None` where nothing is.
    fn stack_details(&self, stack: &StackSpec) -> Option<AwsStackStatus> {
        let _ = stack;
        None
    }

    /// Begins to bring something about for a stack.
    ///
    /// # Errors
    /// When it cannot be begun.
    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error>;

    /// Starts an attempt, unless one of this name runs or has finished.
    ///
    /// # Errors
    /// When it cannot be started; [`Class::Terminal`](crate::error::Class) fails the attempt.
    async fn start(&self, attempt: AttemptSpec) -> Result<Started, Error>;

    /// What an attempt has come to. A report is kept until the attempt is released.
    ///
    /// # Errors
    /// When it cannot be found out now.
    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error>;

    /// Begins to end an attempt, if it runs.
    ///
    /// # Errors
    /// When it cannot be begun.
    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error>;

    /// Whether the video of the last success is where these inputs want it, as it was recorded. `stack`: where it was made,
    /// if that is still there.
    ///
    /// # Errors
    /// When it cannot be found out now.
    async fn check_output(
        &self,
        stack: Option<&StackSpec>,
        recorded: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error>;

    /// Lets go of everything that was kept for an attempt: its report, its plan, its chunks. Only called once the status
    /// that carries its result is durable. Without effect for an attempt nothing is kept of.
    ///
    /// # Errors
    /// When it cannot be done now; it is called again.
    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error>;
}
