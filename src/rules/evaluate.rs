//! Asks closures about one event; what they answer, or why they did not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rhai::{Dynamic, Map};
use serde_json::Value;

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::time::Time;
use crate::rules::Facts;
use crate::rules::closure::{Asked, Closure};
use crate::rules::condition::View;
use crate::rules::criteria::backstop;
use crate::rules::field::Seen;
use crate::rules::memory::WHOLE;
use crate::rules::rule::{Rule, When};
use crate::rules::set::{Bench, Set};
use crate::script::convert::{kind, to_dynamic, to_json};
use crate::script::fault::Fault;
use crate::script::scope::World;

/// Bytes of a memory key (`per`).
pub const KEY_LIMIT: usize = 512;

/// What the rules on one event's trigger said, before memory is asked.
#[derive(Debug, Default)]
pub struct Evaluation {
    pub(crate) answers: Vec<Answer>,
    examined: usize,
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
pub(crate) enum Matched {
    No,
    Yes(Option<String>),
}

/// What is known of a rule without Rhai.
enum Told {
    /// Nothing.
    Nothing,
    /// It matches; Rhai knows the key.
    Keyless,
    Sure(Result<Matched, Fault>),
}

impl Evaluation {
    /// How many rules said yes.
    #[must_use]
    pub fn matches(&self) -> usize {
        self.answers.iter().filter(|answer| matches!(answer.said, Said::Yes(_))).count()
    }

    /// How many rules were asked. The index rules out the others: they neither match nor fail.
    #[must_use]
    pub fn examined(&self) -> usize {
        self.examined
    }
}

/// Asks `when` and `per` of every enabled rule on the event's trigger that may match or fail.
#[must_use]
pub fn evaluate(set: &Set, event: &Event, facts: &Facts) -> Evaluation {
    let mut evaluation = Evaluation::default();
    let told = listen(set, event, &mut evaluation.examined);
    if told.is_empty() {
        return evaluation;
    }
    let mut hearing = Hearing::open(set, event, facts, Asked::default());
    for (index, told) in told {
        match hearing.settle(index, told) {
            Ok(Matched::No) => {}
            Ok(Matched::Yes(key)) => {
                evaluation.answers.push(Answer { index, said: Said::Yes(key) });
            }
            Err(fault) => evaluation.answers.push(Answer { index, said: Said::Wrong(fault) }),
        }
    }
    backstop::settle(set, &mut evaluation.answers);
    evaluation.asked = hearing.close();
    evaluation
}

/// The rules that may match or fail, in their order, and what is known of each without Rhai.
fn listen(set: &Set, event: &Event, examined: &mut usize) -> Vec<(usize, Told)> {
    if set.is_plain() {
        let positions = set.positions(&event.trigger);
        *examined = positions.len();
        return positions.into_iter().map(|index| (index, Told::Nothing)).collect();
    }
    let groups = set.groups(&event.trigger);
    let mut all = Vec::new();
    for group in &groups {
        let heard = group.hear(event);
        for member in group.candidates(&heard) {
            *examined += 1;
            let (rule, slots) = group.member(member);
            let view = View { row: &heard.row, slots };
            let told = tell(set.rule(rule as usize), view);
            if !matches!(told, Told::Sure(Ok(Matched::No))) {
                all.push((rule as usize, told));
            }
        }
    }
    if groups.len() > 1 {
        all.sort_by_key(|(index, _)| *index);
        all.dedup_by_key(|(index, _)| *index);
    }
    all
}

/// What `when` and `per` of a rule say, as far as that is known without Rhai.
fn tell(rule: &Rule, view: View<'_, '_>) -> Told {
    if matches!(rule.closures.when, Some(When::Criteria(_))) {
        return Told::Nothing;
    }
    let condition = rule.analysis.condition.as_ref();
    match condition.map_or(Some(true), |condition| condition.holds(view)) {
        None => return Told::Nothing,
        Some(false) => return Told::Sure(Ok(Matched::No)),
        Some(true) => {}
    }
    let Some(per) = &rule.closures.per else { return Told::Sure(Ok(Matched::Yes(None))) };
    let key = rule.analysis.key.and_then(|field| plain_key(view.get(field)));
    key.map_or(Told::Keyless, |key| Told::Sure(keyed(key, per)))
}

fn keyed(key: Result<String, String>, per: &Closure) -> Result<Matched, Fault> {
    key.map(|key| Matched::Yes(Some(key))).map_err(|message| Fault::at(message, per.position()))
}

/// Data, the event that it is of, and whether it is there yet.
pub(crate) type About = (Dynamic, Option<EventId>, bool);

/// One event before the rules: a bench, and the event as Rhai sees it, both once they are needed.
pub(crate) struct Hearing<'h> {
    set: &'h Set,
    event: &'h Event,
    facts: &'h Facts,
    bench: Option<Bench>,
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
        let about = Some(event.id);
        let worlds = HashMap::new();
        Self { set, event, facts, bench: None, asked, worlds, more: None, about }
    }

    /// What the second parameter of the next closure holds beside the envelope.
    pub(crate) fn enrich(&mut self, more: Option<Map>) {
        self.more = more;
    }

    /// Closures are asked about this data from now on, which is that of this event, or of none; gives
    /// what they were asked about before.
    pub(crate) fn swap(&mut self, about: About) -> About {
        let data = std::mem::replace(&mut self.asked.data, about.0);
        let ready = std::mem::replace(&mut self.asked.is_ready, about.2);
        (data, std::mem::replace(&mut self.about, about.1), ready)
    }

    /// The data is that of this event.
    pub(crate) fn be_about(&mut self, event: Option<EventId>) {
        self.about = event;
    }

    /// Whether the data is that of this event.
    pub(crate) fn is_about(&self, event: EventId) -> bool {
        self.about == Some(event)
    }

    /// The clock on the wall.
    pub(crate) fn wall(&self) -> Time {
        self.facts.wall.unwrap_or(self.facts.now)
    }

    /// The event that is heard.
    pub(crate) fn event_id(&self) -> EventId {
        self.event.id
    }

    /// Gives the bench back; the event may be heard again.
    pub(crate) fn close(self) -> Asked {
        if let Some(bench) = self.bench {
            self.set.put_back(bench);
        }
        self.asked
    }

    /// Asks Rhai what is not known yet.
    fn settle(&mut self, index: usize, told: Told) -> Result<Matched, Fault> {
        let closures = &self.set.rule(index).closures;
        match (told, &closures.when) {
            (Told::Sure(said), _) => return said,
            (Told::Nothing, Some(When::Criteria(criteria)))
                if !criteria.hold(self.event, self.facts)? =>
            {
                return Ok(Matched::No);
            }
            (Told::Nothing, Some(When::Closure(when))) => {
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
            _ => {}
        }
        self.key(index).map(Matched::Yes)
    }

    /// Under which key a rule remembers what it makes of the event.
    pub(crate) fn key(&mut self, index: usize) -> Result<Option<String>, Fault> {
        let Some(per) = &self.set.rule(index).closures.per else { return Ok(None) };
        let answer = self.ask(index, per)?;
        key(&answer).map(Some).map_err(|message| Fault::at(message, per.position()))
    }

    /// The event, and the world around it.
    pub(crate) fn about(&self) -> (&'h Event, &'h Facts) {
        (self.event, self.facts)
    }

    /// Asks one closure of a rule, within its limits.
    pub(crate) fn ask(&mut self, index: usize, closure: &Closure) -> Result<Dynamic, Fault> {
        let rule = self.set.rule(index);
        self.asked.tag = self.world(rule.reference.pack());
        let more = self.more.take();
        if closure.wants_envelope() && (self.asked.envelope.is_unit() || more.is_some()) {
            self.asked.envelope = envelope(self.event, more);
        }
        if !self.asked.is_ready {
            self.asked.data = to_dynamic(&self.event.data);
            self.asked.is_ready = true;
        }
        let event = self.event;
        let bench = self.bench.get_or_insert_with(|| self.set.bench_for(event));
        let Bench { engine, deadline, caches } = bench;
        let caches = caches.entry(self.set.surroundings(index)).or_default();
        deadline.start();
        let asked = &mut self.asked;
        let around = &rule.around;
        let answer = catch_unwind(AssertUnwindSafe(|| closure.ask(engine, caches, around, asked)));
        if let Ok(answer) = answer {
            return answer.map_err(|error| match closure.around() {
                Some(own) => Fault::of(&error, &own.file).of_file(&own.file),
                None => Fault::of(&error, &around.file).or(closure.position()),
            });
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
    short(if let Ok(text) = answer.as_immutable_string_ref() {
        text.to_string()
    } else if answer.is_unit() {
        String::new()
    } else {
        to_json(answer).map_err(|error| format!("`per`: {error}"))?.to_string()
    })
}

/// The same of what stands in a field; nothing where only Rhai knows.
fn plain_key(seen: Seen<'_>) -> Option<Result<String, String>> {
    Some(short(match seen {
        Seen::Unsure => return None,
        Seen::Nothing => String::new(),
        Seen::Text(text) => text.to_owned(),
        Seen::Flag(flag) => flag.to_string(),
        Seen::Whole(number) => number.to_string(),
        Seen::Large(number) => number.to_string(),
        Seen::Real(number) => Value::from(number).to_string(),
        Seen::List(items) => serde_json::to_string(items).ok()?,
        Seen::Map(entries) => serde_json::to_string(entries).ok()?,
    }))
}

fn short(key: String) -> Result<String, String> {
    if key.starts_with(WHOLE) {
        return Err("`per` gave a key that begins with a zero byte".to_owned());
    }
    if key.len() > KEY_LIMIT {
        return Err(format!("`per` gave a key of {} bytes; {KEY_LIMIT} is the most", key.len()));
    }
    Ok(key)
}
