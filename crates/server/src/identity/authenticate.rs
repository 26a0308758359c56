//! From the headers of a request to its caller.

use http::{HeaderMap, header};
use tasuki_model::time::Timestamp;
use tasuki_store::{Store, sessions, tokens, users};

use super::{Access, Caller, Via, session, token};

/// The token of `Authorization: Bearer …` or GitLab's `PRIVATE-TOKEN`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer
        .or_else(|| headers.get("private-token").and_then(|value| value.to_str().ok()))
        .filter(|token| !token.is_empty())
}

/// Who sends a request with these headers. `None`: it shows a token or cookie that opens nothing (any more).
///
/// # Errors
/// When the store fails.
pub async fn authenticate(
    store: &Store,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<Caller>, tasuki_store::Error> {
    if let Some(token) = bearer(headers) {
        let hash = token::digest(token);
        let found = store.read(move |tx| tokens::by_hash(tx, &hash, now)).await?;
        return Ok(found.and_then(|token| of_token(&token)));
    }
    if let Some(cookie) = session::cookie(headers) {
        let hash = token::digest(cookie);
        let found = store.read(move |tx| sessions::find(tx, &hash, now)).await?;
        return Ok(found.map(|(_, user)| of_user(&user)));
    }
    Ok(Some(Caller::nobody()))
}

fn of_token(token: &tokens::Token) -> Option<Caller> {
    let access = match token.kind.as_str() {
        "admin" => Access::Admin,
        "api" => {
            let scopes: Vec<String> = serde_json::from_str(&token.scopes_json).unwrap_or_default();
            if scopes.iter().any(|scope| scope == "api") {
                Access::Write
            } else {
                Access::Read
            }
        }
        // Tokens of runners, triggers and registrations open their own doors only.
        _ => return None,
    };
    Some(Caller {
        access,
        name: token.name.clone(),
        via: Via::Token,
    })
}

fn of_user(user: &users::User) -> Caller {
    let access = match user.role.as_str() {
        "admin" => Access::Admin,
        "member" => Access::Write,
        _ => Access::Read,
    };
    Caller {
        access,
        name: user.login.clone(),
        via: Via::Cookie,
    }
}
