//! `/runners`, `/resource_classes`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use tasuki_model::id::RunnerId;
use tasuki_model::labels::Offer;
use tasuki_model::secret::Secret;
use tasuki_proto::rest::{
    CreatedResourceClass, CreatedRunner, CreatedToken, NewResourceClass, NewRunner, Page, ResourceClass, Runner,
    RunnerPatch, RunnerScope, TokenScope,
};
use tasuki_store::{projects, resource_classes, runners};

use super::api::Api;
use super::{tokens, view};
use crate::app::App;
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Id, Json as Body, Name};
use crate::http::runner_api::offer;
use crate::identity::Access::{Admin, Read};
use crate::identity::token::{self, Kind};

pub(super) fn declare(api: &mut Api) {
    api.add(Method::GET, "/runners", Read, "List runners", list)
        .gives::<Page<Runner>>(200);
    api.add(
        Method::POST,
        "/runners",
        Admin,
        "Make a runner; its token is shown only now",
        create,
    )
    .takes::<NewRunner>()
    .gives::<CreatedRunner>(201);
    api.add(Method::GET, "/runners/{id}", Read, "Show a runner", show)
        .gives::<Runner>(200);
    api.add(
        Method::PATCH,
        "/runners/{id}",
        Admin,
        "Change a runner: pause it, give it other tags",
        change,
    )
    .takes::<RunnerPatch>()
    .gives::<Runner>(200);
    api.add(
        Method::DELETE,
        "/runners/{id}",
        Admin,
        "Remove a runner; its token opens nothing any more",
        remove,
    );
    api.add(Method::GET, "/resource_classes", Read, "List resource classes", classes)
        .gives::<Page<ResourceClass>>(200);
    api.add(
        Method::POST,
        "/resource_classes",
        Admin,
        "Make a resource class with its first token",
        create_class,
    )
    .takes::<NewResourceClass>()
    .gives::<CreatedResourceClass>(201);
    api.add(
        Method::DELETE,
        "/resource_classes/{name}",
        Admin,
        "Remove a resource class with its tokens and runners",
        remove_class,
    );
}

async fn list(State(app): State<App>) -> Result<Json<Page<Runner>>> {
    let now = app.now();
    let items = app
        .store()
        .read(move |tx| {
            runners::all(tx)?
                .iter()
                .map(|row| view::runner(tx, row, now))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    Ok(Json(Page::whole(items)))
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Runner>> {
    let now = app.now();
    let found = app
        .store()
        .read(move |tx| {
            runners::get(tx, RunnerId(id))?
                .map(|row| view::runner(tx, &row, now))
                .transpose()
        })
        .await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("runner {id}")))
}

async fn create(State(app): State<App>, Body(new): Body<NewRunner>) -> Result<impl IntoResponse> {
    let now = app.now();
    let secret = fresh(Kind::Runner)?;
    let hash = token::digest(secret.expose());
    let expires = app.config().runner_token_expiry(now);
    let owner = match (new.scope, &new.owner) {
        (RunnerScope::Instance, None) => None,
        (RunnerScope::Project, Some(path)) => Some(path.clone()),
        (RunnerScope::Project, None) => return Err(Problem::invalid("owner", "the path of the project is needed")),
        (RunnerScope::Instance, Some(_)) => return Err(Problem::invalid("owner", "an instance runner has none")),
        (RunnerScope::Namespace, _) => {
            return Err(Problem::invalid(
                "scope",
                "runners of a namespace are not there yet: use instance or project",
            ));
        }
    };
    let tags = clean_tags(&new.tags)?;
    let runner = app
        .store()
        .write_as(move |tx| {
            let project = match owner {
                None => None,
                Some(path) => {
                    let found = projects::by_path(tx, &path)?;
                    Some(
                        found
                            .ok_or_else(|| Problem::invalid("owner", format!("there is no project {path}")))?
                            .id,
                    )
                }
            };
            let row = runners::NewRunner {
                token_hash: &hash,
                description: &new.name,
                scope: if project.is_some() { "project" } else { "instance" },
                project_id: project,
                resource_class_id: None,
                tags_json: &tags,
                run_untagged: new.run_untagged.unwrap_or(new.tags.is_empty()),
                locked: new.locked,
                paused: new.paused,
                access_level: access_level(new.protected_only),
                maximum_timeout_s: new.maximum_timeout_s.and_then(|s| i64::try_from(s).ok()),
                maintenance_note: &new.maintenance_note,
                token_expires_ms: expires,
            };
            let id = runners::create(tx, &row, now)?;
            let row = runners::get(tx, id)?.ok_or(tasuki_store::Error::Missing {
                what: "runner",
                id: id.0,
            })?;
            Ok::<_, Problem>(view::runner(tx, &row, now)?)
        })
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedRunner {
            runner,
            token: secret.expose().to_owned(),
        }),
    ))
}

async fn change(State(app): State<App>, Id(id): Id, Body(patch): Body<RunnerPatch>) -> Result<Json<Runner>> {
    let now = app.now();
    let tags = patch.tags.as_deref().map(clean_tags).transpose()?;
    let changed = app
        .store()
        .write(move |tx| {
            let Some(mut row) = runners::get(tx, RunnerId(id))? else {
                return Ok(None);
            };
            let before = offer(tx, &row)?;
            row.description = patch.name.unwrap_or(row.description);
            row.tags_json = tags.unwrap_or(row.tags_json);
            row.run_untagged = patch.run_untagged.unwrap_or(row.run_untagged);
            row.paused = patch.paused.unwrap_or(row.paused);
            if let Some(only) = patch.protected_only {
                access_level(only).clone_into(&mut row.access_level);
            }
            if let Some(seconds) = patch.maximum_timeout_s {
                row.maximum_timeout_s = i64::try_from(seconds).ok().filter(|s| *s > 0);
            }
            runners::update(tx, &row)?;
            Ok(Some((view::runner(tx, &row, now)?, before)))
        })
        .await?;
    let (runner, before) = changed.ok_or_else(|| Problem::not_found(format!("runner {id}")))?;
    send_away(&app, &before);
    Ok(Json(runner))
}

/// Processes that wait with this offer ask again, with what they offer now.
fn send_away(app: &App, before: &Offer) {
    let same = |offer: &Offer| {
        Offer {
            features: before.features.clone(),
            ..offer.clone()
        } == *before
    };
    app.scheduler().send_away(same);
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app
        .store()
        .write(move |tx| {
            let Some(row) = runners::get(tx, RunnerId(id))? else {
                return Ok(None);
            };
            let before = offer(tx, &row)?;
            runners::remove(tx, row.id)?;
            Ok(Some(before))
        })
        .await?;
    let before = removed.ok_or_else(|| Problem::not_found(format!("runner {id}")))?;
    send_away(&app, &before);
    Ok(StatusCode::NO_CONTENT)
}

async fn classes(State(app): State<App>) -> Result<Json<Page<ResourceClass>>> {
    let rows = app.store().read(resource_classes::all).await?;
    Ok(Json(Page::whole(rows.iter().map(view::resource_class).collect())))
}

async fn create_class(State(app): State<App>, Body(new): Body<NewResourceClass>) -> Result<impl IntoResponse> {
    let fits = new.name.split_once('/').is_some_and(|(namespace, name)| {
        [namespace, name]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(allowed_in_name))
    });
    if !fits {
        return Err(Problem::invalid(
            "name",
            "write namespace/name with letters, digits, `-`, `_` and `.`",
        ));
    }
    let now = app.now();
    let secret = fresh(Kind::Runner)?;
    let hash = token::digest(secret.expose());
    let (class, token) = app
        .store()
        .write_as(move |tx| {
            let id = match resource_classes::create(tx, &new.name, &new.description, now) {
                Err(tasuki_store::Error::Duplicate { .. }) => {
                    return Err(Problem::new(Code::Conflict, format!("{} is taken", new.name)));
                }
                other => other?,
            };
            let name = format!("{} (first)", new.name);
            let token = {
                let of = tokens::Of {
                    class: Some(id),
                    ..tokens::Of::default()
                };
                tokens::insert(tx, &name, TokenScope::ResourceClass, of, &hash, None, now)?
            };
            let class = resource_classes::by_name(tx, &new.name)?;
            let class = class.ok_or(tasuki_store::Error::Missing {
                what: "resource class",
                id: id.0,
            })?;
            Ok((view::resource_class(&class), token))
        })
        .await?;
    let token = CreatedToken {
        token,
        secret: secret.expose().to_owned(),
    };
    Ok((
        StatusCode::CREATED,
        Json(CreatedResourceClass {
            resource_class: class,
            token,
        }),
    ))
}

async fn remove_class(State(app): State<App>, Name(name): Name) -> Result<StatusCode> {
    let wanted = name.clone();
    let removed = app
        .store()
        .write(move |tx| match resource_classes::by_name(tx, &wanted)? {
            Some(class) => resource_classes::remove(tx, class.id),
            None => Ok(false),
        })
        .await?;
    removed
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(|| Problem::not_found(format!("resource class {name}")))
}

/// A new token, or the problem that there are no random numbers.
pub(super) fn fresh(kind: Kind) -> Result<Secret> {
    token::new(kind).map_err(|failed| Problem::internal(&failed))
}

pub(super) fn allowed_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

fn access_level(protected_only: bool) -> &'static str {
    if protected_only {
        "ref_protected"
    } else {
        "not_protected"
    }
}

/// Tags without blanks and doubles, as JSON.
pub fn clean_tags(tags: &[String]) -> Result<String> {
    let mut all: Vec<&str> = tags
        .iter()
        .map(|tag| tag.trim())
        .filter(|tag| !tag.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    if all.len() > 50 || all.iter().any(|tag| tag.len() > 255) {
        return Err(Problem::invalid("tags", "at most 50 tags of 255 characters"));
    }
    Ok(serde_json::to_string(&all).unwrap_or_default())
}
