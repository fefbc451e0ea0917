//! Actions that are workflows.

use ifso::packs::catalog::Catalog;
use serde_json::json;

use super::{Home, told};

const ACTION: &str = "
name: deploy
runner_type: orquesta
entry_point: workflows/deploy.yaml
parameters:
  version: {type: string, required: true}
";

const STEP: &str = "
name: step
runner_type: noop
parameters:
  what: {type: string, required: true}
";

const WORKFLOW: &str = "version: 1.0
input: [version]
tasks:
  fetch:
    action: shop.step what=<% ctx().version %>
    next: [{when: <% succeeded() %>, do: start}]
  start:
    action: shop.step
    input: {what: start}
";

/// A home with a workflow that stands as `workflow`.
fn home(workflow: &str) -> Home {
    let home = Home::new();
    home.pack("shop")
        .write("packs/shop/actions/deploy.yaml", ACTION)
        .write("packs/shop/actions/step.yaml", STEP)
        .write("packs/shop/actions/workflows/deploy.yaml", workflow);
    home
}

fn has(catalog: &Catalog, action: &str) -> bool {
    catalog.actions.contains_key(&action.parse().unwrap())
}

#[test]
fn the_definition_is_part_of_the_action() {
    let home = home(WORKFLOW);
    let catalog = home.load();
    assert_eq!(told(&catalog), Vec::<String>::new());
    let before = &catalog.actions[&"shop.deploy".parse().unwrap()];
    let pinned = before.workflow.as_ref().unwrap();
    assert_eq!(pinned.definition["tasks"]["start"]["input"], json!({ "what": "start" }));
    home.write(
        "packs/shop/actions/workflows/deploy.yaml",
        &WORKFLOW.replace("what: start", "what: go"),
    );
    let catalog = home.reload(&catalog);
    let after = &catalog.actions[&"shop.deploy".parse().unwrap()];
    assert_ne!(before.version, after.version);
    assert_ne!(pinned.hash, after.workflow.as_ref().unwrap().hash);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (old, new, expected) in [
        (
            "do: start",
            "do: strat",
            "6:38: the task `strat` is not defined (help: did you mean `start`?)",
        ),
        (
            "    input: {",
            "    inputs: {",
            "9:5: `inputs` is not known here (help: did you mean `input`?)",
        ),
        (
            "ctx().version",
            "ctx().verson",
            "5:5: variable `verson` is referenced before assignment, in `<% ctx().verson %>` \
             (help: did you mean `version`?)",
        ),
        (
            "<% succeeded() %>",
            "<% succeeded( %>",
            "6:13: parse error: unexpected end of statement, in `<% succeeded( %>`",
        ),
        (
            "  start:\n",
            "  start:\n    timeout: soon\n",
            "8:5: `soon` has the wrong form (help: expected seconds, a span such as `90s` or `5m`, or an \
             expression that gives one)",
        ),
        (
            "tasks:",
            "task:",
            "1:1: `tasks` is missing (help: expected a mapping with `version` and `tasks`)",
        ),
        ("input: [version]", "input: [version", "3:"),
    ] {
        let home = home(&WORKFLOW.replace(old, new));
        let catalog = home.load();
        let told = told(&catalog);
        let expected = format!("packs/shop/actions/workflows/deploy.yaml:{expected}");
        assert!(told.iter().any(|one| one.starts_with(&expected)), "{new}\n{expected}\n{told:#?}");
        assert!(!has(&catalog, "shop.deploy"), "{new}");
        assert!(has(&catalog, "shop.step"));
    }
}

#[test]
fn what_is_doubtful_is_told_and_runs() {
    for (old, new, expected) in [
        (
            "  start:\n    action: shop.step",
            "  start:\n    action: shop.stop",
            "8:5: the action `shop.stop` is not registered in the database (help: did you mean `shop.step`?)",
        ),
        (
            "{what: start}",
            "{whta: start}",
            "9:13: action `shop.step` has unexpected input `whta` (help: did you mean `what`?)",
        ),
        (
            "input: [version]",
            "input: [version, size]",
            "2:18: input `size` has no default and is no parameter of action `shop.deploy`: it is null \
          (help: add `size` to the action's `parameters`, or give it a default: `- size: value`)",
        ),
        (
            "{what: start}",
            "{what: \"${ ctx.nothing }\"}",
            "9:5: variable `nothing` is referenced before assignment, in `${ ctx.nothing }`",
        ),
        (
            "{what: start}",
            "{what: \"<% nosuchfn(1) %>\"}",
            "9:5: unknown function `nosuchfn`, in `<% nosuchfn(1) %>`",
        ),
        (
            "{what: start}",
            "{what: \"<% [1].selct($) %>\"}",
            "9:5: unknown method `selct`, in `<% [1].selct($) %>` (help: did you mean `select`?)",
        ),
        (
            "{what: start}",
            "{what: \"{{ 'a | b' | nofilter }}\"}",
            "9:5: no filter named `nofilter`, in `{{ 'a | b' | nofilter }}`",
        ),
        (
            "{what: start}",
            "{what: \"{{ reslt() }}\"}",
            "9:5: `reslt` is undefined, in `{{ reslt() }}` (help: did you mean `result`?)",
        ),
        (
            "tasks:\n",
            "tasks:\n  lost: {next: [{do: found}]}\n  found: {next: [{do: lost}]}\n",
            "4:3: the task `lost` never runs",
        ),
    ] {
        let home = home(&WORKFLOW.replace(old, new));
        let catalog = home.load();
        let told = told(&catalog);
        let expected = format!("packs/shop/actions/workflows/deploy.yaml:{expected}");
        assert!(told.iter().any(|one| one.starts_with(&expected)), "{new}\n{expected}\n{told:#?}");
        assert_eq!(catalog.errors(), 0, "{told:#?}");
        assert!(has(&catalog, "shop.deploy"));
    }
}

#[test]
fn a_workflow_that_breaks_while_in_force_stays_as_it_was() {
    let home = home(WORKFLOW);
    let first = home.load();
    home.write("packs/shop/actions/workflows/deploy.yaml", "version: 1.0\n");
    let second = home.reload(&first);
    let name = "shop.deploy".parse().unwrap();
    assert_eq!(first.actions[&name].version, second.actions[&name].version);
    assert_eq!(second.errors(), 1, "{:?}", told(&second));
    home.remove("packs/shop/actions/workflows/deploy.yaml");
    let third = home.reload(&second);
    assert!(told(&third)[0].contains("there is no file `actions/workflows/deploy.yaml`"));
}

const MISTRAL: &str = "version: '2.0'
name: shop.deploy
workflows:
  main:
    type: direct
    input: [version]
    output:
      said: <% $.said %>
    tasks:
      fetch:
        action: shop.step
        input: {what: <% $.version %>}
        publish: {said: <% task(fetch).result %>}
        on-success: [start]
      start:
        action: shop.step what=\"now\"
";

#[test]
fn mistral_is_read_where_the_action_says_so() {
    let home = home(MISTRAL);
    home.write("packs/shop/actions/deploy.yaml", &ACTION.replace("orquesta", "mistral-v2"));
    let catalog = home.load();
    assert_eq!(told(&catalog), Vec::<String>::new());
    let action = &catalog.actions[&"shop.deploy".parse().unwrap()];
    let definition = &action.workflow.as_ref().unwrap().definition;
    assert_eq!(definition["tasks"]["fetch"]["input"]["what"], "<% ctx().version %>");
    for (old, new, expected) in [
        (
            "[start]",
            "[strat]",
            "14:22: `workflows.main.tasks.fetch.on-success[0]`: there is no task `strat`",
        ),
        ("action: shop.step what", "acton: shop.step what", "16:9: "),
        ("<% $.version %>", "<% $.version( %>", "12:9: parse error"),
    ] {
        home.write("packs/shop/actions/workflows/deploy.yaml", &MISTRAL.replace(old, new));
        let told = told(&home.load());
        let expected = format!("packs/shop/actions/workflows/deploy.yaml:{expected}");
        assert!(told.iter().any(|one| one.starts_with(&expected)), "{new}\n{expected}\n{told:#?}");
    }
}
