//! Parameters of an execution: the action's over its runner's, checked against what a caller gave.

use serde_json::{Map, Value};

use crate::model::parameter::{Parameter, Parameters};
use crate::packs::fields::{listed, meant};
use crate::packs::schema;
use crate::packs::{cast, render};

/// One parameter that a caller got wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParameterError {
    /// The parameter.
    pub name: String,
    /// What is wrong: a lower-case fragment with the name in backticks. Never shows a secret value.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
}

impl ParameterError {
    fn new(name: &str, message: String) -> Self {
        Self { name: name.to_owned(), message, help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The parameters of an action as a caller sees them: the runner's, and the action's over them.
/// Of a runner's parameter an action may change `default`, `description`, `enum`, `immutable`, `position`,
/// `required` and `secret`, and narrow `type`.
#[must_use]
pub fn merge(runner: &Parameters, action: &Parameters) -> Parameters {
    let mut merged = runner.clone();
    for (name, own) in action {
        let Some((_, held)) = merged.iter_mut().find(|(held, _)| held == name) else {
            merged.push((name.clone(), own.clone()));
            continue;
        };
        if own.default.is_some() {
            held.default.clone_from(&own.default);
        }
        if !own.description.is_empty() {
            held.description.clone_from(&own.description);
        }
        if !own.choices.is_empty() {
            held.choices.clone_from(&own.choices);
        }
        if !own.types.is_empty() {
            held.types.clone_from(&own.types);
        }
        held.position = own.position.or(held.position);
        held.immutable |= own.immutable;
        held.required |= own.required;
        held.secret |= own.secret;
    }
    merged
}

/// Reports to `wrong` every runner's parameter that an action changes beyond what `merge` allows.
pub(crate) fn overrides(
    runner: &Parameters,
    action: &Parameters,
    mut wrong: impl FnMut(&str, String),
) {
    for (name, own) in action {
        let Some((_, held)) = runner.iter().find(|(held, _)| held == name) else { continue };
        if !own.types.iter().all(|kind| allows(held, kind)) {
            let message = format!(
                "`{name}` belongs to the runner as {}; an action may only narrow its `type`",
                listed(&held.types.iter().map(String::as_str).collect::<Vec<_>>())
            );
            wrong(name, message);
        }
    }
}

/// Whether a runner's parameter may be of the type `kind`.
fn allows(held: &Parameter, kind: &str) -> bool {
    let wider = |known: &String| known == kind || (known == "number" && kind == "integer");
    held.types.is_empty() || held.types.iter().any(wider)
}

/// What a caller gave, checked, with defaults for the rest. Text is cast to the type that is wanted.
///
/// # Errors
/// One error per parameter that is wrong; all of them.
pub fn check(
    parameters: &Parameters,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParameterError>> {
    let mut errors: Vec<_> = given
        .keys()
        .filter(|name| !parameters.iter().any(|(known, _)| known == *name))
        .map(|name| unknown(parameters, name))
        .collect();
    let mut checked = Map::new();
    for (name, parameter) in parameters {
        match one(name, parameter, given.get(name)) {
            Ok(Some(value)) => drop(checked.insert(name.clone(), value)),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

fn unknown(parameters: &Parameters, name: &str) -> ParameterError {
    let open =
        || parameters.iter().filter(|(_, one)| !one.immutable).map(|(name, _)| name.as_str());
    let error = ParameterError::new(name, format!("the action has no parameter `{name}`"));
    match meant(name, open()) {
        Some(help) => error.help(help),
        None => error.help(format!("it has {}", listed(&open().collect::<Vec<_>>()))),
    }
}

fn one(
    name: &str,
    parameter: &Parameter,
    given: Option<&Value>,
) -> Result<Option<Value>, ParameterError> {
    if parameter.immutable && given.is_some() {
        let message = format!("`{name}` is fixed by the action and cannot be given");
        return Err(ParameterError::new(name, message).help("leave it out"));
    }
    let value = given.filter(|value| !value.is_null());
    let default = parameter.default.as_ref().filter(|default| !default.is_null());
    if let (None, Some(template)) = (value, default.filter(|value| render::is_template(value))) {
        // It gets its value, and its type, when the action runs.
        return Ok(Some(template.clone()));
    }
    let Some(value) = value.or(default).cloned() else {
        if parameter.required {
            let message = format!("`{name}` is missing");
            let help = match parameter.description.as_str() {
                "" => format!("give `{name}`"),
                about => format!("give `{name}`: {about}"),
            };
            return Err(ParameterError::new(name, message).help(help));
        }
        return Ok(given.cloned());
    };
    let value = cast(name, parameter, value)?;
    fits(name, parameter, &value)?;
    Ok(Some(value))
}

fn cast(name: &str, parameter: &Parameter, value: Value) -> Result<Value, ParameterError> {
    let types = &parameter.types;
    if !value.is_string() || types.is_empty() || types.iter().any(|kind| kind == "string") {
        return Ok(value);
    }
    let mut wanted = None;
    for kind in types.iter().filter(|kind| *kind != "null") {
        match cast::cast(kind, &value) {
            Ok(cast) if is(&cast, kind) => return Ok(cast),
            Ok(_) => {}
            Err(expected) => wanted = wanted.or(Some(expected)),
        }
    }
    let shown = shown(parameter, &value);
    let names: Vec<&str> = types.iter().map(String::as_str).collect();
    let expected = wanted.map_or_else(|| format!("of type {}", listed(&names)), str::to_owned);
    Err(ParameterError::new(name, format!("`{name}`: {shown} is not {expected}")))
}

fn fits(name: &str, parameter: &Parameter, value: &Value) -> Result<(), ParameterError> {
    let shown = || shown(parameter, value);
    if !parameter.choices.is_empty() && !parameter.choices.contains(value) {
        let choices: Vec<String> = parameter.choices.iter().map(plain).collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        let named = some(&choices);
        let message = format!("`{name}`: {} is not one of its values: {named}", shown());
        let help = value.as_str().and_then(|text| meant(text, choices.iter().copied()));
        let help = help.unwrap_or_else(|| format!("give {}", listed(&choices)));
        return Err(ParameterError::new(name, message).help(help));
    }
    if !parameter.types.is_empty() && !parameter.types.iter().any(|kind| is(value, kind)) {
        let types: Vec<&str> = parameter.types.iter().map(String::as_str).collect();
        let message = format!("`{name}`: {} is not of type {}", shown(), listed(&types));
        return Err(ParameterError::new(name, message));
    }
    if parameter.schema.is_empty() {
        return Ok(());
    }
    let wrong = |message: String| ParameterError::new(name, format!("`{name}`: {message}"));
    let validator = schema::compile(&Value::Object(parameter.schema.clone())).map_err(wrong)?;
    match validator.validate(value) {
        Ok(()) => Ok(()),
        Err(_) if parameter.secret => Err(wrong("what was given does not fit".to_owned())),
        Err(error) => {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { at } else { format!("at `{at}`: ") };
            Err(wrong(format!("{at}{error}")))
        }
    }
}

/// Values that an error names at most.
const CHOICES_NAMED: usize = 10;

/// The first of these words, and how many more there are.
fn some(words: &[&str]) -> String {
    match words.get(..CHOICES_NAMED) {
        Some(first) if words.len() > CHOICES_NAMED => {
            let more = words.len() - CHOICES_NAMED;
            format!("`{}` or {more} more", first.join("`, `"))
        }
        _ => listed(words),
    }
}

/// A value as errors show it.
fn shown(parameter: &Parameter, value: &Value) -> String {
    if parameter.secret { "what was given".to_owned() } else { format!("`{}`", plain(value)) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether `value` is of the JSON type `kind`; a float without a fraction is no integer, as in draft 4.
fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parameter(schema: Value) -> Parameter {
        let mut read: Parameter = Parameter::default();
        let Value::Object(mut fields) = schema else { panic!("not an object") };
        let mut flag = |name: &str| fields.remove(name) == Some(json!(true));
        (read.required, read.immutable) = (flag("required"), flag("immutable"));
        read.secret = flag("secret");
        read.default = fields.remove("default");
        if let Some(Value::String(kind)) = fields.remove("type") {
            read.types = vec![kind];
        }
        if let Some(Value::Array(choices)) = fields.remove("enum") {
            read.choices = choices;
        }
        read.schema = fields;
        read
    }

    fn checked(schema: Value, given: Value) -> Result<Value, String> {
        let parameters = vec![("x".to_owned(), parameter(schema))];
        let Value::Object(given) = given else { panic!("not an object") };
        check(&parameters, &given)
            .map(Value::Object)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn what_fits_is_cast_and_filled_in() {
        for (schema, given, result) in [
            (json!({"type": "integer"}), json!({"x": "7"}), json!({"x": 7})),
            (json!({"type": "boolean"}), json!({"x": "FALSE"}), json!({"x": false})),
            (json!({"type": "array"}), json!({"x": "['a', 1]"}), json!({"x": ["a", 1]})),
            (json!({"type": "string"}), json!({"x": "7"}), json!({"x": "7"})),
            (json!({}), json!({"x": "7"}), json!({"x": "7"})),
            (json!({"default": 5}), json!({}), json!({"x": 5})),
            (json!({"default": 5, "required": true}), json!({"x": null}), json!({"x": 5})),
            (json!({"type": "string"}), json!({"x": null}), json!({"x": null})),
            (json!({"type": "string"}), json!({}), json!({})),
            (json!({"immutable": true, "default": 1}), json!({}), json!({"x": 1})),
        ] {
            assert_eq!(checked(schema.clone(), given), Ok(result), "{schema}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (schema, given, said) in [
            (json!({"required": true}), json!({}), "`x` is missing"),
            (json!({}), json!({"y": 1}), "the action has no parameter `y`"),
            (
                json!({"immutable": true}),
                json!({"x": 1}),
                "`x` is fixed by the action and cannot be given",
            ),
            (json!({"type": "integer"}), json!({"x": 1.5}), "`x`: `1.5` is not of type `integer`"),
            (json!({"type": "integer"}), json!({"x": "a"}), "`x`: `a` is not a whole number"),
            (json!({"type": "boolean"}), json!({"x": "1"}), "`x`: `1` is not of type `boolean`"),
            (
                json!({"enum": ["a", "b"]}),
                json!({"x": "c"}),
                "`x`: `c` is not one of its values: `a` or `b`",
            ),
            (
                json!({"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}),
                json!({"x": 0}),
                "`x`: `0` is not one of its values: `1`, `2`, `3`, `4`, `5`, `6`, `7`, `8`, `9`, \
                 `10` or 2 more",
            ),
            (
                json!({"type": "integer", "minimum": 5}),
                json!({"x": 4}),
                "`x`: 4 is less than the minimum of 5",
            ),
            (
                json!({"type": "integer", "secret": true}),
                json!({"x": "hush"}),
                "`x`: what was given is not a whole number",
            ),
            (
                json!({"pattern": "^a", "secret": true}),
                json!({"x": "hush"}),
                "`x`: what was given does not fit",
            ),
        ] {
            assert_eq!(checked(schema.clone(), given), Err(said.to_owned()), "{schema}");
        }
    }

    #[test]
    fn an_action_stands_over_its_runner() {
        let of = |schema| vec![("cmd".to_owned(), parameter(schema))];
        let runner = of(json!({"type": "string", "description": "The line"}));
        let own = of(json!({"default": "ls", "immutable": true}));
        let merged = merge(&runner, &own);
        assert_eq!(merged[0].1.types, ["string"]);
        assert!(merged[0].1.immutable && merged[0].1.default == Some(json!("ls")));
        let mut wrong = Vec::new();
        overrides(&runner, &of(json!({"type": "integer"})), |name, _| wrong.push(name.to_owned()));
        assert_eq!(wrong, ["cmd"]);
    }
}
