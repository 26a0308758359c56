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
use tasuki_runner::job::AwsSurroundings;

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

/// A machine's metadata, asked as IMDSv2 wants it, and a role by a signature that is checked.
struct Cloud {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Cloud {
    async fn start(tasks: &Tasks, has_role: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        serve(tasks, "cloud", listener, move |request| {
            let noted = Arc::clone(&noted);
            async move {
                let (head, body) = request.into_parts();
                let header = |name: &str| {
                    head.headers
                        .get(name)
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or("")
                };
                let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
                let call = format!("{} {}", head.method, head.uri.path());
                noted.lock().unwrap().push(call.clone());
                let session = header("x-aws-ec2-metadata-token") == "a session";
                let end = "2099-01-01T00:00:00Z";
                let (code, text) = match call.as_str() {
                    "PUT /latest/api/token" if header("x-aws-ec2-metadata-token-ttl-seconds") == "21600" => {
                        (200, "a session".to_owned())
                    }
                    "GET /latest/meta-data/iam/security-credentials/" if session => (200, has_role.to_owned()),
                    "GET /latest/meta-data/iam/security-credentials/the-role" if session => (
                        200,
                        json!({"Code": "Success", "AccessKeyId": "of-the-machine", "SecretAccessKey": "machine-secret",
                               "Token": "machine-token", "Expiration": end})
                        .to_string(),
                    ),
                    "POST /" if body.contains("Action=AssumeRole&") && body.contains("role%2Fallowed") => {
                        assert!(
                            header("authorization").contains("Credential=of-the-machine/"),
                            "signed by the machine"
                        );
                        assert_eq!(header("x-amz-security-token"), "machine-token");
                        assert!(body.contains("RoleSessionName=tasuki-s_0123456789ab"), "{body}");
                        let keys = format!(
                            "<AccessKeyId>of-the-role</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>\
                             <SessionToken>role-token</SessionToken><Expiration>{end}</Expiration>"
                        );
                        (200, keys)
                    }
                    "POST /" => (
                        403,
                        "<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>".to_owned(),
                    ),
                    _ => (401, String::new()),
                };
                Response::builder()
                    .status(code)
                    .body(Full::new(Bytes::from(text)))
                    .unwrap()
            }
        });
        Self { address, asked }
    }

    fn aws(&self) -> AwsSurroundings {
        let address = format!("http://{}", self.address);
        AwsSurroundings::read(|name| {
            ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL_STS"]
                .contains(&name)
                .then(|| address.clone())
        })
    }
}

/// The log of a job with a cache whose store is Amazon's, and what the cloud was asked.
async fn with_cloud(has_role: &'static str, further: &str) -> (String, Vec<String>) {
    let tasks = Tasks::new();
    let cloud = Cloud::start(&tasks, has_role).await;
    let mut bench = Bench::new().await;
    bench.aws = Arc::new(cloud.aws());
    let mut job = payload(1, &["mkdir -p dir; echo new > dir/file; env"]);
    job["cache"] = json!([{"key": "k", "paths": ["dir/"], "policy": "pull-push", "when": "on_success"}]);
    bench.fake.add(1, job);
    let mut runner = bench.runner();
    let section = format!(
        "Type = \"s3\"\nShared = true\n[s3]\nServerAddress = \"{}\"\nInsecure = true\nBucketName = \"b\"\n\
         AuthenticationType = \"iam\"\n{further}",
        cloud.address
    );
    runner.cache = toml::from_str(&section).unwrap();
    bench.start_with(Config::single(1, runner), None).await;
    let job = bench.fake.until_final(1).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    for secret in ["machine-secret", "role-secret", "machine-token", "role-token"] {
        assert!(!log.contains(secret), "{log}");
    }
    bench.stop().await;
    let asked = cloud.asked.lock().unwrap().clone();
    (log, asked)
}

/// Keys of the machine are got once and used again; a role that is refused, and a machine without one, leave caches local
/// and say why.
#[tokio::test]
async fn who_signs_for_a_store_of_amazons() {
    let allowed = "RoleARN = \"arn:aws:iam::1:role/allowed\"";
    let (log, asked) = with_cloud("the-role", allowed).await;
    assert!(!log.contains("caches stay on this machine"), "{log}");
    let times = |call: &str| asked.iter().filter(|one| one.starts_with(call)).count();
    assert_eq!((times("PUT /latest/api/token"), times("POST /")), (1, 1), "{asked:?}");
    assert!(times("GET /b/project/5/") + times("PUT /b/project/5/") > 0, "{asked:?}");
    let (_, asked) = with_cloud(
        "the-role",
        &format!("{allowed}\nDisableAssumeRoleCredentialsCaching = true"),
    )
    .await;
    assert!(asked.iter().filter(|one| *one == "POST /").count() > 1, "{asked:?}");
    let (log, _) = with_cloud("the-role", "RoleARN = \"arn:aws:iam::1:role/other\"").await;
    let words =
        "the role arn:aws:iam::1:role/other cannot be taken on: STS answers 403 AccessDenied: not yours; caches stay";
    assert!(log.contains(words), "{log}");
    let (log, _) = with_cloud("", "").await;
    let words =
        "the machine's keys cannot be had: the machine has no role (instance profile); caches stay on this machine";
    assert!(log.contains(words), "{log}");
}
