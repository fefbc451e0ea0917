//! Strikes secrets out of texts and results.

use serde_json::Value;

/// What stands in a secret's place.
pub const STRUCK: &str = "********";

/// Knows some secrets and strikes them out of a stream of text.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Strikes out these.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        Self { secrets: secrets.iter().filter(|secret| !secret.is_empty()).cloned().collect() }
    }

    /// The next piece of the stream, as it may be shown.
    pub fn push(&mut self, piece: &str) -> String {
        self.text(piece)
    }

    /// What was held back at the end of the stream.
    pub fn finish(&mut self) -> String {
        String::new()
    }

    /// A whole text as it may be shown.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, STRUCK))
    }

    /// A result as it may be shown.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| (self.text(name), self.value(value)));
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }
}
