//! Where ways meet: how many of the tasks that lead to another have led on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::workflows::conduct::flow::{Inbound, number};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::view::Fault;
use crate::workflows::definition::Barrier;
use crate::workflows::graph::Node;

/// Whether the tasks that lead to a join have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Criteria {
    Satisfied,
    Pending,
    Unreachable,
}

impl Steps<'_> {
    /// Whether enough of the tasks that lead to `node` on `route` have led on.
    pub(super) fn criteria(&self, node: &Node, route: u32) -> Criteria {
        let inbound = self.flow.index.inbound.get(&node.name);
        let inbound = inbound.and_then(|routes| routes.get(&route)).copied().unwrap_or_default();
        let required = match node.barrier {
            None | Some(Barrier::Count(0)) => 1,
            Some(Barrier::Count(count)) => count,
            Some(Barrier::All) => node.sources,
        };
        if inbound.satisfied >= required {
            return Criteria::Satisfied;
        }
        let alive =
            self.flow.index.tally.any(State::is_active) || !self.flow.index.ready.is_empty();
        if inbound.begun < node.sources && alive {
            return Criteria::Pending;
        }
        Criteria::Unreachable
    }

    pub(super) fn index_inbound(&mut self) {
        if std::mem::replace(&mut self.flow.index.has_inbound, true) {
            return;
        }
        let mut last: HashMap<(Arc<str>, u32), u32> = HashMap::new();
        for at in 0..number(self.flow.entries.len()) {
            let entry = &self.flow.entries[at as usize];
            let (name, route) = (Arc::clone(&entry.name), entry.route);
            let before = last.insert((Arc::clone(&name), route), at);
            self.count_begun(self.node(&name), route, before);
            for to in self.led_to(at) {
                self.inbound(to, route).satisfied += 1;
            }
        }
    }

    pub(super) fn inbound(&mut self, to: u32, route: u32) -> &mut Inbound {
        let name = Arc::clone(&self.definition.graph().node(to).name);
        self.flow.index.inbound.entry(name).or_default().entry(route).or_default()
    }

    /// A run of `node` begins on `route`; `before` is the run before it, which counts no longer.
    pub(super) fn count_begun(&mut self, node: &Node, route: u32, before: Option<u32>) {
        match before {
            None => node.targets.iter().for_each(|to| self.inbound(*to, route).begun += 1),
            Some(before) => {
                for to in self.led_to(before) {
                    self.inbound(to, route).satisfied -= 1;
                }
            }
        }
    }

    /// The nodes to which the run at `at` has led on, each once.
    pub(super) fn led_to(&self, at: u32) -> Vec<u32> {
        let entry = &self.flow.entries[at as usize];
        let edges = self.node(&entry.name).out.iter().zip(&entry.next);
        let mut led: Vec<u32> =
            edges.filter(|(_, next)| **next == Some(true)).map(|(edge, _)| edge.to).collect();
        led.dedup();
        led
    }

    /// A join to which some have come and others never will fails the flow that is over.
    pub(super) fn check_joins(&mut self) {
        let waiting: Vec<(Arc<str>, u32)> = self
            .flow
            .staged
            .values()
            .filter(|staged| !staged.ready && self.node(&staged.name).barrier.is_some())
            .map(|staged| (Arc::clone(&staged.name), staged.route))
            .collect();
        for (name, route) in waiting {
            if self.criteria(self.node(&name), route) == Criteria::Unreachable {
                let message = format!(
                    "UnreachableJoinError: The join task|route \"{name}|{route}\" is partially \
                     satisfied but unreachable."
                );
                self.flow.set_status(State::Failed);
                self.flow.add_fault(Fault::new(message).at(&name, route));
            }
        }
    }
}
