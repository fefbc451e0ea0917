//! The grammar of ansible-rulebook's conditions, with its precedence: comparisons bind tightest, then
//! `is`, then `in` and `contains`, then `not`; `and` and `or` are one level, from left to right.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Literal(Value),
    List(Vec<Expr>),
    Path(Path),
    Two(Box<Expr>, String, Box<Expr>),
    Not(Box<Expr>),
    Is { of: Box<Expr>, not: bool, test: String, with: Vec<Expr>, flags: String },
}

/// `event.a["b"][1]`: what it begins with, and the steps from there.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) root: String,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Name(String),
    Index(i64),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Literal(Value),
    Word(String),
    Symbol(String),
}

/// Reads a condition, and the name that it binds with `<<`.
pub(super) fn parse(text: &str) -> Result<(Option<String>, Expr), String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    let bound = reader.bound();
    let read = reader.logic()?;
    match reader.tokens.get(reader.at) {
        None => Ok((bound, read)),
        Some(rest) => Err(format!("cannot read {rest:?} in {text}")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.peek().copied() {
        let operand = match tokens.last() {
            Some(Token::Symbol(symbol)) => symbol == ")" || symbol == "]",
            Some(Token::Word(word)) => !["and", "or", "in", "contains"].contains(&word.as_str()),
            last => last.is_some(),
        };
        tokens.push(match next {
            _ if next.is_whitespace() => {
                rest.next();
                continue;
            }
            '"' | '\'' => Token::Literal(quoted(&mut rest)),
            '-' if !operand => number(&mut rest)?,
            '0'..='9' => number(&mut rest)?,
            _ if next.is_alphabetic() || next == '_' => {
                Token::Word(taken(&mut rest, |c| c.is_alphanumeric() || c == '_'))
            }
            _ => Token::Symbol(symbol(&mut rest)),
        });
    }
    Ok(tokens)
}

fn taken(rest: &mut Peekable<Chars<'_>>, fits: impl Fn(char) -> bool) -> String {
    let mut word = String::new();
    while let Some(next) = rest.next_if(|next| fits(*next)) {
        word.push(next);
    }
    word
}

/// A backslash stays, but for those of white space.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Value {
    let quote = rest.next();
    let text = taken(rest, |next| Some(next) != quote);
    rest.next();
    let spaces = [("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\f", "\u{c}")];
    let unescaped = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    Value::String(spaces.iter().fold(text, unescaped))
}

fn number(rest: &mut Peekable<Chars<'_>>) -> Result<Token, String> {
    let mut text = String::new();
    while let Some(next) = rest.next_if(|next| {
        next.is_ascii_digit()
            || matches!(next, '.' | 'e' | 'E')
            || (matches!(next, '-' | '+') && (text.is_empty() || text.ends_with(['e', 'E'])))
    }) {
        text.push(next);
    }
    let read = serde_json::from_str(&text).map_err(|error| format!("{text}: {error}"))?;
    Ok(Token::Literal(read))
}

fn symbol(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut symbol: String = rest.next().into_iter().collect();
    if matches!(symbol.as_str(), "=" | "!" | "<" | ">") {
        symbol.extend(rest.next_if(|next| *next == '=' || (symbol == "<" && *next == '<')));
    }
    symbol
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    /// `events.name <<` before a condition.
    fn bound(&mut self) -> Option<String> {
        let [_, dot, Token::Word(name), shift, ..] = self.tokens.as_slice() else { return None };
        let bound = is(dot, ".") && is(shift, "<<");
        let name = bound.then(|| name.clone())?;
        self.at = 4;
        Some(name)
    }

    fn symbol(&mut self, any: &[&str]) -> Option<String> {
        match self.tokens.get(self.at) {
            Some(Token::Symbol(symbol)) if any.contains(&symbol.as_str()) => {
                self.at += 1;
                Some(symbol.clone())
            }
            _ => None,
        }
    }

    fn word(&mut self, any: &[&str]) -> Option<String> {
        let word = self.peek(0).filter(|word| any.contains(&word.as_str()))?;
        self.at += 1;
        Some(word)
    }

    fn peek(&self, ahead: usize) -> Option<String> {
        match self.tokens.get(self.at + ahead) {
            Some(Token::Word(word)) => Some(word.clone()),
            _ => None,
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        let found = self.symbol(&[symbol]);
        found.map(drop).ok_or_else(|| format!("no `{symbol}` at {}", self.at))
    }

    fn logic(&mut self) -> Result<Expr, String> {
        let mut left = self.negation()?;
        while let Some(operator) = self.word(&["and", "or"]) {
            left = Expr::Two(Box::new(left), operator, Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, String> {
        match self.word(&["not"]) {
            Some(_) => Ok(Expr::Not(Box::new(self.negation()?))),
            None => self.membership(),
        }
    }

    fn membership(&mut self) -> Result<Expr, String> {
        let mut left = self.test()?;
        loop {
            let ahead = self.peek(1).unwrap_or_default();
            let not = self.peek(0).is_some_and(|word| word == "not")
                && ["in", "contains"].contains(&ahead.as_str());
            self.at += usize::from(not);
            let Some(operator) = self.word(&["in", "contains"]) else { return Ok(left) };
            let operator = if not { format!("not {operator}") } else { operator };
            left = Expr::Two(Box::new(left), operator, Box::new(self.test()?));
        }
    }

    fn test(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.word(&["is"]).is_some() {
            let not = self.word(&["not"]).is_some();
            let test = self.peek(0).ok_or("no test behind `is`")?;
            self.at += 1;
            let (mut with, mut flags) = (Vec::new(), String::new());
            if self.symbol(&["("]).is_some() {
                while self.symbol(&[")"]).is_none() {
                    match self
                        .peek(0)
                        .filter(|_| self.tokens.get(self.at + 1).is_some_and(|t| is(t, "=")))
                    {
                        Some(flag) => {
                            self.at += 2;
                            let on = matches!(self.atom()?, Expr::Literal(Value::Bool(true)));
                            flags.extend(flag.chars().next().filter(|_| on));
                        }
                        None => with.push(self.sum()?),
                    }
                    self.symbol(&[","]);
                }
            }
            left = Expr::Is { of: Box::new(left), not, test, with, flags };
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let mut left = self.sum()?;
        while let Some(operator) = self.symbol(&["==", "!=", ">=", "<=", ">", "<"]) {
            left = Expr::Two(Box::new(left), operator, Box::new(self.sum()?));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.atom()?;
        while let Some(operator) = self.symbol(&["+", "-"]) {
            left = Expr::Two(Box::new(left), operator, Box::new(self.atom()?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, String> {
        if self.symbol(&["("]).is_some() {
            let inner = self.logic()?;
            return self.expect(")").map(|()| inner);
        }
        if self.symbol(&["["]).is_some() {
            let mut items = Vec::new();
            while self.symbol(&["]"]).is_none() {
                items.push(self.atom()?);
                self.symbol(&[","]);
            }
            return Ok(Expr::List(items));
        }
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Literal(value)) => Ok(Expr::Literal(value)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" | "True" => Ok(Expr::Literal(Value::Bool(true))),
                "false" | "False" => Ok(Expr::Literal(Value::Bool(false))),
                "null" => Ok(Expr::Literal(Value::Null)),
                _ => self.path(word),
            },
            other => Err(format!("no operand: {other:?}")),
        }
    }

    fn path(&mut self, root: String) -> Result<Expr, String> {
        let mut steps = Vec::new();
        loop {
            if self.symbol(&["."]).is_some() {
                steps.push(Step::Name(self.peek(0).ok_or("no name behind a dot")?));
                self.at += 1;
            } else if self.symbol(&["["]).is_some() {
                steps.push(match self.atom()? {
                    Expr::Literal(Value::String(name)) => Step::Name(name),
                    Expr::Literal(number) => Step::Index(number.as_i64().ok_or("no index")?),
                    _ => return Err("no index".to_owned()),
                });
                self.expect("]")?;
            } else {
                return Ok(Expr::Path(Path { root, steps }));
            }
        }
    }
}

fn is(token: &Token, symbol: &str) -> bool {
    matches!(token, Token::Symbol(own) if own == symbol)
}
