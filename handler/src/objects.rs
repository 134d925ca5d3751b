//! The object store, as this crate sees it: a port with two implementations, S3 and memory.
//!
//! An implementation makes one attempt a call and says what kind of trouble it met. What is done about it, how many calls
//! run at once, and that bytes are what they are named, is [`transfer`]'s, the same for both.

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use crds::Code;
use tokio::io::AsyncRead;

use crate::uri::S3Uri;

#[cfg(test)]
pub(crate) mod memory;
pub mod s3;
pub mod transfer;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{uri}: {message}")]
pub struct Error {
    /// What kind of reason.
    pub trouble: Trouble,
    /// The object.
    pub uri: S3Uri,
    /// What the store said, or what to do.
    pub message: String,
}

/// Kinds of trouble with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object.
    Absent,
    /// There is one already, and it was not to be replaced.
    Exists,
    /// The store is throttling, has an error of its own, or did not answer: another attempt may succeed.
    Busy,
    /// What came is not what should have come.
    WrongBytes,
    /// It is larger than allowed.
    TooLarge,
    /// The store does not let us, or does not understand.
    Refused,
    /// The file on our side.
    Local(Code),
}

impl Trouble {
    /// Whether the same call may succeed in a moment.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Busy | Self::WrongBytes)
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Absent => Code::ObjectNotFound,
            Self::Exists | Self::WrongBytes => Code::ArtifactDigestMismatch,
            Self::Busy => Code::StorageUnavailable,
            Self::TooLarge => Code::PlanTooLarge,
            Self::Refused => Code::StorageRefused,
            Self::Local(code) => code,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What is known of an object without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Size.
    pub bytes: u64,
    /// What its writer said of it, by lower-case name.
    pub metadata: BTreeMap<String, String>,
}

/// A part of a local file that is sent in one request.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
    /// Its SHA-256, which the store compares.
    pub sha256: [u8; 32],
}

/// What is said of an object when it is written.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// MIME type.
    pub content_type: &'static str,
    /// Told again by [`Objects::head`].
    pub metadata: BTreeMap<String, String>,
}

/// Whether an object may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It may.
    Allowed,
    /// It may not: [`Trouble::Exists`].
    Forbidden,
}

/// A part of an upload that the store has.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1.
    pub number: i32,
    /// What the store calls it.
    pub etag: String,
    /// SHA-256 of the part.
    pub sha256: [u8; 32],
}

/// Bytes on their way.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// An object store with S3's semantics: what was written is seen by every later read, an object appears whole or not at
/// all, and a conditional write is decided when its bytes are complete.
#[async_trait]
pub trait Objects: Send + Sync {
    /// What is known of an object.
    ///
    /// # Errors
    /// [`Trouble::Absent`] when there is none.
    async fn head(&self, uri: &S3Uri) -> Result<Head>;

    /// An object's bytes. They may end early or be wrong: the caller compares.
    ///
    /// # Errors
    /// [`Trouble::Absent`] when there is none.
    async fn get(&self, uri: &S3Uri) -> Result<(Head, Reader)>;

    /// Writes an object in one request.
    ///
    /// # Errors
    /// [`Trouble::WrongBytes`] when what arrived does not have the piece's digest, [`Trouble::Exists`].
    async fn put(&self, uri: &S3Uri, piece: &Piece, about: &Description, overwrite: Overwrite) -> Result<()>;

    /// Begins an upload in parts. Returns its id.
    ///
    /// # Errors
    /// As the store says.
    async fn begin(&self, uri: &S3Uri, about: &Description) -> Result<String>;

    /// Writes one part.
    ///
    /// # Errors
    /// [`Trouble::WrongBytes`] when what arrived does not have the piece's digest.
    async fn put_part(&self, uri: &S3Uri, upload: &str, number: i32, piece: &Piece) -> Result<Part>;

    /// Makes the object of all parts.
    ///
    /// # Errors
    /// [`Trouble::Exists`].
    async fn complete(&self, uri: &S3Uri, upload: &str, parts: &[Part], overwrite: Overwrite) -> Result<()>;

    /// Gives an upload up. The store forgets its parts.
    ///
    /// # Errors
    /// As the store says.
    async fn abort(&self, uri: &S3Uri, upload: &str) -> Result<()>;
}
