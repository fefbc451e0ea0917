//! What the machine gives: room, open files, the time.

use std::path::Path;

use jiff::tz::TimeZone;
use rustix::process::{Resource, getrlimit};

use crate::cli::doctor::finding::Finding;
use crate::cli::doctor::reach::Reached;
use crate::telemetry::disk::Disk;

/// Less than this many bytes and commits begin to fail.
const LEAST_FREE_BYTES: u64 = 256 << 20;
/// A stream of each of 1,000 callers, 64 actions, and what they read.
const FILES: u64 = 4096;
/// Seconds by which clocks may differ: rules go by the time of happening where they say so.
const DRIFT_SECONDS: i64 = 2;
/// From so many seconds on, tokens and signatures are refused.
const DRIFT_LIMIT_SECONDS: i64 = 60;

/// The disk under `data`, or under what it will be made in.
pub(super) fn disk(data: &Path) -> Finding {
    let there = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let disk = match Disk::of(there) {
        Ok(disk) => disk,
        Err(error) => {
            return Finding::wrong("disk", format!("`{}`: {error}", there.display()))
                .next("look at the mount and at the system's log");
        }
    };
    let what = format!(
        "{} of {} MiB are free under `{}`",
        disk.free_bytes >> 20,
        disk.size_bytes >> 20,
        there.display()
    );
    let next = "make room, or keep less: `[keep]` in `ifso.toml`";
    if disk.free_bytes < LEAST_FREE_BYTES {
        Finding::wrong("disk", what).next(next)
    } else if disk.is_low() {
        Finding::look("disk", what).next(next)
    } else {
        Finding::ok("disk", what)
    }
}

/// How many files may be open at once.
pub(super) fn limits() -> Option<Finding> {
    let soft = getrlimit(Resource::Nofile).current?;
    let what = format!("{soft} may be open at once");
    Some(if soft < FILES {
        Finding::look("open files", what)
            .next(format!("`ulimit -n {FILES}`, or `LimitNOFILE={FILES}` in the unit"))
    } else {
        Finding::ok("open files", what)
    })
}

/// The time, by what services said when they were asked.
pub(super) fn clock(reached: &[Reached]) -> Finding {
    let zone = TimeZone::system();
    let zone = zone.iana_name().unwrap_or("unnamed");
    let worst = reached.iter().filter_map(|one| Some((one.drift_seconds?, &one.finding.what)));
    let worst = worst.max_by_key(|(drift, _)| drift.abs());
    match worst {
        None => Finding::ok("clock", format!("time zone {zone}; nobody was asked for the time")),
        Some((drift, _)) if drift.abs() <= DRIFT_SECONDS => {
            Finding::ok("clock", format!("time zone {zone}; as others have it"))
        }
        Some((drift, who)) => {
            let way = if drift > 0 { "before" } else { "behind" };
            let what = format!("{} s {way} others ({who})", drift.abs());
            let finding = if drift.abs() < DRIFT_LIMIT_SECONDS {
                Finding::look("clock", what)
            } else {
                Finding::wrong("clock", what)
            };
            finding.next("set it by NTP: `timedatectl set-ntp true`, or install chrony")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_clock_is_judged_by_whoever_differs_most() {
        let reached = |drift: Option<i64>| Reached {
            finding: Finding::ok("service", format!("s3 {drift:?}")),
            drift_seconds: drift,
        };
        assert_eq!(clock(&[reached(None)]).state, State::Ok);
        assert_eq!(clock(&[reached(Some(2)), reached(None)]).state, State::Ok);
        assert_eq!(clock(&[reached(Some(1)), reached(Some(-5))]).state, State::Look);
        let wrong = clock(&[reached(Some(1)), reached(Some(-90))]);
        assert_eq!(wrong.state, State::Wrong);
        assert_eq!(wrong.what, "90 s behind others (s3 Some(-90))");
    }
}
