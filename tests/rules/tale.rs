//! A rule on a clock that tests move: what it decides, event by event and deadline by deadline.

use std::cell::Cell;
use std::sync::Arc;

use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::execution::Status;
use ifso::model::id::{EventId, ExecutionId};
use ifso::model::parameter::Parameters;
use ifso::model::rule::{Decision, Effect, Ending, Verdict};
use ifso::model::time::Time;
use ifso::rules::reload::Moment;
use ifso::rules::{Facts, Memories, Set, Simulation};
use ifso::store::table;
use ifso::store::tables::Remembered;
use serde_json::{Value, json};

use super::Story;

thread_local! {
    /// Whether Ifso dies and starts again before each step.
    static DYING: Cell<bool> = const { Cell::new(false) };
}

/// Tells a story on an Ifso that dies and starts again before each of its steps.
pub(crate) fn dying(story: fn()) {
    DYING.set(true);
    story();
    DYING.set(false);
}

/// Rules on a clock that begins at 0.
pub(crate) struct Tale {
    simulation: Simulation,
    events: u128,
    pub(crate) hops: u16,
    /// When the next event happened, where that is not when it is told.
    pub(crate) happened: Option<i64>,
    pub(crate) last: Vec<Decision>,
    down: Option<i64>,
}

/// Midnight UTC of a day that begins an hour, a day and a week of seconds.
pub(crate) const START: i64 = 1_699_920_000_000;

impl Tale {
    pub(crate) fn of(text: &str) -> Self {
        Self::with(set(text))
    }

    pub(crate) fn with(set: Set) -> Self {
        let facts = Facts { now: at(0), ..Facts::default() };
        let simulation = Simulation::new(Arc::new(set), facts).with_ends();
        Self { simulation, events: 0, hops: 0, happened: None, last: Vec::new(), down: None }
    }

    /// One rule on `t.x` with these keys.
    pub(crate) fn rule(keys: &str) -> Self {
        Self::of(&format!("rule(\"r\", #{{ on: \"t.x\", {keys} }});"))
    }

    pub(crate) fn reload(&mut self, keys: &str) {
        let text = format!("rule(\"r\", #{{ on: \"t.x\", {keys} }});");
        self.simulation.reload(Arc::new(set(&text)));
    }

    pub(crate) fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// An event on `t.x` at this millisecond. Gives what fell due before it, each with its time, then
    /// what the event led to.
    pub(crate) fn at(&mut self, ms: i64, data: Value) -> Vec<String> {
        self.on("t.x", ms, data)
    }

    pub(crate) fn on(&mut self, trigger: &str, ms: i64, data: Value) -> Vec<String> {
        self.die();
        self.events += 1;
        let event = Event {
            id: EventId::from_bits(self.events),
            trigger: trigger.parse().unwrap(),
            source: "test".into(),
            subject: None,
            time: at(self.happened.take().unwrap_or(ms)),
            accepted: at(ms),
            data: Arc::new(data),
            cause: Cause::Sensor("test".to_owned()),
            hops: self.hops,
            trace: None,
            replay: None,
        };
        let (due, decisions) = self.simulation.accept(&event);
        let mut said = told(&due);
        said.extend(decisions.iter().map(words));
        self.last = decisions;
        said
    }

    /// The end of what the rule's last firing under this key started, as it would be told.
    pub(crate) fn ending(&self, key: &str, effect: u16) -> Ending {
        self.ending_of("site.r", key, effect)
    }

    pub(crate) fn ending_of(&self, rule: &str, key: &str, effect: u16) -> Ending {
        let rule = rule.parse().unwrap();
        let memory = self.simulation.memories().get(&rule, key).unwrap();
        let started = memory.started.as_ref().unwrap();
        Ending {
            rule,
            event: started.event,
            effect,
            execution: ExecutionId::from_bits(u128::from(effect)),
            action: "t.grow".parse().unwrap(),
            parameters: serde_json::Map::new(),
            status: Status::Succeeded,
            result: json!({ "output": { "changed": true } }),
            at: at(0),
        }
    }

    /// An execution ends at this millisecond.
    pub(crate) fn end(&mut self, ms: i64, ending: &Ending) -> Vec<String> {
        self.die();
        told(&self.simulation.end(&Ending { at: at(ms), ..ending.clone() }))
    }

    /// Time passes up to this millisecond, included.
    pub(crate) fn pass(&mut self, ms: i64) -> Vec<String> {
        self.die();
        let due = self.simulation.advance(at(ms));
        if let Some((_, decisions)) = due.last() {
            self.last.clone_from(decisions);
        }
        told(&due)
    }

    /// Dies and starts again from what is on disk, where the story is told so.
    fn die(&mut self) {
        if DYING.get() {
            self.restart(Moment::Reload);
        }
    }

    /// It is later, and nobody has looked: Ifso is down.
    pub(crate) fn later(&mut self, ms: i64) {
        self.down = Some(ms);
    }

    /// Starts again from what is on disk.
    pub(crate) fn restart(&mut self, moment: Moment) {
        let set = Arc::clone(self.simulation.set());
        let now = self.down.take().map_or(self.simulation.now(), at);
        let facts = Facts { now, ..Facts::default() };
        let memories = self.simulation.memories();
        let mut rows = Vec::new();
        for rule in memories.rules() {
            for (key, memory) in memories.each(rule) {
                let row = Remembered {
                    rule: rule.clone(),
                    key: key.to_owned(),
                    memory: memory.clone(),
                    secret: false,
                };
                let row: Remembered = table::decode(&[], &table::encode(&row)).unwrap();
                rows.push((row.rule, row.key, row.memory));
            }
        }
        let simulation = Simulation::resume(set, facts, Memories::of(rows), moment);
        self.simulation = simulation.with_ends();
    }

    /// The numbers of the events behind the last decision.
    pub(crate) fn events(&self) -> Vec<u128> {
        let ids = self.last.last().map(|decision| decision.events.clone()).unwrap_or_default();
        ids.iter().map(|id| u128::from_be_bytes(id.to_bytes())).collect()
    }
}

pub(crate) fn at(ms: i64) -> Time {
    Time::from_millis(START + ms)
}

fn set(text: &str) -> Set {
    Story::new().action("t.grow", Parameters::new()).rules(text).set
}

fn told(due: &[(Event, Vec<Decision>)]) -> Vec<String> {
    let each = |(event, decisions): &(Event, Vec<Decision>)| {
        let ms = event.time.millis() - START;
        decisions
            .iter()
            .map(move |decision| format!("{ms}: {}", words(decision)))
            .collect::<Vec<_>>()
    };
    due.iter().flat_map(each).collect()
}

/// A decision in few words: `a fired x`, where `a` is the key and `x` what it logs.
fn words(decision: &Decision) -> String {
    let ms = |time: &Time| (time.millis() - START).to_string();
    let detail = match &decision.verdict {
        Verdict::Holding { until }
        | Verdict::Cooling { until }
        | Verdict::Limited { until }
        | Verdict::Queued { until } => ms(until),
        Verdict::Busy { since, .. } => ms(since),
        Verdict::Broken { since } | Verdict::Stale { since } | Verdict::StillTrue { since } => {
            ms(since)
        }
        Verdict::Gathering { note } => note.clone(),
        Verdict::Inactive { until } | Verdict::Quarantined { until } => {
            until.as_ref().map(ms).unwrap_or_default()
        }
        Verdict::Late { ms } => ms.to_string(),
        Verdict::Full { limit } => limit.clone(),
        Verdict::Error { message, .. } => message.clone(),
        _ => String::new(),
    };
    let effects = decision.effects.iter().map(|effect| match effect {
        Effect::Log { text } => text.clone(),
        Effect::Emit { trigger, .. } => trigger.to_string(),
        Effect::Run { action, .. } => action.to_string(),
        other => json!(other).to_string(),
    });
    let key = decision.key.clone().unwrap_or_default();
    let word = decision.verdict.word().to_owned();
    let parts = [key, word, detail].into_iter().chain(effects).chain(decision.note.clone());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}
