//! The list of tables: what is remembered, under which key, with which indexes, and how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::event::Event;
use crate::model::event::Report;
use crate::model::execution::{Execution, Selector, Status, Wish};
use crate::model::id::{ExecutionId, KeyId, RecordId};
use crate::model::incident::{Incident, State, Word};
use crate::model::key::KeyValue;
use crate::model::memory::Memory;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Ending};
use crate::model::time::Time;
use crate::model::workflow::Order;
use crate::store::people::{Token, Used, User};
use crate::store::queue::Ticket;
use crate::store::table::{self, Row, decode};
use crate::store::{Error, Key};

/// Every table, and how long its records are kept unless the configuration says otherwise; nothing:
/// until somebody removes them. A backend makes them all when it makes its file.
pub const TABLES: &[(&str, Option<Duration>)] = &[
    ("meta", None),
    ("positions", None),
    ("seen", Some(DAY)),
    ("requests", Some(DAY)),
    ("blocks", Some(Duration::from_hours(7 * 24))),
    ("memories", None),
    ("counts", None),
    ("executions", Some(Duration::from_hours(30 * 24))),
    ("executions_index", None),
    ("definitions", None),
    // Goes with its execution.
    ("flows", None),
    // Goes when it no longer counts.
    ("taken", None),
    // Goes with its execution too.
    ("progress", None),
    // What is over goes after its time; see `retention`.
    ("incidents", Some(Duration::from_hours(365 * 24))),
    ("incidents_index", None),
    ("outputs", Some(Duration::from_hours(30 * 24))),
    ("tickets", None),
    ("tickets_index", None),
    ("dead_letters", Some(Duration::from_hours(30 * 24))),
    ("keys", None),
    ("api_keys", None),
    ("users", None),
    // Each goes when its time is over.
    ("tokens", None),
    // Goes with its key or its user.
    ("used", None),
];

const DAY: Duration = Duration::from_hours(24);

/// The index entries of the row that stands under `key`; nothing for tables whose rows other rooms
/// read.
///
/// # Errors
/// `Damaged` where it is no row of its table.
pub fn entries(table: &str, key: &[u8], content: &[u8]) -> Result<Vec<Key>, Error> {
    fn of<R: Row>(key: &[u8], content: &[u8]) -> Result<Vec<Key>, Error> {
        decode::<R>(key, content).map(|row| table::entries(&row).collect())
    }
    match table {
        "positions" => of::<Position>(key, content),
        "seen" => of::<Seen>(key, content),
        "memories" => of::<Remembered>(key, content),
        "counts" => of::<Count>(key, content),
        "executions" => of::<Execution>(key, content),
        "definitions" => of::<Definition>(key, content),
        "incidents" => of::<Incident>(key, content),
        "outputs" => of::<Output>(key, content),
        "progress" => of::<Progress>(key, content),
        "tickets" => of::<Ticket>(key, content),
        "dead_letters" => of::<DeadLetter>(key, content),
        "keys" => of::<KeyValue>(key, content),
        "api_keys" => of::<ApiKey>(key, content),
        "users" => of::<User>(key, content),
        "tokens" => of::<Token>(key, content),
        "used" => of::<Used>(key, content),
        _ => Ok(Vec::new()),
    }
}

/// How far a stream has been taken in: the exactly-once of every ordered source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The stream (`model::event::Origin`).
    pub stream: Arc<str>,
    /// The last place taken in; whatever stands at or before it is a duplicate.
    pub at: i64,
    /// When it was moved.
    pub moved: Time,
}

impl Row for Position {
    const TABLE: &'static str = "positions";

    fn key(&self) -> Vec<u8> {
        self.stream.as_bytes().to_vec()
    }
}

/// A key under which an event was reported once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The key.
    pub once: String,
    /// The event that it became.
    pub event: crate::model::id::EventId,
    /// When; it is forgotten a day later.
    pub at: Time,
}

impl Row for Seen {
    const TABLE: &'static str = "seen";

    fn key(&self) -> Vec<u8> {
        self.once.as_bytes().to_vec()
    }
}

/// Kept events and what the rules made of them: one record per batch, compressed.
/// The key is the id of its first event; ids in a block only grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// What the rules that matched or failed decided.
    pub decisions: Vec<Decision>,
    /// For each event, the rules that said no, as positions in `rules`: in blocks of before rules were
    /// found by an index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Vec<u32>>,
    /// The names of those rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Reference>,
    /// Which set of rules was asked: the catalog's generation in this process.
    pub version: Arc<str>,
}

/// A request that was made once, under a key of the caller's (`Idempotency-Key`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The caller's key.
    pub once: String,
    /// A hash of what was asked: the same key with another request is a mistake.
    pub digest: String,
    /// The execution that it became.
    pub execution: ExecutionId,
    /// When; it is forgotten a day later.
    pub at: Time,
}

impl Row for Requested {
    const TABLE: &'static str = "requests";

    fn key(&self) -> Vec<u8> {
        self.once.as_bytes().to_vec()
    }
}

/// What a rule remembers under one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The rule.
    pub rule: Reference,
    /// The key (`per`); empty where the rule has none.
    pub key: String,
    /// What.
    pub memory: Memory,
}

impl Remembered {
    /// The store's key of a rule's memory under `key`.
    #[must_use]
    pub fn store_key(rule: &Reference, key: &str) -> Vec<u8> {
        [rule.as_str().as_bytes(), &[0], key.as_bytes()].concat()
    }
}

impl Row for Remembered {
    const TABLE: &'static str = "memories";

    fn key(&self) -> Vec<u8> {
        Self::store_key(&self.rule, &self.key)
    }
}

/// How often a rule decided what, since it exists; or, under `on` and a trigger, how many events came
/// of it and how many rules were asked about them. Never sampled, never lost with the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The rule's reference, or `on` and the trigger's.
    pub rule: String,
    /// Decisions by verdict; `events` and `asked` for a trigger.
    pub verdicts: BTreeMap<String, u64>,
    /// When it last fired.
    pub last_fired: Option<Time>,
    /// The last error it made, with its place.
    pub last_error: Option<String>,
}

impl Count {
    /// The name of a trigger's counts; no rule has one with a space.
    #[must_use]
    pub fn of_trigger(trigger: &Reference) -> String {
        format!("on {trigger}")
    }
}

impl Row for Count {
    const TABLE: &'static str = "counts";

    fn key(&self) -> Vec<u8> {
        self.rule.as_bytes().to_vec()
    }
}

impl Row for Execution {
    const TABLE: &'static str = "executions";
    const INDEX: &'static str = "executions_index";

    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }

    fn entries(&self) -> Vec<(&'static str, Vec<u8>)> {
        use crate::model::cause::Cause;
        let mut entries = vec![
            ("status", self.status.word().into()),
            ("action", self.action.reference.as_str().into()),
        ];
        if let Some(parent) = self.parent {
            entries.push(("parent", parent.to_bytes().to_vec()));
            if !self.status.is_done() {
                entries.push((OPEN_UNDER, parent.to_bytes().to_vec()));
            } else if self.status != Status::Succeeded {
                entries.push((FAILED_UNDER, parent.to_bytes().to_vec()));
            }
        }
        if self.turn.is_some() {
            entries.push((TURN, Vec::new()));
        }
        if let Cause::Rule { rule, event, .. } = &self.cause {
            entries.push(("rule", rule.as_str().into()));
            entries.push(("event", event.to_bytes().to_vec()));
        }
        entries
    }
}

/// The index entry of an execution that is part of another one and not over: to pause or cancel a
/// workflow, only those are looked at.
pub const OPEN_UNDER: &str = "open_under";

/// The index entry of an execution that has a place before a policy, or waits for one.
pub const TURN: &str = "turn";

impl Row for Incident {
    const TABLE: &'static str = "incidents";
    const INDEX: &'static str = "incidents_index";

    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }

    fn entries(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut entries = vec![
            ("key", self.failure.key.as_bytes().to_vec()),
            ("state", self.state.word().into()),
        ];
        if self.state != State::Resolved || self.waits() {
            entries.push((LIVE, Vec::new()));
        }
        entries.extend(self.links.iter().map(|link| (LINK, link.hash.as_bytes().to_vec())));
        if let Some(group) = self.failure.group.as_ref().filter(|_| self.waits()) {
            entries.push((WAITS, group.as_bytes().to_vec()));
        }
        let under_way = self.told.iter().filter(|told| told.arrived.is_none());
        let mut under_way: Vec<ExecutionId> = under_way.filter_map(|told| told.execution).collect();
        under_way.sort_unstable();
        under_way.dedup();
        entries.extend(under_way.into_iter().map(|id| (TELLS, id.to_bytes().to_vec())));
        entries
    }
}

/// The index entry of an incident under a link that was sent.
pub const LINK: &str = "link";

/// The index entry of an incident that is not over, or of whose end is still to be told.
pub const LIVE: &str = "live";

/// The index entry of an incident, under its group, of which something is to be told.
pub const WAITS: &str = "waits";

/// The index entry of an incident under an execution that tells of it.
pub const TELLS: &str = "tells";

/// One start that counts for a policy's rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// What the starts are counted under.
    pub gate: Arc<str>,
    /// When it was.
    pub at: Time,
    /// What started.
    pub execution: ExecutionId,
}

impl Row for Taken {
    const TABLE: &'static str = "taken";

    fn key(&self) -> Vec<u8> {
        let at = self.at.millis().to_be_bytes();
        [self.gate.as_bytes(), &[0], &at, &self.execution.to_bytes()].concat()
    }
}
/// The index entry of an execution that is part of another one and did not end well: among ten thousand
/// items, whoever watches wants those.
pub const FAILED_UNDER: &str = "failed_under";

/// A workflow's definition, as long as the store lives: executions name it by its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// SHA-256 of the definition, as text.
    pub hash: Arc<str>,
    /// The definition, in Orquesta's form.
    pub definition: Arc<Value>,
}

impl Row for Definition {
    const TABLE: &'static str = "definitions";

    fn key(&self) -> Vec<u8> {
        self.hash.as_bytes().to_vec()
    }
}

/// A piece of an execution's output, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Whose.
    pub execution: ExecutionId,
    /// Counts the execution's pieces from 0.
    pub number: u32,
    /// The attempt that wrote it, from 1.
    pub attempt: u32,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// When it arrived.
    pub at: Time,
    /// Whole lines where possible; secrets are struck out before they come here.
    pub text: String,
}

impl Row for Output {
    const TABLE: &'static str = "outputs";

    fn key(&self) -> Vec<u8> {
        [self.execution.to_bytes().as_slice(), &self.number.to_be_bytes()].concat()
    }
}

/// How far an attempt says that it is: the latest word of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whose.
    pub execution: ExecutionId,
    /// The attempt that said it, from 1; a later attempt has its own.
    pub attempt: u32,
    /// From 0 to 1.
    pub progress: f64,
    /// What it says beside, cut at some hundred characters.
    pub message: Option<String>,
    /// When.
    pub at: Time,
}

impl Row for Progress {
    const TABLE: &'static str = "progress";

    fn key(&self) -> Vec<u8> {
        self.execution.to_bytes().to_vec()
    }
}

/// An input that could not become an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its name.
    pub id: RecordId,
    /// The sensor that read it.
    pub sensor: String,
    /// Where it stood (`topic/partition@offset`, a file, an address).
    pub from: String,
    /// Why it is here.
    pub reason: String,
    /// What it was, cut at 64 KiB; bytes that are no UTF-8 are replaced.
    pub content: String,
    /// When it came.
    pub at: Time,
}

impl Row for DeadLetter {
    const TABLE: &'static str = "dead_letters";

    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}

impl Row for KeyValue {
    const TABLE: &'static str = "keys";

    fn key(&self) -> Vec<u8> {
        [self.scope.as_bytes(), &[0], self.name.as_bytes()].concat()
    }
}

/// An API key: its secret is kept as SHA-256 only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name; the part of the key before the dot.
    pub id: KeyId,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// In whose name calls with it are made.
    pub user: String,
    /// What it may do; `admin` may everything.
    pub role: String,
    /// What it may do of some things only: grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// Whether it works.
    pub enabled: bool,
    /// When it was made.
    pub created: Time,
    /// When it ends.
    pub expires: Option<Time>,
    /// Free words.
    pub metadata: Value,
}

impl Row for ApiKey {
    const TABLE: &'static str = "api_keys";

    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}

/// What waits in a queue (`store::queue`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// An execution to dispatch, or one whose dispatcher's lease ran out.
    Dispatch(ExecutionId),
    /// A workflow to look at: it begins, somebody wants something of it, or its time has come.
    Conduct(ExecutionId),
    /// An execution that is part of a workflow has moved.
    Moved(ExecutionId),
    /// What a person wants of a workflow that stands still.
    Order(ExecutionId, Order),
    /// What a rule wants of executions that are under way.
    Steer {
        /// What.
        wish: Wish,
        /// Of which.
        selector: Selector,
        /// Who wants it.
        why: String,
    },
    /// An event that was made inside and waits to be taken in.
    Report(Box<Report>),
    /// The end of an execution that a rule started and waits for.
    Ended(Box<Ending>),
    /// Something for whoever keeps incidents.
    Incident(Box<Word>),
}
