//! What a migration may use at most: bytes and requests a second, copies at once. Kept in a file beside
//! the manifest, so that a limit set while it ran holds when it goes on.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Copies at once where nobody says.
pub(super) const CONCURRENCY: usize = 16;
/// More copies at once would only wait for each other.
const MOST: u64 = 512;
/// The file beside the manifest.
const FILE: &str = "migration.json";

/// Limits; nothing is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// Requests a second.
    pub(super) requests: Option<u64>,
    /// Objects or parts under way at once.
    pub(super) concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rate: None, requests: None, concurrency: CONCURRENCY }
    }
}

impl Limits {
    /// These limits with what `asked` says.
    ///
    /// # Errors
    /// What cannot be a limit, for people.
    pub(super) fn with(mut self, asked: &Map<String, Value>) -> Result<Self, String> {
        let given = |name: &str| asked.get(name).filter(|value| !value.is_null());
        if let Some(rate) = given("rate") {
            self.rate = bytes("rate", rate)?;
        }
        if let Some(requests) = given("requests") {
            let requests = requests.as_u64().ok_or_else(|| {
                format!("parameter `requests`: `{requests}` is no number of requests a second; 0 is no limit")
            })?;
            self.requests = Some(requests).filter(|requests| *requests > 0);
        }
        if let Some(concurrency) = given("concurrency") {
            let count = concurrency.as_u64().filter(|count| (1..=MOST).contains(count));
            let count = count.and_then(|count| usize::try_from(count).ok());
            self.concurrency = count.ok_or_else(|| {
                format!("parameter `concurrency`: `{concurrency}` is not from 1 to {MOST}")
            })?;
        }
        Ok(self)
    }
}

/// The bytes that a number or a text such as `20MiB`, `1.5G` or `500 kB/s` says; nothing for none.
///
/// # Errors
/// Where it says no bytes, for people.
pub(super) fn bytes(parameter: &str, value: &Value) -> Result<Option<u64>, String> {
    let wrong = || {
        format!(
            "parameter `{parameter}`: `{value}` is no number of bytes; write `20MiB`, or 0 for no limit"
        )
    };
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_lowercase(),
        _ => return Err(wrong()),
    };
    if ["", "none", "off", "unlimited"].contains(&text.as_str()) {
        return Ok(None);
    }
    let text = text.trim_end_matches("/s").trim();
    let end = text.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = |unit: &str| {
        let place = "kmgt".find(unit.chars().next()?)?;
        i32::try_from(place + 1).ok()
    };
    let factor = match unit.trim() {
        "" | "b" => Some(1.0),
        unit if unit.len() == 2 && unit.ends_with('b') => power(unit).map(|p| 1000_f64.powi(p)),
        unit if unit.len() == 1 || unit.ends_with("ib") && unit.len() == 3 => {
            power(unit).map(|power| 1024_f64.powi(power))
        }
        _ => None,
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = number * factor.ok_or_else(wrong)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept in range")]
    let bytes = bytes.clamp(0.0, 1e18) as u64;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

/// The file beside a manifest: which migration it is, and its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) limits: Limits,
}

impl Note {
    /// The note in a migration's folder.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        let text = fs::read(folder.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it, whole or not at all. Blocks.
    pub(super) fn save(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let fresh = folder.join(format!("{FILE}.new"));
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(fresh, folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}

/// All migrations of a data folder, by name.
pub(super) fn notes(root: &Path) -> Vec<(PathBuf, Note)> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut notes: Vec<_> = folders
        .filter_map(|folder| Some((Note::load(&folder)?, folder)))
        .map(|(n, f)| (f, n))
        .collect();
    notes.sort_by(|one, two| one.1.name.cmp(&two.1.name));
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, expected) in [
            (json!("20MiB"), Some(20 << 20)),
            (json!("20 MiB/s"), Some(20 << 20)),
            (json!("20M"), Some(20 << 20)),
            (json!("20MB"), Some(20_000_000)),
            (json!("1.5g"), Some(3 << 29)),
            (json!("500 kB/s"), Some(500_000)),
            (json!(4096), Some(4096)),
            (json!("17b"), Some(17)),
            (json!("0"), None),
            (json!(0), None),
            (json!("none"), None),
        ] {
            assert_eq!(bytes("rate", &text), Ok(expected), "{text}");
        }
        for wrong in [json!("fast"), json!("20 apples"), json!("1..2M"), json!(true), json!("-1")] {
            assert!(bytes("rate", &wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_keep_what_nobody_changes() {
        let of = |limits: Limits, asked: Value| limits.with(asked.as_object().unwrap());
        let first = of(Limits::default(), json!({ "rate": "1MiB", "concurrency": 4 })).unwrap();
        let second = of(first, json!({ "requests": 10, "rate": null })).unwrap();
        let all = Limits { rate: Some(1 << 20), requests: Some(10), concurrency: 4 };
        assert_eq!(second, all);
        assert_eq!(of(second, json!({ "rate": 0 })).unwrap().rate, None);
        assert!(of(second, json!({ "concurrency": 0 })).is_err());
        assert!(of(second, json!({ "requests": -1 })).is_err());
    }

    #[test]
    fn a_note_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let name = "a → b".to_owned();
        let (from, to) = ("a:b".to_owned(), "c:d".to_owned());
        let note = Note { name, from, to, limits: Limits::default() };
        let folder = root.path().join("x");
        note.save(&folder).unwrap();
        assert_eq!(notes(root.path()), [(folder, note)]);
    }
}
