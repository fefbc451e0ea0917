//! What engine and supervisor send each other: any bytes are frames that read back, or an error.
#![no_main]

use ifso::runners::supervisor::protocol::{Opening, Reply, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((opening, length))) = decode::<Opening>(rest) {
        let again = encode(&opening).expect("what was read can be written");
        let (back, _) = decode::<Opening>(&again).expect("and read").expect("whole");
        assert_eq!(back, opening);
        rest = &rest[length..];
    }
    if let Ok(Some((reply, _))) = decode::<Reply>(bytes) {
        let again = encode(&reply).expect("what was read can be written");
        let (back, _) = decode::<Reply>(&again).expect("and read").expect("whole");
        assert_eq!(back, reply);
    }
});
