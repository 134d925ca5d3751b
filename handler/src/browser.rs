//! The browser in the function's package: too large to lie there as it is, so it is unpacked when an environment starts,
//! while the first event and its inputs are on their way.
//!
//! A package's folder holds the program in pieces, `chrome-headless-shell@OFFSET.zst`, which are unpacked side by side; a
//! `version` that names them all; and what the program expects beside it, as it is.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{
    files::{self, Result},
    settings::Settings,
};

const PROGRAM: &str = "chrome-headless-shell";
const VERSION: &str = "version";

/// Where the browser is, or will be in a moment.
pub(crate) struct Browser {
    usual: Vec<PathBuf>,
    packed: Option<Arc<Packed>>,
}

/// The browser of a package.
struct Packed {
    folder: PathBuf,
    scratch: PathBuf,
    /// Once it is unpacked. A failure is not kept: there may be room for the next invocation.
    program: Mutex<Option<PathBuf>>,
}

impl Browser {
    /// Starts unpacking, if there is something to unpack.
    pub(crate) fn prepare(settings: &Settings) -> Self {
        let packed = settings.packed_browser.clone().filter(|folder| !files::names(folder).is_empty());
        let scratch = settings.scratch.clone();
        let packed = packed.map(|folder| Arc::new(Packed { folder, scratch, program: Mutex::default() }));
        if let Some(packed) = packed.clone() {
            // Whoever needs it does it, and is told what fails, if this thread cannot.
            let _ = thread::Builder::new().spawn(move || drop(packed.program()));
        }
        Self { usual: settings.browsers.clone(), packed }
    }

    /// Programs to try, best first. Waits for the unpacking.
    pub(crate) fn programs(&self) -> Result<Vec<PathBuf>> {
        match &self.packed {
            Some(packed) => packed.program().map(|program| vec![program]),
            None => Ok(self.usual.clone()),
        }
    }
}

impl Packed {
    fn program(&self) -> Result<PathBuf> {
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = &*program {
            return Ok(program.clone());
        }
        Ok(program.insert(unpack(&self.folder, &self.scratch)?).clone())
    }
}

/// Unpacks a package's browser below `scratch`, whole or not at all, and returns its program. One that an earlier process of
/// this environment unpacked is taken.
fn unpack(packed: &Path, scratch: &Path) -> Result<PathBuf> {
    let version = String::from_utf8_lossy(&files::read(&packed.join(VERSION))?).trim().to_owned();
    let folder = scratch.join(format!("hf-browser-{version}"));
    let program = folder.join(PROGRAM);
    if files::is_ours(&program) {
        return Ok(program);
    }
    let staging = files::work_folder(scratch)?;
    let whole = files::create_program(&staging.path().join(PROGRAM))?;
    let mut pieces = Vec::new();
    for name in files::names(packed).into_iter().filter(|name| name != VERSION) {
        match offset(&name) {
            Some(offset) => pieces.push((packed.join(name), offset)),
            None => files::symlink(&packed.join(&name), &staging.path().join(name))?,
        }
    }
    unpack_pieces(pieces, &whole)?;
    drop(whole);
    match files::rename(staging.path(), &folder) {
        Err(_) if files::is_ours(&program) => {}
        moved => moved?,
    }
    Ok(program)
}

/// Where a piece belongs in the program.
fn offset(name: &str) -> Option<u64> {
    name.strip_prefix(PROGRAM)?.strip_prefix('@')?.strip_suffix(".zst")?.parse().ok()
}

fn unpack_pieces(pieces: Vec<(PathBuf, u64)>, whole: &File) -> Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let pieces = Mutex::new(pieces.into_iter());
    let work = || -> Result<()> {
        loop {
            let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((piece, offset)) = next else { return Ok(()) };
            let unpacked = zstd::stream::copy_decode(files::open(&piece)?, At { whole, offset });
            unpacked.map_err(|error| files::error("unpack", &piece, error))?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(ended)
    })
}

/// Writes into a file from an offset on.
struct At<'a> {
    whole: &'a File,
    offset: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.whole.write_at(bytes, self.offset)?;
        self.offset += u64::try_from(written).map_err(io::Error::other)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A package whose program is the numbers from 0 in pieces of 1000 bytes.
    fn package(folder: &Path) -> Vec<u8> {
        let program: Vec<u8> = (0_u8..=255).cycle().take(3500).collect();
        for (index, piece) in program.chunks(1000).enumerate() {
            let packed = zstd::encode_all(piece, 3).unwrap();
            files::write(&folder.join(format!("{PROGRAM}@{}.zst", index * 1000)), &packed).unwrap();
        }
        files::write(&folder.join(VERSION), b"7\n").unwrap();
        files::write(&folder.join("libEGL.so"), b"library").unwrap();
        program
    }

    #[test]
    fn a_packed_browser_becomes_a_program_once() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, scratch) = (folder.path().join("browser"), folder.path().join("tmp"));
        files::create_dir(&scratch).unwrap();
        let expected = package(&packed);
        let program = unpack(&packed, &scratch).unwrap();
        assert_eq!(files::read(&program).unwrap(), expected);
        assert_eq!(files::open(&program).unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(files::read(&program.with_file_name("libEGL.so")).unwrap(), b"library");
        assert_eq!(files::names(&scratch), ["hf-browser-7"]);
        files::remove_dir(&packed.join("libEGL.so"));
        assert_eq!(unpack(&packed, &scratch).unwrap(), program);
    }

    #[test]
    fn a_damaged_piece_is_named_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, scratch) = (folder.path().join("browser"), folder.path().join("tmp"));
        files::create_dir(&scratch).unwrap();
        package(&packed);
        let piece = packed.join(format!("{PROGRAM}@1000.zst"));
        files::remove(&piece);
        files::write(&piece, b"not zstd").unwrap();
        let error = unpack(&packed, &scratch).unwrap_err().to_string();
        assert!(error.contains("cannot unpack") && error.contains("@1000.zst"), "{error}");
        assert!(files::names(&scratch).is_empty());
    }

    #[test]
    fn what_failed_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, scratch) = (folder.path().join("browser"), folder.path().join("tmp"));
        let expected = package(&packed);
        let settings = Settings {
            bucket: None,
            scratch: scratch.clone(),
            packed_browser: Some(packed),
            browsers: Vec::new(),
            assets: PathBuf::new(),
        };
        let browser = Browser::prepare(&settings);
        assert!(browser.programs().unwrap_err().to_string().contains("cannot create folder"));
        files::create_dir(&scratch).unwrap();
        assert_eq!(files::read(&browser.programs().unwrap()[0]).unwrap(), expected);
    }
}
