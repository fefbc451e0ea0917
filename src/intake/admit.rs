//! Is it new, and does it fit? What passes becomes an event.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Ids;
use crate::intake::{Outcome, Submission};
use crate::model::event::{Event, Origin, Report};
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::store::table::{self, Held};
use crate::store::tables::{Position, Seen};
use crate::store::{self, Handle};

/// Schemas of triggers, compiled once per catalog.
#[derive(Default)]
pub(crate) struct Schemas {
    generation: u64,
    compiled: HashMap<Reference, Option<Arc<jsonschema::Validator>>>,
}

impl Schemas {
    /// Why `data` does not fit its trigger; nothing where it does, or where no schema is known.
    fn refuse(&mut self, catalog: &Catalog, trigger: &Reference, data: &Value) -> Option<String> {
        if self.generation != catalog.generation {
            *self = Self { generation: catalog.generation, compiled: HashMap::new() };
        }
        let known = self.compiled.entry(trigger.clone()).or_insert_with(|| {
            let schema = &catalog.triggers.get(trigger)?.payload_schema;
            // A schema that does not compile was refused when its pack was loaded.
            jsonschema::validator_for(schema).ok().map(Arc::new)
        });
        let error = known.as_ref()?.validate(data).err()?;
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "the payload".to_owned() } else { format!("`{place}`") };
        Some(format!("{place} does not fit trigger `{trigger}`: {error}"))
    }
}

/// What is known about the streams and keys of a batch, read once.
pub(crate) struct Past {
    positions: HashMap<Arc<str>, Option<Held<Position>>>,
    seen: HashMap<String, Option<crate::model::id::EventId>>,
    moved: HashMap<Arc<str>, i64>,
}

impl Past {
    /// Reads what the store knows about everything that `submissions` name.
    pub(crate) async fn read(
        store: &Handle,
        submissions: &[Submission],
    ) -> Result<Self, store::Error> {
        let reports = || submissions.iter().flat_map(|submission| &submission.reports);
        let advances = submissions.iter().flat_map(|submission| &submission.advance);
        let streams: HashSet<Arc<str>> = reports()
            .filter_map(|report| report.origin.as_ref())
            .chain(advances)
            .map(|origin| Arc::clone(&origin.stream))
            .collect();
        let keys: HashSet<String> = reports().filter_map(|report| report.once.clone()).collect();
        let streams: Vec<Arc<str>> = streams.into_iter().collect();
        let keys: Vec<String> = keys.into_iter().collect();
        let held = table::get_many(store, streams.iter().map(|s| s.as_bytes().to_vec())).await?;
        let seen =
            table::get_many::<Seen>(store, keys.iter().map(|k| k.as_bytes().to_vec())).await?;
        Ok(Self {
            positions: streams.into_iter().zip(held).collect(),
            seen: keys
                .into_iter()
                .zip(seen.into_iter().map(|held| held.map(|held| held.row.event)))
                .collect(),
            moved: HashMap::new(),
        })
    }

    fn at(&self, stream: &Arc<str>) -> i64 {
        let stored = || self.positions.get(stream)?.as_ref().map(|held| held.row.at);
        self.moved.get(stream).copied().or_else(stored).unwrap_or(i64::MIN)
    }

    /// Moves a stream forward, never back.
    pub(crate) fn advance(&mut self, origin: &Origin) {
        if origin.at > self.at(&origin.stream) {
            self.moved.insert(Arc::clone(&origin.stream), origin.at);
        }
    }

    /// The streams that moved: what was held, and what is to be written.
    pub(crate) fn moves(
        &self,
        now: Time,
    ) -> impl Iterator<Item = (Option<&Held<Position>>, Position)> {
        self.moved.iter().map(move |(stream, at)| {
            let held = self.positions.get(stream).and_then(Option::as_ref);
            (held, Position { stream: Arc::clone(stream), at: *at, moved: now })
        })
    }
}

/// What becomes of one submission: outcomes in order, and the events among them.
pub(crate) struct Admitted {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) events: Vec<Event>,
    pub(crate) seen: Vec<Seen>,
}

/// Admits the reports of one submission, in order.
pub(crate) fn admit(
    reports: &[Report],
    past: &mut Past,
    schemas: &mut Schemas,
    catalog: &Catalog,
    (ids, now): (&Ids, Time),
) -> Admitted {
    let mut admitted = Admitted {
        outcomes: Vec::with_capacity(reports.len()),
        events: Vec::new(),
        seen: Vec::new(),
    };
    // One record may become several events: neighbours of one place are new together, or old.
    let mut last: Option<(&Origin, bool)> = None;
    for report in reports {
        let is_new = |origin: &Origin| match last {
            Some((before, is_new)) if before == origin => is_new,
            _ => origin.at > past.at(&origin.stream),
        };
        last = report.origin.as_ref().map(|origin| (origin, is_new(origin)));
        let outcome = if let Some((origin, false)) = last {
            tracing::debug!(stream = %origin.stream, at = origin.at, "already taken in");
            Outcome::Duplicate(None)
        } else if let Some(Some(event)) = report.once.as_ref().and_then(|once| past.seen.get(once))
        {
            Outcome::Duplicate(Some(*event))
        } else if let Some(reason) = schemas.refuse(catalog, &report.trigger, &report.data) {
            Outcome::Refused(reason)
        } else {
            let event = event(report, ids, now);
            let id = event.id;
            if let Some(once) = &report.once {
                past.seen.insert(once.clone(), Some(id));
                admitted.seen.push(Seen { once: once.clone(), event: id, at: now });
            }
            admitted.events.push(event);
            Outcome::Accepted(id)
        };
        if let Some(origin) = &report.origin {
            past.advance(origin);
        }
        admitted.outcomes.push(outcome);
    }
    admitted
}

fn event(report: &Report, ids: &Ids, now: Time) -> Event {
    Event {
        id: ids.event(),
        trigger: report.trigger.clone(),
        source: Arc::clone(&report.source),
        subject: report.subject.clone(),
        time: report.time.unwrap_or(now),
        accepted: now,
        data: Arc::clone(&report.data),
        cause: report.cause.clone(),
        hops: report.hops,
        trace: report.trace.clone(),
        replay: report.replay,
    }
}
