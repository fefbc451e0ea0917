//! Tests of rules: `tests/*.yaml` of packs and of the home. Each tells events with their times and what
//! has to come of them, on a clock of its own; the rules are those of the whole catalog, as live.
//!
//! ```yaml
//! - test: A gold pool that stays full is grown
//!   steps:
//!     - at: 0s
//!       event: storage.pool_capacity
//!       data: { tier: gold, pool_id: p1, used_pct: 85 }
//!       expect: []
//!     - at: 5m
//!       expect:
//!         - rule: grow-full-pool
//!           run: storage.grow_pool
//!           parameters: { pool: p1 }
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::cause::Cause;
use crate::model::event::Event;
use crate::model::execution::Status;
use crate::model::id::{EventId, ExecutionId};
use crate::model::problem::{Place, Problem, Severity, nearest};
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Effect, Ending, Verdict};
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::packs::fields::Fields;
use crate::packs::manifest::SITE;
use crate::packs::schema;
use crate::packs::yaml::{self, Node};
use crate::rules::pattern::Pattern;
use crate::rules::{Facts, Set, Simulation};

/// When a test begins unless it says so: a Monday, at midnight UTC.
const START: &str = "2026-03-02T00:00:00Z";

/// One test.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What it says.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    pack: String,
    only: Vec<String>,
    start: Time,
    config: Value,
    keys: Value,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    place: Place,
    at: Duration,
    event: Option<(Reference, Arc<Value>, Option<Arc<str>>)>,
    ends: Option<End>,
    expect: Option<Vec<Value>>,
    verdicts: Option<Map<String, Value>>,
}

/// The end of an execution that a rule started: the oldest that fits.
#[derive(Debug, Clone)]
struct End {
    run: String,
    parameters: Value,
    status: Status,
    result: Value,
}

/// A step after which something else had happened than was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The step.
    pub place: Place,
    /// How long after the begin.
    pub at: Duration,
    /// What was expected and what happened, line by line.
    pub lines: Vec<Line>,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// As expected.
    Same(String),
    /// Expected, and did not happen.
    Missing(String),
    /// Happened, and was not expected.
    Surplus(String),
}

/// The tests of a home: files `tests/*.yaml` of every pack that loaded, and of the home itself.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(home: &Path, catalog: &Catalog) -> Result<Vec<Trial>, Vec<Problem>> {
    let (mut trials, mut problems) = (Vec::new(), Vec::new());
    let folders = catalog.packs.iter().map(|(name, pack)| (name.clone(), pack.folder.clone()));
    let own = (SITE.to_owned(), home.to_path_buf());
    let folders = folders.filter(|(name, _)| name != SITE).chain([own]);
    for (pack, folder) in folders {
        for path in files(&folder.join("tests")) {
            let shown = path.strip_prefix(home).unwrap_or(&path).to_path_buf();
            let place = Place::file(&shown);
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let found = parse(&text, &place, &pack, &mut problems);
                    for trial in &found {
                        fits(trial, catalog, &mut problems);
                    }
                    trials.extend(found);
                }
                Err(error) => {
                    problems.push(Problem::error("unreadable", place, error.to_string()));
                }
            }
        }
    }
    if problems.is_empty() { Ok(trials) } else { Err(problems) }
}

/// Looks for names that nobody has and payloads that would be refused.
fn fits(trial: &Trial, catalog: &Catalog, problems: &mut Vec<Problem>) {
    let rules = || catalog.rules.iter().map(|rule| rule.reference());
    let known = |text: &str| rules().any(|rule| named(text, rule, &trial.pack));
    let mut unknown = |text: &str, place: &Place| {
        if known(text) {
            return;
        }
        let message = format!("no rule is called `{text}`");
        let names = rules().flat_map(|rule| [rule.name(), rule.as_str()]);
        let problem = Problem::error("no_such_rule", place.clone(), message);
        problems.push(match nearest(text, names) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("`ifso rule list` shows the ones there are"),
        });
    };
    for only in &trial.only {
        unknown(only, &trial.place);
    }
    for step in &trial.steps {
        for (rule, _) in step.verdicts.iter().flatten() {
            unknown(rule, &step.place);
        }
    }
    for step in &trial.steps {
        let words = step.verdicts.iter().flatten().filter_map(|(_, word)| word.as_str());
        for word in
            words.flat_map(|words| words.split(", ")).filter(|w| !Verdict::WORDS.contains(w))
        {
            let message = format!("there is no verdict `{word}`");
            let problem = Problem::error("no_such_verdict", step.place.clone(), message);
            problems.push(problem.help(format!("it is one of {}", Verdict::WORDS.join(", "))));
        }
        let Some((trigger, data, _)) = &step.event else { continue };
        if let Some(known) = catalog.triggers.get(trigger) {
            let schema = schema::compile(&known.payload_schema);
            if let Some(wrong) = schema.ok().and_then(|schema| schema.validate(data).err()) {
                let message = format!("`{trigger}` would be refused: {wrong}");
                problems.push(Problem::error("refused", step.place.clone(), message));
            }
        } else if catalog.rules.subscribed(trigger).is_empty() {
            let names = catalog.triggers.keys().map(Reference::as_str);
            let on = catalog.rules.iter().flat_map(|rule| rule.on()).map(Pattern::text);
            let near = nearest(trigger.as_str(), names.chain(on));
            let message = format!("no rule listens to `{trigger}`, and no pack describes it");
            let problem = Problem::error("no_such_trigger", step.place.clone(), message);
            problems.push(match near {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`ifso trigger list` shows the described ones"),
            });
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let yaml =
        |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(yaml).collect();
    files.sort();
    files
}

/// The tests of one file.
pub fn parse(text: &str, place: &Place, pack: &str, problems: &mut Vec<Problem>) -> Vec<Trial> {
    let node = match yaml::parse(text, place) {
        Ok(node) => node,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    let yaml::Tree::List(tests) = &node.tree else {
        let message = format!("tests are a list, not {}", node.kind());
        let problem = Problem::error("wrong_type", node.place(place), message);
        problems.push(problem.help("begin with `- test: what it says`"));
        return Vec::new();
    };
    tests.iter().filter_map(|test| trial(test, place, pack, problems)).collect()
}

fn trial(node: &Node, place: &Place, pack: &str, problems: &mut Vec<Problem>) -> Option<Trial> {
    let before = problems.len();
    let mut fields = Fields::new(node, place, "test", problems);
    let name = fields.required("test");
    let only = fields.texts("rules");
    let start = fields.text("start").unwrap_or_else(|| START.to_owned());
    let (config, keys) = (fields.json("config"), fields.json("keys"));
    let steps = fields.list("steps");
    fields.finish(Severity::Error, &[]);
    let start = start.parse().map_err(|error: crate::model::time::NotATime| {
        let at = node.find("start", place);
        problems.push(Problem::error("not_a_time", at, error.to_string()));
    });
    let mut last = Duration::ZERO;
    let steps: Vec<Step> =
        steps.iter().map(|node| step(node, place, &mut last, problems)).collect();
    let place = node.place(place);
    let pack = pack.to_owned();
    let whole = problems.len() == before;
    let start = start.ok()?;
    whole.then_some(Trial { name, place, pack, only, start, config, keys, steps })
}

fn step(node: &Node, place: &Place, last: &mut Duration, problems: &mut Vec<Problem>) -> Step {
    let mut fields = Fields::new(node, place, "step", problems);
    let at = fields.span("at").unwrap_or(*last);
    let trigger = fields.text("event");
    let data = fields.node("data").map_or_else(|| json!({}), Node::to_json);
    let subject = fields.text("subject").map(Into::into);
    let ends = fields.node("ends").map(Node::to_json);
    let expect = fields.node("expect").map(Node::to_json);
    let verdicts = fields.node("verdicts").map(Node::to_json);
    fields.finish(Severity::Error, &[]);
    let mut wrong = |code: &str, key: &str, message: String| {
        problems.push(Problem::error(code, node.find(key, place), message));
    };
    if at < *last {
        wrong("out_of_order", "at", "a step comes before the one above it".to_owned());
    }
    *last = at;
    let trigger = trigger.and_then(|text| match text.parse::<Reference>() {
        Ok(trigger) => Some(trigger),
        Err(error) => {
            wrong("not_a_trigger", "event", error.to_string());
            None
        }
    });
    let ends = ends.and_then(|written| match end(&written) {
        Ok(end) => Some(end),
        Err(message) => {
            wrong("wrong_end", "ends", message);
            None
        }
    });
    let expect = match expect {
        None => None,
        Some(Value::Array(all)) if all.iter().all(Value::is_object) => Some(all),
        Some(_) => {
            wrong(
                "wrong_type",
                "expect",
                "`expect` is a list of effects, `[]` for none".to_owned(),
            );
            None
        }
    };
    let verdicts = match verdicts {
        None => None,
        Some(Value::Object(all)) => Some(all),
        Some(_) => {
            let message = "`verdicts` is a map of rules to a word such as `holding`".to_owned();
            wrong("wrong_type", "verdicts", message);
            None
        }
    };
    let event = trigger.map(|trigger| (trigger, Arc::new(data), subject));
    Step { place: node.place(place), at, event, ends, expect, verdicts }
}

/// `ends: {run: storage.scale_pool, status: succeeded, result: {…}}`.
fn end(written: &Value) -> Result<End, String> {
    const KEYS: [&str; 4] = ["run", "parameters", "status", "result"];
    let (Some(entries), Some(run)) = (written.as_object(), written["run"].as_str()) else {
        return Err(
            "`ends` is a map with `run`, the action that ends, and what its execution has: \
                    `{run: pack.action, status: succeeded, result: {…}}`"
                .to_owned(),
        );
    };
    if let Some(odd) = entries.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("`ends` has no key `{odd}`; it has {}", KEYS.join(", ")));
    }
    let status = match &written["status"] {
        Value::Null => Status::Succeeded,
        word => word
            .as_str()
            .and_then(|word| word.parse::<Status>().ok())
            .filter(|status| status.is_done())
            .ok_or_else(|| format!("`status` in `ends` is {word}; an execution ends as succeeded, failed, timeout, canceled or abandoned"))?,
    };
    let parameters = match &written["parameters"] {
        Value::Null => json!({}),
        given => given.clone(),
    };
    Ok(End { run: run.to_owned(), parameters, status, result: written["result"].clone() })
}

/// Runs one test; what comes back is what was not as expected.
#[must_use]
pub fn run(trial: &Trial, catalog: &Catalog) -> Vec<Failed> {
    let mut facts =
        Facts { now: trial.start, configs: Arc::clone(&catalog.configs), ..Facts::default() };
    if trial.config.is_object() {
        let mut configs = (*catalog.configs).clone();
        configs.insert(trial.pack.clone(), Arc::new(trial.config.clone()));
        facts.configs = Arc::new(configs);
    }
    if let Value::Object(keys) = &trial.keys {
        facts.keys = Arc::new(keys.clone().into_iter().collect());
    }
    let wanted = |name: &Reference| {
        trial.only.is_empty() || trial.only.iter().any(|only| named(only, name, &trial.pack))
    };
    let rules = catalog.rules.iter().filter(|rule| wanted(rule.reference())).cloned().collect();
    let mut simulation = Simulation::new(Arc::new(Set::new(rules)), facts).with_ends();
    let (mut failed, mut under_way) = (Vec::new(), Vec::new());
    for (number, step) in trial.steps.iter().enumerate() {
        let at = trial.start.plus(step.at);
        let mut missing = None;
        let ended = step.ends.as_ref().map(|end| finish(end, &mut under_way, at));
        let mut before = Vec::new();
        match ended {
            Some(Some(ending)) => {
                let done = simulation.end(&ending);
                before = done
                    .into_iter()
                    .flat_map(|(event, all)| {
                        started(&event, &all, &mut under_way);
                        all
                    })
                    .collect();
            }
            Some(None) => {
                missing =
                    step.ends.as_ref().map(|end| format!("nothing of `{}` is under way", end.run));
            }
            None => {}
        }
        let decisions: Vec<Decision> = match &step.event {
            None => {
                let due = simulation.advance(at);
                for (event, all) in &due {
                    started(event, all, &mut under_way);
                }
                due.into_iter().flat_map(|(_, all)| all).collect()
            }
            Some((trigger, data, subject)) => {
                let event = event(number, at, trigger, data, subject.clone());
                let (due, mut decisions) = simulation.accept(&event);
                for (event, all) in &due {
                    started(event, all, &mut under_way);
                }
                started(&event, &decisions, &mut under_way);
                let mut all: Vec<Decision> = due.into_iter().flat_map(|(_, all)| all).collect();
                all.append(&mut decisions);
                all
            }
        };
        let decisions: Vec<Decision> = before.into_iter().chain(decisions).collect();
        let mut lines = compare(step, &decisions, &trial.pack);
        lines.extend(missing.map(Line::Missing));
        if lines.iter().any(|line| !matches!(line, Line::Same(_))) {
            failed.push(Failed { place: step.place.clone(), at: step.at, lines });
        }
    }
    failed
}

/// Takes down the executions that decisions start.
fn started(event: &Event, decisions: &[Decision], under_way: &mut Vec<Ending>) {
    for decision in decisions.iter().filter(|one| matches!(one.verdict, Verdict::Fired)) {
        for (effect, wanted) in (0u16..).zip(&decision.effects) {
            let Effect::Run { action, parameters, .. } = wanted else { continue };
            under_way.push(Ending {
                rule: decision.rule.clone(),
                event: event.id,
                effect,
                execution: ExecutionId::from_bits(under_way.len() as u128 + 1),
                action: action.clone(),
                parameters: parameters.clone(),
                status: Status::Running,
                result: Value::Null,
                at: event.accepted,
            });
        }
    }
}

/// The oldest execution that fits, as it ends.
fn finish(end: &End, under_way: &mut [Ending], at: Time) -> Option<Ending> {
    let fits = |one: &Ending| {
        one.status == Status::Running
            && one.action.as_str() == end.run
            && within(&end.parameters, &Value::Object(one.parameters.clone()))
    };
    let found = under_way.iter_mut().find(|one| fits(one))?;
    (found.status, found.at) = (end.status, at);
    found.result = end.result.clone();
    Some(found.clone())
}

fn event(
    number: usize,
    at: Time,
    trigger: &Reference,
    data: &Arc<Value>,
    subject: Option<Arc<str>>,
) -> Event {
    Event {
        id: EventId::from_bits(number as u128 + 1),
        trigger: trigger.clone(),
        source: "test".into(),
        subject,
        time: at,
        accepted: at,
        data: Arc::clone(data),
        cause: Cause::Sensor("test".to_owned()),
        hops: 0,
        trace: None,
        replay: None,
    }
}

/// `grow` or `storage.grow`.
fn named(text: &str, rule: &Reference, pack: &str) -> bool {
    text == rule.as_str() || (rule.pack() == pack && text == rule.name())
}

fn compare(step: &Step, decisions: &[Decision], pack: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(expect) = &step.expect {
        let happened: Vec<Value> = decisions.iter().flat_map(|one| effects(one, pack)).collect();
        for number in 0..expect.len().max(happened.len()) {
            match (expect.get(number), happened.get(number)) {
                (Some(wanted), Some(was)) if within(wanted, was) => {
                    lines.push(Line::Same(was.to_string()));
                }
                (wanted, was) => {
                    lines.extend(wanted.map(|wanted| Line::Missing(wanted.to_string())));
                    lines.extend(was.map(|was| Line::Surplus(was.to_string())));
                }
            }
        }
    }
    for (rule, wanted) in step.verdicts.iter().flatten() {
        let own = decisions.iter().filter(|one| named(rule, &one.rule, pack));
        let words: Vec<&str> = own.map(|one| one.verdict.word()).collect();
        let was = if words.is_empty() { "not_matched".to_owned() } else { words.join(", ") };
        let line = |word: &str| format!("{rule}: {word}");
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        if wanted == was {
            lines.push(Line::Same(line(&was)));
        } else {
            lines.extend([Line::Missing(line(&wanted)), Line::Surplus(line(&was))]);
        }
    }
    lines
}

/// What a decision does, as a test writes it.
fn effects(decision: &Decision, pack: &str) -> Vec<Value> {
    let rule = &decision.rule;
    let rule = if rule.pack() == pack { rule.name() } else { rule.as_str() };
    if let Verdict::Error { message, .. } = &decision.verdict {
        return vec![json!({ "rule": rule, "error": message })];
    }
    let acts = matches!(decision.verdict, Verdict::Fired | Verdict::Shadowed | Verdict::Recovered);
    let own = decision.effects.iter().filter(|_| acts).map(|effect| match effect {
        Effect::Run { action, parameters, options } => {
            let mut row = json!({ "rule": rule, "run": action, "parameters": parameters });
            if !options.is_empty() {
                row["options"] = json!(options);
            }
            row
        }
        Effect::Emit { trigger, data } => json!({ "rule": rule, "emit": trigger, "data": data }),
        Effect::Notify { channel, text } => {
            json!({ "rule": rule, "notify": channel, "text": text })
        }
        Effect::Incident(failure) => json!({ "rule": rule, "incident": failure }),
        Effect::Resolve { key, reason } => {
            json!({ "rule": rule, "resolve": key, "reason": reason })
        }
        Effect::Steer { wish, selector } => {
            let mut row = json!({ "rule": rule });
            row[wish.word()] = json!(selector);
            row
        }
        Effect::Set { key, value } => json!({ "rule": rule, "set": key, "value": value }),
        Effect::Log { text } => json!({ "rule": rule, "log": text }),
    });
    own.collect()
}

/// Whether all that was expected is there; what was not named may be anything.
fn within(wanted: &Value, was: &Value) -> bool {
    match (wanted, was) {
        (Value::Object(wanted), Value::Object(was)) => {
            wanted.iter().all(|(name, wanted)| was.get(name).is_some_and(|was| within(wanted, was)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => wanted == was,
    }
}
