//! All rules in force, filed by trigger, with the engines that ask them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobMatcher;
use rhai::{Caches, Engine};

use crate::model::event::Event;
use crate::model::reference::Reference;
use crate::rules::analyse::Analysis;
use crate::rules::index::{self, Group};
use crate::rules::pattern::Pattern;
use crate::rules::rule::Rule;
use crate::rules::{effects, window};
use crate::script;
use crate::script::limits::{self, Deadline, Sizes};

/// All rules in force.
#[derive(Default)]
pub struct Set {
    /// In the order of their priority, then of their names.
    rules: Vec<Arc<Rule>>,
    /// For each rule the number of its surroundings, from 0: rules of one file share their caches.
    surroundings: Vec<usize>,
    by_name: HashMap<Reference, usize>,
    /// Enabled rules by the trigger that they name.
    exact: HashMap<Reference, Group>,
    /// Enabled rules by the glob that they name.
    globs: Vec<(GlobMatcher, Group)>,
    /// Enabled rules that an event may concern on which they say no, by trigger.
    hearing_no: HashMap<Reference, Vec<usize>>,
    /// And those of them that listen by glob.
    hearing_no_by_glob: Vec<usize>,
    /// Whether every rule of a trigger is asked, as if there were no index.
    is_plain: bool,
    /// Benches that nobody uses at the moment; there are as many as threads ever asked at once.
    benches: Mutex<Vec<Bench>>,
}

/// What one thread needs to ask closures.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) deadline: Deadline,
    /// By the number of the surroundings: which function a call means depends on them.
    pub(crate) caches: HashMap<usize, Caches>,
}

impl Set {
    /// All of these, in the order of their priority: the highest first, then by name.
    #[must_use]
    pub fn new(mut rules: Vec<Arc<Rule>>) -> Self {
        rules.sort_by(|a, b| {
            b.priority.cmp(&a.priority).then_with(|| a.reference.cmp(&b.reference))
        });
        let mut set = Self::default();
        let mut numbers = HashMap::new();
        let mut drafts = Drafts::default();
        for (at, rule) in rules.iter().enumerate() {
            let next = numbers.len();
            set.surroundings.push(*numbers.entry(Arc::as_ptr(&rule.around)).or_insert(next));
            set.by_name.insert(rule.reference.clone(), at);
            if rule.enabled {
                set.file_no(rule, at);
                drafts.file(rule, index::number(at));
            }
        }
        let group = |members: Vec<_>| Group::new(&members);
        set.exact =
            drafts.exact.into_iter().map(|(on, members)| (on.clone(), group(members))).collect();
        set.globs = drafts
            .globs
            .into_iter()
            .map(|(glob, members)| (glob.clone(), group(members)))
            .collect();
        set.rules = rules;
        set
    }

    /// The same rules, each asked about every event of its triggers: what the index is compared with.
    #[must_use]
    pub fn without_index(mut self) -> Self {
        self.is_plain = true;
        self
    }

    fn file_no(&mut self, rule: &Rule, index: usize) {
        if !rule.temporal.hears_no() {
            return;
        }
        for pattern in &rule.on {
            match pattern {
                Pattern::Exact(trigger) => {
                    self.hearing_no.entry(trigger.clone()).or_default().push(index);
                }
                Pattern::Glob(_) => self.hearing_no_by_glob.push(index),
            }
        }
    }

    /// The enabled rules on this trigger that an event may concern on which they say no.
    pub(crate) fn hearing_no(&self, trigger: &Reference) -> impl Iterator<Item = usize> {
        let exact = self.hearing_no.get(trigger).into_iter().flatten().copied();
        let globs = self.hearing_no_by_glob.iter().copied();
        let fit = |index: &usize| self.rules[*index].on.iter().any(|on| on.fits(trigger));
        let mut found: Vec<usize> = exact.chain(globs.filter(fit)).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter()
    }

    /// The position of the rule of this name, disabled ones too.
    pub(crate) fn position(&self, reference: &Reference) -> Option<usize> {
        self.by_name.get(reference).copied()
    }

    /// The rule of this name, disabled ones too.
    #[must_use]
    pub fn get(&self, reference: &Reference) -> Option<&Arc<Rule>> {
        self.by_name.get(reference).map(|index| &self.rules[*index])
    }

    /// All rules, disabled ones too, in the order in which they decide.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter()
    }

    /// How many rules there are, disabled ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The enabled rules that listen to this trigger, in the order in which they decide.
    #[must_use]
    pub fn subscribed(&self, trigger: &Reference) -> Vec<&Arc<Rule>> {
        self.positions(trigger).into_iter().map(|index| &self.rules[index]).collect()
    }

    pub(crate) fn positions(&self, trigger: &Reference) -> Vec<usize> {
        let rules = self.groups(trigger).into_iter().flat_map(Group::rules);
        let mut positions: Vec<usize> = rules.map(|rule| rule as usize).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// The groups of rules that listen to this trigger; a rule may be in several.
    pub(crate) fn groups(&self, trigger: &Reference) -> Vec<&Group> {
        let exact = self.exact.get(trigger).into_iter();
        let fit = self.globs.iter().filter(|(glob, _)| glob.is_match(trigger.as_str()));
        exact.chain(fit.map(|(_, group)| group)).collect()
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    pub(crate) fn rule(&self, index: usize) -> &Arc<Rule> {
        &self.rules[index]
    }

    pub(crate) fn surroundings(&self, index: usize) -> usize {
        self.surroundings[index]
    }

    /// A bench for the caller alone, wide enough for this event.
    pub(crate) fn bench_for(&self, event: &Event) -> Bench {
        let free = self.benches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bench = free.unwrap_or_else(|| {
            let (mut engine, deadline) = script::engine(&limits::DECIDING);
            engine.register_global_module(effects::module());
            engine.register_global_module(window::module());
            Bench { engine, deadline, caches: HashMap::new() }
        });
        limits::admit(&mut bench.engine, &limits::DECIDING, Sizes::of(&event.data));
        bench
    }

    /// Gives it back for the next who asks.
    pub(crate) fn put_back(&self, bench: Bench) {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner).push(bench);
    }
}

/// Rules on their way into groups.
#[derive(Default)]
struct Drafts<'r> {
    exact: HashMap<&'r Reference, Members<'r>>,
    globs: Vec<(&'r GlobMatcher, Members<'r>)>,
    numbers: HashMap<&'r str, usize>,
}

type Members<'r> = Vec<(u32, &'r Analysis)>;

impl<'r> Drafts<'r> {
    fn file(&mut self, rule: &'r Rule, index: u32) {
        for pattern in &rule.on {
            let members = match pattern {
                Pattern::Exact(trigger) => self.exact.entry(trigger).or_default(),
                Pattern::Glob(glob) => {
                    let next = self.globs.len();
                    let number = *self.numbers.entry(glob.glob().glob()).or_insert(next);
                    if number == next {
                        self.globs.push((glob, Members::new()));
                    }
                    &mut self.globs[number].1
                }
            };
            if members.last().is_none_or(|(last, _)| *last != index) {
                members.push((index, &rule.analysis));
            }
        }
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules).finish()
    }
}
