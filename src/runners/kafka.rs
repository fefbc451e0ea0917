//! `kafka`: produces one record, and succeeds when all replicas that count have it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::process;
use crate::model::execution::End;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Ended, Job, Outcome, Runner, described};

/// Connections to different clusters that are kept open.
const PRODUCERS: usize = 16;

/// Produces to Kafka.
pub(super) struct Kafka {
    /// One for each set of settings.
    producers: Mutex<HashMap<Vec<(String, String)>, FutureProducer>>,
}

impl Kafka {
    pub(super) fn new() -> Self {
        Self { producers: Mutex::default() }
    }
}

#[async_trait]
impl Runner for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Produces one record to a Kafka topic, acknowledged by all replicas in sync"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["brokers", { "types": ["string"], "required": true, "description": "Where the cluster is reached: host:port, several with commas" }],
            ["topic", { "types": ["string"], "required": true, "description": "To which topic" }],
            ["value", { "types": [], "description": "What: a text goes as it is, anything else as JSON, null as a tombstone" }],
            ["key", { "types": ["string", "null"], "description": "The record's key" }],
            ["partition", { "types": ["integer", "null"], "description": "The partition, else as the key says" }],
            ["headers", { "types": ["object", "null"], "description": "The record's headers" }],
            ["settings", { "types": ["object", "null"], "secret": true, "description": "Further settings of librdkafka, as security.protocol" }],
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take" }],
        ]))
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        if job.begin == Begin::Return {
            let why = "nobody can know whether the record was produced before the engine ended";
            return Outcome::ended(Ended::Lost, why);
        }
        let timeout = process::timeout(&job);
        let producer = match self.producer(&job.parameters) {
            Ok(producer) => producer,
            Err(reason) => return Outcome::failed(reason),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                let why = "it was cancelled; the record may have been produced";
                Outcome::ended(Ended::So(End::Canceled), why)
            }
            made = tokio::time::timeout(timeout, produce(&producer, &job)) => {
                made.unwrap_or_else(|_| {
                    let brokers = process::text(&job.parameters["brokers"]);
                    let why = format!("the brokers `{brokers}` did not acknowledge within {timeout:?}");
                    Outcome::ended(Ended::So(End::TimedOut), why)
                })
            }
        }
    }
}

impl Kafka {
    fn producer(&self, asked: &Map<String, Value>) -> Result<FutureProducer, String> {
        let brokers = asked.get("brokers").and_then(Value::as_str).unwrap_or_default();
        if brokers.is_empty() {
            return Err(
                "parameter `brokers` is missing; say where the cluster is reached".to_owned()
            );
        }
        let given = asked.get("settings").and_then(Value::as_object).into_iter().flatten();
        let mut settings: Vec<_> = given.map(|(k, v)| (k.clone(), process::text(v))).collect();
        // What makes a success mean something comes last: it is not for settings to weaken.
        settings.extend(
            [("bootstrap.servers", brokers), ("acks", "all"), ("enable.idempotence", "true")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = producers.get(&settings) {
            return Ok(producer.clone());
        }
        let mut config = ClientConfig::new();
        config.extend(settings.clone());
        let producer: FutureProducer =
            config.create().map_err(|error| format!("no producer can be made: {error}"))?;
        if producers.len() >= PRODUCERS {
            producers.clear();
        }
        producers.insert(settings, producer.clone());
        Ok(producer)
    }
}

async fn produce(producer: &FutureProducer, job: &Job) -> Outcome {
    let asked = &job.parameters;
    let topic = asked.get("topic").and_then(Value::as_str).unwrap_or_default();
    if topic.is_empty() {
        return Outcome::failed("parameter `topic` is missing; say to which topic");
    }
    let value = asked.get("value").filter(|value| !value.is_null()).map(|value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    });
    let key = asked.get("key").and_then(Value::as_str);
    let mut headers = OwnedHeaders::new();
    for (name, value) in asked.get("headers").and_then(Value::as_object).into_iter().flatten() {
        headers = headers.insert(Header { key: name, value: Some(&process::text(value)) });
    }
    let given = |name: &str| asked.get("headers").is_some_and(|all| all.get(name).is_some());
    if let Some(parent) = job.trace_parent().filter(|_| !given("traceparent")) {
        headers = headers.insert(Header { key: "traceparent", value: Some(parent) });
    }
    let mut record = FutureRecord::<str, str>::to(topic).headers(headers);
    record.key = key;
    record.payload = value.as_deref();
    let partition = asked.get("partition").and_then(Value::as_i64);
    record.partition = partition.and_then(|partition| partition.try_into().ok());
    match producer.send(record, Duration::ZERO).await {
        Ok(delivery) => Outcome::succeeded(json!({
            "topic": topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
        })),
        Err((error, _)) => Outcome::failed(format!("topic `{topic}`: {error}")),
    }
}
