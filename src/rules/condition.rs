//! A rule's condition as a tree that is asked without Rhai, and gives Rhai's answers.
//!
//! Rhai compares floats with a relative tolerance, unlike types without complaint, and fails where a
//! function does not know a type. The tree follows it in everything but failures: where Rhai might
//! fail, the answer here is `None`, and Rhai is asked about the whole condition, so that what it says
//! and the place it names are its own.

use std::cmp::Ordering;
use std::sync::OnceLock;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};
use rhai::{Expr, Position};
use serde_json::Value;

use crate::rules::field::Seen;
use crate::script::functions::text;

/// Items of an event's list that are looked through here; Rhai counts its steps on longer ones.
const ITEMS_LIMIT: usize = 1_000;

/// Steps of a regular expression that take far less memory than the function `matches` grants: such a
/// one is right if it can be read at all, and need not be compiled to know.
const SURELY_SMALL: usize = 300;

/// A part of a condition, and where it stands.
pub(crate) struct Condition {
    pub(crate) kind: Kind,
    pub(crate) place: Position,
}

/// What a part of a condition asks. Fields are numbers into the fields of its rule.
pub(crate) enum Kind {
    Constant(bool),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// `e.x > 5`, also where it was written `5 < e.x`.
    Compare {
        field: u16,
        operator: Operator,
        literal: Literal,
    },
    /// `e.x > e.y`
    Fields {
        left: u16,
        operator: Operator,
        right: u16,
    },
    /// `e.x.len() > 5`
    Length {
        field: u16,
        operator: Operator,
        literal: Literal,
    },
    /// `e.x in ["a", "b"]`
    Among {
        field: u16,
        set: Box<[Literal]>,
    },
    /// `e.x in 1..5`; the ends, and whether the last one is inside.
    Within {
        field: u16,
        first: i64,
        last: i64,
        inclusive: bool,
    },
    /// `e.x.starts_with("a")`
    Text {
        field: u16,
        test: Test,
        text: Box<str>,
    },
    /// `"a" in e.x`: an item of a list, a part of a text, a key of a map.
    Holds {
        field: u16,
        item: Literal,
    },
    /// `e.x.matches("a+")`, `e.x.like("a*")`
    Matches {
        field: u16,
        pattern: Box<Pattern>,
    },
    /// `present(e.x)`
    Present {
        field: u16,
    },
    /// `e.x`, which has to be true or false.
    Flag {
        field: u16,
    },
    /// Anything else: Rhai's own expression, and why it was not understood.
    Opaque {
        expression: Box<Expr>,
        why: String,
    },
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Which part of a text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    StartsWith,
    EndsWith,
}

/// A value that stands in the rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Nothing,
    Flag(bool),
    Whole(i64),
    Real(f64),
    Letter(char),
    Text(Box<str>),
}

/// A regular expression or glob, compiled when it is first needed: most never are, since the index
/// looks for the plain text in it first.
pub(crate) struct Pattern {
    pub(crate) text: Box<str>,
    pub(crate) is_glob: bool,
    compiled: OnceLock<Option<Matcher>>,
}

enum Matcher {
    Regex(Regex),
    Glob(GlobMatcher),
}

/// What one rule sees of one event.
#[derive(Clone, Copy)]
pub(crate) struct View<'v, 'e> {
    pub(crate) row: &'v [Seen<'e>],
    /// For each field of the rule its place in the row.
    pub(crate) slots: &'v [u32],
}

impl<'e> View<'_, 'e> {
    pub(crate) fn get(&self, field: u16) -> Seen<'e> {
        self.row[self.slots[usize::from(field)] as usize]
    }
}

impl Condition {
    /// What Rhai would answer; `None` where only Rhai can say, a failure among it.
    pub(crate) fn holds(&self, view: View<'_, '_>) -> Option<bool> {
        match &self.kind {
            Kind::Constant(answer) => Some(*answer),
            Kind::All(parts) => {
                for part in parts {
                    if !part.holds(view)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Kind::Any(parts) => {
                for part in parts {
                    if part.holds(view)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Kind::Not(part) => part.holds(view).map(|answer| !answer),
            Kind::Opaque { .. } => None,
            leaf => leaf.leaf(view),
        }
    }

    /// The parts inside, in the order in which they are asked.
    pub(crate) fn children(&self) -> &[Condition] {
        match &self.kind {
            Kind::All(parts) | Kind::Any(parts) => parts,
            Kind::Not(part) => std::slice::from_ref(&**part),
            _ => &[],
        }
    }

    /// The fields that a part without parts inside names.
    pub(crate) fn fields(&self) -> Vec<u16> {
        match &self.kind {
            Kind::Compare { field, .. }
            | Kind::Length { field, .. }
            | Kind::Among { field, .. }
            | Kind::Within { field, .. }
            | Kind::Text { field, .. }
            | Kind::Holds { field, .. }
            | Kind::Matches { field, .. }
            | Kind::Present { field }
            | Kind::Flag { field } => vec![*field],
            Kind::Fields { left, right, .. } => vec![*left, *right],
            _ => Vec::new(),
        }
    }

    /// Whether Rhai has to be asked about some part of it.
    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.kind, Kind::Opaque { .. }) || self.children().iter().any(Condition::is_opaque)
    }
}

impl Kind {
    fn leaf(&self, view: View<'_, '_>) -> Option<bool> {
        match self {
            Self::Compare { field, operator, literal } => {
                literal.compare(view.get(*field), *operator)
            }
            Self::Fields { left, operator, right } => {
                compare(view.get(*left), *operator, view.get(*right))
            }
            Self::Length { field, operator, literal } => {
                literal.compare(Seen::Whole(length(view.get(*field))?), *operator)
            }
            Self::Among { field, set } => among(view.get(*field), set),
            Self::Within { field, first, last, inclusive } => {
                within(view.get(*field), *first, *last, *inclusive)
            }
            Self::Text { field, test, text } => match (view.get(*field), test) {
                (Seen::Text(seen), Test::StartsWith) => Some(seen.starts_with(&**text)),
                (Seen::Text(seen), Test::EndsWith) => Some(seen.ends_with(&**text)),
                _ => None,
            },
            Self::Holds { field, item } => holds(view.get(*field), item),
            Self::Matches { field, pattern } => match view.get(*field) {
                Seen::Text(seen) => pattern.is_match(seen),
                _ => None,
            },
            Self::Present { field } => match view.get(*field) {
                Seen::Unsure => None,
                seen => Some(seen != Seen::Nothing),
            },
            Self::Flag { field } => match view.get(*field) {
                Seen::Flag(flag) => Some(flag),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Operator {
    /// The operator of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::More,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }

    /// The same question with its sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }

    fn of(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::More => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }

    /// Rhai's own formula (`func/builtin.rs`, 1.27): a relative tolerance, not IEEE.
    fn of_reals(self, x: f64, y: f64) -> bool {
        let most = if x * y == 0.0 { 1.0 } else { x.abs().max(y.abs()) };
        match self {
            Self::Equal => (x - y).abs() / most <= f64::EPSILON,
            Self::Unequal => (x - y).abs() / most > f64::EPSILON,
            Self::More => (x - y) / most > f64::EPSILON,
            Self::AtLeast => (x - y) / most > -f64::EPSILON,
            Self::Less => (y - x) / most > f64::EPSILON,
            Self::AtMost => (y - x) / most > -f64::EPSILON,
        }
    }
}

impl Literal {
    /// What a field that holds it would show; a letter shows nothing of its own.
    fn seen(&self) -> Seen<'_> {
        match self {
            Self::Nothing | Self::Letter(_) => Seen::Nothing,
            Self::Flag(flag) => Seen::Flag(*flag),
            Self::Whole(whole) => Seen::Whole(*whole),
            Self::Real(real) => Seen::Real(*real),
            Self::Text(text) => Seen::Text(text),
        }
    }

    /// Whether `seen` stands to it as `operator` says.
    fn compare(&self, seen: Seen<'_>, operator: Operator) -> Option<bool> {
        let Self::Letter(letter) = self else { return compare(seen, operator, self.seen()) };
        match seen {
            Seen::Unsure => None,
            Seen::Text(text) => {
                // Rhai looks at two letters of the text only.
                let mut letters = text.chars();
                let first = [letters.next(), letters.next()];
                Some(operator.of(first.cmp(&[Some(*letter), None])))
            }
            _ => Some(operator == Operator::Unequal),
        }
    }

    /// Whether a list that has this item has `seen`; what cannot be compared is unequal there.
    fn is(&self, seen: Seen<'_>) -> bool {
        self.compare(seen, Operator::Equal).unwrap_or(false)
    }
}

impl Pattern {
    pub(crate) fn new(text: &str, is_glob: bool) -> Self {
        Self { text: text.into(), is_glob, compiled: OnceLock::new() }
    }

    /// One that the rule's file has compiled.
    pub(crate) fn compiled(regex: Regex) -> Self {
        let pattern = Self::new(regex.as_str(), false);
        // Nobody else has it yet, so it is empty.
        pattern.compiled.get_or_init(|| Some(Matcher::Regex(regex)));
        pattern
    }

    /// Whether it compiles, as the function that it stands for would compile it.
    pub(crate) fn is_right(&self) -> bool {
        let small = |hir| size(&hir).is_some_and(|states| states <= SURELY_SMALL);
        !self.is_glob && regex_syntax::parse(&self.text).is_ok_and(small)
            || self.compile().is_some()
    }

    fn compile(&self) -> Option<Matcher> {
        if self.is_glob {
            let glob = GlobBuilder::new(&self.text).literal_separator(false).build().ok()?;
            return Some(Matcher::Glob(glob.compile_matcher()));
        }
        text::compiled(&self.text).ok().map(Matcher::Regex)
    }

    fn is_match(&self, seen: &str) -> Option<bool> {
        match self.compiled.get_or_init(|| self.compile()) {
            Some(Matcher::Regex(regex)) => Some(regex.is_match(seen)),
            Some(Matcher::Glob(glob)) => Some(glob.is_match(seen)),
            None => None,
        }
    }
}

/// Steps of a regular expression's automaton, at most; nothing for what may have many more.
fn size(hir: &Hir) -> Option<usize> {
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(class) => (class.maximum_len() == Some(1)).then_some(2)?,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min + 1).max(1);
            size(&repeated.sub)?.checked_mul(usize::try_from(times).ok()?)? + 2
        }
        HirKind::Capture(group) => size(&group.sub)? + 2,
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(size).sum::<Option<usize>>()? + 2
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "Rhai compares integers and floats as floats")]
fn compare(left: Seen<'_>, operator: Operator, right: Seen<'_>) -> Option<bool> {
    use Seen as S;
    Some(match (left, right) {
        (S::Unsure, _)
        | (_, S::Unsure)
        // Rhai cannot compare these.
        | (S::Large(_), S::Real(_))
        | (S::Real(_), S::Large(_))
        | (S::List(_), S::List(_))
        | (S::Map(_), S::Map(_)) => return None,
        (S::Whole(left), S::Whole(right)) => operator.of(left.cmp(&right)),
        (S::Real(left), S::Real(right)) => operator.of_reals(left, right),
        (S::Whole(left), S::Real(right)) => operator.of_reals(left as f64, right),
        (S::Real(left), S::Whole(right)) => operator.of_reals(left, right as f64),
        (S::Large(left), S::Large(right)) => operator.of(left.cmp(&right)),
        (S::Large(_), S::Whole(_)) => operator.of(Ordering::Greater),
        (S::Whole(_), S::Large(_)) => operator.of(Ordering::Less),
        (S::Text(left), S::Text(right)) => operator.of(left.cmp(right)),
        (S::Flag(left), S::Flag(right)) => operator.of(left.cmp(&right)),
        (S::Nothing, S::Nothing) => operator == Operator::Equal,
        _ => operator == Operator::Unequal,
    })
}

fn among(seen: Seen<'_>, set: &[Literal]) -> Option<bool> {
    (seen != Seen::Unsure).then(|| set.iter().any(|literal| literal.is(seen)))
}

#[expect(clippy::cast_precision_loss, reason = "the function `contains` does it so")]
fn within(seen: Seen<'_>, first: i64, last: i64, inclusive: bool) -> Option<bool> {
    Some(match seen {
        Seen::Unsure => return None,
        Seen::Whole(whole) => whole >= first && (whole < last || inclusive && whole <= last),
        Seen::Real(real) => {
            let (first, last) = (first as f64, last as f64);
            real >= first && (real < last || inclusive && real <= last)
        }
        _ => false,
    })
}

fn holds(seen: Seen<'_>, item: &Literal) -> Option<bool> {
    match (seen, item) {
        (Seen::Nothing, _) => Some(false),
        (Seen::List(items), item) if items.len() <= ITEMS_LIMIT => {
            Some(items.iter().any(|value: &Value| item.is(Seen::of(value))))
        }
        (Seen::Text(text), Literal::Text(part)) => Some(text.contains(&**part)),
        (Seen::Text(text), Literal::Letter(letter)) => Some(text.contains(*letter)),
        (Seen::Map(entries), Literal::Text(key)) => Some(entries.contains_key(&**key)),
        _ => None,
    }
}

fn length(seen: Seen<'_>) -> Option<i64> {
    let length = match seen {
        Seen::Text(text) => text.chars().count(),
        Seen::List(items) => items.len(),
        Seen::Map(entries) => entries.len(),
        _ => return None,
    };
    i64::try_from(length).ok()
}
