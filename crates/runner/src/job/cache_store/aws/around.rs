//! What the process's environment says about Amazon's services, under the names that AWS's own tools read.

use tasuki_model::secret::Secret;

use super::keyring::Keys;

/// The variables. Empty ones say nothing.
#[derive(Debug, Clone, Default)]
pub struct AwsSurroundings {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`
    pub(super) keys: Option<Keys>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`
    pub(super) web_identity: Option<(String, String)>,
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, as a whole address, or `AWS_CONTAINER_CREDENTIALS_FULL_URI`
    pub(super) container: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`
    pub(super) container_token: Option<Secret>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`
    pub(super) container_token_file: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`
    pub(super) metadata: Option<String>,
    /// `AWS_EC2_METADATA_DISABLED`
    pub(super) metadata_is_disabled: bool,
    /// `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`
    pub(super) sts: Option<String>,
}

impl AwsSurroundings {
    /// Reads them.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let keys = set("AWS_ACCESS_KEY_ID")
            .zip(set("AWS_SECRET_ACCESS_KEY"))
            .map(|(id, secret)| Keys {
                id,
                secret: Secret::new(secret),
                token: set("AWS_SESSION_TOKEN").map(Secret::new),
                expires_ms: None,
            });
        let relative = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("http://169.254.170.2{path}"));
        Self {
            keys,
            web_identity: set("AWS_WEB_IDENTITY_TOKEN_FILE").zip(set("AWS_ROLE_ARN")),
            container: relative.or_else(|| set("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
            container_token: set("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
            container_token_file: set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            metadata: set("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            metadata_is_disabled: set("AWS_EC2_METADATA_DISABLED")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            sts: set("AWS_ENDPOINT_URL_STS").or_else(|| set("AWS_ENDPOINT_URL")),
        }
    }
}
