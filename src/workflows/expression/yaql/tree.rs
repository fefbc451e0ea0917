//! What an expression says, as the parser read it.

/// One expression.
#[derive(Debug)]
pub(super) enum Expr {
    /// A number, a quoted text, `true`, `false` or `null`.
    Constant(Constant),
    /// A bare word: a text, except behind a dot, where it names a field.
    Word(String),
    /// `$`, `$1`, `$name`: the name without its sign; `$` is `$1`.
    Variable(String),
    /// `name(arguments)`.
    Call(String, Vec<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a => b}`.
    Map(Vec<Expr>),
    /// `value[arguments]`.
    Index(Box<Expr>, Vec<Expr>),
    /// `+value`, `-value`, `not value`.
    Unary(&'static str, Box<Expr>),
    /// `left op right`, the dots included.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `name => value`, as an argument.
    Rule(Box<Expr>, Box<Expr>),
    /// An argument left out: `f(, 1)`.
    Missing,
}

/// A value that stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// A quoted text, its escapes resolved.
    Text(String),
}
