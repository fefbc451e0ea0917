//! Migrations between real S3 servers and folders.

mod breaking;
mod copying;
mod steering;
mod telling;

use std::path::{Path, PathBuf};

use ifso::runners::{Begin, Stream};
use serde_json::{Value, json};

use super::desk::{Attempt, Came, Desk};
use crate::parts::s3::{ACCESS_KEY, Files, Moto, SECRET_KEY, Tree};

/// A desk with stores to migrate between: two servers of s3s-fs and a folder.
struct Ends {
    desk: Desk,
    old: Files,
    new: Files,
    moto: Option<Moto>,
}

impl Ends {
    fn new() -> Self {
        let (old, new) = (Files::start(&["box"]), Files::start(&["box"]));
        let ends = Self { desk: Desk::new(), old, new, moto: None };
        std::fs::create_dir(ends.shelf()).unwrap();
        ends
    }

    async fn with_moto() -> Self {
        Self { moto: Some(Moto::start(&["box", "other"]).await), ..Self::new() }
    }

    fn shelf(&self) -> PathBuf {
        self.desk.data().join("shelf")
    }

    fn config(&self) -> Value {
        let server = |endpoint: &str| json!({ "kind": "s3", "endpoint": endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
        let mut stores = json!({
            "old": server(&self.old.endpoint),
            "new": server(&self.new.endpoint),
            "shelf": { "kind": "folder", "path": self.shelf() },
        });
        if let Some(moto) = &self.moto {
            stores["moto"] = server(&moto.endpoint);
        }
        json!({ "stores": stores })
    }

    fn attempt(&self) -> Attempt {
        self.desk.attempt("migrate").config(self.config())
    }

    /// A migration from one place to another.
    fn copy(&self, from: &str, to: &str) -> Attempt {
        self.attempt().given("from", from).given("to", to)
    }

    async fn report(&self) -> Value {
        let came = self.attempt().given("operation", "report").run().await;
        came.succeeded()["migrations"][0].clone()
    }
}

/// Waits until a server was asked so often, and says how often it was.
async fn asked(server: &Files, times: usize) -> usize {
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(5));
    let mut all = 0;
    while all < times {
        looks.tick().await;
        all += server.calls().len();
    }
    all
}

/// Content that no two objects share.
fn content(key: &str, bytes: usize) -> Vec<u8> {
    let mut state = key.bytes().fold(7_u64, |state, byte| state.wrapping_mul(31) + u64::from(byte));
    let next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn tree(objects: &[(&str, usize)]) -> Tree {
    objects.iter().map(|(key, bytes)| ((*key).to_owned(), content(key, *bytes))).collect()
}

/// So many small objects.
fn many(count: usize) -> Tree {
    let keys = (0..count).map(|number| format!("{:02}/object {number:05}", number % 7));
    keys.map(|key| (key.clone(), content(&key, key.len() * 20))).collect()
}

fn write(folder: &Path, tree: &Tree) {
    for (key, content) in tree {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// What two trees differ in, by key.
fn difference(one: &Tree, two: &Tree) -> Vec<String> {
    let keys = one.keys().chain(two.keys());
    let differ = keys.filter(|key| one.get(*key) != two.get(*key));
    differ.cloned().collect()
}

/// The lines of progress.
fn lines(came: &Came) -> Vec<Value> {
    let said = came.said(Stream::Stdout);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(result: &Value, name: &str) -> u64 {
    result[name].as_u64().unwrap_or_else(|| panic!("`{name}` of {result}"))
}
