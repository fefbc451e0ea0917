//! Checksums of content under way: SHA-256 for the manifest, and MD5, which is what services vouch with.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use futures_util::StreamExt;
use md5::{Digest as _, Md5};

use super::meter::Meter;
use super::pace::Pace;
use super::row::{Part, hex};
use super::store::{Fault, Flow};

/// Pieces that are let go one after the other: small enough that a low rate stays smooth.
const PIECE: usize = 64 << 10;

/// The sums of a content, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
    pub(super) length: u64,
}

impl Sums {
    /// Of a content that is all there.
    #[cfg(test)]
    pub(super) fn of(content: &[u8]) -> Self {
        let mut hashes = Hashes::new();
        hashes.add(content);
        hashes.sums()
    }

    /// Whether the service's tag shows that it got just this content. A tag is taken for nothing else:
    /// one that is no MD5 never equals it.
    pub(super) fn vouched(&self, etag: Option<&str>) -> bool {
        etag.is_some_and(|etag| etag.eq_ignore_ascii_case(&hex(&self.md5)))
    }
}

/// Sums under way.
pub(super) struct Hashes {
    sha256: Context,
    md5: Md5,
    length: u64,
    /// What the flow itself failed of: whoever sends it sees a broken request only.
    fault: Option<Fault>,
}

impl Hashes {
    pub(super) fn new() -> Self {
        Self { sha256: Context::new(&SHA256), md5: Md5::new(), length: 0, fault: None }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.md5.update(bytes);
        self.length += bytes.len() as u64;
    }

    pub(super) fn sums(&self) -> Sums {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.clone().finish().as_ref());
        Sums { sha256, md5: self.md5.clone().finalize().into(), length: self.length }
    }
}

/// A flow that is paced, counted and summed up as it goes.
pub(super) fn tapped(
    flow: Flow,
    pace: Arc<Pace>,
    meter: Option<Arc<Meter>>,
) -> (Flow, Arc<Mutex<Hashes>>) {
    let hashes = Arc::new(Mutex::new(Hashes::new()));
    let seen = hashes.clone();
    let flow = flow.flat_map(|chunk| {
        let pieces: Vec<_> = match chunk {
            Ok(chunk) => split(chunk).into_iter().map(Ok).collect(),
            Err(fault) => vec![Err(fault)],
        };
        futures_util::stream::iter(pieces)
    });
    let flow = flow.then(move |chunk| {
        let (pace, meter, seen) = (pace.clone(), meter.clone(), seen.clone());
        async move {
            if let Ok(chunk) = &chunk {
                pace.take(chunk.len() as u64).await;
                if let Some(meter) = &meter {
                    meter.moved(chunk.len() as u64);
                }
            }
            let mut hashes = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match &chunk {
                Ok(chunk) => hashes.add(chunk),
                Err(fault) => hashes.fault = Some(fault.clone()),
            }
            chunk
        }
    });
    (flow.boxed(), hashes)
}

/// What the tap saw: the sums, or what the flow itself failed of.
pub(super) fn seen(hashes: &Mutex<Hashes>) -> Result<Sums, Fault> {
    let hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
    hashes.fault.clone().map_or_else(|| Ok(hashes.sums()), Err)
}

fn split(mut chunk: Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(chunk.len() / PIECE + 1);
    while chunk.len() > PIECE {
        pieces.push(chunk.split_to(PIECE));
    }
    pieces.push(chunk);
    pieces
}

/// The sum of an object in parts.
pub(super) fn composite<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let (all, count) = parts.fold((Vec::new(), 0), |(mut all, count), part| {
        all.extend_from_slice(&part.sha256);
        (all, count + 1)
    });
    format!("{}-{count}", hex(digest(&SHA256, &all).as_ref()))
}

/// The tag that S3 gives an object in parts: the MD5 of its parts' MD5, a dash, and their count.
pub(super) fn composite_etag<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let (md5, count) = parts.fold((Md5::new(), 0), |(mut md5, count), part| {
        md5.update(part.md5);
        (md5, count + 1)
    });
    format!("{}-{count}", hex(&md5.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_md5_of_the_content_vouches_for_it() {
        let sums = Sums::of(b"abc");
        assert_eq!(
            hex(&sums.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(sums.vouched(Some("900150983CD24FB0D6963F7D28E17F72")));
        assert!(!sums.vouched(Some("900150983cd24fb0d6963f7d28e17f72-1")));
        assert!(!sums.vouched(Some("an opaque tag")));
        assert!(!sums.vouched(None));
    }

    #[test]
    fn sums_of_parts_are_those_of_s3() {
        let part = |content: &[u8]| {
            let sums = Sums::of(content);
            Part { sha256: sums.sha256, md5: sums.md5, etag: String::new() }
        };
        let parts = [part(b"abc"), part(b"def")];
        // md5(md5("abc") + md5("def")), as `md5sum` says.
        assert_eq!(composite_etag(parts.iter()), "4c8e93283780e078db9e0c6b9b3f8043-2");
        assert!(composite(parts.iter()).ends_with("-2"));
        assert_ne!(composite(parts.iter()), composite(parts.iter().rev()));
    }
}
