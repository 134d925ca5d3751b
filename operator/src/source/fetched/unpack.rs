//! An archive of a project is somebody else's: only regular files and folders are taken out of it, each once, each below the
//! new folder, and only as much as there are limits for. The same rules as the Lambda function has.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read, Seek as _},
    path::{Component, Path, PathBuf},
};

use crds::{Code, Failure};
use flate2::read::GzDecoder;
use fs_err::{self as fs, File};
use tar::{Archive, Entry, EntryType};

/// Files and folders.
const ENTRIES: usize = 50_000;
/// Bytes of all files together.
const BYTES: u64 = 4 << 30;
/// Bytes for a byte of the archive, once more than [`FREE`] are unpacked: texts compress well.
const RATIO: u64 = 100;
const FREE: u64 = 64 << 20;
/// How a gzipped file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why an archive was not unpacked.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is not as an archive has to be.
    Archive(Failure),
    /// A file of ours.
    Disk(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

fn invalid(reason: &dyn std::fmt::Display) -> Problem {
    Problem::Archive(Failure::new(Code::ArchiveInvalid, format!("the source's archive {reason}")))
}

fn damaged(error: &io::Error) -> Problem {
    invalid(&format!("is no tar or tar.gz, or is damaged: {error}"))
}

fn too_large(what: &str) -> Problem {
    Problem::Archive(Failure::new(Code::PlanTooLarge, format!("the source's archive holds more than {what}")))
}

/// Unpacks a tar, gzipped or not, into a folder that is not there yet.
pub(super) fn unpack(archive: &mut File, to: &Path) -> Result<(), Problem> {
    let size = archive.metadata()?.len();
    let most = BYTES.min(FREE.max(size.saturating_mul(RATIO)));
    let mut begin = [0; 2];
    let gzipped = archive.read_exact(&mut begin).is_ok() && begin == GZIP;
    archive.rewind()?;
    let packed = BufReader::new(archive);
    let content: Box<dyn Read + '_> = if gzipped { Box::new(GzDecoder::new(packed)) } else { Box::new(packed) };
    // What is read is bounded, not only what is written: names and padding are bytes too.
    let mut tar = Archive::new(content.take(most.saturating_mul(2)));
    let mut unpacking = Unpacking { to, left: most, seen: HashSet::new() };
    fs::create_dir(to)?;
    for entry in tar.entries().map_err(|error| damaged(&error))? {
        unpacking.take_out(entry.map_err(|error| damaged(&error))?)?;
    }
    if unpacking.seen.is_empty() {
        return Err(invalid(&"is empty"));
    }
    // A checksum stands at the very end.
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| damaged(&error))?;
    if rest.limit() == 0 { Err(too_large("its size allows")) } else { Ok(()) }
}

struct Unpacking<'a> {
    to: &'a Path,
    /// Bytes that may still be written.
    left: u64,
    seen: HashSet<PathBuf>,
}

impl Unpacking<'_> {
    fn take_out(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), Problem> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |reason: &str| invalid(&format!("holds {name:?}, which {reason}"));
        match entry.header().entry_type() {
            // What `git archive` says of the whole.
            EntryType::XGlobalHeader => return Ok(()),
            EntryType::Regular | EntryType::Directory => {}
            _ => return Err(refused("is neither a file nor a folder")),
        }
        let is_folder = entry.header().entry_type() == EntryType::Directory;
        if name.contains(['\0', '\\', char::REPLACEMENT_CHARACTER]) {
            return Err(refused("has a name that is no path everywhere"));
        }
        let path = below(&name).ok_or_else(|| refused("leads out of it"))?;
        if path.as_os_str().is_empty() {
            return if is_folder { Ok(()) } else { Err(refused("has no name")) };
        }
        if !self.seen.insert(path.clone()) {
            return Err(refused("is there twice"));
        }
        if self.seen.len() > ENTRIES {
            return Err(too_large(&format!("{ENTRIES} files and folders")));
        }
        let path = self.to.join(path);
        // A name may be too long, or a file in the way of a folder: the archive is the same the next time.
        let made = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                refused("cannot be beside the others")
            }
            _ => error.into(),
        };
        if is_folder {
            return fs::create_dir_all(path).map_err(made);
        }
        let size = entry.size();
        self.left = self.left.checked_sub(size).ok_or_else(|| too_large("its size allows"))?;
        fs::create_dir_all(path.parent().unwrap_or(self.to)).map_err(made)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(made)?;
        match io::copy(&mut entry, &mut file) {
            Ok(written) if written == size => Ok(()),
            Ok(_) => Err(refused("ends early")),
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Err(error.into())
            }
            Err(error) => Err(damaged(&error)),
        }
    }
}

/// A path as it may stand in an archive, without what means nothing.
pub(super) fn below(name: &str) -> Option<PathBuf> {
    let parts = Path::new(name).components().map(|part| match part {
        Component::Normal(part) => Some(Path::new(part)),
        Component::CurDir => Some(Path::new("")),
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => None,
    });
    let parts: Option<Vec<_>> = parts.collect();
    Some(parts?.into_iter().filter(|part| !part.as_os_str().is_empty()).collect()).filter(|_| !name.contains('\0'))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    fn header(kind: EntryType, size: usize) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size as u64);
        header
    }

    /// A tar of these files, whatever their names.
    fn tar(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = header(*kind, content.len());
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), Problem>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        fs::write(&path, bytes).unwrap();
        let result = unpack(&mut File::open(path).unwrap(), &folder.path().join("to"));
        (folder, result)
    }

    #[track_caller]
    fn refused(bytes: &[u8], code: Code) {
        match unpacked(bytes).1 {
            Err(Problem::Archive(failure)) => assert_eq!(failure.code, code, "{failure}"),
            other => unreachable!("{other:?}"),
        }
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn files_and_folders_are_unpacked_gzipped_or_not() {
        let entries = [(EntryType::Directory, "./", ""), (FILE, "./index.html", "<p>"), (FILE, "a/b/c.css", "p{}")];
        for bytes in [tar(&entries), gzipped(&tar(&entries))] {
            let (folder, result) = unpacked(&bytes);
            result.unwrap();
            assert_eq!(fs::read_to_string(folder.path().join("to/index.html")).unwrap(), "<p>");
            assert_eq!(fs::read_to_string(folder.path().join("to/a/b/c.css")).unwrap(), "p{}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
            refused(&tar(&[(FILE, "index.html", ""), (kind, "a", "")]), Code::ArchiveInvalid);
        }
        for name in ["../a", "/etc/a", "a/../../b"] {
            refused(&tar(&[(FILE, name, "x")]), Code::ArchiveInvalid);
        }
        refused(&tar(&[(FILE, "a", "1"), (FILE, "./a", "2")]), Code::ArchiveInvalid);
        refused(&tar(&[(FILE, "a", "1"), (FILE, "a/b", "2")]), Code::ArchiveInvalid);
        refused(&tar(&[(FILE, "a/b", "1"), (FILE, "a", "2")]), Code::ArchiveInvalid);
        refused(&tar(&[(FILE, "a", "1"), (EntryType::Directory, "a/b", "")]), Code::ArchiveInvalid);
        refused(&tar(&[(FILE, "a\\b", "1")]), Code::ArchiveInvalid);
        refused(&tar(&[]), Code::ArchiveInvalid);
        refused(b"<!doctype html>", Code::ArchiveInvalid);
        let whole = gzipped(&tar(&[(FILE, "index.html", "<p>")]));
        refused(&whole[..whole.len() - 6], Code::ArchiveInvalid);
    }

    #[test]
    fn an_archive_that_is_larger_than_it_looks_is_not_unpacked() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let size = usize::try_from(FREE).unwrap() + 1;
        let mut bomb = header(FILE, size);
        bomb.set_path("bomb").unwrap();
        bomb.set_cksum();
        gzip.write_all(bomb.as_bytes()).unwrap();
        io::copy(&mut io::repeat(0).take(size as u64), &mut gzip).unwrap();
        refused(&gzip.finish().unwrap(), Code::PlanTooLarge);
    }
}
