//! What follows a task: `on-success`, `on-error` and `on-complete` as one list with conditions, in
//! which every way publishes for itself. Where Mistral waits, pauses, or looks at what was just
//! published, a step without an action stands in between.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::workflows::mistral::keys::{self, Reader};
use crate::workflows::mistral::publish::{self, guarded, mentions};
use crate::workflows::mistral::rewrite::{self, Names, plain};
use crate::workflows::mistral::task::Turning;

/// An expression without its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    inner: String,
    yaql: bool,
}

impl Condition {
    /// Reads a text that is one expression and nothing else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let within = |start: &str, end: &str| {
            let inner = text.trim().strip_prefix(start)?.strip_suffix(end)?.trim();
            (!inner.contains(start) && !inner.contains(end)).then(|| inner.to_owned())
        };
        let yaql = within("<%", "%>").map(|inner| Self { inner, yaql: true });
        yaql.or_else(|| within("{{", "}}").map(|inner| Self { inner, yaql: false }))
    }

    pub(super) const fn is_yaql(&self) -> bool {
        self.yaql
    }

    /// The whole expression with `before` and `after` around it.
    pub(super) fn within(&self, before: &str, after: &str) -> String {
        self.marked(&format!("{before}{}{after}", self.inner))
    }

    /// Both as one expression; nothing where they are written in two languages.
    pub(super) fn and(&self, other: &Self, before: &str, after: &str) -> Option<String> {
        let both = || self.marked(&format!("({}){before}{}{after}", self.inner, other.inner));
        (self.yaql == other.yaql).then(both)
    }

    fn marked(&self, inner: &str) -> String {
        if self.yaql { format!("<% {inner} %>") } else { format!("{{{{ {inner} }}}}") }
    }
}

/// One of the three clauses.
struct Clause {
    /// `on-success` and its like.
    key: &'static str,
    /// After what it is followed.
    after: &'static str,
    /// What it publishes: a list of mappings with one key.
    publish: Vec<Value>,
    /// What follows, in its order, each with its condition.
    to: Vec<(To, Option<Condition>)>,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    /// A task, as it is called here, or one of Orquesta's commands.
    Task(String),
    /// The workflow waits for a person.
    Pause,
}

/// The entries of `next` for the task that is called `name` here; steps are added to the tasks.
pub(super) fn all(name: &str, task: &mut Turning<'_>, reader: &mut Reader) -> Vec<Value> {
    let mut success = clause(task, ("on-success", "succeeded()"), reader);
    let mut error = clause(task, ("on-error", "failed()"), reader);
    let mut complete = clause(task, ("on-complete", "completed()"), reader);
    let published = own(task, "publish", reader);
    error.publish.splice(0..0, own(task, "publish-on-error", reader));
    // Without more to do a failure fails the workflow by itself.
    let fails = (To::Task("fail".to_owned()), None);
    if error.publish.is_empty() && complete.to.is_empty() && error.to.iter().all(|to| *to == fails)
    {
        error.to.clear();
    }
    let mut again = None;
    if !published.is_empty() && !complete.to.is_empty() {
        if let Some(guarded) = guarded(&published) {
            complete.publish.splice(0..0, guarded);
        } else {
            let to = complete.to.clone();
            let publish = complete.publish.clone();
            again = Some(Clause { key: "on-failure", after: "failed()", publish, to });
            complete.after = "succeeded()";
            complete.publish.splice(0..0, published.clone());
        }
    }
    success.publish.splice(0..0, published);
    let mut entries = Vec::new();
    for clause in [success, error, complete].into_iter().chain(again) {
        entries.extend(clause.entries(name, task, reader));
    }
    entries
}

fn own(task: &Turning<'_>, key: &str, reader: &mut Reader) -> Vec<Value> {
    let held = task.fields.get(key).cloned().unwrap_or_default();
    publish::read(&held, &task.names, &format!("{}.{key}", task.path), reader)
}

fn clause(
    task: &Turning<'_>,
    (key, after): (&'static str, &'static str),
    reader: &mut Reader,
) -> Clause {
    let path = format!("{}.{key}", task.path);
    let held = task.fields.get(key).cloned().unwrap_or_default();
    let mut clause = Clause { key, after, publish: Vec::new(), to: Vec::new() };
    let next = if held.is_object() {
        let mut fields = reader.mapping(&held, &path, &keys::CLAUSE);
        let published = fields.remove("publish").unwrap_or_default();
        clause.publish = publish::read(&published, &task.names, &format!("{path}.publish"), reader);
        fields.remove("next").unwrap_or_default()
    } else {
        held
    };
    let list = match next {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        one => vec![one],
    };
    for (index, entry) in list.iter().enumerate() {
        clause.to.extend(follower(entry, task, &format!("{path}[{index}]"), reader));
    }
    clause
}

/// One entry of a clause; nothing where its condition never holds.
fn follower(
    entry: &Value,
    task: &Turning<'_>,
    path: &str,
    reader: &mut Reader,
) -> Option<(To, Option<Condition>)> {
    let (name, condition) = match entry {
        Value::String(name) => (name.as_str(), &Value::Null),
        Value::Object(one) if one.len() == 1 => {
            one.iter().next().map(|(key, held)| (key.as_str(), held))?
        }
        _ => {
            let help = "write `- task`, or `- task: <% condition %>`";
            reader.wrong(path, "is not the name of a task", help);
            return None;
        }
    };
    let to = target(name, &task.names, path, reader)?;
    let condition = match condition {
        Value::Null | Value::Bool(true) => None,
        Value::Bool(false) => return None,
        held => {
            let text = held.as_str().unwrap_or_default();
            let read = Condition::read(&rewrite::text(text, &task.names, path, reader));
            if read.is_none() {
                reader.wrong(path, "has a condition that is no expression", "write `<% … %>`");
            }
            read
        }
    };
    Some((to, condition))
}

fn target(name: &str, names: &Names, path: &str, reader: &mut Reader) -> Option<To> {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\s*(fail|succeed|pause|noop)\b").expect("the pattern is written here")
    });
    if names.tasks.contains(name) {
        return Some(To::Task(plain(name)));
    }
    match COMMAND.captures(name).and_then(|found| found.get(1)).map(|found| found.as_str()) {
        Some("fail") => Some(To::Task("fail".to_owned())),
        Some("pause") => Some(To::Pause),
        Some(_) => Some(To::Task("noop".to_owned())),
        None => {
            let known = names.tasks.iter().map(String::as_str);
            let near = crate::model::problem::nearest(name, known);
            let help = near.map_or_else(
                || "add the task, or correct the name".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader.wrong(path, &format!("there is no task `{name}`"), &help);
            None
        }
    }
}

impl Clause {
    fn entries(mut self, name: &str, task: &mut Turning<'_>, reader: &mut Reader) -> Vec<Value> {
        if self.to.is_empty() && self.publish.is_empty() {
            return Vec::new();
        }
        let step = format!("{name}_{}", self.key.replace('-', "_"));
        self.pause(&step, task, reader);
        let wait = task.fields.get("wait-after").cloned().filter(|_| !self.to.is_empty());
        let looks =
            self.to.iter().filter_map(|(_, condition)| condition.as_ref()).any(|condition| {
                let names =
                    self.publish.iter().filter_map(|entry| entry.as_object()?.keys().next());
                names.into_iter().any(|name| mentions(&condition.inner, name))
            });
        if wait.is_none() && !looks {
            return entries(self.after, &self.publish, &self.to, name);
        }
        let mut between = Map::new();
        if let Some(wait) = wait {
            let path = format!("{}.wait-after", task.path);
            between.insert("delay".to_owned(), rewrite::value(&wait, &task.names, &path, reader));
        }
        let next = entries("", &[], &self.to, name);
        between.insert("next".to_owned(), next.into());
        task.turned.insert(step.clone(), Value::Object(between));
        entries(self.after, &self.publish, &[(To::Task(step), None)], name)
    }

    /// Puts what stands behind `pause` behind a step that waits for a person.
    fn pause(&mut self, step: &str, task: &mut Turning<'_>, reader: &mut Reader) {
        let Some(at) = self.to.iter().position(|(to, _)| *to == To::Pause) else { return };
        let step = format!("{step}_pause");
        let behind = self.to.split_off(at + 1);
        self.to[at].0 = To::Task(step.clone());
        let path = format!("{}.{}[{at}]", task.path, self.key);
        let again = behind.iter().any(|(to, _)| *to == To::Pause);
        if again || (!behind.is_empty() && self.to[at].1.is_some()) {
            let what = "a `pause` with a condition, or with a second one, has something behind it";
            reader.wrong(&path, what, "put it last, once");
        }
        let mut waits = Map::from_iter([("approve".to_owned(), json!(true))]);
        if !behind.is_empty() {
            waits.insert("next".to_owned(), entries("", &[], &behind, &step).into());
        }
        task.turned.insert(step, Value::Object(waits));
    }
}

/// The entries of `next`: one for each condition, in the order of the first that has it. `own` is
/// the task whose result the conditions ask for where they stand in a step behind it.
fn entries(
    after: &str,
    publish: &[Value],
    to: &[(To, Option<Condition>)],
    own: &str,
) -> Vec<Value> {
    let mut groups: Vec<(Option<&Condition>, Vec<&str>)> = Vec::new();
    for (to, condition) in to {
        let To::Task(to) = to else { continue };
        match groups.iter_mut().find(|(held, _)| *held == condition.as_ref()) {
            Some((_, names)) => names.push(to),
            None => groups.push((condition.as_ref(), vec![to])),
        }
    }
    // What is published is seen at the end, wherever the conditions lead.
    let conditions: Vec<&Condition> = groups.iter().filter_map(|(one, _)| *one).collect();
    let always = conditions.len() < groups.len();
    let nowhere = none_of(&conditions);
    if !publish.is_empty() && !always {
        groups.push((nowhere.as_ref(), Vec::new()));
    }
    groups
        .into_iter()
        .map(|(condition, names)| entry((after, condition, own), publish, &names))
        .collect()
}

/// The condition that holds where none of `conditions` does; nothing where there are none, or where
/// they are written in two languages.
fn none_of(conditions: &[&Condition]) -> Option<Condition> {
    let yaql = conditions.first()?.yaql;
    let not = |one: &&Condition| (one.yaql == yaql).then(|| format!("not ({})", one.inner));
    let inner: Vec<String> = conditions.iter().map(not).collect::<Option<_>>()?;
    Some(Condition { inner: inner.join(" and "), yaql })
}

fn entry(
    (after, condition, own): (&str, Option<&Condition>, &str),
    publish: &[Value],
    to: &[&str],
) -> Value {
    let mut entry = Map::new();
    let when = match (condition, after) {
        (None, "") => None,
        (None, after) => Some(format!("<% {after} %>")),
        // In a step behind the task its result goes by its name.
        (Some(condition), "") => {
            let named = condition.inner.replace("result()", &format!("task('{own}').result"));
            Some(Condition { inner: named, yaql: condition.yaql }.within("", ""))
        }
        (Some(condition), after) => Some(condition.within(&format!("{after} and ("), ")")),
    };
    if let Some(when) = when {
        entry.insert("when".to_owned(), when.into());
    }
    if !publish.is_empty() {
        entry.insert("publish".to_owned(), publish.into());
    }
    if !to.is_empty() {
        entry.insert("do".to_owned(), json!(to));
    }
    Value::Object(entry)
}
