//! What an execution asks for: the runner's parameters, read once.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value, json};

use super::limits::{CONCURRENCY, Limits, bytes};
use super::place::{Kind, Place};
use crate::model::parameter::Parameters;
use crate::runners::described;

/// Objects beyond this are copied in parts, where nobody says otherwise.
const PART_BYTES: u64 = 16 << 20;
/// The largest part that S3 takes.
const LARGEST_PART: u64 = 5 << 30;
/// The smallest part that S3 takes, other than the last.
const SMALLEST_PART: u64 = 5 << 20;
/// How long a migration may take where nobody says, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;
/// What a name may be, in characters.
const LONGEST_NAME: usize = 200;

/// A migration to carry out.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) choice: Choice,
    pub(super) limits: Limits,
    pub(super) part_bytes: u64,
    pub(super) dry_run: bool,
    pub(super) remove_source: bool,
    pub(super) verify: Verify,
    pub(super) second_pass: bool,
}

/// Which copies are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// Those that the service does not vouch for.
    Vouched,
    /// Every one.
    Full,
}

/// Which keys are meant.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Choice {
    /// Whether the key is meant.
    pub(super) fn takes(&self, key: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(key))
            && !self.exclude.is_match(key)
    }
}

pub(super) fn parameters() -> Parameters {
    described(json!([
        ["operation", { "types": ["string"], "default": "copy", "choices": ["copy", "throttle", "report"], "description": "`copy` migrates, `throttle` changes the limits of migrations also while they run, `report` says how far they are and what failed" }],
        ["from", { "types": ["string", "null"], "description": "Where the objects are: a store of the pack's configuration, a colon, and the bucket or folder, as `old:photos/2024`" }],
        ["to", { "types": ["string", "null"], "description": "Where they go, as `new:photos` or `shelf:photos`" }],
        ["name", { "types": ["string", "null"], "description": "The migration's name: one of the same name goes on where it stopped. Else `from → to`. For `throttle` and `report` the one that is meant, `*` for all" }],
        ["dry_run", { "types": ["boolean"], "default": false, "description": "Say what would be copied, and touch nothing" }],
        ["remove_source", { "types": ["boolean"], "default": false, "description": "Remove each object from the source once its copy is verified, unless it has changed since" }],
        ["include", { "types": ["array", "string", "null"], "description": "Copy only keys like these: `*.jpg` at any depth, `2024/**` below a folder" }],
        ["exclude", { "types": ["array", "string", "null"], "description": "Leave out keys like these" }],
        ["concurrency", { "types": ["integer", "null"], "description": format!("Objects or parts under way at once, {CONCURRENCY} where nobody says") }],
        ["rate", { "types": ["string", "integer", "null"], "description": "Bytes a second at most, as `20MiB`; 0 is no limit" }],
        ["requests", { "types": ["integer", "null"], "description": "Requests a second at most, to both sides together; 0 is no limit" }],
        ["part_size", { "types": ["string", "integer", "null"], "description": "Objects beyond this are copied in parts of it, 16MiB where nobody says" }],
        ["verify", { "types": ["string"], "default": "vouched", "choices": ["vouched", "full"], "description": "`vouched` reads a copy back where the service does not show that it got just this content, `full` reads back every copy" }],
        ["timeout", { "types": ["integer"], "default": WEEK, "description": "Seconds it may take; what is left then is for the next of the same name" }],
        ["second_pass", { "types": ["boolean"], "default": true, "description": "List the source again at the end, and copy what came in or changed meanwhile" }],
    ]))
}

/// The parameter as a text; nothing where it is empty.
pub(super) fn text<'a>(asked: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    asked.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn flag(asked: &Map<String, Value>, name: &str, default: bool) -> bool {
    asked.get(name).and_then(Value::as_bool).unwrap_or(default)
}

impl Order {
    /// What the parameters ask for.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub(super) fn read(
        asked: &Map<String, Value>,
        config: &Value,
        home: &Path,
    ) -> Result<Self, String> {
        let place = |parameter: &str| {
            let text = text(asked, parameter).ok_or_else(|| {
                format!("parameter `{parameter}` is missing; say a place such as `old:photos`")
            })?;
            Place::read(parameter, text, config).map(|place| place.within(home))
        };
        let (from, to) = (place("from")?, place("to")?);
        if from.overlaps(&to) {
            return Err(format!("`{from}` and `{to}` lie within each other; choose another `to`"));
        }
        let name = text(asked, "name").map_or_else(|| format!("{from} → {to}"), str::to_owned);
        if name.chars().count() > LONGEST_NAME || name == "*" {
            return Err(format!("parameter `name`: {name:?} cannot be a migration's name"));
        }
        let part_bytes = match asked.get("part_size").filter(|value| !value.is_null()) {
            Some(value) => bytes("part_size", value)?.unwrap_or(PART_BYTES),
            None => PART_BYTES,
        };
        let smallest = if matches!(to.kind, Kind::S3(_)) { SMALLEST_PART } else { 1 };
        if !(smallest..=LARGEST_PART).contains(&part_bytes) {
            return Err(
                "parameter `part_size` is not from `5MiB` to `5GiB`, as S3 wants it".to_owned()
            );
        }
        Ok(Self {
            name,
            from,
            to,
            choice: choice(asked)?,
            limits: Limits::default().with(asked)?,
            part_bytes,
            dry_run: flag(asked, "dry_run", false),
            remove_source: flag(asked, "remove_source", false),
            verify: if text(asked, "verify") == Some("full") {
                Verify::Full
            } else {
                Verify::Vouched
            },
            second_pass: flag(asked, "second_pass", true),
        })
    }
}

fn choice(asked: &Map<String, Value>) -> Result<Choice, String> {
    let include = globs(asked, "include")?;
    let exclude = globs(asked, "exclude")?.unwrap_or_default();
    Ok(Choice { include, exclude })
}

fn globs(asked: &Map<String, Value>, parameter: &str) -> Result<Option<GlobSet>, String> {
    let patterns = match asked.get(parameter) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(patterns)) => patterns.clone(),
        Some(pattern) => vec![pattern.clone()],
    };
    let wrong = |what: String| format!("parameter `{parameter}`: {what}");
    let mut set = GlobSetBuilder::new();
    for pattern in &patterns {
        let Some(text) = pattern.as_str() else {
            return Err(wrong(format!("`{pattern}` is no pattern; write such as `*.jpg`")));
        };
        // Without a slash it is about names, wherever they are.
        let anywhere = if text.contains('/') { text.to_owned() } else { format!("**/{text}") };
        let anywhere = anywhere.trim_start_matches('/');
        let glob = GlobBuilder::new(anywhere).literal_separator(true).build();
        set.add(glob.map_err(|error| wrong(error.to_string()))?);
    }
    let set = set.build().map_err(|error| wrong(error.to_string()))?;
    Ok(Some(set).filter(|set| !set.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(asked: &Value, key: &str) -> bool {
        choice(asked.as_object().unwrap()).unwrap().takes(key)
    }

    #[test]
    fn patterns_choose_keys_as_people_expect() {
        for (asked, key, expected) in [
            (json!({}), "a/b", true),
            (json!({ "include": ["*.jpg"] }), "a/b/c.jpg", true),
            (json!({ "include": ["*.jpg"] }), "c.jpg", true),
            (json!({ "include": "*.jpg" }), "c.png", false),
            (json!({ "include": ["2024/**"] }), "2024/a/b", true),
            (json!({ "include": ["2024/*"] }), "2024/a/b", false),
            (json!({ "include": ["/2024/*"] }), "2024/a", true),
            (json!({ "exclude": ["*.tmp"] }), "a/b.tmp", false),
            (json!({ "include": ["a/**"], "exclude": ["*.tmp"] }), "a/b.tmp", false),
            (json!({ "include": [] }), "a", true),
        ] {
            assert_eq!(takes(&asked, key), expected, "{asked} {key}");
        }
        assert!(choice(json!({ "include": ["a[", 1] }).as_object().unwrap()).is_err());
    }

    #[test]
    fn what_is_wrong_with_an_order_is_said() {
        let store = json!({ "kind": "s3", "endpoint": "http://a" });
        let config =
            json!({ "stores": { "old": store, "shelf": { "kind": "folder", "path": "/" } } });
        let wrong = [
            json!({}),
            json!({ "from": "old:a", "to": "old:a/b" }),
            json!({ "from": "old:a", "to": "old:b", "name": "*" }),
            json!({ "from": "old:a", "to": "old:b", "part_size": "1MiB" }),
            json!({ "from": "old:a", "to": "old:b", "rate": "fast" }),
            json!({ "from": "old:a", "to": "old:b", "include": ["a["] }),
        ];
        let said = wrong.map(|asked| {
            Order::read(asked.as_object().unwrap(), &config, Path::new("/home")).unwrap_err()
        });
        insta::assert_snapshot!(said.join("\n"), @r#"
        parameter `from` is missing; say a place such as `old:photos`
        `old:a` and `old:a/b` lie within each other; choose another `to`
        parameter `name`: "*" cannot be a migration's name
        parameter `part_size` is not from `5MiB` to `5GiB`, as S3 wants it
        parameter `rate`: `"fast"` is no number of bytes; write `20MiB`, or 0 for no limit
        parameter `include`: error parsing glob '**/a[': unclosed character class; missing ']'
        "#);
        let asked = json!({ "from": "old:a", "to": "shelf:b/", "part_size": "1KiB" });
        let order = Order::read(asked.as_object().unwrap(), &config, Path::new("/home")).unwrap();
        assert_eq!(order.name, "old:a → shelf:b");
    }
}
