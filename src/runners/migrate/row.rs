//! What the manifest says of one object, and what a listing makes of it. All pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::store::Version;

/// An object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// As the source listed it last.
    pub(super) listed: Version,
    pub(super) state: State,
}

/// How far it is. `run` says in which run of the migration that came about, from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// Nothing of it is at the target.
    Pending,
    /// Parts of it are; which ones, the table of parts says.
    Parts { upload: String, version: Version, part_bytes: u64 },
    /// It is at the target, and in this run that was made sure of.
    Verified(Copy, u32),
    /// The same, and in this run it was removed from the source.
    Removed(Copy, u32),
    /// It could not be copied.
    Failed { reason: String, run: u32 },
    /// It went away from the source before it was copied.
    Gone(u32),
}

/// A copy that was made sure of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Copy {
    /// What was read at the source.
    pub(super) version: Version,
    /// SHA-256 of its content in hex; of one in parts, the SHA-256 of its parts' SHA-256, a dash, and
    /// the count of parts.
    pub(super) sum: String,
    /// The service's tag of what was written.
    pub(super) etag: Option<String>,
    /// In which run.
    pub(super) made: u32,
    /// Whether the second pass copied it.
    pub(super) second: bool,
}

/// A part of an object that is at the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
    /// What the service gave it; what completes the upload names it.
    pub(super) etag: String,
}

/// What a listing that shows `listed` makes of what was known; nothing where nothing is new.
pub(super) fn met(known: Option<&Row>, listed: &Version) -> Option<Row> {
    let Some(row) = known else {
        return Some(Row { listed: listed.clone(), state: State::Pending });
    };
    if row.listed.same(listed) {
        return match row.state {
            State::Gone(_) => Some(Row { listed: listed.clone(), state: State::Pending }),
            _ => None,
        };
    }
    let state = match &row.state {
        // Its upload is to be forgotten at the target too: whoever copies it sees that it changed.
        parts @ State::Parts { .. } => parts.clone(),
        _ => State::Pending,
    };
    Some(Row { listed: listed.clone(), state })
}

/// What is to be done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Copy,
    /// Look whether the copy of an earlier run is still there.
    Check,
    Remove,
}

/// Which objects a sweep takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The run under way.
    pub(super) run: u32,
    /// Copies that are older than this run are looked at again.
    pub(super) checked_since: u32,
    /// Sources are removed in this sweep.
    pub(super) removing: bool,
}

/// What comes next for an object; nothing where it needs nothing.
pub(super) fn next(row: &Row, wanted: Wanted) -> Option<Work> {
    match &row.state {
        State::Pending | State::Parts { .. } => Some(Work::Copy),
        // Once a run: what failed in this one is for the next.
        State::Failed { run, .. } => (*run < wanted.run).then_some(Work::Copy),
        State::Verified(_, run) if *run < wanted.checked_since => Some(Work::Check),
        State::Verified(..) => wanted.removing.then_some(Work::Remove),
        State::Removed(..) | State::Gone(_) => None,
    }
}

/// Bytes as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text cannot fail.
        write!(text, "{byte:02x}").expect("a text takes all");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn version(size: u64, modified: i64, etag: Option<&str>) -> Version {
        Version { size, modified, etag: etag.map(str::to_owned) }
    }

    fn states() -> Vec<State> {
        let copy = Copy {
            version: version(1, 1, Some("a")),
            sum: "0".to_owned(),
            etag: None,
            made: 2,
            second: false,
        };
        let upload = "u".to_owned();
        vec![
            State::Pending,
            State::Parts { upload, version: version(1, 1, None), part_bytes: 1 },
            State::Verified(copy.clone(), 2),
            State::Removed(copy, 2),
            State::Failed { reason: "why".to_owned(), run: 2 },
            State::Gone(2),
        ]
    }

    fn word(state: &State) -> String {
        format!("{state:?}").split(|sign: char| !sign.is_alphabetic()).next().unwrap().to_owned()
    }

    #[test]
    fn a_listing_makes_work_of_what_is_new_or_changed_only() {
        let (same, changed) = (version(1, 1, Some("a")), version(1, 1, Some("b")));
        let mut table = format!("none: {}\n", word(&met(None, &same).unwrap().state));
        for state in states() {
            let row = Row { listed: same.clone(), state };
            let after = |listed| met(Some(&row), listed).map_or("-".to_owned(), |r| word(&r.state));
            let line = format!("{}: {} {}\n", word(&row.state), after(&same), after(&changed));
            table.push_str(&line);
        }
        insta::assert_snapshot!(table, @r#"
        none: Pending
        Pending: - Pending
        Parts: - Parts
        Verified: - Pending
        Removed: - Pending
        Failed: - Pending
        Gone: Pending Pending
        "#);
    }

    #[test]
    fn a_sweep_takes_up_what_it_is_for() {
        let mut table = String::new();
        for state in states() {
            let row = Row { listed: version(1, 1, None), state };
            let of = |run, checked_since, removing| {
                next(&row, Wanted { run, checked_since, removing })
                    .map_or("-".to_owned(), |work| format!("{work:?}"))
            };
            let all = [of(2, 0, false), of(3, 0, false), of(3, 3, false), of(2, 0, true)];
            writeln!(table, "{}: {}", word(&row.state), all.join(" ")).unwrap();
        }
        insta::assert_snapshot!(table, @r#"
        Pending: Copy Copy Copy Copy
        Parts: Copy Copy Copy Copy
        Verified: - - Check Remove
        Removed: - - - -
        Failed: - Copy Copy -
        Gone: - - - -
        "#);
    }

    #[test]
    fn a_missing_tag_is_no_difference() {
        assert!(version(1, 1, None).same(&version(1, 1, Some("a"))));
        assert!(!version(1, 1, Some("b")).same(&version(1, 1, Some("a"))));
        assert!(!version(1, 2, None).same(&version(1, 1, Some("a"))));
        assert!(!version(2, 1, None).same(&version(1, 1, None)));
    }
}
