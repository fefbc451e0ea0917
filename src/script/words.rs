//! Words that Rhai keeps for itself (`until`, `default`, `match`, `with`, …) as names of fields and
//! keys: what people's data is called is not ours to forbid. `e.default`, `#{ until: … }` and `|_, m|` work.

use std::sync::atomic::{AtomicU8, Ordering};

use rhai::{Engine, Position, Token, TokenizeState, is_valid_identifier};

/// Reserved words that do something when they are called, so they stay what they are.
const CALLED: &[&str] = &[
    "Fn",
    "call",
    "curry",
    "debug",
    "eval",
    "global",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "print",
    "this",
    "type_of",
];

/// After a token of this kind `_` is a parameter that nobody reads.
const PARAMETER: u8 = 3;
/// After a token of this kind only a name can follow.
const NAME: u8 = 2;
/// After a token of this kind a name or an expression can follow.
const EITHER: u8 = 1;
const OTHER: u8 = 0;

/// Lets an engine read such words as names.
pub(super) fn free(engine: &mut Engine) {
    let before = AtomicU8::new(OTHER);
    // Rhai calls it volatile, not deprecated; we pin the version.
    #[expect(deprecated, reason = "the only way to see tokens; the version is pinned")]
    engine.on_parse_token(move |token: Token, _: Position, _: &TokenizeState| {
        let token = match before.load(Ordering::Relaxed) {
            NAME => name(token),
            PARAMETER if token == Token::Underscore => Token::Identifier(Box::new("_".into())),
            EITHER if !begins_an_expression(&token) => name(token),
            _ => token,
        };
        let kind = match token {
            Token::MapStart | Token::Period | Token::Elvis => NAME,
            Token::Comma => EITHER,
            Token::Pipe => PARAMETER,
            _ => OTHER,
        };
        before.store(kind, Ordering::Relaxed);
        token
    });
}

fn name(token: Token) -> Token {
    let word = match &token {
        Token::Reserved(word) => word.as_str(),
        token if token.is_standard_keyword() => token.literal_syntax(),
        _ => return token,
    };
    if !is_valid_identifier(word) || CALLED.contains(&word) {
        return token;
    }
    Token::Identifier(Box::new(word.into()))
}

fn begins_an_expression(token: &Token) -> bool {
    !matches!(
        token,
        Token::Reserved(_)
            | Token::Until
            | Token::Else
            | Token::In
            | Token::As
            | Token::Catch
            | Token::Const
            | Token::Let
            | Token::Import
            | Token::Export
            | Token::Return
            | Token::Throw
            | Token::Break
            | Token::Continue
            | Token::Try
    )
}
