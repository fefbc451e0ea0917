//! Weighs what the rules said against what is remembered, and asks `then` of those that fire.

use crate::model::cause::MAX_HOPS;
use crate::model::event::Event;
use crate::model::rule::{Decision, Effect, Verdict};
use crate::rules::evaluate::{Answer, Evaluation, Hearing, Said};
use crate::rules::memory::{self, Damping};
use crate::rules::rule::{Rule, Then};
use crate::rules::set::Set;
use crate::rules::{Facts, Memories, effects};
use crate::script::fault::Fault;

/// Weighs the answers against memory, asks `then`, and changes memory. One decision per rule that was
/// evaluated, `NotMatched` left out.
#[must_use]
pub fn decide(
    set: &Set,
    event: &Event,
    evaluation: Evaluation,
    memories: &mut Memories,
    facts: &Facts,
) -> Vec<Decision> {
    if evaluation.answers.is_empty() {
        return Vec::new();
    }
    let mut hearing = Hearing::open(set, event, facts, evaluation.asked);
    let mut decisions = Vec::new();
    for Answer { index, said } in evaluation.answers {
        let rule = set.rule(index);
        let (verdict, key, effects) = match said {
            Said::Wrong(fault) => (error(fault), None, Vec::new()),
            Said::Yes(key) => {
                let (verdict, effects) = match damping(rule, event, key.as_deref(), memories, facts)
                {
                    Some(verdict) => (verdict, Vec::new()),
                    None => fire(&mut hearing, index, rule),
                };
                if matches!(verdict, Verdict::Fired | Verdict::Shadowed) {
                    memory::fired(rule, key.as_deref(), memories, facts.now);
                }
                (verdict, key, effects)
            }
        };
        decisions.push(Decision {
            rule: rule.reference.clone(),
            event: event.id,
            version: rule.version.clone(),
            verdict,
            key,
            effects,
            executions: Vec::new(),
        });
    }
    drop(hearing.close());
    decisions
}

/// Why a rule that matches does not fire, if so.
fn damping(
    rule: &Rule,
    event: &Event,
    key: Option<&str>,
    memories: &Memories,
    facts: &Facts,
) -> Option<Verdict> {
    if event.hops >= MAX_HOPS {
        return Some(Verdict::LoopStopped { hops: event.hops });
    }
    match memory::damping(rule, key, memories, facts.now) {
        Damping::None => None,
        Damping::Cooling { until } => Some(Verdict::Cooling { until }),
    }
}

fn fire(hearing: &mut Hearing<'_>, index: usize, rule: &Rule) -> (Verdict, Vec<Effect>) {
    let returned = match &rule.closures.then {
        Then::Closure(then) => hearing.ask(index, then).and_then(|returned| {
            effects::read(&returned).map_err(|message| Fault::at(message, then.position()))
        }),
        Then::Action(wanted) => {
            let (event, facts) = hearing.about();
            wanted.effects(&rule.reference, event, facts)
        }
    };
    match returned {
        Ok(effects) if rule.shadow => (Verdict::Shadowed, effects),
        Ok(effects) => (Verdict::Fired, effects),
        Err(fault) => (error(fault), Vec::new()),
    }
}

fn error(fault: Fault) -> Verdict {
    Verdict::Error { message: fault.message, line: fault.line, column: fault.column }
}
