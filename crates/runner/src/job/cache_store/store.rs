//! The store that the configuration names.

use std::time::Duration;

use jiff::Timestamp;
use tasuki_model::secret::Secret;

use super::aws::Keyring;
use super::azure::Azure;
use super::gcs::Gcs;
use super::s3::{self, S3};
use crate::config::{AzureCache, CacheConfig, GcsCache, S3Cache};

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
        Ok(match Section::of(config)? {
            None => None,
            Some(Section::S3(s3)) => Some(Self::S3(S3::of(s3, keyring)?)),
            Some(Section::Gcs(gcs)) => Some(Self::Gcs(Gcs::of(gcs)?)),
            Some(Section::Azure(azure)) => Some(Self::Azure(Azure::of(azure)?)),
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

/// What is said of the store that `Type` names.
enum Section<'c> {
    S3(&'c S3Cache),
    Gcs(&'c GcsCache),
    Azure(&'c AzureCache),
}

impl<'c> Section<'c> {
    fn of(config: &'c CacheConfig) -> Result<Option<Self>, String> {
        let missing = || format!("there is no section [runners.cache.{}]", config.kind);
        match config.kind.as_str() {
            "" => Ok(None),
            "s3" => config.s3.as_ref().map(Self::S3).ok_or_else(missing).map(Some),
            "gcs" => config.gcs.as_ref().map(Self::Gcs).ok_or_else(missing).map(Some),
            "azure" => config.azure.as_ref().map(Self::Azure).ok_or_else(missing).map(Some),
            other => Err(format!(
                "Type = {other:?} is none that this version has: use \"s3\", \"gcs\" or \"azure\""
            )),
        }
    }
}

fn check(config: &CacheConfig) -> Result<(), String> {
    match Section::of(config)? {
        None => Ok(()),
        Some(Section::S3(s3)) => s3::check(s3),
        Some(Section::Gcs(gcs)) => Gcs::of(gcs).map(drop),
        Some(Section::Azure(azure)) => Azure::of(azure).map(drop),
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
