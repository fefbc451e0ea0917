//! A cold start: nothing is in force before, and what is right comes into force.

use ifso::packs::Kinds;
use ifso::packs::catalog::Catalog;

use super::{Home, kinds, runners, told};

const GOOD: &str = "name: good\nrunner_type: noop\nparameters: {n: {type: integer}}\n";
const BAD: &str = "name: bad\nrunner_typ: noop\n";

fn rule(name: &str, then: &str) -> String {
    format!("rule(\"{name}\", #{{ on: \"a.b\", then: |e| {then} }});\n")
}

fn rules(catalog: &Catalog) -> Vec<&str> {
    catalog.rules.iter().map(|rule| rule.reference().as_str()).collect()
}

fn actions(catalog: &Catalog) -> Vec<&str> {
    catalog.actions.keys().map(ifso::model::reference::Reference::as_str).collect()
}

fn codes(catalog: &Catalog) -> Vec<&str> {
    catalog.problems.iter().map(|problem| problem.code.as_str()).collect()
}

/// A pack with one mistake in each kind of file.
fn patchy() -> Home {
    let home = Home::new();
    home.pack("p")
        .write("packs/p/actions/good.yaml", GOOD)
        .write("packs/p/actions/bad.yaml", BAD)
        .write("packs/p/triggers/good.yaml", "name: good\n")
        .write("packs/p/triggers/bad.yaml", "name: bad\npayload_schema: {type: objekt}\n")
        .write("packs/p/sensors/good.yaml", "kind: interval\nevery: 1s\n")
        .write("packs/p/sensors/bad.yaml", "kind: intervall\n")
        .write("packs/p/rules/bad.rhai", "rule(\"broken\",")
        .write("packs/p/rules/some.rhai", &(rule("x", "run(\"p.gone\")") + &rule("y", "log(`y`)")))
        .write("rules/other.rhai", &rule("good", "run(\"p.good\", #{ n: 1 })"));
    home
}

#[test]
fn only_the_wrong_file_is_left_out() {
    let catalog = patchy().load();
    assert_eq!(actions(&catalog), ["p.good"]);
    assert_eq!(catalog.triggers.len(), 1);
    assert_eq!(catalog.sensors.len(), 1);
    assert_eq!(rules(&catalog), ["p.y", "site.good"]);
    assert_eq!(catalog.errors(), 6, "{:#?}", told(&catalog));
}

#[test]
fn a_pack_that_is_new_while_running_comes_into_force_as_at_the_start() {
    let home = Home::new();
    home.pack("first");
    let first = home.load();
    home.pack("p").write("packs/p/actions/good.yaml", GOOD).write("packs/p/actions/bad.yaml", BAD);
    assert_eq!(actions(&home.reload(&first)), ["p.good"]);
}

#[test]
fn a_pack_in_force_in_part_changes_until_something_more_breaks() {
    let home = patchy();
    let first = home.load();
    home.write("packs/p/actions/new.yaml", &GOOD.replace("good", "new"));
    let second = home.reload(&first);
    assert_eq!(actions(&second), ["p.good", "p.new"]);
    home.write("packs/p/actions/good.yaml", BAD);
    home.write("packs/p/actions/newer.yaml", &GOOD.replace("good", "newer"));
    let third = home.reload(&second);
    assert_eq!(actions(&third), ["p.good", "p.new"]);
    home.remove("packs/p/actions/bad.yaml").write("packs/p/actions/good.yaml", GOOD);
    assert_eq!(actions(&home.reload(&third)), ["p.good", "p.new", "p.newer"]);
}

#[test]
fn without_a_right_pack_yaml_or_configuration_nothing_of_a_pack_is_in_force() {
    let schema = "packs/p/config.schema.yaml";
    for (file, text) in [
        ("packs/p/pack.yaml", "name: p\nversion: ["),
        (schema, "host: {typ: string}\n"),
        ("configs/p.yaml", "hots: x\n"),
    ] {
        let home = Home::new();
        home.pack("p")
            .write("packs/p/actions/good.yaml", GOOD)
            .write(schema, "host: {type: string}\n")
            .write("rules/r.rhai", &rule("r", "run(\"p.good\")"))
            .write(file, text);
        let catalog = home.load();
        assert_eq!(actions(&catalog), [""; 0], "{file}");
        let said = told(&catalog);
        let follows = said.iter().find(|one| one.contains("`p.good`")).unwrap();
        assert!(follows.contains("is not in force: pack `p` has errors"), "{follows}");
        assert!(follows.contains(&format!("see `{file}")), "{follows}");
    }
}

#[test]
fn one_wrong_rule_leaves_the_others_of_its_file() {
    let home = Home::new();
    home.pack("p").write("packs/p/actions/good.yaml", GOOD);
    for wrong in [
        "log(`x`), cooldwn: \"1s\"",
        "run(\"p.godo\")",
        "run(\"p.good\", #{ m: 1 })",
        "[1].map(|x| run(\"p.godo\"))",
        "{ let f = |x| { nothing(x) }; f.call(e) }",
    ] {
        let text = rule("before", "log(`1`)") + &rule("wrong", wrong) + &rule("after", "log(`2`)");
        home.write("rules/r.rhai", &text);
        let catalog = home.load();
        assert_eq!(rules(&catalog), ["site.after", "site.before"], "{wrong}");
        assert_eq!(catalog.problems.len(), 1, "{:#?}", told(&catalog));
    }
    // Whose mistake it is cannot be said.
    home.write("rules/r.rhai", &(rule("a", "help(e)") + "fn help(e) { run(\"p.godo\") }"));
    assert_eq!(rules(&home.load()), [""; 0]);
}

#[test]
fn a_rule_that_breaks_while_running_keeps_its_file_as_it_was() {
    let home = Home::new();
    home.write("rules/r.rhai", &(rule("a", "log(`1`)") + &rule("b", "log(`2`)")));
    let first = home.load();
    home.write(
        "rules/r.rhai",
        &(rule("a", "lug(`1`)") + &rule("b", "log(`2`)") + &rule("c", "[]")),
    );
    assert_eq!(rules(&home.reload(&first)), ["site.a", "site.b"]);
}

#[test]
fn a_name_is_given_once_to_the_first_in_the_order_of_file_and_line() {
    let home = Home::new();
    home.write(
        "rules/b.rhai",
        &(rule("x", "log(`1`)") + &rule("y", "[]") + &rule("y", "log(`2`)")),
    );
    let first = home.load();
    assert_eq!(rules(&first), ["site.x", "site.y"]);
    assert_eq!(
        told(&first),
        ["rules/b.rhai:3:1: rule `site.y` stands at `rules/b.rhai:2:1` already \
          (help: give one of the two another name)"]
    );
    home.write("rules/a.rhai", &(rule("z", "[]") + &rule("x", "log(`3`)")));
    let (running, fresh) = (home.reload(&first), home.load());
    for catalog in [&running, &fresh] {
        assert_eq!(rules(catalog), ["site.x", "site.y", "site.z"]);
        let x = catalog.rules.get(&"site.x".parse().unwrap()).unwrap();
        assert_eq!(x.place().to_string(), "rules/a.rhai:2:1");
    }
    assert_eq!(told(&running), told(&fresh));
    home.write("rules/a.rhai", &rule("z", "[]"));
    let last = home.reload(&running);
    assert_eq!(
        last.rules.get(&"site.x".parse().unwrap()).unwrap().place().to_string(),
        "rules/b.rhai:1:1"
    );
}

#[test]
fn an_action_whose_file_is_wrong_is_said_to_be_not_in_force() {
    let home = Home::new();
    home.pack("p")
        .write("packs/p/actions/bad.yaml", BAD)
        .write("packs/p/actions/flow.yaml", "name: flow\nrunner_type: action-chain\n")
        .write(
            "rules/r.rhai",
            &(rule("a", "run(\"p.bad\", #{ x: 1 })") + &rule("b", "run(\"p.flow\")")),
        );
    let catalog = home.load();
    let said = told(&catalog);
    let said: Vec<_> = said.iter().filter(|one| one.starts_with("rules/")).collect();
    assert_eq!(
        said,
        [
            "rules/r.rhai:1:39: action `p.bad` is not in force: its file has errors \
             (help: see `packs/p/actions/bad.yaml:1:1`)",
            "rules/r.rhai:2:39: action `p.flow` is not in force: its runner comes with a later \
             version (help: see `packs/p/actions/flow.yaml:2:14`)",
        ]
    );
}

#[test]
fn two_sensors_at_one_address_are_one_too_many() {
    let home = Home::new();
    home.write("sensors/hook1.yaml", "kind: interval\nevery: 1s\nenabled: false\n")
        .write("sensors/hook2.yaml", "kind: interval\nevery: 1s\n")
        .write("sensors/hook3.yaml", "kind: interval\nevery: 1s\n");
    let catalog = home.load();
    let names: Vec<_> = catalog.sensors.keys().map(|one| one.name().to_owned()).collect();
    assert_eq!(names, ["hook1", "hook2"]);
    assert_eq!(codes(&catalog), ["hook_twice"]);
    assert!(told(&catalog)[0].contains("`sensors/hook2.yaml`"));
}

#[test]
fn built_in_packs_are_there_until_the_home_has_its_own() {
    let runners = runners();
    let kinds = Kinds { built_in: ifso::packs::built_in::FILES, ..kinds(&runners) };
    let home = Home::new();
    home.write("rules/r.rhai", &rule("r", "run(\"core.noop\")"));
    let load = |previous: &Catalog| ifso::packs::load(home.path(), kinds, previous);
    let first = load(&Catalog::default());
    assert_eq!(told(&first), [""; 0]);
    let packs: Vec<_> = first.packs.keys().map(String::as_str).collect();
    assert_eq!(packs, ["core", "file", "poll", "prometheus", "site"]);
    assert_eq!(first.packs["core"].folder, std::path::Path::new("built in/core"));
    home.pack("core").write("packs/core/actions/good.yaml", GOOD);
    let second = load(&Catalog::default());
    assert_eq!(actions(&second), ["core.good"]);
    home.remove("packs/core");
    assert!(load(&second).actions.contains_key(&"core.noop".parse().unwrap()));
}
