//! What an error of the SDK means.

use std::fmt;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use crds::{Code, Failure};

use crate::error::{Class, Error};

/// An answer, or what its absence means.
pub(super) trait Asked<T, E> {
    /// `action`: what was asked, as IAM calls it.
    fn asked(self, action: &str) -> Result<T, Error>;

    /// As [`asked`](Self::asked), `None` where the answer is an error of one of these codes.
    fn asked_unless(self, action: &str, codes: &[&str]) -> Result<Option<T>, Error>;
}

impl<T, E> Asked<T, E> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn asked(self, action: &str) -> Result<T, Error> {
        self.map_err(|error| error_of(action, &error))
    }

    fn asked_unless(self, action: &str, codes: &[&str]) -> Result<Option<T>, Error> {
        match self {
            Err(SdkError::ServiceError(answer)) if answer.err().code().is_some_and(|code| codes.contains(&code)) => {
                Ok(None)
            }
            answer => answer.asked(action).map(Some),
        }
    }
}

fn error_of<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, class, message) = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let name = answer.err().code().unwrap_or_default();
            let said = answer.err().message().unwrap_or_default();
            let (code, class) = meaning(status, name);
            let said = if name.is_empty() { Chain(answer.err()).to_string() } else { format!("{name} {said}") };
            (code, class, format!("{action}: {status} {said}").trim_end().to_owned())
        }
        _ => {
            let text = Chain(error).to_string();
            let credentials = text.contains("credentials") || text.contains("Credentials");
            let code = if credentials { Code::AwsCredentials } else { Code::AwsUnavailable };
            (code, Class::Transient, format!("{action}: {text}"))
        }
    };
    let message = match code {
        Code::AwsCredentials => format!(
            "there are no credentials for AWS, or they are not valid any more: give this process a profile, a role or environment variables, or the stack a Secret with access keys, or renew them ({message})"
        ),
        Code::AwsAccessDenied => format!("{message}; `hf-reconcile aws policy` prints the rights that are needed"),
        _ => message,
    };
    Error::Backend { failure: Failure::new(code, message), class }
}

/// What a status and AWS's name for it mean. A right or credentials may be given later: such a request is asked again, ever
/// more slowly.
fn meaning(status: u16, name: &str) -> (Code, Class) {
    match (status, name) {
        (
            _,
            "Throttling"
            | "ThrottlingException"
            | "KmsThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "ExecutionLimitExceeded"
            | "SlowDown",
        )
        | (429, _) => (Code::AwsThrottled, Class::Throttled),
        (
            _,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException",
        ) => (Code::AwsCredentials, Class::Transient),
        (_, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation") | (403, "" | "Forbidden") => {
            (Code::AwsAccessDenied, Class::Transient)
        }
        (_, "StateMachineDoesNotExist" | "StateMachineDeleting" | "NoSuchBucket" | "NoSuchKey" | "NotFound") => {
            (Code::AwsNotFound, Class::Terminal)
        }
        // Something else is going on with it: CloudFormation's words for that vary.
        (_, "InvalidChangeSetStatus" | "OperationInProgressException" | "TokenAlreadyExistsException") => {
            (Code::AwsUnavailable, Class::Waiting)
        }
        // Of a success the answer cannot be read: it was cut short, or S3 found out later that it was none.
        (200..300 | 500.., _) | (_, "RequestTimeout") => (Code::AwsUnavailable, Class::Transient),
        _ => (Code::AwsRefused, Class::Terminal),
    }
}

/// An error and its causes in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_what_can_be_done() {
        for (status, name, expected) in [
            (400, "ThrottlingException", (Code::AwsThrottled, Class::Throttled)),
            (503, "SlowDown", (Code::AwsThrottled, Class::Throttled)),
            (400, "ExpiredTokenException", (Code::AwsCredentials, Class::Transient)),
            (403, "InvalidClientTokenId", (Code::AwsCredentials, Class::Transient)),
            (403, "AccessDenied", (Code::AwsAccessDenied, Class::Transient)),
            (400, "AccessDeniedException", (Code::AwsAccessDenied, Class::Transient)),
            (400, "StateMachineDoesNotExist", (Code::AwsNotFound, Class::Terminal)),
            (404, "NoSuchBucket", (Code::AwsNotFound, Class::Terminal)),
            (500, "InternalFailure", (Code::AwsUnavailable, Class::Transient)),
            (200, "", (Code::AwsUnavailable, Class::Transient)),
            (200, "InternalError", (Code::AwsUnavailable, Class::Transient)),
            (400, "ValidationError", (Code::AwsRefused, Class::Terminal)),
        ] {
            assert_eq!(meaning(status, name), expected, "{status} {name}");
        }
    }
}
