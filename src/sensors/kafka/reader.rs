//! The reader: one thread that polls, decodes and forms batches of all that waits. Decoding from the
//! borrowed record saves a copy, and runs beside the commit of the batch before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio::sync::mpsc;

use crate::intake::Submission;
use crate::model::event::Origin;
use crate::model::time::Time;
use crate::model::trace::Parent;
use crate::sensors::decode::{Header, Record, Stamp, decode};
use crate::sensors::kafka::group::Group;
use crate::sensors::kafka::progress::{End, Part, Progress};
use crate::sensors::kafka::scout::{Scout, TopicIds};
use crate::sensors::kafka::settings::{Limits, Settings};
use crate::sensors::{Context, Error};

/// How long one poll waits: within this a stop is noticed.
const POLL: Duration = Duration::from_millis(100);

/// What was read in one go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) submission: Submission,
    pub(super) ends: Vec<End>,
    pub(super) letters: Vec<Letter>,
    /// Records without content that made no event.
    pub(super) tombstones: usize,
    records: usize,
    bytes: usize,
}

/// A record that could not be read, copied for the dead letters.
pub(super) struct Letter {
    /// `topic/partition@offset`.
    pub(super) from: String,
    pub(super) reason: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
}

/// Everything the thread needs.
pub(super) struct Reader {
    pub(super) sensor: String,
    pub(super) settings: Arc<Settings>,
    pub(super) config: ClientConfig,
    pub(super) context: Context,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) progress: Arc<Progress>,
    pub(super) batches: mpsc::Sender<Batch>,
}

impl Reader {
    /// Reads until nobody takes batches any more, or until the source fails. Blocks.
    ///
    /// # Errors
    /// `Source` and `Stop`; `Store` and `Intake`, where positions could not be read or kept.
    pub(super) fn run(self) -> Result<(), Error> {
        let mut alone = self.config.clone();
        alone.remove("group.id");
        alone.remove("statistics.interval.ms");
        let scout = Scout::new(&alone)?;
        let group = Group {
            cluster: scout.cluster()?,
            sensor: self.sensor.clone(),
            settings: Arc::clone(&self.settings),
            scout,
            door: self.context.door.clone(),
            clock: Arc::clone(&self.context.clock),
            runtime: self.runtime.clone(),
            progress: Arc::clone(&self.progress),
            ids: TopicIds::default(),
        };
        let consumer: BaseConsumer<Group> = self
            .config
            .create_with_context(group)
            .map_err(|error| Error::Stop { what: format!("no consumer can be made: {error}") })?;
        let subscription = self.settings.subscription();
        let topics: Vec<&str> = subscription.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| Error::Stop { what: error.to_string() })?;
        let outcome = self.read(&consumer);
        self.tell_group(&consumer);
        outcome
    }

    fn read(&self, consumer: &BaseConsumer<Group>) -> Result<(), Error> {
        while !self.batches.is_closed() {
            let (batch, failure) = self.gather(consumer);
            if !batch.ends.is_empty() && self.batches.blocking_send(batch).is_err() {
                return Ok(());
            }
            if let Some(error) = failure {
                return Err(error);
            }
            self.tell_group(consumer);
        }
        Ok(())
    }

    /// Takes all that waits, up to the limits. What was read before a failure is still good.
    fn gather(&self, consumer: &BaseConsumer<Group>) -> (Batch, Option<Error>) {
        let mut batch = Batch::default();
        let mut patience = POLL;
        while batch.has_room(&self.settings.limits) {
            let polled = consumer.poll(patience);
            if let Some(failure) = self.progress.state().failure.take() {
                return (batch.close(), Some(failure));
            }
            match polled {
                None => break,
                Some(Ok(message)) => self.take(&message, &mut batch),
                // Every other error was told to the group's context, with more words.
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let what = format!("the consumer ended: {code}");
                    return (batch.close(), Some(Error::Source { what }));
                }
                Some(Err(_)) => {}
            }
            patience = Duration::ZERO;
        }
        (batch.close(), None)
    }

    fn take(&self, message: &BorrowedMessage<'_>, batch: &mut Batch) {
        let mut state = self.progress.state();
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let Some(part) = state.part(topic, partition) else { return };
        if offset < part.next {
            return;
        }
        part.next = offset + 1;
        let payload = message.payload();
        batch.records += 1;
        batch.bytes += payload.map_or(0, <[u8]>::len);
        batch.reached(part);
        let before = batch.submission.reports.len();
        let decoded = self.decode(message, part, batch);
        if payload.is_none() && decoded.is_ok() && batch.submission.reports.len() == before {
            batch.tombstones += 1;
        }
        if let Err(reason) = decoded {
            batch.letters.push(Letter {
                from: format!("{topic}/{partition}@{offset}"),
                reason,
                key: message.key().map(ToOwned::to_owned),
                payload: payload.map(ToOwned::to_owned),
            });
        }
    }

    fn decode(
        &self,
        message: &BorrowedMessage<'_>,
        part: &Part,
        batch: &mut Batch,
    ) -> Result<(), String> {
        let (length, limit) = (message.payload_len(), self.settings.limits.record_bytes);
        if length > limit {
            return Err(format!("it is {length} bytes long; `limits.record_bytes` is {limit}"));
        }
        let headers = if part.decoder.wants_headers() { headers(message)? } else { Vec::new() };
        let time = message.timestamp().to_millis().filter(|millis| *millis >= 0);
        let record = Record {
            topic: &part.topic,
            partition: part.partition,
            offset: message.offset(),
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
            time: time.map(Time::from_millis),
        };
        let stamp = Stamp {
            sensor: &self.sensor,
            source: &part.source,
            origin: Origin { stream: Arc::clone(&part.stream), at: message.offset() },
        };
        let before = batch.submission.reports.len();
        decode(&*part.decoder, &record, &stamp, &mut batch.submission.reports)
            .map_err(|unreadable| unreadable.to_string())?;
        if let Some(parent) = trace_parent(message) {
            for report in &mut batch.submission.reports[before..] {
                report.trace.get_or_insert_with(|| Arc::clone(&parent));
            }
        }
        Ok(())
    }

    /// Tells the group how far the store is, for the tools that show its lag.
    fn tell_group(&self, consumer: &BaseConsumer<Group>) {
        let stored = std::mem::take(&mut self.progress.state().stored);
        for end in stored {
            let mut list = TopicPartitionList::with_capacity(1);
            let offset = Offset::Offset(end.next);
            let added = list.add_partition_offset(&end.topic, end.partition, offset);
            // A partition that is no longer ours is told by its new owner.
            if let Err(error) = added.and_then(|()| consumer.store_offsets(&list)) {
                tracing::debug!(sensor = %self.sensor, %error, "Could not tell the group");
            }
        }
    }
}

impl Batch {
    fn has_room(&self, limits: &Limits) -> bool {
        self.records < limits.batch_records && self.bytes < limits.batch_bytes
    }

    fn reached(&mut self, part: &Part) {
        let same = |end: &&mut End| Arc::ptr_eq(&end.stream, &part.stream);
        match self.ends.iter_mut().rev().find(same) {
            Some(end) => end.next = part.next,
            None => self.ends.push(End {
                stream: Arc::clone(&part.stream),
                topic: Arc::clone(&part.topic),
                partition: part.partition,
                next: part.next,
            }),
        }
    }

    /// Adds the places reached: a record that made no event moves its partition as well.
    fn close(mut self) -> Self {
        let places = self.ends.iter();
        let places = places.map(|end| Origin { stream: Arc::clone(&end.stream), at: end.next - 1 });
        self.submission.advance = places.collect();
        self
    }
}

/// The trace that a record is part of, as its header says.
fn trace_parent(message: &BorrowedMessage<'_>) -> Option<Arc<str>> {
    // Most records have no headers at all.
    message.headers()?;
    let headers = headers(message).ok()?;
    let (_, value) = headers.iter().find(|(name, _)| *name == "traceparent")?;
    let text = std::str::from_utf8((*value)?).ok()?;
    Parent::read(text).map(|_| text.into())
}

/// A record's headers. The binding panics at a name that is no UTF-8, which anybody may produce.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Result<Vec<Header<'a>>, String> {
    let Some(held) = message.headers() else { return Ok(Vec::new()) };
    let collect = || held.iter().map(|header| (header.key, header.value)).collect();
    catch_unwind(AssertUnwindSafe(collect))
        .map_err(|_| "the name of one of its headers is not UTF-8".to_owned())
}
