//! A first rule on a trigger, written out of what is known of it: pure.

use serde_json::Value;

use crate::model::reference::Reference;

/// Fields that are listed at most.
const FIELDS_LIMIT: usize = 40;
/// How deep maps inside maps are listed.
const DEPTH_LIMIT: usize = 3;
/// Letters of a sample that are shown.
const SAMPLE_LIMIT: usize = 40;

/// Names of fields that say which thing an event is about, the likeliest first.
const NAMES: &[&str] = &[
    "id",
    "uid",
    "uuid",
    "pool",
    "volume",
    "device",
    "instance",
    "host",
    "hostname",
    "node",
    "name",
    "path",
    "fingerprint",
    "alertname",
    "key",
];

/// One field of an event.
struct Field {
    /// How a closure names it: `e.labels.severity`.
    path: String,
    name: String,
    kind: &'static str,
    sample: Option<Value>,
    about: String,
}

/// The rule `name` on `trigger`, whose payload has this schema; `sample` is the data of an event.
pub(crate) fn rule(
    trigger: &Reference,
    name: &str,
    about: &str,
    schema: &Value,
    sample: Option<&Value>,
) -> String {
    let mut fields = Vec::new();
    gather("e", Some(schema), sample, 0, &mut fields);
    fields.truncate(FIELDS_LIMIT);
    let (when, until) = condition(&fields);
    let per = fields.iter().filter(|field| field.kind == "text").min_by_key(|field| rank(field));
    let text_of =
        per.map_or_else(|| "it happened".to_owned(), |field| format!("${{{}}}", field.path));
    let per = per.map_or("e.id", |field| field.path.as_str());
    let marked = if fields.is_empty() { "// " } else { "" };
    let body = format!(
        r#"rule("{name}", #{{
    about:  "Say in one sentence what it is for",
    on:     "{trigger}",
    {marked}when:   |e| {when},
    {marked}per:    |e| {per},  // what it remembers, it remembers for each
    shadow: true,  // decides and does nothing; remove it when that looks right

    // Memory; take what fits:
    // hold:     "5m",                // it has to be true for so long, without a break
    // until:    |e| {until},  // once true, it stays so up to here
    // recover:  |e| log("fine again"),  // done when it is not true any more
    // cooldown: "30m",               // after it fired it keeps still
    // limit:    #{{ count: 10, per: "1h" }},  // it fires no more often
    // within:   "10m", having: |w| w.count >= 3,  // so many matches in so much time
    // active:   "business-hours",    // only while calendars/business-hours.yaml is open

    // run("pack.action", #{{ … }}), emit("pack.trigger", #{{ … }}), notify("ops", "…"), or a list of them
    then:   |e| log(`{trigger}: {text_of}`),
}});
"#
    );
    head(trigger, about, &fields, sample.is_some()) + &body
}

fn head(trigger: &Reference, about: &str, fields: &[Field], sampled: bool) -> String {
    let about = if about.is_empty() { String::new() } else { format!(": {about}") };
    let mut text = format!("// A first rule on `{trigger}`{about}\n//\n");
    if fields.is_empty() {
        text.push_str(
            "// Nothing is known of its payload: send an event and look at `ifso event show`.\n\n",
        );
        return text;
    }
    let from = if sampled { ", with values of its newest event" } else { "" };
    let width = fields.iter().map(|field| field.path.chars().count()).max().unwrap_or_default();
    let lines = fields.iter().map(|Field { path, kind, sample, about, .. }| {
        let sample = sample.as_ref().map(shown).unwrap_or_default();
        let line = format!("//   {path:width$}  {kind:6}  {sample:20}  {about}");
        line.trim_end().to_owned()
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("{text}// What an event of it holds{from}:\n{lines}\n\n")
}

/// A condition on the first field that tells something, and when it is over.
fn condition(fields: &[Field]) -> (String, String) {
    let telling =
        |kind: &str| fields.iter().find(|field| field.kind == kind && rank(field) > NAMES.len());
    if let Some(Field { path, sample, .. }) = telling("number") {
        let limit = sample.as_ref().map_or_else(|| "80".to_owned(), Value::to_string);
        return (format!("{path} >= {limit}"), format!("{path} < {limit}"));
    }
    if let Some(Field { path, sample, .. }) = telling("text").or_else(|| fields.first()) {
        let value = match sample {
            Some(Value::Null) | None => "\"…\"".to_owned(),
            Some(sample @ (Value::String(_) | Value::Bool(_) | Value::Number(_))) => shown(sample),
            Some(_) => return (format!("present({path})"), format!("!present({path})")),
        };
        return (format!("{path} == {value}"), format!("{path} != {value}"));
    }
    ("e.value >= 80".to_owned(), "e.value < 80".to_owned())
}

/// How likely a field says which thing an event is about: the smaller, the likelier.
fn rank(field: &Field) -> usize {
    let name = field.name.to_lowercase();
    if name.ends_with("_id") {
        return 0;
    }
    NAMES.iter().position(|known| *known == name).map_or(NAMES.len() + 1, |at| at + 1)
}

/// Collects the fields of a map: those that are described first, then others of the sample.
fn gather(
    path: &str,
    schema: Option<&Value>,
    sample: Option<&Value>,
    depth: usize,
    fields: &mut Vec<Field>,
) {
    let described = schema.and_then(|schema| schema["properties"].as_object());
    let seen = sample.and_then(Value::as_object);
    let known = described.into_iter().flat_map(|map| map.keys());
    let more = seen.into_iter().flat_map(|map| map.keys());
    let more = more.filter(|name| described.is_none_or(|described| !described.contains_key(*name)));
    for name in known.chain(more) {
        let inner = described.and_then(|described| described.get(name));
        let value = seen.and_then(|seen| seen.get(name));
        let path = step(path, name);
        let kind = kind(inner, value);
        if kind == "map" && depth + 1 < DEPTH_LIMIT {
            let before = fields.len();
            gather(&path, inner, value, depth + 1, fields);
            if fields.len() > before {
                continue;
            }
        }
        let choice = || inner.and_then(|inner| inner["enum"].get(0)).cloned();
        let about = inner.and_then(|inner| inner["description"].as_str()).unwrap_or_default();
        let about = about.lines().next().unwrap_or_default().to_owned();
        let sample = value.cloned().or_else(choice);
        fields.push(Field { path, name: name.clone(), kind, sample, about });
    }
}

fn step(path: &str, name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { format!("{path}.{name}") } else { format!("{path}[{}]", Value::from(name)) }
}

fn kind(schema: Option<&Value>, sample: Option<&Value>) -> &'static str {
    let types = schema.map_or(&Value::Null, |schema| &schema["type"]);
    let first = types.as_str().or_else(|| types.get(0).and_then(Value::as_str));
    match (first, sample) {
        (Some("string"), _) | (_, Some(Value::String(_))) => "text",
        (Some("number" | "integer"), _) | (_, Some(Value::Number(_))) => "number",
        (Some("boolean"), _) | (_, Some(Value::Bool(_))) => "flag",
        (Some("object"), _) | (_, Some(Value::Object(_))) => "map",
        (Some("array"), _) | (_, Some(Value::Array(_))) => "list",
        _ => "",
    }
}

/// A sample as Rhai writes it, cut to one short line.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SAMPLE_LIMIT {
        return text;
    }
    let cut: String = text.chars().take(SAMPLE_LIMIT - 1).collect();
    if value.is_string() { format!("{cut}\"") } else { format!("{cut}…") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::{self, Known, Library, Source};

    fn written(schema: &Value, sample: Option<&Value>) -> String {
        let trigger = "storage.pool_capacity".parse().unwrap();
        rule(&trigger, "pool", "A pool was measured", schema, sample)
    }

    /// What is wrong with a rule.
    fn wrong(text: &str) -> Vec<String> {
        let source =
            Source { pack: "site".to_owned(), file: "rules/x.rhai".into(), text: text.to_owned() };
        match rules::compile(&source, &Library::new(), &Known::default()) {
            Ok((rules, doubts)) => {
                assert_eq!(rules.len(), 1);
                doubts.iter().map(ToString::to_string).collect()
            }
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    fn examples() -> Vec<String> {
        let schema = json!({"properties": {
            "pool": {"type": "string", "description": "Which pool"},
            "used_pct": {"type": "number"},
            "labels": {"type": "object", "properties": {"tier": {"enum": ["gold", "silver"], "type": "string"}}},
        }});
        let sample = json!({
            "pool": "gold-1", "used_pct": 91.5, "labels": {"tier": "gold", "a-b": true}, "tags": ["x"],
        });
        vec![
            written(&schema, Some(&sample)),
            written(&schema, None),
            written(&json!({"properties": {"text": {"type": "string"}}}), None),
            written(&json!({}), Some(&json!({"list": [1, 2]}))),
            written(&Value::Null, None),
        ]
    }

    #[test]
    fn it_knows_the_fields_and_loads_as_it_is() {
        let all = examples();
        for text in &all {
            assert_eq!(wrong(text), [""; 0], "{text}");
        }
        for line in [
            "//   e.labels.tier    text    \"gold\"",
            "//   e.labels[\"a-b\"]  flag    true",
            "//   e.pool           text    \"gold-1\"              Which pool",
            "    when:   |e| e.used_pct >= 91.5,",
            "    per:    |e| e.pool,",
        ] {
            assert!(all[0].contains(line), "{line}\n{}", all[0]);
        }
        assert!(all[1].contains("e.used_pct >= 80"), "{}", all[1]);
    }

    #[test]
    fn every_line_of_memory_may_be_taken() {
        let text = &examples()[0];
        for key in ["hold", "until", "recover", "cooldown", "limit", "within"] {
            let marked = format!("    // {key}:");
            assert!(text.contains(&marked), "{key}\n{text}");
            let taken = text.replace(&marked, &format!("    {key}:"));
            let wrong = wrong(&taken).into_iter().filter(|one| !one.contains("true when"));
            assert_eq!(wrong.collect::<Vec<_>>(), [""; 0], "{taken}");
        }
    }
}
