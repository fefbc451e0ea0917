//! Source texts by lines and pieces, each piece with its kind: templates colour them, and everything in
//! them stays text.

use serde_json::{Value, json};

/// Words of Rhai that steer.
const WORDS: &[&str] = &[
    "let", "const", "if", "else", "switch", "do", "while", "until", "loop", "for", "in",
    "continue", "break", "return", "throw", "try", "catch", "import", "export", "as", "fn",
    "private", "global", "true", "false", "null", "is",
];

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Comments begin with `//` or `/*`.
    Rhai,
    /// Comments begin with `#`.
    Yaml,
}

impl Language {
    /// By the file's name.
    pub(crate) fn of(file: &str) -> Self {
        let yaml = file.contains(".yaml") || file.contains(".yml");
        if yaml { Self::Yaml } else { Self::Rhai }
    }
}

/// The lines of `text`, numbered from `first`: each a list of pieces `[kind, text]`, where the kind is
/// empty or `comment`, `string`, `number`, `word`, `name`.
pub(crate) fn lines(text: &str, language: Language, first: u64) -> Value {
    let mut lines: Vec<Vec<Value>> = vec![Vec::new()];
    for (kind, piece) in pieces(text, language) {
        for (at, part) in piece.split('\n').enumerate() {
            if at > 0 {
                lines.push(Vec::new());
            }
            if let (false, Some(line)) = (part.is_empty(), lines.last_mut()) {
                line.push(json!([kind, part.trim_end_matches('\r')]));
            }
        }
    }
    while lines.len() > 1 && lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let numbered = (first..).zip(lines);
    numbered.map(|(number, pieces)| json!({ "number": number, "pieces": pieces })).collect()
}

/// The pieces of a text, in order; together they are the text.
fn pieces(text: &str, language: Language) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    let (mut rest, mut plain) = (text, 0);
    while !rest.is_empty() {
        let before = text[..text.len() - rest.len()].chars().next_back();
        let (kind, length) = piece(rest, before, language);
        if kind.is_empty() {
            plain += length;
        } else {
            let at = text.len() - rest.len();
            found.push(("", &text[at - plain..at]));
            found.push((kind, &rest[..length]));
            plain = 0;
        }
        rest = &rest[length..];
    }
    found.push(("", &text[text.len() - plain..]));
    found.retain(|(_, piece)| !piece.is_empty());
    found
}

/// The kind and the bytes of what `rest` begins with; `before` is the letter before it.
fn piece(rest: &str, before: Option<char>, language: Language) -> (&'static str, usize) {
    let line = || rest.find('\n').unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or_default();
    let inside = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    match (language, first) {
        (Language::Rhai, '/') if rest.starts_with("//") => ("comment", line()),
        (Language::Rhai, '/') if rest.starts_with("/*") => {
            ("comment", rest.find("*/").map_or(rest.len(), |at| at + 2))
        }
        (Language::Yaml, '#') if before.is_none_or(char::is_whitespace) => ("comment", line()),
        (Language::Rhai, '"' | '`' | '\'') => ("string", string(rest, first)),
        (Language::Yaml, '"' | '\'') if !inside => ("string", string(rest, first)),
        (_, '0'..='9') if !inside => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
            ("number", end.unwrap_or(rest.len()))
        }
        (_, letter) if (letter.is_alphabetic() || letter == '_') && !inside => {
            let hyphens = language == Language::Yaml;
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || (hyphens && c == '-')));
            let end = end.unwrap_or(rest.len());
            (word(&rest[..end], &rest[end..]), end)
        }
        (_, letter) => ("", letter.len_utf8()),
    }
}

/// The kind of a word, by what comes behind it.
fn word(word: &str, behind: &str) -> &'static str {
    if behind.starts_with(':') && !behind.starts_with("::") {
        "name"
    } else if WORDS.contains(&word) {
        "word"
    } else {
        ""
    }
}

/// The bytes of a text in quotes.
fn string(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if letter == quote => return at + 1,
            // Only texts between backquotes go over lines.
            '\n' if quote != '`' => return at,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, language: Language) -> String {
        let kinds: Vec<String> = pieces(text, language)
            .into_iter()
            .filter(|(kind, _)| !kind.is_empty())
            .map(|(kind, piece)| format!("{kind}={piece}"))
            .collect();
        kinds.join(" ")
    }

    #[test]
    fn pieces_have_their_kinds_and_nothing_is_lost() {
        let rhai = "let x = #{ about: \"a \\\" // b\", n: 5m }; // why\n/* <b> */ `a\nb` it's";
        let expected = "word=let name=about string=\"a \\\" // b\" name=n number=5m comment=// why \
                        comment=/* <b> */ string=`a\nb` string='s";
        assert_eq!(shown(rhai, Language::Rhai), expected);
        let yaml = "name: it's # so\nurl: http://x#y\nn: 10s";
        let expected = "name=name comment=# so name=url name=http name=n number=10s";
        assert_eq!(shown(yaml, Language::Yaml), expected);
        for text in [rhai, yaml, "\"", "'", "ünï \u{1F600} \"ä", "/*", ""] {
            for language in [Language::Rhai, Language::Yaml] {
                let whole: String =
                    pieces(text, language).iter().map(|(_, piece)| *piece).collect();
                assert_eq!(whole, text);
            }
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let lines = lines("a\n\n\"<b>\"\n", Language::Rhai, 7);
        assert_eq!(
            lines,
            json!([
                { "number": 7, "pieces": [["", "a"]] },
                { "number": 8, "pieces": [] },
                { "number": 9, "pieces": [["string", "\"<b>\""]] },
            ])
        );
    }
}
