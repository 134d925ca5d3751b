//! A YAML or JSON file becomes checked objects, or every problem in it at once.
//!
//! The rules are an API server's, plus two that keep a file from meaning something else to `kubectl`: duplicate keys
//! and plain scalars that YAML 1.1 reads differently (`no`, `014`) are refused, also inside `variables`.
//! Positions, duplicates and such scalars come from the parser's events ([`tree`]); ranges, unknown fields, defaults
//! and CEL come from the custom resource's own schema ([`check`]).

use std::{fmt, sync::Arc};

use crate::{HyperframesStack, Render};

mod check;
mod scalar;
mod tree;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Manifest {
    /// The objects without problems, in order, defaults applied.
    pub objects: Vec<Object>,
    /// Everything that is wrong, in order of position.
    pub problems: Vec<Problem>,
    /// Documents that are somebody else's: of another API group, or not of the form of an object.
    pub foreign: usize,
}

/// An object of one of our kinds, cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A `Render`.
    Render(Arc<Render>),
    /// A `HyperframesStack`.
    Stack(Arc<HyperframesStack>),
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The field, dotted (`spec.output.fps`); empty for the document itself.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads all documents of a file. Empty documents are allowed and skipped; documents of others are counted.
#[must_use]
pub fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    for document in tree::documents(text) {
        match document {
            Ok(root) => check::document(&root, &mut manifest),
            // What cannot be read is ours if it speaks of us.
            Err(problem) if text.contains(crate::GROUP) => manifest.problems.push(problem),
            Err(_) => manifest.foreign += 1,
        }
    }
    manifest.problems.sort();
    manifest
}

#[cfg(test)]
mod tests;
