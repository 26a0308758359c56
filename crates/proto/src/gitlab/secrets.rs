//! `secrets` of the payload: one provider per variable.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::nullable::nullable;

/// Where the value of one variable comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Secret {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Vault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp_secret_manager: Option<GcpSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_key_vault: Option<AzureKeyVault>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_secrets_manager: Option<AwsSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab_secrets_manager: Option<GitlabSecret>,
    /// Absent = true: the variable holds the path of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<bool>,
}

macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        pub struct $name {
            $(#[serde(default, deserialize_with = "nullable")] pub $field: $type,)*
        }
    )*};
}

wire! {
    /// HashiCorp Vault.
    Vault { server: VaultServer, engine: VaultEngine, path: String, field: String, }
    VaultServer { url: String, namespace: String, auth: VaultAuth, }
    VaultAuth { name: String, path: String, data: serde_json::Map<String, Value>, }
    VaultEngine { name: String, path: String, }
    /// Google Cloud's secret manager.
    GcpSecret { name: String, version: String, server: GcpServer, }
    GcpServer {
        project_number: String,
        workload_identity_federation_pool_id: String,
        workload_identity_federation_provider_id: String,
        jwt: String,
    }
    /// Azure's key vault.
    AzureKeyVault { name: String, version: String, server: AzureServer, }
    AzureServer { client_id: String, tenant_id: String, jwt: String, url: String, }
    /// AWS's secrets manager.
    AwsSecret {
        secret_id: String,
        version_id: String,
        version_stage: String,
        field: String,
        region: String,
        role_arn: String,
        role_session_name: String,
        server: AwsServer,
    }
    AwsServer { region: String, jwt: String, role_arn: String, role_session_name: String, }
    /// GitLab's own secrets manager.
    GitlabSecret { server: GitlabSecretServer, engine: VaultEngine, path: String, field: String, }
    GitlabSecretServer { url: String, inline_auth: GitlabInlineAuth, }
    GitlabInlineAuth { path: String, jwt: String, role: String, auth_mount: String, }
}
