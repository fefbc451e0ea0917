//! What a rule says about time: how it becomes true, how long it has to be, how often it may fire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::calendar::{Calendar, State};
use crate::model::memory::{Meaning, Memory};
use crate::model::time::Time;
use crate::rules::closure::Closure;
use crate::rules::pattern::Pattern;
use crate::rules::tumbling::Zone;

/// Events of one burst (`debounce`) that are handed over; the oldest go first.
pub const BURST_LIMIT: usize = 1_000;
/// Samples in one window; the oldest go first.
pub const SAMPLES_LIMIT: usize = 5_000;
/// Firings that one key, or one quarantined rule, keeps.
pub const QUEUE_LIMIT: usize = 1_000;
/// Steps of a sequence or of `all_of`.
pub const STEPS_LIMIT: usize = 16;
/// Samples that a rule on the last so many may look at.
pub const BREACHES_LIMIT: usize = 1_000;

/// What a rule says about time.
#[derive(Default)]
pub(crate) struct Temporal {
    pub(crate) shape: Shape,
    /// True for this long without a break.
    pub(crate) hold: Option<Duration>,
    /// Silence for this long forgets.
    pub(crate) stale: Option<Duration>,
    /// Whether it fires once for each time that it becomes true.
    pub(crate) once: bool,
    /// Whether it waits for what it started before it fires again.
    pub(crate) exclusive: bool,
    /// The calendars that say when it may fire: all of them have to.
    pub(crate) active: Vec<Active>,
    /// How often it fires under one key.
    pub(crate) limit: Option<Limit>,
    /// How often it fires under all keys, before it is quarantined.
    pub(crate) budget: Option<Budget>,
    /// How late an event may come; nothing: memory counts when events arrive.
    pub(crate) lateness: Option<Duration>,
    pub(crate) meaning: Meaning,
}

/// A calendar that a rule keeps to.
pub(crate) struct Active {
    pub(crate) calendar: Arc<Calendar>,
    /// Whether it is closed times that are meant.
    pub(crate) inverted: bool,
}

impl Active {
    /// What keeps a rule from firing at `now`; nothing where it may.
    pub(crate) fn closed(&self, now: Time) -> Option<State> {
        Some(self.calendar.at(now)).filter(|state| state.is_open() == self.inverted)
    }
}

/// How events make a rule true.
#[derive(Default)]
pub(crate) enum Shape {
    /// Each by itself.
    #[default]
    Plain,
    /// Those of a window together.
    Window(Window),
    /// One after the other.
    Sequence(Steps),
    /// All, in any order.
    AllOf(Steps),
    /// Their absence.
    Absent { within: Duration, expect: Option<Arc<BTreeSet<String>>> },
    /// The last of a burst.
    Debounce { quiet: Duration },
    /// All of the last so many; none of them makes it false.
    Samples { count: usize },
}

pub(crate) struct Window {
    pub(crate) within: Duration,
    pub(crate) kind: WindowKind,
    pub(crate) having: Closure,
    /// The fields that are kept of each sample.
    pub(crate) fields: Arc<[String]>,
}

pub(crate) enum WindowKind {
    Sliding,
    Tumbling(Zone),
    Session,
}

pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    pub(crate) within: Duration,
}

pub(crate) struct Step {
    pub(crate) on: Vec<Pattern>,
    pub(crate) when: Option<Closure>,
    /// It must not happen here.
    pub(crate) not: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) count: usize,
    pub(crate) per: Duration,
    pub(crate) queue: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) count: usize,
    pub(crate) per: Duration,
    pub(crate) release: Option<Duration>,
}

impl Temporal {
    /// What it says, a few words for each: `hold 10s`, `once`, ….
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec![match &self.shape {
            Shape::Plain => String::new(),
            Shape::Window(window) => {
                let kind = match window.kind {
                    WindowKind::Sliding => "sliding",
                    WindowKind::Tumbling(_) => "tumbling",
                    WindowKind::Session => "session",
                };
                format!("{kind} window of {:?}", window.within)
            }
            Shape::Sequence(steps) => {
                format!("sequence of {} within {:?}", steps.steps.len(), steps.within)
            }
            Shape::AllOf(steps) => {
                format!("all of {} within {:?}", steps.steps.len(), steps.within)
            }
            Shape::Absent { within, .. } => format!("absent {within:?}"),
            Shape::Debounce { quiet } => format!("debounce {quiet:?}"),
            Shape::Samples { count } => format!("samples {count}"),
        }];
        words.extend(self.hold.map(|hold| format!("hold {hold:?}")));
        words.extend(self.stale.map(|stale| format!("stale {stale:?}")));
        words.extend(self.once.then(|| "once".to_owned()));
        words.extend(self.exclusive.then(|| "exclusive".to_owned()));
        words.extend(self.limit.map(|limit| format!("limit {} per {:?}", limit.count, limit.per)));
        let budget = |budget: Budget| format!("budget {} per {:?}", budget.count, budget.per);
        words.extend(self.budget.map(budget));
        words.extend((!self.active.is_empty()).then(|| "calendar".to_owned()));
        words.retain(|word| !word.is_empty());
        words
    }

    /// Whether it remembers anything beside when it fired.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.shape, Shape::Plain) && self.hold.is_none() && !self.once
    }

    /// Whether an event on which `when` says no can change what it remembers.
    pub(crate) fn hears_no(&self) -> bool {
        match self.shape {
            Shape::Plain => self.hold.is_some() || self.once,
            Shape::Samples { .. } => true,
            _ => false,
        }
    }

    /// Whether it may have something to say without a new event, about the last one.
    pub(crate) fn keeps_last(&self) -> bool {
        match self.shape {
            Shape::Plain | Shape::Samples { .. } => self.hold.is_some() || self.once,
            Shape::Window(_) | Shape::Absent { .. } => true,
            _ => false,
        }
    }

    /// When `memory` wants something done next. Of deadlines in one instant all are done.
    pub(crate) fn due(
        &self,
        memory: &Memory,
        cooldown: Option<Duration>,
        whole: bool,
    ) -> Option<Time> {
        let mut due: Option<Time> = None;
        let mut at = |time: Option<Time>| {
            due = match (due, time) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        };
        if whole {
            at(self.whole_due(memory));
            return due;
        }
        // What waits for what was started does not act by itself before that is over.
        let busy = self.is_busy(memory);
        let absent = matches!(self.shape, Shape::Absent { .. });
        if !(absent && (busy || memory.pending.is_some())) {
            at(self.shape_due(memory));
        }
        if !busy {
            at(memory.pending);
            if let (Some(hold), Some(since), None, None) =
                (self.hold, memory.since, memory.active, memory.pending)
            {
                at(Some(since.plus(hold)));
            }
        }
        if let (Some(stale), Some(last)) = (self.stale, &memory.last) {
            at(Some(last.at.plus(stale)));
        }
        at(cooldown.zip(memory.fired).map(|(cooldown, fired)| fired.plus(cooldown)));
        if let Some(limit) = self.limit {
            at(memory.firings.front().map(|first| first.plus(limit.per)));
            // A limit that was raised lets some go at once.
            let room = memory.firings.len() < limit.count && !memory.queue.is_empty();
            at(memory.firings.back().copied().filter(|_| room));
        }
        due
    }

    /// Whether it has to wait for what it started.
    pub(crate) fn is_busy(&self, memory: &Memory) -> bool {
        self.exclusive && memory.started.is_some()
    }

    fn shape_due(&self, memory: &Memory) -> Option<Time> {
        match &self.shape {
            Shape::Window(window) => {
                let first = memory.samples.front()?.at;
                match &window.kind {
                    WindowKind::Sliding => Some(first.plus(window.within)),
                    WindowKind::Tumbling(zone) => Some(zone.window(first, window.within).1),
                    WindowKind::Session => {
                        memory.samples.back().map(|last| last.at.plus(window.within))
                    }
                }
            }
            Shape::Debounce { quiet } => memory.burst.last().map(|last| last.at.plus(*quiet)),
            Shape::Absent { within, .. } => {
                let from = memory.active.filter(|_| !self.once).or(memory.since)?;
                (memory.active.is_none() || !self.once).then(|| from.plus(*within))
            }
            Shape::Sequence(steps) => {
                let begins = memory.steps.iter().filter_map(|reached| reached.first());
                let end = begins.map(|begin| begin.at).min()?.plus(steps.within);
                Some(if steps.ends_with_not() { end } else { after(end) })
            }
            Shape::AllOf(steps) => {
                let oldest = memory.steps.iter().flatten().map(|seen| seen.at).min()?;
                Some(after(oldest.plus(steps.within)))
            }
            Shape::Plain | Shape::Samples { .. } => None,
        }
    }

    fn whole_due(&self, memory: &Memory) -> Option<Time> {
        let budget = self.budget?;
        if let Some(since) = memory.quarantined {
            return budget.release.map(|release| since.plus(release));
        }
        memory.firings.front().map(|first| first.plus(budget.per))
    }
}

impl Steps {
    /// Whether it fires because something does not happen.
    pub(crate) fn ends_with_not(&self) -> bool {
        self.steps.last().is_some_and(|step| step.not)
    }
}

/// The instant after `time`: joins include their end.
fn after(time: Time) -> Time {
    time.plus(Duration::from_millis(1))
}
