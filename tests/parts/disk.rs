//! A small disk, to be filled: a tmpfs, where the machine lets us mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of its own at a folder, until it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `size` (`16m`) over `folder`; nothing where that needs rights that we lack.
    pub fn over(folder: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder);
        let made = mount.output().is_ok_and(|output| output.status.success());
        made.then(|| Self(folder.to_owned()))
    }

    /// Takes all the room that is left, in one file, and gives its path.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process may still have a file open there.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.unwrap().success());
    }
}
