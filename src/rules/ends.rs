//! Ends of executions that rules started: what waits for them goes on, and cool-downs that count from
//! them begin. An end that is told twice is heard once.

use std::sync::Arc;

use rhai::{Dynamic, Map};

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::memory::Memory;
use crate::model::rule::{Decision, Ending};
use crate::rules::Facts;
use crate::rules::closure::Asked;
use crate::rules::evaluate::Hearing;
use crate::rules::memory::Memories;
use crate::rules::set::Set;
use crate::rules::temporal::Shape;
use crate::rules::timers::{about, decision, event};
use crate::rules::turn::{Turn, Turned};
use crate::script::convert::{object_to_map, to_dynamic};

/// Tells a rule that something it started is over; deadlines up to `facts.now` have to be done first.
/// Gives the event that stands for it and what was decided; no decision, no event.
pub fn ended(
    set: &Set,
    memories: &mut Memories,
    ending: &Ending,
    facts: &Facts,
    id: EventId,
) -> Option<(Event, Vec<Decision>)> {
    let key = memories.awaiting(&ending.rule, ending.event)?.to_owned();
    let memory = memories.get(&ending.rule, &key)?.clone();
    let now = memories.advance(facts.now);
    let Some(index) = set.position(&ending.rule) else {
        // Its rule is not in force at the moment, and finds it done when it comes back.
        let memory = Some(strike(memory, ending)).filter(|memory| !memory.is_empty());
        memories.set(&ending.rule, &key, memory, None);
        return None;
    };
    let rule = Arc::clone(set.rule(index));
    let started = memory.started.as_ref()?;
    if !started.open.iter().any(|begun| begun.effect == ending.effect) {
        return None;
    }
    let facts = Facts { now, ..facts.clone() };
    let last = about(&memory);
    let due = (now, ending.rule.clone(), key.clone());
    let event = event(&due, facts.wall.map_or(now, |wall| wall.max(now)), last.as_ref(), id);
    let data = last.as_ref().map_or(Dynamic::UNIT, |last| to_dynamic(&last.data));
    let asked = Asked { data, is_ready: true, ..Asked::default() };
    let mut hearing = Hearing::open(set, &event, &facts, asked);
    hearing.be_about(last.as_ref().map(|last| last.id));
    let mut turn = Turn::open(&mut hearing, memories, (index, &rule), &key, now);
    let mut turned = Vec::new();
    turned.extend(turn.cool_from(ending));
    turn.memory = strike(std::mem::take(&mut turn.memory), ending);
    if turn.memory.started.is_none() {
        turned.extend(turn.go_on());
    }
    turn.tidy();
    turn.close();
    drop(hearing.close());
    let decisions: Vec<Decision> =
        turned.into_iter().map(|turned| decision(&rule, event.id, &key, turned)).collect();
    (!decisions.is_empty()).then_some((event, decisions))
}

/// What is left of a memory without the execution that is over.
fn strike(mut memory: Memory, ending: &Ending) -> Memory {
    if let Some(started) = &mut memory.started {
        started.open.retain(|begun| begun.effect != ending.effect);
    }
    memory.started = memory.started.filter(|started| !started.open.is_empty());
    memory
}

impl Turn<'_, '_> {
    /// Begins the cool-down where it counts from this end. Where `after` fails it counts too: a change
    /// that may have been made is not made again at once.
    fn cool_from(&mut self, ending: &Ending) -> Option<Turned> {
        let rule = self.rule;
        let after = rule.closures.after.as_ref()?;
        let answer = self.holds(Some(seen(ending)), after, "after");
        if *answer.as_ref().unwrap_or(&true) {
            self.memory.fired = self.memory.fired.max(Some(ending.at));
        }
        answer.err().map(Turned::wrong)
    }

    /// What it waited for is over: it fires, being true still.
    fn go_on(&mut self) -> Option<Turned> {
        if !self.rule.temporal.exclusive {
            return None;
        }
        if let Shape::Absent { within, .. } = &self.rule.temporal.shape {
            return self.absent_due(*within);
        }
        self.memory.since.filter(|_| self.memory.active.is_none())?;
        self.level(Some(true), None)
    }
}

/// An end as `after` sees it.
fn seen(ending: &Ending) -> Dynamic {
    let mut seen = Map::new();
    seen.insert("status".into(), ending.status.word().into());
    seen.insert("result".into(), to_dynamic(&ending.result));
    seen.insert("action".into(), ending.action.as_str().into());
    seen.insert("parameters".into(), object_to_map(&ending.parameters).into());
    seen.insert("execution".into(), ending.execution.to_string().into());
    seen.into()
}
