//! Asks closures about one event; what they answer, or why they did not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rhai::{Dynamic, Map};

use crate::model::event::Event;
use crate::model::reference::Reference;
use crate::rules::Facts;
use crate::rules::closure::{Asked, Closure};
use crate::rules::criteria::backstop;
use crate::rules::rule::When;
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
    wants: Vec<(Reference, String)>,
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
    Wrong(Fault),
}

/// What `when` and `per` of one rule said.
enum Matched {
    No,
    Yes(Option<String>),
}

impl Evaluation {
    /// The memories that `decide` will want: rule and key.
    #[must_use]
    pub fn wants(&self) -> Vec<(Reference, String)> {
        self.wants.clone()
    }

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
        let rule = set.rule(index);
        match hearing.matches(index) {
            Ok(Matched::No) => evaluation.refused.push(rule.reference.clone()),
            Ok(Matched::Yes(key)) => {
                if rule.cooldown.is_some() {
                    let key = key.clone().unwrap_or_default();
                    evaluation.wants.push((rule.reference.clone(), key));
                }
                evaluation.answers.push(Answer { index, said: Said::Yes(key) });
            }
            Err(fault) => evaluation.answers.push(Answer { index, said: Said::Wrong(fault) }),
        }
    }
    let back = backstop::settle(set, &mut evaluation.answers);
    evaluation.refused.extend(back.into_iter().map(|index| set.rule(index).reference.clone()));
    evaluation.asked = hearing.close();
    evaluation
}

/// One event before the rules: a bench, and the event as Rhai sees it.
pub(crate) struct Hearing<'h> {
    set: &'h Set,
    event: &'h Event,
    facts: &'h Facts,
    bench: Bench,
    asked: Asked,
    /// The worlds of the packs asked so far: configurations differ.
    worlds: HashMap<&'h str, Dynamic>,
}

impl<'h> Hearing<'h> {
    pub(crate) fn open(set: &'h Set, event: &'h Event, facts: &'h Facts, asked: Asked) -> Self {
        let mut bench = set.bench();
        limits::admit(&mut bench.engine, &limits::DECIDING, Sizes::of(&event.data));
        Self { set, event, facts, bench, asked, worlds: HashMap::new() }
    }

    /// Gives the bench back; the event may be heard again.
    pub(crate) fn close(self) -> Asked {
        self.set.put_back(self.bench);
        self.asked
    }

    /// Whether a rule matches, and under which key.
    fn matches(&mut self, index: usize) -> Result<Matched, Fault> {
        let closures = &self.set.rule(index).closures;
        if let Some(When::Criteria(criteria)) = &closures.when
            && !criteria.hold(self.event, self.facts)?
        {
            return Ok(Matched::No);
        }
        if let Some(When::Closure(when)) = &closures.when {
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
        let Some(per) = &closures.per else { return Ok(Matched::Yes(None)) };
        let answer = self.ask(index, per)?;
        key(&answer)
            .map(|key| Matched::Yes(Some(key)))
            .map_err(|message| Fault::at(message, per.position()))
    }

    /// The event, and the world around it.
    pub(crate) fn about(&self) -> (&'h Event, &'h Facts) {
        (self.event, self.facts)
    }

    /// Asks one closure of a rule, within its limits.
    pub(crate) fn ask(&mut self, index: usize, closure: &Closure) -> Result<Dynamic, Fault> {
        let rule = self.set.rule(index);
        self.asked.tag = self.world(rule.reference.pack());
        if closure.wants_envelope() && self.asked.envelope.is_unit() {
            self.asked.envelope = envelope(self.event);
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
fn envelope(event: &Event) -> Dynamic {
    let mut envelope = Map::new();
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
    if key.len() > KEY_LIMIT {
        return Err(format!("`per` gave a key of {} bytes; {KEY_LIMIT} is the most", key.len()));
    }
    Ok(key)
}
