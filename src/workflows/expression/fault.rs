//! Why an expression gives nothing.

/// A reason, with the name that Python gives its kind: recorded messages carry it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// The kinds that somebody tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A key that a dictionary does not have.
    Key,
    /// Any other, by its name in Python.
    Named(&'static str),
}

impl Fault {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Named(kind), message: message.into() }
    }

    pub(super) fn grammar(message: String) -> Self {
        let kind = if message.starts_with("Lexical") {
            "YaqlLexicalException"
        } else {
            "YaqlGrammarException"
        };
        Self::new(kind, message)
    }

    /// A key that is not there.
    pub(super) fn key(key: String) -> Self {
        Self { kind: Kind::Key, message: key }
    }

    /// A value of the wrong kind.
    pub(super) fn kind_of_value(message: impl Into<String>) -> Self {
        Self::new("TypeError", message)
    }

    /// A value that is not fit.
    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new("ValueError", message)
    }

    /// What StackStorm raises itself.
    pub(super) fn expression(message: impl Into<String>) -> Self {
        Self::new("ExpressionEvaluationException", message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new("LimitExceeded", message)
    }

    /// An item of a collection that has none.
    pub(super) fn empty() -> Self {
        Self::new("StopIteration", "")
    }

    /// Whether another way of calling may be tried: `groupBy` does.
    pub(super) fn is_mismatch(&self) -> bool {
        let kinds = ["NoMatchingMethodException", "NoMatchingFunctionException", "IndexError"];
        matches!(self.kind, Kind::Named(kind) if kinds.contains(&kind))
    }
}
