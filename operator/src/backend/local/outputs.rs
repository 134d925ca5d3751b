//! Whether videos are still as they were made, without reading them again: a video that looks as it did when it was read
//! is believed to be the same.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::render::OutputStatus;
use fs_err as fs;
use serde::{Deserialize, Serialize};
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

    /// Whether the video at `path` is the recorded one.
    pub(super) fn check(&self, recorded: &OutputStatus, path: &Path) -> io::Result<OutputCheck> {
        let meta = match fs::metadata(path) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return Ok(OutputCheck::Lost("something else is in its video's place".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(OutputCheck::Lost("its video is gone".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let changed = || OutputCheck::Lost("its video was changed".to_owned());
        if i64::try_from(meta.len()) != Ok(recorded.bytes) {
            return Ok(changed());
        }
        let stamp = Stamp::of(&meta);
        let known =
            self.known().videos.get(path).filter(|video| video.stamp == stamp).map(|video| video.sha256.clone());
        let sha256 = match known {
            Some(sha256) => sha256,
            None => {
                let sha256 = file_digest(path)?;
                // One that was written to just now may be written to again without looking any different.
                if stamp.age().is_some_and(|age| age > SETTLED) {
                    self.note(path, stamp, &sha256);
                }
                sha256
            }
        };
        Ok(if sha256 == recorded.sha256 { OutputCheck::Intact } else { changed() })
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
        assert_eq!(again.check(&recorded(3, &sha256), &video).unwrap(), lost("something else is in its video's place"));
    }
}
