//! Sensors that are driven by HTTP. A sensor opens a hook under a name while it runs; the API hands
//! each delivery to the hook of that name and sends back its answer. This room knows no HTTP server:
//! a delivery is headers and bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::intake::{Outcome, Refusal};
use crate::model::problem::nearest;
use crate::model::reference::Reference;
use crate::sensors::Error;
use crate::store;

/// One HTTP request to a hook. The method is POST.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its headers.
    pub headers: HeaderMap,
    /// What stood after the question mark.
    pub query: Option<String>,
    /// Its raw bytes: signatures are over these.
    pub body: Bytes,
    /// The user whose API key came with it, where it was a good one.
    pub authenticated: Option<String>,
}

/// What the caller is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
    /// When to come again, for `Retry-After`.
    pub retry_after_seconds: Option<u64>,
}

impl Answer {
    /// A refusal in the API's shape: what, and the next step.
    #[must_use]
    pub fn refusal(status: u16, code: &str, what: &str, help: &str) -> Self {
        let body = json!({ "faultstring": what, "code": code, "help": help });
        Self { status, body, retry_after_seconds: None }
    }

    /// What became of the reports of one delivery: 202 after the commit.
    #[must_use]
    pub fn outcomes(outcomes: &[Outcome]) -> Self {
        let (mut events, mut duplicates, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted(id) => events.push(id.to_string()),
                Outcome::Duplicate(id) => duplicates.push(id.map(|id| id.to_string())),
                Outcome::Refused(reason) => refused.push(reason.as_str()),
            }
        }
        let status = if refused.is_empty() || !events.is_empty() { 202 } else { 400 };
        let mut body = json!({ "events": events, "duplicates": duplicates, "refused": refused });
        if status == 400 {
            body["faultstring"] = json!(refused.join("; "));
            body["code"] = json!("event_refused");
            body["help"] = json!("send what the trigger's payload schema describes");
        }
        Self { status, body, retry_after_seconds: None }
    }

    /// A hook that will be there: to be sent again, unlike what is sent to a name that nobody knows.
    /// Alertmanager drops what is answered with 404.
    fn later(code: &str, what: &str, help: &str) -> Self {
        Self { retry_after_seconds: Some(1), ..Self::refusal(503, code, what, help) }
    }

    /// Why nothing was taken in, and when to come again.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        let (status, code, help, wait) = match refusal {
            Refusal::Busy => (429, "busy", "send it again after the time in `Retry-After`", 1),
            Refusal::Stopping => (503, "stopping", "send it again when Ifso is back", 5),
            Refusal::Store(store::Error::Full { .. }) => {
                (507, "disk_full", "free some space; Ifso accepts events again by itself", 30)
            }
            Refusal::Store(_) => {
                (503, "store", "send it again; `ifso doctor` looks at the store", 5)
            }
        };
        let mut what = refusal.to_string();
        if let Refusal::Store(error) = refusal {
            what = format!("{what}: {error}");
        }
        Self { retry_after_seconds: Some(wait), ..Self::refusal(status, code, &what, help) }
    }
}

/// What a sensor does with a delivery.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Takes one delivery and answers after the commit.
    async fn receive(&self, delivery: Delivery) -> Answer;

    /// The largest body that it takes, in bytes.
    fn limit_bytes(&self) -> usize {
        BODY_LIMIT_BYTES
    }
}

/// The largest body of a delivery, in bytes, unless the hook says otherwise.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// The largest notification of alerts, in bytes. Alertmanager puts a whole group into one, some 450
/// bytes for each alert, and drops what is answered with 413.
pub const ALERTS_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The version of Alertmanager's API that a client posts alerts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertsVersion {
    /// `POST /api/v1/alerts`: delfin, and Prometheus before 2.0.
    V1,
    /// `POST /api/v2/alerts`: Prometheus.
    V2,
}

#[derive(Clone)]
struct Entry {
    sensor: Reference,
    hook: Arc<dyn Hook>,
}

/// What is known of the hooks that should be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody has said yet which sensors there are.
    #[default]
    Starting,
    /// Every hook that a sensor will open is awaited or open.
    Known,
    /// The sensors are ending, and their hooks with them.
    Stopping,
}

#[derive(Default)]
struct Board {
    phase: Phase,
    open: BTreeMap<String, Entry>,
    /// The hooks of every sensor that is there, whether it runs, waits or stopped; a name may stand
    /// here more than once while a sensor is replaced.
    awaited: Vec<(String, Reference)>,
}

/// The open hooks. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Hooks {
    board: Arc<RwLock<Board>>,
}

/// The name under which the receiver of `POST /api/v2/alerts` is open. No webhook can have it: their
/// names have no leading slash.
pub(crate) const ALERTS: &str = "/alerts";

impl Hooks {
    /// No hooks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands `delivery` to the hook `name` (slashes at its ends do not count) and gives its answer.
    ///
    /// Cancel-safe: a delivery that was handed to intake is taken in, answered or not.
    pub async fn deliver(&self, name: &str, delivery: Delivery) -> Answer {
        let name = name.trim_matches('/');
        match self.find(name) {
            Some(hook) => hook.receive(delivery).await,
            None => self.later(name).unwrap_or_else(|| self.unknown(name)),
        }
    }

    /// The largest body that the hook `name` takes, in bytes. Where it is not open yet, the largest of
    /// any: the caller is to be told to come again, not to send less.
    #[must_use]
    pub fn limit_bytes(&self, name: &str) -> usize {
        let name = name.trim_matches('/');
        match self.find(name) {
            Some(hook) => hook.limit_bytes(),
            None if self.later(name).is_some() => ALERTS_LIMIT_BYTES,
            None => BODY_LIMIT_BYTES,
        }
    }

    /// Takes alerts as Alertmanager itself would: Prometheus and delfin can be pointed here.
    ///
    /// Cancel-safe: as `deliver`.
    pub async fn alerts(&self, version: AlertsVersion, delivery: Delivery) -> Answer {
        let Some(hook) = self.find(ALERTS) else {
            let unknown = || {
                Answer::refusal(
                    404,
                    "no_alert_sensor",
                    "no sensor takes alerts",
                    "add `sensors/alertmanager.yaml` with `kind: alertmanager` (and `ingest: true`)",
                )
            };
            return self.later(ALERTS).unwrap_or_else(unknown);
        };
        let mut answer = hook.receive(delivery).await;
        // Both APIs say 200 to what they took; version 1 wraps its answer.
        if answer.status == 202 {
            answer.status = 200;
            if version == AlertsVersion::V1 {
                answer.body["status"] = json!("success");
            }
        }
        answer
    }

    /// The names of the open hooks, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.read().open.keys().filter(|name| !name.starts_with('/')).cloned().collect()
    }

    /// The paths of the API at which `sensor` listens now, in order.
    #[must_use]
    pub fn paths(&self, sensor: &Reference) -> Vec<String> {
        let board = self.read();
        let own = board.open.iter().filter(|(_, entry)| entry.sensor == *sensor);
        let mut paths: Vec<String> = own
            .map(|(name, _)| match name.as_str() {
                ALERTS => "/api/v2/alerts".to_owned(),
                name => format!("/api/v1/webhooks/{name}"),
            })
            .collect();
        paths.sort();
        paths
    }

    /// Opens a hook until the returned guard is dropped.
    ///
    /// # Errors
    /// `Stop` where another sensor has that name open.
    pub fn open(&self, name: &str, sensor: &Reference, hook: Arc<dyn Hook>) -> Result<Open, Error> {
        let mut board = self.write();
        if let Some(entry) = board.open.get(name) {
            let what = format!(
                "webhook `{name}` is open already, by sensor `{}`; give one of them another `name`",
                entry.sensor
            );
            return Err(Error::Stop { what });
        }
        board.open.insert(name.to_owned(), Entry { sensor: sensor.clone(), hook });
        Ok(Open { hooks: self.clone(), name: name.to_owned() })
    }

    /// As `open`, for what `alerts` delivers.
    ///
    /// # Errors
    /// `Stop` where another sensor takes alerts.
    pub fn open_alerts(&self, sensor: &Reference, hook: Arc<dyn Hook>) -> Result<Open, Error> {
        self.open(ALERTS, sensor, hook).map_err(|_| Error::Stop {
            what:
                "another sensor takes `POST /api/v2/alerts` already; write `ingest: false` in one \
                   of them"
                    .to_owned(),
        })
    }

    /// Awaits the hooks `names` of `sensor` until the returned guard is dropped: while one of them is
    /// not open, its callers are asked to come again.
    pub(crate) fn awaits(&self, names: Vec<String>, sensor: &Reference) -> Awaited {
        self.write().awaited.extend(names.iter().map(|name| (name.clone(), sensor.clone())));
        Awaited { hooks: self.clone(), names, sensor: sensor.clone() }
    }

    /// From now on every hook that a sensor will open is awaited: a name that is not is nobody's.
    pub fn known(&self) {
        self.write().phase = Phase::Known;
    }

    /// The sensors are about to end: what finds no hook any more is to come again.
    pub(crate) fn stopping(&self) {
        self.write().phase = Phase::Stopping;
    }

    /// The answer where `name` is not open but will be, or may be.
    fn later(&self, name: &str) -> Option<Answer> {
        let board = self.read();
        let help = "send it again after the time in `Retry-After`";
        match (board.phase, board.awaited.iter().find(|(awaited, _)| awaited == name)) {
            (Phase::Starting, _) => Some(Answer::later("starting", "Ifso is starting", help)),
            (Phase::Stopping, _) => Some(Answer::later("stopping", "Ifso is stopping", help)),
            (Phase::Known, Some((_, sensor))) => {
                let what = format!("sensor `{sensor}` is not listening yet");
                let help = format!("{help}; `ifso sensor show {sensor}` says what it waits for");
                Some(Answer::later("starting", &what, &help))
            }
            (Phase::Known, None) => None,
        }
    }

    fn find(&self, name: &str) -> Option<Arc<dyn Hook>> {
        self.read().open.get(name).map(|entry| Arc::clone(&entry.hook))
    }

    fn read(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Board> {
        self.board.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self, name: &str) -> Answer {
        let names = self.names();
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "add a sensor with `kind: webhook` and this `name`, or see `ifso sensor list`"
                .to_owned(),
        };
        Answer::refusal(
            404,
            "unknown_webhook",
            &format!("no sensor listens on webhook `{name}`"),
            &help,
        )
    }
}

/// An open hook; closed when dropped.
#[must_use = "the hook closes when this is dropped"]
pub struct Open {
    hooks: Hooks,
    name: String,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hooks.write().open.remove(&self.name);
    }
}

/// The hooks of a sensor that is there; awaited no more when dropped.
#[must_use = "the hooks are awaited no more when this is dropped"]
pub(crate) struct Awaited {
    hooks: Hooks,
    names: Vec<String>,
    sensor: Reference,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut board = self.hooks.write();
        for name in &self.names {
            let one =
                |(awaited, sensor): &(String, Reference)| awaited == name && *sensor == self.sensor;
            if let Some(place) = board.awaited.iter().position(one) {
                board.awaited.remove(place);
            }
        }
    }
}
