//! The pages by noun, one file each: its rows of the two tables, and what it works out.

mod actions;
mod audit;
mod events;
mod executions;
mod gantt;
mod incidents;
mod inquiries;
mod keys;
mod overview;
mod packs;
mod people;
mod rules;
mod schedules;
mod search;
mod sensors;
mod source;
mod standing;

use serde_json::{Value, json};

use crate::auth::{Right, rights};
use crate::web::page::{Deed, Page, Visit};

/// Every noun's pages.
const PAGES: &[&[Page]] = &[
    overview::PAGES,
    executions::PAGES,
    events::PAGES,
    inquiries::PAGES,
    incidents::PAGES,
    rules::PAGES,
    actions::PAGES,
    schedules::PAGES,
    sensors::PAGES,
    packs::PAGES,
    keys::PAGES,
    people::PAGES,
    audit::PAGES,
    search::PAGES,
];
/// Every noun's buttons.
const DEEDS: &[&[Deed]] = &[
    executions::DEEDS,
    inquiries::DEEDS,
    incidents::DEEDS,
    rules::DEEDS,
    actions::DEEDS,
    sensors::DEEDS,
    keys::DEEDS,
    people::DEEDS,
    audit::DEEDS,
];

/// The menu: groups of pages, by address.
const MENU: &[(&str, &[&str])] = &[
    ("Now", &["/", "/executions", "/events", "/inquiries", "/incidents"]),
    ("Logic", &["/rules", "/actions", "/schedules", "/sensors", "/packs"]),
    ("House", &["/keys", "/apikeys", "/people", "/audit"]),
];

/// Keys that lead to pages after `g`.
const LETTERS: &[(&str, &str)] = &[
    ("/", "o"),
    ("/executions", "e"),
    ("/events", "v"),
    ("/inquiries", "i"),
    ("/incidents", "n"),
    ("/rules", "r"),
    ("/actions", "x"),
    ("/schedules", "c"),
    ("/sensors", "s"),
    ("/packs", "p"),
    ("/keys", "k"),
    ("/apikeys", "t"),
    ("/people", "u"),
    ("/audit", "a"),
];

/// Lists whose lengths stand in the menu: what waits for somebody.
pub(crate) const COUNTS: &[(&str, &str)] =
    &[("inquiries", "/api/v1/inquiries?limit=1"), ("incidents", "/api/v1/incidents?limit=1")];

pub(crate) use search::there;

/// Pictures that pages show: where browsers find them, and where the API draws them.
pub(crate) const PICTURES: &[(&str, &str)] = &[
    ("/executions/{id}/graph.svg", "/api/v1/executions/{id}/graph.svg"),
    ("/workflows/{ref}/graph.svg", "/api/v1/workflows/{ref}/graph.svg"),
];

/// Rights that templates may ask for: `may.run`.
pub(crate) const RIGHTS: &[Right] = Right::ALL;

/// Every page.
pub(crate) fn pages() -> impl Iterator<Item = &'static Page> {
    PAGES.iter().flat_map(|noun| noun.iter())
}

/// Every button.
pub(crate) fn deeds() -> impl Iterator<Item = &'static Deed> {
    DEEDS.iter().flat_map(|noun| noun.iter())
}

/// The menu as this reader sees it: pages that there are and that they may open.
pub(crate) fn menu(visit: &Visit, counts: &dyn Fn(&str) -> Value) -> Value {
    let item = |path: &&str| {
        let page = pages().find(|page| page.path == *path)?;
        let below = format!("{path}/");
        let current = visit.path == *path || (*path != "/" && visit.path.starts_with(&below));
        let letter = LETTERS.iter().find(|(own, _)| own == path).map(|(_, letter)| letter);
        rights::may_some(&visit.caller, page.right).then(|| {
            json!({
                "path": path,
                "title": page.title,
                "current": current,
                "key": letter,
                "count": counts(path.trim_start_matches('/')),
            })
        })
    };
    MENU.iter()
        .map(|(title, paths)| {
            json!({ "title": title, "items": paths.iter().filter_map(item).collect::<Vec<_>>() })
        })
        .filter(|group| group["items"].as_array().is_some_and(|items| !items.is_empty()))
        .collect()
}

/// Closes the gap between a function that waits and the tables' kind of function.
macro_rules! later {
    ($function:path) => {
        |visit, found| Box::pin($function(visit, found))
    };
}
pub(crate) use later;
