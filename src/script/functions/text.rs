//! Texts: patterns, pieces, and copies where Rhai's own functions change in place.

use globset::GlobBuilder;
use regex::{Regex, RegexBuilder};
use rhai::plugin::export_module;
use rhai::{Array, EvalAltResult};

/// Bytes that one compiled expression may take: what a rule writes is small, what a script makes up in
/// a loop stays fast to refuse.
const REGEX_BYTES: usize = 64 * 1024;

pub(crate) fn compiled(expression: &str) -> Result<Regex, Box<EvalAltResult>> {
    let mut builder = RegexBuilder::new(expression);
    builder.size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES);
    builder.build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{expression}` is no regular expression: {reason}").into()
    })
}

#[export_module]
pub mod functions {
    /// A regular expression, compiled once: make it outside of the closures that use it. It is searched
    /// in linear time and knows no back-references.
    ///
    /// > regex("^p[0-9]+$").matches("p12") => true
    ///
    /// # Errors
    /// Where it is none, or a large one.
    #[rhai_fn(return_raw)]
    pub fn regex(expression: &str) -> Result<Regex, Box<EvalAltResult>> {
        compiled(expression)
    }

    /// Whether the expression is found in `text`.
    ///
    /// > regex("full").matches("pool is full") => true
    #[rhai_fn(name = "matches", pure)]
    pub fn regex_matches(expression: &mut Regex, text: &str) -> bool {
        expression.is_match(text)
    }

    /// The first group of the first match, or the whole match of an expression without groups; `()`
    /// where there is none.
    ///
    /// > regex("pool ([a-z]+)").find("pool gold is full") => "gold"
    /// > regex("x").find("abc") => ()
    #[rhai_fn(name = "find", pure)]
    pub fn regex_find(expression: &mut Regex, text: &str) -> rhai::Dynamic {
        let found = expression.captures(text);
        let part = found.as_ref().and_then(|found| found.get(1).or_else(|| found.get(0)));
        part.map_or(rhai::Dynamic::UNIT, |part| part.as_str().into())
    }

    /// Whether a regular expression is found in `text`. Where many events are asked, `regex(…)` made
    /// once is faster.
    ///
    /// > "pool-12".matches("^pool-[0-9]+$") => true
    ///
    /// # Errors
    /// Where it is none.
    #[rhai_fn(return_raw)]
    pub fn matches(text: &str, expression: &str) -> Result<bool, Box<EvalAltResult>> {
        Ok(compiled(expression)?.is_match(text))
    }

    /// Whether a glob fits the whole `text`: `*`, `?`, `[a-z]`, `{a,b}`.
    ///
    /// > "ds8900-07".like("ds8900-*") => true
    /// > "ds8900-07".like("ds8900") => false
    ///
    /// # Errors
    /// Where it is none.
    #[rhai_fn(return_raw)]
    pub fn like(text: &str, glob: &str) -> Result<bool, Box<EvalAltResult>> {
        let built = GlobBuilder::new(glob).literal_separator(false).build();
        let built = built.map_err(|error| format!("`{glob}` is no glob: {}", error.kind()))?;
        Ok(built.compile_matcher().is_match(text))
    }

    /// The words of `text`.
    ///
    /// > words(" two  words ") => ["two", "words"]
    pub fn words(text: &str) -> Array {
        text.split_whitespace().map(Into::into).collect()
    }

    /// The lines of `text`.
    ///
    /// > lines("a\nb") => ["a", "b"]
    pub fn lines(text: &str) -> Array {
        text.lines().map(Into::into).collect()
    }

    /// `text` without white space at its ends; Rhai's own `trim` changes a variable in place.
    ///
    /// > trimmed("  x ") => "x"
    pub fn trimmed(text: &str) -> String {
        text.trim().to_owned()
    }

    /// `text` with each `from` replaced; Rhai's own `replace` changes a variable in place.
    ///
    /// > replaced("a-b-c", "-", ".") => "a.b.c"
    ///
    /// # Errors
    /// Where the result would be larger than texts may be.
    #[rhai_fn(return_raw)]
    pub fn replaced(text: &str, from: &str, to: &str) -> Result<String, Box<EvalAltResult>> {
        let limit = crate::script::limits::DECIDING.string_bytes;
        let size = text.len() + text.matches(from).count() * to.len();
        if size > limit {
            return Err("a text grows too long".into());
        }
        Ok(text.replace(from, to))
    }

    /// The bytes that a size means which people wrote.
    ///
    /// > size("20 MiB") => 20971520
    /// > size("1.5 GB") => 1500000000
    ///
    /// # Errors
    /// Where it is no size.
    #[rhai_fn(return_raw)]
    pub fn size(text: &str) -> Result<i64, Box<EvalAltResult>> {
        let bytes = crate::model::size::parse(text).map_err(|error| error.to_string())?;
        Ok(i64::try_from(bytes).map_err(|_| format!("`{text}` is more than can be counted"))?)
    }

    /// A number of bytes for people.
    ///
    /// > size_text(512) => "512 B"
    /// > size_text(1610612736) => "1.5 GiB"
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    pub fn size_text(bytes: i64) -> String {
        let mut size = bytes as f64;
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut unit = 0;
        while size.abs() >= 1024.0 && unit + 1 < units.len() {
            size /= 1024.0;
            unit += 1;
        }
        if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
    }
}
