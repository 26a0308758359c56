//! Log-ins of browsers: a cookie that only our own pages can use.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use tasuki_model::id::UserId;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_store::{Store, sessions};

use super::token::{self, Kind};

/// Name of the cookie. `__Host-` cannot be used: it demands https, and a first start has none.
pub const COOKIE: &str = "tasuki_session";
/// Longest description of a browser that is kept.
const LONGEST_AGENT: usize = 200;

/// The cookie of a request, if it has one.
#[must_use]
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

/// Opens a session; gives the cookie's value.
///
/// # Errors
/// When the store fails or there are no random numbers.
pub async fn open(
    store: &Store,
    user: UserId,
    agent: &str,
    now: Timestamp,
    lifetime: Duration,
) -> Result<Secret, Error> {
    let secret = token::new(Kind::Session).map_err(Error::Random)?;
    let session = sessions::Session {
        hash: token::digest(secret.expose()),
        user_id: user,
        created_ms: now,
        expires_ms: now.after(lifetime),
        agent: agent.chars().take(LONGEST_AGENT).collect(),
    };
    store
        .write(move |tx| {
            // A good moment to forget those that have ended: there is one for each that begins.
            sessions::sweep(tx, now)?;
            sessions::create(tx, &session)
        })
        .await
        .map_err(Error::Store)?;
    Ok(secret)
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the session could not be saved")]
    Store(#[source] tasuki_store::Error),
}

/// The header that gives the cookie to the browser, or takes it away (`None`).
#[must_use]
pub fn set_cookie(value: Option<&Secret>, lifetime: Duration, secure: Transport) -> Option<HeaderValue> {
    let secure = match secure {
        Transport::Https => "; Secure",
        Transport::Http => "",
    };
    let (text, age) = value.map_or(("", 0), |secret| (secret.expose(), lifetime.as_secs()));
    let cookie = format!("{COOKIE}={text}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How browsers reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Http,
    Https,
}

/// Whether a request that changes something comes from a page of this very server. Browsers say so themselves, in
/// headers that no page can forge; a request that says nothing is refused.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some("same-origin") => return true,
        // Typed in by the user: never a form of another site, but not one of ours either.
        Some(_) => return false,
        None => {}
    }
    let (Some(origin), Some(host)) = (text("origin"), text("host")) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn only_our_own_pages_may_change_something() {
        let check = |pairs: &[(&'static str, &'static str)], expected: bool| {
            assert_eq!(is_same_origin(&headers(pairs)), expected, "{pairs:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], true);
        check(
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "http://ci:1"),
                ("host", "ci:1"),
            ],
            false,
        );
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "none")], false);
        check(&[("origin", "http://ci:1"), ("host", "ci:1")], true);
        check(&[("origin", "http://evil"), ("host", "ci:1")], false);
        check(&[("origin", "null"), ("host", "ci:1")], false);
        check(&[("host", "ci:1")], false);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(cookie(&headers(&[("cookie", "a=b; tasuki_session=x; c=d")])), Some("x"));
        assert_eq!(
            cookie(&headers(&[("cookie", "a=b"), ("cookie", "tasuki_session=y")])),
            Some("y")
        );
        assert_eq!(
            cookie(&headers(&[("cookie", "xtasuki_session=x; tasuki_session=")])),
            None
        );
    }

    #[test]
    fn the_cookie_is_closed_to_scripts_and_other_sites() {
        let value = set_cookie(Some(&Secret::new("s")), Duration::from_secs(60), Transport::Https).unwrap();
        let text = "tasuki_session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(value.to_str().unwrap(), text);
        let gone = set_cookie(None, Duration::from_secs(60), Transport::Http).unwrap();
        assert_eq!(
            gone.to_str().unwrap(),
            "tasuki_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        );
    }
}
