//! Rules: where they stand, what they remember, what they decided and why, and what they would have done.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::api::route::Verb;
use crate::model::time::Time;
use crate::web::nouns::later;
use crate::web::nouns::source::{self, Language};
use crate::web::page::{Ask, Deed, Page, Visit, encoded};
use crate::web::plot::{self, Bar};
use crate::web::render;

/// Keys of memory that a page shows.
const KEYS: usize = 50;
/// Triggers of a rule whose events are looked through for decisions, and events of each.
const TRIGGERS: usize = 4;
const EVENTS: usize = 100;
/// Decisions that a page shows.
const DECISIONS: usize = 25;
/// Firings of a backtest that a page lists.
const FIRINGS: usize = 100;

pub(crate) const PAGES: &[Page] = &[
    Page::new("/rules", "Rules", "rules.html").asks(&[Ask::List(
        "rules",
        "/api/v1/rules?exclude_attributes=source,index,criteria,action",
        &["pack", "name", "trigger", "enabled"],
    )]),
    Page::new("/rules/{ref}", "Rule", "rule.html")
        .asks(&[Ask::One("rule", "/api/v1/rules/{ref}")])
        .more(later!(one)),
    Page::new("/rules/{ref}/backtest", "Backtest", "backtest.html")
        .asks(&[Ask::One("rule", "/api/v1/rules/{ref}?exclude_attributes=source,index")])
        .more(later!(backtest)),
];

pub(crate) const DEEDS: &[Deed] = &[
    Deed::call(
        "/rules/{ref}/release",
        Verb::Post,
        "/api/v1/rules/{ref}/release",
        |form| Ok(json!({ "discard": form.get("discard") == "true" })),
        "Rule `{ref}` is out of quarantine.",
    ),
    Deed::call(
        "/rules/{ref}/forget",
        Verb::Post,
        "/api/v1/rules/{ref}/forget",
        |form| match form.get("all") {
            "" => Ok(json!({ "key": form.get("key_name") })),
            _ => Ok(json!({})),
        },
        "Rule `{ref}` has forgotten that.",
    ),
];

/// What a rule's page shows beside the rule itself.
async fn one(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let rule = found["rule"].clone();
    let name = encoded(visit.named("ref"));
    let memory = visit.list(&format!("/api/v1/rules/{name}/memory?limit={KEYS}")).await?;
    let yesterday = visit.fill("/api/v1/executions?timestamp_gt={yesterday}");
    let led = visit.list(&format!("{yesterday}&rule={name}&limit=5")).await?;
    if let Some(event) = visit.query("event") {
        let path = format!("/api/v1/rules/{name}/explain?event={}", encoded(event));
        let explained = match visit.get(&path).await {
            Ok(explained) => json!({ "event": event, "given": explained }),
            Err(refused) => {
                json!({ "event": event, "message": refused.message, "help": refused.help })
            }
        };
        found.insert("explained".to_owned(), explained);
    }
    let (text, place) =
        (rule["source"].as_str().unwrap_or_default(), rule["place"].as_str().unwrap_or_default());
    let own = place.split(':').nth(1).and_then(|line| line.parse::<u64>().ok());
    found.insert("own".to_owned(), json!(own));
    let wrong = rule["last_error"].as_str().and_then(line);
    found.insert("lines".to_owned(), source::lines(text, Language::of(place), 1));
    found.insert("wrong".to_owned(), json!(wrong));
    found.insert("decisions".to_owned(), json!(decisions(visit, &rule).await));
    found.insert("memory".to_owned(), memory.body);
    found.insert("led".to_owned(), led.body);
    found.insert("led_total".to_owned(), json!(led.total));
    found.insert("led_more".to_owned(), json!(led.more));
    Ok(())
}

/// The line that an error names.
fn line(error: &str) -> Option<u64> {
    let (_, behind) = error.split_once("line ").or_else(|| error.split_once(".rhai:"))?;
    behind.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// What the rule decided lately, newest first: among the newest events of what it listens to.
async fn decisions(visit: &Visit, rule: &Value) -> Vec<Value> {
    let mut found: Vec<(String, Value)> = Vec::new();
    for on in rule["on"].as_array().into_iter().flatten().take(TRIGGERS) {
        let on = on.as_str().unwrap_or_default();
        let of = if on.contains('*') { String::new() } else { format!("&trigger={}", encoded(on)) };
        let path = format!(
            "/api/v1/events?limit={EVENTS}&include_attributes=id,trigger,accepted,decisions{of}"
        );
        let events = visit.get(&path).await.unwrap_or_default();
        for event in events.as_array().into_iter().flatten() {
            let decided = event["decisions"].as_array().into_iter().flatten();
            for one in decided.filter(|one| one["rule"] == rule["ref"]) {
                let id = event["id"].as_str().unwrap_or_default().to_owned();
                let row = json!({
                    "event": event["id"], "trigger": event["trigger"], "at": event["accepted"],
                    "verdict": one["verdict"], "key": one["key"], "effects": one["effects"],
                });
                found.push((id, row));
            }
        }
    }
    // Ids grow with the time.
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.dedup();
    found.into_iter().map(|(_, row)| row).take(DECISIONS).collect()
}

/// The rule over kept events. A wrong time is said beside the form, which stays.
async fn backtest(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let mut body = json!({ "rule": visit.named("ref") });
    for name in ["since", "until"] {
        if let Some(text) = visit.query(name) {
            body[name] = json!(text);
        }
    }
    let inside = &visit.inside;
    match inside.post("/api/v1/rules/backtest", &body, &visit.caller).await {
        Ok(mut given) => {
            let outcome = &mut given["outcome"];
            found.insert("plot".to_owned(), json!(plotted(outcome)));
            let fired = outcome["firings"].as_array().map_or(0, Vec::len);
            if let Some(firings) = outcome["firings"].as_array_mut() {
                firings.truncate(FIRINGS);
            }
            found.insert("listed".to_owned(), json!(fired));
            found.insert("given".to_owned(), given);
        }
        Err(refused) if refused.status == 400 => {
            let problem = json!({ "message": refused.message, "help": refused.help });
            found.insert("problem".to_owned(), problem);
        }
        Err(refused) => return Err(refused),
    }
    Ok(())
}

/// How often it would have fired, by parts of the time.
fn plotted(outcome: &Value) -> String {
    let mut bars = Vec::new();
    for bucket in outcome["buckets"].as_array().into_iter().flatten() {
        let at = bucket[0].as_str().and_then(|text| text.parse::<Time>().ok()).unwrap_or_default();
        let value = bucket[1].as_u64().unwrap_or_default();
        bars.push(Bar {
            value: Some(value),
            words: format!("from {}: {value}", render::stamp(at, "%a %d %b, %H:%M UTC")),
        });
    }
    let sum: u64 = bars.iter().filter_map(|bar| bar.value).sum();
    plot::bars(&format!("It would have fired {sum} times"), &bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_line() {
        assert_eq!(line("it failed in line 12: no `x`"), Some(12));
        assert_eq!(line("rules/a.rhai:7:3: no `x`"), Some(7));
        assert_eq!(line("no place"), None);
    }
}
