//! One turn: what has happened to some incidents becomes one commit with their rows, the executions
//! that tell people, and the tickets for the times at which somebody has to look again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use serde_json::{Map, Value, json};

use crate::executions::{NOTICE, Request};
use crate::incidents::decide::{Happening, decide};
use crate::incidents::gather::{Message, gather, next_due, sent};
use crate::incidents::words::{self, Words};
use crate::incidents::{Room, USER};
use crate::model::execution::{Execution, Status};
use crate::model::id::{ExecutionId, IncidentId, RecordId};
use crate::model::incident::{Incident, Lead, Link, Word};
use crate::model::notices::Plan;
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{TELLS, WAITS, Work};
use crate::store::{self};

/// Incidents of one group that are told together at most; the rest follows in the next message.
const GROUP_LIMIT: usize = 1000;
/// Incidents that one message tells of at most.
const TELLS_LIMIT: usize = GROUP_LIMIT;
/// Incidents that an execution's context names.
const NAMED_LIMIT: usize = 20;
/// Bytes of the secret in a link: 256 bits cannot be guessed.
const SECRET_BYTES: usize = 32;
/// A ticket is never due at once again, whatever a plan says.
const SOON: Duration = Duration::from_millis(1);

/// What happens to which incident.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// What somebody left in the queue.
    Word(Word),
    /// What happens to one by its name.
    One(IncidentId, Happening, Lead),
}

/// What one turn has read and made.
pub(super) struct Turn<'a> {
    room: &'a Room,
    catalog: Arc<Catalog>,
    plan: Arc<Plan>,
    now: Time,
    pub(super) batch: Batch,
    /// Executions that the commit makes.
    pub(super) placed: Vec<Execution>,
    read: BTreeMap<IncidentId, Held<Incident>>,
    /// As they stand now.
    all: BTreeMap<IncidentId, Incident>,
    /// The newest of each key; nothing where there is none.
    keys: HashMap<String, Option<IncidentId>>,
    touched: BTreeSet<IncidentId>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(room: &'a Room, now: Time) -> Self {
        let catalog = room.parts.catalog.load_full();
        Self {
            room,
            plan: Arc::clone(&catalog.notices),
            catalog,
            now,
            batch: Batch::new(),
            placed: Vec::new(),
            read: BTreeMap::new(),
            all: BTreeMap::new(),
            keys: HashMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Lets one thing happen.
    pub(super) async fn take(&mut self, input: Input) -> Result<(), store::Error> {
        match input {
            Input::One(id, happening, lead) => {
                self.load(id).await?;
                self.happens(Some(id), happening, Some(lead));
            }
            Input::Word(Word::Failure(failure, lead)) => {
                let known = self.newest(&failure.key).await?;
                self.happens(known, Happening::Failure(failure), Some(lead));
            }
            Input::Word(Word::Recovery { key, reason, lead }) => {
                if let Some(known) = self.newest(&key).await? {
                    self.because(known, reason);
                    self.happens(Some(known), Happening::Recovery, Some(lead));
                }
            }
            Input::Word(Word::Say { channel, text, lead }) => {
                let words = words::plain(&channel, &text, self.now);
                if self.send(&channel, words, json!({ "kind": "message" }), &lead).is_none() {
                    tracing::warn!(%channel, "a message goes nowhere: there is no such channel");
                }
            }
            Input::Word(Word::Delivered(execution)) => self.delivered(execution).await?,
            Input::Word(Word::Look(id)) => {
                self.load(id).await?;
                self.happens(Some(id), Happening::Look, None);
            }
        }
        Ok(())
    }

    /// Says who is told what of all that happened, and writes it all down.
    pub(super) async fn end(&mut self) -> Result<(), store::Error> {
        let groups: BTreeSet<String> = self.touched_groups();
        for group in &groups {
            let rows = Rows::first(GROUP_LIMIT);
            let store = &self.room.parts.store;
            for held in table::find::<Incident>(store, WAITS, group.as_bytes(), rows).await? {
                self.keep(held);
            }
        }
        let mut units: BTreeMap<(Option<String>, Option<IncidentId>), Vec<Incident>> =
            BTreeMap::new();
        for (id, incident) in std::mem::take(&mut self.all) {
            let group = incident.failure.group.clone();
            let alone = group.is_none().then_some(id);
            units.entry((group, alone)).or_default().push(incident);
        }
        for mut unit in units.into_values() {
            let messages = gather(&mut unit, &self.plan, self.now);
            for message in messages {
                self.tell(&message, &mut unit);
            }
            self.all.extend(unit.into_iter().map(|one| (one.id, one)));
        }
        self.write();
        Ok(())
    }

    fn touched_groups(&self) -> BTreeSet<String> {
        let of = |id| self.all.get(id).and_then(|one| one.failure.group.clone());
        self.touched.iter().filter_map(of).collect()
    }

    fn happens(&mut self, id: Option<IncidentId>, happening: Happening, lead: Option<Lead>) {
        let before = id.and_then(|id| self.all.get(&id).cloned());
        let ids = &self.room.parts.ids;
        let Some(mut after) = decide(before, happening, &self.plan, self.now, || ids.incident())
        else {
            return;
        };
        if let Some(lead) = lead {
            after.lead = lead;
        }
        self.touched.insert(after.id);
        self.keys.insert(after.failure.key.clone(), Some(after.id));
        self.all.insert(after.id, after);
    }

    /// A message is over: so it is for all the incidents that it told of.
    async fn delivered(&mut self, execution: ExecutionId) -> Result<(), store::Error> {
        let key = execution.to_bytes().to_vec();
        let found = table::get::<Execution>(&self.room.parts.store, key.clone()).await?;
        let arrived = found.is_some_and(|held| held.row.status == Status::Succeeded);
        let rows = Rows::first(TELLS_LIMIT);
        let told = table::find::<Incident>(&self.room.parts.store, TELLS, &key, rows).await?;
        for held in told {
            let id = held.row.id;
            self.keep(held);
            self.happens(Some(id), Happening::Delivered { execution, arrived }, None);
        }
        Ok(())
    }

    fn because(&mut self, id: IncidentId, reason: Option<String>) {
        if let (Some(reason), Some(incident)) = (reason, self.all.get_mut(&id)) {
            incident.note(self.now, reason);
        }
    }

    async fn load(&mut self, id: IncidentId) -> Result<(), store::Error> {
        if !self.all.contains_key(&id) {
            let key = id.to_bytes().to_vec();
            if let Some(held) = table::get::<Incident>(&self.room.parts.store, key).await? {
                self.keep(held);
            }
        }
        Ok(())
    }

    fn keep(&mut self, held: Held<Incident>) {
        self.all.entry(held.row.id).or_insert_with(|| held.row.clone());
        self.read.entry(held.row.id).or_insert(held);
    }

    /// The newest incident of a key.
    async fn newest(&mut self, key: &str) -> Result<Option<IncidentId>, store::Error> {
        if let Some(known) = self.keys.get(key) {
            return Ok(*known);
        }
        let (store, rows) = (&self.room.parts.store, Rows::last(1));
        let found = table::find::<Incident>(store, "key", key.as_bytes(), rows).await?.pop();
        let id = found.map(|held| {
            let id = held.row.id;
            self.keep(held);
            id
        });
        self.keys.insert(key.to_owned(), id);
        Ok(id)
    }

    /// Hands a message to its channel.
    fn tell(&mut self, message: &Message, unit: &mut [Incident]) {
        let of: Vec<&Incident> = message.of.iter().map(|place| &unit[*place]).collect();
        let ids: Vec<IncidentId> = of.iter().take(NAMED_LIMIT).map(|one| one.id).collect();
        let words = words::words(message, &of, self.now);
        let notice = json!({ "kind": message.kind, "incidents": ids, "count": of.len() });
        let Some(lead) = of.first().map(|one| one.lead.clone()) else { return };
        let placed = self.send(&message.channel, words, notice, &lead);
        for place in &message.of {
            let incident = &mut unit[*place];
            let what = format!("`{}` is told: {}", message.channel, message.kind.word());
            incident.note(self.now, what);
            match &placed {
                Some((execution, link)) => {
                    sent(incident, message, *execution);
                    if let Some(hash) = link {
                        let (hash, channel) = (hash.clone(), message.channel.clone());
                        incident.links_to(Link { hash, channel });
                    }
                }
                // The channel went away between the plan and now: nobody is told.
                None => lost(incident, message, self.now),
            }
        }
    }

    /// Places the execution that delivers, with a link of its own where its action takes one. Gives the
    /// hash of that.
    fn send(
        &mut self,
        channel: &str,
        words: Words,
        notice: Value,
        lead: &Lead,
    ) -> Option<(ExecutionId, Option<String>)> {
        let known = self.plan.channels.get(channel)?;
        let accepts = self.catalog.accepts.get(&known.action);
        let takes = |name: &str| {
            accepts.is_some_and(|accepts| accepts.iter().any(|(known, _)| known == name))
        };
        let mut parameters: Map<String, Value> = Map::new();
        let mut hash = None;
        // What is over, or never was an incident, needs nobody any more.
        let is_news = notice["kind"] != "message" && notice["kind"] != "recovered";
        for (name, value) in [
            ("subject", Value::String(words.subject)),
            ("text", Value::String(words.text)),
            ("notice", words.notice),
        ] {
            if takes(name) {
                parameters.insert(name.to_owned(), value);
            }
        }
        if takes("link") && is_news {
            let random: [u8; SECRET_BYTES] = rand::rng().random();
            let secret = URL_SAFE_NO_PAD.encode(random);
            hash = Some(hashed(&secret));
            let link = format!("{}/incidents/link/{secret}", self.room.parts.public_url);
            parameters.insert("link".to_owned(), Value::String(link));
        }
        parameters.extend(known.with.clone());
        let request = Request {
            action: known.action.clone(),
            parameters,
            user: USER.to_owned(),
            cause: lead.cause.clone(),
            timeout: None,
            delay: None,
            context: Map::from_iter([(NOTICE.to_owned(), notice)]),
            once: None,
        };
        let execution = self.room.parts.executions.place(&mut self.batch, &request, lead.hops);
        let id = execution.id;
        if execution.status.is_done() {
            let work = Work::Incident(Box::new(Word::Delivered(id)));
            let ticket = self.room.parts.ids.record();
            queue::push(&mut self.batch, queue::INCIDENTS, self.now, ticket, work);
        }
        self.placed.push(execution);
        Some((id, hash))
    }

    /// Rows that changed, and the tickets of their times.
    fn write(&mut self) {
        for (id, mut incident) in std::mem::take(&mut self.all) {
            let due = next_due(&incident, &self.plan).map(|due| due.max(self.now.plus(SOON)));
            let old = std::mem::replace(&mut incident.due, due);
            let held = self.read.get(&id);
            match held {
                Some(held) if held.row == incident => continue,
                Some(held) => table::replace(&mut self.batch, held, &incident),
                None => table::create(&mut self.batch, &incident),
            }
            if old == due {
                continue;
            }
            if let Some(old) = old {
                self.batch.remove(table::key::<Ticket>(table::Row::key(&ticket(id, old))));
            }
            if let Some(due) = due {
                table::put(&mut self.batch, &ticket(id, due));
            }
        }
    }
}

fn lost(incident: &mut Incident, message: &Message, now: Time) {
    for told in &mut incident.told {
        if told.execution.is_none() && told.channel == message.channel {
            told.arrived = Some(false);
        }
    }
    incident
        .note(now, format!("`{}` could not be told: there is no such channel", message.channel));
}

/// The ticket of an incident that is due at `due`; its name follows from the incident's, so that it is
/// found again.
fn ticket(id: IncidentId, due: Time) -> Ticket {
    let bits = u128::from_be_bytes(id.to_bytes());
    let (queue, work) = (queue::INCIDENTS.to_owned(), Work::Incident(Box::new(Word::Look(id))));
    Ticket { queue, due, id: RecordId::from_bits(bits), owner: None, work }
}

/// SHA-256 of a link's secret: a slow hash would add nothing to 256 random bits.
pub(super) fn hashed(secret: &str) -> String {
    table::hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}
