//! What a Kafka sensor's file says, read and checked without touching the network.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::model::time::Time;
use crate::sensors::decode;

/// The file's keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// `host:port` of some brokers; the others are learnt from them.
    #[serde(deserialize_with = "list")]
    pub(super) brokers: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    pub(super) topics: Vec<String>,
    /// A regular expression over topics' names, instead of `topics`.
    #[serde(default)]
    pub(super) pattern: Option<String>,
    #[serde(default)]
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) start: Start,
    #[serde(default)]
    pub(super) on_reset: OnReset,
    /// By topic; `*` is for those that are not named.
    #[serde(default)]
    pub(super) decode: BTreeMap<String, Decode>,
    #[serde(default)]
    pub(super) dead_letter_topic: Option<String>,
    #[serde(default)]
    pub(super) limits: Limits,
    /// Anything else that librdkafka knows: TLS, SASL, fetch sizes, …
    #[serde(default, rename = "settings")]
    pub(super) client: BTreeMap<String, Value>,
}

/// Where a partition that was never read begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    #[default]
    Latest,
    At(Time),
}

/// What to do where the position that the store holds no longer exists on the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnReset {
    #[default]
    Stop,
    Earliest,
    Latest,
}

/// A decoder by its name alone, or with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decode(pub(super) decode::Settings);

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// A longer record becomes a dead letter.
    pub(super) record_bytes: usize,
    /// Records that go into one commit at most.
    pub(super) batch_records: usize,
    /// Bytes of records that go into one commit at most.
    pub(super) batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes: 1 << 20, batch_records: 4096, batch_bytes: 8 << 20 }
    }
}

/// What Ifso sets itself, and the key to use instead.
const OWN: &[(&str, &str)] = &[
    ("bootstrap.servers", "`brokers`"),
    ("metadata.broker.list", "`brokers`"),
    ("group.id", "`group`"),
    ("auto.offset.reset", "`start` and `on_reset`"),
    ("enable.auto.commit", "nothing: offsets live in the store"),
    ("enable.auto.offset.store", "nothing: offsets live in the store"),
    ("enable.partition.eof", "nothing"),
];

/// librdkafka's settings unless the file says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    // Only what moves is taken away in a rebalance; the rest is read on.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // What waits in memory: a second's worth of a fast topic, not the client's 64 MiB.
    ("queued.max.messages.kbytes", "16384"),
    // A topic that is made later, or made anew, is noticed within this.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // A member that was killed is replaced within this; librdkafka's own default.
    ("session.timeout.ms", "45000"),
    ("reconnect.backoff.max.ms", "5000"),
];

/// How often librdkafka tells its state: the age of the lag in the sensor's health.
const STATISTICS: Duration = Duration::from_secs(1);

impl Settings {
    /// Every mistake that can be seen from here, each with its next step.
    pub(super) fn mistakes(&self) -> Vec<(String, String)> {
        let mut mistakes = Vec::new();
        let mut wrong = |message: &str, help: &str| {
            mistakes.push((message.to_owned(), help.to_owned()));
        };
        if self.brokers.is_empty() {
            wrong("`brokers` is empty", "write `brokers: [host:9092]`");
        }
        match (&self.topics[..], &self.pattern) {
            ([], None) => wrong("no topics are named", "write `topics: [name]` or `pattern:`"),
            ([_, ..], Some(_)) => {
                wrong("`topics` and `pattern` exclude each other", "keep one of them");
            }
            (_, Some(pattern)) => {
                if let Err(error) = regex::Regex::new(pattern) {
                    wrong(&format!("`pattern`: {error}"), "write a regular expression");
                }
            }
            _ => {}
        }
        if let Some(dead) =
            self.dead_letter_topic.as_ref().filter(|dead| self.topics.contains(dead))
        {
            let message = format!("`dead_letter_topic`: `{dead}` is read by this sensor itself");
            wrong(&message, "name another topic");
        }
        for topic in self.decode.keys().filter(|topic| *topic != "*" && !self.topics.is_empty()) {
            if !self.topics.contains(topic) {
                let message = format!("`decode`: `{topic}` is not among `topics`");
                wrong(&message, "name one of `topics`, or `*` for all the others");
            }
        }
        for (topic, Decode(decode)) in &self.decode {
            if let Err(message) = decode.decoder() {
                let message = format!("`decode.{topic}`: {message}");
                wrong(&message, "remove the key or change `as`");
            }
        }
        for (key, instead) in OWN.iter().filter(|(key, _)| self.client.contains_key(*key)) {
            let message = format!("`settings`: Ifso sets `{key}` itself");
            wrong(&message, &format!("remove it; use {instead}"));
        }
        let limits = self.limits;
        if [limits.record_bytes, limits.batch_records, limits.batch_bytes].contains(&0) {
            wrong("`limits`: a limit of 0 lets nothing through", "write a positive number");
        }
        mistakes
    }

    /// librdkafka's configuration of the consumer.
    ///
    /// # Errors
    /// The key or value that librdkafka does not take.
    pub(super) fn consumer(&self, sensor: &str) -> Result<ClientConfig, String> {
        let mut config = self.config()?;
        for (key, value) in DEFAULTS {
            if !self.client.contains_key(*key) {
                config.set(*key, *value);
            }
        }
        // The newer group protocol knows no client-side strategy and no session time-out.
        if config.get("group.protocol") == Some("consumer") {
            for key in ["partition.assignment.strategy", "session.timeout.ms"] {
                if !self.client.contains_key(key) {
                    config.remove(key);
                }
            }
        }
        config.set("group.id", self.group(sensor));
        config.set("auto.offset.reset", "error");
        // The group's own offsets only tell lag tools how far the store is.
        config.set("enable.auto.commit", "true").set("enable.auto.offset.store", "false");
        config.set("statistics.interval.ms", STATISTICS.as_millis().to_string());
        if self.pattern.is_some() {
            let dead = self.dead_letter_topic.as_deref().map(regex::escape);
            let dead = dead.map(|dead| format!(",^{dead}$")).unwrap_or_default();
            config.set("topic.blacklist", format!("^__{dead}"));
        }
        config.create_native_config().map_err(|error| error.to_string())?;
        Ok(config)
    }

    /// librdkafka's configuration of any client of these brokers.
    ///
    /// # Errors
    /// The value that is no scalar.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        for (key, value) in &self.client {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => return Err(format!("`{key}` is a list or a map; expected one value")),
            };
            config.set(key, value);
        }
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set_log_level(RDKafkaLogLevel::Debug);
        // The topics' ids are in these lines, and nowhere else in reach (`scout.rs`).
        let debug = config.get("debug").map(|more| format!("topic,{more}"));
        config.set("debug", debug.as_deref().unwrap_or("topic"));
        Ok(config)
    }

    /// The consumer group.
    pub(super) fn group(&self, sensor: &str) -> String {
        self.group.clone().unwrap_or_else(|| format!("ifso-{sensor}"))
    }

    /// What is said of a sensor whose group gives it nothing to read.
    pub(super) fn idle(&self, sensor: &str) -> String {
        let group = self.group(sensor);
        match &self.pattern {
            Some(pattern) => format!(
                "idle: no topic matches `{pattern}`, or other members of group `{group}` hold all \
                 partitions"
            ),
            None => format!(
                "idle: other members of group `{group}` hold all partitions of `{}`",
                self.topics.join(", ")
            ),
        }
    }

    /// What to subscribe to, in librdkafka's form: a leading `^` makes an expression.
    pub(super) fn subscription(&self) -> Vec<String> {
        match &self.pattern {
            Some(pattern) if pattern.starts_with('^') => vec![pattern.clone()],
            Some(pattern) => vec![format!("^.*({pattern})")],
            None => self.topics.clone(),
        }
    }

    /// How the records of `topic` are read.
    pub(super) fn decoder(&self, topic: &str) -> decode::Settings {
        let named = self.decode.get(topic).or_else(|| self.decode.get("*"));
        named.map(|named| named.0.clone()).unwrap_or_default()
    }
}

/// One text, or a list of them.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(parts.map(ToOwned::to_owned).collect())
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => text.parse().map(Self::At).map_err(|_| {
                D::Error::custom(format!(
                    "`{text}` is no start; expected `earliest`, `latest` or a time such as \
                     `2026-11-20T18:00:00Z`"
                ))
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Decode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrSettings;

        impl<'de> Visitor<'de> for NameOrSettings {
            type Value = Decode;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a decoder's name or a map with `as`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let name = decode::Name::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(Decode(decode::Settings::of(name)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let settings =
                    decode::Settings::deserialize(de::value::MapAccessDeserializer::new(map));
                settings.map(Decode)
            }
        }

        deserializer.deserialize_any(NameOrSettings)
    }
}
