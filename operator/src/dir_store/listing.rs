//! What is in a folder, for whoever wants to show it.

use std::sync::Arc;

use crds::{HyperframesStack, Render, RenderSpec, manifest::Object};

use super::{DirStore, layout, object::Kept, scan::FileProblem};
use crate::ports::{Kind, ObjectKey};

impl DirStore {
    /// What is wrong in the folder's files.
    #[must_use]
    pub fn problems(&self) -> Vec<FileProblem> {
        self.state.borrow().problems.clone()
    }

    /// All objects with a file.
    #[must_use]
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.state.borrow().objects.keys().cloned().collect()
    }

    /// All Renders, with whether their file is gone.
    #[must_use]
    pub fn all_renders(&self) -> Vec<(Arc<Render>, bool)> {
        let state = self.state.borrow();
        let render = |kept: &Kept| match &kept.object {
            Object::Render(render) => Some((Arc::clone(render), kept.orphaned)),
            Object::Stack(_) => None,
        };
        state.objects.values().filter_map(render).collect()
    }

    /// Renders that only our own state remembers: their file is gone. They have no spec any more.
    #[must_use]
    pub fn orphans(&self) -> Vec<Arc<Render>> {
        let remembered = self.known().into_iter().filter(|key| key.kind == Kind::Render);
        let gone = remembered.filter(|key| !self.state.borrow().objects.contains_key(key));
        let render = |key: ObjectKey| {
            let mut render = Render::new(&key.name, RenderSpec::default());
            render.metadata.namespace = Some(key.namespace.clone());
            render.status = layout::read_sidecar(&self.layout.sidecar(&key));
            Arc::new(render)
        };
        gone.map(render).collect()
    }

    /// All stacks.
    #[must_use]
    pub fn all_stacks(&self) -> Vec<Arc<HyperframesStack>> {
        let state = self.state.borrow();
        let stack = |kept: &Kept| match &kept.object {
            Object::Stack(stack) => Some(Arc::clone(stack)),
            Object::Render(_) => None,
        };
        state.objects.values().filter_map(stack).collect()
    }
}
