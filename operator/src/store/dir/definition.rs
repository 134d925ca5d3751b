//! What a file says, in little memory.

use std::{path::PathBuf, sync::Arc};

use crds::manifest::{self, Object, Problem};

use super::text::Text;
use crate::{
    ports::{Kind, ObjectKey},
    source,
};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) definitions: Vec<Arc<Definition>>,
    pub(super) problems: Vec<Problem>,
    /// Documents that are somebody else's.
    pub(super) foreign: usize,
}

impl Contents {
    pub(super) fn of(text: &str) -> Self {
        let manifest::Manifest { objects, problems, foreign } = manifest::parse(text);
        let definitions = objects.iter().map(|object| Arc::new(Definition::of(object))).collect();
        Self { definitions, problems, foreign }
    }
}

/// An object as a file defines it.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) key: ObjectKey,
    /// Where a Render's video is wanted; what is relative is so to the file's folder.
    pub(super) video: Option<PathBuf>,
    text: Text,
}

impl Definition {
    pub(super) fn of(object: &Object) -> Self {
        let (video, text) = match object {
            Object::Render(render) => (Some(source::target_path(render, "".as_ref())), Text::of(&**render)),
            Object::Stack(stack) => (None, Text::of(&**stack)),
        };
        Self { key: key(object), video, text }
    }

    /// The object itself, made anew.
    pub(super) fn object(&self) -> Object {
        let object = match self.key.kind {
            Kind::Render => self.text.read().map(|render| Object::Render(Arc::new(render))),
            Kind::Stack => self.text.read().map(|stack| Object::Stack(Arc::new(stack))),
        };
        object.unwrap_or_else(|| unreachable!("it was written from such an object"))
    }
}

fn key(object: &Object) -> ObjectKey {
    match object {
        Object::Render(render) => ObjectKey::render(render),
        Object::Stack(stack) => ObjectKey::stack(stack),
    }
}
