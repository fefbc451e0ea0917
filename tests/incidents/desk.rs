//! A desk at which incidents are decided by hand: no store, no loop, time moves as the test says.

use std::collections::BTreeMap;
use std::time::Duration;

use ifso::incidents::{Happening, Message, decide, gather, next_due, sent};
use ifso::model::id::{ExecutionId, IncidentId};
use ifso::model::incident::{Failure, Incident, Kind, Severity};
use ifso::model::notices::{Channel, Damping, Level, Plan, Route};
use ifso::model::time::Time;
use serde_json::{Map, Value};

/// What one channel was told: when, what, of which keys.
pub type Heard = (i64, String, Kind, Vec<String>);

/// A plan, incidents, and all that was told.
pub struct Desk {
    pub plan: Plan,
    pub now: Time,
    pub incidents: Vec<Incident>,
    pub heard: Vec<Heard>,
    /// Channels whose messages stay under way until `deliver` is called.
    pub slow: Vec<String>,
    minted: u128,
}

impl Desk {
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            now: Time::from_millis(0),
            incidents: Vec::new(),
            heard: Vec::new(),
            slow: Vec::new(),
            minted: 0,
        }
    }

    /// The newest incident of a key.
    pub fn of(&self, key: &str) -> &Incident {
        self.incidents.iter().rev().find(|incident| incident.failure.key == key).unwrap()
    }

    /// Something happens to an incident, now.
    pub fn happens(&mut self, key: &str, happening: Happening) {
        let place = self.incidents.iter().rposition(|incident| incident.failure.key == key);
        let before = place.map(|place| self.incidents[place].clone());
        self.minted += 1;
        let fresh = IncidentId::from_bits(self.minted);
        let Some(after) = decide(before, happening, &self.plan, self.now, || fresh) else { return };
        let group = after.failure.group.clone();
        let id = after.id;
        match place.filter(|place| self.incidents[*place].id == id) {
            Some(place) => self.incidents[place] = after,
            None => self.incidents.push(after),
        }
        self.gather(id, group.as_deref());
    }

    pub fn fails(&mut self, failure: &Failure) {
        self.happens(&failure.key.clone(), Happening::Failure(failure.clone()));
    }

    pub fn recovers(&mut self, key: &str) {
        self.happens(key, Happening::Recovery);
    }

    pub fn acknowledged(&mut self, key: &str) {
        self.happens(key, Happening::Acknowledge { by: "ann".to_owned(), until: None });
    }

    fn gather(&mut self, id: IncidentId, group: Option<&str>) {
        let places: Vec<usize> = (0..self.incidents.len())
            .filter(|place| {
                let other = &self.incidents[*place];
                other.id == id || group.is_some() && other.failure.group.as_deref() == group
            })
            .collect();
        let mut those: Vec<Incident> =
            places.iter().map(|place| self.incidents[*place].clone()).collect();
        let messages = gather(&mut those, &self.plan, self.now);
        let mut delivered = Vec::new();
        for message in messages {
            self.minted += 1;
            let execution = ExecutionId::from_bits(self.minted);
            self.hears(&message, &those);
            for place in &message.of {
                sent(&mut those[*place], &message, execution);
                if !self.slow.contains(&message.channel) {
                    delivered.push((those[*place].id, execution));
                }
            }
        }
        for (place, incident) in places.into_iter().zip(those) {
            assert!(next_due(&incident, &self.plan).is_none_or(|due| due > self.now));
            self.incidents[place] = incident;
        }
        for (id, execution) in delivered {
            self.over(id, execution, true);
        }
    }

    fn hears(&mut self, message: &Message, those: &[Incident]) {
        let keys = message.of.iter().map(|place| those[*place].failure.key.clone()).collect();
        self.heard.push((self.now.millis(), message.channel.clone(), message.kind, keys));
    }

    fn over(&mut self, id: IncidentId, execution: ExecutionId, arrived: bool) {
        let place = self.incidents.iter().position(|incident| incident.id == id).unwrap();
        let before = self.incidents[place].clone();
        let happening = Happening::Delivered { execution, arrived };
        let after = decide(Some(before), happening, &self.plan, self.now, || unreachable!());
        self.incidents[place] = after.unwrap();
        let group = self.incidents[place].failure.group.clone();
        self.gather(id, group.as_deref());
    }

    /// The messages of a slow channel that are under way end so.
    pub fn deliver(&mut self, channel: &str, arrived: bool) {
        let under_way: Vec<(IncidentId, ExecutionId)> = self
            .incidents
            .iter()
            .flat_map(|incident| {
                let told = incident.told.iter();
                let told = told.filter(|told| told.channel == channel && told.arrived.is_none());
                told.filter_map(|told| Some((incident.id, told.execution?)))
            })
            .collect();
        for (id, execution) in under_way {
            self.over(id, execution, arrived);
        }
    }

    /// Time passes; what comes due meanwhile happens at its time.
    pub fn until(&mut self, ms: i64) {
        let end = Time::from_millis(ms);
        loop {
            let next = self
                .incidents
                .iter()
                .filter_map(|one| Some((next_due(one, &self.plan)?, one.id)))
                .min();
            let Some((due, id)) = next.filter(|(due, _)| *due <= end) else { break };
            self.now = self.now.max(due);
            let group = self.incidents.iter().find(|one| one.id == id).unwrap();
            let group = group.failure.group.clone();
            self.gather(id, group.as_deref());
        }
        self.now = self.now.max(end);
    }

    /// What was told since the last look.
    pub fn news(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }
}

pub fn failure(key: &str) -> Failure {
    Failure {
        key: key.to_owned(),
        title: format!("{key} is broken"),
        severity: Severity::Error,
        source: "test".to_owned(),
        labels: BTreeMap::new(),
        group: None,
        details: Value::Null,
    }
}

pub fn grouped(key: &str, group: &str) -> Failure {
    Failure { group: Some(group.to_owned()), ..failure(key) }
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Three channels; `ops` at once, `lead` after 15 minutes, `boss` after 30.
pub fn plan() -> Plan {
    let channel =
        || Channel { action: "pack.send".parse().unwrap(), with: Map::new(), acks: false };
    let level = |after: u64, name: &str| Level {
        after: Duration::from_mins(after),
        channels: vec![name.to_owned()],
    };
    Plan {
        channels: ["ops", "lead", "boss"].map(|name| (name.to_owned(), channel())).into(),
        routes: vec![Route {
            levels: vec![level(0, "ops"), level(15, "lead"), level(30, "boss")],
            ..Route::default()
        }],
        group_wait: secs(30),
        flap: Damping { changes: 4, within: secs(600), stable: secs(120) },
        ..Plan::default()
    }
}

pub fn said(ms: i64, channel: &str, kind: Kind, keys: &[&str]) -> Heard {
    (ms, channel.to_owned(), kind, keys.iter().map(|key| (*key).to_owned()).collect())
}
