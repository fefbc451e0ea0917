//! Who has a place and who waits for one: a pure state machine. Never more than a gate's limit pass it,
//! and who waits at a gate passes it in the order of arrival.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::executions::policies::rate::Starts;
use crate::model::id::ExecutionId;
use crate::model::reference::Reference;
use crate::model::time::Time;

/// What one policy wants of one execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Want {
    /// What is counted together.
    pub(super) gate: Arc<str>,
    pub(super) limit: Limit,
    /// Whether one too many is canceled instead of waiting.
    pub(super) refuses: bool,
    pub(super) policy: Reference,
}

/// What a gate lets through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    /// So many at once.
    AtOnce(usize),
    /// So many starts within a span.
    Within(usize, std::time::Duration),
}

/// The answer to somebody who comes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Go,
    /// The want that cannot be granted, and one who has what it wants.
    Wait(Want, Option<ExecutionId>),
    Refuse(Want),
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    limit: Option<Limit>,
    holders: BTreeSet<ExecutionId>,
    starts: Starts,
    waiting: BTreeSet<(Time, ExecutionId)>,
}

impl Gate {
    fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.starts.is_empty() && self.waiting.is_empty()
    }

    /// How many may pass now.
    fn free(&self, now: Time) -> usize {
        match self.limit {
            None => usize::MAX,
            Some(Limit::AtOnce(most)) => most.saturating_sub(self.holders.len()),
            Some(Limit::Within(most, per)) => most.saturating_sub(self.starts.within(now, per)),
        }
    }
}

#[derive(Debug)]
struct Member {
    gates: Vec<Arc<str>>,
    /// Since when it waits; nothing: it has its places.
    since: Option<Time>,
    /// Tells this membership from an earlier one of the same execution.
    stamp: u64,
    /// Whether that is on disk.
    kept: bool,
}

/// All gates, and who stands before them.
#[derive(Debug, Default)]
pub(super) struct Line {
    gates: HashMap<Arc<str>, Gate>,
    members: HashMap<ExecutionId, Member>,
    /// Gates at which somebody may pass now who waited.
    open: BTreeSet<Arc<str>>,
    /// Gates that count starts.
    rates: BTreeSet<Arc<str>>,
    /// Those who wait for nothing any more.
    unbound: BTreeSet<(Time, ExecutionId)>,
    /// Members of whom it was heard that they may have left.
    doubts: HashSet<ExecutionId>,
    stamps: u64,
}

impl Line {
    /// Answers somebody who comes now. Nobody overtakes: a place that those who wait may take is none.
    pub(super) fn ask(&mut self, wants: &[Want], now: Time) -> Verdict {
        let mut wait = None;
        for want in wants {
            let gate = self.limit(want);
            if gate.free(now) > gate.waiting.len() {
                continue;
            }
            if want.refuses {
                return Verdict::Refuse(want.clone());
            }
            let (free, other) = (gate.free(now) > 0, gate.holders.iter().next().copied());
            if free {
                self.open.insert(Arc::clone(&want.gate));
            }
            wait.get_or_insert_with(|| Verdict::Wait(want.clone(), other));
        }
        wait.unwrap_or(Verdict::Go)
    }

    /// Gives somebody its places. Says the stamp, and which starts are to be remembered.
    pub(super) fn take(&mut self, id: ExecutionId, gates: Vec<Arc<str>>, now: Time) -> u64 {
        self.leave(id);
        for name in &gates {
            let gate = self.gates.entry(Arc::clone(name)).or_default();
            match gate.limit {
                Some(Limit::Within(..)) => gate.starts.add(now, id),
                _ => drop(gate.holders.insert(id)),
            }
        }
        self.join(id, gates, None)
    }

    /// Lets somebody wait.
    pub(super) fn wait(&mut self, id: ExecutionId, wants: &[Want], since: Time) -> u64 {
        self.leave(id);
        let mut gates = Vec::new();
        for want in wants {
            let gate = self.limit(want);
            gate.waiting.insert((since, id));
            self.open.insert(Arc::clone(&want.gate));
            gates.push(Arc::clone(&want.gate));
        }
        if gates.is_empty() {
            self.unbound.insert((since, id));
        }
        self.join(id, gates, Some(since))
    }

    fn join(&mut self, id: ExecutionId, gates: Vec<Arc<str>>, since: Option<Time>) -> u64 {
        self.stamps += 1;
        let stamp = self.stamps;
        self.members.insert(id, Member { gates, since, stamp, kept: false });
        stamp
    }

    /// What `take` or `wait` said is on disk. Says whether it is known here still.
    pub(super) fn keep(&mut self, id: ExecutionId, stamp: u64) -> bool {
        let member = self.members.get_mut(&id).filter(|member| member.stamp == stamp);
        member.map(|member| member.kept = true).is_some()
    }

    /// It was never written: as if it had not been.
    pub(super) fn undo(&mut self, id: ExecutionId, stamp: u64) {
        let Some(member) = self.members.get(&id) else { return };
        if member.stamp == stamp && !member.kept {
            for name in member.gates.clone() {
                self.gates.entry(name).or_default().starts.remove(id);
            }
            self.leave(id);
        }
    }

    /// Somebody goes, whether it had places or waited. Its starts have been.
    pub(super) fn leave(&mut self, id: ExecutionId) {
        let Some(member) = self.members.remove(&id) else { return };
        for name in member.gates {
            let Some(gate) = self.gates.get_mut(&name) else { continue };
            gate.holders.remove(&id);
            if let Some(since) = member.since {
                gate.waiting.remove(&(since, id));
            }
            self.open.insert(name);
        }
        if let Some(since) = member.since {
            self.unbound.remove(&(since, id));
        }
    }

    /// Those who waited and may go now, first come first; they have their places already.
    pub(super) fn call(&mut self, now: Time) -> Vec<Called> {
        let mut called: Vec<Called> = Vec::new();
        while let Some((_, id)) = self.unbound.pop_first() {
            let stamp = self.take(id, Vec::new(), now);
            called.push(Called { id, gates: Vec::new(), stamp });
        }
        self.open.extend(self.rates.iter().cloned());
        while let Some(name) = self.open.pop_first() {
            // Those who wait for something else as well stay where they are, and hinder nobody here.
            let mut after = None;
            while let Some((since, id)) = self.next(&name, after, now) {
                after = Some((since, id));
                let gates = self.members.get(&id).map(|member| member.gates.clone());
                let gates = gates.unwrap_or_default();
                let passes = |name| self.gates.get(name).is_none_or(|gate| gate.free(now) > 0);
                if gates.iter().all(passes) {
                    let stamp = self.take(id, gates.clone(), now);
                    called.push(Called { id, gates, stamp });
                }
            }
            self.open.remove(&name);
            if self.gates.get(&name).is_some_and(Gate::is_idle) {
                self.gates.remove(&name);
                self.rates.remove(&name);
            }
        }
        called
    }

    /// Who waits at a gate after somebody, while there is a free place.
    fn next(
        &self,
        name: &Arc<str>,
        after: Option<(Time, ExecutionId)>,
        now: Time,
    ) -> Option<(Time, ExecutionId)> {
        let gate = self.gates.get(name).filter(|gate| gate.free(now) > 0)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        gate.waiting.range((from, Bound::Unbounded)).next().copied()
    }

    /// When the next one who waits for time to pass may go.
    pub(super) fn due(&self) -> Option<Time> {
        let rates = self.rates.iter().filter_map(|name| self.gates.get(name));
        let due = rates.filter(|gate| !gate.waiting.is_empty());
        due.filter_map(|gate| match gate.limit {
            Some(Limit::Within(most, per)) => gate.starts.next(most, per),
            _ => None,
        })
        .min()
    }

    /// Whether there may be something to do.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty() || !self.unbound.is_empty() || !self.doubts.is_empty()
    }

    /// It is heard that a member stands elsewhere: whether that is news.
    pub(super) fn doubt(&mut self, id: ExecutionId, has: bool, waits: bool) -> bool {
        let Some(member) = self.members.get(&id) else { return false };
        let fits = if member.since.is_some() { waits } else { has };
        !fits && self.doubts.insert(id)
    }

    /// The members in doubt whose places are on disk, with their stamps; the others stay in doubt.
    pub(super) fn doubts(&mut self) -> Vec<(ExecutionId, u64)> {
        let members = &self.members;
        let known = |id: &ExecutionId| members.get(id).filter(|member| member.kept);
        let sure: Vec<_> =
            self.doubts.iter().filter_map(|id| Some((*id, known(id)?.stamp))).collect();
        self.doubts.retain(|id| members.get(id).is_some_and(|member| !member.kept));
        sure
    }

    /// Removes a member, unless it came anew meanwhile.
    pub(super) fn leave_since(&mut self, id: ExecutionId, stamp: u64) {
        if self.members.get(&id).is_some_and(|member| member.stamp == stamp) {
            self.leave(id);
        }
    }

    /// Somebody has had its places since before.
    pub(super) fn hold(&mut self, id: ExecutionId, gates: Vec<Arc<str>>) -> u64 {
        for name in &gates {
            let gate = self.gates.entry(Arc::clone(name)).or_default();
            if !matches!(gate.limit, Some(Limit::Within(..))) {
                gate.holders.insert(id);
            }
        }
        self.join(id, gates, None)
    }

    /// Whether somebody waits.
    pub(super) fn waits(&self, id: ExecutionId) -> bool {
        self.members.get(&id).is_some_and(|member| member.since.is_some())
    }

    /// Remembers a start of before.
    pub(super) fn remember(&mut self, gate: &Arc<str>, at: Time, id: ExecutionId) {
        self.gates.entry(Arc::clone(gate)).or_default().starts.add(at, id);
    }

    /// Sets what a gate lets through.
    pub(super) fn limit(&mut self, want: &Want) -> &mut Gate {
        if matches!(want.limit, Limit::Within(..)) {
            self.rates.insert(Arc::clone(&want.gate));
        }
        let gate = self.gates.entry(Arc::clone(&want.gate)).or_default();
        gate.limit = Some(want.limit);
        gate
    }

    /// Takes over those of `before` whom the store did not know yet; they are in doubt.
    pub(super) fn inherit(&mut self, before: Self) {
        self.stamps = self.stamps.max(before.stamps);
        for (id, member) in before.members {
            if member.since.is_none() && !self.members.contains_key(&id) {
                for name in &member.gates {
                    let gate = self.gates.entry(Arc::clone(name)).or_default();
                    if !matches!(gate.limit, Some(Limit::Within(..))) {
                        gate.holders.insert(id);
                    }
                }
                self.members.insert(id, member);
                self.doubts.insert(id);
            }
        }
    }

    /// Starts that no longer count.
    pub(super) fn prune(&mut self, gate: &Arc<str>, now: Time) -> Vec<(Time, ExecutionId)> {
        match self.gates.get_mut(gate) {
            Some(Gate { limit: Some(Limit::Within(_, per)), starts, .. }) => {
                starts.prune(now, *per)
            }
            _ => Vec::new(),
        }
    }

    /// Whether a gate counts starts.
    pub(super) fn counts_starts(&self, gate: &Arc<str>) -> bool {
        let limit = self.gates.get(gate).and_then(|gate| gate.limit);
        matches!(limit, Some(Limit::Within(..)))
    }
}

/// Somebody whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Called {
    pub(super) id: ExecutionId,
    pub(super) gates: Vec<Arc<str>>,
    pub(super) stamp: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn want(gate: &str, limit: Limit) -> Want {
        let policy = "test.policy".parse().unwrap();
        Want { gate: gate.into(), limit, refuses: false, policy }
    }

    fn id(number: u128) -> ExecutionId {
        ExecutionId::from_bits(number)
    }

    fn at(second: i64) -> Time {
        Time::from_millis(second * 1000)
    }

    proptest! {
        /// Whatever comes and goes in whatever order: never too many, first come first, nobody forgotten.
        #[test]
        fn never_too_many_and_first_come_first(most in 1usize..4, steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..60)) {
            let mut line = Line::default();
            let wants = [want("g", Limit::AtOnce(most))];
            let (mut running, mut waiting) = (Vec::new(), Vec::new());
            for (number, (comes, which)) in steps.into_iter().enumerate() {
                let now = at(i64::try_from(number).unwrap());
                if comes || running.is_empty() {
                    let one = id(number as u128 + 1);
                    if line.ask(&wants, now) == Verdict::Go {
                        prop_assert!(waiting.is_empty());
                        line.take(one, vec!["g".into()], now);
                        running.push(one);
                    } else {
                        line.wait(one, &wants, now);
                        waiting.push(one);
                    }
                } else {
                    line.leave(running.swap_remove(which.index(running.len())));
                }
                for called in line.call(now) {
                    prop_assert_eq!(called.id, waiting.remove(0));
                    running.push(called.id);
                }
                prop_assert!(running.len() <= most);
                prop_assert!(waiting.is_empty() || running.len() == most);
            }
        }
    }

    #[test]
    fn who_waits_for_another_gate_hinders_nobody() {
        let mut line = Line::default();
        let all = |host: &str| vec![want("all", Limit::AtOnce(3)), want(host, Limit::AtOnce(1))];
        let names = |host: &str| vec![Arc::from("all"), Arc::from(host)];
        assert_eq!(line.ask(&all("a"), at(0)), Verdict::Go);
        line.take(id(1), names("a"), at(0));
        assert!(matches!(line.ask(&all("a"), at(1)), Verdict::Wait(..)));
        line.wait(id(2), &all("a"), at(1));
        assert!(line.call(at(1)).is_empty());
        assert_eq!(line.ask(&all("b"), at(2)), Verdict::Go);
        line.take(id(3), names("b"), at(2));
        line.leave(id(1));
        let called: Vec<_> = line.call(at(3)).into_iter().map(|called| called.id).collect();
        assert_eq!(called, [id(2)]);
    }

    #[test]
    fn a_rate_lets_the_next_one_go_when_the_first_start_is_old_enough() {
        let mut line = Line::default();
        let wants = [want("r", Limit::Within(2, Duration::from_secs(10)))];
        for number in 1..=2 {
            assert_eq!(line.ask(&wants, at(0)), Verdict::Go);
            line.take(id(number), vec!["r".into()], at(0));
        }
        line.leave(id(1));
        assert!(matches!(line.ask(&wants, at(9)), Verdict::Wait(..)), "an end gives nothing back");
        line.wait(id(3), &wants, at(9));
        assert_eq!((line.call(at(9)), line.due()), (vec![], Some(at(10))));
        assert_eq!(line.call(at(10)).len(), 1);
        assert_eq!(line.due(), None);
    }
}
