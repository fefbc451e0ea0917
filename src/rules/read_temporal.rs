//! The keys of memory and damping, read from the map that `rule(…)` was given.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rhai::{Array, Dynamic, FnPtr, Map};

use crate::model::memory::Meaning;
use crate::model::problem::nearest;
use crate::model::span;
use crate::rules::closure::Closure;
use crate::rules::meaning;
use crate::rules::pattern::Pattern;
use crate::rules::read::Reader;
use crate::rules::rule::Closures;
use crate::rules::temporal::{
    Active, BREACHES_LIMIT, Budget, Limit, STEPS_LIMIT, Shape, Step, Steps, Temporal, Window,
    WindowKind,
};
use crate::rules::tumbling::Zone;
use crate::rules::window::FIELD_FUNCTIONS;
use crate::script::convert::kind;

/// The keys that say how events make a rule true; a rule has one of them at most.
const SHAPES: &[&str] = &["having", "sequence", "all_of", "absent", "debounce", "samples"];

/// The keys of a step.
const STEP_KEYS: [&str; 3] = ["on", "when", "not"];

/// The keys of a cool-down.
const COOLDOWN_KEYS: [&str; 2] = ["span", "after"];

/// Keys whose text says what being true is.
const TRUTH: &[&str] = &[
    "on", "when", "having", "sequence", "all_of", "absent", "debounce", "samples", "window",
    "zone", "lateness",
];

impl Reader<'_> {
    /// Everything that the rule says about time.
    pub(crate) fn temporal(&mut self, on: &[Pattern], closures: &Closures) -> Temporal {
        self.shapes();
        let within = self.span("within");
        let (hold, stale) = (self.span("hold"), self.span("stale"));
        let shape = self.shape(on, within, closures);
        let lasting =
            matches!(shape, Shape::Window(_) | Shape::Samples { .. } | Shape::Absent { .. })
                && !matches!(
                    &shape,
                    Shape::Window(window) if !matches!(window.kind, WindowKind::Sliding)
                );
        let edge = lasting || hold.is_some() || self.has("until") || self.has("recover");
        let once = self.take("once", "true or false", |value| value.as_bool());
        let temporal = Temporal {
            hold,
            stale,
            once: once.unwrap_or(edge),
            exclusive: self.exclusive(),
            active: self.active(),
            limit: self.limit(),
            budget: self.budget(),
            lateness: self.span("lateness"),
            meaning: self.meaning(),
            shape,
        };
        self.agree(&temporal);
        self.agree_on_ends(&temporal, closures);
        temporal
    }

    /// The span of `cooldown`, which may stand in a map.
    pub(crate) fn cooldown(&mut self) -> Option<Duration> {
        if !self.options().get("cooldown").is_some_and(Dynamic::is_map) {
            return self.span("cooldown");
        }
        let map = self.map("cooldown", &COOLDOWN_KEYS)?;
        let Some(span) = map.get("span") else {
            self.complain("missing_key", "cooldown", "`cooldown` needs a `span`, such as \"5m\"");
            return None;
        };
        self.span_in("cooldown", "span", span)
    }

    /// The ends of executions from which `cooldown` counts.
    pub(crate) fn after(&mut self) -> Option<Closure> {
        let map = self.options().get("cooldown")?.clone().try_cast::<Map>()?;
        let Some(after) = map.get("after") else {
            self.complain("missing_key", "cooldown", "`cooldown` needs an `after`");
            self.help(
                "say from which ends it counts: `after: |x| x.status == \"succeeded\"`; to count \
                 from the firing, write the span alone: `cooldown: \"5m\"`"
                    .to_owned(),
            );
            return None;
        };
        let pointer = after.read_lock::<FnPtr>().map(|pointer| pointer.clone());
        let made = pointer.map(|pointer| self.behind(&pointer));
        match made {
            Some(Ok(closure)) => Some(closure),
            Some(Err(reason)) => {
                self.complain("no_closure", "cooldown", format!("`after` in `cooldown`: {reason}"));
                None
            }
            None => {
                let found = kind(after);
                let message =
                    format!("`after` in `cooldown` is {found}; it must be a closure, `|x| …`");
                self.complain("wrong_type", "cooldown", message);
                None
            }
        }
    }

    fn exclusive(&mut self) -> bool {
        self.take("exclusive", "true or false", |value| value.as_bool()).unwrap_or(false)
    }

    /// What keeps firings for later does not wait for ends.
    fn agree_on_ends(&mut self, temporal: &Temporal, closures: &Closures) {
        let queues = temporal.limit.is_some_and(|limit| limit.queue);
        let other = match (queues, temporal.budget.is_some()) {
            (true, _) => "a `limit` that queues",
            (_, true) => "a `budget`",
            _ => return,
        };
        let (key, name) = match (temporal.exclusive, closures.after.is_some()) {
            (true, _) => ("exclusive", "`exclusive`"),
            (_, true) => ("cooldown", "`after` in `cooldown`"),
            _ => return,
        };
        let message = format!("{name} does not go with {other}, which keeps firings for later");
        self.complain("does_not_go", key, message);
    }

    fn has(&self, key: &str) -> bool {
        self.options().contains_key(key)
    }

    fn shapes(&mut self) {
        let own: Vec<&str> = SHAPES.iter().copied().filter(|key| self.has(key)).collect();
        if let [first, second, ..] = own.as_slice() {
            self.complain(
                "two_shapes",
                second,
                format!("`{first}` and `{second}` do not go together"),
            );
            self.help("make two rules of it; one may `emit` an event for the other".to_owned());
        }
    }

    /// What does not go together.
    fn agree(&mut self, temporal: &Temporal) {
        let pulse = match temporal.shape {
            Shape::Sequence(_) => Some("sequence"),
            Shape::AllOf(_) => Some("all_of"),
            Shape::Debounce { .. } => Some("debounce"),
            _ => None,
        };
        if let Some(pulse) = pulse {
            for key in ["hold", "stale", "until", "recover", "once"] {
                if self.has(key) {
                    let message =
                        format!("`{key}` does not go with `{pulse}`, which fires each time");
                    self.complain("does_not_go", key, message);
                }
            }
        }
        if matches!(temporal.shape, Shape::Absent { .. }) {
            for key in ["hold", "stale", "until"] {
                if self.has(key) {
                    let message =
                        format!("`{key}` does not go with `absent`, which ends with an event");
                    self.complain("does_not_go", key, message);
                }
            }
        }
        if !temporal.once && (self.has("until") || self.has("recover")) {
            let key = if self.has("once") { "once" } else { "window" };
            let message = "`until` and `recover` need a rule that fires once: it has to know that it \
                           has fired";
            self.complain("does_not_go", key, message);
            self.help("remove `once: false`, or `until` and `recover`".to_owned());
        }
        let remembers = !temporal.is_plain();
        self.only_with("stale", remembers, "`hold`, `until`, `once`, `samples` or a window");
        self.only_with("expect", self.has("absent"), "`absent`");
        self.only_with("zone", self.has("window"), "`window: \"tumbling\"`");
        self.only_with("window", self.has("having"), "`within` and `having`");
        let gathers = ["having", "sequence", "all_of"].iter().any(|key| self.has(key));
        self.only_with("within", gathers, "`having`, `sequence` or `all_of`");
        self.only_with("lateness", gathers, "`having`, `sequence` or `all_of`");
        if let (Some(hold), Some(stale)) = (temporal.hold, temporal.stale)
            && hold > stale
        {
            let message = "`hold` is longer than `stale`: a rule that is reported less often than \
                           `stale` never fires";
            self.doubt("hold_longer_than_stale", "hold", message);
        }
    }

    fn only_with(&mut self, key: &str, there: bool, with: &str) {
        if self.has(key) && !there {
            self.complain("does_not_go", key, format!("`{key}` goes with {with} only"));
        }
    }

    fn shape(&mut self, on: &[Pattern], within: Option<Duration>, closures: &Closures) -> Shape {
        if self.has("having") {
            return self.window(within, closures).map_or(Shape::Plain, Shape::Window);
        }
        for key in ["sequence", "all_of"] {
            if self.has(key) {
                let steps = self.steps(key, on, within);
                return steps.map_or(Shape::Plain, |steps| match key {
                    "sequence" => Shape::Sequence(steps),
                    _ => Shape::AllOf(steps),
                });
            }
        }
        if self.has("absent") {
            let expect = self.expect();
            return self
                .span("absent")
                .map_or(Shape::Plain, |within| Shape::Absent { within, expect });
        }
        if self.has("debounce") {
            return self.span("debounce").map_or(Shape::Plain, |quiet| Shape::Debounce { quiet });
        }
        self.samples().map_or(Shape::Plain, |count| Shape::Samples { count })
    }

    fn samples(&mut self) -> Option<usize> {
        let count = self.take("samples", "an integer", |value| value.as_int())?;
        if !self.has("when") {
            self.complain("missing_key", "samples", "`samples` needs a `when`");
            self.help("say when a sample breaches: `when: |e| e.used_pct >= 80`".to_owned());
        }
        match usize::try_from(count) {
            Ok(count) if (1..=BREACHES_LIMIT).contains(&count) => Some(count),
            _ => {
                let message =
                    format!("`samples` is {count}; it must be from 1 to {BREACHES_LIMIT}");
                self.complain("out_of_range", "samples", message);
                None
            }
        }
    }

    fn missing_within(&mut self, key: &str) {
        self.complain("missing_key", key, format!("`{key}` needs a `within`"));
        self.help("say how long its events belong together: `within: \"10m\"`".to_owned());
    }

    fn window(&mut self, within: Option<Duration>, closures: &Closures) -> Option<Window> {
        let having = self.closure("having");
        let kind = self.window_kind();
        let Some(within) = within else {
            if !self.has("within") {
                self.missing_within("having");
            }
            return None;
        };
        let having = having?;
        let mut fields = BTreeSet::new();
        let asking = [
            ("having", Some(&having)),
            ("then", closures.then.closure()),
            ("until", closures.until.as_ref()),
            ("recover", closures.recover.as_ref()),
        ];
        for (key, closure) in asking {
            let Some(closure) = closure else { continue };
            match closure.named(FIELD_FUNCTIONS) {
                Ok(named) => fields.extend(named.into_iter().map(|(name, _)| name)),
                Err(function) if key == "having" => {
                    let message = format!("`{function}` must name its field outright");
                    self.complain("field_not_named", key, message);
                    self.help(format!("write it as a text: `w.{function}(\"ms\")`"));
                }
                Err(_) => {}
            }
        }
        let fields = fields.into_iter().collect();
        Some(Window { within, kind: kind?, having, fields })
    }

    fn window_kind(&mut self) -> Option<WindowKind> {
        let Some(name) = self.take("window", "a text", Dynamic::into_string) else {
            return (!self.has("window")).then_some(WindowKind::Sliding);
        };
        match name.as_str() {
            "sliding" => Some(WindowKind::Sliding),
            "session" => Some(WindowKind::Session),
            "tumbling" => {
                let Some(zone) = self.take("zone", "a text", Dynamic::into_string) else {
                    return Some(WindowKind::Tumbling(Zone::utc()));
                };
                match Zone::parse(&zone) {
                    Ok(zone) => Some(WindowKind::Tumbling(zone)),
                    Err(message) => {
                        self.complain("no_time_zone", "zone", message);
                        None
                    }
                }
            }
            name => {
                let kinds = ["sliding", "tumbling", "session"];
                self.complain("no_window", "window", format!("there is no window `{name}`"));
                let near = nearest(name, kinds);
                self.help(near.map_or_else(
                    || format!("it is one of {}", kinds.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                ));
                None
            }
        }
    }

    fn expect(&mut self) -> Option<Arc<BTreeSet<String>>> {
        let value = self.options().get("expect")?.clone();
        let keys: Option<BTreeSet<String>> = value
            .try_cast::<Array>()
            .and_then(|items| items.into_iter().map(|item| item.into_string().ok()).collect());
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            let message = "`expect` is a list of keys, such as `[\"node-1\", \"node-2\"]`";
            self.complain("wrong_type", "expect", message);
            return None;
        };
        if !self.has("per") {
            self.complain("missing_key", "expect", "`expect` needs a `per`");
            self.help("say which key an event has: `per: |e| e.node`".to_owned());
        }
        Some(Arc::new(keys))
    }

    fn steps(&mut self, key: &str, on: &[Pattern], within: Option<Duration>) -> Option<Steps> {
        if within.is_none() && !self.has("within") {
            self.missing_within(key);
        }
        let Some(items) = self.options().get(key)?.clone().try_cast::<Array>() else {
            self.complain(
                "wrong_type",
                key,
                format!("`{key}` is a list of steps, `[#{{ on: … }}, …]`"),
            );
            return None;
        };
        let steps: Option<Vec<Step>> = items
            .into_iter()
            .enumerate()
            .map(|(number, item)| self.step(key, number, &item, on))
            .collect();
        let steps = steps?;
        let positive = steps.iter().filter(|step| !step.not).count();
        let wrong = if !(2..=STEPS_LIMIT).contains(&steps.len()) {
            Some(format!("`{key}` has {} steps; 2 to {STEPS_LIMIT} are possible", steps.len()))
        } else if positive == 0 || steps.first().is_some_and(|step| step.not) {
            Some(format!("`{key}` begins with something that happens, not with a `not`"))
        } else if key == "all_of" && positive < steps.len() {
            Some("`all_of` knows no `not`; `sequence` does".to_owned())
        } else {
            None
        };
        if let Some(message) = wrong {
            self.complain("wrong_steps", key, message);
            return None;
        }
        Some(Steps { steps, within: within? })
    }

    fn step(&mut self, key: &str, number: usize, item: &Dynamic, on: &[Pattern]) -> Option<Step> {
        let named = format!("step {} of `{key}`", number + 1);
        let Some(map) = item.clone().try_cast::<Map>() else {
            let found = kind(item);
            self.complain("wrong_type", key, format!("{named} is {found}; it must be a map"));
            return None;
        };
        for own in map.keys().filter(|own| !STEP_KEYS.contains(&own.as_str())) {
            self.complain("unknown_key", key, format!("{named} has no key `{own}`"));
            self.help(format!("a step has {}", STEP_KEYS.join(", ")));
        }
        let when = match map.get("when") {
            None => None,
            Some(value) => Some(self.step_closure(key, &named, value)?),
        };
        let not = map.get("not").is_some_and(|not| not.as_bool().unwrap_or(false));
        let on = match map.get("on") {
            None => on.to_vec(),
            Some(value) => self.patterns(key, value.clone())?,
        };
        if on.is_empty() {
            self.complain("missing_key", key, format!("{named} has no `on`, nor has the rule"));
            return None;
        }
        Some(Step { on, when, not })
    }

    fn step_closure(&mut self, key: &str, named: &str, value: &Dynamic) -> Option<Closure> {
        let pointer = value.read_lock::<FnPtr>().map(|pointer| pointer.clone());
        let made = pointer.map(|pointer| self.behind(&pointer));
        match made {
            Some(Ok(closure)) => Some(closure),
            Some(Err(reason)) => {
                self.complain("no_closure", key, format!("`when` in {named}: {reason}"));
                None
            }
            None => {
                let found = kind(value);
                let message =
                    format!("`when` in {named} is {found}; it must be a closure, `|e| …`");
                self.complain("wrong_type", key, message);
                None
            }
        }
    }

    fn active(&mut self) -> Vec<Active> {
        let Some(value) = self.options().get("active").cloned() else { return Vec::new() };
        let names: Option<Vec<String>> = if value.is_array() {
            let items = value.cast::<Array>().into_iter();
            items.map(|item| item.into_string().ok()).collect()
        } else {
            value.into_string().ok().map(|name| vec![name])
        };
        let Some(names) = names.filter(|names| !names.is_empty()) else {
            let message = "`active` is the name of a calendar, or a list of those";
            self.complain("wrong_type", "active", message);
            return Vec::new();
        };
        let mut active = Vec::new();
        for name in names {
            match self.calendar(&name) {
                Ok(one) => active.push(one),
                Err(message) => self.complain("no_calendar", "active", message),
            }
        }
        active
    }

    fn limit(&mut self) -> Option<Limit> {
        let map = self.map("limit", &["count", "per", "over"])?;
        let (count, per) = self.rate("limit", &map)?;
        let over = map.get("over").map_or(Ok("drop".to_owned()), |over| over.clone().into_string());
        let queue = match over.as_deref() {
            Ok("drop") => false,
            Ok("queue") => true,
            _ => {
                self.complain(
                    "wrong_type",
                    "limit",
                    "`over` in `limit` is `\"drop\"` or `\"queue\"`",
                );
                return None;
            }
        };
        Some(Limit { count, per, queue })
    }

    fn budget(&mut self) -> Option<Budget> {
        let map = self.map("budget", &["count", "per", "release"])?;
        let (count, per) = self.rate("budget", &map)?;
        let release = match map.get("release") {
            None => None,
            Some(value) => Some(self.span_in("budget", "release", value)?),
        };
        Some(Budget { count, per, release })
    }

    fn map(&mut self, key: &str, keys: &[&str]) -> Option<Map> {
        let value = self.options().get(key)?.clone();
        let Some(map) = value.try_cast::<Map>() else {
            let message = format!("`{key}` is a map such as `#{{ count: 5, per: \"1h\" }}`");
            self.complain("wrong_type", key, message);
            return None;
        };
        for own in map.keys().filter(|own| !keys.contains(&own.as_str())) {
            self.complain("unknown_key", key, format!("`{key}` has no key `{own}`"));
            self.help(format!("it has {}", keys.join(", ")));
        }
        Some(map)
    }

    fn rate(&mut self, key: &str, map: &Map) -> Option<(usize, Duration)> {
        let count = map.get("count").and_then(|count| count.as_int().ok());
        let Some(count) = count.and_then(|count| usize::try_from(count).ok()).filter(|c| *c > 0)
        else {
            self.complain("wrong_type", key, format!("`count` in `{key}` is an integer from 1"));
            return None;
        };
        let Some(per) = map.get("per") else {
            self.complain("missing_key", key, format!("`{key}` needs a `per`, such as \"1h\""));
            return None;
        };
        Some((count, self.span_in(key, "per", per)?))
    }

    fn span_in(&mut self, key: &str, inner: &str, value: &Dynamic) -> Option<Duration> {
        let text = value.clone().into_string().unwrap_or_default();
        match span::parse(&text) {
            Ok(span) if !span.is_zero() => Some(span),
            Ok(_) => {
                self.complain("not_a_span", key, format!("`{inner}` in `{key}` is no time at all"));
                None
            }
            Err(error) => {
                self.complain("not_a_span", key, format!("`{inner}` in `{key}`: {error}"));
                None
            }
        }
    }

    /// A span of time that is not zero.
    pub(crate) fn span(&mut self, key: &str) -> Option<Duration> {
        let text = self.take(key, "a span such as \"30m\"", Dynamic::into_string)?;
        match span::parse(&text) {
            Ok(span) if !span.is_zero() => Some(span),
            Ok(_) => {
                self.complain(
                    "not_a_span",
                    key,
                    format!("`{key}` is no time at all; leave it out"),
                );
                None
            }
            Err(error) => {
                self.complain("not_a_span", key, format!("`{key}`: {error}"));
                None
            }
        }
    }

    fn meaning(&self) -> Meaning {
        let hash = |keys: &[&str]| {
            let around = format!("{:?} {:?}", self.constants(), self.captured(keys));
            meaning::hash(self.source(), self.sites(), self.position(), keys, &around)
        };
        Meaning { key: hash(&["per"]), truth: hash(TRUTH) }
    }
}
