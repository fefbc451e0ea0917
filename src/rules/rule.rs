//! One compiled rule.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::problem::Place;
use crate::model::reference::Reference;
use crate::rules::analyse::Analysis;
use crate::rules::closure::{Closure, Surroundings};
use crate::rules::criteria::{Criteria, Wanted};
use crate::rules::indexing::Indexing;
use crate::rules::lint::loops::Emit;
use crate::rules::pattern::Pattern;
use crate::rules::temporal::Temporal;

/// One compiled rule.
pub struct Rule {
    pub(crate) reference: Reference,
    pub(crate) about: String,
    pub(crate) on: Vec<Pattern>,
    pub(crate) enabled: bool,
    pub(crate) shadow: bool,
    pub(crate) priority: i64,
    pub(crate) cooldown: Option<Duration>,
    pub(crate) temporal: Temporal,
    pub(crate) place: Place,
    pub(crate) version: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) closures: Closures,
    pub(crate) analysis: Analysis,
    /// The events that it emits, as far as its file says so outright.
    pub(crate) emits: Box<[Emit]>,
    pub(crate) around: Arc<Surroundings>,
    /// The library that declared it, where its own file did not.
    pub(crate) template: Option<Place>,
}

/// What a rule asks its author's code.
pub(crate) struct Closures {
    /// Whether it matches; a rule without matches always.
    pub(crate) when: Option<When>,
    /// Under which key it remembers.
    pub(crate) per: Option<Closure>,
    /// What it wants done.
    pub(crate) then: Then,
    /// When it stops being true; without, as soon as it is not.
    pub(crate) until: Option<Closure>,
    /// What it wants done then.
    pub(crate) recover: Option<Closure>,
    /// The ends from which its cool-down counts; without, it counts from firing.
    pub(crate) after: Option<Closure>,
}

/// Whether a rule matches.
pub(crate) enum When {
    /// Rhai says.
    Closure(Closure),
    /// StackStorm's criteria say.
    Criteria(Box<Criteria>),
}

impl When {
    /// Rhai's part.
    pub(crate) fn closure(&self) -> Option<&Closure> {
        if let Self::Closure(closure) = self { Some(closure) } else { None }
    }
}

/// What a rule wants done.
pub(crate) enum Then {
    /// Rhai says.
    Closure(Closure),
    /// One action of StackStorm's.
    Action(Box<Wanted>),
}

impl Then {
    /// Rhai's part.
    pub(crate) fn closure(&self) -> Option<&Closure> {
        if let Self::Closure(closure) = self { Some(closure) } else { None }
    }
}

impl Rule {
    /// Its name.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// One sentence for people.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The triggers and globs that it listens to, in the order of the file.
    #[must_use]
    pub fn on(&self) -> &[Pattern] {
        &self.on
    }

    /// Whether it is asked at all.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it decides and does nothing.
    #[must_use]
    pub fn shadow(&self) -> bool {
        self.shadow
    }

    /// Rules of a higher priority decide first; 0 unless the file says otherwise.
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// How long it keeps still after it fired, per key.
    #[must_use]
    pub fn cooldown(&self) -> Option<Duration> {
        self.cooldown
    }

    /// Whether it has to hear of the ends of executions that it started.
    #[must_use]
    pub fn awaits_ends(&self) -> bool {
        self.temporal.exclusive || self.closures.after.is_some()
    }

    /// How it was written, where it is a rule of StackStorm's form.
    pub(crate) fn written(&self) -> Option<&Wanted> {
        match &self.closures.then {
            Then::Action(wanted) => Some(wanted),
            Then::Closure(_) => None,
        }
    }

    /// Where `rule(` stands, or the name of a rule in YAML.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A hash of its file and of the libraries that it imports.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// How it is found: what of its condition the index knows, and what only Rhai can answer.
    #[must_use]
    pub fn indexed(&self) -> Indexing {
        match &self.closures.when {
            Some(When::Criteria(criteria)) => criteria.indexed(),
            _ => Indexing::of(&self.analysis, &self.source),
        }
    }

    /// Whether what it decides hangs on what came before.
    #[must_use]
    pub fn remembers(&self) -> bool {
        !self.temporal.is_plain()
            || self.cooldown.is_some()
            || self.awaits_ends()
            || self.temporal.limit.is_some()
            || self.temporal.budget.is_some()
    }

    /// What it says about time, a few words for each key: `hold 10s`, `once`, `cooldown 60s`.
    #[must_use]
    pub fn keeps(&self) -> Vec<String> {
        let mut words = self.temporal.words();
        words.extend(self.closures.until.is_some().then(|| "until".to_owned()));
        let after = if self.closures.after.is_some() { " after its end" } else { "" };
        words.extend(self.cooldown.map(|span| format!("cooldown {span:?}{after}")));
        words
    }

    /// Whether it can be quarantined.
    #[must_use]
    pub fn has_budget(&self) -> bool {
        self.temporal.budget.is_some()
    }

    /// The text of its file.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({} at {})", self.reference, self.place)
    }
}
