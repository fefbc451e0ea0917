//! JSON as text, and paths into it.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::script::jinja::NONE;
use crate::script::python;
use crate::workflows::expression::fault::Fault;

/// Lists in lists at most, when JSON is written.
const DEPTH: usize = 128;

/// `json`: a map stays as it is, a text is read.
pub(super) fn loaded(given: &[Value]) -> Result<Value, Fault> {
    match &given[0] {
        map @ Value::Object(_) => Ok(map.clone()),
        Value::String(text) => read(text),
        _ => Err(Fault::kind_of_value("Given object is not typeof string.")),
    }
}

pub(super) fn parse(given: &[Value]) -> Result<Value, Fault> {
    read(&python::text(&given[0]))
}

fn read(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let is_value =
            said.starts_with("expected value") || said.starts_with("EOF while parsing a value");
        let (line, column) = (error.line(), error.column().max(1));
        let before: usize = text.lines().take(line - 1).map(|line| line.chars().count() + 1).sum();
        let message = if is_value {
            format!("Expecting value: line {line} column {column} (char {})", before + column - 1)
        } else {
            said
        };
        Fault::new("JSONDecodeError", message)
    })
}

pub(super) fn dump(given: &[Value]) -> Result<Value, Fault> {
    let style = Style {
        indent: match &given[1] {
            Value::Number(number) => {
                let most = number.as_u64().unwrap_or(0).min(64);
                Some(" ".repeat(usize::try_from(most).unwrap_or(0)))
            }
            Value::String(text) => Some(text.clone()),
            _ => None,
        },
        between: separator(&given[3], 0).unwrap_or_else(|| ",".to_owned()),
        behind_name: separator(&given[3], 1).unwrap_or_else(|| ": ".to_owned()),
    };
    let mut out = String::new();
    style.write(&given[0], 0, &mut out)?;
    Ok(Value::String(out))
}

fn separator(value: &Value, at: usize) -> Option<String> {
    value.get(at).and_then(Value::as_str).map(str::to_owned)
}

/// How JSON is written.
struct Style {
    indent: Option<String>,
    between: String,
    behind_name: String,
}

impl Style {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Fault> {
        if depth > DEPTH {
            return Err(Fault::limit("values are nested too deeply"));
        }
        match value {
            Value::String(text) => quoted(text, out),
            Value::Number(number) if number.is_f64() => {
                out.push_str(&python::text(&Value::Number(number.clone())));
            }
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at, depth, out);
                    self.write(item, depth + 1, out)?;
                }
                self.close(items.is_empty(), depth, out);
                out.push(']');
            }
            Value::Object(fields) => {
                out.push('{');
                for (at, (name, field)) in fields.iter().enumerate() {
                    self.separate(at, depth, out);
                    quoted(name, out);
                    out.push_str(&self.behind_name);
                    self.write(field, depth + 1, out)?;
                }
                self.close(fields.is_empty(), depth, out);
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
        Ok(())
    }

    fn separate(&self, at: usize, depth: usize, out: &mut String) {
        if at > 0 {
            out.push_str(&self.between);
        }
        self.line(depth + 1, out);
    }

    fn close(&self, is_empty: bool, depth: usize, out: &mut String) {
        if !is_empty {
            self.line(depth, out);
        }
    }

    fn line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    }
}

/// As Python writes it: ASCII only.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.extend([format!("\\u{unit:04x}")]);
                }
            }
        }
    }
    out.push('"');
}

pub(super) fn escape(given: &[Value]) -> Result<Value, Fault> {
    let style = Style { indent: None, between: ", ".to_owned(), behind_name: ": ".to_owned() };
    let mut out = String::new();
    style.write(&given[0], 0, &mut out)?;
    Ok(Value::String(out.trim_matches('"').to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "all functions of the table have one shape")]
pub(super) fn use_none(given: &[Value]) -> Result<Value, Fault> {
    Ok(if given[0].is_null() { NONE.into() } else { given[0].clone() })
}

/// What a path finds; nothing where it finds nothing. `a.b[*]` is `$.a.b[*]`.
pub(super) fn query(given: &[Value]) -> Result<Value, Fault> {
    let written = python::text(&given[1]);
    let path = match written.trim() {
        path if path.starts_with('$') => path.replace(".[", "["),
        path if path.starts_with('[') => format!("${path}"),
        path => format!("$.{}", path.replace(".[", "[")),
    };
    let path = JsonPath::parse(&path)
        .map_err(|error| Fault::value(format!("`{written}` is no JSONPath: {error}")))?;
    let found: Vec<Value> = path.query(&given[0]).into_iter().cloned().collect();
    Ok(if found.is_empty() { Value::Null } else { Value::Array(found) })
}
