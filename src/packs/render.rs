//! Templates in the defaults of parameters and in configurations (`{{ config_context.host }}`,
//! `{{ st2kv.system.token }}`), rendered when an action runs.
//!
//! Only what a pack's author or an administrator wrote is rendered. What callers and rules give is
//! data and stays as it is, whatever it looks like: otherwise an event could read every secret.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use crate::model::parameter::Parameters;
use crate::packs::parameters::ParameterError;

/// Steps of one template at most: a default is a line, not a program.
const FUEL: u64 = 100_000;

/// What templates may name.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// `config_context`: the pack's configuration.
    pub config: &'a Value,
    /// `action_context`: about the execution.
    pub action: &'a Value,
    /// `st2kv`: values of the key-value store by `system.name` or `user.name`; see `keys`.
    pub keys: &'a BTreeMap<String, Value>,
    /// The parameter that a shell will read as its command line, where there is one: only plain words
    /// are pasted into it.
    pub line: Option<&'a str>,
}

/// Whether a value holds a template.
#[must_use]
pub fn is_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(is_template),
        Value::Object(fields) => fields.values().any(is_template),
        _ => false,
    }
}

/// The keys that the templates in `value` want: `system.name` or `user.name`.
#[must_use]
pub fn keys(value: &Value) -> BTreeSet<String> {
    let wanted = wants(value, true);
    wanted.iter().filter_map(|name| name.strip_prefix("st2kv.")).map(str::to_owned).collect()
}

/// The parameters with their defaults rendered, where these are wanted: those of `given` are not.
/// Defaults may name other parameters; the order in which they stand does not matter.
///
/// # Errors
/// One error per default that cannot be rendered.
pub fn defaults(
    parameters: &Parameters,
    given: &Map<String, Value>,
    context: Context<'_>,
) -> Result<Parameters, Vec<ParameterError>> {
    let mut rendered = parameters.clone();
    let mut names = names(context);
    let mut waiting = Vec::new();
    for (at, (name, parameter)) in parameters.iter().enumerate() {
        let value = given.get(name).filter(|value| !value.is_null());
        match (value, &parameter.default) {
            (Some(value), _) => drop(names.insert(name.clone(), value.clone())),
            (None, Some(default)) if is_template(default) => waiting.push((at, default)),
            (None, default) => {
                names.insert(name.clone(), default.clone().unwrap_or_default());
            }
        }
    }
    let (free, guarded) = (Engine::free(), Engine::guarded());
    let mut errors = Vec::new();
    while !waiting.is_empty() {
        let open: BTreeSet<&str> =
            waiting.iter().map(|(at, _)| parameters[*at].0.as_str()).collect();
        let blocked = |default: &Value| {
            wants(default, false).iter().any(|wanted| open.contains(wanted.as_str()))
        };
        let (later, now): (Vec<_>, Vec<_>) =
            waiting.iter().copied().partition(|(_, default)| blocked(default));
        if now.is_empty() {
            errors.extend(later.iter().map(|(at, _)| cycle(&parameters[*at].0)));
            break;
        }
        for (at, default) in now {
            let name = &parameters[at].0;
            let engine = if context.line == Some(name) { &guarded } else { &free };
            match engine.render(default, &names) {
                Ok(value) => {
                    names.insert(name.clone(), value.clone());
                    rendered[at].1.default = Some(value);
                }
                Err(error) => {
                    // Others that name it are told of their own loss, not of this one again.
                    names.insert(name.clone(), Value::Null);
                    errors.push(failed(name, &error));
                }
            }
        }
        waiting = later;
    }
    if errors.is_empty() { Ok(rendered) } else { Err(errors) }
}

/// A configuration with its templates rendered; they may name `st2kv` only.
///
/// # Errors
/// The setting that cannot be rendered.
pub fn config(
    config: &Value,
    keys: &BTreeMap<String, Value>,
) -> Result<Value, Vec<ParameterError>> {
    if !is_template(config) {
        return Ok(config.clone());
    }
    let context = Context { config: &Value::Null, action: &Value::Null, keys, line: None };
    let (engine, names) = (Engine::free(), names(context));
    let Value::Object(fields) = config else { return Ok(config.clone()) };
    let (mut rendered, mut errors) = (Map::new(), Vec::new());
    for (name, value) in fields {
        match engine.render(value, &names) {
            Ok(value) => drop(rendered.insert(name.clone(), value)),
            Err(error) => errors.push(failed(name, &error)),
        }
    }
    if errors.is_empty() { Ok(Value::Object(rendered)) } else { Err(errors) }
}

fn cycle(name: &str) -> ParameterError {
    ParameterError {
        name: name.to_owned(),
        message: format!("`{name}`: its default names itself, over others or directly"),
        help: Some("give the parameter, or correct the action's file".to_owned()),
    }
}

fn failed(name: &str, error: &minijinja::Error) -> ParameterError {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    ParameterError {
        name: name.to_owned(),
        message: format!("`{name}`: its template cannot be rendered: {what}"),
        help: Some("give the parameter, or set what the template names".to_owned()),
    }
}

struct Engine {
    environment: Environment<'static>,
    /// Whether a template that is one expression keeps its type; otherwise it becomes text as well.
    typed: bool,
}

impl Engine {
    fn free() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        // Values come opened from the store; StackStorm's templates say so.
        environment.add_filter("decrypt_kv", |value: minijinja::Value| value);
        Self { environment, typed: true }
    }

    /// Renders into a command line: StackStorm's packs paste values there, and a value that is more
    /// than a plain word would become part of the program.
    fn guarded() -> Self {
        let Self { mut environment, .. } = Self::free();
        environment.set_formatter(|out, state, value| {
            let text = value.to_string();
            match not_plain(&text) {
                None => minijinja::escape_formatter(out, state, value),
                // The value may be a secret, so only what is wrong with it is said.
                Some(wrong) => Err(minijinja::Error::new(
                    minijinja::ErrorKind::InvalidOperation,
                    format!(
                        "a value with {wrong} would become part of the command line; write \
                         \"$P_name\", with the quotes, in place of `{{{{ name }}}}`: so it stays data"
                    ),
                )),
            }
        });
        Self { environment, typed: false }
    }

    fn render(&self, value: &Value, names: &Map<String, Value>) -> Result<Value, minijinja::Error> {
        let environment = &self.environment;
        match value {
            Value::String(text) if is_template(value) => {
                match expression(text).filter(|_| self.typed) {
                    Some(expression) => {
                        let value = environment
                            .compile_expression(expression)?
                            .eval(minijinja::Value::from(minijinja::value::Serde(names)))?;
                        if value.is_undefined() {
                            let detail = format!("there is no `{}`", expression.trim());
                            let kind = minijinja::ErrorKind::UndefinedError;
                            return Err(minijinja::Error::new(kind, detail));
                        }
                        serde_json::to_value(value).map_err(|error| {
                            let kind = minijinja::ErrorKind::BadSerialization;
                            minijinja::Error::new(kind, error.to_string())
                        })
                    }
                    None => environment
                        .render_str(text, minijinja::Value::from(minijinja::value::Serde(names)))
                        .map(Value::String),
                }
            }
            Value::Array(items) => items.iter().map(|item| self.render(item, names)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), self.render(field, names)?)))
                .collect(),
            other => Ok(other.clone()),
        }
    }
}

/// What makes a text more than one plain word to a shell, wherever in the line it stands.
fn not_plain(text: &str) -> Option<String> {
    if text.starts_with('-') && text.parse::<f64>().is_err() {
        return Some("a leading `-`".to_owned());
    }
    let plain = |c: &char| c.is_alphanumeric() || "_./:=@%+,-".contains(*c);
    text.chars().find(|c| !plain(c)).map(|c| format!("the character {c:?}"))
}

/// What every template may name.
fn names(context: Context<'_>) -> Map<String, Value> {
    let mut scopes = json!({ "system": {}, "user": {} });
    for (key, value) in context.keys {
        if let Some((scope, name)) = key.split_once('.') {
            scopes[scope][name] = value.clone();
        }
    }
    let mut names = Map::new();
    names.insert("config_context".to_owned(), context.config.clone());
    names.insert("action_context".to_owned(), context.action.clone());
    names.insert("st2kv".to_owned(), scopes);
    names
}

/// The names in all templates of `value`: whole paths, or only their first parts.
fn wants(value: &Value, paths: bool) -> BTreeSet<String> {
    match value {
        Value::String(text) if is_template(value) => {
            let environment = Environment::new();
            let template = environment.template_from_str(text);
            template.map_or_else(
                |_| BTreeSet::new(),
                |template| template.undeclared_variables(paths).into_iter().collect(),
            )
        }
        Value::Array(items) => items.iter().flat_map(|item| wants(item, paths)).collect(),
        Value::Object(fields) => fields.values().flat_map(|field| wants(field, paths)).collect(),
        _ => BTreeSet::new(),
    }
}

/// The expression inside `{{ … }}`, where the text is nothing else.
fn expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inside.contains("{{") && !inside.contains("}}") && !inside.contains("{%")).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parameter::Parameter;

    fn parameters(defaults: Value) -> Parameters {
        let Value::Object(defaults) = defaults else { panic!("not an object") };
        let one = |(name, default): (String, Value)| {
            (name, Parameter { default: Some(default), ..Parameter::default() })
        };
        defaults.into_iter().map(one).collect()
    }

    fn rendered(all: Value, given: Value) -> Result<Value, Vec<String>> {
        let Value::Object(given) = given else { panic!("not an object") };
        let keys = BTreeMap::from([("system.token".to_owned(), json!("t"))]);
        let config = json!({"host": "h", "ports": [1, 2]});
        let action = json!({"user": "root"});
        let context = Context { config: &config, action: &action, keys: &keys, line: Some("cmd") };
        defaults(&parameters(all), &given, context)
            .map(|all| all.into_iter().map(|(name, one)| (name, one.default.unwrap())).collect())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_are_rendered_in_the_order_in_which_they_need_each_other() {
        let all = json!({
            "a": "{{ b }}:{{ ports[1] }}",
            "b": "http://{{ config_context.host }}",
            "ports": "{{ config_context.ports }}",
            "token": "{{ st2kv.system.token | decrypt_kv }}",
            "nested": {"by": ["{{ action_context.user }}"]},
        });
        assert_eq!(keys(&all), BTreeSet::from(["system.token".to_owned()]));
        let result = json!({
            "a": "http://h:2", "b": "http://h", "ports": [1, 2], "token": "t",
            "nested": {"by": ["root"]},
        });
        assert_eq!(rendered(all, json!({})), Ok(result));
    }

    #[test]
    fn what_is_given_is_data() {
        let all = json!({"a": "x", "b": "{{ a }}"});
        let given = json!({"a": "{{ config_context.host }}"});
        let result = json!({"a": "x", "b": "{{ config_context.host }}"});
        assert_eq!(rendered(all, given), Ok(result));
    }

    #[test]
    fn only_plain_words_are_pasted_into_a_command_line() {
        let line = |value: Value| {
            let all = json!({"cmd": "grow {{ pool }}", "pool": ""});
            rendered(all, json!({"pool": value}))
        };
        for plain in
            [json!("gold-1"), json!("a/b.c:d=e@f,g%h+i"), json!(-1.5), json!(true), json!("")]
        {
            assert!(line(plain.clone()).is_ok(), "{plain}");
        }
        for hostile in
            ["x; id", "$(id)", "`id`", "a b", "'", "\"", "a\nb", "-rf", "*", "~", "a|b", "#"]
        {
            let errors = line(json!(hostile)).unwrap_err();
            assert!(errors[0].contains("would become part of the command line"), "{errors:?}");
            assert!(!errors[0].contains("id"), "the value is not told: {errors:?}");
        }
        let whole = json!({"cmd": "{{ pool }}", "pool": ""});
        assert!(rendered(whole, json!({"pool": "touch /tmp/x"})).is_err());
        let elsewhere = json!({"env": {"X": "{{ pool }}"}, "pool": ""});
        assert!(rendered(elsewhere, json!({"pool": "a; b"})).is_ok());
    }

    #[test]
    fn what_cannot_be_rendered_is_named() {
        for (all, said) in [
            (json!({"a": "{{ b }}", "b": "{{ a }}"}), "`a`: its default names itself"),
            (
                json!({"a": "{{ nobody }}"}),
                "`a`: its template cannot be rendered: there is no `nobody`",
            ),
            (json!({"a": "x{{ st2kv.system.nobody }}"}), "`a`: its template cannot be rendered"),
            (json!({"a": "{{ b"}), "`a`: its template cannot be rendered"),
            (
                json!({"a": "{% for x in range(9999) %}{% for y in range(9999) %}x{% endfor %}{% endfor %}"}),
                "`a`: its template cannot be rendered",
            ),
        ] {
            let errors = rendered(all.clone(), json!({})).unwrap_err();
            assert!(errors[0].starts_with(said), "{all}: {errors:?}");
        }
    }
}
