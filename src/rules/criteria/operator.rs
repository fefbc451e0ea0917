//! The operators of criteria, as StackStorm's `operators.py` defines them; each cell of its table is
//! checked against what StackStorm itself answered.

use serde_json::Value;

use crate::model::time::Time;
use crate::rules::criteria::moment;
use crate::script::python::{equal, kind, order};
use crate::script::regex::{self, Fit};

/// How a value is held against a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    EqualsAnyCase,
    Contains,
    ContainsAnyCase,
    NotContains,
    NotContainsAnyCase,
    StartsWith,
    StartsWithAnyCase,
    EndsWith,
    EndsWithAnyCase,
    Less,
    Greater,
    /// `regex`, `iregex`, `matchregex`, `matchwildcard`.
    Fits(Fit),
    Younger,
    Older,
    Exists,
    Missing,
    Inside,
    NotInside,
    Search,
}

/// Every operator with its names, StackStorm's longest first.
pub(crate) const NAMES: &[(&str, Operator)] = &[
    ("equals", Operator::Equals),
    ("eq", Operator::Equals),
    ("nequals", Operator::NotEquals),
    ("neq", Operator::NotEquals),
    ("iequals", Operator::EqualsAnyCase),
    ("ieq", Operator::EqualsAnyCase),
    ("contains", Operator::Contains),
    ("icontains", Operator::ContainsAnyCase),
    ("ncontains", Operator::NotContains),
    ("incontains", Operator::NotContainsAnyCase),
    ("startswith", Operator::StartsWith),
    ("istartswith", Operator::StartsWithAnyCase),
    ("endswith", Operator::EndsWith),
    ("iendswith", Operator::EndsWithAnyCase),
    ("lessthan", Operator::Less),
    ("lt", Operator::Less),
    ("greaterthan", Operator::Greater),
    ("gt", Operator::Greater),
    ("regex", Operator::Fits(Fit::Anywhere)),
    ("iregex", Operator::Fits(Fit::AnyCase)),
    ("matchregex", Operator::Fits(Fit::Start)),
    ("matchwildcard", Operator::Fits(Fit::Wildcard)),
    ("timediff_lt", Operator::Younger),
    ("td_lt", Operator::Younger),
    ("timediff_gt", Operator::Older),
    ("td_gt", Operator::Older),
    ("exists", Operator::Exists),
    ("nexists", Operator::Missing),
    ("inside", Operator::Inside),
    ("in", Operator::Inside),
    ("ninside", Operator::NotInside),
    ("nin", Operator::NotInside),
    ("search", Operator::Search),
];

impl Operator {
    /// The operator of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }

    /// Whether it needs a pattern.
    pub(crate) fn wants_pattern(self) -> bool {
        !matches!(self, Self::Exists | Self::Missing)
    }

    /// Whether `value` holds against `pattern`. `Search` asks criteria and not this.
    ///
    /// # Errors
    /// Says why the two cannot be held against each other: where Python raises.
    pub(crate) fn holds(self, value: &Value, pattern: &Value, now: Time) -> Result<bool, String> {
        let unpatterned = matches!(self, Self::NotEquals | Self::Exists | Self::Missing);
        if pattern.is_null() && !unpatterned {
            return Ok(false);
        }
        let lower = |text: &str| text.to_lowercase();
        match self {
            Self::Equals => Ok(equal(value, pattern)),
            Self::NotEquals => Ok(!equal(value, pattern)),
            Self::EqualsAnyCase => texts(value, pattern).map(|(a, b)| lower(a) == lower(b)),
            Self::Contains => contains(value, pattern),
            Self::NotContains => contains(value, pattern).map(|found| !found),
            Self::ContainsAnyCase => {
                texts(value, pattern).map(|(a, b)| lower(a).contains(&lower(b)))
            }
            Self::NotContainsAnyCase => {
                texts(value, pattern).map(|(a, b)| !lower(a).contains(&lower(b)))
            }
            Self::StartsWith => texts(value, pattern).map(|(a, b)| a.starts_with(b)),
            Self::StartsWithAnyCase => {
                texts(value, pattern).map(|(a, b)| lower(a).starts_with(&lower(b)))
            }
            Self::EndsWith => texts(value, pattern).map(|(a, b)| a.ends_with(b)),
            Self::EndsWithAnyCase => {
                texts(value, pattern).map(|(a, b)| lower(a).ends_with(&lower(b)))
            }
            Self::Less => order(value, pattern).map(std::cmp::Ordering::is_lt),
            Self::Greater => order(value, pattern).map(std::cmp::Ordering::is_gt),
            Self::Fits(fit) => {
                let (text, pattern) = texts(value, pattern)?;
                regex::fits(&regex::compile(pattern, fit)?, text)
            }
            Self::Younger => age(value, pattern, now).map(|(age, limit)| age < limit),
            Self::Older => age(value, pattern, now).map(|(age, limit)| age > limit),
            Self::Exists => Ok(!value.is_null()),
            Self::Missing => Ok(value.is_null()),
            Self::Inside => contains(pattern, value),
            Self::NotInside => contains(pattern, value).map(|found| !found),
            Self::Search => Err("`search` needs criteria".to_owned()),
        }
    }
}

fn texts<'v>(value: &'v Value, pattern: &'v Value) -> Result<(&'v str, &'v str), String> {
    match (value, pattern) {
        (Value::String(value), Value::String(pattern)) => Ok((value, pattern)),
        (Value::String(_), other) => Err(format!("the pattern is {}, not a text", kind(other))),
        (other, _) => Err(format!("the value is {}, not a text", kind(other))),
    }
}

/// Python's `item in holder`.
fn contains(holder: &Value, item: &Value) -> Result<bool, String> {
    match (holder, item) {
        (Value::String(holder), Value::String(item)) => Ok(holder.contains(item.as_str())),
        (Value::Array(items), item) => Ok(items.iter().any(|one| equal(one, item))),
        (Value::Object(fields), Value::String(item)) => Ok(fields.contains_key(item)),
        (Value::Object(_), Value::Array(_) | Value::Object(_)) | (Value::String(_), _) => {
            Err(format!("{} cannot be in {}", kind(item), kind(holder)))
        }
        (Value::Object(_), _) => Ok(false),
        (holder, _) => Err(format!("nothing can be in {}", kind(holder))),
    }
}

/// How many seconds ago `value` was, and the limit of the pattern.
fn age(value: &Value, pattern: &Value, now: Time) -> Result<(f64, f64), String> {
    let at = value.as_str().and_then(|text| moment::parse(text, now));
    let at = at.ok_or_else(|| match value {
        Value::String(text) => format!("`{text}` is not a time"),
        other => format!("the value is {}, not a time", kind(other)),
    })?;
    let limit = match pattern {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let limit = limit.ok_or("the pattern is not a number of seconds")?;
    Ok((now.to_jiff().duration_since(at).as_secs_f64(), limit))
}
