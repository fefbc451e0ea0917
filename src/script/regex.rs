//! Regular expressions and wildcards as Python writes them, for Rust's engines.
//!
//! Most patterns run in linear time; those with lookarounds or references go back at most
//! `BACKTRACK_LIMIT` steps and fail then.

use fancy_regex::{Regex, RegexBuilder};

/// Steps back of one search at most.
const BACKTRACK_LIMIT: usize = 100_000;
/// Bytes of a pattern at most.
const PATTERN_LIMIT: usize = 10_000;
/// Bytes that a compiled part of a pattern may take.
const SIZE_LIMIT: usize = 1 << 20;

/// Where a pattern has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Anywhere (`regex`).
    Anywhere,
    /// Anywhere, whatever the case (`iregex`).
    AnyCase,
    /// From the start, and `.` fits line ends too (`matchregex`).
    Start,
    /// The whole text is meant by `*`, `?`, `[ab]` (`matchwildcard`).
    Wildcard,
}

/// The pattern, compiled.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn compile(pattern: &str, fit: Fit) -> Result<Regex, String> {
    if pattern.len() > PATTERN_LIMIT {
        return Err(format!(
            "the pattern has {} bytes; {PATTERN_LIMIT} is the most",
            pattern.len()
        ));
    }
    let text = match fit {
        Fit::Anywhere => translated(pattern),
        Fit::AnyCase => format!("(?i){}", translated(pattern)),
        Fit::Start => format!(r"(?s)\A(?:{})", translated(pattern)),
        Fit::Wildcard => format!(r"(?s)\A{}\z", wildcard(pattern)),
    };
    RegexBuilder::new(&text)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| format!("`{pattern}` is no pattern: {error}"))
}

/// Whether the pattern fits `text`.
///
/// # Errors
/// The search went back too often.
pub(crate) fn fits(regex: &Regex, text: &str) -> Result<bool, String> {
    regex.is_match(text).map_err(|_| "the pattern takes too many steps on this text".to_owned())
}

/// A pattern of Python's in the words of Rust's engine: `$` also fits before a last line end, and
/// brackets and braces that mean nothing stand for themselves.
fn translated(pattern: &str) -> String {
    let multiline = pattern.starts_with("(?")
        && pattern.split(')').next().is_some_and(|flags| flags[2..].contains('m'));
    let letters: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        match letter {
            '\\' => {
                escape(letters.get(at).copied(), &mut out);
                at += 1;
            }
            '[' => at = class(&letters, at, &mut out),
            '{' if !counts(&letters[at..]) => out.push_str("\\{"),
            '{' if letters.get(at) == Some(&',') => out.push_str("{0"),
            // Nothing comes after the last sign: the line end may be taken as well.
            '$' if multiline => out.push('$'),
            '$' if at == letters.len() => out.push_str(r"\n?\z"),
            '$' => out.push_str(r"(?=\n?\z)"),
            letter => out.push(letter),
        }
    }
    out
}

fn escape(next: Option<char>, out: &mut String) {
    match next {
        Some('Z') => out.push_str(r"\z"),
        Some(letter) if letter.is_ascii_alphanumeric() => out.extend(['\\', letter]),
        Some(letter) => out.push_str(&fancy_regex::escape(letter.encode_utf8(&mut [0; 4]))),
        None => out.push('\\'),
    }
}

/// Whether `{` begins a number of repetitions: `{2}`, `{2,}`, `{,3}`, `{2,3}`.
fn counts(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|letter| *letter == '}') else { return false };
    let inside = &rest[..end];
    let commas = inside.iter().filter(|letter| **letter == ',').count();
    let digits = inside.iter().filter(|letter| letter.is_ascii_digit()).count();
    commas <= 1 && digits > 0 && commas + digits == inside.len()
}

/// Writes the class that begins at `at`, behind its bracket; gives the place behind it.
fn class(letters: &[char], mut at: usize, out: &mut String) -> usize {
    out.push('[');
    if letters.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        match letter {
            ']' if at > first + 1 => {
                out.push(']');
                return at;
            }
            '\\' => {
                match letters.get(at) {
                    Some('b') => out.push_str(r"\x08"),
                    next => escape(next.copied(), out),
                }
                at += 1;
            }
            '[' | ']' | '&' | '~' => out.extend(['\\', letter]),
            '-' if letters.get(at) == Some(&'-') => out.push_str("\\-"),
            letter => out.push(letter),
        }
    }
    at
}

/// Python's `fnmatch` as a regular expression.
fn wildcard(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                let skip = usize::from(rest.starts_with('!'));
                // A bracket right at the start belongs to the class.
                let from = skip + usize::from(rest[skip..].starts_with(']'));
                if let Some(end) = rest[from..].find(']').map(|end| from + end) {
                    out.push_str(if skip == 1 { "[^" } else { "[" });
                    for letter in rest[skip..end].chars() {
                        if matches!(letter, '\\' | '[' | ']' | '^' | '&' | '~') {
                            out.push('\\');
                        }
                        out.push(letter);
                    }
                    out.push(']');
                    rest = &rest[end + 1..];
                } else {
                    out.push_str("\\[");
                }
            }
            letter => out.push_str(&fancy_regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_patterns_mean_the_same_here() {
        for (pattern, text, fit, expected) in [
            ("bar$", "bar\n", Fit::Anywhere, true),
            ("bar$", "bar\n\n", Fit::Anywhere, false),
            ("(a$)|b", "a\n", Fit::Anywhere, true),
            (r"a\Z", "a\n", Fit::Anywhere, false),
            ("^(?!test).*", "test-1", Fit::Start, false),
            ("^(?!test).*", "prod-1", Fit::Start, true),
            (r"(?P<x>a)(?P=x)", "aa", Fit::Anywhere, true),
            ("{a}", "x{a}", Fit::Anywhere, true),
            ("a{,2}b", "aab", Fit::Start, true),
            ("[[a]+", "[a", Fit::Start, true),
            ("[]a]", "]", Fit::Start, true),
            (r"\<a\>", "<a>", Fit::Anywhere, true),
            ("(?m)^b$", "a\nb\nc", Fit::Anywhere, true),
            ("straße", "STRAßE", Fit::AnyCase, true),
            ("[!a]*", "bcd", Fit::Wildcard, true),
            ("[!a]*", "acd", Fit::Wildcard, false),
            ("a[", "a[", Fit::Wildcard, true),
            ("[]]", "]", Fit::Wildcard, true),
            ("a*", "a\nb", Fit::Wildcard, true),
        ] {
            let regex = compile(pattern, fit).unwrap();
            assert_eq!(fits(&regex, text), Ok(expected), "{pattern} {text:?}");
        }
    }

    #[test]
    fn a_pattern_that_explodes_is_stopped() {
        let regex = compile(r"^(?:(x+)\1)+y", Fit::Anywhere).unwrap();
        assert!(fits(&regex, &"x".repeat(100)).is_err());
        assert!(compile("(", Fit::Anywhere).is_err());
        assert!(compile(&"x".repeat(20_000), Fit::Anywhere).is_err());
    }
}
