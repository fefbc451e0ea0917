//! Rulesets of ansible-rulebook as one file of our rules.

use std::fmt::Write;

use serde_json::Value;

use super::conditions::{Conditions, HELPERS, literal};
use super::grammar::{Expr, Path, parse};

pub(super) struct Translated {
    pub(super) text: String,
    pub(super) rules: Vec<Ruled>,
    /// Each ruleset's name, and whether only its first rule fires.
    sets: Vec<(String, bool)>,
}

/// A rule of theirs, and how it is called here.
pub(super) struct Ruled {
    pub(super) set: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) binds: Binds,
}

/// What of our events they bind.
pub(super) enum Binds {
    All,
    /// The last.
    Last,
    /// All of one firing, which is one firing each here.
    EachAlone,
}

impl Translated {
    pub(super) fn set(&self, name: &str) -> usize {
        self.sets.iter().position(|set| set.0 == name).unwrap()
    }

    pub(super) fn first_only(&self, trigger: &str) -> bool {
        let number = trigger.rsplit_once(".s").and_then(|(_, number)| number.parse::<usize>().ok());
        self.sets[number.unwrap()].1
    }
}

pub(super) fn translate(case: &Value) -> Result<Translated, String> {
    let sets = case["rulesets"].as_array().unwrap();
    let named = |set: &Value| {
        let all = set["match_multiple_rules"].as_bool().unwrap_or(false);
        (set["name"].as_str().unwrap().to_owned(), !all)
    };
    let mut made = Translated {
        text: HELPERS.to_owned(),
        rules: Vec::new(),
        sets: sets.iter().map(named).collect(),
    };
    for (number, set) in sets.iter().enumerate() {
        for (place, rule) in set["rules"].as_array().unwrap().iter().enumerate() {
            let id = format!("r{number}_{place}_");
            let on = format!("on: [\"event.s{number}\", \"fact.s{number}\"]");
            let Keys { own, binds, beside } = keys(set, rule, &case["vars"], &id)?;
            let then = then(rule, number, &made, &case["vars"])?;
            let enabled = rule["enabled"].as_bool().unwrap_or(true);
            writeln!(
                made.text,
                "rule(\"{id}\", #{{ {on}, enabled: {enabled}, {own}, then: |e| {then} }});"
            )
            .unwrap();
            if let Some(keys) = beside {
                let then = format!("emit(\"done.{id}\", #{{}})");
                writeln!(made.text, "rule(\"beside\", #{{ {on}, {keys}, then: |e| {then} }});")
                    .unwrap();
            }
            let (set, name) =
                (made.sets[number].0.clone(), rule["name"].as_str().unwrap().to_owned());
            made.rules.push(Ruled { set, name, id, binds });
        }
    }
    Ok(made)
}

/// `post_event` and `set_fact` emit an event.
fn then(rule: &Value, number: usize, made: &Translated, vars: &Value) -> Result<String, String> {
    let mut effects = Vec::new();
    for action in rule["actions"].as_array().into_iter().flatten() {
        let (kind, what) = [("fact", "set_fact"), ("event", "post_event")]
            .into_iter()
            .find_map(|(kind, name)| Some((kind, action.get(name)?)))
            .ok_or("takes a fact back")?;
        let mut data = what[kind].clone();
        for value in data.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
            // A template that is one variable is the variable.
            let name =
                value.as_str().and_then(|text| text.strip_prefix("{{ ")?.strip_suffix(" }}"));
            if let Some(known) = name.and_then(|name| vars.get(name)) {
                *value = known.clone();
            }
        }
        let text = literal(&data);
        if text.contains("{{") {
            return Err("an action renders a Jinja template".to_owned());
        }
        let set = what["ruleset"].as_str().map_or(number, |name| made.set(name));
        effects.push(format!("emit(\"{kind}.s{set}\", {text})"));
    }
    Ok(format!("[{}]", effects.join(", ")))
}

/// The keys that say when it fires.
struct Keys {
    own: String,
    binds: Binds,
    /// The keys of a rule that it needs beside it, which emits `done`.
    beside: Option<String>,
}

impl From<(String, Binds)> for Keys {
    fn from((own, binds): (String, Binds)) -> Self {
        Self { own, binds, beside: None }
    }
}

fn keys(set: &Value, rule: &Value, vars: &Value, id: &str) -> Result<Keys, String> {
    let condition = &rule["condition"];
    let several = ["all", "any", "not_all"]
        .into_iter()
        .find_map(|kind| Some((kind, condition.get(kind)?.as_array()?)));
    let Some((kind, several)) = several else {
        let expr = match condition.as_str() {
            Some(text) => parse(text)?.1,
            None => Expr::Literal(condition.clone()),
        };
        let when = Conditions { vars, bound: Vec::new() }.condition(&expr, false)?;
        return throttled(&rule["throttle"], &when).map(Keys::from);
    };
    let (whens, per) = conditions(several, vars)?;
    let any = whens.join(" || ");
    let steps: Vec<String> = whens.iter().map(|when| format!("#{{ when: |e| {when} }}")).collect();
    let steps = steps.join(", ");
    let timeout = condition["timeout"].as_str().map(millis);
    let ttl = set["default_events_ttl"].as_str().map_or(7_200_000, millis);
    match kind {
        "any" => Ok((format!("when: |e| {any}"), Binds::All).into()),
        _ if whens.len() == 1 => Ok((format!("when: |e| {any}"), Binds::All).into()),
        "all" => {
            // A time to live does not include its end, and `within` does.
            let within = timeout.unwrap_or(ttl - 1);
            Ok((format!("{per}within: \"{within}ms\", all_of: [{steps}]"), Binds::All).into())
        }
        _ => {
            let within = timeout.ok_or("no timeout")?;
            Ok(Keys {
                own: format!(
                    "within: \"{within}ms\", sequence: [#{{ when: |e| {any} }}, #{{ on: \"done.{id}\", not: true }}]"
                ),
                binds: Binds::All,
                beside: Some(format!("within: \"{}ms\", all_of: [{steps}]", within - 1)),
            })
        }
    }
}

/// Each condition of several, and `per` where they are joined by equal values.
fn conditions(texts: &[Value], vars: &Value) -> Result<(Vec<String>, String), String> {
    let mut conditions = Conditions { vars, bound: Vec::new() };
    let mut parsed = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let (bound, expr) = parse(text.as_str().unwrap())?;
        conditions.bound.push(bound.unwrap_or_else(|| format!("m_{number}")));
        parsed.push(expr);
    }
    let join = if parsed.len() == 2 { join(&mut parsed[1], &conditions) } else { None };
    let whens: Result<Vec<String>, String> =
        parsed.iter().map(|expr| conditions.condition(expr, false)).collect();
    let whens = whens?;
    let per = match join {
        None => String::new(),
        Some((theirs, own)) => {
            let (theirs, own) = (conditions.path(&theirs)?, conditions.path(&own)?);
            format!("per: |e| if {} {{ {theirs} }} else {{ {own} }}, ", whens[0])
        }
    };
    Ok((whens, per))
}

/// Takes `event.a == events.first.b` out of a condition: the path in the first event, and in its own.
fn join(expr: &mut Expr, conditions: &Conditions<'_>) -> Option<(Path, Path)> {
    if let Expr::Two(left, operator, right) = expr
        && operator == "and"
    {
        let found = join(right, conditions)?;
        *expr = (**left).clone();
        return Some(found);
    }
    let Expr::Two(left, operator, right) = expr else { return None };
    let (Expr::Path(left), Expr::Path(right)) = (&**left, &**right) else { return None };
    let (mut theirs, own) = match (conditions.crosses(left), conditions.crosses(right)) {
        (Some(0), None) => (left.clone(), right.clone()),
        (None, Some(0)) => (right.clone(), left.clone()),
        _ => return None,
    };
    if operator != "==" {
        return None;
    }
    "event".clone_into(&mut theirs.root);
    theirs.steps.remove(0);
    let of = Box::new(Expr::Path(own.clone()));
    *expr = Expr::Is {
        of,
        not: false,
        test: "defined".to_owned(),
        with: Vec::new(),
        flags: String::new(),
    };
    Some((theirs, own))
}

fn throttled(throttle: &Value, when: &str) -> Result<(String, Binds), String> {
    let when = format!("when: |e| {when}");
    if throttle.is_null() {
        return Ok((when, Binds::All));
    }
    let mut attributes = Vec::new();
    for attribute in throttle["group_by_attributes"].as_array().unwrap() {
        let Expr::Path(path) = parse(attribute.as_str().unwrap())?.1 else {
            return Err("groups by what is no path".to_owned());
        };
        attributes.push(Conditions { vars: &Value::Null, bound: Vec::new() }.path(&path)?);
    }
    let keys = format!("{when}, per: |e| [{}]", attributes.join(", "));
    let span = |key: &str| throttle[key].as_str().map(millis);
    if let Some(span) = span("once_within") {
        return Ok((format!("{keys}, cooldown: \"{span}ms\""), Binds::All));
    }
    if let Some(span) = span("once_after") {
        // Fires so long after the first, whatever comes.
        let steps = "[#{}, #{ not: true, when: |e| false }]";
        return Ok((format!("{keys}, within: \"{span}ms\", sequence: {steps}"), Binds::EachAlone));
    }
    let span = span("accumulate_within").ok_or("no throttle")? - 1;
    let threshold = usize::try_from(throttle["threshold"].as_u64().unwrap()).unwrap();
    if threshold == 1 {
        return Ok((keys, Binds::Last));
    }
    let steps = vec!["#{}"; threshold].join(", ");
    Ok((format!("{keys}, within: \"{span}ms\", all_of: [{steps}]"), Binds::Last))
}

/// `10 seconds` in milliseconds.
fn millis(text: &str) -> i64 {
    let (number, unit) = text.split_once(' ').unwrap();
    let unit = match unit.trim_end_matches('s') {
        "millisecond" => 1,
        "second" => 1_000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        other => panic!("no unit {other}"),
    };
    number.parse::<i64>().unwrap() * unit
}
