//! `sensors/README.md` is whole: every kind, every key, and examples that load.

use std::sync::Arc;

use ifso::model::problem::Severity;
use ifso::sensors::{KINDS, check};
use serde_json::{Value, json};

use super::definition;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sensors/README.md")).unwrap()
}

/// The part of the page under this heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| {
        panic!("`{heading}` has no heading of its own");
    });
    rest.split("\n## ").next().unwrap()
}

/// The keys that a kind's settings take at `path`: an unknown one is answered with all of them.
fn keys(kind: &str, example: &str, path: &str) -> Vec<String> {
    let mut definition = (*definition(kind, example)).clone();
    let place = definition.settings.pointer_mut(path).unwrap();
    match place {
        Value::Object(map) => drop(map.insert("zzz".to_owned(), json!(1))),
        other => *other = json!({ "zzz": 1 }),
    }
    let problems = check(&Arc::new(definition));
    let [problem] = &problems[..] else { panic!("{kind}: {problems:?}") };
    let (_, known) = problem.message.split_once(", expected ").unwrap();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_kind_and_every_key_stands_in_the_reference() {
    let page = page();
    for kind in KINDS {
        let section = section(&page, kind.name());
        let keys = keys(kind.name(), kind.example(), "");
        assert!(keys.len() > 2, "{}: {keys:?}", kind.name());
        for key in keys {
            let known = section.contains(&format!("`{key}`"));
            assert!(known, "`{key}` of `{}` is not in sensors/README.md", kind.name());
        }
    }
    for (kind, path, heading) in [
        ("kafka", "/limits", "kafka"),
        ("kafka", "/decode/*", "kafka"),
        ("webhook", "/signature", "auth: who may call a webhook"),
    ] {
        let example = ifso::sensors::kind(kind).unwrap().example();
        for key in keys(kind, example, path) {
            let known = section(&page, heading).contains(&format!("`{key}`"));
            assert!(known, "`{key}` of `{path}` is not in sensors/README.md");
        }
    }
}

#[test]
fn every_example_of_the_reference_loads() {
    let page = page();
    let examples: Vec<_> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for kind in KINDS {
        let line = format!("kind: {}\n", kind.name());
        assert!(examples.iter().any(|example| example.starts_with(&line)), "{}", kind.name());
    }
    for example in examples {
        let definition = definition("example", example);
        // Files that its reader has yet to make are warnings.
        let mut problems = check(&definition);
        problems.retain(|problem| problem.severity == Severity::Error);
        assert_eq!(problems, [], "{example}");
        for place in ["file", "config", "inline"] {
            assert!(section(&page, "Secrets").contains(&format!("{{ {place}: ")), "{place}");
        }
    }
}
