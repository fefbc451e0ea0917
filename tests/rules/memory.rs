//! Every key of memory and damping at W−1, W and W+1 milliseconds, on a clock that the test moves.

use ifso::model::calendar::{Calendar, Window};
use ifso::model::problem::Place;
use ifso::model::rule::Effect;
use ifso::rules::reload::{self, Moment};
use jiff::tz::TimeZone;
use serde_json::json;

use super::Story;
use super::tale::{Tale, dying};

const NOTHING: [&str; 0] = [];

const HIGH: &str = "when: |e| e.n >= 80, per: |e| e.k, then: |e| log(`${e.k} ${e.n}`)";

fn high(more: &str) -> Tale {
    Tale::rule(&format!("{HIGH}, {more}"))
}

#[test]
fn hold_fires_when_it_was_true_for_that_long() {
    let mut tale = high(r#"hold: "1s""#);
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a holding 1000"]);
    assert_eq!(tale.at(600, json!({"k": "a", "n": 90})), ["a holding 1000"]);
    assert_eq!(tale.pass(999), NOTHING);
    assert_eq!(tale.pass(1_000), ["1000: a fired a 90"]);
    assert_eq!(tale.events(), [1, 2], "the event that began it, and the last");
    assert_eq!(tale.pass(100_000), NOTHING);
}

#[test]
fn a_break_one_millisecond_before_the_end_ends_the_hold() {
    for (ms, then) in [
        (999, vec!["a broken 0"]),
        (1_000, vec!["1000: a fired a 80", "a recovered"]),
        (1_001, vec!["1000: a fired a 80", "a recovered"]),
    ] {
        let mut tale = high(r#"hold: "1s""#);
        tale.at(0, json!({"k": "a", "n": 80}));
        assert_eq!(tale.at(ms, json!({"k": "a", "n": 1})), then, "{ms}");
        assert_eq!(tale.pass(10_000), NOTHING);
        assert!(tale.simulation().memories().rules().next().is_none(), "nothing is left");
    }
}

#[test]
fn keys_hold_each_for_themselves() {
    let mut tale = high(r#"hold: "1s""#);
    tale.at(0, json!({"k": "a", "n": 80}));
    tale.at(500, json!({"k": "b", "n": 80}));
    assert_eq!(tale.at(700, json!({"k": "a", "n": 0})), ["a broken 0"]);
    assert_eq!(tale.pass(5_000), ["1500: b fired b 80"]);
}

#[test]
fn silence_breaks_a_hold_that_says_so() {
    let mut tale = high(r#"hold: "1s", stale: "400ms""#);
    tale.at(0, json!({"k": "a", "n": 80}));
    assert_eq!(tale.pass(399), NOTHING);
    assert_eq!(tale.pass(400), ["400: a stale 0"]);
    tale.at(1_000, json!({"k": "b", "n": 80}));
    for ms in [1_399, 1_798] {
        assert_eq!(tale.at(ms, json!({"k": "b", "n": 80})), ["b holding 2000"]);
    }
    assert_eq!(tale.pass(2_000), ["2000: b fired b 80"]);
    assert_eq!(tale.pass(5_000), ["2198: b stale 1798"], "and forgets that it has fired");
    assert_eq!(tale.at(6_000, json!({"k": "b", "n": 80})), ["b holding 7000"]);
}

#[test]
fn until_is_hysteresis_and_recover_answers_it() {
    let mut tale = high(r"until: |e| e.n <= 60, recover: |e| log(`${e.k} is at ${e.n} again`)");
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    assert_eq!(tale.at(1, json!({"k": "a", "n": 90})), ["a still_true 0"]);
    assert_eq!(tale.at(2, json!({"k": "a", "n": 61})), ["a still_true 0"], "between the two");
    assert_eq!(tale.at(3, json!({"k": "a", "n": 85})), ["a still_true 0"]);
    assert_eq!(tale.at(4, json!({"k": "a", "n": 60})), ["a recovered a is at 60 again"]);
    assert_eq!(tale.at(5, json!({"k": "a", "n": 61})), NOTHING);
    assert_eq!(tale.at(6, json!({"k": "a", "n": 80})), ["a fired a 80"]);
}

#[test]
fn without_memory_a_rule_fires_each_time() {
    let mut tale = high("");
    for ms in 0..3 {
        assert_eq!(tale.at(ms, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    }
    let mut tale = high("once: true");
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    assert_eq!(tale.at(1, json!({"k": "a", "n": 80})), ["a still_true 0"]);
    assert_eq!(tale.at(2, json!({"k": "a", "n": 8})), ["a recovered"]);
    assert_eq!(tale.at(3, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    let mut tale = high(r#"hold: "1s", once: false"#);
    tale.at(0, json!({"k": "a", "n": 80}));
    assert_eq!(tale.pass(1_000), ["1000: a fired a 80"]);
    assert_eq!(tale.at(1_500, json!({"k": "a", "n": 81})), ["a fired a 81"]);
    assert_eq!(tale.pass(9_000), NOTHING);
}

#[test]
fn a_cool_down_is_half_open_and_an_edge_waits_for_its_end() {
    let mut tale = high(r#"once: true, cooldown: "1s""#);
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    assert_eq!(tale.at(100, json!({"k": "a", "n": 0})), ["a recovered"]);
    assert_eq!(tale.at(999, json!({"k": "a", "n": 81})), ["a cooling 1000"]);
    assert_eq!(tale.pass(1_000), ["1000: a fired a 81"], "it is true still");
    assert_eq!(tale.at(1_100, json!({"k": "a", "n": 0})), ["a recovered"]);
    assert_eq!(tale.at(1_200, json!({"k": "a", "n": 82})), ["a cooling 2000"]);
    assert_eq!(tale.at(1_300, json!({"k": "a", "n": 0})), NOTHING, "and is not any more");
    assert_eq!(tale.pass(9_000), NOTHING);
}

#[test]
fn a_limit_drops_what_is_too_much() {
    let mut tale = high(r#"limit: #{ count: 2, per: "1s" }"#);
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    assert_eq!(tale.at(500, json!({"k": "a", "n": 81})), ["a fired a 81"]);
    assert_eq!(tale.at(999, json!({"k": "a", "n": 82})), ["a limited 1000"]);
    assert_eq!(tale.at(999, json!({"k": "b", "n": 82})), ["b fired b 82"], "per key");
    assert_eq!(tale.at(1_000, json!({"k": "a", "n": 83})), ["a fired a 83"]);
    assert_eq!(tale.at(1_001, json!({"k": "a", "n": 84})), ["a limited 1500"]);
    assert_eq!(tale.pass(9_000), NOTHING);
    assert!(tale.simulation().memories().rules().next().is_none());
}

#[test]
fn a_limit_may_queue() {
    let mut tale = high(r#"limit: #{ count: 1, per: "1s", over: "queue" }"#);
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a fired a 80"]);
    assert_eq!(tale.at(10, json!({"k": "a", "n": 81})), ["a queued 1000"]);
    assert_eq!(tale.at(20, json!({"k": "a", "n": 82})), ["a queued 2000"]);
    assert_eq!(tale.pass(999), NOTHING);
    assert_eq!(tale.pass(1_000), ["1000: a fired a 81"]);
    assert_eq!(tale.events(), [] as [u128; 0]);
    assert_eq!(tale.at(1_500, json!({"k": "a", "n": 83})), ["a queued 3000"]);
    assert_eq!(tale.pass(9_000), ["2000: a fired a 82", "3000: a fired a 83"]);
}

fn count(more: &str) -> Tale {
    Tale::rule(&format!(
        "per: |e| e.k, within: \"1s\", having: |w| w.count >= 3, \
         then: |e, m| log(`${{m.window.count}}`) {more}"
    ))
}

#[test]
fn a_sliding_window_is_half_open() {
    for (third, then) in [(999, "a fired 3"), (1_000, "a gathering the window has 2")] {
        let mut tale = count("");
        assert_eq!(tale.at(0, json!({"k": "a"})), ["a gathering the window has 1"]);
        tale.at(500, json!({"k": "a"}));
        tale.at(600, json!({"k": "b"}));
        assert_eq!(tale.at(third, json!({"k": "a"})), [then], "{third}");
    }
}

#[test]
fn a_window_fires_once_until_samples_leave_it() {
    let mut tale = count("");
    for ms in [0, 10, 20] {
        tale.at(ms, json!({"k": "a"}));
    }
    assert_eq!(tale.events(), [1, 2, 3]);
    assert_eq!(tale.at(30, json!({"k": "a"})), ["a still_true 20"]);
    assert_eq!(tale.pass(1_009), NOTHING, "10, 20 and 30 are left");
    assert_eq!(tale.pass(1_010), ["1010: a recovered"]);
    assert_eq!(tale.pass(9_000), NOTHING);
    assert!(tale.simulation().memories().rules().next().is_none());
    let mut tale = count(", once: false");
    for ms in [0, 10] {
        tale.at(ms, json!({"k": "a"}));
    }
    assert_eq!(tale.at(20, json!({"k": "a"})), ["a fired 3"]);
    assert_eq!(tale.at(30, json!({"k": "a"})), ["a fired 4"]);
    assert_eq!(tale.pass(9_000), NOTHING, "what leaves a window fires nothing");
}

#[test]
fn a_window_knows_its_figures() {
    let figures = "sum avg min max p50 p75 p90 p95 p99 first last delta distinct values";
    let each: Vec<String> =
        figures.split(' ').map(|name| format!("{name}=${{w.{name}(\"d.ms\")}}")).collect();
    let mut tale = Tale::rule(&format!(
        "within: \"10s\", having: |w| w.count == 4 && w.p50(\"d.ms\") == 2.0, \
         then: |e, m| {{ let w = m.window; log(`{} ${{w.percentile(\"d.ms\", 50)}} ${{w.rate}}`) }}",
        each.join(" ")
    ));
    for (ms, value) in [(0, json!(1)), (1, json!(2)), (2, json!("no number")), (3, json!(9))] {
        tale.at(ms, json!({"d": {"ms": value}}));
    }
    let Effect::Log { text } = &tale.last[0].effects[0] else { unreachable!("it logs") };
    assert_eq!(
        text,
        "sum=12 avg=4.0 min=1 max=9 p50=2.0 p75=9.0 p90=9.0 p95=9.0 p99=9.0 first=1 last=9 delta=8.0 \
         distinct=4 values=[1, 2, \"no number\", 9] 2.0 0.4"
    );
}

#[test]
fn a_tumbling_window_is_judged_at_its_end() {
    let mut tale = Tale::rule(
        r#"within: "1h", window: "tumbling", zone: "Asia/Kolkata",
           having: |w| w.count >= 2, then: |e, m| log(`${m.window.count}`)"#,
    );
    let (end, half) = (1_800_000, 3_600_000);
    tale.at(end - 2, json!({}));
    tale.at(end - 1, json!({}));
    assert_eq!(tale.at(end, json!({})), ["1800000: fired 2", "gathering the window has 1"]);
    assert_eq!(
        tale.pass(end + half),
        ["5400000: gathering the window ended with 1"],
        "the next one begins with the event at its edge"
    );
}

#[test]
fn a_session_ends_after_a_gap() {
    let mut tale = Tale::rule(
        r#"within: "1s", window: "session", having: |w| w.count >= 2, then: |e, m| log(`${m.window.count}`)"#,
    );
    tale.at(0, json!({}));
    tale.at(999, json!({}));
    assert_eq!(tale.pass(1_998), NOTHING);
    assert_eq!(tale.at(1_999, json!({})), ["1999: fired 2", "gathering the window has 1"]);
    assert_eq!(tale.pass(5_000), ["2999: gathering the window ended with 1"]);
}

#[test]
fn a_full_window_says_so() {
    let mut tale = Tale::rule(r#"within: "1h", having: |w| w.count > 9999, then: |e| ()"#);
    for ms in 0..5_000 {
        tale.at(ms, json!({}));
    }
    assert_eq!(
        tale.at(5_000, json!({})),
        ["gathering the window has 5000 the window is full: 5000 samples are the most, and its 1 \
          oldest were let go"]
    );
}

#[test]
fn absence_fires_at_its_deadline_and_an_event_recovers_it() {
    let keys = r#"per: |e| e.k, absent: "1s", then: |e, m| log(`${m.key} is silent`),
                  recover: |e| log(`${e.k} is back`)"#;
    for (second, then) in [
        (999, vec!["a gathering a sign of life"]),
        (1_000, vec!["1000: a fired a is silent", "a recovered a is back"]),
        (1_001, vec!["1000: a fired a is silent", "a recovered a is back"]),
    ] {
        let mut tale = Tale::rule(keys);
        assert_eq!(tale.at(0, json!({"k": "a"})), ["a gathering a sign of life"]);
        assert_eq!(tale.at(second, json!({"k": "a"})), then, "{second}");
        assert_eq!(tale.pass(second + 999), NOTHING);
        assert_eq!(tale.pass(second + 1_000), [format!("{}: a fired a is silent", second + 1_000)]);
        assert_eq!(tale.pass(second + 9_000), NOTHING, "once");
    }
}

#[test]
fn absence_is_noticed_from_the_beginning() {
    let mut tale = Tale::rule(r#"absent: "1s", then: |e| log("silent")"#);
    assert_eq!(tale.pass(999), NOTHING);
    assert_eq!(tale.pass(1_000), ["1000: fired silent"]);
    let mut tale = Tale::rule(
        r#"absent: "1s", per: |e| e.k, expect: ["a", "b"], then: |e, m| log(`${m.key}`)"#,
    );
    tale.at(500, json!({"k": "b"}));
    assert_eq!(tale.pass(1_499), ["1000: a fired a"]);
    assert_eq!(tale.pass(9_000), ["1500: b fired b"]);
    let mut tale = Tale::rule(r#"absent: "1s", once: false, then: |e| log("silent")"#);
    assert_eq!(tale.pass(2_500), ["1000: fired silent", "2000: fired silent"]);
}

const A_THEN_B: &str = r#"per: |e| e.k, within: "1s",
    sequence: [#{ when: |e| e.s == "a" }, #{ when: |e| e.s == "b" }],
    then: |e, m| log(`${m.events.len()} ${m.events[0].n}`)"#;

#[test]
fn a_sequence_includes_its_end() {
    for (ms, then) in [
        (999, "x fired 2 1"),
        (1_000, "x fired 2 1"),
        (1_001, "x gathering 0 of 2 steps, this event is none of them"),
    ] {
        let mut tale = Tale::rule(A_THEN_B);
        assert_eq!(tale.at(0, json!({"k": "x", "s": "a", "n": 1})), ["x gathering 1 of 2 steps"]);
        assert_eq!(tale.at(ms, json!({"k": "x", "s": "b"})), [then], "{ms}");
        let events: &[u128] = if ms > 1_000 { &[] } else { &[1, 2] };
        assert_eq!(tale.events(), events);
    }
}

#[test]
fn a_sequence_finds_the_latest_begin_and_uses_events_once() {
    let mut tale = Tale::rule(A_THEN_B);
    tale.at(0, json!({"k": "x", "s": "a", "n": 1}));
    tale.at(900, json!({"k": "x", "s": "a", "n": 2}));
    assert_eq!(tale.at(1_500, json!({"k": "x", "s": "b"})), ["x fired 2 2"]);
    assert_eq!(
        tale.at(1_501, json!({"k": "x", "s": "b"})),
        ["x gathering 0 of 2 steps, this event is none of them"]
    );
    let mut tale = Tale::rule(A_THEN_B);
    tale.at(0, json!({"k": "x", "s": "b"}));
    assert_eq!(tale.at(1, json!({"k": "x", "s": "a", "n": 1})), ["x gathering 1 of 2 steps"]);
    assert_eq!(tale.at(2, json!({"k": "y", "s": "b"})).len(), 1);
    assert_eq!(tale.at(3, json!({"k": "x", "s": "b"})), ["x fired 2 1"]);
    assert_eq!(tale.pass(9_000), NOTHING);
}

#[test]
fn a_step_that_must_not_happen_ends_a_sequence() {
    let mut tale = Tale::rule(
        r#"within: "1s", sequence: [
            #{ when: |e| e.s == "a" }, #{ not: true, when: |e| e.s == "no" }, #{ when: |e| e.s == "b" },
        ], then: |e| log("a, b")"#,
    );
    tale.at(0, json!({"s": "a"}));
    tale.at(1, json!({"s": "no"}));
    assert_eq!(
        tale.at(2, json!({"s": "b"})),
        ["gathering 0 of 2 steps, this event is none of them"]
    );
    tale.at(3, json!({"s": "a"}));
    assert_eq!(tale.at(4, json!({"s": "b"})), ["fired a, b"]);
}

#[test]
fn what_does_not_follow_in_time_fires_at_the_end() {
    let keys = r#"within: "1s", sequence: [#{ when: |e| e.s == "a" }, #{ not: true, when: |e| e.s == "b" }],
                  then: |e| log("no b")"#;
    for (ms, then) in [(999, NOTHING.as_slice()), (1_000, &["1000: fired no b"])] {
        let mut tale = Tale::rule(keys);
        tale.at(0, json!({"s": "a"}));
        let mut said = tale.at(ms, json!({"s": "b"}));
        said.pop();
        assert_eq!(said, then, "{ms}");
        assert_eq!(tale.pass(9_000), NOTHING);
    }
}

#[test]
fn another_begin_does_not_put_off_what_has_to_follow() {
    let mut tale = Tale::rule(
        r#"within: "1s", sequence: [#{ when: |e| e.s == "a" }, #{ not: true, when: |e| e.s == "b" }],
           then: |e, m| log(`no b after ${m.events[0].n}`)"#,
    );
    for (n, ms) in [0, 600, 900].into_iter().enumerate() {
        assert_eq!(tale.at(ms, json!({"s": "a", "n": n})).len(), 1);
    }
    assert_eq!(tale.pass(1_000), ["1000: fired no b after 0"]);
    assert_eq!(tale.events(), [1]);
    assert_eq!(tale.pass(9_000), NOTHING, "the first stands for all of its second");
    tale.at(10_000, json!({"s": "a", "n": 4}));
    tale.at(10_500, json!({"s": "a", "n": 5}));
    tale.at(10_600, json!({"s": "b"}));
    assert_eq!(tale.pass(19_000), NOTHING, "b answers all of them");
    let mut tale = Tale::rule(
        r#"within: "1s", sequence: [
            #{ when: |e| e.s == "a" }, #{ when: |e| e.s == "b" }, #{ not: true, when: |e| e.s == "c" }],
           then: |e, m| log("no c")"#,
    );
    for (ms, step) in [(0, "a"), (100, "b"), (200, "a"), (300, "b")] {
        tale.at(ms, json!({"s": step}));
    }
    assert_eq!(tale.pass(1_000), ["1000: fired no c"]);
    assert_eq!(tale.events(), [1, 2]);
}

#[test]
fn all_of_joins_in_any_order_and_includes_its_end() {
    let keys = r#"within: "1s", per: |e| e.k, all_of: [
        #{ on: "t.a" }, #{ on: "t.b", when: |e| e.n > 1 }, #{ on: "t.c" }],
        then: |e, m| log(m.events.map(|x| `${x.n}`).reduce(|s, x| s + x, ""))"#;
    for (ms, fires) in [(999, true), (1_000, true), (1_001, false)] {
        let mut tale = Tale::of(&format!("rule(\"r\", #{{ {keys} }});"));
        tale.on("t.c", 0, json!({"k": 1, "n": 3}));
        assert_eq!(tale.on("t.b", 1, json!({"k": 1, "n": 1})).len(), 1, "its step says no");
        tale.on("t.b", 2, json!({"k": 1, "n": 2}));
        tale.on("t.a", 3, json!({"k": 2, "n": 9}));
        let said = tale.on("t.a", ms, json!({"k": 1, "n": 1}));
        let last = said.last().unwrap();
        assert_eq!(last == "1 fired 321", fires, "{said:?}");
        if fires {
            assert_eq!(tale.events(), [1, 3, 5], "in the order of arrival");
        }
    }
}

#[test]
fn one_event_fills_one_place() {
    let mut tale = Tale::rule(
        r#"within: "1s", all_of: [#{ when: |e| e.n > 0 }, #{ when: |e| e.n > 1 }], then: |e| log("both")"#,
    );
    assert_eq!(tale.at(0, json!({"n": 2})), ["gathering 1 of 2"]);
    assert_eq!(tale.at(1, json!({"n": 2})), ["fired both"]);
    assert_eq!(tale.at(2, json!({"n": 2})), ["gathering 1 of 2"], "and is used up");
}

#[test]
fn all_of_finds_each_event_the_place_that_it_is_needed_in() {
    let any = |e: &str| format!("#{{ when: |e| {e} }}");
    let rule = |steps: &[&str]| {
        let steps: Vec<String> = steps.iter().map(|step| any(step)).collect();
        Tale::rule(&format!(
            "within: \"1s\", all_of: [{}], then: |e| log(\"all\")",
            steps.join(", ")
        ))
    };
    let mut tale = rule(&["e.n > 0", "e.n > 1"]);
    assert_eq!(tale.at(0, json!({"n": 2})), ["gathering 1 of 2"]);
    assert_eq!(tale.at(1, json!({"n": 1})), ["fired all"], "the first is needed for `> 1`");
    assert_eq!(tale.events(), [1, 2]);
    let mut tale = rule(&["e.n > 0", "e.n > 1", "e.n > 2"]);
    for ms in [0, 1] {
        let have = ms + 1;
        assert_eq!(tale.at(ms, json!({"n": 3})), [format!("gathering {have} of 3")]);
    }
    assert_eq!(tale.at(2, json!({"n": 1})), ["fired all"]);
    assert_eq!(tale.pass(9_000), NOTHING);
    assert!(tale.simulation().memories().rules().next().is_none(), "nothing is left");
    let mut tale = rule(&["e.n > 0", "e.n > 1"]);
    tale.at(0, json!({"n": 1}));
    tale.at(500, json!({"n": 1}));
    assert_eq!(tale.at(1_400, json!({"n": 2})), ["fired all"]);
    assert_eq!(tale.events(), [2, 3], "the latest that does");
    let mut tale = rule(&["true", "true", "true"]);
    for ms in [0, 800, 1_100] {
        assert_eq!(tale.at(ms, json!({})).len(), 1);
    }
    assert_eq!(tale.at(1_200, json!({})), ["fired all"], "three of the last second");
    assert_eq!(tale.events(), [2, 3, 4]);
}

#[test]
fn all_of_joins_late_events_that_lie_within_its_span() {
    for (happened, then) in [(9_000, "fired both"), (8_999, "gathering 1 of 2")] {
        let mut tale = Tale::rule(
            r#"within: "1s", lateness: "2s", all_of: [#{ when: |e| e.s == "a" }, #{ when: |e| e.s == "b" }],
               then: |e| log("both")"#,
        );
        tale.at(10_000, json!({"s": "a"}));
        tale.happened = Some(happened);
        assert_eq!(tale.at(10_001, json!({"s": "b"})), [then], "{happened}");
    }
}

#[test]
fn a_debounce_hands_over_the_whole_burst() {
    let mut tale = Tale::rule(
        r#"per: |e| e.k, debounce: "1s", then: |e, m| log(`${m.events.len()}, last ${e.n}`)"#,
    );
    assert_eq!(tale.at(0, json!({"k": "a", "n": 1})), ["a gathering a burst of 1"]);
    assert_eq!(tale.at(999, json!({"k": "a", "n": 2})), ["a gathering a burst of 2"]);
    assert_eq!(tale.pass(1_998), NOTHING);
    assert_eq!(
        tale.at(1_999, json!({"k": "a", "n": 3})),
        ["1999: a fired 2, last 2", "a gathering a burst of 1"]
    );
    assert_eq!(tale.pass(9_000), ["2999: a fired 1, last 3"]);
    assert_eq!(tale.events(), [3]);
}

#[test]
fn samples_alarm_when_all_breach_and_end_when_none_does() {
    let mut tale = high(r#"samples: 3, recover: |e| log("ok")"#);
    let mut at = 0;
    let mut say = |n: i64| {
        at += 1;
        tale.at(at, json!({"k": "a", "n": n})).join("; ")
    };
    let told = [90, 90, 1, 90, 90, 90, 90, 1, 1, 90, 1, 1, 1, 1].map(&mut say);
    let gathering = |breach: usize| format!("a gathering {breach} of the last 3 breach");
    let mut expected = vec![gathering(1)];
    expected.extend(vec![gathering(2); 4]);
    expected.push("a fired a 90".to_owned());
    expected.extend(vec!["a still_true 6".to_owned(); 6]);
    expected.extend(["a recovered ok".to_owned(), String::new()]);
    assert_eq!(told.to_vec(), expected);
}

#[test]
fn a_storm_is_kept_and_released() {
    let mut tale = high(r#"budget: #{ count: 2, per: "1s", release: "10s" }"#);
    for (ms, key) in [(0, "a"), (1, "b")] {
        assert_eq!(tale.at(ms, json!({"k": key, "n": 80})), [format!("{key} fired {key} 80")]);
    }
    assert_eq!(
        tale.at(2, json!({"k": "c", "n": 80})),
        ["c quarantined 10002 core.rule_quarantined"]
    );
    for ms in [3, 5_000] {
        let said = tale.at(ms, json!({"k": "d", "n": ms + 80}));
        assert_eq!(said, ["d quarantined 10002"], "{ms}");
    }
    assert_eq!(tale.pass(10_001), NOTHING);
    assert_eq!(tale.pass(10_002), ["10002: c fired c 80", "10002: d fired d 83"]);
    assert_eq!(tale.pass(11_001), NOTHING);
    assert_eq!(tale.pass(11_002), ["11002: d fired d 5080"]);
    assert_eq!(tale.at(11_500, json!({"k": "e", "n": 80})), ["e fired e 80"]);
    assert_eq!(tale.pass(99_000), NOTHING);
    assert!(tale.simulation().memories().rules().next().is_none());
}

#[test]
fn events_that_come_late_find_their_place_or_are_counted() {
    let mut tale = Tale::rule(
        r#"within: "1s", lateness: "500ms", having: |w| w.first("n") == 1, then: |e| log("in order")"#,
    );
    tale.at(1_000, json!({"n": 2}));
    tale.happened = Some(500);
    assert_eq!(tale.at(1_000, json!({"n": 1})), ["fired in order"]);
    tale.happened = Some(499);
    assert_eq!(tale.at(1_000, json!({"n": 0})), ["late 1"]);
    tale.happened = Some(99_000);
    assert_eq!(tale.at(1_001, json!({"n": 3})), ["still_true 1000"], "a clock ahead counts as now");
}

#[test]
fn a_shadow_remembers_and_does_nothing() {
    let mut tale = high(r#"shadow: true, until: |e| e.n < 10, recover: |e| log("no")"#);
    assert_eq!(tale.at(0, json!({"k": "a", "n": 80})), ["a shadowed a 80"]);
    assert_eq!(tale.at(1, json!({"k": "a", "n": 80})), ["a still_true 0"]);
    assert_eq!(tale.at(2, json!({"k": "a", "n": 0})), ["a recovered a shadow does nothing"]);
}

#[test]
fn an_error_takes_its_turn_once() {
    let mut tale = Tale::rule(r#"when: |e| e.n > 1, hold: "1s", then: |e| throw "no""#);
    tale.at(0, json!({"n": 2}));
    assert_eq!(tale.pass(9_000), ["1000: error no"]);
    let mut tale = Tale::rule(r#"within: "1s", having: |w| w.count, then: |e| ()"#);
    assert_eq!(tale.at(0, json!({})), ["error `having` gave an integer, not true or false"]);
}

#[test]
fn loops_are_stopped_with_memory_too() {
    let mut tale = high(r#"hold: "1s""#);
    tale.hops = ifso::model::cause::MAX_HOPS;
    tale.at(0, json!({"k": "a", "n": 80}));
    assert_eq!(tale.pass(9_000), ["1000: a loop_stopped"]);
}

/// Open from 00:00:01 to 00:00:02 of each day.
fn one_second() -> Calendar {
    Calendar {
        about: String::new(),
        zone: TimeZone::UTC,
        open: vec![Window { days: [true; 7], from: 1, to: 2 }],
        closed: Vec::new(),
        place: Place::file("calendars/second.yaml"),
    }
}

#[test]
fn a_rule_keeps_to_its_calendar_and_an_edge_waits_for_it() {
    let rule = |keys: &str| {
        let text = format!("rule(\"r\", #{{ on: \"t.x\", {HIGH}, {keys} }});");
        Tale::with(Story::new().calendar("site.second", one_second()).rules(&text).set)
    };
    let high = || json!({"k": "a", "n": 80});
    let mut tale = rule("active: \"second\"");
    assert_eq!(tale.at(999, high()), ["a inactive 1000"]);
    assert_eq!(tale.at(1_000, high()), ["a fired a 80"]);
    assert_eq!(tale.at(1_999, high()), ["a fired a 80"]);
    assert_eq!(tale.at(2_000, high()), ["a inactive 86401000"]);
    let mut tale = rule("active: \"!second\"");
    assert_eq!(tale.at(999, high()), ["a fired a 80"]);
    assert_eq!(tale.at(1_000, high()), ["a inactive 2000"]);
    let mut tale = rule("active: [\"second\"], hold: \"100ms\"");
    tale.at(0, high());
    assert_eq!(tale.pass(999), ["100: a inactive 1000"]);
    assert_eq!(tale.pass(1_000), ["1000: a fired a 80"], "it is true still");
    let mut tale = rule("active: \"second\", once: true");
    tale.at(500, high());
    tale.at(999, json!({"k": "a", "n": 1}));
    assert_eq!(tale.pass(9_000), NOTHING, "and is not any more");
}

#[test]
fn every_story_goes_the_same_way_when_ifso_dies_between_any_two_steps() {
    let stories: &[fn()] = &[
        hold_fires_when_it_was_true_for_that_long,
        a_break_one_millisecond_before_the_end_ends_the_hold,
        keys_hold_each_for_themselves,
        silence_breaks_a_hold_that_says_so,
        until_is_hysteresis_and_recover_answers_it,
        without_memory_a_rule_fires_each_time,
        a_cool_down_is_half_open_and_an_edge_waits_for_its_end,
        a_limit_drops_what_is_too_much,
        a_limit_may_queue,
        a_sliding_window_is_half_open,
        a_window_fires_once_until_samples_leave_it,
        a_window_knows_its_figures,
        a_tumbling_window_is_judged_at_its_end,
        a_session_ends_after_a_gap,
        a_full_window_says_so,
        absence_fires_at_its_deadline_and_an_event_recovers_it,
        absence_is_noticed_from_the_beginning,
        a_sequence_includes_its_end,
        a_sequence_finds_the_latest_begin_and_uses_events_once,
        a_step_that_must_not_happen_ends_a_sequence,
        what_does_not_follow_in_time_fires_at_the_end,
        another_begin_does_not_put_off_what_has_to_follow,
        all_of_joins_in_any_order_and_includes_its_end,
        one_event_fills_one_place,
        all_of_finds_each_event_the_place_that_it_is_needed_in,
        all_of_joins_late_events_that_lie_within_its_span,
        a_debounce_hands_over_the_whole_burst,
        samples_alarm_when_all_breach_and_end_when_none_does,
        a_storm_is_kept_and_released,
        events_that_come_late_find_their_place_or_are_counted,
        a_shadow_remembers_and_does_nothing,
        an_error_takes_its_turn_once,
        loops_are_stopped_with_memory_too,
        a_rule_keeps_to_its_calendar_and_an_edge_waits_for_it,
    ];
    for story in stories {
        dying(*story);
    }
}

#[test]
fn after_a_start_absence_counts_from_the_start() {
    let mut tale = Tale::rule(r#"absent: "1s", per: |e| e.k, then: |e, m| log(m.key)"#);
    tale.at(0, json!({"k": "a"}));
    tale.later(5_000);
    tale.restart(Moment::Start);
    assert_eq!(tale.pass(5_999), NOTHING, "nobody listened while Ifso was down");
    assert_eq!(tale.pass(6_000), ["6000: a fired a"]);
}

#[test]
fn a_hold_that_ended_while_ifso_was_down_fires_at_its_time() {
    let mut tale = high(r#"hold: "1s""#);
    tale.at(0, json!({"k": "a", "n": 80}));
    tale.later(5_000);
    tale.restart(Moment::Start);
    assert_eq!(tale.pass(5_000), ["1000: a fired a 80"]);
}

#[test]
fn a_reload_keeps_what_means_the_same() {
    let hold = r#"per: |e| e.k, when: |e| e.n >= 80, hold: "1s""#;
    let reloaded = |to: &str| {
        let mut tale = Tale::rule(&format!("{hold}, then: |e| log(\"old\")"));
        tale.at(0, json!({"k": "a", "n": 80}));
        tale.at(1, json!({"k": "a", "n": 80}));
        tale.reload(to);
        tale.pass(9_000)
    };
    let same = format!("/* other words */ {hold}, then: |e| log(\"new\")");
    assert_eq!(reloaded(&same), ["1000: a fired new"], "another action");
    let longer = hold.replace("1s", "2s");
    assert_eq!(reloaded(&format!("{longer}, then: |e| ()")), ["2000: a fired"], "another span");
    let other = hold.replace("80", "70");
    assert_eq!(reloaded(&format!("{other}, then: |e| ()")), NOTHING, "another condition");
    let key = hold.replace("e.k", "e.n");
    assert_eq!(reloaded(&format!("{key}, then: |e| ()")), NOTHING, "another key");
    assert_eq!(reloaded(&format!("{hold}, enabled: false, then: |e| ()")), NOTHING);
}

#[test]
fn a_reload_remembers_what_has_fired_under_another_condition() {
    let mut tale = high("once: true");
    tale.at(0, json!({"k": "a", "n": 80}));
    let lower = HIGH.replace("80", "70");
    tale.reload(&format!("{lower}, once: true"));
    assert_eq!(tale.at(1, json!({"k": "a", "n": 75})), ["a still_true 0"]);
}

#[test]
fn what_a_reload_does_to_memory_is_told_before() {
    let mut tale = high(r#"hold: "1s""#);
    tale.at(0, json!({"k": "a", "n": 80}));
    tale.at(0, json!({"k": "b", "n": 80}));
    let plan = |text: &str| {
        let set = Story::new().rules(&format!("rule(\"r\", #{{ on: \"t.x\", {text} }});")).set;
        let plan = reload::plan(&set, tale.simulation().memories(), Moment::Reload);
        plan.iter()
            .map(|one| format!("{:?} {} {}", one.fate, one.keys, one.why))
            .collect::<Vec<_>>()
    };
    let other = HIGH.replace("80", "81");
    let told = [
        plan(&format!("{HIGH}, hold: \"2s\"")),
        plan(&format!("{other}, hold: \"1s\"")),
        plan(&HIGH.replace("per: |e| e.k", "per: |e| e.n")),
        plan(&format!("{HIGH}, enabled: false")),
    ];
    let expected = [
        "Kept 2 it means what it meant",
        "Migrated 2 its condition changed: what was open is dropped, firings are kept",
        "Dropped 2 `per` changed: its key means something else",
        "Dropped 2 its rule is disabled and hears nothing",
    ];
    assert_eq!(told, expected.map(|line| vec![line.to_owned()]));
}
