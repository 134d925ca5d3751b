//! Every way a command can fail; each ends up as one stable code.

use std::path::PathBuf;

use crds::{Code, Failure};

use crate::{
    draw::{browser, ready},
    files, libav,
    plan::{defects, project},
    target,
};

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The output.
    #[error(transparent)]
    Output(#[from] target::Error),
    /// The project folder.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// The browser.
    #[error(transparent)]
    Browser(#[from] browser::Error),
    /// The page did not become ready.
    #[error(transparent)]
    Page(#[from] ready::Error),
    /// libav.
    #[error(transparent)]
    Libav(#[from] libav::Error),
    /// What the composition says of itself.
    #[error("{message}")]
    Composition {
        /// The stable code.
        code: Code,
        /// What is wrong and what to do.
        message: String,
        /// The file of the project.
        path: Option<String>,
        /// The line in it, from 1.
        line: Option<u32>,
    },
    /// Defects of the composition, at least one.
    #[error("{}", defects::summary(.0).map(|summary| summary.message).unwrap_or_default())]
    Defects(Vec<Failure>),
    /// A file of the plan is missing or not as a plan has it.
    #[error("{} is not a readable part of a plan ({reason}): plan again", path.display())]
    PlanUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The plan was written by a build with another protocol.
    #[error("this plan has a protocol this build does not read: plan again with this build")]
    PlanProtocol,
    /// The plan folder was changed after planning.
    #[error("the plan folder was changed after planning ({found} instead of {expected}): plan again")]
    PlanChanged {
        /// The hash in `plan.json`.
        expected: String,
        /// The hash of what is there.
        found: String,
    },
    /// The plan was made with another version of something that pixels or bytes depend on.
    #[error("the plan was made with {planned}, here is {here}: plan again on this machine")]
    Version {
        /// The stable code.
        code: Code,
        /// What planned.
        planned: String,
        /// What is here.
        here: String,
    },
    /// The plan has no such chunk.
    #[error("the plan has {count} chunks, numbered from 0: there is no chunk {index}")]
    ChunkIndex {
        /// What was asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// A chunk is not what the plan says.
    #[error("{}: {reason}: render this chunk again", path.display())]
    Chunk {
        /// The chunk file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Files(error) => error.code(),
            Self::Output(error) => error.code(),
            Self::Project(error) => error.code(),
            Self::Browser(error) => error.code(),
            Self::Page(error) => error.code(),
            Self::Libav(error) => error.code(),
            Self::Defects(all) => all.first().map_or(Code::Internal, |first| first.code),
            Self::Composition { code, .. } | Self::Version { code, .. } => *code,
            Self::PlanUnreadable { .. } => Code::MissingPlanArtifact,
            Self::PlanProtocol => Code::PlanProtocolUnsupported,
            Self::PlanChanged { .. } => Code::PlanHashMismatch,
            Self::ChunkIndex { .. } => Code::ChunkIndexOutOfRange,
            Self::Chunk { .. } => Code::ChunkInvalid,
        }
    }

    /// What is told of it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let shown = |path: &std::path::Path| Some(path.display().to_string());
        let (path, line) = match self {
            Self::Composition { path, line, .. } => (path.clone(), *line),
            Self::Defects(all) => all.first().map_or((None, None), |first| (first.path.clone(), first.line)),
            Self::Page(error) => error.place(),
            Self::Project(project::Error::ReferenceOutside { path, line, .. }) => (Some(path.clone()), *line),
            Self::Project(project::Error::LinkOutside { path, .. }) => (Some(path.clone()), None),
            Self::Output(error) => (shown(error.path()), None),
            Self::PlanUnreadable { path, .. } | Self::Chunk { path, .. } => (shown(path), None),
            _ => (None, None),
        };
        Failure { code: self.code(), message: self.to_string(), path, line }
    }

    /// What is told of it, each defect by itself.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        match self {
            Self::Defects(all) => all.clone(),
            error => vec![error.failure()],
        }
    }
}

/// A composition's own mistake.
pub(crate) fn composition(code: Code, message: impl Into<String>) -> Error {
    Error::Composition { code, message: message.into(), path: None, line: None }
}

/// A composition's own mistake at a place in it.
pub(crate) fn composition_at(code: Code, message: impl Into<String>, path: &str, line: u32) -> Error {
    let line = (line > 0).then_some(line);
    Error::Composition { code, message: message.into(), path: Some(path.to_owned()), line }
}
