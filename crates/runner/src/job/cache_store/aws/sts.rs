//! Keys of a role, from the Security Token Service.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use tasuki_model::secret::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use super::around::AwsSurroundings;
use super::keyring::Keys;
use super::sign::{CONTENT_TYPE, Unsigned, sign};

const PATIENCE: Duration = Duration::from_secs(30);

/// Seconds that the keys live: what every role allows.
const LIFE: &str = "3600";

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The service of a region.
pub(super) struct Sts<'a> {
    pub(super) around: &'a AwsSurroundings,
    pub(super) region: &'a str,
    /// Stands in Amazon's own logs: letters, digits and `+=,.@_-`, 2 to 64 of them.
    pub(super) session: &'a str,
}

impl Sts<'_> {
    /// The keys of `role` for whoever has `keys`.
    pub(super) async fn assume(&self, role: &str, keys: &Keys, now: Timestamp) -> Result<Keys, String> {
        let body = self.body("AssumeRole", role, None);
        self.post(role, body, Some(keys), now).await
    }

    /// The keys of `role` for whoever has the token of an identity provider.
    pub(super) async fn assume_by_token(&self, role: &str, token: &Secret, now: Timestamp) -> Result<Keys, String> {
        let body = self.body("AssumeRoleWithWebIdentity", role, Some(token));
        self.post(role, body, None, now).await
    }

    fn body(&self, action: &str, role: &str, token: Option<&Secret>) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", action);
        form.append_pair("DurationSeconds", LIFE);
        form.append_pair("RoleArn", role);
        form.append_pair("RoleSessionName", self.session);
        form.append_pair("Version", "2011-06-15");
        if let Some(token) = token {
            form.append_pair("WebIdentityToken", token.expose());
        }
        form.finish()
    }

    fn address(&self) -> Result<Url, String> {
        let text = match &self.around.sts {
            Some(address) => address.clone(),
            None if self.region.starts_with("cn-") => format!("https://sts.{}.amazonaws.com.cn", self.region),
            None => format!("https://sts.{}.amazonaws.com", self.region),
        };
        Url::parse(&text).map_err(|error| format!("{text:?} is no address of STS: {error}"))
    }

    async fn post(&self, role: &str, body: String, keys: Option<&Keys>, now: Timestamp) -> Result<Keys, String> {
        let failed = |why: String| format!("the role {role} cannot be taken on: {why}");
        let mut url = self.address().map_err(failed)?;
        url.set_path("/");
        let host = url.host_str().unwrap_or_default();
        let host = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        tasuki_proto::tls::install();
        let client = Client::builder().timeout(PATIENCE).build();
        let mut request = client
            .map_err(|error| failed(error.to_string()))?
            .post(url)
            .header("Content-Type", CONTENT_TYPE);
        if let Some(keys) = keys {
            let unsigned = Unsigned {
                method: "POST",
                host: &host,
                query: "",
                body: &body,
                service: "sts",
                region: self.region,
            };
            for (name, value) in sign(&unsigned, keys, now) {
                request = request.header(name, value);
            }
        }
        let unreachable = |error: reqwest::Error| failed(crate::trace::chain(&error.without_url()));
        let mut response = request.body(body).send().await.map_err(unreachable)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            answer.extend_from_slice(&piece);
            if answer.len() > MAX_ANSWER {
                return Err(failed(format!("the answer of STS is longer than {MAX_ANSWER} bytes")));
            }
        }
        let text = &*String::from_utf8_lossy(&answer);
        if !status.is_success() {
            let why = [element(text, "Code"), element(text, "Message")];
            let why: Vec<&str> = why.into_iter().flatten().collect();
            return Err(failed(format!("STS answers {} {}", status.as_u16(), why.join(": "))));
        }
        parse(text).ok_or_else(|| failed("the answer of STS holds no keys".to_owned()))
    }
}

fn parse(text: &str) -> Option<Keys> {
    Some(Keys {
        id: element(text, "AccessKeyId")?.to_owned(),
        secret: Secret::new(element(text, "SecretAccessKey")?),
        token: element(text, "SessionToken").map(Secret::new),
        expires_ms: element(text, "Expiration")
            .and_then(|time| time.parse::<Timestamp>().ok())
            .map(|time| time.as_millisecond()),
    })
}

/// The text of the first element of that name. What is looked for here (names, keys in base64, times) is never escaped.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let text = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\n <AccessKeyId>ASIA</AccessKeyId>\n \
                    <SecretAccessKey>a/b+c=</SecretAccessKey><SessionToken> t== </SessionToken>\
                    <Expiration>2030-01-02T03:04:05Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let keys = parse(text).expect("are keys");
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("ASIA", "a/b+c="));
        assert_eq!(keys.token.as_ref().map(Secret::expose), Some("t=="));
        assert_eq!(keys.expires_ms, Some(1_893_553_445_000));
        for text in ["", "<AccessKeyId>x</AccessKeyId>", "<AccessKeyId>x<SecretAccessKey>"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
