//! What all rules remember, in one place: by rule and key, with the order of their deadlines.
//!
//! Whoever decides changes it in place and writes what was changed in the same commit; where that
//! commit fails, `undo` brings back what was there. Deadlines are worked out anew with every change, so
//! nothing but the memories themselves has to be stored.

use std::collections::{BTreeSet, HashMap};

use crate::model::id::{EventId, ExecutionId};
use crate::model::memory::Memory;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::rules::rule::Rule;
use crate::rules::set::Set;

/// Keys under which one rule remembers something.
pub const KEYS_LIMIT: usize = 100_000;

/// The key of what a rule remembers as a whole: its budget and its quarantine. No `per` gives it.
pub const WHOLE: &str = "\u{0}";

/// A deadline: when, whose.
pub type Due = (Time, Reference, String);

/// All memories, and what was changed since the last `settle`.
#[derive(Debug, Default)]
pub struct Memories {
    rules: HashMap<Reference, HashMap<String, Slot>>,
    due: BTreeSet<Due>,
    /// What was there before, of everything that was changed.
    before: HashMap<(Reference, String), Option<Memory>>,
    /// The key under which a rule waits for what it started on an event.
    awaiting: HashMap<(Reference, EventId), String>,
    /// Nothing is carried out: what a firing starts is over at once.
    hollow: bool,
    /// The logical time: it never goes back.
    now: Time,
}

#[derive(Debug, Clone)]
struct Slot {
    /// Apart, so that the table's free places stay small.
    memory: Box<Memory>,
    due: Option<Time>,
}

impl Memories {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read from the store. Deadlines follow with `adopt`.
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = (Reference, String, Memory)>) -> Self {
        let mut memories = Self::default();
        for (rule, key, memory) in rows {
            if let Some(started) = &memory.started {
                memories.awaiting.insert((rule.clone(), started.event), key.clone());
            }
            memories
                .rules
                .entry(rule)
                .or_default()
                .insert(key, Slot { memory: Box::new(memory), due: None });
        }
        memories
    }

    /// What a firing starts is over at once, and counts for its cool-down: nothing is carried out.
    #[must_use]
    pub fn hollow(mut self) -> Self {
        self.hollow = true;
        self
    }

    /// What a firing starts goes on until its end is told.
    #[must_use]
    pub fn solid(mut self) -> Self {
        self.hollow = false;
        self
    }

    pub(crate) fn is_hollow(&self) -> bool {
        self.hollow
    }

    /// The key under which a rule waits for what it started on `event`.
    #[must_use]
    pub fn awaiting(&self, rule: &Reference, event: EventId) -> Option<&str> {
        self.awaiting.get(&(rule.clone(), event)).map(String::as_str)
    }

    /// Names the executions that a firing started, in the order of its effects.
    pub fn name(&mut self, set: &Set, rule: &Reference, event: EventId, names: &[ExecutionId]) {
        let (Some(key), Some(known)) = (self.awaiting(rule, event), set.get(rule)) else { return };
        let key = key.to_owned();
        let Some(mut memory) = self.get(rule, &key).cloned() else { return };
        if let Some(started) = &mut memory.started {
            for (begun, name) in started.open.iter_mut().zip(names) {
                begun.execution = Some(*name);
            }
        }
        self.put(known, &key, memory);
    }

    /// The logical time, moved to `now` where that is later.
    pub fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// What a rule remembers under a key.
    #[must_use]
    pub fn get(&self, rule: &Reference, key: &str) -> Option<&Memory> {
        self.rules.get(rule)?.get(key).map(|slot| &*slot.memory)
    }

    /// When something is to be done under a key.
    #[must_use]
    pub fn due_of(&self, rule: &Reference, key: &str) -> Option<Time> {
        self.rules.get(rule)?.get(key)?.due
    }

    /// Whether a rule remembers anything.
    #[must_use]
    pub fn is_open(&self, rule: &Reference) -> bool {
        self.rules.get(rule).is_some_and(|keys| !keys.is_empty())
    }

    /// How many keys a rule remembers something under.
    #[must_use]
    pub fn keys(&self, rule: &Reference) -> usize {
        self.rules.get(rule).map_or(0, HashMap::len)
    }

    /// All memories of a rule.
    pub fn each(&self, rule: &Reference) -> impl Iterator<Item = (&str, &Memory)> {
        let keys = self.rules.get(rule).into_iter().flatten();
        keys.map(|(key, slot)| (key.as_str(), &*slot.memory))
    }

    /// The rules that remember something.
    pub fn rules(&self) -> impl Iterator<Item = &Reference> {
        self.rules.keys()
    }

    /// The next deadline.
    #[must_use]
    pub fn next_due(&self) -> Option<&Due> {
        self.due.first()
    }

    /// How many deadlines are not after `until`, counted up to `most`.
    #[must_use]
    pub fn overdue(&self, until: Time, most: usize) -> usize {
        self.due.iter().take(most).take_while(|due| due.0 <= until).count()
    }

    /// Writes what a rule remembers now; an empty memory is none.
    pub(crate) fn put(&mut self, rule: &Rule, key: &str, memory: Memory) {
        let due = rule.temporal.due(&memory, rule.cooldown, key == WHOLE);
        let memory = (!memory.is_empty()).then_some(memory);
        self.set(&rule.reference, key, memory, due);
    }

    /// Forgets what a rule remembers under a key.
    pub fn forget(&mut self, rule: &Reference, key: &str) {
        if self.get(rule, key).is_some() {
            self.set(rule, key, None, None);
        }
    }

    pub(crate) fn set(
        &mut self,
        rule: &Reference,
        key: &str,
        memory: Option<Memory>,
        due: Option<Time>,
    ) {
        let keys = match (self.rules.get_mut(rule), &memory) {
            (None, None) => return,
            (None, Some(_)) => self.rules.entry(rule.clone()).or_default(),
            (Some(keys), _) => keys,
        };
        let begun = memory.as_ref().and_then(|memory| memory.started.as_ref()).map(|all| all.event);
        let slot = memory.map(|memory| Slot { memory: Box::new(memory), due });
        let old = match slot {
            Some(slot) => keys.insert(key.to_owned(), slot),
            None => keys.remove(key),
        };
        if keys.is_empty() {
            self.rules.remove(rule);
        }
        let ended = old.as_ref().and_then(|slot| slot.memory.started.as_ref()).map(|all| all.event);
        if begun != ended {
            if let Some(event) = ended {
                self.awaiting.remove(&(rule.clone(), event));
            }
            if let Some(event) = begun {
                self.awaiting.insert((rule.clone(), event), key.to_owned());
            }
        }
        let old_due = old.as_ref().and_then(|slot| slot.due);
        if old_due != due {
            if let Some(at) = old_due {
                self.due.remove(&(at, rule.clone(), key.to_owned()));
            }
            if let Some(at) = due {
                self.due.insert((at, rule.clone(), key.to_owned()));
            }
        }
        let name = (rule.clone(), key.to_owned());
        self.before.entry(name).or_insert_with(|| old.map(|slot| *slot.memory));
    }

    /// What was changed since the last `settle`, as it is now; nothing: it is to be removed.
    pub fn changes(&self) -> impl Iterator<Item = (&Reference, &str, Option<&Memory>)> {
        self.before.iter().filter_map(|((rule, key), before)| {
            let now = self.get(rule, key);
            (now != before.as_ref()).then_some((rule, key.as_str(), now))
        })
    }

    /// What `work` does with them, and then everything as it was before.
    pub fn try_out<T>(&mut self, set: &Set, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::take(&mut self.before);
        let done = work(self);
        self.undo(set);
        self.before = before;
        done
    }

    /// The changes are on disk.
    pub fn settle(&mut self) {
        self.before.clear();
    }

    /// The changes are not on disk: back to what was there.
    pub fn undo(&mut self, set: &Set) {
        for ((rule, key), memory) in std::mem::take(&mut self.before) {
            match (memory, set.get(&rule)) {
                (Some(memory), Some(known)) => self.put(known, &key, memory),
                (Some(memory), None) => self.set(&rule, &key, Some(memory), None),
                (None, _) => self.set(&rule, &key, None, None),
            }
        }
        self.before.clear();
    }
}
