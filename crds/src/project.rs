//! What of a project's folder is the composition's.

use std::ffi::OsStr;

/// Top-level folders that are tools' business: upstream's list, and where the reconciler keeps its state and puts videos
/// when the project is the folder it watches.
const SKIPPED: [&str; 10] =
    ["node_modules", ".git", ".cache", "output", "failures", "dist", ".next", ".turbo", ".status", "out"];

/// Whether a top-level entry of a project is left out of what is hashed and rendered.
#[must_use]
pub fn is_skipped(name: &OsStr) -> bool {
    SKIPPED.iter().any(|skipped| name == *skipped)
}
