//! `prometheus`: a PromQL query on an interval, one event per series.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::intake::Submission;
use crate::model::event::Report;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::fetch::{Answered, Fetch, Only, TIMEOUT};
use crate::sensors::secret::Secret;
use crate::sensors::span::Span;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Prometheus;

const EXAMPLE: &str = "\
kind: prometheus
url: http://127.0.0.1:9090      # the server, not the API's path
query: node_filesystem_avail_bytes / node_filesystem_size_bytes
with:                           # further queries: what each says of the same labels stands beside the value
  in_6h: predict_linear(node_filesystem_avail_bytes[1h], 6 * 3600)
every: 30s                      # default 1m
only: change                    # always (default) | change: series whose value is another than last time
trigger: prometheus.sample      # default; data: query, labels, value, with, time
headers: { X-Scope-OrgID: storage }
bearer: { file: secrets/prometheus }
timeout: 10s                    # default
";

/// Series of one query at most; a query that gives more wants an aggregation.
const SERIES_LIMIT: usize = 10_000;
/// Further queries of one sensor at most; they are asked one after the other.
const WITH_LIMIT: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    query: String,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default = "minute")]
    every: Span,
    #[serde(default)]
    only: Only,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    bearer: Option<Secret>,
    #[serde(default = "timeout")]
    timeout: Span,
}

fn minute() -> Span {
    Span::seconds(60)
}

fn timeout() -> Span {
    TIMEOUT
}

/// A query and where it is asked.
struct Query {
    text: String,
    api: Url,
}

impl Query {
    fn new(fetch: &Fetch, text: String) -> Self {
        let mut api = fetch.url().clone();
        api.set_path(&format!("{}/api/v1/query", api.path().trim_end_matches('/')));
        api.query_pairs_mut().append_pair("query", &text);
        Self { text, api }
    }
}

struct Querier {
    definition: Arc<Definition>,
    fetch: Fetch,
    query: Query,
    /// Further queries by the name under which their values stand.
    with: Vec<(String, Query)>,
    every: Span,
    only: Only,
    trigger: Reference,
    /// The values of last time by labels; not kept across restarts of Ifso.
    last: Mutex<HashMap<String, String>>,
}

impl Kind for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn about(&self) -> &'static str {
        "reports the series of a PromQL query on an interval"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let read: Settings = settings(definition)?;
        if read.every < Span::seconds(1) {
            return Err(vec![wrong(definition, "every", "expected 1s or more")]);
        }
        if read.query.trim().is_empty() {
            return Err(vec![wrong(definition, "query", "it is empty")]);
        }
        if read.with.len() > WITH_LIMIT {
            let message = format!("{} queries are more than {WITH_LIMIT}", read.with.len());
            return Err(vec![
                wrong(definition, "with", message).help("make another sensor of some"),
            ]);
        }
        if let Some((name, _)) = read.with.iter().find(|(_, query)| query.trim().is_empty()) {
            return Err(vec![wrong(definition, "with", format!("`{name}` is empty"))]);
        }
        let fetch = Fetch::new(definition, &read.url, &read.headers, read.bearer, read.timeout)?;
        let query = Query::new(&fetch, read.query);
        let with = read.with.into_iter();
        let with = with.map(|(name, text)| (name, Query::new(&fetch, text))).collect();
        Ok(Box::new(Querier {
            definition: Arc::clone(definition),
            fetch,
            query,
            with,
            every: read.every,
            only: read.only,
            trigger: read
                .trigger
                .unwrap_or_else(|| "prometheus.sample".parse().expect("a whole reference")),
            last: Mutex::default(),
        }))
    }
}

#[async_trait]
impl Sensor for Querier {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let next = context.clock.now().plus(self.every.0);
            let asked = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                asked = self.ask(&context) => asked?,
            };
            context.health.running();
            self.report(&context, asked).await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = context.clock.sleep_until(next) => {}
            }
        }
    }
}

/// What one round of queries gave: the series, and the values beside them, by name and labels.
struct Round {
    series: Vec<Series>,
    beside: Vec<(String, HashMap<String, String>)>,
}

/// One series as the query gave it.
struct Series {
    labels: Value,
    /// As Prometheus writes it.
    value: String,
    time: Option<Time>,
}

/// The labels by which series of two queries are the same: all but the metric's own name.
fn joined(labels: &Value) -> String {
    let mut labels = labels.clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.remove("__name__");
    }
    labels.to_string()
}

/// A value as JSON, which has no NaN and no infinity.
fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|value| value.is_finite())
}

impl Querier {
    /// Asks every query once.
    ///
    /// Cancel-safe: it only reads.
    async fn ask(&self, context: &Context) -> Result<Round, Error> {
        let folder = &self.definition.folder;
        let asked = self.fetch.get(context, folder, &self.query.api).await?;
        let series = self.series(&self.query, &asked)?;
        let mut beside = Vec::new();
        for (name, query) in &self.with {
            let asked = self.fetch.get(context, folder, &query.api).await?;
            let values = self.series(query, &asked)?.into_iter();
            let values = values.map(|one| (joined(&one.labels), one.value)).collect();
            beside.push((name.clone(), values));
        }
        Ok(Round { series, beside })
    }

    fn series(&self, query: &Query, asked: &Answered) -> Result<Vec<Series>, Error> {
        let body = asked.json().ok_or_else(|| self.fetch.refused(asked, "no JSON: "))?;
        if body["status"] != "success" {
            let what = format!(
                "`{}` refuses the query `{}`: {}",
                self.fetch.url(),
                query.text,
                body["error"].as_str().unwrap_or("it does not say why")
            );
            return Err(Error::Source { what });
        }
        let series = read(&body["data"])
            .map_err(|what| Error::Stop { what: format!("the query `{}` {what}", query.text) })?;
        if series.len() > SERIES_LIMIT {
            let what = format!(
                "the query `{}` gives {} series; at most {SERIES_LIMIT} are taken: aggregate it",
                query.text,
                series.len()
            );
            return Err(Error::Source { what });
        }
        Ok(series)
    }

    async fn report(&self, context: &Context, round: Round) -> Result<(), Error> {
        let series = &round.series;
        let values: HashMap<_, _> =
            series.iter().map(|one| (one.labels.to_string(), one.value.clone())).collect();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = |one: &&Series| {
            self.only == Only::Always || last.get(&one.labels.to_string()) != Some(&one.value)
        };
        let reports = series.iter().filter(wanted).map(|one| self.event(one, &round.beside));
        let reports: Vec<_> = reports.collect();
        if !reports.is_empty() {
            context.report(Submission { reports, ..Submission::default() }).await?;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = values;
        Ok(())
    }

    fn event(&self, series: &Series, beside: &[(String, HashMap<String, String>)]) -> Report {
        // What is no JSON is null, and spelt out beside it.
        let value = number(&series.value);
        let mut data = json!({
            "query": self.query.text,
            "labels": series.labels,
            "value": value,
            "time": series.time.map(|time| time.to_string()),
        });
        if value.is_none() {
            data["special"] = json!(series.value);
        }
        if !beside.is_empty() {
            let labels = joined(&series.labels);
            let with = beside.iter().map(|(name, values)| {
                let value = values.get(&labels).and_then(|value| number(value));
                (name.clone(), json!(value))
            });
            data["with"] = Value::Object(with.collect());
        }
        let sensor = self.definition.reference.as_str();
        let mut report = Report::new(self.trigger.clone(), sensor, data);
        report.time = series.time;
        report
    }
}

/// The result of an instant query.
fn read(data: &Value) -> Result<Vec<Series>, String> {
    let one = |labels: Value, point: &Value| Series {
        labels,
        value: point[1].as_str().unwrap_or_default().to_owned(),
        time: point[0].as_f64().map(millis),
    };
    match (data["resultType"].as_str(), data["result"].as_array()) {
        (Some("vector"), Some(list)) => {
            Ok(list.iter().map(|series| one(series["metric"].clone(), &series["value"])).collect())
        }
        (Some("scalar"), Some(_)) => Ok(vec![one(json!({}), &data["result"])]),
        (Some(other), _) => Err(format!(
            "gives a {other}; only instant vectors and scalars have one value per series"
        )),
        (None, _) => Err("has no result".to_owned()),
    }
}

/// Prometheus counts seconds, with milliseconds behind the dot.
fn millis(seconds: f64) -> Time {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "times far outside of any calendar saturate"
    )]
    let millis = (seconds * 1000.0).round() as i64;
    Time::from_millis(millis)
}
