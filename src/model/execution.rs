//! An execution: one run of an action. Its life is StackStorm's, as one pure function.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::action::Action;
use crate::model::cause::Cause;
use crate::model::id::ExecutionId;
use crate::model::time::Time;

/// Where an execution stands. The names are StackStorm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Asked for and accepted.
    Requested,
    /// Waits for its time: a delay, a retry, a limit.
    Delayed,
    /// Handed to the dispatcher.
    Scheduled,
    /// An attempt is under way.
    Running,
    /// Waits for an answer from a person.
    Pending,
    /// Asked to pause; something still runs.
    Pausing,
    /// Nothing runs; it waits to be resumed.
    Paused,
    /// Asked to go on.
    Resuming,
    /// Asked to stop; something still runs.
    Canceling,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Took longer than it may.
    Timeout,
    /// Stopped by a person, a rule or a policy.
    Canceled,
    /// Nobody can know how it ended; it waits for a person.
    Abandoned,
}

/// Every status, in the order of a life.
pub const STATUSES: &[Status] = &[
    Status::Requested,
    Status::Delayed,
    Status::Scheduled,
    Status::Running,
    Status::Pending,
    Status::Pausing,
    Status::Paused,
    Status::Resuming,
    Status::Canceling,
    Status::Succeeded,
    Status::Failed,
    Status::Timeout,
    Status::Canceled,
    Status::Abandoned,
];

impl Status {
    /// Whether it is over: nothing moves it again.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Timeout | Self::Canceled | Self::Abandoned
        )
    }

    /// The word in JSON, tables and pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Delayed => "delayed",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Pending => "pending",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Canceling => "canceling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Abandoned => "abandoned",
        }
    }

    /// The status after `step`, which is a total function: whatever is not a legal move is an error
    /// that names both.
    ///
    /// # Errors
    /// `Illegal` where the step does not fit; nothing leaves a status that is done.
    #[expect(clippy::match_same_arms, reason = "the table stands in the order of a life")]
    pub fn after(self, step: Step) -> Result<Self, Illegal> {
        use {Status as S, Step as T};
        Ok(match (self, step) {
            (S::Requested | S::Delayed, T::Schedule) => S::Scheduled,
            (S::Requested | S::Scheduled | S::Running | S::Delayed, T::Delay) => S::Delayed,
            (S::Requested | S::Delayed | S::Scheduled, T::Start) => S::Running,
            (S::Running, T::Ask) => S::Pending,
            (S::Running | S::Pending | S::Resuming, T::Pause) => S::Pausing,
            (S::Requested | S::Delayed | S::Scheduled, T::Pause) => S::Paused,
            (S::Pausing, T::Quiet) => S::Paused,
            // What was held came to an end that is no end: it waits, and has to be paused again.
            (S::Pausing | S::Paused | S::Resuming, T::Delay) => S::Delayed,
            (S::Paused | S::Pausing, T::Resume) => S::Resuming,
            (S::Resuming, T::Start) => S::Running,
            (S::Requested | S::Delayed | S::Scheduled, T::Cancel) => S::Canceled,
            (
                S::Running | S::Pending | S::Pausing | S::Paused | S::Resuming | S::Canceling,
                T::Cancel,
            ) => S::Canceling,
            (S::Running | S::Pausing | S::Paused | S::Pending | S::Resuming, T::End(end)) => {
                end.status()
            }
            (S::Canceling, T::End(End::Abandoned)) => S::Abandoned,
            (S::Canceling, T::End(_)) => S::Canceled,
            (S::Requested | S::Delayed | S::Scheduled, T::End(End::Failed)) => S::Failed,
            (from, step) => return Err(Illegal { from, step }),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a status; expected one of {}", list())]
pub struct NotAStatus {
    word: String,
}

fn list() -> String {
    STATUSES.iter().map(|status| status.word()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(word: &str) -> Result<Self, NotAStatus> {
        let known = STATUSES.iter().find(|status| status.word() == word);
        known.copied().ok_or_else(|| NotAStatus { word: word.to_owned() })
    }
}

/// What can happen to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The dispatcher may have it.
    Schedule,
    /// It must wait: a retry, a delay, a limit.
    Delay,
    /// An attempt begins.
    Start,
    /// It asks a person.
    Ask,
    /// Somebody wants it to pause.
    Pause,
    /// After a pause was asked for, nothing runs any more.
    Quiet,
    /// Somebody wants it to go on.
    Resume,
    /// Somebody wants it to stop.
    Cancel,
    /// The attempt is over, and no other follows.
    End(End),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Well.
    Succeeded,
    /// Badly.
    Failed,
    /// Out of time.
    TimedOut,
    /// It was told to stop and did.
    Canceled,
    /// Nobody can know.
    Abandoned,
}

impl End {
    /// The status of an execution that ends so.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Succeeded => Status::Succeeded,
            Self::Failed => Status::Failed,
            Self::TimedOut => Status::Timeout,
            Self::Canceled => Status::Canceled,
            Self::Abandoned => Status::Abandoned,
        }
    }
}

/// A move that no execution makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is `{from}` cannot {}", verb(*.step))]
pub struct Illegal {
    /// Where it stands.
    pub from: Status,
    /// What was tried.
    pub step: Step,
}

const fn verb(step: Step) -> &'static str {
    match step {
        Step::Schedule => "be scheduled",
        Step::Delay => "be delayed",
        Step::Start => "start",
        Step::Ask => "ask a person",
        Step::Pause => "be paused",
        Step::Quiet => "come to rest",
        Step::Resume => "be resumed",
        Step::Cancel => "be canceled",
        Step::End(_) => "end",
    }
}

/// One run of an action, with the definition on which it runs: a reload never changes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Its name for ever.
    pub id: ExecutionId,
    /// The action as it was when the execution was accepted.
    pub action: Arc<Action>,
    /// Whether it holds secrets: its parameters, its context or its result. The store seals it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// The parameters that were given, before defaults. Secrets stand in clear here and nowhere else.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub given: Map<String, Value>,
    /// What led to it.
    pub cause: Cause,
    /// How many rules stand between it and the outside, from 0.
    pub hops: u16,
    /// The execution of which it is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ExecutionId>,
    /// Which part of its parent's workflow it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The user in whose name it runs.
    pub user: String,
    /// Where it stands.
    pub status: Status,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Whether an attempt has begun that has not ended: what is paused so is held, and goes on where it
    /// was; what is paused otherwise begins when it is resumed.
    #[serde(default)]
    pub begun: bool,
    /// Where it stands before the policies of its action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// How long one attempt may take, in milliseconds, where the caller said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// When it was accepted.
    pub created: Time,
    /// When its first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// What the last attempt gave: StackStorm's shape for its runner.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Why it stands where it stands, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What holds it while it is paused, by name, and why: it goes on when nothing does any more. Who
    /// gave no name stands under none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, String>,
    /// Every move so far: status and time, oldest first.
    pub log: Vec<(Time, Status)>,
    /// StackStorm's `context`, trace tags among it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
    /// SHA-256 of the secret part of each link with which people may answer it, where it asks them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

/// Where an execution stands before the policies that limit its action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It waits for a place, in the order of this time.
    Waits {
        /// When it came.
        since: Time,
    },
    /// It has its places.
    Has {
        /// Their names.
        gates: Vec<Arc<str>>,
    },
}

/// The place of an execution in the workflow of its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The task's name.
    pub task: Arc<str>,
    /// The way through the graph on which it is, from 0.
    pub route: u32,
    /// The task's position in the sequence of the workflow, from 0.
    pub entry: u32,
    /// Which item of `with`, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// Which of the task's runs, from 0: one that asks first, or tries until something holds, has more.
    #[serde(default)]
    pub turn: u32,
}

/// What may be wanted of executions that are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Start nothing new; let what runs end, or hold it where its runner can.
    Pause,
    /// Go on.
    Resume,
    /// Stop.
    Cancel,
}

impl Wish {
    /// The word in rules, JSON and commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }

    /// Where executions stand that this may be wanted of.
    #[must_use]
    pub const fn applies(self) -> &'static [Status] {
        use Status as S;
        match self {
            Self::Pause => &[
                S::Requested,
                S::Delayed,
                S::Scheduled,
                S::Running,
                S::Pausing,
                S::Paused,
                S::Resuming,
            ],
            Self::Resume => &[S::Pausing, S::Paused],
            Self::Cancel => &[
                S::Requested,
                S::Delayed,
                S::Scheduled,
                S::Running,
                S::Pending,
                S::Pausing,
                S::Paused,
                S::Resuming,
            ],
        }
    }
}

/// Which executions are meant. What is not said may be anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    /// Runs of this action; `*` stands for any letters (`storage.migrate_*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Runs that were given these parameters, perhaps among others.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Under which name they are held, or let go if nothing else holds them. It selects none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
}

/// Bytes that the name of a hold has at most.
pub const HOLD_BYTES: usize = 64;
/// Names under which one execution is held at most; what is more counts as held without a name, which
/// only somebody who lets go of everything ends.
const HOLDS_LIMIT: usize = 16;

impl Selector {
    /// Whether it says nothing about which are meant, and so means every one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.execution.is_none() && self.action.is_none() && self.parameters.is_empty()
    }

    /// Whether an execution is meant.
    #[must_use]
    pub fn selects(&self, execution: &Execution) -> bool {
        let action = execution.action.reference.as_str();
        self.execution.is_none_or(|id| id == execution.id)
            && self.action.as_deref().is_none_or(|pattern| fits(pattern, action))
            && self.parameters.iter().all(|(name, value)| execution.given.get(name) == Some(value))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any letters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Moves kept in an execution's log at most; the oldest but the first are forgotten.
pub const LOG_LIMIT: usize = 64;

impl Execution {
    /// Writes down that it is held, under this name or under none. Says whether that is new.
    pub fn hold(&mut self, name: Option<&str>, why: &str) -> bool {
        let known = self.holds.contains_key(name.unwrap_or_default());
        let full = self.holds.len() >= HOLDS_LIMIT;
        let name = name.filter(|_| known || !full).unwrap_or_default();
        self.holds.insert(name.to_owned(), why.to_owned()).is_none()
    }

    /// Moves it by `step` at `now` and writes that into its log.
    ///
    /// # Errors
    /// `Illegal` where the step does not fit; nothing is changed.
    pub fn step(&mut self, step: Step, now: Time) -> Result<(), Illegal> {
        let next = self.status.after(step)?;
        self.begun = match next {
            Status::Running => true,
            Status::Delayed => false,
            _ if next.is_done() => false,
            // One that an older Ifso had begun says so by its status only.
            _ => self.begun || self.status == Status::Running,
        };
        if !matches!(next, Status::Pausing | Status::Paused) {
            self.holds.clear();
        }
        // Its place goes back when it is over, or waits without having begun.
        let rests = next == Status::Delayed || (next == Status::Paused && !self.begun);
        if rests || next.is_done() {
            self.turn = None;
        }
        self.status = next;
        if next == Status::Running {
            self.started.get_or_insert(now);
        }
        if next.is_done() {
            self.ended = Some(now);
        }
        if self.log.len() >= LOG_LIMIT {
            self.log.remove(1);
        }
        self.log.push((now, next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step::Schedule,
        Step::Delay,
        Step::Start,
        Step::Ask,
        Step::Pause,
        Step::Quiet,
        Step::Resume,
        Step::Cancel,
        Step::End(End::Succeeded),
        Step::End(End::Failed),
        Step::End(End::TimedOut),
        Step::End(End::Canceled),
        Step::End(End::Abandoned),
    ];

    #[test]
    fn done_is_final() {
        for status in STATUSES.iter().filter(|status| status.is_done()) {
            for step in STEPS {
                assert!(status.after(*step).is_err(), "{status} moved by {step:?}");
            }
        }
    }

    #[test]
    fn whatever_is_not_done_can_be_ended_by_canceling() {
        for status in STATUSES.iter().filter(|status| !status.is_done()) {
            let canceled = status.after(Step::Cancel).unwrap();
            let end = canceled.after(Step::End(End::Failed)).unwrap_or(canceled);
            assert_eq!(end, Status::Canceled, "from {status}");
        }
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, text, is) in [
            ("storage.grow", "storage.grow", true),
            ("storage.grow", "storage.grown", false),
            ("storage.*", "storage.grow", true),
            ("*", "a.b", true),
            ("s*e.*w", "storage.grow", true),
            ("s*x*w", "storage.grow", false),
            ("*aa", "a", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn every_word_reads_back() {
        for status in STATUSES {
            assert_eq!(status.word().parse::<Status>().unwrap(), *status);
        }
    }
}
