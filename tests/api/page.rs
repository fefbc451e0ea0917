//! The OpenAPI page says what is true.

use std::collections::BTreeSet;
use std::sync::Arc;

use ifso::api::openapi;
use ifso::api::route::{Access, Shape, Verb};
use ifso::rules::{self, Known, Library, Rule, Set, Source};
use serde_json::{Value, json};

use crate::api::House;
use crate::world::{action, catalog};

/// Every `$ref` in a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::String(text) if name == "$ref" => drop(found.insert(text.clone())),
                    _ => references(inner, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn the_page_fits_the_rules_of_openapi_3_1() {
    let document = openapi::document();
    let rules: Value = serde_json::from_str(include_str!("openapi-3.1.json")).unwrap();
    let validator = jsonschema::validator_for(&rules).unwrap();
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_schema_is_named_once_used_and_a_schema() {
    let document = openapi::document();
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<String> =
        schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(used, known);
    for (name, schema) in schemas {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
    }
    let ids: Vec<&str> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "each operation has its own id"
    );
}

/// A rule that remembers.
fn rule() -> Rule {
    let text = r#"rule("r", #{ on: "demo.t", cooldown: "1m", then: |e| () });"#.to_owned();
    let source = Source { pack: "site".to_owned(), file: "rules/r.rhai".into(), text };
    let compiled = rules::compile(&source, &Library::new(), &Known::default());
    compiled.unwrap().0.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shape_that_the_page_promises() {
    let mut all = catalog([action("demo.act")]);
    all.rules = Arc::new(Set::new(vec![Arc::new(rule())]));
    let house = House::new(all).await;
    let event = json!({ "trigger": "demo.t", "data": {} });
    house.ask("POST", "/v1/events", Some(event)).await;
    house.ask("PUT", "/v1/keys/k", Some(json!({ "value": "v", "ttl": 60 }))).await;
    let run = json!({ "action": "demo.act" });
    assert_eq!(house.ask("POST", "/v1/executions", Some(run)).await.0, 201);
    let document = openapi::document();
    let mut checked = 0;
    for route in ifso::api::routes() {
        let (Shape::Many(name), Access::Needs(_)) = (route.gives, route.access) else { continue };
        if route.verb != Verb::Get {
            continue;
        }
        let path = route.path.replace("{id}", "last").replace("{ref}", "site.r");
        let (status, body) = house.ask("GET", &path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        let mut schema = document.clone();
        schema["$ref"] = json!(format!("#/components/schemas/{name}"));
        let validator = jsonschema::validator_for(&schema).unwrap();
        for row in body.as_array().unwrap() {
            let wrong: Vec<String> =
                validator.iter_errors(row).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{path}: {wrong:#?}");
            let known = &document["components"]["schemas"][name]["properties"];
            for field in row.as_object().unwrap().keys() {
                assert!(known.get(field).is_some(), "{path}: `{field}` is not on the page");
            }
            checked += 1;
        }
    }
    assert!(checked >= 7, "only {checked} rows were there to look at");
}
