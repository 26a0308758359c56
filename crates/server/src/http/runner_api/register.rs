//! The life of a registration: register, verify, unregister, reset of the token.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{Extensions, HeaderMap, StatusCode};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tasuki_model::id::{ProjectId, RunnerId};
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::{AccessLevel, Info, RegisterRequest, Registered, TokenReset, headers};
use tasuki_proto::rest::Time;
use tasuki_store::{Tx, runners, tokens};

use super::refusal::{Loose, Refusal, Result, token};
use crate::app::App;
use crate::http::peer;
use crate::http::rest::clean_tags;
use crate::identity::token::{Kind, digest, new};
use crate::identity::{Access, authenticate};

/// System id of runners that are too old to have one.
pub(super) const LEGACY: &str = "<legacy>";
/// Tokens that register runners, as the store calls them.
const KIND: &str = "registration";
const DISALLOWED: &str = "410 Gone: this server has no registration tokens. Make a runner with POST /api/v1/runners and \
     register with its glrt- token, or set registration_token";
/// Longest texts that are stored.
const LONGEST: usize = 1024;
const LONGEST_SYSTEM_ID: usize = 64;

/// What is common to the bodies of verify and unregister; all of it may be missing or `null`.
#[derive(Deserialize)]
pub(super) struct Body {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    system_id: Option<String>,
    #[serde(default)]
    info: Option<Info>,
}

impl Body {
    fn token<'a>(&'a self, map: &'a HeaderMap) -> Result<&'a str> {
        token(map, headers::RUNNER_TOKEN, self.token.as_deref().unwrap_or_default()).ok_or_else(Refusal::forbidden)
    }
}

/// The system id as it is stored.
pub(super) fn system_id(given: &str) -> Result<&str> {
    match given {
        "" => Ok(LEGACY),
        id if id.len() <= LONGEST_SYSTEM_ID && id.bytes().all(|b| b.is_ascii_graphic()) => Ok(id),
        _ => Err(Refusal::bad_request(
            "system_id is longer than 64 characters or has others than printable ones",
        )),
    }
}

/// The runner that a token belongs to, unless it has expired.
pub(super) fn runner_of(tx: &mut Tx<'_>, hash: &str, now: Timestamp) -> tasuki_store::Result<Option<runners::Runner>> {
    let found = runners::by_token_hash(tx, hash)?;
    Ok(found.filter(|runner| runner.token_expires_ms.is_none_or(|at| at > now)))
}

/// Keeps what a process says of itself; asked for the first time and at every verify and job request with news.
pub(super) fn note_manager(
    tx: &mut Tx<'_>,
    runner: RunnerId,
    system_id: &str,
    info: &Info,
    address: IpAddr,
    now: Timestamp,
) -> tasuki_store::Result<()> {
    let json = serde_json::to_string(info).unwrap_or_default();
    runners::set_manager(tx, runner, system_id, &json, &address.to_string(), now)
}

/// `POST /runners`: makes a runner with a registration token.
pub(super) async fn register(
    State(app): State<App>,
    extensions: Extensions,
    Loose(request): Loose<RegisterRequest>,
) -> Result<impl IntoResponse> {
    let (address, now) = (peer(&extensions), app.now());
    if let Err(refused) = app.failed_logins().check(address, now.0) {
        return Err(Refusal::too_many(refused.retry_after_s));
    }
    let project = match registration(&app, request.token.expose(), now).await? {
        Registration::Allowed(project) => project,
        Registration::WrongToken => {
            let _ = app.failed_logins().take(address, now.0);
            return Err(Refusal::forbidden());
        }
        Registration::Disallowed => {
            return Err(Refusal::new(StatusCode::GONE, DISALLOWED));
        }
    };
    let tags: Vec<String> = request.tag_list.split(',').map(str::to_owned).collect();
    let tags = clean_tags(&tags).map_err(|problem| field("tag_list", &problem.detail))?;
    if tags == "[]" && !request.run_untagged {
        return Err(field(
            "tags_list",
            "can not be empty when runner is not allowed to pick untagged jobs",
        ));
    }
    if request.description.len() > LONGEST || request.maintenance_note.len() > LONGEST {
        return Err(field("description", "is too long (maximum is 1024 characters)"));
    }
    if (1..600).contains(&request.maximum_timeout) {
        return Err(field("maximum_timeout", "needs to be at least 10 minutes"));
    }
    let secret = new(Kind::RegisteredRunner).map_err(|failed| Refusal::internal(&failed))?;
    let hash = digest(secret.expose());
    let expires = app.config().runner_token_expiry(now);
    let id = app
        .store()
        .write(move |tx| insert(tx, &request, project, &tags, (&hash, expires), now))
        .await?;
    tracing::info!(runner.id = id.0, "a runner registered");
    let answer = Registered {
        id: id.0,
        token: secret,
        token_expires_at: shown_time(expires),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

fn insert(
    tx: &mut Tx<'_>,
    request: &RegisterRequest,
    project: Option<ProjectId>,
    tags: &str,
    (token_hash, token_expires_ms): (&str, Option<Timestamp>),
    now: Timestamp,
) -> tasuki_store::Result<RunnerId> {
    let new = runners::NewRunner {
        token_hash,
        description: &request.description,
        scope: if project.is_some() { "project" } else { "instance" },
        project_id: project,
        resource_class_id: None,
        tags_json: tags,
        run_untagged: request.run_untagged,
        locked: request.locked,
        paused: request.paused,
        access_level: match request.access_level.unwrap_or_default() {
            AccessLevel::NotProtected => "not_protected",
            AccessLevel::RefProtected => "ref_protected",
        },
        maximum_timeout_s: i64::try_from(request.maximum_timeout).ok().filter(|s| *s > 0),
        maintenance_note: &request.maintenance_note,
        token_expires_ms,
    };
    runners::create(tx, &new, now)
}

/// What a registration token allows.
enum Registration {
    /// Runners of this project, or of the whole instance.
    Allowed(Option<ProjectId>),
    WrongToken,
    /// This server has no registration tokens at all.
    Disallowed,
}

async fn registration(app: &App, given: &str, now: Timestamp) -> Result<Registration> {
    let hash = digest(given);
    let own = app.config().registration_token.as_deref();
    if own.is_some_and(|own| bool::from(digest(own).as_bytes().ct_eq(hash.as_bytes()))) {
        return Ok(Registration::Allowed(None));
    }
    let has_own = own.is_some();
    let found = app.store().read(move |tx| {
        if let Some(token) = tokens::by_hash(tx, &hash, now)?.filter(|token| token.kind == KIND) {
            return Ok(Registration::Allowed(token.project_id));
        }
        let any = has_own || tokens::all(tx)?.iter().any(|token| token.kind == KIND);
        Ok(if any {
            Registration::WrongToken
        } else {
            Registration::Disallowed
        })
    });
    Ok(found.await?)
}

fn field(name: &str, problem: &str) -> Refusal {
    Refusal {
        message: serde_json::json!({ name: [problem] }),
        ..Refusal::bad_request(String::new())
    }
}

fn shown_time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| Time(at).to_string())
}

/// `POST /runners/verify`: whether the token is good. Also the place where a process tells what it can do.
pub(super) async fn verify(
    State(app): State<App>,
    map: HeaderMap,
    extensions: Extensions,
    Loose(body): Loose<Body>,
) -> Result<Json<Registered>> {
    let given = body.token(&map)?;
    let hash = digest(given);
    let system_id = system_id(body.system_id.as_deref().unwrap_or_default())?.to_owned();
    let (address, now) = (peer(&extensions), app.now());
    let answer = Secret::new(given);
    // Runners before 18 say nothing of themselves here: what they said when they asked for jobs stands.
    let info = body.info.unwrap_or_default();
    let runner = app
        .store()
        .write(move |tx| {
            let Some(runner) = runner_of(tx, &hash, now)? else {
                return Ok(None);
            };
            if info == Info::default()
                && runners::managers(tx, runner.id)?
                    .iter()
                    .any(|m| m.system_id == system_id)
            {
                runners::touch_all(tx, &[(runner.id, &system_id, now)])?;
            } else {
                note_manager(tx, runner.id, &system_id, &info, address, now)?;
            }
            Ok(Some(runner))
        })
        .await?
        .ok_or_else(Refusal::forbidden)?;
    Ok(Json(Registered {
        id: runner.id.0,
        token: answer,
        token_expires_at: shown_time(runner.token_expires_ms),
    }))
}

/// `DELETE /runners`: removes the runner with all its processes.
pub(super) async fn unregister(State(app): State<App>, map: HeaderMap, Loose(body): Loose<Body>) -> Result<StatusCode> {
    let (hash, now) = (digest(body.token(&map)?), app.now());
    let removed = app
        .store()
        .write(move |tx| match runner_of(tx, &hash, now)? {
            Some(runner) => runners::remove(tx, runner.id),
            None => Ok(false),
        })
        .await?;
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::forbidden())
    }
}

/// `DELETE /runners/managers`: removes one process of a runner.
pub(super) async fn unregister_manager(
    State(app): State<App>,
    map: HeaderMap,
    Loose(body): Loose<Body>,
) -> Result<StatusCode> {
    let (hash, now) = (digest(body.token(&map)?), app.now());
    let Some(system_id) = body.system_id.filter(|id| !id.is_empty()) else {
        return Err(Refusal::bad_request("400 Bad Request: system_id is missing"));
    };
    let removed = app
        .store()
        .write(move |tx| {
            let Some(runner) = runner_of(tx, &hash, now)? else {
                return Ok(None);
            };
            runners::remove_manager(tx, runner.id, &system_id).map(Some)
        })
        .await?;
    match removed {
        Some(true) => Ok(StatusCode::NO_CONTENT),
        Some(false) => Err(Refusal::new(StatusCode::NOT_FOUND, "404 Runner not found")),
        None => Err(Refusal::forbidden()),
    }
}

/// `POST /runners/reset_authentication_token`: another token for who shows the present one.
pub(super) async fn reset(
    State(app): State<App>,
    map: HeaderMap,
    Loose(body): Loose<Body>,
) -> Result<impl IntoResponse> {
    let (hash, now) = (digest(body.token(&map)?), app.now());
    replace(&app, now, move |tx| runner_of(tx, &hash, now))
        .await?
        .ok_or_else(Refusal::forbidden)
}

/// `POST /runners/:id/reset_authentication_token`: the same for an administrator.
pub(super) async fn reset_by_id(
    State(app): State<App>,
    map: HeaderMap,
    extensions: Extensions,
    Path(id): Path<i64>,
) -> Result<impl IntoResponse> {
    let (address, now) = (peer(&extensions), app.now());
    if let Err(refused) = app.failed_logins().check(address, now.0) {
        return Err(Refusal::too_many(refused.retry_after_s));
    }
    let caller = authenticate(app.store(), &map, now).await?;
    match caller {
        Some(caller) if caller.access == Access::Admin => {}
        Some(caller) if caller.access > Access::Nobody => return Err(Refusal::forbidden()),
        other => {
            if other.is_none() {
                let _ = app.failed_logins().take(address, now.0);
            }
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "401 Unauthorized"));
        }
    }
    replace(&app, now, move |tx| runners::get(tx, RunnerId(id)))
        .await?
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "404 Runner not found"))
}

/// Gives the runner that `find` finds another token. It lives as long as tokens do on this server; where they live for
/// ever, a limit that the runner's token has stays.
async fn replace<F>(app: &App, now: Timestamp, find: F) -> Result<Option<(StatusCode, Json<TokenReset>)>>
where
    F: FnOnce(&mut Tx<'_>) -> tasuki_store::Result<Option<runners::Runner>> + Send + 'static,
{
    let secret = new(Kind::Runner).map_err(|failed| Refusal::internal(&failed))?;
    let hash = digest(secret.expose());
    let lifetime = app.config().runner_token_expiry(now);
    let changed = app
        .store()
        .write(move |tx| {
            let Some(runner) = find(tx)? else { return Ok(None) };
            let expires = lifetime.or(runner.token_expires_ms);
            let changed = runners::set_token(tx, runner.id, &hash, expires)?;
            Ok(changed.then_some(expires))
        })
        .await?;
    Ok(changed.map(|expires| {
        let answer = TokenReset {
            token: secret,
            token_expires_at: shown_time(expires),
        };
        (StatusCode::CREATED, Json(answer))
    }))
}

/// `GET /runners/router/discovery`: there is no job router, so the runner asks for jobs directly.
pub(super) async fn discovery() -> Refusal {
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented")
}
