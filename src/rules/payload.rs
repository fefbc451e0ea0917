//! What the triggers' schemas say of the fields of a payload.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::model::problem::nearest;
use crate::model::reference::Reference;
use crate::rules::lint::values::{End, Span, Texts, Values};
use crate::rules::pattern::Pattern;

/// Keywords that say more about the properties of an object than is looked at here.
const BEYOND: [&str; 7] =
    ["$ref", "allOf", "anyOf", "oneOf", "not", "patternProperties", "dependencies"];

/// Letters that a slip changes, adds, drops or exchanges at most.
const SLIPS: usize = 2;

/// JSON Schemas of payloads, in draft 4, by trigger.
#[derive(Clone, Default)]
pub struct Schemas(BTreeMap<Reference, Arc<Value>>);

impl Schemas {
    /// Adds the schema of a trigger; null says nothing and is left out.
    pub fn insert(&mut self, trigger: Reference, schema: Arc<Value>) {
        if !schema.is_null() {
            self.0.insert(trigger, schema);
        }
    }
}

/// Hashed at each reload, so it is short: JSON, each schema once.
impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(trigger, schema)| writeln!(f, "{trigger}{schema}"))
    }
}

/// The payloads of some triggers, every one of which has a schema.
pub(crate) struct Payload<'k> {
    triggers: Vec<(&'k Reference, &'k Value)>,
}

/// A field that no event has.
pub(crate) struct Unknown {
    /// Which name of its path, from 0.
    pub(crate) at: usize,
    /// The triggers, for people.
    pub(crate) triggers: String,
    /// What was meant, or what there is.
    pub(crate) help: String,
}

enum Found<'k> {
    /// What its schema says.
    Described(&'k Value),
    /// It may be there.
    Open,
    /// It is not there; `sure` where the schema allows no others than these.
    Absent { at: usize, sure: bool, names: Vec<&'k str> },
}

impl<'k> Payload<'k> {
    /// What the events that a rule is on look like; nothing where one of its triggers does not say.
    pub(crate) fn of(on: &[Pattern], schemas: &'k Schemas) -> Option<Self> {
        let triggers = on.iter().map(|pattern| match pattern {
            Pattern::Exact(trigger) => schemas.0.get_key_value(trigger),
            Pattern::Glob(_) => None,
        });
        let triggers: Option<Vec<_>> =
            triggers.map(|one| one.map(|(trigger, schema)| (trigger, &**schema))).collect();
        triggers.filter(|triggers| !triggers.is_empty()).map(|triggers| Self { triggers })
    }

    /// Why no event has a field, if so. Where events may have more than their schema says, only what
    /// is nearly a described field counts, and nothing that the rule asks to be there.
    pub(crate) fn unknown(&self, path: &[&str], asked: bool) -> Option<Unknown> {
        let (mut at, mut all, mut certain) = (usize::MAX, BTreeSet::new(), true);
        for (_, schema) in &self.triggers {
            let Found::Absent { at: here, sure, names } = find(schema, path) else { return None };
            (at, certain) = (at.min(here), certain && sure);
            all.extend(names);
        }
        let wanted = *path.get(at)?;
        let near = nearest(wanted, all.iter().copied());
        if !certain && (asked || !near.is_some_and(|near| is_slip(wanted, near))) {
            return None;
        }
        let triggers = self.triggers.iter().map(|(trigger, _)| format!("`{trigger}`"));
        let triggers = triggers.collect::<Vec<_>>().join(", ");
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", all.into_iter().collect::<Vec<_>>().join(", ")),
        };
        Some(Unknown { at, triggers, help })
    }

    /// Whether some event has a field whose name is this text, dots and all.
    pub(crate) fn has(&self, name: &str) -> bool {
        let has =
            |schema: &Value| schema.get("properties").is_some_and(|all| all.get(name).is_some());
        self.triggers.iter().any(|(_, schema)| has(schema))
    }

    /// What a field may be; it may always be missing.
    pub(crate) fn values<S: AsRef<str>>(&self, path: &[S]) -> Values {
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        let of = |schema: &Value| match find(schema, &path) {
            Found::Described(schema) => described(schema),
            Found::Open | Found::Absent { .. } => Values::all(),
        };
        let all = self.triggers.iter().map(|(_, schema)| of(schema));
        all.fold(Values::missing(), |all, one| all.or(&one))
    }
}

fn find<'k>(schema: &'k Value, path: &[&str]) -> Found<'k> {
    let mut schema = schema;
    for (at, name) in path.iter().enumerate() {
        let beyond = BEYOND.iter().any(|word| schema.get(word).is_some());
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Found::Open;
        };
        if beyond {
            return Found::Open;
        }
        schema = match (properties.get(*name), schema.get("additionalProperties")) {
            (Some(schema), _) => schema,
            (None, Some(Value::Object(_))) => return Found::Open,
            (None, more) => {
                let names = properties.keys().map(String::as_str).collect();
                return Found::Absent { at, sure: more == Some(&Value::Bool(false)), names };
            }
        };
    }
    Found::Described(schema)
}

/// Whether one name is probably the other, mistyped: not `disk_1` for `disk_2`.
fn is_slip(wanted: &str, near: &str) -> bool {
    let bare = |name: &str| {
        let letters = name.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    let slips = strsim::osa_distance(wanted, near);
    bare(wanted) == bare(near)
        || digits(wanted) == digits(near) && slips <= SLIPS && slips * 3 <= near.chars().count()
}

/// The values that a schema allows; more where it says what is not looked at here.
fn described(schema: &Value) -> Values {
    if BEYOND.iter().any(|word| schema.get(word).is_some()) {
        return Values::all();
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut values = types.iter().fold(Values::missing(), |all, one| all.or(&of_type(one)));
    if types.is_empty() {
        values = Values::all();
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let chosen = choices.iter().fold(Values::missing(), |all, one| all.or(&Values::of(one)));
        values = values.and(&chosen);
    }
    let mut within = Values::all();
    within.numbers = vec![range(schema)];
    values.and(&within)
}

fn of_type(name: &str) -> Values {
    match name {
        "integer" | "number" => Values::numbers(),
        "string" => Values::texts(),
        "boolean" => Values::flags(true, true),
        "null" => Values::missing(),
        _ => Values::others(),
    }
}

/// From `minimum` to `maximum`.
fn range(schema: &Value) -> Span {
    let end = |key: &str, exclusive: &str, none: f64| {
        let at = schema.get(key).and_then(Value::as_f64);
        let open = schema.get(exclusive) == Some(&Value::Bool(true));
        at.map_or((none, false), |at| (at, !open))
    };
    Span::new(
        end("minimum", "exclusiveMinimum", f64::NEG_INFINITY),
        end("maximum", "exclusiveMaximum", f64::INFINITY),
    )
}

/// What a field may be, as the schema would say it: `from 0 to 100`, `one of "a", "b"`.
pub(crate) fn shown(values: &Values) -> String {
    if let Texts::Only(texts) = &values.texts
        && !texts.is_empty()
    {
        let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        return format!("one of {}", texts.join(", "));
    }
    let end = |end: End| end.at.to_string();
    match values.numbers.as_slice() {
        [span] if span.low.at.is_finite() && span.high.at.is_finite() => {
            format!("from {} to {}", end(span.low), end(span.high))
        }
        [span] if span.low.at.is_finite() => format!("{} or more", end(span.low)),
        [span] if span.high.at.is_finite() => format!("{} or less", end(span.high)),
        _ => values.kinds(),
    }
}
