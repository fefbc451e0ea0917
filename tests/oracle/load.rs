//! What the outside sends while the engine is killed: three senders, each of its own kind.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::chance::Chance;
use super::http::{Fate, Request};
use super::ledger::Ledger;

/// The pause between two events of one sender.
const PACE_MS: (u64, u64) = (20, 100);

/// Senders at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

/// The words of the ledger *sent*: `<uid> <word>`.
pub(crate) const ACCEPTED: &str = "accepted";
/// Nobody knows: it may be there, whole, or not.
pub(crate) const UNKNOWN: &str = "unknown";
/// It was said that it was not taken.
pub(crate) const REFUSED: &str = "refused";

impl Load {
    /// Starts the senders. `key` is empty until there is one.
    pub(crate) fn start(
        to: SocketAddr,
        key: &Arc<Mutex<String>>,
        sent: &Path,
        chance: &mut Chance,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Ledger::open(sent));
        let kinds: [fn(&Sender, &str); 3] = [Sender::with_id, Sender::webhook, Sender::twice];
        let start = |(number, kind): (usize, fn(&Sender, &str))| {
            let sender = Sender {
                to,
                key: Arc::clone(key),
                ledger: Arc::clone(&ledger),
                stop: Arc::clone(&stop),
            };
            let mut chance = Chance::new(chance.next());
            std::thread::spawn(move || {
                for count in 0.. {
                    if sender.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    kind(&sender, &format!("s{number}-{count}"));
                    // The pace of a sender, not a wait for anything.
                    std::thread::sleep(chance.millis(PACE_MS.0, PACE_MS.1));
                }
            })
        };
        Self { senders: kinds.into_iter().enumerate().map(start).collect(), stop }
    }

    /// Stops them; each ends what it has begun, so the engine has to run.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders {
            sender.join().expect("a sender does not fail");
        }
    }
}

struct Sender {
    to: SocketAddr,
    key: Arc<Mutex<String>>,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
}

impl Sender {
    /// An event with an id of its own: sent again until it is accepted, so it must be there once.
    fn with_id(&self, uid: &str) {
        while !self.post_event(uid) {
            if self.stop.load(Ordering::Relaxed) {
                // It may have been accepted by an answer that was lost.
                self.ledger.write(&format!("{uid} {UNKNOWN}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.ledger.write(&format!("{uid} {ACCEPTED}"));
    }

    /// The same, and sent once more after it was accepted.
    fn twice(&self, uid: &str) {
        self.with_id(uid);
        self.post_event(uid);
    }

    /// A webhook without an id: sent once, and what is not known stays unknown.
    fn webhook(&self, uid: &str) {
        let body = format!(r#"{{"uid":"{uid}"}}"#);
        let request = Request {
            method: "POST",
            path: "/api/v1/webhooks/oracle",
            headers: &[("Content-Type", "application/json")],
            body: &body,
        };
        let word = match request.send(self.to) {
            Fate::Answered(answer) if answer.is_success() => ACCEPTED,
            Fate::Answered(answer) if answer.status < 500 => REFUSED,
            Fate::Answered(_) | Fate::Unknown => UNKNOWN,
            Fate::NotSent => return,
        };
        self.ledger.write(&format!("{uid} {word}"));
    }

    fn post_event(&self, uid: &str) -> bool {
        post_event(self.to, &self.key.lock().unwrap().clone(), uid)
    }
}

/// Reports one event under an id of its own; says whether it was accepted.
pub(crate) fn post_event(to: SocketAddr, key: &str, uid: &str) -> bool {
    let bearer = format!("Bearer {key}");
    let event = json!({
        "specversion": "1.0",
        "type": "oracle.event",
        "source": "oracle",
        "id": uid,
        "data": { "uid": uid },
    });
    let request = Request {
        method: "POST",
        path: "/api/v1/events",
        headers: &[("Content-Type", "application/cloudevents+json"), ("Authorization", &bearer)],
        body: &event.to_string(),
    };
    match request.send(to) {
        Fate::Answered(answer) => answer.is_success(),
        Fate::NotSent | Fate::Unknown => false,
    }
}
