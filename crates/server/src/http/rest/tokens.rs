//! `/tokens`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use serde::Deserialize;
use tasuki_model::id::{ProjectId, ResourceClassId};
use tasuki_model::time::Timestamp;
use tasuki_proto::rest::{CreatedToken, NewToken, Page, Token, TokenScope};
use tasuki_store::{Tx, resource_classes, runners, tokens};

use super::api::Api;
use super::runners::fresh;
use super::{projects, view};
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Json as Body, Params};
use crate::identity::Access::Admin;
use crate::identity::token::{self, Kind};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/tokens",
        Admin,
        "List tokens; their texts are not kept",
        list,
    )
    .query(&[("resource_class", "Only those of this class")])
    .gives::<Page<Token>>(200);
    api.add(
        Method::POST,
        "/tokens",
        Admin,
        "Make a token; its text is shown only now",
        create,
    )
    .takes::<NewToken>()
    .gives::<CreatedToken>(201);
    api.add(
        Method::DELETE,
        "/tokens/{id}",
        Admin,
        "Remove a token: it opens nothing any more",
        remove,
    );
}

#[derive(Deserialize)]
struct Filter {
    resource_class: Option<String>,
}

async fn list(State(app): State<App>, Params(filter): Params<Filter>) -> Result<Json<Page<Token>>> {
    let all = app
        .store()
        .read(|tx| {
            let rows = tokens::all(tx)?;
            let shown: Result<Vec<Option<Token>>, _> = rows.iter().map(|row| view::token(tx, row)).collect();
            Ok(shown?.into_iter().flatten().collect::<Vec<_>>())
        })
        .await?;
    let wanted = |token: &Token| filter.resource_class.is_none() || token.resource_class == filter.resource_class;
    Ok(Json(Page::whole(all.into_iter().filter(wanted).collect())))
}

async fn create(State(app): State<App>, Body(new): Body<NewToken>) -> Result<impl IntoResponse> {
    let name = new.name.trim().to_owned();
    if name.is_empty() || name.len() > 255 {
        return Err(Problem::invalid("name", "between 1 and 255 characters"));
    }
    let kind = match new.scope {
        TokenScope::Admin | TokenScope::Api | TokenScope::Read => Kind::Api,
        TokenScope::RunnerRegistration => Kind::Registration,
        TokenScope::ResourceClass => Kind::Runner,
        TokenScope::Trigger => Kind::Trigger,
    };
    if (new.scope == TokenScope::Trigger) != new.project.is_some() {
        return Err(Problem::invalid("project", "goes together with the scope trigger"));
    }
    if (new.scope == TokenScope::ResourceClass) != new.resource_class.is_some() {
        return Err(Problem::invalid(
            "resource_class",
            "goes together with the scope resource_class",
        ));
    }
    let now = app.now();
    let expires = new.expires_at.map(Timestamp::from);
    if expires.is_some_and(|at| at <= now) {
        return Err(Problem::invalid("expires_at", "lies in the past"));
    }
    let secret = fresh(kind)?;
    let hash = token::digest(secret.expose());
    let token = app
        .store()
        .write_as(move |tx| {
            let class = match &new.resource_class {
                None => None,
                Some(name) => {
                    let found = resource_classes::by_name(tx, name)?;
                    let unknown = || Problem::invalid("resource_class", format!("there is no class {name}"));
                    Some(found.ok_or_else(unknown)?.id)
                }
            };
            let project = match &new.project {
                None => None,
                Some(project) => Some(projects::find(tx, project)?.id),
            };
            let of = Of { class, project };
            Ok::<_, Problem>(insert(tx, &name, new.scope, of, &hash, expires, now)?)
        })
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedToken {
            token,
            secret: secret.expose().to_owned(),
        }),
    ))
}

/// What a token belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Of {
    pub(super) class: Option<ResourceClassId>,
    pub(super) project: Option<ProjectId>,
}

/// Saves a token; gives it back as the API shows it.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    name: &str,
    scope: TokenScope,
    of: Of,
    hash: &str,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> tasuki_store::Result<Token> {
    let (kind, scopes) = match scope {
        TokenScope::Admin => ("admin", "[]"),
        TokenScope::Api => ("api", r#"["api"]"#),
        TokenScope::Read => ("api", r#"["read"]"#),
        TokenScope::RunnerRegistration => ("registration", "[]"),
        TokenScope::ResourceClass => ("resource_class", "[]"),
        TokenScope::Trigger => ("trigger", "[]"),
    };
    let class = of.class;
    let new = tokens::NewToken {
        hash,
        kind,
        name,
        user_id: None,
        project_id: of.project,
        resource_class_id: class,
        scopes_json: scopes,
        expires_ms: expires,
    };
    let id = tokens::create(tx, &new, now)?;
    if class.is_some() {
        // Runners of a class show its token, so it is a registration as well: any number of processes may share it.
        let runner = runners::NewRunner {
            token_hash: hash,
            description: name,
            scope: "instance",
            project_id: None,
            resource_class_id: class,
            tags_json: "[]",
            run_untagged: true,
            locked: false,
            paused: false,
            access_level: "not_protected",
            maximum_timeout_s: None,
            maintenance_note: "",
            token_expires_ms: expires,
        };
        runners::create(tx, &runner, now)?;
    }
    let missing = tasuki_store::Error::Missing { what: "token", id };
    let row = tokens::by_hash(tx, hash, now)?.ok_or_else(|| missing.clone())?;
    view::token(tx, &row)?.ok_or(missing)
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app
        .store()
        .write(move |tx| {
            let Some(token) = tokens::all(tx)?.into_iter().find(|token| token.id == id) else {
                return Ok(false);
            };
            if let Some(runner) = runners::by_token_hash(tx, &token.hash)? {
                runners::remove(tx, runner.id)?;
            }
            tokens::remove(tx, id)
        })
        .await?;
    removed
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(|| Problem::not_found(format!("token {id}")))
}
