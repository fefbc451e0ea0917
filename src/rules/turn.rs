//! One rule under one key, at one moment: what it remembers, what happens, and what comes of it.
//!
//! The order of things, which is the same for every rule: events make it true or false (its shape); true
//! has to last (`hold`); being true fires once (`once`); what wants to fire is damped (calendar,
//! cool-down, limit, budget); only then is `then` asked.

use std::sync::Arc;
use std::time::Duration;

use rhai::{Dynamic, Map};

use crate::model::cause::MAX_HOPS;
use crate::model::id::{EventId, ExecutionId};
use crate::model::memory::{Begun, Memory, Queued, Seen, Started};
use crate::model::rule::{Effect, Verdict};
use crate::model::time::Time;
use crate::rules::closure::Closure;
use crate::rules::effects;
use crate::rules::evaluate::Hearing;
use crate::rules::memory::{KEYS_LIMIT, Memories, WHOLE};
use crate::rules::rule::{Rule, Then};
use crate::rules::temporal::{Budget, Limit, QUEUE_LIMIT, Shape};
use crate::rules::window::Window;
use crate::script::convert::to_dynamic;
use crate::script::fault::Fault;

/// The event that tells of a quarantine.
pub const QUARANTINED: &str = "core.rule_quarantined";

/// When a calendar that says no for as far as it can see is asked again.
const ASK_AGAIN: Duration = Duration::from_hours(24);

/// What came of a turn.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) verdict: Verdict,
    pub(crate) effects: Vec<Effect>,
    pub(crate) events: Vec<EventId>,
    pub(crate) note: Option<String>,
}

impl Turned {
    pub(crate) fn of(verdict: Verdict) -> Self {
        Self { verdict, effects: Vec::new(), events: Vec::new(), note: None }
    }

    pub(crate) fn wrong(fault: Fault) -> Self {
        let Fault { message, line, column, .. } = fault;
        Self::of(Verdict::Error { message, line, column })
    }

    pub(crate) fn gathering(note: String) -> Self {
        Self::of(Verdict::Gathering { note })
    }
}

/// Why a firing has to wait, and until when.
pub(crate) enum Wait {
    Inactive(Option<Time>),
    Busy(Time, Option<ExecutionId>),
    Cooling(Time),
    Limited(Time),
}

/// One rule under one key, at one moment.
pub(crate) struct Turn<'t, 'h> {
    pub(crate) hearing: &'t mut Hearing<'h>,
    pub(crate) memories: &'t mut Memories,
    pub(crate) index: usize,
    pub(crate) rule: &'t Rule,
    pub(crate) key: &'t str,
    pub(crate) memory: Memory,
    pub(crate) now: Time,
    /// The clock on the wall; later than `now` where a deadline is worked off late.
    pub(crate) wall: Time,
}

impl<'t, 'h> Turn<'t, 'h> {
    /// Takes up what the rule remembers under the key; what has another meaning by now is forgotten.
    pub(crate) fn open(
        hearing: &'t mut Hearing<'h>,
        memories: &'t mut Memories,
        (index, rule): (usize, &'t Rule),
        key: &'t str,
        now: Time,
    ) -> Self {
        let mut memory = memories.get(&rule.reference, key).cloned().unwrap_or_default();
        memory.meaning = rule.temporal.meaning;
        Self { hearing, memories, index, rule, key, memory, now, wall: now }
    }

    /// Whether one more key may be remembered.
    pub(crate) fn has_room(&self) -> bool {
        self.memories.get(&self.rule.reference, self.key).is_some()
            || self.memories.keys(&self.rule.reference) < KEYS_LIMIT
    }

    /// Puts back what is remembered now.
    pub(crate) fn close(self) {
        self.memories.put(self.rule, self.key, self.memory);
    }

    /// Asks a closure of the rule; `more` goes into its second parameter.
    pub(crate) fn ask(&mut self, closure: &Closure, events: &[&Seen]) -> Result<Dynamic, Fault> {
        if closure.wants_envelope() {
            let more = self.more(events);
            self.hearing.enrich(Some(more));
        }
        let answer = self.hearing.ask(self.index, closure);
        self.hearing.enrich(None);
        answer
    }

    /// Asks a closure about something else than the event.
    pub(crate) fn ask_about(
        &mut self,
        about: Dynamic,
        closure: &Closure,
        events: &[&Seen],
    ) -> Result<Dynamic, Fault> {
        let event = self.hearing.swap((about, None, true));
        let answer = self.ask(closure, events);
        drop(self.hearing.swap(event));
        answer
    }

    /// Asks a closure that says true or false.
    pub(crate) fn holds(
        &mut self,
        about: Option<Dynamic>,
        closure: &Closure,
        name: &str,
    ) -> Result<bool, Fault> {
        let answer = match about {
            Some(about) => self.ask_about(about, closure, &[])?,
            None => self.ask(closure, &[])?,
        };
        answer.as_bool().map_err(|_| {
            let found = crate::script::convert::kind(&answer);
            Fault::at(format!("`{name}` gave {found}, not true or false"), closure.position())
        })
    }

    /// What the second parameter says about memory.
    fn more(&self, events: &[&Seen]) -> Map {
        let mut more = Map::new();
        more.insert("key".into(), self.key.into());
        let since = self.memory.since.map_or(Dynamic::UNIT, |since| since.millis().into());
        more.insert("since".into(), since);
        let data: Vec<Dynamic> = events.iter().map(|seen| to_dynamic(&seen.data)).collect();
        let count = data.len().max(self.memory.samples.len());
        more.insert("count".into(), i64::try_from(count).unwrap_or(i64::MAX).into());
        more.insert("events".into(), data.into());
        if let Some(window) = self.window() {
            more.insert("window".into(), window.to_dynamic());
        }
        more
    }

    /// The window as closures see it.
    pub(crate) fn window(&self) -> Option<Window> {
        let Shape::Window(shape) = &self.rule.temporal.shape else { return None };
        let samples: Vec<_> = self.memory.samples.iter().cloned().collect();
        Some(Window::new(samples.into(), Arc::clone(&shape.fields), shape.within))
    }

    /// What being true, false or neither means to a rule that fires for being true.
    pub(crate) fn level(&mut self, truth: Option<bool>, about: Option<&Seen>) -> Option<Turned> {
        match self.fallen(truth, about.is_some()) {
            Ok(true) => return Some(self.recover(about)),
            Ok(false) => {}
            Err(fault) => return Some(Turned::wrong(fault)),
        }
        match (self.memory.active, truth) {
            (Some(since), Some(true)) if !self.rule.temporal.once => {
                let since = self.memory.since.unwrap_or(since);
                self.raise(about, since)
            }
            (Some(active), _) => {
                let since = self.memory.since.unwrap_or(active);
                about.map(|_| Turned::of(Verdict::StillTrue { since }))
            }
            (None, Some(true)) => {
                let since = *self.memory.since.get_or_insert(self.now);
                if let Some(seen) = about {
                    self.memory.began.get_or_insert(seen.id);
                }
                self.raise(about, since)
            }
            (None, Some(false)) => {
                self.memory.pending = None;
                self.memory.began = None;
                let since = self.memory.since.take();
                match since.filter(|_| self.rule.temporal.hold.is_some()) {
                    Some(since) => Some(Turned::of(Verdict::Broken { since })),
                    None => about.map(|_| Turned::of(Verdict::NotMatched)),
                }
            }
            (None, None) => about.map(|_| Turned::of(Verdict::NotMatched)),
        }
    }

    /// Whether a rule that has fired for being true is not true any more.
    fn fallen(&mut self, truth: Option<bool>, asked: bool) -> Result<bool, Fault> {
        if self.memory.active.is_none() {
            return Ok(false);
        }
        let rule = self.rule;
        let Some(until) = &rule.closures.until else { return Ok(truth == Some(false)) };
        match self.window() {
            Some(window) => self.holds(Some(window.to_dynamic()), until, "until"),
            None if asked => self.holds(None, until, "until"),
            None => Ok(false),
        }
    }

    /// It was true and is not any more.
    fn recover(&mut self, about: Option<&Seen>) -> Turned {
        let events = self.contributing(about);
        self.memory.active = None;
        self.memory.pending = None;
        let rule = self.rule;
        let mut turned = Turned::of(Verdict::Recovered);
        if let Some(recover) = &rule.closures.recover {
            match self.effects(recover, about, "recover") {
                Ok(effects) if !rule.shadow => turned.effects = effects,
                Ok(_) => turned.note = Some("a shadow does nothing".to_owned()),
                Err(fault) => turned = Turned::wrong(fault),
            }
        }
        self.memory.since = None;
        self.memory.began = None;
        turned.events = events;
        turned
    }

    /// It is true since then: fires as soon as that is long enough.
    fn raise(&mut self, about: Option<&Seen>, since: Time) -> Option<Turned> {
        if let Some(hold) = self.rule.temporal.hold {
            let until = since.plus(hold);
            if self.now < until {
                return about.map(|_| Turned::of(Verdict::Holding { until }));
            }
        }
        if about.is_none() && !self.rule.temporal.once && self.rule.temporal.hold.is_none() {
            return None;
        }
        let last = about.cloned().or_else(|| self.memory.last.clone())?;
        let events = self.contributing(Some(&last));
        Some(self.attempt(&last, events, &[], true))
    }

    /// The events behind being true: the one that began it, a window's, and the last.
    fn contributing(&self, about: Option<&Seen>) -> Vec<EventId> {
        let mut events: Vec<EventId> = self.memory.samples.iter().map(|sample| sample.id).collect();
        events.extend(self.memory.began.filter(|_| self.memory.samples.is_empty()));
        events.extend(self.memory.last.as_ref().map(|last| last.id));
        events.extend(about.map(|seen| seen.id));
        let mut known = std::collections::HashSet::new();
        events.retain(|id| known.insert(*id));
        events
    }

    /// It wants to fire. `lasting`: it is true until further notice, so it may also fire later.
    pub(crate) fn attempt(
        &mut self,
        about: &Seen,
        events: Vec<EventId>,
        whole: &[&Seen],
        lasting: bool,
    ) -> Turned {
        let temporal = &self.rule.temporal;
        let lasting = lasting && (temporal.once || temporal.hold.is_some());
        let turned = if about.hops >= MAX_HOPS {
            Turned::of(Verdict::LoopStopped { hops: about.hops })
        } else if let Some(wait) = self.waits() {
            self.wait(&wait, lasting)
        } else if let Some(turned) = self.limited(about, &events, lasting) {
            turned
        } else if let Some(turned) = self.over_budget(about, &events) {
            turned
        } else {
            self.fire(about, whole)
        };
        let waits = matches!(
            turned.verdict,
            Verdict::Inactive { .. }
                | Verdict::Cooling { .. }
                | Verdict::Busy { .. }
                | Verdict::Limited { .. }
        );
        // What failed has had its turn too: the same error on every event helps nobody.
        if lasting && !waits {
            self.memory.pending = None;
            self.memory.active = Some(self.now);
        }
        Turned { events, ..turned }
    }

    /// What of its calendar and its cool-down keeps it from firing now.
    fn waits(&self) -> Option<Wait> {
        let closed = self.rule.temporal.active.iter().find_map(|one| one.closed(self.now));
        if let Some(closed) = closed {
            return Some(Wait::Inactive(closed.until()));
        }
        if let Some(started) = self.memory.started.as_ref().filter(|_| self.rule.temporal.exclusive)
        {
            return Some(Wait::Busy(started.at, started.execution()));
        }
        let cooldown = self.rule.cooldown?;
        let until = self.memory.fired?.plus(cooldown);
        (self.now < until).then_some(Wait::Cooling(until))
    }

    fn wait(&mut self, wait: &Wait, lasting: bool) -> Turned {
        let (verdict, until) = match *wait {
            Wait::Busy(since, execution) => {
                // It is looked at again when that is over.
                self.memory.pending = None;
                return Turned::of(Verdict::Busy { since, execution });
            }
            Wait::Inactive(until) => (Verdict::Inactive { until }, until),
            Wait::Cooling(until) => (Verdict::Cooling { until }, Some(until)),
            Wait::Limited(until) => (Verdict::Limited { until }, Some(until)),
        };
        // A calendar that does not say when it opens is asked again.
        let again = until.unwrap_or_else(|| self.now.plus(ASK_AGAIN));
        self.memory.pending = lasting.then_some(again);
        Turned::of(verdict)
    }

    /// What its limit says. A firing counts for as long as the limit's span, its end not included.
    fn limited(&mut self, about: &Seen, events: &[EventId], lasting: bool) -> Option<Turned> {
        let limit @ Limit { count, per, queue } = self.rule.temporal.limit?;
        let until = self.full_until(&limit);
        if until.is_none() && self.memory.queue.is_empty() {
            return None;
        }
        let until = until.unwrap_or(self.now);
        if !queue {
            return Some(self.wait(&Wait::Limited(until), lasting));
        }
        if self.memory.queue.len() >= QUEUE_LIMIT {
            let limit = format!("{QUEUE_LIMIT} firings wait for its limit of {count}");
            return Some(Turned::of(Verdict::Full { limit }));
        }
        let queued =
            Queued { key: self.key.to_owned(), event: about.clone(), events: events.to_vec() };
        self.memory.queue.push_back(queued);
        let ahead = self.memory.queue.len().saturating_sub(1) / count.max(1);
        let rounds = u32::try_from(ahead).unwrap_or(u32::MAX);
        Some(Turned::of(Verdict::Queued { until: until.plus(per.saturating_mul(rounds)) }))
    }

    /// Until when its limit is used up, if it is.
    pub(crate) fn full_until(&mut self, limit: &Limit) -> Option<Time> {
        while self.memory.firings.front().is_some_and(|at| at.plus(limit.per) <= self.now) {
            self.memory.firings.pop_front();
        }
        let full = self.memory.firings.len() >= limit.count;
        full.then(|| self.memory.firings.front().map(|first| first.plus(limit.per)))?
    }

    /// What its budget says: beyond it the rule goes into quarantine, and what it would do is kept.
    fn over_budget(&mut self, about: &Seen, events: &[EventId]) -> Option<Turned> {
        let budget @ Budget { count, per, release } = self.rule.temporal.budget?;
        let mut whole = self.memories.get(&self.rule.reference, WHOLE).cloned().unwrap_or_default();
        while whole.firings.front().is_some_and(|at| at.plus(per) <= self.now) {
            whole.firings.pop_front();
        }
        let fresh = whole.quarantined.is_none();
        if fresh && whole.queue.is_empty() && whole.firings.len() < count {
            whole.firings.push_back(self.now);
            self.memories.put(self.rule, WHOLE, whole);
            return None;
        }
        let since = *whole.quarantined.get_or_insert(self.now);
        let mut turned =
            Turned::of(Verdict::Quarantined { until: release.map(|span| since.plus(span)) });
        if whole.queue.len() < QUEUE_LIMIT {
            let (key, event) = (self.key.to_owned(), about.clone());
            whole.queue.push_back(Queued { key, event, events: events.to_vec() });
        } else {
            turned.note = Some(format!("{QUEUE_LIMIT} firings are kept already; this one is not"));
        }
        if fresh && !self.rule.shadow {
            turned.effects.push(quarantined(self.rule, &budget));
        }
        self.memories.put(self.rule, WHOLE, whole);
        Some(turned)
    }

    /// Asks `then`.
    pub(crate) fn fire(&mut self, about: &Seen, whole: &[&Seen]) -> Turned {
        let rule = self.rule;
        let effects = match self.then(about, whole) {
            Ok(effects) => effects,
            Err(fault) => return Turned::wrong(fault),
        };
        self.begin(&effects);
        if rule.temporal.limit.is_some() {
            // A rate is kept by the clock on the wall.
            self.memory.firings.push_back(self.wall);
        }
        let verdict = if rule.shadow { Verdict::Shadowed } else { Verdict::Fired };
        Turned { effects, ..Turned::of(verdict) }
    }

    /// Its cool-down begins, or what it counts from.
    fn begin(&mut self, effects: &[Effect]) {
        let rule = self.rule;
        // What carries nothing out hears of no ends.
        let hollow = rule.shadow || self.memories.is_hollow();
        if rule.cooldown.is_some() && (rule.closures.after.is_none() || hollow) {
            self.memory.fired = Some(self.now);
        }
        if hollow || !rule.awaits_ends() {
            return;
        }
        let begun =
            (0u16..).zip(effects).filter(|(_, effect)| matches!(effect, Effect::Run { .. }));
        let open: Vec<Begun> = begun.map(|(effect, _)| Begun { effect, execution: None }).collect();
        let (event, at) = (self.hearing.event_id(), self.now);
        self.memory.started = (!open.is_empty()).then_some(Started { event, at, open });
    }

    fn then(&mut self, about: &Seen, whole: &[&Seen]) -> Result<Vec<Effect>, Fault> {
        let rule = self.rule;
        let then = match &rule.closures.then {
            Then::Closure(then) => then,
            Then::Action(wanted) => {
                let (event, facts) = self.hearing.about();
                return wanted.effects(&rule.reference, (about.id, &about.data), event, facts);
            }
        };
        let alone = [about];
        let events = if whole.is_empty() { alone.as_slice() } else { whole };
        let returned = if self.hearing.is_about(about.id) {
            self.ask(then, events)?
        } else {
            self.ask_about(to_dynamic(&about.data), then, events)?
        };
        effects::read(&returned).map_err(|message| Fault::at(message, then.position()))
    }

    fn effects(
        &mut self,
        closure: &Closure,
        about: Option<&Seen>,
        name: &str,
    ) -> Result<Vec<Effect>, Fault> {
        let last = about.cloned().or_else(|| self.memory.last.clone());
        let events: Vec<&Seen> = last.iter().collect();
        let data = last.as_ref().map_or(Dynamic::UNIT, |seen| to_dynamic(&seen.data));
        let returned = self.ask_about(data, closure, &events)?;
        effects::read(&returned).map_err(|message| {
            Fault::at(message.replace("`then`", &format!("`{name}`")), closure.position())
        })
    }
}

/// The event that tells of a quarantine.
fn quarantined(rule: &Rule, budget: &Budget) -> Effect {
    let data = serde_json::json!({
        "rule": rule.reference,
        "firings": budget.count,
        "per_ms": u64::try_from(budget.per.as_millis()).unwrap_or(u64::MAX),
        "release_ms": budget.release.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
    });
    Effect::Emit { trigger: QUARANTINED.parse().expect("the constant is a reference"), data }
}
