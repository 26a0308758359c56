//! Peers for tests of calls: real ones that misbehave, and one in memory, whose time is the test's.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tasuki_rt::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::cluster::{Cluster, Repeats};
use super::fault;

pub(super) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// A whole answer.
pub(super) fn answer(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string()))
        .map_err(|never| match never {})
        .boxed();
    Response::builder().status(code).body(body).expect("is an answer")
}

/// How a log in memory ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Broken,
}

pub(super) fn log(text: &str, end: End) -> Answer {
    let mut parts = vec![Ok(Frame::data(Bytes::from(text.to_owned())))];
    if end == End::Broken {
        parts.push(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    Response::new(BoxBody::new(StreamBody::new(futures_util::stream::iter(parts))))
}

pub(super) fn refusal(code: u16, message: &str) -> Answer {
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "", "code": code}),
    )
}

/// A cluster in memory. `tries` of every call, named ones as they are.
pub(super) fn cluster<F, A>(repeats: Repeats, answers: F) -> Cluster
where
    F: Fn(Request<Body>) -> A + Send + Clone + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let service = tower::service_fn(move |request| {
        let answer = answers(request);
        async move { Ok::<_, tower::BoxError>(answer.await) }
    });
    Cluster {
        client: Client::new(service, "ci"),
        address: "memory".to_owned(),
        repeats,
    }
}

pub(super) fn repeats(tries: u32, named: &[(&str, u32)]) -> Repeats {
    Repeats {
        tries,
        named: named.iter().map(|(part, tries)| ((*part).to_owned(), *tries)).collect(),
        most: Duration::from_millis(2000),
    }
}

/// Asks for a pod; with how often it was tried, how long it took, and what the fault is called.
async fn tried(cluster: &Cluster) -> (u32, Duration, String) {
    let (api, count, began) = (
        Api::<Pod>::namespaced(cluster.client.clone(), "ci"),
        AtomicU32::new(0),
        Instant::now(),
    );
    let done = cluster
        .call(|| {
            count.fetch_add(1, Ordering::Relaxed);
            api.get("p")
        })
        .await;
    let text = done.map_or_else(|fault| fault::text(&fault.source), |_| "it went well".to_owned());
    (count.load(Ordering::Relaxed), began.elapsed(), text)
}

/// Covers: GK-RETRY-01, GK-CFG-65, GK-CFG-66
#[tokio::test(start_paused = true)]
async fn calls_are_repeated_after_pauses_that_grow_from_half_a_second() {
    let dialing = |_| async { refusal(500, "error dialing backend: dial tcp 10.0.0.1:10250") };
    for (config, tries, least, most) in [
        // Half a second, one, two, two; the longer ones may be shortened by a half.
        ("", 5, 3000, 5500),
        ("retry_limit = 2", 2, 500, 500),
        ("retry_limit = 1", 1, 0, 0),
        ("retry_limit = 4\nretry_backoff_max = 500", 4, 1500, 1500),
        // Less than the first pause is none.
        ("retry_limit = 4\nretry_backoff_max = 1", 4, 1500, 1500),
        ("retry_limit = 6\nretry_backoff_max = 4000", 6, 6500 - 1000, 11500),
    ] {
        let text = format!(
            "name = \"r\"\nurl = \"http://x\"\ntoken = \"t\"\nexecutor = \"kubernetes\"\n[kubernetes]\n{config}\n"
        );
        let runner: crate::config::RunnerConfig = toml::from_str(&text).expect("is a configuration");
        let retry = super::Settings::new(&runner).expect("is right").retry;
        let repeats = Repeats {
            tries: retry.limit,
            named: retry.limits,
            most: retry.backoff_max,
        };
        let (tried, took, _) = tried(&cluster(repeats, dialing)).await;
        let took = u64::try_from(took.as_millis()).expect("is short");
        // Timers are of whole milliseconds.
        let near = (least..=most + 10).contains(&took);
        assert!(tried == tries && near, "{config}: {tried} tries in {took} ms");
    }
}

/// Covers: GK-RETRY-02, GK-RETRY-03, GK-RETRY-04, GK-RETRY-05, GK-RETRY-06, GK-RETRY-07, GK-RETRY-08, GK-RETRY-09, GK-RETRY-10
/// Covers: GK-RETRY-15, GK-RETRY-16, GK-RETRY-17, GK-RETRY-18, GK-CFG-68
#[tokio::test(start_paused = true)]
async fn what_an_answer_says_decides_how_often_a_call_is_tried() {
    let named: &[(&str, u32)] = &[
        ("exceeded quota", 20),
        ("connection refused", 2),
        ("TLS", 1),
        ("TLS handshake", 3),
    ];
    for (code, message, named, tries) in [
        (500, "error dialing backend: dial tcp", &[][..], 5),
        (500, "Get \"https://n:10250\": net/http: TLS handshake timeout", &[], 5),
        (500, "read tcp 10.0.0.1: read: connection timed out", &[], 5),
        (500, "dial tcp 10.0.0.1: connect: connection timed out", &[], 5),
        (500, "Timeout occurred", &[], 5),
        (500, "http2: client connection lost", &[], 5),
        (500, "dial tcp 10.0.0.1: connect: connection refused", &[], 5),
        (500, "remote error: tls: internal error", &[], 5),
        (500, "unexpected EOF", &[], 5),
        (500, "etcdserver: request timed out", &[], 5),
        (429, "slow down", &[], 5),
        (503, "the server is currently unable to handle the request", &[], 5),
        (500, "Internal error occurred: something else", &[], 1),
        (
            403,
            "pods \"p\" is forbidden: User \"u\" cannot get resource \"pods\"",
            &[],
            1,
        ),
        (403, "pods \"p\" is forbidden: exceeded quota: q", &[], 1),
        (404, "pods \"p\" not found", &[], 1),
        (409, "the object has been modified", &[], 1),
        (422, "Pod \"p\" is invalid", &[], 1),
        (403, "pods \"p\" is forbidden: exceeded quota: q", named, 20),
        (500, "dial tcp: connect: connection refused", named, 2),
        (500, "error dialing backend", named, 5),
        (500, "remote error: tls: internal error", named, 5),
        (500, "TLS handshake timeout", named, 3),
        (404, "pods \"p\" not found", named, 1),
    ] {
        let place = cluster(repeats(5, named), move |_| async move { refusal(code, message) });
        let (tried, _, text) = tried(&place).await;
        assert_eq!((tried, text.as_str()), (tries, message));
    }
}

/// Covers: GK-RETRY-04
#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_asked_for_again() {
    let (tried, _, text) = tried(&cluster(repeats(3, &[]), |_| std::future::pending())).await;
    assert_eq!(tried, 3);
    assert!(text.contains("read: connection timed out"), "{text}");
}

/// What a peer does with a connection.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Nobody listens.
    Absent,
    /// It is cut once the request has come.
    Resets,
    /// It ends once the request has come.
    Ends,
    /// It ends in the middle of the answer.
    EndsInside,
    /// Half a line of the answer, and the end.
    EndsInHead,
    /// It takes the handshake of TLS, and says nothing.
    NoHandshake,
    /// The handshake is refused: alert 80.
    TlsInternal,
    /// The end, where the handshake should be.
    EndsInHandshake,
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut request = vec![0; 4096];
    let _ = stream.read(&mut request).await;
    let said: &[u8] = match manner {
        Manner::Absent | Manner::Ends | Manner::EndsInHandshake => b"",
        Manner::Resets => return stream.set_zero_linger().expect("is set"),
        Manner::EndsInside => {
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"kind\":"
        }
        Manner::EndsInHead => b"HTTP/1.1 200 O",
        Manner::NoHandshake => return std::future::pending().await,
        Manner::TlsInternal => &[0x15, 3, 3, 0, 2, 2, 80],
    };
    stream.write_all(said).await.expect("is said");
    let _ = stream.shutdown().await;
    // Nothing unread may turn the end into a reset.
    while matches!(stream.read(&mut request).await, Ok(1..)) {}
}

/// Covers: GK-RETRY-03, GK-RETRY-05, GK-RETRY-08, GK-RETRY-09, GK-RETRY-10, GK-RETRY-11, GK-RETRY-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_break_off_are_tried_again() {
    let check = async |scheme: &str, manner: Manner, names: &[&str]| {
        let tasks = Tasks::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = listener.local_addr().expect("has one");
        let inner = tasks.clone();
        if matches!(manner, Manner::Absent) {
            drop(listener);
        } else {
            tasks.spawn("peer of a test", async move {
                while let Ok((stream, _)) = listener.accept().await {
                    inner.spawn("connection of a peer", serve(stream, manner));
                }
            });
        }
        let mut config = Config::new(format!("{scheme}://{address}").parse().expect("is an address"));
        config.accept_invalid_certs = true;
        config.default_retry = false;
        if matches!(manner, Manner::NoHandshake) {
            config.connect_timeout = Some(Duration::from_millis(200));
        }
        let place = Cluster {
            client: Client::try_from(config).expect("is right"),
            address: String::new(),
            repeats: repeats(2, &[]),
        };
        let (tried, _, text) = tried(&place).await;
        assert_eq!(tried, 2, "{manner:?}: {text}");
        for name in names {
            assert!(text.contains(name), "{manner:?} is called {text}");
        }
    };
    tokio::join!(
        check("http", Manner::Absent, &["ECONNREFUSED", "connection refused"]),
        check("http", Manner::Resets, &["ECONNRESET"]),
        check("http", Manner::Ends, &["unexpected EOF"]),
        check("http", Manner::EndsInside, &["unexpected EOF"]),
        check("http", Manner::EndsInHead, &["unexpected EOF"]),
        check(
            "https",
            Manner::NoHandshake,
            &["TLS handshake timeout", "connect: connection timed out"]
        ),
        check("https", Manner::TlsInternal, &["tls: internal error"]),
        check("https", Manner::EndsInHandshake, &["unexpected EOF"]),
    );
}
