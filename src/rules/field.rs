//! What rules read of an event: fields named by their path, and the pass that finds them all at once.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::model::event::Event;
use crate::script::limits::Sizes;

/// A field that a condition names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    pub(crate) root: Root,
    /// The names on the way to it, outermost first.
    pub(crate) steps: Box<[Box<str>]>,
}

/// Where a field's path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    /// A closure's first parameter.
    Data,
    /// Its second one.
    Envelope,
}

/// The fields of the envelope that are read without Rhai.
pub(crate) const ENVELOPE: &[&str] = &["trigger", "source", "subject", "time"];

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.root == Root::Data { "e" } else { "m" })?;
        for step in &self.steps {
            let plain = step.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
            if plain { write!(f, ".{step}")? } else { write!(f, "[{step:?}]")? }
        }
        Ok(())
    }
}

impl Field {
    /// What stands in it for one event.
    pub(crate) fn look<'e>(&self, event: &'e Event) -> Seen<'e> {
        if self.root == Root::Envelope {
            return envelope(&self.steps[0], event);
        }
        let mut value: &Value = &event.data;
        for step in &self.steps {
            value = match value {
                Value::Object(entries) => match entries.get(&**step) {
                    Some(value) => value,
                    None => return Seen::Nothing,
                },
                Value::Null => return Seen::Nothing,
                _ => return Seen::Unsure,
            };
        }
        Seen::of_field(value)
    }
}

/// What stands in a field of an event's envelope.
fn envelope<'e>(name: &str, event: &'e Event) -> Seen<'e> {
    match name {
        "trigger" => Seen::Text(event.trigger.as_str()),
        "source" => Seen::Text(&event.source),
        "subject" => event.subject.as_deref().map_or(Seen::Nothing, Seen::Text),
        _ => Seen::Whole(event.time.millis()),
    }
}

/// What stands in a field of one event, as Rhai would see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Seen<'e> {
    /// It is missing, or null.
    Nothing,
    Flag(bool),
    Whole(i64),
    Real(f64),
    /// An integer beyond 64 bits signed: a decimal in Rhai.
    Large(u64),
    Text(&'e str),
    List(&'e [Value]),
    Map(&'e Map<String, Value>),
    /// Its path leads through something that is no map, or it is larger than scripts may be given: only
    /// Rhai knows what that gives.
    Unsure,
}

impl<'e> Seen<'e> {
    /// What a script sees of a field.
    fn of_field(value: &'e Value) -> Self {
        let small = match value {
            Value::String(_) | Value::Array(_) | Value::Object(_) => Sizes::of(value).is_admitted(),
            _ => true,
        };
        if small { Self::of(value) } else { Self::Unsure }
    }

    /// What a script sees of `value`.
    pub(crate) fn of(value: &'e Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items),
            Value::Object(entries) => Self::Map(entries),
            Value::Number(number) => {
                let whole = number.as_i64().map(Self::Whole);
                let large = || number.as_u64().map(Self::Large);
                let real = || number.as_f64().map(Self::Real);
                whole.or_else(large).or_else(real).unwrap_or(Self::Nothing)
            }
        }
    }

    /// The value that it is; nothing where it is missing, or only Rhai knows.
    pub(crate) fn value(&self) -> Option<Value> {
        Some(match self {
            Self::Nothing | Self::Unsure => return None,
            Self::Flag(flag) => (*flag).into(),
            Self::Whole(whole) => (*whole).into(),
            Self::Real(real) => Value::from(*real),
            Self::Large(large) => (*large).into(),
            Self::Text(text) => (*text).into(),
            Self::List(items) => Value::from(*items),
            Self::Map(entries) => Value::Object((*entries).clone()),
        })
    }

    /// Whether comparing it may fail, so that every rule that reads it has to be asked.
    pub(crate) fn is_odd(&self) -> bool {
        matches!(self, Self::Large(_) | Self::Unsure)
    }

    /// The number that it is.
    #[expect(clippy::cast_precision_loss, reason = "Rhai compares integers and floats as floats")]
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(*whole as f64),
            Self::Real(real) => Some(*real),
            _ => None,
        }
    }

    /// Its kind, as one bit of a set of kinds.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Nothing => kinds::NOTHING,
            Self::Flag(_) => kinds::FLAG,
            Self::Whole(_) | Self::Real(_) | Self::Large(_) => kinds::NUMBER,
            Self::Text(_) => kinds::TEXT,
            Self::List(_) => kinds::LIST,
            Self::Map(_) => kinds::MAP,
            Self::Unsure => kinds::UNSURE,
        }
    }
}

/// Sets of kinds of values.
pub(crate) mod kinds {
    pub(crate) const NOTHING: u8 = 1;
    pub(crate) const FLAG: u8 = 2;
    pub(crate) const NUMBER: u8 = 4;
    pub(crate) const TEXT: u8 = 8;
    pub(crate) const LIST: u8 = 16;
    pub(crate) const MAP: u8 = 32;
    pub(crate) const UNSURE: u8 = 64;
}

/// All paths that a group of rules names, as a tree, so that one pass over an event finds them.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    numbers: HashMap<Field, u32>,
    root: Node,
    envelope: Vec<(Box<str>, u32)>,
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<u32>,
    children: Vec<(Box<str>, Node)>,
}

impl Paths {
    /// The slot of a field, from 0; a new one where nobody named it yet.
    pub(crate) fn slot(&mut self, field: &Field) -> u32 {
        if let Some(slot) = self.numbers.get(field) {
            return *slot;
        }
        let slot = u32::try_from(self.numbers.len()).expect("rules name fewer fields");
        self.numbers.insert(field.clone(), slot);
        match field.root {
            Root::Data => self.root.reach(&field.steps).slot = Some(slot),
            Root::Envelope => self.envelope.push((field.steps[0].clone(), slot)),
        }
        slot
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// What stands in each slot for this event.
    pub(crate) fn row<'e>(&self, event: &'e Event) -> Vec<Seen<'e>> {
        let mut row = vec![Seen::Nothing; self.len()];
        self.root.fill(&event.data, &mut row);
        for (name, slot) in &self.envelope {
            row[*slot as usize] = envelope(name, event);
        }
        row
    }
}

impl Node {
    fn reach(&mut self, steps: &[Box<str>]) -> &mut Self {
        let Some((first, rest)) = steps.split_first() else { return self };
        let found = self.children.iter().position(|(name, _)| name == first);
        let place = found.unwrap_or_else(|| {
            self.children.push((first.clone(), Self::default()));
            self.children.len() - 1
        });
        self.children[place].1.reach(rest)
    }

    fn fill<'e>(&self, value: &'e Value, row: &mut [Seen<'e>]) {
        if let Some(slot) = self.slot {
            row[slot as usize] = Seen::of_field(value);
        }
        if self.children.is_empty() {
            return;
        }
        match value {
            Value::Object(entries) => {
                for (name, child) in &self.children {
                    if let Some(value) = entries.get(&**name) {
                        child.fill(value, row);
                    }
                }
            }
            Value::Null => {}
            _ => self.children.iter().for_each(|(_, child)| child.doubt(row)),
        }
    }

    /// A text has a length and a list too, which the path may mean: nobody but Rhai knows.
    fn doubt(&self, row: &mut [Seen<'_>]) {
        if let Some(slot) = self.slot {
            row[slot as usize] = Seen::Unsure;
        }
        self.children.iter().for_each(|(_, child)| child.doubt(row));
    }
}
