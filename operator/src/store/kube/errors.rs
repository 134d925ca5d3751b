//! What an API server's refusals mean.

use std::error::Error as _;

use kube::core::Status;

use crate::error::{Class, Error};

/// An error for a call that concerned an object. `doing` is a part of a sentence, as in "cannot …".
///
/// An object that is not there any more was changed meanwhile: a look will find that out.
pub(super) fn failed(doing: String, object: &dyn std::fmt::Display, error: &kube::Error) -> Error {
    match error {
        kube::Error::Api(status) if status.code == 409 || status.code == 404 => Error::Conflict(object.to_string()),
        _ => Error::Api { doing, reason: reason(error), class: class(error) },
    }
}

/// Why a call failed, in words, with everything that led to it.
pub(crate) fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return message(status);
    }
    // The outermost error says only in which layer it happened.
    let mut causes: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// What an API server says.
pub(super) fn message(status: &Status) -> String {
    if status.message.is_empty() { format!("{} {}", status.code, status.reason) } else { status.message.clone() }
}

fn class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => match status.code {
            429 => Class::Throttled,
            // A token may be about to be replaced.
            401 => Class::Transient,
            400..=499 => Class::Terminal,
            _ => Class::Transient,
        },
        kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => Class::Terminal,
        _ => Class::Transient,
    }
}

/// Nothing may be made in a namespace that is being deleted, or is gone.
pub(super) fn namespace_goes(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let terminating = |status: &Status| {
        status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
    };
    status.code == 404 || terminating(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> kube::Error {
        kube::Error::Api(Status::failure("that is not to be", "Reason").with_code(code).boxed())
    }

    #[test]
    fn each_refusal_has_its_consequence() {
        let key = "Render a/b";
        for (code, expected) in [
            (409, Class::Conflict),
            (404, Class::Conflict),
            (403, Class::Terminal),
            (422, Class::Terminal),
            (401, Class::Transient),
            (429, Class::Throttled),
            (500, Class::Transient),
            (503, Class::Transient),
        ] {
            assert_eq!(failed("write".to_owned(), &key, &refused(code)).class(), expected, "{code}");
        }
        let error = failed("write the status of Render a/b".to_owned(), &key, &refused(403));
        assert_eq!(error.to_string(), "cannot write the status of Render a/b: that is not to be");
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("connection refused");
        assert_eq!(reason(&kube::Error::ReadEvents(inner)), "connection refused");
    }
}
