//! Real parts for tests: started on loopback with free ports, ended by id.

pub mod alertmanager;
pub mod array;
pub mod call;
pub mod disk;
pub mod hotpot;
pub mod kafka;
pub mod program;
pub mod prometheus;
pub mod s3;
pub mod smtp;
pub mod sshd;

use std::path::Path;

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
