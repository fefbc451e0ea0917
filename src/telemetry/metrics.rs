//! Every metric, by name. Names are `ifso_` and noun, verb, unit; labels have few values, all known
//! beforehand: none of them comes from an event or a user. Sensors are named, which are few; one that is
//! gone is forgotten.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::model::execution::STATUSES;
use crate::model::rule::Verdict;
use crate::telemetry::kept::Kept;
use crate::telemetry::traces::Traces;

/// Seconds between 0.1 ms and 10 s: from a read in memory to a disk that struggles.
const SECONDS: &[f64] = &[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// What is counted, and where spans of it go. Cheap to clone; clones count together. Each process, and each
/// test, has its own.
#[derive(Clone)]
pub struct Metrics {
    traces: Traces,
    registry: Registry,
    events: IntCounterVec,
    decisions: IntCounterVec,
    requested: IntCounter,
    ended: IntCounterVec,
    running: IntGauge,
    intake_waiting: IntGauge,
    commit_seconds: Histogram,
    commits: IntCounterVec,
    sensors_enabled: IntGauge,
    sensors_running: IntGauge,
    catalog_problems: IntGauge,
    sensor_up: IntGaugeVec,
    sensor_lag: IntGaugeVec,
    /// The sensors that were shown last.
    shown: Arc<Mutex<BTreeSet<String>>>,
    dead_letters: IntCounterVec,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    kept: Kept,
}

impl Metrics {
    /// Everything at zero.
    ///
    /// # Panics
    /// Where two metrics have one name: a fault in this file.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let made = Self {
            traces: Traces::off(),
            events: counters(r, "events_taken_total", "Reports by outcome.", &["outcome"]),
            decisions: counters(r, "decisions_made_total", "Decisions by verdict.", &["verdict"]),
            requested: counter(r, "executions_requested_total", "Executions accepted."),
            ended: counters(
                r,
                "executions_ended_total",
                "Executions ended by status.",
                &["status"],
            ),
            running: gauge(r, "executions_running", "Executions under way."),
            intake_waiting: gauge(r, "intake_waiting", "Submissions that wait to be taken in."),
            commit_seconds: histogram(r, "store_commit_seconds", "How long commits took."),
            commits: counters(r, "store_commits_total", "Commits by outcome.", &["outcome"]),
            sensors_enabled: gauge(r, "sensors_enabled", "Sensors that should run."),
            sensors_running: gauge(r, "sensors_running", "Sensors that do run."),
            catalog_problems: gauge(
                r,
                "catalog_problems",
                "Errors in the home that keep something from being in force.",
            ),
            sensor_up: gauges(r, "sensor_up", "Whether a sensor runs: 1 or 0.", &["sensor"]),
            sensor_lag: gauges(
                r,
                "sensor_lag",
                "How far a sensor is behind its source (Kafka: records), where that is known.",
                &["sensor"],
            ),
            shown: Arc::default(),
            dead_letters: counters(
                r,
                "dead_letters_total",
                "Inputs of a sensor that became dead letters.",
                &["sensor"],
            ),
            requests: counters(
                r,
                "http_requests_total",
                "HTTP calls by method, route and status.",
                &["method", "route", "status"],
            ),
            request_seconds: histograms(
                r,
                "http_request_seconds",
                "How long HTTP calls took, by route.",
                &["route"],
            ),
            kept: Kept::new(r),
            registry,
        };
        made.begin();
        made
    }

    /// The same, its spans sent.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// What is in the store now.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Where spans go.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Says what it is of. Every known value of a label is there from the beginning: what counts from
    /// nothing to one is an increase, what appears as one is none.
    fn begin(&self) {
        let about =
            gauges(&self.registry, "build_info", "Which Ifso this is; always 1.", &["version"]);
        about.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process)).expect("its names begin with `process_`");
        let zero = |counters: &IntCounterVec, values: &[&str]| {
            for value in values {
                counters.with_label_values(&[*value]).inc_by(0);
            }
        };
        zero(&self.events, &["accepted", "duplicate", "refused"]);
        zero(&self.decisions, Verdict::WORDS);
        zero(&self.commits, &["written", "conflict", "failed"]);
        let over = STATUSES.iter().filter(|status| status.is_done());
        zero(&self.ended, &over.map(|status| status.word()).collect::<Vec<_>>());
    }

    /// Reports were taken in: `accepted`, `duplicate` or `refused`.
    pub fn reported(&self, outcome: &'static str, count: usize) {
        self.events.with_label_values(&[outcome]).inc_by(count as u64);
    }

    /// A rule decided; `verdict` is the verdict's word.
    pub fn decided(&self, verdict: &'static str, count: usize) {
        self.decisions.with_label_values(&[verdict]).inc_by(count as u64);
    }

    /// Executions were accepted.
    pub fn requested(&self, count: usize) {
        self.requested.inc_by(count as u64);
    }

    /// An execution ended; `status` is its status' word.
    pub fn ended(&self, status: &'static str) {
        self.ended.with_label_values(&[status]).inc();
    }

    /// So many executions are under way.
    pub fn running(&self, count: usize) {
        self.running.set(gauged(count));
    }

    /// So many submissions wait.
    pub fn waiting(&self, count: usize) {
        self.intake_waiting.set(gauged(count));
    }

    /// A commit took so long and came out so: `written`, `conflict` or `failed`.
    pub fn committed(&self, outcome: &'static str, time: Duration) {
        self.commits.with_label_values(&[outcome]).inc();
        self.commit_seconds.observe(time.as_secs_f64());
    }

    /// So many sensors should run, and so many do.
    pub fn sensors(&self, enabled: usize, running: usize) {
        self.sensors_enabled.set(gauged(enabled));
        self.sensors_running.set(gauged(running));
    }

    /// So many errors keep something of the home from being in force.
    pub fn catalog(&self, errors: usize) {
        self.catalog_problems.set(gauged(errors));
    }

    /// Whether each sensor runs, and how far it is behind, where that is known. Sensors that are not
    /// among them are forgotten.
    pub fn each_sensor<'a>(&self, sensors: impl Iterator<Item = (&'a str, bool, Option<u64>)>) {
        let gone_from = |removed: Result<(), Error>, sensor: &str| {
            if removed.is_err() {
                tracing::trace!(sensor, "it was not shown");
            }
        };
        let forget = |gauges: &IntGaugeVec, sensor: &str| {
            gone_from(gauges.remove_label_values(&[sensor]), sensor);
        };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *shown);
        for (sensor, up, lag) in sensors {
            gone.remove(sensor);
            shown.insert(sensor.to_owned());
            self.sensor_up.with_label_values(&[sensor]).set(i64::from(up));
            self.dead_letters.with_label_values(&[sensor]).inc_by(0);
            match lag {
                Some(lag) => self.sensor_lag.with_label_values(&[sensor]).set(sized(lag)),
                None => forget(&self.sensor_lag, sensor),
            }
        }
        for sensor in &gone {
            forget(&self.sensor_up, sensor);
            forget(&self.sensor_lag, sensor);
            gone_from(self.dead_letters.remove_label_values(&[sensor]), sensor);
        }
    }

    /// Inputs of a sensor became dead letters.
    pub fn dead_letters(&self, sensor: &str, count: usize) {
        self.dead_letters.with_label_values(&[sensor]).inc_by(count as u64);
    }

    /// An HTTP call was answered; `route` is the pattern, not the path.
    pub fn answered(&self, method: &str, route: &str, status: u16, time: Duration) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    /// All of it in Prometheus's text form.
    ///
    /// # Errors
    /// Where a metric cannot be written.
    pub fn text(&self) -> Result<String, Error> {
        self.kept.measure();
        let mut bytes = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What has happened since the start, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reports that became events.
    pub events: u64,
    /// Decisions of rules.
    pub decisions: u64,
    /// Executions that were asked for.
    pub executions: u64,
    /// Those of them that ended otherwise than well.
    pub failed: u64,
}

impl Totals {
    /// What happened after `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            events: self.events.saturating_sub(before.events),
            decisions: self.decisions.saturating_sub(before.decisions),
            executions: self.executions.saturating_sub(before.executions),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_add(other.events),
            decisions: self.decisions.saturating_add(other.decisions),
            executions: self.executions.saturating_add(other.executions),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

impl Metrics {
    /// What has happened since the start.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are whole and not below zero"
    )]
    pub fn totals(&self) -> Totals {
        let sum = |counters: &IntCounterVec, wanted: &dyn Fn(&str) -> bool| -> u64 {
            let mut sum = 0.0;
            for family in prometheus::core::Collector::collect(counters) {
                let metrics = family.get_metric().iter();
                let fits = metrics.filter(|one| one.get_label().iter().all(|l| wanted(l.value())));
                sum += fits.map(|one| one.get_counter().get_value()).sum::<f64>();
            }
            sum as u64
        };
        Totals {
            events: sum(&self.events, &|outcome| outcome == "accepted"),
            decisions: sum(&self.decisions, &|_| true),
            executions: self.requested.get(),
            failed: sum(&self.ended, &|status| !matches!(status, "succeeded" | "canceled")),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const ONCE: &str = "every metric has its own name";

pub(super) fn gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn sized(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn name(name: &str) -> String {
    format!("ifso_{name}")
}

fn counter(registry: &Registry, short: &str, help: &str) -> IntCounter {
    let made = IntCounter::new(name(short), help).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

fn counters(registry: &Registry, short: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let made = IntCounterVec::new(Opts::new(name(short), help), labels).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

pub(super) fn gauge(registry: &Registry, short: &str, help: &str) -> IntGauge {
    let made = IntGauge::new(name(short), help).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

pub(super) fn gauges(registry: &Registry, short: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let made = IntGaugeVec::new(Opts::new(name(short), help), labels).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

fn options(short: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name(short), help).buckets(SECONDS.to_vec())
}

fn histogram(registry: &Registry, short: &str, help: &str) -> Histogram {
    let made = Histogram::with_opts(options(short, help)).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

fn histograms(registry: &Registry, short: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let made = HistogramVec::new(options(short, help), labels).expect(ONCE);
    registry.register(Box::new(made.clone())).expect(ONCE);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_in_one_test_count_apart() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.reported("accepted", 3);
        let line = "ifso_events_taken_total{outcome=\"accepted\"} 3";
        assert!(one.text().unwrap().contains(line));
        assert!(!other.text().unwrap().contains(line));
    }

    #[test]
    fn sensors_that_are_gone_are_shown_no_more() {
        let metrics = Metrics::new();
        metrics.dead_letters("site.a", 2);
        metrics.each_sensor([("site.a", true, Some(7)), ("site.b", false, None)].into_iter());
        let text = metrics.text().unwrap();
        for line in [
            "ifso_sensor_up{sensor=\"site.a\"} 1\n",
            "ifso_sensor_lag{sensor=\"site.a\"} 7\n",
            "ifso_sensor_up{sensor=\"site.b\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} {text}");
        }
        assert!(!text.contains("ifso_sensor_lag{sensor=\"site.b\"}"));
        metrics.each_sensor([("site.b", true, None)].into_iter());
        assert!(!metrics.text().unwrap().contains("site.a"));
    }
}
