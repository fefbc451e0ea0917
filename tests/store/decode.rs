//! Any bytes at all, read as a record and as a row of every table. The fuzz target `store_record` runs
//! this very file.

use ifso::store::record;
use ifso::store::tables::{TABLES, entries};

/// Reads `bytes` in every way the store reads bytes. It may refuse them; it must not panic, and what
/// it takes for a record must be one.
pub(crate) fn read_as_everything(bytes: &[u8]) {
    if let Ok((revision, content)) = record::look("meta", b"key", bytes) {
        assert_eq!(record::seal("meta", b"key", revision, content), bytes);
    }
    let (key, content) = bytes.split_at(bytes.len().min(16));
    for (table, _) in TABLES {
        let sealed = record::seal(table, key, 7, content);
        let back = record::look(table, key, &sealed).expect("what was sealed is whole");
        assert_eq!(back, (7, content));
        // Most bytes are no row: to say so is the right answer.
        drop(entries(table, key, content));
    }
}
