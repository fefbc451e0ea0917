//! Pages for people: the clearest view of what the API says, and plain forms for what it does.
//!
//! A page is a client of the API in the same process (`api::inside`), so each shows and does exactly what
//! its reader may. Nothing here decides, and nothing here reads the store.

pub(crate) mod page;
pub(crate) mod render;
pub(crate) mod session;

mod door;
mod fields;
mod form;
mod guard;
mod live;
mod pace;
mod plot;

mod nouns;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;

use crate::api::inside::Inside;
use crate::auth::Keys;
use crate::clock::Clock;

pub use pace::Pace;

/// What the pages need beside the API.
#[derive(Clone)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// Who signs in.
    pub keys: Keys,
    /// What happens per minute.
    pub pace: Pace,
    /// The address under which people reach this Ifso.
    pub public_url: String,
}

/// What all pages share.
pub(crate) struct House {
    pub(crate) inside: Inside,
    pub(crate) clock: Clock,
    pub(crate) pace: Pace,
    pub(crate) sessions: session::Sessions,
    pub(crate) renderer: render::Renderer,
    pub(crate) public_url: String,
    api: Router,
}

/// The pages, and the API for every path that is none.
pub fn router(parts: Parts, inside: Inside) -> Router {
    let secure = parts.public_url.starts_with("https://");
    let house = Arc::new(House {
        api: inside.router(),
        inside,
        sessions: session::Sessions::new(parts.keys, parts.clock.clone(), secure),
        clock: parts.clock,
        public_url: parts.public_url,
        pace: parts.pace,
        renderer: render::Renderer::new(),
    });
    Router::new().fallback(move |request: Request| -> BoxFuture<'static, Response> {
        Box::pin(door::answer(Arc::clone(&house), request))
    })
}
