//! Google Cloud Storage: signed URLs of version 4 by the key of a service account (public description "V4 signing process").

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tasuki_model::secret::Secret;
use url::Url;

use super::path::{encode, encode_path, hex, is_header};
use super::store::Signed;
use crate::config::GcsCache;

const ALGORITHM: &str = "GOOG4-RSA-SHA256";
const USUAL_UNIVERSE: &str = "googleapis.com";

/// Signatures live no longer.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A bucket, and who signs for it.
pub(in crate::job) struct Gcs {
    bucket: String,
    access_id: String,
    key: RsaKeyPair,
    /// `https://storage.googleapis.com`
    base: String,
    /// With the port where it is not the usual one.
    host: String,
}

/// The JSON file of a service account.
#[derive(Deserialize)]
struct Account {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    client_email: String,
    private_key: Option<Secret>,
    #[serde(default)]
    universe_domain: String,
}

impl Gcs {
    pub(super) fn of(config: &GcsCache) -> Result<Self, String> {
        if config.bucket_name.is_empty() {
            return Err("BucketName is missing".to_owned());
        }
        let (access_id, key, universe) = if config.credentials_file.is_empty() {
            let key = config.private_key.clone().filter(|key| !key.expose().is_empty());
            let Some(key) = key.filter(|_| !config.access_id.is_empty()) else {
                return Err(
                    "CredentialsFile, or AccessID and PrivateKey, is missing: this version has no other way to sign (no \
                     metadata server)"
                        .to_owned(),
                );
            };
            (config.access_id.clone(), parse_key("PrivateKey", &key)?, String::new())
        } else {
            account(&config.credentials_file)?
        };
        let universe = [config.universe_domain.as_str(), universe.as_str(), USUAL_UNIVERSE]
            .into_iter()
            .find(|domain| !domain.is_empty())
            .unwrap_or_default();
        // A whole address is an emulator's own.
        let base = if universe.contains("://") {
            universe.trim_end_matches('/').to_owned()
        } else {
            format!("https://storage.{universe}")
        };
        let host = Url::parse(&base).ok().and_then(|url| {
            let host = url.host_str()?.to_owned();
            Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        });
        Ok(Self {
            bucket: config.bucket_name.clone(),
            access_id,
            key,
            host: host.ok_or_else(|| format!("UniverseDomain = {universe:?} is no domain"))?,
            base,
        })
    }

    pub(super) fn read(&self, object: &str, valid: Duration, now: Timestamp) -> Result<Signed, String> {
        Ok(Signed {
            url: self.sign("GET", object, &[], valid, now)?,
            headers: Vec::new(),
        })
    }

    pub(super) fn write(&self, object: &str, key: &str, valid: Duration, now: Timestamp) -> Result<Signed, String> {
        let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
        if is_header(key) {
            headers.push(("x-goog-meta-cachekey", key.trim().to_owned()));
        }
        let url = self.sign("PUT", object, &headers, valid, now)?;
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Secret::new(value)));
        Ok(Signed {
            url,
            headers: headers.collect(),
        })
    }

    /// `headers` in the order of their names, values without blanks at their ends.
    fn sign(
        &self,
        verb: &str,
        object: &str,
        headers: &[(&str, String)],
        valid: Duration,
        now: Timestamp,
    ) -> Result<Secret, String> {
        let moment = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{}/auto/storage/goog4_request", now.strftime("%Y%m%d"));
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push(("host", &self.host));
        all.sort_unstable();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines = all.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(
                text,
                "{name}:{}",
                value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
            );
            text
        });
        let query = format!(
            "X-Goog-Algorithm={ALGORITHM}&X-Goog-Credential={}&X-Goog-Date={moment}&X-Goog-Expires={}&X-Goog-SignedHeaders={}",
            encode(&format!("{}/{scope}", self.access_id)),
            valid.min(LONGEST).as_secs(),
            encode(&names),
        );
        let path = format!("/{}/{}", encode(&self.bucket), encode_path(object));
        let request = format!("{verb}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
        let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| "the key of the service account cannot sign".to_owned())?;
        Ok(Secret::new(format!(
            "{}{path}?{query}&X-Goog-Signature={}",
            self.base,
            hex(&signature)
        )))
    }
}

fn account(file: &str) -> Result<(String, RsaKeyPair, String), String> {
    let text = std::fs::read(file).map_err(|error| format!("CredentialsFile = {file:?} cannot be read: {error}"))?;
    let account: Account = serde_json::from_slice(&text).map_err(|error| {
        // Not the text itself, which may be a part of the key.
        format!(
            "CredentialsFile = {file:?} is no JSON file of an account (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    let Some(key) = account.private_key.filter(|_| account.kind == "service_account") else {
        return Err(format!(
            "CredentialsFile = {file:?} is of the type {:?}: only a service_account's own key can sign",
            account.kind
        ));
    };
    let key = parse_key("private_key of CredentialsFile", &key)?;
    Ok((account.client_email, key, account.universe_domain))
}

fn parse_key(name: &str, key: &Secret) -> Result<RsaKeyPair, String> {
    let wrong = || format!("{name} is no RSA key in PEM form (-----BEGIN PRIVATE KEY-----)");
    // Those who write it in one line of single quotes mean the ends of its lines.
    let text = key.expose().replace("\\n", "\n");
    let parsed = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong())?;
    let pair = match &parsed {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(wrong()),
    };
    pair.map_err(|why| format!("{name} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("BucketName = \"b\"\nCredentialsFile = {:?}", path)
        };
        for (text, words) in [
            (String::new(), "BucketName is missing"),
            (
                "BucketName = \"b\"".to_owned(),
                "CredentialsFile, or AccessID and PrivateKey",
            ),
            (
                "BucketName = \"b\"\nAccessID = \"a\"\nPrivateKey = \"s3cr*t\"".to_owned(),
                "no RSA key in PEM form",
            ),
            (
                "BucketName = \"b\"\nCredentialsFile = \"/nowhere\"".to_owned(),
                "cannot be read",
            ),
            (file("text", "s3cr*t"), "no JSON file"),
            (
                file("user", "{\"type\": \"authorized_user\", \"private_key\": \"s3cr*t\"}"),
                "of the type \"authorized_user\"",
            ),
            (
                file("key", "{\"type\": \"service_account\", \"private_key\": \"s3cr*t\"}"),
                "private_key of CredentialsFile is no RSA key",
            ),
        ] {
            let error = Gcs::of(&toml::from_str(&text).unwrap()).err().unwrap_or_default();
            assert!(error.contains(words) && !error.contains("s3cr*t"), "{text}: {error}");
        }
    }

    /// Google's own library signs the same request at the same moment.
    const PEER: &str = r#"
import json, sys
from google.oauth2 import service_account
from google.cloud.storage._signing import generate_signed_url_v4
given = json.load(sys.stdin)
credentials = service_account.Credentials.from_service_account_file(given["file"])
print(generate_signed_url_v4(
    credentials, resource=given["resource"], expiration=600, api_access_endpoint="https://storage.googleapis.com",
    method=given["method"], headers=given["headers"], _request_timestamp="20260304T050607Z"))
"#;

    #[expect(clippy::disallowed_methods, reason = "a test beside the runner")]
    fn run(program: &str, args: &[&str], input: &str) -> String {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let piped = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = piped.unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    #[ignore = "needs Google's library for Python: cargo xtask test stores"]
    fn signatures_are_googles() {
        let python = std::env::vars().find_map(|(key, value)| (key == "TASUKI_TEST_PYTHON").then_some(value));
        let python = python.expect("TASUKI_TEST_PYTHON is set by `cargo xtask test stores`");
        let size = "rsa_keygen_bits:2048";
        let key = run(
            "openssl",
            &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", size],
            "",
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.json");
        let account = serde_json::json!({
            "type": "service_account", "client_email": "runner@project.iam.gserviceaccount.com", "private_key": key,
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        std::fs::write(&file, account.to_string()).unwrap();
        let config = format!("BucketName = \"caches\"\nCredentialsFile = {file:?}\n");
        let store = Gcs::of(&toml::from_str(&config).unwrap()).unwrap();
        let now = "2026-03-04T05:06:07Z".parse().unwrap();
        let object = "ci/project/5/a key/é+~(1)";
        let valid = Duration::from_secs(600);
        let read = store.read(object, valid, now).unwrap();
        let write = store.write(object, "a  key", valid, now).unwrap();
        for (method, signed) in [("GET", read), ("PUT", write)] {
            let headers = signed
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().into()));
            let given = serde_json::json!({
                "file": file, "resource": "/caches/ci/project/5/a%20key/%C3%A9%2B~%281%29", "method": method,
                "headers": headers.collect::<serde_json::Map<_, _>>(),
            });
            let theirs = run(&python, &["-c", PEER], &given.to_string());
            assert_eq!(signed.url.expose(), theirs.trim(), "{method}");
        }
    }
}
