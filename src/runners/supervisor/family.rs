//! Which processes belong to an attempt, whatever they did to hide: read from `/proc`.
//!
//! The supervisor is a sub-reaper, so every process that an action starts, however often it forks and
//! whatever session it makes itself, stays a descendant of the supervisor. One whose parents have all
//! died becomes the supervisor's own child; whose it is tells a *tag* that it inherited: the soft
//! limit on resident memory, which Linux has not enforced since 2.4.30 and nobody changes.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crc_fast::{CrcAlgorithm, checksum};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// The mark on every process of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u64);

/// Far above any memory, so that no program takes a tag for a limit.
const TAG_BASE: u64 = 1 << 62;

impl Tag {
    /// The tag of the attempt whose folder is `entry`: the same in every supervisor, so that a later
    /// one finds what an earlier one left behind.
    pub(crate) fn of(entry: &Path) -> Self {
        let sum = checksum(CrcAlgorithm::Crc64Nvme, entry.as_os_str().as_encoded_bytes());
        Self(TAG_BASE | (sum >> 3))
    }

    /// The limit on resident memory that is the tag.
    pub(crate) fn limit(self) -> u64 {
        self.0
    }

    /// The tag that `pid` wears.
    fn on(pid: Pid) -> Option<Self> {
        let limits = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).ok()?;
        let line = limits.lines().find(|line| line.starts_with("Max resident set"))?;
        let soft: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
        (soft >= TAG_BASE).then_some(Self(soft))
    }
}

/// The children of `pid`, zombies too.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        let Ok(list) = fs::read_to_string(task.path().join("children")) else { continue };
        found.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    found
}

/// The children of the supervisor that it did not start itself: their parents have died.
pub(crate) fn orphans(started: impl Fn(Pid) -> bool) -> Vec<(Pid, Option<Tag>)> {
    let adopted = children(getpid()).into_iter().filter(|pid| !started(*pid));
    adopted.map(|pid| (pid, Tag::on(pid))).collect()
}

/// Everything that descends from `roots`, them included.
pub(crate) fn descendants(roots: Vec<Pid>) -> Vec<Pid> {
    let mut found = roots;
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// Every process of this machine that wears one of `tags`.
pub(crate) fn wearers(tags: &HashSet<Tag>) -> Vec<Pid> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = pids.filter_map(Pid::from_raw);
    pids.filter(|pid| Tag::on(*pid).is_some_and(|tag| tags.contains(&tag))).collect()
}

/// Sends `signal` to each; one that died meanwhile, or that we may not signal (sudo), is passed over.
pub(crate) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        match kill_process(*pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::debug!(%pid, %error, "A process cannot be signalled"),
        }
    }
}

/// Whether a process that was sent `SIGSTOP` does nothing: it is stopped, or dead, or asleep in the kernel
/// and stopped before it comes out of there. So waits a parent for a `vfork`ed child that is stopped
/// before it became a program: it comes out only when that is let go.
pub(crate) fn stands(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return true;
    };
    // Its name stands in brackets, and may hold anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't' | 'Z' | 'X' | 'D'))
}

/// Tasks on this machine, from `/proc/loadavg`: cheap enough to ask often.
pub(crate) fn tasks_on_machine() -> Option<u64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_in_every_process_and_no_memory_limit() {
        let one = Tag::of(Path::new("/data/supervisor/spool/exe_1-1"));
        assert_eq!(one, Tag::of(Path::new("/data/supervisor/spool/exe_1-1")));
        assert_ne!(one, Tag::of(Path::new("/data/supervisor/spool/exe_1-2")));
        assert!(one.0 >= TAG_BASE && one.0 < TAG_BASE * 2);
    }

    #[test]
    fn the_kernel_lists_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(children(getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
