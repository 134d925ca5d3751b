//! What a spec points at: a composition and its digest, the file to write, the place of a stack. All reading happens on
//! the blocking pool; the event loop never waits for a disk.

use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crds::{Code, Failure, HyperframesStack, Render, RenderConfig, stack::aws::AwsStack};
use fs_err as fs;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use kube::ResourceExt as _;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, statfs};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::ports::{AwsPlace, DataKey, DataKind, Inputs, ObjectKey, Origin, Place, Source, StackSpec};

pub(crate) mod archive;
mod dependents;
mod digests;
mod fetched;
mod places;
#[cfg(test)]
pub mod scripted;

use dependents::{Dependencies, Dependents};
use digests::Digests;
pub(crate) use digests::{Stamp, file_digest};
pub use fetched::Fetched;
pub use places::target_path;
use places::{Places, below};

/// What is to be rendered cannot be said.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceError {
    /// The spec cannot be acted on until somebody changes something.
    Invalid(Failure),
    /// It cannot be read at the moment.
    Unreadable(Failure),
    /// It is being fetched, as one sentence says: its Render is looked at again when it is there.
    Coming(String),
}

/// Resolves specs.
pub enum Sources {
    /// Folders on this machine.
    Disk(Arc<DiskSources>),
    /// What a test says.
    #[cfg(test)]
    Scripted(scripted::ScriptedSources),
}

/// Compositions in folders, with their digests kept while nothing changes.
#[derive(Default)]
pub struct DiskSources {
    digests: Digests,
    dependents: Dependents,
    /// Those that have to be fetched first; `None` where none are.
    fetched: Option<Fetched>,
}

impl Sources {
    /// Folders on this machine.
    #[must_use]
    pub fn on_disk() -> Self {
        Self::Disk(Arc::default())
    }

    /// What a Render is made from now, and where to.
    ///
    /// # Errors
    /// Why that cannot be said, for the user.
    pub async fn inputs(&self, render: &Arc<Render>, origin: &Origin) -> Result<Inputs, SourceError> {
        match self {
            Self::Disk(sources) => {
                let fetched = match &sources.fetched {
                    Some(fetched) => fetched.folder(render).await?,
                    None => None,
                };
                let (sources, render, origin) = (Arc::clone(sources), Arc::clone(render), origin.clone());
                let inputs =
                    tokio::task::spawn_blocking(move || sources.inputs(&render, &origin, fetched.as_deref())).await;
                inputs.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            #[cfg(test)]
            Self::Scripted(sources) => sources.inputs(render),
        }
    }

    /// Somebody asks for a look: what is known of a Render's composition is found out anew.
    pub fn look_anew(&self, key: &ObjectKey) {
        match self {
            Self::Disk(sources) => sources.look_anew(key),
            #[cfg(test)]
            Self::Scripted(_) => {}
        }
    }

    /// A Render is not there any more.
    pub fn forget(&self, key: &ObjectKey) {
        match self {
            Self::Disk(sources) => {
                sources.dependents.forget(key);
                if let Some(fetched) = &sources.fetched {
                    fetched.forget(key);
                }
            }
            #[cfg(test)]
            Self::Scripted(_) => {}
        }
    }

    /// Keys of Renders whose composition or video has changed. Only the first call gets them.
    #[must_use]
    pub fn changes(&self) -> BoxStream<'static, ObjectKey> {
        match self {
            Self::Disk(sources) => match &sources.fetched {
                Some(fetched) => stream::select(sources.dependents.changes(), fetched.changes()).boxed(),
                None => sources.dependents.changes(),
            },
            #[cfg(test)]
            Self::Scripted(sources) => sources.changes(),
        }
    }
}

impl DiskSources {
    /// Folders, and what is fetched into some.
    #[must_use]
    pub fn fetching(fetched: Fetched) -> Self {
        Self { fetched: Some(fetched), ..Self::default() }
    }

    /// These paths were touched: what depends on them is looked at again.
    pub fn touched(&self, paths: &[PathBuf]) {
        for folder in self.digests.invalidate(paths) {
            self.dependents.folder_changed(&folder);
        }
        self.dependents.files_changed(paths);
    }

    /// Anything may have changed: what differs in size or time is looked at again. Reads no file's content.
    pub fn revalidate(&self) {
        let projects = self.dependents.projects();
        for folder in self.digests.revalidate(&projects) {
            self.dependents.folder_changed(&folder);
        }
        self.dependents.revalidate();
        if let Some(fetched) = &self.fetched {
            fetched.sweep(&projects);
        }
    }

    /// The project folders that Renders are made from.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        self.dependents.projects().into_iter().collect()
    }

    /// Waits until [`folders`](Self::folders) may be others.
    pub async fn folders_changed(&self) {
        self.dependents.projects_changed().await;
    }

    fn look_anew(&self, key: &ObjectKey) {
        if let Some(project) = self.dependents.project_of(key) {
            self.digests.invalidate(&[project]);
        }
        if let Some(fetched) = &self.fetched {
            fetched.look_anew(key);
        }
    }

    fn inputs(&self, render: &Render, origin: &Origin, fetched: Option<&Path>) -> Result<Inputs, SourceError> {
        let key = ObjectKey::render(render);
        let invalid = |code, message: String| {
            let path = match origin {
                Origin::File { path, .. } => Some(path.display().to_string()),
                Origin::BuiltIn | Origin::Cluster(_) => None,
            };
            SourceError::Invalid(Failure { code, message, path, line: None })
        };
        let places = Places::of(render, origin, fetched).map_err(|message| invalid(Code::SpecInvalid, message))?;
        let written = render.spec.source.path.as_deref().unwrap_or_default();
        let mut depends = Dependencies { written: places.project.clone(), project: None, target: None };
        let not_a_folder = || {
            let message =
                format!("spec.source.path: {written:?} is not a folder: paths are relative to {}", places.home);
            invalid(Code::ProjectNotFound, message)
        };
        let project = match fs::canonicalize(&depends.written) {
            Ok(project) if project.is_dir() => Ok(project),
            Ok(_) => Err(not_a_folder()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_a_folder()),
            Err(error) if is_loop(&depends.written) => Err(invalid(Code::IoFailed, error.to_string())),
            Err(error) => Err(unreadable(&error)),
        };
        let target = resolve_target(&places.target, render.spec.output.format.extension().is_none());
        depends.project = project.as_ref().ok().cloned();
        depends.target = target.as_ref().ok().cloned();
        self.dependents.note(&key, depends);
        let project = project?;
        let target =
            target.map_err(|reason| invalid(Code::OutputNotReplaceable, format!("spec.output.path: {reason}")))?;
        places.confine(&project, &target).map_err(|message| invalid(Code::SpecInvalid, message))?;
        if let Ok(inside) = target.strip_prefix(&project)
            && !digests::skipped(&project).map_err(|error| unreadable(&error))?.skips(inside, false)
        {
            let message = "spec.output.path lies inside the project: the video would become part of its own source";
            return Err(invalid(Code::SpecInvalid, message.to_owned()));
        }
        let digest = self.digests.site(&project).map_err(|error| unreadable(&error))?;
        let config = render.spec.config();
        Ok(Inputs {
            hash: input_hash(&digest, &config),
            source: Source::Folder { path: project, digest },
            config,
            target,
            target_named: render.spec.output.path.is_some(),
        })
    }
}

fn unreadable(error: &io::Error) -> SourceError {
    let failure = Failure::new(Code::IoFailed, error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Invalid(failure),
        _ => SourceError::Unreadable(failure),
    }
}

/// A link that leads to itself stays so until somebody removes it.
fn is_loop(path: &Path) -> bool {
    path.metadata().is_err_and(|error| error.raw_os_error() == Some(nix::libc::ELOOP))
}

/// SHA-256 over a source's digest and what of the configuration decides the video.
#[must_use]
pub fn input_hash(digest: &str, config: &RenderConfig) -> String {
    let made_from = json!({ "source": digest, "config": config.identity() });
    let canonical = serde_json_canonicalizer::to_vec(&made_from);
    let canonical = canonical.unwrap_or_else(|error| unreachable!("JSON values: {error}"));
    hex::encode(Sha256::digest(canonical))
}

/// The file or folder that writing to a path writes: links followed, missing folders still missing. It need not exist.
///
/// # Errors
/// Why nothing may be written there, as half a sentence: only a regular file is ever replaced, or, where `is_folder`, a
/// folder.
pub fn resolve_target(path: &Path, is_folder: bool) -> Result<PathBuf, String> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() == is_folder && (meta.is_dir() || meta.is_file()) => {
            return fs::canonicalize(path).map_err(|error| error.to_string());
        }
        Ok(meta) if meta.is_file() => return Err(format!("{shown} is a file: name a folder")),
        Ok(meta) if meta.is_dir() => return Err(format!("{shown} is a folder: name a file")),
        Ok(_) => return Err(format!("{shown} is a device, a pipe or a socket: name a file")),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(format!("{shown} lies below a file: name a path below folders"));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        // Not just something: a file may have come since.
        Err(_) if path.is_symlink() => {
            return Err(format!("{shown} is a link that leads nowhere: remove it or make what it leads to"));
        }
        Err(_) => {}
    }
    let mut missing = Vec::new();
    let mut existing = path;
    // It was not there: what has come since changes nothing.
    loop {
        match (existing.components().next_back(), existing.parent()) {
            (Some(Component::Normal(name)), Some(parent)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return Err(format!("{shown} leads through folders that do not exist: name a plain path")),
        }
        if existing.exists() {
            break;
        }
    }
    let existing = fs::canonicalize(existing).map_err(|error| error.to_string())?;
    if !existing.is_dir() {
        return Err(format!("{} is not a folder", existing.display()));
    }
    if holds_no_files(&existing) {
        return Err(format!("{} is the system's own and holds no files: name another folder", existing.display()));
    }
    Ok(missing.into_iter().rev().fold(existing, |path, name| path.join(name)))
}

/// Whether a folder only shows what the kernel knows.
fn holds_no_files(folder: &Path) -> bool {
    let kinds = [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
    statfs(folder).is_ok_and(|found| kinds.contains(&found.filesystem_type()))
}

/// The `file://` address of an absolute path.
#[must_use]
pub fn uri(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from)
}

/// A stack as backends know it.
///
/// # Errors
/// What in its spec cannot be acted on.
pub fn stack_spec(stack: &HyperframesStack, origin: &Origin) -> Result<StackSpec, Failure> {
    let place = match &stack.spec.aws {
        Some(aws) => Place::Aws(Box::new(aws_place(stack, aws, origin)?)),
        None => {
            let local = stack.spec.local.clone().unwrap_or_default();
            let work_dir = local.work_dir.map(|path| work_dir(&path, origin)).transpose()?;
            let max_parallel_chunks = local.max_parallel_chunks.and_then(|most| usize::try_from(most).ok());
            Place::Local { max_parallel_chunks, work_dir }
        }
    };
    Ok(StackSpec { key: ObjectKey::stack(stack), place })
}

fn aws_place(stack: &HyperframesStack, spec: &AwsStack, origin: &Origin) -> Result<AwsPlace, Failure> {
    let ObjectKey { namespace, name, .. } = ObjectKey::stack(stack);
    let stack_name = spec.stack_name.clone().unwrap_or_else(|| format!("{namespace}-{name}").replace('.', "-"));
    if stack_name.len() > LONGEST_STACK_NAME {
        let message = format!(
            "spec.aws.stackName: {stack_name:?} is longer than {LONGEST_STACK_NAME} characters, and so are the names of what it holds: name a shorter one"
        );
        return Err(Failure::new(Code::SpecInvalid, message));
    }
    let secret = spec.credentials.as_ref().and_then(|credentials| credentials.secret_ref.as_ref());
    let secret = secret.map(|secret| DataKey { kind: DataKind::Secret, namespace, name: secret.name.clone() });
    let zip = spec.handler.as_ref().and_then(|handler| handler.zip.as_ref());
    let known = stack.status.as_ref().and_then(|status| status.aws.clone()).unwrap_or_default();
    if let Some(id) = &known.stack_id
        && !id.contains(&format!(":cloudformation:{}:", spec.region))
    {
        let message = format!("spec.aws.region cannot be changed: {id} is elsewhere; make another stack");
        return Err(Failure::new(Code::SpecInvalid, message));
    }
    if let Some(id) = &known.stack_id
        && !id.contains(&format!(":stack/{stack_name}/"))
    {
        let message = format!("spec.aws.stackName cannot be changed: {id} has another; make another stack");
        return Err(Failure::new(Code::SpecInvalid, message));
    }
    Ok(AwsPlace {
        owner: stack.uid().unwrap_or_default(),
        stack_name,
        spec: spec.clone(),
        secret,
        zip: zip.map(|zip| beside(zip, origin, "spec.aws.handler.zip")).transpose()?,
        stack_id: known.stack_id,
        drift: known.drift.map(|drift| (drift.last_check_time.0, drift.drifted_resources)),
    })
}

/// Names of functions are at most 64 characters long, and so are those of roles and alarms, which are made from this one.
const LONGEST_STACK_NAME: usize = 53;

/// The absolute path of `spec.local.workDir`.
fn work_dir(path: &str, origin: &Origin) -> Result<PathBuf, Failure> {
    const FIELD: &str = "spec.local.workDir";
    match origin {
        // Only we write below it: no link there leads out.
        Origin::Cluster(folders) => {
            below(&folders.work, path, FIELD).map_err(|message| Failure::new(Code::SpecInvalid, message))
        }
        Origin::File { .. } | Origin::BuiltIn => beside(path, origin, FIELD),
    }
}

/// The absolute path of one that is relative to an object's file.
fn beside(path: &str, origin: &Origin, field: &str) -> Result<PathBuf, Failure> {
    let message = match origin {
        Origin::File { path: file, .. } => return Ok(file.parent().unwrap_or(Path::new("/")).join(path)),
        Origin::BuiltIn if Path::new(path).is_absolute() => return Ok(path.into()),
        Origin::BuiltIn => format!("{field}: {path:?} is relative, and there is no file that it could be relative to"),
        Origin::Cluster(_) => {
            format!("{field} names a file beside a YAML file, and in a cluster there are none: leave it out")
        }
    };
    Err(Failure::new(Code::SpecInvalid, message))
}

#[cfg(test)]
mod tests;
