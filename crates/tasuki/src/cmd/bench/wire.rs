//! A small HTTP/1.1 client: one connection, kept open. The harness shares the cores with what it measures, so it is
//! as cheap as it can be.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tasuki_rt::Tasks;
use tokio::net::TcpStream;

/// An open connection to the server under test.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// What the server said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Wire {
    pub(super) async fn connect(tasks: &Tasks, host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host)
            .await
            .with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the connection; its failure shows in the next request.
        drop(tasks.spawn("connection", async move { drop(connection.await) }));
        Ok(Self {
            sender,
            host: host.to_owned(),
        })
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status,
            body,
        })
    }

    /// A JSON call of our own API; a status of 400 or more is an error with the server's words.
    pub(super) async fn api(
        &mut self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> anyhow::Result<serde_json::Value> {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let text = body.map(|value| value.to_string()).unwrap_or_default();
        let answer = self.call(method.clone(), path, &headers, text).await?;
        anyhow::ensure!(
            answer.status.as_u16() < 400,
            "{method} {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        if answer.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{method} {path}: the answer is not JSON"))
    }
}
