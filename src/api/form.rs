//! The page behind a link: a question as a form, and the words when there is nothing to ask. Plain HTML
//! without scripts; whatever comes from outside is text, never markup.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::executions::Question;
use crate::model::action::Action;
use crate::model::execution::Execution;
use crate::model::time::Time;
use crate::packs::answer;

/// What stands before the name of a field of the answer.
pub(crate) const PREFIX: &str = "p.";
/// The field in which the whole answer is typed as JSON, where the schema names no fields.
pub(crate) const WHOLE: &str = "json";

const STYLE: &str = include_str!("form.css");

/// Values of an `enum` that are shown side by side at most; more are a list to choose from.
const SIDE_BY_SIDE: usize = 5;
/// Letters that a text may have at least, where the schema says so, for a larger box.
const LONG_TEXT: u64 = 200;

/// A question and who asks it.
pub(crate) struct Asked<'a> {
    pub(crate) execution: &'a Execution,
    pub(crate) question: &'a Question,
    /// The workflow that asks, else the action itself.
    pub(crate) by: Arc<Action>,
    pub(crate) now: Time,
}

/// What a page says that asks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The answer is on disk.
    Taken,
    /// Somebody was faster.
    Answered,
    /// Its time is over.
    Expired,
    /// It was cancelled.
    Closed,
    /// There is no such link.
    Unknown,
}

/// The headers' policy: this style, this form, nothing else.
pub(crate) fn policy() -> String {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// A page that asks nothing.
pub(crate) fn word(word: Word) -> String {
    let (title, text) = match word {
        Word::Taken => ("Thank you", "Your answer is taken. You can close this page."),
        Word::Answered => (
            "Already answered",
            "Somebody has answered this question. There is nothing left to do.",
        ),
        Word::Expired => (
            "Too late",
            "This question has expired. Whoever asked has been told that nobody answered.",
        ),
        Word::Closed => ("Closed", "This question was withdrawn. There is nothing left to do."),
        Word::Unknown => (
            "No such question",
            "This link leads nowhere. It may have been cut in the mail: copy all of it.",
        ),
    };
    whole(title, &format!("<h1>{title}</h1><p>{text}</p>"))
}

/// The question as a form, with what was typed before and what is wrong with it.
pub(crate) fn ask(
    asked: &Asked<'_>,
    typed: &BTreeMap<String, String>,
    problems: &[String],
) -> String {
    let message = asked.question.message.trim();
    let (title, rest) = match message.split_once('\n') {
        Some((title, rest)) => (title.trim(), rest.trim()),
        None if message.is_empty() => ("Your answer is needed", ""),
        None => (message, ""),
    };
    let mut body = format!("<h1>{}</h1>", escaped(title));
    if !rest.is_empty() {
        put(&mut body, format_args!("<p class=\"more\">{}</p>", escaped(rest)));
    }
    body += &facts(asked);
    if !problems.is_empty() {
        body += "<div class=\"problems\" role=\"alert\"><p>This does not fit yet:</p><ul>";
        for problem in problems {
            put(&mut body, format_args!("<li>{}</li>", escaped(&problem.replace('`', ""))));
        }
        body += "</ul></div>";
    }
    body += &form(&asked.question.schema, typed);
    body += "<p class=\"small\">This link is for one answer, and whoever has it can give it: \
             keep it to yourself.</p>";
    whole(title, &body)
}

fn facts(asked: &Asked<'_>) -> String {
    let mut facts = String::from("<dl>");
    let task = asked.execution.part.as_ref().map(|part| part.task.to_string());
    let expires = asked
        .question
        .expires
        .map(|expires| format!("{} ({})", moment(expires), left(expires.since(asked.now))));
    for (name, value) in [
        ("Asked by", Some(asked.by.reference.to_string())),
        ("Task", task),
        ("On behalf of", Some(asked.execution.user.clone())),
        ("Asked", Some(moment(asked.question.asked))),
        ("Expires", expires),
    ] {
        if let Some(value) = value {
            put(&mut facts, format_args!("<dt>{name}</dt><dd>{}</dd>", escaped(&value)));
        }
    }
    facts + "</dl>"
}

/// `2026-03-01 09:30 UTC`.
pub(crate) fn moment(time: Time) -> String {
    time.to_jiff().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn left(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("in {count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn form(schema: &Value, typed: &BTreeMap<String, String>) -> String {
    let fields = answer::fields(schema);
    let mut form = String::from("<form method=\"post\" autocomplete=\"off\">");
    if fields.is_empty() {
        put(
            &mut form,
            format_args!(
                "<label>Your answer, as JSON<textarea name=\"{WHOLE}\" rows=\"6\" required>{}\
                 </textarea></label>",
                escaped(typed.get(WHOLE).map_or("{}", String::as_str))
            ),
        );
        return form + "<p><button>Answer</button></p></form>";
    }
    if let [(name, property)] = fields.as_slice()
        && answer::kinds(property) == ["boolean"]
    {
        return form + &yes_or_no(name, property) + "</form>";
    }
    for (name, property) in fields {
        let text = typed.get(&format!("{PREFIX}{name}")).map(String::as_str);
        form += &field(name, property, answer::is_required(schema, name), text);
    }
    form + "<p><button>Answer</button></p></form>"
}

/// The question that needs one click.
fn yes_or_no(name: &str, property: &Value) -> String {
    let about = property["description"].as_str().unwrap_or(name);
    let name = escaped(name);
    format!(
        "<p class=\"about\">{}</p><p class=\"choice\">\
         <button name=\"{PREFIX}{name}\" value=\"true\">Yes</button> \
         <button class=\"no\" name=\"{PREFIX}{name}\" value=\"false\">No</button></p>",
        escaped(about)
    )
}

/// One field of the answer.
fn field(name: &str, property: &Value, required: bool, typed: Option<&str>) -> String {
    let title = property["title"].as_str().unwrap_or(name);
    let star = if required { " <span class=\"star\" title=\"required\">*</span>" } else { "" };
    let about = property["description"].as_str().map_or_else(String::new, |about| {
        format!("<span class=\"about\">{}</span>", escaped(about))
    });
    let head = format!("<span class=\"name\">{}{star}</span>{about}", escaped(title));
    let default = property.get("default").filter(|one| !one.is_null()).map(answer::plain);
    let input = Input {
        name: escaped(&format!("{PREFIX}{name}")),
        required: if required { " required" } else { "" },
        value: typed.map(str::to_owned).or(default).unwrap_or_default(),
        property,
    };
    let choices: Vec<String> = answer::choices(property).map(answer::plain).collect();
    let kinds = answer::kinds(property);
    if choices.is_empty() && kinds == ["boolean"] {
        return input.side_by_side(&head, &[("true", "Yes"), ("false", "No")]);
    }
    let pairs: Vec<(&str, &str)> = choices.iter().map(|c| (c.as_str(), c.as_str())).collect();
    match pairs.len() {
        0 => format!("<label>{head}{}</label>", input.typed(&kinds)),
        1..=SIDE_BY_SIDE => input.side_by_side(&head, &pairs),
        _ => format!("<label>{head}{}</label>", input.list(&pairs)),
    }
}

/// What a field is typed into; the name is escaped, the value is not.
struct Input<'a> {
    name: String,
    required: &'static str,
    value: String,
    property: &'a Value,
}

impl Input<'_> {
    fn side_by_side(&self, head: &str, choices: &[(&str, &str)]) -> String {
        let mut html = format!("<fieldset><legend>{head}</legend>");
        for (value, shown) in choices {
            let checked = if *value == self.value { " checked" } else { "" };
            put(
                &mut html,
                format_args!(
                    "<label class=\"side\"><input type=\"radio\" name=\"{}\" value=\"{}\"{}{checked}>\
                     {}</label>",
                    self.name,
                    escaped(value),
                    self.required,
                    escaped(shown)
                ),
            );
        }
        html + "</fieldset>"
    }

    fn list(&self, choices: &[(&str, &str)]) -> String {
        let mut html = format!("<select name=\"{}\"{}><option></option>", self.name, self.required);
        for (value, shown) in choices {
            let selected = if *value == self.value { " selected" } else { "" };
            put(
                &mut html,
                format_args!(
                    "<option value=\"{}\"{selected}>{}</option>",
                    escaped(value),
                    escaped(shown)
                ),
            );
        }
        html + "</select>"
    }

    fn typed(&self, kinds: &[&str]) -> String {
        let kinds: Vec<&str> = kinds.iter().copied().filter(|kind| *kind != "null").collect();
        let (name, required) = (&self.name, self.required);
        if self.property["secret"] == true {
            return format!("<input type=\"password\" name=\"{name}\"{required}>");
        }
        let value = escaped(&self.value);
        let long = self.property["maxLength"].as_u64().is_some_and(|most| most >= LONG_TEXT);
        let numbers = || self.limits(&[("minimum", "min"), ("maximum", "max")]);
        let letters = || self.limits(&[("minLength", "minlength"), ("maxLength", "maxlength")]);
        match kinds.as_slice() {
            ["integer"] => format!(
                "<input type=\"number\" step=\"1\"{} name=\"{name}\" value=\"{value}\"{required}>",
                numbers()
            ),
            ["number"] => format!(
                "<input type=\"number\" step=\"any\"{} name=\"{name}\" value=\"{value}\"{required}>",
                numbers()
            ),
            ["string"] if !long => format!(
                "<input type=\"text\"{} name=\"{name}\" value=\"{value}\"{required}>",
                letters()
            ),
            ["string"] => format!(
                "<textarea rows=\"4\"{} name=\"{name}\"{required}>{value}</textarea>",
                letters()
            ),
            ["object" | "array"] => format!(
                "<textarea class=\"code\" rows=\"4\" spellcheck=\"false\" placeholder=\"JSON\" \
                 name=\"{name}\"{required}>{value}</textarea>"
            ),
            _ => format!("<input type=\"text\" name=\"{name}\" value=\"{value}\"{required}>"),
        }
    }

    /// The schema's limits as the browser checks them; the server checks them again.
    fn limits(&self, names: &[(&str, &str)]) -> String {
        let limit = |(key, attribute): &(&str, &str)| {
            let number = self.property[*key].as_number()?;
            Some(format!(" {attribute}=\"{number}\""))
        };
        names.iter().filter_map(limit).collect()
    }
}

/// A whole page.
pub(crate) fn whole(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{} · Ifso</title><style>{STYLE}</style></head>\
         <body><main><p class=\"brand\">Ifso</p>{body}</main></body></html>\n",
        escaped(title)
    )
}

/// Text that stays text, in an element and in an attribute between double quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter => safe.push(letter),
        }
    }
    safe
}

fn put(html: &mut String, piece: std::fmt::Arguments<'_>) {
    html.write_fmt(piece).expect("a text takes whatever is written to it");
}
