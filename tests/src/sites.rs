//! Projects as they lie in a bucket.

use std::{fs, path::Path};

/// A project folder as `project.tar.gz`, as `tar -czf x -C PROJECT .` makes it.
pub fn archive(project: &Path) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    archive.append_dir_all(".", project).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

/// The same of a folder that may not exist.
pub fn archive_if_there(project: &Path) -> Option<Vec<u8>> {
    fs::metadata(project).ok().filter(fs::Metadata::is_dir).map(|_| archive(project))
}
