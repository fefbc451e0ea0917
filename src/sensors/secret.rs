//! Where a sensor's secret stands. The file says the place; the secret itself is read at the start.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::sensors::Error;

/// The place of a secret: `{ file: … }`, `{ config: … }` or `{ inline: … }`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// It stands in the sensor's file itself.
    Inline(String),
    /// It is the content of a file, as seen from the pack's folder; one end of line is left out.
    File(PathBuf),
    /// It is this key of the pack's configuration.
    Config(String),
}

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// `Source` where the file cannot be read (it may come), `Stop` where there is nothing to find.
    pub(crate) async fn open(&self, folder: &Path, config: &Value) -> Result<Vec<u8>, Error> {
        let bytes = match self {
            Self::Inline(text) => text.clone().into_bytes(),
            Self::File(path) => read(&folder.join(path)).await?,
            Self::Config(key) => {
                if let Some(Value::String(text)) = config.get(key) {
                    text.clone().into_bytes()
                } else {
                    let what = format!(
                        "the pack's configuration has no text under `{key}`; write it into `configs/`"
                    );
                    return Err(Error::Stop { what });
                }
            }
        };
        if bytes.is_empty() {
            return Err(Error::Stop { what: format!("the secret {self:?} is empty") });
        }
        Ok(bytes)
    }
}

/// The secret files that the settings of a sensor name and that are not there.
pub(crate) fn missing(settings: &Value, folder: &Path) -> Vec<PathBuf> {
    match settings {
        Value::Array(items) => items.iter().flat_map(|item| missing(item, folder)).collect(),
        Value::Object(fields) => {
            if let (1, Some(Value::String(file))) = (fields.len(), fields.get("file")) {
                let path = folder.join(file);
                return if path.exists() { Vec::new() } else { vec![path] };
            }
            fields.values().flat_map(|value| missing(value, folder)).collect()
        }
        _ => Vec::new(),
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = tokio::fs::read(path).await.map_err(|error| Error::Source {
        what: format!("the secret file `{}` cannot be read: {error}", path.display()),
    })?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    Ok(bytes)
}

/// Names the place, never the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("***"),
            Self::File(path) => write!(f, "of file `{}`", path.display()),
            Self::Config(key) => write!(f, "of configuration key `{key}`"),
        }
    }
}

// By hand: a derived reader would print a secret that stands in the wrong place as an unknown variant.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            de::Error::custom(
                "expected the place of a secret: `{ file: … }`, `{ config: … }` or, openly, \
                 `{ inline: … }`",
            )
        };
        let written = Value::deserialize(deserializer)?;
        let map = written.as_object().filter(|map| map.len() == 1).ok_or_else(wrong)?;
        let (place, text) = map.iter().next().ok_or_else(wrong)?;
        let text = text.as_str().ok_or_else(wrong)?.to_owned();
        match place.as_str() {
            "file" => Ok(Self::File(text.into())),
            "config" => Ok(Self::Config(text)),
            "inline" => Ok(Self::Inline(text)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_in_the_wrong_place_is_never_printed() {
        for wrong in [
            json!("hunter2"),
            json!({ "hunter2": "x" }),
            json!({ "file": 5, "x": "hunter2" }),
            json!({ "inline": ["hunter2"] }),
        ] {
            let refused = serde_json::from_value::<Secret>(wrong).unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let secret = serde_json::from_value::<Secret>(json!({ "inline": "hunter2" })).unwrap();
        assert_eq!(format!("{secret:?}"), "***");
    }
}
