//! The map behind `rule(name, …)`: every key read, checked and named when it is wrong.

use std::sync::Arc;

use rhai::{Array, Dynamic, FnPtr, Map};

use crate::model::problem::nearest;
use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::rules::Known;
use crate::rules::analyse::Analysis;
use crate::rules::closure::Closure;
use crate::rules::declare::Declared;
use crate::rules::lint::{self, loops};
use crate::rules::meaning;
use crate::rules::pattern::Pattern;
use crate::rules::rule::{Closures, Rule, Then, When};
use crate::rules::sites::{Sites, spot};
use crate::rules::temporal::{Active, Shape, Temporal};
use crate::rules::wanted::doubtful;
use crate::script::convert::kind;
use crate::script::fault;

/// The keys of a rule.
pub const KEYS: &[&str] = &[
    "about",
    "on",
    "when",
    "until",
    "per",
    "hold",
    "stale",
    "once",
    "within",
    "having",
    "window",
    "zone",
    "sequence",
    "all_of",
    "absent",
    "expect",
    "debounce",
    "samples",
    "lateness",
    "active",
    "cooldown",
    "exclusive",
    "limit",
    "budget",
    "enabled",
    "shadow",
    "priority",
    "then",
    "recover",
];

/// The file that a declaration stands in.
pub(crate) struct File<'f> {
    pub(crate) pack: &'f str,
    pub(crate) place: Place,
    pub(crate) sites: &'f Sites,
    pub(crate) version: Arc<str>,
    pub(crate) source: Arc<str>,
}

/// Makes a rule of what was declared.
///
/// # Errors
/// Everything that is wrong with it; doubts come back beside the rule.
pub(crate) fn rule(
    file: &File<'_>,
    declared: Declared,
    known: &Known,
) -> Result<(Rule, Vec<Problem>), Vec<Problem>> {
    let (problems, doubts) = (Vec::new(), Vec::new());
    let mut reader = Reader { file, known, declared: &declared, problems, doubts };
    reader.keys();
    let reference = reader.name();
    let on = reader.on();
    let closures = reader.closures();
    let temporal = closures.as_ref().map(|closures| reader.temporal(&on, closures));
    let on = Reader::heard(on, temporal.as_ref());
    let mut doubts = reader.doubts(&on, known);
    let about = reader.take("about", "a text", Dynamic::into_string).unwrap_or_default();
    let enabled = reader.take("enabled", "true or false", |v| v.as_bool()).unwrap_or(true);
    let shadow = reader.take("shadow", "true or false", |v| v.as_bool()).unwrap_or(false);
    let priority = reader.take("priority", "an integer", |v| v.as_int()).unwrap_or(0);
    let cooldown = reader.cooldown();
    let place = reader.place();
    let template =
        declared.library.as_ref().map(|library| self::place(&library.place, declared.position));
    let problems = reader.problems;
    doubts.extend(reader.doubts);
    match (reference, closures.zip(temporal)) {
        (Some(reference), Some((closures, temporal))) if problems.is_empty() => {
            let when = closures.when.as_ref().and_then(When::closure);
            let per = closures.per.as_ref();
            let analysis = Analysis::of(when, per, &declared.around);
            let library = declared.library.as_ref();
            let home = library.map_or(&file.place, |library| &library.place);
            let emits = loops::emitted(&closures, home);
            let rule = Rule {
                reference,
                about,
                on,
                enabled,
                shadow,
                priority,
                cooldown,
                temporal,
                place,
                version: Arc::clone(&file.version),
                source: Arc::clone(library.map_or(&file.source, |library| &library.source)),
                closures,
                analysis,
                emits,
                around: declared.around,
                template,
            };
            // What is doubtful in a library is not for those who call it.
            if rule.template.is_none() {
                doubts.extend(lint::doubts(&rule, &file.place, known));
            }
            Ok((rule, doubts))
        }
        _ => Err(problems),
    }
}

pub(crate) struct Reader<'r> {
    file: &'r File<'r>,
    known: &'r Known,
    declared: &'r Declared,
    problems: Vec<Problem>,
    doubts: Vec<Problem>,
}

impl Reader<'_> {
    /// The calendar of this name, as the rule's own pack sees it.
    pub(crate) fn calendar(&self, name: &str) -> Result<Active, String> {
        let (calendar, inverted) = self.known.calendar(self.file.pack, name)?;
        Ok(Active { calendar, inverted })
    }

    pub(crate) fn source(&self) -> &str {
        self.declared.library.as_ref().map_or(&self.file.source, |library| &library.source)
    }

    pub(crate) fn sites(&self) -> &Sites {
        self.declared.library.as_ref().map_or(self.file.sites, |library| &library.sites)
    }

    pub(crate) fn position(&self) -> rhai::Position {
        self.declared.position
    }

    /// The file's constants, as text.
    pub(crate) fn constants(&self) -> String {
        let constants = self.declared.around.constants.as_ref();
        let constants = constants.and_then(|constants| constants.read().ok());
        constants.map(|constants| format!("{constants:?}")).unwrap_or_default()
    }

    /// What the closures behind these keys captured, as text. Of a rule that a library declares, what
    /// the other keys are given too: the text of the library does not say it.
    pub(crate) fn captured(&self, keys: &[&str]) -> String {
        let given = keys.iter().filter_map(|key| {
            let value = self.options().get(*key)?;
            if self.declared.library.is_some() {
                return Some(format!("{key} {}", self.told(value)));
            }
            let pointer = value.read_lock::<FnPtr>()?;
            let captured: Vec<String> =
                pointer.curry().iter().map(|value| self.told(value)).collect();
            Some(format!("{key}{captured:?}"))
        });
        given.collect::<Vec<_>>().join(" ")
    }

    /// A value as text; of a closure what it says, not where it stands.
    fn told(&self, value: &Dynamic) -> String {
        let near = |pointer: &FnPtr| {
            let function = self.declared.around.function(pointer.fn_name())?;
            let at = spot(function.body.start_position());
            Some(meaning::text(&self.declared.around.source, at))
        };
        let Some(pointer) = value.read_lock::<FnPtr>() else { return value.to_string() };
        let captured: Vec<String> = pointer.curry().iter().map(|value| self.told(value)).collect();
        format!("{}{captured:?}", near(&pointer).unwrap_or_else(|| pointer.to_string()))
    }

    /// What the rule is on: a rule with steps is on what its steps are on.
    fn heard(on: Vec<Pattern>, temporal: Option<&Temporal>) -> Vec<Pattern> {
        let shape = temporal.map(|temporal| &temporal.shape);
        let Some(Shape::Sequence(steps) | Shape::AllOf(steps)) = shape else { return on };
        let mut heard: Vec<Pattern> = Vec::new();
        for pattern in steps.steps.iter().flat_map(|step| &step.on) {
            if !heard.iter().any(|known| known.text() == pattern.text()) {
                heard.push(pattern.clone());
            }
        }
        heard
    }

    pub(crate) fn doubt(&mut self, code: &str, key: &str, message: impl std::fmt::Display) {
        let message = self.said(key, message);
        self.doubts.push(Problem::warning(code, self.place_of(key), message));
    }

    fn place(&self) -> Place {
        place(&self.file.place, self.declared.call)
    }

    /// Where a key stands; the call where the map was not written out, or stands in a library.
    fn place_of(&self, key: &str) -> Place {
        let own = self.declared.library.is_none();
        let site = self.sites().key(self.declared.position, key).filter(|_| own);
        place(&self.file.place, site.unwrap_or(self.declared.call))
    }

    /// What is to be said of a key; for a rule of a library with the place where it stands there.
    fn said(&self, key: &str, message: impl std::fmt::Display) -> String {
        let name = &self.declared.name;
        let Some(library) = &self.declared.library else {
            return format!("rule `{name}`: {message}");
        };
        let site = self.sites().key(self.declared.position, key);
        let there = place(&library.place, site.unwrap_or(self.declared.position));
        format!("rule `{name}`: {message} (in `{there}`)")
    }

    pub(crate) fn options(&self) -> &Map {
        &self.declared.options
    }

    pub(crate) fn complain(&mut self, code: &str, key: &str, message: impl std::fmt::Display) {
        let problem = Problem::error(code, self.place_of(key), self.said(key, message));
        self.problems.push(problem);
    }

    pub(crate) fn help(&mut self, help: String) {
        if let Some(problem) = self.problems.last_mut() {
            problem.help = Some(help);
        }
    }

    fn keys(&mut self) {
        let keys: Vec<String> = self.options().keys().map(ToString::to_string).collect();
        for key in keys.iter().filter(|key| !KEYS.contains(&key.as_str())) {
            self.complain("unknown_key", key, format!("a rule has no key `{key}`"));
            let near = nearest(key, KEYS.iter().copied());
            self.help(near.map_or_else(
                || format!("it has {}", KEYS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            ));
        }
    }

    fn name(&mut self) -> Option<Reference> {
        let name = &self.declared.name;
        if let Ok(reference) = Reference::new(self.file.pack, name) {
            return Some(reference);
        }
        let problem =
            Problem::error("rule_name", self.place(), format!("`{name}` is no name for a rule"));
        self.problems.push(problem.help("use letters, digits, `_` and `-`"));
        None
    }

    fn on(&mut self) -> Vec<Pattern> {
        let Some(on) = self.options().get("on").cloned() else {
            if self.options().contains_key("sequence") || self.options().contains_key("all_of") {
                return Vec::new();
            }
            self.complain("missing_key", "on", "`on` is missing".to_owned());
            self.help("say on which trigger it listens: `on: \"pack.trigger\"`".to_owned());
            return Vec::new();
        };
        self.patterns("on", on).unwrap_or_default()
    }

    /// A trigger, a glob, or a list of those.
    pub(crate) fn patterns(&mut self, key: &str, on: Dynamic) -> Option<Vec<Pattern>> {
        let texts: Option<Vec<String>> = if on.is_array() {
            let items = on.cast::<Array>().into_iter();
            items.map(|item| item.into_string().ok()).collect()
        } else {
            on.into_string().ok().map(|text| vec![text])
        };
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            self.complain(
                "wrong_type",
                key,
                "`on` is a trigger, a glob, or a list of those".to_owned(),
            );
            return None;
        };
        let mut patterns = Vec::new();
        for text in texts {
            match Pattern::parse(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(reason) => self.complain("not_a_trigger", key, format!("in `on`: {reason}")),
            }
        }
        Some(patterns)
    }

    fn doubts(&self, on: &[Pattern], known: &Known) -> Vec<Problem> {
        let exact = on.iter().filter_map(|pattern| match pattern {
            Pattern::Exact(trigger) => doubtful(trigger, &known.triggers),
            Pattern::Glob(_) => None,
        });
        let place = self.place_of("on");
        exact
            .map(|(doubt, help)| {
                let message = format!("rule `{}`: {doubt}", self.declared.name);
                Problem::warning("unknown_trigger", place.clone(), message).help(help)
            })
            .collect()
    }

    fn closures(&mut self) -> Option<Closures> {
        let when = self.closure("when");
        let per = self.closure("per");
        let then = self.closure("then");
        if !self.options().contains_key("then") {
            self.complain("missing_key", "then", "`then` is missing".to_owned());
            self.help(
                "say what it wants done: `then: |e| run(\"pack.action\", #{ … })`".to_owned(),
            );
        }
        let until = self.closure("until");
        let recover = self.closure("recover");
        let after = self.after();
        let when = when.map(When::Closure);
        then.map(|then| Closures { when, per, then: Then::Closure(then), until, recover, after })
    }

    pub(crate) fn closure(&mut self, key: &str) -> Option<Closure> {
        let value = self.options().get(key)?;
        let Some(pointer) = value.read_lock::<FnPtr>().map(|pointer| pointer.clone()) else {
            let found = kind(value);
            self.complain(
                "wrong_type",
                key,
                format!("`{key}` is {found}; it must be a closure, `|e| …`"),
            );
            return None;
        };
        match self.behind(&pointer) {
            Ok(closure) => Some(closure),
            Err(reason) => {
                self.complain("no_closure", key, format!("`{key}` cannot be used: {reason}"));
                None
            }
        }
    }

    /// The closure behind a pointer among the rule's options.
    pub(crate) fn behind(&self, pointer: &FnPtr) -> Result<Closure, String> {
        Closure::of(pointer, &self.declared.around, &self.declared.elsewhere)
    }

    pub(crate) fn take<T, E>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(Dynamic) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.options().get(key)?.clone();
        let found = kind(&value);
        let read = read(value).ok();
        if read.is_none() {
            self.complain("wrong_type", key, format!("`{key}` is {found}; it must be {wanted}"));
        }
        read
    }
}

/// A position of Rhai's in the file of `place`.
pub(crate) fn place(place: &Place, position: rhai::Position) -> Place {
    match (fault::line(position), fault::column(position)) {
        (Some(line), Some(column)) => place.at(line, column),
        _ => place.clone(),
    }
}
