//! `calendars/*.yaml`.

use crate::model::calendar::{self, Calendar, Closed, Window};
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::model::zone;
use crate::packs::disk::File;
use crate::packs::fields::Fields;
use crate::packs::yaml::{Node, Tree};

/// Windows and blackouts of one calendar at most: each is asked of each event.
const ENTRIES_LIMIT: usize = 1000;

/// Reads one calendar of `pack`, named as its file; nothing where something of it is wrong.
pub(crate) fn read(
    file: &File,
    node: &Node,
    pack: &str,
    problems: &mut Vec<Problem>,
) -> Option<(Reference, Calendar)> {
    let place = &file.place;
    let before = problems.len();
    let mut fields = Fields::new(node, place, "calendar", problems);
    let about = fields.text("about").unwrap_or_default();
    let given = fields.required("zone");
    let (open, closed) = (fields.list("open"), fields.list("closed"));
    fields.finish(Severity::Error, &[]);
    let zone = zone::named(&given);
    if let (Err(wrong), false) = (&zone, given.is_empty()) {
        let at = node.find("zone", place);
        problems.push(Problem::error("unknown_zone", at, wrong.clone()));
    }
    if open.len() + closed.len() > ENTRIES_LIMIT {
        let count = open.len() + closed.len();
        let message = format!("the calendar has {count} entries; {ENTRIES_LIMIT} is the most");
        problems.push(Problem::error("too_many", node.place(place), message));
        return None;
    }
    let open: Vec<_> = open.iter().filter_map(|node| window(node, place, problems)).collect();
    let closed: Vec<_> = closed.iter().filter_map(|node| blackout(node, place, problems)).collect();
    let name = file.stem();
    let reference = Reference::new(pack, name).map_err(|_| {
        let message =
            format!("`{name}` cannot name a calendar; expected letters, digits, `_`, `-`");
        problems.push(Problem::error("bad_name", place.clone(), message).help("rename the file"));
    });
    let (Ok(reference), Ok(zone), true) = (reference, zone, problems.len() == before) else {
        return None;
    };
    Some((reference, Calendar { about, zone, open, closed, place: place.clone() }))
}

fn window(node: &Node, place: &Place, problems: &mut Vec<Problem>) -> Option<Window> {
    let mut fields = Fields::new(node, place, "open window", problems);
    let days = days(&mut fields);
    let [from, to] = ["from", "to"].map(|key| fields.text(key));
    drop(fields.text("about"));
    fields.finish(Severity::Error, &[]);
    let made = calendar::open(days.as_deref(), from.as_deref(), to.as_deref());
    taken(made, node, place, problems)
}

/// A blackout: a date, or a mapping with `days` (every week) or with `from` and `to`.
fn blackout(node: &Node, place: &Place, problems: &mut Vec<Problem>) -> Option<Closed> {
    if let Tree::Text(text) = &node.tree {
        return taken(calendar::closed(text, None), node, place, problems);
    }
    let mut fields = Fields::new(node, place, "closed span", problems);
    let days = days(&mut fields);
    let to = fields.text("to");
    let from = if days.is_some() { fields.text("from") } else { Some(fields.required("from")) };
    drop(fields.text("about"));
    fields.finish(Severity::Error, &[]);
    let made = match (&days, from.as_deref()) {
        (Some(_), from) => calendar::open(days.as_deref(), from, to.as_deref()).map(Closed::Weekly),
        (None, Some("") | None) => return None,
        (None, Some(from)) => calendar::closed(from, to.as_deref()),
    };
    taken(made, node, place, problems)
}

/// `days` as one text: a list of days stands for its items with commas.
fn days(fields: &mut Fields<'_, '_>) -> Option<String> {
    let days = fields.texts("days");
    (!days.is_empty()).then(|| days.join(","))
}

fn taken<T>(
    made: Result<T, (&'static str, String)>,
    node: &Node,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    made.map_err(|(part, wrong)| {
        problems.push(Problem::error("calendar", node.find(part, place), wrong));
    })
    .ok()
}
