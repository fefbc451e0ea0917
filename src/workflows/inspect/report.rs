//! What an inspection found.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What an inspection looks at, in Orquesta's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Keys and the types of their values.
    Syntax,
    /// The graph that the tasks make.
    Semantics,
    /// Whether expressions can be parsed.
    Expressions,
    /// Whether variables are set before they are asked for.
    Context,
    /// Whether actions are there and take what they are given.
    Contents,
}

impl Category {
    /// Orquesta's word for it, the key in `Report::to_json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Semantics => "semantics",
            Self::Expressions => "expressions",
            Self::Context => "context",
            Self::Contents => "contents",
        }
    }

    /// StackStorm's word for one fault of it, the `type` in `Report::to_list`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Semantics => "semantic",
            Self::Expressions => "expression",
            Self::Context => "context",
            Self::Contents => "content",
        }
    }

    /// Whether its faults name an expression and its language.
    const fn names_expressions(self) -> bool {
        matches!(self, Self::Expressions | Self::Context)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in Orquesta's words.
    pub message: String,
    /// Where in the definition, such as `tasks.a.next[0].do`; empty for the whole of it.
    pub spec_path: String,
    /// Which part of Orquesta's schema it breaks.
    pub schema_path: String,
    /// The language of the expression that is wrong, where one is.
    pub language: Option<&'static str>,
    /// The text that holds the expression.
    pub expression: Option<String>,
    /// The key that should not be there, where that is what is wrong.
    pub key: Option<String>,
    /// The next step for people, where there is one. Orquesta has none.
    pub help: Option<String>,
}

impl Fault {
    /// A fault at `spec_path` that breaks `schema_path`.
    pub(super) fn new(message: impl Into<String>, spec_path: &str, schema_path: &str) -> Self {
        Self {
            message: message.into(),
            spec_path: spec_path.to_owned(),
            schema_path: schema_path.to_owned(),
            ..Self::default()
        }
    }

    /// The same with the next step beside it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One entry of StackStorm's list.
    #[must_use]
    pub fn to_object(&self, category: Category) -> Value {
        let mut map = self.to_map(category);
        map.insert("type".to_owned(), category.kind().into());
        if category.names_expressions() {
            map.insert("language".to_owned(), json!(self.language));
        }
        Value::Object(map)
    }

    fn to_map(&self, category: Category) -> Map<String, Value> {
        let path = |path: &str| if path.is_empty() { Value::Null } else { path.into() };
        let mut map = Map::new();
        map.insert("message".to_owned(), self.message.as_str().into());
        map.insert("spec_path".to_owned(), path(&self.spec_path));
        map.insert("schema_path".to_owned(), path(&self.schema_path));
        if category.names_expressions() {
            map.insert("expression".to_owned(), json!(self.expression));
        }
        map
    }
}

/// Everything that is wrong, in the order in which Orquesta sorts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    faults: BTreeMap<Category, Vec<Fault>>,
}

impl Report {
    pub(super) fn add(&mut self, category: Category, mut faults: Vec<Fault>) {
        let key = |fault: &Fault| (fault.schema_path.clone(), fault.spec_path.clone());
        faults.sort_by_cached_key(key);
        // A join is looked at once for every way that leads to it.
        let mut seen: Vec<Fault> = Vec::with_capacity(faults.len());
        for fault in faults {
            let same = |held: &&Fault| key(held) == key(&fault);
            if !seen.iter().rev().take_while(same).any(|held| *held == fault) {
                seen.push(fault);
            }
        }
        if !seen.is_empty() {
            self.faults.insert(category, seen);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Each fault with its category, syntax first.
    pub fn faults(&self) -> impl Iterator<Item = (Category, &Fault)> {
        self.faults.iter().flat_map(|(category, faults)| faults.iter().map(|one| (*category, one)))
    }

    /// Orquesta's shape: a list for each category in which something is wrong.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let list = |(category, faults): (&Category, &Vec<Fault>)| {
            let fault = |fault: &Fault| {
                let mut map = fault.to_map(*category);
                if category.names_expressions() {
                    map.insert("type".to_owned(), json!(fault.language));
                }
                Value::Object(map)
            };
            (category.word().to_owned(), faults.iter().map(fault).collect())
        };
        Value::Object(self.faults.iter().map(list).collect())
    }

    /// StackStorm's shape, that of `POST /workflows/inspect` and of a failed execution: one list,
    /// each fault with its `type`.
    #[must_use]
    pub fn to_list(&self) -> Vec<Value> {
        let mut all: Vec<(Category, &Fault)> = self.faults().collect();
        all.sort_by_key(|(category, fault)| (category.kind(), &fault.schema_path));
        all.into_iter().map(|(category, fault)| fault.to_object(category)).collect()
    }
}
