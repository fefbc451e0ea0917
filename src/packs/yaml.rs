//! YAML into a tree in which every value knows its place. The only module that knows the parser.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::model::problem::{Place, Problem};

/// The largest file that is read: a pack's author writes kilobytes, whoever writes more means harm
/// or dropped the wrong file.
pub const FILE_LIMIT_BYTES: usize = 1024 * 1024;

/// Values in one file after aliases are expanded; a bomb of aliases ends here within milliseconds.
const NODE_LIMIT: usize = 50_000;

/// How deep lists and mappings may nest.
const DEPTH_LIMIT: usize = 64;

/// A value and its place. Lines and columns count from 1; 0 where the place is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What stands there.
    pub tree: Tree,
}

/// What stands at one place.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<(Key, Node)>),
}

/// A mapping's key and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The key.
    pub name: String,
}

/// Reads the YAML (or JSON) `text` of the file at `place`.
///
/// # Errors
/// One problem with the line and column where reading ended.
pub fn parse(text: &str, place: &Place) -> Result<Node, Problem> {
    if text.len() > FILE_LIMIT_BYTES {
        return Err(too_large(place, text.len()));
    }
    let mut budget = serde_saphyr::Budget::default();
    budget.max_nodes = NODE_LIMIT;
    budget.max_events = 4 * NODE_LIMIT;
    budget.max_depth = DEPTH_LIMIT;
    budget.flow_nesting_limit = DEPTH_LIMIT;
    budget.max_documents = 2;
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    options.with_snippet = false;
    options.budget = Some(budget);
    serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options)
        .map(Node::from)
        .map_err(|error| unreadable(&error, place))
}

/// The problem of a file that is larger than `FILE_LIMIT_BYTES`.
#[must_use]
pub fn too_large(place: &Place, size_bytes: usize) -> Problem {
    let message = format!("the file has {size_bytes} bytes; at most {FILE_LIMIT_BYTES} are read");
    Problem::error("file_too_large", place.clone(), message)
        .help("move data out of the file, or split it")
}

fn unreadable(error: &serde_saphyr::Error, place: &Place) -> Problem {
    let at = error.location().map_or_else(
        || place.clone(),
        |location| place.at(narrow(location.line()), narrow(location.column())),
    );
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
        let name = key.as_deref().map_or_else(String::new, |key| format!("`{key}` "));
        return Problem::error("duplicate_key", at, format!("{name}stands twice in one mapping"))
            .help("keep one of the two");
    }
    let text = error.without_snippet().to_string();
    // The parser ends its text with the place, which the problem says already.
    let first = text.lines().next().unwrap_or_default();
    let message = match first.rfind(" at line ") {
        Some(end) if first[end..].contains("column") => &first[..end],
        _ => first,
    };
    let message = message.strip_prefix("error: ").unwrap_or(message);
    Problem::error("yaml", at, format!("not readable as YAML: {message}"))
        .help("check the indentation and the quotes around this line")
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Node {
    /// The same as JSON, places forgotten.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(value) => Value::Number(value.clone()),
            Tree::Text(value) => Value::String(value.clone()),
            Tree::List(items) => items.iter().map(Node::to_json).collect(),
            Tree::Mapping(entries) => {
                let json = |(key, value): &(Key, Node)| (key.name.clone(), value.to_json());
                Value::Object(entries.iter().map(json).collect::<Map<_, _>>())
            }
        }
    }

    /// What kind of value it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Mapping(_) => "a mapping",
        }
    }

    /// Its place in the file of `place`.
    #[must_use]
    pub fn place(&self, place: &Place) -> Place {
        if self.line == 0 { place.clone() } else { place.at(self.line, self.column) }
    }

    /// The value under `key`, where this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(held, _)| held.name == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none where this is anything else.
    #[must_use]
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Tree::Mapping(entries) = &self.tree { entries } else { &[] }
    }

    /// The place of the value at `path` (`a.b[2].c`), or of the last part of it that is there; the
    /// key's place where the value stands under one.
    #[must_use]
    pub fn find(&self, path: &str, place: &Place) -> Place {
        let mut node = self;
        let mut found = self.place(place);
        for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
            let (next, at) = match &node.tree {
                Tree::Mapping(entries) => {
                    let Some((key, value)) = entries.iter().find(|(key, _)| key.name == part)
                    else {
                        break;
                    };
                    (value, key.place(place))
                }
                Tree::List(items) => {
                    let Some(item) = part.parse().ok().and_then(|at: usize| items.get(at)) else {
                        break;
                    };
                    (item, item.place(place))
                }
                _ => break,
            };
            (node, found) = (next, at);
        }
        found
    }
}

impl Key {
    /// Its place in the file of `place`.
    #[must_use]
    pub fn place(&self, place: &Place) -> Place {
        if self.line == 0 { place.clone() } else { place.at(self.line, self.column) }
    }
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Self {
        let at = spanned.referenced;
        Self { line: narrow(at.line()), column: narrow(at.column()), tree: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value)
            .map(Tree::Number)
            .ok_or_else(|| E::custom("infinite numbers cannot be used; put quotes around a text"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            list.push(item.into());
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut mapping = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let at = key.referenced;
            let (line, column) = (narrow(at.line()), narrow(at.column()));
            let value = entries.next_value::<Spanned<Tree>>()?;
            mapping.push((Key { line, column, name: key.value }, value.into()));
        }
        Ok(Tree::Mapping(mapping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Problem> {
        parse(text, &Place::file("x.yaml"))
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = read("a: 1\nb:\n  - x: yes\n    y: ~\n").unwrap();
        let place = Place::file("x.yaml");
        assert_eq!(node.find("b[0].y", &place).to_string(), "x.yaml:4:5");
        let y = node.get("b").unwrap();
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "b": [{"x": "yes", "y": null}]}));
        assert_eq!((y.line, y.column), (3, 3));
    }

    #[test]
    fn broken_text_is_refused_where_it_breaks() {
        for (text, at) in [
            ("a: [1, 2\nb: 3\n", "x.yaml:2"),
            ("a: 1\na: 2\n", "x.yaml:2:1"),
            ("a: 1\n\tb: 2\n", "x.yaml:1"),
            ("a: \"x\n", "x.yaml:"),
            ("a: *nobody\n", "x.yaml:1"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.place.to_string().starts_with(at), "{text:?}: {problem}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb = format!("{bomb}a{level}: &a{level} [{items}]\n");
        }
        let deep = "[".repeat(100_000);
        let large = "#".repeat(FILE_LIMIT_BYTES + 1);
        for text in [bomb, deep, large] {
            assert!(read(&text).is_err());
        }
    }
}
