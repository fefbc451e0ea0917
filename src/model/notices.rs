//! Who is told of incidents, when and how: the plan that `configs/notify.yaml` writes down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::calendar::Calendar;
use crate::model::incident::{Incident, Severity};
use crate::model::reference::Reference;
use crate::model::time::Time;

/// All of it. The default tells nobody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The ways to people, by name.
    pub channels: BTreeMap<String, Channel>,
    /// Whose incident goes where; the first route that fits counts.
    pub routes: Vec<Route>,
    /// When only the worst is told.
    pub quiet: Option<Quiet>,
    /// How long an incident of a group waits for others of it.
    pub group_wait: Duration,
    /// When an incident is too unsteady to be told of each change.
    pub flap: Damping,
}

/// A way to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// The action that delivers.
    pub action: Reference,
    /// What it is given beside the message.
    pub with: Map<String, Value>,
    /// Whether it is told when somebody acknowledges.
    pub acks: bool,
}

/// Where some incidents go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// Only these severities; none: all.
    pub severity: Vec<Severity>,
    /// Only these sources, where `*` stands for any letters; none: all.
    pub source: Vec<String>,
    /// Only with these labels, where `*` stands for any letters.
    pub labels: BTreeMap<String, String>,
    /// Who is told, and who is called after them.
    pub levels: Vec<Level>,
}

/// Who is told at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Level {
    /// How long after the first level was told; for the first one, after the opening.
    pub after: Duration,
    /// Over which channels.
    pub channels: Vec<String>,
}

/// Hours in which messages wait.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    /// They are quiet while this is open.
    pub calendar: Arc<Calendar>,
    /// The other way round: while it is closed (`!NAME`).
    pub outside: bool,
    /// What is less bad waits.
    pub below: Severity,
}

/// When an incident flaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Damping {
    /// It began and ended so often …
    pub changes: u16,
    /// … within this span. Coming back within it, it is the same incident.
    pub within: Duration,
    /// Until it has stayed as it is for so long.
    pub stable: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        let (within, stable) = (Duration::from_mins(30), Duration::from_mins(10));
        Self { changes: 4, within, stable }
    }
}

impl Plan {
    /// Who is told of an incident; nothing: nobody.
    #[must_use]
    pub fn levels(&self, incident: &Incident) -> &[Level] {
        let route = self.routes.iter().find(|route| route.takes(incident));
        route.map_or(&[], |route| &route.levels)
    }

    /// When something that is to be told at `time` may be told; nothing: never, as far as the calendar
    /// can say.
    #[must_use]
    pub fn heard(&self, severity: Severity, time: Time) -> Option<Time> {
        let Some(quiet) = self.quiet.as_ref().filter(|quiet| severity < quiet.below) else {
            return Some(time);
        };
        let state = quiet.calendar.at(time);
        if state.is_open() == quiet.outside { Some(time) } else { state.until() }
    }
}

impl Route {
    fn takes(&self, incident: &Incident) -> bool {
        let failure = &incident.failure;
        let severity = self.severity.is_empty() || self.severity.contains(&failure.severity);
        let source =
            self.source.is_empty() || self.source.iter().any(|like| fits(like, &failure.source));
        severity
            && source
            && self
                .labels
                .iter()
                .all(|(name, like)| failure.labels.get(name).is_some_and(|value| fits(like, value)))
    }
}

/// Whether a text is like this, where `*` stands for any letters.
#[must_use]
pub fn fits(like: &str, text: &str) -> bool {
    let mut pieces = like.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}
