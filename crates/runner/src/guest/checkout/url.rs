//! Repository URLs and the log-in that may be in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tasuki_model::secret::Secret;

use crate::guest::{Checkout, Credentials};

/// A repository's address without a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) url: String,
    /// `https://host:port/`, for HTTP.
    pub(super) origin: Option<String>,
    pub(super) host: Option<String>,
    pub(super) credentials: Option<Credentials>,
}

impl Remote {
    pub(super) fn of(request: &Checkout) -> Self {
        let plain = Self {
            url: request.url.clone(),
            origin: None,
            host: None,
            credentials: request.credentials.clone(),
        };
        let Ok(mut url) = ::url::Url::parse(&request.url) else {
            return plain;
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Self {
                host: url.host_str().map(str::to_owned),
                ..plain
            };
        }
        let decode = |text: &str| percent_decode(text);
        let in_url = url.password().map(|password| Credentials {
            user: decode(url.username()),
            password: Secret::new(decode(password)),
        });
        // Neither can fail for a URL that has a host.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        Self {
            origin: Some(format!("{}/", url.origin().ascii_serialization())),
            host: url.host_str().map(str::to_owned),
            credentials: request.credentials.clone().or(in_url),
            url: url.into(),
        }
    }

    /// The HTTP header that logs in.
    pub(super) fn header(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let pair = format!("{}:{}", credentials.user, credentials.password.expose());
        Some(format!("Authorization: Basic {}", STANDARD.encode(pair)))
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = (first == b'%').then(|| tail.get(..2)).flatten();
        let code = escape
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str) -> Remote {
        let request = serde_json::json!({"project": "/p", "temp": "/t", "url": url, "sha": ""});
        Remote::of(&serde_json::from_value(request).expect("is a request"))
    }

    #[test]
    fn the_login_is_taken_out() {
        let found = remote("https://gitlab-ci-token:a%40b@example.com:8443/g/p.git");
        assert_eq!(found.url, "https://example.com:8443/g/p.git");
        assert_eq!(found.origin.as_deref(), Some("https://example.com:8443/"));
        assert_eq!(
            found.header(),
            Some(format!(
                "Authorization: Basic {}",
                STANDARD.encode("gitlab-ci-token:a@b")
            ))
        );
        for plain in [
            "git@example.com:g/p.git",
            "/srv/git/p.git",
            "ssh://git@example.com/g/p.git",
        ] {
            let found = remote(plain);
            assert_eq!((found.url.as_str(), found.credentials), (plain, None));
        }
    }
}
