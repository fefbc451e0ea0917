//! Where expressions stand in a text.
//!
//! `<% %>`, `{{ }}` and `{% %}` stand in one line, as in Orquesta. `${ }` may have braces and texts
//! inside. What a shell means by `${…}` is left to the shell: a name, a number or a `#` right behind
//! the brace, as in `${HOME}`, `${x:-y}`, `${#list[@]}`. Of the names `ctx` alone is ours.

use crate::workflows::expression::Dialect;

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Text(&'t str),
    /// With its delimiters.
    Expression(&'t str),
}

/// Whether the text holds an expression of the dialect.
pub(super) fn has(text: &str, dialect: Dialect) -> bool {
    next(text, dialect).is_some() || (dialect == Dialect::Jinja && has_block(text))
}

/// Whether the text holds `{% … %}`.
pub(super) fn has_block(text: &str) -> bool {
    between(text, "{%", "%}").is_some()
}

/// The length of the expression or the block, of any dialect, that the text begins with.
pub(super) fn expression_at(text: &str) -> Option<usize> {
    let found = match text.get(..2)? {
        "<%" => between(text, "<%", "%>"),
        "{{" => between(text, "{{", "}}"),
        "{%" => between(text, "{%", "%}"),
        "${" => next(text, Dialect::Rhai),
        _ => None,
    };
    found.filter(|(start, _)| *start == 0).map(|(_, end)| end)
}

/// The text in pieces.
pub(super) fn parts(text: &str, dialect: Dialect) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((start, end)) = next(rest, dialect) {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        parts.push(Part::Expression(&rest[start..end]));
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// An expression without its delimiters.
pub(super) fn inside(expression: &str, dialect: Dialect) -> &str {
    match dialect {
        Dialect::Yaql => expression.trim_matches(['<', '%', '>']).trim(),
        Dialect::Jinja => expression.trim_matches(['{', '}']).trim(),
        Dialect::Rhai => {
            let inside = expression.strip_prefix("${").unwrap_or(expression);
            inside.strip_suffix('}').unwrap_or(inside).trim()
        }
    }
}

fn next(text: &str, dialect: Dialect) -> Option<(usize, usize)> {
    match dialect {
        Dialect::Yaql => between(text, "<%", "%>"),
        Dialect::Jinja => between(text, "{{", "}}"),
        Dialect::Rhai => {
            let mut from = 0;
            while let Some(start) = text[from..].find("${").map(|at| from + at) {
                let end = closing(&text[start + 2..]).map(|end| start + 2 + end);
                if let Some(end) = end
                    && !is_shell(&text[start + 2..end])
                {
                    return Some((start, end + 1));
                }
                from = start + 2;
            }
            None
        }
    }
}

/// The first `open … close` of one line, and its end.
fn between(text: &str, open: &str, close: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(start) = text[from..].find(open).map(|at| from + at) {
        let inner = start + open.len();
        let line = text[inner..].find('\n').map_or(text.len(), |at| inner + at);
        if let Some(end) = text[inner..line].find(close) {
            return Some((start, inner + end + close.len()));
        }
        from = start + 1;
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    None
}

/// The brace that closes what begins here, quotes and inner braces left out.
fn closing(text: &str) -> Option<usize> {
    let (mut open, mut quote, mut escaped) = (0_usize, None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), letter) if mark == letter => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '{') => open += 1,
            (None, '}') if open == 0 => return Some(at),
            (None, '}') => open -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a shell would read `${inside}` itself.
fn is_shell(inside: &str) -> bool {
    let Some(first) = inside.chars().next() else { return true };
    if matches!(first, '!' | '@' | '*' | '?' | '$') || (first == '#' && !inside.starts_with("#{")) {
        return true;
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name = inside.find(|letter| !is_name(letter)).map_or(inside, |end| &inside[..end]);
    if name.is_empty() || name == "ctx" {
        return false;
    }
    // `${1 + 1}` and `${item().x}` go on in ways that no shell knows.
    match inside[name.len()..].chars().next() {
        None => true,
        Some(next) => {
            !name.starts_with(|letter: char| letter.is_ascii_digit())
                && "-:=?+#%/^,@[".contains(next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shells_braces_are_left_to_the_shell() {
        for shell in
            ["${HOME}", "${x:-y}", "${#list[@]}", "${1}", "${x%.*}", "${x[0]}", "${", "${}"]
        {
            assert!(!has(shell, Dialect::Rhai), "{shell}");
        }
        for ours in ["${ctx.x}", "${ x }", "${1 + 1}", "${result().a}", "${#{a: 1}}", "${ \"}\" }"]
        {
            assert_eq!(parts(ours, Dialect::Rhai), [Part::Expression(ours)], "{ours}");
        }
    }

    #[test]
    fn a_text_comes_in_pieces() {
        let text = "a ${HOME} ${ctx.x} b";
        let expected = [Part::Text("a ${HOME} "), Part::Expression("${ctx.x}"), Part::Text(" b")];
        assert_eq!(parts(text, Dialect::Rhai), expected);
        assert_eq!(parts("<% a\n %> <%b%>", Dialect::Yaql)[1], Part::Expression("<%b%>"));
        assert!(!has("{{ é", Dialect::Jinja) && has("{{{{ é }}", Dialect::Jinja));
    }
}
