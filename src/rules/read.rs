//! The map behind `rule(name, …)`: every key read, checked and named when it is wrong.

use std::sync::Arc;
use std::time::Duration;

use rhai::{AST, Array, Dynamic, FnPtr, Map};

use crate::model::problem::nearest;
use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::model::span;
use crate::rules::Known;
use crate::rules::closure::Closure;
use crate::rules::declare::Declared;
use crate::rules::pattern::Pattern;
use crate::rules::rule::{Closures, Rule, Then, When};
use crate::rules::sites::Sites;
use crate::rules::wanted::doubtful;
use crate::script::convert::kind;
use crate::script::fault;

/// The keys of a rule.
pub const KEYS: &[&str] =
    &["about", "on", "when", "per", "cooldown", "enabled", "shadow", "priority", "then"];

/// Keys of memory and damping that this version does not know yet. They are refused, never ignored.
pub const LATER: &[&str] = &[
    "until", "hold", "within", "having", "absent", "sequence", "all_of", "debounce", "limit",
    "once", "active", "recover", "stale", "expect", "window",
];

/// The file that a declaration stands in.
pub(crate) struct File<'f> {
    pub(crate) pack: &'f str,
    pub(crate) place: Place,
    pub(crate) ast: &'f AST,
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
    let mut reader = Reader { file, declared: &declared, problems: Vec::new() };
    reader.keys();
    let reference = reader.name();
    let on = reader.on();
    let doubts = reader.doubts(&on, known);
    let closures = reader.closures();
    let about = reader.take("about", "a text", Dynamic::into_string).unwrap_or_default();
    let enabled = reader.take("enabled", "true or false", |v| v.as_bool()).unwrap_or(true);
    let shadow = reader.take("shadow", "true or false", |v| v.as_bool()).unwrap_or(false);
    let priority = reader.take("priority", "an integer", |v| v.as_int()).unwrap_or(0);
    let cooldown = reader.cooldown();
    let place = reader.place();
    let problems = reader.problems;
    match (reference, closures) {
        (Some(reference), Some(closures)) if problems.is_empty() => {
            let rule = Rule {
                reference,
                about,
                on,
                enabled,
                shadow,
                priority,
                cooldown,
                place,
                version: Arc::clone(&file.version),
                source: Arc::clone(&file.source),
                closures,
                around: declared.around,
            };
            Ok((rule, doubts))
        }
        _ => Err(problems),
    }
}

struct Reader<'r> {
    file: &'r File<'r>,
    declared: &'r Declared,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self) -> Place {
        place(&self.file.place, self.declared.position)
    }

    /// Where a key stands; the call where the map was not written out.
    fn place_of(&self, key: &str) -> Place {
        let site = self.file.sites.key(self.declared.position, key);
        place(&self.file.place, site.unwrap_or(self.declared.position))
    }

    fn options(&self) -> &Map {
        &self.declared.options
    }

    fn complain(&mut self, code: &str, key: &str, message: impl std::fmt::Display) {
        let message = format!("rule `{}`: {message}", self.declared.name);
        let problem = Problem::error(code, self.place_of(key), message);
        self.problems.push(problem);
    }

    fn help(&mut self, help: String) {
        if let Some(problem) = self.problems.last_mut() {
            problem.help = Some(help);
        }
    }

    fn keys(&mut self) {
        let keys: Vec<String> = self.options().keys().map(ToString::to_string).collect();
        for key in keys.iter().filter(|key| !KEYS.contains(&key.as_str())) {
            if LATER.contains(&key.as_str()) {
                self.complain(
                    "later_key",
                    key,
                    format!("`{key}` is not supported by this version of Ifso yet"),
                );
                self.help(format!("remove `{key}`; this version knows {}", KEYS.join(", ")));
                continue;
            }
            self.complain("unknown_key", key, format!("a rule has no key `{key}`"));
            let near = nearest(key, KEYS.iter().chain(LATER).copied());
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
            self.complain("missing_key", "on", "`on` is missing".to_owned());
            self.help("say on which trigger it listens: `on: \"pack.trigger\"`".to_owned());
            return Vec::new();
        };
        let texts: Option<Vec<String>> = if on.is_array() {
            let items = on.cast::<Array>().into_iter();
            items.map(|item| item.into_string().ok()).collect()
        } else {
            on.into_string().ok().map(|text| vec![text])
        };
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            self.complain(
                "wrong_type",
                "on",
                "`on` is a trigger, a glob, or a list of those".to_owned(),
            );
            return Vec::new();
        };
        let mut patterns = Vec::new();
        for text in texts {
            match Pattern::parse(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(reason) => self.complain("not_a_trigger", "on", format!("in `on`: {reason}")),
            }
        }
        patterns
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
        let when = when.map(When::Closure);
        then.map(|then| Closures { when, per, then: Then::Closure(then) })
    }

    fn closure(&mut self, key: &str) -> Option<Closure> {
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
        match Closure::of(&pointer, self.file.ast) {
            Ok(closure) => Some(closure),
            Err(reason) => {
                self.complain("no_closure", key, format!("`{key}` cannot be used: {reason}"));
                None
            }
        }
    }

    fn cooldown(&mut self) -> Option<Duration> {
        let text = self.take("cooldown", "a span such as \"30m\"", Dynamic::into_string)?;
        match span::parse(&text) {
            Ok(span) => Some(span),
            Err(error) => {
                self.complain("not_a_span", "cooldown", format!("`cooldown`: {error}"));
                None
            }
        }
    }

    fn take<T, E>(
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
