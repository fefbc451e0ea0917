//! Weighs what the rules said against what is remembered, and asks `then` of those that fire.

use std::sync::Arc;

use crate::model::event::Event;
use crate::model::rule::{Decision, Verdict};
use crate::rules::Facts;
use crate::rules::evaluate::{Answer, Evaluation, Hearing, Said};
use crate::rules::memory::{KEYS_LIMIT, Memories};
use crate::rules::set::Set;
use crate::rules::timers::decision;
use crate::rules::turn::{Turn, Turned};

/// Weighs the answers against memory, asks `then`, and changes memory. One decision per rule that said
/// yes, failed, or remembers something that the event ends. Deadlines before the event have to be done
/// first (`fall_due`).
#[must_use]
pub fn decide(
    set: &Set,
    event: &Event,
    mut evaluation: Evaluation,
    memories: &mut Memories,
    facts: &Facts,
) -> Vec<Decision> {
    let now = memories.advance(facts.now);
    let ended = listeners(set, event, &evaluation, memories);
    if evaluation.answers.is_empty() && ended.is_empty() {
        return Vec::new();
    }
    let asked = std::mem::take(&mut evaluation.asked);
    let mut hearing = Hearing::open(set, event, facts, asked);
    let mut answers = evaluation.answers;
    answers.extend(ended.into_iter().map(|index| {
        let said = hearing.key(index).map_or_else(Said::Wrong, Said::No);
        Answer { index, said }
    }));
    answers.sort_by_key(|answer| answer.index);
    let mut decisions = Vec::new();
    for Answer { index, said } in answers {
        let rule = Arc::clone(set.rule(index));
        let (key, yes) = match said {
            Said::Wrong(fault) => {
                let mut failed = decision(&rule, event.id, "", Turned::wrong(fault));
                failed.key = None;
                decisions.push(failed);
                continue;
            }
            Said::Yes(key) => (key.unwrap_or_default(), true),
            Said::No(key) => (key.unwrap_or_default(), false),
        };
        if !yes && memories.get(&rule.reference, &key).is_none() {
            continue;
        }
        let mut turn = Turn::open(&mut hearing, memories, (index, &rule), &key, now);
        let turned = if turn.has_room() {
            let turned = turn.hear(event, yes);
            turn.close();
            turned
        } else {
            let limit = format!("it remembers {KEYS_LIMIT} keys, which are the most");
            Turned::of(Verdict::Full { limit })
        };
        if turned.verdict != Verdict::NotMatched {
            decisions.push(decision(&rule, event.id, &key, turned));
        }
    }
    drop(hearing.close());
    decisions
}

/// The rules that said no, and remember something that a no may end.
fn listeners(set: &Set, event: &Event, evaluation: &Evaluation, memories: &Memories) -> Vec<usize> {
    let open = |index: &usize| memories.is_open(&set.rule(*index).reference);
    let answered = |index: &usize| evaluation.answers.iter().any(|answer| answer.index == *index);
    let hear = set.hearing_no(&event.trigger).filter(|index| open(index) && !answered(index));
    hear.collect()
}
