//! Watching a real folder with the real clock: every wait is for the thing itself, with a deadline.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ifso::clock;
use ifso::packs::catalog::{Catalog, Current};
use ifso::packs::watch::Watch;
use ifso::packs::{Runners, load};
use ifso::tasks::Tasks;
use tokio::sync::watch::Receiver;

use super::Home;

const DEADLINE: Duration = Duration::from_secs(20);

const ACTION: &str = "name: one\nrunner_type: noop\n";

struct Watched {
    home: Home,
    current: Current,
    changes: Receiver<u64>,
    tasks: Tasks,
}

impl Watched {
    async fn start(home: Home) -> Self {
        let runners: Runners = super::runners();
        let path = home.path().to_owned();
        let reload =
            Arc::new(move |previous: &Catalog| load(&path, super::kinds(&runners), previous));
        let current: Current = Arc::new(ArcSwap::from_pointee(reload(&Catalog::default())));
        let watch = Watch::new(home.path(), Arc::clone(&current), reload, clock::system());
        let changes = watch.changes();
        let tasks = Tasks::new();
        tasks.spawn(watch.run(tasks.stop().clone()));
        let mut watched = Self { home, current, changes, tasks };
        // Writes until one is heard: from then on the watch is armed.
        watched.home.write("sensors/armed.yaml", "kind: interval\nevery: 1s\n");
        watched.until(|catalog| !catalog.sensors.is_empty()).await;
        watched
    }

    async fn until(&mut self, holds: impl Fn(&Catalog) -> bool) {
        let current = Arc::clone(&self.current);
        let wait = self.changes.wait_for(|_| holds(&current.load()));
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        let said = super::told(&self.current.load());
        waited.unwrap_or_else(|_| panic!("not seen in time; problems: {said:?}")).unwrap();
    }

    fn has(name: &'static str) -> impl Fn(&Catalog) -> bool {
        move |catalog| catalog.actions.contains_key(&name.parse().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_pack_is_in_force_soon_and_whole() {
    let mut watched = Watched::start(Home::new()).await;
    let before = Instant::now();
    watched.home.pack("a").write("packs/a/actions/one.yaml", ACTION);
    watched.until(Watched::has("a.one")).await;
    let took = before.elapsed();
    writeln!(std::io::stdout(), "a new pack was in force after {} ms", took.as_millis()).unwrap();

    watched.home.write("packs/a/actions/one.yaml", "name: [");
    watched.until(|catalog| !catalog.problems.is_empty()).await;
    assert!(Watched::has("a.one")(&watched.current.load()), "the last good version stays");

    watched.home.remove("packs/a");
    watched.until(|catalog| !Watched::has("a.one")(catalog)).await;
    watched.home.pack("a").write("packs/a/actions/one.yaml", ACTION);
    watched.until(Watched::has("a.one")).await;
    assert!(watched.tasks.drain(DEADLINE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_makes_no_generation() {
    let mut watched = Watched::start(Home::new()).await;
    let generation = watched.current.load().generation;
    watched.home.write("sensors/armed.yaml", "kind: interval\nevery: 1s\n");
    watched.home.write("sensors/.armed.yaml.swp", "x").write("packs/notes.txt", "x");
    watched.home.write("sensors/second.yaml", "kind: interval\nevery: 1s\n");
    watched.until(|catalog| catalog.sensors.len() == 2).await;
    assert_eq!(watched.current.load().generation, generation + 1);
    assert!(watched.tasks.drain(DEADLINE).await);
}
