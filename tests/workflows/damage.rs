//! Rows that are lost or broken are an error, never a panic and never a flow that hangs.

use std::collections::BTreeMap;

use ifso::model::execution::Status;
use ifso::workflows::conduct::{Flow, Happening, conduct};
use serde_json::{Value, json};

use super::conformance::Still;
use super::play::Play;

/// A flow in the middle of everything.
fn busy() -> Play {
    let mut play = Play::new(&json!({
        "on_error": "pause",
        "vars": [{ "xs": [1, 2, 3] }],
        "output": [{ "x": "<% ctx(xs) %>" }],
        "tasks": {
            "each": { "with": { "items": "<% ctx(xs) %>", "concurrency": 2 }, "action": "core.noop" },
            "a": { "action": "core.noop", "next": [{ "publish": [{ "x": 1 }], "do": "both" }] },
            "b": { "action": "core.noop", "next": [{ "do": ["both", "twice", "late"] }] },
            "both": { "action": "core.noop", "join": "all" },
            "c": { "action": "core.noop", "next": [{ "do": "twice" }] },
            "twice": { "action": "core.noop", "retry": { "count": 1 } },
            "late": { "action": "core.noop", "delay": 60 },
            "bad": { "action": "core.noop" },
        }
    }));
    play.child(play.place_of("each", 0), Status::Succeeded, json!("one"));
    play.succeed("a", Value::Null);
    play.succeed("b", Value::Null);
    play.succeed("c", Value::Null);
    play.fail("bad");
    play
}

/// Reads what is left and, where that makes a flow, goes on with it.
fn read(play: &Play, rows: BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
    let Ok(mut flow) = Flow::restore(rows.into_iter()) else { return false };
    assert!(flow.orquesta(&play.definition).is_object());
    for happening in [Happening::Resume, Happening::Due, Happening::Cancel { reason: "x".into() }] {
        // Refused or not: it must come back.
        conduct(&play.definition, &mut flow, happening, &Still).ok();
    }
    true
}

#[test]
fn a_lost_row_is_an_error_or_harmless() {
    let play = busy();
    let mut refused = 0;
    for lost in play.rows().keys() {
        let mut rows = play.rows().clone();
        rows.remove(lost);
        refused += usize::from(!read(&play, rows));
    }
    assert!(refused > 5, "{refused} of {}", play.rows().len());
    assert!(Flow::restore(std::iter::empty()).is_err(), "no rows are no flow");
}

#[test]
fn a_cut_row_is_an_error_that_names_it() {
    let play = busy();
    for (key, row) in play.rows() {
        let mut rows = play.rows().clone();
        rows.insert(key.clone(), row[..row.len() - 1].to_vec());
        let damaged = Flow::restore(rows.into_iter()).unwrap_err();
        let number = |at: usize| u8::from_str_radix(&damaged.key[at..at + 2], 16).unwrap();
        let named: Vec<u8> = (0..damaged.key.len()).step_by(2).map(number).collect();
        assert_eq!(&named, key, "{damaged}");
    }
}

#[test]
fn no_byte_that_flips_brings_it_down() {
    let play = busy();
    for (key, row) in play.rows() {
        for at in 0..row.len() {
            for flip in [1, 0x80] {
                let mut rows = play.rows().clone();
                rows.get_mut(key).unwrap()[at] ^= flip;
                read(&play, rows);
            }
        }
    }
}

#[test]
fn rows_of_a_newer_version_are_refused() {
    let play = busy();
    let mut rows = play.rows().clone();
    rows.get_mut(b"H".as_slice()).unwrap()[1] = 99;
    let damaged = Flow::restore(rows.into_iter()).unwrap_err();
    assert!(damaged.to_string().contains("newer version"), "{damaged}");
}
