//! Values as texts (`str()`), and as what the caller gets.

use serde_json::{Map, Number, Value};

use crate::script::python;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::stream::Cursor;
use crate::workflows::expression::yaql::value::Datum;

/// Characters of a value that a complaint shows at most.
const SHOWN: usize = 300;

impl<'a> Datum<'a> {
    /// Python's `str()`, in which lists are tuples.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => {
                let mut out = String::new();
                other.write(&mut out);
                out
            }
        }
    }

    /// As complaints name it: `ctx()` may be large, and hold what is nobody's business.
    pub(super) fn shown_shortly(&self) -> String {
        let text = self.shown();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("None"),
            Self::Bool(true) => out.push_str("True"),
            Self::Bool(false) => out.push_str("False"),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&python::float(*number)),
            Self::Text(text) => out.push_str(&python::quoted(text)),
            Self::Moment(moment) => out.push_str(&moment.shown()),
            Self::Span(span) => out.push_str(&span.shown()),
            Self::Regex(regex) => {
                out.extend(["re.compile(", &python::quoted(regex.as_str()), ")"]);
            }
            Self::Stream(_) => out.push_str("<generator object>"),
            Self::Memo(_) => out.push_str("<remembering iterator>"),
            Self::Sorted(_) => out.push_str("<ordering iterable>"),
            Self::Frame(_) => out.push_str("<context>"),
            Self::Dict(_) | Self::Variables(_) | Self::Lent(Value::Object(_)) => {
                out.push('{');
                for (at, (name, value)) in self.entries().iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    name.write(out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
            Self::Set(set) if set.items.is_empty() => out.push_str("frozenset()"),
            Self::Set(set) => {
                out.push_str("frozenset({");
                for (at, item) in set.items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.write(out);
                }
                out.push_str("})");
            }
            Self::List(_) | Self::Lent(_) => {
                out.push('(');
                let length = self.len().unwrap_or(0);
                for at in 0..length {
                    out.push_str(if at == 0 { "" } else { ", " });
                    let item = i128::try_from(at).ok().and_then(|at| self.item(at));
                    item.unwrap_or(Self::Null).write(out);
                }
                out.push_str(if length == 1 { ",)" } else { ")" });
            }
        }
    }

    /// As JSON: what streams hold is fetched, sets become lists, dates and spans become texts.
    ///
    /// # Errors
    /// What streams fail with; what JSON does not have.
    pub(super) fn to_json(&self, run: &mut Run<'a>) -> Result<Value, Fault> {
        run.deeper(|run| match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(flag) => Ok(Value::Bool(*flag)),
            Self::Int(number) => integer(*number),
            Self::Float(number) => Number::from_f64(*number)
                .map(Value::Number)
                .ok_or_else(|| Fault::value(format!("JSON has no {}", python::float(*number)))),
            Self::Text(text) => Ok(Value::String(text.to_string())),
            Self::Lent(value) => Ok((*value).clone()),
            Self::Moment(_) | Self::Span(_) => Ok(Value::String(self.shown())),
            Self::Regex(_) | Self::Frame(_) => {
                Err(Fault::kind_of_value(format!("{} is no data", self.shown())))
            }
            Self::Dict(_) | Self::Variables(_) => {
                let mut fields = Map::new();
                for (name, value) in self.entries() {
                    fields.insert(name.field(), value.to_json(run)?);
                }
                Ok(Value::Object(fields))
            }
            Self::Set(set) => {
                if set.items.iter().any(|item| item.is_iterable() || item.is_map()) {
                    return Err(Fault::kind_of_value("unhashable type: 'list'"));
                }
                set.items.iter().map(|item| item.to_json(run)).collect()
            }
            other => {
                let mut items = Cursor::over(other);
                let mut all = Vec::new();
                while let Some(item) = items.next(run)? {
                    run.spend(1)?;
                    all.push(item.to_json(run)?);
                }
                Ok(Value::Array(all))
            }
        })
    }

    /// As the name of a field; JSON has texts only.
    fn field(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            other => other.shown(),
        }
    }
}

fn integer(number: i128) -> Result<Value, Fault> {
    let small = i64::try_from(number).map(Value::from);
    small
        .or_else(|_| u64::try_from(number).map(Value::from))
        .map_err(|_| Fault::new("OverflowError", "the integer has more than 64 bits"))
}
