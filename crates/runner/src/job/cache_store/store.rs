//! The store that the configuration names.

use std::time::Duration;

use jiff::Timestamp;
use tasuki_model::secret::Secret;

use super::aws::Keyring;
use super::azure::Azure;
use super::gcs::Gcs;
use super::s3::{self, S3};
use crate::config::CacheConfig;

/// A store that caches are kept in besides the local folder.
pub(in crate::job) enum CacheStore {
    S3(S3),
    Gcs(Gcs),
    Azure(Azure),
}

/// Where an object is read from or written to.
pub(in crate::job) struct Signed {
    pub(in crate::job) url: Secret,
    /// To be sent as they are.
    pub(in crate::job) headers: Vec<(String, Secret)>,
}

impl CacheStore {
    /// The configured store; `None`: caches are only local. `Err`: why it cannot be used.
    pub(in crate::job) fn of(config: &CacheConfig, keyring: &Keyring) -> Result<Option<Self>, String> {
        check(config)?;
        Ok(match (config.kind.as_str(), &config.s3, &config.gcs, &config.azure) {
            ("s3", Some(s3), _, _) => Some(Self::S3(S3::of(s3, keyring)?)),
            ("gcs", _, Some(gcs), _) => Some(Self::Gcs(Gcs::of(gcs)?)),
            ("azure", _, _, Some(azure)) => Some(Self::Azure(Azure::of(azure)?)),
            _ => None,
        })
    }

    /// # Errors
    /// It cannot be signed.
    pub(in crate::job) fn read(&self, object: &str, valid: Duration, now: Timestamp) -> Result<Signed, String> {
        match self {
            Self::S3(s3) => Ok(s3.read(object, valid, now)),
            Self::Gcs(gcs) => gcs.read(object, valid, now),
            Self::Azure(azure) => azure.read(object, valid, now),
        }
    }

    /// `key` is noted with the object, for people who look into the store.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(in crate::job) fn write(
        &self,
        object: &str,
        key: &str,
        valid: Duration,
        now: Timestamp,
    ) -> Result<Signed, String> {
        match self {
            Self::S3(s3) => Ok(s3.write(object, key, valid, now)),
            Self::Gcs(gcs) => gcs.write(object, key, valid, now),
            Self::Azure(azure) => azure.write(object, key, valid, now),
        }
    }
}

fn check(config: &CacheConfig) -> Result<(), String> {
    let missing = || format!("there is no section [runners.cache.{}]", config.kind);
    match config.kind.as_str() {
        "" => Ok(()),
        "s3" => s3::check(config.s3.as_ref().ok_or_else(missing)?),
        "gcs" => Gcs::of(config.gcs.as_ref().ok_or_else(missing)?).map(drop),
        "azure" => Azure::of(config.azure.as_ref().ok_or_else(missing)?).map(drop),
        other => Err(format!(
            "Type = {other:?} is none that this version has: use \"s3\", \"gcs\" or \"azure\""
        )),
    }
}

/// Why the configured store cannot be used, whoever signs for it.
pub(crate) fn cache_problem(config: &CacheConfig) -> Option<String> {
    check(config).err().map(|problem| format!("[runners.cache]: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_needs_its_section() {
        let of = |text: &str| cache_problem(&toml::from_str(text).unwrap());
        assert_eq!(of(""), None);
        for (text, words) in [
            ("Type = \"ftp\"", "use \"s3\", \"gcs\" or \"azure\""),
            ("Type = \"s3\"", "[runners.cache.s3]"),
            ("Type = \"gcs\"", "[runners.cache.gcs]"),
            ("Type = \"azure\"\n[s3]\n", "[runners.cache.azure]"),
        ] {
            let error = of(text).unwrap_or_default();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
