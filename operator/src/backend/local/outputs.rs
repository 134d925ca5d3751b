//! Whether videos are still as they were made, without reading them again: a video that looks as it did when it was read
//! is believed to be the same.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::{
    folder::{OUTPUT_MARK, digested},
    render::OutputStatus,
};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::debug;

use crate::{
    files::{self, Durability},
    ports::OutputCheck,
    source::{Stamp, file_digest},
};

/// What is known of videos, kept in a file. It is only a cache: without it videos are read again.
#[derive(Debug)]
pub(super) struct Outputs {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    videos: HashMap<PathBuf, Video>,
    #[serde(skip)]
    unsaved: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Video {
    stamp: Stamp,
    sha256: String,
}

/// The cache is written after so many new videos.
const SAVE_EVERY: usize = 500;
const LARGEST: u64 = 256 << 20;
/// Times of files are this fine at the least.
const SETTLED: Duration = Duration::from_millis(50);

impl Outputs {
    pub(super) fn load(file: PathBuf) -> Self {
        let text = files::read_text_up_to(&file, LARGEST).unwrap_or_default();
        let known = serde_json::from_str(&text).unwrap_or_default();
        Self { file, known: Mutex::new(known) }
    }

    /// Whether the video at `path`, a file or a folder, is the recorded one.
    pub(super) fn check(&self, recorded: &OutputStatus, path: &Path) -> io::Result<OutputCheck> {
        let lost = |reason: &str| Ok(OutputCheck::Lost(reason.to_owned()));
        let meta = match fs::metadata(path) {
            Ok(meta) if meta.is_file() => meta,
            Ok(meta) if meta.is_dir() && path.join(OUTPUT_MARK).is_file() => return self.check_folder(recorded, path),
            Ok(_) => return lost("something else is in its video's place"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return lost("its video is gone"),
            Err(error) => return Err(error),
        };
        if i64::try_from(meta.len()) == Ok(recorded.bytes) && self.digest(path, &meta)? == recorded.sha256 {
            Ok(OutputCheck::Intact)
        } else {
            lost("its video was changed")
        }
    }

    /// The same of a folder, whose digest is over the names and digests of its files.
    fn check_folder(&self, recorded: &OutputStatus, folder: &Path) -> io::Result<OutputCheck> {
        let lost = || Ok(OutputCheck::Lost("its video was changed".to_owned()));
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.retain(|entry| entry.file_name() != OUTPUT_MARK);
        entries.sort_by_key(fs::DirEntry::file_name);
        let (mut files, mut bytes) = (Vec::new(), 0);
        for entry in entries {
            let meta = entry.metadata()?;
            if !meta.is_file() {
                return lost();
            }
            bytes += meta.len();
            files.push((entry.file_name().to_string_lossy().into_owned(), self.digest(&entry.path(), &meta)?));
        }
        let sha256 = hex::encode(Sha256::digest(digested(&files)));
        let same = i64::try_from(bytes) == Ok(recorded.bytes) && sha256 == recorded.sha256;
        if same { Ok(OutputCheck::Intact) } else { lost() }
    }

    /// SHA-256 of a file, which is only read if it does not look as it did when it was read last.
    fn digest(&self, path: &Path, meta: &std::fs::Metadata) -> io::Result<String> {
        let stamp = Stamp::of(meta);
        let known =
            self.known().videos.get(path).filter(|video| video.stamp == stamp).map(|video| video.sha256.clone());
        if let Some(sha256) = known {
            return Ok(sha256);
        }
        let sha256 = file_digest(path)?;
        // One that was written to just now may be written to again without looking any different.
        if stamp.age().is_some_and(|age| age > SETTLED) {
            self.note(path, stamp, &sha256);
        }
        Ok(sha256)
    }

    /// A video was just made.
    pub(super) fn made(&self, path: &Path, sha256: &str) {
        if let Some(stamp) = Stamp::of_file(path) {
            self.note(path, stamp, sha256);
        }
    }

    fn note(&self, path: &Path, stamp: Stamp, sha256: &str) {
        let mut known = self.known();
        known.videos.insert(path.to_owned(), Video { stamp, sha256: sha256.to_owned() });
        known.unsaved += 1;
        if known.unsaved >= SAVE_EVERY {
            drop(known);
            self.save();
        }
    }

    /// Writes the cache, if anything is new.
    pub(super) fn save(&self) {
        let mut known = self.known();
        if std::mem::take(&mut known.unsaved) == 0 {
            return;
        }
        let text = serde_json::to_string(&*known).unwrap_or_else(|error| unreachable!("plain data: {error}"));
        drop(known);
        if let Err(error) = files::write_atomic(&self.file, &text, Durability::Fast) {
            debug!(%error, "videos are read again by the next run");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(bytes: i64, sha256: &str) -> OutputStatus {
        OutputStatus { uri: String::new(), bytes, sha256: sha256.to_owned(), frames: 1, width: 2, height: 2 }
    }

    #[test]
    fn a_video_that_looks_the_same_is_not_read_again_also_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, video) = (folder.path().join("cache"), folder.path().join("a.mp4"));
        fs::write(&video, "abc").unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::options().write(true).open(&video).unwrap().set_modified(long_ago).unwrap();
        let sha256 = file_digest(&video).unwrap();
        let outputs = Outputs::load(cache.clone());
        assert_eq!(outputs.check(&recorded(3, &sha256), &video).unwrap(), OutputCheck::Intact);
        outputs.save();
        let again = Outputs::load(cache);
        assert_eq!(again.known().videos[&video].sha256, sha256);
        // Were it read, it would be found out.
        again.known().videos.get_mut(&video).unwrap().sha256 = "other".into();
        let lost = |reason: &str| OutputCheck::Lost(reason.into());
        assert_eq!(again.check(&recorded(3, &sha256), &video).unwrap(), lost("its video was changed"));
        fs::write(&video, "abd").unwrap();
        assert_eq!(again.check(&recorded(3, &sha256), &video).unwrap(), lost("its video was changed"));
        fs::remove_file(&video).unwrap();
        assert_eq!(again.check(&recorded(3, &sha256), &video).unwrap(), lost("its video is gone"));
        fs::create_dir(&video).unwrap();
        fs::write(video.join("frame_000001.png"), "one").unwrap();
        assert_eq!(again.check(&recorded(3, &sha256), &video).unwrap(), lost("something else is in its video's place"));
    }

    #[test]
    fn a_folder_is_the_recorded_one_while_its_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let (outputs, video) = (Outputs::load(folder.path().join("cache")), folder.path().join("frames"));
        fs::create_dir(&video).unwrap();
        for (name, content) in [("frame_000001.png", "one"), ("frame_000002.png", "two"), (OUTPUT_MARK, "x")] {
            fs::write(video.join(name), content).unwrap();
        }
        // Upstream's vector.
        let recorded = recorded(6, "a1ca7b73201b45a0dbe2d126cda3ac528375676371306f513bceabea4ef5f3a4");
        assert_eq!(outputs.check(&recorded, &video).unwrap(), OutputCheck::Intact);
        let lost = OutputCheck::Lost("its video was changed".into());
        fs::write(video.join("frame_000002.png"), "owt").unwrap();
        assert_eq!(outputs.check(&recorded, &video).unwrap(), lost);
        fs::remove_file(video.join("frame_000002.png")).unwrap();
        assert_eq!(outputs.check(&recorded, &video).unwrap(), lost);
    }
}
