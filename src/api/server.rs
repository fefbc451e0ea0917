//! The listener: limits on headers, connections and time, and an orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::tasks::Tasks;

/// Connections at one time; more wait to be accepted.
pub const CONNECTION_LIMIT: usize = 1024;
/// How long a caller may take to send the headers.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// The largest headers, together.
const HEADER_LIMIT_BYTES: u16 = 16 * 1024;
/// How long calls may take to end once Ifso stops.
const GRACE: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection: it stands in each call's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Answers calls on `listener` with `router` until `stop`, then lets those under way end.
pub async fn serve(router: Router, tasks: Tasks, listener: TcpListener, stop: CancellationToken) {
    let service = TowerToHyperService::new(
        router
            .layer(CompressionLayer::new())
            .layer(CatchPanicLayer::custom(panicked))
            .layer(fixed(header::CACHE_CONTROL, "no-store"))
            .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff")),
    );
    let builder = builder(&tasks);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let service = service.clone();
        let known = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            service.call(request)
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), known);
        let connection = graceful.watch(connection.into_owned());
        tasks.spawn(async move {
            // A caller who hangs up in the middle is no news.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("calls were still under way when the time to end them was over");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and whole: waiting to fill a packet only costs time.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::task::yield_now().await;
            None
        }
    }
}

fn builder(tasks: &Tasks) -> auto::Builder<Spawner> {
    let mut builder = auto::Builder::new(Spawner(tasks.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_LIMIT_BYTES.into());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIMIT_BYTES.into())
        .max_concurrent_streams(100);
    builder
}

/// Lets hyper's background work be counted like all other.
#[derive(Clone)]
struct Spawner(Tasks);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}

fn fixed(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over so")]
fn panicked(what: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse;
    let text = what.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| what.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = %text, "a call met a fault in Ifso");
    crate::api::problem::Problem::new(
        axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        "fault",
        "Ifso has a fault here",
    )
    .help("please report it with the log's lines around this time")
    .into_response()
}
