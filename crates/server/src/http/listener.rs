//! Accepts connections and serves HTTP/1 on them until the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tasuki_rt::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// A gitlab-runner keeps idle connections for 90 s: the server must not be the first to close one, or a
/// request could cross with the close.
const IDLE: Duration = Duration::from_secs(120);
const HEADER_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// Pause after the system refused a connection (out of descriptors), so that the loop does not spin.
const REFUSED: Duration = Duration::from_millis(50);

/// Serves what `routes` gives on `listener` until the token of `tasks` is cancelled. Connections finish the request
/// that they are in; idle ones close at once. At most `connections` are open at a time. Who connects while the routes are
/// made (a millisecond, beside whatever the caller does next) is served then.
pub fn serve(
    tasks: &Tasks,
    listener: TcpListener,
    routes: impl FnOnce() -> Router + Send + 'static,
    connections: usize,
) {
    let places = Arc::new(Semaphore::new(connections));
    let group = tasks.clone();
    let routes = tokio::task::spawn_blocking(routes);
    tasks.spawn("http listener", async move {
        let router = match routes.await {
            Ok(router) => router,
            Err(error) => return tracing::error!(%error, "the routes cannot be made: nothing is served"),
        };
        let stop = group.token();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (router, group_of_connection) = (router.clone(), group.clone());
                    group.spawn("http connection", async move {
                        connection(stream, peer, router, &group_of_connection).await;
                        drop(place);
                    });
                }
                Err(refused) => {
                    tracing::warn!(error = %refused, "a connection could not be accepted");
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
    });
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, tasks: &Tasks) {
    // Answers are small and awaited: waiting for more to send with them only costs time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router
                .oneshot(request)
                .await
                .map_err(|never: Infallible| match never {})
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service)
        // Terminals go on with the connection in a protocol of their own.
        .with_upgrades();
    let mut served = std::pin::pin!(served);
    let stop = tasks.token();
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(broken) = ended {
        tracing::debug!(error = %broken, %peer, "a connection broke off");
    }
}
