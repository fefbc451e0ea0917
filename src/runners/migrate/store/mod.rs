//! The two ends of a migration: what is listed, read and written. Keys are those below a place.

mod folder;
mod s3;
mod xml;

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::place::{Kind, Place};
use crate::clock::Clock;

/// What says which version of an object it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// Its bytes.
    pub(super) size: u64,
    /// When it was written, in milliseconds since 1970; headers know whole seconds only.
    pub(super) modified: i64,
    /// The service's tag, without quotes; some listings have none.
    pub(super) etag: Option<String>,
}

impl Version {
    /// Whether both say the same, told by the same kind of answer.
    pub(super) fn same(&self, other: &Self) -> bool {
        let tags = self.etag.as_ref().zip(other.etag.as_ref());
        self.size == other.size
            && self.modified == other.modified
            && tags.is_none_or(|(one, two)| one == two)
    }
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) version: Version,
}

/// A piece of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// What is there and cannot be copied, with the reason.
    pub(super) odd: Vec<(String, String)>,
    /// Where the next piece begins; nothing at the end.
    pub(super) next: Option<String>,
}

/// Headers that an object keeps: content type, user metadata, tags; names in lower case.
pub(super) type Attributes = BTreeMap<String, String>;

/// What is known of an object.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) attributes: Attributes,
}

/// Content under way.
pub(super) type Flow = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>>;

/// Content to write.
pub(super) enum Content {
    /// All of it, with its MD5 for the service to check.
    Whole(Bytes, [u8; 16]),
    /// As it comes; so many bytes.
    Flow(Flow, u64),
}

/// Which part of an object.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// From 1.
    pub(super) number: u32,
    pub(super) bytes: Range<u64>,
}

/// Why something did not happen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is not there")]
    Gone,
    #[error("it changed while it was copied")]
    Changed,
    #[error("the upload of its parts is not known any more")]
    NoUpload,
    #[error("there is no bucket {0}; make it, or correct the name")]
    NoBucket(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Broken(String),
    #[error("{0}")]
    Refused(String),
    #[error("the manifest cannot be written: {0}")]
    Manifest(String),
}

impl Fault {
    /// Whether another try may go well.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_) | Self::Broken(_) | Self::Changed)
    }

    /// Whether it is no fault of one object: all others would meet it too.
    pub(super) fn is_everywhere(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoBucket(_) | Self::Manifest(_))
    }
}

/// One end.
#[async_trait]
pub(super) trait Store: Send + Sync {
    /// Looks whether it can be used at all.
    async fn probe(&self) -> Result<(), Fault>;

    /// Whether objects can be taken from it: as `probe`, and that it is there.
    async fn gives(&self) -> Result<(), Fault> {
        self.probe().await
    }

    /// The objects in the order of their keys' bytes, from `from` on; `from` is what a page said.
    async fn list(&self, from: Option<&str>) -> Result<Page, Fault>;

    /// What is known of an object.
    async fn head(&self, key: &str) -> Result<Head, Fault>;

    /// An object or a piece of it. Attributes come with whole objects only.
    async fn get(&self, key: &str, bytes: Option<Range<u64>>) -> Result<(Head, Flow), Fault>;

    /// Writes an object, and says the service's tag of it.
    async fn put(
        &self,
        key: &str,
        attributes: &Attributes,
        content: Content,
    ) -> Result<Option<String>, Fault>;

    /// Begins an object in parts, and says the name of the upload.
    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, Fault>;

    /// Writes a part of an upload, and says the service's tag of it.
    async fn part(
        &self,
        key: &str,
        upload: &str,
        piece: &Piece,
        content: Content,
    ) -> Result<Option<String>, Fault>;

    /// Makes an object of its parts, whose tags are in order, and says the service's tag of it.
    async fn complete(
        &self,
        key: &str,
        upload: &str,
        tags: &[String],
        attributes: &Attributes,
    ) -> Result<Option<String>, Fault>;

    /// Forgets an upload.
    async fn abort(&self, key: &str, upload: &str) -> Result<(), Fault>;

    /// Removes an object; one that is not there is no fault.
    async fn delete(&self, key: &str) -> Result<(), Fault>;

    /// Returns once all that was written outlives a power loss. Blocks.
    fn settle(&self) -> Result<(), Fault>;
}

/// The end at `place`. `requests` paces what goes to a service.
///
/// # Errors
/// Where its settings are wrong, for people.
pub(super) fn open(
    place: &Place,
    requests: Arc<Pace>,
    clock: &Clock,
) -> Result<Arc<dyn Store>, String> {
    Ok(match &place.kind {
        Kind::S3(settings) => Arc::new(s3::S3::new(place, settings, requests, clock.clone())?),
        Kind::Folder { path } => Arc::new(folder::Folder::new(path, &place.prefix)?),
    })
}
