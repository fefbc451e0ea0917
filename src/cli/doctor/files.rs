//! Rights of what holds secrets.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::cli::doctor::finding::Finding;
use crate::config::Config;

/// The rights of everybody but the owner.
const GROUP_AND_OTHERS: u32 = 0o077;
/// The rights of whoever is not in the group: what an administrator writes for Ifso is often its group's.
const OTHERS: u32 = 0o007;
/// Files in the data folder that hold secrets.
const SECRET: &[&str] = &["admin.key", "master.key", "store.redb"];
/// Files that the home's folder `secrets/` is looked at for, at most.
const LIMIT: usize = 256;

/// Looks at the rights of the data folder, of keys and of the home's secrets.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let data = &config.data;
    if !data.exists() {
        return vec![Finding::ok(
            "files",
            format!("`{}` is made at the first start", data.display()),
        )];
    }
    let mut paths = vec![data.clone()];
    paths.extend(SECRET.iter().map(|name| data.join(name)));
    paths.push(config.home.join("master.key"));
    let shared = secrets(&config.home.join("secrets"));
    let private = paths.iter().map(|path| (path, GROUP_AND_OTHERS));
    let shared = shared.iter().map(|path| (path, OTHERS));
    let found: Vec<Finding> =
        private.chain(shared).filter_map(|(path, not)| open(path, not)).collect();
    if found.is_empty() {
        return vec![Finding::ok(
            "files",
            format!("`{}` and all keys are private", data.display()),
        )];
    }
    found
}

fn secrets(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().take(LIMIT).map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// What is wrong with who may read a file or folder, where it is there.
fn open(path: &Path, not: u32) -> Option<Finding> {
    let about = path.metadata().ok()?;
    let name = path.display();
    let (mode, owner) = (about.permissions().mode() & 0o7777, about.uid());
    let want = if about.is_dir() { 0o700 } else { 0o600 };
    if mode & not != 0 {
        let what = format!("`{name}` has mode {mode:04o}: others of this machine may use it");
        return Some(Finding::wrong("files", what).next(format!("chmod {want:o} {name}")));
    }
    let ours = geteuid().as_raw();
    if owner != ours && ours != 0 {
        let what = format!("`{name}` belongs to user {owner}, and you are user {ours}");
        return Some(
            Finding::look("files", what).next("run `ifso doctor` as the user that Ifso runs as"),
        );
    }
    None
}
