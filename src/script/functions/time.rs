//! Points in time, in milliseconds since 1970, and calendars. What time it is, `now()` says.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rhai::EvalAltResult;
use rhai::plugin::export_module;

use crate::model::span;
use crate::model::time::Time;

fn local(time: i64, zone: &str) -> Result<jiff::Zoned, Box<EvalAltResult>> {
    let known = TimeZone::get(zone).map_err(|_| {
        format!("`{zone}` is not a time zone; expected a name such as \"Europe/Prague\" or \"UTC\"")
    })?;
    let timestamp = Timestamp::from_millisecond(time)
        .map_err(|_| format!("{time} lies outside of the years that have a calendar"))?;
    Ok(timestamp.to_zoned(known))
}

#[export_module]
pub mod functions {
    /// The milliseconds of a time in RFC 3339.
    ///
    /// > time("1970-01-01T00:00:01Z") => 1000
    ///
    /// # Errors
    /// Where it is none.
    #[rhai_fn(return_raw)]
    pub fn time(text: &str) -> Result<i64, Box<EvalAltResult>> {
        text.parse()
            .map(Time::millis)
            .map_err(|error: crate::model::time::NotATime| error.to_string().into())
    }

    /// A time in RFC 3339.
    ///
    /// > time_text(1000) => "1970-01-01T00:00:01.000Z"
    pub fn time_text(time: i64) -> String {
        Time::from_millis(time).to_string()
    }

    /// The milliseconds of a span.
    ///
    /// > span("1m30s") => 90000
    ///
    /// # Errors
    /// Where it is none.
    #[rhai_fn(return_raw)]
    pub fn span(text: &str) -> Result<i64, Box<EvalAltResult>> {
        let parsed = super::span::parse(text).map_err(|error| error.to_string())?;
        Ok(i64::try_from(parsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// The hour of a time in a time zone, 0 to 23.
    ///
    /// > hour(0, "Europe/Prague") => 1
    ///
    /// # Errors
    /// Where there is no such time zone.
    #[rhai_fn(return_raw)]
    pub fn hour(time: i64, zone: &str) -> Result<i64, Box<EvalAltResult>> {
        Ok(i64::from(local(time, zone)?.hour()))
    }

    /// The day of the week of a time in a time zone.
    ///
    /// > weekday(0, "UTC") => "thursday"
    ///
    /// # Errors
    /// Where there is no such time zone.
    #[rhai_fn(return_raw)]
    pub fn weekday(time: i64, zone: &str) -> Result<String, Box<EvalAltResult>> {
        Ok(format!("{:?}", local(time, zone)?.weekday()).to_lowercase())
    }

    /// The date of a time in a time zone.
    ///
    /// > date(0, "America/New_York") => "1969-12-31"
    ///
    /// # Errors
    /// Where there is no such time zone.
    #[rhai_fn(return_raw)]
    pub fn date(time: i64, zone: &str) -> Result<String, Box<EvalAltResult>> {
        Ok(local(time, zone)?.date().to_string())
    }
}
