//! Kept events, in blocks: a batch of events and their decisions is one compressed record, so history
//! costs little and is read fast. A block's key is the id of its first event.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::store::table::{self, Row, Rows};
use crate::store::tables::Block;
use crate::store::{self, Handle};

/// zstd's fastest level: the events of one batch resemble each other.
const LEVEL: i32 = 1;
/// Blocks read in one go.
const PAGE: usize = 32;
/// Milliseconds by which a block's key may be later than the time at which its events were accepted.
const SLACK_MS: i64 = 60_000;
/// Ordinary decisions of one rule that are kept of one batch.
const ORDINARY_LIMIT: usize = 4;

/// A block as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Packed {
    first: EventId,
    last: EventId,
    triggers: Vec<Reference>,
    #[serde(with = "bytes")]
    content: Vec<u8>,
    #[serde(skip)]
    secret: bool,
}

/// MessagePack's own form for bytes; serde's default writes a list of numbers.
mod bytes {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

impl Row for Packed {
    const TABLE: &'static str = "blocks";

    fn is_secret(&self) -> bool {
        self.secret
    }

    fn key(&self) -> Vec<u8> {
        self.first.to_bytes().to_vec()
    }
}

/// One kept event with what the rules made of it.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// The event.
    pub event: Event,
    /// What each rule that was asked decided, in their order.
    pub decisions: Vec<Decision>,
}

/// Which kept events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these triggers: names or globs' plain prefix ending in `*`; empty: all.
    pub trigger: Option<String>,
    /// Only events accepted at or after this.
    pub since: Option<Time>,
    /// Only events accepted before this.
    pub until: Option<Time>,
    /// Only events older than this one (a page's last).
    pub before: Option<EventId>,
    /// At most so many, newest first.
    pub limit: usize,
}

impl Filter {
    fn wants_trigger(&self, trigger: &Reference) -> bool {
        self.trigger.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(lead) => trigger.as_str().starts_with(lead),
            None => trigger.as_str() == wanted,
        })
    }

    fn wants(&self, event: &Event) -> bool {
        self.wants_trigger(&event.trigger)
            && self.since.is_none_or(|since| event.accepted >= since)
            && self.until.is_none_or(|until| event.accepted < until)
            && self.before.is_none_or(|before| event.id < before)
    }
}

/// Adds a block to a batch; one whose events have secret fields is `secret`.
///
/// # Panics
/// Where zstd cannot compress to memory, which it always can.
pub fn keep(batch: &mut store::batch::Batch, block: &Block, secret: bool) {
    let (Some(first), Some(last)) = (block.events.first(), block.events.last()) else { return };
    let mut triggers: Vec<Reference> = block.events.iter().map(|e| e.trigger.clone()).collect();
    triggers.sort();
    triggers.dedup();
    let plain = rmp_serde::to_vec_named(block).expect("blocks are plain data");
    let content = zstd::bulk::compress(&plain, LEVEL).expect("compressing to memory does not fail");
    table::put(batch, &Packed { first: first.id, last: last.id, triggers, content, secret });
}

/// Leaves out what is ordinary beyond the first few of each rule: it is counted, and can be explained
/// from the kept event.
pub(crate) fn thin(decisions: &mut Vec<Decision>) {
    let mut kept: HashMap<Reference, usize> = HashMap::new();
    decisions.retain(|decision| {
        if !decision.verdict.is_ordinary() {
            return true;
        }
        let count = kept.entry(decision.rule.clone()).or_default();
        *count += 1;
        *count <= ORDINARY_LIMIT
    });
}

fn unpack(packed: &Packed) -> Result<Block, store::Error> {
    open(packed)
}

fn open<B: serde::de::DeserializeOwned>(packed: &Packed) -> Result<B, store::Error> {
    let damaged = |what: String| store::Error::Damaged {
        table: Packed::TABLE,
        key: table::hex(&packed.key()),
        what,
    };
    let plain = zstd::stream::decode_all(packed.content.as_slice())
        .map_err(|error| damaged(error.to_string()))?;
    rmp_serde::from_slice(&plain).map_err(|error| damaged(error.to_string()))
}

/// One event by its id, with its decisions; nothing where it is not kept any more, or never was.
///
/// # Errors
/// As `Store::scan`.
pub async fn find(store: &Handle, id: EventId) -> Result<Option<Kept>, store::Error> {
    // The block that holds it begins at or before it. Several nodes write blocks that overlap in
    // time, so the few blocks before are looked at as well.
    let mut after = id.to_bytes().to_vec();
    after.push(0);
    let rows = Rows::last(PAGE).after(Some(after));
    for held in table::scan::<Packed>(store, rows).await? {
        if held.row.first <= id && id <= held.row.last {
            let found = split(unpack(&held.row)?).into_iter().find(|kept| kept.event.id == id);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// Kept events, newest first.
///
/// # Errors
/// As `Store::scan`.
pub async fn list(store: &Handle, filter: &Filter) -> Result<Vec<Kept>, store::Error> {
    let mut found = Vec::new();
    let mut after = filter.before.map(|id| id.to_bytes().to_vec());
    loop {
        let page = table::scan::<Packed>(store, Rows::last(PAGE).after(after.clone())).await?;
        let Some(end) = page.last() else { return Ok(found) };
        after = Some(end.row.key());
        for held in &page {
            if filter.since.is_some_and(|since| held.row.last.minted_millis() < since.millis()) {
                return Ok(found);
            }
            if !held.row.triggers.iter().any(|trigger| filter.wants_trigger(trigger)) {
                continue;
            }
            let kept = split(unpack(&held.row)?);
            found.extend(kept.into_iter().rev().filter(|kept| filter.wants(&kept.event)));
            if found.len() >= filter.limit {
                found.truncate(filter.limit);
                return Ok(found);
            }
        }
    }
}

/// What a reading of kept events found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Events that were handed over.
    pub events: u64,
    /// Blocks that were opened.
    pub blocks: u64,
    /// When the first of them was accepted.
    pub first: Option<Time>,
}

/// The events of a block, without what was decided.
#[derive(Deserialize)]
struct Events {
    events: Vec<Event>,
}

/// Hands kept events of the triggers that `wants` says, oldest first, to `hear`: those accepted from
/// `since` on and before `until`. Blocks are read while the ones before are heard. What `hear` works on
/// comes back. `hear` says whether it wants more.
///
/// # Errors
/// As `Store::scan`; `Damaged` where a block cannot be opened.
///
/// # Panics
/// Where `hear` does.
pub async fn forward<T: Send + 'static>(
    store: &Handle,
    (since, until): (Time, Time),
    wants: impl Fn(&Reference) -> bool + Send + Sync + 'static,
    mut state: T,
    hear: impl Fn(&mut T, &Event) -> bool + Send + Sync + 'static,
) -> Result<(T, Reading), store::Error> {
    let (wants, hear) = (Arc::new(wants), Arc::new(hear));
    let mut reading = Reading::default();
    let mut page = read_page(store, begin(store, since).await?, until, &wants).await?;
    while let Some(Page { events, blocks, after, last }) = page {
        reading.blocks += blocks;
        let (wants_here, hear) = (Arc::clone(&wants), Arc::clone(&hear));
        let heard = tokio::task::spawn_blocking(move || {
            let span = (since, until);
            let more = hear_events(&events, span, &*wants_here, &*hear, (&mut state, &mut reading));
            (state, reading, more)
        });
        let next = async {
            if last { Ok(None) } else { read_page(store, Some(after), until, &wants).await }
        };
        let (heard, next) = tokio::join!(heard, next);
        let (back, so_far, more) = heard.expect("rules do not panic");
        (state, reading) = (back, so_far);
        page = next?.filter(|_| more);
    }
    Ok((state, reading))
}

/// Some blocks, opened.
struct Page {
    events: Vec<Event>,
    /// Blocks that were opened.
    blocks: u64,
    /// The key of the last one.
    after: Vec<u8>,
    /// Whether what comes after it is too late.
    last: bool,
}

/// The next blocks after a key. Opening them is most of the work, so two threads share it.
async fn read_page<W>(
    store: &Handle,
    after: Option<Vec<u8>>,
    until: Time,
    wants: &Arc<W>,
) -> Result<Option<Page>, store::Error>
where
    W: Fn(&Reference) -> bool + Send + Sync + 'static,
{
    let mut page = table::scan::<Packed>(store, Rows::first(PAGE).after(after)).await?;
    let Some(end) = page.last() else { return Ok(None) };
    let last = end.row.first.minted_millis() > until.millis().saturating_add(SLACK_MS);
    let after = end.row.key();
    page.retain(|held| held.row.triggers.iter().any(|trigger| wants(trigger)));
    let blocks = page.len() as u64;
    let second = page.split_off(page.len() / 2);
    let opened = [page, second].map(|half| tokio::task::spawn_blocking(move || open_all(&half)));
    let mut events = Vec::new();
    for half in opened {
        events.extend(half.await.expect("opening does not panic")?);
    }
    Ok(Some(Page { events, blocks, after, last }))
}

fn open_all(page: &[table::Held<Packed>]) -> Result<Vec<Event>, store::Error> {
    let mut all = Vec::new();
    for held in page {
        let Events { events } = open(&held.row)?;
        all.extend(events);
    }
    Ok(all)
}

/// The key before the first block that may hold events accepted at `since`.
async fn begin(store: &Handle, since: Time) -> Result<Option<Vec<u8>>, store::Error> {
    let ms = u128::try_from(since.millis().saturating_sub(SLACK_MS)).unwrap_or(0);
    let key = EventId::from_bits(ms << 80).to_bytes().to_vec();
    let before = Rows::last(2).after(Some(key));
    let before = table::scan::<Packed>(store, before).await?;
    Ok(before.get(1).map(|held| held.row.key()))
}

fn hear_events<T>(
    events: &[Event],
    (since, until): (Time, Time),
    wants: &impl Fn(&Reference) -> bool,
    hear: &impl Fn(&mut T, &Event) -> bool,
    (state, reading): (&mut T, &mut Reading),
) -> bool {
    for event in events {
        let inside = event.accepted >= since && event.accepted < until;
        if !inside || !wants(&event.trigger) {
            continue;
        }
        reading.events += 1;
        reading.first.get_or_insert(event.accepted);
        if !hear(state, event) {
            return false;
        }
    }
    true
}

/// A block's events, each with its own decisions; the rules that said no come last.
fn split(block: Block) -> Vec<Kept> {
    let Block { events, decisions, refused, rules, version } = block;
    let mut decisions = decisions.into_iter().peekable();
    let mut refused = refused.into_iter();
    let mut kept = Vec::with_capacity(events.len());
    for event in events {
        let mut own = Vec::new();
        while let Some(decision) = decisions.next_if(|decision| decision.event == event.id) {
            own.push(decision);
        }
        let said_no = refused.next().unwrap_or_default();
        own.extend(said_no.iter().filter_map(|rule| rules.get(*rule as usize)).map(|rule| {
            Decision {
                rule: rule.clone(),
                event: event.id,
                version: Arc::clone(&version),
                verdict: Verdict::NotMatched,
                key: None,
                events: Vec::new(),
                note: None,
                effects: Vec::new(),
                executions: Vec::new(),
            }
        }));
        kept.push(Kept { event, decisions: own });
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::cause::Cause;

    /// A block as it was written before rules were found by an index.
    fn before() -> Block {
        let event = Event {
            id: EventId::from_bits(7),
            trigger: "a.b".parse().unwrap(),
            source: "test".into(),
            subject: None,
            time: Time::from_millis(0),
            accepted: Time::from_millis(0),
            data: Arc::new(json!({})),
            cause: Cause::Sensor("test".to_owned()),
            hops: 0,
            trace: None,
            replay: None,
        };
        let rules = vec!["a.yes".parse().unwrap(), "a.no".parse().unwrap()];
        let version = "generation-1".into();
        Block { events: vec![event], decisions: Vec::new(), refused: vec![vec![1]], rules, version }
    }

    #[test]
    fn blocks_of_before_keep_who_said_no_and_new_ones_have_none() {
        let read = |block: &Block| -> Block {
            rmp_serde::from_slice(&rmp_serde::to_vec_named(block).unwrap()).unwrap()
        };
        let kept = split(read(&before()));
        assert_eq!(kept[0].decisions[0].rule.as_str(), "a.no");
        assert_eq!(kept[0].decisions[0].verdict, Verdict::NotMatched);
        let new = Block { refused: Vec::new(), rules: Vec::new(), ..before() };
        assert!(split(read(&new))[0].decisions.is_empty());
    }
}
