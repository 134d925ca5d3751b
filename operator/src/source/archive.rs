//! A project as one file, for those who render elsewhere.

use std::{
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use fs_err::{self as fs, File};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use walkdir::DirEntry;

use super::digests::{entries, hash_entry, hash_name};

/// Writes a project as a gzipped tar: the same project gives the same bytes. What does not belong to it is left out; a link
/// to a file of the project becomes that file.
///
/// # Errors
/// When the project is not of this digest any more, when a link leads elsewhere, or when something cannot be read.
pub(crate) fn pack(project: &Path, digest: &str, archive: &Path) -> io::Result<()> {
    let mut hash = Sha256::new();
    let mut file = File::create(archive)?;
    let gzip = GzBuilder::new().mtime(0).write(&mut file, Compression::new(6));
    let mut tar = Builder::new(gzip);
    for entry in entries(project)? {
        let entry = entry?;
        let relative = entry.path().strip_prefix(project).unwrap_or(entry.path());
        if entry.depth() > 0 {
            append(&mut tar, project, &entry, relative, &mut hash)?;
        }
    }
    tar.into_inner()?.finish()?;
    file.flush()?;
    if hex::encode(hash.finalize()) == digest {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} was changed while it was packed", project.display())))
    }
}

/// Also takes an entry's share into the hash. A file is hashed as it is packed, so that both are of the same bytes.
fn append(
    tar: &mut Builder<impl io::Write>,
    project: &Path,
    entry: &DirEntry,
    relative: &Path,
    hash: &mut Sha256,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    if entry.file_type().is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        return tar.append_data(&mut header, relative, io::empty());
    }
    let linked = entry.file_type().is_symlink();
    let path = if linked { target(project, entry.path())? } else { entry.path().to_owned() };
    if linked {
        hash_entry(hash, relative, entry)?;
    } else if entry.file_type().is_file() {
        hash_name(hash, relative);
    }
    if !path.metadata()?.is_file() {
        return Ok(());
    }
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    header.set_mode(0o644);
    header.set_size(size);
    // Cut short, the rest of the archive would be read from the wrong place.
    let mut content = Hashed { inner: file.take(size), hash: (!linked).then_some(hash) };
    tar.append_data(&mut header, relative, &mut content)?;
    if content.inner.limit() > 0 {
        return Err(io::Error::other(format!("{} became shorter while it was packed", path.display())));
    }
    Ok(())
}

/// Hashes what is read through it.
struct Hashed<'a, R> {
    inner: R,
    hash: Option<&'a mut Sha256>,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// The file of the project that a link leads to.
fn target(project: &Path, link: &Path) -> io::Result<PathBuf> {
    let invalid = |what: &str| {
        let message = format!("{} {what}: put a copy of it into the project", link.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let target = fs::canonicalize(link)?;
    if !target.starts_with(project) {
        return Err(invalid("is a link that leads out of the project"));
    }
    if target.is_dir() {
        return Err(invalid("is a link to a folder"));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::digests::site_digest;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [("index.html", "<p>"), ("a/b.css", "p{}"), ("node_modules/x.js", "left out"), ("e", "")]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("../index.html", folder.path().join("a/link.html")).unwrap();
        folder
    }

    fn packed(project: &Path) -> io::Result<Vec<u8>> {
        let project = fs::canonicalize(project)?;
        let out = tempfile::tempdir()?;
        let archive = out.path().join("project.tar.gz");
        pack(&project, &site_digest(&project)?, &archive)?;
        fs::read(archive)
    }

    #[test]
    fn the_same_project_gives_the_same_bytes() {
        let (one, other) = (project(), project());
        let archive = packed(one.path()).unwrap();
        assert_eq!(archive, packed(other.path()).unwrap());
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&*archive));
        let mut entries: Vec<_> = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            entries.push((entry.path().unwrap().display().to_string(), text));
        }
        let expected = [("a", ""), ("a/b.css", "p{}"), ("a/link.html", "<p>"), ("e", ""), ("index.html", "<p>")];
        assert_eq!(entries, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn links_that_lead_elsewhere_are_named() {
        for (target, complaint) in [("/etc/hostname", "leads out of the project"), (".", "is a link to a folder")] {
            let folder = project();
            std::os::unix::fs::symlink(target, folder.path().join("link")).unwrap();
            let error = packed(folder.path()).unwrap_err();
            assert!(error.to_string().contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_project_of_another_digest_is_not_packed() {
        let folder = project();
        let out = tempfile::tempdir().unwrap();
        let error = pack(folder.path(), "0", &out.path().join("a")).unwrap_err();
        assert!(error.to_string().contains("was changed"), "{error}");
    }
}
