//! The registry of error codes: one stable name per failure, the same on the terminal, in JSON lines,
//! in `.status.failure.code` and as the Lambda error type.

use serde::{Deserialize, Serialize};

/// Whose fault a failure is; decides the exit code and whether another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The composition, its variables or its files: the same input fails again. Exit code 2.
    Composition,
    /// Ours or the machine's, and another attempt may succeed. Exit code 1.
    Transient,
    /// Ours or the machine's, and somebody must act first: a program, a right or a file is missing. Exit code 1.
    Permanent,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal, $fault:ident;)*) => {
        /// A stable error code. Codes that upstream also has keep upstream's spelling and meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(clippy::enum_variant_names, reason = "the names are the wire's")]
        pub enum Code { $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)* }

        impl Code {
            /// Every code, in the order of the registry.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it is spelled everywhere.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $name,)* } }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii_start(),)* }
            }

            /// Whose fault a failure with this code is.
            #[must_use]
            pub const fn fault(self) -> Fault { match self { $(Self::$variant => Fault::$fault,)* } }
        }
    };
}

codes! {
    /// The project folder does not exist or is not a folder.
    ProjectNotFound = "PROJECT_NOT_FOUND", Composition;
    /// The project has no `index.html`.
    EntryNotFound = "ENTRY_NOT_FOUND", Composition;
    /// A link or a reference leads out of the project folder.
    PathOutsideProject = "PATH_OUTSIDE_PROJECT", Composition;
    /// The composition root is missing or one of its attributes cannot be used.
    CompositionInvalid = "COMPOSITION_INVALID", Composition;
    /// Neither the root, nor a timeline, nor an animation with an end says how long the composition lasts.
    DurationUnknown = "DURATION_UNKNOWN", Composition;
    /// The duration is zero, negative, not a number or above 24 hours (upstream's code and limit).
    DurationOutOfRange = "DISTRIBUTED_DURATION_OUT_OF_RANGE", Composition;
    /// Variables are not a JSON object, or a value does not fit its declaration.
    VariablesInvalid = "VARIABLES_INVALID", Composition;
    /// A script threw and the page is not ready, or a timeline is missing, because of it.
    ScriptError = "SCRIPT_ERROR", Composition;
    /// The page did not become ready before the deadline.
    PageNotReady = "PAGE_NOT_READY", Composition;
    /// A font cannot be had deterministically (upstream's code).
    FontFetchFailed = "FONT_FETCH_FAILED", Composition;
    /// The composition asks for a file that is not in the project.
    AssetMissing = "ASSET_MISSING", Composition;
    /// A video, a sound or an image cannot be read: it is cut short, of an unknown kind, or no such thing at all.
    MediaUnreadable = "MEDIA_UNREADABLE", Composition;
    /// The composition asks for something on the network that is not fetched.
    RemoteAssetUnsupported = "REMOTE_ASSET_UNSUPPORTED", Composition;
    /// Something on the network that the composition asks for cannot be had at the moment.
    RemoteAssetUnavailable = "REMOTE_ASSET_UNAVAILABLE", Transient;
    /// A warning only: an address names no exact version of a package, and another day's may be another one.
    VersionNotPinned = "VERSION_NOT_PINNED", Permanent;
    /// The composition uses something this renderer cannot draw rightly yet.
    FeatureUnsupported = "FEATURE_UNSUPPORTED", Composition;
    /// Something in the composition does not follow the time of the frame being drawn.
    NotSeekable = "NOT_SEEKABLE", Composition;
    /// The composition does not come to the same picture twice.
    NotRepeatable = "NOT_REPEATABLE", Composition;
    /// The render configuration contradicts itself or the composition.
    ConfigInvalid = "CONFIG_INVALID", Composition;
    /// A format that is only made on one machine (upstream's code).
    FormatNotDistributed = "FORMAT_NOT_SUPPORTED_IN_DISTRIBUTED", Composition;
    /// A file of the plan is missing or unreadable (upstream's code).
    MissingPlanArtifact = "MISSING_PLAN_ARTIFACT", Permanent;
    /// The plan folder was changed after planning (upstream's code).
    PlanHashMismatch = "PLAN_HASH_MISMATCH", Permanent;
    /// A plan or an event of a protocol this build does not speak (upstream's code).
    PlanProtocolUnsupported = "PLAN_PROTOCOL_UNSUPPORTED", Permanent;
    /// A Lambda event that asks for nothing known, or lacks what it needs.
    EventInvalid = "EVENT_INVALID", Permanent;
    /// An event names a bucket or a key that this function may not touch (upstream's code).
    S3UriNotAllowed = "S3_URI_NOT_ALLOWED", Permanent;
    /// A published plan's manifest, or a file of it, is not what it says of itself (upstream's code).
    PlanIntegrity = "PLAN_V2_INTEGRITY_UNRECOVERABLE", Permanent;
    /// Bytes came or went that do not have the digest they are named by, or a key that never changes holds other bytes
    /// (upstream's code).
    ArtifactDigestMismatch = "PLAN_ARTIFACT_DIGEST_MISMATCH", Permanent;
    /// A plan or a project is larger than the disk of a worker (upstream's code).
    PlanTooLarge = "PLAN_TOO_LARGE", Composition;
    /// An archive is damaged, or holds something an archive of a project may not hold.
    ArchiveInvalid = "ARCHIVE_INVALID", Composition;
    /// The source cannot be had at the moment: nobody answers, or it is not there.
    SourceUnavailable = "SOURCE_UNAVAILABLE", Transient;
    /// The source lies where nothing may be fetched from.
    SourceRefused = "SOURCE_REFUSED", Permanent;
    /// The source's archive does not have the digest that the spec names.
    SourceDigestMismatch = "SOURCE_DIGEST_MISMATCH", Composition;
    /// The store has no object under this key.
    ObjectNotFound = "OBJECT_NOT_FOUND", Permanent;
    /// The store refused what this function asked of it: a right is missing, or the request makes no sense to it.
    StorageRefused = "STORAGE_REFUSED", Permanent;
    /// The store answered with errors, slowly, or not at all.
    StorageUnavailable = "STORAGE_UNAVAILABLE", Transient;
    /// The work does not fit into the time one invocation has.
    InvocationTimeLimit = "INVOCATION_TIME_LIMIT", Permanent;
    /// A bug of ours: something that cannot be was.
    Internal = "INTERNAL_ERROR", Transient;
    /// The plan has no chunk of this index (upstream's code).
    ChunkIndexOutOfRange = "CHUNK_INDEX_OUT_OF_RANGE", Permanent;
    /// A chunk is truncated, of another plan, or in the wrong place.
    ChunkInvalid = "CHUNK_INVALID", Transient;
    /// The plan was made with other libav libraries (upstream's code).
    FfmpegVersionMismatch = "FFMPEG_VERSION_MISMATCH", Permanent;
    /// The plan was made by another build of the renderer.
    ProducerVersionMismatch = "PRODUCER_VERSION_MISMATCH", Permanent;
    /// The plan was made with another browser build.
    BrowserVersionMismatch = "BROWSER_VERSION_MISMATCH", Permanent;
    /// No usable headless-shell was found.
    BrowserNotFound = "BROWSER_NOT_FOUND", Permanent;
    /// The browser ended or broke the protocol.
    BrowserFailed = "BROWSER_FAILED", Transient;
    /// Nothing moved for the time allowed.
    NoProgress = "NO_PROGRESS", Transient;
    /// A warning only: frames are read the slow way.
    SlowFrames = "SLOW_FRAMES", Permanent;
    /// libav has no such encoder or refused its settings.
    EncoderUnavailable = "ENCODER_UNAVAILABLE", Permanent;
    /// libav failed while encoding or writing.
    EncodeFailed = "ENCODE_FAILED", Transient;
    /// The npm asset cache is missing or changed.
    AssetCacheInvalid = "ASSET_CACHE_INVALID", Permanent;
    /// The disk is full.
    DiskFull = "DISK_FULL", Transient;
    /// A file or folder may not be written.
    NotWritable = "NOT_WRITABLE", Permanent;
    /// The output names something that must not be replaced: a folder or file of somebody else, a device, or a part of the
    /// input.
    OutputNotReplaceable = "OUTPUT_NOT_REPLACEABLE", Permanent;
    /// The user or the system asked the process to stop.
    Interrupted = "INTERRUPTED", Transient;
    /// Any other failure of a file operation.
    IoFailed = "IO_FAILED", Transient;
    /// The `hf-producer` program was not found or cannot be started.
    ProducerNotFound = "PRODUCER_NOT_FOUND", Permanent;
    /// A producer process was killed or ended without an answer.
    ProducerCrashed = "PRODUCER_CRASHED", Transient;
    /// AWS does not answer, or answers with an error of its own.
    AwsUnavailable = "AWS_UNAVAILABLE", Transient;
    /// AWS takes no more requests at the moment.
    AwsThrottled = "AWS_THROTTLED", Transient;
    /// There are no credentials for AWS, or they have expired.
    AwsCredentials = "AWS_CREDENTIALS", Permanent;
    /// A right is missing in AWS.
    AwsAccessDenied = "AWS_ACCESS_DENIED", Permanent;
    /// AWS refused a request.
    AwsRefused = "AWS_REFUSED", Permanent;
    /// Something in AWS that was there is gone.
    AwsNotFound = "AWS_NOT_FOUND", Permanent;
    /// There is no `handler.zip` that a stack could run.
    HandlerNotFound = "HANDLER_NOT_FOUND", Permanent;
    /// A CloudFormation stack of this name exists, and is not this object's.
    StackNotOurs = "STACK_NOT_OURS", Permanent;
    /// CloudFormation could not make or change the stack.
    StackFailed = "STACK_FAILED", Permanent;
    /// CloudFormation could not delete the stack.
    StackDeleteFailed = "STACK_DELETE_FAILED", Permanent;
    /// A change of the stack waits for approval.
    StackChangeWaits = "STACK_CHANGE_WAITS", Permanent;
    /// Somebody else has changed resources of the stack.
    StackDrifted = "STACK_DRIFTED", Permanent;
    /// An execution failed with an error that is not in this registry.
    ExecutionFailed = "EXECUTION_FAILED", Transient;
    /// An execution took longer than it may.
    ExecutionTimedOut = "EXECUTION_TIMED_OUT", Transient;
    /// The render has cost more than its budget.
    BudgetExceeded = "BUDGET_EXCEEDED", Permanent;
    /// The render has waited longer for its turn than its spec allows.
    QueueDeadlineExceeded = "QUEUE_DEADLINE_EXCEEDED", Permanent;
    /// The render has taken longer than its spec allows.
    ActiveDeadlineExceeded = "ACTIVE_DEADLINE_EXCEEDED", Permanent;
    /// The spec of the object cannot be acted on.
    SpecInvalid = "SPEC_INVALID", Composition;
    /// A code of another version of these programs; the message begins with it.
    Unrecognized = "UNRECOGNIZED", Permanent;
}

impl Code {
    /// The code that is spelled so, if this version knows it.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// True when another attempt with the same input may succeed by itself.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self.fault(), Fault::Transient)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
