//! S3 and what speaks like it: signature version 4 in the query.

use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tasuki_model::secret::Secret;
use url::Url;

use super::path::is_header;
use super::store::Signed;
use crate::config::S3Cache;

/// Region of a store that names none.
const USUAL_REGION: &str = "us-east-1";

/// A bucket, and who signs for it.
pub(in crate::job) struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    /// Of encryption, for uploads.
    headers: Vec<(&'static str, String)>,
}

impl S3 {
    pub(super) fn of(config: &S3Cache) -> Result<Self, String> {
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
    use super::*;

    const KEYS: &str = "AccessKey = \"id\"\nSecretKey = \"key\"\n";

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
            let store = S3::of(&toml::from_str(&format!("{KEYS}{text}")).unwrap()).unwrap();
            let url = store.read("o", Duration::from_secs(60), now).url;
            assert!(url.expose().starts_with(begin), "{text}: {}", url.expose());
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, words) in [
            ("BucketName = \"b\"", "AccessKey and SecretKey"),
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
            let error = S3::of(&toml::from_str(text).unwrap()).err().unwrap_or_default();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
