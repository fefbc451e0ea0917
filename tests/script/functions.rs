//! The examples in the documentation of our functions are true, and every function has one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ifso::model::rule::Effect;
use ifso::model::time::Time;
use ifso::rules::effects;
use ifso::script::convert::to_json;
use ifso::script::scope::World;
use ifso::script::{self, limits};
use rhai::{Dynamic, Engine};
use serde_json::json;

fn engine() -> Engine {
    let (mut engine, deadline) = script::engine(&limits::LOADING);
    engine.register_global_module(effects::module());
    let world = World {
        now: Time::from_millis(1_700_000_000_000),
        config: Arc::new(json!({"region": "north"})),
        keys: Arc::new(BTreeMap::from([("maintenance".to_owned(), json!(true))])),
    };
    engine.set_default_tag(world.tag());
    deadline.start();
    engine
}

/// Name and documentation of each function of ours.
fn functions(engine: &Engine) -> Vec<(String, String)> {
    let functions = engine.collect_fn_metadata(
        None,
        |info| {
            let text = info.metadata.comments.join("\n").replace("///", "");
            Some((info.metadata.name.to_string(), text))
        },
        false,
    );
    functions.into_iter().filter(|(name, _)| !name.contains('$')).collect()
}

#[test]
fn every_function_has_examples_and_they_are_true() {
    let engine = engine();
    let functions = functions(&engine);
    assert!(functions.len() > 30, "{}", functions.len());
    for (name, text) in functions {
        let examples: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("> ")).collect();
        assert!(!examples.is_empty(), "`{name}` has no example");
        for example in examples {
            check(&engine, example);
        }
    }
}

fn check(engine: &Engine, example: &str) {
    let value = |text: &str| {
        engine.eval::<Dynamic>(text).unwrap_or_else(|error| panic!("{example}: {error}"))
    };
    if let Some(left) = example.strip_suffix(" is an effect") {
        assert!(value(left).is::<Effect>(), "{example}");
        return;
    }
    let (left, right) = example.split_once(" => ").unwrap_or_else(|| panic!("{example}"));
    assert_eq!(to_json(&value(left)).unwrap(), to_json(&value(right)).unwrap(), "{example}");
}

#[test]
fn nothing_reaches_the_world_outside() {
    for text in [
        "sleep(1)",
        "timestamp()",
        "exit()",
        "open(\"/etc/passwd\")",
        "rand()",
        "import \"x\" as x; 1",
        "eval(\"1\")",
    ] {
        let (engine, _) = script::engine(&limits::DECIDING);
        assert!(engine.eval::<Dynamic>(text).is_err(), "{text}");
    }
}
