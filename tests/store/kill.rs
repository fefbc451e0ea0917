//! kill -9 at any moment, while the file is being made too: the store opens again, and what was
//! acknowledged is there.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ifso::store::batch::Batch;
use ifso::store::redb::{Redb, Settings};
use ifso::store::{Key, Order, Range, Store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::world::figure;

const KILLS: usize = 60;
const HOME: &str = "IFSO_TEST_KILL_HOME";

fn open(home: &Path) -> Redb {
    Redb::open(&home.join("store.redb"), Settings::default()).unwrap()
}

/// The numbers in the store: each commit writes the next one, twice.
async fn numbers(store: &Redb, table: &'static str) -> Vec<u64> {
    let range =
        Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: usize::MAX };
    let found = store.scan(&range).await.unwrap();
    found.iter().map(|(bytes, _)| u64::from_be_bytes(bytes[..].try_into().unwrap())).collect()
}

/// What the parent starts and kills; does nothing where nobody asks for it.
#[tokio::test]
async fn the_child_that_is_killed() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let store = open(Path::new(&home));
    let first = numbers(&store, "meta").await.len() as u64;
    for number in first.. {
        let mut batch = Batch::new();
        for table in ["meta", "positions"] {
            batch.put(Key { table, bytes: number.to_be_bytes().to_vec() }, vec![1; 700]);
        }
        store.commit(batch).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "\nacknowledged {number}").unwrap();
        out.flush().unwrap();
    }
}

fn start(home: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "store::kill::the_child_that_is_killed", "--nocapture"]);
    child.env(HOME, home).stdout(Stdio::piped()).stderr(Stdio::null());
    child.spawn().unwrap()
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first_until_that_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let mut child = start(home.path());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.map(Result::unwrap).find(|line| line.starts_with("acknowledged"));
    assert!(first.is_some(), "the child has ended");
    let refused = Redb::open(&home.path().join("store.redb"), Settings::default()).err().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let owner = format!(" is in use by another process (pid {})", child.id());
    assert!(refused.to_string().ends_with(&owner), "{refused}");
    assert_eq!(
        refused.help(),
        Some("stop the other Ifso, or give this one another `--data` folder")
    );
    open(home.path());
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let mut random = StdRng::seed_from_u64(9);
    let (mut acknowledged, mut in_creation, mut home) = (0, 0, tempfile::tempdir().unwrap());
    for kill in 0..KILLS {
        // Every other time it dies young: before or while it makes the file.
        let young = kill % 2 == 0;
        if young {
            home = tempfile::tempdir().unwrap();
        }
        let mut child = start(home.path());
        let wait =
            Duration::from_micros(random.random_range(0..if young { 40_000 } else { 200_000 }));
        // Not a wait for anything: the moment of the kill is what is tried.
        std::thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let last = said.lines().filter_map(|line| line.strip_prefix("acknowledged ")).next_back();
        let last: Option<u64> = last.map(|number| number.parse().unwrap());
        if !home.path().join("store.redb").exists() {
            in_creation += 1;
        }
        acknowledged += said.matches("acknowledged ").count();
        let store = open(home.path());
        let found = numbers(&store, "meta").await;
        assert_eq!(found, numbers(&store, "positions").await, "half a batch");
        assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
        assert!(last.is_none_or(|last| found.len() as u64 > last), "{last:?} of {}", found.len());
    }
    figure(&format!(
        "T1/M2 kills {KILLS} before the store was made {in_creation} acknowledged {acknowledged} 0 lost 0 half"
    ));
}
