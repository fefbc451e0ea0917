//! Functions and filters that an expression calls and that nobody knows, as far as that can be seen
//! without evaluating it. Rhai's are not looked for: its methods depend on the types of values.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::workflows::expression::text::{self, Part};
use crate::workflows::expression::{Dialect, dialect_of, jinja, walk, yaql};

/// A name that is called and not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranger {
    /// The language.
    pub dialect: Dialect,
    /// The expression with its delimiters.
    pub expression: String,
    /// What is not known.
    pub message: String,
    /// The known name that is most like it.
    pub meant: Option<String>,
}

/// Every such name in the expressions of a value, each once.
#[must_use]
pub fn strangers(value: &Value) -> Vec<Stranger> {
    let mut found = BTreeSet::new();
    walk(value, &mut |text| of_text(text, &mut found), 0);
    found.into_iter().collect()
}

fn of_text(text: &str, found: &mut BTreeSet<Stranger>) {
    let Some(dialect) = dialect_of(text) else { return };
    for part in text::parts(text, dialect) {
        let Part::Expression(expression) = part else { continue };
        let inside = text::inside(expression, dialect);
        let strangers = match dialect {
            Dialect::Yaql => yaql::strangers(inside),
            // What a block sets, the expressions behind it may name.
            Dialect::Jinja if !text::has_block(text) => jinja::strangers(inside),
            _ => Vec::new(),
        };
        found.extend(strangers.into_iter().map(|(message, meant)| Stranger {
            dialect,
            expression: expression.to_owned(),
            message,
            meant,
        }));
    }
}
