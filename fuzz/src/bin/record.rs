//! Stored records: any bytes are what was written, or damaged; a changed byte is found.
#![no_main]

use ifso::model::execution::Execution;
use ifso::store::queue::Ticket;
use ifso::store::record;
use ifso::store::table;
use ifso::store::tables::{Count, Position};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    assert!(record::open("events", b"k", bytes).is_err() || bytes.len() > 12);
    let mut sealed = record::seal("events", b"k", 7, bytes);
    assert_eq!(
        record::open("events", b"k", &sealed).map(|found| found.bytes).ok().as_deref(),
        Some(bytes)
    );
    assert!(record::open("events", b"other", &sealed).is_err());
    if let Some(first) = bytes.first() {
        let at = usize::from(*first) % sealed.len();
        sealed[at] ^= 1 << (first % 8);
        assert!(record::open("events", b"k", &sealed).is_err());
    }
    drop(table::decode::<Execution>(b"k", bytes));
    drop(table::decode::<Ticket>(b"k", bytes));
    drop(table::decode::<Position>(b"k", bytes));
    drop(table::decode::<Count>(b"k", bytes));
});
