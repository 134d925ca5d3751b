//! Files to objects and back: digests compared, trouble that passes waited out, so many calls at a time and no more.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter},
    sync::Semaphore,
    time::timeout,
};

use super::{Description, Error, Head, Objects, Overwrite, Part, Piece, Reader, Result, Trouble};
use crate::{files, uri::S3Uri};

/// Calls at the same time (upstream's number).
pub const CONCURRENCY: usize = 16;
/// Parts of one object on their way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// Below this an object is written without looking whether it is there already: the answer to the write says so too.
const LOOK_FIRST: u64 = 8 << 20;
/// Bytes a second below which a store counts as not answering.
const SLOWEST: u64 = 1 << 20;
/// Bytes read from a socket at a time.
const BUFFER: usize = 64 << 10;
/// Name in an object's metadata of the SHA-256 of its bytes (upstream's).
pub(crate) const SHA256: &str = "sha256";

/// How patient transfers are.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Attempts in all.
    pub attempts: u32,
    /// Pause after the first; it doubles.
    pub pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// How long nothing may come.
    pub silence: Duration,
    /// Bytes of a part; what is larger is sent in parts. S3 takes 5 MiB to 5 GiB, and 10,000 of them.
    pub part: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            attempts: 6,
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            silence: Duration::from_secs(20),
            part: 64 << 20,
        }
    }
}

/// What an object has to be to be accepted.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Exact size.
    pub bytes: Option<u64>,
    /// Largest size.
    pub most: Option<u64>,
    /// SHA-256, hexadecimal; else the one in its metadata, if its writer left one.
    pub sha256: Option<String>,
}

/// A file that came from an object, or went to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Size.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// What its writer said of it.
    pub metadata: BTreeMap<String, String>,
}

/// Moves files, at most [`CONCURRENCY`] calls at a time.
pub struct Transfer {
    objects: Arc<dyn Objects>,
    slots: Semaphore,
    pace: Pace,
}

impl Transfer {
    /// Transfers with a store.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, pace: Pace) -> Self {
        Self { objects, slots: Semaphore::new(CONCURRENCY), pace }
    }

    /// What is known of an object; `None` when there is none.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn head(&self, uri: &S3Uri) -> Result<Option<Head>> {
        match self.patiently(uri, 0, || self.objects.head(uri)).await {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.trouble == Trouble::Absent => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an object's bytes the new file `to`.
    ///
    /// # Errors
    /// [`Trouble::WrongBytes`], [`Trouble::TooLarge`] when it is not what was expected; the file is then gone again.
    pub async fn fetch(&self, uri: &S3Uri, to: &Path, expected: &Expected) -> Result<Moved> {
        let allowed = expected.bytes.or(expected.most).unwrap_or(u64::MAX / 2);
        let fetched = self.patiently(uri, allowed, || async {
            files::remove(to);
            self.fetch_once(uri, to, expected).await
        });
        let fetched = fetched.await;
        if fetched.is_err() {
            files::remove(to);
        }
        fetched
    }

    async fn fetch_once(&self, uri: &S3Uri, to: &Path, expected: &Expected) -> Result<Moved> {
        let got = timeout(self.pace.silence, self.objects.get(uri)).await;
        let (head, reader) = got.unwrap_or_else(|_| Err(late(uri)))?;
        let problem = |trouble, message: String| Err(Error { trouble, uri: uri.clone(), message });
        if let Some(bytes) = expected.bytes.filter(|bytes| *bytes != head.bytes) {
            return problem(Trouble::WrongBytes, format!("it has {} bytes instead of {bytes}", head.bytes));
        }
        let most = expected.most.unwrap_or(u64::MAX);
        if head.bytes > most {
            return problem(
                Trouble::TooLarge,
                format!("it has {} bytes, {most} are the most allowed here", head.bytes),
            );
        }
        let (bytes, sha256) = self.write(uri, reader, to, head.bytes).await?;
        if bytes != head.bytes {
            return problem(Trouble::WrongBytes, format!("{bytes} bytes came instead of {}", head.bytes));
        }
        if let Some(named) = expected.sha256.as_ref().or_else(|| head.metadata.get(SHA256)).filter(|it| **it != sha256)
        {
            return problem(Trouble::WrongBytes, format!("its bytes have the SHA-256 {sha256} instead of {named}"));
        }
        Ok(Moved { bytes, sha256, metadata: head.metadata })
    }

    /// Writes what comes, at most one byte more than `bytes`.
    async fn write(&self, uri: &S3Uri, reader: Reader, to: &Path, bytes: u64) -> Result<(u64, String)> {
        let local = |error: files::Error| local(uri, &error);
        let failed = |source| local(files::error("write", to, source));
        let file = files::create(to).map_err(local)?;
        let mut file = BufWriter::with_capacity(4 * BUFFER, tokio::fs::File::from_std(file));
        let (mut reader, mut hash, mut written) = (reader.take(bytes + 1), Sha256::new(), 0);
        let mut buffer = vec![0; BUFFER];
        loop {
            let busy = |message: String| Error { trouble: Trouble::Busy, uri: uri.clone(), message };
            let read = timeout(self.pace.silence, reader.read(&mut buffer)).await;
            let read = read.map_err(|_| busy("nothing came any more".to_owned()))?;
            let read = read.map_err(|error| busy(format!("interrupted: {error}")))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).await.map_err(failed)?;
            written += read as u64;
        }
        file.flush().await.map_err(failed)?;
        Ok((written, hex::encode(hash.finalize())))
    }

    /// Makes a file's bytes an object. One that must not be replaced and holds the same bytes already is left alone.
    ///
    /// # Errors
    /// [`Trouble::Exists`] when it must not be replaced and holds other bytes.
    pub async fn store(&self, from: &Path, to: &S3Uri, mut about: Description, overwrite: Overwrite) -> Result<Moved> {
        let path = from.to_owned();
        let digest = off_loop(to, move || files::digest_part(&path, 0, u64::MAX)).await?;
        let sha256 = hex::encode(digest.1);
        about.metadata.insert(SHA256.to_owned(), sha256.clone());
        let moved = Moved { bytes: digest.0, sha256, metadata: about.metadata.clone() };
        if overwrite == Overwrite::Forbidden && moved.bytes >= LOOK_FIRST && self.holds(to, &moved).await? {
            return Ok(moved);
        }
        let sent = if moved.bytes <= self.pace.part {
            let piece = Piece { path: from.to_owned(), offset: 0, length: moved.bytes, sha256: digest.1 };
            self.patiently(to, moved.bytes, || self.objects.put(to, &piece, &about, overwrite)).await
        } else {
            self.store_in_parts(from, to, &about, moved.bytes, overwrite).await
        };
        match sent {
            // An attempt whose answer was lost has written it.
            Err(error) if error.trouble == Trouble::Exists && self.holds(to, &moved).await? => Ok(moved),
            Err(error) if error.trouble == Trouble::Exists => {
                let message = format!("it exists with other bytes than SHA-256 {}: use another prefix", moved.sha256);
                Err(Error { message, ..error })
            }
            sent => sent.map(|()| moved),
        }
    }

    /// Whether an object is there and is this one.
    async fn holds(&self, uri: &S3Uri, it: &Moved) -> Result<bool> {
        let head = self.head(uri).await?;
        Ok(head.is_some_and(|head| head.bytes == it.bytes && head.metadata.get(SHA256) == Some(&it.sha256)))
    }

    async fn store_in_parts(
        &self,
        from: &Path,
        to: &S3Uri,
        about: &Description,
        bytes: u64,
        overwrite: Overwrite,
    ) -> Result<()> {
        let upload = self.patiently(to, 0, || self.objects.begin(to, about)).await?;
        let sent = async {
            let parts = (1_i32..).zip((0..bytes.div_ceil(self.pace.part)).map(|index| index * self.pace.part));
            let parts = stream::iter(parts).map(|(number, offset)| self.store_part(from, to, &upload, number, offset));
            let mut parts: Vec<Part> = parts.buffer_unordered(PARTS_AT_ONCE).try_collect().await?;
            parts.sort_by_key(|part| part.number);
            self.patiently(to, 0, || self.objects.complete(to, &upload, &parts, overwrite)).await
        };
        match sent.await {
            // The store no longer knows the upload: it was completed by an attempt whose answer was lost.
            Err(error) if error.trouble == Trouble::Absent => Err(Error { trouble: Trouble::Exists, ..error }),
            Err(error) => {
                // Parts nobody completes are paid for until the bucket's lifecycle removes them.
                let _ = timeout(self.pace.silence, self.objects.abort(to, &upload)).await;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    async fn store_part(&self, from: &Path, to: &S3Uri, upload: &str, number: i32, offset: u64) -> Result<Part> {
        let (path, part) = (from.to_owned(), self.pace.part);
        let (length, sha256) = off_loop(to, move || files::digest_part(&path, offset, part)).await?;
        let piece = Piece { path: from.to_owned(), offset, length, sha256 };
        self.patiently(to, length, || self.objects.put_part(to, upload, number, &piece)).await
    }

    /// Calls until it succeeds, meets trouble that does not pass, or has been tried often enough. `bytes`: how much goes
    /// over the wire at most.
    async fn patiently<T, F>(&self, uri: &S3Uri, bytes: u64, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let _slot = self.slots.acquire().await;
        let longest = self.pace.silence + Duration::from_secs(bytes / SLOWEST);
        for attempt in 1.. {
            let result = timeout(longest, call()).await.unwrap_or_else(|_| Err(late(uri)));
            match result {
                Err(error) if error.trouble.passes() && attempt < self.pace.attempts => {
                    tokio::time::sleep(self.pause(uri, attempt)).await;
                }
                result => return result,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Half of the time doubles with each attempt; the other half is spread, so that workers do not come back at once.
    fn pause(&self, uri: &S3Uri, attempt: u32) -> Duration {
        let full = self.pace.pause.saturating_mul(1 << (attempt - 1).min(16)).min(self.pace.longest_pause);
        let mut hash = DefaultHasher::new();
        (uri, attempt).hash(&mut hash);
        full / 2 + full * u32::try_from(hash.finish() % 1000).unwrap_or_default() / 2000
    }
}

fn late(uri: &S3Uri) -> Error {
    Error { trouble: Trouble::Busy, uri: uri.clone(), message: "no answer in time".to_owned() }
}

fn local(uri: &S3Uri, error: &files::Error) -> Error {
    Error { trouble: Trouble::Local(error.code()), uri: uri.clone(), message: error.to_string() }
}

/// File work beside the event loop.
async fn off_loop<T: Send + 'static>(
    uri: &S3Uri,
    work: impl FnOnce() -> files::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| local(uri, &error)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
