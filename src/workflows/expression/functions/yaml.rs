//! YAML as text: what one reads is what `PyYAML` reads, what one writes looks as `PyYAML` writes it.

use serde_json::Value;

use crate::script::python;
use crate::workflows::expression::fault::Fault;

/// Lists in lists at most.
const DEPTH: usize = 128;

pub(super) fn parse(given: &[Value]) -> Result<Value, Fault> {
    let text = python::text(&given[0]);
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let wrong = |error: serde_saphyr::Error| Fault::new("YAMLError", error.to_string());
    serde_saphyr::from_str(&text).map_err(wrong)
}

pub(super) fn dump(given: &[Value]) -> Result<Value, Fault> {
    let spaces = given[1].as_u64().filter(|spaces| (2..10).contains(spaces)).unwrap_or(2);
    let style = Style {
        spaces: usize::try_from(spaces).unwrap_or(2),
        ascii: given[2] == Value::Bool(false),
    };
    let mut out = String::new();
    match &given[0] {
        Value::Array(items) if !items.is_empty() => style.block(&given[0], 0, 0, &mut out)?,
        Value::Object(fields) if !fields.is_empty() => style.block(&given[0], 0, 0, &mut out)?,
        value => {
            style.scalar(value, 0, &mut out);
            out.push('\n');
            if !value.is_array() && !value.is_object() && !out.starts_with(['\'', '"']) {
                out.push_str("...\n");
            }
        }
    }
    Ok(Value::String(out))
}

struct Style {
    spaces: usize,
    ascii: bool,
}

impl Style {
    /// A list or a map that is not empty, each entry on a line of its own.
    fn block(&self, value: &Value, by: usize, depth: usize, out: &mut String) -> Result<(), Fault> {
        if depth > DEPTH {
            return Err(Fault::limit("values are nested too deeply"));
        }
        match value {
            Value::Object(fields) => {
                for (at, (name, field)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push_str(&" ".repeat(by));
                    }
                    self.text(name, by, out);
                    out.push(':');
                    self.nested(field, by, depth, out)?;
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(&" ".repeat(by));
                    }
                    out.push('-');
                    match item {
                        Value::Object(fields) if !fields.is_empty() => {
                            out.push_str(&" ".repeat(self.spaces - 1));
                            self.block(item, by + self.spaces, depth + 1, out)?;
                        }
                        Value::Array(inner) if !inner.is_empty() => {
                            out.push_str(&" ".repeat(self.spaces - 1));
                            self.block(item, by + self.spaces, depth + 1, out)?;
                        }
                        item => {
                            out.push(' ');
                            self.scalar(item, by, out);
                            out.push('\n');
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What stands behind the name of a field.
    fn nested(
        &self,
        value: &Value,
        by: usize,
        depth: usize,
        out: &mut String,
    ) -> Result<(), Fault> {
        let by = match value {
            Value::Object(fields) if !fields.is_empty() => by + self.spaces,
            // PyYAML does not indent lists under their names.
            Value::Array(items) if !items.is_empty() => by,
            value => {
                out.push(' ');
                self.scalar(value, by, out);
                out.push('\n');
                return Ok(());
            }
        };
        out.push('\n');
        out.push_str(&" ".repeat(by));
        self.block(value, by, depth + 1, out)
    }

    fn scalar(&self, value: &Value, by: usize, out: &mut String) {
        match value {
            Value::String(text) => self.text(text, by, out),
            Value::Array(_) => out.push_str("[]"),
            Value::Object(_) => out.push_str("{}"),
            Value::Number(number) if number.is_f64() => {
                out.push_str(&python::text(&Value::Number(number.clone())));
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn text(&self, text: &str, by: usize, out: &mut String) {
        let special = |letter: char| {
            (letter.is_control() && letter != '\n') || (self.ascii && !letter.is_ascii())
        };
        if text.contains(special) {
            out.push('"');
            for letter in text.chars() {
                match letter {
                    '"' => out.push_str("\\\""),
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    letter if special(letter) && u32::from(letter) < 0x100 => {
                        out.extend([format!("\\x{:02X}", u32::from(letter))]);
                    }
                    letter if special(letter) && u32::from(letter) < 0x1_0000 => {
                        out.extend([format!("\\u{:04X}", u32::from(letter))]);
                    }
                    letter if special(letter) => {
                        out.extend([format!("\\U{:08X}", u32::from(letter))]);
                    }
                    letter => out.push(letter),
                }
            }
            out.push('"');
        } else if is_plain(text) {
            out.push_str(text);
        } else {
            out.push('\'');
            let next = format!("\n\n{}", " ".repeat(by + self.spaces));
            out.push_str(&text.replace('\'', "''").replace('\n', &next));
            out.push('\'');
        }
    }
}

/// Whether a text means itself without quotes.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let reserved = "-?:,[]{}#&*!|>'\"%@`";
    let begins = !reserved.contains(first)
        || (matches!(first, '-' | '?' | ':')
            && text.chars().nth(1).is_some_and(|next| !next.is_whitespace()));
    begins
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains('\n')
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !is_other_kind(text)
}

/// Whether YAML 1.1 takes it for something else than a text.
fn is_other_kind(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "yes", "no", "true", "false", "on", "off", "null", "~", "<<", "=", "y", "n", ".inf",
        "-.inf", "+.inf", ".nan",
    ];
    let lower = text.to_lowercase();
    let digits = lower.replace(['_', ','], "");
    (WORDS.contains(&lower.as_str()) && !matches!(lower.as_str(), "y" | "n"))
        || digits.parse::<f64>().is_ok_and(f64::is_finite)
            && digits.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        || digits.starts_with("0x")
        || digits.starts_with("0b")
        || is_sexagesimal(&digits)
        || is_date(text)
}

fn is_sexagesimal(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-']);
    text.contains(':')
        && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && text[5..].chars().all(|c| c.is_ascii_digit() || "-T:. Zt+".contains(c))
}
