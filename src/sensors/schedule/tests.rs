use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::zone;

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn cron(text: &str, zone: &str) -> Plan {
    let zone = if zone == "UTC" { TimeZone::UTC } else { zone::named(zone).unwrap() };
    Plan::Cron(Box::new(Expression::parse(text, zone).unwrap()))
}

/// The instants after `from` must be `expected`, in this order.
fn check(plan: &Plan, from: &str, expected: &[&str]) {
    let mut at = time(from);
    for (number, wanted) in expected.iter().enumerate() {
        let found = plan.next_after(at).unwrap();
        assert_eq!(found, time(wanted), "instant {number} after {from}");
        at = found;
    }
}

#[test]
fn unix_fields_mean_what_unix_means() {
    // Monday is 1, Sunday 0 and 7.
    check(
        &cron("30 9 * * 1-5", "UTC"),
        "2026-11-20T10:00:00Z",
        &["2026-11-23T09:30:00Z", "2026-11-24T09:30:00Z"],
    );
    for sunday in ["0", "7", "sun", "Sunday"] {
        check(
            &cron(&format!("0 0 * * {sunday}"), "UTC"),
            "2026-11-20T10:00:00Z",
            &["2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"],
        );
    }
    // Day of month and day of week are alternatives where both are named.
    check(
        &cron("0 0 13 * FRI", "UTC"),
        "2026-11-10T00:00:00Z",
        &[
            "2026-11-13T00:00:00Z",
            "2026-11-20T00:00:00Z",
            "2026-11-27T00:00:00Z",
            "2026-12-04T00:00:00Z",
            "2026-12-11T00:00:00Z",
            "2026-12-13T00:00:00Z",
        ],
    );
    // Ranges may go round; six fields begin with seconds.
    check(
        &cron("0 22-1 * * *", "UTC"),
        "2026-11-20T22:30:00Z",
        &[
            "2026-11-20T23:00:00Z",
            "2026-11-21T00:00:00Z",
            "2026-11-21T01:00:00Z",
            "2026-11-21T22:00:00Z",
        ],
    );
    check(
        &cron("*/20 * * * * *", "UTC"),
        "2026-11-20T22:30:00Z",
        &["2026-11-20T22:30:20Z", "2026-11-20T22:30:40Z", "2026-11-20T22:31:00Z"],
    );
}

#[test]
fn last_days_and_nth_weekdays_are_found() {
    check(
        &cron("0 0 L * *", "UTC"),
        "2024-02-01T00:00:00Z",
        &["2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"],
    );
    check(
        &cron("0 12 * * FRI#2", "UTC"),
        "2026-11-01T00:00:00Z",
        &["2026-11-13T12:00:00Z", "2026-12-11T12:00:00Z"],
    );
    check(
        &cron("30 2 * * SUNL", "UTC"),
        "2026-03-01T00:00:00Z",
        &["2026-03-29T02:30:00Z", "2026-04-26T02:30:00Z"],
    );
    check(
        &cron("0 0 29 2 *", "UTC"),
        "2026-11-01T00:00:00Z",
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    );
}

/// `reference/dependencies.md` 2.3: each line is one the crate alone gets wrong.
#[test]
fn the_days_when_clocks_change_lose_and_double_nothing() {
    let york = "America/New_York";
    check(
        &cron("0 30 2 * * *", york),
        "2026-03-07T12:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    );
    check(
        &cron("0 30 2 8 3 *", york),
        "2026-01-01T00:00:00Z",
        &["2026-03-08T07:00:00Z", "2027-03-08T07:30:00Z"],
    );
    check(
        &cron("0 0 0 * * *", "America/Sao_Paulo"),
        "2018-11-03T12:00:00Z",
        &["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"],
    );
    check(
        &cron("0 30 1 * * *", york),
        "2026-10-31T12:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    check(
        &cron("0 0 * * * *", york),
        "2026-11-01T04:30:00Z",
        &["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"],
    );
    check(
        &cron("0 */20 * * * *", york),
        "2026-11-01T05:30:00Z",
        &[
            "2026-11-01T05:40:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:20:00Z",
            "2026-11-01T06:40:00Z",
            "2026-11-01T07:00:00Z",
        ],
    );
    check(
        &cron("0 * * * *", york),
        "2026-03-08T06:30:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"],
    );
}

#[test]
fn wrong_expressions_name_the_field() {
    for (text, part) in [
        ("61 * * * *", "`61` is no minute; expected 0 to 59"),
        ("* * * *", "has 4"),
        ("* * * * mun", "`mun` is no day of week"),
        ("0 0 31 2 *", "never comes"),
        ("@every 5m", "kind: interval"),
        ("*/0 * * * *", "a step of 1 to 59"),
        ("0 0 15W * *", "`15W` is no day of month"),
        ("0 0 ? ? ?", "`?` is no month"),
        ("+5 * * * *", "`+5` is no minute"),
    ] {
        let refused = Expression::parse(text, TimeZone::UTC).unwrap_err();
        assert!(refused.contains(part), "{text}: {refused}");
    }
}

#[test]
fn a_wrong_zone_is_answered_with_the_right_one() {
    assert!(zone::named("Prague").unwrap_err().contains("`Europe/Prague`"));
    assert!(zone::named("Europe/Pragu").unwrap_err().contains("`Europe/Prague`"));
}

fn timing(misfire: Misfire) -> Timing {
    let plan = Plan::Interval { every: Duration::from_mins(1), anchor: Time::default() };
    Timing { plan, misfire, max: 3, jitter: Duration::ZERO }
}

const GRACE: Duration = Duration::from_secs(1);

#[test]
fn downtime_follows_the_policy() {
    let position = time("2026-11-20T10:00:00Z");
    let now = time("2026-11-20T10:05:30Z");
    let fired = |misfire| {
        let due = timing(misfire).due(position, now, GRACE);
        assert_eq!(due.settled, Some(time("2026-11-20T10:05:00Z")));
        due.ticks.iter().map(|tick| (tick.nominal.to_string(), tick.missed)).collect::<Vec<_>>()
    };
    let at = |minute: u32| format!("2026-11-20T10:0{minute}:00.000Z");
    assert_eq!(fired(Misfire::Skip), vec![]);
    assert_eq!(fired(Misfire::Once), vec![(at(5), 4)]);
    assert_eq!(fired(Misfire::All), vec![(at(3), 2), (at(4), 0), (at(5), 0)]);
}

#[test]
fn a_tick_on_time_is_fired_under_every_policy() {
    let position = time("2026-11-20T10:00:00Z");
    for misfire in [Misfire::Skip, Misfire::Once, Misfire::All] {
        let due = timing(misfire).due(position, time("2026-11-20T10:01:00.900Z"), GRACE);
        let tick = Tick { nominal: time("2026-11-20T10:01:00Z"), missed: 0 };
        assert_eq!(due.ticks, [tick], "{misfire:?}");
    }
}

#[test]
fn years_of_downtime_are_not_walked_through() {
    let plan = cron("* * * * * *", "UTC");
    for (misfire, max, ticks) in
        [(Misfire::Skip, 9, 0), (Misfire::Once, 9, 1), (Misfire::All, 9, 9)]
    {
        let timing = Timing { plan: plan.clone(), misfire, max, jitter: Duration::ZERO };
        let due = timing.due(
            time("2016-01-01T00:00:00Z"),
            time("2026-01-01T00:00:00.500Z"),
            Duration::ZERO,
        );
        assert_eq!(due.ticks.len(), ticks);
        assert_eq!(due.settled, Some(time("2026-01-01T00:00:00Z")));
        if let Some(last) = due.ticks.last() {
            assert_eq!(last.nominal, time("2026-01-01T00:00:00Z"));
        }
    }
}

#[test]
fn jitter_is_the_same_after_a_restart_and_never_early() {
    let timing = Timing { jitter: Duration::from_secs(20), ..timing(Misfire::Once) };
    let mut spread = std::collections::BTreeSet::new();
    for minute in 0..50 {
        let nominal = Time::from_millis(minute * 60_000);
        let planned = timing.planned(nominal);
        assert_eq!(planned, timing.planned(nominal));
        let late = planned.since(nominal);
        assert!(planned >= nominal && late <= Duration::from_secs(20));
        spread.insert(late);
    }
    assert!(spread.len() > 40, "{spread:?}");
}

const ZONES: [&str; 4] =
    ["America/New_York", "Europe/Prague", "Australia/Lord_Howe", "America/Sao_Paulo"];

/// The next instants as another crate finds them.
fn oracle(text: &str, zone: &str, from: Time, count: usize) -> Vec<Time> {
    let cron = CronParser::builder().seconds(Seconds::Optional).build().parse(text).unwrap();
    let mut at = from.to_jiff().to_zoned(zone::named(zone).unwrap());
    let next = |_| {
        at = cron.find_next_occurrence(&at, false).unwrap();
        Time::from_jiff(at.timestamp())
    };
    (0..count).map(next).collect()
}

fn ours(text: &str, zone: &str, from: Time, count: usize) -> Vec<Time> {
    let plan = cron(text, zone);
    let next = |at: &Time| plan.next_after(*at);
    std::iter::successors(next(&from), next).take(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Fixed times and running hours: where both crates promise the same, they say the same, in four
    /// zones over fifteen years (T12).
    #[test]
    fn another_crate_finds_the_same_instants(
        zone in proptest::sample::select(ZONES.to_vec()),
        minute in 0..60_u32,
        hour in prop_oneof![(0..24_u32).prop_map(|h| h.to_string()), Just("*".to_owned()), (2..9_u32).prop_map(|n| format!("*/{n}"))],
        day in prop_oneof![
            3 => Just("* * *".to_owned()),
            1 => (1..32_u32).prop_map(|day| format!("{day} * *")),
            1 => (0..8_u32).prop_map(|day| format!("* * {day}")),
            1 => (1..13_u32).prop_map(|month| format!("* {month} *")),
        ],
        second in 0..473_385_600_i64,
    ) {
        // From 2012 to 2026.
        let from = Time::from_millis((1_325_376_000 + second) * 1000);
        let text = format!("{minute} {hour} {day}");
        prop_assert_eq!(ours(&text, zone, from, 8), oracle(&text, zone, from, 8), "{} {}", text, zone);
    }

    #[test]
    fn any_text_is_a_schedule_or_is_refused(text in "[-0-9*/,?#LSUNmonfri@ a-z]{0,40}") {
        if let Ok(expression) = Expression::parse(&text, TimeZone::UTC) {
            let from = time("2026-01-01T00:00:00Z");
            if let Some(next) = expression.next_after(from) {
                prop_assert!(next > from);
            }
        }
    }

    /// Whatever the downtime: nothing fired twice, nothing early, and the policy holds.
    #[test]
    fn no_downtime_doubles_or_forgets(
        steps in proptest::collection::vec(1..500_000_i64, 1..40),
        policy in 0..3_usize,
        every in 1..200_u64,
    ) {
        let misfire = [Misfire::Skip, Misfire::Once, Misfire::All][policy];
        let every = Duration::from_secs(every);
        let plan = Plan::Interval { every, anchor: Time::default() };
        let timing = Timing { plan, misfire, max: 5, jitter: Duration::ZERO };
        let (mut position, mut now) = (Time::default(), Time::default());
        let (mut last, mut fired, mut missed) = (Time::default(), 0_u64, 0_u64);
        for step in steps {
            now = now.plus(Duration::from_millis(step.unsigned_abs()));
            let due = timing.due(position, now, GRACE);
            for tick in &due.ticks {
                prop_assert!(tick.nominal > last && tick.nominal <= now);
                (last, fired, missed) = (tick.nominal, fired + 1, missed + tick.missed);
            }
            position = due.settled.unwrap_or(position);
        }
        let all = now.since(Time::default()).as_millis() / every.as_millis();
        prop_assert_eq!(u128::try_from(position.millis()).unwrap(), all * every.as_millis());
        if misfire != Misfire::Skip {
            prop_assert_eq!(u128::from(fired + missed), all);
        }
    }
}

/// StackStorm's timers write their fields one by one (APScheduler): the same as one expression, where
/// an expression can say it.
fn stackstorm(fields: &Value) -> Option<String> {
    const ORDER: [(&str, &str); 8] = [
        ("year", "*"),
        ("month", "1"),
        ("day", "1"),
        ("week", "*"),
        ("day_of_week", "*"),
        ("hour", "0"),
        ("minute", "0"),
        ("second", "0"),
    ];
    let last = ORDER.iter().rposition(|(name, _)| fields.get(name).is_some());
    let mut parts: Vec<String> = Vec::new();
    for (place, (name, default)) in ORDER.iter().enumerate() {
        let given = fields.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let open = if last.is_some_and(|last| place > last) { default } else { "*" };
        parts.push(given.unwrap_or_else(|| open.to_string()));
    }
    if parts[3] != "*" {
        return None;
    }
    // Monday is 0 there; days such as `last sun` stand under `day`.
    if let Ok(weekday) = parts[4].parse::<u32>() {
        parts[4] = ((weekday + 1) % 7).to_string();
    }
    let day = parts[2].clone();
    match day.split_once(' ') {
        Some(("last", weekday)) => (parts[2], parts[4]) = ("*".to_owned(), format!("{weekday}L")),
        Some((nth, weekday)) => {
            (parts[2], parts[4]) = ("*".to_owned(), format!("{weekday}#{}", &nth[..1]));
        }
        None if day == "last" => parts[2] = "L".to_owned(),
        None => {}
    }
    let [year, month, day, _, weekday, hour, minute, second] = &parts[..] else { return None };
    Some(format!("{second} {minute} {hour} {day} {month} {weekday} {year}"))
}

#[test]
fn stackstorms_timers_fire_at_the_same_instants() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/conformance/stackstorm/timer_cron_next_fires.generated.json"
    );
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let cases: Value = serde_json::from_str(&text).unwrap();
    let (mut same, mut weeks, mut gaps) = (0, 0, Vec::new());
    for case in cases["cases"].as_array().unwrap() {
        let Some(text) = stackstorm(&case["fields"]) else {
            weeks += 1;
            continue;
        };
        let zone = case["timezone"].as_str().unwrap();
        let expected: Vec<Time> = case["next_fires_utc"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| time(t.as_str().unwrap()))
            .collect();
        let from = time(case["now"].as_str().unwrap()).minus(Duration::from_millis(1));
        let found = ours(&text, zone, from, expected.len());
        if found == expected {
            same += 1;
        } else {
            gaps.push(format!("{text} {zone} {}: {expected:?} {found:?}", case["now"]));
        }
    }
    // An expression knows no week of the year. Where the clocks skip 02:30, StackStorm fires as late after
    // the gap as it would have been in it, we at once; where they go back it fires one instant thrice.
    let skipped = gaps.iter().filter(|gap| gap.starts_with("0 30 2")).count();
    let thrice = gaps.iter().filter(|gap| gap.starts_with("0 15 *")).count();
    assert_eq!((same, weeks, skipped, thrice, gaps.len()), (313, 14, 4, 1, 5), "{gaps:#?}");
}
