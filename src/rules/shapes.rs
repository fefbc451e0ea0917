//! What an event does to a rule's memory, by the rule's shape.

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::memory::{Sample, Seen};
use crate::model::rule::Verdict;
use crate::model::time::Time;
use crate::rules::temporal::{
    BURST_LIMIT, SAMPLES_LIMIT, STEPS_LIMIT, Shape, Steps, Window, WindowKind,
};
use crate::rules::turn::{Turn, Turned};
use crate::script::fault::Fault;

// A step is a bit of `Seen::fits`.
const _: () = assert!(STEPS_LIMIT <= u16::BITS as usize);

impl Turn<'_, '_> {
    /// An event came, on which `when` said so.
    pub(crate) fn hear(&mut self, event: &Event, said: bool) -> Turned {
        let rule = self.rule;
        let seen = match self.place(event) {
            Ok(seen) => seen,
            Err(late) => return Turned::of(late),
        };
        let turned = match &rule.temporal.shape {
            Shape::Plain if rule.temporal.is_plain() => self.plain(&seen, said),
            Shape::Plain => self.level(Some(said), Some(&seen)),
            Shape::Samples { count } => self.sample(*count, &seen, said),
            Shape::Window(window) => said.then(|| self.collect(window, &seen, event)),
            Shape::Absent { .. } => said.then(|| self.alive(&seen)),
            Shape::Debounce { .. } => said.then(|| self.burst(&seen)),
            Shape::Sequence(steps) => said.then(|| self.follow(steps, &seen, event)),
            Shape::AllOf(steps) => said.then(|| self.join(steps, &seen, event)),
        };
        self.remember_last(seen, said);
        turned.unwrap_or_else(|| Turned::of(Verdict::NotMatched))
    }

    /// Where the event stands in time: when it came, or when it happened for a rule with `lateness`.
    fn place(&self, event: &Event) -> Result<Seen, Verdict> {
        let mut at = self.now;
        if let Some(lateness) = self.rule.temporal.lateness {
            at = event.time.min(self.now);
            if self.now.since(at) > lateness {
                let ms = self.now.since(at).saturating_sub(lateness).as_millis();
                return Err(Verdict::Late { ms: u64::try_from(ms).unwrap_or(u64::MAX) });
            }
        }
        Ok(Seen { id: event.id, at, data: event.data.clone(), hops: event.hops, fits: 0 })
    }

    fn remember_last(&mut self, seen: Seen, said: bool) {
        let temporal = &self.rule.temporal;
        let open = self.memory.since.is_some()
            || self.memory.active.is_some()
            || !self.memory.samples.is_empty()
            || self.memory.breaches.contains(&true);
        let absent = matches!(temporal.shape, Shape::Absent { .. });
        if temporal.keeps_last() && ((open && !absent) || (absent && said)) {
            self.memory.last = Some(seen);
        } else if !open {
            self.memory.last = None;
        }
    }

    fn plain(&mut self, seen: &Seen, said: bool) -> Option<Turned> {
        said.then(|| self.attempt(seen, Vec::new(), &[], false))
    }

    /// True when all of the last `count` breach, false when none does; mixed keeps its state.
    fn sample(&mut self, count: usize, seen: &Seen, said: bool) -> Option<Turned> {
        let breaches = &mut self.memory.breaches;
        breaches.push(said);
        if breaches.len() > count {
            breaches.remove(0);
        }
        let breach = breaches.iter().filter(|breach| **breach).count();
        let truth = match (breach, breaches.len()) {
            (0, have) if have == count || self.memory.active.is_none() => Some(false),
            (all, _) if all == count => Some(true),
            _ => None,
        };
        if breach == 0 && self.memory.active.is_none() {
            self.memory.breaches.clear();
        }
        let mixed = truth.is_none() && self.memory.active.is_none();
        let turned = self.level(truth, Some(seen));
        if mixed {
            return Some(Turned::gathering(format!("{breach} of the last {count} breach")));
        }
        turned
    }

    fn collect(&mut self, window: &Window, seen: &Seen, event: &Event) -> Turned {
        let values = window
            .fields
            .iter()
            .map(|field| at(&event.data, field).cloned().unwrap_or_default())
            .collect();
        let samples = &mut self.memory.samples;
        let place = samples.partition_point(|sample| sample.at <= seen.at);
        samples.insert(place, Sample { id: seen.id, at: seen.at, values });
        if samples.len() > SAMPLES_LIMIT {
            samples.pop_front();
            self.memory.dropped += 1;
        }
        let mut turned = match window.kind {
            WindowKind::Sliding => self.judge(window, Some(seen)),
            WindowKind::Tumbling(_) | WindowKind::Session => None,
        };
        let count = self.memory.samples.len();
        let said_no = |turned: &Turned| turned.verdict == Verdict::NotMatched;
        if turned.as_ref().is_none_or(said_no) {
            turned = Some(Turned::gathering(format!("the window has {count}")));
        }
        let mut turned = turned.unwrap_or_else(|| Turned::gathering(String::new()));
        if self.memory.dropped > 0 {
            turned.note = Some(format!(
                "the window is full: {SAMPLES_LIMIT} samples are the most, and its {} oldest were \
                 let go",
                self.memory.dropped
            ));
        }
        turned
    }

    /// What a sliding window says as it stands.
    pub(crate) fn judge(&mut self, window: &Window, about: Option<&Seen>) -> Option<Turned> {
        match self.having(window) {
            Ok(truth) => self.level(Some(truth), about),
            Err(fault) => Some(Turned::wrong(fault)),
        }
    }

    pub(crate) fn having(&mut self, window: &Window) -> Result<bool, Fault> {
        let Some(view) = self.window() else { return Ok(false) };
        self.holds(Some(view.to_dynamic()), &window.having, "having")
    }

    /// A sign of life.
    fn alive(&mut self, seen: &Seen) -> Turned {
        let turned =
            if self.memory.active.is_some() { self.level(Some(false), Some(seen)) } else { None };
        self.memory.since = Some(seen.at);
        turned.unwrap_or_else(|| Turned::gathering("a sign of life".to_owned()))
    }

    fn burst(&mut self, seen: &Seen) -> Turned {
        self.memory.burst.push(seen.clone());
        if self.memory.burst.len() > BURST_LIMIT {
            self.memory.burst.remove(0);
            self.memory.dropped += 1;
        }
        Turned::gathering(format!("a burst of {}", self.memory.burst.len()))
    }

    /// A sequence: what reached step `i` is kept in `steps[i]`, and the latest begin wins, which
    /// misses nothing that an earlier one would have found. Where it ends with something that must not
    /// happen, what has reached that end stays until then.
    fn follow(&mut self, steps: &Steps, seen: &Seen, event: &Event) -> Turned {
        self.expire(steps, seen.at);
        let wanted: Vec<usize> =
            (0..steps.steps.len()).filter(|step| !steps.steps[*step].not).collect();
        let mut fits = Vec::with_capacity(steps.steps.len());
        for step in &steps.steps {
            match self.step_fits(step, event) {
                Ok(fit) => fits.push(fit),
                Err(fault) => return Turned::wrong(fault),
            }
        }
        self.memory.steps.resize(wanted.len(), Vec::new());
        // What must not happen ends what waits there.
        for (number, step) in steps.steps.iter().enumerate() {
            if step.not && fits[number] {
                let before = wanted.iter().filter(|wanted| **wanted < number).count();
                if let Some(reached) = before.checked_sub(1) {
                    self.memory.steps[reached].clear();
                }
            }
        }
        let mut moved = None;
        let last = wanted.len() - 1;
        for place in (0..wanted.len()).rev().filter(|place| fits[wanted[*place]]) {
            // What waits for nothing to happen keeps its deadline: a later begin would put it off.
            if place == last && steps.ends_with_not() && !self.memory.steps[last].is_empty() {
                continue;
            }
            let mut reached = match place.checked_sub(1) {
                None => Vec::new(),
                Some(before) if self.memory.steps[before].is_empty() => continue,
                Some(before) => std::mem::take(&mut self.memory.steps[before]),
            };
            if reached.last().is_some_and(|last| last.at > seen.at) {
                self.memory.steps[place - 1] = reached;
                continue;
            }
            reached.push(seen.clone());
            self.memory.steps[place] = reached;
            moved = moved.max(Some(place));
        }
        if moved == Some(last) && !steps.ends_with_not() {
            let whole = std::mem::take(&mut self.memory.steps[last]);
            self.memory.steps.clear();
            return self.complete(seen, &whole);
        }
        let reached = self.memory.steps.iter().rposition(|reached| !reached.is_empty());
        let reached = reached.map_or(0, |reached| reached + 1);
        if reached == 0 {
            self.memory.steps.clear();
        }
        let name = if moved.is_some() { "" } else { ", this event is none of them" };
        Turned::gathering(format!("{reached} of {} steps{name}", wanted.len()))
    }

    /// Forgets events that are too old to be joined; a join includes its end.
    pub(crate) fn let_go(&mut self, steps: &Steps, at: Time) {
        for waiting in &mut self.memory.steps {
            waiting.retain(|seen| seen.at.plus(steps.within) >= at);
        }
        if self.memory.steps.iter().all(Vec::is_empty) {
            self.memory.steps.clear();
        }
    }

    /// Forgets what began too long ago; a sequence includes its end.
    pub(crate) fn expire(&mut self, steps: &Steps, at: Time) {
        for reached in &mut self.memory.steps {
            if reached.first().is_some_and(|first| first.at.plus(steps.within) < at) {
                reached.clear();
            }
        }
        if self.memory.steps.iter().all(Vec::is_empty) {
            self.memory.steps.clear();
        }
    }

    /// All of several events, in any order, each in a place of its own: the latest that go together
    /// count. An event moves on where another needs its place and it fits elsewhere.
    fn join(&mut self, steps: &Steps, seen: &Seen, event: &Event) -> Turned {
        let mut fits = 0;
        for (place, step) in steps.steps.iter().enumerate() {
            match self.step_fits(step, event) {
                Ok(true) => fits |= 1 << place,
                Ok(false) => {}
                Err(fault) => return Turned::wrong(fault),
            }
        }
        let mut waiting = vec![Seen { fits, ..seen.clone() }];
        for (place, held) in std::mem::take(&mut self.memory.steps).into_iter().enumerate() {
            // Where nothing is said it was remembered by a version that knew one place only.
            let known = |seen: Seen| Seen { fits: seen.fits | 1 << place, ..seen };
            waiting.extend(held.into_iter().map(known));
        }
        waiting.sort_by_key(|seen| std::cmp::Reverse((seen.at, seen.id)));
        let mut places = vec![None; steps.steps.len()];
        for seen in waiting {
            seat(&seen, &mut places, &mut 0);
        }
        self.memory.steps = places.into_iter().map(|seen| seen.into_iter().collect()).collect();
        // What is joined lies within the span, also where an event came late.
        let newest = self.memory.steps.iter().flatten().map(|seen| seen.at).max();
        self.let_go(steps, newest.unwrap_or(seen.at));
        let have = self.memory.steps.iter().filter(|place| !place.is_empty()).count();
        if have == steps.steps.len() {
            let mut whole: Vec<Seen> =
                std::mem::take(&mut self.memory.steps).into_iter().flatten().collect();
            whole.sort_by_key(|seen| (seen.at, seen.id));
            return self.complete(seen, &whole);
        }
        let name = if fits == 0 { ", this event is none of them" } else { "" };
        Turned::gathering(format!("{have} of {}{name}", steps.steps.len()))
    }

    /// All that it takes has happened.
    pub(crate) fn complete(&mut self, about: &Seen, whole: &[Seen]) -> Turned {
        let ids: Vec<EventId> = whole.iter().map(|seen| seen.id).collect();
        let whole: Vec<&Seen> = whole.iter().collect();
        self.attempt(about, ids, &whole, false)
    }

    fn step_fits(
        &mut self,
        step: &crate::rules::temporal::Step,
        event: &Event,
    ) -> Result<bool, Fault> {
        if !step.on.iter().any(|pattern| pattern.fits(&event.trigger)) {
            return Ok(false);
        }
        match &step.when {
            Some(when) => self.holds(None, when, "when"),
            None => Ok(true),
        }
    }
}

/// Gives an event a place that it fits, where need be by moving others on; says whether it has one.
fn seat(seen: &Seen, places: &mut [Option<Seen>], tried: &mut u16) -> bool {
    for place in 0..places.len() {
        let bit = 1 << place;
        if seen.fits & bit == 0 || *tried & bit != 0 {
            continue;
        }
        *tried |= bit;
        if places[place].clone().is_none_or(|held| seat(&held, places, tried)) {
            places[place] = Some(seen.clone());
            return true;
        }
    }
    false
}

/// A field of a payload: its name, or a path with dots.
fn at<'v>(data: &'v serde_json::Value, path: &str) -> Option<&'v serde_json::Value> {
    match data.get(path) {
        Some(found) => Some(found),
        None => path.split('.').try_fold(data, |value, name| value.get(name)),
    }
}
