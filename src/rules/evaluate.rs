//! Asks closures about one event; what they answer, or why they did not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rhai::{Dynamic, Map};

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::rules::Facts;
use crate::rules::closure::{Asked, Closure};
use crate::rules::memory::WHOLE;
use crate::rules::set::{Bench, Set};
use crate::script::convert::{kind, to_dynamic, to_json};
use crate::script::fault::Fault;
use crate::script::limits::{self, Sizes};
use crate::script::scope::World;

/// Bytes of a memory key (`per`).
pub const KEY_LIMIT: usize = 512;

/// What the rules on one event's trigger said, before memory is asked.
#[derive(Debug, Default)]
pub struct Evaluation {
    pub(crate) answers: Vec<Answer>,
    refused: Vec<Reference>,
    /// The event as Rhai sees it, for `decide`.
    pub(crate) asked: Asked,
}

/// What one rule said that did not say no.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its position in the set.
    pub(crate) index: usize,
    pub(crate) said: Said,
}

#[derive(Debug)]
pub(crate) enum Said {
    /// It matches, under this key where it has one.
    Yes(Option<String>),
    /// It does not match, and remembers something that this may end.
    No(Option<String>),
    Wrong(Fault),
}

/// What `when` and `per` of one rule said.
enum Matched {
    No,
    Yes(Option<String>),
}

impl Evaluation {
    /// The rules that said no.
    #[must_use]
    pub fn refused(&self) -> Vec<Reference> {
        self.refused.clone()
    }
}

/// Asks `when` and `per` of every enabled rule on the event's trigger.
#[must_use]
pub fn evaluate(set: &Set, event: &Event, facts: &Facts) -> Evaluation {
    let mut evaluation = Evaluation::default();
    let positions = set.positions(&event.trigger);
    if positions.is_empty() {
        return evaluation;
    }
    let asked = Asked { data: to_dynamic(&event.data), ..Asked::default() };
    let mut hearing = Hearing::open(set, event, facts, asked);
    for index in positions {
        match hearing.matches(index) {
            Ok(Matched::No) => evaluation.refused.push(set.rule(index).reference.clone()),
            Ok(Matched::Yes(key)) => {
                evaluation.answers.push(Answer { index, said: Said::Yes(key) });
            }
            Err(fault) => evaluation.answers.push(Answer { index, said: Said::Wrong(fault) }),
        }
    }
    evaluation.asked = hearing.close();
    evaluation
}

/// Data, and the event that it is of.
pub(crate) type About = (Dynamic, Option<EventId>);

/// One event before the rules: a bench, and the event as Rhai sees it.
pub(crate) struct Hearing<'h> {
    set: &'h Set,
    event: &'h Event,
    facts: &'h Facts,
    bench: Bench,
    asked: Asked,
    /// The worlds of the packs asked so far: configurations differ.
    worlds: HashMap<&'h str, Dynamic>,
    /// What the second parameter holds beside the envelope, for the next closure.
    more: Option<Map>,
    /// The event that the data is of.
    about: Option<EventId>,
}

impl<'h> Hearing<'h> {
    pub(crate) fn open(set: &'h Set, event: &'h Event, facts: &'h Facts, asked: Asked) -> Self {
        let mut bench = set.bench();
        limits::admit(&mut bench.engine, &limits::DECIDING, Sizes::of(&event.data));
        let about = Some(event.id);
        Self { set, event, facts, bench, asked, worlds: HashMap::new(), more: None, about }
    }

    /// What the second parameter of the next closure holds beside the envelope.
    pub(crate) fn enrich(&mut self, more: Option<Map>) {
        self.more = more;
    }

    /// Closures are asked about this data from now on, which is that of this event, or of none; gives
    /// what they were asked about before.
    pub(crate) fn swap(&mut self, about: About) -> About {
        let data = std::mem::replace(&mut self.asked.data, about.0);
        (data, std::mem::replace(&mut self.about, about.1))
    }

    /// The data is that of this event.
    pub(crate) fn be_about(&mut self, event: Option<EventId>) {
        self.about = event;
    }

    /// Whether the data is that of this event.
    pub(crate) fn is_about(&self, event: EventId) -> bool {
        self.about == Some(event)
    }

    /// The event that is heard.
    pub(crate) fn event_id(&self) -> EventId {
        self.event.id
    }

    /// Gives the bench back; the event may be heard again.
    pub(crate) fn close(self) -> Asked {
        self.set.put_back(self.bench);
        self.asked
    }

    /// Whether a rule matches, and under which key.
    fn matches(&mut self, index: usize) -> Result<Matched, Fault> {
        let closures = &self.set.rule(index).closures;
        if let Some(when) = &closures.when {
            let answer = self.ask(index, when)?;
            match answer.as_bool() {
                Ok(false) => return Ok(Matched::No),
                Ok(true) => {}
                Err(_) => {
                    let message = format!("`when` gave {}, not true or false", kind(&answer));
                    return Err(Fault::at(message, when.position()));
                }
            }
        }
        self.key(index).map(Matched::Yes)
    }

    /// Under which key a rule remembers what it makes of the event.
    pub(crate) fn key(&mut self, index: usize) -> Result<Option<String>, Fault> {
        let Some(per) = &self.set.rule(index).closures.per else { return Ok(None) };
        let answer = self.ask(index, per)?;
        key(&answer).map(Some).map_err(|message| Fault::at(message, per.position()))
    }

    /// Asks one closure of a rule, within its limits.
    pub(crate) fn ask(&mut self, index: usize, closure: &Closure) -> Result<Dynamic, Fault> {
        let rule = self.set.rule(index);
        self.asked.tag = self.world(rule.reference.pack());
        let more = self.more.take();
        if closure.wants_envelope() && (self.asked.envelope.is_unit() || more.is_some()) {
            self.asked.envelope = envelope(self.event, more);
        }
        let Bench { engine, deadline, caches } = &mut self.bench;
        let caches = &mut caches[self.set.surroundings(index)];
        deadline.start();
        let asked = &mut self.asked;
        let around = &rule.around;
        let answer = catch_unwind(AssertUnwindSafe(|| closure.ask(engine, caches, around, asked)));
        if let Ok(answer) = answer {
            return answer.map_err(|error| Fault::of(&error, &around.file).or(closure.position()));
        }
        // What it left behind in the caches may be half done, and the event went with it.
        *caches = rhai::Caches::new();
        self.asked.data = to_dynamic(&self.event.data);
        Err(Fault::at("Rhai itself gave up on this closure", closure.position()))
    }

    fn world(&mut self, pack: &'h str) -> Dynamic {
        let facts = self.facts;
        let world = self.worlds.entry(pack).or_insert_with(|| {
            let config = facts.configs.get(pack).cloned().unwrap_or_default();
            World { now: facts.now, config, keys: facts.keys.clone() }.tag()
        });
        world.clone()
    }
}

/// What a closure's second parameter holds.
fn envelope(event: &Event, more: Option<Map>) -> Dynamic {
    let mut envelope = more.unwrap_or_default();
    envelope.insert("id".into(), event.id.to_string().into());
    envelope.insert("trigger".into(), event.trigger.as_str().into());
    envelope.insert("source".into(), (&*event.source).into());
    let subject = event.subject.as_deref().map_or(Dynamic::UNIT, Into::into);
    envelope.insert("subject".into(), subject);
    envelope.insert("time".into(), event.time.millis().into());
    envelope.into()
}

/// A memory key: texts as they are, anything else as JSON, nothing as the empty key.
fn key(answer: &Dynamic) -> Result<String, String> {
    let key = if let Ok(text) = answer.as_immutable_string_ref() {
        text.to_string()
    } else if answer.is_unit() {
        String::new()
    } else {
        to_json(answer).map_err(|error| format!("`per`: {error}"))?.to_string()
    };
    if key.starts_with(WHOLE) {
        return Err("`per` gave a key that begins with a zero byte".to_owned());
    }
    if key.len() > KEY_LIMIT {
        return Err(format!("`per` gave a key of {} bytes; {KEY_LIMIT} is the most", key.len()));
    }
    Ok(key)
}
