//! Projects in the bucket, named by what they hold.

use std::{io, path::Path};

use crds::{Code, Failure};

use super::cloud::{Cloud, NewObject};
use crate::{
    error::{Class, Error},
    files::blocking,
    ports::Source,
    source::{archive, file_digest},
};

/// Digits of the site hash that name a site (upstream's `siteId`).
const DIGITS: usize = 16;
/// Metadata with all digits: the name alone is too short to rely on.
const SITE_DIGEST: &str = "site-digest";

/// Makes sure that a project is in the bucket. Returns its URI.
pub(super) async fn ensure(cloud: &dyn Cloud, bucket: &str, source: &Source) -> Result<String, Error> {
    let Source::Folder { path, digest } = source;
    let key = format!("sites/{}/project.tar.gz", &digest[..DIGITS.min(digest.len())]);
    let there = cloud.object(bucket, &key).await?;
    if there.is_none_or(|object| object.metadata.get(SITE_DIGEST) != Some(digest)) {
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("project.tar.gz");
        let sha256 = packed(path, digest, &archive).await?;
        let metadata = [("sha256", sha256.as_str()), (SITE_DIGEST, digest.as_str())];
        let object = NewObject { bucket, key: &key, content_type: "application/gzip", metadata: &metadata };
        cloud.put_file(&object, &archive).await?;
    }
    Ok(format!("s3://{bucket}/{key}"))
}

async fn packed(project: &Path, digest: &str, archive: &Path) -> Result<String, Error> {
    let (project, digest, archive) = (project.to_owned(), digest.to_owned(), archive.to_owned());
    let packed = blocking(move || {
        archive::pack(&project, &digest, &archive)?;
        file_digest(&archive)
    });
    packed.await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            let failure = Failure::new(Code::ArchiveInvalid, error.to_string());
            Error::Backend { failure, class: Class::Terminal }
        }
        _ => error.into(),
    })
}
