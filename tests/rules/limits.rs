//! A runaway rule is stopped, named, and delays others by no more than its limit.

use std::time::{Duration, Instant};

use ifso::model::rule::Verdict;
use ifso::script::limits::{DECIDING, LOADING};
use serde_json::{Value, json};

use super::Story;

/// By how much a busy machine may stretch a limit of wall time.
pub const BUSY: u32 = 40;

/// Bodies of `when` that want too much; none may end well by luck, so each ends with a text.
const HOSTILE: &[(&str, &str)] = &[
    ("endless loop", "loop {} \"\""),
    ("endless while", "while true { let x = 1; } \"\""),
    ("endless do", "do { } while true; \"\""),
    ("long range", "for i in 0..9_000_000_000 {} \"\""),
    ("long range, stepped", "for i in range(0, 9_000_000_000, 1) {} \"\""),
    ("range as sum", "let n = 0; for i in 0..1_000_000_000 { n += i; } \"\""),
    ("recursion", "deep(1)"),
    ("two that call each other", "ping(1)"),
    ("recursion through a closure", "let f = |f, n| f.call(f, n + 1); f.call(f, 1)"),
    ("doubling string", "let s = \"x\"; loop { s += s; }"),
    ("doubling string by copy", "let s = \"x\"; loop { s = s + s; }"),
    ("interpolated string", "let s = \"x\"; loop { s = `${s}${s}`; }"),
    ("padded string", "let s = \"\"; s.pad(100_000_000, 'x'); s"),
    ("padded by strings", "let s = \"\"; s.pad(1_000_000_000, \"xyz\"); s"),
    ("replace grows", "let s = \"xxxxxxxx\"; loop { s.replace(\"x\", \"xxxxxxxx\"); }"),
    ("padded array", "let a = []; a.pad(100_000_000, 1); \"\""),
    ("doubling array", "let a = [1]; loop { a += a; }"),
    ("array in array", "let a = [1]; loop { a = [a, a]; }"),
    ("array appended to itself", "let a = [1]; loop { a.append(a); }"),
    ("array of arrays pushed", "let a = []; loop { a.push(a); }"),
    ("splice", "let a = [1, 2]; loop { a.splice(0, 0, a); }"),
    ("map in map", "let m = #{a: 1}; loop { m = #{a: m, b: m}; }"),
    ("growing map", "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }"),
    ("recursion with arrays", "hoard(1)"),
    ("recursion with strings", "hoard_text(1)"),
    ("captured closures", "let fs = []; loop { let a = []; a.pad(900, 1); fs.push(|| a); }"),
    ("curried closures", "let f = |x| x; loop { let g = f; f = |y| [g, g]; f.call(1); }"),
    ("chain of closures", "let f = || 1; loop { let g = f; f = || g; }"),
    ("tree of closures", "let f = || 1; loop { let g = f; f = || [g, g].len(); }"),
    ("list of shared lists", "let a = []; loop { let b = a; let f = || b; a = [b]; }"),
    ("closure in its own capture", "let a = []; loop { let f = || a; a.push(f); }"),
    ("sort by a closure", "let a = []; a.pad(900, 1); loop { a.sort(|x, y| 1); }"),
    ("map over maps", "let a = []; a.pad(900, 1); a.map(|x| a.map(|y| a.map(|z| 1)))"),
    (
        "reduce",
        "let a = []; a.pad(900, 1); a.reduce(|s, x| s + a.reduce(|t, y| t + y, 0), 0); loop {}",
    ),
    ("split", "let s = \"\"; s.pad(30_000, 'x'); s.split(\"\")"),
    (
        "split by nothing, again",
        "let s = \"\"; s.pad(30_000, 'x'); loop { s.chars(); s.split(1); }",
    ),
    ("index of", "let s = \"\"; s.pad(30_000, 'x'); loop { s.index_of(\"xy\"); }"),
    ("many variables", "let a0 = 1; loop { eval_nothing(); let a1 = 1; }"),
    ("huge shift and power", "loop { let x = 2 ** 62; }"),
    ("division by zero", "1 / 0"),
    ("overflow", "9223372036854775807 + 1"),
    ("throw in a loop", "loop { try { throw 1; } catch (x) { } }"),
    ("catching the limit", "loop { try { loop {} } catch { } }"),
    ("switch loop", "let n = 0; loop { switch n { 1 => 2, _ => 3 } }"),
    ("to_string of nested", "let a = [1]; for i in 0..200 { a = [a]; } a.to_string()"),
    ("contains everywhere", "let a = []; a.pad(900, 1); loop { 2 in a; }"),
];

const FUNCTIONS: &str = r"
    fn deep(n) { deep(n + 1) + 1 }
    fn ping(n) { pong(n + 1) }
    fn pong(n) { ping(n + 1) }
    fn hoard(n) { let a = []; a.pad(900, n); let b = a; let c = a; let d = a; hoard(n + 1); a }
    fn hoard_text(n) { let a = ``; a.pad(30000, 'x'); let b = a + ``; b += `y`; hoard_text(n + 1); a }
    fn eval_nothing() { 1 }
";

fn story(body: &str) -> Story {
    Story::new().rules(&format!(
        "{FUNCTIONS}\nrule(\"bad\", #{{ on: \"t.x\", priority: 1, when: |e| {{ {body} }}, then: |e| () }});
        rule(\"good\", #{{ on: \"t.x\", then: |e| log(\"well\") }});"
    ))
}

#[test]
fn hostile_closures_end_within_the_limit_and_harm_nobody() {
    for (name, body) in HOSTILE {
        let mut story = story(body);
        let begin = Instant::now();
        let decisions = story.decide("t.x", Value::Null);
        let took = begin.elapsed();
        assert!(took < DECIDING.wall * BUSY, "{name}: {took:?}");
        assert_eq!(decisions.len(), 2, "{name}");
        let Verdict::Error { line: Some(_), column: Some(_), .. } = &decisions[0].verdict else {
            panic!("{name}: {:?}", decisions[0].verdict);
        };
        assert_eq!(decisions[1].verdict, Verdict::Fired, "{name}");
    }
}

#[test]
fn hostile_files_end_within_the_limit() {
    for (name, body) in HOSTILE {
        let begin = Instant::now();
        let compiled = Story::new().compile(&format!("{FUNCTIONS}\n{body};"));
        let took = begin.elapsed();
        assert!(took < LOADING.wall * BUSY, "{name}: {took:?}");
        drop(compiled);
    }
}

/// What a limit says. Which of several strikes first depends on how busy the machine is.
const SAID: &[&str] = &[
    "it takes too many operations",
    "it takes too long",
    "its functions call each other too deeply",
    "a text grows too long",
    "a list grows too large",
    "a map grows too large",
    "not true or false",
    "division by zero",
    "overflow",
    "its closure uses too",
];

#[test]
fn errors_of_limits_say_which_limit() {
    for (name, body) in HOSTILE {
        let decision = story(body).decide("t.x", json!({})).remove(0);
        let Verdict::Error { message, .. } = decision.verdict else { panic!("{name}") };
        assert!(SAID.iter().any(|said| message.contains(said)), "{name}: {message}");
    }
}

#[test]
fn nesting_is_refused_when_the_file_loads() {
    let parentheses = format!("let x = {}1{};", "(".repeat(500), ")".repeat(500));
    let lists = format!("let x = {}{};", "[".repeat(500), "]".repeat(500));
    let not = format!("let x = {}true;", "!".repeat(5_000));
    let sum = format!("let x = 1{};", " + 1".repeat(5_000));
    let chain = format!("let x = #{{}}; x{};", ".a".repeat(5_000));
    let blocks = format!("{}{}", "{".repeat(5_000), "}".repeat(5_000));
    let ifs = "if true {} else ".repeat(5_000) + "{}";
    let closures = format!("let f = {}1;", "|x| ".repeat(3_000));
    for text in [parentheses, lists, not, sum, chain, blocks, ifs, closures] {
        let begin = Instant::now();
        drop(Story::new().compile(&text));
        assert!(begin.elapsed() < Duration::from_secs(5), "{}", &text[..40]);
    }
}

#[test]
fn what_a_rule_captures_is_bounded() {
    let tail = "rule(\"r\", #{ on: \"t.x\", then: |e| log(`${f.call()}`) });";
    let chain = format!("let f = || 1; for i in 0..5_000 {{ let g = f; f = || g; }} {tail}");
    let tree =
        format!("let f = || 1; for i in 0..40 {{ let g = f; let h = f; f = || [g, h]; }} {tail}");
    for text in [chain, tree] {
        let problems = Story::new().compile(&text).unwrap_err();
        assert!(problems[0].message.contains("a rule may capture"), "{problems:?}");
    }
}

#[test]
fn events_larger_than_a_script_may_build_can_be_asked() {
    let data = json!({"text": "x".repeat(200_000), "list": vec![7; 5_000], "n": 7});
    for condition in [
        "e.text.len() == 200_000",
        "e.text.starts_with(\"xx\") && !e.text.contains(\"y\") && e.text != \"\"",
        "e.list.len() == 5_000 && e.list[4_999] == e.n",
        "e.list.some(|x| x == e.n) && 7 in e.list",
        "e.text.matches(\"^x+$\")",
    ] {
        assert!(Story::new().when(condition).fires(data.clone()), "{condition}");
    }
}
