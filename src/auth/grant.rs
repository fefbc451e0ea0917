//! `run pack:storage`: one right of some things, beside what a role may.
//!
//! A grant names a right, a kind of thing and a glob over its names, in which `*` stands for anything. A
//! thing goes by several names: an action by its own and by its pack's, so `pack:storage` means all that
//! the pack holds, and executions of its actions.

use std::fmt;
use std::str::FromStr;

use crate::auth::Right;
use crate::model::reference::Reference;

/// Grants that one user or key has at most: each call may look at all of them.
pub const GRANTS_LIMIT: usize = 100;
/// The longest glob, in bytes.
const GLOB_LIMIT_BYTES: usize = 256;

/// A kind of thing that grants name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A pack, with all that it holds.
    Pack,
    /// An action, and executions of it.
    Action,
    /// A rule.
    Rule,
    /// A sensor.
    Sensor,
    /// A trigger.
    Trigger,
    /// One execution, by its id.
    Execution,
    /// A question to people, by its id or its route.
    Inquiry,
    /// A key of the key-value store.
    Key,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: &[Self] = &[
        Self::Pack,
        Self::Action,
        Self::Rule,
        Self::Sensor,
        Self::Trigger,
        Self::Execution,
        Self::Inquiry,
        Self::Key,
    ];

    /// The word before the colon.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Action => "action",
            Self::Rule => "rule",
            Self::Sensor => "sensor",
            Self::Trigger => "trigger",
            Self::Execution => "execution",
            Self::Inquiry => "inquiry",
            Self::Key => "key",
        }
    }
}

/// What a call is about: every name under which a grant may mean it. Without any it is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    names: Vec<(Kind, String)>,
}

impl Object {
    /// With this name too.
    #[must_use]
    pub fn and(mut self, kind: Kind, name: &str) -> Self {
        self.names.push((kind, name.to_owned()));
        self
    }

    /// With this name and, where it is `pack.name` of what packs hold, its pack's too.
    #[must_use]
    pub fn named(self, kind: Kind, text: &str) -> Self {
        let whole = self.and(kind, text);
        let held = matches!(kind, Kind::Action | Kind::Rule | Kind::Sensor | Kind::Trigger);
        match text.parse::<Reference>() {
            Ok(reference) if held => whole.and(Kind::Pack, reference.pack()),
            _ => whole,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.first() {
            Some((kind, name)) => write!(f, "{} `{name}`", kind.word()),
            None => f.write_str("everything"),
        }
    }
}

/// One right of some things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The right.
    pub right: Right,
    /// The kind of thing.
    pub kind: Kind,
    /// Which of them; `*` stands for anything.
    pub glob: String,
}

impl Grant {
    /// Whether one of the names of `object` is meant.
    #[must_use]
    pub fn fits(&self, object: &Object) -> bool {
        object.names.iter().any(|(kind, name)| *kind == self.kind && fits(&self.glob, name))
    }

    /// Whether `other` gives nothing that this one does not give.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let same = self.right == other.right && self.kind == other.kind;
        same && (self.glob == other.glob || self.glob == "*")
    }
}

/// Whether `name` fits `glob`. Each `*` takes as little as it can; where that fails it takes one more,
/// and only the last one is asked again: that is enough, and linear in most cases.
fn fits(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while n < name.len() {
        if g < glob.len() && glob[g] == b'*' {
            last = Some((g + 1, n));
            g += 1;
        } else if g < glob.len() && glob[g] == name[n] {
            g += 1;
            n += 1;
        } else if let Some((after, taken)) = last {
            last = Some((after, taken + 1));
            g = after;
            n = taken + 1;
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.right.word(), self.kind.word(), self.glob)
    }
}

/// A text that is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a grant: {what}")]
pub struct NotAGrant {
    text: String,
    what: String,
}

impl FromStr for Grant {
    type Err = NotAGrant;

    fn from_str(text: &str) -> Result<Self, NotAGrant> {
        let wrong = |what: String| NotAGrant { text: text.to_owned(), what };
        let parts = text.split_once(' ').and_then(|(right, rest)| {
            rest.split_once(':').map(|(kind, glob)| (right, kind.trim(), glob.trim()))
        });
        let Some((right, kind, glob)) = parts else {
            return Err(wrong("expected `right kind:name`, such as `run pack:storage`".to_owned()));
        };
        // Who administers makes themselves whatever they want: that is no part of anything.
        let mut rights = Right::ALL.iter().copied().filter(|right| *right != Right::Administer);
        let words = |all: Vec<&str>| all.join("`, `");
        let right = rights.find(|known| known.word() == right).ok_or_else(|| {
            let all = Right::ALL.iter().filter(|right| **right != Right::Administer);
            wrong(format!("expected `{}` first", words(all.map(|right| right.word()).collect())))
        })?;
        let kind =
            Kind::ALL.iter().copied().find(|known| known.word() == kind).ok_or_else(|| {
                let all = Kind::ALL.iter().map(|kind| kind.word()).collect();
                wrong(format!("expected `{}` before the colon", words(all)))
            })?;
        if glob.is_empty() || glob.len() > GLOB_LIMIT_BYTES || glob.chars().any(char::is_control) {
            return Err(wrong("expected a name behind the colon, or `*` for all".to_owned()));
        }
        Ok(Self { right, kind, glob: glob.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_does() {
        for (glob, name) in [
            ("*", ""),
            ("*", "a.b"),
            ("storage.*", "storage."),
            ("*.full", "a.b.full"),
            ("a*b*c", "a__b__b_c"),
            ("a**", "a"),
            ("x", "x"),
            ("*ab", "aab"),
        ] {
            assert!(fits(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("", "a"),
            ("storage", "storage2"),
            ("storage.*", "storage"),
            ("?", "a"),
            ("[a]", "a"),
            ("a*b", "a_bc"),
            ("X", "x"),
            ("*.full", "full"),
        ] {
            assert!(!fits(glob, name), "{glob} {name}");
        }
    }

    #[test]
    fn a_grant_reads_back_as_it_was_written() {
        for text in
            ["run pack:storage", "view execution:*", "answer inquiry:exe_1", "reveal key:a b"]
        {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_grant_says_what_was_expected() {
        for text in [
            "",
            "run",
            "run storage",
            "run pack:",
            "walk pack:storage",
            "run packs:storage",
            "administer pack:*",
            "Run pack:x",
            "run pack:\u{7}",
        ] {
            let error = text.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains("expected `"), "{text}: {error}");
        }
    }
}
