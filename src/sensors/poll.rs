//! `poll`: a list behind an HTTP address, compared by key with what it was last time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use serde_json_path::JsonPath;
use tokio_util::sync::CancellationToken;

use crate::intake::Submission;
use crate::model::event::Report;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::sensors::elements::Elements;
use crate::sensors::fetch::{Fetch, Only, TIMEOUT, excerpt};
use crate::sensors::secret::Secret;
use crate::sensors::span::Span;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Poll;

const EXAMPLE: &str = "\
kind: poll
url: http://127.0.0.1:8190/v1/storage-pools
every: 30s                      # default 1m
items: $.storage_pools[*]       # JSONPath: the elements, or their list; default $[*]; an answer without the list has failed
key: $.id                       # JSONPath in each element: what it is told apart by
initial: false                  # default; true: the first answer reports all elements as added
only: change                    # default; always: each element every time, those that stay too
trigger: storage.pool           # default: poll.added, poll.changed, poll.removed, poll.same
headers: { X-Auth-Token: abc }
bearer: { file: secrets/delfin }
timeout: 10s                    # default
";

/// Elements of one answer at most.
const ITEMS_LIMIT: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default = "minute")]
    every: Span,
    #[serde(default = "elements")]
    items: String,
    key: String,
    #[serde(default)]
    initial: bool,
    #[serde(default = "changes_only")]
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

fn changes_only() -> Only {
    Only::Change
}

fn elements() -> String {
    "$[*]".to_owned()
}

fn timeout() -> Span {
    TIMEOUT
}

/// The elements of one answer by key.
type Items = BTreeMap<String, Value>;

struct Poller {
    definition: Arc<Definition>,
    fetch: Fetch,
    every: Span,
    items: Elements,
    key: JsonPath,
    initial: bool,
    only: Only,
    trigger: Option<Reference>,
    /// What was there last time. Not kept across restarts of Ifso: the first answer after one is only
    /// learnt, unless `initial` says otherwise.
    last: Mutex<Option<Items>>,
}

impl Kind for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn about(&self) -> &'static str {
        "reports what was added, changed and removed in a list behind an HTTP address"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let read: Settings = settings(definition)?;
        if read.every < Span::seconds(1) {
            return Err(vec![wrong(definition, "every", "expected 1s or more")]);
        }
        let no_path = |key: &str, text: &str, error: &serde_json_path::ParseError| {
            let problem = wrong(definition, key, format!("`{text}` is no JSONPath: {error}"));
            vec![problem.help("it begins with `$`, as in `$.pools[*]` or `$.id`")]
        };
        let items = Elements::parse(&read.items);
        let items = items.map_err(|error| no_path("items", &read.items, &error))?;
        let key = JsonPath::parse(&read.key);
        let key = key.map_err(|error| no_path("key", &read.key, &error))?;
        let fetch = Fetch::new(definition, &read.url, &read.headers, read.bearer, read.timeout)?;
        Ok(Box::new(Poller {
            definition: Arc::clone(definition),
            fetch,
            every: read.every,
            items,
            key,
            initial: read.initial,
            only: read.only,
            trigger: read.trigger,
            last: Mutex::default(),
        }))
    }
}

#[async_trait]
impl Sensor for Poller {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let next = context.clock.now().plus(self.every.0);
            let answer = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                answer = self.ask(&context) => answer?,
            };
            context.health.running();
            self.compare(&context, &answer).await?;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = context.clock.sleep_until(next) => {}
            }
        }
    }
}

impl Poller {
    async fn ask(&self, context: &Context) -> Result<Value, Error> {
        let url = self.fetch.url();
        let answer = self.fetch.get(context, &self.definition.folder, url).await?;
        if !(200..300).contains(&answer.status) {
            return Err(self.fetch.refused(&answer, ""));
        }
        answer.json().ok_or_else(|| self.fetch.refused(&answer, "no JSON: "))
    }

    async fn compare(&self, context: &Context, answer: &Value) -> Result<(), Error> {
        let (items, dead_letters) = self.items(context, answer)?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reports = match (&last, self.initial) {
            (Some(last), _) => changes(last, &items, self.only),
            (None, true) => changes(&Items::new(), &items, self.only),
            (None, false) => Vec::new(),
        };
        let reports: Vec<_> = reports.into_iter().map(|change| self.report(change)).collect();
        if !reports.is_empty() || !dead_letters.is_empty() {
            context.report(Submission { reports, dead_letters, ..Submission::default() }).await?;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(items);
        Ok(())
    }

    /// The elements by key; those without a key of their own are dead letters. An answer without the
    /// list, or with a list in which nothing has a key, is no answer: it says nothing of what is gone.
    fn items(
        &self,
        context: &Context,
        answer: &Value,
    ) -> Result<(Items, Vec<crate::store::tables::DeadLetter>), Error> {
        let no_list = |what: String| Error::Source {
            what: format!(
                "`{}` does not answer with a list: {what}: {}",
                self.fetch.url(),
                excerpt(&answer.to_string())
            ),
        };
        let found = self.items.of(answer).map_err(no_list)?;
        let count = found.len();
        if found.len() > ITEMS_LIMIT {
            let what = format!(
                "`{}` holds {} elements; at most {ITEMS_LIMIT} are taken",
                self.fetch.url(),
                found.len()
            );
            return Err(Error::Source { what });
        }
        let (mut items, mut letters) = (Items::new(), Vec::new());
        for item in found {
            let key = match self.key.query(item).all()[..] {
                [Value::String(text)] => Some(text.clone()),
                [Value::Null] | [] => None,
                [one] => Some(one.to_string()),
                _ => None,
            };
            let reason = match key {
                None => format!("`{}` finds no single key in it", self.key),
                Some(key) if items.contains_key(&key) => format!("key `{key}` comes twice"),
                Some(key) => {
                    items.insert(key, item.clone());
                    continue;
                }
            };
            let text = item.to_string();
            let (sensor, from) = (self.definition.reference.as_str(), self.fetch.url().as_str());
            letters.push(context.dead_letter(sensor, from, reason, text.as_bytes()));
        }
        if items.is_empty() && count > 0 {
            let what = format!("`{}` finds no key in what `{}` gives", self.key, self.items);
            return Err(no_list(what));
        }
        Ok((items, letters))
    }

    fn report(&self, (change, key, old, new): Change) -> Report {
        let trigger = self
            .trigger
            .clone()
            .unwrap_or_else(|| format!("poll.{change}").parse().expect("a whole reference"));
        let data = json!({ "change": change, "key": key, "old": old, "new": new });
        let mut report = Report::new(trigger, self.definition.reference.as_str(), data);
        report.subject = Some(key.into());
        report
    }
}

/// What happened to the element of a key; what it was, and what it is.
type Change = (&'static str, String, Option<Value>, Option<Value>);

/// What is different, by key; and what is not, where that is wanted.
fn changes(old: &Items, new: &Items, only: Only) -> Vec<Change> {
    let removed = old
        .iter()
        .filter(|(key, _)| !new.contains_key(*key))
        .map(|(key, value)| ("removed", key.clone(), Some(value.clone()), None));
    let others = new.iter().filter_map(|(key, value)| match old.get(key) {
        None => Some(("added", key.clone(), None, Some(value.clone()))),
        Some(before) if before != value => {
            Some(("changed", key.clone(), Some(before.clone()), Some(value.clone())))
        }
        Some(before) if only == Only::Always => {
            Some(("same", key.clone(), Some(before.clone()), Some(value.clone())))
        }
        Some(_) => None,
    });
    removed.chain(others).collect()
}
