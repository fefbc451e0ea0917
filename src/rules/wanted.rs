//! Checks what effects name, as far as the file says it outright: the action, its parameters, the
//! options, the trigger.

use rhai::{Expr, FnCallExpr, Position};
use serde_json::Value;

use crate::model::parameter::{Parameter, Parameters};
use crate::model::problem::nearest;
use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::rules::Known;
use crate::rules::effects::{OPTIONS, check_option};
use crate::rules::read::place;
use crate::script::convert::to_json;

/// What is wrong with one call of an effect's function.
pub(crate) fn problems(
    call: &FnCallExpr,
    position: Position,
    file: &Place,
    known: &Known,
) -> Vec<Problem> {
    let mut reader = Reader { file, known, problems: Vec::new() };
    match (call.name.as_str(), &*call.args) {
        ("run", [action, rest @ ..]) => reader.run(action, rest, position),
        ("emit", [trigger, ..]) => reader.emit(trigger),
        ("notify", [channel, ..]) => reader.notify(channel),
        _ => {}
    }
    reader.problems
}

struct Reader<'r> {
    file: &'r Place,
    known: &'r Known,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn complain(&mut self, code: &str, at: Position, message: String, help: Option<String>) {
        let mut problem = Problem::error(code, place(self.file, at), message);
        problem.help = help;
        self.problems.push(problem);
    }

    fn reference(&mut self, name: &Expr) -> Option<Reference> {
        let Expr::StringConstant(text, at) = name else { return None };
        match text.parse() {
            Ok(reference) => Some(reference),
            Err(error) => {
                self.complain("not_a_reference", *at, error.to_string(), None);
                None
            }
        }
    }

    fn run(&mut self, action: &Expr, rest: &[Expr], call: Position) {
        let Some(reference) = self.reference(action) else { return };
        let known = self.known;
        let Some(parameters) = known.actions.get(&reference) else {
            let (message, help) = unknown_action(known, &reference);
            return self.complain("unknown_action", action.position(), message, Some(help));
        };
        match rest {
            [] => self.required(&reference, parameters, &[], call),
            [Expr::Map(given, at), ..] => {
                for (name, value) in &given.0 {
                    self.given(&reference, parameters, (name.name.as_str(), name.pos), value);
                }
                let names: Vec<&str> = given.0.iter().map(|(name, _)| name.name.as_str()).collect();
                self.required(&reference, parameters, &names, *at);
            }
            _ => {}
        }
        if let [_, Expr::Map(options, _)] = rest {
            for (name, value) in &options.0 {
                self.option(name.name.as_str(), name.pos, value);
            }
        }
    }

    fn given(
        &mut self,
        action: &Reference,
        parameters: &Parameters,
        (name, at): (&str, Position),
        value: &Expr,
    ) {
        let Some((_, parameter)) = parameters.iter().find(|(known, _)| known == name) else {
            let names = || parameters.iter().map(|(name, _)| name.as_str());
            let help = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if parameters.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("action `{action}` has no parameter `{name}`");
            return self.complain("unknown_parameter", at, message, Some(help));
        };
        if parameter.immutable {
            let message = format!("parameter `{name}` of `{action}` cannot be given");
            return self.complain(
                "immutable_parameter",
                at,
                message,
                Some(format!("leave `{name}` out")),
            );
        }
        let constant = value.get_literal_value(None).and_then(|value| to_json(&value).ok());
        let wrong = constant.and_then(|constant| mismatch(parameter, &constant));
        if let Some(wrong) = wrong {
            let message = format!("parameter `{name}` of `{action}`: {wrong}");
            self.complain("wrong_parameter", value.position(), message, None);
        }
    }

    fn required(
        &mut self,
        action: &Reference,
        parameters: &Parameters,
        given: &[&str],
        at: Position,
    ) {
        for (name, parameter) in parameters {
            let needed = parameter.required && parameter.default.is_none() && !parameter.immutable;
            if needed && !given.contains(&name.as_str()) {
                let message = format!("action `{action}` needs the parameter `{name}`");
                let help = match parameter.description.as_str() {
                    "" => None,
                    description => Some(format!("`{name}`: {description}")),
                };
                self.complain("missing_parameter", at, message, help);
            }
        }
    }

    fn option(&mut self, name: &str, at: Position, value: &Expr) {
        if !OPTIONS.contains(&name) {
            let help = nearest(name, OPTIONS.iter().copied()).map_or_else(
                || format!("it has {}", OPTIONS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("`run` has no option `{name}`");
            return self.complain("unknown_option", at, message, Some(help));
        }
        let constant = value.get_literal_value(None).and_then(|value| to_json(&value).ok());
        if let Some(Err(message)) = constant.map(|constant| check_option(name, &constant)) {
            self.complain("wrong_option", value.position(), message, None);
        }
    }

    fn notify(&mut self, channel: &Expr) {
        let Expr::StringConstant(name, at) = channel else { return };
        let channels = &self.known.channels;
        if channels.is_empty() || channels.contains(name.as_str()) {
            return;
        }
        let names = || channels.iter().map(String::as_str);
        let help = nearest(name, names()).map_or_else(
            || {
                format!(
                    "`channels` of `configs/notify.yaml` has {}",
                    names().collect::<Vec<_>>().join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("there is no channel `{name}`: nobody would hear this");
        let problem = Problem::warning("unknown_channel", place(self.file, *at), message);
        self.problems.push(problem.help(help));
    }

    fn emit(&mut self, trigger: &Expr) {
        let Some(reference) = self.reference(trigger) else { return };
        if let Some(problem) = doubtful(&reference, &self.known.triggers) {
            let problem = Problem::warning(
                "unknown_trigger",
                place(self.file, trigger.position()),
                problem.0,
            )
            .help(problem.1);
            self.problems.push(problem);
        }
    }
}

/// What is said of an action that cannot be run, and the next step.
pub(crate) fn unknown_action(known: &Known, action: &Reference) -> (String, String) {
    let absent = known.absent.get(action).or_else(|| known.failed.get(action.pack()));
    if let Some(absent) = absent {
        let message = format!("action `{action}` is not in force: {}", absent.why);
        return (message, format!("see `{}`", absent.place));
    }
    let message = format!("there is no action `{action}`");
    let near = nearest(action.as_str(), known.actions.keys().map(Reference::as_str));
    let help = near.map_or_else(
        || format!("install the pack `{}`, or correct the name", action.pack()),
        |near| format!("did you mean `{near}`?"),
    );
    (message, help)
}

/// A trigger that no pack describes is accepted; one that is nearly a described one is probably that.
pub(crate) fn doubtful(trigger: &Reference, known: &[Reference]) -> Option<(String, String)> {
    if known.contains(trigger) {
        return None;
    }
    let near = nearest(trigger.as_str(), known.iter().map(Reference::as_str))?;
    Some((format!("no pack describes trigger `{trigger}`"), format!("did you mean `{near}`?")))
}

/// Why a constant does not fit a parameter, if so.
pub(crate) fn mismatch(parameter: &Parameter, value: &Value) -> Option<String> {
    let types = &parameter.types;
    let fits = types.is_empty() || types.iter().any(|wanted| is(value, wanted));
    if !fits {
        return Some(format!("expected {}, found {}", types.join(" or "), word(value)));
    }
    let choices = &parameter.choices;
    if choices.is_empty() || choices.contains(value) {
        return None;
    }
    let list: Vec<String> = choices.iter().map(ToString::to_string).collect();
    Some(format!("expected one of {}, found {value}", list.join(", ")))
}

/// Whether a value has a type of JSON Schema, draft 4.
fn is(value: &Value, wanted: &str) -> bool {
    match wanted {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => word(value) == other,
    }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
