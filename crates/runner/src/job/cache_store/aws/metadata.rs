//! Keys that the machine (IMDSv2) or the container's agent (ECS, EKS) gives out.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use tasuki_model::secret::Secret;
use url::{Host, Url};

use super::around::AwsSurroundings;
use super::keyring::Keys;

/// Where machines are told about themselves.
const MACHINE: &str = "http://169.254.169.254";

/// Where containers are told: ECS, EKS by version 4 and by version 6.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// It is next door, or not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Seconds that a session may live.
const SESSION: &str = "21600";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default)]
    code: Option<String>,
    access_key_id: String,
    secret_access_key: Secret,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    expiration: Option<jiff::Timestamp>,
}

fn client() -> Result<Client, String> {
    tasuki_proto::tls::install();
    // Never by a proxy: it would be asked for its own keys.
    let client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| error.to_string())
}

/// Keys of the role that the machine has.
pub(super) async fn of_machine(around: &AwsSurroundings) -> Result<Keys, String> {
    if around.metadata_is_disabled {
        return Err("the metadata of the machine are not asked for (AWS_EC2_METADATA_DISABLED)".to_owned());
    }
    let base = around.metadata.as_deref().unwrap_or(MACHINE).trim_end_matches('/');
    let client = client()?;
    let session = client
        .put(format!("{base}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", SESSION);
    let session = text(session).await?;
    let ask = async |path: &str| {
        let address = format!("{base}/latest/meta-data/iam/security-credentials/{path}");
        text(client.get(address).header("X-aws-ec2-metadata-token", session.trim())).await
    };
    let roles = ask("").await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    if role.is_empty() {
        return Err("the machine has no role (instance profile)".to_owned());
    }
    parse(&ask(role).await?)
}

/// Keys of the role that the container has.
pub(super) async fn of_container(address: &str, around: &AwsSurroundings) -> Result<Keys, String> {
    let url = Url::parse(address).ok().filter(is_trusted).ok_or_else(|| {
        format!(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI = {address:?} is neither https nor an address of this machine or of {}",
            AGENTS.join(", ")
        )
    })?;
    let token = match &around.container_token_file {
        Some(file) => {
            let read = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
            Some(Secret::new(read.trim()))
        }
        None => around.container_token.clone(),
    };
    let mut request = client()?.get(url);
    if let Some(token) = token {
        request = request.header("Authorization", token.expose());
    }
    parse(&text(request).await?)
}

/// Whoever else is spoken to without encryption would see the token, or make keys up.
fn is_trusted(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Domain("localhost")) => Some(IpAddr::from([127, 0, 0, 1])),
        _ => None,
    };
    let near = ip.is_some_and(|ip| ip.is_loopback() || AGENTS.contains(&ip.to_string().as_str()));
    url.scheme() == "https" || (url.scheme() == "http" && near)
}

async fn text(request: RequestBuilder) -> Result<String, String> {
    let response = request
        .send()
        .await
        .map_err(|error| crate::trace::chain(&error.without_url()))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("the service of its metadata answers {}", status.as_u16()));
    }
    response
        .text()
        .await
        .map_err(|error| crate::trace::chain(&error.without_url()))
}

/// The error's text could quote a key.
fn parse(text: &str) -> Result<Keys, String> {
    let given: Given = serde_json::from_str(text).map_err(|_| "the metadata hold no keys".to_owned())?;
    if let Some(code) = given.code.filter(|code| code != "Success") {
        return Err(format!("the metadata hold no keys: {code}"));
    }
    Ok(Keys {
        id: given.access_key_id,
        secret: given.secret_access_key,
        token: given.token,
        expires_ms: given.expiration.map(|time| time.as_millisecond()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_container_may_ask() {
        for (text, trusted) in [
            ("http://169.254.170.2/v2/credentials/x", true),
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost/x", true),
            ("https://keys.example/x", true),
            ("http://keys.example/x", false),
            ("http://169.254.169.254/x", false),
            ("http://127.0.0.1.example/x", false),
            ("ftp://127.0.0.1/x", false),
        ] {
            let url = Url::parse(text).expect("is an address");
            assert_eq!(is_trusted(&url), trusted, "{text}");
        }
    }

    #[test]
    fn keys_are_read_and_never_quoted() {
        let whole = r#"{"Code": "Success", "AccessKeyId": "id", "SecretAccessKey": "key", "Token": "t", "Expiration": "2030-01-02T03:04:05Z"}"#;
        let keys = parse(whole).expect("are keys");
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("id", "key"));
        assert_eq!(keys.expires_ms, Some(1_893_553_445_000));
        for text in [
            "",
            "{}",
            r#"{"AccessKeyId": "id", "SecretAccessKey": 5555}"#,
            r#"{"Code": "AssumeRoleUnauthorizedAccess", "AccessKeyId": "", "SecretAccessKey": "5555"}"#,
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.contains("5555"), "{error}");
        }
    }
}
