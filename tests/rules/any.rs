//! Any text compiles or says why not, and what compiles decides within its limits: the body of the
//! fuzz target `rule`, over texts made of a rule's own words.

use std::time::Instant;

use ifso::rules::Set;
use ifso::script::limits::{DECIDING, LOADING};
use proptest::prelude::{ProptestConfig, Strategy, proptest};
use proptest::sample::select;
use serde_json::json;

use super::Story;
use super::limits::BUSY;

const WORDS: &[&str] = &[
    "rule(\"r\", #{ on: \"t.x\", when: |e| ",
    "then: |e| ",
    " });",
    "e",
    ".n",
    ".list",
    ".o.deep",
    "e.s",
    "1",
    "2.5",
    "\"x\"",
    "()",
    "true",
    "false",
    " == ",
    " != ",
    " > ",
    " && ",
    " || ",
    "!",
    " + ",
    " * ",
    " in ",
    "..",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ", ",
    "; ",
    "|x| ",
    "x",
    "let x = ",
    "const C = ",
    "if ",
    " else ",
    "loop { ",
    "while true { ",
    "for x in ",
    "switch e { 1 => ",
    "fn f(x) ",
    "f(",
    "f.call(",
    "import \"lib\" as l; ",
    "l::v",
    "run(\"a.b\", #{",
    "emit(\"t.x\", ",
    "notify(\"c\", ",
    "set(\"k\", ",
    "log(",
    "now()",
    "config(\"a\")",
    ".filter(",
    ".map(",
    ".len()",
    ".push(",
    "`${",
    "}`",
    " = ",
    " += ",
    "return ",
    "throw ",
    "try { ",
    " catch { ",
    "until",
    "default",
    "_",
    "#{",
    "a: ",
];

fn text() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(select(WORDS), 0..24);
    words.prop_map(|words| words.concat())
}

fn body() -> impl Strategy<Value = String> {
    (text(), text()).prop_map(|(when, then)| {
        format!("rule(\"r\", #{{ on: \"t.x\", when: |e| {{ {when} }}, then: |e| {{ {then} }} }});")
    })
}

fn holds(text: &str) {
    let mut story = Story::new().library("lib", "export const v = 5;");
    let begin = Instant::now();
    let compiled = story.compile(text);
    assert!(begin.elapsed() < LOADING.wall * BUSY, "{text}");
    match compiled {
        Err(problems) => assert!(!problems.is_empty(), "{text}"),
        Ok((rules, _)) => {
            let count = u32::try_from(rules.len()).unwrap();
            story.set = Set::new(rules.into_iter().map(Into::into).collect());
            let begin = Instant::now();
            drop(
                story.decide("t.x", json!({"n": 1, "s": "x", "list": [1, 2], "o": {"deep": null}})),
            );
            assert!(begin.elapsed() < DECIDING.wall * BUSY * (2 * count + 1), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_compiles_or_says_why(text in text()) {
        holds(&text);
    }

    #[test]
    fn any_closure_decides_or_says_why(text in body()) {
        holds(&text);
    }
}
