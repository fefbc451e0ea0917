//! One route: everything that the router, the check of rights and the OpenAPI page want to know of it.

use axum::extract::RawPathParams;
use axum::response::Response;
use futures_util::future::BoxFuture;

use crate::api::State;
use crate::api::call::Call;
use crate::api::gate::BODY_LIMIT_BYTES;
use crate::api::problem::Problem;
use crate::auth::{Kind, Right};

/// What a handler gives back.
pub type Answer = Result<Response, Problem>;

/// How large a body may be, in bytes; it is asked with the path's parameters.
pub type Limit = fn(&State, &RawPathParams) -> usize;

/// What answers a call.
pub type Handler = fn(Call) -> BoxFuture<'static, Answer>;

/// The HTTP methods that routes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Writes whole.
    Put,
    /// Removes.
    Delete,
}

impl Verb {
    /// As HTTP writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether calls carry a body.
    #[must_use]
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: the answer tells nothing.
    Anyone,
    /// The handler asks for itself: a webhook has its own secret.
    Own,
    /// Whoever has a key or is signed in: it is about oneself.
    Known,
    /// Whoever has this right of what the call is about.
    Needs(Right),
}

/// Where a call names what it is about: asked for callers who have the right of some things only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Of everything: who has the right of some things only is refused.
    All,
    /// Of many things: the handler asks for each, and shows or takes only what the caller may.
    Each,
    /// Of what this part of the path names.
    Path(Kind, &'static str),
    /// Of what this field of the body names.
    Body(Kind, &'static str),
    /// Of the execution, or the question, in `{id}`.
    Execution,
}

/// What a body looks like; the names are those of `schemas.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// There is none.
    Nothing,
    /// Any JSON.
    Any,
    /// Plain text.
    Text,
    /// A page for a browser.
    Page,
    /// What a browser sends of a form.
    Form,
    /// Server-sent events.
    Events,
    /// An object of this schema.
    One(&'static str),
    /// An array of objects of this schema.
    Many(&'static str),
}

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The pattern, whole: `/api/v1/rules/{ref}`. What begins with `/api/v1` answers at `/v1` too.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// What it is about.
    pub of: Of,
    /// What answers.
    pub handler: Handler,
    /// One sentence for the OpenAPI page.
    pub about: &'static str,
    /// Query parameters, each with one sentence.
    pub query: &'static [(&'static str, &'static str)],
    /// Groups of query parameters that several routes share.
    pub shared: &'static [&'static [(&'static str, &'static str)]],
    /// The body that it takes.
    pub takes: Shape,
    /// The body that it gives.
    pub gives: Shape,
    /// The status of success.
    pub status: u16,
    /// How large a body may be.
    pub limit: Limit,
}

impl Route {
    const fn new(
        verb: Verb,
        path: &'static str,
        access: Access,
        handler: Handler,
        about: &'static str,
    ) -> Self {
        let (query, shared): (&[_], &[&[_]]) = (&[], &[]);
        let (takes, gives) = (Shape::Nothing, Shape::Any);
        let (of, status) = (Of::All, 200);
        let limit: Limit = |_, _| BODY_LIMIT_BYTES;
        Self { verb, path, access, of, handler, about, query, shared, takes, gives, status, limit }
    }

    /// A route that reads.
    pub const fn get(
        path: &'static str,
        access: Access,
        handler: Handler,
        about: &'static str,
    ) -> Self {
        Self::new(Verb::Get, path, access, handler, about)
    }

    /// A route that makes or does.
    pub const fn post(
        path: &'static str,
        access: Access,
        handler: Handler,
        about: &'static str,
    ) -> Self {
        Self::new(Verb::Post, path, access, handler, about)
    }

    /// A route that writes.
    pub const fn put(
        path: &'static str,
        access: Access,
        handler: Handler,
        about: &'static str,
    ) -> Self {
        Self::new(Verb::Put, path, access, handler, about)
    }

    /// A route that removes.
    pub const fn delete(
        path: &'static str,
        access: Access,
        handler: Handler,
        about: &'static str,
    ) -> Self {
        Self::new(Verb::Delete, path, access, handler, about)
    }

    /// About this, where the caller has the right of some things only.
    #[must_use]
    pub const fn of(mut self, of: Of) -> Self {
        self.of = of;
        self
    }

    /// With these query parameters.
    #[must_use]
    pub const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// With these groups of query parameters.
    #[must_use]
    pub const fn shared(
        mut self,
        shared: &'static [&'static [(&'static str, &'static str)]],
    ) -> Self {
        self.shared = shared;
        self
    }

    /// With a body of this shape.
    #[must_use]
    pub const fn takes(mut self, shape: Shape) -> Self {
        self.takes = shape;
        self
    }

    /// Taking bodies of up to this size.
    #[must_use]
    pub const fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Answering with this status and shape.
    #[must_use]
    pub const fn gives(mut self, status: u16, shape: Shape) -> Self {
        self.status = status;
        self.gives = shape;
        self
    }
}
