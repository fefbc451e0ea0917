//! What functions take, as the tables of the library write it: `collection:iterable, count:int=`.
//!
//! `?` behind a kind: it may be null. `=`: it may be left out. `*`: any number more. `**`: any names.
//! A leading `!`: `a => b` is an argument of its own there, not a name with a value.

use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::value::Datum;

/// What a function does.
pub(super) type Function = for<'a> fn(&mut Run<'a>, &mut Given<'a>) -> Answer<'a>;

/// How a function may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `name(value)`.
    Function,
    /// `value.name()`.
    Method,
    /// Either.
    Both,
}

/// One line of a table of the library.
pub(super) type Row = (&'static str, Way, &'static str, Function);

/// A line, read.
pub(super) struct Signature {
    pub(super) way: Way,
    pub(super) takes: Vec<Take>,
    pub(super) rest: Option<Take>,
    pub(super) named: bool,
    pub(super) plain: bool,
    pub(super) body: Function,
}

/// One parameter.
pub(super) struct Take {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) optional: bool,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Text,
    /// `true` counts as 1, as in Python.
    Int,
    /// An integer that is no flag.
    Whole,
    Number,
    Flag,
    Iterable,
    Sequence,
    Stream,
    Map,
    Set,
    Sorted,
    Regex,
    Moment,
    Span,
    /// Not evaluated before the function wants it.
    Lambda,
    /// `a => b`.
    Rule,
}

impl Signature {
    /// Reads a line; `None` for one that is written wrongly, which a test finds.
    pub(super) fn read((_, way, takes, body): &Row) -> Option<Self> {
        let (plain, takes) = match takes.strip_prefix('!') {
            Some(takes) => (true, takes),
            None => (false, *takes),
        };
        let mut read =
            Self { way: *way, takes: Vec::new(), rest: None, named: false, plain, body: *body };
        for take in takes.split(", ").filter(|take| !take.is_empty()) {
            let (name, kind) = take.split_once(':')?;
            let (kind, optional) =
                kind.strip_suffix('=').map_or((kind, false), |kind| (kind, true));
            let (kind, null) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
            let kind = Kind::read(kind)?;
            let nullable = null || matches!(kind, Kind::Any | Kind::Lambda);
            let take = Take { name, kind, nullable, optional };
            match name {
                "*" => read.rest = Some(take),
                "**" => read.named = true,
                _ => read.takes.push(take),
            }
        }
        Some(read)
    }
}

impl Kind {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Self::Any,
            "text" => Self::Text,
            "int" => Self::Int,
            "whole" => Self::Whole,
            "number" => Self::Number,
            "flag" => Self::Flag,
            "iterable" => Self::Iterable,
            "sequence" => Self::Sequence,
            "stream" => Self::Stream,
            "map" => Self::Map,
            "set" => Self::Set,
            "sorted" => Self::Sorted,
            "regex" => Self::Regex,
            "moment" => Self::Moment,
            "span" => Self::Span,
            "lambda" => Self::Lambda,
            "rule" => Self::Rule,
            _ => return None,
        })
    }
}

impl Take {
    /// Whether a value may go here.
    pub(super) fn fits(&self, value: &Datum<'_>) -> bool {
        match (self.kind, value) {
            (_, Datum::Null) => self.nullable,
            (Kind::Any | Kind::Lambda, _)
            | (Kind::Text, Datum::Text(_))
            | (Kind::Int, Datum::Int(_) | Datum::Bool(_))
            | (Kind::Whole, Datum::Int(_))
            | (Kind::Number, Datum::Int(_) | Datum::Float(_))
            | (Kind::Flag, Datum::Bool(_))
            | (Kind::Stream, Datum::Stream(_) | Datum::Memo(_))
            | (Kind::Set, Datum::Set(_))
            | (Kind::Sorted, Datum::Sorted(_))
            | (Kind::Regex, Datum::Regex(_))
            | (Kind::Moment, Datum::Moment(_))
            | (Kind::Span, Datum::Span(_)) => true,
            (Kind::Iterable, value) => value.is_iterable(),
            (Kind::Sequence, value) => value.is_sequence(),
            (Kind::Map, value) => value.is_map(),
            _ => false,
        }
    }
}
