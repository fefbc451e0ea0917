//! How much room there is where the store stands.

use std::io;
use std::path::Path;

/// Less than this part of a disk is little, unless it is more than `ENOUGH_BYTES`.
const LITTLE_PERCENT: u64 = 5;
/// So much is enough on any disk, for hours of events and output.
const ENOUGH_BYTES: u64 = 5 << 30;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// All of it, in bytes.
    pub size_bytes: u64,
    /// What this user may still fill, in bytes.
    pub free_bytes: u64,
}

impl Disk {
    /// The one on which `path` stands.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        let about = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
        Ok(Self { size_bytes: bytes(about.f_blocks), free_bytes: bytes(about.f_bavail) })
    }

    /// Whether somebody should make room soon.
    #[must_use]
    pub fn is_low(&self) -> bool {
        let little = self.size_bytes / (100 / LITTLE_PERCENT);
        self.free_bytes < little.min(ENOUGH_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_a_part_of_a_small_disk_and_a_sum_on_a_large_one() {
        let low = |size_bytes, free_bytes| Disk { size_bytes, free_bytes }.is_low();
        assert!(low(20 << 30, (1 << 30) - 1) && !low(20 << 30, (1 << 30) + 99));
        assert!(low(10 << 40, (5 << 30) - 1) && !low(10 << 40, 5 << 30));
        assert!(Disk::of(Path::new("/")).unwrap().size_bytes > 0);
    }
}
