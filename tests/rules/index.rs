//! The index and the conditions asked without Rhai, against Rhai asked about every rule: made-up rules,
//! hostile events, the same decisions to the last word of an error.
//!
//! `INDEX_ROUNDS` makes more of them, `INDEX_SEED` others.

use std::sync::Arc;

use ifso::model::event::Event;
use ifso::model::rule::{Decision, Verdict};
use ifso::rules::{self, Memories, Set};
use serde_json::{Map, Value, json};

use super::Story;
use super::story::lines;

/// Rules of one round.
const RULES: usize = 60;
/// Events of one round.
const EVENTS: usize = 60;

/// What stands before the rules of every file.
const HEAD: &str = r#"
    import "thr" as t;
    const LIMIT = 3;
    const TENTH = 0.3;
    const NAMES = ["gold", "s", ""];
    const LEVELS = #{ low: -1, high: 3, name: "gold" };
    const RE = regex("^g.*d$");
    fn own(x) { x.a > 1 }
    fn risky(x) { x.s.trimmed() == "gold" }
    fn ends_with2() { true }
"#;

/// Small enough to read, good enough to mix.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const FIELDS: &[&str] = &[
    "e.a",
    "e.b",
    "e.s",
    "e.t",
    "e.f",
    "e.l",
    "e.o.x",
    "e.o.y.z",
    "e[\"odd-name\"]",
    "e.o[\"x\"]",
    "e.gone",
    "e.s.len",
    "m.source",
    "m.trigger",
    "m.subject",
    "m.time",
    "e?.o?.x",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-2",
    "3",
    "85",
    "85.0",
    "0.3",
    "1.0000000000000002",
    "1.0",
    "-0.5",
    "2.5",
    "1e15",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "9.3e18",
    "LIMIT",
    "TENTH",
    "LEVELS.high",
    "LEVELS.low",
    "t::GOLD",
    "global::LIMIT",
    "1.0 / 0.0",
];

const TEXTS: &[&str] = &[
    "\"gold\"",
    "\"go\"",
    "\"\"",
    "\"s\"",
    "\"silver\"",
    "'g'",
    "'s'",
    "LEVELS.name",
    "`g${\"ol\"}d`",
    "\"é\"",
    "\"test\"",
    "\"t.x\"",
    "\"old\"",
];

fn literal(dice: &mut Dice) -> &'static str {
    match dice.below(8) {
        0..4 => dice.of(NUMBERS),
        4..7 => dice.of(TEXTS),
        _ => dice.of(&["true", "false", "()", "[1]", "#{ k: 1 }", "LEVELS.none"]),
    }
}

fn leaf(dice: &mut Dice) -> String {
    let field = dice.of(FIELDS);
    let operator = dice.of(&["==", "!=", "<", "<=", ">", ">=", "=="]);
    match dice.below(24) {
        0..6 => format!("{field} {operator} {}", literal(dice)),
        6 => format!("{} {operator} {field}", literal(dice)),
        7 => format!("{field} in [{}, {}]", literal(dice), literal(dice)),
        8 => format!("{field} !in NAMES"),
        9 => format!(
            "{field} in {}..{}",
            dice.of(&["-2", "0", "LIMIT"]),
            dice.of(&["3", "85", "=85"])
        ),
        10 => format!("NAMES.contains({field})"),
        11 => format!("{} in {field}", literal(dice)),
        12 => format!("{field}.contains({})", dice.of(TEXTS)),
        13 => format!("{field}.starts_with({})", dice.of(TEXTS)),
        14 => format!("ends_with({field}, {})", dice.of(TEXTS)),
        15 => format!(
            "{field}.matches(\"{}\")",
            dice.of(&["^gold$", "o+l", "(gold|silver)x?", "[", "s", "(?i)GO", "^$"])
        ),
        16 => format!("RE.matches({field})"),
        17 => {
            format!("{field}.like(\"{}\")", dice.of(&["g*d", "*", "{gold,s}", "[gs]*", "go?d", ""]))
        }
        18 => format!("present({field})"),
        19 => field.to_owned(),
        20 => format!("{field} {operator} {}", dice.of(FIELDS)),
        21 => format!("{field}.len() {operator} {}", dice.of(&["0", "2", "LIMIT"])),
        22 => dice
            .of(&["own(e)", "risky(e)", "t::hot(e)", "true", "false", "e.ends_with2()"])
            .to_owned(),
        _ => dice
            .of(&[
                "e.a + 1 > 3",
                "e.f / 2 < 1.0",
                "e.l.some(|x| x == 1)",
                "(e.b ?? 3) == 3",
                "e.a % 2 == 0",
                "{ let x = e.a; x > 1 }",
            ])
            .to_owned(),
    }
}

fn condition(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.one_in(4) {
        return leaf(dice);
    }
    let mut parts = Vec::new();
    for _ in 0..dice.below(3) + 2 {
        parts.push(format!("({})", condition(dice, depth - 1)));
    }
    match dice.below(7) {
        0..4 => parts.join(" && "),
        4..6 => parts.join(" || "),
        _ => format!("!({})", condition(dice, depth - 1)),
    }
}

/// A file of rules: with a name, a trigger or glob, a condition, and now and then a key.
fn file(dice: &mut Dice) -> Vec<String> {
    let mut rules = Vec::new();
    for number in 0..RULES {
        let on = dice.of(&["\"t.x\"", "\"t.x\"", "\"t.*\"", "[\"t.x\", \"*.x\"]", "\"u.x\""]);
        let per = match dice.below(4) {
            0 => format!("per: |e, m| {},", dice.of(FIELDS)),
            1 => "per: |e| `${e.a}`,".to_owned(),
            _ => String::new(),
        };
        let when = match dice.below(20) {
            0 => String::new(),
            1..10 => {
                let first = dice.of(&[
                    "e.a == 1",
                    "e.s == \"gold\"",
                    "e.b in 3..9",
                    "e.t != () && e.f > 1",
                ]);
                format!("when: |e, m| {first} && ({}),", condition(dice, 2))
            }
            _ => format!("when: |e, m| {},", condition(dice, 3)),
        };
        let priority = dice.below(2);
        rules.push(format!(
            "rule(\"r{number}\", #{{ on: {on}, priority: {priority}, {when} {per} then: |e| log(\"x\") }});"
        ));
    }
    rules
}

fn number(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => json!(u64::MAX),
        1 => json!(9_223_372_036_854_775_808_u64),
        2 => json!(i64::MIN),
        3 => json!(9_007_199_254_740_993_i64),
        4 => json!(1e300),
        5 => json!(0.1 + 0.2),
        6 => json!(1.000_000_000_000_000_2),
        7 => json!(84.999_999_999_999_99),
        8 => json!(-0.0),
        9 => json!(85),
        10 => json!(999_999_999_999_999.9),
        _ => json!(i64::try_from(dice.below(9)).unwrap() - 3),
    }
}

fn value(dice: &mut Dice, depth: usize) -> Value {
    match dice.below(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3..7 => number(dice),
        7 if depth > 0 => (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect(),
        8 if depth > 0 => {
            let names = ["x", "y", "z", "len", "gold", ""];
            let entry = |dice: &mut Dice| (dice.of(&names).to_owned(), value(dice, depth - 1));
            let entries: Map<String, Value> = (0..dice.below(4)).map(|_| entry(dice)).collect();
            Value::Object(entries)
        }
        9 => json!("x".repeat(dice.below(600))),
        _ => {
            json!(dice.of(&["gold", "go", "", "silver", "s", "golden", "é", "old gold", "g\u{0}d"]))
        }
    }
}

fn data(dice: &mut Dice) -> Value {
    if dice.one_in(30) {
        return value(dice, 2);
    }
    let mut entries = Map::new();
    for name in ["a", "b", "s", "t", "f", "l", "odd-name"] {
        if !dice.one_in(5) {
            entries.insert(name.to_owned(), value(dice, 2));
        }
    }
    if !dice.one_in(4) {
        let inner = json!({ "x": value(dice, 1), "y": { "z": value(dice, 1) } });
        entries.insert("o".to_owned(), if dice.one_in(4) { value(dice, 2) } else { inner });
    }
    Value::Object(entries)
}

fn decide(story: &Story, set: &Set, event: &Event) -> (Vec<Decision>, usize) {
    let evaluation = rules::evaluate(set, event, &story.facts);
    let examined = evaluation.examined();
    let mut memories = Memories::new();
    let mut decisions = rules::decide(set, event, evaluation, &mut memories, &story.facts);
    // The version is the file's, which the negative control changes.
    for decision in &mut decisions {
        decision.version = "".into();
    }
    (decisions, examined)
}

/// The rules of a file that compile, since some shapes are refused when they are read.
fn compiled(story: &Story, rules: &[String]) -> Vec<Arc<rules::Rule>> {
    let text = |rules: &[String]| format!("{HEAD}{}", rules.join("\n"));
    let right: Vec<String> = rules
        .iter()
        .filter(|one| story.compile(&text(&[(*one).clone()])).is_ok())
        .cloned()
        .collect();
    let made =
        story.compile(&text(&right)).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    made.0.into_iter().map(Arc::new).collect()
}

fn home() -> Story {
    Story::new().library("thr", "export const GOLD = 85; fn hot(e) { e.a > 2 }")
}

#[derive(Debug, Default)]
struct Counts {
    pairs: usize,
    asked: usize,
    fired: usize,
    errors: usize,
    different: usize,
}

/// Compares two sets on the same events.
fn compare(story: &Story, sets: [&Set; 2], dice: &mut Dice, counts: &mut Counts) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..EVENTS {
        let mut event = story.event(dice.of(&["t.x", "t.x", "t.y", "u.x"]), data(dice));
        if dice.one_in(2) {
            event.subject = Some(dice.of(&["gold", "s"]).into());
        }
        let [(with, asked), (without, all)] = sets.map(|set| decide(story, set, &event));
        counts.pairs += all;
        counts.asked += asked;
        counts.fired += without.iter().filter(|d| d.verdict == Verdict::Fired).count();
        counts.errors +=
            without.iter().filter(|d| matches!(d.verdict, Verdict::Error { .. })).count();
        if with != without {
            counts.different += 1;
            let one = |d: &Decision| format!("{} {:?} {:?}", d.rule, d.key, d.verdict);
            let (with, without): (Vec<_>, Vec<_>) =
                (with.iter().map(one).collect(), without.iter().map(one).collect());
            let only = |a: &[String], b: &[String]| {
                a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>().join("\n  ")
            };
            found.push(format!(
                "on {} {}\n with index:\n  {}\n without:\n  {}",
                event.trigger,
                event.data,
                only(&with, &without),
                only(&without, &with)
            ));
        }
    }
    found
}

fn setting(name: &str, or: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    std::env::var(name).map_or(or, |text| text.parse().expect("a whole number"))
}

#[test]
fn a_rule_s_closure_may_be_another_one_s_helper() {
    let mut story = Story::new().rules(
        r#"
        fn check() { |x| x.a > 1 }
        fn inner() { |x| check().call(x) }
        let f = |x| x.a > 1;
        let list = [|x| x.a > 1];
        rule("one", #{ on: "t.x", when: check(), then: |e| log("1") });
        rule("two", #{ on: "t.x", when: |e| check().call(e), then: |e| log("2") });
        rule("three", #{ on: "t.x", when: |e| f.call(e), then: |e| log("3") });
        rule("four", #{ on: "t.x", when: f, then: |e| log("4") });
        rule("five", #{ on: "t.x", when: |e| list[0].call(e), then: |e| log("5") });
        rule("six", #{ on: "t.x", when: list[0], then: |e| log("6") });
        rule("seven", #{ on: "t.x", when: |e| inner().call(e), then: |e| log("7") });
        rule("eight", #{ on: "t.x", when: inner(), then: |e| log("8") });
        rule("nine", #{ on: "t.x", when: |e| e.l.some(|x| x == e.a), then: |e| log("9") });
        "#,
    );
    let mut logs = story.logs(json!({ "a": 2, "l": [1, 2] }));
    logs.sort();
    assert_eq!(logs, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(story.logs(json!({ "a": 0, "l": [1, 2] })), [""; 0]);
}

#[test]
fn large_events_are_decided_as_rhai_would() {
    let text = r#"
        rule("a", #{ on: "t.x", when: |e| e.s.starts_with("x"), then: |e| log("a") });
        rule("b", #{ on: "t.x", when: |e| e.s.contains("y") || e.n == 1, then: |e| log("b") });
        rule("c", #{ on: "t.x", when: |e| "i29999" in e.l, then: |e| log("c") });
        rule("d", #{ on: "t.x", when: |e| e.l.len() > 9 && e.s != "", then: |e| log("d") });
        rule("e", #{ on: "t.x", when: |e| e.s.matches("^x+$"), then: |e| log("e") });
        rule("f", #{ on: "t.x", when: |e| e.s in ["x", "y"] || present(e.l), then: |e| log("f") });
        rule("g", #{ on: "t.x", per: |e| e.l, when: |e| e.s > "a", then: |e| log("g") });
    "#;
    let story = Story::new();
    let made: Vec<_> = story.compile(text).unwrap().0.into_iter().map(Arc::new).collect();
    let (with, without) = (Set::new(made.clone()), Set::new(made).without_index());
    for (letters, items) in [(10, 10), (40_000, 900), (40_000, 30_000), (2_500_000, 1_100)] {
        let list: Vec<String> = (0..items).map(|number| format!("i{number}")).collect();
        let event = story.event("t.x", json!({ "s": "x".repeat(letters), "n": 1, "l": list }));
        let [with, without] = [&with, &without].map(|set| decide(&story, set, &event).0);
        let one = |all: &[Decision]| {
            all.iter().map(|d| format!("{} {:?}", d.rule, d.verdict)).collect::<Vec<_>>()
        };
        assert_eq!(one(&with), one(&without), "{letters} letters, {items} items");
    }
}

#[test]
fn a_rule_tells_how_it_is_found() {
    let text = r#"
        const LIMIT = 80;
        fn own(e) { true }
        rule("whole", #{ on: "t.x", then: |e| (),
            when: |e, m| e.tier == "gold" && e.used > LIMIT && e.n in 1..=5 && m.source != "x"
                && e.name.matches("pool-[0-9]+") && present(e.y) });
        rule("partly", #{ on: "t.x", then: |e| (),
            when: |e| e.tier in ["gold", "iron"] && (own(e) || e.n + 1 > 3) && e.deep["odd-name"].len() > 2 });
        rule("not", #{ on: "t.x", then: |e| (), when: |e| own(e, "a, (b") && e.tier == "gold" });
        rule("all", #{ on: "t.x", then: |e| () });
    "#;
    let (rules, _) = Story::new().compile(text).unwrap();
    let told: Vec<String> = rules
        .iter()
        .map(|rule| {
            let indexing = rule.indexed();
            let parts = indexing.parts.iter().map(|part| {
                let place = format!("{}:{}", part.line.unwrap(), part.column.unwrap());
                format!(
                    "  {place} {} [{:?}] {}",
                    part.text,
                    part.by,
                    part.why.as_deref().unwrap_or("")
                )
            });
            let head = format!("{} {:?}", rule.reference(), indexing.degree);
            std::iter::once(head).chain(parts).collect::<Vec<_>>().join("\n")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was compared")]
fn the_index_changes_no_decision() {
    let story = home();
    let mut counts = Counts::default();
    let seed = setting("INDEX_SEED", 1);
    for round in 0..setting("INDEX_ROUNDS", 8) {
        let mut dice = Dice::new(seed + round);
        let rules = file(&mut dice);
        let made = compiled(&story, &rules);
        let (with, without) = (Set::new(made.clone()), Set::new(made).without_index());
        let found = compare(&story, [&with, &without], &mut dice, &mut counts);
        let first = found.first().map(|found| {
            let named = |rule: &&String| {
                let name = rule.split('"').nth(1).unwrap();
                found.contains(&format!("site.{name} "))
            };
            format!(
                "{found}\n{}",
                rules.iter().filter(named).cloned().collect::<Vec<_>>().join("\n")
            )
        });
        assert!(found.is_empty(), "round {round}: {}", first.unwrap_or_default());
    }
    println!("{counts:?}");
    assert!(counts.fired > 100 && counts.errors > 100 && counts.asked < counts.pairs, "{counts:?}");
}

/// The negative control: where one operator of one rule in ten is another, the comparison above sees it.
#[test]
fn the_comparison_would_see_a_wrong_operator() {
    let story = home();
    let mut counts = Counts::default();
    for round in 0..4 {
        let mut dice = Dice::new(round);
        let rules = file(&mut dice);
        let mut wrong = rules.clone();
        for rule in wrong.iter_mut().step_by(10) {
            *rule = rule.replacen(" <= ", " < ", 1).replacen(" == ", " >= ", 1);
        }
        let with = Set::new(compiled(&story, &wrong));
        let without = Set::new(compiled(&story, &rules)).without_index();
        compare(&story, [&with, &without], &mut dice, &mut counts);
    }
    assert!(counts.different > 0, "{counts:?}");
}
