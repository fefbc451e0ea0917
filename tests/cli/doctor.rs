//! `ifso doctor`: with and without a served home, and whatever may be wrong with one.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::cli::alone::Served;
use crate::cli::{home, ifso};

/// What the doctor says of a home, and its exit code.
fn ask(home: &Path, more: &[&str]) -> (Value, i32) {
    let mut command = ifso(&["doctor", "--json", "--home", home.to_str().unwrap()]);
    let output = command.args(more).env("PATH", "/usr/bin:/bin").output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (said, output.status.code().unwrap())
}

/// The findings of one part.
fn of<'a>(said: &'a Value, part: &str) -> Vec<&'a Value> {
    said["findings"].as_array().unwrap().iter().filter(|one| one["part"] == part).collect()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_home_that_was_never_served_is_well() {
    let home = home();
    // Whatever listens on the default port of this machine is no concern of this home.
    std::fs::write(home.path().join("ifso.toml"), "listen = \"127.0.0.1:0\"\n").unwrap();
    let (said, code) = ask(home.path(), &[]);
    assert_eq!(code, 0, "{said:#}");
    assert_eq!(of(&said, "store")[0]["what"], "there is none yet; `ifso serve` makes one");
    assert_eq!(of(&said, "server")[0]["what"], "none serves this home");
    assert_eq!(of(&said, "packs")[0]["state"], "ok", "{said:#}");
    for part in ["home", "files", "disk", "open files", "clock", "port"] {
        assert_eq!(of(&said, part).len(), 1, "{part}: {said:#}");
    }
    assert!(!home.path().join("data").exists(), "the doctor made something");
}

#[test]
fn a_served_home_is_asked_and_its_store_left_alone() {
    let home = home();
    let served = Served::start(home.path());
    let (said, code) = ask(home.path(), &[]);
    assert_eq!(code, 0, "{said:#}");
    assert_eq!(of(&said, "server")[0]["what"], format!("answers at {}", served.url));
    assert!(of(&said, "store")[0]["what"].as_str().unwrap().contains("in use"), "{said:#}");
    assert!(of(&said, "port").is_empty(), "{said:#}");
    assert!(served.stop().success());
    let (said, code) = ask(home.path(), &["--offline"]);
    assert_eq!(code, 0, "{said:#}");
    assert!(of(&said, "store")[0]["what"].as_str().unwrap().ends_with("all sound"), "{said:#}");
    assert!(said["store"]["tables"].as_array().unwrap().len() > 10);
    let what = of(&said, "files")[0]["what"].as_str().unwrap().to_owned();
    assert!(what.ends_with("and all keys are private"), "{what}");
}

#[test]
fn keys_that_others_may_read_are_wrong_and_the_next_step_is_said() {
    let home = home();
    Served::start(home.path()).stop();
    let key = home.path().join("data/admin.key");
    mode(&key, 0o640);
    let arguments = ["doctor", "--offline", "--home", home.path().to_str().unwrap()];
    let output = ifso(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let row = said.lines().find(|line| line.starts_with("files")).unwrap();
    assert!(row.contains("wrong") && row.contains("has mode 0640: others"), "{said}");
    let next = String::from_utf8(output.stderr).unwrap();
    assert!(next.contains(&format!("files: chmod 600 {}", key.display())), "{next}");
}

#[test]
fn a_damaged_store_is_wrong_with_a_code_of_its_own() {
    let home = home();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    mode(&home.path().join("data"), 0o700);
    std::fs::write(home.path().join("data/store.redb"), "this is no store").unwrap();
    mode(&home.path().join("data/store.redb"), 0o600);
    let (said, code) = ask(home.path(), &["--offline"]);
    assert_eq!(code, 75, "{said:#}");
    let store = of(&said, "store")[0];
    assert_eq!(store["state"], "wrong");
    assert!(store["next"].as_str().unwrap().contains("ifso restore FILE"), "{store}");
}

#[test]
fn brokers_and_services_that_are_away_are_named_with_who_wants_them() {
    let home = home();
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let (here, gone) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), crate::parts::program::free_port());
    let here = here.local_addr().unwrap();
    write(
        "sensors/records.yaml",
        &format!(
            "kind: kafka\nbrokers: ['{here}', '127.0.0.1:{gone}']\ntopics: [t]\ndecode: {{t: {{as: json, trigger: a.b}}}}\n"
        ),
    );
    write(
        "packs/demo/config.schema.yaml",
        "smtp: {type: object}\nurl: {type: string, secret: true}\n",
    );
    write(
        "configs/demo.yaml",
        &format!("smtp: {{host: 127.0.0.1, port: {gone}}}\nurl: http://127.0.0.1:{gone}/hidden\n"),
    );
    write("ifso.toml", "listen = \"127.0.0.1:0\"\n");
    let (said, code) = ask(home.path(), &[]);
    assert_eq!(code, 1, "{said:#}");
    let brokers = of(&said, "broker");
    let states: Vec<_> = brokers.iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"ok") && states.contains(&"wrong"), "{said:#}");
    let wrong = brokers.iter().find(|one| one["state"] == "wrong").unwrap();
    let expected = format!("127.0.0.1:{gone} (sensor site.records): ");
    assert!(wrong["what"].as_str().unwrap().starts_with(&expected), "{wrong}");
    assert_eq!(of(&said, "mail")[0]["state"], "wrong", "{said:#}");
    assert_eq!(of(&said, "service")[0]["state"], "wrong", "{said:#}");
    assert!(!said.to_string().contains("hidden"), "{said:#}");
    let (said, code) = ask(home.path(), &["--offline"]);
    assert_eq!((code, of(&said, "broker").len()), (0, 0), "{said:#}");
}
