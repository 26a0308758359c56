//! Log-in with the administrator's token, log-out.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tasuki_store::sessions;

use super::frame::{self, Frame, Result};
use crate::app::App;
use crate::http::error::Problem;
use crate::identity::session::{self, Transport};
use crate::identity::{Caller, token};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    problem: Option<&'static str>,
}

#[derive(Deserialize)]
pub(super) struct Where {
    #[serde(default)]
    next: String,
}

pub(super) async fn form(Query(to): Query<Where>) -> Response {
    show(local(&to.next), None)
}

fn show(next: &str, problem: Option<&'static str>) -> Response {
    frame::page(&LoginPage {
        frame: Frame::new("", &Caller::nobody()),
        next: next.to_owned(),
        problem,
    })
}

#[derive(Deserialize)]
pub(super) struct LogIn {
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn open(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: http::Extensions,
    Form(form): Form<LogIn>,
) -> Result {
    let next = local(&form.next).to_owned();
    if !session::is_same_origin(&headers) {
        return Ok(show(&next, Some("Log in from this page, not from another site.")));
    }
    let (address, now) = (crate::http::peer(&extensions), app.now());
    if app.failed_logins().check(address, now.0).is_err() {
        return Ok(show(&next, Some("Too many wrong tokens; wait a minute.")));
    }
    let admin = app.admin();
    let (given, wanted) = (token::digest(form.token.trim()), token::digest(admin.token.expose()));
    if !bool::from(given.as_bytes().ct_eq(wanted.as_bytes())) {
        // Counted; whether the bucket is empty now matters at the next try.
        let _ = app.failed_logins().take(address, now.0);
        return Ok(show(&next, Some("This is not the token.")));
    }
    let lifetime = Duration::from_secs(app.config().session_lifetime_s);
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    let opened = session::open(app.store(), admin.user, agent, now, lifetime).await;
    let cookie = opened.map_err(|failed| Problem::internal(&failed))?;
    let mut response = Redirect::to(&next).into_response();
    if let Some(value) = session::set_cookie(Some(&cookie), lifetime, transport(&app)) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

pub(super) async fn close(State(app): State<App>, request: Request) -> Result {
    if let Some(cookie) = session::cookie(request.headers()) {
        let hash = token::digest(cookie);
        app.store().write(move |tx| sessions::remove(tx, &hash)).await?;
    }
    let mut response = Redirect::to("/login").into_response();
    if let Some(value) = session::set_cookie(None, Duration::ZERO, transport(&app)) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    // The browser forgets what it has kept of the pages, too.
    response
        .headers_mut()
        .insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

fn transport(app: &App) -> Transport {
    if app.url().starts_with("https://") {
        Transport::Https
    } else {
        Transport::Http
    }
}

/// Only a path of this server: a link to the log-in must not lead elsewhere afterwards.
fn local(next: &str) -> &str {
    let mut bytes = next.bytes();
    let fits = bytes.next() == Some(b'/')
        && !matches!(next.as_bytes().get(1), Some(b'/' | b'\\'))
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && !next.starts_with("/login");
    if fits { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_leads_only_to_our_own_pages() {
        let check = |next: &str, expected: &str| assert_eq!(local(next), expected, "{next:?}");
        check("/jobs/7?x=1", "/jobs/7?x=1");
        check("", "/");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("https://evil.example", "/");
        check("/a\r\nset-cookie: x", "/");
        check("/login?next=/login", "/");
    }
}
