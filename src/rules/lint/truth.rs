//! Conditions, or parts of them, that never or always hold.

use rhai::Position;

use crate::model::problem::nearest;
use crate::rules::condition::{Condition, Kind, Literal, Operator};
use crate::rules::lint::reach::{Sight, Subject, possible, truth};
use crate::rules::lint::values::{Texts, Values};
use crate::rules::payload::shown;

/// Something to say about a part of a condition.
pub(crate) struct Said {
    pub(crate) code: &'static str,
    pub(crate) at: Position,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// What is to be said about a condition; `source` is the text of its file.
pub(crate) fn judge(condition: &Condition, sight: Sight<'_>, source: &str) -> Vec<Said> {
    let mut judge = Judge { sight, source, said: Vec::new() };
    judge.leaves(condition);
    if judge.said.is_empty() {
        judge.whole(condition);
    }
    judge.said
}

/// A `when` that says `false` outright; a constant may be a switch of its author's.
pub(crate) fn switched_off(condition: &Condition, source: &str) -> Option<Said> {
    let is_false = matches!(condition.kind, Kind::Constant(false));
    let outright = is_false && at_place(source, condition.place).starts_with("false");
    outright.then(|| Said {
        code: "never_holds",
        at: condition.place,
        message: "`false` never holds".to_owned(),
        help: "write `enabled: false` to switch the rule off".to_owned(),
    })
}

struct Judge<'j> {
    sight: Sight<'j>,
    source: &'j str,
    said: Vec<Said>,
}

impl<'j> Judge<'j> {
    fn say(&mut self, code: &'static str, part: &Condition, message: String, help: String) {
        let at = first(part).place;
        self.said.push(Said { code, at, message, help });
    }

    fn text(&self, part: &Condition) -> String {
        let joined = |by: &str| {
            let texts: Vec<String> = part.children().iter().map(|one| self.text(one)).collect();
            texts.join(by)
        };
        match &part.kind {
            Kind::All(_) => joined(" && "),
            Kind::Any(_) => joined(" || "),
            Kind::Not(inner) => self.negated(inner),
            _ => part.text(self.sight.fields, self.source),
        }
    }

    fn negated(&self, part: &Condition) -> String {
        let text = self.text(part);
        match &part.kind {
            Kind::Present { .. } | Kind::Flag { .. } => format!("!{text}"),
            _ => format!("!({text})"),
        }
    }

    /// What one comparison by itself makes of what the schema says.
    fn leaves(&mut self, part: &'j Condition) {
        for child in part.children() {
            self.leaves(child);
        }
        if let Kind::Fields { left, operator, right } = &part.kind {
            return self.fields(part, *left, *operator, *right);
        }
        let Some(subject) = self.sight.subject(part) else { return };
        let asks_presence = match &part.kind {
            Kind::Present { .. } => true,
            Kind::Compare { literal, operator, .. } => {
                *literal == Literal::Nothing
                    && matches!(operator, Operator::Equal | Operator::Unequal)
            }
            _ => false,
        };
        if asks_presence || self.is_empty_list(part) {
            return;
        }
        let all = self.sight.values(subject);
        match &part.kind {
            Kind::Among { set, .. } => self.items(part, subject, set, &all),
            _ if truth(part, true).and(&all).is_empty() => self.wrong(part, subject, &all, "never"),
            _ if truth(part, false).and(&all).is_empty() => {
                self.wrong(part, subject, &all, "always");
            }
            _ => {}
        }
    }

    /// `e.x in []`: an empty list with a name may be filled one day.
    fn is_empty_list(&mut self, part: &Condition) -> bool {
        let Kind::Among { set, .. } = &part.kind else { return false };
        if !set.is_empty() {
            return false;
        }
        let here = at_place(self.source, part.place);
        let line = here.lines().next().unwrap_or_default();
        if line.contains("in []") || line.starts_with("[]") {
            let message = format!("`{}` never holds: the list is empty", self.text(part));
            let help = "write the values between the brackets, or leave the part out";
            self.say("never_holds", part, message, help.to_owned());
        }
        true
    }

    /// Each item of a list by itself.
    fn items(&mut self, part: &Condition, subject: Subject<'_>, set: &[Literal], all: &Values) {
        for item in set {
            let never = Values::equal(item).is_some_and(|one| one.and(all).is_empty());
            if never {
                let name = name(subject);
                let (code, help) = Self::meant(item, all);
                let message = format!("`{name}` is never {item}: it is {}", known(code, all));
                self.say(code, part, message, help);
            }
        }
    }

    /// A comparison that the schema decides.
    fn wrong(&mut self, part: &Condition, subject: Subject<'_>, all: &Values, when: &str) {
        let (name, text) = (name(subject), self.text(part));
        if truth(part, true).is_empty() {
            let help = "correct it, or leave it out".to_owned();
            return self.say("never_holds", part, format!("`{text}` never holds"), help);
        }
        let (code, help) = match &part.kind {
            Kind::Compare { literal, .. } => Self::meant(literal, all),
            Kind::Length { .. } => ("never_holds", "a length is 0 or more".to_owned()),
            _ if truth(part, true).kinds() == all.kinds() => {
                ("never_holds", "correct it, or the schema of the trigger".to_owned())
            }
            _ => ("type_mismatch", "correct it, or the schema of the trigger".to_owned()),
        };
        let code = if code == "never_holds" && when == "always" { "always_holds" } else { code };
        let message = format!("`{text}` {when} holds: `{name}` is {}", known(code, all));
        self.say(code, part, message, help);
    }

    /// What is wrong with a literal, and what was probably meant.
    fn meant(literal: &Literal, all: &Values) -> (&'static str, String) {
        if Values::kind(literal).and(all).is_empty() {
            let bare = literal.to_string();
            let bare = bare.trim_matches('"');
            let number = !all.numbers.is_empty() && bare.parse::<f64>().is_ok();
            let flag = all.flags.contains(&true) && matches!(bare, "true" | "false");
            let text = matches!(literal, Literal::Whole(_) | Literal::Real(_) | Literal::Flag(_))
                && !Values::texts().and(all).is_empty();
            let help = match (number || flag, text) {
                (true, _) => format!("write `{bare}` without quotes"),
                (_, true) => format!("write `\"{bare}\"` with quotes"),
                _ => format!("compare it with {}", all.kinds()),
            };
            return ("type_mismatch", help);
        }
        if let (Literal::Text(text), Texts::Only(texts)) = (literal, &all.texts) {
            let near = nearest(text, texts.iter().map(|text| &**text));
            let help = near.map_or_else(
                || "write one of them".to_owned(),
                |near| format!("did you mean `\"{near}\"`?"),
            );
            return ("not_in_enum", help);
        }
        ("never_holds", "correct the number, or the schema of the trigger".to_owned())
    }

    /// `e.x > e.y` of two kinds.
    fn fields(&mut self, part: &Condition, left: u16, operator: Operator, right: u16) {
        let field = |field: u16| (&self.sight.fields[usize::from(field)], false);
        let (left, right) = (field(left), field(right));
        let [a, b] = [left, right].map(|one| self.sight.values(one)).map(|values| values.kinds());
        let parted =
            |a: &str, b: &str| !a.split(" or ").any(|kind| b.split(" or ").any(|k| k == kind));
        if a.is_empty() || b.is_empty() || !parted(&a, &b) {
            return;
        }
        let when = if operator == Operator::Unequal { "always" } else { "never" };
        let text = self.text(part);
        let message =
            format!("`{text}` {when} holds: `{}` is {a} and `{}` is {b}", left.0, right.0);
        let help = "compare fields of one kind, or correct the schema of the trigger".to_owned();
        self.say("type_mismatch", part, message, help);
    }

    /// What the parts make of each other.
    fn whole(&mut self, part: &'j Condition) {
        let sight = self.sight;
        if matches!(part.kind, Kind::All(_)) && !possible(vec![(part, sight, true)]) {
            return self.against(part, true);
        }
        if matches!(part.kind, Kind::Any(_)) && !possible(vec![(part, sight, false)]) {
            return self.against(part, false);
        }
        for child in part.children() {
            self.whole(child);
        }
    }

    /// Parts that exclude each other (`wanted`), or of which one always holds.
    fn against(&mut self, part: &'j Condition, wanted: bool) {
        let mut leaves = Vec::new();
        collect(part, wanted, &mut leaves);
        let never = |a: &(&'j Condition, bool), b: &(&'j Condition, bool)| {
            !possible(vec![(a.0, self.sight, a.1), (b.0, self.sight, b.1)])
        };
        let mut pairs = (0..leaves.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let found = pairs.find(|(a, b)| never(&leaves[*a], &leaves[*b]));
        let told = |(part, answer): (&'j Condition, bool)| {
            if answer == wanted { self.text(part) } else { self.negated(part) }
        };
        let pair = found.map(|(a, b)| (told(leaves[a]), told(leaves[b]), leaves[b].0));
        let (code, what) =
            if wanted { ("never_holds", "never") } else { ("always_holds", "always") };
        let (at, message) = match pair {
            Some((a, b, at)) if wanted => (at, format!("`{b}` never holds where `{a}` does")),
            Some((a, b, at)) => (at, format!("`{a}` or `{b}` always holds")),
            None => (part, format!("`{}` {what} holds", self.text(part))),
        };
        let help = if wanted {
            "write `||` where one of them is enough, or correct one of them"
        } else {
            "write `&&` where both are meant, or correct one of them"
        };
        self.say(code, at, message, help.to_owned());
    }
}

/// The parts without parts inside that all have to give this answer, each with its own.
fn collect<'c>(part: &'c Condition, wanted: bool, leaves: &mut Vec<(&'c Condition, bool)>) {
    /// Pairs of more than this are not worth the time.
    const LEAVES_LIMIT: usize = 100;
    match (&part.kind, wanted) {
        _ if leaves.len() >= LEAVES_LIMIT => {}
        (Kind::All(parts), true) | (Kind::Any(parts), false) => {
            for part in parts {
                collect(part, wanted, leaves);
            }
        }
        (Kind::Not(part), _) => collect(part, !wanted, leaves),
        _ => leaves.push((part, wanted)),
    }
}

/// The part that stands first.
fn first(part: &Condition) -> &Condition {
    part.children().first().map_or(part, first)
}

/// What a field is, as far as it tells why.
fn known(code: &str, all: &Values) -> String {
    if code == "type_mismatch" { all.kinds() } else { shown(all) }
}

fn name((field, length): Subject<'_>) -> String {
    if length { format!("{field}.len()") } else { field.to_string() }
}

/// The text of a file from a place on.
fn at_place(source: &str, place: Position) -> &str {
    let (Some(line), Some(column)) = (place.line(), place.position()) else { return "" };
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    let at = rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at);
    &rest[at..]
}
