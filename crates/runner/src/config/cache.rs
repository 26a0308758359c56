//! `[runners.cache]`.

use serde::Deserialize;
use tasuki_model::secret::Secret;

/// Where caches are kept besides the local folder. `Type` names the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CacheConfig {
    /// `s3`, `gcs`, `azure`; empty = only local.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Prefix of object names.
    pub path: String,
    /// Between runners: leaves the runner's token out of object names.
    pub shared: bool,
    /// Bytes; 0 = no limit.
    pub max_uploaded_archive_size: u64,
    #[serde(rename = "s3")]
    pub s3: Option<S3Cache>,
    #[serde(rename = "gcs")]
    pub gcs: Option<GcsCache>,
    #[serde(rename = "azure")]
    pub azure: Option<AzureCache>,
}

/// `[runners.cache.s3]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct S3Cache {
    pub server_address: String,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub session_token: Option<Secret>,
    pub bucket_name: String,
    pub bucket_location: String,
    pub insecure: bool,
    pub authentication_type: String,
    pub server_side_encryption: String,
    #[serde(rename = "ServerSideEncryptionKeyID")]
    pub server_side_encryption_key_id: String,
    /// Absent = true.
    pub dual_stack: Option<bool>,
    /// Absent = by address.
    pub path_style: Option<bool>,
    pub accelerate: bool,
    #[serde(rename = "RoleARN")]
    pub role_arn: String,
    #[serde(rename = "UploadRoleARN")]
    pub upload_role_arn: String,
    pub assume_role_max_concurrency: u32,
    pub disable_assume_role_credentials_caching: bool,
}

/// `[runners.cache.gcs]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GcsCache {
    #[serde(rename = "AccessID")]
    pub access_id: String,
    pub private_key: Option<Secret>,
    pub credentials_file: String,
    pub bucket_name: String,
    pub universe_domain: String,
}

/// `[runners.cache.azure]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct AzureCache {
    pub account_name: String,
    pub account_key: Option<Secret>,
    pub container_name: String,
    pub storage_domain: String,
}
