//! Where bytes are kept, as the configuration says it.

use std::path::PathBuf;
use std::sync::Arc;

use tasuki_model::secret::Secret;
use tasuki_rt::Clock;
use url::Url;

use super::{BlobStore, Error, Folder, S3};

/// Where bytes are kept.
#[derive(Debug, Clone)]
pub enum Location {
    Folder(PathBuf),
    S3(S3Location),
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct S3Location {
    pub endpoint: Url,
    pub region: String,
    pub bucket: String,
    /// Before every key; empty or ending in a slash.
    pub prefix: String,
    /// The bucket in the path (most self-hosted stores) or in the host name (Amazon).
    pub path_style: bool,
    pub key_id: String,
    pub secret_key: Secret,
}

impl Location {
    /// Reads `s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION[&path_style=false]`. The credentials come
    /// apart from it, so that the URL can be shown: access key id and secret key.
    ///
    /// # Errors
    /// [`Error::Location`] names what is wrong.
    pub fn s3(url: &str, credentials: Option<(String, Secret)>) -> Result<Self, Error> {
        let bad = |problem: String| Error::Location { problem };
        let parsed = Url::parse(url).map_err(|e| bad(e.to_string()))?;
        if parsed.scheme() != "s3" {
            return Err(bad(format!("unknown kind of store {:?}", parsed.scheme())));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(bad(
                "credentials do not belong into it; give them in the environment".to_owned()
            ));
        }
        let bucket = parsed
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| bad("no bucket".to_owned()))?;
        let (mut endpoint, mut region, mut path_style) = (None, "us-east-1".to_owned(), true);
        for (name, value) in parsed.query_pairs() {
            match &*name {
                "endpoint" => endpoint = Some(value.parse::<Url>().map_err(|e| bad(format!("endpoint: {e}")))?),
                "region" => region = value.into_owned(),
                "path_style" => {
                    path_style = value
                        .parse()
                        .map_err(|_| bad("path_style is true or false".to_owned()))?;
                }
                other => return Err(bad(format!("unknown parameter {other:?}"))),
            }
        }
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => {
                path_style = false;
                format!("https://s3.{region}.amazonaws.com")
                    .parse()
                    .map_err(|e| bad(format!("region {region:?}: {e}")))?
            }
        };
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(bad("the endpoint is no web address".to_owned()));
        }
        let prefix = parsed.path().trim_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        let (key_id, secret_key) = credentials.ok_or_else(|| {
            bad("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment".to_owned())
        })?;
        let bucket = bucket.to_owned();
        Ok(Self::S3(S3Location {
            endpoint,
            region,
            bucket,
            prefix,
            path_style,
            key_id,
            secret_key,
        }))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When the folder cannot be made or the location is not usable.
    pub fn open(self, clock: &Clock) -> Result<Arc<dyn BlobStore>, Error> {
        Ok(match self {
            Self::Folder(path) => Arc::new(Folder::open(path)?),
            Self::S3(location) => Arc::new(S3::open(&location, clock.clone())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Result<&str, &str>) {
        let found = Location::s3(url, Some(("id".into(), Secret::new("key")))).map(|location| match location {
            Location::S3(l) => {
                format!(
                    "{} {} {} {:?} {}",
                    l.endpoint, l.region, l.bucket, l.prefix, l.path_style
                )
            }
            Location::Folder(_) => unreachable!(),
        });
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            _ => panic!("{url}: {found:?}"),
        }
    }

    #[test]
    fn locations_are_read() {
        check(
            "s3://ci/data/x?endpoint=http://127.0.0.1:9000&region=eu",
            Ok(r#"http://127.0.0.1:9000/ eu ci "data/x/" true"#),
        );
        check(
            "s3://ci?region=eu-west-1",
            Ok(r#"https://s3.eu-west-1.amazonaws.com/ eu-west-1 ci "" false"#),
        );
        check("gs://ci", Err("unknown kind of store"));
        check("s3://id:key@ci", Err("do not belong"));
        check("s3://ci?colour=red", Err("unknown parameter \"colour\""));
        check("s3://ci?endpoint=9000", Err("endpoint"));
        check("s3:///x", Err("no bucket"));
        let error = Location::s3("s3://ci", None).unwrap_err().to_string();
        assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
}
