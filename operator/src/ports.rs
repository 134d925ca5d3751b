//! The two ports of the reconciler: where objects live, and what renders.
//!
//! [`Store`] has one home in files (`DirStore`) and will have one in an API server; [`Backend`] renders on this machine
//! (`LocalBackend`) or elsewhere. Both are declared here, by their user, and implemented at the edges.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use crds::{
    Failure, FrameRate, HyperframesStack, HyperframesStackStatus, Quality, Render, RenderStatus,
    render::{OutputStatus, ProgressStage, ProgressStatus},
    stack::LocalStack,
};
use futures::stream::BoxStream;
use kube::ResourceExt as _;
use serde_json::{Map, Value};

use crate::error::Error;

/// Which object. Never a path: a file may be renamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `HyperframesStack`.
    Stack,
    /// `Render`.
    Render,
}

impl Kind {
    /// The kind's name in YAML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "HyperframesStack",
            Self::Render => "Render",
        }
    }
}

/// Namespace of objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

impl ObjectKey {
    /// The key of a Render.
    #[must_use]
    pub fn render(render: &Render) -> Self {
        Self::new(Kind::Render, render.namespace(), render.name_any())
    }

    /// The key of a stack.
    #[must_use]
    pub fn stack(stack: &HyperframesStack) -> Self {
        Self::new(Kind::Stack, stack.namespace(), stack.name_any())
    }

    fn new(kind: Kind, namespace: Option<String>, name: String) -> Self {
        Self { kind, namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()), name }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Something worth telling a user about an object. Reasons are those of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is bad news.
    pub warning: bool,
    /// CamelCase reason, or an error code.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Where objects live.
#[async_trait(?Send)]
pub trait Store {
    /// References of objects that were added, changed or removed. Ends when the store is closed.
    fn changes(&self) -> BoxStream<'static, ObjectKey>;

    /// A Render as it is now.
    async fn render(&self, key: &ObjectKey) -> Result<Option<Arc<Render>>, Error>;

    /// A stack as it is now.
    async fn stack(&self, key: &ObjectKey) -> Result<Option<Arc<HyperframesStack>>, Error>;

    /// All stacks of a namespace.
    async fn stacks(&self, namespace: &str) -> Result<Vec<Arc<HyperframesStack>>, Error>;

    /// All Renders of a namespace; the queue needs them.
    async fn renders(&self, namespace: &str) -> Result<Vec<Arc<Render>>, Error>;

    /// Replaces a Render's status, if the Render is still the version that was read.
    async fn write_render_status(&self, render: &Render, status: RenderStatus) -> Result<(), Error>;

    /// Replaces a stack's status, if the stack is still the version that was read.
    async fn write_stack_status(&self, stack: &HyperframesStack, status: HyperframesStackStatus) -> Result<(), Error>;

    /// Replaces an object's finalizers. A deleted object without any is gone.
    async fn set_finalizers(&self, render: &Render, finalizers: &[&str]) -> Result<(), Error>;

    /// Tells users.
    async fn event(&self, key: &ObjectKey, event: Event) -> Result<(), Error>;
}

/// Which stack a Render runs on, and how that stack is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSpec {
    /// The object, or `None` for the built-in one of file mode.
    pub key: Option<ObjectKey>,
    /// Its worker pool; paths are absolute.
    pub local: LocalStack,
}

/// What a backend knows of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackReport {
    /// It is being looked at.
    Pending,
    /// It can render.
    Ready {
        /// Chunks at the same time.
        parallel_chunks: i32,
        /// SHA-256 over the versions pixels depend on.
        renderer_digest: Option<String>,
    },
    /// It cannot render.
    NotReady(Failure),
}

/// Everything an attempt needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptSpec {
    /// `hf-<uid>-<attempt>`: starting it twice is starting it once.
    pub name: String,
    /// Where it runs.
    pub stack: StackSpec,
    /// The project folder.
    pub project: PathBuf,
    /// The video to write.
    pub output: PathBuf,
    /// Frame rate, if the spec says one.
    pub fps: Option<FrameRate>,
    /// Encoder preset.
    pub quality: Quality,
    /// Frames per chunk, if the spec says so.
    pub chunk_size: Option<i32>,
    /// Values for the composition's variables.
    pub variables: Map<String, Value>,
}

/// What a backend knows of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptReport {
    /// Nothing: it was never started, or by a process that has ended since.
    Unknown,
    /// It runs.
    Running(ProgressStatus),
    /// The video is there.
    Succeeded(OutputStatus),
    /// It failed.
    Failed(Failure),
    /// It was cancelled, or stopped before it was done.
    Stopped,
}

/// How far an attempt is that has just begun.
pub(crate) fn planning() -> ProgressStatus {
    ProgressStatus {
        percent: 0,
        stage: ProgressStage::Planning,
        frames_rendered: 0,
        frames_total: 0,
        chunks_done: 0,
        chunks_total: 0,
    }
}

/// What renders. Every call returns at once: progress comes from observing, never from a call that waits.
pub trait Backend {
    /// Looks at a stack, making it if need be.
    fn stack(&self, stack: &StackSpec) -> StackReport;

    /// Starts an attempt, unless it runs already.
    fn start(&self, attempt: AttemptSpec);

    /// What an attempt has come to.
    fn observe(&self, name: &str) -> AttemptReport;

    /// Ends an attempt, if it runs.
    fn cancel(&self, name: &str);
}
