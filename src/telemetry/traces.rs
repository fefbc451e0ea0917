//! Traces by OpenTelemetry: event, decision, execution, attempt, each as one span once it is over. Spans
//! are made from the records that we keep anyway, with ids that follow from theirs (`model::trace`), so
//! nothing is carried along, and an execution that outlives the engine is one span all the same.
//!
//! Off unless the settings name a collector; then nothing of this costs more than a look at an `Option`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks,
    SpanProcessor,
};

use crate::model::cause::Cause;
use crate::model::event::Event;
use crate::model::execution::{Execution, Status as Stands};
use crate::model::id::EventId;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::model::trace::{self, Parent};

/// Spans that wait for the collector at most; what is more is dropped, never waited for.
const WAITING_LIMIT: usize = 8192;
/// How long the collector may take for one delivery.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often what waits is delivered.
const EVERY: Duration = Duration::from_secs(2);

/// Where spans go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Sending>>);

struct Sending {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to `{otlp}`: {what}")]
pub struct Error {
    otlp: String,
    what: String,
}

/// One span to be.
struct Part<'a> {
    tag: &'a str,
    id: u64,
    /// The part above it; 0 where there is none.
    above: u64,
    /// Whether another program made that one.
    remote: bool,
    name: String,
    kind: SpanKind,
    from: Time,
    to: Time,
    failed: Option<String>,
    about: Vec<KeyValue>,
}

impl Traces {
    /// Nowhere.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// To the collector at `otlp` (`http://127.0.0.1:4318`), by OTLP over HTTP. Not to be called on a
    /// thread that runs tasks: the client blocks.
    ///
    /// # Errors
    /// `Error` where no client can be made.
    pub fn to(otlp: &str) -> Result<Self, Error> {
        let failed = |what: String| Error { otlp: otlp.to_owned(), what };
        let client = reqwest::blocking::Client::builder().timeout(PATIENCE).build();
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client.map_err(|error| failed(error.to_string()))?)
            .with_endpoint(format!("{otlp}/v1/traces"))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let resource = Resource::builder_empty()
            .with_service_name("ifso")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        exporter.set_resource(&resource);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_LIMIT)
            .with_scheduled_delay(EVERY)
            .build();
        let told = Told { exporter, failing: AtomicBool::new(false) };
        let processor = BatchSpanProcessor::builder(told).with_batch_config(batches).build();
        let scope = InstrumentationScope::builder("ifso").build();
        Ok(Self(Some(Arc::new(Sending { processor, scope }))))
    }

    /// Delivers what waits, and ends. Blocks; not to be called on a thread that runs tasks.
    pub fn end(&self) {
        let Some(sending) = &self.0 else { return };
        if let Err(error) = sending.processor.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }

    /// Whether anybody wants spans.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The same events; where spans are wanted, each with the trace that it is part of or begins.
    #[must_use]
    pub fn begun(&self, mut events: Vec<Event>) -> Vec<Event> {
        if self.is_on() {
            for event in events.iter_mut().filter(|event| event.trace.is_none()) {
                event.trace = Some(trace::begun_by_event(event.id).to_string().into());
            }
        }
        events
    }

    /// Events were accepted and decided upon by `now`.
    pub fn decided(&self, events: &[Event], decisions: &[Decision], now: Time) {
        let Some(sending) = &self.0 else { return };
        let mut own: HashMap<EventId, Vec<&Decision>> = HashMap::new();
        for decision in decisions {
            own.entry(decision.event).or_default().push(decision);
        }
        for event in events {
            sending.event(event, own.get(&event.id).map_or(&[], Vec::as_slice), now);
        }
    }

    /// An execution is over.
    pub fn execution(&self, execution: &Execution) {
        let Some(sending) = &self.0 else { return };
        let own = trace::begun_by_execution(execution.id).to_string();
        let tag = trace::tag(execution).unwrap_or(&own);
        let (above, remote) = above_execution(execution, tag);
        let failed = (execution.status != Stands::Succeeded).then(|| {
            execution.reason.clone().unwrap_or_else(|| execution.status.word().to_owned())
        });
        sending.send(Part {
            tag,
            id: trace::of_execution(execution.id),
            above,
            remote,
            name: format!("execution {}", execution.action.reference),
            kind: SpanKind::Internal,
            from: execution.created,
            to: execution.ended.unwrap_or(execution.created),
            failed,
            about: vec![
                KeyValue::new("ifso.execution", execution.id.to_string()),
                KeyValue::new("ifso.action", execution.action.reference.to_string()),
                KeyValue::new("ifso.status", execution.status.word()),
                KeyValue::new("ifso.user", execution.user.clone()),
                KeyValue::new("ifso.attempts", i64::from(execution.attempt)),
            ],
        });
    }

    /// The attempt that `execution` was at is over, by `now`; `failed` says why it did not go well.
    pub fn attempt(&self, execution: &Execution, failed: Option<String>, now: Time) {
        let Some(sending) = &self.0 else { return };
        let own = trace::begun_by_execution(execution.id).to_string();
        let begun = execution.log.iter().rev().find(|(_, status)| *status == Stands::Running);
        sending.send(Part {
            tag: trace::tag(execution).unwrap_or(&own),
            id: trace::of_attempt(execution.id, execution.attempt),
            above: trace::of_execution(execution.id),
            remote: false,
            name: format!("attempt {}", execution.action.runner),
            kind: SpanKind::Client,
            from: begun.map_or(execution.created, |(at, _)| *at),
            to: now,
            failed,
            about: vec![
                KeyValue::new("ifso.execution", execution.id.to_string()),
                KeyValue::new("ifso.attempt", i64::from(execution.attempt)),
                KeyValue::new("ifso.runner", execution.action.runner.clone()),
            ],
        });
    }

    /// The `traceparent` under which an attempt's own calls go: the attempt's, or, where nobody wants our
    /// spans, the one that came from outside.
    #[must_use]
    pub fn parent(&self, execution: &Execution) -> Option<String> {
        let tag = trace::tag(execution);
        if !self.is_on() {
            return Parent::read(tag?).map(|parent| parent.to_string());
        }
        let own = trace::begun_by_execution(execution.id);
        let (trace, sampled) = tag.map_or((own.trace, true), trace::trace);
        let span = trace::of_attempt(execution.id, execution.attempt);
        Some(Parent { trace, span, sampled }.to_string())
    }
}

/// What stands above an event, and whether another program made it.
fn above_event(event: &Event, tag: &str) -> (u64, bool) {
    match &event.cause {
        Cause::Rule { rule, event, .. } => (trace::of_decision(*event, rule), false),
        Cause::Execution(id) => (trace::of_execution(*id), false),
        Cause::Sensor(_) | Cause::User(_) => outside(tag, trace::of_event(event.id)),
    }
}

/// The same of an execution.
fn above_execution(execution: &Execution, tag: &str) -> (u64, bool) {
    match (&execution.cause, execution.parent) {
        (_, Some(parent)) => (trace::of_execution(parent), false),
        (Cause::Rule { rule, event, .. }, None) => (trace::of_decision(*event, rule), false),
        (Cause::Execution(id), None) => (trace::of_execution(*id), false),
        (Cause::Sensor(_) | Cause::User(_), None) => {
            outside(tag, trace::of_execution(execution.id))
        }
    }
}

/// The part of a tag, unless it is our `own`: then the trace begins here.
fn outside(tag: &str, own: u64) -> (u64, bool) {
    Parent::read(tag).filter(|parent| parent.span != own).map_or((0, false), |p| (p.span, true))
}

impl Sending {
    /// An event and what the rules made of it.
    fn event(&self, event: &Event, decisions: &[&Decision], now: Time) {
        let own = trace::begun_by_event(event.id).to_string();
        let tag = event.trace.as_deref().unwrap_or(&own);
        let (above, remote) = above_event(event, tag);
        self.send(Part {
            tag,
            id: trace::of_event(event.id),
            above,
            remote,
            name: format!("event {}", event.trigger),
            kind: SpanKind::Consumer,
            from: event.accepted,
            to: now,
            failed: None,
            about: vec![
                KeyValue::new("ifso.event", event.id.to_string()),
                KeyValue::new("ifso.trigger", event.trigger.to_string()),
                KeyValue::new("ifso.source", event.source.to_string()),
            ],
        });
        for decision in decisions {
            let failed = match &decision.verdict {
                Verdict::Error { message, .. } => Some(message.clone()),
                _ => None,
            };
            self.send(Part {
                tag,
                id: trace::of_decision(event.id, &decision.rule),
                above: trace::of_event(event.id),
                remote: false,
                name: format!("decision {}", decision.rule),
                kind: SpanKind::Internal,
                from: event.accepted,
                to: now,
                failed,
                about: vec![
                    KeyValue::new("ifso.event", event.id.to_string()),
                    KeyValue::new("ifso.rule", decision.rule.to_string()),
                    KeyValue::new("ifso.verdict", decision.verdict.word()),
                ],
            });
        }
    }

    fn send(&self, part: Part<'_>) {
        let (trace, sampled) = trace::trace(part.tag);
        if !sampled {
            return;
        }
        let span_id = SpanId::from_bytes(part.id.to_be_bytes());
        let trace_id = TraceId::from_bytes(trace.to_be_bytes());
        let status = part.failed.map_or(Status::Unset, Status::error);
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                trace_id,
                span_id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from_bytes(part.above.to_be_bytes()),
            parent_span_is_remote: part.remote,
            span_kind: part.kind,
            name: part.name.into(),
            start_time: moment(part.from),
            end_time: moment(part.to.max(part.from)),
            attributes: part.about,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn moment(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(time.millis()).unwrap_or(0))
}

/// An exporter that says once when it fails, and once when it works again.
#[derive(Debug)]
struct Told {
    exporter: opentelemetry_otlp::SpanExporter,
    failing: AtomicBool,
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let done = self.exporter.export(batch).await;
        let failed_before = self.failing.swap(done.is_err(), Ordering::Relaxed);
        match &done {
            Err(error) if !failed_before => {
                tracing::warn!(%error, "traces are not taken; they are dropped until they are");
            }
            Ok(()) if failed_before => tracing::info!("traces are taken again"),
            _ => {}
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
}
