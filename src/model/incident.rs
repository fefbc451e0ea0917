//! Incidents: trouble that has a key, that people are told of, and that ends. What happens to one
//! stands in the room `incidents`; here is what it is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::cause::Cause;
use crate::model::id::{ExecutionId, IncidentId};
use crate::model::time::Time;

/// How bad it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody may want to know.
    Info,
    /// Look at it in the next days.
    Warning,
    /// Something does not work.
    Error,
    /// Get up.
    Critical,
}

impl Severity {
    /// All of them, the worst last.
    pub const ALL: &[Self] = &[Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// What the many words of monitoring systems mean (delfin's, Alertmanager's usual ones, syslog's);
    /// nothing for a word that none of them has.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "info" | "informational" | "information" | "notice" | "notspecified" | "none"
            | "debug" | "ok" => Self::Info,
            "warning" | "warn" | "minor" | "low" => Self::Warning,
            "error" | "err" | "major" | "high" | "medium" => Self::Error,
            "critical" | "crit" | "fatal" | "page" | "emergency" | "emerg" | "alert"
            | "disaster" => Self::Critical,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has taken it yet.
    Open,
    /// Somebody is at it: nobody else is called.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl State {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Open, Self::Acknowledged, Self::Resolved];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// What people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It began.
    Opened,
    /// Nobody has acknowledged it in time.
    Escalated,
    /// It comes and goes; nothing more is said until it is stable.
    Flapping,
    /// Somebody is at it.
    Acknowledged,
    /// It is over.
    Recovered,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::Flapping => "flapping",
            Self::Acknowledged => "acknowledged",
            Self::Recovered => "recovered",
        }
    }

    /// Whether whoever hears it knows from then on that there is trouble.
    #[must_use]
    pub const fn is_bad_news(self) -> bool {
        matches!(self, Self::Opened | Self::Escalated | Self::Flapping)
    }
}

/// Somebody was told something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Over which channel.
    pub channel: String,
    /// What.
    pub kind: Kind,
    /// When the message was made.
    pub at: Time,
    /// The execution that delivers it.
    pub execution: Option<ExecutionId>,
    /// Whether it arrived; nothing as long as it is under way.
    pub arrived: Option<bool>,
}

/// Something to tell as soon as the channel has told what came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Over which channel.
    pub channel: String,
    /// What.
    pub kind: Kind,
}

/// Who is at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// Whoever said so.
    pub by: String,
    /// When.
    pub at: Time,
    /// When it is open again, unless it is over by then.
    pub until: Option<Time>,
}

/// Why it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The person who said so; nothing where its source did.
    pub by: Option<String>,
    /// When.
    pub at: Time,
    /// Whether this was told, or there was nobody to tell: coming back is a new opening then.
    pub announced: bool,
}

/// How unsteady it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// When it began and ended lately, oldest first.
    pub changes: Vec<Time>,
    /// Since when it flaps.
    pub since: Option<Time>,
    /// Whether people were told that it does.
    pub said: bool,
}

/// One line of its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// What, for people.
    pub what: String,
}

/// A link that lets whoever has it acknowledge or resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// SHA-256 of its secret.
    pub hash: String,
    /// To which channel it was sent.
    pub channel: String,
}

/// A failure as its source reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What it is about: the same key is the same incident.
    pub key: String,
    /// One line for people.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Who says so (`alertmanager`, `delfin`, a rule's name).
    pub source: String,
    /// By what it is routed.
    pub labels: BTreeMap<String, String>,
    /// Incidents of one group are told in one message; nothing: it is told alone.
    pub group: Option<String>,
    /// Anything else to know, for people.
    pub details: Value,
}

/// What led to what happened, so that a message can be walked back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// What caused it.
    pub cause: Cause,
    /// Through how many rules it came.
    pub hops: u16,
}

/// What others leave for whoever keeps incidents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Trouble is reported.
    Failure(Failure, Lead),
    /// It is over.
    Recovery {
        /// The key of the incident.
        key: String,
        /// How, where there is something to say.
        reason: Option<String>,
        /// What led to it.
        lead: Lead,
    },
    /// Something to say over a channel, without an incident.
    Say {
        /// The channel.
        channel: String,
        /// What.
        text: String,
        /// What led to it.
        lead: Lead,
    },
    /// An execution that delivers a message is over.
    Delivered(ExecutionId),
    /// An incident's time has come.
    Look(IncidentId),
}

/// Trouble that people are told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// What was last reported; the severity is the worst since it opened.
    pub failure: Failure,
    /// Where it stands.
    pub state: State,
    /// When it was opened for the first time.
    pub first: Time,
    /// When it was opened, the last time that it was.
    pub opened: Time,
    /// The last report.
    pub last: Time,
    /// Reports so far, of all its openings.
    pub count: u64,
    /// Who is at it, or was before it was over.
    pub acked: Option<Acked>,
    /// Why it is over, where it is.
    pub resolved: Option<Resolved>,
    /// The levels of its route that were told since it opened.
    pub level: u16,
    /// When the first of them was told.
    pub since: Option<Time>,
    /// Not before this time is anything told of its opening or its end.
    pub ready: Time,
    /// How unsteady it is.
    pub flap: Flap,
    /// Who was told what, oldest first.
    pub told: Vec<Told>,
    /// What waits for a message under way.
    pub pending: Vec<Pending>,
    /// Links that were sent, the last of them.
    pub links: Vec<Link>,
    /// Its story, oldest first.
    pub log: Vec<Entry>,
    /// When somebody has to look at it again.
    pub due: Option<Time>,
    /// What led to the last change of it.
    pub lead: Lead,
}

/// Lines of the story that are kept: the first and the last ones.
const LOG_LIMIT: usize = 200;
/// Messages that are remembered.
const TOLD_LIMIT: usize = 400;
/// Links that are good: older messages are acknowledged by newer ones' links.
const LINKS_LIMIT: usize = 32;

impl Incident {
    /// The incident that a first failure opens.
    #[must_use]
    pub fn new(id: IncidentId, failure: Failure, now: Time) -> Self {
        Self {
            id,
            failure,
            state: State::Open,
            first: now,
            opened: now,
            last: now,
            count: 0,
            acked: None,
            resolved: None,
            level: 0,
            since: None,
            ready: now,
            flap: Flap::default(),
            told: Vec::new(),
            pending: Vec::new(),
            links: Vec::new(),
            log: Vec::new(),
            due: None,
            lead: Lead { cause: Cause::User(String::new()), hops: 0 },
        }
    }

    /// Whether its opening or its end is still to be told.
    #[must_use]
    pub fn waits(&self) -> bool {
        match &self.resolved {
            Some(resolved) => !resolved.announced,
            None => self.level == 0 && self.state == State::Open,
        }
    }

    /// How long it has lasted, or lasted.
    #[must_use]
    pub fn lasted(&self, now: Time) -> Duration {
        self.resolved.as_ref().map_or(now, |resolved| resolved.at).since(self.opened)
    }

    /// Adds a line to its story; the second one goes where there are too many.
    pub fn note(&mut self, at: Time, what: impl Into<String>) {
        if self.log.len() >= LOG_LIMIT {
            self.log.remove(1);
        }
        self.log.push(Entry { at, what: what.into() });
    }

    /// Remembers that a message was made.
    pub fn tells(&mut self, told: Told) {
        if self.told.len() >= TOLD_LIMIT
            && let Some(old) = self.told.iter().position(|told| told.arrived.is_some())
        {
            self.told.remove(old);
        }
        self.told.push(told);
    }

    /// Remembers a link that was sent.
    pub fn links_to(&mut self, link: Link) {
        if self.links.len() >= LINKS_LIMIT {
            self.links.remove(0);
        }
        self.links.push(link);
    }

    /// What a channel was told and tells.
    #[must_use]
    pub fn standing(&self, channel: &str) -> Standing {
        let mut standing = Standing::default();
        for told in self.told.iter().filter(|told| told.channel == channel) {
            standing.busy |= told.arrived.is_none();
            match (told.kind, told.arrived) {
                (Kind::Recovered, _) => (standing.knows, standing.may_know) = (false, false),
                (kind, arrived) if kind.is_bad_news() => {
                    standing.knows |= arrived == Some(true);
                    standing.may_know |= arrived != Some(false);
                }
                _ => {}
            }
        }
        standing
    }

    /// The channels that know of it, or are being told.
    #[must_use]
    pub fn audience(&self) -> Vec<String> {
        self.those(|standing| standing.may_know)
    }

    /// Channels over which trouble should have been told, and no message arrived or is under way.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        self.those(|standing| !standing.may_know && !standing.busy)
    }

    /// Channels to which something was sent, each once, that stand so.
    fn those(&self, fits: impl Fn(Standing) -> bool) -> Vec<String> {
        let mut channels: Vec<String> = Vec::new();
        for told in &self.told {
            if !channels.contains(&told.channel) && fits(self.standing(&told.channel)) {
                channels.push(told.channel.clone());
            }
        }
        channels
    }
}

/// How a channel stands to an incident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// A message is under way.
    pub busy: bool,
    /// It was told of trouble, and of no end since.
    pub knows: bool,
    /// The same, or the message is under way.
    pub may_know: bool,
}
