//! What mounting sub-compositions makes of a document.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::variables::Declarations;

/// What the document of a composition becomes.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    /// Compositions of the document whose attributes or content change, by their place among all of them.
    pub(crate) compositions: BTreeMap<usize, Change>,
    /// The ids of templates that were mounted.
    pub(crate) templates: BTreeSet<String>,
    /// Elements for the end of the head, on one line.
    pub(crate) head: String,
    /// Elements for the end of the document.
    pub(crate) end: String,
    /// Files to go with it.
    pub(crate) files: Vec<(String, String)>,
    /// Declarations of variables in sub-compositions.
    pub(crate) declarations: Vec<Declarations>,
    /// Some script of a sub-composition registers a timeline.
    pub(crate) registers: bool,
}

/// What changes at an element.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Attributes to set or to take away.
    pub(crate) attributes: Vec<(&'static str, Option<String>)>,
    /// What is in it from now on.
    pub(crate) content: Option<String>,
}
