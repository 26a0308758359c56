//! `[runners.cache]`: an object store that keeps caches for other machines.
//!
//! The guest gets signed addresses, one for each object and only for as long as a request may take; the keys of the
//! store never leave this process.

use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tasuki_model::secret::Secret;
use url::Url;

use crate::config::{CacheConfig, S3Cache};

/// Region of a store that names none.
const USUAL_REGION: &str = "us-east-1";

/// A store that caches are kept in besides the local folder.
pub(super) struct CacheStore {
    bucket: Bucket,
    credentials: Credentials,
    /// Of encryption, for uploads.
    headers: Vec<(&'static str, String)>,
}

/// Where an object is read from or written to.
pub(super) struct Signed {
    pub(super) url: Secret,
    /// Part of the signature: to be sent as they are.
    pub(super) headers: Vec<(String, Secret)>,
}

impl CacheStore {
    /// The configured store; `None`: caches are only local. `Err`: why it cannot be used.
    pub(super) fn of(config: &CacheConfig) -> Result<Option<Self>, String> {
        match (config.kind.as_str(), &config.s3) {
            ("", _) => Ok(None),
            ("s3", Some(s3)) => Self::s3(s3).map(Some),
            ("s3", None) => Err("there is no section [runners.cache.s3]".to_owned()),
            (other, _) => Err(format!("Type = {other:?} is none that this version has: use \"s3\"")),
        }
    }

    fn s3(config: &S3Cache) -> Result<Self, String> {
        if config.bucket_name.is_empty() {
            return Err("BucketName is missing".to_owned());
        }
        let keys = (&config.access_key, &config.secret_key);
        let (Some(key), Some(secret)) = keys else {
            return Err("AccessKey and SecretKey are missing: this version has no other way to log in".to_owned());
        };
        if !matches!(config.authentication_type.as_str(), "" | "access-key") {
            return Err(format!(
                "AuthenticationType = {:?} is none that this version has: use \"access-key\"",
                config.authentication_type
            ));
        }
        if !config.role_arn.is_empty() || !config.upload_role_arn.is_empty() {
            return Err("RoleARN and UploadRoleARN are not supported: leave them out".to_owned());
        }
        let region = match config.bucket_location.as_str() {
            "" => USUAL_REGION,
            region => region,
        };
        let host = host(config, region);
        let scheme = if config.insecure { "http" } else { "https" };
        let endpoint = Url::parse(&format!("{scheme}://{host}"))
            .map_err(|_| format!("ServerAddress = {:?} is no host", config.server_address))?;
        let path_style = config.path_style.unwrap_or(!host.contains("amazonaws.com"));
        let style = if path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let bucket = Bucket::new(endpoint, style, config.bucket_name.clone(), region.to_owned())
            .map_err(|error| format!("BucketName = {:?}: {error}", config.bucket_name))?;
        let credentials = match &config.session_token {
            Some(token) => Credentials::new_with_token(key.expose(), secret.expose(), token.expose()),
            None => Credentials::new(key.expose(), secret.expose()),
        };
        Ok(Self {
            bucket,
            credentials,
            headers: encryption(config)?,
        })
    }

    pub(super) fn read(&self, object: &str, valid: Duration, now: Timestamp) -> Signed {
        let action = self.bucket.get_object(Some(&self.credentials), object);
        Signed {
            url: Secret::new(action.sign_with_time(valid, &now)),
            headers: Vec::new(),
        }
    }

    /// `key` is noted with the object, for people who look into the store.
    pub(super) fn write(&self, object: &str, key: &str, valid: Duration, now: Timestamp) -> Signed {
        let mut action = self.bucket.put_object(Some(&self.credentials), object);
        let mut headers = self.headers.clone();
        // Header values are printable ASCII.
        if key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            headers.push(("x-amz-meta-cachekey", key.to_owned()));
        }
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.clone());
        }
        let url = Secret::new(action.sign_with_time(valid, &now));
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Secret::new(value)));
        Signed {
            url,
            headers: headers.collect(),
        }
    }
}

/// Why the configured store cannot be used.
pub(crate) fn cache_problem(config: &CacheConfig) -> Option<String> {
    CacheStore::of(config)
        .err()
        .map(|problem| format!("[runners.cache]: {problem}"))
}

/// `[Path/][runner/<short token>/]project/<id>/<key>`; without the runner's part between runners that share.
pub(super) fn object_name(config: &CacheConfig, short_token: &str, project: i64, name: &str) -> String {
    let mut parts: Vec<&str> = config.path.split('/').filter(|part| !part.is_empty()).collect();
    if !config.shared {
        parts.extend(["runner", short_token]);
    }
    let project = project.to_string();
    parts.extend(["project", &project, name]);
    parts.join("/")
}

fn host(config: &S3Cache, region: &str) -> String {
    let given = config.server_address.trim();
    if !matches!(given, "" | "s3.amazonaws.com") {
        return given.to_owned();
    }
    let dual = if config.dual_stack.unwrap_or(true) {
        ".dualstack"
    } else {
        ""
    };
    match (config.accelerate, given) {
        (true, _) => format!("s3-accelerate{dual}.amazonaws.com"),
        // The plain name answers for other regions with a redirect, which a signed request cannot follow.
        (false, "") => format!("s3{dual}.{region}.amazonaws.com"),
        (false, _) => format!("s3.{region}.amazonaws.com"),
    }
}

fn encryption(config: &S3Cache) -> Result<Vec<(&'static str, String)>, String> {
    let algorithm = match config.server_side_encryption.as_str() {
        "" => return Ok(Vec::new()),
        "S3" | "AES256" => "AES256",
        "KMS" | "aws:kms" => "aws:kms",
        "DSSE-KMS" | "aws:kms:dsse" => "aws:kms:dsse",
        other => {
            return Err(format!("ServerSideEncryption = {other:?} is none of S3, KMS, DSSE-KMS"));
        }
    };
    let mut headers = vec![("x-amz-server-side-encryption", algorithm.to_owned())];
    let id = &config.server_side_encryption_key_id;
    if algorithm != "AES256" && !id.is_empty() {
        headers.push(("x-amz-server-side-encryption-aws-kms-key-id", id.clone()));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> CacheConfig {
        toml::from_str(text).unwrap()
    }

    const KEYS: &str = "Type = \"s3\"\n[s3]\nAccessKey = \"id\"\nSecretKey = \"key\"\n";

    #[test]
    fn objects_are_named_as_gitlab_runner_names_them() {
        for (text, name) in [
            ("", "runner/abc/project/5/k/x"),
            ("Shared = true", "project/5/k/x"),
            ("Path = \"/a/b/\"", "a/b/runner/abc/project/5/k/x"),
            ("Path = \"a\"\nShared = true", "a/project/5/k/x"),
        ] {
            assert_eq!(object_name(&config(text), "abc", 5, "k/x"), name, "{text}");
        }
    }

    #[test]
    fn addresses_of_stores() {
        let now = Timestamp::UNIX_EPOCH;
        for (text, begin) in [
            (
                "BucketName = \"b\"",
                "https://b.s3.dualstack.us-east-1.amazonaws.com/o?",
            ),
            (
                "BucketName = \"b\"\nDualStack = false\nBucketLocation = \"eu-1\"",
                "https://b.s3.eu-1.amazonaws.com/o?",
            ),
            (
                "BucketName = \"b\"\nServerAddress = \"s3.amazonaws.com\"\nBucketLocation = \"us-west-2\"",
                "https://b.s3.us-west-2.amazonaws.com/o?",
            ),
            (
                "BucketName = \"b\"\nAccelerate = true",
                "https://b.s3-accelerate.dualstack.amazonaws.com/o?",
            ),
            (
                "BucketName = \"b\"\nServerAddress = \"minio:9000\"\nInsecure = true",
                "http://minio:9000/b/o?",
            ),
            (
                "BucketName = \"b\"\nServerAddress = \"store.example\"\nPathStyle = false",
                "https://b.store.example/o?",
            ),
        ] {
            let store = CacheStore::of(&config(&format!("{KEYS}{text}"))).unwrap().unwrap();
            let url = store.read("o", Duration::from_secs(60), now).url;
            assert!(url.expose().starts_with(begin), "{text}: {}", url.expose());
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, words) in [
            ("Type = \"gcs\"", "use \"s3\""),
            ("Type = \"s3\"", "[runners.cache.s3]"),
            ("Type = \"s3\"\n[s3]\nBucketName = \"b\"", "AccessKey and SecretKey"),
            (&format!("{KEYS}BucketName = \"\""), "BucketName is missing"),
            (
                &format!("{KEYS}BucketName = \"b\"\nAuthenticationType = \"iam\""),
                "iam",
            ),
            (&format!("{KEYS}BucketName = \"b\"\nRoleARN = \"r\""), "RoleARN"),
            (
                &format!("{KEYS}BucketName = \"b\"\nServerSideEncryption = \"x\""),
                "none of S3",
            ),
            (&format!("{KEYS}BucketName = \"b\"\nServerAddress = \"a b\""), "no host"),
        ] {
            let error = CacheStore::of(&config(text)).err().unwrap_or_default();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(CacheStore::of(&config("")).unwrap().is_none());
    }
}
