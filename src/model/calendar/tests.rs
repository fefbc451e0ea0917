use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    crate::model::zone::named(name).unwrap()
}

fn calendar(zone_name: &str, open: &[(&str, &str, &str)], closed: Vec<Closed>) -> Calendar {
    let window = |(days, from, to): &(&str, &str, &str)| {
        super::open(Some(days), Some(from), Some(to)).unwrap()
    };
    Calendar {
        about: String::new(),
        zone: zone(zone_name),
        open: open.iter().map(window).collect(),
        closed,
        place: Place::file("calendars/x.yaml"),
    }
}

fn office() -> Calendar {
    calendar("Europe/Prague", &[("mon-fri", "08:00", "18:00")], Vec::new())
}

fn time(text: &str) -> Time {
    Time::from_jiff(text.parse().unwrap())
}

/// Checks that a calendar changes at exactly this instant, and that it knows.
fn changes(calendar: &Calendar, at: &str, opens: bool) {
    let at = time(at);
    let (before, after) = (Time::from_millis(at.millis() - 1), Time::from_millis(at.millis() + 1));
    assert_eq!(calendar.at(before).is_open(), !opens, "one millisecond before {at:?}");
    assert_eq!(calendar.at(before).until(), Some(at), "the change that comes");
    assert_eq!(calendar.at(at).is_open(), opens, "at {at:?}");
    assert_eq!(calendar.at(after).is_open(), opens, "one millisecond after {at:?}");
    assert_eq!(calendar.at(at).until(), calendar.at(after).until());
}

#[test]
fn windows_include_their_begin_and_not_their_end() {
    let office = office();
    changes(&office, "2026-11-20T07:00:00Z", true);
    changes(&office, "2026-11-20T17:00:00Z", false);
    // Friday evening to Monday morning.
    assert_eq!(office.at(time("2026-11-20T17:00:00Z")).until(), Some(time("2026-11-23T07:00:00Z")));
}

#[test]
fn windows_cross_midnight_and_touch_each_other() {
    let night = calendar("UTC", &[("fri", "22:00", "06:00")], Vec::new());
    changes(&night, "2026-11-20T22:00:00Z", true);
    changes(&night, "2026-11-21T06:00:00Z", false);
    let whole =
        calendar("UTC", &[("sat", "00:00", "24:00"), ("sun", "00:00", "24:00")], Vec::new());
    changes(&whole, "2026-11-21T00:00:00Z", true);
    assert_eq!(whole.at(time("2026-11-21T12:00:00Z")).until(), Some(time("2026-11-23T00:00:00Z")));
}

#[test]
fn a_time_that_never_comes_is_the_instant_at_which_the_clocks_jump() {
    // 29 March 2026: 02:00 to 03:00 does not exist in Prague; the clocks jump at 01:00Z.
    let opens = calendar("Europe/Prague", &[("sun", "02:30", "05:00")], Vec::new());
    changes(&opens, "2026-03-29T01:00:00Z", true);
    changes(&opens, "2026-03-29T03:00:00Z", false);
    let ends = calendar("Europe/Prague", &[("sun", "01:00", "02:30")], Vec::new());
    changes(&ends, "2026-03-29T01:00:00Z", false);
    let lost = calendar("Europe/Prague", &[("sun", "02:00", "02:45")], Vec::new());
    assert_eq!(lost.at(time("2026-03-28T12:00:00Z")).until(), Some(time("2026-04-05T00:00:00Z")));
}

#[test]
fn a_time_that_comes_twice_counts_when_it_comes_first() {
    // 25 October 2026: 02:00 to 03:00 comes twice in Prague, first at 00:00Z.
    let opens = calendar("Europe/Prague", &[("sun", "02:30", "05:00")], Vec::new());
    changes(&opens, "2026-10-25T00:30:00Z", true);
    changes(&opens, "2026-10-25T04:00:00Z", false);
    let ends = calendar("Europe/Prague", &[("sun", "01:00", "02:30")], Vec::new());
    changes(&ends, "2026-10-25T00:30:00Z", false);
}

#[test]
fn blackouts_take_time_out() {
    let closed =
        [("2026-12-24", Some("2026-12-26")), ("2026-11-20T10:00", Some("2026-11-20T12:30"))];
    let mut closed: Vec<_> =
        closed.iter().map(|(from, to)| super::closed(from, *to).unwrap()).collect();
    closed.push(super::closed("01-01", None).unwrap());
    closed.push(Closed::Weekly(super::open(Some("sun"), Some("02:00"), Some("04:00")).unwrap()));
    let calendar = calendar("Europe/Prague", &[], closed);
    changes(&calendar, "2026-11-20T09:00:00Z", false);
    changes(&calendar, "2026-11-20T11:30:00Z", true);
    changes(&calendar, "2026-11-22T01:00:00Z", false);
    changes(&calendar, "2026-11-22T03:00:00Z", true);
    changes(&calendar, "2026-12-23T23:00:00Z", false);
    changes(&calendar, "2026-12-26T23:00:00Z", true);
    changes(&calendar, "2026-12-31T23:00:00Z", false);
    changes(&calendar, "2027-01-01T23:00:00Z", true);
}

#[test]
fn yearly_spans_go_over_the_new_year_and_leap_days_come_when_they_come() {
    let holidays = calendar("UTC", &[], vec![super::closed("12-24", Some("01-02")).unwrap()]);
    changes(&holidays, "2026-12-24T00:00:00Z", false);
    changes(&holidays, "2027-01-03T00:00:00Z", true);
    let leap = calendar("UTC", &[], vec![super::closed("02-29", None).unwrap()]);
    changes(&leap, "2028-02-29T00:00:00Z", false);
    assert_eq!(leap.at(time("2025-02-28T00:00:00Z")), State::Open { until: None });
}

#[test]
fn a_calendar_without_changes_says_so() {
    let always = calendar("UTC", &[], Vec::new());
    assert_eq!(always.at(time("2026-01-01T00:00:00Z")), State::Open { until: None });
    let once = calendar("UTC", &[], vec![super::closed("2020-01-01", Some("2040-12-31")).unwrap()]);
    assert_eq!(
        once.at(time("2026-01-01T00:00:00Z")),
        State::Closed { until: Some(time("2041-01-01T00:00:00Z")) }
    );
    let skipped = calendar("Pacific/Apia", &[("fri", "00:00", "24:00")], Vec::new());
    // Friday 30 December 2011 never came.
    assert_eq!(
        skipped.at(time("2011-12-29T12:00:00Z")).until(),
        Some(time("2012-01-05T10:00:00Z"))
    );
}

#[test]
fn mistakes_are_told() {
    for (days, from, to, part) in [
        ("mon-fry", "08:00", "18:00", "days"),
        ("mon", "8", "18:00", "from"),
        ("mon", "08:00", "24:01", "to"),
        ("mon", "08:00", "08:00", "to"),
    ] {
        assert_eq!(super::open(Some(days), Some(from), Some(to)).unwrap_err().0, part);
    }
    for (from, to, part) in [
        ("2026-02-30", None, "from"),
        ("13-01", None, "from"),
        ("2026-01-02", Some("2026-01-01"), "to"),
        ("2026-01-02", Some("01-03"), "to"),
        ("2026-01-02T10:00", None, "from"),
        ("tomorrow", None, "from"),
    ] {
        assert_eq!(super::closed(from, to).unwrap_err().0, part, "{from}");
    }
    for days in ["monday", "Mon-Fri", "sat,sun", "fri-mon", "daily"] {
        assert!(super::open(Some(days), None, None).is_ok(), "{days}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_changes_before_the_change(
        at in 1_700_000_000_000_i64..1_900_000_000_000,
        first in 0_u32..86_400, length in 1_u32..86_399, day in 0_usize..7,
        step in 1_i64..1000,
    ) {
        let mut days = [false; 7];
        days[day] = true;
        days[(day + 3) % 7] = true;
        let window = Window { days, from: first, to: (first + length) % 86_400 };
        let mut calendar = office();
        calendar.closed.push(Closed::Weekly(window));
        let state = calendar.at(Time::from_millis(at));
        let until = state.until().unwrap();
        prop_assert!(until.millis() > at);
        let between = at + (until.millis() - 1 - at) * step / 1000;
        prop_assert_eq!(calendar.at(Time::from_millis(between)), state);
        prop_assert_eq!(calendar.at(until).is_open(), !state.is_open());
    }
}
