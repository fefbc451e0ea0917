//! The consumer's place in its group: which partitions are ours, where each is read from, and what
//! librdkafka says meanwhile. All of it runs on the reader's thread, inside `poll`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::intake::{Door, Submission};
use crate::model::event::Origin;
use crate::model::time::Time;
use crate::sensors::Error;
use crate::sensors::kafka::place::{self, Choice, From, Held, Question};
use crate::sensors::kafka::progress::{Part, Progress};
use crate::sensors::kafka::scout::{Scout, TopicIds};
use crate::sensors::kafka::settings::{Settings, Start};

/// A topic of which partitions are handed over.
struct Topic {
    name: Arc<str>,
    source: Arc<str>,
    /// The beginning of its streams' names.
    stream: String,
    id: Option<String>,
    start: Start,
}

/// The consumer's context: what librdkafka calls back.
pub(super) struct Group {
    /// The sensor's reference.
    pub(super) sensor: String,
    /// The cluster's id.
    pub(super) cluster: String,
    pub(super) settings: Arc<Settings>,
    pub(super) scout: Scout,
    pub(super) door: Door,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) progress: Arc<Progress>,
    pub(super) ids: TopicIds,
}

impl Group {
    /// Takes over partitions: finds each one's place in the store and tells librdkafka.
    fn take_over(&self, list: &mut TopicPartitionList) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut first = Submission::default();
        let mut topics = HashMap::new();
        for mut place in list.elements() {
            let topic = match topics.entry(place.topic().to_owned()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let topic = self.meet(new.key(), &mut first)?;
                    new.insert(topic)
                }
            };
            let part = self.locate(topic, place.partition(), &mut first)?;
            place.set_offset(Offset::Offset(part.next)).map_err(|error| self.broken(&error))?;
            parts.push(part);
        }
        if !first.advance.is_empty() {
            self.runtime.block_on(self.door.submit(first))?;
        }
        Ok(parts)
    }

    /// Looks a topic up, and keeps when it was met first: `start: latest` means from then on. A
    /// partition that is added later is so read from its beginning.
    fn meet(&self, topic: &str, first: &mut Submission) -> Result<Topic, Error> {
        let stream = format!("kafka/{}/{}/{topic}", self.sensor, self.cluster);
        let met = self.runtime.block_on(self.door.position(&stream))?;
        let start = match (self.settings.start, met) {
            (Start::Latest, Some(met)) => Start::At(Time::from_millis(met)),
            (start, _) => start,
        };
        if met.is_none() {
            let now = self.clock.now().millis();
            first.advance.push(Origin { stream: stream.as_str().into(), at: now });
        }
        let id = self.scout.topic_id(topic)?;
        Ok(Topic { name: topic.into(), source: format!("kafka:{topic}").into(), stream, id, start })
    }

    /// Decides where a partition is read from.
    fn locate(&self, topic: &Topic, partition: i32, first: &mut Submission) -> Result<Part, Error> {
        let (base, id) = (format!("{}/{partition}", topic.stream), topic.id.as_deref());
        let held = self.runtime.block_on(Held::find(&self.door, &base, id))?;
        let (low, high) = self.scout.watermarks(&topic.name, partition)?;
        let Choice { from, losses } = Question {
            name: &format!("{}/{partition}", topic.name),
            held: &held,
            has_id: id.is_some(),
            low,
            high,
            start: topic.start,
            on_reset: self.settings.on_reset,
        }
        .answer()?;
        let next = match from {
            From::Offset(next) => next,
            From::First | From::Start(Start::Earliest) => low,
            From::End | From::Start(Start::Latest) => high,
            From::Start(Start::At(time)) => {
                self.scout.offset_at(&topic.name, partition, time)?.unwrap_or(high)
            }
        };
        let stream: Arc<str> = place::stream(&base, id, losses).into();
        // A place that was chosen is kept at once: after a crash it is not chosen again, differently.
        if !matches!(from, From::Offset(_)) || held.mark != Some(mark(id)) {
            first.advance.push(Origin { stream: Arc::clone(&stream), at: next - 1 });
            first.advance.push(Origin { stream: base.into(), at: mark(id) });
        }
        let decoder = self.settings.decoder(&topic.name).decoder();
        Ok(Part {
            topic: Arc::clone(&topic.name),
            partition,
            stream,
            source: Arc::clone(&topic.source),
            decoder: decoder.map_err(|what| Error::Stop { what })?,
            next,
            stored: next,
        })
    }

    /// A broker, or every one of them, is not there.
    fn away(&self, reason: String, all: bool) {
        let mut fresh = false;
        self.progress.change(|state| {
            // The last one says how many are down; what was said before says why.
            if state.away.is_none() || !all {
                state.away = Some(reason);
            }
            fresh = all && !state.down;
            state.down |= all;
        });
        if fresh {
            self.progress.health.update(|health| health.lag = None);
            let reason = self.progress.state().away.clone().unwrap_or_default();
            tracing::warn!(sensor = %self.sensor, %reason, "no broker is there; it goes on when one is");
        }
    }

    fn broken(&self, error: &KafkaError) -> Error {
        Error::Source { what: format!("group `{}`: {error}", self.settings.group(&self.sensor)) }
    }
}

fn mark(id: Option<&str>) -> i64 {
    if id.is_some() { place::WITH_ID } else { place::WITHOUT_ID }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let together = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let taken = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let empty = TopicPartitionList::new();
        let told = if taken {
            let (list, parts) = match self.take_over(list) {
                Ok(parts) => (&*list, parts),
                // librdkafka wants an answer all the same; the reader is about to start over.
                Err(error) => {
                    self.progress.fail(error);
                    (&empty, Vec::new())
                }
            };
            tracing::info!(sensor = %self.sensor, partitions = parts.len(), "Took partitions over");
            self.progress.change(|state| {
                if !together {
                    state.parts.clear();
                }
                state.parts.extend(parts);
                state.topic = None;
                state.joined = true;
            });
            if together { consumer.incremental_assign(list) } else { consumer.assign(list) }
        } else {
            // What is under way may still be handed over: the store drops what another has read.
            let gone = |part: &Part| list.find_partition(&part.topic, part.partition).is_some();
            self.progress.change(|state| state.parts.retain(|part| together && !gone(part)));
            tracing::info!(sensor = %self.sensor, partitions = list.count(), "Gave partitions up");
            if together { consumer.incremental_unassign(list) } else { consumer.unassign() }
        };
        if let Err(error) = told {
            self.progress.fail(self.broken(&error));
        }
    }
}

impl ClientContext for Group {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        if let Some(topic) = self.ids.hear(line) {
            let what = format!("topic `{topic}` was deleted and made anew; looking for its place");
            self.progress.fail(Error::Source { what });
        }
        tracing::debug!(target: "librdkafka", sensor = %self.sensor, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        tracing::debug!(target: "librdkafka", sensor = %self.sensor, %error, reason);
        let reason = reason.to_owned();
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                self.progress
                    .fail(Error::Source { what: format!("{reason}; looking for its place") });
            }
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::InvalidTopic,
            ) => self.progress.change(|state| state.topic = Some(reason)),
            code => {
                let reason = format!("brokers `{}`: {reason}", self.settings.brokers.join(","));
                self.away(reason, code == Some(Code::AllBrokersDown));
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let up =
            statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP");
        let steady = statistics.cgrp.as_ref().is_some_and(|group| group.join_state == "steady");
        self.progress.change(|state| {
            state.up = up;
            state.joined |= steady;
            if up {
                state.away = None;
                state.down = false;
            }
            // Nobody knows what came while no broker is there, or what others hold.
            let known = state.joined && up && !state.parts.is_empty();
            let lag = known.then(|| state.lag(&statistics));
            self.progress.health.update(|health| health.lag = lag);
        });
    }
}
