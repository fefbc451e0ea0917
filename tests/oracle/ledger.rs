//! Ledgers: lines in a file, each on disk before anything else happens.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// A ledger that the oracle writes.
pub(crate) struct Ledger(Mutex<File>);

impl Ledger {
    /// The ledger in `path`, made where there is none.
    pub(crate) fn open(path: &Path) -> Self {
        Self(Mutex::new(OpenOptions::new().create(true).append(true).open(path).unwrap()))
    }

    /// Writes one line and waits until it is on disk.
    pub(crate) fn write(&self, line: &str) {
        let mut file = self.0.lock().unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
}

/// Every line of a ledger, as words; a missing file has none.
pub(crate) fn lines(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// What actions did: for each execution, its attempts in the order of their lines, and the uid.
pub(crate) fn effects(path: &Path) -> BTreeMap<String, Vec<(String, String)>> {
    let mut effects: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for line in lines(path) {
        let [execution, attempt, uid] = line.try_into().expect("an effect has three words");
        effects.entry(execution).or_default().push((attempt, uid));
    }
    effects
}
