//! StackStorm's functions on data, the same in every dialect: JSON, YAML, patterns, versions, paths,
//! spans. They know nothing of a workflow.

mod json;
mod yaml;
mod pattern;
mod version;
mod path;
mod span;

use serde_json::Value;

use crate::workflows::expression::fault::Fault;

/// One function: its name, what it takes (`=`: may be left out), what it does. What was left out is
/// null.
pub(super) type Row = (&'static str, &'static [&'static str], fn(&[Value]) -> Result<Value, Fault>);

/// All of them.
pub(super) const TABLE: &[Row] = &[
    ("json", &["s"], json::loaded),
    ("from_json_string", &["value"], json::parse),
    ("json_parse", &["value"], json::parse),
    ("to_json_string", &["value", "indent=", "sort_keys=", "separators="], json::dump),
    ("json_dump", &["value", "indent=", "sort_keys=", "separators="], json::dump),
    ("json_escape", &["value"], json::escape),
    ("jsonpath_query", &["value", "query"], json::query),
    ("use_none", &["value"], json::use_none),
    ("from_yaml_string", &["value"], yaml::parse),
    ("yaml_parse", &["value"], yaml::parse),
    ("to_yaml_string", &["value", "indent=", "allow_unicode="], yaml::dump),
    ("yaml_dump", &["value", "indent=", "allow_unicode="], yaml::dump),
    ("regex_match", &["value", "pattern", "ignorecase="], pattern::matches),
    ("regex_search", &["value", "pattern", "ignorecase="], pattern::search),
    ("regex_replace", &["value", "pattern", "replacement", "ignorecase="], pattern::replace),
    ("regex_substring", &["value", "pattern", "result_index=", "ignorecase="], pattern::substring),
    ("version_compare", &["value", "pattern"], version::compare),
    ("version_more_than", &["value", "pattern"], version::more_than),
    ("version_less_than", &["value", "pattern"], version::less_than),
    ("version_equal", &["value", "pattern"], version::equal),
    ("version_match", &["value", "pattern"], version::matches),
    ("version_bump_major", &["value"], version::bump_major),
    ("version_bump_minor", &["value"], version::bump_minor),
    ("version_bump_patch", &["value"], version::bump_patch),
    ("version_strip_patch", &["value"], version::strip_patch),
    ("basename", &["path"], path::basename),
    ("dirname", &["path"], path::dirname),
    ("to_human_time_from_seconds", &["seconds"], span::human),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.0 == name)
}

/// Calls a function with what stands there by place and by name. Names may be written as YAQL does:
/// `sortKeys`.
///
/// # Errors
/// It does not take such arguments; or why it gives nothing.
pub(super) fn call(
    (function, takes, run): &Row,
    values: Vec<Value>,
    named: Vec<(String, Value)>,
) -> Result<Value, Fault> {
    let count = values.len();
    if count > takes.len() {
        let most = takes.len();
        let message = format!("{function}() takes {most} arguments but {count} were given");
        return Err(Fault::kind_of_value(message));
    }
    let mut given: Vec<Option<Value>> = values.into_iter().map(Some).collect();
    given.resize(takes.len(), None);
    for (name, value) in named {
        let plain = |take: &str| take.trim_end_matches('=').replace('_', "").to_lowercase();
        let wanted = plain(&name);
        match takes.iter().position(|take| plain(take) == wanted) {
            Some(at) if at >= count => given[at] = Some(value),
            Some(_) => {
                let message = format!("{function}() got multiple values for argument '{name}'");
                return Err(Fault::kind_of_value(message));
            }
            None => {
                let message = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(Fault::kind_of_value(message));
            }
        }
    }
    let missing =
        takes.iter().zip(&given).find(|(take, value)| value.is_none() && !take.ends_with('='));
    if let Some((take, _)) = missing {
        let message = format!("{function}() missing 1 required positional argument: '{take}'");
        return Err(Fault::kind_of_value(message));
    }
    let given: Vec<Value> = given.into_iter().map(Option::unwrap_or_default).collect();
    run(&given)
}
