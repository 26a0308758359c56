//! HTTP for what the tests stand in for.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tasuki_rt::Tasks;
use tokio::net::TcpListener;

pub(crate) type Answer = Response<Full<Bytes>>;

/// Answers all that comes to `listener`, until the tasks end.
pub(crate) fn serve<F>(
    tasks: &Tasks,
    name: &'static str,
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Answer> + Send + 'static,
{
    let workers = tasks.clone();
    tasks.spawn(name, async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            workers.spawn("connection", async move {
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}
