//! Python's literals (`{'a': [1, True, None]}`), which StackStorm takes where JSON is meant.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Number, Value};

/// How deep lists and maps may nest.
const DEPTH_LIMIT: usize = 64;

/// The value of a Python literal; tuples become lists. Nothing where `text` is none, or has no equal
/// in JSON (bytes, sets, complex and infinite numbers).
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text.chars().peekable(), depth: 0 };
    let value = parser.value()?;
    parser.blanks();
    parser.rest.next().is_none().then_some(value)
}

struct Parser<'t> {
    rest: Peekable<Chars<'t>>,
    depth: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.blanks();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.blanks();
        match *self.rest.peek()? {
            '[' | '(' | '{' => self.nested(),
            quote @ ('\'' | '"') => self.text(quote).map(Value::String),
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            _ => self.word(),
        }
    }

    fn nested(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return None;
        }
        let value = match self.rest.next()? {
            '[' => self.items(']').map(|(items, _)| Value::Array(items)),
            '(' => self.items(')').and_then(|(mut items, comma)| match items.len() {
                1 if !comma => items.pop(), // Parentheses only.
                _ => Some(Value::Array(items)),
            }),
            _ => self.fields(),
        };
        self.depth -= 1;
        value
    }

    /// The items up to `end`, and whether a comma stood before it.
    fn items(&mut self, end: char) -> Option<(Vec<Value>, bool)> {
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.next_is(end) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            comma = self.next_is(',');
        }
        Some((items, comma))
    }

    fn fields(&mut self) -> Option<Value> {
        let (mut fields, mut comma) = (Map::new(), true);
        while !self.next_is('}') {
            if !comma {
                return None;
            }
            let key = match self.value()? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                _ => return None,
            };
            if !self.next_is(':') {
                return None;
            }
            let value = self.value()?;
            fields.insert(key, value);
            comma = self.next_is(',');
        }
        Some(Value::Object(fields))
    }

    fn text(&mut self, quote: char) -> Option<String> {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '\n' => return None,
                '\\' => text.extend(self.escape()?),
                c if c == quote => return Some(text),
                c => text.push(c),
            }
        }
    }

    /// The characters that an escape stands for; an unknown one stands for itself.
    fn escape(&mut self) -> Option<Vec<char>> {
        let letter = self.rest.next()?;
        let digits = match letter {
            'n' => return Some(vec!['\n']),
            't' => return Some(vec!['\t']),
            'r' => return Some(vec!['\r']),
            '0' => return Some(vec!['\0']),
            '\n' => return Some(Vec::new()),
            '\\' | '\'' | '"' => return Some(vec![letter]),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Some(vec!['\\', letter]),
        };
        let code: String = self.rest.by_ref().take(digits).collect();
        let whole = code.chars().count() == digits;
        let code = u32::from_str_radix(&code, 16).ok().filter(|_| whole)?;
        char::from_u32(code).map(|c| vec![c])
    }

    fn number(&mut self) -> Option<Value> {
        let mut text = String::new();
        let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
        while let Some(c) = self.rest.next_if(part) {
            text.push(c);
        }
        number(&text)
    }

    fn word(&mut self) -> Option<Value> {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        match word.as_str() {
            "None" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => None,
        }
    }
}

/// A number as Python writes it: `0x10`, `1_000`, `-1.5e3`.
fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let plain = digits.replace('_', "");
    let based = |radix| i64::from_str_radix(&plain[2..], radix).ok().map(|n| Value::from(sign * n));
    match plain.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => return based(16),
        Some("0o") => return based(8),
        Some("0b") => return based(2),
        _ => {}
    }
    if !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        let led_by_zero = plain.starts_with('0') && plain.bytes().any(|byte| byte != b'0');
        return plain.parse::<i64>().ok().filter(|_| !led_by_zero).map(|n| Value::from(sign * n));
    }
    let float: f64 = plain.parse().ok()?;
    Number::from_f64(if sign < 0 { -float } else { float }).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (text, value) in [
            ("{'a': [1, True, None], \"b\": (1,)}", json!({"a": [1, true, null], "b": [1]})),
            (" (7) ", json!(7)),
            ("-0x1F", json!(-31)),
            ("1_000.5", json!(1000.5)),
            (r"'a\'b\x41\n'", json!("a'bA\n")),
            ("[]", json!([])),
            ("[1, ]", json!([1])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "a", "[1 2]", "[,]", "{1}", "'a", "07", "1 2", "inf", "1j", "--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }
}
