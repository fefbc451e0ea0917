//! What the machine can do without Ifso.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Instant, UNIX_EPOCH};

use crate::figure::{count, median};

/// Milliseconds since 1970, by the wall clock that `date` shows.
#[expect(clippy::disallowed_methods, reason = "the measurement stands outside")]
pub(crate) fn wall_ms() -> f64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

/// How long it takes to append 300 bytes and wait for the disk.
pub(crate) fn sync_ms() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("sync")).unwrap();
    let mut times = [0.0; 200];
    for time in &mut times {
        let begun = Instant::now();
        file.write_all(&[7; 300]).unwrap();
        file.sync_data().unwrap();
        *time = begun.elapsed().as_secs_f64() * 1e3;
    }
    median(&mut times)
}

/// How many times a second `/bin/true` starts and ends, one after the other.
pub(crate) fn spawns_per_second() -> f64 {
    const STARTS: usize = 300;
    let mut rates = [0.0; super::ROUNDS];
    for rate in &mut rates {
        let begun = Instant::now();
        for _ in 0..STARTS {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }
        *rate = count(STARTS) / begun.elapsed().as_secs_f64();
    }
    median(&mut rates)
}

/// How many times a second a shell starts and becomes `/bin/true`, two at a time, output captured:
/// what an action of a command line costs the machine without Ifso.
pub(crate) fn shells_per_second() -> f64 {
    const STARTS: usize = 300;
    let mut rates = [0.0; super::ROUNDS];
    for rate in &mut rates {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..STARTS / 2 {
                        let mut shell = Command::new("/bin/sh");
                        shell.args(["-c", "exec /bin/true"]).stdin(Stdio::null());
                        assert!(shell.output().unwrap().status.success());
                    }
                });
            }
        });
        *rate = count(STARTS) / begun.elapsed().as_secs_f64();
    }
    median(&mut rates)
}
