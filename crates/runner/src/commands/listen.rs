//! `listen_address`: `/metrics`, `/health/ready`, `/debug/jobs/list`, `/debug/process/state`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tasuki_rt::Tasks;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::{Error, Result};
use crate::job::Shutdown;
use crate::metrics::Metrics;

/// What the listener shows.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) metrics: Arc<Metrics>,
    pub(super) system_id: String,
    pub(super) shutdown: Shutdown,
}

/// Listens until the tasks end. Port 9252 where the address names none.
pub(super) async fn listen(address: &str, shown: Shown, tasks: &Tasks) -> Result<SocketAddr> {
    let with_port = match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:9252"),
    };
    // Go's ":9252" means all addresses.
    let with_port = if with_port.starts_with(':') {
        format!("0.0.0.0{with_port}")
    } else {
        with_port
    };
    let cannot = |source| Error::system(format!("listen on {with_port}"), source);
    let listener = TcpListener::bind(&with_port).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    info!(address = %bound, "metrics are served");
    let (token, connections) = (tasks.token(), tasks.clone());
    tasks.spawn("metrics listener", async move {
        loop {
            let accepted = tokio::select! {
                () = token.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let shown = shown.clone();
                    connections.spawn("metrics connection", async move {
                        let service = service_fn(move |request: Request<Incoming>| {
                            let answer = answer(&request, &shown);
                            async move { Ok::<_, Infallible>(answer) }
                        });
                        // A client that goes away is no news.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .keep_alive(false)
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(bound)
}

fn answer(request: &Request<Incoming>, shown: &Shown) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => plain(StatusCode::OK, shown.metrics.text(&shown.system_id)),
        "/health/ready" if shown.shutdown.is_draining() => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
        }
        "/health/ready" => plain(StatusCode::OK, "ready\n".to_owned()),
        "/debug/process/state" => {
            let state = match (shown.shutdown.is_draining(), shown.shutdown.is_forced()) {
                (false, _) => "running",
                (true, false) => "graceful_shutdown",
                (true, true) => "forceful_shutdown",
            };
            plain(StatusCode::OK, format!("{state}\n"))
        }
        "/debug/jobs/list" => {
            let mut answer = plain(StatusCode::OK, shown.metrics.job_list());
            answer
                .headers_mut()
                .insert("x-list-version", http::HeaderValue::from_static("2"));
            answer
        }
        _ => plain(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}
