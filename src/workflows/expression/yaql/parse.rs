//! Reads an expression: operators by how tightly they bind.
//!
//! Tightest first: `.` and `?.`, brackets, signs, `=~`, `* / mod`, `+ -`, comparisons and `in`, `not`,
//! `and`, `or`, `->`.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::token::{Kind, Lexer, Token};
use crate::workflows::expression::yaql::tree::Expr;

/// Expressions inside expressions at most: evaluation goes as deep, on the stack.
const NESTING: usize = 100;

/// The expression that `text` is.
///
/// # Errors
/// What is not expected, and where.
pub(super) fn parse(text: &str) -> Result<Expr, Fault> {
    let mut parser = Parser { text, lexer: Lexer::new(text), next: Ahead::Unseen, depth: 0 };
    let expr = parser.expression(0)?;
    match parser.take()? {
        None => Ok(expr),
        token => Err(parser.unexpected(token.as_ref())),
    }
}

/// The token ahead, or the end; or nobody looked yet.
enum Ahead {
    Unseen,
    Seen(Option<Token>),
}

struct Parser<'t> {
    text: &'t str,
    lexer: Lexer,
    /// The token ahead, once somebody looked at it: what is wrong behind it is complained of later.
    next: Ahead,
    depth: usize,
}

/// How tightly an operator binds to its left; what stands on its right binds one tighter, but for `->`.
fn power(sign: &str) -> Option<u8> {
    Some(match sign {
        "->" => 1,
        "or" => 2,
        "and" => 3,
        ">" | "<" | ">=" | "<=" | "!=" | "=" | "in" => 5,
        "+" | "-" => 6,
        "*" | "/" | "mod" => 7,
        "=~" | "!~" => 8,
        "[" => 10,
        "." | "?." => 11,
        _ => return None,
    })
}
const NOT: u8 = 4;
const SIGN: u8 = 9;

impl Parser<'_> {
    fn unexpected(&self, token: Option<&Token>) -> Fault {
        Fault::grammar(match token {
            None => "Parse error: unexpected end of statement".to_owned(),
            Some(Token { kind, at }) => format!(
                "Parse error: unexpected '{}' at position {at} of expression '{}'",
                kind.shown(),
                self.text
            ),
        })
    }

    fn take(&mut self) -> Result<Option<Token>, Fault> {
        match std::mem::replace(&mut self.next, Ahead::Unseen) {
            Ahead::Seen(token) => Ok(token),
            Ahead::Unseen => self.lexer.next(),
        }
    }

    fn peek(&mut self) -> Result<Option<&Token>, Fault> {
        if matches!(self.next, Ahead::Unseen) {
            self.next = Ahead::Seen(self.lexer.next()?);
        }
        Ok(match &self.next {
            Ahead::Seen(token) => token.as_ref(),
            Ahead::Unseen => None,
        })
    }

    fn sign(&mut self) -> Result<Option<&'static str>, Fault> {
        Ok(match self.peek()? {
            Some(Token { kind: Kind::Sign(sign), .. }) => Some(sign),
            _ => None,
        })
    }

    fn skip(&mut self, sign: &str) -> Result<bool, Fault> {
        let found = self.sign()? == Some(sign);
        if found {
            self.take()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.skip(sign)? { Ok(()) } else { Err(self.unexpected_next()?) }
    }

    fn unexpected_next(&mut self) -> Result<Fault, Fault> {
        let token = self.peek()?.cloned();
        Ok(self.unexpected(token.as_ref()))
    }

    fn expression(&mut self, least: u8) -> Result<Expr, Fault> {
        self.deeper()?;
        let mut left = self.operand()?;
        let mut chained = 0;
        while let Some(sign) = self.sign()? {
            let Some(power) = power(sign).filter(|power| *power >= least) else { break };
            // Each link of a chain nests the tree by one.
            chained += 1;
            self.deeper()?;
            self.take()?;
            left = if sign == "[" {
                Expr::Index(Box::new(left), self.arguments("]")?)
            } else {
                let right = self.expression(if sign == "->" { power } else { power + 1 })?;
                Expr::Binary(sign, Box::new(left), Box::new(right))
            };
        }
        self.depth -= chained + 1;
        Ok(left)
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > NESTING {
            return Err(Fault::grammar(format!("expressions are nested more than {NESTING} deep")));
        }
        Ok(())
    }

    fn operand(&mut self) -> Result<Expr, Fault> {
        let Some(token) = self.take()? else { return Err(self.unexpected(None)) };
        Ok(match token.kind {
            Kind::Constant(constant) => Expr::Constant(constant),
            Kind::Word(word) => Expr::Word(word),
            Kind::Variable(name) if name.is_empty() => Expr::Variable("1".to_owned()),
            Kind::Variable(name) => Expr::Variable(name),
            Kind::Function(name) => Expr::Call(name, self.arguments(")")?),
            Kind::Sign("(") => {
                let inside = self.expression(0)?;
                self.expect(")")?;
                inside
            }
            Kind::Sign("[") => Expr::List(self.arguments("]")?),
            Kind::Sign("{") => Expr::Map(self.arguments("}")?),
            Kind::Sign("not") => Expr::Unary("not", Box::new(self.expression(NOT)?)),
            Kind::Sign(sign @ ("+" | "-")) => Expr::Unary(sign, Box::new(self.expression(SIGN)?)),
            Kind::Sign(_) => return Err(self.unexpected(Some(&token))),
        })
    }

    /// The arguments up to `end`; one that is left out between commas is `Missing`.
    fn arguments(&mut self, end: &str) -> Result<Vec<Expr>, Fault> {
        let mut all = Vec::new();
        if self.skip(end)? {
            return Ok(all);
        }
        let mut named = false;
        loop {
            if !named && self.sign()? == Some(",") {
                all.push(Expr::Missing);
            } else {
                let value = self.expression(0)?;
                if self.skip("=>")? {
                    named = true;
                    let target = self.expression(0)?;
                    all.push(Expr::Rule(Box::new(value), Box::new(target)));
                } else if named {
                    return Err(self.unexpected_next()?);
                } else {
                    all.push(value);
                }
            }
            if self.skip(end)? {
                return Ok(all);
            }
            self.expect(",")?;
        }
    }
}
