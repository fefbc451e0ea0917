//! Running tasks of a flow again that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::workflows::conduct::parts::{Extra, Staged};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::transitions::SAME_WAY;
use crate::workflows::conduct::{Again, Refused};

/// By name and route: the last run of a task, and whether all of its items run again.
type Chosen = BTreeMap<(Arc<str>, u32), (u32, bool)>;

impl Steps<'_> {
    /// Prepares a flow that is over to run `tasks` again, or all because of which it failed.
    ///
    /// # Errors
    /// `WorkflowIsActiveAndNotRerunable` while it is not over; `InvalidTaskRerunRequest` where a task
    /// never ran.
    pub fn rerun(&mut self, tasks: &[Again]) -> Result<(), Refused> {
        if !self.flow.head.status.is_done() {
            return Err(Refused::WorkflowIsActiveAndNotRerunable);
        }
        let chosen = if tasks.is_empty() { self.failed() } else { self.requested(tasks)? };
        let cut_off = self.cut_off(&chosen);
        for (at, reset_items) in chosen.into_values() {
            if self.flow.entries[at as usize].state.is_done() {
                self.again(at, reset_items);
            } else {
                self.restart_unheard(at, reset_items);
            }
        }
        for at in 0..self.flow.entries.len() {
            let entry = &self.flow.entries[at];
            if entry.term && entry.next.contains(&Some(true)) {
                self.flow.set_term(super::flow::number(at), false);
            }
        }
        self.flow.set_output(None);
        self.flow.set_reason(None);
        self.flow.set_status(State::Resuming);
        for (at, comes_again) in cut_off {
            if comes_again {
                self.abandon(at);
            } else {
                self.restart_unheard(at, false);
            }
        }
        Ok(())
    }

    /// What was under way when the flow ended, but for the chosen; and whether it follows from one of
    /// those, so that it comes again by itself.
    fn cut_off(&self, chosen: &Chosen) -> Vec<(u32, bool)> {
        let mut again: BTreeSet<u32> = chosen.values().map(|(at, _)| *at).collect();
        let mut found = Vec::new();
        for (at, entry) in (0..).zip(&self.flow.entries) {
            if again.contains(&at) {
                continue;
            }
            let follows = self.before(entry.way).iter().any(|before| again.contains(before));
            if follows {
                again.insert(at);
            }
            if self.was_under_way(at) || (follows && !entry.state.is_done()) {
                found.push((at, follows));
            }
        }
        found
    }

    /// Whether the run at `at` waits for something that nobody will report any more.
    fn was_under_way(&self, at: u32) -> bool {
        let entry = &self.flow.entries[at as usize];
        let waits = |serial| self.flow.index.ready.contains(&serial);
        let begins = matches!(entry.state, State::Unset | State::Retrying)
            && self.stage_of(at).is_some_and(waits);
        self.flow.index.held.contains(&at) || !(entry.state.is_done() || begins)
    }

    /// Whether anything was under way when the flow ended.
    pub(super) fn has_unheard(&self) -> bool {
        (0..super::flow::number(self.flow.entries.len())).any(|at| self.was_under_way(at))
    }

    /// How the child of the run at `at` ended will never be known: it runs again.
    fn restart_unheard(&mut self, at: u32, reset_items: bool) {
        self.flow.set_term(at, false);
        self.forget_child(at);
        if self.flow.entries[at as usize].state.is_done() {
            // It is over and holds the flow.
            return self.repeat(at);
        }
        self.restart(at, reset_items);
    }

    /// The run at `at` is made again by what comes before it.
    fn abandon(&mut self, at: u32) {
        self.flow.set_term(at, false);
        self.forget_child(at);
        let now = self.now();
        let over = self.flow.entries[at as usize].state.is_done();
        self.flow.amend(at, Extra::release);
        if let Some(serial) = self.stage_of(at) {
            self.reset(serial, false);
            self.flow.unstage(serial);
        }
        if !over {
            self.flow.set_state(at, State::Abandoned, now);
        }
    }

    /// No question and no probe of the run at `at` is heard any more.
    fn forget_child(&mut self, at: u32) {
        self.flow.amend(at, |extra| {
            extra.asking = false;
            extra.probing = false;
        });
    }

    /// Whether there are tasks because of which the flow failed.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed().is_empty()
    }

    /// The tasks that were canceled.
    pub(super) fn canceled(&self) -> Vec<Again> {
        let canceled = self.runs_where(|state| state == State::Canceled).into_iter();
        let canceled = canceled.filter(|at| self.flow.is_latest(*at));
        let entries = canceled.map(|at| &self.flow.entries[at as usize]);
        let again = entries.map(|entry| Again {
            name: entry.name.to_string(),
            route: Some(entry.route),
            reset_items: false,
        });
        again.collect()
    }

    /// The tasks because of which the flow failed.
    fn failed(&self) -> Chosen {
        let ended = (0..).zip(&self.flow.entries);
        let failed = ended.filter(|(_, entry)| entry.term && entry.state.is_abended());
        failed.map(|(at, entry)| ((Arc::clone(&entry.name), entry.route), (at, false))).collect()
    }

    /// The tasks that were asked for, without those that follow others of them anyway.
    fn requested(&self, tasks: &[Again]) -> Result<Chosen, Refused> {
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        for task in tasks {
            let route = task.route.unwrap_or(0);
            match self.flow.latest(&task.name, route) {
                Some(at) => {
                    found.insert((Arc::from(task.name.as_str()), route), (at, task.reset_items));
                }
                None => unknown.push(format!("{}|{route}", task.name)),
            }
        }
        if !unknown.is_empty() {
            return Err(Refused::InvalidTaskRerunRequest(unknown.join(", ")));
        }
        if found.len() > 1 {
            let runs: Vec<BTreeSet<u32>> =
                found.values().map(|(at, _)| self.sequence(*at)).collect();
            let mut first = found.clone();
            first.retain(|_, (at, _)| {
                let mine = self.sequence(*at);
                runs.iter().any(|other| !mine.is_subset(other))
            });
            // In a circle each follows the others.
            if !first.is_empty() {
                found = first;
            }
        }
        Ok(found)
    }

    /// The run at `at` and those to which its task led on that route.
    fn sequence(&self, at: u32) -> BTreeSet<u32> {
        let (name, route) =
            (&self.flow.entries[at as usize].name, self.flow.entries[at as usize].route);
        let from_it = |before: &u32| {
            let before = &self.flow.entries[*before as usize];
            before.name == *name && before.route == route
        };
        let followers = (0..).zip(&self.flow.entries);
        let followers = followers.filter(|(_, entry)| self.before(entry.way).iter().any(from_it));
        followers.map(|(at, _)| at).chain([at]).collect()
    }

    /// The runs from which something arrived on `way`.
    fn before(&self, way: u32) -> Vec<u32> {
        let mut before = Vec::new();
        let mut way = way as usize;
        loop {
            let arrivals = &self.flow.ways[way];
            let same = arrivals.first().filter(|first| first.edge == SAME_WAY);
            let real = arrivals.iter().filter(|arrival| arrival.edge != SAME_WAY);
            before.extend(real.map(|arrival| arrival.from));
            match same {
                Some(same) => way = self.flow.entries[same.from as usize].way as usize,
                None => return before,
            }
        }
    }

    fn again(&mut self, at: u32, reset_items: bool) {
        let entry = &self.flow.entries[at as usize];
        let (name, route, way) = (Arc::clone(&entry.name), entry.route, entry.way);
        let has_items = self.definition.task(&name).is_some_and(|task| task.items.is_some());
        self.flow.set_term(at, false);
        if self.flow.index.held.contains(&at) {
            self.flow.amend(at, Extra::release);
        }
        self.flow.clear_faults(&name);
        let ended = |serial: &u32| self.flow.staged[serial].completed;
        let kept = self.flow.all_staged(&name, route).find(ended);
        let kept = kept.or_else(|| self.flow.find_staged(&name, route));
        let followers = self.sequence(at);
        if let Some(serial) = kept.filter(|_| has_items) {
            self.reset(serial, reset_items);
        } else {
            let again = self.add_entry(&name, route, way);
            let staged = Staged::ready(&name, route, way);
            self.stage(Staged { entry: Some(again), ..staged });
        }
        if let Some(serial) = kept {
            self.flow.restage(serial, |staged| {
                staged.completed = false;
                staged.entry = staged.entry.filter(|_| !has_items);
                // Whoever was asked before is not heard any more: the question is put again.
                staged.ready |= staged.asked && has_items;
                staged.asked &= !has_items;
            });
        }
        for follower in followers {
            self.flow.set_term(follower, false);
        }
    }

    /// The items that did not end well, or all of them, have not run. Nor have those that are under way:
    /// none of them is heard any more.
    pub(super) fn reset(&mut self, serial: u32, all: bool) {
        let Some(batch) = self.flow.staged.get(&serial).and_then(|staged| staged.batch) else {
            return;
        };
        let Some(items) = self.flow.batches.get(&batch).map(|found| &found.items) else { return };
        let again = |state: State| state != State::Succeeded && state != State::Unset;
        let again = (0..).zip(items).filter(|(_, item)| all || again(item.state));
        for at in again.map(|(at, _)| at).collect::<Vec<_>>() {
            self.flow.set_item(batch, at, State::Unset);
            self.flow.set_item_result(batch, at, None);
        }
    }
}
