//! What a page is and what a button does: two tables, of which every noun has its rows.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::api::inside::{Given, Inside, Refused};
use crate::api::route::Verb;
use crate::auth::{Caller, Right};
use crate::web::House;
use crate::web::form::Form;

/// What `{yesterday}` goes back.
const DAY: std::time::Duration = std::time::Duration::from_hours(24);
/// Rows that a list shows unless its reader asks for another number.
const ROWS: usize = 50;

/// One page.
pub(crate) struct Page {
    /// The pattern of its address: `/rules/{ref}`.
    pub(crate) path: &'static str,
    /// Its name in the window's title and in the menu.
    pub(crate) title: &'static str,
    /// Without this right it is not shown, nor named in the menu.
    pub(crate) right: Right,
    /// The file in `pages/`.
    pub(crate) template: &'static str,
    /// What it asks of the API.
    pub(crate) asks: &'static [Ask],
    /// What else it shows.
    pub(crate) more: Option<More>,
}

/// What a page works out from what it asked.
pub(crate) type More =
    for<'a> fn(&'a Visit, &'a mut Map<String, Value>) -> BoxFuture<'a, Result<(), Refused>>;

/// One question to the API.
pub(crate) enum Ask {
    /// One thing: its name in the template, and its path with what stands in braces filled in.
    One(&'static str, &'static str),
    /// The same; the page does without it where the API refuses.
    Maybe(&'static str, &'static str),
    /// A list, page by page, with the filters that its reader may set in the page's address.
    List(&'static str, &'static str, &'static [&'static str]),
}

impl Page {
    /// A page that everybody sees who may look at all.
    pub(crate) const fn new(
        path: &'static str,
        title: &'static str,
        template: &'static str,
    ) -> Self {
        Self { path, title, right: Right::View, template, asks: &[], more: None }
    }

    /// For whoever has this right.
    pub(crate) const fn needs(mut self, right: Right) -> Self {
        self.right = right;
        self
    }

    /// Asking this.
    pub(crate) const fn asks(mut self, asks: &'static [Ask]) -> Self {
        self.asks = asks;
        self
    }

    /// Showing more than what it asks.
    pub(crate) const fn more(mut self, more: More) -> Self {
        self.more = Some(more);
        self
    }
}

/// What a button does: a form's `POST` to its path.
pub(crate) struct Deed {
    /// The pattern of its address: `/rules/{ref}/enable`.
    pub(crate) path: &'static str,
    /// What does it.
    pub(crate) act: Act,
}

/// Makes a call's body of a form.
pub(crate) type Shape = fn(&Form) -> Result<Value, Refused>;
/// Does what is more than one call.
pub(crate) type Own = for<'a> fn(&'a Visit, &'a Form) -> BoxFuture<'a, Result<Done, Refused>>;

/// How a deed is done.
pub(crate) enum Act {
    /// One call of the API.
    Call {
        /// How.
        verb: Verb,
        /// Where.
        path: &'static str,
        /// The body.
        shape: Shape,
        /// What is said then; braces are filled from the address and from the API's answer.
        done: &'static str,
        /// Where its reader is led then; empty: back to the page of the form.
        to: &'static str,
    },
    /// Anything else.
    Own(Own),
}

impl Deed {
    /// One call of the API.
    pub(crate) const fn call(
        path: &'static str,
        verb: Verb,
        api: &'static str,
        shape: Shape,
        done: &'static str,
    ) -> Self {
        Self { path, act: Act::Call { verb, path: api, shape, done, to: "" } }
    }

    /// Leading there, not back.
    pub(crate) const fn to(mut self, there: &'static str) -> Self {
        if let Act::Call { to, .. } = &mut self.act {
            *to = there;
        }
        self
    }

    /// More than one call.
    pub(crate) const fn own(path: &'static str, own: Own) -> Self {
        Self { path, act: Act::Own(own) }
    }
}

/// What came of a deed.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Where its reader is led; empty: back to the page of the form.
    pub(crate) to: String,
    /// What is said there.
    pub(crate) words: String,
    /// What is shown there once, to be copied: a new key.
    pub(crate) once: Option<String>,
}

/// One look at a page, or one press of a button.
pub(crate) struct Visit {
    pub(crate) house: Arc<House>,
    /// The API, on behalf of whoever sits at the browser.
    pub(crate) inside: Inside,
    /// Who looks.
    pub(crate) caller: Caller,
    /// The session's credential: forms' tokens are bound to it.
    pub(crate) session: String,
    /// The page's own path, as it was asked for.
    pub(crate) path: String,
    /// What stands in the pattern's braces, decoded.
    pub(crate) named: Vec<(String, String)>,
    /// The query, decoded.
    pub(crate) query: Vec<(String, String)>,
}

impl Visit {
    /// What stands in `{name}`.
    pub(crate) fn named(&self, name: &str) -> &str {
        self.named.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A query parameter; empty is as good as absent.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// `pattern` with its braces filled from the page's address, percent-encoded.
    /// `{yesterday}` is the time a day ago.
    pub(crate) fn fill(&self, pattern: &str) -> String {
        fill(pattern, |name| match name {
            "yesterday" => encoded(&self.house.clock.now().minus(DAY).to_string()),
            _ => encoded(self.named(name)),
        })
    }

    /// Reads one thing.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.inside.get(path, &self.caller).await
    }

    /// Reads a list with its counts.
    pub(crate) async fn list(&self, path: &str) -> Result<Given, Refused> {
        self.inside.call(Verb::Get, path, None, &self.caller).await
    }

    /// Answers the questions of `page`, by name.
    pub(crate) async fn gather(&self, page: &Page) -> Result<Map<String, Value>, Refused> {
        let mut found = Map::new();
        for ask in page.asks {
            match ask {
                Ask::One(name, path) => {
                    found.insert((*name).to_owned(), self.get(&self.fill(path)).await?);
                }
                Ask::Maybe(name, path) => {
                    let given = self.get(&self.fill(path)).await.unwrap_or(Value::Null);
                    found.insert((*name).to_owned(), given);
                }
                Ask::List(name, path, filters) => {
                    let (rows, paging) = self.rows(path, filters).await?;
                    found.insert((*name).to_owned(), rows);
                    found.insert("paging".to_owned(), paging);
                }
            }
        }
        if let Some(more) = page.more {
            more(self, &mut found).await?;
        }
        Ok(found)
    }

    /// One page of a list, and what its foot says.
    pub(crate) async fn rows(
        &self,
        path: &str,
        filters: &[&str],
    ) -> Result<(Value, Value), Refused> {
        let number = |name: &str| self.query(name).and_then(|text| text.parse::<usize>().ok());
        let limit = number("limit").filter(|n| *n > 0).unwrap_or(ROWS).min(1000);
        let offset = number("offset").unwrap_or(0);
        let path = self.fill(path);
        let joint = if path.contains('?') { '&' } else { '?' };
        let query = self.passed(filters, limit, offset);
        let given = self.list(&format!("{path}{joint}{query}")).await?;
        let shown = given.body.as_array().map_or(0, Vec::len);
        let total = given
            .total
            .map_or(offset + shown, |total| usize::try_from(total).unwrap_or(usize::MAX));
        let next = offset + shown < total || (given.more && shown == limit);
        let paging = json!({
            "limit": limit,
            "offset": offset,
            "from": if shown == 0 { 0 } else { offset + 1 },
            "to": offset + shown,
            "total": total,
            "more": given.more,
            "previous": (offset > 0).then(|| self.turned(offset.saturating_sub(limit))),
            "next": next.then(|| self.turned(offset + limit)),
        });
        Ok((given.body, paging))
    }

    /// The query of a list: its part, and the filters that are set.
    fn passed(&self, filters: &[&str], limit: usize, offset: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        query.append_pair("offset", &offset.to_string());
        for (name, value) in &self.query {
            if filters.contains(&name.as_str()) && !value.trim().is_empty() {
                query.append_pair(name, value.trim());
            }
        }
        query.finish()
    }

    /// This page's address at another offset.
    fn turned(&self, offset: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.query.iter().filter(|(name, _)| name != "offset") {
            query.append_pair(name, value);
        }
        query.append_pair("offset", &offset.to_string());
        format!("{}?{}", self.path, query.finish())
    }
}

/// Letters that a part of a path keeps as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A part of a path, whatever stands in it.
pub(crate) fn encoded(text: &str) -> String {
    // Browsers take these two for steps of a path, encoded or not; nothing is called so.
    if text == "." || text == ".." {
        return "_".to_owned();
    }
    utf8_percent_encode(text, PLAIN).to_string()
}

/// Puts something in the place of each `{name}`.
pub(crate) fn fill(pattern: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = behind;
    }
    filled + rest
}

/// What stands in the braces of `pattern`, where `path` is one of its kind.
pub(crate) fn matched(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut named = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(named),
            (Some(wanted), Some(given)) => {
                let name = wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                match name {
                    Some(_) if given.is_empty() => return None,
                    Some(name) => {
                        let text =
                            percent_encoding::percent_decode_str(given).decode_utf8().ok()?;
                        named.push((name.to_owned(), text.into_owned()));
                    }
                    None if wanted == given => {}
                    None => return None,
                }
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_what_stands_in_its_braces_and_back() {
        let named = matched("/rules/{ref}/enable", "/rules/a%2F%3C%22b/enable").unwrap();
        assert_eq!(named, [("ref".to_owned(), "a/<\"b".to_owned())]);
        assert_eq!(fill("/x/{ref}/y", |_| encoded(&named[0].1)), "/x/a%2F%3C%22b/y");
        assert_eq!(matched("/rules/{ref}", "/rules/"), None);
        assert_eq!(matched("/rules", "/rules/"), Some(Vec::new()));
        assert_eq!(matched("/", "/"), Some(Vec::new()));
        assert_eq!(matched("/rules/{ref}", "/rules/a/b"), None);
    }

    #[test]
    fn steps_of_a_path_never_come_from_a_name() {
        assert_eq!(encoded(".."), "_");
        assert_eq!(encoded("../x"), "..%2Fx");
    }
}
