//! The store in memory, with S3's rules and faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::{Description, Error, Head, Objects, Overwrite, Part, Piece, Reader, Result, Trouble};
use crate::{files, uri::S3Uri};

/// S3 takes no smaller part but the last; tests make it small.
#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
    running: AtomicUsize,
    /// Most calls there were at once.
    pub(crate) most_at_once: AtomicUsize,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<i32, Vec<u8>>>,
    about: BTreeMap<String, Description>,
    calls: Vec<String>,
    faults: VecDeque<(&'static str, Fault)>,
}

#[derive(Clone)]
struct Object {
    bytes: Vec<u8>,
    about: Description,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// 503.
    Busy,
    /// Nothing is answered for so long.
    Slow(Duration),
    /// A byte is another one on the way.
    WrongByte,
    /// The connection ends early.
    Cut,
    /// It is done, and the answer is lost.
    Lost,
    /// 403.
    Refused,
}

impl Memory {
    /// The next call of a kind (`get`, `put`, …) meets this; faults of one kind are met in order.
    pub(crate) fn fail(&self, call: &'static str, fault: Fault) {
        self.lock().faults.push_back((call, fault));
    }

    /// Every call so far, as `put s3://…`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Uploads begun, and neither completed nor given up.
    pub(crate) fn open_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    pub(crate) fn bytes(&self, uri: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(uri).map(|object| object.bytes.clone())
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    pub(crate) fn remove(&self, uri: &str) {
        self.lock().objects.remove(uri);
    }

    pub(crate) fn insert(&self, uri: &str, bytes: &[u8], metadata: &[(&str, &str)]) {
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let object = Object { bytes: bytes.to_owned(), about: Description { content_type: "", metadata } };
        self.lock().objects.insert(uri.to_owned(), object);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Notes a call; the fault it is to meet.
    async fn meet(&self, call: &'static str, uri: &S3Uri) -> Result<Option<Fault>> {
        let fault = {
            let mut state = self.lock();
            state.calls.push(format!("{call} {uri}"));
            let position = state.faults.iter().position(|(name, _)| *name == call);
            position.and_then(|position| state.faults.remove(position)).map(|(_, fault)| fault)
        };
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(running, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if let Some(Fault::Slow(time)) = fault {
            tokio::time::sleep(time).await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        match fault {
            Some(Fault::Busy) => Err(error(uri, Trouble::Busy)),
            Some(Fault::Refused) => Err(error(uri, Trouble::Refused)),
            fault => Ok(fault),
        }
    }

    fn write(&self, uri: &S3Uri, object: Object, overwrite: Overwrite) -> Result<()> {
        let mut state = self.lock();
        if overwrite == Overwrite::Forbidden && state.objects.contains_key(&uri.to_string()) {
            return Err(error(uri, Trouble::Exists));
        }
        state.objects.insert(uri.to_string(), object);
        Ok(())
    }
}

fn error(uri: &S3Uri, trouble: Trouble) -> Error {
    Error { trouble, uri: uri.clone(), message: format!("{trouble:?}") }
}

fn lost(uri: &S3Uri, fault: Option<Fault>) -> Result<()> {
    if let Some(Fault::Lost) = fault { Err(error(uri, Trouble::Busy)) } else { Ok(()) }
}

/// The bytes as they arrive, compared with the digest they were sent with.
fn arrived(uri: &S3Uri, piece: &Piece, fault: Option<Fault>) -> Result<Vec<u8>> {
    let whole = files::read(&piece.path).unwrap();
    let (from, length) = (usize::try_from(piece.offset).unwrap(), usize::try_from(piece.length).unwrap());
    let mut bytes = whole[from..from + length].to_vec();
    if let (Some(Fault::WrongByte), Some(first)) = (fault, bytes.first_mut()) {
        *first ^= 1;
    }
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    if digest == piece.sha256 { Ok(bytes) } else { Err(error(uri, Trouble::WrongBytes)) }
}

#[async_trait]
impl Objects for Memory {
    async fn head(&self, uri: &S3Uri) -> Result<Head> {
        self.meet("head", uri).await?;
        let state = self.lock();
        let object = state.objects.get(&uri.to_string()).ok_or_else(|| error(uri, Trouble::Absent))?;
        Ok(Head { bytes: object.bytes.len() as u64, metadata: object.about.metadata.clone() })
    }

    async fn get(&self, uri: &S3Uri) -> Result<(Head, Reader)> {
        let fault = self.meet("get", uri).await?;
        let object = self.lock().objects.get(&uri.to_string()).cloned().ok_or_else(|| error(uri, Trouble::Absent))?;
        let head = Head { bytes: object.bytes.len() as u64, metadata: object.about.metadata };
        let mut bytes = object.bytes;
        match fault {
            Some(Fault::WrongByte) => bytes[0] ^= 1,
            Some(Fault::Cut) => bytes.truncate(bytes.len() / 2),
            _ => {}
        }
        Ok((head, Box::new(std::io::Cursor::new(bytes))))
    }

    async fn put(&self, uri: &S3Uri, piece: &Piece, about: &Description, overwrite: Overwrite) -> Result<()> {
        let fault = self.meet("put", uri).await?;
        let bytes = arrived(uri, piece, fault)?;
        self.write(uri, Object { bytes, about: about.clone() }, overwrite)?;
        lost(uri, fault)
    }

    async fn begin(&self, uri: &S3Uri, about: &Description) -> Result<String> {
        self.meet("begin", uri).await?;
        let mut state = self.lock();
        let id = format!("upload-{}", state.about.len());
        state.uploads.insert(id.clone(), BTreeMap::new());
        state.about.insert(id.clone(), about.clone());
        Ok(id)
    }

    async fn put_part(&self, uri: &S3Uri, upload: &str, number: i32, piece: &Piece) -> Result<Part> {
        let fault = self.meet("put_part", uri).await?;
        let bytes = arrived(uri, piece, fault)?;
        let mut state = self.lock();
        let parts = state.uploads.get_mut(upload).ok_or_else(|| error(uri, Trouble::Absent))?;
        parts.insert(number, bytes);
        drop(state);
        lost(uri, fault)?;
        Ok(Part { number, etag: format!("{number}"), sha256: piece.sha256 })
    }

    async fn complete(&self, uri: &S3Uri, upload: &str, parts: &[Part], overwrite: Overwrite) -> Result<()> {
        let fault = self.meet("complete", uri).await?;
        let sent = self.lock().uploads.get(upload).cloned().ok_or_else(|| error(uri, Trouble::Absent))?;
        let numbers: Vec<_> = parts.iter().map(|part| part.number).collect();
        if numbers != sent.keys().copied().collect::<Vec<_>>() {
            return Err(error(uri, Trouble::Refused));
        }
        let bytes: Vec<u8> = sent.into_values().flatten().collect();
        let about = self.lock().about[upload].clone();
        self.write(uri, Object { bytes, about }, overwrite)?;
        self.lock().uploads.remove(upload);
        lost(uri, fault)
    }

    async fn abort(&self, uri: &S3Uri, upload: &str) -> Result<()> {
        self.meet("abort", uri).await?;
        self.lock().uploads.remove(upload);
        Ok(())
    }
}
