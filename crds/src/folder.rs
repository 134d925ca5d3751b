//! Outputs that are folders: frames, or a playlist with its segments.

/// Name of a file in such a folder that says what was written there: its digest. While that holds, the folder may be replaced.
pub const OUTPUT_MARK: &str = ".hyperframes-output";

/// What the SHA-256 of a folder is taken over: name and hexadecimal SHA-256 of each file, in the order of names (upstream's
/// rule for folders of frames). [`OUTPUT_MARK`] is no part of it.
#[must_use]
pub fn digested(files: &[(String, String)]) -> String {
    let files: Vec<_> = files.iter().map(|(name, sha256)| format!("{name}\0{sha256}")).collect();
    files.join("\0")
}
