//! Gzipped tars: a project comes as one, a folder of pictures goes as one.
//!
//! An archive is somebody else's. Only regular files and folders are taken out of it, each once, each below the new
//! folder, and only as much as there are limits for.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use crds::Code;
use flate2::{Compression, GzBuilder, read::GzDecoder};
use tar::{Archive, Builder, EntryType, Header};

use crate::files;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files and folders.
    pub entries: usize,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes unpacked for a byte of the archive, counted once more than `free_bytes` are unpacked.
    pub ratio: u64,
    /// See `ratio`: texts compress well.
    pub free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 50_000, bytes: 4 << 30, ratio: 100, free_bytes: 64 << 20 }
    }
}

/// An archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no gzipped tar, or it ends early.
    #[error("the project's archive is damaged ({0}): pack it again with `tar -czf project.tar.gz -C PROJECT .`")]
    Damaged(io::Error),
    /// It holds something no project archive may hold.
    #[error("{entry:?} in the project's archive {reason}")]
    Entry {
        /// Its name in the archive.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It holds too much.
    #[error("the project's archive holds more than {0}")]
    TooLarge(String),
    /// A file of ours.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Damaged(_) | Self::Entry { .. } => Code::ArchiveInvalid,
            Self::TooLarge(_) => Code::PlanTooLarge,
            Self::Files(error) => error.code(),
        }
    }
}

/// Unpacks the archive `from` into the new folder `to`.
///
/// # Errors
/// See [`Error`]; the folder may then hold a part of it.
pub fn unpack(from: &Path, to: &Path, limits: Limits) -> Result<(), Error> {
    let packed = files::size(from)?;
    let most = limits.bytes.min(limits.free_bytes.max(packed.saturating_mul(limits.ratio)));
    // Headers and padding are bytes too: bound what is inflated, not only what is written.
    let overhead = (limits.entries as u64).saturating_mul(4096);
    let inflated = GzDecoder::new(io::BufReader::new(files::open(from)?)).take(most.saturating_add(overhead));
    let mut unpacking = Unpacking { to, limits, most, bytes: 0, seen: BTreeSet::new() };
    files::create_dir(to)?;
    let mut archive = Archive::new(inflated);
    for entry in archive.entries().map_err(Error::Damaged)? {
        unpacking.entry(entry.map_err(Error::Damaged)?)?;
    }
    // The checksum stands at the very end, behind the padding.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(Error::Damaged)?;
    if rest.limit() == 0 {
        return Err(unpacking.too_large());
    }
    Ok(())
}

struct Unpacking<'a> {
    to: &'a Path,
    limits: Limits,
    most: u64,
    bytes: u64,
    seen: BTreeSet<PathBuf>,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        // `git archive` writes one, with the commit's id.
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |reason| Err(Error::Entry { entry: name.clone(), reason });
        if kind != EntryType::Regular && kind != EntryType::Directory {
            return refused("is neither a file nor a folder: links and devices are not unpacked");
        }
        let path = match relative(&name) {
            Ok(path) => path,
            Err(reason) => return refused(reason),
        };
        if path.as_os_str().is_empty() {
            return if kind == EntryType::Directory { Ok(()) } else { refused("has no name") };
        }
        if !self.seen.insert(path.clone()) {
            return refused("is there twice");
        }
        if self.seen.len() > self.limits.entries {
            return Err(Error::TooLarge(format!("{} files and folders", self.limits.entries)));
        }
        let to = self.to.join(&path);
        if kind == EntryType::Directory {
            return Ok(files::create_dir(&to)?);
        }
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.bytes > self.most {
            return Err(self.too_large());
        }
        let size = entry.size();
        let mut file = files::create(&to)?;
        let copied = io::copy(&mut entry, &mut file).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => files::error("write", &to, error).into(),
            _ => Error::Damaged(error),
        })?;
        let early = || io::Error::new(io::ErrorKind::UnexpectedEof, format!("{name:?} ends early"));
        if copied == size { Ok(()) } else { Err(Error::Damaged(early())) }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge(format!("{} bytes, which is the limit for one of its size", self.most))
    }
}

/// A name in an archive as a path below the folder; empty for the folder itself.
fn relative(name: &str) -> Result<PathBuf, &'static str> {
    if name.contains(['\0', '\\']) || name.contains(char::REPLACEMENT_CHARACTER) {
        return Err("has a name that is no path everywhere");
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("leads out of the project");
            }
        }
    }
    Ok(path)
}

/// Packs a folder of files, in order of name, as the new archive `to`. The same files give the same bytes.
///
/// # Errors
/// When a file cannot be read or written.
pub fn pack(folder: &Path, to: &Path) -> Result<(), files::Error> {
    let failed = |source| files::error("write", to, source);
    // Neither a name nor a time in its header.
    let gzip = GzBuilder::new().write(files::create(to)?, Compression::fast());
    let mut archive = Builder::new(gzip);
    for name in files::names(folder) {
        let mut header = Header::new_gnu();
        let file: File = files::open(&folder.join(&name))?;
        header.set_size(files::size(&folder.join(&name))?);
        header.set_mode(0o644);
        archive.append_data(&mut header, &name, file).map_err(failed)?;
    }
    archive.into_inner().and_then(flate2::write::GzEncoder::finish).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests;
