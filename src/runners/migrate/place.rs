//! Places, as people write them: `old:bucket/photos`, `shelf:sub/folder`. The stores that they name come
//! from the pack's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// Where objects lie.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The store's name in the configuration.
    pub(super) store: String,
    pub(super) kind: Kind,
    /// The bucket; nothing for folders.
    pub(super) bucket: String,
    /// Keys begin so: empty, or with a slash at its end.
    pub(super) prefix: String,
}

/// A kind of store, with its settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Kind {
    S3(S3),
    Folder { path: PathBuf },
}

/// A service that speaks S3.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct S3 {
    pub(super) endpoint: String,
    #[serde(default = "region")]
    pub(super) region: String,
    #[serde(default)]
    pub(super) access_key: Option<String>,
    #[serde(default)]
    pub(super) secret_key: Option<String>,
    #[serde(default)]
    pub(super) session_token: Option<String>,
    /// How the bucket is named in addresses.
    #[serde(default)]
    pub(super) style: Style,
    #[serde(default = "yes")]
    pub(super) verify_ssl_cert: bool,
}

/// `https://endpoint/bucket` or `https://bucket.endpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Style {
    #[default]
    Path,
    Host,
}

fn region() -> String {
    "us-east-1".to_owned()
}

const fn yes() -> bool {
    true
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, bucket, prefix, .. } = self;
        let slash = if bucket.is_empty() || prefix.is_empty() { "" } else { "/" };
        write!(f, "{store}:{bucket}{slash}{}", prefix.trim_end_matches('/'))
    }
}

impl Place {
    /// The place that `text` names, for the parameter `parameter`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn read(parameter: &str, text: &str, config: &Value) -> Result<Self, String> {
        let form =
            "write the store's name, a colon, and the bucket or folder, as `old:photos/2024`";
        let (name, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("parameter `{parameter}`: `{text}` names no store; {form}"))?;
        let kind = store(parameter, name, config)?;
        let rest = rest.trim_matches('/');
        let (bucket, prefix) = match kind {
            Kind::Folder { .. } => ("", rest),
            Kind::S3(_) => rest.split_once('/').unwrap_or((rest, "")),
        };
        if matches!(kind, Kind::S3(_)) && bucket.is_empty() {
            return Err(format!("parameter `{parameter}`: `{text}` names no bucket; {form}"));
        }
        let bad = |part: &str| part == "." || part == "..";
        if bad(bucket) || prefix.split('/').any(bad) {
            return Err(format!("parameter `{parameter}`: `{text}` holds a part `.` or `..`"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { store: name.to_owned(), kind, bucket: bucket.to_owned(), prefix })
    }

    /// The same, where a relative folder is one below `home`.
    pub(super) fn within(mut self, home: &Path) -> Self {
        if let Kind::Folder { path } = &mut self.kind {
            *path = home.join(&*path);
        }
        self
    }

    /// Whether one of the two lies within the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let same = match (&self.kind, &other.kind) {
            (Kind::S3(one), Kind::S3(two)) => {
                one.endpoint.trim_end_matches('/') == two.endpoint.trim_end_matches('/')
                    && self.bucket == other.bucket
            }
            (Kind::Folder { path: one }, Kind::Folder { path: two }) => {
                let (one, two) = (one.join(&self.prefix), two.join(&other.prefix));
                return one.starts_with(&two) || two.starts_with(&one);
            }
            _ => false,
        };
        same && (self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix))
    }
}

fn store(parameter: &str, name: &str, config: &Value) -> Result<Kind, String> {
    let stores = config.get("stores").and_then(Value::as_object);
    let known: BTreeMap<&String, &Value> = stores.into_iter().flatten().collect();
    let Some((_, found)) = known.iter().find(|(known, _)| **known == name) else {
        return Err(unknown(parameter, name, known.keys().map(|name| name.as_str())));
    };
    let place = format!("`stores.{name}` of the pack's configuration");
    serde_path_to_error::deserialize((*found).clone()).map_err(|error| format!("{place}: {error}"))
}

/// What to say of a store's or a migration's name that nobody knows.
pub(super) fn unknown<'a>(
    parameter: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let near = known
        .clone()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(far, known)| *far <= known.len().max(3) / 2)
        .min();
    let list: Vec<_> = known.take(20).map(|known| format!("`{known}`")).collect();
    let hint = match (near, list.is_empty()) {
        (Some((_, near)), _) => format!("did you mean `{near}`?"),
        (None, true) => "there is none yet".to_owned(),
        (None, false) => format!("there are {}", list.join(", ")),
    };
    let (what, whence) = match parameter {
        "name" => ("migration", ""),
        _ => ("store", " in `stores` of the pack's configuration"),
    };
    format!("parameter `{parameter}`: there is no {what} `{name}`{whence}; {hint}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> Value {
        json!({ "stores": {
            "old": { "kind": "s3", "endpoint": "http://a/" },
            "twin": { "kind": "s3", "endpoint": "http://a" },
            "shelf": { "kind": "folder", "path": "/srv" },
            "wrong": { "kind": "s3", "endpoint": "http://a", "acces_key": "x" },
        } })
    }

    fn read(text: &str) -> Result<Place, String> {
        Place::read("from", text, &config())
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        for (text, bucket, prefix, shown) in [
            ("old:photos", "photos", "", "old:photos"),
            ("old:photos/", "photos", "", "old:photos"),
            ("old:/photos/a/b", "photos", "a/b/", "old:photos/a/b"),
            ("shelf:", "", "", "shelf:"),
            ("shelf:a/b/", "", "a/b/", "shelf:a/b"),
        ] {
            let place = read(text).unwrap();
            assert_eq!((place.bucket.as_str(), place.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(place.to_string(), shown);
        }
    }

    #[test]
    fn a_relative_folder_is_below_the_home() {
        let shelf = |path: &str| {
            let config = json!({ "stores": { "shelf": { "kind": "folder", "path": path } } });
            let place = Place::read("from", "shelf:", &config).unwrap().within(Path::new("/home"));
            format!("{:?}", place.kind)
        };
        assert_eq!(shelf("old"), "Folder { path: \"/home/old\" }");
        assert_eq!(shelf("/srv"), "Folder { path: \"/srv\" }");
    }

    #[test]
    fn what_is_wrong_with_a_place_is_said() {
        let said: Vec<_> = ["photos", "odl:photos", "elsewhere:x", "old:", "old:b/../c", "wrong:b"]
            .map(|text| read(text).unwrap_err())
            .into();
        insta::assert_snapshot!(said.join("\n"), @r#"
        parameter `from`: `photos` names no store; write the store's name, a colon, and the bucket or folder, as `old:photos/2024`
        parameter `from`: there is no store `odl` in `stores` of the pack's configuration; did you mean `old`?
        parameter `from`: there is no store `elsewhere` in `stores` of the pack's configuration; there are `old`, `shelf`, `twin`, `wrong`
        parameter `from`: `old:` names no bucket; write the store's name, a colon, and the bucket or folder, as `old:photos/2024`
        parameter `from`: `old:b/../c` holds a part `.` or `..`
        `stores.wrong` of the pack's configuration: unknown field `acces_key`, expected one of `endpoint`, `region`, `access_key`, `secret_key`, `session_token`, `style`, `verify_ssl_cert`
        "#);
    }

    #[test]
    fn places_within_each_other_overlap() {
        for (one, two, overlap) in [
            ("old:photos", "old:photos/a", true),
            ("old:photos/a", "twin:photos", true),
            ("old:photos/a", "old:photos/ab", false),
            ("old:photos", "old:films", false),
            ("shelf:a", "shelf:a/b", true),
            ("shelf:a", "shelf:ab", false),
            ("shelf:a", "old:a", false),
        ] {
            let places = (read(one).unwrap(), read(two).unwrap());
            assert_eq!(places.0.overlaps(&places.1), overlap, "{one} {two}");
        }
    }
}
