//! Links with which people say that they are at an incident: one page with two buttons, for whoever
//! has the link. Looking changes nothing, since mail scanners look at every link.

use std::fmt::Write;

use axum::http::StatusCode;

use crate::api::call::Call;
use crate::api::form::{escaped, moment, whole};
use crate::api::links::page;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::incidents::span;
use crate::model::incident::{Incident, State};
use crate::model::time::Time;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/incidents/link/{token}",
        Access::Own,
        |call| Box::pin(show(call)),
        "Shows the incidents behind a link, as a page with two buttons.",
    )
    .gives(200, Shape::Page),
    Route::post(
        "/incidents/link/{token}",
        Access::Own,
        |call| Box::pin(take(call)),
        "Acknowledges the incidents behind a link, or says that they are over.",
    )
    .takes(Shape::Form)
    .limit(|_, _| FORM_LIMIT_BYTES)
    .gives(200, Shape::Page),
];

/// The largest form that is read: it has one button.
const FORM_LIMIT_BYTES: usize = 4096;
/// Incidents that the page lists.
const LISTED: usize = 50;

async fn show(call: Call) -> Answer {
    let behind = call.state.incidents.behind_link(call.path("token")).await?;
    let now = call.state.clock.now();
    if behind.is_empty() {
        return Ok(page(StatusCode::NOT_FOUND, &unknown()));
    }
    Ok(page(StatusCode::OK, &shown(&behind, None, now)))
}

async fn take(call: Call) -> Answer {
    let token = call.path("token");
    let typed = form_urlencoded::parse(&call.body).find(|(name, _)| name == "do");
    let resolve = match typed.as_ref().map(|(_, value)| value.as_ref()) {
        Some("acknowledge") => false,
        Some("resolve") => true,
        _ => return show(call).await,
    };
    let changed = call.state.incidents.by_link(token, resolve).await?;
    let behind = call.state.incidents.behind_link(token).await?;
    if behind.is_empty() {
        return Ok(page(StatusCode::NOT_FOUND, &unknown()));
    }
    tracing::info!(incidents = changed, resolve, "incidents were changed by link");
    let word = match (changed, resolve) {
        (0, _) => "There was nothing left to do.",
        (_, false) => "Thank you: nobody else is called.",
        (_, true) => "Thank you: whoever was told hears that it is over.",
    };
    Ok(page(StatusCode::OK, &shown(&behind, Some(word), call.state.clock.now())))
}

fn unknown() -> String {
    whole(
        "No such incident",
        "<h1>No such incident</h1><p>This link leads nowhere. It may have been cut in the mail, or a \
         newer message has a newer link.</p>",
    )
}

fn shown(behind: &[Incident], word: Option<&str>, now: Time) -> String {
    let title = match behind {
        [one] => one.failure.title.clone(),
        many => format!("{} incidents", many.len()),
    };
    let mut body = format!("<h1>{}</h1>", escaped(&title));
    if let Some(word) = word {
        put(&mut body, format_args!("<p class=\"more\">{}</p>", escaped(word)));
    }
    for one in behind.iter().take(LISTED) {
        if behind.len() > 1 {
            put(&mut body, format_args!("<h2>{}</h2>", escaped(&one.failure.title)));
        }
        body += &facts(one, now);
    }
    if behind.len() > LISTED {
        put(&mut body, format_args!("<p class=\"more\">… and {} more</p>", behind.len() - LISTED));
    }
    let open = behind.iter().any(|one| one.state == State::Open);
    if behind.iter().any(|one| one.state != State::Resolved) {
        body += "<form method=\"post\"><p class=\"choice\">";
        if open {
            body += "<button name=\"do\" value=\"acknowledge\">I am at it</button> ";
        }
        body += "<button class=\"no\" name=\"do\" value=\"resolve\">It is over</button></p></form>\
                 <p class=\"small\">Whoever has this link can press these: keep it to yourself.</p>";
    }
    whole(&title, &body)
}

fn facts(one: &Incident, now: Time) -> String {
    let failure = &one.failure;
    let acked = one.acked.as_ref().filter(|_| one.state == State::Acknowledged);
    let acked = acked.map(|acked| format!("{} ({})", acked.by, moment(acked.at)));
    let over = one.resolved.as_ref().map(|resolved| moment(resolved.at));
    let source = (!failure.source.is_empty()).then(|| failure.source.clone());
    let mut facts = String::from("<dl>");
    for (name, value) in [
        ("Severity", Some(failure.severity.to_string())),
        ("State", Some(one.state.word().to_owned())),
        ("Since", Some(moment(one.opened))),
        ("Lasts", Some(span(one.lasted(now)))),
        ("Reports", Some(one.count.to_string())),
        ("Source", source),
        ("Acknowledged by", acked),
        ("Over", over),
        ("Incident", Some(one.id.to_string())),
    ] {
        if let Some(value) = value {
            put(&mut facts, format_args!("<dt>{name}</dt><dd>{}</dd>", escaped(&value)));
        }
    }
    facts + "</dl>"
}

fn put(html: &mut String, piece: std::fmt::Arguments<'_>) {
    html.write_fmt(piece).expect("a text takes whatever is written to it");
}
