//! Sets of the values that a field may have: what a part of a condition leaves of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rules::condition::{Literal, Operator};

/// Integers up to here are floats without loss.
const EXACT: i64 = 1 << 53;

/// A set of values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Values {
    /// The field is missing, or null.
    pub(crate) missing: bool,
    /// Lists and maps.
    pub(crate) other: bool,
    /// True and false.
    pub(crate) flags: [bool; 2],
    /// In their order, apart from each other.
    pub(crate) numbers: Vec<Span>,
    pub(crate) texts: Texts,
}

/// Numbers without a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    pub(crate) low: End,
    pub(crate) high: End,
}

/// Where a span ends, and whether the end is inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct End {
    pub(crate) at: f64,
    pub(crate) inside: bool,
}

/// A set of texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Texts {
    Only(BTreeSet<Box<str>>),
    AllBut(BTreeSet<Box<str>>),
}

impl Span {
    pub(crate) fn new(low: (f64, bool), high: (f64, bool)) -> Self {
        let end = |(at, inside)| End { at, inside };
        Self { low: end(low), high: end(high) }
    }

    fn all() -> Self {
        Self::new((f64::NEG_INFINITY, false), (f64::INFINITY, false))
    }

    fn point(at: f64) -> Self {
        Self::new((at, true), (at, true))
    }

    fn is_empty(&self) -> bool {
        match self.low.at.total_cmp(&self.high.at) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => !(self.low.inside && self.high.inside),
            std::cmp::Ordering::Greater => true,
        }
    }

    fn and(&self, other: &Self) -> Self {
        let tighter = |a: End, b: End, of: fn(f64, f64) -> f64| {
            let at = of(a.at, b.at);
            let inside = |end: End| end.inside || end.at.total_cmp(&at).is_ne();
            End { at, inside: inside(a) && inside(b) }
        };
        Self {
            low: tighter(self.low, other.low, f64::max),
            high: tighter(self.high, other.high, f64::min),
        }
    }
}

impl Values {
    pub(crate) fn none() -> Self {
        let texts = Texts::Only(BTreeSet::new());
        Self { missing: false, other: false, flags: [false; 2], numbers: Vec::new(), texts }
    }

    pub(crate) fn all() -> Self {
        Self::none().complement()
    }

    pub(crate) fn missing() -> Self {
        Self { missing: true, ..Self::none() }
    }

    pub(crate) fn others() -> Self {
        Self { other: true, ..Self::none() }
    }

    pub(crate) fn flags(yes: bool, no: bool) -> Self {
        Self { flags: [yes, no], ..Self::none() }
    }

    pub(crate) fn texts() -> Self {
        Self { texts: Texts::AllBut(BTreeSet::new()), ..Self::none() }
    }

    pub(crate) fn numbers() -> Self {
        Self { numbers: vec![Span::all()], ..Self::none() }
    }

    pub(crate) fn span(span: Span) -> Self {
        let numbers = Some(span).filter(|span| !span.is_empty()).into_iter().collect();
        Self { numbers, ..Self::none() }
    }

    /// A value of JSON; of lists and maps only that it is one.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::missing(),
            Value::Bool(flag) => Self::flags(*flag, !*flag),
            Value::Number(number) => {
                number.as_f64().map_or_else(Self::numbers, |at| Self::span(Span::point(at)))
            }
            Value::String(text) => {
                Self { texts: Texts::Only([text.as_str().into()].into()), ..Self::none() }
            }
            Value::Array(_) | Value::Object(_) => Self::others(),
        }
    }

    /// What a literal is equal to; nothing where that is not told exactly.
    pub(crate) fn equal(literal: &Literal) -> Option<Self> {
        Some(match literal {
            Literal::Nothing => Self::missing(),
            Literal::Flag(flag) => Self::flags(*flag, !*flag),
            Literal::Whole(_) | Literal::Real(_) => Self::span(Span::point(number(literal)?)),
            Literal::Text(text) => {
                Self { texts: Texts::Only([text.clone()].into()), ..Self::none() }
            }
            Literal::Letter(_) => return None,
        })
    }

    /// All values of a literal's kind.
    pub(crate) fn kind(literal: &Literal) -> Self {
        match literal {
            Literal::Nothing => Self::missing(),
            Literal::Flag(_) => Self::flags(true, true),
            Literal::Whole(_) | Literal::Real(_) => Self::numbers(),
            Literal::Text(_) | Literal::Letter(_) => Self::texts(),
        }
    }

    /// What stands to a literal as the operator says; nothing where that is not told exactly.
    pub(crate) fn compared(operator: Operator, literal: &Literal) -> Option<Self> {
        let (low, high) = ((f64::NEG_INFINITY, false), (f64::INFINITY, false));
        Some(match operator {
            Operator::Equal => Self::equal(literal)?,
            Operator::Unequal => Self::equal(literal)?.complement(),
            _ if *literal == Literal::Nothing => Self::none(),
            Operator::Less => Self::span(Span::new(low, (number(literal)?, false))),
            Operator::AtMost => Self::span(Span::new(low, (number(literal)?, true))),
            Operator::More => Self::span(Span::new((number(literal)?, false), high)),
            Operator::AtLeast => Self::span(Span::new((number(literal)?, true), high)),
        })
    }

    pub(crate) fn complement(&self) -> Self {
        let mut numbers = Vec::new();
        let mut low = End { at: f64::NEG_INFINITY, inside: false };
        for span in &self.numbers {
            let high = End { at: span.low.at, inside: !span.low.inside };
            numbers.push(Span { low, high });
            low = End { at: span.high.at, inside: !span.high.inside };
        }
        numbers.push(Span { low, high: Span::all().high });
        numbers.retain(|span| !span.is_empty());
        let texts = match &self.texts {
            Texts::Only(texts) => Texts::AllBut(texts.clone()),
            Texts::AllBut(texts) => Texts::Only(texts.clone()),
        };
        Self {
            missing: !self.missing,
            other: !self.other,
            flags: self.flags.map(|has| !has),
            numbers,
            texts,
        }
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        let (mut numbers, mut left, mut right) = (Vec::new(), 0, 0);
        while let (Some(a), Some(b)) = (self.numbers.get(left), other.numbers.get(right)) {
            let both = a.and(b);
            if !both.is_empty() {
                numbers.push(both);
            }
            if a.high.at < b.high.at { left += 1 } else { right += 1 }
        }
        let texts = match (&self.texts, &other.texts) {
            (Texts::Only(a), Texts::Only(b)) => Texts::Only(a.intersection(b).cloned().collect()),
            (Texts::Only(only), Texts::AllBut(but)) | (Texts::AllBut(but), Texts::Only(only)) => {
                Texts::Only(only.difference(but).cloned().collect())
            }
            (Texts::AllBut(a), Texts::AllBut(b)) => Texts::AllBut(a.union(b).cloned().collect()),
        };
        Self {
            missing: self.missing && other.missing,
            other: self.other && other.other,
            flags: [0, 1].map(|at| self.flags[at] && other.flags[at]),
            numbers,
            texts,
        }
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        self.complement().and(&other.complement()).complement()
    }

    /// All of these, in time that does not grow with their square.
    pub(crate) fn any(mut all: Vec<Self>) -> Self {
        while all.len() > 1 {
            let pairs = all.chunks(2).map(|pair| match pair {
                [a, b] => a.or(b),
                _ => pair[0].clone(),
            });
            all = pairs.collect();
        }
        all.pop().unwrap_or_else(Self::none)
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::none()
    }

    /// What kinds of values it has: `a text`, `a number or a text`.
    pub(crate) fn kinds(&self) -> String {
        let kinds = [
            (!self.numbers.is_empty(), "a number"),
            (self.texts != Texts::Only(BTreeSet::new()), "a text"),
            (self.flags.contains(&true), "true or false"),
            (self.other, "a list or a map"),
        ];
        let kinds: Vec<&str> =
            kinds.iter().filter(|(has, _)| *has).map(|(_, kind)| *kind).collect();
        kinds.join(" or ")
    }

    /// One of its numbers or texts, for people.
    pub(crate) fn example(&self) -> Option<String> {
        let inside = |span: &Span| match (span.low.inside, span.high.inside) {
            (true, _) => span.low.at,
            (_, true) => span.high.at,
            _ if span.low.at.is_infinite() => span.high.at - 1.0,
            _ if span.high.at.is_infinite() => span.low.at + 1.0,
            _ => f64::midpoint(span.low.at, span.high.at),
        };
        let number = self.numbers.first().map(|span| inside(span).to_string());
        number.or_else(|| match &self.texts {
            Texts::Only(texts) => texts.first().map(|text| format!("{text:?}")),
            Texts::AllBut(_) => None,
        })
    }
}

/// The number that a literal is, where a float holds it without loss.
#[expect(clippy::cast_precision_loss, reason = "integers that are too large are left out")]
fn number(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Whole(whole) if (-EXACT..=EXACT).contains(whole) => Some(*whole as f64),
        Literal::Real(real) if real.is_finite() => Some(*real),
        _ => None,
    }
}
