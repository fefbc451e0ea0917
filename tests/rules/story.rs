//! A home of rules that reads like the manual.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ifso::model::calendar::Calendar;
use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::parameter::Parameters;
use ifso::model::problem::Problem;
use ifso::model::rule::{Decision, Effect, Verdict};
use ifso::model::time::Time;
use ifso::rules::{self, Facts, Known, Library, Memories, Rule, Set, Source};
use serde_json::Value;

/// Rules, and what they remember.
pub(crate) struct Story {
    library: Library,
    known: Known,
    pub(crate) facts: Facts,
    pub(crate) set: Set,
    pub(crate) memories: Memories,
    pub(crate) hops: u16,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            library: Library::new(),
            known: Known::default(),
            facts: Facts { now: Time::from_millis(1_700_000_000_000), ..Facts::default() },
            set: Set::default(),
            memories: Memories::new(),
            hops: 0,
        }
    }

    pub(crate) fn library(self, name: &str, text: &str) -> Self {
        self.library_of("site", name, text)
    }

    /// A library of another pack.
    pub(crate) fn library_of(mut self, pack: &str, name: &str, text: &str) -> Self {
        let file = format!("packs/{pack}/lib/{name}.rhai").into();
        let source = Source { pack: pack.to_owned(), file, text: text.to_owned() };
        self.library.insert(name.to_owned(), source);
        self
    }

    pub(crate) fn action(mut self, name: &str, parameters: Parameters) -> Self {
        self.known.actions.insert(name.parse().unwrap(), parameters);
        self
    }

    pub(crate) fn calendar(mut self, name: &str, calendar: Calendar) -> Self {
        self.known.calendars.insert(name.parse().unwrap(), Arc::new(calendar));
        self
    }

    pub(crate) fn trigger(mut self, name: &str) -> Self {
        self.known.triggers.push(name.parse().unwrap());
        self
    }

    /// A trigger whose payload has a schema.
    pub(crate) fn schema(mut self, name: &str, schema: Value) -> Self {
        self.known.schemas.insert(name.parse().unwrap(), Arc::new(schema));
        self.trigger(name)
    }

    pub(crate) fn config(mut self, config: Value) -> Self {
        let configs = BTreeMap::from([("site".to_owned(), Arc::new(config))]);
        self.facts.configs = Arc::new(configs);
        self
    }

    pub(crate) fn key(mut self, name: &str, value: Value) -> Self {
        Arc::make_mut(&mut self.facts.keys).insert(name.to_owned(), value);
        self
    }

    pub(crate) fn compile(&self, text: &str) -> Result<(Vec<Rule>, Vec<Problem>), Vec<Problem>> {
        let file = "rules/test.rhai".into();
        let source = Source { pack: "site".to_owned(), file, text: text.to_owned() };
        rules::compile(&source, &self.library, &self.known)
    }

    /// Puts the rules of `text` in force.
    pub(crate) fn rules(mut self, text: &str) -> Self {
        let (rules, _) =
            self.compile(text).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
        self.set = Set::new(rules.into_iter().map(Arc::new).collect());
        self
    }

    /// A rule `r` on `t.x` with this condition, which logs when it fires.
    pub(crate) fn when(self, condition: &str) -> Self {
        self.rules(&format!(
            "rule(\"r\", #{{ on: \"t.x\", when: |e| {condition}, then: |e| log(\"fired\") }});"
        ))
    }

    pub(crate) fn event(&self, trigger: &str, data: Value) -> Event {
        Event {
            id: EventId::from_bits(7),
            trigger: trigger.parse().unwrap(),
            source: "test".into(),
            subject: None,
            time: Time::from_millis(1_700_000_000_000),
            accepted: Time::from_millis(1_700_000_000_000),
            data: Arc::new(data),
            cause: Cause::Sensor("test".to_owned()),
            hops: self.hops,
            trace: None,
            replay: None,
        }
    }

    /// What the rules decide on this event.
    pub(crate) fn decide(&mut self, trigger: &str, data: Value) -> Vec<Decision> {
        let event = self.event(trigger, data);
        let evaluation = rules::evaluate(&self.set, &event, &self.facts);
        rules::decide(&self.set, &event, evaluation, &mut self.memories, &self.facts)
    }

    /// What the only rule decides on an event of `t.x`; not matched where it is silent.
    pub(crate) fn verdict(&mut self, data: Value) -> Verdict {
        let decisions = self.decide("t.x", data);
        assert!(decisions.len() <= 1, "{decisions:?}");
        decisions.into_iter().next().map_or(Verdict::NotMatched, |decision| decision.verdict)
    }

    /// Whether the only rule fires.
    pub(crate) fn fires(&mut self, data: Value) -> bool {
        match self.verdict(data) {
            Verdict::Fired => true,
            Verdict::NotMatched => false,
            other => panic!("{other:?}"),
        }
    }

    /// The message and place of the only rule's error.
    pub(crate) fn error(&mut self, data: Value) -> String {
        match self.verdict(data) {
            Verdict::Error { message, line: Some(line), column: Some(column) } => {
                format!("{line}:{column}: {message}")
            }
            other => panic!("{other:?}"),
        }
    }

    /// The texts that the rules log on an event of `t.x`.
    pub(crate) fn logs(&mut self, data: Value) -> Vec<String> {
        let effects = self.decide("t.x", data).into_iter().flat_map(|decision| decision.effects);
        effects
            .map(|effect| match effect {
                Effect::Log { text } => text,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.facts.now = self.facts.now.plus(Duration::from_millis(ms));
    }
}

/// Problems as `ifso check` would list them.
pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
