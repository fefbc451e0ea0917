//! What a rule in StackStorm's form wants done: one action, with parameters that may be templates.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::problem::Place;
use crate::model::reference::Reference;
use crate::model::rule::Effect;
use crate::rules::Facts;
use crate::rules::criteria::template::{self, Names, Template, Templates};
use crate::rules::criteria::{TRIGGER, fault};
use crate::script::fault::Fault;
use crate::script::jinja;

/// The action of a rule, and how the rule was written.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) action: Reference,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) templates: Templates,
    /// `type: backstop`.
    pub(crate) backstop: bool,
    /// `tags`, `criteria` and the action's parameters as they were written.
    pub(crate) tags: Vec<Value>,
    pub(crate) criteria: Value,
    pub(crate) given: Value,
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: Form,
    pub(crate) place: Place,
}

/// How a parameter's value comes about.
#[derive(Debug)]
pub(crate) enum Form {
    Constant(Value),
    /// A text, with values as Python writes them; the execution casts it to the type that is wanted.
    Text(Template),
    /// One expression whose value keeps its type: what is wanted is no text.
    Typed(Template),
    List(Vec<Form>),
    Map(Vec<(String, Form)>),
}

impl Wanted {
    /// The effect: the execution that is requested because of `about`, an event and its data; `event`
    /// is the one that is heard.
    ///
    /// # Errors
    /// The first parameter that cannot be rendered, and its place.
    pub(crate) fn effects(
        &self,
        rule: &Reference,
        about: (EventId, &Value),
        event: &Event,
        facts: &Facts,
    ) -> Result<Vec<Effect>, Fault> {
        let constant = |one: &Parameter| matches!(one.value, Form::Constant(_));
        let names = if self.parameters.iter().all(constant) {
            Names::new()
        } else {
            self.names(rule, about, event, facts)
        };
        let mut parameters = Map::new();
        for parameter in &self.parameters {
            let value = parameter.value.render(&self.templates, &names).map_err(|message| {
                let message = format!("parameter `{}`: {message}", parameter.name);
                fault(message, &parameter.place)
            })?;
            parameters.insert(parameter.name.clone(), value);
        }
        Ok(vec![Effect::Run { action: self.action.clone(), parameters, options: Map::new() }])
    }

    fn names(
        &self,
        rule: &Reference,
        (id, data): (EventId, &Value),
        event: &Event,
        facts: &Facts,
    ) -> Names {
        let (scopes, system) = template::keys(&facts.keys);
        let config = facts.configs.get(self.action.pack()).map(Arc::as_ref);
        let id = id.to_string();
        let context = json!({
            "trigger_instance": { "id": id, "name": null },
            "rule": { "id": rule.as_str(), "name": rule.name() },
            "pack": self.action.pack(),
            "trace_context": { "trace_tag": event.trace },
        });
        Names::from([
            (TRIGGER, jinja::name(data)),
            ("st2kv", scopes),
            ("system", system),
            ("config_context", jinja::name(config.unwrap_or(&json!({})))),
            ("action_context", jinja::name(&context)),
        ])
    }
}

impl Form {
    fn render(&self, templates: &Templates, names: &Names) -> Result<Value, String> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(text) => template::parameter(templates.text(*text, names)?),
            Self::Typed(expression) => templates.value(*expression, names)?,
            Self::List(items) => {
                let items = items.iter().map(|item| item.render(templates, names));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(fields) => {
                let field = |(name, field): &(String, Self)| {
                    Ok::<_, String>((name.clone(), field.render(templates, names)?))
                };
                Value::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
        })
    }
}
