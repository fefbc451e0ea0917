//! Keeps the catalog in step with the home folder: a change is in force within a second.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::problem::{Problem, Severity};
use crate::packs::catalog::{Catalog, Current};

/// Folders of the home that people write; `data/` is not among them.
const FOLDERS: [&str; 5] = ["packs", "rules", "sensors", "calendars", "configs"];

/// A change counts when nothing more has changed for this long: editors and `git` write several files.
const QUIET: Duration = Duration::from_millis(150);

/// However much changes, nobody waits longer than this for the first of it.
const LONGEST: Duration = Duration::from_millis(600);

/// How often the folders are compared where the system cannot tell of changes.
const POLL: Duration = Duration::from_millis(500);

/// How often they are compared where it can: network file systems tell only of some.
const RARE_POLL: Duration = Duration::from_secs(10);

/// Deeper folders hold no pack's files.
const DEPTH_LIMIT: usize = 8;

/// Makes the next catalog from the last one. Blocking.
pub type Reload = Arc<dyn Fn(&Catalog) -> Catalog + Send + Sync>;

/// Watches one home folder.
pub struct Watch {
    home: PathBuf,
    current: Current,
    reload: Reload,
    clock: Clock,
    generation: watch::Sender<u64>,
}

impl Watch {
    /// Watches `home`, of which `current` was loaded, and swaps what `reload` makes of it.
    #[must_use]
    pub fn new(home: &Path, current: Current, reload: Reload, clock: Clock) -> Self {
        let generation = watch::channel(current.load().generation).0;
        let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
        Self { home, current, reload, clock, generation }
    }

    /// Tells of every new generation, after it has come into force.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Watches until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        // One waiting ring is enough: whoever hears it looks at everything.
        let (bell, mut rings) = mpsc::channel(1);
        let mut notifier = self.notifier(bell);
        // What changed between loading and now is found by the first comparison.
        let mut seen = None;
        let mut next = self.clock.now();
        loop {
            let rung = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                rung = rings.recv(), if notifier.is_some() => rung.is_some(),
                () = self.clock.sleep_until(next) => false,
            };
            if rung {
                self.quiet(&mut rings).await;
            }
            let armed = notifier.as_mut().is_some_and(|notifier| self.arm(notifier));
            next = self.clock.now().plus(if armed { RARE_POLL } else { POLL });
            let home = self.home.clone();
            let Ok(print) = tokio::task::spawn_blocking(move || fingerprint(&home)).await else {
                return; // The runtime is going down.
            };
            if rung || seen != Some(print) {
                seen = Some(print);
                self.refresh().await;
            }
        }
    }

    /// Loads the home again, and swaps the catalog where it differs. Says whether it did.
    ///
    /// Not cancel-safe: a swap may go unannounced.
    pub async fn refresh(&self) -> bool {
        let (before, reload) = (self.current.load_full(), Arc::clone(&self.reload));
        let loading = tokio::task::spawn_blocking(move || {
            let fresh = reload(&before);
            (fresh.version != before.version).then_some(fresh)
        });
        let Ok(Some(fresh)) = loading.await else { return false };
        let generation = fresh.generation;
        tracing::info!(generation, problems = fresh.problems.len(), "catalog changed");
        // First it is so, then it is told: whoever reads the log finds what it says.
        let before = self.current.swap(Arc::new(fresh));
        self.generation.send_replace(generation);
        tell(&self.current.load().problems, &before.problems);
        true
    }

    /// Waits until nothing has rung for a while, but not too long.
    async fn quiet(&self, rings: &mut mpsc::Receiver<()>) {
        let latest = self.clock.now().plus(LONGEST);
        loop {
            let calm = self.clock.now().plus(QUIET).min(latest);
            tokio::select! {
                biased;
                () = self.clock.sleep_until(calm) => return,
                rung = rings.recv() => if rung.is_none() { return },
            }
        }
    }

    /// The system's own notices; nothing where it has none to give.
    fn notifier(&self, bell: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let home = self.home.clone();
        let heard = move |event: Result<notify::Event, notify::Error>| {
            if event.is_ok_and(|event| matters(&home, &event)) {
                // A full channel rings already.
                bell.try_send(()).ok();
            }
        };
        match notify::recommended_watcher(heard) {
            Ok(notifier) => Some(notifier),
            Err(error) => {
                tracing::warn!(%error, "folders cannot be watched and are compared instead");
                None
            }
        }
    }

    /// Watches every folder that there is by now; says whether that worked for all.
    fn arm(&self, notifier: &mut RecommendedWatcher) -> bool {
        let mut whole = notifier.watch(&self.home, RecursiveMode::NonRecursive).is_ok();
        for folder in FOLDERS.map(|folder| self.home.join(folder)) {
            if folder.is_dir() {
                whole &= notifier.watch(&folder, RecursiveMode::Recursive).is_ok();
            }
        }
        whole
    }
}

/// Says in the log each of `problems` that was not there `before`, and how many are gone.
pub fn tell(problems: &[Problem], before: &[Problem]) {
    // A line more above it does not make it another problem.
    let same = |a: &Problem, b: &Problem| {
        (&a.code, &a.place.file, &a.message) == (&b.code, &b.place.file, &b.message)
    };
    let within = |one: &Problem, all: &[Problem]| all.iter().any(|other| same(one, other));
    for problem in problems.iter().filter(|one| !within(one, before)) {
        match problem.severity {
            Severity::Error => tracing::error!(code = %problem.code, "{problem}"),
            Severity::Warning => tracing::warn!(code = %problem.code, "{problem}"),
        }
    }
    let gone = before.iter().filter(|one| !within(one, problems)).count();
    if gone > 0 {
        tracing::info!(gone, left = problems.len(), "problems are gone");
    }
}

/// Whether an event may change the catalog.
fn matters(home: &Path, event: &notify::Event) -> bool {
    // Reading and closing files is told, too.
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let ours = |path: &PathBuf| {
        let Ok(inside) = path.strip_prefix(home) else { return true };
        let mut parts = inside.iter().map(|part| part.to_string_lossy());
        parts.next().is_some_and(|first| FOLDERS.contains(&first.as_ref()))
            && !parts.any(|part| part == "__pycache__" || part == ".git")
    };
    event.need_rescan() || event.paths.iter().any(ours)
}

/// Names, sizes, times and rights of all files as one number.
fn fingerprint(home: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for folder in FOLDERS {
        print_folder(&home.join(folder), DEPTH_LIMIT, &mut hasher);
    }
    hasher.finish()
}

fn print_folder(folder: &Path, depth: usize, hasher: &mut DefaultHasher) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        if name == "__pycache__" || name.as_encoded_bytes().first() == Some(&b'.') {
            continue;
        }
        let Ok(about) = std::fs::metadata(&path) else { continue };
        path.hash(hasher);
        if about.is_dir() && depth > 0 {
            print_folder(&path, depth - 1, hasher);
        } else {
            about.len().hash(hasher);
            about.modified().ok().hash(hasher);
            about.permissions().mode().hash(hasher);
        }
    }
}
