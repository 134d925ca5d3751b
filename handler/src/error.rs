//! Every way an invocation can fail; each leaves as one stable code.

use crds::{Code, Failure};
use lambda_runtime::Diagnostic;

use crate::{archive, files, objects};

/// An invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the event, a manifest or the plan says.
    #[error("{0}")]
    Said(Failure),
    /// The store.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// The project's archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A file of ours.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The producer.
    #[error(transparent)]
    Producer(#[from] producer::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Said(failure)
    }
}

impl Error {
    /// What is told of it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Said(failure) => failure.clone(),
            Self::Objects(error) => Failure::new(error.trouble.code(), error.to_string()),
            Self::Archive(error) => Failure::new(error.code(), error.to_string()),
            Self::Files(error) => Failure::new(error.code(), error.to_string()),
            Self::Producer(error) => error.failure(),
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.failure().code
    }
}

/// A failure as Lambda tells Step Functions of it: the code is the error's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told(pub Failure);

impl From<Told> for Diagnostic {
    fn from(Told(failure): Told) -> Self {
        let Failure { code, message, path, line } = failure;
        let place = match (path, line) {
            (Some(path), Some(line)) => format!("{path}:{line}: "),
            (Some(path), None) => format!("{path}: "),
            (None, _) => String::new(),
        };
        Self { error_type: code.as_str().to_owned(), error_message: place + &message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_errors_name() {
        let failure = Failure {
            code: Code::ScriptError,
            message: "boom".to_owned(),
            path: Some("index.html".to_owned()),
            line: Some(7),
        };
        let expected =
            Diagnostic { error_type: "SCRIPT_ERROR".to_owned(), error_message: "index.html:7: boom".to_owned() };
        assert_eq!(Diagnostic::from(Told(failure)), expected);
    }
}
