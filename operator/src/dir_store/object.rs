//! One object as it is kept.

use std::{path::PathBuf, sync::Arc};

use crds::manifest::Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::layout::{self, Layout};
use crate::ports::ObjectKey;

/// An object, where it stands, and what is known of it besides.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) object: Object,
    pub(super) file: PathBuf,
    /// Its file is gone, and it was not asked to prune.
    pub(super) orphaned: bool,
}

pub(super) fn metadata(object: &Object) -> &ObjectMeta {
    match object {
        Object::Render(render) => &render.metadata,
        Object::Stack(stack) => &stack.metadata,
    }
}

pub(super) fn metadata_mut(object: &mut Object) -> &mut ObjectMeta {
    match object {
        Object::Render(render) => &mut Arc::make_mut(render).metadata,
        Object::Stack(stack) => &mut Arc::make_mut(stack).metadata,
    }
}

/// The canonical text of a spec; its change is a new generation.
pub(super) fn spec_hash(object: &Object) -> String {
    use sha2::{Digest as _, Sha256};
    let canonical = match object {
        Object::Render(render) => serde_json_canonicalizer::to_vec(&render.spec),
        Object::Stack(stack) => serde_json_canonicalizer::to_vec(&stack.spec),
    };
    crate::files::hex(&Sha256::digest(canonical.unwrap_or_default()))
}

/// The status an object had: in memory, else in its sidecar.
pub(super) fn set_status(object: &mut Object, key: &ObjectKey, layout: &Layout, old: Option<&Object>) {
    match (object, old) {
        (Object::Render(new), Some(Object::Render(old))) => Arc::make_mut(new).status.clone_from(&old.status),
        (Object::Stack(new), Some(Object::Stack(old))) => Arc::make_mut(new).status.clone_from(&old.status),
        (Object::Render(new), _) => Arc::make_mut(new).status = layout::read_sidecar(&layout.sidecar(key)),
        (Object::Stack(new), _) => Arc::make_mut(new).status = layout::read_sidecar(&layout.sidecar(key)),
    }
}

/// Equal but for the version.
pub(super) fn same(old: &Object, new: &Object) -> bool {
    let mut old = old.clone();
    metadata_mut(&mut old).resource_version = None;
    old == *new
}
