//! What ansible-rulebook made of its rules, case by case, and what ours make of the same rules: the
//! same, or a difference that `excluded.rs` names.

mod conditions;
mod excluded;
mod grammar;
mod translate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::rule::{Decision, Effect, Verdict};
use ifso::rules::{Facts, Simulation};
use serde_json::Value;

use super::Story;
use super::story::lines;
use super::tale::{START, at};
use excluded::EXCLUDED;
use translate::{Binds, Translated, translate};

#[test]
fn rules_of_ansible_rulebook_do_the_same_here_or_are_listed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/eda/cases.json");
    let Ok(text) = std::fs::read(&path) else {
        say(&format!("{} is not there: nothing was compared\n", path.display()));
        return;
    };
    let read: Value = serde_json::from_slice(&text).unwrap();
    let cases = read["cases"].as_array().unwrap();
    let reasons: BTreeMap<&str, &str> =
        EXCLUDED.iter().flat_map(|(reason, ids)| ids.iter().map(|id| (*id, *reason))).collect();
    let mut wrong = Vec::new();
    for case in cases {
        let id = case["id"].as_str().unwrap();
        match (differs(case), reasons.get(id)) {
            (None, None) | (Some(_), Some(_)) => {}
            (Some(how), None) => wrong.push(format!("{id} differs and is not listed: {how}")),
            (None, Some(_)) => wrong.push(format!("{id} is listed as different, and is not")),
        }
    }
    let known: BTreeSet<&str> = cases.iter().filter_map(|case| case["id"].as_str()).collect();
    let strange = reasons.keys().filter(|id| !known.contains(**id));
    wrong.extend(strange.map(|id| format!("{id} is listed, and there is no such case")));
    let (all, listed) = (cases.len(), reasons.len());
    let mut told = format!("ansible-rulebook: {} of {all} cases pass\n", all - listed);
    if let Some(announced) = read["counts"]["cases"].as_u64().filter(|many| *many != all as u64) {
        writeln!(told, "     the file announces {announced} and holds {all}").unwrap();
    }
    for (reason, ids) in EXCLUDED {
        writeln!(told, "{:>4} {reason}", ids.len()).unwrap();
    }
    say(&told);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// What is different about a case; nothing where it does the same.
fn differs(case: &Value) -> Option<String> {
    let run = translate(case).and_then(|translated| {
        let mut run = Run::new(&translated)?;
        run.steps(case)?;
        Ok((run.firings, translated))
    });
    let (mut ours, translated) = match run {
        Ok(run) => run,
        Err(why) => return Some(why),
    };
    let mut theirs = expected(case, &translated);
    ours.sort();
    theirs.sort();
    (ours != theirs).then(|| {
        format!(
            "\n  ours   {}\n  theirs {}\n{}",
            ours.join("\n         "),
            theirs.join("\n         "),
            translated.text
        )
    })
}

/// Step, time, rule and the events behind it, one line per firing.
fn line(step: usize, ms: i64, rule: &str, events: &[Value]) -> String {
    let mut events: Vec<String> = events.iter().map(Value::to_string).collect();
    events.sort();
    format!("{step} {ms} {rule} {}", events.join(" "))
}

fn expected(case: &Value, translated: &Translated) -> Vec<String> {
    let mut told = Vec::new();
    for firing in case["expected"].as_array().unwrap() {
        let step = usize::try_from(firing["step"].as_u64().unwrap()).unwrap();
        let ms = firing["t_ms"].as_i64().unwrap();
        let (set, rule) = (firing["ruleset"].as_str().unwrap(), firing["rule"].as_str().unwrap());
        let known = translated.rules.iter().find(|known| known.set == set && known.name == rule);
        let known = known.unwrap_or_else(|| panic!("no rule {rule}"));
        let bound: Vec<Value> = firing["bindings"].as_object().unwrap().values().cloned().collect();
        match known.binds {
            Binds::EachAlone => {
                told.extend(bound.chunks(1).map(|one| line(step, ms, &known.id, one)));
            }
            _ => told.push(line(step, ms, &known.id, &bound)),
        }
    }
    told
}

/// Whether it is a rule that another needs beside it, and that has no counterpart there.
fn is_beside(decision: &Decision) -> bool {
    decision.rule.as_str().ends_with("beside")
}

/// One case as it goes on.
struct Run<'t> {
    translated: &'t Translated,
    simulation: Simulation,
    seen: BTreeMap<EventId, Value>,
    firings: Vec<String>,
}

impl<'t> Run<'t> {
    fn new(translated: &'t Translated) -> Result<Self, String> {
        let story = Story::new();
        let compiled = story.compile(&translated.text);
        let (rules, _) =
            compiled.map_err(|problems| format!("{}\n{}", lines(&problems), translated.text))?;
        let set = ifso::rules::Set::new(rules.into_iter().map(Arc::new).collect());
        let simulation = Simulation::new(Arc::new(set), Facts { now: at(0), ..Facts::default() });
        Ok(Self { translated, simulation, seen: BTreeMap::new(), firings: Vec::new() })
    }

    fn steps(&mut self, case: &Value) -> Result<(), String> {
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let ms = step["t_ms"].as_i64().unwrap();
            if step.get("retract").is_some() {
                return Err("takes a fact back".to_owned());
            }
            let due = self.simulation.advance(at(ms));
            for (event, decisions) in due {
                let at = event.time.millis() - START;
                self.fired(number, at, &decisions, None)?;
            }
            let set = step["ruleset"].as_str().map_or(0, |name| self.translated.set(name));
            let told = [("event", "events"), ("fact", "facts")];
            for (kind, batch) in told.into_iter().filter(|(kind, _)| step.get(kind).is_some()) {
                let told = match step[kind][batch].as_array() {
                    Some(batch) => batch.clone(),
                    None => vec![step[kind].clone()],
                };
                for data in told {
                    self.tell(number, ms, &format!("{kind}.s{set}"), data)?;
                }
            }
        }
        Ok(())
    }

    /// An event, and what its rules emit upon it.
    fn tell(&mut self, step: usize, ms: i64, trigger: &str, data: Value) -> Result<(), String> {
        let mut queue = VecDeque::from([(trigger.to_owned(), data)]);
        while let Some((trigger, data)) = queue.pop_front() {
            let id = EventId::from_bits(u128::try_from(self.seen.len()).unwrap() + 1);
            self.seen.insert(id, data.clone());
            let event = Event {
                id,
                trigger: trigger.parse().unwrap(),
                source: "test".into(),
                subject: None,
                time: at(ms),
                accepted: at(ms),
                data: Arc::new(data),
                cause: Cause::Sensor("test".to_owned()),
                hops: 0,
                trace: None,
                replay: None,
            };
            let (_, mut decisions) = self.simulation.accept(&event);
            decisions.retain(|decision| {
                !matches!(decision.verdict, Verdict::Gathering { .. } | Verdict::Cooling { .. })
            });
            // There the first rule that fires takes the event away from those behind it.
            if trigger.starts_with("event") && self.translated.first_only(&trigger) {
                let mut taken = false;
                decisions
                    .retain(|decision| is_beside(decision) || !std::mem::replace(&mut taken, true));
            }
            self.fired(step, ms, &decisions, Some(id))?;
            for effect in decisions.into_iter().flat_map(|decision| decision.effects) {
                if let Effect::Emit { trigger, data } = effect {
                    queue.push_back((trigger.to_string(), data));
                }
            }
        }
        Ok(())
    }

    fn fired(
        &mut self,
        step: usize,
        ms: i64,
        decisions: &[Decision],
        event: Option<EventId>,
    ) -> Result<(), String> {
        for decision in decisions.iter().filter(|decision| !is_beside(decision)) {
            if decision.verdict != Verdict::Fired {
                return Err(format!("{:?}\n{}", decision.verdict, self.translated.text));
            }
            let reference = decision.rule.to_string();
            let rule = self.translated.rules.iter().find(|rule| reference.ends_with(&rule.id));
            let rule = rule.unwrap_or_else(|| panic!("no rule {reference}"));
            let mut ids = decision.events.clone();
            if ids.is_empty() {
                ids.extend(event);
            }
            if matches!(rule.binds, Binds::Last) {
                ids.drain(..ids.len() - 1);
            }
            let events: Vec<Value> = ids.iter().map(|id| self.seen[id].clone()).collect();
            self.firings.push(line(step, ms, &rule.id, &events));
        }
        Ok(())
    }
}
