//! Lists: `limit`, `offset`, `include_attributes`, `exclude_attributes`, and StackStorm's headers.

use axum::Json;
use axum::http::HeaderValue;
use axum::response::IntoResponse;
use serde_json::{Map, Value};

use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::Answer;

/// Query parameters of every list, for the OpenAPI page.
pub const QUERY: &[(&str, &str)] = &[
    ("limit", "How many at most; 100 unless given, 1000 at most, -1 for as many as that."),
    ("offset", "How many to leave out at the front."),
    (
        "include_attributes",
        "Only these attributes, parted by commas; `id` and `ref` always come along.",
    ),
    ("exclude_attributes", "All attributes but these, parted by commas."),
];

/// How many a list shows where the caller does not say.
const LIMIT: usize = 100;
/// How many a list shows at most.
pub const LIMIT_MOST: usize = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: usize,
    /// How many to leave out at the front.
    pub offset: usize,
}

impl Page {
    /// Reads `limit` and `offset`.
    ///
    /// # Errors
    /// 400 where they are no counts; the words are StackStorm's.
    pub fn of(call: &Call) -> Result<Self, Problem> {
        let bad = |message: String| Problem::bad("bad_query", message);
        let limit = match call.query("limit") {
            None => LIMIT,
            Some("-1") => LIMIT_MOST,
            Some("0") => {
                return Err(bad(
                    "Limit, \"0\" specified, must be a positive number or -1 for full \
                                result set."
                        .to_owned(),
                ));
            }
            Some(text) => text.parse::<u32>().map_err(|_| {
                bad(format!("Limit, \"{text}\" specified, must be a positive number."))
            })? as usize,
        };
        let offset = match call.query("offset") {
            None => 0,
            Some(text) => match text.parse::<u128>() {
                Ok(n) if n <= 0x7fff_ffff => n as usize,
                Ok(_) => {
                    let text = format!("Offset \"{text}\" specified is more than 32-bit int");
                    return Err(bad(text));
                }
                Err(_) => return Err(bad(format!("`offset`: `{text}` is not a count"))),
            },
        };
        Ok(Self { limit: limit.min(LIMIT_MOST), offset })
    }

    /// Cuts the page out of all rows.
    #[must_use]
    pub fn cut<T>(self, all: Vec<T>) -> Listing<T> {
        let total = all.len();
        let rows = all.into_iter().skip(self.offset).take(self.limit).collect();
        Listing { rows, total, more: false, limit: self.limit }
    }
}

/// A page with what is known of the whole.
#[derive(Debug)]
pub struct Listing<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// How many rows there are in all.
    pub total: usize,
    /// Whether there are more than `total`: counting stopped there.
    pub more: bool,
    /// The limit that was used.
    pub limit: usize,
}

impl<T> Listing<T> {
    /// The same page with each row in another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Listing<U> {
        Listing {
            rows: self.rows.into_iter().map(shape).collect(),
            total: self.total,
            more: self.more,
            limit: self.limit,
        }
    }
}

impl Listing<Value> {
    /// The answer: a JSON array, with the counts in headers.
    ///
    /// # Errors
    /// 400 where `include_attributes` and `exclude_attributes` contradict each other or name what no
    /// row has.
    pub fn answer(self, call: &Call, known: &[&str]) -> Answer {
        let choice = Choice::of(call, known)?;
        let rows: Vec<Value> = self.rows.into_iter().map(|row| choice.apply(row)).collect();
        let mut response = Json(rows).into_response();
        let headers = response.headers_mut();
        headers.insert("x-total-count", HeaderValue::from(self.total as u64));
        headers.insert("x-limit", HeaderValue::from(self.limit as u64));
        if self.more {
            headers.insert("x-total-count-is", HeaderValue::from_static("at-least"));
        }
        Ok(response)
    }
}

/// The answer to a call for one thing.
///
/// # Errors
/// As `Listing::answer`.
pub fn one(call: &Call, row: Value, known: &[&str]) -> Answer {
    Ok(Json(Choice::of(call, known)?.apply(row)).into_response())
}

/// Which attributes of each row are wanted.
enum Choice {
    All,
    Only(Vec<String>),
    Without(Vec<String>),
}

/// What comes along whatever is chosen: a row must have a name.
const ALWAYS: &[&str] = &["id", "ref"];

impl Choice {
    fn of(call: &Call, known: &[&str]) -> Result<Self, Problem> {
        let read = |name: &str, word: &str| -> Result<Option<Vec<String>>, Problem> {
            let Some(text) = call.query(name) else { return Ok(None) };
            let names: Vec<String> = text
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|n| !n.is_empty())
                .collect();
            for name in &names {
                let root = name.split('.').next().unwrap_or_default();
                if !known.contains(&root) {
                    return Err(unsupported(word, name, known));
                }
            }
            Ok(Some(names))
        };
        match (read("include_attributes", "include")?, read("exclude_attributes", "exclude")?) {
            (Some(_), Some(_)) => Err(Problem::bad(
                "bad_query",
                "exclude_fields and include_fields arguments are mutually exclusive. You need to \
                 provide either one or another, but not both.",
            )),
            (Some(names), None) => Ok(Self::Only(names)),
            (None, Some(names)) => Ok(Self::Without(names)),
            (None, None) => Ok(Self::All),
        }
    }

    fn apply(&self, row: Value) -> Value {
        let Value::Object(row) = row else { return row };
        match self {
            Self::All => Value::Object(row),
            Self::Only(names) => {
                let mut kept = Map::new();
                for name in ALWAYS.iter().copied().chain(names.iter().map(String::as_str)) {
                    copy(&row, &mut kept, name);
                }
                Value::Object(kept)
            }
            Self::Without(names) => {
                let keep = |name: &String| !names.contains(name);
                Value::Object(row.into_iter().filter(|(name, _)| keep(name)).collect())
            }
        }
    }
}

/// Copies `a` or `a.b.c`.
fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, name: &str) {
    let (root, rest) = name.split_once('.').map_or((name, None), |(a, b)| (a, Some(b)));
    match (from.get(root), rest) {
        (Some(Value::Object(inner)), Some(rest)) => {
            let below = to.entry(root).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                copy(inner, below, rest);
            }
        }
        (Some(value), None) => {
            to.insert(root.to_owned(), value.clone());
        }
        _ => {}
    }
}

fn unsupported(word: &str, name: &str, known: &[&str]) -> Problem {
    Problem::bad("bad_query", format!("Invalid or unsupported {word} attribute specified: {name}"))
        .help(format!("the attributes are {}", known.join(", ")))
}
