//! S3 and stores that speak its protocol.

use std::{collections::BTreeMap, fmt, io};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Builder, RequestChecksumCalculation, ResponseChecksumValidation, http::HttpResponse,
        retry::RetryConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, Length},
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Description, Error, Head, Objects, Overwrite, Part, Piece, Reader, Result, Trouble};
use crate::{files, uri::S3Uri};

/// The store of an AWS region, or the one `AWS_ENDPOINT_URL` names.
#[derive(Clone, Debug)]
pub struct S3 {
    client: Client,
}

impl S3 {
    /// A client for the region, credentials and endpoint of the environment. Nothing is asked of the network yet.
    pub async fn from_environment() -> Self {
        // Retries are the transfer's, which sees interrupted bodies too.
        let shared = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled()).load();
        Self::new(&shared.await)
    }

    /// A client with this configuration.
    #[must_use]
    pub fn new(shared: &aws_config::SdkConfig) -> Self {
        // Stores other than AWS's have no name for each bucket.
        let path_style = shared.endpoint_url().is_some();
        let config = Builder::from(shared)
            .force_path_style(path_style)
            // Digests are compared by us; trailing checksums of the SDK's own are not understood everywhere.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self { client: Client::from_conf(config) }
    }
}

#[async_trait]
impl Objects for S3 {
    async fn head(&self, uri: &S3Uri) -> Result<Head> {
        let request = self.client.head_object().bucket(&uri.bucket).key(&uri.key);
        let found = request.send().await.map_err(|error| trouble(uri, &error))?;
        Ok(head(found.content_length, found.metadata))
    }

    async fn get(&self, uri: &S3Uri) -> Result<(Head, Reader)> {
        let request = self.client.get_object().bucket(&uri.bucket).key(&uri.key);
        let found = request.send().await.map_err(|error| trouble(uri, &error))?;
        let head = head(found.content_length, found.metadata);
        Ok((head, Box::new(found.body.into_async_read())))
    }

    async fn put(&self, uri: &S3Uri, piece: &Piece, about: &Description, overwrite: Overwrite) -> Result<()> {
        let request = self
            .client
            .put_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_if_none_match(if_none_match(overwrite))
            .content_type(about.content_type)
            .set_metadata(Some(about.metadata.clone().into_iter().collect()))
            .checksum_sha256(BASE64_STANDARD.encode(piece.sha256))
            .content_length(length(piece))
            .body(body(uri, piece).await?);
        request.send().await.map(drop).map_err(|error| trouble(uri, &error))
    }

    async fn begin(&self, uri: &S3Uri, about: &Description) -> Result<String> {
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .content_type(about.content_type)
            .set_metadata(Some(about.metadata.clone().into_iter().collect()))
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        let begun = request.send().await.map_err(|error| trouble(uri, &error))?;
        begun.upload_id.ok_or_else(|| unexpected(uri, "the store began an upload without an id"))
    }

    async fn put_part(&self, uri: &S3Uri, upload: &str, number: i32, piece: &Piece) -> Result<Part> {
        let request = self
            .client
            .upload_part()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .upload_id(upload)
            .part_number(number)
            .checksum_sha256(BASE64_STANDARD.encode(piece.sha256))
            .content_length(length(piece))
            .body(body(uri, piece).await?);
        let sent = request.send().await.map_err(|error| trouble(uri, &error))?;
        let etag = sent.e_tag.ok_or_else(|| unexpected(uri, "the store took a part without an ETag"))?;
        Ok(Part { number, etag, sha256: piece.sha256 })
    }

    async fn complete(&self, uri: &S3Uri, upload: &str, parts: &[Part], overwrite: Overwrite) -> Result<()> {
        let part = |part: &Part| {
            CompletedPart::builder()
                .part_number(part.number)
                .e_tag(&part.etag)
                .checksum_sha256(BASE64_STANDARD.encode(part.sha256))
                .build()
        };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(part).collect())).build();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .upload_id(upload)
            .set_if_none_match(if_none_match(overwrite))
            .multipart_upload(parts);
        request.send().await.map(drop).map_err(|error| trouble(uri, &error))
    }

    async fn abort(&self, uri: &S3Uri, upload: &str) -> Result<()> {
        let request = self.client.abort_multipart_upload().bucket(&uri.bucket).key(&uri.key).upload_id(upload);
        request.send().await.map(drop).map_err(|error| trouble(uri, &error))
    }
}

fn head(bytes: Option<i64>, metadata: Option<std::collections::HashMap<String, String>>) -> Head {
    let metadata: BTreeMap<_, _> = metadata.unwrap_or_default().into_iter().collect();
    Head { bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(), metadata }
}

fn if_none_match(overwrite: Overwrite) -> Option<String> {
    (overwrite == Overwrite::Forbidden).then(|| "*".to_owned())
}

fn length(piece: &Piece) -> i64 {
    i64::try_from(piece.length).unwrap_or(i64::MAX)
}

async fn body(uri: &S3Uri, piece: &Piece) -> Result<ByteStream> {
    let part = ByteStream::read_from().path(&piece.path).offset(piece.offset).length(Length::Exact(piece.length));
    part.build().await.map_err(|error| {
        let error = files::error("read", &piece.path, io::Error::other(error));
        Error { trouble: Trouble::Local(error.code()), uri: uri.clone(), message: error.to_string() }
    })
}

fn unexpected(uri: &S3Uri, message: &str) -> Error {
    Error { trouble: Trouble::Busy, uri: uri.clone(), message: message.to_owned() }
}

/// What an error of the SDK means. Its own text is left out where it would print whole requests.
fn trouble<E>(uri: &S3Uri, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (trouble, message) = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or_default();
            let said = answer.err().message().unwrap_or_default();
            (kind(status, code), format!("the store answered {status} {code} {said}").trim_end().to_owned())
        }
        SdkError::ConstructionFailure(_) => {
            (Trouble::Refused, format!("no request can be made of it: {}", Chain(error)))
        }
        _ => (Trouble::Busy, format!("the store did not answer: {}", Chain(error))),
    };
    Error { trouble, uri: uri.clone(), message }
}

/// What a status and S3's name for it mean.
fn kind(status: u16, code: &str) -> Trouble {
    match (status, code) {
        (_, "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch" | "IncompleteBody") => {
            Trouble::WrongBytes
        }
        // A write beside ours is going on: S3 asks to try again. Of a success the answer cannot be read: it was cut short, or S3 found out
        // later that it was none.
        (200..300 | 409 | 429 | 500.., _) | (_, "RequestTimeout" | "SlowDown" | "ThrottlingException") => Trouble::Busy,
        (404, _) => Trouble::Absent,
        (412, _) => Trouble::Exists,
        _ => Trouble::Refused,
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
        let table = [
            (404, "NoSuchKey", Trouble::Absent),
            (404, "", Trouble::Absent),
            (412, "PreconditionFailed", Trouble::Exists),
            (409, "ConditionalRequestConflict", Trouble::Busy),
            (503, "SlowDown", Trouble::Busy),
            (500, "InternalError", Trouble::Busy),
            (429, "", Trouble::Busy),
            (400, "RequestTimeout", Trouble::Busy),
            (400, "BadDigest", Trouble::WrongBytes),
            (403, "AccessDenied", Trouble::Refused),
            (400, "InvalidArgument", Trouble::Refused),
        ];
        for (status, code, expected) in table {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }
}
