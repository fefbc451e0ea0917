//! A rule over kept events: what it would have done, alone or against another version of it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::why;
use crate::auth::Right;
use crate::intake::history::{self, Reading};
use crate::model::event::Event;
use crate::model::reference::Reference;
use crate::model::span;
use crate::model::time::Time;
use crate::packs::bench;
use crate::packs::catalog::Catalog;
use crate::rules::backtest::{Backtest, Outcome, only};
use crate::rules::{Facts, Rule, Set};

pub(crate) const ROUTES: &[Route] = &[Route::post(
    "/api/v1/rules/backtest",
    Access::Needs(Right::Operate),
    |call| Box::pin(backtest(call)),
    "Runs a rule over kept events, with the same code and clock as live, and does nothing: what it \
     would have done, when, how often; also against another version of it.",
)
.takes(Shape::One("BacktestDraft"))
.gives(200, Shape::One("Backtest"))];

/// How far back without `since`.
const SINCE: &str = "7d";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    /// The rule's reference.
    rule: Reference,
    /// The text of the file it is to be taken from; without: the rule in force.
    #[serde(default)]
    source: Option<Source>,
    /// The version it is compared with: a text, or the one in force.
    #[serde(default)]
    against: Option<Against>,
    /// A span back from now, or a time.
    #[serde(default)]
    since: Option<String>,
    /// The same; now without.
    #[serde(default)]
    until: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    file: PathBuf,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Against {
    /// `"live"`: the rule in force.
    Live(String),
    Text(Source),
}

async fn backtest(call: Call) -> Answer {
    let draft: Draft = call.json()?;
    let catalog = call.state.catalog.load_full();
    let now = call.state.clock.now();
    let since = moment("since", draft.since.as_deref().unwrap_or(SINCE), now)?;
    let until = match draft.until.as_deref() {
        None => now.plus(std::time::Duration::from_millis(1)),
        Some(text) => moment("until", text, now)?,
    };
    if since >= until {
        return Err(Problem::bad("bad_time", format!("{since} is not before {until}")));
    }
    // Compiling reads the pack's libraries and takes its time: not on a thread that answers.
    let (rules, rule) = (Arc::clone(&catalog), draft.rule.clone());
    let (source, against) = (draft.source, draft.against);
    let compiled = tokio::task::spawn_blocking(move || {
        let new = version(&rules, &rule, source.as_ref())?;
        let old = match &against {
            None => None,
            Some(Against::Text(source)) => Some(version(&rules, &rule, Some(source))?),
            Some(Against::Live(word)) if word == "live" => Some(version(&rules, &rule, None)?),
            Some(Against::Live(word)) => {
                let message = format!("`against` is \"live\" or a file's text, not `{word}`");
                return Err(Problem::bad("bad_body", message));
            }
        };
        Ok((new, old))
    });
    let (new, old) = compiled.await.expect("compiling catches its panics")?;
    let facts = why::facts(&call, &catalog, since).await?;
    let begun = call.state.clock.now();
    let tests = std::iter::once(&new).chain(&old);
    let tests: Vec<Backtest> = tests.map(|rule| open(rule, &facts, since, until)).collect();
    let (outcomes, reading) = run(&call, tests, [Some(&new), old.as_ref()], since, until).await?;
    let took = call.state.clock.now().since(begun);
    let outcomes: Vec<Outcome> =
        outcomes.into_iter().map(|outcome| struck(&catalog, outcome)).collect();
    Ok(Json(shown(&outcomes, reading, (since, until), took.as_millis())).into_response())
}

/// An outcome as callers may see it.
fn struck(catalog: &Catalog, mut outcome: Outcome) -> Outcome {
    for firing in &mut outcome.firings {
        why::strike(catalog, &mut firing.effects);
    }
    outcome
}

fn open(rule: &Arc<Rule>, facts: &Facts, since: Time, until: Time) -> Backtest {
    let set = Arc::new(Set::new(vec![Arc::clone(rule)]));
    Backtest::new(set, rule.reference().clone(), facts.clone(), since, until)
}

async fn run(
    call: &Call,
    tests: Vec<Backtest>,
    rules: [Option<&Arc<Rule>>; 2],
    since: Time,
    until: Time,
) -> Result<(Vec<Outcome>, Reading), Problem> {
    let rules: Vec<Arc<Rule>> = rules.into_iter().flatten().cloned().collect();
    let wants = move |trigger: &Reference| {
        rules.iter().flat_map(|rule| rule.on()).any(|on| on.fits(trigger))
    };
    let hear = |tests: &mut Vec<Backtest>, event: &Event| {
        for test in tests.iter_mut() {
            test.hear(event);
        }
        true
    };
    let store = &call.state.store;
    let (tests, reading) = history::forward(store, (since, until), wants, tests, hear).await?;
    let finish = move || tests.into_iter().map(Backtest::finish).collect();
    let outcomes = tokio::task::spawn_blocking(finish).await.expect("rules do not panic");
    Ok((outcomes, reading))
}

fn shown(
    outcomes: &[Outcome],
    reading: Reading,
    (since, until): (Time, Time),
    took_ms: u128,
) -> Value {
    let new = &outcomes[0];
    let mut shown = json!({
        "since": since, "until": until, "history_since": reading.first,
        "events": reading.events, "took_ms": u64::try_from(took_ms).unwrap_or(u64::MAX),
        "outcome": new,
    });
    if let Some(old) = outcomes.get(1) {
        shown["against"] = json!(old);
        shown["only_new"] = json!(only(&new.firings, &old.firings));
        shown["only_old"] = json!(only(&old.firings, &new.firings));
    }
    shown
}

/// A time, or a span back from now.
pub(crate) fn moment(name: &str, text: &str, now: Time) -> Result<Time, Problem> {
    if let Ok(span) = span::parse(text) {
        return Ok(now.minus(span));
    }
    text.parse().map_err(|_| {
        let message = format!("`{name}` is `{text}`, which is neither a span nor a time");
        Problem::bad("bad_time", message)
            .help("write a span such as `7d`, or `2026-11-20T10:00:00Z`")
    })
}

/// The rule in force, or the one of this name in a file's text.
fn version(
    catalog: &Catalog,
    name: &Reference,
    source: Option<&Source>,
) -> Result<Arc<Rule>, Problem> {
    let Some(Source { file, text }) = source else {
        let names = catalog.rules.iter().map(|rule| rule.reference().as_str());
        let found = catalog.rules.get(name).cloned();
        return found.ok_or_else(|| Problem::unknown_among("rule", name.as_str(), names));
    };
    let rules = bench::compile(catalog, name.pack(), file, text).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        Problem::bad("bad_rules", format!("the file has errors: {first}"))
            .details(json!({ "problems": problems }))
    })?;
    let names: Vec<String> = rules.iter().map(|rule| rule.reference().to_string()).collect();
    let found = rules.into_iter().find(|rule| rule.reference() == name);
    found.map(Arc::new).ok_or_else(|| {
        let message = format!("`{}` declares no rule `{}`", file.display(), name.name());
        Problem::bad("no_such_rule", message).help(format!("it declares {}", names.join(", ")))
    })
}
