//! All rules in force, filed by trigger, with the engines that ask them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobMatcher;
use rhai::{Caches, Engine};

use crate::model::reference::Reference;
use crate::rules::pattern::Pattern;
use crate::rules::rule::Rule;
use crate::script::limits::{self, Deadline};
use crate::{rules::effects, script};

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
