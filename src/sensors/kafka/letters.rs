//! Records that could not be read: for the store's list, and for a topic where one is named.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::sensors::kafka::reader::Letter;
use crate::sensors::{Context, Error};
use crate::store::tables::DeadLetter;

/// What is kept of a record's content at most.
const CONTENT_LIMIT: usize = 64 << 10;
/// How long the dead-letter topic may take to acknowledge.
const PATIENCE: Duration = Duration::from_secs(30);

impl Letter {
    /// The line in the store's list.
    pub(super) fn dead(&self, sensor: &str, context: &Context) -> DeadLetter {
        let payload = self.payload.as_deref().unwrap_or_default();
        let shown = &payload[..payload.len().min(CONTENT_LIMIT)];
        DeadLetter {
            id: context.ids.record(),
            sensor: sensor.to_owned(),
            from: self.from.clone(),
            reason: self.reason.clone(),
            content: String::from_utf8_lossy(shown).into_owned(),
            at: context.clock.now(),
        }
    }
}

/// The topic for dead letters. A record is sent there before its place is kept, so a crash between
/// the two sends it twice; it is never missing.
pub(super) struct Outbox {
    topic: String,
    producer: FutureProducer<Quiet>,
}

impl Outbox {
    /// A producer to `topic`.
    ///
    /// # Errors
    /// `Stop`, where librdkafka cannot make one with these settings.
    pub(super) fn new(topic: &str, mut config: ClientConfig) -> Result<Self, Error> {
        config.set("enable.idempotence", "true");
        let producer = config.create_with_context(Quiet).map_err(|error| Error::Stop {
            what: format!("no producer to `{topic}` can be made: {error}"),
        })?;
        Ok(Self { topic: topic.to_owned(), producer })
    }

    /// Sends the records as they were, with the reason and the place in headers, and waits until all
    /// are acknowledged.
    ///
    /// # Errors
    /// `Source`.
    pub(super) async fn send(&self, letters: &[Letter]) -> Result<(), Error> {
        let sent = letters.iter().map(|letter| {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "ifso-from", value: Some(&letter.from) })
                .insert(Header { key: "ifso-reason", value: Some(&letter.reason) });
            let mut record = FutureRecord::to(&self.topic).headers(headers);
            record.key = letter.key.as_deref();
            record.payload = letter.payload.as_deref();
            self.producer.send::<[u8], [u8], _>(record, PATIENCE)
        });
        let acknowledged = futures_util::future::try_join_all(sent).await;
        acknowledged.map(drop).map_err(|(error, _)| Error::Source {
            what: format!("the dead-letter topic `{}` does not take records: {error}", self.topic),
        })
    }
}

/// Says nothing but in the debug log: what fails is told by `send`.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
    }
}
