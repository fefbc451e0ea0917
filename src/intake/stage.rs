//! The loop behind the door: take all that waits, ask the rules, commit once, answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::intake::admit::{self, Past, Schemas};
use crate::intake::complaints::Complaints;
use crate::intake::effects::{Effects, SYSTEM_SCOPE};
use crate::intake::hidden::Hidden;
use crate::intake::history;
use crate::intake::remember;
use crate::intake::tally::{Heard, Tally, word};
use crate::intake::{Command, Outcome, Parts, Refusal, Submission, Waiting};
use crate::model::cause::Cause;
use crate::model::event::{Event, Report};
use crate::model::key::KeyValue;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::rules::reload::Moment;
use crate::rules::{self, Evaluation, Facts, Memories, Set};
use crate::store;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{Block, DeadLetter};

/// Submissions that share one commit at most: one event pays one fsync, and all that wait share it.
const BATCH_LIMIT: usize = 256;
/// Events made inside that share one commit at most.
const INSIDE_LIMIT: usize = 1024;
/// Events that one blocking thread evaluates before a second one is worth its start.
const EVENTS_PER_THREAD: usize = 64;
/// Threads that evaluate at most; two cores have other work as well.
const THREADS: usize = 2;
/// Keys that rules can read; beyond it the first ones in the order of names are seen.
const KEYS_LIMIT: usize = 10_000;
/// Deadlines that share one commit at most.
const DUE_LIMIT: usize = 4_096;
/// How often a batch is decided anew when somebody else wrote first.
const TRIES: usize = 8;
/// Bytes of a refused report that are kept.
const CONTENT_LIMIT: usize = 64 * 1024;
/// After the store failed, how long until events made inside are tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What the loop works with.
pub struct Stage {
    pub(crate) parts: Parts,
    pub(crate) waiting: mpsc::Receiver<Waiting>,
    pub(crate) schemas: Schemas,
    pub(crate) tally: Tally,
    pub(crate) keys: (u64, Arc<BTreeMap<String, Value>>),
    /// What is secret in what comes in.
    pub(crate) hidden: Hidden,
    pub(crate) complaints: Complaints,
    /// The store takes nothing, and the log has said so.
    pub(crate) refusing: bool,
    /// What the rules remember; nothing until it is read.
    pub(crate) memories: Memories,
    /// A commit failed so that nobody knows whether memories are on disk as they are here.
    pub(crate) unsure: bool,
    /// The catalog that memories are in step with.
    pub(crate) adopted: Option<u64>,
    /// Tells of new catalogs.
    pub(crate) reloads: Option<watch::Receiver<u64>>,
}

/// One batch on its way to the commit.
#[derive(Default)]
struct Draft {
    batch: Batch,
    outcomes: Vec<Vec<Outcome>>,
    events: Vec<Event>,
    decisions: Vec<Decision>,
    commands: Vec<Command>,
    /// How many decisions there were, by verdict.
    said: HashMap<&'static str, usize>,
    /// By trigger: how many events came, and how many rules were asked about them.
    heard: HashMap<Reference, Heard>,
    /// Executions that ended as they were made, since they cannot run.
    failed: usize,
}

impl Stage {
    /// Is told of new catalogs, so that memories follow at once and not with the next event.
    #[must_use]
    pub fn told(mut self, reloads: watch::Receiver<u64>) -> Self {
        self.reloads = Some(reloads);
        self
    }

    /// Takes in what comes, until `stop`; what waits then is refused with `Stopping`.
    ///
    /// Not cancel-safe: a batch that was begun would be answered by nobody. Stop it by `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        if !self.remember(&stop).await {
            return;
        }
        let mut changes = self.parts.store.changes();
        let mut pause = None;
        let mut reloads = self.reloads.take();
        // What fell due while nobody was there, and what rules expect from the beginning.
        if self.is_due() && !self.take_in(Vec::new(), Vec::new()).await {
            pause = Some(self.parts.clock.now().plus(PAUSE));
        }
        loop {
            let due = self.memories.next_due().map(|due| due.0);
            let mut taken = Vec::new();
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.leave().await,
                count = self.waiting.recv_many(&mut taken, BATCH_LIMIT) => if count == 0 { return self.leave().await },
                woken = changes.changed(), if pause.is_none() => if woken.is_err() { return },
                () = reloaded(&mut reloads), if pause.is_none() => {}
                () = wait(&self.parts.clock, due), if pause.is_none() && due.is_some() => {}
                () = wait(&self.parts.clock, pause), if pause.is_some() => pause = None,
            }
            changes.mark_unchanged();
            let inside = match self.inside().await {
                Ok(inside) => inside,
                Err(error) => {
                    tracing::error!(%error, "events made inside cannot be read");
                    Vec::new()
                }
            };
            if taken.is_empty() && inside.is_empty() && !self.is_due() {
                continue;
            }
            let mut stored = true;
            while stored && self.is_crowded() {
                // They fell due before these events, and are too many for one commit.
                stored = self.take_in(Vec::new(), Vec::new()).await;
            }
            if !self.take_in(taken, inside).await {
                pause = Some(self.parts.clock.now().plus(PAUSE));
            }
        }
    }

    /// Reads what the rules remember; says whether that was possible before `stop`.
    async fn remember(&mut self, stop: &CancellationToken) -> bool {
        loop {
            match remember::read(&self.parts.store).await {
                Ok(memories) => {
                    self.memories = memories;
                    return true;
                }
                Err(error) => tracing::error!(%error, "what rules remember cannot be read"),
            }
            let again = self.parts.clock.now().plus(PAUSE);
            tokio::select! {
                () = stop.cancelled() => return false,
                () = self.parts.clock.sleep_until(again) => {}
            }
        }
    }

    /// Whether more has fallen due than one commit takes.
    fn is_crowded(&self) -> bool {
        self.memories.overdue(self.parts.clock.now(), DUE_LIMIT) >= DUE_LIMIT
    }

    /// Whether there is something to do without an event.
    fn is_due(&self) -> bool {
        let now = self.parts.clock.now();
        let stale = self.adopted != Some(self.parts.catalog.load().generation);
        stale || self.memories.next_due().is_some_and(|due| due.0 <= now)
    }

    /// Writes the counts that were still gathering.
    async fn leave(self) {
        if self.tally.is_empty() {
            return;
        }
        let mut batch = Batch::new();
        let written = match self.tally.write(&self.parts.store, &mut batch).await {
            Ok(()) => self.parts.store.commit(batch).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the last second's counts of refusals are lost");
        }
    }

    /// Events that were made inside and are due.
    async fn inside(&self) -> Result<Vec<Held<Ticket>>, store::Error> {
        queue::due(&self.parts.store, queue::INTAKE, self.parts.clock.now(), INSIDE_LIMIT).await
    }

    /// Takes one batch in and answers it. Says whether it is on disk.
    async fn take_in(&mut self, taken: Vec<Waiting>, mut inside: Vec<Held<Ticket>>) -> bool {
        let (mut submissions, answers): (Vec<Submission>, Vec<oneshot::Sender<_>>) =
            taken.into_iter().map(|waiting| (waiting.submission, waiting.answer)).unzip();
        submissions.push(Submission::made_inside(&inside));
        let mut result = Err(store::Error::Closed);
        for _ in 0..TRIES {
            result = self.commit(&submissions, &inside).await;
            if !matches!(result, Err(store::Error::Conflict { .. })) {
                break;
            }
            // An engine that is still ending may have taken them.
            if let Ok(now) = self.inside().await {
                submissions.pop();
                submissions.push(Submission::made_inside(&now));
                inside = now;
            }
        }
        let stored = result.is_ok();
        match &result {
            Err(error) if !self.refusing => {
                tracing::warn!(%error, "events are not taken in; their senders are told");
            }
            Ok(_) if self.refusing => tracing::warn!("events are taken in again"),
            _ => {}
        }
        self.refusing = !stored;
        let mut outcomes = result.map(Vec::into_iter);
        for answer in answers {
            let reply = match &mut outcomes {
                Ok(outcomes) => Ok(outcomes.next().unwrap_or_default()),
                Err(error) => Err(Refusal::Store(error.clone())),
            };
            // A caller that went away has lost interest, not its events.
            drop(answer.send(reply));
        }
        stored
    }

    /// Decides a batch and writes everything that follows, whole. Where that fails, the rules remember
    /// what they remembered before.
    async fn commit(
        &mut self,
        submissions: &[Submission],
        inside: &[Held<Ticket>],
    ) -> Result<Vec<Vec<Outcome>>, store::Error> {
        let adopted = self.adopted;
        let committed = self.try_commit(submissions, inside).await;
        if committed.is_ok() {
            self.memories.settle();
        } else {
            // Nobody knows what is on disk after an error of the disk: it is read again.
            self.unsure |= !matches!(committed, Err(store::Error::Conflict { .. }));
            let rules = Arc::clone(&self.parts.catalog.load().rules);
            self.memories.undo(&rules);
            self.adopted = adopted;
        }
        committed
    }

    async fn try_commit(
        &mut self,
        submissions: &[Submission],
        inside: &[Held<Ticket>],
    ) -> Result<Vec<Vec<Outcome>>, store::Error> {
        let catalog = self.parts.catalog.load_full();
        if self.unsure {
            self.memories = remember::read(&self.parts.store).await?;
            self.unsure = false;
            let now = self.memories.advance(self.parts.clock.now());
            remember::adopt(&mut self.memories, &catalog, now, Moment::Reload);
        }
        let now = self.memories.advance(self.parts.clock.now());
        if self.adopted != Some(catalog.generation) {
            let moment = self.adopted.map_or(Moment::Start, |_| Moment::Reload);
            remember::adopt(&mut self.memories, &catalog, now, moment);
            self.adopted = Some(catalog.generation);
            self.hidden = std::mem::take(&mut self.hidden).with_triggers(&catalog);
        }
        let mut work = self.admit(submissions, &catalog, now).await?;
        work.commands.extend(submissions.iter().flat_map(|one| one.commands.iter().cloned()));
        for ticket in inside {
            queue::done(&mut work.batch, ticket);
        }
        self.decide(&mut work, &catalog, now).await?;
        let tally = self.tally.with(&work.decisions, &work.heard, now);
        let count = tally.is_due(now);
        if count {
            tally.write(&self.parts.store, &mut work.batch).await?;
        }
        for decision in &work.decisions {
            *work.said.entry(word(&decision.verdict)).or_default() += 1;
        }
        history::thin(&mut work.decisions);
        self.hidden.strike(&catalog, &mut work.decisions);
        let block = block(&mut work, catalog.generation);
        let secret = self.hidden.is_in(&block.events);
        history::keep(&mut work.batch, &block, secret);
        self.write(std::mem::take(&mut work.batch)).await?;
        self.tally = if count { Tally::default() } else { tally };
        self.measure(&work, &block, self.parts.clock.now());
        self.complain(&block.decisions, &catalog, now);
        Ok(work.outcomes)
    }

    async fn write(&self, batch: Batch) -> Result<(), store::Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.parts.store.commit(batch).await.map(drop)
    }

    /// Tells of rules that failed.
    fn complain(&mut self, decisions: &[Decision], catalog: &Catalog, now: Time) {
        for decision in decisions {
            let Verdict::Error { message, line, column } = &decision.verdict else { continue };
            let Some(failures) = self.complaints.note(&decision.rule, now) else { continue };
            let Some(rule) = catalog.rules.get(&decision.rule) else { continue };
            let place = match line {
                Some(line) => rule.place.at(*line, column.unwrap_or(1)),
                None => rule.place.clone(),
            };
            let (rule, event) = (&decision.rule, decision.event);
            tracing::warn!(%rule, %event, failures, "{place}: the rule failed: {message}");
        }
    }

    fn measure(&self, draft: &Draft, block: &Block, now: Time) {
        for _ in 0..draft.failed {
            self.parts.metrics.ended("failed");
        }
        for outcome in draft.outcomes.iter().flatten() {
            let word = match outcome {
                Outcome::Accepted(_) => "accepted",
                Outcome::Duplicate(_) => "duplicate",
                Outcome::Refused(_) => "refused",
            };
            self.parts.metrics.reported(word, 1);
        }
        for (word, times) in &draft.said {
            self.parts.metrics.decided(word, *times);
        }
        let asked: u64 = draft.heard.values().map(|heard| heard.asked).sum();
        let silent = usize::try_from(asked).unwrap_or(usize::MAX);
        let silent = silent.saturating_sub(draft.said.values().sum());
        self.parts.metrics.decided("not_matched", silent);
        self.parts.metrics.requested(block.decisions.iter().map(|one| one.executions.len()).sum());
        self.parts.metrics.traces().decided(&block.events, &block.decisions, now);
    }

    async fn admit(
        &mut self,
        submissions: &[Submission],
        catalog: &Catalog,
        now: Time,
    ) -> Result<Draft, store::Error> {
        let mut past = Past::read(&self.parts.store, submissions).await?;
        let mut work = Draft::default();
        for submission in submissions {
            let admitted = admit::admit(
                &submission.reports,
                &mut past,
                &mut self.schemas,
                catalog,
                (&self.parts.ids, now),
            );
            for (report, outcome) in submission.reports.iter().zip(&admitted.outcomes) {
                if let Outcome::Refused(reason) = outcome {
                    self.bury(&mut work.batch, report, reason, now);
                }
            }
            work.outcomes.push(admitted.outcomes);
            work.events.extend(self.parts.metrics.traces().begun(admitted.events));
            for seen in &admitted.seen {
                table::create(&mut work.batch, seen);
            }
            for origin in &submission.advance {
                past.advance(origin);
            }
            for letter in &submission.dead_letters {
                table::put(&mut work.batch, letter);
            }
        }
        for (held, position) in past.moves(now) {
            match held {
                Some(held) => table::replace(&mut work.batch, held, &position),
                None => table::create(&mut work.batch, &position),
            }
        }
        Ok(work)
    }

    /// Keeps a refused report where people find it, unless a person reported it and is told.
    fn bury(&self, batch: &mut Batch, report: &Report, reason: &str, now: Time) {
        if matches!(report.cause, Cause::User(_)) {
            return;
        }
        let place =
            report.origin.as_ref().map(|origin| format!("{} at {}", origin.stream, origin.at));
        let sensor = match &report.cause {
            Cause::Sensor(sensor) => sensor.clone(),
            _ => report.source.to_string(),
        };
        let letter = DeadLetter {
            id: self.parts.ids.record(),
            sensor,
            from: place.unwrap_or_else(|| report.trigger.to_string()),
            reason: reason.to_owned(),
            content: cut(report.data.to_string()),
            at: now,
        };
        table::put(batch, &letter);
    }

    /// Asks the rules and writes memories and effects.
    async fn decide(
        &mut self,
        work: &mut Draft,
        catalog: &Arc<Catalog>,
        now: Time,
    ) -> Result<(), store::Error> {
        let due = self.memories.next_due().is_some_and(|due| due.0 <= now);
        if work.events.is_empty() && work.commands.is_empty() && !due {
            remember::write(&self.memories, (catalog, &self.hidden), &mut work.batch);
            return Ok(());
        }
        let facts = Arc::new(Facts {
            now,
            wall: Some(now),
            configs: Arc::clone(&catalog.configs),
            keys: self.keys().await?,
        });
        let (events, evaluations) =
            evaluate(std::mem::take(&mut work.events), catalog, &facts).await;
        work.heard = heard(&events, &evaluations);
        let set = Arc::clone(&catalog.rules);
        let mut memories = std::mem::take(&mut self.memories);
        let ids = self.parts.ids.clone();
        let commands = std::mem::take(&mut work.commands);
        let decided = tokio::task::spawn_blocking(move || {
            let mut due = Vec::new();
            for _ in 0..DUE_LIMIT {
                match rules::fall_due(&set, &mut memories, now, &facts, ids.event()) {
                    Some(done) => due.extend(done),
                    None => break,
                }
            }
            for command in commands {
                let done = remember::obey(&set, &mut memories, &command, &facts, ids.event());
                due.extend(done);
            }
            let mut decided = Vec::with_capacity(events.len());
            for (event, said) in events.into_iter().zip(evaluations) {
                let decisions = decide(&set, &event, said, &mut memories, &facts);
                decided.push((event, decisions));
            }
            (due, decided, memories)
        });
        let (mut due, mut decided, memories) = decided.await.expect("rules do not panic");
        self.memories = memories;
        let mut effects = Effects {
            catalog,
            hidden: &self.hidden,
            ids: &self.parts.ids,
            now,
            batch: &mut work.batch,
            failed: 0,
        };
        // Effects in the order of time: what was due came first.
        for (event, decisions) in due.iter_mut().chain(&mut decided) {
            for decision in decisions {
                effects.add(event, decision);
                let (rule, made) = (&decision.rule, &decision.executions);
                if !made.is_empty() {
                    self.memories.name(&catalog.rules, rule, event.id, made);
                }
            }
        }
        work.failed = effects.failed;
        remember::write(&self.memories, (catalog, &self.hidden), &mut work.batch);
        // The block in the order of ids, which is how it is searched.
        for (event, decisions) in decided.into_iter().chain(due) {
            work.decisions.extend(decisions);
            work.events.push(event);
        }
        Ok(())
    }

    /// The keys that rules may read, read again only after something was written.
    async fn keys(&mut self) -> Result<Arc<BTreeMap<String, Value>>, store::Error> {
        let revision = *self.parts.store.changes().borrow();
        if self.keys.0 != revision || revision == 0 {
            let lead = [SYSTEM_SCOPE.as_bytes(), &[0]].concat();
            let rows = Rows::first(KEYS_LIMIT).under(lead);
            let found = table::scan::<KeyValue>(&self.parts.store, rows).await?;
            let now = self.parts.clock.now();
            let live: Vec<_> = found
                .into_iter()
                .filter(|held| held.row.expires.is_none_or(|end| end > now))
                .collect();
            let secret = live.iter().filter(|held| held.row.secret);
            self.hidden.know(secret.map(|held| &held.row.value));
            let keys = live.into_iter().map(|held| (held.row.name, held.row.value)).collect();
            self.keys = (revision, Arc::new(keys));
        }
        Ok(Arc::clone(&self.keys.1))
    }
}

/// A dead letter's content, at its limit.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(CONTENT_LIMIT));
    text
}

/// Ends when there is a new catalog; never where nobody tells.
async fn reloaded(reloads: &mut Option<watch::Receiver<u64>>) {
    if let Some(told) = reloads
        && told.changed().await.is_ok()
    {
        return;
    }
    *reloads = None;
    std::future::pending::<()>().await;
}

async fn wait(clock: &Clock, until: Option<Time>) {
    if let Some(until) = until {
        clock.sleep_until(until).await;
    }
}

/// Asks the rules about every event, on as many threads as there are events for.
async fn evaluate(
    events: Vec<Event>,
    catalog: &Arc<Catalog>,
    facts: &Arc<Facts>,
) -> (Vec<Event>, Vec<Evaluation>) {
    let threads = events.len().div_ceil(EVENTS_PER_THREAD).clamp(1, THREADS);
    let events = Arc::new(events);
    let share = events.len().div_ceil(threads);
    let asked: Vec<_> = (0..threads)
        .map(|thread| {
            let (events, facts) = (Arc::clone(&events), Arc::clone(facts));
            let set = Arc::clone(&catalog.rules);
            tokio::task::spawn_blocking(move || {
                let own = events.iter().skip(thread * share).take(share);
                own.map(|event| rules::evaluate(&set, event, &facts)).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut evaluations = Vec::with_capacity(events.len());
    for thread in asked {
        evaluations.extend(thread.await.expect("rules do not panic"));
    }
    (Arc::try_unwrap(events).unwrap_or_else(|shared| (*shared).clone()), evaluations)
}

/// What the rules make of an event. A replay that does nothing leaves memory as it was.
fn decide(
    set: &Set,
    event: &Event,
    said: Evaluation,
    memories: &mut Memories,
    facts: &Facts,
) -> Vec<Decision> {
    if event.replay.is_none_or(|replay| replay.acts) {
        return rules::decide(set, event, said, memories, facts);
    }
    let tried = |memories: &mut Memories| rules::decide(set, event, said, memories, facts);
    let mut decisions = memories.try_out(set, tried);
    for decision in &mut decisions {
        decision.note = Some("a replay that does nothing".to_owned());
        match decision.verdict {
            Verdict::Fired => decision.verdict = Verdict::Shadowed,
            Verdict::Shadowed => {}
            _ => decision.effects.clear(),
        }
    }
    decisions
}

/// How many events came of each trigger, and how many rules were asked about them.
fn heard(events: &[Event], evaluations: &[Evaluation]) -> HashMap<Reference, Heard> {
    let mut heard: HashMap<Reference, Heard> = HashMap::new();
    for (event, evaluation) in events.iter().zip(evaluations) {
        let counts = heard.entry(event.trigger.clone()).or_default();
        counts.events += 1;
        counts.asked += evaluation.examined() as u64;
    }
    heard
}

/// The history of a batch: events and decisions.
fn block(work: &mut Draft, generation: u64) -> Block {
    Block {
        events: std::mem::take(&mut work.events),
        decisions: std::mem::take(&mut work.decisions),
        refused: Vec::new(),
        rules: Vec::new(),
        version: format!("generation-{generation}").into(),
    }
}
