//! What an expression works with: JSON lent by the caller, and what YAQL has beyond it.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value;

use crate::workflows::Context;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::frame::Frame;
use crate::workflows::expression::yaql::moment::{Moment, Span};
use crate::workflows::expression::yaql::stream::{Memo, Sorted, Stream};

/// A value. Cheap to clone: what is large is shared or lent.
#[derive(Clone)]
pub(super) enum Datum<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text<'a>),
    /// An array or an object of the caller's.
    Lent(&'a Value),
    /// `ctx()`: the variables whose names do not begin with `__`.
    Variables(&'a Context),
    List(Rc<List<'a>>),
    Dict(Rc<Dict<'a>>),
    Set(Rc<Set<'a>>),
    Stream(Rc<Stream<'a>>),
    Memo(Rc<Memo<'a>>),
    Sorted(Rc<Sorted<'a>>),
    Moment(Moment),
    Span(Span),
    Regex(Rc<fancy_regex::Regex>),
    /// What `let` and its kin give: names for the right side of `->`.
    Frame(Rc<Frame<'a>>),
}

/// A text, the caller's or our own.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Lent(&'a str),
    Own(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Own(text) => text,
        }
    }
}

/// Items; `depth` is how deep lists nest in it.
pub(super) struct List<'a> {
    pub(super) items: Vec<Datum<'a>>,
    pub(super) depth: u16,
}

/// Entries in the order in which they came.
#[derive(Default)]
pub(super) struct Dict<'a> {
    pub(super) entries: Vec<(Datum<'a>, Datum<'a>)>,
    places: HashMap<String, usize>,
    pub(super) depth: u16,
}

/// Items that are there once, in the order in which they came.
#[derive(Default)]
pub(super) struct Set<'a> {
    pub(super) items: Vec<Datum<'a>>,
    keys: HashSet<String>,
    pub(super) depth: u16,
}

/// Lists in lists at most: they are compared, written and dropped by recursion.
const DEPTH: u16 = 100;

/// The depth of what holds something of `depth`.
///
/// # Errors
/// It is too deep.
pub(super) fn around(depth: u16) -> Result<u16, Fault> {
    if depth >= DEPTH { Err(Fault::limit("values are nested too deeply")) } else { Ok(depth + 1) }
}

impl<'a> Dict<'a> {
    /// Sets a key.
    ///
    /// # Errors
    /// The key cannot be one, or it nests too deeply.
    pub(super) fn set(&mut self, key: Datum<'a>, value: Datum<'a>) -> Result<(), Fault> {
        self.depth = self.depth.max(around(key.depth().max(value.depth()))?);
        let name = key.key()?;
        match self.places.get(&name) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(name, self.entries.len());
                self.entries.push((key, value));
            }
        }
        Ok(())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Datum<'a>> {
        self.places.get(key).map(|place| &self.entries[*place].1)
    }
}

impl<'a> Set<'a> {
    /// Takes an item in, unless it is there.
    ///
    /// # Errors
    /// As `Dict::set`.
    pub(super) fn add(&mut self, item: Datum<'a>) -> Result<bool, Fault> {
        self.depth = self.depth.max(around(item.depth())?);
        let fresh = self.keys.insert(item.key()?);
        if fresh {
            self.items.push(item);
        }
        Ok(fresh)
    }

    /// Whether an item with this key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

impl<'a> Datum<'a> {
    /// A value of the caller's.
    pub(super) fn lent(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => {
                let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
                whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(0.0)), Self::Int)
            }
            Value::String(text) => Self::Text(Text::Lent(text)),
            Value::Array(_) | Value::Object(_) => Self::Lent(value),
        }
    }

    /// A value of ours, copied in.
    ///
    /// # Errors
    /// It nests too deeply.
    pub(super) fn own(value: Value) -> Answer<'a> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => {
                let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
                whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(0.0)), Self::Int)
            }
            Value::String(text) => Self::text(text),
            Value::Array(items) => {
                Self::list(items.into_iter().map(Self::own).collect::<Result<_, _>>()?)?
            }
            Value::Object(fields) => {
                let mut dict = Dict::default();
                for (name, value) in fields {
                    dict.set(Self::text(name), Self::own(value)?)?;
                }
                Self::Dict(Rc::new(dict))
            }
        })
    }

    /// A text of ours.
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Own(text.into()))
    }

    /// A list of ours.
    ///
    /// # Errors
    /// It nests too deeply.
    pub(super) fn list(items: Vec<Self>) -> Answer<'a> {
        let depth = around(items.iter().map(Self::depth).max().unwrap_or(0))?;
        Ok(Self::List(Rc::new(List { items, depth })))
    }

    /// How deep values of ours nest in it.
    pub(super) fn depth(&self) -> u16 {
        match self {
            Self::List(list) => list.depth,
            Self::Dict(dict) => dict.depth,
            Self::Set(set) => set.depth,
            Self::Stream(stream) => stream.depth,
            Self::Memo(memo) => memo.depth,
            Self::Sorted(sorted) => sorted.depth,
            Self::Frame(frame) => frame.depth(),
            _ => 0,
        }
    }

    /// Whether it is a dictionary.
    pub(super) fn is_map(&self) -> bool {
        matches!(self, Self::Dict(_) | Self::Variables(_) | Self::Lent(Value::Object(_)))
    }

    /// Whether it is a list with places.
    pub(super) fn is_sequence(&self) -> bool {
        matches!(self, Self::List(_) | Self::Lent(Value::Array(_)))
    }

    /// Whether items can be had one after the other; texts and dictionaries are no such thing.
    pub(super) fn is_iterable(&self) -> bool {
        self.is_sequence()
            || matches!(self, Self::Set(_) | Self::Stream(_) | Self::Memo(_) | Self::Sorted(_))
    }

    /// How many, of a list, a dictionary or a set.
    pub(super) fn len(&self) -> Option<usize> {
        Some(match self {
            Self::List(list) => list.items.len(),
            Self::Dict(dict) => dict.entries.len(),
            Self::Set(set) => set.items.len(),
            Self::Lent(Value::Array(items)) => items.len(),
            Self::Lent(Value::Object(fields)) => fields.len(),
            Self::Variables(context) => variables(context).count(),
            _ => return None,
        })
    }

    /// An item of a list, counted from 0; negative from behind.
    pub(super) fn item(&self, index: i128) -> Option<Self> {
        let length = i128::try_from(self.len()?).ok()?;
        let place = usize::try_from(if index < 0 { index + length } else { index }).ok()?;
        match self {
            Self::List(list) => list.items.get(place).cloned(),
            Self::Lent(Value::Array(items)) => items.get(place).map(Self::lent),
            _ => None,
        }
    }

    /// The value under a key of a dictionary.
    ///
    /// # Errors
    /// The key cannot be one.
    pub(super) fn get(&self, key: &Self) -> Result<Option<Self>, Fault> {
        Ok(match (self, key) {
            (Self::Lent(Value::Object(fields)), Self::Text(name)) => {
                fields.get(&**name).map(Self::lent)
            }
            (Self::Variables(context), Self::Text(name)) if !name.starts_with("__") => {
                context.get(&**name).map(|value| Self::lent(value))
            }
            (Self::Dict(dict), key) => dict.get(&key.key()?).cloned(),
            (_, key) => {
                key.key()?;
                None
            }
        })
    }

    /// All entries of a dictionary; none of anything else.
    pub(super) fn entries(&self) -> Vec<(Self, Self)> {
        match self {
            Self::Dict(dict) => dict.entries.clone(),
            Self::Lent(Value::Object(fields)) => fields
                .iter()
                .map(|(name, value)| (Self::Text(Text::Lent(name)), Self::lent(value)))
                .collect(),
            Self::Variables(context) => variables(context)
                .map(|(name, value)| (Self::Text(Text::Lent(name)), Self::lent(value)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether Python's `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Span(span) => span.micros != 0,
            other => other.len() != Some(0),
        }
    }

    /// A text that two values share where Python takes them for equal: `1`, `1.0` and `true` do.
    ///
    /// # Errors
    /// The value has no such text.
    pub(super) fn key(&self) -> Result<String, Fault> {
        let mut out = String::new();
        self.write_key(&mut out)?;
        Ok(out)
    }

    fn write_key(&self, out: &mut String) -> Result<(), Fault> {
        use std::fmt::Write;
        let written = match self {
            Self::Null => write!(out, "null"),
            Self::Bool(flag) => write!(out, "{}", i32::from(*flag)),
            Self::Int(number) => write!(out, "{number}"),
            Self::Float(number) => write!(out, "{number}"),
            Self::Text(text) => write!(out, "{:?}", &**text),
            Self::Moment(moment) => write!(out, "m{}", moment.micros),
            Self::Span(span) => write!(out, "s{}", span.micros),
            Self::Regex(regex) => write!(out, "r{:?}", regex.as_str()),
            Self::Stream(stream) => write!(out, "p{:?}", Rc::as_ptr(stream)),
            Self::Memo(memo) => write!(out, "p{:?}", Rc::as_ptr(memo)),
            Self::Sorted(sorted) => write!(out, "p{:?}", Rc::as_ptr(sorted)),
            Self::Frame(frame) => write!(out, "p{:?}", Rc::as_ptr(frame)),
            Self::Set(set) => {
                let mut keys: Vec<&String> = set.keys.iter().collect();
                keys.sort();
                write!(out, "{{{keys:?}}}")
            }
            _ if self.is_map() => {
                let mut keys = Vec::new();
                for (name, value) in self.entries() {
                    keys.push((name.key()?, value.key()?));
                }
                keys.sort();
                write!(out, "{{{keys:?}}}")
            }
            _ => {
                out.push('[');
                let length = self.len().unwrap_or(0);
                for at in 0..length {
                    let item = i128::try_from(at).ok().and_then(|at| self.item(at));
                    item.unwrap_or(Self::Null).write_key(out)?;
                    out.push(',');
                }
                out.push(']');
                Ok(())
            }
        };
        written.map_err(|_| Fault::limit("a value cannot be written"))
    }

    /// Python's `==`.
    ///
    /// # Errors
    /// As `key`.
    #[expect(clippy::float_cmp, reason = "so does Python")]
    pub(super) fn equals(&self, other: &Self) -> Result<bool, Fault> {
        Ok(match (self, other) {
            (Self::Text(a), Self::Text(b)) => **a == **b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Null, Self::Null) => true,
            (Self::Null | Self::Text(_), _) | (_, Self::Null | Self::Text(_)) => false,
            _ => self.key()? == other.key()?,
        })
    }
}

fn variables(context: &Context) -> impl Iterator<Item = (&str, &Value)> {
    let shown = context.iter().filter(|(name, _)| !name.starts_with("__"));
    shown.map(|(name, value)| (&**name, &**value))
}
