//! What becomes of one incident when something happens to it. Pure: it says what should be told and
//! when, nobody is told here. `gather` says what is told now.

use crate::model::id::{ExecutionId, IncidentId};
use crate::model::incident::{Acked, Failure, Flap, Incident, Kind, Pending, Resolved, State};
use crate::model::notices::Plan;
use crate::model::time::Time;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// Its source reports the trouble, for the first time or again.
    Failure(Failure),
    /// Its source says that it is over.
    Recovery,
    /// Somebody is at it, for good or until then.
    Acknowledge {
        /// Who.
        by: String,
        /// When it is open again unless it is over by then.
        until: Option<Time>,
    },
    /// Somebody says that it is over.
    Resolve {
        /// Who.
        by: String,
    },
    /// Somebody wants those told whom no message reached.
    Tell {
        /// Who.
        by: String,
    },
    /// A message is over.
    Delivered {
        /// The execution that delivered it.
        execution: ExecutionId,
        /// Whether it arrived.
        arrived: bool,
    },
    /// Nothing; its time may have come, or the plan has changed.
    Look,
}

/// The incident after what happened; nothing where there is none. `fresh` names a new one.
#[must_use]
pub fn decide(
    mut before: Option<Incident>,
    happening: Happening,
    plan: &Plan,
    now: Time,
    fresh: impl FnOnce() -> IncidentId,
) -> Option<Incident> {
    if let Some(incident) = &mut before {
        settle(incident, plan, now);
    }
    let Happening::Failure(failure) = happening else {
        let mut incident = before?;
        match happening {
            Happening::Recovery => resolve(&mut incident, None, plan, now),
            Happening::Resolve { by } => resolve(&mut incident, Some(by), plan, now),
            Happening::Acknowledge { by, until } => {
                acknowledge(&mut incident, (by, until), plan, now);
            }
            Happening::Tell { by } => again(&mut incident, &by, now),
            Happening::Delivered { execution, arrived } => {
                delivered(&mut incident, (execution, arrived), now);
            }
            Happening::Failure(_) | Happening::Look => {}
        }
        return Some(incident);
    };
    let Some(mut incident) = before.filter(|old| comes_back(old, plan, now)) else {
        let mut new = Incident::new(fresh(), failure, now);
        new.count = 1;
        opens(&mut new, plan, now);
        return Some(new);
    };
    report(&mut incident, failure, plan, now);
    Some(incident)
}

/// Whether a failure now is the same incident: it is not over, or comes back within the flap window.
fn comes_back(incident: &Incident, plan: &Plan, now: Time) -> bool {
    match &incident.resolved {
        None => true,
        Some(_) if incident.flap.since.is_some() => true,
        Some(resolved) => !resolved.announced || now.since(resolved.at) < plan.flap.within,
    }
}

fn report(incident: &mut Incident, failure: Failure, plan: &Plan, now: Time) {
    incident.count += 1;
    incident.last = now;
    let known = incident.failure.severity;
    incident.failure = failure;
    match incident.state {
        State::Resolved => comes_again(incident, plan, now),
        // Nobody who was called for something bad shall be told that it is harmless.
        _ => incident.failure.severity = incident.failure.severity.max(known),
    }
    if incident.failure.severity > known && incident.state == State::Open {
        worse(incident, now);
    }
}

/// It is worse than it was, which is news: its route is begun anew.
fn worse(incident: &mut Incident, now: Time) {
    incident.note(now, format!("it is {} now", incident.failure.severity));
    if incident.level > 0 {
        (incident.level, incident.since, incident.ready) = (0, None, now);
    }
}

/// It was over and is not.
fn comes_again(incident: &mut Incident, plan: &Plan, now: Time) {
    let resolved = incident.resolved.take().expect("what is resolved says why");
    if resolved.announced || incident.flap.since.is_some() {
        incident.acked = None;
        incident.opened = now;
        incident.state = State::Open;
        opens(incident, plan, now);
        return;
    }
    // Nobody was told that it is over, so for people it never was.
    incident.state = if incident.acked.is_some() { State::Acknowledged } else { State::Open };
    incident.ready = incident.ready.max(now);
    incident.note(now, "it is back before anybody was told that it was over");
    changed(incident, plan, now);
}

fn opens(incident: &mut Incident, plan: &Plan, now: Time) {
    incident.level = 0;
    incident.since = None;
    incident.pending.retain(|pending| pending.kind != Kind::Recovered);
    incident.ready = gathered(incident, plan, now);
    incident.note(now, format!("opened: {}", incident.failure.title));
    changed(incident, plan, now);
}

fn resolve(incident: &mut Incident, by: Option<String>, plan: &Plan, now: Time) {
    if incident.state == State::Resolved {
        return;
    }
    incident.state = State::Resolved;
    incident.note(
        now,
        by.as_ref().map_or_else(|| "recovered".to_owned(), |by| format!("resolved by {by}")),
    );
    incident.resolved = Some(Resolved { by, at: now, announced: false });
    incident.ready = gathered(incident, plan, now);
    // What was not told yet need not be told any more.
    incident.pending.clear();
    changed(incident, plan, now);
    nobody_knows(incident);
}

/// When what happens now to an incident may be told, so that others of its group can join.
fn gathered(incident: &Incident, plan: &Plan, now: Time) -> Time {
    if incident.failure.group.is_some() { now.plus(plan.group_wait) } else { now }
}

/// An end of which nobody has to be told is told.
fn nobody_knows(incident: &mut Incident) {
    let nobody = incident.flap.since.is_none() && incident.audience().is_empty();
    if let Some(resolved) = incident.resolved.as_mut().filter(|_| nobody) {
        resolved.announced = true;
    }
}

/// It began or ended: too often, and it flaps.
fn changed(incident: &mut Incident, plan: &Plan, now: Time) {
    let damping = &plan.flap;
    let flap = &mut incident.flap;
    flap.changes.retain(|at| now.since(*at) < damping.within);
    flap.changes.push(now);
    let many = flap.changes.len() >= usize::from(damping.changes) && damping.changes > 1;
    if flap.since.is_some() || !many {
        let keep = usize::from(damping.changes).max(1);
        flap.changes.drain(..flap.changes.len().saturating_sub(keep));
        return;
    }
    *flap = Flap { since: Some(now), said: false, changes: std::mem::take(&mut flap.changes) };
    incident.pending.clear();
    incident.note(now, "it comes and goes: nothing more is said until it is stable");
}

fn acknowledge(
    incident: &mut Incident,
    (by, until): (String, Option<Time>),
    plan: &Plan,
    now: Time,
) {
    if incident.state == State::Resolved || until.is_some_and(|until| until <= now) {
        return;
    }
    let first = incident.state == State::Open;
    let span = until.map(|until| format!(" until {until}")).unwrap_or_default();
    incident.note(now, format!("acknowledged by {by}{span}"));
    let at = incident.acked.as_ref().filter(|_| !first).map_or(now, |acked| acked.at);
    incident.state = State::Acknowledged;
    incident.acked = Some(Acked { by, at, until });
    incident.pending.retain(|pending| pending.kind != Kind::Escalated);
    if first {
        let wants = |channel: &String| plan.channels.get(channel).is_some_and(|known| known.acks);
        let channels = incident.audience().into_iter().filter(wants).collect();
        tell(incident, Kind::Acknowledged, channels);
    }
}

/// Those whom no message reached are told once more. What is over is not told as if it began.
fn again(incident: &mut Incident, by: &str, now: Time) {
    let missed = incident.missed();
    if incident.state == State::Resolved || missed.is_empty() {
        return;
    }
    incident.note(now, format!("{by} has {} told again", missed.join(", ")));
    tell(incident, Kind::Opened, missed);
}

fn delivered(incident: &mut Incident, (execution, arrived): (ExecutionId, bool), now: Time) {
    let mut lost = Vec::new();
    for told in &mut incident.told {
        if told.execution == Some(execution) && told.arrived.is_none() {
            told.arrived = Some(arrived);
            if !arrived {
                lost.push(format!("`{}` could not be told: {execution} failed", told.channel));
            }
        }
    }
    for what in lost {
        incident.note(now, what);
    }
    nobody_knows(incident);
}

/// What the clock alone has changed: it is stable again, or whoever was at it has had their time.
pub(super) fn settle(incident: &mut Incident, plan: &Plan, now: Time) {
    if let Some(until) = incident.acked.as_ref().and_then(|acked| acked.until)
        && incident.state == State::Acknowledged
        && now >= until
    {
        // The levels stood still meanwhile.
        let rested = incident.acked.take().map(|acked| until.since(acked.at)).unwrap_or_default();
        incident.since = incident.since.map(|since| since.plus(rested));
        incident.state = State::Open;
        incident.note(until, "the acknowledgement is over: it is open again");
    }
    if let Some(stable) = stable(incident, plan)
        && now >= stable
    {
        incident.flap = Flap::default();
        incident.ready = stable;
        incident.note(stable, "it is stable");
        if incident.state == State::Open {
            (incident.level, incident.since) = (0, None);
        }
        nobody_knows(incident);
    }
}

/// When it is stable again, if it flaps and nothing happens until then.
pub(super) fn stable(incident: &Incident, plan: &Plan) -> Option<Time> {
    incident.flap.since?;
    incident.flap.changes.last().map(|last| last.plus(plan.flap.stable))
}

/// Puts something into the line of each channel.
pub(super) fn tell(incident: &mut Incident, kind: Kind, channels: Vec<String>) {
    for channel in channels {
        let pending = Pending { channel, kind };
        if !incident.pending.contains(&pending) {
            incident.pending.push(pending);
        }
    }
}
