//! JSON values as Python sees them: StackStorm's criteria and templates follow its rules.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A number; `true` is 1.
#[derive(Clone, Copy)]
enum Numeric {
    Integer(i128),
    Float(f64),
}

/// Python's `==`: `true == 1 == 1.0`, and lists and maps are compared deeply.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => match (numeric(a), numeric(b)) {
            (Some(a), Some(b)) => compare(a, b) == Ordering::Equal,
            (None, None) => a == b,
            _ => false,
        },
    }
}

/// Python's `<` and `>`: numbers with numbers, texts with texts, lists with lists.
///
/// # Errors
/// Says which two kinds of values have no order.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    if let (Some(a), Some(b)) = (numeric(a), numeric(b)) {
        return Ok(compare(a, b));
    }
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Array(a), Value::Array(b)) => match a.iter().zip(b).find(|(a, b)| !equal(a, b)) {
            Some((a, b)) => order(a, b),
            None => Ok(a.len().cmp(&b.len())),
        },
        _ => Err(format!("{} and {} cannot be put in an order", kind(a), kind(b))),
    }
}

/// What kind of value it is, for people.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Whether Python's `if` takes it for true.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Python's `str()`.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => shown(other),
    }
}

/// Python's `repr()`.
pub(crate) fn repr(value: &Value) -> String {
    shown(value)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => digits(number),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), shown(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// Rust and Python choose the same digits; exponents look otherwise: `1e16` is `1e+16`.
fn digits(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(number) => float(number),
        None => number.to_string(),
    }
}

/// A float's `repr()`.
pub(crate) fn float(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    if float.is_nan() {
        return "nan".to_owned();
    }
    let text = format!("{float:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A text's `repr()`.
pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter == quote => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let digit = |number| char::from_digit(number, 16).unwrap_or('0');
                let code = u32::from(letter);
                quoted.extend(['\\', 'x', digit(code / 16), digit(code % 16)]);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push(quote);
    quoted
}

fn numeric(value: &Value) -> Option<Numeric> {
    match value {
        Value::Bool(flag) => Some(Numeric::Integer(i128::from(*flag))),
        Value::Number(number) => {
            let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            integer.map(Numeric::Integer).or_else(|| number.as_f64().map(Numeric::Float))
        }
        _ => None,
    }
}

fn compare(a: Numeric, b: Numeric) -> Ordering {
    match (a, b) {
        (Numeric::Integer(a), Numeric::Integer(b)) => a.cmp(&b),
        (Numeric::Float(a), Numeric::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (Numeric::Integer(a), Numeric::Float(b)) => mixed(a, b),
        (Numeric::Float(a), Numeric::Integer(b)) => mixed(b, a).reverse(),
    }
}

/// Exact, as Python is: a large integer is not rounded before it is compared.
pub(crate) fn mixed(integer: i128, float: f64) -> Ordering {
    let floor = float.floor();
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, far beyond all integers")]
    let whole = floor as i128;
    integer.cmp(&whole).then(if float > floor { Ordering::Less } else { Ordering::Equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_those_of_python() {
        for (value, expected) in [
            (
                json!({"a": null, "b": [true, 1.0, 1e16, 1.5e-7, "x'\n"]}),
                r#"{'a': None, 'b': [True, 1.0, 1e+16, 1.5e-07, "x'\n"]}"#,
            ),
            (json!("x"), "x"),
            (json!(0.1), "0.1"),
            (json!(-3), "-3"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn large_integers_are_compared_exactly() {
        let (integer, float) = (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0));
        assert!(!equal(&integer, &float));
        assert_eq!(order(&integer, &float), Ok(Ordering::Greater));
        assert!(equal(&json!(true), &json!(1.0)) && equal(&json!(0.0), &json!(-0.0)));
    }
}
