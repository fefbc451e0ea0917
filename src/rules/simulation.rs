//! Rules on a clock of their own: the same evaluation, memory and deadlines as live, with nothing done.
//! Tests of rules and backtests run on it.

use std::sync::Arc;

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::rule::{Decision, Ending};
use crate::model::time::Time;
use crate::rules::memory::Memories;
use crate::rules::reload::{self, Moment};
use crate::rules::set::Set;
use crate::rules::timers::{FELL_DUE, fall_due};
use crate::rules::{Facts, decide, ended, evaluate};

/// Rules, what they remember, and the time.
pub struct Simulation {
    set: Arc<Set>,
    memories: Memories,
    facts: Facts,
    /// Deadlines that were done, which number their events.
    fell_due: u64,
}

impl Simulation {
    /// These rules, from the time of `facts` on, remembering nothing.
    #[must_use]
    pub fn new(set: Arc<Set>, facts: Facts) -> Self {
        Self::resume(set, facts, Memories::new(), Moment::Start)
    }

    /// Goes on from what was remembered before.
    #[must_use]
    pub fn resume(set: Arc<Set>, facts: Facts, memories: Memories, moment: Moment) -> Self {
        let mut memories = memories.hollow();
        memories.advance(facts.now);
        reload::adopt(&set, &mut memories, facts.now, moment);
        memories.settle();
        Self { set, memories, facts, fell_due: 0 }
    }

    /// The same, where what firings start goes on until `end` tells of its end. Otherwise it is over at
    /// once, since nothing is carried out.
    #[must_use]
    pub fn with_ends(mut self) -> Self {
        self.memories = self.memories.solid();
        self
    }

    /// An execution that a rule started has ended: first what falls due up to then, then what the rule
    /// makes of it.
    pub fn end(&mut self, ending: &Ending) -> Vec<(Event, Vec<Decision>)> {
        let mut happened = self.advance(ending.at);
        let id = EventId::from_bits(u128::MAX - u128::from(self.fell_due));
        let done = ended(&self.set, &mut self.memories, ending, &self.facts, id);
        self.fell_due += u64::from(done.is_some());
        happened.extend(done);
        self.memories.settle();
        happened
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.facts.now
    }

    /// What the rules remember.
    #[must_use]
    pub fn memories(&self) -> &Memories {
        &self.memories
    }

    /// What they may ask about the world.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The rules.
    #[must_use]
    pub fn set(&self) -> &Arc<Set> {
        &self.set
    }

    /// Goes on with other rules.
    pub fn reload(&mut self, set: Arc<Set>) {
        self.set = set;
        reload::adopt(&self.set, &mut self.memories, self.facts.now, Moment::Reload);
        self.memories.settle();
    }

    /// Lets time pass until `until`, and does what falls due up to then, `until` included.
    pub fn advance(&mut self, until: Time) -> Vec<(Event, Vec<Decision>)> {
        let mut happened = Vec::new();
        loop {
            let id = EventId::from_bits(u128::MAX - u128::from(self.fell_due));
            let set = &self.set;
            match fall_due(set, &mut self.memories, until, &self.facts, id) {
                None => break,
                Some(done) => {
                    self.fell_due += u64::from(done.is_some());
                    happened.extend(done);
                }
            }
        }
        self.facts.now = self.facts.now.max(until);
        self.memories.settle();
        happened
    }

    /// An event is accepted: first what falls due up to then, then what the rules make of it. An event
    /// that stands for a deadline was made by live rules, and is passed over.
    pub fn accept(&mut self, event: &Event) -> (Vec<(Event, Vec<Decision>)>, Vec<Decision>) {
        let due = self.advance(event.accepted);
        if event.trigger.as_str() == FELL_DUE {
            return (due, Vec::new());
        }
        let evaluation = evaluate(&self.set, event, &self.facts);
        let decided = decide(&self.set, event, evaluation, &mut self.memories, &self.facts);
        self.memories.settle();
        (due, decided)
    }
}
