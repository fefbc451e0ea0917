//! One stream's output, bounded: its beginning and its end are kept, what lies between is counted.
//!
//! Little output stays in memory; more goes to a file beside the attempt, whose second half is
//! written over and over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Output up to this size needs no file. Most actions say less, and a thousand may run at once.
const IN_MEMORY: usize = 8 << 10;

/// The kept output of one stream.
pub(crate) struct Spool {
    file: PathBuf,
    kept: Kept,
    /// Bytes kept from the start, and as many from the end.
    half: u64,
    /// Bytes that came, kept or not.
    total: u64,
    /// Why some are missing, where writing failed.
    failure: Option<io::Error>,
}

enum Kept {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    /// An empty spool that keeps `limit` bytes, in `file` when they become many.
    pub(crate) fn new(file: PathBuf, limit: u64) -> Self {
        let half = (limit / 2).max(1);
        Self { file, kept: Kept::Memory(Vec::new()), half, total: 0, failure: None }
    }

    /// The spool that an earlier supervisor left behind: `total` bytes, small ones in `inline`.
    pub(crate) fn reopen(file: &Path, limit: u64, total: u64, inline: Option<Vec<u8>>) -> Self {
        let mut spool = Self::new(file.to_owned(), limit);
        spool.total = total;
        match inline {
            Some(bytes) => spool.kept = Kept::Memory(bytes),
            None => match File::open(file) {
                Ok(file) => spool.kept = Kept::File(file),
                Err(error) => (spool.failure, spool.total) = (Some(error), 0),
            },
        }
        spool
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = self.place(self.total);
            let room = if self.total < self.half { self.half } else { 2 * self.half } - at;
            let (now, later) = bytes.split_at(usize_of(room).min(bytes.len()));
            if self.failure.is_none() {
                self.failure = self.write(at, now).err();
            }
            self.total += now.len() as u64;
            bytes = later;
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Kept::Memory(memory) = &mut self.kept {
            if memory.len() + bytes.len() <= IN_MEMORY && at == memory.len() as u64 {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            let mut options = File::options();
            let file = options.create(true).truncate(true).read(true).write(true);
            let file = file.open(&self.file)?;
            file.write_all_at(memory, 0)?;
            self.kept = Kept::File(file);
        }
        match &self.kept {
            Kept::File(file) => file.write_all_at(bytes, at),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// Where in the file the byte stands that came as number `position`.
    fn place(&self, position: u64) -> u64 {
        if position < self.half { position } else { self.half + (position - self.half) % self.half }
    }

    /// Bytes that came so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Why output is missing, where some is.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// The bytes, where they never left memory: they go into the exit record.
    pub(crate) fn inline(&self) -> Option<&[u8]> {
        match &self.kept {
            Kept::Memory(memory) => Some(memory),
            Kept::File(_) => None,
        }
    }

    /// Bytes from `position` on that may be shown while the stream still flows: only its beginning.
    pub(crate) fn head(&self, position: u64, most: usize) -> Vec<u8> {
        self.read(position, self.total.min(self.half), most)
    }

    /// What `head` did not show of a stream that has ended: the rest, or a line that says how much is
    /// missing and then the end.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let start = self.half.max(self.total.saturating_sub(self.half));
        let missing = start - self.half.min(start);
        let mut tail = Vec::new();
        if missing > 0 && self.total > self.half {
            tail.extend(format!("\n[… {missing} bytes are not kept …]\n").bytes());
        }
        let mut position = start;
        while position < self.total {
            let piece = self.read(position, self.total, usize::MAX);
            if piece.is_empty() {
                break;
            }
            position += piece.len() as u64;
            tail.extend(piece);
        }
        if let Some(failure) = &self.failure {
            tail.extend(format!("\n[… output is lost: {failure} …]\n").bytes());
        }
        tail
    }

    /// At most `most` bytes from `position` up to `end` that stand in one run; none where they are lost.
    fn read(&self, position: u64, end: u64, most: usize) -> Vec<u8> {
        let at = self.place(position);
        let run = if at < self.half { self.half } else { 2 * self.half } - at;
        let length = usize_of(run.min(end.saturating_sub(position))).min(most);
        match &self.kept {
            Kept::Memory(memory) => {
                let at = usize_of(at).min(memory.len());
                memory[at..memory.len().min(at + length)].to_vec()
            }
            Kept::File(file) => {
                let mut bytes = vec![0; length];
                match file.read_exact_at(&mut bytes, at) {
                    Ok(()) => bytes,
                    Err(_) => Vec::new(),
                }
            }
        }
    }
}

/// Sizes here are at most the output limit, which fits.
fn usize_of(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(spool: &Spool) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let piece = spool.head(bytes.len() as u64, 1000);
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        bytes.extend(spool.tail());
        bytes
    }

    proptest! {
        #[test]
        fn the_beginning_and_the_end_are_kept(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..12),
            limit in 2u64..40_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(folder.path().join("out"), limit);
            for piece in &pieces {
                spool.push(piece);
            }
            let all: Vec<u8> = pieces.concat();
            let half = usize::try_from(limit / 2).unwrap();
            let kept = whole(&spool);
            if all.len() <= 2 * half {
                prop_assert_eq!(kept, all);
            } else {
                prop_assert_eq!(&kept[..half], &all[..half]);
                prop_assert_eq!(&kept[kept.len() - half..], &all[all.len() - half..]);
                let marker = format!("[… {} bytes are not kept …]", all.len() - 2 * half);
                prop_assert!(String::from_utf8_lossy(&kept).contains(&marker));
            }
        }
    }

    #[test]
    fn a_spool_that_cannot_be_written_says_so_and_goes_on() {
        let mut spool = Spool::new(PathBuf::from("/nowhere/at/all"), 1 << 20);
        spool.push(&vec![b'x'; 20_000]);
        spool.push(b"more");
        assert!(String::from_utf8_lossy(&whole(&spool)).contains("output is lost"));
    }
}
