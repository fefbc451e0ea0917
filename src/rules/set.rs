//! All rules in force, filed by trigger, with the engines that ask them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobMatcher;
use rhai::{Caches, Engine};

use crate::model::reference::Reference;
use crate::rules::pattern::Pattern;
use crate::rules::rule::Rule;
use crate::rules::{effects, window};
use crate::script;
use crate::script::limits::{self, Deadline};

/// All rules in force.
#[derive(Default)]
pub struct Set {
    /// In the order of their priority, then of their names.
    rules: Vec<Arc<Rule>>,
    /// For each rule the number of its surroundings, from 0: rules of one file share their caches.
    surroundings: Vec<usize>,
    by_name: HashMap<Reference, usize>,
    /// Enabled rules by the trigger that they name.
    exact: HashMap<Reference, Vec<usize>>,
    /// Enabled rules by glob.
    globs: Vec<(GlobMatcher, usize)>,
    /// Enabled rules that an event may concern on which they say no, by trigger.
    hearing_no: HashMap<Reference, Vec<usize>>,
    /// And those of them that listen by glob.
    hearing_no_by_glob: Vec<usize>,
    /// Benches that nobody uses at the moment; there are as many as threads ever asked at once.
    benches: Mutex<Vec<Bench>>,
}

/// What one thread needs to ask closures.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) deadline: Deadline,
    /// By the number of the surroundings: which function a call means depends on them.
    pub(crate) caches: Vec<Caches>,
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
        for (index, rule) in rules.iter().enumerate() {
            let next = numbers.len();
            set.surroundings.push(*numbers.entry(Arc::as_ptr(&rule.around)).or_insert(next));
            set.by_name.insert(rule.reference.clone(), index);
            if rule.enabled {
                set.file(rule, index);
            }
        }
        set.rules = rules;
        set
    }

    fn file(&mut self, rule: &Rule, index: usize) {
        if rule.temporal.hears_no() {
            self.file_no(rule, index);
        }
        for pattern in &rule.on {
            match pattern {
                Pattern::Exact(trigger) => {
                    let bucket = self.exact.entry(trigger.clone()).or_default();
                    if bucket.last() != Some(&index) {
                        bucket.push(index);
                    }
                }
                Pattern::Glob(glob) => self.globs.push((glob.clone(), index)),
            }
        }
    }

    fn file_no(&mut self, rule: &Rule, index: usize) {
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
        let mut positions = self.exact.get(trigger).cloned().unwrap_or_default();
        let exact = positions.len();
        let fit = self.globs.iter().filter(|(glob, _)| glob.is_match(trigger.as_str()));
        positions.extend(fit.map(|(_, index)| *index));
        if positions.len() > exact {
            positions.sort_unstable();
            positions.dedup();
        }
        positions
    }

    pub(crate) fn rule(&self, index: usize) -> &Arc<Rule> {
        &self.rules[index]
    }

    pub(crate) fn surroundings(&self, index: usize) -> usize {
        self.surroundings[index]
    }

    /// A bench for the caller alone.
    pub(crate) fn bench(&self) -> Bench {
        let free = self.benches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| {
            let (mut engine, deadline) = script::engine(&limits::DECIDING);
            engine.register_global_module(effects::module());
            engine.register_global_module(window::module());
            let count = self.surroundings.iter().max().map_or(0, |last| last + 1);
            Bench { engine, deadline, caches: vec![Caches::new(); count] }
        })
    }

    /// Gives it back for the next who asks.
    pub(crate) fn put_back(&self, bench: Bench) {
        self.benches.lock().unwrap_or_else(PoisonError::into_inner).push(bench);
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rules).finish()
    }
}
