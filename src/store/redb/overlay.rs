//! A look at a store that changes nothing: what redb writes while it looks stays in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::redb::{BackendError, StorageBackend};

const BLOCK_BYTES: u64 = 4096;

/// Reads from `under`, keeps what is written to itself.
#[derive(Debug)]
pub(super) struct Overlay<B> {
    under: B,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    len: u64,
    /// How much of what is under is still to be seen: what was cut off and grew again is zeros.
    visible: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl<B: StorageBackend> Overlay<B> {
    pub(super) fn over(under: B) -> io::Result<Self> {
        let len = under.len()?;
        Ok(Self { under, over: Mutex::new(Over { len, visible: len, blocks: BTreeMap::new() }) })
    }

    fn lock(&self) -> MutexGuard<'_, Over> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of `under` at `offset`, zeros where it has none.
    fn below(&self, visible: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = visible.saturating_sub(offset).min(out.len() as u64);
        let (seen, rest) = out.split_at_mut(usize::try_from(there).map_err(io::Error::other)?);
        rest.fill(0);
        if seen.is_empty() { Ok(()) } else { self.under.read(offset, seen) }
    }
}

/// The part of block `number` that lies in `offset .. offset + len`: from, to in the block and from in
/// the caller's bytes.
fn part(number: u64, offset: u64, len: usize) -> (usize, usize, usize) {
    let start = number * BLOCK_BYTES;
    let from = offset.max(start);
    let to = (offset + len as u64).min(start + BLOCK_BYTES);
    let small = |n: u64| usize::try_from(n).expect("a position in a block or a buffer");
    (small(from - start), small(to - start), small(from - offset))
}

fn blocks(offset: u64, len: usize) -> std::ops::Range<u64> {
    offset / BLOCK_BYTES..(offset + len as u64).div_ceil(BLOCK_BYTES)
}

impl<B: StorageBackend> StorageBackend for Overlay<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = self.lock();
        if offset + out.len() as u64 > over.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.below(over.visible, offset, out)?;
        for (number, block) in over.blocks.range(blocks(offset, out.len())) {
            let (from, to, at) = part(*number, offset, out.len());
            out[at..at + to - from].copy_from_slice(&block[from..to]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut over = self.lock();
        over.len = len;
        over.visible = over.visible.min(len);
        over.blocks.retain(|number, _| number * BLOCK_BYTES < len);
        if let Some(block) = over.blocks.get_mut(&(len / BLOCK_BYTES)) {
            block[usize::try_from(len % BLOCK_BYTES).map_err(io::Error::other)?..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = self.lock();
        let visible = over.visible;
        for number in blocks(offset, data.len()) {
            let block = match over.blocks.entry(number) {
                Entry::Occupied(block) => block.into_mut(),
                Entry::Vacant(empty) => {
                    let mut block =
                        vec![0; usize::try_from(BLOCK_BYTES).map_err(io::Error::other)?];
                    self.below(visible, number * BLOCK_BYTES, &mut block)?;
                    empty.insert(block)
                }
            };
            let (from, to, at) = part(number, offset, data.len());
            block[from..to].copy_from_slice(&data[at..at + to - from]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.under.close()
    }

    // The lock file beside the store keeps others out; what is under may be open for reading only.
    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
