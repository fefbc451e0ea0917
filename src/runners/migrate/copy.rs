//! Copies one object and makes sure of it: small ones at once, large ones in parts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use rand::RngExt;
use tokio::task::JoinHandle;

use super::hash::{Hashes, Sums, composite, composite_etag, seen, tapped};
use super::manifest::{Change, Manifest};
use super::meter::Meter;
use super::pace::{Gate, Pace};
use super::row::{Copy, Part, Row, State, Work, hex};
use super::store::{Content, Fault, Flow, Head, Piece, Store, Version};
use crate::clock::Clock;
use crate::tasks::Tasks;

/// Tries of an object or a part; the pauses between them add up to half a minute.
const TRIES: u32 = 7;
/// The pause after the first try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(300);
/// How often an object that keeps changing is begun anew.
const ANEW: u32 = 3;
/// An object up to here is held in memory, and goes out with its MD5.
const WHOLE: u64 = 1 << 20;
/// Parts of one object that wait or are under way at once.
const PARTS_AT_ONCE: usize = 16;
/// Parts that one upload may have.
const PARTS: u64 = 10_000;

/// Copies objects. One for a run; tasks share it.
pub(super) struct Copier {
    pub(super) source: Arc<dyn Store>,
    pub(super) target: Arc<dyn Store>,
    pub(super) manifest: Manifest,
    pub(super) gate: Arc<Gate>,
    pub(super) bytes: Arc<Pace>,
    pub(super) meter: Arc<Meter>,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// Objects beyond this are copied in parts of it.
    pub(super) part_bytes: u64,
    /// Whether each copy is read back, also where the service vouches for it.
    pub(super) read_back: bool,
    pub(super) run: u32,
}

/// A task that ends with whoever waits for it.
pub(super) struct Held<T>(JoinHandle<T>);

impl<T> Held<T> {
    pub(super) fn new(task: JoinHandle<T>) -> Self {
        Self(task)
    }
}

impl<T> Future for Held<T> {
    type Output = Result<T, Fault>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let polled = std::pin::Pin::new(&mut self.0).poll(context);
        polled
            .map(|ended| ended.map_err(|error| Fault::Refused(format!("its copy broke: {error}"))))
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Copier {
    /// Does what an object needs, and writes down what came of it. A fault is one of all objects.
    pub(super) async fn object(
        self: Arc<Self>,
        key: String,
        row: Row,
        work: Work,
        second: bool,
    ) -> Result<(), Fault> {
        let done = match work {
            Work::Copy => self.copied(&key, &row, second).await,
            Work::Check => self.checked(&key, &row, second).await,
            Work::Remove => self.removed(&key, &row).await,
        };
        let state = match done {
            Ok(state) => state,
            Err(fault) if fault.is_everywhere() => return Err(fault),
            Err(Fault::Gone) => State::Gone(self.run),
            Err(fault) => State::Failed { reason: fault.to_string(), run: self.run },
        };
        self.count(&state, row.listed.size);
        let mut changes = Vec::with_capacity(2);
        if matches!(row.state, State::Parts { .. }) || row.listed.size > self.part_bytes {
            // With the row, in one commit: parts alone could not be completed a second time.
            changes.push(Change::NoParts(key.clone()));
        }
        changes.push(Change::Row(key, Row { state, ..row }));
        self.manifest.write(changes).await
    }

    fn count(&self, state: &State, size: u64) {
        match state {
            State::Verified(copy, _) if copy.made == self.run => {
                self.meter.copied(copy.version.size, copy.second);
            }
            State::Verified(..) => self.meter.skipped.add(1),
            State::Removed(..) => self.meter.removed.add(1),
            // Not what was copied: once more.
            State::Pending => self.meter.expected(size),
            State::Failed { .. } => self.meter.failed.add(1),
            State::Gone(_) => self.meter.gone.add(1),
            State::Parts { .. } => {}
        }
    }

    /// Tries until it goes well, or no other try would help.
    pub(super) async fn tried<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        tried(&self.clock, attempt).await
    }

    async fn copied(&self, key: &str, row: &Row, second: bool) -> Result<State, Fault> {
        let mut state = row.state.clone();
        let mut size = row.listed.size;
        for _ in 0..ANEW {
            let copied = if size > self.part_bytes || matches!(state, State::Parts { .. }) {
                Box::pin(self.large(key, &row.listed, &state)).await
            } else {
                self.tried(|| self.small(key)).await
            };
            match copied {
                Err(Fault::Changed | Fault::NoUpload) => {
                    let head = self.tried(|| self.source.head(key)).await?;
                    size = head.version.size;
                    state = State::Pending;
                }
                copied => {
                    let copy = Copy { second, ..copied? };
                    return Ok(State::Verified(copy, self.run));
                }
            }
        }
        Err(Fault::Changed)
    }

    async fn small(&self, key: &str) -> Result<Copy, Fault> {
        let _pass = self.gate.enter().await;
        let (Head { version, attributes }, flow) = self.source.get(key, None).await?;
        if version.size > self.part_bytes {
            return Err(Fault::Changed);
        }
        let (flow, hashes) = tapped(flow, self.bytes.clone(), Some(self.meter.clone()));
        let (sums, etag) = if version.size <= WHOLE {
            let content = gathered(flow, version.size).await?;
            let sums = seen(&hashes)?;
            let content = Content::Whole(content.into(), sums.md5);
            (sums, self.target.put(key, &attributes, content).await?)
        } else {
            let put = self.target.put(key, &attributes, Content::Flow(flow, version.size)).await;
            // What the source failed of counts more than what the target made of it.
            (seen(&hashes)?, put?)
        };
        if sums.length != version.size {
            return Err(Fault::Broken("the source sent fewer bytes than it said".to_owned()));
        }
        if self.read_back || !sums.vouched(etag.as_deref()) {
            self.proved(key, None, sums.sha256).await?;
        }
        Ok(self.copy(version, hex(&sums.sha256), etag))
    }

    fn copy(&self, version: Version, sum: String, etag: Option<String>) -> Copy {
        Copy { version, sum, etag, made: self.run, second: false }
    }

    /// Reads what is at the target, and compares.
    async fn proved(
        &self,
        key: &str,
        bytes: Option<Range<u64>>,
        sha256: [u8; 32],
    ) -> Result<(), Fault> {
        let (_, mut flow) = self.target.get(key, bytes).await?;
        let mut hashes = Hashes::new();
        while let Some(chunk) = flow.try_next().await? {
            self.bytes.take(chunk.len() as u64).await;
            hashes.add(&chunk);
        }
        if hashes.sums().sha256 == sha256 {
            return Ok(());
        }
        Err(Fault::Broken("what was read back from the target is something else".to_owned()))
    }

    async fn large(&self, key: &str, listed: &Version, state: &State) -> Result<Copy, Fault> {
        let head = self.tried(|| async {
            let _pass = self.gate.enter().await;
            self.source.head(key).await
        });
        let head = head.await?;
        let (upload, part_bytes, mut parts) = match state {
            State::Parts { upload, version, part_bytes } if version.same(&head.version) => {
                (upload.clone(), *part_bytes, self.manifest.parts(key).await?)
            }
            state => self.begun(key, listed, state, &head).await?,
        };
        let pieces = pieces(head.version.size, part_bytes);
        let missing = pieces.iter().filter(|piece| !parts.contains_key(&piece.number));
        let jobs: Vec<_> = missing
            .map(|piece| PartJob {
                key: key.to_owned(),
                upload: upload.clone(),
                piece: piece.clone(),
                version: head.version.clone(),
            })
            .collect();
        let under_way = futures_util::stream::iter(jobs).map(|job| self.part(job));
        let mut under_way = std::pin::pin!(under_way.buffer_unordered(PARTS_AT_ONCE));
        while let Some((number, part)) = under_way.try_next().await? {
            let change = Change::Part(key.to_owned(), number, part.clone());
            self.manifest.write(vec![change]).await?;
            parts.insert(number, part);
        }
        self.completed(key, &upload, (&pieces, &parts), &head).await
    }

    /// Begins an upload, and forgets what was there of an earlier one.
    async fn begun(
        &self,
        key: &str,
        listed: &Version,
        state: &State,
        head: &Head,
    ) -> Result<(String, u64, BTreeMap<u32, Part>), Fault> {
        if let State::Parts { upload, .. } = state {
            // It may be gone already, and costs room only where it is not.
            if let Err(fault) = self.target.abort(key, upload).await {
                tracing::debug!(key, %fault, "An upload could not be forgotten");
            }
        }
        let upload = self.tried(|| async {
            let _pass = self.gate.enter().await;
            self.target.begin(key, &head.attributes).await
        });
        let upload = upload.await?;
        let part_bytes = part_bytes(head.version.size, self.part_bytes);
        let version = head.version.clone();
        let state = State::Parts { upload: upload.clone(), version, part_bytes };
        let row = Row { listed: listed.clone(), state };
        let changes = vec![Change::NoParts(key.to_owned()), Change::Row(key.to_owned(), row)];
        // On the disk before the first part is: what is not known there cannot be taken up.
        self.manifest.commit(changes).await?;
        Ok((upload, part_bytes, BTreeMap::new()))
    }

    async fn completed(
        &self,
        key: &str,
        upload: &str,
        (pieces, parts): (&[Piece], &BTreeMap<u32, Part>),
        head: &Head,
    ) -> Result<Copy, Fault> {
        let tags: Vec<_> = parts.values().map(|part| part.etag.clone()).collect();
        let etag = self.tried(|| async {
            let _pass = self.gate.enter().await;
            match self.target.complete(key, upload, &tags, &head.attributes).await {
                // An earlier try may have completed it: then it is there.
                Err(Fault::NoUpload) => {
                    let there = self.target.head(key).await.map_err(|_| Fault::NoUpload)?;
                    let etag = there.version.etag.clone();
                    (there.version.size == head.version.size).then_some(etag).ok_or(Fault::NoUpload)
                }
                completed => completed,
            }
        });
        let etag = etag.await?;
        let vouched = etag.as_ref().is_some_and(|etag| *etag == composite_etag(parts.values()));
        if self.read_back || !vouched {
            for (piece, part) in pieces.iter().zip(parts.values()) {
                let proved = self.tried(|| async {
                    let _pass = self.gate.enter().await;
                    self.proved(key, Some(piece.bytes.clone()), part.sha256).await
                });
                // Not what was sent: all of it is copied again.
                proved.await.map_err(|fault| match fault {
                    Fault::Broken(_) => Fault::NoUpload,
                    fault => fault,
                })?;
            }
        }
        let sum = composite(parts.values());
        Ok(self.copy(head.version.clone(), sum, etag))
    }

    /// One part, as a task of its own.
    async fn part(&self, job: PartJob) -> Result<(u32, Part), Fault> {
        let sender = Sender {
            source: self.source.clone(),
            target: self.target.clone(),
            gate: self.gate.clone(),
            bytes: self.bytes.clone(),
            meter: self.meter.clone(),
        };
        let number = job.piece.number;
        let (sender, job) = (Arc::new(sender), Arc::new(job));
        let part = self.tried(|| {
            let (sender, job) = (sender.clone(), job.clone());
            async move { Held::new(self.tasks.spawn(async move { sender.part(&job).await })).await? }
        });
        Ok((number, part.await?))
    }

    /// Whether the copy of an earlier run is still there; if not, it is made anew.
    async fn checked(&self, key: &str, row: &Row, second: bool) -> Result<State, Fault> {
        let State::Verified(copy, _) = &row.state else { return Ok(row.state.clone()) };
        let there = self.tried(|| async {
            let _pass = self.gate.enter().await;
            self.target.head(key).await
        });
        match there.await {
            Ok(there) if is_copy(copy, &there.version) => {
                Ok(State::Verified(copy.clone(), self.run))
            }
            Ok(_) | Err(Fault::Gone) => self.copied(key, row, second).await,
            Err(fault) => Err(fault),
        }
    }

    /// Removes the source of a copy, where neither has changed since.
    async fn removed(&self, key: &str, row: &Row) -> Result<State, Fault> {
        let State::Verified(copy, _) = &row.state else { return Ok(row.state.clone()) };
        let removed = State::Removed(copy.clone(), self.run);
        self.tried(|| async {
            let _pass = self.gate.enter().await;
            match self.source.head(key).await {
                Err(Fault::Gone) => return Ok(removed.clone()),
                Ok(source) if source.version.same(&copy.version) => {}
                Ok(_) => return Ok(State::Pending),
                Err(fault) => return Err(fault),
            }
            match self.target.head(key).await {
                Ok(there) if is_copy(copy, &there.version) => {}
                Ok(_) | Err(Fault::Gone) => return Ok(State::Pending),
                Err(fault) => return Err(fault),
            }
            self.source.delete(key).await.map(|()| removed.clone())
        })
        .await
    }
}

/// Tries until it goes well, or no other try would help.
pub(super) async fn tried<T, F>(clock: &Clock, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt().await {
            Err(fault) if fault.is_passing() && fault != Fault::Changed && tries < TRIES => {
                let pause = PAUSE * 2_u32.pow(tries - 1);
                // Spread out, so that a thousand copies do not come back at the same moment.
                let pause = pause.mul_f64(rand::rng().random_range(0.7..1.3));
                clock.sleep_until(clock.now().plus(pause)).await;
            }
            done => return done,
        }
    }
}

/// Whether what is at the target can be the copy that was made.
fn is_copy(copy: &Copy, there: &Version) -> bool {
    let tags = copy.etag.as_ref().zip(there.etag.as_ref());
    there.size == copy.version.size && tags.is_none_or(|(made, found)| made == found)
}

/// What a task needs to send a part.
struct Sender {
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
    gate: Arc<Gate>,
    bytes: Arc<Pace>,
    meter: Arc<Meter>,
}

struct PartJob {
    key: String,
    upload: String,
    piece: Piece,
    version: Version,
}

impl Sender {
    async fn part(&self, job: &PartJob) -> Result<Part, Fault> {
        let _pass = self.gate.enter().await;
        let bytes = job.piece.bytes.clone();
        let length = bytes.end - bytes.start;
        let (head, flow) = self.source.get(&job.key, Some(bytes)).await?;
        if !head.version.same(&job.version) {
            return Err(Fault::Changed);
        }
        let (flow, hashes) = tapped(flow, self.bytes.clone(), Some(self.meter.clone()));
        let content = Content::Flow(flow, length);
        let sent = self.target.part(&job.key, &job.upload, &job.piece, content).await;
        let sums: Sums = seen(&hashes)?;
        let etag = sent?;
        if sums.length != length {
            return Err(Fault::Broken("the source sent fewer bytes than it said".to_owned()));
        }
        let etag = etag.unwrap_or_default();
        Ok(Part { sha256: sums.sha256, md5: sums.md5, etag })
    }
}

async fn gathered(mut flow: Flow, size: u64) -> Result<Vec<u8>, Fault> {
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    while let Some(chunk) = flow.try_next().await? {
        content.extend_from_slice(&chunk);
        if content.len() as u64 > WHOLE {
            return Err(Fault::Changed);
        }
    }
    Ok(content)
}

/// How large the parts of an object are: as asked, but for one that would have too many.
fn part_bytes(size: u64, asked: u64) -> u64 {
    asked.max(size.div_ceil(PARTS).next_multiple_of(1 << 20))
}

fn pieces(size: u64, part_bytes: u64) -> Vec<Piece> {
    let starts = (0..size.div_ceil(part_bytes).max(1)).zip(1..);
    starts
        .map(|(index, number)| {
            let start = index * part_bytes;
            Piece { number, bytes: start..size.min(start + part_bytes) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_an_object_without_gaps() {
        for (size, part, count) in [(1, 4, 1), (4, 4, 1), (5, 4, 2), (12, 4, 3)] {
            let pieces = pieces(size, part);
            assert_eq!(pieces.len(), count, "{size}");
            assert_eq!(pieces[0].bytes.start, 0);
            assert_eq!(pieces.last().unwrap().bytes.end, size);
            assert!(pieces.windows(2).all(|two| two[0].bytes.end == two[1].bytes.start));
            assert!(pieces.iter().zip(1..).all(|(piece, number)| piece.number == number));
        }
    }

    #[test]
    fn a_huge_object_has_larger_parts_not_more() {
        assert_eq!(part_bytes(1 << 30, 16 << 20), 16 << 20);
        let size = 5 << 40;
        let bytes = part_bytes(size, 16 << 20);
        assert!(size.div_ceil(bytes) <= PARTS && bytes.is_multiple_of(1 << 20), "{bytes}");
    }
}
