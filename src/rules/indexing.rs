//! How a rule is found, in words for its author: what of its condition is looked up, what is asked
//! without Rhai, and what only Rhai can answer, and why.

use std::fmt;

use rhai::Position;
use serde::Serialize;

use crate::rules::analyse::Analysis;
use crate::rules::condition::{Condition, Kind, Literal, Test};
use crate::rules::cover::{Need, truth};
use crate::rules::field::Field;
use crate::script::fault::{column, line};

/// Letters of a part's text that are shown.
const TEXT_LIMIT: usize = 80;

/// How a rule is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Indexing {
    /// How much of it the index knows.
    pub degree: Degree,
    /// The parts of its condition, in the order of the file.
    pub parts: Vec<Part>,
}

/// How much of a condition the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Degree {
    /// All: only events that may concern the rule reach it, and Rhai is not asked.
    Whole,
    /// Only events that may concern it reach it, and Rhai is asked about those.
    Partly,
    /// It is asked about every event of its triggers.
    Not,
}

/// A part of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it says.
    pub text: String,
    /// How it is found.
    pub by: By,
    /// Why Rhai is asked: it `calls …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Line of the rule's file, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
}

/// How a part of a condition is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Its value is looked up.
    Value,
    /// Its interval is searched.
    Interval,
    /// Its words are searched in the text.
    Words,
    /// The field's kind decides.
    Kind,
    /// It is not looked up, but asked without Rhai.
    Check,
    /// Rhai is asked.
    Rhai,
}

impl Indexing {
    pub(crate) fn of(analysis: &Analysis, source: &str) -> Self {
        let mut parts = Vec::new();
        if let Some(condition) = &analysis.condition {
            collect(condition, &analysis.fields, source, &mut parts);
        }
        let every = analysis.cover.iter().any(|clause| clause.needs.is_empty());
        let degree = match &analysis.condition {
            Some(_) if every => Degree::Not,
            Some(condition) if condition.is_opaque() => Degree::Partly,
            _ => Degree::Whole,
        };
        Self { degree, parts }
    }
}

fn collect(condition: &Condition, fields: &[Field], source: &str, parts: &mut Vec<Part>) {
    if !condition.children().is_empty() {
        let children = condition.children().iter();
        return children.for_each(|child| collect(child, fields, source, parts));
    }
    let (by, why) = match &condition.kind {
        Kind::Opaque { why, .. } => (By::Rhai, Some(why.clone())),
        _ => (by(condition), None),
    };
    let text = condition.text(fields, source);
    parts.push(Part {
        text,
        by,
        why,
        line: line(condition.place),
        column: column(condition.place),
    });
}

fn by(leaf: &Condition) -> By {
    let clauses = truth(leaf, true);
    let need = clauses.first().and_then(|clause| clause.needs.first());
    match need {
        Some(Need::Equal { .. }) => By::Value,
        Some(Need::Between { .. }) => By::Interval,
        Some(Need::Finds { .. }) => By::Words,
        Some(Need::Not { .. }) => By::Kind,
        None => By::Check,
    }
}

impl Condition {
    /// What a part without parts inside says, near to how it was written; `source` is the text of its
    /// file.
    pub(crate) fn text(&self, fields: &[Field], source: &str) -> String {
        let name = |field: &u16| fields[usize::from(*field)].to_string();
        match &self.kind {
            Kind::Constant(answer) => answer.to_string(),
            Kind::Compare { field, operator, literal } => {
                format!("{} {} {literal}", name(field), operator.text())
            }
            Kind::Fields { left, operator, right } => {
                format!("{} {} {}", name(left), operator.text(), name(right))
            }
            Kind::Length { field, operator, literal } => {
                format!("{}.len() {} {literal}", name(field), operator.text())
            }
            Kind::Among { field, set } => {
                let items: Vec<String> = set.iter().map(ToString::to_string).collect();
                cut(&format!("{} in [{}]", name(field), items.join(", ")))
            }
            Kind::Within { field, first, last, inclusive } => {
                format!("{} in {first}..{}{last}", name(field), if *inclusive { "=" } else { "" })
            }
            Kind::Text { field, test, text } => {
                let test = if *test == Test::StartsWith { "starts_with" } else { "ends_with" };
                format!("{}.{test}({text:?})", name(field))
            }
            Kind::Holds { field, item } => format!("{item} in {}", name(field)),
            Kind::Matches { field, pattern } => {
                let function = if pattern.is_glob { "like" } else { "matches" };
                format!("{}.{function}({:?})", name(field), pattern.text)
            }
            Kind::Present { field } => format!("present({})", name(field)),
            Kind::Flag { field } => name(field),
            Kind::Opaque { .. } | Kind::All(_) | Kind::Any(_) | Kind::Not(_) => {
                written(source, self.place)
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("()"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Letter(letter) => write!(f, "{letter:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// What stands in a file from `place` to the end of the part that begins there.
fn written(source: &str, place: Position) -> String {
    let (Some(line), Some(column)) = (place.line(), place.position()) else { return String::new() };
    let mut lines = source.lines().skip(line - 1);
    let first: String = lines.next().unwrap_or_default().chars().skip(column - 1).collect();
    let rest = std::iter::once(first.as_str()).chain(lines).collect::<Vec<_>>().join("\n");
    cut(rest[..end(&rest)].trim())
}

/// Where a part ends: before what belongs to the expression around it.
fn end(text: &str) -> usize {
    let (mut depth, mut quote) = (0u32, None);
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if let Some(close) = quote {
            match letter {
                '\\' => drop(letters.next()),
                letter if letter == close => quote = None,
                _ => {}
            }
            continue;
        }
        let next = letters.peek().map(|(_, next)| *next);
        match letter {
            '"' | '`' | '\'' => quote = Some(letter),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' | ',' | ';' if depth == 0 => return at,
            ')' | ']' | '}' => depth -= 1,
            '&' | '|' if depth == 0 && next == Some(letter) => return at,
            _ => {}
        }
    }
    text.len()
}

fn cut(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
