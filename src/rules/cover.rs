//! What an event must have for a condition to be true on it, or to fail: the index files a rule under
//! that. It may promise too much (the condition is asked afterwards), never too little.
//!
//! Failures count as much as matches, since a rule that fails on an event says so. A condition fails
//! where a part fails that is reached, so `e.kind == "disk" && e.name.starts_with("a")` needs a disk
//! either way, and `e.name.starts_with("a") && e.kind == "disk"` fails on everything without a name.

use regex_syntax::hir::{Hir, HirKind};

use crate::rules::condition::{Condition, Kind, Literal, Operator, Pattern, Test};
use crate::rules::field::{Seen, kinds};
use crate::rules::hash::{hash, hash_text, mix};

/// Clauses of one rule at most; one with more is asked about every event.
const CLAUSES_LIMIT: usize = 64;
/// Clauses that two parts of a conjunction may make together; beyond it one of them is left out.
const PRODUCT_LIMIT: usize = 16;
/// Values or words that one need lists at most.
const VALUES_LIMIT: usize = 64;
/// Integers up to here equal only floats that round to them, with Rhai's tolerance.
const EXACT: i64 = 1_000_000_000_000_000;

/// Needs that an event must fulfil together. Without any it is every event.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Clause {
    pub(crate) needs: Vec<Need>,
}

/// One thing that an event must have. Fields are numbers into the fields of the rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Need {
    /// The field is one of these values, by their hashes.
    Equal { field: u16, hashes: Vec<u64> },
    /// The field is a number of this interval, which is wider than asked for by any tolerance.
    Between { field: u16, low: f64, high: f64 },
    /// One of these words stands in the text, or in a text of the list, or in a key of the map.
    Finds { field: u16, words: Vec<Word> },
    /// The field is of none of these kinds.
    Not { field: u16, kinds: u8 },
}

/// A piece of text, and where it must stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Word {
    pub(crate) text: Box<str>,
    pub(crate) at: At,
}

/// Where a word must stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Start,
    End,
    Anywhere,
}

type Clauses = Vec<Clause>;

/// The clauses of which an event must fulfil one for the condition to be true or to fail.
pub(crate) fn cover(condition: &Condition) -> Vec<Clause> {
    let mut clauses = union([truth(condition, true), failure(condition)]);
    clauses.shrink_to_fit();
    clauses
}

fn any() -> Clauses {
    vec![Clause::default()]
}

fn one(need: Need) -> Clauses {
    vec![Clause { needs: vec![need] }]
}

fn union(parts: impl IntoIterator<Item = Clauses>) -> Clauses {
    let mut all: Clauses = Vec::new();
    for clause in parts.into_iter().flatten() {
        if clause.needs.is_empty() || all.len() >= CLAUSES_LIMIT {
            return any();
        }
        if !all.contains(&clause) {
            all.push(clause);
        }
    }
    all
}

/// Both; where that would be too many clauses, the better of the two.
fn both(left: Clauses, right: Clauses) -> Clauses {
    if left.is_empty() || right.is_empty() {
        return Vec::new();
    }
    if left.len() * right.len() > PRODUCT_LIMIT {
        let vague = |clauses: &Clauses| clauses.iter().any(|clause| clause.needs.is_empty());
        let first = !vague(&left) && (vague(&right) || left.len() <= right.len());
        return if first { left } else { right };
    }
    let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
    pairs.map(|(left, right)| Clause { needs: [&*left.needs, &*right.needs].concat() }).collect()
}

/// When a condition is `wanted`.
pub(crate) fn truth(condition: &Condition, wanted: bool) -> Clauses {
    match &condition.kind {
        Kind::Constant(answer) => {
            if *answer == wanted {
                any()
            } else {
                Vec::new()
            }
        }
        Kind::Not(part) => truth(part, !wanted),
        Kind::All(parts) if wanted => every(parts, wanted),
        Kind::Any(parts) if !wanted => every(parts, wanted),
        Kind::All(parts) | Kind::Any(parts) => union(parts.iter().map(|part| truth(part, wanted))),
        Kind::Compare { field, operator, literal } => compared(*field, *operator, literal, wanted),
        Kind::Flag { field } => equal(*field, &[Literal::Flag(wanted)]),
        Kind::Present { field } if !wanted => equal(*field, &[Literal::Nothing]),
        Kind::Present { field } => one(Need::Not { field: *field, kinds: kinds::NOTHING }),
        leaf if wanted => found(leaf),
        _ => any(),
    }
}

fn every(parts: &[Condition], wanted: bool) -> Clauses {
    parts.iter().fold(any(), |all, part| both(all, truth(part, wanted)))
}

/// When the other leaves are true.
fn found(leaf: &Kind) -> Clauses {
    match leaf {
        Kind::Among { field, set } => equal(*field, set),
        Kind::Within { field, first, last, .. } => {
            let (low, high) = (wide(whole(*first)).0, wide(whole(*last)).1);
            one(Need::Between { field: *field, low, high })
        }
        Kind::Text { field, test, text } => {
            let at = if *test == Test::StartsWith { At::Start } else { At::End };
            finds(*field, vec![Word { text: text.clone(), at }])
        }
        Kind::Holds { field, item: Literal::Text(text) } => {
            finds(*field, vec![Word { text: text.clone(), at: At::Anywhere }])
        }
        Kind::Matches { field, pattern } => {
            let all = words(pattern).into_iter().map(|words| finds(*field, words));
            all.fold(any(), both)
        }
        _ => any(),
    }
}

fn finds(field: u16, words: Vec<Word>) -> Clauses {
    if words.len() > VALUES_LIMIT || words.iter().any(|word| word.text.is_empty()) {
        return any();
    }
    one(Need::Finds { field, words })
}

fn equal(field: u16, literals: &[Literal]) -> Clauses {
    let hashes: Option<Vec<u64>> = literals.iter().map(hash_of_literal).collect();
    match hashes {
        Some(hashes) if hashes.len() <= VALUES_LIMIT => one(Need::Equal { field, hashes }),
        _ => any(),
    }
}

fn compared(field: u16, operator: Operator, literal: &Literal, wanted: bool) -> Clauses {
    use Operator as O;
    let number = match literal {
        Literal::Whole(number) => Some(whole(*number)),
        Literal::Real(real) => Some(*real),
        _ => None,
    };
    let between = |low, high| one(Need::Between { field, low, high });
    match (operator, wanted, number.map(wide)) {
        // Infinities and NaN follow Rhai's formula to nowhere.
        (.., Some((low, high))) if !low.is_finite() || !high.is_finite() => any(),
        (O::Equal, true, number) | (O::Unequal, false, number) => {
            match (hash_of_literal(literal), number) {
                (None, Some((low, high))) => between(low, high),
                _ => equal(field, std::slice::from_ref(literal)),
            }
        }
        (O::More | O::AtLeast, true, Some((low, _))) => between(low, f64::INFINITY),
        (O::Less | O::AtMost, true, Some((_, high))) => between(f64::NEG_INFINITY, high),
        _ => any(),
    }
}

/// When a condition fails, on events without odd values: those the index treats apart.
fn failure(condition: &Condition) -> Clauses {
    let not = |field: u16, kinds: u8| one(Need::Not { field, kinds });
    match &condition.kind {
        Kind::All(parts) => fails_at_one_of(parts, true),
        Kind::Any(parts) => fails_at_one_of(parts, false),
        Kind::Not(part) => failure(part),
        Kind::Opaque { .. } => any(),
        Kind::Text { field, .. } | Kind::Matches { field, .. } => not(*field, kinds::TEXT),
        Kind::Flag { field } => not(*field, kinds::FLAG),
        Kind::Holds { field, item: Literal::Text(_) } => {
            not(*field, kinds::NOTHING | kinds::LIST | kinds::TEXT | kinds::MAP)
        }
        Kind::Holds { field, .. } => not(*field, kinds::NOTHING | kinds::LIST),
        Kind::Length { field, .. } => not(*field, kinds::TEXT | kinds::LIST | kinds::MAP),
        // Two lists or two maps.
        Kind::Fields { left, .. } => not(*left, !(kinds::LIST | kinds::MAP)),
        _ => Vec::new(),
    }
}

/// A part fails, and those before it are as they must be to reach it.
fn fails_at_one_of(parts: &[Condition], passed: bool) -> Clauses {
    let mut before = any();
    let mut all = Vec::new();
    for part in parts {
        all.push(both(before.clone(), failure(part)));
        before = both(before, truth(part, passed));
    }
    union(all)
}

#[expect(clippy::cast_precision_loss, reason = "an interval is widened by more than that")]
fn whole(number: i64) -> f64 {
    number as f64
}

/// An interval around a number, wider than any tolerance of a comparison.
fn wide(number: f64) -> (f64, f64) {
    let more = number.abs() * 1e-12 + 1e-12;
    (number - more, number + more)
}

/// What a regular expression or glob needs to find: of each list one word.
fn words(pattern: &Pattern) -> Vec<Vec<Word>> {
    let found = if pattern.is_glob {
        glob_words(&pattern.text)
    } else {
        regex_syntax::parse(&pattern.text).map(|hir| required(&hir)).unwrap_or_default()
    };
    let word = |text: String| Word { text: text.into(), at: At::Anywhere };
    found.into_iter().map(|words| words.into_iter().map(word).collect()).collect()
}

/// The texts that every match contains: of each list one.
fn required(hir: &Hir) -> Vec<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            String::from_utf8(literal.0.to_vec()).map(|text| vec![vec![text]]).unwrap_or_default()
        }
        HirKind::Capture(group) => required(&group.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => required(&repeated.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(required).collect(),
        HirKind::Alternation(parts) => {
            // The longest text of each, if each has one.
            let longest = |part| required(part).into_iter().max_by_key(|words| shortest(words));
            let all: Option<Vec<Vec<String>>> = parts.iter().map(longest).collect();
            all.map(|all| vec![all.concat()]).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn shortest(words: &[String]) -> usize {
    words.iter().map(String::len).min().unwrap_or(0)
}

/// The plain pieces of a glob, up to where it has alternatives or escapes.
fn glob_words(glob: &str) -> Vec<Vec<String>> {
    let plain = glob.split(['{', '\\']).next().unwrap_or_default();
    let mut words = Vec::new();
    let mut inside = false;
    let mut word = String::new();
    for letter in plain.chars() {
        if inside {
            inside = letter != ']';
        } else if matches!(letter, '*' | '?' | '[') {
            inside = letter == '[';
            words.push(std::mem::take(&mut word));
        } else {
            word.push(letter);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words.into_iter().map(|word| vec![word]).collect()
}

/// The hash of a literal; what equals it has the same. Nothing where that cannot be promised.
fn hash_of_literal(literal: &Literal) -> Option<u64> {
    match literal {
        Literal::Nothing => hash(Seen::Nothing),
        Literal::Flag(flag) => hash(Seen::Flag(*flag)),
        Literal::Whole(number) => {
            (-EXACT..=EXACT).contains(number).then(|| hash(Seen::Whole(*number)))?
        }
        Literal::Real(real) => {
            (real.fract() == 0.0 && real.abs() <= whole(EXACT)).then(|| hash(Seen::Real(*real)))?
        }
        Literal::Letter(letter) => hash(Seen::Text(letter.encode_utf8(&mut [0; 4]))),
        Literal::Text(text) => hash(Seen::Text(text)),
    }
}

/// One hash of a word, apart from those of values.
pub(crate) fn hash_word(word: &Word) -> u64 {
    mix(hash_text(&word.text), 16 + word.at as u64)
}
