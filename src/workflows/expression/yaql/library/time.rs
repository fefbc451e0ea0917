//! Dates and spans.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::moment::{Moment, Span};
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Function, Method};
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    (
        "datetime",
        Function,
        "year:int, month:int, day:int, hour:int=, minute:int=, second:int=, microsecond:int=, \
         offset:span=",
        build,
    ),
    ("datetime", Function, "timestamp:number, offset:span=", of_timestamp),
    ("datetime", Function, "string:text, format:text?=", read),
    (
        "timespan",
        Function,
        "days:int=, hours:int=, minutes:int=, seconds:whole=, milliseconds:whole=, \
         microseconds:whole=",
        timespan,
    ),
    ("now", Function, "offset:span?=", now),
    // There is one zone here: that of the server is nobody's business.
    ("localtz", Function, "", |_, _| Ok(Datum::Span(Span { micros: 0 }))),
    ("utctz", Function, "", |_, _| Ok(Datum::Span(Span { micros: 0 }))),
    (
        "replace",
        Method,
        "dt:moment, year:int?=, month:int?=, day:int?=, hour:int?=, minute:int?=, second:int?=, \
         microsecond:int?=, offset:span?=",
        replace,
    ),
    ("format", Method, "dt:moment, format:text", |run, given| match given.value(0) {
        Datum::Moment(moment) => {
            let text = moment.written(&given.text(1))?;
            run.text(text)
        }
        other => Ok(other),
    }),
    ("isDatetime", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Moment(_))))
    }),
    ("isTimespan", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Span(_))))
    }),
];

const MICROS: i64 = 1_000_000;

fn offset(given: &Given<'_>, at: usize) -> i32 {
    match given.maybe(at) {
        Some(Datum::Span(span)) => i32::try_from(span.micros / MICROS).unwrap_or(i32::MAX),
        _ => 0,
    }
}

fn part<T: TryFrom<i128>>(given: &Given<'_>, at: usize, name: &str) -> Result<T, Fault> {
    T::try_from(given.int(at, 0)).map_err(|_| Fault::value(format!("{name} is out of range")))
}

/// What Python says of parts that are no date.
fn checked(given: &Given<'_>) -> Result<(), Fault> {
    let parts =
        [(1, "month", 1, 12), (3, "hour", 0, 23), (4, "minute", 0, 59), (5, "second", 0, 59)];
    for (at, name, least, most) in parts {
        if !(least..=most).contains(&given.int(at, least)) {
            return Err(Fault::value(format!("{name} must be in {least}..{most}")));
        }
    }
    Ok(())
}

fn build<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    checked(given)?;
    let civil = jiff::civil::DateTime::new(
        part(given, 0, "year")?,
        part(given, 1, "month")?,
        part(given, 2, "day")?,
        part(given, 3, "hour")?,
        part(given, 4, "minute")?,
        part(given, 5, "second")?,
        part::<i32>(given, 6, "microsecond")?.saturating_mul(1000),
    );
    let civil = civil.map_err(|_| Fault::value("day is out of range for month"))?;
    Moment::civil(civil, offset(given, 7)).map(Datum::Moment)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked")]
fn of_timestamp<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let seconds = match given.value(0) {
        Datum::Int(number) => number as f64,
        Datum::Float(number) => number,
        _ => 0.0,
    };
    // The years 1 to 9999.
    if !(-62_135_596_800.0..253_402_300_800.0).contains(&seconds) {
        return Err(Fault::value("year is out of range"));
    }
    let micros = (seconds * 1e6).round() as i64;
    Ok(Datum::Moment(Moment { micros, offset_seconds: offset(given, 1) }))
}

fn read<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    match given.maybe_text(1).filter(|form| !form.is_empty()) {
        Some(form) => Moment::read_as(&given.text(0), &form),
        None => Moment::read(&given.text(0)),
    }
    .map(Datum::Moment)
}

fn timespan<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    const UNITS: [i128; 6] = [86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1];
    let mut total = Some(0_i128);
    for (at, unit) in UNITS.iter().enumerate() {
        let part = given.int(at, 0).checked_mul(*unit);
        total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
    }
    let micros = total.and_then(|total| i64::try_from(total).ok());
    let micros = micros.ok_or_else(|| Fault::new("OverflowError", "the span is too long"))?;
    Ok(Datum::Span(Span { micros }))
}

fn now<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let micros = run.scope.world.now().millis().saturating_mul(1000);
    Ok(Datum::Moment(Moment { micros, offset_seconds: offset(given, 0) }))
}

fn replace<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let Datum::Moment(moment) = given.value(0) else { return Ok(given.value(0)) };
    let wrong = |error: jiff::Error| Fault::value(error.to_string());
    let mut with = moment.zoned()?.datetime().with();
    for at in 1..=7 {
        if given.maybe(at).is_none_or(|value| matches!(value, Datum::Null)) {
            continue;
        }
        with = match at {
            1 => with.year(part(given, at, "year")?),
            2 => with.month(part(given, at, "month")?),
            3 => with.day(part(given, at, "day")?),
            4 => with.hour(part(given, at, "hour")?),
            5 => with.minute(part(given, at, "minute")?),
            6 => with.second(part(given, at, "second")?),
            _ => {
                with.subsec_nanosecond(part::<i32>(given, at, "microsecond")?.saturating_mul(1000))
            }
        };
    }
    let civil = with.build().map_err(wrong)?;
    let kept = matches!(given.value(8), Datum::Null);
    let offset = if kept { moment.offset_seconds } else { offset(given, 8) };
    Moment::civil(civil, offset).map(Datum::Moment)
}

/// What stands behind a dot on a value that is neither a dictionary nor a collection.
///
/// # Errors
/// It has no such property.
pub(in super::super) fn property<'a>(value: &Datum<'a>, name: &str) -> Answer<'a> {
    let found = match value {
        Datum::Moment(moment) => of_moment(*moment, name)?,
        Datum::Span(span) => of_span(*span, name),
        _ => None,
    };
    found.ok_or_else(|| {
        Fault::new(
            "NoFunctionRegisteredException",
            format!("Unknown function \"#property#{name}\""),
        )
    })
}

fn of_moment<'a>(moment: Moment, name: &str) -> Result<Option<Datum<'a>>, Fault> {
    let zoned = moment.zoned()?;
    let midnight = zoned.date().to_datetime(jiff::civil::Time::midnight());
    let day = Moment::civil(midnight, moment.offset_seconds)?;
    let micros = i128::from(moment.micros);
    #[expect(clippy::cast_precision_loss, reason = "so does Python")]
    Ok(Some(match name {
        "year" => Datum::Int(zoned.year().into()),
        "month" => Datum::Int(zoned.month().into()),
        "day" => Datum::Int(zoned.day().into()),
        "hour" => Datum::Int(zoned.hour().into()),
        "minute" => Datum::Int(zoned.minute().into()),
        "second" => Datum::Int(zoned.second().into()),
        "microsecond" => Datum::Int(micros.rem_euclid(MICROS.into())),
        "weekday" => Datum::Int(zoned.weekday().to_monday_zero_offset().into()),
        "date" => Datum::Moment(day),
        "time" => Datum::Span(Span { micros: moment.micros - day.micros }),
        // The clock goes back, the zone stays: so does YAQL.
        "utc" => {
            let shift = i64::from(moment.offset_seconds) * MICROS;
            Datum::Moment(Moment { micros: moment.micros - shift, ..moment })
        }
        "offset" => Datum::Span(Span { micros: i64::from(moment.offset_seconds) * MICROS }),
        "timestamp" => {
            let shift = i64::from(moment.offset_seconds) * MICROS;
            Datum::Float((moment.micros - shift) as f64 / 1e6)
        }
        _ => return Ok(None),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "so does Python")]
fn of_span<'a>(span: Span, name: &str) -> Option<Datum<'a>> {
    let micros = span.micros as f64;
    Some(match name {
        "microseconds" => Datum::Int(span.micros.into()),
        "milliseconds" => Datum::Float(micros / 1e3),
        "seconds" => Datum::Float(micros / 1e6),
        "minutes" => Datum::Float(micros / 6e7),
        "hours" => Datum::Float(micros / 3.6e9),
        "days" => Datum::Float(micros / 8.64e10),
        _ => return None,
    })
}
