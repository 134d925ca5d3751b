//! What functions run: the zip that was built, by its digest, or an image.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use crds::{Code, Failure};

use super::{
    cloud::{Cloud, NewObject},
    lock,
    wanted::HandlerCode,
};
use crate::{
    error::Error,
    files::blocking,
    ports::AwsPlace,
    source::{Stamp, file_digest},
};

/// Zips on this machine, and their digests.
pub(super) struct Handlers {
    usual: Option<PathBuf>,
    digests: Mutex<HashMap<PathBuf, (Stamp, String)>>,
}

impl Handlers {
    pub(super) fn new(usual: Option<PathBuf>) -> Self {
        Self { usual, digests: Mutex::default() }
    }

    /// What a stack's function is to run, or why that cannot be said.
    pub(super) async fn code(
        &self,
        place: &AwsPlace,
        cloud: &dyn Cloud,
    ) -> Result<Result<HandlerCode, Failure>, Error> {
        if let Some(uri) = place.spec.handler.as_ref().and_then(|handler| handler.image_uri.as_ref()) {
            return Ok(Ok(HandlerCode::Image(uri.clone())));
        }
        let digest = match self.zip(place) {
            Ok(zip) => self.digest(zip).await,
            Err(failure) => Err(failure),
        };
        let digest = match digest {
            Ok(digest) => digest,
            Err(failure) => return Ok(Err(failure)),
        };
        let bucket = format!("hyperframes-handlers-{}-{}", cloud.account().await?, place.spec.region);
        Ok(Ok(HandlerCode::Zip { bucket, key: format!("handlers/{digest}.zip") }))
    }

    /// Makes sure that the zip is in its bucket.
    pub(super) async fn upload(&self, place: &AwsPlace, code: &HandlerCode, cloud: &dyn Cloud) -> Result<(), Error> {
        let HandlerCode::Zip { bucket, key } = code else { return Ok(()) };
        let zip = self.zip(place).map_err(|failure| super::terminal(failure.code, failure.message))?;
        cloud.ensure_bucket(bucket).await?;
        if cloud.object(bucket, key).await?.is_none() {
            let object = NewObject { bucket, key, content_type: "application/zip", metadata: &[] };
            cloud.put_file(&object, zip).await?;
        }
        Ok(())
    }

    fn zip<'a>(&'a self, place: &'a AwsPlace) -> Result<&'a Path, Failure> {
        place.zip.as_deref().or(self.usual.as_deref()).ok_or_else(|| {
            let message = "there is no handler.zip for the function: name one with --handler or in spec.aws.handler.zip, or an image in spec.aws.handler.imageUri";
            Failure::new(Code::HandlerNotFound, message)
        })
    }

    async fn digest(&self, zip: &Path) -> Result<String, Failure> {
        let not_found = |reason: String| {
            let message = format!("the function's zip {} cannot be read: {reason}", zip.display());
            Failure::new(Code::HandlerNotFound, message)
        };
        let stamp = Stamp::of_file(zip).ok_or_else(|| not_found("there is no such file".to_owned()))?;
        if let Some((_, digest)) = lock(&self.digests).get(zip).filter(|(known, _)| *known == stamp) {
            return Ok(digest.clone());
        }
        let path = zip.to_owned();
        let digest = blocking(move || file_digest(&path)).await.map_err(|error| not_found(error.to_string()))?;
        lock(&self.digests).insert(zip.to_owned(), (stamp, digest.clone()));
        Ok(digest)
    }
}
