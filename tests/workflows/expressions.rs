//! Expressions of workflows, case by case as Orquesta evaluated them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::world::figure;
use ifso::model::time::Time;
use ifso::workflows::Context;
use ifso::workflows::expression::{
    self, Dialect, Scope, World, evaluate, inline, split_action, validate, variables,
};
use serde_json::{Value, json};

/// The cases of a file; none, said so, where the folder is not there.
fn cases(file: &str) -> Vec<Value> {
    let read = conformance(file);
    read["cases"].as_array().cloned().unwrap_or_default()
}

fn conformance(file: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm").join(file);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(error) => {
            figure(&format!("skipped: {}: {error}", path.display()));
            Value::Null
        }
    }
}

/// Runs the cases; those of `differ` (their place, from 0, and why) have to differ.
fn agree(file: &str, differ: &[(usize, &str)], wrong: impl Fn(&Value) -> Option<String>) {
    let cases = cases(file);
    let (mut passed, mut bad) = (0, Vec::new());
    for (at, case) in cases.iter().enumerate() {
        let listed = differ.iter().find(|(listed, _)| at == *listed);
        match (wrong(case), listed) {
            (None, None) => passed += 1,
            (Some(_), Some(_)) => {}
            (None, Some((_, why))) => {
                bad.push(format!("{at} agrees, but is listed: {why}\n    {case}"));
            }
            (Some(how), None) => bad.push(format!("{at}: {how}\n    {case}")),
        }
    }
    figure(&format!("{file}: {passed} of {} agree", cases.len()));
    assert!(bad.is_empty(), "{file}: {} wrong:\n{}", bad.len(), bad.join("\n"));
}

struct Nothing;

impl World for Nothing {
    fn task_status(&self, _: &str, _: Option<u32>) -> Option<String> {
        None
    }

    fn task(&self, _: &str, _: Option<u32>) -> Option<Value> {
        None
    }

    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String> {
        let open = BTreeMap::from([("system.x", json!("v")), ("system.n", json!(3))]);
        let value = open.get(name).cloned();
        Ok(value.map(|value| if decrypt { json!("open") } else { value }))
    }

    fn now(&self) -> Time {
        Time::from_millis(1_700_000_000_000)
    }
}

fn context(data: &Value) -> Context {
    let fields = data.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str().into(), Arc::new(value.clone()))).collect()
}

fn evaluated(expression: &Value, data: &Value) -> Result<Value, expression::Error> {
    let context = context(data);
    evaluate(expression, &Scope { context: &context, task: None, item: None, world: &Nothing })
}

/// Numbers as Python compares them: 1 is 1.0. Sets have no order.
fn same(ours: &Value, theirs: &Value) -> bool {
    if let Some(items) = theirs.get("__set__").and_then(Value::as_array) {
        let ours = ours.as_array().cloned().unwrap_or_default();
        return ours.len() == items.len() && items.iter().all(|item| ours.contains(item));
    }
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64() == b.as_f64() && a.is_f64() == b.is_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

/// What differs between our value and the recorded one.
fn difference(case: &Value, data: &Value) -> Option<String> {
    let ours = evaluated(&case["expression"], data);
    match (&ours, case.get("raises")) {
        (Ok(value), None) if same(value, &case["expected"]) => None,
        (Err(error), Some(raises))
            if raises["type"] == error.kind()
                && address_free(&error.to_string())
                    == address_free(raises["message"].as_str().unwrap()) =>
        {
            None
        }
        _ => Some(ours.map_or_else(|error| error.to_string(), |value| value.to_string())),
    }
}

/// Python shows objects by their address.
fn address_free(message: &str) -> String {
    match message.split_once(" for receiver <") {
        Some((before, _)) => before.to_owned(),
        None => message.to_owned(),
    }
}

const AGAIN: &str = "what data holds is never evaluated: it may come from anybody";

#[test]
fn expressions_give_what_orquesta_gives() {
    let again = [4, 15, 16, 20, 43, 45, 57, 58, 60, 71, 72, 74, 87, 106, 108, 120, 122];
    let differ = again.map(|at| (at, AGAIN));
    agree("expression_evaluate.orquesta.json", &differ, |case| difference(case, &case["data"]));
}

#[test]
fn the_library_gives_what_orquestas_gives() {
    let data = conformance("expression_matrix.generated.json")["DATA"].clone();
    let differ = [(166, AGAIN), (167, AGAIN)];
    agree("expression_matrix.generated.json", &differ, |case| {
        difference(case, case.get("data").unwrap_or(&data))
    });
}

/// `expressions.json` holds expressions of ours, and what Orquesta with YAQL 3.2 and Jinja2 3.1 gave.
#[test]
fn what_the_reference_gave_is_given() {
    let read: Value = serde_json::from_str(include_str!("expressions.json")).unwrap();
    let cases = read["cases"].as_array().unwrap();
    let wrong = |case: &&Value| difference(case, &read["DATA"]).map(|how| format!("{how}: {case}"));
    let bad: Vec<String> = cases.iter().filter_map(|case| wrong(&case)).collect();
    assert!(cases.len() > 1000 && bad.is_empty(), "{} differ:\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn faults_are_those_of_orquesta() {
    agree("expression_validate.orquesta.json", &[], |case| {
        let expected = case["expected"].get("errors").unwrap_or(&case["expected"]);
        let ours: Value = validate(&case["expression"])
            .into_iter()
            .map(|fault| {
                json!({
                    "type": fault.dialect.map(Dialect::name),
                    "expression": fault.expression,
                    "message": fault.message,
                })
            })
            .collect();
        (!unordered(&ours, expected)).then(|| ours.to_string())
    });
}

/// The fields of a map have no order here.
fn unordered(ours: &Value, theirs: &Value) -> bool {
    let (ours, theirs) = (ours.as_array().unwrap(), theirs.as_array().unwrap());
    ours.len() == theirs.len() && theirs.iter().all(|one| ours.contains(one))
}

#[test]
fn variables_are_those_that_orquesta_sees() {
    agree("expression_extract_vars.orquesta.json", &[], |case| {
        let ours: Value = match case["language"].as_str() {
            Some("any") => variables(&case["expression"])
                .into_iter()
                .map(|found| json!([found.dialect.name(), found.expression, found.name]))
                .collect(),
            Some("jinja") => {
                expression::references(case["expression"].as_str().unwrap(), Dialect::Jinja).into()
            }
            _ => expression::references(case["expression"].as_str().unwrap(), Dialect::Yaql).into(),
        };
        (!unordered(&ours, &case["expected"])).then(|| ours.to_string())
    });
}

#[test]
fn parameters_in_one_line_are_read_as_by_orquesta() {
    agree("inline_params.orquesta.json", &[], |case| {
        let ours: Value = case["text"]
            .as_str()
            .map(inline)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| json!({ (name): value }))
            .collect();
        (ours != case["expected"]).then(|| ours.to_string())
    });
}

#[test]
fn quotes_within_a_parameter_are_read() {
    let one = |text: &str| {
        let (_, mut pairs) = split_action(text);
        assert_eq!((pairs.len(), expression::stray(text)), (1, None), "{text}: {pairs:?}");
        pairs.remove(0).1
    };
    for (text, expected) in [
        (r#"a.b m="say \"hi\" now""#, json!("say \"hi\" now")),
        (r#"a.b m="${ ctx("st2").user }!""#, json!("${ ctx(\"st2\").user }!")),
        (r#"a.b m="${ ctx(\"st2\").user }!""#, json!("${ ctx(\"st2\").user }!")),
        (
            r#"a.b m="<% ctx("x") %> and {{ ctx('y') }}""#,
            json!("<% ctx(\"x\") %> and {{ ctx('y') }}"),
        ),
        (r#"a.b m="<% ctx(\"x\") %>""#, json!("<% ctx(\"x\") %>")),
        (r"a.b m='it\'s'", json!("it's")),
        (r#"a.b m="it's 'so'""#, json!("it's 'so'")),
        (r#"a.b m="{\"a\": 1}""#, json!({"a": 1})),
        (r#"a.b m="C:\dir\""#, json!(r"C:\dir\")),
        (r#"a.b m="\\d""#, json!(r"\\d")),
        ("a.b m=${ #{a: \"}\"}.a }", json!("${ #{a: \"}\"}.a }")),
        ("a.b m=\"${HOME}\"", json!("${HOME}")),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
}

#[test]
fn what_stands_between_parameters_is_seen() {
    for (text, expected) in [
        ("a.b x=1, y=2; z=\"c\"", None),
        ("a.b x=1 hello y=2", Some("hello")),
        ("a.b x=\"say \"hi\" now\"", Some("hi\" now\"")),
        ("a.b x=12ab", Some("ab")),
        ("a.b x=1 y=plain", Some("y=plain")),
        // Without any parameter it is the action that is looked for.
        ("a.b hello", None),
    ] {
        assert_eq!(expression::stray(text), expected, "{text}");
    }
}

#[test]
fn expressions_of_the_exchange_can_be_read() {
    let all = conformance("expressions_in_the_wild.json");
    for one in all.as_array().into_iter().flatten() {
        let text = match (one[0].as_str(), one[1].as_str()) {
            (Some("jinja"), Some(text)) => format!("{{{{ {text} }}}}"),
            (Some("yaql"), Some(text)) => format!("<% {text} %>"),
            _ => panic!("{one}"),
        };
        assert_eq!(validate(&json!(text)), []);
        assert_eq!(expression::strangers(&json!(text)), []);
    }
}

/// A task that failed on route 1, with an item.
fn in_a_task(expression: &str) -> Result<Value, String> {
    let context = context(&json!({"x": [1, {"y": "z"}], "name": "x", "__hidden": 1, "st2": {}}));
    let result = json!({"stdout": "out", "code": 2});
    let seen = expression::Seen { name: "t", route: 1, status: "failed", result: &result };
    let item = json!({"host": "h"});
    let scope = Scope { context: &context, task: Some(seen), item: Some(&item), world: &Told };
    evaluate(&json!(expression), &scope).map_err(|error| error.to_string())
}

struct Told;

impl World for Told {
    fn task_status(&self, name: &str, route: Option<u32>) -> Option<String> {
        (name == "a").then(|| format!("succeeded on {route:?}"))
    }

    fn task(&self, name: &str, _: Option<u32>) -> Option<Value> {
        (name != "nobody").then(|| json!({"task_name": name}))
    }

    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String> {
        Nothing.key(name, decrypt)
    }

    fn now(&self) -> Time {
        Nothing.now()
    }
}

#[test]
fn every_dialect_asks_about_its_workflow() {
    for (expected, expressions) in [
        (json!("z"), &["<% ctx().x[1].y %>", "{{ ctx().x[1].y }}", "${ctx.x[1].y}"][..]),
        (json!("z"), &["<% ctx(x)[1].y %>", "{{ ctx('x')[1].y }}", "${ctx(\"x\")[1].y}"]),
        (
            json!(1),
            &["<% ctx(ctx(name))[0] %>", "{{ ctx(ctx('name'))[0] }}", "${ctx(ctx.name)[0]}"],
        ),
        (json!(3), &["<% ctx().len() %>", "{{ ctx() | length }}", "${ctx().len()}"]),
        (json!("out"), &["<% result().stdout %>", "{{ result().stdout }}", "${result().stdout}"]),
        (json!("h"), &["<% item(host) %>", "{{ item('host') }}", "${item(\"host\")}"]),
        (json!("h"), &["<% item().host %>", "{{ item().host }}", "${item().host}"]),
        (json!(true), &["<% failed() %>", "{{ failed() }}", "${failed()}"]),
        (json!(true), &["<% completed() %>", "{{ completed() }}", "${completed()}"]),
        (json!(false), &["<% succeeded() %>", "{{ succeeded() }}", "${succeeded()}"]),
        (
            json!("succeeded on Some(1)"),
            &["<% task_status(a) %>", "{{ task_status('a') }}", "${task_status(\"a\")}"],
        ),
        (
            json!("null"),
            &["<% task_status(b) %>", "{{ task_status('b') }}", "${task_status(\"b\")}"],
        ),
        (json!({"task_name": "a"}), &["<% task(a) %>", "{{ task('a') }}", "${task(\"a\")}"]),
        (json!({"task_name": "t"}), &["<% task() %>", "{{ task() }}"]),
        (
            json!("v"),
            &["<% st2kv('system.x') %>", "{{ st2kv('system.x') }}", "${st2kv(\"system.x\")}"],
        ),
        (
            json!("open"),
            &[
                "<% st2kv('system.x', decrypt => true) %>",
                "{{ st2kv('system.x', decrypt=true) }}",
                "${st2kv(\"system.x\", #{decrypt: true})}",
            ],
        ),
        (
            json!(5),
            &[
                "<% st2kv('system.zz', default => 5) %>",
                "{{ st2kv('system.zz', default=5) }}",
                "${st2kv(\"system.zz\", #{default: 5})}",
            ],
        ),
        (
            json!("1.3.0"),
            &[
                "<% version_bump_minor('1.2.3') %>",
                "{{ '1.2.3' | version_bump_minor }}",
                "${version_bump_minor(\"1.2.3\")}",
            ],
        ),
        (json!("a-5-b"), &["a-<% 2 + 3 %>-b", "a-{{ 2 + 3 }}-b", "a-${2 + 3}-b"]),
        (
            Value::Null,
            &["<% ctx().get(zz) %>", "{{ ctx().get('zz') }}", "${ctx.zz}", "${ctx.zz.y}"],
        ),
        (
            json!("None True"),
            &["<% null %> <% true %>", "{{ none }} {{ true }}", "${()} ${ true }"],
        ),
    ] {
        for one in expressions {
            assert_eq!(in_a_task(one), Ok(expected.clone()), "{one}");
        }
    }
}

#[test]
fn what_is_not_there_is_said() {
    for (expression, said) in [
        ("<% st2kv('system.zz') %>", "The key \"system.zz\" does not exist"),
        ("{{ st2kv('system.zz') }}", "The key \"system.zz\" does not exist"),
        ("<% st2kv(5) %>", "TypeError: Given key is not typeof string."),
        ("<% st2kv('system.x', decrypt => 5) %>", "Decrypt parameter is not typeof bool."),
        ("<% task(nobody) %>", "Unable to find task execution for \"nobody\"."),
        ("<% item(port) %>", "Item does not have key \"port\"."),
        ("{{ item('port') }}", "Item does not have key \"port\"."),
        ("<% ctx('__hidden') %>", "is for internal use and inaccessible"),
        ("{{ ctx('__hidden') }}", "is for internal use and inaccessible"),
        ("{{ nobody.x }}", "UndefinedError: 'nobody' is undefined"),
        ("${nobody()}", "there is no function `nobody`"),
        ("${ nobody }", "there is no variable `nobody`"),
        ("${ 1 + }", "Unable to evaluate expression '${ 1 + }'."),
    ] {
        let error = in_a_task(expression).unwrap_err();
        assert!(error.contains(said), "{expression}: {error}");
    }
    for (expression, said) in [
        ("<% succeeded() %>", "The current task is not set in the context."),
        ("{{ succeeded() }}", "The current task is not set in the context."),
        ("${succeeded()}", "The current task is not set in the context."),
    ] {
        let error = evaluated(&json!(expression), &json!({})).unwrap_err();
        assert!(error.to_string().contains(said) && !error.help().is_empty(), "{error}");
    }
}

#[test]
fn no_expression_runs_or_grows_without_end() {
    let deep =
        |open: &str, close: &str| format!("<% {}1{} %>", open.repeat(5000), close.repeat(5000));
    let forever = [
        "<% sequence().len() %>".to_owned(),
        "<% 1.repeat().toList() %>".to_owned(),
        "<% [1].cycle().last() %>".to_owned(),
        "<% generate(1, true, $ + 1).len() %>".to_owned(),
        "<% range(1000000000).sum() %>".to_owned(),
        "<% range(100000000).select($ * 2).where($ > 3).first(0) + sequence().last() %>".to_owned(),
        "<% 'x' * 10000000000 %>".to_owned(),
        "<% [1] * 10000000000 %>".to_owned(),
        "<% range(64).aggregate($1 + $1, 'xxxxxxxxxxxxxxxx') %>".to_owned(),
        "<% range(64).aggregate($1 + $1, [1]) %>".to_owned(),
        "<% range(64).aggregate($1.replace('x', 'xxxx'), 'x') %>".to_owned(),
        "<% range(100000).aggregate([$1]) %>".to_owned(),
        "<% range(100000).aggregate($1.select($)) %>".to_owned(),
        "<% range(100000).aggregate(let(a => $1)) %>".to_owned(),
        "<% range(100000).aggregate({a => $1}) %>".to_owned(),
        "<% def(f, f($)) -> f(1) %>".to_owned(),
        "<% def(f, f($) + f($)) -> f(1) %>".to_owned(),
        "<% pow(10, 1000) %>".to_owned(),
        "<% shiftBitsLeft(1, 1000000000) %>".to_owned(),
        deep("(", ")"),
        deep("[", "]"),
        deep("-", ""),
        deep("not ", ""),
        format!("<% 1{} %>", " + 1".repeat(5000)),
        format!("<% a{} %>", ".a".repeat(5000)),
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}".to_owned(),
        "{% for a in range(9999) %}{{ 'xxxxxxxx' * 9999 }}{% endfor %}".to_owned(),
        "{% set n = namespace(x='xx') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
            .to_owned(),
        "{% for x in ['xx'] recursive %}{{ loop([x ~ x]) }}{% endfor %}".to_owned(),
        "{{ 'x' | indent(10000000000, true) }}".to_owned(),
        "{{ [1] | batch(10000000000, 0) }}".to_owned(),
        "{{ '%10000000000d' | format(1) }}".to_owned(),
        "{{ 'x' * 10000000000 }}".to_owned(),
        "{{ 'x'.center(10000000000) }}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        "${ let x = 1; loop { x += 1 } }".to_owned(),
        format!("${{{}1{}}}", "(".repeat(5000), ")".repeat(5000)),
    ];
    for expression in forever {
        let shown: String = expression.chars().take(80).collect();
        let result = evaluated(&json!(expression), &json!({}));
        assert!(result.is_err(), "{shown}: {:?}", result.map(|value| value.to_string().len()));
    }
    let mut nested = json!("<% 1 %>");
    for _ in 0..110 {
        nested = json!([nested]);
    }
    assert_eq!(evaluated(&nested, &json!({})), Err(expression::Error::TooDeep));
}

#[test]
fn what_data_holds_is_never_evaluated() {
    let data = json!({"x": "<% 1 + 1 %>", "y": "{{ 1 + 1 }}", "z": "${1 + 1}"});
    for (expression, expected) in [
        ("<% ctx().x %>", "<% 1 + 1 %>"),
        ("a <% ctx().y %> <% ctx().z %>", "a {{ 1 + 1 }} ${1 + 1}"),
        ("{{ ctx().y }}", "{{ 1 + 1 }}"),
        ("a {{ ctx().y }}", "a {{ 1 + 1 }}"),
        ("{% if true %}{{ ctx().y }}{% endif %}", "{{ 1 + 1 }}"),
        ("${ctx.z}", "${1 + 1}"),
        ("echo ${HOME} ${ctx.x}", "echo ${HOME} <% 1 + 1 %>"),
    ] {
        assert_eq!(evaluated(&json!(expression), &data), Ok(json!(expected)), "{expression}");
    }
}

#[test]
fn conditions_hold_as_in_python() {
    let context = context(&json!({"l": [], "n": 0, "s": "x"}));
    let scope = Scope { context: &context, task: None, item: None, world: &Nothing };
    for (text, expected) in [
        ("<% ctx().l %>", false),
        ("<% ctx().n = 0 %>", true),
        ("{{ ctx().s }}", true),
        ("${ctx.n}", false),
        ("no expression", true),
        ("", false),
    ] {
        assert_eq!(expression::truthy(text, &scope), Ok(expected), "{text}");
    }
}

#[test]
fn an_action_comes_apart_from_its_parameters() {
    for (text, name, parameters) in [
        ("core.local cmd=\"date -u\"", "core.local", json!([["cmd", "date -u"]])),
        ("<% ctx().action %> a=1", "<% ctx().action %>", json!([["a", 1]])),
        ("core.noop", "core.noop", json!([])),
        ("x y=${ctx.a} z={{ ctx().b }}", "x", json!([["y", "${ctx.a}"], ["z", "{{ ctx().b }}"]])),
    ] {
        let (found, given) = expression::split_action(text);
        assert_eq!((found.as_str(), json!(given)), (name, parameters), "{text}");
    }
}

#[test]
fn variables_of_rhai_are_seen_too() {
    let found = variables(&json!("${ctx.a + ctx(\"b\") + ctx.keys().len()} ${HOME}"));
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}
