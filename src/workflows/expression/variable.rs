//! Which variables of the context an expression names, as far as that can be seen without evaluating it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::workflows::expression::text::{self, Part};
use crate::workflows::expression::{Dialect, walk};

/// A variable of the context that an expression names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The language.
    pub dialect: Dialect,
    /// The whole text in which it stands.
    pub expression: String,
    /// The variable.
    pub name: String,
}

/// `ctx(…)` with what hangs on it.
static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let part = r#"[\]\[a-zA-Z0-9_'".()]*"#;
    Regex::new(&format!(r#"\bctx\(['"]?{part}['"]?\)\.?{part}"#)).ok()
});

/// The variable in such a reference, in the forms that have one.
static NAMES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let forms = [
        r"\bctx\(\)\.([a-zA-Z0-9_-]+)\b",
        r"\bctx\(([a-zA-Z0-9_-]+)\)",
        r"\bctx\('([a-zA-Z0-9_-]+)'\)",
        r#"\bctx\("([a-zA-Z0-9_-]+)"\)"#,
    ];
    forms.iter().filter_map(|form| Regex::new(form).ok()).collect()
});

/// `ctx.name` and `ctx("name")` of Rhai.
static RHAI: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\bctx(?:\.([a-zA-Z_]\w*)(?:\s*\(|)|[(\[]\s*["'`]([^"'`]+)["'`]\s*[)\]])"#).ok()
});

/// The references to the context in the expressions of a text: `ctx().a.b`, each once, in order.
#[must_use]
pub fn references(text: &str, dialect: Dialect) -> Vec<String> {
    let mut found = BTreeSet::new();
    for part in text::parts(text, dialect) {
        let Part::Expression(expression) = part else { continue };
        let inside = text::inside(expression, dialect);
        if let Some(reference) = REFERENCE.as_ref() {
            found.extend(reference.find_iter(inside).map(|found| found.as_str().trim().to_owned()));
        }
    }
    found.into_iter().collect()
}

/// Every variable that the expressions of a value name, each once, in the order of the names.
#[must_use]
pub fn variables(value: &Value) -> Vec<Variable> {
    let mut found = BTreeSet::new();
    walk(
        value,
        &mut |text| {
            for dialect in Dialect::ALL {
                if text::has(text, dialect) {
                    let names = names(text, dialect).into_iter();
                    found.extend(names.map(|name| (name, dialect, text.to_owned())));
                }
            }
        },
        0,
    );
    let variable = |(name, dialect, expression)| Variable { dialect, expression, name };
    found.into_iter().map(variable).collect()
}

fn names(text: &str, dialect: Dialect) -> Vec<String> {
    if dialect == Dialect::Rhai {
        return rhai_names(text);
    }
    let references = references(text, dialect);
    let mut names = Vec::new();
    for reference in &references {
        for form in NAMES.iter() {
            names.extend(first(form, reference));
        }
    }
    names
}

/// The first name that no bracket follows: `ctx().keys()` names no variable.
fn first(form: &Regex, reference: &str) -> Option<String> {
    let captures = form.captures(reference)?;
    let name = captures.get(1)?;
    let is_dotted = captures.get(0)?.as_str().contains("().");
    let called = is_dotted && reference[name.end()..].starts_with('(');
    (!called).then(|| name.as_str().to_owned())
}

fn rhai_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in text::parts(text, Dialect::Rhai) {
        let (Part::Expression(expression), Some(form)) = (part, RHAI.as_ref()) else { continue };
        for captures in form.captures_iter(expression) {
            let called = captures.get(0).is_some_and(|all| all.as_str().ends_with('('));
            let name = captures.get(1).filter(|_| !called).or_else(|| captures.get(2));
            names.extend(name.map(|name| name.as_str().to_owned()));
        }
    }
    names
}
