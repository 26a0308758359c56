//! S3 and what speaks like it: signature version 4 in the query.

use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tasuki_model::secret::Secret;
use url::Url;

use super::aws::{Keyring, Keys};
use super::path::is_header;
use super::store::Signed;
use crate::config::S3Cache;

/// Region of a store that names none.
const USUAL_REGION: &str = "us-east-1";

/// A bucket, and who signs for it.
pub(in crate::job) struct S3 {
    bucket: Bucket,
    reader: Credentials,
    writer: Credentials,
    /// Of encryption, for uploads.
    headers: Vec<(&'static str, String)>,
}

/// The role that reads; absent = the keys themselves.
pub(super) fn reader(config: &S3Cache) -> Option<&str> {
    Some(config.role_arn.as_str()).filter(|role| !role.is_empty())
}

/// The role that writes: `UploadRoleARN` is `RoleARN` for uploads only, and gives way to it.
pub(super) fn writer(config: &S3Cache) -> Option<&str> {
    let upload = Some(config.upload_role_arn.as_str()).filter(|role| !role.is_empty());
    reader(config).or(upload)
}

/// Whether our own keys are not those of the configuration: `AuthenticationType`, else what gitlab-runner makes of the keys.
pub(super) fn asks_the_machine(config: &S3Cache) -> Result<bool, String> {
    let keys = [&config.access_key, &config.secret_key];
    let keys = keys
        .into_iter()
        .all(|key| key.as_ref().is_some_and(|key| !key.expose().is_empty()));
    match config.authentication_type.to_ascii_lowercase().as_str() {
        "iam" => Ok(true),
        "access-key" if keys => Ok(false),
        "access-key" => Err("AccessKey and SecretKey are missing".to_owned()),
        "" => Ok(!keys || config.server_address.trim().is_empty()),
        _ => Err(format!(
            "AuthenticationType = {:?} is neither \"access-key\" nor \"iam\"",
            config.authentication_type
        )),
    }
}

/// The configuration's keys, where they count.
pub(super) fn own_keys(config: &S3Cache) -> Result<Option<Keys>, String> {
    if asks_the_machine(config)? {
        return Ok(None);
    }
    let keys = config.access_key.as_ref().zip(config.secret_key.as_ref());
    Ok(keys.map(|(id, secret)| Keys {
        id: id.expose().to_owned(),
        secret: secret.clone(),
        token: config.session_token.clone(),
        expires_ms: None,
    }))
}

/// The bucket's region.
pub(super) fn region(config: &S3Cache) -> &str {
    match config.bucket_location.as_str() {
        "" => USUAL_REGION,
        region => region,
    }
}

/// Why the configuration makes no bucket, whoever signs.
pub(super) fn check(config: &S3Cache) -> Result<(), String> {
    bucket(config)?;
    encryption(config)?;
    asks_the_machine(config).map(drop)
}

fn bucket(config: &S3Cache) -> Result<Bucket, String> {
    if config.bucket_name.is_empty() {
        return Err("BucketName is missing".to_owned());
    }
    let host = host(config, region(config));
    let scheme = if config.insecure { "http" } else { "https" };
    let endpoint = Url::parse(&format!("{scheme}://{host}"))
        .map_err(|_| format!("ServerAddress = {:?} is no host", config.server_address))?;
    let path_style = config.path_style.unwrap_or(!host.contains("amazonaws.com"));
    let style = if path_style {
        UrlStyle::Path
    } else {
        UrlStyle::VirtualHost
    };
    Bucket::new(endpoint, style, config.bucket_name.clone(), region(config).to_owned())
        .map_err(|error| format!("BucketName = {:?}: {error}", config.bucket_name))
}

impl S3 {
    /// Keys that are not the configuration's come from `keyring`, which must have been made ready.
    pub(super) fn of(config: &S3Cache, keyring: &Keyring) -> Result<Self, String> {
        let signer = |role: Option<&str>| -> Result<Credentials, String> {
            let own = if role.is_none() { own_keys(config)? } else { None };
            let keys = own
                .or_else(|| keyring.latest(role))
                .ok_or("nobody can sign for it yet")?;
            let (id, secret) = (keys.id, keys.secret.expose().to_owned());
            Ok(match &keys.token {
                Some(token) => Credentials::new_with_token(id, secret, token.expose()),
                None => Credentials::new(id, secret),
            })
        };
        Ok(Self {
            bucket: bucket(config)?,
            reader: signer(reader(config))?,
            writer: signer(writer(config))?,
            headers: encryption(config)?,
        })
    }

    pub(super) fn read(&self, object: &str, valid: Duration, now: Timestamp) -> Signed {
        let action = self.bucket.get_object(Some(&self.reader), object);
        Signed {
            url: Secret::new(action.sign_with_time(valid, &now)),
            headers: Vec::new(),
        }
    }

    /// `key` is noted with the object, for people who look into the store.
    pub(super) fn write(&self, object: &str, key: &str, valid: Duration, now: Timestamp) -> Signed {
        let mut action = self.bucket.put_object(Some(&self.writer), object);
        let mut headers = self.headers.clone();
        if is_header(key) {
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
    use std::sync::Arc;

    use super::super::aws::AwsSurroundings;
    use super::*;
    use crate::config::CacheConfig;

    const KEYS: &str = "AuthenticationType = \"access-key\"\nAccessKey = \"id\"\nSecretKey = \"key\"\n";

    fn keyring() -> Keyring {
        Keyring::new(Arc::new(AwsSurroundings::default()), "s_test", &CacheConfig::default())
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
            let store = S3::of(&toml::from_str(&format!("{KEYS}{text}")).unwrap(), &keyring()).unwrap();
            let url = store.read("o", Duration::from_secs(60), now).url;
            assert!(url.expose().starts_with(begin), "{text}: {}", url.expose());
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, words) in [
            (
                "BucketName = \"b\"\nAuthenticationType = \"access-key\"",
                "AccessKey and SecretKey are missing",
            ),
            (&format!("{KEYS}BucketName = \"\""), "BucketName is missing"),
            ("BucketName = \"b\"\nAuthenticationType = \"x\"", "nor \"iam\""),
            (
                &format!("{KEYS}BucketName = \"b\"\nServerSideEncryption = \"x\""),
                "none of S3",
            ),
            (&format!("{KEYS}BucketName = \"b\"\nServerAddress = \"a b\""), "no host"),
        ] {
            let error = check(&toml::from_str(text).unwrap()).err().unwrap_or_default();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    /// As gitlab-runner: keys without a server's address do not count.
    #[test]
    fn who_signs() {
        let keys = "AccessKey = \"id\"\nSecretKey = \"key\"\n";
        for (text, machine, roles) in [
            ("", true, (None, None)),
            (keys, true, (None, None)),
            (&format!("{keys}ServerAddress = \"minio:9000\""), false, (None, None)),
            (
                &format!("{keys}AuthenticationType = \"access-key\"\nRoleARN = \"r\""),
                false,
                (Some("r"), Some("r")),
            ),
            (
                &format!("{keys}AuthenticationType = \"IAM\"\nUploadRoleARN = \"u\""),
                true,
                (None, Some("u")),
            ),
            ("RoleARN = \"r\"\nUploadRoleARN = \"u\"", true, (Some("r"), Some("r"))),
            (
                "AccessKey = \"\"\nSecretKey = \"\"\nServerAddress = \"minio\"",
                true,
                (None, None),
            ),
        ] {
            let config: S3Cache = toml::from_str(text).unwrap();
            assert_eq!(asks_the_machine(&config), Ok(machine), "{text}");
            assert_eq!((reader(&config), writer(&config)), roles, "{text}");
        }
    }
}
