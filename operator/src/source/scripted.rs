//! Compositions as a test says they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crds::Render;
use futures::stream::BoxStream;

use super::{SourceError, input_hash};
use crate::{
    feed::Feed,
    ports::{Inputs, ObjectKey, Source},
};

/// What each Render is made from.
#[derive(Debug, Default)]
pub struct ScriptedSources {
    /// A digest, or why there is none. A Render that is not here has the digest `0`.
    digests: Mutex<HashMap<ObjectKey, Result<String, SourceError>>>,
    changes: Mutex<Arc<Feed<ObjectKey>>>,
}

impl ScriptedSources {
    pub(crate) fn set(&self, key: &ObjectKey, digest: Result<String, SourceError>) {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), digest);
        self.feed().send(key.clone());
    }

    pub(crate) fn inputs(&self, render: &Render) -> Result<Inputs, SourceError> {
        let key = ObjectKey::render(render);
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = digests.get(&key).cloned().unwrap_or_else(|| Ok("0".to_owned()))?;
        let config = render.spec.config();
        Ok(Inputs {
            hash: input_hash(&digest, &config),
            source: Source::Folder { path: "/project".into(), digest },
            config,
            target: format!("/out/{}.mp4", key.name).into(),
            target_named: false,
        })
    }

    /// A new listener, as after a restart.
    pub(crate) fn changes(&self) -> BoxStream<'static, ObjectKey> {
        let feed = Arc::new(Feed::default());
        let listener = feed.listen();
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = feed;
        listener
    }

    fn feed(&self) -> Arc<Feed<ObjectKey>> {
        Arc::clone(&self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
