//! S3.

use std::{collections::HashMap, io, path::Path};

use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation},
    primitives::ByteStream,
    types::{BucketLocationConstraint, ChecksumAlgorithm, CreateBucketConfiguration, PublicAccessBlockConfiguration},
};
use crds::Code;
use tokio::io::AsyncWriteExt as _;

use super::{
    super::cloud::{NewObject, ObjectFacts},
    errors::Asked as _,
};
use crate::{backend::aws::terminal, error::Error, files::blocking};

/// Largest object that one request can write.
const LARGEST: u64 = 5 << 30;
/// The region that is no constraint.
const FIRST_REGION: &str = "us-east-1";

pub(super) fn client(config: &SdkConfig) -> Client {
    // Stores other than AWS's have no name for each bucket, and do not understand the SDK's trailing checksums.
    let own_endpoint = config.endpoint_url().is_some();
    let config = Builder::from(config)
        .force_path_style(own_endpoint)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

pub(super) async fn ensure_bucket(client: &Client, region: &str, bucket: &str) -> Result<(), Error> {
    let there = client.head_bucket().bucket(bucket).send().await;
    if there.asked_unless("s3:ListBucket", &["NotFound", "NoSuchBucket"])?.is_some() {
        return Ok(());
    }
    let place = (region != FIRST_REGION).then(|| {
        let place = BucketLocationConstraint::from(region);
        CreateBucketConfiguration::builder().location_constraint(place).build()
    });
    let request = client.create_bucket().bucket(bucket).set_create_bucket_configuration(place);
    request.send().await.asked_unless("s3:CreateBucket", &["BucketAlreadyOwnedByYou"])?;
    let closed = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let request = client.put_public_access_block().bucket(bucket).public_access_block_configuration(closed);
    request.send().await.asked("s3:PutBucketPublicAccessBlock").map(drop)
}

pub(super) async fn object(client: &Client, bucket: &str, key: &str) -> Result<Option<ObjectFacts>, Error> {
    let answer = client.head_object().bucket(bucket).key(key).send().await;
    let found = answer.asked_unless("s3:GetObject", &["NotFound", "NoSuchKey"])?;
    Ok(found.map(|found| ObjectFacts {
        bytes: found.content_length.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        metadata: found.metadata.unwrap_or_default().into_iter().collect(),
    }))
}

pub(super) async fn put_file(client: &Client, object: &NewObject<'_>, file: &Path) -> Result<(), Error> {
    let bytes = tokio::fs::metadata(file).await?.len();
    if bytes > LARGEST {
        let message = format!("{} is larger than 5 GiB", file.display());
        return Err(terminal(Code::PlanTooLarge, message));
    }
    let body = ByteStream::from_path(file).await.map_err(io::Error::other)?;
    let metadata = object.metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let request = client
        .put_object()
        .bucket(object.bucket)
        .key(object.key)
        .content_type(object.content_type)
        .set_metadata(Some(metadata.collect::<HashMap<_, _>>()))
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(body);
    request.send().await.asked("s3:PutObject").map(drop)
}

pub(super) async fn get_file(client: &Client, bucket: &str, key: &str, file: &Path) -> Result<(), Error> {
    let answer = client.get_object().bucket(bucket).key(key).send().await;
    let mut content = answer.asked("s3:GetObject")?.body.into_async_read();
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    let part = blocking(move || {
        crate::files::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)
    });
    let part = part.await?;
    let mut out = tokio::fs::File::from_std(part.reopen()?);
    tokio::io::copy(&mut content, &mut out).await?;
    out.flush().await?;
    out.sync_all().await?;
    let file = file.to_owned();
    blocking(move || crate::files::persist(part, &file)).await?;
    Ok(())
}
