//! What people are told of incidents, to the millisecond.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ifso::incidents::Happening;
use ifso::model::calendar::{self, Calendar};
use ifso::model::incident::{Failure, Kind, Severity, State};
use ifso::model::notices::{Plan, Quiet, Route, fits};
use ifso::model::problem::Place;
use ifso::model::zone;
use proptest::prelude::*;

use super::desk::{Desk, failure, grouped, plan, said, secs};

const MIN: i64 = 60_000;

#[test]
fn repeats_only_count() {
    let mut desk = Desk::new(plan());
    for _ in 0..100 {
        desk.fails(&failure("a"));
    }
    assert_eq!(desk.news(), [said(0, "ops", Kind::Opened, &["a"])]);
    assert_eq!(desk.of("a").count, 100);
}

#[test]
fn levels_are_told_at_their_times_and_not_before() {
    let mut desk = Desk::new(plan());
    desk.fails(&failure("a"));
    desk.until(15 * MIN - 1);
    assert_eq!(desk.news(), [said(0, "ops", Kind::Opened, &["a"])]);
    desk.until(15 * MIN);
    assert_eq!(desk.news(), [said(15 * MIN, "lead", Kind::Escalated, &["a"])]);
    desk.until(30 * MIN - 1);
    assert_eq!(desk.news(), []);
    desk.until(300 * MIN);
    assert_eq!(desk.news(), [said(30 * MIN, "boss", Kind::Escalated, &["a"])]);
}

#[test]
fn whoever_acknowledges_stops_the_levels() {
    for (at, told) in [(15 * MIN - 1, 1), (15 * MIN, 2), (15 * MIN + 1, 2)] {
        let mut desk = Desk::new(plan());
        desk.fails(&failure("a"));
        desk.until(at);
        desk.acknowledged("a");
        desk.until(300 * MIN);
        assert_eq!(desk.news().len(), told, "acknowledged at {at}");
        assert_eq!(desk.of("a").state, State::Acknowledged);
    }
}

#[test]
fn an_acknowledgement_for_a_time_makes_the_levels_stand_still() {
    let mut desk = Desk::new(plan());
    desk.fails(&failure("a"));
    desk.until(10 * MIN);
    let until = Some(desk.now.plus(Duration::from_hours(1)));
    desk.happens("a", Happening::Acknowledge { by: "ann".to_owned(), until });
    desk.news();
    desk.until(75 * MIN - 1);
    assert_eq!(desk.news(), []);
    desk.until(75 * MIN);
    assert_eq!(desk.news(), [said(75 * MIN, "lead", Kind::Escalated, &["a"])]);
}

#[test]
fn everybody_who_was_told_hears_once_that_it_is_over() {
    let mut desk = Desk::new(plan());
    desk.fails(&failure("a"));
    desk.until(20 * MIN);
    desk.news();
    desk.recovers("a");
    desk.recovers("a");
    let mut told = desk.news();
    told.sort();
    let now = 20 * MIN;
    let lead = said(now, "lead", Kind::Recovered, &["a"]);
    assert_eq!(told, [lead, said(now, "ops", Kind::Recovered, &["a"])]);
    assert_eq!(desk.of("a").lasted(desk.now), Duration::from_mins(20));
    desk.until(500 * MIN);
    assert_eq!(desk.news(), []);
}

#[test]
fn what_never_was_cannot_recover() {
    let mut desk = Desk::new(plan());
    desk.recovers("a");
    desk.acknowledged("a");
    assert!(desk.incidents.is_empty());
    assert_eq!(desk.news(), []);
}

#[test]
fn a_group_that_opens_within_its_wait_is_one_message() {
    let mut desk = Desk::new(plan());
    desk.fails(&grouped("a", "g"));
    desk.until(29_999);
    desk.fails(&grouped("b", "g"));
    desk.fails(&failure("alone"));
    assert_eq!(desk.news(), [said(29_999, "ops", Kind::Opened, &["alone"])]);
    desk.until(30_000);
    assert_eq!(desk.news(), [said(30_000, "ops", Kind::Opened, &["a", "b"])]);
    desk.fails(&grouped("c", "g"));
    desk.until(60_000 - 1);
    assert_eq!(desk.news(), []);
    desk.until(60_000);
    assert_eq!(desk.news(), [said(60_000, "ops", Kind::Opened, &["c"])]);
    for key in ["a", "b", "c"] {
        desk.recovers(key);
    }
    desk.until(90_000);
    assert_eq!(desk.news(), [said(90_000, "ops", Kind::Recovered, &["a", "b", "c"])]);
}

#[test]
fn what_is_over_before_its_group_was_told_is_not_told() {
    let mut desk = Desk::new(plan());
    desk.fails(&grouped("a", "g"));
    desk.until(29_999);
    desk.recovers("a");
    desk.until(10 * MIN);
    assert_eq!(desk.news(), []);
}

#[test]
fn what_comes_back_before_its_recovery_was_told_never_was_over() {
    let mut desk = Desk::new(plan());
    desk.fails(&grouped("a", "g"));
    desk.until(MIN);
    desk.recovers("a");
    desk.until(MIN + 29_999);
    desk.fails(&grouped("a", "g"));
    desk.until(15 * MIN);
    assert_eq!(desk.news(), [said(30_000, "ops", Kind::Opened, &["a"])]);
    assert_eq!(desk.of("a").opened.millis(), 0);
}

/// Comes and goes every minute, `times` in all.
fn unsteady(desk: &mut Desk, times: i64) {
    for number in 0..times {
        desk.until(number * MIN);
        if number % 2 == 0 { desk.fails(&failure("a")) } else { desk.recovers("a") }
    }
}

#[test]
fn what_flaps_is_said_once_and_then_nothing_until_it_is_stable() {
    let mut desk = Desk::new(plan());
    unsteady(&mut desk, 20);
    let told = |ms, kind| said(ms, "ops", kind, &["a"]);
    let changes = [(0, Kind::Opened), (MIN, Kind::Recovered), (2 * MIN, Kind::Opened)];
    let mut all: Vec<_> = changes.map(|(ms, kind)| told(ms, kind)).into();
    all.push(told(3 * MIN, Kind::Flapping));
    assert_eq!(desk.news(), all);
    desk.until(19 * MIN + 119_999);
    assert_eq!(desk.news(), []);
    desk.until(19 * MIN + 120_000);
    assert_eq!(desk.news(), [told(21 * MIN, Kind::Recovered)]);
    assert_eq!(desk.of("a").count, 10);
}

#[test]
fn what_is_stable_and_still_there_is_told_again() {
    let mut desk = Desk::new(plan());
    unsteady(&mut desk, 5);
    desk.news();
    desk.until(30 * MIN);
    let told = |ms, channel, kind| said(ms, channel, kind, &["a"]);
    let opened = told(6 * MIN, "ops", Kind::Opened);
    assert_eq!(desk.news(), [opened, told(21 * MIN, "lead", Kind::Escalated)]);
}

#[test]
fn a_change_counts_for_flapping_within_the_window_only() {
    // The fourth change: one millisecond before the window ends, at its end, and after it.
    for (last, flaps) in [(600_000 - 1, true), (600_000, false), (600_001, false)] {
        let mut desk = Desk::new(plan());
        unsteady(&mut desk, 3);
        desk.until(last);
        desk.recovers("a");
        assert_eq!(desk.of("a").flap.since.is_some(), flaps, "at {last}");
    }
}

#[test]
fn coming_back_within_the_window_is_the_same_incident() {
    for (back, incidents) in [(600_000 - 1, 1), (600_000, 2), (600_001, 2)] {
        let mut desk = Desk::new(plan());
        desk.fails(&failure("a"));
        desk.recovers("a");
        desk.until(back);
        desk.fails(&failure("a"));
        assert_eq!(desk.incidents.len(), incidents, "back after {back}");
    }
}

/// Quiet from 22:00 to 06:00, UTC, for what is less than critical.
fn quiet() -> Plan {
    let calendar = Calendar {
        about: String::new(),
        zone: zone::named("UTC").unwrap(),
        open: vec![calendar::open(None, Some("22:00"), Some("06:00")).unwrap()],
        closed: Vec::new(),
        place: Place::file("calendars/night.yaml"),
    };
    let calendar = Arc::new(calendar);
    Plan { quiet: Some(Quiet { calendar, outside: false, below: Severity::Critical }), ..plan() }
}

const HOUR: i64 = 60 * MIN;

#[test]
fn quiet_hours_hold_back_what_is_not_bad_enough() {
    for (at, told) in [(22 * HOUR - 1, 22 * HOUR - 1), (22 * HOUR, 30 * HOUR)] {
        let mut desk = Desk::new(quiet());
        desk.until(at);
        desk.fails(&failure("a"));
        desk.until(30 * HOUR - 1);
        desk.until(30 * HOUR);
        assert_eq!(desk.news()[0], said(told, "ops", Kind::Opened, &["a"]), "at {at}");
    }
    let mut desk = Desk::new(quiet());
    desk.until(23 * HOUR);
    desk.fails(&Failure { severity: Severity::Critical, ..failure("a") });
    assert_eq!(desk.news(), [said(23 * HOUR, "ops", Kind::Opened, &["a"])]);
}

#[test]
fn what_is_over_by_the_morning_is_not_told() {
    let mut desk = Desk::new(quiet());
    desk.until(23 * HOUR);
    desk.fails(&failure("a"));
    desk.until(30 * HOUR - 1);
    desk.recovers("a");
    desk.until(40 * HOUR);
    assert_eq!(desk.news(), []);
}

#[test]
fn levels_wait_for_the_morning_too_and_then_take_their_time() {
    let mut desk = Desk::new(quiet());
    desk.until(23 * HOUR);
    desk.fails(&failure("a"));
    desk.until(30 * HOUR + 15 * MIN);
    let lead = said(30 * HOUR + 15 * MIN, "lead", Kind::Escalated, &["a"]);
    assert_eq!(desk.news(), [said(30 * HOUR, "ops", Kind::Opened, &["a"]), lead]);
}

#[test]
fn what_gets_worse_at_night_is_told_at_once() {
    let mut desk = Desk::new(quiet());
    desk.until(23 * HOUR);
    desk.fails(&failure("a"));
    desk.until(24 * HOUR);
    desk.fails(&Failure { severity: Severity::Critical, ..failure("a") });
    assert_eq!(desk.news(), [said(24 * HOUR, "ops", Kind::Opened, &["a"])]);
    desk.fails(&failure("a"));
    assert_eq!(desk.of("a").failure.severity, Severity::Critical);
}

#[test]
fn the_end_is_told_after_the_beginning_has_arrived() {
    let mut desk = Desk::new(plan());
    desk.slow = vec!["ops".to_owned()];
    desk.fails(&failure("a"));
    desk.until(MIN);
    desk.recovers("a");
    assert_eq!(desk.news(), [said(0, "ops", Kind::Opened, &["a"])]);
    desk.until(2 * MIN);
    desk.deliver("ops", true);
    assert_eq!(desk.news(), [said(2 * MIN, "ops", Kind::Recovered, &["a"])]);
}

#[test]
fn whoever_never_heard_of_it_does_not_hear_that_it_is_over() {
    let mut desk = Desk::new(plan());
    desk.slow = vec!["ops".to_owned()];
    desk.fails(&failure("a"));
    desk.recovers("a");
    desk.news();
    desk.deliver("ops", false);
    assert_eq!(desk.news(), []);
    assert!(desk.of("a").log.iter().any(|line| line.what.contains("could not be told")));
}

#[test]
fn a_channel_that_wants_it_hears_who_is_at_it() {
    let mut desk = Desk::new(plan());
    desk.plan.channels.get_mut("ops").unwrap().acks = true;
    desk.fails(&failure("a"));
    desk.acknowledged("a");
    desk.acknowledged("a");
    let kinds: Vec<Kind> = desk.news().into_iter().map(|(_, _, kind, _)| kind).collect();
    assert_eq!(kinds, [Kind::Opened, Kind::Acknowledged]);
}

#[test]
fn without_a_route_nobody_is_told_until_there_is_one() {
    let mut desk = Desk::new(Plan::default());
    desk.fails(&failure("a"));
    desk.until(MIN);
    assert_eq!(desk.news(), []);
    desk.plan = plan();
    desk.happens("a", Happening::Look);
    assert_eq!(desk.news(), [said(MIN, "ops", Kind::Opened, &["a"])]);
}

#[test]
fn the_first_route_that_fits_counts() {
    let mut desk = Desk::new(plan());
    let mut special = Route { source: vec!["del*".to_owned()], ..desk.plan.routes[0].clone() };
    special.labels.insert("array".to_owned(), "s*".to_owned());
    special.levels[0].channels = vec!["boss".to_owned()];
    desk.plan.routes.insert(0, special);
    let labels: BTreeMap<_, _> = [("array".to_owned(), "s1".to_owned())].into();
    desk.fails(&Failure { source: "delfin".to_owned(), labels, ..failure("a") });
    desk.fails(&Failure { source: "delfin".to_owned(), ..failure("b") });
    let boss = said(0, "boss", Kind::Opened, &["a"]);
    assert_eq!(desk.news(), [boss, said(0, "ops", Kind::Opened, &["b"])]);
}

#[test]
fn stars_stand_for_any_letters() {
    for (like, text, fit) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*", "", true),
        ("a*a", "a", false),
        ("a*b*c", "a--b--c", true),
        ("a*b*c", "a--c--b", false),
        ("*.x", "y.x", true),
    ] {
        assert_eq!(fits(like, text), fit, "{like} {text}");
    }
}

/// One thing that happens in a random story.
#[derive(Debug, Clone)]
enum Step {
    Fails(usize, Severity),
    Recovers(usize),
    Acknowledged(usize, Option<u64>),
    Resolved(usize),
    Delivered(&'static str, bool),
    Passes(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..4usize;
    let severity = prop::sample::select(Severity::ALL);
    let channel = prop::sample::select(vec!["ops", "lead"]);
    let step = prop_oneof![
        4 => (key(), severity).prop_map(|(key, severity)| Step::Fails(key, severity)),
        3 => key().prop_map(Step::Recovers),
        1 => (key(), prop::option::of(1..2000u64)).prop_map(|(k, s)| Step::Acknowledged(k, s)),
        1 => key().prop_map(Step::Resolved),
        2 => (channel, any::<bool>()).prop_map(|(c, ok)| Step::Delivered(c, ok)),
        3 => (0..2_000_000u64).prop_map(Step::Passes),
        1 => (0..80_000_000u64).prop_map(Step::Passes),
    ];
    prop::collection::vec(step, 1..120)
}

fn play(desk: &mut Desk, steps: Vec<Step>) -> [u64; 4] {
    let mut reported = [0; 4];
    let name = |key: usize| format!("k{key}");
    for step in steps {
        match step {
            Step::Fails(key, severity) => {
                reported[key] += 1;
                // The first two are a group.
                let failure = if key < 2 { grouped(&name(key), "g") } else { failure(&name(key)) };
                desk.fails(&Failure { severity, ..failure });
            }
            Step::Recovers(key) => desk.recovers(&name(key)),
            Step::Acknowledged(key, span) => {
                let until = span.map(|seconds| desk.now.plus(secs(seconds)));
                let by = "ann".to_owned();
                desk.happens(&name(key), Happening::Acknowledge { by, until });
            }
            Step::Resolved(key) => {
                desk.happens(&name(key), Happening::Resolve { by: "ann".to_owned() });
            }
            Step::Delivered(channel, arrived) => desk.deliver(channel, arrived),
            Step::Passes(ms) => desk.until(desk.now.plus(Duration::from_millis(ms)).millis()),
        }
    }
    reported
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn in_any_order_nobody_hears_of_an_end_without_a_beginning(steps in steps()) {
        let mut desk = Desk::new(quiet());
        desk.slow = vec!["ops".to_owned(), "lead".to_owned()];
        let reported = play(&mut desk, steps);
        // At last all is well, the mail server works again, and the night is over.
        for key in 0..4 {
            desk.recovers(&format!("k{key}"));
        }
        for _ in 0..10 {
            desk.deliver("ops", true);
            desk.deliver("lead", true);
            desk.until(desk.now.plus(Duration::from_hours(30)).millis());
        }
        for (key, times) in reported.iter().enumerate() {
            let name = format!("k{key}");
            let counted: u64 =
                desk.incidents.iter().filter(|i| i.failure.key == name).map(|i| i.count).sum();
            prop_assert_eq!(counted, *times);
        }
        for incident in &desk.incidents {
            let mut knows: BTreeMap<&str, bool> = BTreeMap::new();
            prop_assert!(incident.pending.is_empty());
            for told in &incident.told {
                prop_assert!(told.arrived.is_some());
                let knows = knows.entry(&told.channel).or_default();
                match told.kind {
                    Kind::Recovered => {
                        prop_assert!(*knows, "an end without a beginning: {:?}", incident.told);
                        *knows = false;
                    }
                    kind if kind.is_bad_news() => *knows |= told.arrived == Some(true),
                    _ => {}
                }
            }
            let still: Vec<_> = knows.iter().filter(|(_, knows)| **knows).collect();
            prop_assert!(still.is_empty(), "{still:?} never heard the end: {:#?}", incident);
        }
    }
}
