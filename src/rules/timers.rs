//! What falls due: deadlines that follow from memories, at their exact instants.

use std::sync::Arc;

use rhai::Dynamic;
use serde_json::json;

use crate::model::cause::Cause;
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::memory::{Memory, Queued, Seen};
use crate::model::problem::Place;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::rules::Facts;
use crate::rules::closure::Asked;
use crate::rules::evaluate::Hearing;
use crate::rules::memory::{Due, Memories, WHOLE};
use crate::rules::rule::Rule;
use crate::rules::set::Set;
use crate::rules::temporal::{Shape, Window, WindowKind};
use crate::rules::turn::{Turn, Turned};
use crate::script::convert::to_dynamic;

/// The trigger of the events that stand for a deadline. They are kept, and no rule is asked about them.
pub const FELL_DUE: &str = "core.rule_due";

/// Does what is due: the first of all deadlines, where it is not after `until`. `facts.now` is replaced
/// by the deadline. Gives the event that stands for it and what was decided; no decision, no event.
pub fn fall_due(
    set: &Set,
    memories: &mut Memories,
    until: Time,
    facts: &Facts,
    id: EventId,
) -> Option<Option<(Event, Vec<Decision>)>> {
    let due = memories.next_due().filter(|due| due.0 <= until)?.clone();
    let (at, rule, key) = &due;
    memories.advance(*at);
    let Some(index) = set.position(rule) else {
        memories.forget(rule, key);
        return Some(None);
    };
    let facts = Facts { now: *at, ..facts.clone() };
    let wall = facts.wall.map_or(*at, |wall| wall.max(*at));
    let last = memories.get(rule, key).and_then(about);
    let event = event(&due, wall, last.as_ref(), id);
    let data = last.as_ref().map_or(Dynamic::UNIT, |last| to_dynamic(&last.data));
    let asked = Asked { data, is_ready: true, ..Asked::default() };
    let mut hearing = Hearing::open(set, &event, &facts, asked);
    hearing.be_about(last.as_ref().map(|last| last.id));
    let known = Arc::clone(set.rule(index));
    let mut turned = if key == WHOLE {
        drain(&mut hearing, memories, (index, &known), (*at, wall), false)
    } else {
        tick(&mut hearing, memories, (index, &known), key, *at)
    };
    drop(hearing.close());
    // Whatever is due has been done: a deadline that stays would never let time go on.
    if memories.due_of(rule, key).is_some_and(|next| next <= *at) && turned.is_empty() {
        memories.forget(rule, key);
        turned.push((key.clone(), stuck(&known)));
    }
    let decisions: Vec<Decision> =
        turned.into_iter().map(|(key, turned)| decision(&known, event.id, &key, turned)).collect();
    Some((!decisions.is_empty()).then_some((event, decisions)))
}

/// A deadline that does not move is a fault of ours, and is told, not passed over.
fn stuck(rule: &Rule) -> Turned {
    Turned::of(Verdict::Error {
        message: "its deadline does not move, so what it remembered under this key is forgotten; \
                  this is a fault of Ifso: please report it with the rule"
            .to_owned(),
        line: rule.place.line.filter(|_| rule.template.is_none()),
        column: rule.place.column,
    })
}

/// The last event that a memory knows.
pub(crate) fn about(memory: &Memory) -> Option<Seen> {
    let steps = memory.steps.iter().flatten().max_by_key(|seen| (seen.at, seen.id));
    let last = memory.last.as_ref().or(memory.burst.last()).or(steps);
    last.or_else(|| memory.queue.front().map(|queued| &queued.event)).cloned()
}

pub(crate) fn event((at, rule, key): &Due, wall: Time, last: Option<&Seen>, id: EventId) -> Event {
    Event {
        id,
        trigger: FELL_DUE.parse().expect("the constant is a reference"),
        source: "ifso/rules".into(),
        subject: Some(key.as_str().into()),
        time: *at,
        accepted: wall,
        data: Arc::new(json!({ "rule": rule, "key": key, "last_event": last.map(|last| last.id) })),
        cause: match last {
            Some(last) => Cause::Rule { rule: rule.clone(), event: last.id, effect: 0 },
            None => Cause::Sensor("ifso/rules".to_owned()),
        },
        hops: last.map_or(0, |last| last.hops),
        trace: None,
        replay: None,
    }
}

pub(crate) fn decision(rule: &Rule, event: EventId, key: &str, turned: Turned) -> Decision {
    Decision {
        rule: rule.reference.clone(),
        event,
        version: rule.version.clone(),
        verdict: placed(rule, turned.verdict),
        key: rule.closures.per.is_some().then(|| key.to_owned()).filter(|key| key != WHOLE),
        events: turned.events,
        note: turned.note,
        effects: turned.effects,
        executions: Vec::new(),
    }
}

/// An error inside a library is told with the place there, at the rule's own.
fn placed(rule: &Rule, verdict: Verdict) -> Verdict {
    match (verdict, &rule.template) {
        (Verdict::Error { message, line, column }, Some(library)) => {
            let message = match (line, column) {
                (Some(line), Some(column)) => {
                    format!("in {}: {message}", Place::file(&*library.file).at(line, column))
                }
                _ => message,
            };
            Verdict::Error { message, line: rule.place.line, column: rule.place.column }
        }
        (verdict, _) => verdict,
    }
}

/// All that is due under one key at `now`.
fn tick(
    hearing: &mut Hearing<'_>,
    memories: &mut Memories,
    rule: (usize, &Rule),
    key: &str,
    now: Time,
) -> Vec<(String, Turned)> {
    let known = rule.1;
    let mut turn = Turn::open(hearing, memories, rule, key, now);
    turn.wall = turn.hearing.wall().max(now);
    let mut turned = Vec::new();
    match &known.temporal.shape {
        Shape::Window(window) => turned.extend(turn.window_due(window)),
        Shape::Debounce { quiet } => turned.extend(turn.burst_due(*quiet)),
        Shape::Absent { within, .. } => turned.extend(turn.absent_due(*within)),
        Shape::Sequence(steps) => {
            if steps.ends_with_not() {
                turned.extend(turn.silence_due(steps));
            } else {
                turn.expire(steps, now);
            }
        }
        Shape::AllOf(steps) => turn.let_go(steps, now),
        Shape::Plain | Shape::Samples { .. } => {}
    }
    turned.extend(turn.still_due());
    turned.extend(turn.queue_due());
    turned.extend(turn.stale_due());
    turn.tidy();
    turn.close();
    turned.into_iter().map(|turned| (key.to_owned(), turned)).collect()
}

impl Turn<'_, '_> {
    /// Its hold is over, or what it waited for: it fires, being true still.
    fn still_due(&mut self) -> Option<Turned> {
        let since = self.memory.since.filter(|_| self.memory.active.is_none())?;
        if self.rule.temporal.is_busy(&self.memory) {
            return None;
        }
        if matches!(self.rule.temporal.shape, Shape::Absent { .. }) {
            return None;
        }
        let held = self.rule.temporal.hold.is_some_and(|hold| since.plus(hold) <= self.now);
        let waited = self.memory.pending.is_some_and(|pending| pending <= self.now);
        let due = if self.memory.pending.is_some() { waited } else { held };
        if !due {
            return None;
        }
        self.memory.pending = None;
        self.level(Some(true), None)
    }

    fn stale_due(&mut self) -> Option<Turned> {
        let last = self.memory.last.as_ref()?.at;
        if last.plus(self.rule.temporal.stale?) > self.now {
            return None;
        }
        let events = self.memory.last.iter().map(|last| last.id).collect();
        let kept = Memory {
            fired: self.memory.fired,
            firings: std::mem::take(&mut self.memory.firings),
            queue: std::mem::take(&mut self.memory.queue),
            started: self.memory.started.take(),
            meaning: self.memory.meaning,
            ..Memory::default()
        };
        self.memory = kept;
        Some(Turned { events, ..Turned::of(Verdict::Stale { since: last }) })
    }

    /// What has gone out of its window.
    fn window_due(&mut self, window: &Window) -> Option<Turned> {
        let first = self.memory.samples.front()?.at;
        match &window.kind {
            WindowKind::Sliding => {
                if first.plus(window.within) > self.now {
                    return None;
                }
                let gone = |at: Time| at.plus(window.within) <= self.now;
                while self.memory.samples.front().is_some_and(|sample| gone(sample.at)) {
                    self.memory.samples.pop_front();
                }
                if self.memory.samples.is_empty() {
                    self.memory.dropped = 0;
                }
                self.judge(window, None)
            }
            WindowKind::Tumbling(zone) => {
                let end = zone.window(first, window.within).1;
                (end <= self.now).then(|| self.shut(window, end)).flatten()
            }
            WindowKind::Session => {
                let end = self.memory.samples.back()?.at.plus(window.within);
                (end <= self.now).then(|| self.shut(window, end)).flatten()
            }
        }
    }

    /// A window that ends is judged once, over all that it holds.
    fn shut(&mut self, window: &Window, end: Time) -> Option<Turned> {
        let count = self.memory.samples.len();
        let later = self.memory.samples.partition_point(|sample| sample.at < end);
        let rest = self.memory.samples.split_off(later);
        let turned = match self.having(window) {
            Err(fault) => Some(Turned::wrong(fault)),
            Ok(truth) if self.rule.temporal.once => self.level(Some(truth), None),
            Ok(false) => Some(Turned::gathering(format!("the window ended with {count}"))),
            Ok(true) => {
                let ids = self.memory.samples.iter().map(|sample| sample.id).collect();
                self.memory.last.clone().map(|last| self.attempt(&last, ids, &[], false))
            }
        };
        self.memory.samples = rest;
        self.memory.dropped = 0;
        if self.memory.samples.is_empty() && self.memory.active.is_none() {
            self.memory.last = None;
        }
        turned
    }

    fn burst_due(&mut self, quiet: std::time::Duration) -> Option<Turned> {
        let last = self.memory.burst.last()?;
        if last.at.plus(quiet) > self.now {
            return None;
        }
        let burst = std::mem::take(&mut self.memory.burst);
        let dropped = std::mem::take(&mut self.memory.dropped);
        let last = burst.last()?.clone();
        let mut turned = self.complete(&last, &burst);
        if dropped > 0 {
            turned.note = Some(format!(
                "{} events of the burst are the most; its {dropped} oldest were let go",
                burst.len()
            ));
        }
        Some(turned)
    }

    pub(crate) fn absent_due(&mut self, within: std::time::Duration) -> Option<Turned> {
        if self.rule.temporal.is_busy(&self.memory) {
            return None;
        }
        let once = self.rule.temporal.once;
        let from = self.memory.active.filter(|_| !once).or(self.memory.since)?;
        let pending = self.memory.pending.is_none_or(|pending| pending <= self.now);
        if (self.memory.active.is_some() && once) || from.plus(within) > self.now || !pending {
            return None;
        }
        let last = self.memory.last.clone().unwrap_or_else(|| Seen {
            id: self.hearing.event_id(),
            at: from,
            data: Arc::new(serde_json::Value::Null),
            hops: 0,
            fits: 0,
        });
        let events = self.memory.last.iter().map(|last| last.id).collect();
        let turned = self.attempt(&last, events, &[], true);
        if self.memory.pending.is_none() {
            self.memory.active = Some(self.now);
        }
        Some(turned)
    }

    /// What must not happen has not happened.
    fn silence_due(&mut self, steps: &crate::rules::temporal::Steps) -> Option<Turned> {
        let over = |reached: &[Seen], now: Time| {
            reached.first().is_some_and(|first| first.at.plus(steps.within) <= now)
        };
        let now = self.now;
        let whole = match self.memory.steps.last_mut() {
            Some(reached) if over(reached, now) => std::mem::take(reached),
            _ => Vec::new(),
        };
        for reached in &mut self.memory.steps {
            if over(reached, now) {
                reached.clear();
            }
        }
        if self.memory.steps.iter().all(Vec::is_empty) {
            self.memory.steps.clear();
        }
        let last = whole.last()?.clone();
        Some(self.complete(&last, &whole))
    }

    /// Its limit allows some of those that wait.
    fn queue_due(&mut self) -> Vec<Turned> {
        let Some(limit) = self.rule.temporal.limit else { return Vec::new() };
        let mut turned = Vec::new();
        while self.full_until(&limit).is_none() {
            let Some(Queued { event, events, .. }) = self.memory.queue.pop_front() else { break };
            turned.push(Turned { events, ..self.fire(&event, &[]) });
        }
        turned
    }

    /// Lets go what has no meaning any more.
    pub(crate) fn tidy(&mut self) {
        let over = |span: Option<std::time::Duration>, at: Option<Time>, now: Time| {
            span.is_none_or(|span| at.is_none_or(|at| at.plus(span) <= now))
        };
        if over(self.rule.cooldown, self.memory.fired, self.now) {
            self.memory.fired = None;
        }
        match self.rule.temporal.limit {
            Some(limit) => drop(self.full_until(&limit)),
            None => self.memory.firings.clear(),
        }
        let idle = self.memory.since.is_none()
            && self.memory.active.is_none()
            && self.memory.samples.is_empty()
            && !self.memory.breaches.contains(&true);
        if idle {
            self.memory.last = None;
            self.memory.breaches.clear();
        }
    }
}

/// Ends a quarantine by hand: what was kept fires within the budget, or is thrown away. Gives the event
/// that stands for it; nothing where the rule is in no quarantine.
pub fn release(
    set: &Set,
    memories: &mut Memories,
    (rule, discard): (&Reference, bool),
    facts: &Facts,
    id: EventId,
) -> Option<(Event, Vec<Decision>)> {
    let index = set.position(rule)?;
    let mut whole = memories.get(rule, WHOLE)?.clone();
    whole.quarantined?;
    let known = Arc::clone(set.rule(index));
    let last = about(&whole);
    if discard {
        whole.queue.clear();
        memories.put(&known, WHOLE, whole);
    }
    let due = (facts.now, rule.clone(), WHOLE.to_owned());
    let event = event(&due, facts.now, last.as_ref(), id);
    let mut hearing = Hearing::open(set, &event, facts, Asked::default());
    hearing.be_about(None);
    let now = (facts.now, facts.now);
    let turned = drain(&mut hearing, memories, (index, &known), now, true);
    drop(hearing.close());
    let decided =
        turned.into_iter().map(|(key, turned)| decision(&known, event.id, &key, turned)).collect();
    Some((event, decided))
}

/// What was kept fires, as far as the budget goes at a time, once the quarantine is over.
fn drain(
    hearing: &mut Hearing<'_>,
    memories: &mut Memories,
    (index, rule): (usize, &Rule),
    (now, wall): (Time, Time),
    by_hand: bool,
) -> Vec<(String, Turned)> {
    let Some(mut whole) = memories.get(&rule.reference, WHOLE).cloned() else { return Vec::new() };
    let Some(budget) = rule.temporal.budget else {
        memories.forget(&rule.reference, WHOLE);
        return Vec::new();
    };
    while whole.firings.front().is_some_and(|at| at.plus(budget.per) <= now) {
        whole.firings.pop_front();
    }
    let over = whole.quarantined.zip(budget.release).is_some_and(|(s, r)| s.plus(r) <= now);
    if by_hand || over {
        whole.quarantined = None;
    }
    let mut turned = Vec::new();
    while whole.quarantined.is_none() && whole.firings.len() < budget.count {
        let Some(Queued { key, event, events }) = whole.queue.pop_front() else { break };
        let mut turn = Turn::open(hearing, memories, (index, rule), &key, now);
        turn.wall = wall;
        let fired = turn.fire(&event, &[]);
        turn.close();
        // What waited for a rate keeps to it by the clock on the wall, however late this is.
        whole.firings.push_back(wall);
        turned.push((key, Turned { events, ..fired }));
    }
    memories.put(rule, WHOLE, whole);
    turned
}
