//! What the cluster is asked, shown by an API that writes it down.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tasuki_rt::Tasks;
use tasuki_runner::executor::kubernetes::{Kubernetes, Settings};
use tasuki_runner::executor::{Collected, Error, Executor as _, Stop};
use tasuki_runner::process::Binary;
use tokio::net::TcpListener;

use super::golden::case;

/// A token that nobody but the API may see, and only as one.
const SECRET: &str = "jobs-own";

/// One request: method and path with query, the verb and resource of a review, the token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    what: String,
    token: String,
}

/// An API that grants some rights, takes every pod, and says of it that somebody deleted it.
struct Api {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    async fn start(granted: &'static [&'static str], tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = format!("http://{}", listener.local_addr().expect("has one"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (written, inner) = (Arc::clone(&asked), tasks.clone());
        tasks.spawn("api of a test", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let written = Arc::clone(&written);
                inner.spawn("connection of an api", async move {
                    let service = service_fn(move |request| answer(request, granted, Arc::clone(&written)));
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self, part: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("no panic");
        asked.iter().filter(|one| one.what.contains(part)).cloned().collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    granted: &[&str],
    asked: Arc<Mutex<Vec<Asked>>>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut what = format!("{} {path}", head.method);
    let attributes = object["spec"]["resourceAttributes"].clone();
    if attributes.is_object() {
        let text = |key: &str| attributes[key].as_str().unwrap_or_default().to_owned();
        let right = format!("{} {}", text("verb"), text("resource"));
        object["status"] = json!({"allowed": granted.contains(&right.as_str())});
        what = format!("review {right} in {}", text("namespace"));
    } else if head.method == Method::POST {
        object["metadata"]["uid"] = json!("1");
        object["metadata"]["resourceVersion"] = json!("1");
    } else if path.contains("watch=") {
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "ci", "uid": "2"}});
        object = json!({"type": "DELETED", "object": pod});
    } else {
        object =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "ci", "uid": "2"}});
    }
    if String::from_utf8_lossy(&body).contains(SECRET) {
        what = format!("{what} with a secret in it");
    }
    let token = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    asked.lock().expect("no panic").push(Asked {
        what,
        token: token.unwrap_or_default().trim_start_matches("Bearer ").to_owned(),
    });
    Ok(Response::new(Full::from(format!("{object}\n"))))
}

struct Place {
    api: Api,
    kubernetes: Kubernetes,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new(granted: &'static [&'static str], section: &str) -> Self {
        let (tasks, folder) = (Tasks::new(), tempfile::tempdir().expect("a folder"));
        let api = Api::start(granted, &tasks).await;
        let section = format!(
            "host = {:?}\nbearer_token = \"runners-own\"\nnamespace = \"ci\"\nimage = \"busybox\"\npoll_interval = 1\n{section}",
            api.address
        );
        let settings = Settings::new(&case("api", &section).config()).expect("is right");
        let program = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
        let kubernetes = Kubernetes::new(settings, folder.path(), &program, tasks.clone()).expect("is configured");
        Self {
            api,
            kubernetes,
            tasks,
            _folder: folder,
        }
    }

    /// A job whose pod is gone as soon as it is looked at.
    async fn job(&self, variables: Value) -> Error {
        let mut task = case("api", "").variables(variables).as_task();
        // As a project's own variables come.
        task.public_variables
            .retain(|(key, _)| key != "KUBERNETES_BEARER_TOKEN");
        let made = self
            .kubernetes
            .prepare(task, Stop::new(), Arc::new(Collected::default()))
            .await;
        made.err().expect("has no pod")
    }

    async fn ends(self) {
        self.tasks.token().cancel();
        self.tasks.close_and_wait(std::time::Duration::from_secs(5)).await;
    }
}

/// Covers: GK-INF-03, GK-INF-04
#[tokio::test]
async fn each_right_is_asked_for_once_and_decides_how_pods_are_followed() {
    let watched = "GET /api/v1/namespaces/ci/pods?&watch=true";
    for (granted, reviews, followed) in [
        (&["watch pods"][..], &["review watch pods in ci"][..], watched),
        (
            &["get pods"][..],
            &["review watch pods in ci", "review get pods in ci"][..],
            "GET /api/v1/namespaces/ci/pods/runner-",
        ),
    ] {
        let place = Place::new(granted, "print_pod_warning_events = false\n").await;
        for _ in 0..3 {
            let error = place.job(serde_json::json!({})).await;
            let text = format!("{error:?}");
            assert!(text.contains("deleted from outside"), "{text}");
        }
        let asked: Vec<String> = place.api.asked("review").into_iter().map(|one| one.what).collect();
        assert_eq!(asked, reviews);
        // A watch that has ended is followed by a look, too.
        let (looks, watches) = (place.api.asked(followed), place.api.asked("watch=true"));
        assert!(
            looks.len() >= 3 && watches.is_empty() == (followed != watched),
            "{:?}",
            place.api.asked("GET ")
        );
        place.ends().await;
    }
}

/// Covers: GK-API-09, GK-API-10
#[tokio::test]
async fn a_jobs_own_token_makes_its_pod() {
    let place = Place::new(&["watch pods"], "bearer_token_overwrite_allowed = true\n").await;
    for (variables, wanted) in [
        (serde_json::json!({"KUBERNETES_BEARER_TOKEN": SECRET}), SECRET),
        (serde_json::json!({}), "runners-own"),
    ] {
        place.job(variables).await;
        assert_eq!(place.api.asked("secret in it"), Vec::new());
        let mut asked = std::mem::take(&mut *place.api.asked.lock().expect("no panic"));
        asked.retain(|one| one.token != wanted);
        assert_eq!(asked, Vec::new(), "{wanted}");
    }
    place.ends().await;
}
