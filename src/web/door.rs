//! What answers a browser: sign-in, pages, buttons, live streams and the few files. Every other path is
//! the API's, where a cookie counts for nothing.

use std::sync::Arc;

use axum::body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::api::inside::Refused;
use crate::api::server::Peer;
use crate::auth::{Right, rights};
use crate::web::form::{self, Form};
use crate::web::page::{Act, Deed, Done, Page, Visit, encoded, fill, matched};
use crate::web::{House, guard, live, nouns, render, session};

/// First parts of paths that are the API's: whoever comes there wants no page.
const API: &[&str] = &["api", "v1", "stream", "auth", "healthz", "readyz", "metrics"];

/// Answers any request.
pub(crate) async fn answer(house: Arc<House>, request: Request) -> Response {
    let path = request.uri().path();
    let first = path[1.min(path.len())..].split('/').next().unwrap_or_default();
    if API.contains(&first) {
        return through(&house, request).await;
    }
    match first {
        "static" => return file(path),
        "login" => return guard::shielded(sign_in(&house, request).await),
        "logout" => return guard::shielded(sign_out(&house, request).await),
        "live" => return guard::shielded(live::answer(house, request).await),
        _ => {}
    }
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let page = nouns::pages().find_map(|page| Some((page, matched(page.path, path)?)));
    let deed = nouns::deeds().find_map(|deed| Some((deed, matched(deed.path, path)?)));
    let picture = nouns::PICTURES.iter().find_map(|(own, api)| Some((api, matched(own, path)?)));
    match (page, deed, picture) {
        (Some((page, named)), _, _)
            if read && (path != "/" || guard::wants_page(request.headers())) =>
        {
            guard::shielded(look(house, page, named, request).await)
        }
        (_, Some((deed, named)), _) if *request.method() == Method::POST => {
            guard::shielded(press(house, deed, named, request).await)
        }
        (_, _, Some((api, named))) if read => {
            let Some(visit) = visit(house, named, &request.into_parts().0).await else {
                return guard::shielded(StatusCode::UNAUTHORIZED.into_response());
            };
            let path = visit.fill(api);
            let (inside, caller) = (&visit.inside, &visit.caller);
            inside.raw(crate::api::route::Verb::Get, &path, None, caller).await
        }
        _ => elsewhere(house, request).await,
    }
}

/// Hands a request to the API.
async fn through(house: &House, request: Request) -> Response {
    match house.api.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The API's other paths; whoever looks for a page that there is not is told so on a page.
async fn elsewhere(house: Arc<House>, request: Request) -> Response {
    let wants = request.method() == Method::GET && guard::wants_page(request.headers());
    let (head, body) = request.into_parts();
    let copy = head.clone();
    let response = through(&house, Request::from_parts(head, body)).await;
    let json = response.headers().get(header::CONTENT_TYPE);
    let json = json.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !wants || !json || response.status() != StatusCode::NOT_FOUND {
        return response;
    }
    let path = copy.uri.path().to_owned();
    let Some(visit) = visit(house, Vec::new(), &copy).await else {
        return guard::shielded(to_sign_in(&copy));
    };
    let refused = Refused {
        status: 404,
        code: "no_such_page".to_owned(),
        message: format!("no page is at `{path}`"),
        help: Some("choose one from the menu, or search with `/`".to_owned()),
        details: Value::Null,
    };
    guard::shielded(failed(&visit, &refused))
}

/// Who comes, where a cookie says so.
async fn visit(
    house: Arc<House>,
    named: Vec<(String, String)>,
    head: &request::Parts,
) -> Option<Visit> {
    let session = session::of(&head.headers)?;
    let caller = house.sessions.caller(&session).await?;
    let query = head.uri.query().unwrap_or_default();
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let path = head.uri.path().to_owned();
    let inside = house.inside.on_behalf_of(head.extensions.get::<Peer>().copied());
    Some(Visit { house, inside, caller, session, path, named, query })
}

/// Where whoever is not signed in goes. A browser that follows a link on another site keeps the cookie to
/// itself: a page of ours that leads to the same place makes it our own link.
fn to_sign_in(head: &request::Parts) -> Response {
    let here = head.uri.path_and_query().map_or("/", |there| there.as_str());
    if guard::is_from_elsewhere(&head.headers) {
        let there = render::escaped(here);
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url={there}\">\
             <title>Ifso</title><p><a href=\"{there}\">Continue to Ifso</a></p>"
        );
        return Html(page).into_response();
    }
    let next = if here == "/" { String::new() } else { format!("?next={}", encoded(here)) };
    to(&format!("/login{next}"))
}

fn to(there: &str) -> Response {
    let there = HeaderValue::from_str(there).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, there)]).into_response()
}

/// A path of our own that a form or an address names; `/` in the place of anything else.
fn own_path(text: &str) -> &str {
    let own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && !text.chars().any(char::is_control)
        && !text.starts_with("/log");
    if own { text } else { "/" }
}

// ── pages ────────────────────────────────────────────────────────────────────────────────────────

async fn look(
    house: Arc<House>,
    page: &Page,
    named: Vec<(String, String)>,
    request: Request,
) -> Response {
    let head = request.into_parts().0;
    let Some(visit) = visit(house, named, &head).await else { return to_sign_in(&head) };
    // An id in the field that finds everything opens what it names.
    if let Some(there) = visit.query("q").filter(|_| page.path == "/search").and_then(nouns::there)
    {
        return to(&there);
    }
    shown(&visit, page, None).await
}

/// A page, with what is wrong and what was typed where a form on it was refused.
async fn shown(visit: &Visit, page: &Page, wrong: Option<(&Refused, &Form)>) -> Response {
    if !rights::may_some(&visit.caller, page.right) {
        let refused = Refused {
            status: 403,
            code: "forbidden".to_owned(),
            message: format!("role `{}` may not {}", visit.caller.role, page.right.word()),
            help: Some("ask an admin for another role".to_owned()),
            details: Value::Null,
        };
        return failed(visit, &refused);
    }
    let mut context = match visit.gather(page).await {
        Ok(context) => context,
        Err(refused) => return failed(visit, &refused),
    };
    context.insert("title".to_owned(), json!(page.title));
    let mut status = StatusCode::OK;
    if let Some((refused, form)) = wrong {
        status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
        context.insert("problem".to_owned(), problem(refused));
        context.insert("typed".to_owned(), form.typed());
    }
    rendered(visit, page.template, status, context).await
}

fn problem(refused: &Refused) -> Value {
    let Refused { status, code, message, help, details } = refused;
    json!({ "status": status, "code": code, "message": message, "help": help, "details": details })
}

/// The page that says what is wrong.
fn failed(visit: &Visit, refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut context = Map::new();
    context.insert("title".to_owned(), json!(status.canonical_reason().unwrap_or("Problem")));
    context.insert("problem".to_owned(), problem(refused));
    draw(visit, "error.html", status, context)
}

async fn rendered(
    visit: &Visit,
    template: &str,
    status: StatusCode,
    mut context: Map<String, Value>,
) -> Response {
    for (name, path) in nouns::COUNTS {
        if let Ok(given) = visit.list(path).await {
            context.insert(format!("count_{name}"), json!(given.total));
        }
    }
    draw(visit, template, status, context)
}

fn draw(
    visit: &Visit,
    template: &str,
    status: StatusCode,
    mut context: Map<String, Value>,
) -> Response {
    let sessions = &visit.house.sessions;
    let may: Map<String, Value> = nouns::RIGHTS
        .iter()
        .map(|right| (right.word().to_owned(), json!(rights::may_some(&visit.caller, *right))))
        .collect();
    let query: Map<String, Value> =
        visit.query.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let named: Map<String, Value> =
        visit.named.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let here = if visit.query.is_empty() {
        visit.path.clone()
    } else {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&visit.query);
        format!("{}?{}", visit.path, text.finish())
    };
    let counts = |name: &str| context.get(&format!("count_{name}")).cloned().unwrap_or_default();
    let menu = nouns::menu(visit, &counts);
    for (name, value) in [
        ("now", json!(visit.house.clock.now().millis())),
        ("user", json!(visit.caller.user)),
        ("role", json!(visit.caller.role)),
        ("may", Value::Object(may)),
        ("csrf", json!(sessions.token(&visit.session))),
        ("words", json!(sessions.words(&visit.session))),
        ("path", json!(visit.path)),
        ("here", json!(here)),
        ("query", Value::Object(query)),
        ("named", Value::Object(named)),
        ("menu", menu),
    ] {
        context.insert(name.to_owned(), value);
    }
    let renderer = &visit.house.renderer;
    match renderer.draw(template, &Value::Object(context)) {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(template, %error, "a page has a fault");
            let text = "This page has a fault. Please report it with the log's lines around now.";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

// ── buttons ──────────────────────────────────────────────────────────────────────────────────────

async fn press(
    house: Arc<House>,
    deed: &Deed,
    named: Vec<(String, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Some(visit) = visit(house, named, &head).await else { return to("/login") };
    let Ok(bytes) = body::to_bytes(body, form::LIMIT_BYTES).await else {
        return failed(&visit, &form::wrong("the form is too large"));
    };
    let form = Form::read(&bytes);
    let sessions = &visit.house.sessions;
    if !own(&visit.house, &head.headers) || !sessions.fits(&visit.session, form.get("csrf")) {
        let refused = Refused {
            status: 403,
            code: "not_our_form".to_owned(),
            message: "this form did not come from a page of this session".to_owned(),
            help: Some("load the page again, and send its form from there".to_owned()),
            details: Value::Null,
        };
        return failed(&visit, &refused);
    }
    let back = own_path(form.get("back")).to_owned();
    match done(&visit, deed, &form).await {
        Ok(done) => {
            sessions.say(&visit.session, "good", &done.words, done.once.as_deref());
            to(own_path(if done.to.is_empty() { &back } else { &done.to }))
        }
        Err(refused) => again(visit, &back, &refused, &form).await,
    }
}

async fn done(visit: &Visit, deed: &Deed, form: &Form) -> Result<Done, Refused> {
    match &deed.act {
        Act::Own(own) => own(visit, form).await,
        Act::Call { verb, path, shape, done, to } => {
            let body = shape(form)?;
            let body = verb.has_body().then_some(&body);
            let given =
                visit.inside.call(*verb, &visit.fill(path), body, &visit.caller).await?.body;
            let word = |name: &str| match visit.named.iter().find(|(key, _)| key == name) {
                Some((_, value)) => value.clone(),
                None => given[name].as_str().map(str::to_owned).unwrap_or_default(),
            };
            let new = |name: &str| given[name].as_str().map(encoded).unwrap_or_default();
            Ok(Done { to: fill(to, new), words: fill(done, word), once: None })
        }
    }
}

/// The page of the form again, with what is wrong and what was typed.
async fn again(mut visit: Visit, back: &str, refused: &Refused, form: &Form) -> Response {
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let found = nouns::pages().find_map(|page| Some((page, matched(page.path, path)?)));
    let Some((page, named)) = found else { return failed(&visit, refused) };
    path.clone_into(&mut visit.path);
    (visit.named, visit.query) = (named, query);
    shown(&visit, page, Some((refused, form))).await
}

fn own(house: &House, headers: &HeaderMap) -> bool {
    guard::is_own(headers, &house.public_url)
}

// ── sign-in ──────────────────────────────────────────────────────────────────────────────────────

async fn sign_in(house: &House, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let query: Vec<(String, String)> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let next = query.iter().find(|(name, _)| name == "next").map_or("/", |(_, next)| next);
    if head.method != Method::POST {
        return signing(house, own_path(next), None);
    }
    let Ok(bytes) = body::to_bytes(body, form::LIMIT_BYTES).await else {
        return signing(house, "/", Some(&form::wrong("the form is too large")));
    };
    let form = Form::read(&bytes);
    let next = own_path(form.get("next"));
    if !own(house, &head.headers) {
        let refused = form::wrong("this form did not come from the page of this Ifso");
        return signing(house, next, Some(&refused));
    }
    let address = head.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
    let opened = match (form.some("user"), form.some("key")) {
        (Some(user), _) => {
            let (password, address) = (form.get("password"), address.unwrap_or_default());
            house.sessions.sign_in(user, password, &address).await
        }
        (None, key) => house.sessions.open(key.unwrap_or_default()).await,
    };
    match opened {
        Ok((session, caller)) if rights::may_some(&caller, Right::View) => {
            tracing::info!(user = %caller.user, "signed in at the pages");
            let mut response = to(next);
            give(&mut response, &house.sessions.cookie(&session));
            response
        }
        Ok((session, caller)) => {
            house.sessions.close(&session).await;
            let message = format!("role `{}` may not look at pages", caller.role);
            signing(house, next, Some(&Refused { status: 403, message, ..Refused::default() }))
        }
        Err(error) => {
            tracing::info!(%error, "a sign-in at the pages was refused");
            let (help, message) = (error.help().map(str::to_owned), error.to_string());
            signing(
                house,
                next,
                Some(&Refused { status: 401, message, help, ..Refused::default() }),
            )
        }
    }
}

fn signing(house: &House, next: &str, refused: Option<&Refused>) -> Response {
    let context = json!({ "title": "Sign in", "next": next, "problem": refused.map(problem) });
    let status = refused.map_or(200, |refused| refused.status);
    match house.renderer.draw("login.html", &context) {
        Ok(text) => (StatusCode::from_u16(status).unwrap_or_default(), Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the sign-in page has a fault");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn sign_out(house: &House, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(session) = session::of(&head.headers) else { return to("/login") };
    let bytes = body::to_bytes(body, form::LIMIT_BYTES).await.unwrap_or_default();
    let form = Form::read(&bytes);
    let good = head.method == Method::POST
        && own(house, &head.headers)
        && house.sessions.fits(&session, form.get("csrf"));
    if !good {
        return to("/");
    }
    house.sessions.close(&session).await;
    let mut response = to("/login");
    give(&mut response, &house.sessions.no_cookie());
    response
}

fn give(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

// ── files ────────────────────────────────────────────────────────────────────────────────────────

fn file(path: &str) -> Response {
    let name = path.strip_prefix("/static/").unwrap_or_default();
    let Some((kind, text)) = render::file(name) else {
        return guard::shielded(StatusCode::NOT_FOUND.into_response());
    };
    // Pages name files with a mark of what is in them, so a browser may keep them.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    guard::shielded((headers, text).into_response())
}
