//! What decisions ask for, as records: executions and their tickets, new events, keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Ids;
use crate::intake::hidden::Hidden;
use crate::model::action::Action;
use crate::model::cause::Cause;
use crate::model::event::{Event, Report};
use crate::model::execution::{End, Execution, Status, Step};
use crate::model::incident::{Lead, Word};
use crate::model::key::KeyValue;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Effect, Ending, Verdict};
use crate::model::span;
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::packs::{parameters, secrets};
use crate::store::batch::Batch;
use crate::store::queue;
use crate::store::table;
use crate::store::tables::{Definition, Work};

/// The user in whose name rules act.
pub const RULES_USER: &str = "rules";
/// The scope of the keys that rules read and write.
pub const SYSTEM_SCOPE: &str = "st2kv.system";
/// The trigger of the events that `notify` makes, for rules that hear what people are told.
pub const NOTIFICATION: &str = "core.notification";

/// Writes the effects of decisions into one batch.
pub(crate) struct Effects<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) hidden: &'a Hidden,
    pub(crate) ids: &'a Ids,
    pub(crate) now: Time,
    pub(crate) batch: &'a mut Batch,
    /// Executions that ended as they were made.
    pub(crate) failed: usize,
}

impl Effects<'_> {
    /// Adds what one decision asks for, and writes the executions that it makes into the decision.
    pub(crate) fn add(&mut self, event: &Event, decision: &mut Decision) {
        let acts = matches!(
            decision.verdict,
            Verdict::Fired | Verdict::Recovered | Verdict::Quarantined { .. }
        );
        if !acts {
            return;
        }
        for (number, effect) in decision.effects.iter().enumerate() {
            let cause = Cause::Rule {
                rule: decision.rule.clone(),
                event: event.id,
                effect: u16::try_from(number).unwrap_or(u16::MAX),
            };
            match effect {
                Effect::Run { action, parameters, options } => {
                    let execution = self.run(event, cause, action, (parameters, options));
                    decision.executions.push(execution.id);
                }
                Effect::Emit { trigger, data } => self.emit(event, cause, trigger, data.clone()),
                Effect::Notify { channel, text } => {
                    tracing::info!(rule = %decision.rule, %channel, %text, "notify");
                    let data = json!({
                        "channel": channel, "text": text, "rule": decision.rule, "event": event.id,
                    });
                    let trigger = NOTIFICATION.parse().expect("the constant is a reference");
                    self.emit(event, cause.clone(), &trigger, data);
                    let lead = Lead { cause, hops: event.hops + 1 };
                    let (channel, text) = (channel.clone(), text.clone());
                    self.word(Word::Say { channel, text, lead });
                }
                Effect::Incident(failure) => {
                    let lead = Lead { cause, hops: event.hops + 1 };
                    self.word(Word::Failure(failure.clone(), lead));
                }
                Effect::Resolve { key, reason } => {
                    let lead = Lead { cause, hops: event.hops + 1 };
                    let (key, reason) = (key.clone(), reason.clone());
                    self.word(Word::Recovery { key, reason, lead });
                }
                Effect::Steer { wish, selector } => {
                    let why = format!("by rule `{}`", decision.rule);
                    let work = Work::Steer { wish: *wish, selector: selector.clone(), why };
                    let id = self.ids.record();
                    queue::push(self.batch, queue::CONDUCT, self.now, id, work);
                }
                Effect::Set { key, value } => self.set(key, value),
                Effect::Log { text } => {
                    tracing::info!(rule = %decision.rule, event = %event.id, %text, "log");
                }
            }
        }
    }

    fn run(
        &mut self,
        event: &Event,
        cause: Cause,
        action: &Reference,
        (given, options): (&Map<String, Value>, &Map<String, Value>),
    ) -> Execution {
        let known = self.catalog.actions.get(action);
        let mut execution = Execution {
            id: self.ids.execution(),
            action: known.cloned().unwrap_or_else(|| Arc::new(Action::missing(action.clone()))),
            secret: self.hidden.is_given(self.catalog, action, given),
            given: given.clone(),
            cause,
            hops: event.hops + 1,
            parent: None,
            part: None,
            user: RULES_USER.to_owned(),
            status: Status::Requested,
            attempt: 0,
            begun: false,
            turn: None,
            holds: BTreeMap::new(),
            timeout_ms: option(options, "timeout").map(millis),
            created: self.now,
            started: None,
            ended: None,
            result: Value::Null,
            reason: None,
            log: vec![(self.now, Status::Requested)],
            context: Map::new(),
            links: Vec::new(),
        };
        if let Some(trace) = &event.trace {
            execution.context.insert("trace_tag".to_owned(), json!(trace.as_ref()));
        }
        let refused = match known {
            None => Some(format!("no pack provides action `{action}`")),
            Some(action) if !action.enabled => {
                Some(format!("action `{}` is disabled", action.reference))
            }
            Some(known) => {
                let accepts = self.catalog.accepts.get(action).map_or(&known.parameters, |all| all);
                parameters::check(accepts, given).err().map(|problems| {
                    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                })
            }
        };
        match refused {
            Some(reason) => self.fail(&mut execution, reason),
            None => self.wait(&mut execution, option(options, "delay")),
        }
        table::create(self.batch, &execution);
        execution
    }

    /// A match makes exactly one execution, one that cannot run too: it ends as failed, with its reason.
    fn fail(&mut self, execution: &mut Execution, reason: String) {
        execution.step(Step::End(End::Failed), self.now).expect("a requested execution may fail");
        execution.reason = Some(reason);
        self.failed += 1;
        self.ended(execution);
    }

    /// What ended as it was made is told to the rule, where it waits for that.
    fn ended(&mut self, execution: &Execution) {
        let Cause::Rule { rule, event, effect } = &execution.cause else { return };
        if self.catalog.rules.get(rule).is_none_or(|rule| !rule.awaits_ends()) {
            return;
        }
        let ending = Ending {
            rule: rule.clone(),
            event: *event,
            effect: *effect,
            execution: execution.id,
            action: execution.action.reference.clone(),
            parameters: self.shown(execution),
            status: execution.status,
            result: execution.result.clone(),
            at: self.now,
        };
        let work = Work::Ended(Box::new(ending));
        queue::push(self.batch, queue::INTAKE, self.now, self.ids.record(), work);
    }

    /// The parameters without the secrets.
    fn shown(&self, execution: &Execution) -> Map<String, Value> {
        let given = Value::Object(execution.given.clone());
        let accepts = self.catalog.accepts.get(&execution.action.reference);
        match accepts.map(|accepts| secrets::mask(&given, &secrets::of(accepts))) {
            Some(Value::Object(masked)) => masked,
            _ => execution.given.clone(),
        }
    }

    fn wait(&mut self, execution: &mut Execution, delay: Option<Duration>) {
        if delay.is_some() {
            execution.step(Step::Delay, self.now).expect("a requested execution may wait");
        }
        let due = self.now.plus(delay.unwrap_or_default());
        let work = Work::Dispatch(execution.id);
        let line = queue::line(&execution.action.runner);
        queue::push(self.batch, line, due, self.ids.record(), work);
        if let Some(pinned) = &execution.action.workflow {
            let (hash, definition) = (Arc::clone(&pinned.hash), Arc::clone(&pinned.definition));
            table::put(self.batch, &Definition { hash, definition });
        }
    }

    fn word(&mut self, said: Word) {
        let work = Work::Incident(Box::new(said));
        queue::push(self.batch, queue::INCIDENTS, self.now, self.ids.record(), work);
    }

    fn emit(&mut self, event: &Event, cause: Cause, trigger: &Reference, data: Value) {
        let report = Report {
            trigger: trigger.clone(),
            source: Arc::clone(&event.source),
            subject: event.subject.clone(),
            time: None,
            data: Arc::new(data),
            origin: None,
            once: None,
            cause,
            hops: event.hops + 1,
            trace: event.trace.clone(),
            replay: None,
        };
        let work = Work::Report(Box::new(report));
        queue::push(self.batch, queue::INTAKE, self.now, self.ids.record(), work);
    }

    fn set(&mut self, name: &str, value: &Value) {
        let row = KeyValue {
            name: name.to_owned(),
            scope: SYSTEM_SCOPE.to_owned(),
            value: value.clone(),
            secret: false,
            updated: self.now,
            expires: None,
        };
        if value.is_null() {
            self.batch.remove(table::key::<KeyValue>(table::Row::key(&row)));
        } else {
            table::put(self.batch, &row);
        }
    }
}

/// A span among a rule's options: a number of seconds, or a text such as `5m`, which the rule's
/// loading has checked.
fn option(options: &Map<String, Value>, name: &str) -> Option<Duration> {
    match options.get(name)? {
        Value::Number(seconds) => Duration::try_from_secs_f64(seconds.as_f64()?).ok(),
        Value::String(text) => span::parse(text).ok(),
        _ => None,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
