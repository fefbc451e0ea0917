//! What is doubtful about a rule that can be used: fields that no event has, conditions that never or
//! always hold. A false alarm is worse than a miss: what is not certain, or nearly so, is not said.

pub(crate) mod values;
mod fields;
mod reach;
mod truth;
pub(crate) mod loops;
pub(crate) mod unused;

use rhai::Position;

use crate::model::problem::{Place, Problem};
use crate::rules::Known;
use crate::rules::analyse::Analysis;
use crate::rules::closure::Closure;
use crate::rules::pattern::Pattern;
use crate::rules::payload::Payload;
use crate::rules::read::place;
use crate::rules::rule::{Rule, When};
use crate::rules::temporal::Shape;

/// What the end of an execution has.
const ENDS: [&str; 5] = ["status", "result", "action", "parameters", "execution"];

/// Everything that is doubtful about a rule of `file`.
pub(crate) fn doubts(rule: &Rule, file: &Place, known: &Known) -> Vec<Problem> {
    let mut linter = Linter { rule, file, known, problems: Vec::new() };
    linter.closures();
    linter.ends();
    linter.conditions();
    linter.problems
}

struct Linter<'l> {
    rule: &'l Rule,
    file: &'l Place,
    known: &'l Known,
    problems: Vec<Problem>,
}

/// A closure that is asked about events.
struct Asked<'l> {
    closure: &'l Closure,
    on: &'l [Pattern],
    /// Whether its first parameter is a window.
    window: bool,
}

impl<'l> Linter<'l> {
    fn warn(&mut self, code: &str, at: Position, message: String, help: String) {
        let problem = Problem::warning(code, place(self.file, at), message);
        self.problems.push(problem.help(help));
    }

    /// Every closure of the rule.
    fn asked(&self) -> Vec<Asked<'l>> {
        let rule = self.rule;
        let (all, window) = (&rule.closures, self.window().is_some());
        let event = |closure| Asked { closure, on: &rule.on, window: false };
        let mut asked: Vec<Asked<'l>> = Vec::new();
        asked.extend(all.when.as_ref().and_then(When::closure).map(event));
        asked.extend(all.per.as_ref().map(event));
        asked.extend(all.until.as_ref().map(|closure| Asked { window, ..event(closure) }));
        asked.extend(all.then.closure().map(event));
        asked.extend(all.recover.as_ref().map(event));
        asked.extend(self.window().map(|having| Asked { window: true, ..event(having) }));
        if let Shape::Sequence(steps) | Shape::AllOf(steps) = &rule.temporal.shape {
            asked.extend(steps.steps.iter().filter_map(|step| {
                let closure = step.when.as_ref()?;
                Some(Asked { closure, on: &step.on, window: false })
            }));
        }
        asked
    }

    /// `having`, where the rule has a window.
    fn window(&self) -> Option<&'l Closure> {
        match &self.rule.temporal.shape {
            Shape::Window(window) => Some(&window.having),
            _ => None,
        }
    }

    /// Fields that no event has.
    fn closures(&mut self) {
        let windowed = self.window().is_some();
        for Asked { closure, on, window } in self.asked() {
            let Some(payload) = Payload::of(on, &self.known.schemas) else { continue };
            let mut named = Vec::new();
            if !window {
                named.extend(fields::of_event(closure));
            }
            if windowed {
                named.extend(fields::of_window(closure));
            }
            for named in named {
                let path: Vec<&str> = named.steps.iter().map(|(name, _)| &**name).collect();
                let unknown = payload.unknown(&path, named.asked);
                let Some(unknown) = unknown.filter(|_| !payload.has(&path.join("."))) else {
                    continue;
                };
                let (field, at) = (&path[..=unknown.at].join("."), named.steps[unknown.at].1);
                let message = format!("events of {} have no field `{field}`", unknown.triggers);
                self.warn("unknown_field", at, message, unknown.help);
            }
        }
    }

    /// What an end does not have.
    fn ends(&mut self) {
        let Some(after) = &self.rule.closures.after else { return };
        for named in fields::of_event(after) {
            let Some((name, at)) = named.steps.first() else { continue };
            if ENDS.contains(&&**name) {
                continue;
            }
            let message = format!("the end of an execution has no `{name}`");
            let help = crate::model::problem::nearest(name, ENDS.iter().copied()).map_or_else(
                || format!("it has {}", ENDS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.warn("unknown_field", *at, message, help);
        }
    }

    /// Conditions that never or always hold.
    fn conditions(&mut self) {
        let (rule, windowed) = (self.rule, self.window().is_some());
        let before = self.problems.len();
        let when = rule.analysis.condition.as_ref();
        self.say(when.and_then(|when| truth::switched_off(when, &rule.source)));
        self.condition(&rule.analysis, &rule.on);
        let until = rule.closures.until.as_ref().filter(|_| !windowed);
        if let Some(until) = until {
            let analysis = Analysis::of(Some(until), None, &rule.around);
            self.condition(&analysis, &rule.on);
            if self.problems.len() == before {
                self.until(&analysis, until.position());
            }
        }
        if let Shape::Sequence(steps) | Shape::AllOf(steps) = &rule.temporal.shape {
            for step in &steps.steps {
                let Some(when) = &step.when else { continue };
                self.condition(&Analysis::of(Some(when), None, &rule.around), &step.on);
            }
        }
    }

    fn condition(&mut self, analysis: &Analysis, on: &[Pattern]) {
        let Some(condition) = &analysis.condition else { return };
        let payload = Payload::of(on, &self.known.schemas);
        let sight = reach::Sight { fields: &analysis.fields, payload: payload.as_ref() };
        let said = truth::judge(condition, sight, &self.rule.source);
        self.say(said);
    }

    fn say(&mut self, said: impl IntoIterator<Item = truth::Said>) {
        for truth::Said { code, at, message, help } in said {
            self.warn(code, at, message, help);
        }
    }

    /// `until` that holds where `when` does.
    fn until(&mut self, until: &Analysis, at: Position) {
        let payload = Payload::of(&self.rule.on, &self.known.schemas);
        let when = &self.rule.analysis;
        let (Some(begins), Some(ends)) = (&when.condition, &until.condition) else { return };
        let begins = (begins, reach::Sight { fields: &when.fields, payload: payload.as_ref() });
        let ends = (ends, reach::Sight { fields: &until.fields, payload: payload.as_ref() });
        let Some(overlap) = reach::overlap(begins, ends) else { return };
        let message = match overlap {
            reach::Overlap::Whole => {
                "`until` holds wherever `when` does: the rule ends with the event after it began"
                    .to_owned()
            }
            reach::Overlap::At(value) => {
                format!("`when` and `until` both hold for {value}: the rule begins and ends there")
            }
        };
        let help = "say in `until` what ends it: `when: |e| e.n >= 80, until: |e| e.n < 60`";
        self.warn("until_too_early", at, message, help.to_owned());
    }
}
