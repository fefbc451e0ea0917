//! One line of the log, and its canonical form.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::id::RecordId;
use crate::model::time::Time;

/// Bytes of what stood before or after, as JSON, at most; more would make the log a second store.
const VALUE_LIMIT_BYTES: usize = 4096;
/// Characters of any text of a line at most.
const TEXT_LIMIT: usize = 512;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Something is asked for and let in; it has not begun.
    Asked,
    /// It is over.
    Answered,
    /// It was not let in.
    Denied,
    /// So many more were not let in, from one address within a minute.
    Counted,
    /// It was done in the data folder, while nobody served it.
    Offline,
}

/// What a line says, but its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What kind of line it is.
    pub phase: Phase,
    /// The call: `asked` and `answered` have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<RecordId>,
    /// Who; nothing where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id of the key with which they called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Their role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The address from which it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What: the method and the pattern of the route, or the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Of which thing: what stands in the pattern's braces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What stood there before, secrets struck out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there now, secrets struck out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// How many, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Entry {
    /// One that says nothing yet.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            call: None,
            user: None,
            key: None,
            role: None,
            from: None,
            what: None,
            object: None,
            status: None,
            reason: None,
            before: None,
            after: None,
            count: None,
        }
    }

    /// What a command did in the data folder, while nobody served it.
    #[must_use]
    pub fn offline(command: &str) -> Self {
        Self {
            user: Some("whoever has the data folder".to_owned()),
            from: Some("the data folder".to_owned()),
            what: Some(command.to_owned()),
            ..Self::new(Phase::Offline)
        }
    }

    /// The same with every text and value within its limit.
    #[must_use]
    pub fn cut(mut self) -> Self {
        for text in [
            &mut self.user,
            &mut self.key,
            &mut self.role,
            &mut self.from,
            &mut self.what,
            &mut self.object,
            &mut self.reason,
        ]
        .into_iter()
        .flatten()
        {
            if let Some((at, _)) = text.char_indices().nth(TEXT_LIMIT) {
                text.truncate(at);
                text.push('…');
            }
        }
        self.before = self.before.take().map(bounded);
        self.after = self.after.take().map(bounded);
        self
    }
}

/// A value within its limit; a larger one is replaced by its size.
#[must_use]
pub fn bounded(value: Value) -> Value {
    let size = value.to_string().len();
    if size <= VALUE_LIMIT_BYTES { value } else { json!({ "left_out_bytes": size }) }
}

/// One line in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counts the lines from 1.
    pub number: u64,
    /// When it was written.
    pub at: Time,
    /// The hash of the line before; zeros for the first one.
    pub previous: String,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Line {
    /// The form over which the hash goes: JSON without spaces, the names of fields in the order of
    /// their bytes, fields without a value left out.
    ///
    /// # Panics
    /// Never: lines are plain data.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        write(&serde_json::to_value(self).expect("lines are plain data"), &mut text);
        text
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (at, name) in names.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write(&fields[name], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_is_sorted_and_without_spaces() {
        let entry = Entry {
            user: Some("ada".to_owned()),
            after: Some(json!({ "b": [1, { "d": "x", "c": null }], "a": "\"" })),
            ..Entry::new(Phase::Asked)
        };
        let at = Time::from_millis(0);
        let line = Line { number: 7, at, previous: "00".to_owned(), entry };
        let text = line.canonical();
        assert_eq!(
            text,
            format!(
                r#"{{"after":{{"a":"\"","b":[1,{{"c":null,"d":"x"}}]}},"at":{},"number":7,"phase":"asked","previous":"00","user":"ada"}}"#,
                json!(at)
            )
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }

    #[test]
    fn what_is_too_large_is_left_out_and_says_so() {
        let entry = Entry {
            reason: Some("ü".repeat(1000)),
            before: Some(json!("x".repeat(10_000))),
            ..Entry::new(Phase::Denied)
        };
        let cut = entry.cut();
        assert_eq!(cut.reason.unwrap().chars().count(), TEXT_LIMIT + 1);
        assert_eq!(cut.before, Some(json!({ "left_out_bytes": 10_002 })));
    }
}
