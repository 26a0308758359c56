//! Caches in real servers of other people: moto for S3, Azurite for Azure Blob Storage, gcp-storage-emulator for Google Cloud
//! Storage, whose signatures Google's own library makes a second time. `cargo xtask test stores` installs and starts them.

use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use tasuki_model::secret::Secret;
use tasuki_runner::config::{CacheConfig, Config};
use tasuki_runner::job::AwsSurroundings;

use super::bench::{Bench, payload, text};
use super::fake::Phase;

/// The account that Azurite has from the beginning, as its documentation gives it.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const S3_SECRET: &str = "s3-secret-of-the-runner";

/// What `cargo xtask test stores` says of that name.
fn told(name: &str) -> String {
    let key = format!("TASUKI_TEST_{name}");
    std::env::vars()
        .find_map(|(found, value)| (found == key).then_some(value))
        .unwrap_or_else(|| panic!("{key} is not set: run `cargo xtask test stores`"))
}

fn client() -> reqwest::Client {
    tasuki_proto::tls::install();
    reqwest::Client::new()
}

/// Two machines with nothing in common but the store; gives the second one's log. The first looks for `secrets`
/// wherever a job can look.
async fn travels(config: &str, secrets: &[&str]) -> String {
    travels_with(config, &AwsSurroundings::default(), secrets).await
}

/// The same with what the environment says of Amazon's services.
async fn travels_with(config: &str, aws: &AwsSurroundings, secrets: &[&str]) -> String {
    let config: CacheConfig = toml::from_str(config).unwrap();
    let look = "env; cat /proc/self/environ /proc/$PPID/environ /proc/$PPID/cmdline; find \"$PWD\" \"$PWD.tmp\" -type f -exec cat {} +";
    let lines = [
        "cat dir/file || echo nothing",
        look,
        "mkdir -p dir; head -c 3000000 /dev/urandom > dir/large; echo kept > dir/file",
    ];
    let mut last = String::new();
    for token in ["glrt-first", "glrt-second"] {
        let mut bench = Bench::new().await;
        let mut job = payload(1, &lines);
        job["cache"] = json!([{"key": "a key/é", "paths": ["dir/"], "policy": "pull-push", "when": "on_success"}]);
        bench.fake.add(1, job);
        let mut runner = bench.runner();
        bench.aws = std::sync::Arc::new(aws.clone());
        runner.token = Secret::new(token);
        runner.cache = config.clone();
        bench.start_with(Config::single(1, runner), None).await;
        let job = bench.fake.until_final(1).await;
        last = text(&job);
        assert_eq!(job.phase, Phase::Success, "{last}");
        assert!(!last.contains("WARNING: the cache was not"), "{last}");
        for secret in secrets {
            assert!(!last.contains(secret), "a job sees {secret}: {last}");
        }
        bench.stop().await;
    }
    assert!(last.contains("\nkept\n"), "{last}");
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real stores: cargo xtask test stores"]
async fn a_cache_travels_through_s3() {
    let address = told("S3");
    let client = client();
    let made = client.put(format!("http://{address}/caches")).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let config = format!(
        "Type = \"s3\"\nPath = \"ci\"\nShared = true\n[s3]\nServerAddress = \"{address}\"\nInsecure = true\nBucketName = \"caches\"\n\
         AccessKey = \"id\"\nSecretKey = \"{S3_SECRET}\"\n"
    );
    travels(&config, &[S3_SECRET]).await;
    let listed = client
        .get(format!("http://{address}/caches"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(listed.contains("<Key>ci/project/5/a key/é</Key>"), "{listed}");
}

/// Without keys in the configuration: those that the machine's metadata give, and a role taken on by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real stores: cargo xtask test stores"]
async fn a_cache_travels_by_keys_of_the_machine_and_of_a_role() {
    let address = told("S3");
    let made = client().put(format!("http://{address}/roles")).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let around = |text: &[(&str, &str)]| {
        AwsSurroundings::read(|name| {
            let found = text.iter().find(|(key, _)| *key == name)?;
            Some(found.1.replace("STORE", &format!("http://{address}")))
        })
    };
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "STORE");
    let sts = ("AWS_ENDPOINT_URL_STS", "STORE");
    let keys = [
        ("AWS_ACCESS_KEY_ID", "env-key-id"),
        ("AWS_SECRET_ACCESS_KEY", "env-secret-key"),
    ];
    let role = "RoleARN = \"arn:aws:iam::123456789012:role/caches\"";
    let upload = "UploadRoleARN = \"arn:aws:iam::123456789012:role/uploads\"";
    let uncached = format!("{role}\nDisableAssumeRoleCredentialsCaching = true\nAssumeRoleMaxConcurrency = 1");
    for (path, further, aws) in [
        ("machine", "", around(&[metadata])),
        ("role", role, around(&[metadata, sts])),
        ("upload", upload, around(&[metadata, sts])),
        ("env", &uncached, around(&[keys[0], keys[1], sts])),
    ] {
        let config = format!(
            "Type = \"s3\"\nPath = \"{path}\"\nShared = true\n[s3]\nServerAddress = \"{address}\"\nInsecure = true\n\
             BucketName = \"roles\"\nAuthenticationType = \"iam\"\n{further}\n"
        );
        let secrets = [
            "test-key",
            "test-secret-key",
            "test-session-token",
            "env-secret-key",
            "ASIA",
        ];
        let log = travels_with(&config, &aws, &secrets).await;
        assert!(!log.contains("caches stay on this machine"), "{path}: {log}");
        let listed = client().get(format!("http://{address}/roles")).send().await.unwrap();
        let listed = listed.text().await.unwrap();
        assert!(listed.contains(&format!("<Key>{path}/project/5/")), "{path}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real stores: cargo xtask test stores"]
async fn a_cache_travels_through_azure() {
    let address = told("AZURE");
    make_container(&address).await;
    let config = |key: &str, limit: u64| {
        format!(
            "Type = \"azure\"\nPath = \"ci\"\nShared = true\nMaxUploadedArchiveSize = {limit}\n[azure]\nStorageDomain = \"http://{address}\"\n\
             AccountName = \"{AZURE_ACCOUNT}\"\nAccountKey = \"{key}\"\nContainerName = \"caches\"\n"
        )
    };
    travels(&config(AZURE_KEY, 0), &[AZURE_KEY]).await;
    // Azurite checks signatures.
    for (config, words) in [
        (config("d3Jvbmc=", 0), "the cache was not downloaded: 403"),
        (config(AZURE_KEY, 1000), "larger than 1000 bytes"),
    ] {
        let mut bench = Bench::new().await;
        let mut job = payload(1, &["mkdir -p dir; head -c 30000 /dev/urandom > dir/new"]);
        job["cache"] = json!([{"key": "other", "paths": ["dir/"], "policy": "pull-push", "when": "on_success"}]);
        bench.fake.add(1, job);
        let mut runner = bench.runner();
        runner.cache = toml::from_str(&config).unwrap();
        bench.start_with(Config::single(1, runner), None).await;
        let job = bench.fake.until_final(1).await;
        assert_eq!(job.phase, Phase::Success, "{}", text(&job));
        assert!(text(&job).contains(words), "{}", text(&job));
        bench.stop().await;
    }
}

/// By an account signature, which the runner itself never makes.
async fn make_container(address: &str) {
    let end = "2099-01-01T00:00:00Z";
    let signed = format!("{AZURE_ACCOUNT}\nc\nb\nc\n\n{end}\n\nhttps,http\n2020-12-06\n\n");
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(AZURE_KEY).unwrap()).unwrap();
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let query = [
        ("restype", "container"),
        ("sv", "2020-12-06"),
        ("ss", "b"),
        ("srt", "c"),
        ("sp", "c"),
        ("se", end),
        ("spr", "https,http"),
        ("sig", &signature),
    ];
    let url = format!("http://{address}/{AZURE_ACCOUNT}/caches");
    let made = client().put(url).query(&query).header("content-length", 0).send();
    let made = made.await.unwrap();
    assert!(made.status().is_success(), "{}", made.text().await.unwrap());
}

/// A service account as Google gives it out, made here.
fn account(folder: &std::path::Path) -> (String, String) {
    let key = folder.join("key.pem");
    #[expect(clippy::disallowed_methods, reason = "a test beside the runner")]
    let made = Command::new("openssl")
        .args([
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(&key)
        .status();
    assert!(made.expect("openssl is there").success());
    let key = std::fs::read_to_string(key).unwrap();
    let text = json!({
        "type": "service_account", "client_email": "runner@project.iam.gserviceaccount.com", "private_key": key,
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    let file = folder.join("account.json");
    std::fs::write(&file, text.to_string()).unwrap();
    (file.to_string_lossy().into_owned(), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real stores: cargo xtask test stores"]
async fn a_cache_travels_through_google() {
    let address = told("GCS");
    let client = client();
    let url = format!("http://{address}/storage/v1/b?project=p");
    let made = client.post(url).json(&json!({"name": "caches"})).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = account(folder.path());
    let body: String = key.lines().nth(1).unwrap().to_owned();
    let by_file = format!("CredentialsFile = {file:?}");
    let by_key = format!("AccessID = \"runner@project.iam.gserviceaccount.com\"\nPrivateKey = {key:?}");
    for (path, credentials) in [("file", by_file), ("key", by_key)] {
        let config = format!(
            "Type = \"gcs\"\nPath = \"{path}\"\nShared = true\n[gcs]\nUniverseDomain = \"http://{address}\"\nBucketName = \"caches\"\n{credentials}\n"
        );
        travels(&config, &[&body]).await;
    }
}
