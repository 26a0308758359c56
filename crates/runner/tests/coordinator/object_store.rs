//! Caches in an object store: a small S3 that checks signatures by the public description of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tasuki_model::secret::Secret;
use tasuki_rt::Tasks;
use tasuki_runner::config::{Config, RunnerConfig};

use super::bench::{Bench, payload, text};
use super::fake::Phase;
use super::serve::{Answer, serve};

const SECRET: &str = "store-secret-key";

#[derive(Debug, Default)]
struct Objects {
    bytes: BTreeMap<String, Vec<u8>>,
    /// Names and values of the headers of uploads.
    headers: BTreeMap<String, BTreeMap<String, String>>,
    refused: Vec<String>,
}

#[derive(Clone)]
struct Store {
    address: String,
    objects: Arc<Mutex<Objects>>,
}

impl Store {
    async fn start(tasks: &Tasks) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = Self {
            address: listener.local_addr().unwrap().to_string(),
            objects: Arc::default(),
        };
        let server = store.clone();
        serve(tasks, "object store", listener, move |request| {
            let store = server.clone();
            async move { store.answer(request).await }
        });
        store
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let headers: BTreeMap<String, String> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let mut objects = self.objects.lock().unwrap();
        let mut answer = Response::new(Full::default());
        if !is_signed(&head.method, path, query, &headers) {
            objects.refused.push(format!("{} {path}", head.method));
            *answer.status_mut() = 403.try_into().unwrap();
            return answer;
        }
        match head.method {
            Method::PUT => {
                objects.bytes.insert(path.to_owned(), body.to_vec());
                objects.headers.insert(path.to_owned(), headers);
            }
            Method::GET => match objects.bytes.get(path) {
                Some(bytes) => *answer.body_mut() = Full::new(Bytes::from(bytes.clone())),
                None => *answer.status_mut() = 404.try_into().unwrap(),
            },
            _ => *answer.status_mut() = 405.try_into().unwrap(),
        }
        answer
    }

    fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().bytes.keys().cloned().collect()
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signature version 4 in the query, over the signed headers.
fn is_signed(method: &Method, path: &str, query: &str, headers: &BTreeMap<String, String>) -> bool {
    let pairs: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let value = |name: &str| {
        pairs
            .get(name)
            .map(|text| text.replace("%2F", "/").replace("%3B", ";"))
            .unwrap_or_default()
    };
    let unsigned: Vec<String> = pairs
        .iter()
        .filter(|(name, _)| **name != "X-Amz-Signature")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let signed = value("X-Amz-SignedHeaders");
    let lines: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", headers.get(name).map(String::as_str).unwrap_or_default()))
        .collect();
    // What is no part of the signature must not be said either.
    let all_signed = headers
        .keys()
        .filter(|name| name.starts_with("x-amz-"))
        .all(|name| signed.split(';').any(|known| known == name));
    let canonical = format!(
        "{method}\n{path}\n{}\n{lines}\n{signed}\nUNSIGNED-PAYLOAD",
        unsigned.join("&")
    );
    let credential = value("X-Amz-Credential");
    let Some((key, scope)) = credential.split_once('/') else {
        return false;
    };
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        value("X-Amz-Date"),
        hex(&Sha256::digest(&canonical))
    );
    let secret = scope
        .split('/')
        .fold(format!("AWS4{SECRET}").into_bytes(), |secret, part| hmac(&secret, part));
    all_signed && key == "store-key" && hex(&hmac(&secret, &text)) == value("X-Amz-Signature")
}

/// A machine of its own: folders, coordinator, runner with another token.
async fn job(store: &Store, token: &str, change: impl FnOnce(&mut RunnerConfig)) -> String {
    let mut bench = Bench::new().await;
    let mut job = payload(
        1,
        &["cat dir/file || echo nothing", "mkdir -p dir; echo kept > dir/file"],
    );
    job["cache"] = json!([{"key": "k/$CI_JOB_STATUS", "paths": ["dir/"], "policy": "pull-push", "when": "on_success"}]);
    bench.fake.add(1, job);
    let mut runner = bench.runner();
    runner.token = Secret::new(token);
    runner.cache = toml::from_str(&format!(
        "Type = \"s3\"\nPath = \"ci\"\nShared = true\n[s3]\nServerAddress = \"{}\"\nInsecure = true\n\
         BucketName = \"caches\"\nBucketLocation = \"eu-1\"\nAccessKey = \"store-key\"\nSecretKey = \"{SECRET}\"\n",
        store.address
    ))
    .unwrap();
    change(&mut runner);
    bench.start_with(Config::single(1, runner), None).await;
    let job = bench.fake.until_final(1).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    assert!(!log.contains(SECRET) && !log.contains("X-Amz-Signature"), "{log}");
    bench.stop().await;
    log
}

/// Two runners on two machines, with nothing in common but the store.
///
/// Covers: GM-CACHE-01, GM-CACHE-04
#[tokio::test]
async fn a_shared_cache_goes_from_machine_to_machine() {
    let store = Store::start(&Tasks::new()).await;
    let first = job(&store, "glrt-first", |_| {}).await;
    assert!(first.contains("\nnothing\n"), "{first}");
    assert_eq!(store.names(), ["/caches/ci/project/5/k/running"]);
    let second = job(&store, "glrt-second", |_| {}).await;
    assert!(second.contains("\nkept\n"), "{second}");
    let headers = store.objects.lock().unwrap().headers["/caches/ci/project/5/k/running"].clone();
    assert_eq!(headers["x-amz-meta-cachekey"], "k/running");
    assert!(store.objects.lock().unwrap().refused.is_empty());
}

#[tokio::test]
async fn a_cache_that_is_not_shared_belongs_to_its_runner() {
    let store = Store::start(&Tasks::new()).await;
    let own = |runner: &mut RunnerConfig| {
        runner.cache.shared = false;
        if let Some(s3) = &mut runner.cache.s3 {
            "KMS".clone_into(&mut s3.server_side_encryption);
            "key-1".clone_into(&mut s3.server_side_encryption_key_id);
        }
    };
    job(&store, "glrt-first", own).await;
    let second = job(&store, "glrt-second", own).await;
    assert!(second.contains("\nnothing\n"), "{second}");
    let names = [
        "/caches/ci/runner/first/project/5/k/running",
        "/caches/ci/runner/second/project/5/k/running",
    ];
    assert_eq!(store.names(), names);
    let headers = store.objects.lock().unwrap().headers[names[0]].clone();
    assert_eq!(headers["x-amz-server-side-encryption"], "aws:kms");
    assert_eq!(headers["x-amz-server-side-encryption-aws-kms-key-id"], "key-1");
    let first = job(&store, "glrt-first", own).await;
    assert!(first.contains("\nkept\n"), "{first}");
}

#[tokio::test]
async fn a_store_that_refuses_or_is_unknown_costs_no_job() {
    let store = Store::start(&Tasks::new()).await;
    let refused = job(&store, "glrt-first", |runner| {
        let s3 = runner.cache.s3.as_mut().unwrap();
        s3.secret_key = Some(Secret::new("wrong"));
    })
    .await;
    assert!(
        refused.contains("the cache was not downloaded: 403") && refused.contains("the cache was not saved"),
        "{refused}"
    );
    assert!(store.names().is_empty());
    let unknown = job(&store, "glrt-first", |runner| "ftp".clone_into(&mut runner.cache.kind)).await;
    assert!(
        unknown.contains(
            "Type = \"ftp\" is none that this version has: use \"s3\", \"gcs\" or \"azure\"; caches stay on this machine"
        ),
        "{unknown}"
    );
}
