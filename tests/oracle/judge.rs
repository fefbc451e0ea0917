//! The verdict, from ledgers alone: what was sent, what was done, and what the program claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::engine::Site;
use super::ledger;
use super::load::{ACCEPTED, REFUSED, UNKNOWN};

/// How long what was accepted may take to be over.
const QUIET: Duration = Duration::from_mins(1);

/// What the program says of one execution.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Its id.
    pub(crate) id: String,
    /// The action.
    pub(crate) action: String,
    /// The uid of the event that led to it.
    pub(crate) uid: String,
    /// Where it stands.
    pub(crate) status: String,
}

impl Claim {
    /// Reads one execution as the API shows it.
    pub(crate) fn read(execution: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&execution["id"]),
            action: text(&execution["action"]["ref"]),
            uid: text(&execution["parameters"]["uid"]),
            status: text(&execution["status"]),
        }
    }

    /// Whether nothing moves it again.
    pub(crate) fn is_done(&self) -> bool {
        const DONE: &[&str] = &["succeeded", "failed", "timeout", "canceled", "abandoned"];
        DONE.contains(&self.status.as_str())
    }
}

/// What a workflow's task without an action runs; it has no uid.
const NOTHING: &str = "core.noop";
/// A workflow, and what its tasks add to its uid.
const FLOW: &str = "oracle.flow";
const TASKS: [&str; 3] = ["left", "right", "joined"];

/// The event behind a uid: a task's is its workflow's.
fn event(uid: &str) -> &str {
    uid.split_once('/').map_or(uid, |(event, _)| event)
}

/// The three ledgers.
#[derive(Default)]
pub(crate) struct Evidence {
    /// Sent: uid and word, the last word of a uid counts.
    pub(crate) sent: Vec<(String, String)>,
    /// Done: for each execution its lines, attempt and uid.
    pub(crate) effects: BTreeMap<String, Vec<(String, String)>>,
    /// Claimed.
    pub(crate) claims: Vec<Claim>,
}

impl Evidence {
    /// Waits until every execution is over, at most `QUIET`, and collects the ledgers; says how long
    /// that took.
    pub(crate) fn gather(site: &Site, sent: &Path) -> (Self, Duration) {
        let (claims, waited) = settled(site);
        let pair = |line: Vec<String>| (line[0].clone(), line[1].clone());
        let sent = ledger::lines(sent).into_iter().map(pair).collect();
        (Self { sent, effects: ledger::effects(&site.home.join("effects")), claims }, waited)
    }
}

/// Waits until every execution is over, at most `QUIET`; gives them and the time that it took.
fn settled(site: &Site) -> (Vec<Claim>, Duration) {
    let begun = Instant::now();
    loop {
        let claims = claims(site);
        if begun.elapsed() > QUIET || claims.iter().all(Claim::is_done) {
            return (claims, begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// All executions, page by page.
fn claims(site: &Site) -> Vec<Claim> {
    const PAGE: usize = 100;
    let mut claims = Vec::new();
    for page in 0.. {
        let found = site.get(&format!("/api/v1/executions?limit={PAGE}&offset={}", page * PAGE));
        let found = found.as_array().expect("a list is an array");
        claims.extend(found.iter().map(Claim::read));
        if found.len() < PAGE {
            break;
        }
    }
    claims
}

/// The actions that may run again when nobody knows how an attempt ended; all others may not.
pub(crate) const REPEATABLE: &str = "oracle.note_again";
/// The step of the schedule in `home/sensors/tick.yaml`.
const TICK_MS: i64 = 500;

/// What does not fit: each list names what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Events that were accepted.
    pub(crate) accepted: usize,
    /// Points of the schedule that led to an execution.
    pub(crate) ticks: usize,
    /// Executions that ended well.
    pub(crate) succeeded: usize,
    /// Accepted without an execution, or a success without its effect.
    pub(crate) lost: Vec<String>,
    /// More than one execution of an event, or more than one effect where one was promised.
    pub(crate) duplicate: Vec<String>,
    /// Not over.
    pub(crate) stuck: Vec<String>,
    /// An execution or an effect of what was never sent, or refused.
    pub(crate) phantom: Vec<String>,
    /// Over, and not well.
    pub(crate) unwell: Vec<String>,
}

impl Verdict {
    /// Judges.
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let mut verdict = Self::default();
        let words: BTreeMap<&str, &str> =
            evidence.sent.iter().map(|(uid, word)| (uid.as_str(), word.as_str())).collect();
        let mut by_uid: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
        for claim in evidence.claims.iter().filter(|claim| claim.action != NOTHING) {
            by_uid.entry(&claim.uid).or_default().push(claim);
        }
        for (uid, word) in &words {
            let executions = by_uid.get(uid).map_or(0, Vec::len);
            verdict.accepted += usize::from(*word == ACCEPTED);
            match (*word, executions) {
                (ACCEPTED, 0) => verdict.lost.push(format!("{uid} was accepted and never ran")),
                (ACCEPTED, 1) | (UNKNOWN, 0 | 1) | (REFUSED, 0) => {}
                (REFUSED, _) => verdict.phantom.push(format!("{uid} was refused and ran")),
                (_, many) => verdict.duplicate.push(format!("{uid} has {many} executions")),
            }
        }
        for claim in evidence.claims.iter().filter(|claim| claim.action == FLOW) {
            verdict.tasks(claim, &by_uid);
        }
        for claim in evidence.claims.iter().filter(|claim| claim.action != NOTHING) {
            if !claim.uid.starts_with("tick-") && !words.contains_key(event(&claim.uid)) {
                verdict.phantom.push(format!("{} is of {}, never sent", claim.id, claim.uid));
            }
            verdict.weigh(claim, evidence.effects.get(&claim.id).map_or(&[], Vec::as_slice));
        }
        verdict.ticks(&by_uid);
        verdict.strangers(evidence);
        verdict
    }

    /// One execution against what it did.
    fn weigh(&mut self, claim: &Claim, effects: &[(String, String)]) {
        let Claim { id, action, uid, status } = claim;
        if !claim.is_done() {
            self.stuck.push(format!("{id} ({uid}) is {status}"));
        } else if status == "succeeded" {
            self.succeeded += 1;
        } else {
            self.unwell.push(format!("{id} ({uid}) is {status}"));
        }
        match effects.len() {
            0 if action == FLOW => {}
            0 if status == "succeeded" => {
                self.lost.push(format!("{id} ({uid}) succeeded without effect"));
            }
            0 | 1 => {}
            many if action != REPEATABLE => {
                self.duplicate.push(format!("{id} ({uid}) of {action} has {many} effects"));
            }
            many => {
                let attempts: BTreeSet<_> = effects.iter().map(|(attempt, _)| attempt).collect();
                if attempts.len() != many {
                    self.duplicate.push(format!("{id} ({uid}): an attempt has two effects"));
                }
            }
        }
        if let Some((_, other)) = effects.iter().find(|(_, other)| other != uid) {
            self.phantom.push(format!("{id} is of {uid} and did {other}"));
        }
    }

    /// A workflow that ended well did each of its tasks, in one execution.
    fn tasks(&mut self, flow: &Claim, by_uid: &BTreeMap<&str, Vec<&Claim>>) {
        for task in TASKS {
            let uid = format!("{}/{task}", flow.uid);
            match by_uid.get(uid.as_str()).map_or(0, Vec::len) {
                0 if flow.status == "succeeded" => self.lost.push(format!("{uid} never ran")),
                0 | 1 => {}
                many => self.duplicate.push(format!("{uid} has {many} executions")),
            }
        }
    }

    /// Each point of the schedule makes one execution, from the first to the last.
    fn ticks(&mut self, by_uid: &BTreeMap<&str, Vec<&Claim>>) {
        let mut last: Option<i64> = None;
        for (uid, claims) in by_uid {
            let Some(time) = uid.strip_prefix("tick-") else { continue };
            let time: jiff::Timestamp = time.parse().expect("a tick has a time");
            let (at, before) = (time.as_millisecond(), last.replace(time.as_millisecond()));
            self.ticks += 1;
            if claims.len() > 1 {
                self.duplicate.push(format!("{uid} has {} executions", claims.len()));
            }
            if before.is_some_and(|before| at - before != TICK_MS) {
                self.lost.push(format!("ticks before {uid}"));
            }
        }
    }

    /// Effects of executions that the program does not know.
    fn strangers(&mut self, evidence: &Evidence) {
        let known: BTreeSet<&str> = evidence.claims.iter().map(|claim| claim.id.as_str()).collect();
        for id in evidence.effects.keys().filter(|id| !known.contains(id.as_str())) {
            self.phantom.push(format!("{id} did something and is unknown"));
        }
    }

    /// Whether every promise was kept.
    pub(crate) fn is_good(&self) -> bool {
        [&self.lost, &self.duplicate, &self.stuck, &self.phantom].iter().all(|list| list.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {} ticks {} succeeded {} {} lost {} duplicate {} stuck {} phantom {} unwell",
            self.accepted,
            self.ticks,
            self.succeeded,
            self.lost.len(),
            self.duplicate.len(),
            self.stuck.len(),
            self.phantom.len(),
            self.unwell.len()
        )
    }
}

/// An oracle that cannot say no is worth nothing: each wrong is planted and must be found.
mod planted {
    use super::*;

    fn claim(id: &str, action: &str, uid: &str, status: &str) -> Claim {
        let [id, action, uid, status] = [id, action, uid, status].map(str::to_owned);
        Claim { id, action, uid, status }
    }

    fn good() -> Evidence {
        let effect = |uid: &str| vec![("1".to_owned(), uid.to_owned())];
        Evidence {
            sent: [("a", ACCEPTED), ("b", UNKNOWN), ("c", REFUSED)]
                .map(|(uid, word)| (uid.to_owned(), word.to_owned()))
                .into(),
            effects: [("e1", "a"), ("e2", "tick-2026-01-01T00:00:00.000Z")]
                .map(|(id, uid)| (id.to_owned(), effect(uid)))
                .into(),
            claims: vec![
                claim("e1", "oracle.note", "a", "succeeded"),
                claim("e2", "oracle.note", "tick-2026-01-01T00:00:00.000Z", "succeeded"),
            ],
        }
    }

    /// Changes the good evidence and gives what is found then: lost, duplicate, stuck, phantom.
    fn found(change: impl FnOnce(&mut Evidence)) -> [usize; 4] {
        let mut evidence = good();
        change(&mut evidence);
        let verdict = Verdict::of(&evidence);
        [&verdict.lost, &verdict.duplicate, &verdict.stuck, &verdict.phantom].map(Vec::len)
    }

    #[test]
    fn good_evidence_is_found_good() {
        assert_eq!(found(|_| {}), [0, 0, 0, 0]);
    }

    #[test]
    fn an_accepted_event_that_never_ran_is_lost() {
        assert_eq!(found(|e| e.sent.push(("d".into(), ACCEPTED.into()))), [1, 0, 0, 0]);
    }

    #[test]
    fn a_success_without_effect_is_lost() {
        assert_eq!(found(|e| drop(e.effects.remove("e1"))), [1, 0, 0, 0]);
    }

    #[test]
    fn two_executions_of_an_event_are_a_duplicate() {
        let change = |e: &mut Evidence| {
            e.claims.push(claim("e3", "oracle.note", "a", "failed"));
        };
        assert_eq!(found(change), [0, 1, 0, 0]);
    }

    #[test]
    fn two_effects_are_a_duplicate_unless_the_action_may_repeat() {
        let again = |e: &mut Evidence| {
            e.effects.get_mut("e1").unwrap().push(("2".into(), "a".into()));
        };
        assert_eq!(found(again), [0, 1, 0, 0]);
        let allowed = |e: &mut Evidence| {
            again(e);
            REPEATABLE.clone_into(&mut e.claims[0].action);
        };
        assert_eq!(found(allowed), [0, 0, 0, 0]);
    }

    #[test]
    fn two_executions_of_a_tick_are_a_duplicate() {
        let change = |e: &mut Evidence| {
            e.claims.push(claim("e3", "oracle.note", "tick-2026-01-01T00:00:00.000Z", "failed"));
        };
        assert_eq!(found(change), [0, 1, 0, 0]);
    }

    #[test]
    fn a_task_that_never_ran_is_lost_and_one_that_ran_twice_is_a_duplicate() {
        let flow = |tasks: &[&str]| {
            let mut claims = vec![claim("f", FLOW, "b", "succeeded")];
            let part = |(n, task): (usize, &&str)| {
                claim(&format!("t{n}"), "oracle.note", &format!("b/{task}"), "succeeded")
            };
            claims.extend(tasks.iter().enumerate().map(part));
            move |e: &mut Evidence| {
                for claim in claims.iter().filter(|claim| claim.action != FLOW) {
                    let line = ("1".to_owned(), claim.uid.clone());
                    e.effects.insert(claim.id.clone(), vec![line]);
                }
                e.claims.extend(claims);
            }
        };
        assert_eq!(found(flow(&TASKS)), [0, 0, 0, 0]);
        assert_eq!(found(flow(&["left", "right"])), [1, 0, 0, 0]);
        assert_eq!(found(flow(&["left", "right", "joined", "left"])), [0, 1, 0, 0]);
    }

    #[test]
    fn a_missing_tick_is_lost() {
        let change = |e: &mut Evidence| {
            let claim = claim("e3", "oracle.note", "tick-2026-01-01T00:00:01.000Z", "failed");
            e.claims.push(claim);
        };
        assert_eq!(found(change), [1, 0, 0, 0]);
    }

    #[test]
    fn what_is_not_over_is_stuck() {
        assert_eq!(found(|e| "running".clone_into(&mut e.claims[0].status)), [0, 0, 1, 0]);
    }

    #[test]
    fn what_was_refused_must_not_run() {
        let change = |e: &mut Evidence| {
            e.claims.push(claim("e3", "oracle.note", "c", "failed"));
        };
        assert_eq!(found(change), [0, 0, 0, 1]);
    }

    #[test]
    fn an_effect_that_nobody_knows_is_a_phantom() {
        let change = |e: &mut Evidence| {
            e.effects.insert("e9".into(), vec![("1".into(), "a".into())]);
        };
        assert_eq!(found(change), [0, 0, 0, 1]);
    }
}
