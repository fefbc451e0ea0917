//! A form becomes a rule: operators, paths, templates, the action and its parameters are looked up.

use std::sync::Arc;

use rhai::Module;
use serde_json::{Map, Value};

use crate::model::parameter::{self, Parameters};
use crate::model::problem::{Place, Problem, nearest};
use crate::model::reference::Reference;
use crate::rules::closure::Surroundings;
use crate::rules::criteria::action::{self, Wanted};
use crate::rules::criteria::form::{self, At, Form};
use crate::rules::criteria::operator::{NAMES, Operator};
use crate::rules::criteria::path::Path;
use crate::rules::criteria::template::{self, Templates};
use crate::rules::criteria::{Condition, Criteria, Criterion, ITEM, Pattern, TRIGGER, lookup};
use crate::rules::pattern;
use crate::rules::payload::Payload;
use crate::rules::rule::{Closures, Rule, Then, When};
use crate::rules::temporal::Temporal;
use crate::rules::wanted::{doubtful, mismatch, unknown_action};
use crate::rules::{Known, Source};
use crate::script::{python, regex};

/// What `condition` may say.
const CONDITIONS: &[(&str, Condition)] = &[
    ("any", Condition::Any),
    ("all", Condition::All),
    ("all2any", Condition::AllToAny),
    ("any2any", Condition::AnyToAny),
];

/// Makes a rule of a form that was read from `source`. `version` is a hash of the file.
///
/// # Errors
/// Everything that is wrong with it; doubts come back beside the rule.
pub fn rule(
    source: &Source,
    version: &Arc<str>,
    form: &Form,
    known: &Known,
) -> Result<(Rule, Vec<Problem>), Vec<Problem>> {
    let (templates, problems) = (Templates::new(), Vec::new());
    let mut reader = Reader { known, templates, on: Vec::new(), problems };
    let reference = reader.name(source, &form.name);
    let trigger = reader.trigger(&form.trigger);
    reader.on = trigger.clone().into_iter().map(pattern::Pattern::Exact).collect();
    let all = form.criteria.iter().filter_map(|one| reader.criterion(one, TRIGGER)).collect();
    let when = Criteria { only: form.only.clone(), all, templates: reader.taken() };
    let wanted = reader.wanted(form);
    let (wrong, doubts): (Vec<_>, Vec<_>) = reader
        .problems
        .into_iter()
        .partition(|one| one.severity == crate::model::problem::Severity::Error);
    let (Some(reference), Some(trigger), Some(wanted), true) =
        (reference, trigger, wanted, wrong.is_empty())
    else {
        return Err(wrong.into_iter().chain(doubts).collect());
    };
    let around = Surroundings {
        file: source.file.display().to_string().into(),
        source: source.text.as_str().into(),
        functions: Module::new().into(),
        imports: Vec::new(),
        constants: None,
    };
    let analysis = lookup::analysis(&when);
    let closures = Closures {
        when: Some(When::Criteria(Box::new(when))),
        per: None,
        then: Then::Action(Box::new(wanted)),
        until: None,
        recover: None,
        after: None,
    };
    let rule = Rule {
        reference,
        about: form.about.clone(),
        on: vec![pattern::Pattern::Exact(trigger)],
        enabled: form.enabled,
        shadow: false,
        priority: 0,
        cooldown: None,
        temporal: Temporal::default(),
        place: form.name.place.clone(),
        version: Arc::clone(version),
        source: source.text.as_str().into(),
        closures,
        analysis,
        emits: Box::default(),
        around: Arc::new(around),
        template: None,
    };
    Ok((rule, doubts))
}

struct Reader<'k> {
    known: &'k Known,
    templates: Templates,
    /// The trigger of the rule.
    on: Vec<pattern::Pattern>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn complain(&mut self, code: &str, place: &Place, message: String, help: Option<String>) {
        let mut problem = Problem::error(code, place.clone(), message);
        problem.help = help;
        self.problems.push(problem);
    }

    fn taken(&mut self) -> Templates {
        std::mem::replace(&mut self.templates, Templates::new())
    }

    fn name(&mut self, source: &Source, name: &At<String>) -> Option<Reference> {
        let read = Reference::new(&source.pack, &name.what).ok();
        if read.is_none() {
            let message = format!("`{}` is no name for a rule", name.what);
            let help = "use letters, digits, `_`, `-` and `.`".to_owned();
            self.complain("rule_name", &name.place, message, Some(help));
        }
        read
    }

    fn trigger(&mut self, trigger: &At<String>) -> Option<Reference> {
        let Ok(read) = trigger.what.parse::<Reference>() else {
            let message = format!("`{}` is not a trigger; expected `pack.name`", trigger.what);
            self.complain("not_a_trigger", &trigger.place, message, None);
            return None;
        };
        if let Some((doubt, help)) = doubtful(&read, &self.known.triggers) {
            let problem = Problem::warning("unknown_trigger", trigger.place.clone(), doubt);
            self.problems.push(problem.help(help));
        }
        Some(read)
    }

    fn criterion(&mut self, written: &form::Criterion, root: &str) -> Option<Criterion> {
        let key = &written.key;
        let path = Path::parse(&key.what).map_err(|wrong| {
            let help = format!("write a path such as `{root}.name` or `{root}.list[0].name`");
            self.complain("not_a_path", &key.place, wrong, Some(help));
        });
        let path = path.ok();
        if let Some(path) = path.as_ref().filter(|path| path.root != root) {
            let message =
                format!("`{}` never finds anything: it begins with `{}`", key.what, path.root);
            let help = format!("did you mean `{root}.{}`?", key.what);
            self.problems
                .push(Problem::warning("no_such_root", key.place.clone(), message).help(help));
        }
        if let Some(names) = path.as_ref().filter(|path| path.root == TRIGGER).and_then(Path::names)
        {
            let asked = written.operator.what.ends_with("exists");
            self.field(&names, asked, &key.place);
        }
        let operator = self.operator(&written.operator)?;
        let pattern = self.pattern(written, operator)?;
        Some(Criterion {
            key: key.what.clone(),
            name: written.operator.what.clone(),
            path: path?,
            operator,
            pattern,
            place: key.place.clone(),
        })
    }

    /// Doubts about a field that no event has.
    fn field(&mut self, names: &[&str], asked: bool, place: &Place) {
        let Some(payload) = Payload::of(&self.on, &self.known.schemas) else { return };
        let Some(unknown) = payload.unknown(names, asked) else { return };
        let field = names[..=unknown.at].join(".");
        let message = format!("events of {} have no field `{field}`", unknown.triggers);
        let problem = Problem::warning("unknown_field", place.clone(), message);
        self.problems.push(problem.help(unknown.help));
    }

    fn operator(&mut self, name: &At<String>) -> Option<Operator> {
        let operator = Operator::named(&name.what);
        if operator.is_none() {
            let names = || NAMES.iter().map(|(name, _)| *name);
            let help = nearest(&name.what.to_lowercase(), names()).map_or_else(
                || format!("there are {}", names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no operator `{}`", name.what);
            self.complain("unknown_operator", &name.place, message, Some(help));
        }
        operator
    }

    fn pattern(&mut self, written: &form::Criterion, operator: Operator) -> Option<Pattern> {
        let name = &written.operator;
        let Some(pattern) = &written.pattern else {
            if !operator.wants_pattern() {
                return Some(Pattern::Constant(Value::Null));
            }
            let message = format!("`pattern` is missing: `{}` compares with it", name.what);
            let help = "add `pattern: …` to the criterion".to_owned();
            self.complain("missing_pattern", &name.place, message, Some(help));
            return None;
        };
        match (&pattern.what, operator) {
            (form::Pattern::Criteria(inner), Operator::Search) => {
                let condition = self.condition(written)?;
                let before = self.problems.len();
                let inner: Vec<_> =
                    inner.iter().filter_map(|one| self.criterion(one, ITEM)).collect();
                let wrong = |one: &Problem| one.severity == crate::model::problem::Severity::Error;
                let right = !self.problems[before..].iter().any(wrong);
                right.then_some(Pattern::Search(condition, inner))
            }
            (_, Operator::Search) | (form::Pattern::Criteria(_), _) => {
                let message = "the pattern of `search` is criteria with keys such as `item.name`";
                self.complain("wrong_pattern", &pattern.place, message.to_owned(), None);
                None
            }
            (form::Pattern::Value(value), _) => self.value(value, &pattern.place, operator),
        }
    }

    fn condition(&mut self, written: &form::Criterion) -> Option<Condition> {
        let names: Vec<_> = CONDITIONS.iter().map(|(name, _)| format!("`{name}`")).collect();
        let one_of = format!("it is one of {}", names.join(", "));
        let Some(condition) = &written.condition else {
            let message = "`condition` is missing: `search` counts by it".to_owned();
            self.complain("missing_condition", &written.operator.place, message, Some(one_of));
            return None;
        };
        let known = CONDITIONS.iter().find(|(name, _)| *name == condition.what);
        if known.is_none() {
            let message = format!("there is no condition `{}`", condition.what);
            self.complain("unknown_condition", &condition.place, message, Some(one_of));
        }
        known.map(|(_, condition)| *condition)
    }

    fn value(&mut self, value: &Value, place: &Place, operator: Operator) -> Option<Pattern> {
        match (value, operator) {
            (Value::String(text), _) if template::is_template(text) => {
                let plain = self.template(text, place)?;
                let complex = template::complex(text);
                let complex = complex.and_then(|text| self.templates.add(&text).ok());
                Some(Pattern::Template { complex, text: plain })
            }
            (Value::String(text), Operator::Fits(fit)) => match regex::compile(text, fit) {
                Ok(regex) => Some(Pattern::Regex(Box::new(regex))),
                Err(wrong) => {
                    self.complain("not_a_pattern", place, wrong, None);
                    None
                }
            },
            _ => Some(Pattern::Constant(value.clone())),
        }
    }

    fn template(&mut self, text: &str, place: &Place) -> Option<template::Template> {
        match self.templates.add(text) {
            Ok(template) => Some(template),
            Err(wrong) => {
                let help = "write `{{ trigger.name }}`; text without templates needs no braces";
                self.complain("not_a_template", place, wrong, Some(help.to_owned()));
                None
            }
        }
    }

    fn wanted(&mut self, form: &Form) -> Option<Wanted> {
        let reference: Reference = match form.action.what.parse() {
            Ok(reference) => reference,
            Err(wrong) => {
                let wrong: crate::model::reference::NotAReference = wrong;
                self.complain("not_a_reference", &form.action.place, wrong.to_string(), None);
                return None;
            }
        };
        let known = self.known;
        let Some(accepts) = known.actions.get(&reference) else {
            let (message, help) = unknown_action(known, &reference);
            self.complain("unknown_action", &form.action.place, message, Some(help));
            return None;
        };
        self.required(&reference, accepts, form);
        let mut parameters = Vec::new();
        for (name, value) in &form.parameters {
            let parameter = self.parameter(&reference, accepts, name);
            let of_value = self.form(&value.what, &value.place, parameter, 0);
            if let (Some(parameter), form::At { what: constant, place }) = (parameter, value) {
                self.fits(&reference, (&name.what, parameter), constant, place);
            }
            parameters.extend(of_value.map(|value| action::Parameter {
                name: name.what.clone(),
                value,
                place: name.place.clone(),
            }));
        }
        let given =
            form.parameters.iter().map(|(name, value)| (name.what.clone(), value.what.clone()));
        Some(Wanted {
            action: reference,
            parameters,
            templates: self.taken(),
            backstop: form.backstop,
            tags: form.tags.clone(),
            criteria: form.criteria_written.clone(),
            given: Value::Object(given.collect::<Map<_, _>>()),
        })
    }

    fn parameter<'a>(
        &mut self,
        action: &Reference,
        accepts: &'a Parameters,
        name: &At<String>,
    ) -> Option<&'a parameter::Parameter> {
        let Some((_, found)) = accepts.iter().find(|(known, _)| *known == name.what) else {
            let names = || accepts.iter().map(|(name, _)| name.as_str());
            let help = match nearest(&name.what, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if accepts.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("action `{action}` has no parameter `{}`", name.what);
            self.complain("unknown_parameter", &name.place, message, Some(help));
            return None;
        };
        if found.immutable {
            let message = format!("parameter `{}` of `{action}` cannot be given", name.what);
            let help = format!("leave `{}` out", name.what);
            self.complain("immutable_parameter", &name.place, message, Some(help));
        }
        Some(found)
    }

    fn required(&mut self, action: &Reference, accepts: &Parameters, form: &Form) {
        let given = |name: &String| form.parameters.iter().any(|(given, _)| given.what == *name);
        for (name, one) in accepts {
            let needed = one.required && one.default.is_none() && !one.immutable;
            if needed && !given(name) {
                let message = format!("action `{action}` needs the parameter `{name}`");
                let about = Some(&one.description).filter(|about| !about.is_empty());
                let help = about.map(|about| format!("`{name}`: {about}"));
                self.complain("missing_parameter", &form.action.place, message, help);
            }
        }
    }

    /// What cannot fit whatever the execution casts: texts are cast to numbers and lists later.
    fn fits(
        &mut self,
        action: &Reference,
        (name, parameter): (&str, &parameter::Parameter),
        constant: &Value,
        place: &Place,
    ) {
        let to_text = parameter.types.iter().any(|one| one == "string");
        if constant.is_string() || constant.is_null() || to_text {
            return;
        }
        if let Some(wrong) = mismatch(parameter, constant).filter(|_| !holds_template(constant)) {
            let message = format!("parameter `{name}` of `{action}`: {wrong}");
            self.complain("wrong_parameter", place, message, None);
        }
    }

    /// How the value of a parameter comes about; inside lists and maps only a bare `{{name}}` keeps
    /// its type, as in StackStorm.
    fn form(
        &mut self,
        value: &Value,
        place: &Place,
        parameter: Option<&parameter::Parameter>,
        depth: usize,
    ) -> Option<action::Form> {
        let types = parameter.map_or(&[][..], |one| one.types.as_slice());
        let texts = types.iter().any(|one| one == "string");
        match value {
            Value::String(text) if template::is_template(text) => {
                let inside = template::whole(text);
                let kept = inside.filter(|inside| {
                    if depth == 0 { !types.is_empty() && !texts } else { is_bare(inside) }
                });
                match kept {
                    Some(inside) => {
                        // An error in it is told as the template was written.
                        self.template(text, place)?;
                        let complex = format!("{{{{ ({inside}) | to_complex }}}}");
                        self.template(&complex, place).map(action::Form::Typed)
                    }
                    None => self.template(text, place).map(action::Form::Text),
                }
            }
            Value::Array(items) if holds_template(value) => {
                let items = items.iter().map(|item| self.form(item, place, None, depth + 1));
                items.collect::<Option<_>>().map(action::Form::List)
            }
            Value::Object(fields) if holds_template(value) => {
                let field = |(name, field): (&String, &Value)| {
                    Some((name.clone(), self.form(field, place, None, depth + 1)?))
                };
                fields.iter().map(field).collect::<Option<_>>().map(action::Form::Map)
            }
            Value::Null | Value::String(_) => Some(action::Form::Constant(value.clone())),
            other if depth == 0 && types == ["string"] => {
                let text = python::text(other);
                Some(action::Form::Constant(Value::String(text)))
            }
            other => Some(action::Form::Constant(other.clone())),
        }
    }
}

fn is_bare(inside: &str) -> bool {
    inside.trim() == inside && inside.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn holds_template(value: &Value) -> bool {
    match value {
        Value::String(text) => template::is_template(text),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(fields) => fields.values().any(holds_template),
        _ => false,
    }
}
