//! What becomes of memories when the rules change: kept, migrated or dropped, and why.

use crate::model::memory::Memory;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::rules::memory::{Memories, WHOLE};
use crate::rules::rule::Rule;
use crate::rules::set::Set;
use crate::rules::temporal::Shape;

/// What becomes of the memories of one rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The rule.
    pub rule: Reference,
    /// What happens to them.
    pub fate: Fate,
    /// How many keys are concerned.
    pub keys: usize,
    /// Why.
    pub why: &'static str,
}

/// What happens to a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It means what it meant.
    Kept,
    /// A part of it is kept: what it is true about was dropped, what has fired is remembered.
    Migrated,
    /// It means nothing any more.
    Dropped,
    /// Its rule is not there at the moment; it waits for it.
    Asleep,
}

/// When rules change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Ifso starts: nothing was heard since it stopped.
    Start,
    /// It goes on with other rules.
    Reload,
}

/// What `adopt` would do, without doing it. Rules whose memories are kept as they are come too.
#[must_use]
pub fn plan(set: &Set, memories: &Memories, moment: Moment) -> Vec<Change> {
    let mut changes = Vec::new();
    for reference in memories.rules() {
        let mut fates: Vec<(Fate, &'static str)> = Vec::new();
        for (key, memory) in memories.each(reference) {
            fates.push(fate(set.get(reference).map(AsRef::as_ref), key, memory, moment));
        }
        fates.sort_unstable();
        for group in fates.chunk_by(|a, b| a == b) {
            let (fate, why) = group[0];
            changes.push(Change { rule: reference.clone(), fate, keys: group.len(), why });
        }
    }
    changes.sort_by(|a, b| (&a.rule, a.fate).cmp(&(&b.rule, b.fate)));
    changes
}

/// Brings memories in step with the rules of `set`: drops and migrates what means something else, works
/// out all deadlines, and opens what rules expect from the beginning.
pub fn adopt(set: &Set, memories: &mut Memories, now: Time, moment: Moment) {
    let known: Vec<Reference> = memories.rules().cloned().collect();
    for reference in known {
        let keys: Vec<(String, Memory)> = memories
            .each(&reference)
            .map(|(key, memory)| (key.to_owned(), memory.clone()))
            .collect();
        let rule = set.get(&reference).map(AsRef::as_ref);
        for (key, memory) in keys {
            match (fate(rule, &key, &memory, moment).0, rule) {
                (Fate::Dropped, _) => memories.forget(&reference, &key),
                (Fate::Migrated, Some(rule)) => {
                    memories.put(rule, &key, migrated(rule, memory));
                }
                (Fate::Kept, Some(rule)) => {
                    memories.put(rule, &key, woken(rule, memory, now, moment));
                }
                _ => {}
            }
        }
    }
    for rule in set.iter().filter(|rule| rule.enabled) {
        expect(rule, memories, now);
    }
}

fn fate(rule: Option<&Rule>, key: &str, memory: &Memory, moment: Moment) -> (Fate, &'static str) {
    let Some(rule) = rule else {
        return match moment {
            Moment::Start => (Fate::Asleep, "its rule is not in force"),
            Moment::Reload => (Fate::Dropped, "its rule is gone"),
        };
    };
    if !rule.enabled {
        return (Fate::Dropped, "its rule is disabled and hears nothing");
    }
    let meaning = rule.temporal.meaning;
    if key == WHOLE {
        return match rule.temporal.budget {
            Some(_) => (Fate::Kept, "its budget"),
            None => (Fate::Dropped, "its rule has no budget any more"),
        };
    }
    if memory.meaning.key != meaning.key {
        return (Fate::Dropped, "`per` changed: its key means something else");
    }
    if let Shape::Absent { expect: Some(expect), .. } = &rule.temporal.shape
        && !expect.contains(key)
    {
        return (Fate::Dropped, "`expect` does not name its key any more");
    }
    if memory.meaning.truth != meaning.truth {
        return (
            Fate::Migrated,
            "its condition changed: what was open is dropped, firings are kept",
        );
    }
    (Fate::Kept, "it means what it meant")
}

/// What is left of a memory whose condition changed: what has fired.
fn migrated(rule: &Rule, memory: Memory) -> Memory {
    let active = memory.active.is_some() && rule.temporal.keeps_last();
    Memory {
        fired: memory.fired,
        active: memory.active.filter(|_| active),
        since: memory.since.filter(|_| active),
        began: memory.began.filter(|_| active),
        last: memory.last.filter(|_| active),
        firings: memory.firings,
        queue: memory.queue,
        started: memory.started.filter(|_| rule.awaits_ends()),
        meaning: rule.temporal.meaning,
        ..Memory::default()
    }
}

/// A dead-man's switch counts from the start: nobody listened before.
fn woken(rule: &Rule, memory: Memory, now: Time, moment: Moment) -> Memory {
    // A rule that stops waiting for ends is not told of them either.
    let memory = Memory { started: memory.started.filter(|_| rule.awaits_ends()), ..memory };
    let absent = matches!(rule.temporal.shape, Shape::Absent { .. });
    if absent && moment == Moment::Start && memory.active.is_none() {
        return Memory { since: Some(now), ..memory };
    }
    memory
}

/// Opens what a rule expects from the beginning: the keys of `expect`, or the only one there is.
fn expect(rule: &Rule, memories: &mut Memories, now: Time) {
    let Shape::Absent { expect, .. } = &rule.temporal.shape else { return };
    let alone = std::iter::once(String::new()).filter(|_| rule.closures.per.is_none());
    let keys: Vec<String> = match expect {
        Some(expect) => expect.iter().cloned().collect(),
        None => alone.collect(),
    };
    for key in keys {
        if memories.get(&rule.reference, &key).is_none() {
            let meaning = rule.temporal.meaning;
            memories.put(rule, &key, Memory { since: Some(now), meaning, ..Memory::default() });
        }
    }
}
