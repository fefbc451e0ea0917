//! The sensor that all schedules share: waits for the next instant, reports it, and commits its place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::intake::Submission;
use crate::model::event::{Origin, Report};
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::schedule::{Due, Misfire, Plan, Tick, Timing};
use crate::sensors::span::Span;
use crate::sensors::{Context, Error, Schedule, Sensor, wrong};

/// The trigger of schedules that name none.
const TRIGGER: &str = "core.tick";
/// How many missed instants `all` fires unless the file says otherwise, and at most.
const MAX_DEFAULT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// An instant that is found so late after a start was missed.
const GRACE_AT_START: Duration = Duration::from_secs(1);
/// An instant that is found so late by a running schedule was missed: the machine slept, or its clock
/// was moved.
const GRACE: Duration = Duration::from_secs(30);

/// What the files of all schedules have in common.
pub(crate) struct Common {
    pub(crate) trigger: Option<Reference>,
    pub(crate) data: Map<String, Value>,
    pub(crate) misfire: Misfire,
    pub(crate) max: Option<usize>,
    pub(crate) jitter: Option<Span>,
    pub(crate) from: Option<Time>,
}

/// A schedule, ready to run.
pub(crate) struct Ticker {
    sensor: Arc<str>,
    /// Where its place is kept. It holds the schedule itself: an edited one begins anew.
    stream: Arc<str>,
    trigger: Reference,
    data: Map<String, Value>,
    schedule: String,
    zone: String,
    from: Option<Time>,
    timing: Timing,
}

impl Ticker {
    /// A schedule called `schedule` in its events; `zone` is the name of its time zone.
    pub(crate) fn new(
        definition: &Definition,
        plan: Plan,
        (schedule, zone): (String, String),
        common: Common,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if let Some(key) = common.data.keys().find(|key| PAYLOAD.contains(&key.as_str())) {
            let message =
                format!("`{key}` is filled in by the schedule itself; choose another name");
            problems.push(wrong(definition, "data", message));
        }
        let max = common.max.unwrap_or(MAX_DEFAULT);
        if !(1..=MAX_LIMIT).contains(&max) {
            problems.push(wrong(definition, "max", format!("expected 1 to {MAX_LIMIT}")));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let jitter = common.jitter.map_or(Duration::ZERO, |span| span.0);
        Ok(Self {
            sensor: definition.reference.as_str().into(),
            stream: format!("schedule/{}/{schedule}/{zone}", definition.reference).into(),
            trigger: common.trigger.unwrap_or_else(|| TRIGGER.parse().expect("a whole reference")),
            data: common.data,
            schedule,
            zone,
            from: common.from,
            timing: Timing { plan, misfire: common.misfire, max, jitter },
        })
    }

    /// Where to go on: at the committed place, or, for a schedule that is new, at `from` or now.
    async fn begin(&self, context: &Context) -> Result<Time, Error> {
        let from = self.from.map(|from| from.minus(Duration::from_millis(1)));
        if let Some(at) = context.door.position(&self.stream).await? {
            let held = Time::from_millis(at);
            return Ok(from.map_or(held, |from| held.max(from)));
        }
        let begin = from.unwrap_or_else(|| context.clock.now());
        self.settle(context, Vec::new(), begin).await?;
        Ok(begin)
    }

    /// Reports ticks and commits that everything up to `settled` is done.
    async fn settle(
        &self,
        context: &Context,
        ticks: Vec<Tick>,
        settled: Time,
    ) -> Result<(), Error> {
        let reports = ticks.iter().map(|tick| self.report(tick)).collect();
        let submission =
            Submission { reports, advance: vec![self.origin(settled)], ..Submission::default() };
        context.report(submission).await.map(drop)
    }

    fn origin(&self, at: Time) -> Origin {
        Origin { stream: Arc::clone(&self.stream), at: at.millis() }
    }

    fn report(&self, tick: &Tick) -> Report {
        let mut data = self.data.clone();
        let payload: [Value; 5] = [
            self.schedule.as_str().into(),
            tick.nominal.to_string().into(),
            self.timing.planned(tick.nominal).to_string().into(),
            tick.missed.into(),
            self.zone.as_str().into(),
        ];
        data.extend(PAYLOAD.map(str::to_owned).into_iter().zip(payload));
        let mut report = Report::new(self.trigger.clone(), &self.sensor, Value::Object(data));
        report.time = Some(tick.nominal);
        report.origin = Some(self.origin(tick.nominal));
        report
    }

    /// Says what comes next, and gives the time to wait for.
    fn announce(&self, context: &Context, position: Time) -> Option<Time> {
        let next = self.timing.wake(position)?;
        let now = context.clock.now();
        context.health.running();
        context.health.update(|health| {
            health.reason = Some(if position > now {
                format!(
                    "the clock stands before the last tick, of {position}; the next is at {next}"
                )
            } else {
                format!("next at {next}")
            });
        });
        Some(next)
    }
}

/// What a tick's payload holds beside the file's own `data`.
const PAYLOAD: [&str; 5] = ["schedule", "nominal", "scheduled_at", "missed", "zone"];

impl Schedule for Ticker {
    fn words(&self) -> &str {
        &self.schedule
    }

    fn zone(&self) -> &str {
        &self.zone
    }

    fn trigger(&self) -> &Reference {
        &self.trigger
    }

    fn after(&self, time: Time) -> Option<Time> {
        // Nothing is reported before the time from which the file counts.
        let from = self.from.map(|from| from.minus(Duration::from_millis(1)));
        self.timing.plan.next_after(from.map_or(time, |from| from.max(time)))
    }
}

#[async_trait]
impl Sensor for Ticker {
    fn schedule(&self) -> Option<&dyn Schedule> {
        Some(self)
    }

    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let mut position = self.begin(&context).await?;
        let mut grace = GRACE_AT_START;
        loop {
            let Due { ticks, settled } = self.timing.due(position, context.clock.now(), grace);
            if let Some(settled) = settled {
                self.settle(&context, ticks, settled).await?;
                position = settled;
            }
            grace = GRACE;
            let Some(next) = self.announce(&context, position) else {
                context
                    .health
                    .update(|health| health.reason = Some("every instant has passed".to_owned()));
                return Ok(());
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = context.clock.sleep_until(next) => {}
            }
        }
    }
}
