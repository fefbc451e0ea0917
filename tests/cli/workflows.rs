//! `ifso workflow inspect`.

use crate::cli::{ifso, told};
use crate::flow::write;

const ACTION: &str = "name: deploy\nrunner_type: orquesta\nentry_point: workflows/deploy.yaml\n";
const RIGHT: &str = "version: 1.0\ntasks:\n  one: {action: core.noop}\n";
const WRONG: &str = "version: 1.0\ntasks:\n  one:\n    action: core.noop\n    next: [{do: twoo}]\n    dely: 5\n  two: {action: core.noopp}\n";

#[test]
fn a_workflow_is_looked_over_by_file_and_by_name() {
    let home = tempfile::tempdir().unwrap();
    let pack = "ref: shop\nname: shop\ndescription: x\nversion: 1.0.0\nauthor: me\n";
    write(home.path(), "packs/shop/pack.yaml", pack);
    write(home.path(), "packs/shop/actions/deploy.yaml", ACTION);
    write(home.path(), "packs/shop/actions/workflows/deploy.yaml", RIGHT);
    write(home.path(), "wrong.yaml", WRONG);
    let inspect = |what: &[&str]| {
        let mut command = ifso(&["workflow", "inspect"]);
        command.args(what).current_dir(home.path()).env("PATH", "/usr/bin:/bin");
        told(&command.output().unwrap())
    };
    assert_eq!(inspect(&["shop.deploy"]), "exit 0\n--- stdout\nno problems\n");
    let said = inspect(&["wrong.yaml"]);
    for part in [
        "exit 1",
        "error[workflow_semantics]: the task `twoo` is not defined",
        "--> wrong.yaml:5:13",
        "did you mean `two`?",
        "error[workflow_syntax]: `dely` is not known here",
        "--> wrong.yaml:6:5",
        "warning[workflow_action]: the action `core.noopp` is not registered in the database",
        "2 errors, 1 warning",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let said = inspect(&["wrong.yaml", "--json"]);
    assert!(said.contains("\"code\": \"workflow_semantics\""), "{said}");
    let said = inspect(&["shop.deplyo"]);
    assert!(said.contains("did you mean `shop.deploy`?"), "{said}");
    let said = inspect(&["core.noop"]);
    assert!(said.contains("action `core.noop` is no workflow"), "{said}");
}
