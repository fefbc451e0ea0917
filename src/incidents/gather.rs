//! What is told now, of one incident or of many of a group at once, and when to look again.

use std::collections::BTreeMap;

use crate::incidents::decide::{settle, stable, tell};
use crate::model::id::ExecutionId;
use crate::model::incident::{Incident, Kind, State, Told};
use crate::model::notices::Plan;
use crate::model::time::Time;

/// One message over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The channel.
    pub channel: String,
    /// What is told.
    pub kind: Kind,
    /// Of which incidents: their places in what was gathered.
    pub of: Vec<usize>,
}

/// What has to be told when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Announcement {
    kind: Kind,
    due: Time,
    channels: Vec<String>,
}

/// What is told now of these incidents of one group (or of one that is in none). They are changed as
/// if it had been told; `sent` writes down by which execution.
#[must_use]
pub fn gather(incidents: &mut [Incident], plan: &Plan, now: Time) -> Vec<Message> {
    for incident in &mut *incidents {
        settle(incident, plan, now);
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for incident in &*incidents {
        kinds.extend(announcement(incident, plan).filter(|one| one.due <= now).map(|one| one.kind));
    }
    let mut messages: BTreeMap<(Kind, String), Vec<usize>> = BTreeMap::new();
    for (place, incident) in incidents.iter_mut().enumerate() {
        while let Some(one) = announcement(incident, plan) {
            if one.due > now && !joins(incident, &one, plan, (now, &kinds)) {
                break;
            }
            announce(incident, one, now);
        }
        for (kind, channel) in release(incident, now) {
            messages.entry((kind, channel)).or_default().push(place);
        }
    }
    let message = |((kind, channel), of)| Message { channel, kind, of };
    messages.into_iter().map(message).collect()
}

/// When these incidents have to be looked at again; nothing: not before something happens.
#[must_use]
pub fn next_due(incident: &Incident, plan: &Plan) -> Option<Time> {
    let until = incident.acked.as_ref().and_then(|acked| acked.until);
    let until = until.filter(|_| incident.state == State::Acknowledged);
    let told = announcement(incident, plan).map(|one| one.due);
    [until, told, stable(incident, plan)].into_iter().flatten().min()
}

/// Writes down which execution delivers a message.
pub fn sent(incident: &mut Incident, message: &Message, execution: ExecutionId) {
    let made = |told: &&mut Told| {
        told.execution.is_none() && told.channel == message.channel && told.kind == message.kind
    };
    if let Some(told) = incident.told.iter_mut().rev().find(made) {
        told.execution = Some(execution);
    }
}

/// What has to be told next, and when.
fn announcement(incident: &Incident, plan: &Plan) -> Option<Announcement> {
    let heard = |time: Time| plan.heard(incident.failure.severity, time);
    if let Some(since) = incident.flap.since {
        if incident.flap.said {
            return None;
        }
        let mut channels = incident.audience();
        if let Some(level) = plan.levels(incident).first() {
            channels.extend(level.channels.iter().cloned());
        }
        channels.sort();
        channels.dedup();
        let (kind, due) = (Kind::Flapping, heard(since)?);
        return (!channels.is_empty()).then_some(Announcement { kind, due, channels });
    }
    match incident.state {
        State::Open => {
            let level = plan.levels(incident).get(usize::from(incident.level))?;
            let channels = level.channels.clone();
            let (kind, base) = match incident.since {
                Some(since) if incident.level > 0 => (Kind::Escalated, since.plus(level.after)),
                _ => (Kind::Opened, incident.ready.max(incident.opened.plus(level.after))),
            };
            Some(Announcement { kind, due: heard(base)?, channels })
        }
        State::Resolved => {
            let resolved = incident.resolved.as_ref()?;
            if resolved.announced {
                return None;
            }
            let due = heard(incident.ready)?;
            Some(Announcement { kind: Kind::Recovered, due, channels: incident.audience() })
        }
        State::Acknowledged => None,
    }
}

/// Whether it is told a little early, since others of its group are told now.
fn joins(
    incident: &Incident,
    one: &Announcement,
    plan: &Plan,
    (now, kinds): (Time, &[Kind]),
) -> bool {
    let only_waits = match one.kind {
        Kind::Opened => incident.ready.max(incident.opened) == one.due && incident.ready > now,
        Kind::Recovered => incident.ready == one.due,
        _ => false,
    };
    let quiet = plan.heard(incident.failure.severity, now) != Some(now);
    only_waits && !quiet && incident.failure.group.is_some() && kinds.contains(&one.kind)
}

fn announce(incident: &mut Incident, one: Announcement, now: Time) {
    match one.kind {
        Kind::Flapping => incident.flap.said = true,
        Kind::Recovered => {
            let resolved = incident.resolved.as_mut().expect("what has recovered is resolved");
            resolved.announced = true;
        }
        _ => {
            incident.since.get_or_insert(now);
            incident.level += 1;
        }
    }
    tell(incident, one.kind, one.channels);
}

/// What waits and whose channel is free. What has become untrue meanwhile is dropped.
fn release(incident: &mut Incident, now: Time) -> Vec<(Kind, String)> {
    let mut released = Vec::new();
    for pending in std::mem::take(&mut incident.pending) {
        let standing = incident.standing(&pending.channel);
        let over = incident.state == State::Resolved;
        let still = match pending.kind {
            Kind::Opened | Kind::Escalated => !over,
            Kind::Flapping => incident.flap.since.is_some(),
            Kind::Acknowledged => incident.state == State::Acknowledged && standing.may_know,
            Kind::Recovered => over && standing.may_know,
        };
        if !still {
            continue;
        }
        if standing.busy {
            incident.pending.push(pending);
            continue;
        }
        let (channel, kind) = (pending.channel, pending.kind);
        incident.tells(Told {
            channel: channel.clone(),
            kind,
            at: now,
            execution: None,
            arrived: None,
        });
        released.push((kind, channel));
    }
    released
}
