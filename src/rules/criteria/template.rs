//! Jinja in rules of StackStorm's form: patterns of criteria and parameters of the action. A rendering
//! is data, never code: what it gives becomes a pattern or a parameter and is not rendered again.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Debug};
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, Serde};
use minijinja::{Environment, ErrorKind};
use serde_json::Value;

use crate::script::jinja::{self, NONE, name, said};

/// Steps of one rendering at most.
const FUEL: u64 = 100_000;

/// The templates of one rule, compiled.
pub(crate) struct Templates {
    /// Absent while a rule has none, which is most rules.
    environment: Option<Environment<'static>>,
    count: usize,
}

/// One template of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Template(usize);

/// The names that templates may use, each once.
pub(crate) type Names = BTreeMap<&'static str, minijinja::Value>;

impl Templates {
    pub(crate) fn new() -> Self {
        Self { environment: None, count: 0 }
    }

    /// Takes a template in.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub(crate) fn add(&mut self, text: &str) -> Result<Template, String> {
        let environment = self.environment.get_or_insert_with(|| jinja::environment(FUEL));
        let name = self.count.to_string();
        environment
            .add_template_owned(name, text.to_owned())
            .map_err(|error| format!("not readable as a template: {}", said(&error)))?;
        self.count += 1;
        Ok(Template(self.count - 1))
    }

    /// The text that a template gives, with values as Python writes them.
    ///
    /// # Errors
    /// Says what it names that is not there, or what it cannot do.
    pub(crate) fn text(&self, template: Template, names: &Names) -> Result<String, String> {
        let environment = self.environment.as_ref().ok_or("the template is gone")?;
        let found = environment.get_template(&template.0.to_string()).map_err(|e| said(&e))?;
        found.render(minijinja::Value::from(Serde(names))).map_err(|error| {
            let missing = || missing(&found.undeclared_variables(true), names);
            let missing = if error.kind() == ErrorKind::UndefinedError { missing() } else { None };
            missing.map_or_else(|| said(&error), |name| format!("there is no `{name}`"))
        })
    }

    /// The value of a template that is one expression through `to_complex`: JSON.
    ///
    /// # Errors
    /// As `text`.
    pub(crate) fn value(&self, template: Template, names: &Names) -> Result<Value, String> {
        let text = self.text(template, names)?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }
}

impl Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} templates", self.count)
    }
}

/// Whether a text holds a template.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// `text` with `to_complex` behind its expression, as StackStorm does it: from the first `{{` of a line
/// to the last `}}` of the same line. What comes out is JSON where it was one expression.
pub(crate) fn complex(text: &str) -> Option<String> {
    let mut found = false;
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| match (line.find("{{"), line.rfind("}}")) {
            (Some(start), Some(end)) if start + 2 <= end => {
                found = true;
                format!("{} | to_complex{}", &line[..end], &line[end..])
            }
            _ => line.to_owned(),
        })
        .collect();
    found.then(|| lines.join("\n"))
}

/// The expression of a text that is one template and nothing else.
pub(crate) fn whole(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inside.contains("{{") && !inside.contains("}}") && !inside.contains("{%")).then_some(inside)
}

/// What a rendered parameter is: nothing where `use_none` said so.
pub(crate) fn parameter(text: String) -> Value {
    if text == NONE { Value::Null } else { Value::String(text) }
}

/// The key-value store's system scope: `st2kv`, looked up only where a template asks.
pub(crate) fn keys(keys: &Arc<BTreeMap<String, Value>>) -> (minijinja::Value, minijinja::Value) {
    let system = minijinja::Value::from_object(Keys(Arc::clone(keys)));
    let scopes = BTreeMap::from([("system", system.clone())]);
    (minijinja::Value::from(Serde(scopes)), system)
}

#[derive(Debug)]
struct Keys(Arc<BTreeMap<String, Value>>);

impl Object for Keys {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.0.get(key.as_str()?).map(name)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|keys| Box::new(keys.0.keys().map(minijinja::Value::from)))
    }
}

/// The first name in the order of the alphabet that leads nowhere.
fn missing(wanted: &HashSet<String>, names: &Names) -> Option<String> {
    let nowhere = |path: &&String| {
        let mut parts = path.split('.');
        let first = parts.next().and_then(|root| names.get(root).cloned());
        let found = first.map(|first| {
            parts.try_fold(first, |value, part| {
                value.get_attr(part).ok().filter(|next| !next.is_undefined())
            })
        });
        !matches!(found, Some(Some(_)))
    };
    wanted.iter().filter(nowhere).min().cloned()
}
