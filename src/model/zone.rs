//! Time zones by their IANA names, out of the database that is built in: two machines agree.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::model::problem::nearest;

/// The zone called `name`.
///
/// # Errors
/// Says that there is none, and which was meant.
pub fn named(name: &str) -> Result<TimeZone, String> {
    let database = TimeZoneDatabase::bundled();
    database.get(name).map_err(|_| {
        let known: Vec<_> = database.available().map(|zone| zone.to_string()).collect();
        let by_city = known.iter().find(|zone| {
            zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name.trim()))
        });
        match by_city
            .map(String::as_str)
            .or_else(|| nearest(name, known.iter().map(String::as_str)))
        {
            Some(meant) => format!("there is no time zone `{name}`; did you mean `{meant}`?"),
            None => format!(
                "there is no time zone `{name}`; write one such as `Europe/Prague` or `UTC`"
            ),
        }
    })
}
