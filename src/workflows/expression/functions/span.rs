//! Spans for people.

use serde_json::Value;

use crate::script::python;
use crate::workflows::expression::fault::Fault;

/// `4003` is `1h6m43s`. As StackStorm does it: months are left out, days are those of the month.
pub(super) fn human(given: &[Value]) -> Result<Value, Fault> {
    let seconds = match &given[0] {
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        _ => return Err(Fault::new("AssertionError", "")),
    };
    if seconds == 0.0 {
        return Ok("0s".into());
    }
    if seconds < 1.0 {
        return Ok(format!("{}μs", python::text(&given[0])).into());
    }
    let beyond = || Fault::new("OverflowError", "date value out of range");
    #[expect(clippy::cast_possible_truncation, reason = "jiff refuses what is too long")]
    let whole = seconds.round_ties_even() as i64;
    let span = jiff::SignedDuration::from_secs(whole);
    let date = jiff::civil::date(1, 1, 1).at(0, 0, 0, 0);
    let date = date.checked_add(span).map_err(|_| beyond())?;
    let parts = [
        (i64::from(date.year()) - 1, 'y'),
        (i64::from(date.day()) - 1, 'd'),
        (i64::from(date.hour()), 'h'),
        (i64::from(date.minute()), 'm'),
        (i64::from(date.second()), 's'),
    ];
    let first = parts.iter().position(|(number, _)| *number != 0);
    let Some(first) = first else { return Ok("0s".into()) };
    let written = |(number, unit): &(i64, char)| format!("{number}{unit}");
    let text: Vec<String> = parts[first..].iter().map(written).collect();
    Ok(text.concat().into())
}
