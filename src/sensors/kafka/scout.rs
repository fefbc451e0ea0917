//! Looks a cluster up, beside the consumer: its id, its topics' ids, where its partitions begin and
//! end. It belongs to no group, so that it can be asked while the consumer is being handed partitions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::model::time::Time;
use crate::sensors::Error;

/// How long one question to the cluster may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// In how many steps of that the first question is asked: brokers that refuse are not waited for.
const TRIES: u32 = 20;
/// How long we listen at a time for what librdkafka has to say.
const HEARING: Duration = Duration::from_millis(10);
/// How often we listen for a topic's id, which comes a moment after the reply that held it.
const HEARINGS: usize = 200;
/// The id of a topic of which librdkafka knows none yet.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Topics' ids as librdkafka learns them.
///
/// A topic's id tells a topic from one that was made anew under its name. librdkafka has it, but
/// hands it out only to C; it also writes it into a line of its log, which is where we read it. Where
/// the line does not come (another version, brokers before 2.8), ids are not known, and only offsets
/// that are out of range tell that a topic was made anew.
#[derive(Default)]
pub(super) struct TopicIds(Mutex<HashMap<String, String>>);

impl TopicIds {
    /// Reads a line of the log. Returns the topic if the line says that it was made anew.
    pub(super) fn hear(&self, line: &str) -> Option<String> {
        let (_, said) = line.split_once("Topic ")?;
        let (topic, ids) = said.split_once(" changed id from ")?;
        let (before, after) = ids.split_once(" to ")?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(topic.to_owned(), after.to_owned());
        (before != NO_ID && after != NO_ID).then(|| topic.to_owned())
    }

    fn get(&self, topic: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(topic).filter(|id| *id != NO_ID).cloned()
    }
}

/// A client that only asks.
pub(super) struct Scout {
    client: BaseConsumer<Listener>,
    ids: Arc<TopicIds>,
    brokers: String,
}

impl Scout {
    /// A scout in the cluster that `config` names.
    ///
    /// # Errors
    /// `Stop`, where librdkafka cannot make a client of it (a certificate that is not there, …).
    pub(super) fn new(config: &ClientConfig) -> Result<Self, Error> {
        let ids = Arc::new(TopicIds::default());
        let listener = Listener { ids: Arc::clone(&ids), heard: Mutex::default() };
        let client = config.create_with_context(listener).map_err(|error| Error::Stop {
            what: format!("no client can be made with these settings: {error}"),
        })?;
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        Ok(Self { client, ids, brokers })
    }

    /// The cluster's id.
    ///
    /// # Errors
    /// `Source`, where no broker answers.
    pub(super) fn cluster(&self) -> Result<String, Error> {
        for _ in 0..TRIES {
            if let Some(id) = self.client.client().fetch_cluster_id(PATIENCE / TRIES) {
                return Ok(id);
            }
            self.listen();
            if self.client.context().heard().all_down {
                break;
            }
        }
        let reason = self.client.context().heard().reason.clone();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        Err(Error::Source { what: format!("no broker of `{}` answers{reason}", self.brokers) })
    }

    /// The topic's id, where the cluster has ids and says it.
    ///
    /// # Errors
    /// `Source`.
    pub(super) fn topic_id(&self, topic: &str) -> Result<Option<String>, Error> {
        let metadata = self.client.fetch_metadata(Some(topic), PATIENCE);
        metadata.map_err(|error| self.source(topic, &error))?;
        for _ in 0..HEARINGS {
            self.listen();
            if let Some(id) = self.ids.get(topic) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The first offset that is there, and the one that the next record will have.
    ///
    /// # Errors
    /// `Source`.
    pub(super) fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        self.client
            .fetch_watermarks(topic, partition, PATIENCE)
            .map_err(|error| self.source(topic, &error))
    }

    /// The offset of the first record at or after `time`; none, where there is none yet.
    ///
    /// # Errors
    /// `Source`.
    pub(super) fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        time: Time,
    ) -> Result<Option<i64>, Error> {
        let mut asked = TopicPartitionList::new();
        let wrong = |error: KafkaError| self.source(topic, &error);
        let offset = Offset::Offset(time.millis().max(0));
        asked.add_partition_offset(topic, partition, offset).map_err(wrong)?;
        let told = self.client.offsets_for_times(asked, PATIENCE).map_err(wrong)?;
        let place = told.find_partition(topic, partition).map(|place| place.offset());
        Ok(match place {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }

    fn source(&self, topic: &str, error: &KafkaError) -> Error {
        self.listen();
        Error::Source { what: format!("topic `{topic}` cannot be looked up: {error}") }
    }

    /// Serves what librdkafka has to say: logs and errors wait for somebody who polls.
    fn listen(&self) {
        while self.client.poll(HEARING).is_some() {}
    }
}

struct Listener {
    ids: Arc<TopicIds>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The first thing that went wrong: it names the address.
    reason: Option<String>,
    /// Whether every broker was tried.
    all_down: bool,
}

impl Listener {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Listener {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.ids.hear(line);
        tracing::debug!(target: "librdkafka", facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut heard = self.heard();
        heard.all_down |= error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        heard.reason.get_or_insert_with(|| reason.to_owned());
    }
}

impl ConsumerContext for Listener {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_s_id_is_heard_and_its_change_is_told() {
        let ids = TopicIds::default();
        let line =
            format!("[thrd:main]: Topic a b changed id from {NO_ID} to 6P4FbbJis8wuc1fj6OJ-Qg");
        assert_eq!(ids.hear(&line), None);
        assert_eq!(ids.get("a b").as_deref(), Some("6P4FbbJis8wuc1fj6OJ-Qg"));
        assert_eq!(ids.hear("Topic x [0] Leader 1 Epoch 2"), None);
        let line = "Topic a b changed id from 6P4FbbJis8wuc1fj6OJ-Qg to 7P4FbbJis8wuc1fj6OJ-Qg";
        assert_eq!(ids.hear(line).as_deref(), Some("a b"));
        assert_eq!(ids.get("a b").as_deref(), Some("7P4FbbJis8wuc1fj6OJ-Qg"));
    }
}
