//! Rules in StackStorm's form, as StackStorm itself decided them, and as people see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::rule::{Decision, Effect, Verdict};
use ifso::model::time::Time;
use ifso::packs::catalog::Catalog;
use ifso::packs::parameters;
use ifso::packs::render::{self, Context};
use ifso::rules::criteria::compare;
use ifso::rules::{self, Facts, Memories};
use serde_json::{Map, Value, json};

use super::{Home, told};

/// Cases that cannot come out as StackStorm's, each with the reason.
const LEFT_OUT: &[(&str, usize, &str)] = &[
    (
        "rule_filter.st2reactor.json",
        20,
        "`'%s' % x` formats a text only in Python; write `{{ trigger.p1 }}`",
    ),
    (
        "rule_filter.st2reactor.json",
        42,
        "StackStorm's test makes its own matcher fail on purpose; the criteria do match",
    ),
];

/// What a file holds; nothing where the conformance data are not there.
#[expect(clippy::print_stdout, reason = "whoever runs the tests has to know")]
fn read(file: &str) -> Option<Value> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm");
    let Ok(text) = std::fs::read(folder.join(file)) else {
        let shown = folder.join(file);
        println!("skipped: {} is not here", shown.display());
        return None;
    };
    Some(serde_json::from_slice(&text).unwrap())
}

/// Runs the cases of a file that are not left out; `differs` says what is wrong with one.
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs the tests")]
fn agree(file: &str, differs: impl Fn(&Value, usize, &Value) -> Option<String>) {
    let Some(all) = read(file) else { return };
    let cases = all["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let left_out = LEFT_OUT.iter().any(|(name, id, _)| (*name, *id) == (file, at));
        if let Some(how) = differs(&all, at, case).filter(|_| !left_out) {
            wrong.push(format!("{file} case {at}: {how}\n    {case}"));
        }
    }
    let count = LEFT_OUT.iter().filter(|(name, ..)| *name == file).count();
    let right = cases.len() - wrong.len() - count;
    println!("{file}: {right} of {} cases", cases.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Python's bytes are texts here.
fn plain(value: &Value) -> Value {
    value.get("__bytes__").unwrap_or(value).clone()
}

fn now(case: &Value) -> Time {
    let text = case["now"].as_str().unwrap_or("2026-03-01T12:00:00Z");
    Time::from_jiff(text.parse().unwrap())
}

#[test]
fn operators_say_what_stackstorms_say() {
    for file in [
        "criteria_operator.st2common.json",
        "criteria_operator.st2reactor.json",
        "criteria_operator_matrix.generated.json",
        "criteria_timediff.generated.json",
    ] {
        agree(file, |all, _, case| {
            let name = case["operator"].as_str().unwrap();
            let aliases = all["aliases"][name].as_array().cloned().unwrap_or_default();
            let names = aliases.iter().filter_map(Value::as_str).chain([name]);
            for name in names {
                let ours =
                    compare(name, &plain(&case["value"]), &plain(&case["pattern"]), now(case));
                let same = match (&ours, case["expected"].as_bool()) {
                    (Ok(ours), Some(expected)) => *ours == expected,
                    (Err(_), None) => case.get("raises").is_some(),
                    _ => false,
                };
                if !same {
                    return Some(format!("{name}: {ours:?}"));
                }
            }
            None
        });
    }
}

/// A home with the action `p.act` and one rule, and what it decides on one event.
struct Decided {
    catalog: Catalog,
    decisions: Vec<Decision>,
}

fn act(home: &Home) {
    let action = "name: act\nrunner_type: local-shell-cmd\nparameters:\n  \
                  message: {type: string}\n  channel: {type: string}\n";
    home.pack("p").write("packs/p/actions/act.yaml", action);
}

fn event(trigger: &str, source: &str, data: Value) -> Event {
    Event {
        id: EventId::from_bits(7),
        trigger: trigger.parse().unwrap(),
        source: source.into(),
        subject: None,
        time: Time::from_millis(1_700_000_000_000),
        accepted: Time::from_millis(1_700_000_000_000),
        data: Arc::new(data),
        cause: Cause::Sensor("test".to_owned()),
        hops: 0,
        trace: None,
        replay: None,
    }
}

fn decide(catalog: &Catalog, event: &Event, keys: Value) -> Vec<Decision> {
    let Value::Object(keys) = keys else { panic!("no keys") };
    let facts = Facts {
        wall: None,
        now: Time::from_jiff("2026-03-01T12:00:00Z".parse().unwrap()),
        configs: Arc::clone(&catalog.configs),
        keys: Arc::new(keys.into_iter().collect()),
    };
    let evaluation = rules::evaluate(&catalog.rules, event, &facts);
    rules::decide(&catalog.rules, event, evaluation, &mut Memories::new(), &facts)
}

fn decided(text: &str, data: Value, keys: Value) -> Decided {
    let home = Home::new();
    act(&home);
    home.write("rules/r.yaml", text);
    let catalog = home.load();
    let decisions = decide(&catalog, &event("t.x", "test", data), keys);
    Decided { catalog, decisions }
}

/// A rule `r` on `t.x` with these criteria, fields over it.
fn rule(criteria: &Value, over: &[(&str, Value)]) -> String {
    let mut rule = json!({
        "name": "r", "enabled": true, "trigger": {"type": "t.x"},
        "criteria": criteria, "action": {"ref": "p.act"},
    });
    for (key, value) in over {
        rule[*key] = value.clone();
    }
    rule.to_string()
}

impl Decided {
    fn fired(&self) -> bool {
        self.decisions.iter().any(|one| one.verdict == Verdict::Fired)
    }
}

#[test]
fn criteria_match_what_stackstorms_match() {
    agree("rule_criteria_matrix.generated.json", |all, _, case| {
        let data = if case["payload"] == "PAYLOAD" { &all["PAYLOAD"] } else { &case["payload"] };
        let ours =
            decided(&rule(&case["criteria"], &[]), data.clone(), all["datastore_system"].clone());
        let expected = case["expected"].as_bool().unwrap_or(false);
        let refused = case.get("raises").is_some() && told(&ours.catalog).len() != 1;
        (ours.fired() != expected || refused)
            .then(|| format!("{:?} {:?}", ours.decisions, told(&ours.catalog)))
    });
}

#[test]
fn rules_match_what_stackstorms_match() {
    agree("rule_filter.st2reactor.json", |_, _, case| {
        let rule_of = &case["rule"];
        let over = [("enabled", rule_of["enabled"].clone()), ("type", rule_of["type"].clone())];
        let home = Home::new();
        act(&home);
        home.write("rules/r.yaml", &rule(&rule_of["criteria"], &over));
        if case["first_pass_matched"].as_u64().unwrap_or(0) > 0 {
            let first = rule(&json!({}), &[("name", json!("first"))]);
            home.write("rules/first.yaml", &first);
        }
        let catalog = home.load();
        let event = event("t.x", "test", case["payload"].clone());
        let decisions = decide(&catalog, &event, case["datastore_system"].clone());
        let fired = decisions
            .iter()
            .any(|one| one.verdict == Verdict::Fired && one.rule.as_str() == "site.r");
        (Some(fired) != case["expected"].as_bool())
            .then(|| format!("{decisions:?} {:?}", told(&catalog)))
    });
}

#[test]
fn rule_files_match_what_stackstorms_tester_says() {
    agree("rule_tester.st2reactor.json", |_, _, case| {
        let home = Home::new();
        let action = "name: action-1\nrunner_type: noop\nparameters:\n  \
                      message: {type: string}\n  channel: {type: string}\n";
        home.pack("wolfpack").write("packs/wolfpack/actions/a.yaml", action);
        home.write("rules/r.yaml", case["rule_file_text"].as_str().unwrap());
        let catalog = home.load();
        let text = case["trigger_instance_file_text"].as_str().unwrap();
        let place = ifso::model::problem::Place::file("instance.yaml");
        let instance = ifso::packs::yaml::parse(text, &place).unwrap().to_json();
        let trigger = instance["trigger"].as_str().unwrap();
        let event = event(trigger, "test", instance["payload"].clone());
        let decisions = decide(&catalog, &event, json!({}));
        let fired = decisions.iter().any(|one| one.verdict == Verdict::Fired);
        (Some(fired) != case["expected"].as_bool())
            .then(|| format!("{decisions:?} {:?}", told(&catalog)))
    });
}

/// The parameters of the only effect.
fn given(decisions: &[Decision]) -> Map<String, Value> {
    match &decisions {
        [Decision { effects, .. }] => match effects.as_slice() {
            [Effect::Run { parameters, .. }] => parameters.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameters_are_rendered_as_stackstorm_renders_them() {
    agree("render_live_params.st2reactor.json", |_, _, case| {
        let home = Home::new();
        let mut parameters = case["action_parameters"].clone();
        for (name, value) in case["params"].as_object().unwrap() {
            // StackStorm's tests give names that the action does not have.
            if parameters.get(name).is_none() && value.is_string() {
                parameters[name] = json!({});
            }
        }
        for (_, parameter) in parameters.as_object_mut().unwrap() {
            // Whether something required is missing StackStorm asks later.
            parameter["required"] = json!(false);
        }
        let action = json!({"name": "act", "runner_type": "noop", "parameters": parameters});
        home.pack("p").write("packs/p/actions/act.yaml", &action.to_string());
        let action = json!({"ref": "p.act", "parameters": case["params"]});
        home.write("rules/r.yaml", &rule(&json!({}), &[("action", action)]));
        let catalog = home.load();
        let data = case["additional_contexts"]["trigger"].clone();
        let decisions = decide(&catalog, &event("t.x", "test", data), json!({}));
        if decisions.len() != 1 {
            return Some(format!("{:?}", told(&catalog)));
        }
        let reference = "p.act".parse().unwrap();
        let (given, accepts) = (given(&decisions), &catalog.accepts[&reference]);
        // What is given is cast when the execution is requested; defaults are rendered there too.
        if case.get("raises").is_some() {
            let context = Context {
                config: &json!({}),
                action: &json!({}),
                keys: &BTreeMap::new(),
                line: None,
            };
            let rendered = render::defaults(accepts, &given, context);
            return rendered.is_ok().then(|| "its default is rendered".to_owned());
        }
        let cast = parameters::check(accepts, &given).unwrap_or_default();
        let expected = case["expected"].as_object().cloned().unwrap_or_default();
        let wrong = expected.iter().find(|(name, expected)| {
            let rendered_later = !given.contains_key(*name);
            !rendered_later && cast.get(*name).unwrap_or(&Value::Null) != *expected
        });
        wrong.map(|(name, _)| format!("`{name}`: {given:?} {cast:?}"))
    });
}

#[test]
fn values_reach_the_action_as_parameters_and_never_as_templates() {
    let text = "\
name: r
enabled: true
trigger: {type: t.x}
criteria:
  trigger.pool: {type: equals, pattern: \"{{ st2kv.system.pool }}\"}
action:
  ref: p.act
  parameters:
    message: \"pool {{ trigger.pool }} of {{ trigger.tags | length }}: {{ trigger.hostile }}\"
    channel: \"{{ trigger.tags.0 }}\"
";
    let hostile = "$(id) {{ st2kv.system.pool }}";
    let data = json!({"pool": "p1", "tags": ["a", true], "hostile": hostile});
    let decided = decided(text, data, json!({"pool": "p1"}));
    assert_eq!(told(&decided.catalog), [""; 0]);
    let expected = json!({"message": format!("pool p1 of 2: {hostile}"), "channel": "a"});
    assert_eq!(Value::Object(given(&decided.decisions)), expected);
}

#[test]
fn what_cannot_be_asked_or_rendered_is_an_error_at_its_place() {
    for (criteria, data, said) in [
        (
            "trigger.x: {type: contains, pattern: a}",
            json!({"x": 1}),
            "5:3: criterion `trigger.x`: nothing can be in a number",
        ),
        (
            "trigger.x: {type: gt, pattern: 1}",
            json!({"y": 1}),
            "5:3: criterion `trigger.x`: nothing and a number cannot be put in an order",
        ),
        (
            "trigger.x: {type: eq, pattern: '{{ trigger.nobody }}'}",
            json!({"x": 1}),
            "5:3: criterion `trigger.x`: there is no `trigger.nobody`",
        ),
        (
            "trigger.x: {type: eq, pattern: 1}",
            json!({"x": 1}),
            "9:5: parameter `message`: there is no `trigger.text`",
        ),
    ] {
        let text = format!(
            "name: r\nenabled: true\ntrigger: {{type: t.x}}\ncriteria:\n  {criteria}\naction:\n  ref: p.act\n  parameters:\n    message: '{{{{ trigger.text }}}}'\n"
        );
        let decided = decided(&text, data, json!({}));
        match &decided.decisions[0].verdict {
            Verdict::Error { message, line: Some(line), column: Some(column) } => {
                assert_eq!(format!("{line}:{column}: {message}"), said);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What is said of a rule with these lines.
fn said(lines: &str) -> Vec<String> {
    let home = Home::new();
    act(&home);
    home.write("packs/p/triggers/t.yaml", "name: full\n");
    home.write("rules/r.yaml", lines);
    told(&home.load())
}

const RIGHT: &str = "\
name: r
enabled: true
trigger: {type: p.full}
criteria:
  trigger.x: {type: equals, pattern: 1}
action:
  ref: p.act
  parameters: {message: x}
";

#[test]
fn mistakes_are_told_with_their_place() {
    assert_eq!(said(RIGHT), [""; 0]);
    for (from, to, expected) in [
        (
            "equals",
            "equal",
            "rules/r.yaml:5:15: there is no operator `equal` (help: did you mean `equals`?)",
        ),
        (
            "type: equals, ",
            "",
            "rules/r.yaml:5:14: `type` is missing (help: add `type: …` to the criterion)",
        ),
        (
            ", pattern: 1",
            "",
            "rules/r.yaml:5:15: `pattern` is missing: `equals` compares with it (help: add `pattern: …` to the criterion)",
        ),
        (
            "p.act",
            "p.atc",
            "rules/r.yaml:7:3: there is no action `p.atc` (help: did you mean `p.act`?)",
        ),
        (
            "p.full",
            "p.ful",
            "rules/r.yaml:3:11: no pack describes trigger `p.ful` (help: did you mean `p.full`?)",
        ),
        (
            "message",
            "mesage",
            "rules/r.yaml:8:16: action `p.act` has no parameter `mesage` (help: did you mean `message`?)",
        ),
        (
            "trigger.x",
            "trigger.[",
            "rules/r.yaml:5:3: `trigger.[` is no path: `]` is missing (help: write a path such as `trigger.name` or `trigger.list[0].name`)",
        ),
        (
            "  trigger.x",
            "  x",
            "rules/r.yaml:5:3: `x` never finds anything: it begins with `x` (help: did you mean `trigger.x`?)",
        ),
        (
            "{message: x}",
            "{message: '{{ x'}",
            "rules/r.yaml:8:25: not readable as a template: unexpected end of input, expected end of variable block (help: write `{{ trigger.name }}`; text without templates needs no braces)",
        ),
        (
            "enabled: true\n",
            "",
            "rules/r.yaml:1:1: `enabled` is missing, and StackStorm takes that for `false` (help: add `enabled: true`, or `enabled: false`)",
        ),
        (
            "enabled: true",
            "enabled: true\ntype: backstp",
            "rules/r.yaml:3:7: the type of a rule is `standard` or `backstop` (help: `backstop` acts on what no other rule matched; leave the line out otherwise)",
        ),
        ("equals, pattern: 1", "regex, pattern: '('", "rules/r.yaml:5:37: `(` is no pattern: "),
        (
            "{type: p.full}",
            "{type: p.full, parameters: {a: 1}}",
            "rules/r.yaml:3:37: events of `p.full` are not told apart by parameters",
        ),
    ] {
        let problems = said(&RIGHT.replace(from, to));
        assert!(
            problems.len() == 1 && problems[0].starts_with(expected),
            "{problems:#?}\n{expected}"
        );
    }
}

#[test]
fn a_backstop_acts_on_what_no_other_rule_matched() {
    let home = Home::new();
    act(&home);
    home.write(
        "rules/back.yaml",
        &rule(&json!({}), &[("name", json!("back")), ("type", json!("backstop"))]),
    );
    home.write(
        "rules/r.rhai",
        "rule(\"x\", #{ on: \"t.*\", when: |e| e.x == 1, then: |e| run(\"p.act\") });",
    );
    let catalog = home.load();
    let fired = |data: Value| {
        let decisions = decide(&catalog, &event("t.x", "test", data), json!({}));
        decisions.iter().map(|one| one.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(fired(json!({"x": 1})), ["site.x"]);
    assert_eq!(fired(json!({"x": 2})), ["site.back"]);
}

#[test]
fn a_rule_in_yaml_is_a_rule_of_its_pack_and_changes_with_its_file() {
    let home = Home::new();
    act(&home);
    home.write("packs/p/rules/r.yaml", RIGHT).write("packs/p/triggers/t.yaml", "name: full\n");
    let first = home.load();
    assert_eq!(told(&first), [""; 0]);
    let rule = first.rules.get(&"p.r".parse().unwrap()).unwrap();
    assert_eq!(
        (rule.place().to_string(), rule.enabled()),
        ("packs/p/rules/r.yaml:1:1".to_owned(), true)
    );
    home.write("packs/p/rules/r.yaml", &RIGHT.replace("equals", "equal"));
    let broken = home.reload(&first);
    assert!(broken.rules.get(&"p.r".parse().unwrap()).is_some(), "the pack stays as it was");
    home.remove("packs/p/rules/r.yaml");
    assert!(home.reload(&broken).rules.is_empty());
}

#[test]
fn timers_and_webhooks_of_a_rule_become_sensors_that_it_alone_hears() {
    let home = Home::new();
    act(&home);
    let with = |name: &str, kind: &str, parameters: Value| {
        let trigger = json!({"type": kind, "parameters": parameters});
        rule(&json!({}), &[("name", json!(name)), ("trigger", trigger)])
    };
    home.write(
        "rules/a.yaml",
        &with("a", "core.st2.IntervalTimer", json!({"unit": "minutes", "delta": 5})),
    )
    .write(
        "rules/b.yaml",
        &with("b", "core.st2.CronTimer", json!({"hour": 3, "timezone": "Europe/Prague"})),
    )
    .write("rules/c.yaml", &with("c", "core.st2.webhook", json!({"url": "/deploy/prod/"})))
    .write("rules/d.yaml", &with("d", "core.st2.webhook", json!({"url": "deploy/prod"})))
    .write(
        "rules/e.yaml",
        &with("e", "core.st2.DateTimer", json!({"date": "2030-01-31 22:00:00"})),
    );
    let runners = super::runners();
    let kinds = ifso::packs::Kinds {
        sensor: &ifso::sensors::supervisor::check,
        hooks: &ifso::sensors::supervisor::opened,
        ..super::kinds(&runners)
    };
    let catalog = ifso::packs::load(home.path(), kinds, &Catalog::default());
    assert_eq!(told(&catalog), [""; 0]);
    let sensors: Vec<_> = catalog
        .sensors
        .values()
        .map(|sensor| (sensor.reference.to_string(), sensor.kind.as_str(), sensor.settings.clone()))
        .collect();
    assert_eq!(
        json!(sensors),
        json!([
            ["site.a.trigger", "interval", {"every": "5m", "trigger": "core.st2.IntervalTimer"}],
            ["site.b.trigger", "cron", {
                "expression": "0 0 3 * * *", "zone": "Europe/Prague", "trigger": "core.st2.CronTimer",
            }],
            ["site.e.trigger", "at", {
                "times": ["2030-01-31T22:00:00"], "zone": "UTC", "trigger": "core.st2.DateTimer",
            }],
            ["site.webhook.deploy.prod", "webhook", {
                "name": "deploy/prod", "shape": "request", "trigger": "core.st2.webhook",
            }],
        ])
    );
    let heard = |trigger: &str, source: &str| {
        let decisions = decide(&catalog, &event(trigger, source, json!({})), json!({}));
        decisions.iter().map(|one| one.rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(heard("core.st2.webhook", "site.webhook.deploy.prod"), ["site.c", "site.d"]);
    assert_eq!(heard("core.st2.webhook", "site.other"), [""; 0]);
    assert_eq!(heard("core.st2.IntervalTimer", "site.a.trigger"), ["site.a"]);
}

#[test]
fn rules_that_want_another_text_are_not_asked_and_no_error_is_hidden() {
    let home = Home::new();
    act(&home);
    let equals = |text: &str| json!({"type": "equals", "pattern": text});
    for tier in 0..20 {
        let name = format!("tier{tier}");
        let criteria = json!({"trigger.labels.tier": equals(&name), "trigger.x": {"type": "gt", "pattern": 1}});
        home.write(&format!("rules/{name}.yaml"), &rule(&criteria, &[("name", json!(name))]));
    }
    let fails = "name: fails\nenabled: true\ntrigger: {type: t.x}\naction: {ref: p.act}\ncriteria:\n  \
                 trigger.z: {type: contains, pattern: a}\n  trigger.labels.tier: {type: equals, pattern: none}\n";
    home.write("rules/fails.yaml", fails);
    let catalog = home.load();
    assert_eq!(told(&catalog), [""; 0]);
    let data = json!({"labels": {"tier": "tier7"}, "x": 2});
    let heard = event("t.x", "test", data);
    assert_eq!(rules::evaluate(&catalog.rules, &heard, &Facts::default()).examined(), 2);
    let decisions = decide(&catalog, &heard, json!({}));
    let said: Vec<_> =
        decisions.iter().map(|one| (one.rule.name(), one.verdict == Verdict::Fired)).collect();
    assert_eq!(said, [("fails", false), ("tier7", true)]);
    let indexed = |name: &str| {
        let rule = catalog.rules.get(&name.parse().unwrap()).unwrap();
        serde_json::to_value(rule.indexed().degree).unwrap()
    };
    assert_eq!((indexed("site.tier7"), indexed("site.fails")), (json!("partly"), json!("not")));
}
