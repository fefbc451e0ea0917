//! `kafka`: records of topics become events, each exactly once in the store.
//!
//! A thread reads and decodes (`reader`), a task hands batches to the door. A batch's places go into
//! the same commit as what follows from its events; whoever gets a partition, after a crash or a
//! rebalance, starts at the place that the store holds (`place`), and what was handed over twice
//! meanwhile is dropped there. The group's own offsets are only for the tools that show lag.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::model::problem::Problem;
use crate::model::sensor::Definition;
use crate::sensors::kafka::letters::Outbox;
use crate::sensors::kafka::progress::Progress;
use crate::sensors::kafka::reader::{Batch, Reader};
use crate::sensors::kafka::settings::Settings;
use crate::sensors::{Context, Error, Kind, Sensor};

mod settings;
mod reader;
mod group;
mod progress;
mod place;
mod scout;
mod letters;

/// Batches that are read and wait for the door: one, so that reading goes on beside the commit and
/// memory stays bounded by `limits`.
const WAITING_BATCHES: usize = 1;
/// How long the consumer may take to leave its group; then it is left to itself. Shorter than the
/// supervisor's grace.
const GOODBYE: Duration = Duration::from_secs(4);

/// The kind `kafka`.
pub struct Kafka;

impl Kind for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn about(&self) -> &'static str {
        "Reads topics of Apache Kafka; each record becomes its events exactly once."
    }

    fn example(&self) -> &'static str {
        include_str!("example.yaml")
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = super::settings(definition)?;
        let problem =
            |message: String| Problem::error("sensor_settings", definition.place.clone(), message);
        let mut problems: Vec<_> = settings
            .mistakes()
            .into_iter()
            .map(|(message, help)| problem(message).help(help))
            .collect();
        let sensor = definition.reference.as_str();
        let consumer = settings.consumer(sensor).map_err(|wrong| {
            problems.push(
                problem(format!("`settings`: {wrong}"))
                    .help("librdkafka's CONFIGURATION.md lists every key and its values"),
            );
        });
        match (consumer, settings.config()) {
            (Ok(consumer), Ok(client)) if problems.is_empty() => Ok(Box::new(Reading {
                sensor: sensor.to_owned(),
                settings: Arc::new(settings),
                consumer,
                client,
            })),
            _ => Err(problems),
        }
    }
}

struct Reading {
    sensor: String,
    settings: Arc<Settings>,
    consumer: ClientConfig,
    client: ClientConfig,
}

#[async_trait]
impl Sensor for Reading {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let progress =
            Arc::new(Progress::new(context.health.clone(), self.settings.idle(&self.sensor)));
        let (batches, mut coming) = mpsc::channel(WAITING_BATCHES);
        let (end, mut ended) = oneshot::channel();
        let reader = Reader {
            sensor: self.sensor.clone(),
            settings: Arc::clone(&self.settings),
            config: self.consumer.clone(),
            context: context.clone(),
            runtime: Handle::current(),
            progress: Arc::clone(&progress),
            batches,
        };
        // A thread of its own, not the runtime's: librdkafka may block it for long when it leaves.
        std::thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || drop(end.send(reader.run())))
            .map_err(|error| Error::Source {
                what: format!("no thread for the reader: {error}"),
            })?;
        let delivered = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            outcome = self.deliver(&mut coming, &context, &progress) => outcome,
        };
        drop(coming);
        let read = tokio::time::timeout(GOODBYE, &mut ended).await;
        match (delivered, read) {
            (Err(error), _) | (Ok(()), Ok(Ok(Err(error)))) => Err(error),
            (Ok(()), Ok(Err(_))) => {
                Err(Error::Source { what: "the reader ended by a bug; see the log".to_owned() })
            }
            (Ok(()), Ok(Ok(Ok(()))) | Err(_)) => Ok(()),
        }
    }
}

impl Reading {
    /// Hands batches over until the reader ends.
    async fn deliver(
        &self,
        coming: &mut mpsc::Receiver<Batch>,
        context: &Context,
        progress: &Progress,
    ) -> Result<(), Error> {
        let mut outbox = None;
        while let Some(batch) = coming.recv().await {
            if let (Some(topic), [_, ..]) = (&self.settings.dead_letter_topic, &batch.letters[..]) {
                let outbox = match &mut outbox {
                    Some(outbox) => outbox,
                    none => none.insert(Outbox::new(topic, self.client.clone())?),
                };
                outbox.send(&batch.letters).await?;
            }
            self.hand_over(batch, context, progress).await?;
        }
        Ok(())
    }

    async fn hand_over(
        &self,
        batch: Batch,
        context: &Context,
        progress: &Progress,
    ) -> Result<(), Error> {
        let Batch { mut submission, ends, letters, tombstones, .. } = batch;
        let dead = letters.iter().map(|letter| letter.dead(&self.sensor, context));
        submission.dead_letters = dead.collect();
        context.report(submission).await?;
        progress.stored(ends);
        context.books.tombstones(tombstones);
        Ok(())
    }
}
