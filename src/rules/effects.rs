//! What `then` may ask for. These functions do nothing: they return data, which the stage that asked
//! carries out.

use std::collections::BTreeMap;
use std::str::FromStr;

use rhai::plugin::export_module;
use rhai::{Array, Dynamic, EvalAltResult, Map, Module, Shared};
use serde_json::{Map as Object, Value};

use crate::model::execution::{HOLD_BYTES, Selector, Wish};
use crate::model::incident::{Failure, Severity};
use crate::model::reference::Reference;
use crate::model::rule::Effect;
use crate::model::span;
use crate::script::convert::{kind, map_to_object, to_json};

/// Effects that one rule may ask for on one event.
pub const EFFECTS_LIMIT: usize = 100;

/// What `run(action, parameters, options)` takes as options.
pub const OPTIONS: &[&str] = &["timeout", "delay", "priority"];

/// The functions, for an engine.
#[must_use]
pub fn module() -> Shared<Module> {
    rhai::exported_module!(functions).into()
}

fn reference(text: &str) -> Result<Reference, Box<EvalAltResult>> {
    Reference::from_str(text).map_err(|error| error.to_string().into())
}

fn object(what: &str, map: &Map) -> Result<Object<String, Value>, Box<EvalAltResult>> {
    map_to_object(map).map_err(|error| format!("in {what}: {error}").into())
}

/// Checks one option of `run`; says what is wrong with it.
pub(crate) fn check_option(name: &str, value: &Value) -> Result<(), String> {
    match (name, value) {
        ("timeout" | "delay", Value::String(text)) => {
            span::parse(text).map(drop).map_err(|error| error.to_string())
        }
        ("timeout" | "delay", Value::Number(number)) if number.as_f64() >= Some(0.0) => Ok(()),
        ("timeout" | "delay", _) => {
            Err(format!("`{name}` is a span such as \"5m\", or a number of seconds"))
        }
        ("priority", Value::Number(number)) if number.is_i64() => Ok(()),
        ("priority", _) => Err("`priority` is an integer".to_owned()),
        (name, _) => Err(format!("`run` has no option `{name}`; it has {}", OPTIONS.join(", "))),
    }
}

fn requested(action: &str, parameters: &Map, options: &Map) -> Result<Effect, Box<EvalAltResult>> {
    let options = object("the options", options)?;
    for (name, value) in &options {
        check_option(name, value)?;
    }
    let parameters = object("the parameters", parameters)?;
    Ok(Effect::Run { action: reference(action)?, parameters, options })
}

/// What `then` returned, as effects.
///
/// # Errors
/// Says what it returned instead, or that these are too many.
pub(crate) fn read(returned: &Dynamic) -> Result<Vec<Effect>, String> {
    let mut effects = Vec::new();
    gather(returned, &mut effects)?;
    if effects.len() > EFFECTS_LIMIT {
        return Err(format!(
            "`then` asks for {} effects; {EFFECTS_LIMIT} is the most",
            effects.len()
        ));
    }
    Ok(effects)
}

fn gather(returned: &Dynamic, effects: &mut Vec<Effect>) -> Result<(), String> {
    if returned.is_unit() {
        return Ok(());
    }
    if let Some(effect) = returned.read_lock::<Effect>() {
        effects.push(effect.clone());
        return Ok(());
    }
    if let Some(items) = returned.read_lock::<Array>() {
        return items.iter().try_for_each(|item| gather(item, effects));
    }
    Err(format!(
        "`then` returned {}, not effects such as `run(…)` or a list of them",
        kind(returned)
    ))
}

/// The executions that a text or a map means.
fn selector(written: &Dynamic) -> Result<Selector, Box<EvalAltResult>> {
    if let Ok(text) = written.clone().into_string() {
        return Ok(match text.parse() {
            Ok(id) => Selector { execution: Some(id), ..Selector::default() },
            Err(_) => Selector { action: Some(text), ..Selector::default() },
        });
    }
    let json = to_json(written).map_err(|error| format!("in the selector: {error}"))?;
    let read: Selector = serde_json::from_value(json).map_err(|error| {
        let expected = "expected an action (`\"storage.migrate_*\"`), an execution's id, or \
                        `#{ action: …, parameters: #{ … } }`";
        format!("in the selector: {error}; {expected}")
    })?;
    if read.is_empty() {
        return Err("an empty selector means every execution; say `\"*\"` if that is wanted".into());
    }
    Ok(read)
}

fn steer(wish: Wish, written: &Dynamic) -> Result<Effect, Box<EvalAltResult>> {
    let selector = selector(written)?;
    let Some(hold) = &selector.hold else { return Ok(Effect::Steer { wish, selector }) };
    if wish == Wish::Cancel {
        return Err("in the selector: `hold` is for `pause` and `resume`".into());
    }
    if hold.is_empty() || hold.len() > HOLD_BYTES {
        return Err(format!("in the selector: `hold` is a name of 1 to {HOLD_BYTES} bytes").into());
    }
    Ok(Effect::Steer { wish, selector })
}

/// What `incident(key, …)` takes.
const ABOUT: &[&str] = &["title", "severity", "source", "labels", "group", "details"];

/// Characters of an incident's key at most: it is looked up by it.
const KEY_LIMIT: usize = 512;

fn keyed(what: &str, key: &str) -> Result<String, Box<EvalAltResult>> {
    if key.is_empty() || key.chars().count() > KEY_LIMIT {
        let count = key.chars().count();
        let message =
            format!("`{what}` needs a key of 1 to {KEY_LIMIT} characters, this one has {count}");
        return Err(message.into());
    }
    Ok(key.to_owned())
}

/// What was written under `name`, as text; nothing where there is nothing.
fn told(about: &Object<String, Value>, name: &str) -> Option<String> {
    match about.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn failure(key: &str, about: &Map) -> Result<Failure, Box<EvalAltResult>> {
    let key = keyed("incident", key)?;
    let mut about = object("the incident", about)?;
    if let Some(name) = about.keys().find(|name| !ABOUT.contains(&name.as_str())) {
        let known = ABOUT.join(", ");
        return Err(format!("`incident` knows no `{name}`; it knows {known}").into());
    }
    let labels = match about.remove("labels") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(labels)) => {
            let plain = |name: &String| told(&labels, name);
            labels.keys().filter_map(|name| Some((name.clone(), plain(name)?))).collect()
        }
        Some(_) => return Err("`labels` is a map such as `#{ array: \"s1\" }`".into()),
    };
    // A word that nobody knows is rather too loud than too quiet.
    let severity = match told(&about, "severity") {
        Some(text) => Severity::read(&text).unwrap_or(Severity::Error),
        None => Severity::Warning,
    };
    Ok(Failure {
        title: told(&about, "title").unwrap_or_else(|| key.clone()),
        severity,
        source: told(&about, "source").unwrap_or_default(),
        labels,
        group: told(&about, "group").filter(|group| !group.is_empty()),
        details: about.remove("details").unwrap_or_default(),
        key,
    })
}

fn resolved(key: &str, about: &Map) -> Result<Effect, Box<EvalAltResult>> {
    let key = keyed("resolve", key)?;
    let about = object("what is said of the end", about)?;
    if let Some(name) = about.keys().find(|name| *name != "reason") {
        return Err(format!("`resolve` knows no `{name}`; it knows `reason`").into());
    }
    Ok(Effect::Resolve { key, reason: told(&about, "reason") })
}

#[export_module]
#[expect(unreachable_pub, reason = "Rhai's macro wants public functions")]
mod functions {
    /// Requests an execution of an action.
    ///
    /// > run("core.noop") is an effect
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_plain(action: &str) -> Result<Effect, Box<EvalAltResult>> {
        requested(action, &Map::new(), &Map::new())
    }

    /// Requests an execution of an action with these parameters.
    ///
    /// > run("core.local", #{ cmd: "true" }) is an effect
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with(action: &str, parameters: Map) -> Result<Effect, Box<EvalAltResult>> {
        requested(action, &parameters, &Map::new())
    }

    /// Requests an execution of an action with these parameters and options: `timeout` and `delay`
    /// are spans such as `"5m"` or numbers of seconds, `priority` is an integer.
    ///
    /// > run("core.local", #{ cmd: "true" }, #{ timeout: "30s" }) is an effect
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_so(
        action: &str,
        parameters: Map,
        options: Map,
    ) -> Result<Effect, Box<EvalAltResult>> {
        requested(action, &parameters, &options)
    }

    /// Reports a new event on a trigger, with this payload.
    ///
    /// > emit("storage.pool_full", #{ pool: "p1" }) is an effect
    #[rhai_fn(return_raw)]
    pub fn emit(trigger: &str, data: Dynamic) -> Result<Effect, Box<EvalAltResult>> {
        let data = to_json(&data).map_err(|error| format!("in the payload: {error}"))?;
        Ok(Effect::Emit { trigger: reference(trigger)?, data })
    }

    /// Tells people, over a channel.
    ///
    /// > notify("ops", "pool p1 is full") is an effect
    pub fn notify(channel: &str, text: &str) -> Effect {
        Effect::Notify { channel: channel.to_owned(), text: text.to_owned() }
    }

    /// Opens an incident under a key, or counts one more report of it. `title` is one line for people;
    /// `severity` is `info`, `warning`, `error` or `critical`, or what monitoring systems call it;
    /// `source`, `labels` (by which it is routed), `group` (told together) and `details` may be left out.
    ///
    /// > incident("disk/sda", #{ title: "disk sda failed", severity: "critical" }) is an effect
    #[rhai_fn(return_raw)]
    pub fn incident(key: &str, about: Map) -> Result<Effect, Box<EvalAltResult>> {
        failure(key, &about).map(Effect::Incident)
    }

    /// Says that an incident is over: whoever was told of it is told so.
    ///
    /// > resolve("disk/sda") is an effect
    #[rhai_fn(name = "resolve", return_raw)]
    pub fn resolve_plain(key: &str) -> Result<Effect, Box<EvalAltResult>> {
        resolved(key, &Map::new())
    }

    /// Says that an incident is over, with a `reason` for people.
    ///
    /// > resolve("disk/sda", #{ reason: "a spare took over" }) is an effect
    #[rhai_fn(name = "resolve", return_raw)]
    pub fn resolve_with(key: &str, about: Map) -> Result<Effect, Box<EvalAltResult>> {
        resolved(key, &about)
    }

    /// Pauses executions and what is part of them: an action's (`*` stands for any letters), the one of
    /// an id, or those that `#{ action: …, parameters: #{ … } }` means. With `hold: "name"` in the map
    /// they are held under that name, perhaps among others.
    ///
    /// > pause("storage.migrate_*") is an effect
    #[rhai_fn(return_raw)]
    pub fn pause(selector: Dynamic) -> Result<Effect, Box<EvalAltResult>> {
        steer(Wish::Pause, &selector)
    }

    /// Lets paused executions go on; says which as `pause` does. With `hold: "name"` only what that
    /// name holds, as soon as nothing else holds it: what a person paused stays so.
    ///
    /// > resume(#{ action: "storage.migrate_bucket" }) is an effect
    #[rhai_fn(return_raw)]
    pub fn resume(selector: Dynamic) -> Result<Effect, Box<EvalAltResult>> {
        steer(Wish::Resume, &selector)
    }

    /// Cancels executions; says which as `pause` does.
    ///
    /// > cancel(#{ action: "storage.grow", parameters: #{ pool: "p1" } }) is an effect
    #[rhai_fn(return_raw)]
    pub fn cancel(selector: Dynamic) -> Result<Effect, Box<EvalAltResult>> {
        steer(Wish::Cancel, &selector)
    }

    /// Writes a value to the key-value store; `()` removes the key.
    ///
    /// > set("maintenance", true) is an effect
    #[rhai_fn(return_raw)]
    pub fn set(key: &str, value: Dynamic) -> Result<Effect, Box<EvalAltResult>> {
        if key.is_empty() {
            return Err("`set` needs a key that is not empty".into());
        }
        let value = to_json(&value).map_err(|error| format!("in the value: {error}"))?;
        Ok(Effect::Set { key: key.to_owned(), value })
    }

    /// Leaves a line in the decision and in the log.
    ///
    /// > log("seen") is an effect
    pub fn log(text: &str) -> Effect {
        Effect::Log { text: text.to_owned() }
    }
}
