//! What a browser sends of a form.

use serde_json::{Map, Value};

use crate::api::inside::Refused;

/// The largest form that is read, in bytes: people type it, or paste a file of YAML.
pub(crate) const LIMIT_BYTES: usize = 512 * 1024;

/// A form's fields, in the order of the page.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// A field; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A field that says something.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|text| !text.is_empty())
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The fields whose names begin with `lead`, without it.
    pub(crate) fn under<'a>(&'a self, lead: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(lead)?, value.as_str())))
    }

    /// A field in which JSON was typed.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Value>, Refused> {
        let Some(text) = self.some(name) else { return Ok(None) };
        let read = serde_json::from_str(text);
        read.map(Some).map_err(|error| wrong(&format!("`{name}` is not JSON: {error}")))
    }

    /// The same, where it must be an object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, Refused> {
        match self.json(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(wrong(&format!("`{name}` must be an object: {{\"name\": value}}"))),
        }
    }

    /// What was typed, for the page that shows it again; the last of each name counts.
    pub(crate) fn typed(&self) -> Value {
        let shown = self.0.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str()));
        shown
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// Fields that are never shown again.
const HIDDEN: &[&str] = &["csrf", "back", "key", "password", "secret"];

/// Something typed does not fit.
pub(crate) fn wrong(message: &str) -> Refused {
    Refused {
        status: 400,
        code: "bad_form".to_owned(),
        message: message.to_owned(),
        help: Some("correct it and send the form again".to_owned()),
        details: Value::Null,
    }
}
