//! Which object is spoken of.

use std::fmt;

use crds::{HyperframesStack, Render, manifest::Object};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt as _};

/// Which object. Never a path: a file may be renamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `HyperframesStack`.
    Stack,
    /// `Render`.
    Render,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stack, Self::Render];

    /// The kind's name in YAML.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "HyperframesStack",
            Self::Render => "Render",
        }
    }
}

/// Namespace of objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

impl ObjectKey {
    /// The key of a Render.
    #[must_use]
    pub fn render(render: &Render) -> Self {
        Self::of(Kind::Render, render)
    }

    /// The key of a stack.
    #[must_use]
    pub fn stack(stack: &HyperframesStack) -> Self {
        Self::of(Kind::Stack, stack)
    }

    /// The key of an object of either kind.
    #[must_use]
    pub fn object(object: &Object) -> Self {
        match object {
            Object::Render(render) => Self::render(render),
            Object::Stack(stack) => Self::stack(stack),
        }
    }

    fn of<K: Resource>(kind: Kind, object: &K) -> Self {
        let namespace = object.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        Self { kind, namespace, name: object.name_any() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// The metadata of an object of either kind.
pub(crate) fn metadata(object: &Object) -> &ObjectMeta {
    match object {
        Object::Render(render) => &render.metadata,
        Object::Stack(stack) => &stack.metadata,
    }
}
