//! The keys of a workflow and what they may hold: Orquesta's, and ours on top.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::workflows::expression;
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;
use crate::workflows::inspect::schema::{Rule, Schema, Type, check as fit};

/// What of the `definition` does not fit the language.
pub(super) fn check(definition: &Value) -> Vec<Fault> {
    let mut faults = fit(&at_length(definition), &WORKFLOW);
    faults.extend(strays(definition));
    faults
}

/// What stands between the parameters behind an action and is none: Orquesta passes it over.
fn strays(definition: &Value) -> Vec<Fault> {
    let tasks = definition.get("tasks").and_then(Value::as_object).into_iter().flatten();
    let fault = |(name, task): (&String, &Value)| {
        let stray = expression::stray(task.get("action")?.as_str()?)?;
        let paths = Paths::task(name).key("action");
        let message = format!("The action has \"{stray}\" where a parameter is expected.");
        let help = "parameters are written `name=\"text\"`, `name=1` or `name=<% … %>`; a quote \
                    within a text is `\\\"`";
        Some(Fault::new(message, &paths.spec, &paths.schema).help(help))
    };
    tasks.filter_map(fault).collect()
}

/// The definition with `with: <% … %>` as `with: {items: <% … %>}`: a fault names the long form.
fn at_length(definition: &Value) -> Cow<'_, Value> {
    let short = |task: &Value| task.get("with").is_some_and(Value::is_string);
    let tasks = definition.get("tasks").and_then(Value::as_object);
    if !tasks.is_some_and(|tasks| tasks.values().any(short)) {
        return Cow::Borrowed(definition);
    }
    let mut definition = definition.clone();
    let tasks = definition.get_mut("tasks").and_then(Value::as_object_mut);
    for task in tasks.into_iter().flat_map(Map::values_mut).filter(|task| short(task)) {
        let items = task["with"].take();
        task["with"] = json!({ "items": items });
    }
    Cow::Owned(definition)
}

/// Orquesta's pattern, as its messages show it.
const ITEMS_SHOWN: &str = r"^(\s+)?({{.*?}}|<%.*?%>)(\s+)?$|^(\s+)?((\w+,\s?|\s+)+)?(\w+)\s+in\s+({{.*?}}|<%.*?%>)(\s+)?$";

/// The same, with `${ }` beside the other two.
fn items() -> &'static Regex {
    static ITEMS: LazyLock<Regex> = LazyLock::new(|| {
        let expression = r"(?:\{\{.*?\}\}|<%.*?%>|\$\{.*\})";
        let names = r"(?:(?:\w+,\s?|\s+)+)?\w+";
        Regex::new(&format!(r"^\s*(?:{names}\s+in\s+)?{expression}\s*$"))
            .expect("the pattern is written above")
    });
    &ITEMS
}

// Forms that several keys have, in the words of helps.
const TEXT: &str = "a text that is not empty";
const COUNT: &str = "a whole number from 0, or an expression that gives one";
const SPAN: &str = "seconds, a span such as `90s` or `5m`, or an expression that gives one";

const fn schema(rules: &'static [Rule], expected: &'static str) -> Schema {
    Schema { rules, expected }
}

static NONEMPTY_TEXT: Schema =
    schema(&[Rule::Type(Type::String), Rule::NonEmpty("minLength")], TEXT);
static WHOLE: Schema =
    schema(&[Rule::Type(Type::Integer), Rule::FromZero("0")], "a whole number from 0");
static NUMBER: Schema =
    schema(&[Rule::Type(Type::Number), Rule::FromZero("0.0")], "a number from 0");
static ONE_KEY: Schema = schema(
    &[Rule::Type(Type::Object), Rule::NonEmpty("minProperties"), Rule::OneProperty],
    "one name and its value: `name: value`",
);
static VARIABLES: Schema = schema(
    &[Rule::Type(Type::Array), Rule::NonEmpty("minItems"), Rule::Unique, Rule::Items(&ONE_KEY)],
    "a list, each entry with one name and its value: `- name: value`",
);
static INPUT_NAME: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &ONE_KEY])],
    "a name, or one name and its default: `- name: value`",
);
static INPUTS: Schema = schema(
    &[Rule::Type(Type::Array), Rule::NonEmpty("minItems"), Rule::Unique, Rule::Items(&INPUT_NAME)],
    "a list of names, each alone or with its default: `- name: value`",
);
static TEXTS: Schema = schema(
    &[
        Rule::Type(Type::Array),
        Rule::NonEmpty("minItems"),
        Rule::Unique,
        Rule::Items(&NONEMPTY_TEXT),
    ],
    "a list of texts, none of them twice",
);
static COUNTED: Schema = schema(&[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &WHOLE])], COUNT);
static VERSION: Schema = schema(
    &[Rule::Either("anyOf", &[&NONEMPTY_TEXT, &WHOLE, &NUMBER]), Rule::Enum(r#"["1.0", 1.0]"#)],
    "`version: 1.0`",
);
static MAPPING: Schema = schema(&[Rule::Type(Type::Object)], "a mapping");
static ARGUMENTS: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &NONEMPTY_MAPPING])],
    "a mapping of parameters, or an expression that gives one",
);
static NONEMPTY_MAPPING: Schema =
    schema(&[Rule::Type(Type::Object), Rule::NonEmpty("minProperties")], "a mapping");

static WITH: Schema = schema(
    &[Rule::Type(Type::Object), Rule::Keys(&[("items", &ITEMS), ("concurrency", &COUNTED)])],
    "an expression that gives a list, or `items` and `concurrency`",
);
static ITEMS: Schema = schema(
    &[Rule::Type(Type::String), Rule::NonEmpty("minLength"), Rule::Pattern(ITEMS_SHOWN, items)],
    "`<% expression %>`, or names for the parts of an item: `x, y in <% expression %>`",
);
static RETRY: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Required("count"),
        Rule::Keys(&[("when", &NONEMPTY_TEXT), ("count", &COUNTED), ("delay", &COUNTED)]),
    ],
    "`count`, and perhaps `when` and `delay`",
);
static NEXT: Schema = schema(
    &[Rule::Type(Type::Array), Rule::Items(&TRANSITION)],
    "a list, each entry with `when`, `publish` and `do`",
);
static TRANSITION: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Keys(&[("when", &NONEMPTY_TEXT), ("publish", &PUBLISH), ("do", &DO)]),
    ],
    "`when`, `publish` and `do`",
);
static PUBLISH: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &VARIABLES])],
    "a list, each entry with one name and its value: `- name: value`, or `name=value` in a text",
);
static DO: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &TEXTS])],
    "the names of tasks: a list, or a text with commas between them",
);
static JOIN: Schema =
    schema(&[Rule::Either("oneOf", &[&ALL, &WHOLE])], "`all`, or how many ways must have come in");
static ALL: Schema = schema(&[Rule::Enum(r#"["all"]"#)], "");

// Ours, from here.
static SPANNED: Schema = schema(&[Rule::Either("oneOf", &[&SPAN_TEXT, &NUMBER])], SPAN);
static SPAN_TEXT: Schema =
    schema(&[Rule::Type(Type::String), Rule::NonEmpty("minLength"), Rule::Span], "");
static ON_ERROR: Schema = schema(
    &[Rule::Enum(r#"["fail", "pause"]"#)],
    "`pause`, which waits for a person, or `fail`, which ends the workflow",
);
static PRIORITY: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &INTEGER])],
    "a whole number, the larger the sooner, or an expression that gives one",
);
static INTEGER: Schema = schema(&[Rule::Type(Type::Integer)], "");
static COMPENSATE: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &CALL])],
    "an action, as `pack.name a=1` or as `action` and `input`",
);
static CALL: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Required("action"),
        Rule::Keys(&[("action", &NONEMPTY_TEXT), ("input", &ARGUMENTS)]),
    ],
    "`action`, and perhaps `input`",
);
static APPROVE: Schema = schema(
    &[Rule::Either("oneOf", &[&TRUE, &QUESTION])],
    "`true`, or some of `schema`, `route`, `users`, `roles`, `ttl` and `message`",
);
static TRUE: Schema = schema(&[Rule::Type(Type::Boolean), Rule::Enum("[true]")], "");
static QUESTION: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Keys(&[
            ("schema", &MAPPING),
            ("route", &NONEMPTY_TEXT),
            ("users", &NAMES),
            ("roles", &NAMES),
            ("ttl", &SPANNED),
            ("message", &NONEMPTY_TEXT),
        ]),
    ],
    "some of `schema`, `route`, `users`, `roles`, `ttl` and `message`",
);
static NAMES: Schema = schema(
    &[Rule::Either("oneOf", &[&NONEMPTY_TEXT, &TEXTS])],
    "a list of names, or an expression that gives one",
);
static UNTIL: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Required("when"),
        Rule::Keys(&[
            ("when", &NONEMPTY_TEXT),
            ("every", &SPANNED),
            ("limit", &COUNTED),
            ("within", &SPANNED),
        ]),
    ],
    "`when`, and perhaps `every`, `limit` and `within`",
);
static RESUME_WHEN: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Required("action"),
        Rule::Keys(&[
            ("action", &NONEMPTY_TEXT),
            ("input", &ARGUMENTS),
            ("when", &NONEMPTY_TEXT),
            ("every", &SPANNED),
        ]),
    ],
    "`action`, and perhaps `input`, `when` and `every`",
);

static TASK: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Keys(&[
            ("delay", &COUNTED),
            ("join", &JOIN),
            ("with", &WITH),
            ("action", &NONEMPTY_TEXT),
            ("input", &ARGUMENTS),
            ("retry", &RETRY),
            ("next", &NEXT),
            ("on_error", &ON_ERROR),
            ("compensate", &COMPENSATE),
            ("timeout", &SPANNED),
            ("approve", &APPROVE),
            ("until", &UNTIL),
            ("resume_when", &RESUME_WHEN),
            ("priority", &PRIORITY),
        ]),
    ],
    "a mapping: a task",
);
static TASKS: Schema = schema(
    &[Rule::Type(Type::Object), Rule::NonEmpty("minProperties"), Rule::Each(&TASK)],
    "tasks, each under its name",
);
static WORKFLOW: Schema = schema(
    &[
        Rule::Type(Type::Object),
        Rule::Required("tasks"),
        Rule::Keys(&[
            ("name", &NONEMPTY_TEXT),
            ("version", &VERSION),
            ("description", &NONEMPTY_TEXT),
            ("tags", &TEXTS),
            ("vars", &VARIABLES),
            ("input", &INPUTS),
            ("output", &VARIABLES),
            ("tasks", &TASKS),
            ("on_error", &ON_ERROR),
            ("timeout", &SPANNED),
            ("resume_when", &RESUME_WHEN),
        ]),
    ],
    "a mapping with `version` and `tasks`",
);
