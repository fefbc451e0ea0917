//! Splits an expression into tokens, on demand: what comes first in the text is complained of first.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::tree::Constant;

/// One token and where it begins, in characters from 0.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Constant(Constant),
    Word(String),
    Variable(String),
    /// A name with its opening bracket.
    Function(String),
    /// An operator, a bracket, a comma or `=>`.
    Sign(&'static str),
}

impl Kind {
    /// As YAQL names it in a complaint.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Constant(Constant::Null) => "None".to_owned(),
            Self::Constant(Constant::Bool(true)) => "True".to_owned(),
            Self::Constant(Constant::Bool(false)) => "False".to_owned(),
            Self::Constant(Constant::Int(number)) => number.to_string(),
            Self::Constant(Constant::Float(number)) => format!("{number:?}"),
            Self::Constant(Constant::Text(text)) | Self::Word(text) | Self::Function(text) => {
                text.clone()
            }
            Self::Variable(name) => format!("${name}"),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// Longer signs first, so that `=~` is not read as `=`.
const SIGNS: &[&str] = &[
    "=>", "=~", "!~", "!=", ">=", "<=", "->", "?.", ".", "+", "-", "*", "/", ">", "<", "=", "(",
    ")", "[", "]", "{", "}", ",",
];
const WORD_SIGNS: &[&str] = &["mod", "in", "not", "and", "or"];

pub(super) struct Lexer {
    letters: Vec<char>,
    at: usize,
}

impl Lexer {
    pub(super) fn new(text: &str) -> Self {
        Self { letters: text.chars().collect(), at: 0 }
    }

    /// The next token, or nothing at the end.
    ///
    /// # Errors
    /// A character that begins no token.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Fault> {
        while matches!(self.letters.get(self.at), Some(' ' | '\t' | '\r' | '\n')) {
            self.at += 1;
        }
        let at = self.at;
        let Some(&first) = self.letters.get(at) else { return Ok(None) };
        let kind = match first {
            '$' => {
                self.at += 1;
                Some(Kind::Variable(self.word()))
            }
            '0'..='9' => self.number(),
            '\'' | '"' | '`' => self.quoted(first),
            letter if letter.is_alphabetic() || letter == '_' => self.name(),
            _ => self.sign(),
        };
        match kind {
            Some(kind) => Ok(Some(Token { kind, at })),
            None => Err(Fault::grammar(format!(
                "Lexical error: illegal character '{first}' at position {at}"
            ))),
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.letters.get(self.at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
            self.at += 1;
        }
        self.letters[start..self.at].iter().collect()
    }

    fn digits(&self, mut at: usize) -> usize {
        while self.letters.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
        }
        at
    }

    fn ends_word(&self, at: usize) -> bool {
        !self.letters.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_')
    }

    fn number(&mut self) -> Option<Kind> {
        let start = self.at;
        let whole = self.digits(start);
        let part =
            if self.letters.get(whole) == Some(&'.') { self.digits(whole + 1) } else { whole };
        let text = |end: usize| self.letters[start..end].iter().collect::<String>();
        if part > whole + 1 && self.ends_word(part) {
            self.at = part;
            return text(part).parse().ok().map(|number| Kind::Constant(Constant::Float(number)));
        }
        if !self.ends_word(whole) {
            return None;
        }
        let digits = text(whole);
        self.at = whole;
        // What is beyond our integers is kept as nearly as a float can.
        let number = digits.parse().map(Constant::Int);
        number.ok().or_else(|| digits.parse().ok().map(Constant::Float)).map(Kind::Constant)
    }

    fn name(&mut self) -> Option<Kind> {
        let start = self.at;
        let word = self.word();
        if self.letters.get(self.at) == Some(&'(') {
            self.at += 1;
            return Some(Kind::Function(word));
        }
        if word.starts_with("__") {
            self.at = start;
            return None;
        }
        Some(match word.as_str() {
            "true" => Kind::Constant(Constant::Bool(true)),
            "false" => Kind::Constant(Constant::Bool(false)),
            "null" => Kind::Constant(Constant::Null),
            other => match WORD_SIGNS.iter().find(|sign| **sign == other) {
                Some(sign) => Kind::Sign(sign),
                None => Kind::Word(word),
            },
        })
    }

    fn quoted(&mut self, quote: char) -> Option<Kind> {
        let start = self.at + 1;
        let mut at = start;
        while let Some(letter) = self.letters.get(at) {
            match letter {
                '\\' => at += 2,
                letter if *letter == quote => {
                    self.at = at + 1;
                    let inside = &self.letters[start..at];
                    let text = if quote == '`' {
                        inside.iter().collect::<String>().replace("\\`", "`")
                    } else {
                        unescaped(inside)
                    };
                    return Some(Kind::Constant(Constant::Text(text)));
                }
                _ => at += 1,
            }
        }
        None
    }

    fn sign(&mut self) -> Option<Kind> {
        let rest = &self.letters[self.at..];
        let fits = |sign: &&&str| {
            sign.chars().enumerate().all(|(at, letter)| rest.get(at) == Some(&letter))
        };
        let sign = SIGNS.iter().find(fits)?;
        self.at += sign.len();
        Some(Kind::Sign(sign))
    }
}

/// Python's escapes; what is none of them stays as it is, its backslash included.
fn unescaped(letters: &[char]) -> String {
    let mut out = String::with_capacity(letters.len());
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        if letter != '\\' {
            out.push(letter);
            at += 1;
            continue;
        }
        match escape(&letters[at + 1..]) {
            Some((letter, taken)) => {
                out.push(letter);
                at += 1 + taken;
            }
            None => {
                out.push('\\');
                at += 1;
                // The sign behind it is no new escape.
                if let Some(&next) = letters.get(at) {
                    out.push(next);
                    at += 1;
                }
            }
        }
    }
    out
}

fn escape(rest: &[char]) -> Option<(char, usize)> {
    let hex = |count: usize| {
        let digits: String = rest.get(1..=count)?.iter().collect();
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?).map(|letter| (letter, count + 1))
    };
    let plain = |letter| Some((letter, 1));
    match rest.first()? {
        'U' => hex(8),
        'u' => hex(4),
        'x' => hex(2),
        '0'..='7' => {
            let count = rest.iter().take(3).take_while(|c| matches!(c, '0'..='7')).count();
            let digits: String = rest[..count].iter().collect();
            char::from_u32(u32::from_str_radix(&digits, 8).ok()?).map(|letter| (letter, count))
        }
        '\\' => plain('\\'),
        '\'' => plain('\''),
        '"' => plain('"'),
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\u{b}'),
        _ => None,
    }
}
