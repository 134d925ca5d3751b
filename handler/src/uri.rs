//! Where an object is: `s3://bucket/key`.

use std::fmt;

use crds::{Code, Failure};

/// A bucket and a key, or the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct S3Uri {
    /// The bucket's name.
    pub bucket: String,
    /// The key, without a slash in front.
    pub key: String,
}

/// S3's own limit, in bytes.
const LONGEST_KEY: usize = 1024;

impl S3Uri {
    /// Reads `s3://bucket/key`. Both parts must be there.
    ///
    /// # Errors
    /// `EVENT_INVALID` when it is no such URI; `S3_URI_NOT_ALLOWED` for a key with `.` or `..` among its parts, which some
    /// stores would resolve, or with control characters.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let parts = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = parts.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) else {
            return Err(Failure::new(Code::EventInvalid, format!("{text:?} is not of the form s3://bucket/key")));
        };
        let evasive = key.split('/').any(|part| [".", ".."].contains(&part)) || key.chars().any(char::is_control);
        if evasive || key.len() > LONGEST_KEY {
            let message = format!("{text:?} has a key that means different things to different stores");
            return Err(Failure::new(Code::S3UriNotAllowed, message));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The object `path` below this prefix; the prefix may end in slashes.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let prefix = self.key.trim_end_matches('/');
        let key = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        Self { bucket: self.bucket.clone(), key }
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str), Code>) {
        let found = S3Uri::parse(text);
        let found = found.as_ref().map(|uri| (uri.bucket.as_str(), uri.key.as_str()));
        assert_eq!(found.map_err(|failure| failure.code), expected, "{text}");
    }

    #[test]
    fn uris_have_a_bucket_and_a_key() {
        check("s3://b/k/l.gz", Ok(("b", "k/l.gz")));
        check("s3://b/r/", Ok(("b", "r/")));
        for text in ["s3://b/", "s3://b", "s3:///k", "https://b/k", ""] {
            check(text, Err(Code::EventInvalid));
        }
        for text in ["s3://b/renders/../sites/x", "s3://b/./x", "s3://b/a\nb"] {
            check(text, Err(Code::S3UriNotAllowed));
        }
        check(&format!("s3://b/{}", "k".repeat(1025)), Err(Code::S3UriNotAllowed));
    }

    #[test]
    fn a_prefix_is_joined_whatever_its_end() {
        for prefix in ["s3://b/r", "s3://b/r/", "s3://b/r//"] {
            assert_eq!(S3Uri::parse(prefix).unwrap().join("v2/manifest.json").to_string(), "s3://b/r/v2/manifest.json");
        }
    }
}
