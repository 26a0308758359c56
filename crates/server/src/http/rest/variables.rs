//! `/projects/{project}/variables`. Values are encrypted; those of masked ones are never given out again.

use axum::Json;
use axum::extract::State;
use http::{Method, StatusCode};
use serde::Deserialize;
use tasuki_model::secret::Secret;
use tasuki_proto::rest::{Page, ProjectVariable};
use tasuki_store::variables;

use super::api::Api;
use super::{projects, view};
use crate::app::{App, project_scope};
use crate::http::error::{Problem, Result};
use crate::http::extract::{Json as Body, Name, Names, Params};
use crate::identity::Access::Admin;
use crate::secrets::{self, NewVariable};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/projects/{project}/variables",
        Admin,
        "List a project's variables",
        list,
    )
    .gives::<Page<ProjectVariable>>(200);
    api.add(
        Method::PUT,
        "/projects/{project}/variables/{key}",
        Admin,
        "Set a variable of a project",
        put,
    )
    .takes::<ProjectVariable>()
    .gives::<ProjectVariable>(200);
    api.add(
        Method::DELETE,
        "/projects/{project}/variables/{key}",
        Admin,
        "Remove a variable of a project",
        remove,
    )
    .query(&[("environment_scope", "Which one of that name (`*`)")]);
}

/// Masked values are found in logs by their text: short or many-lined ones cannot be.
const SHORTEST_MASKED: usize = 8;

async fn list(State(app): State<App>, Name(project): Name) -> Result<Json<Page<ProjectVariable>>> {
    let vault = app.vault().clone();
    let items = app
        .store()
        .read_as(move |tx| {
            let scope = project_scope(projects::find(tx, &project)?.id.0);
            let rows = variables::of_scope(tx, &scope)?;
            let open = secrets::of_scope(tx, vault.keys(), &scope)?;
            let pairs = rows.iter().zip(open);
            Ok::<_, Problem>(
                pairs
                    .map(|(row, open)| view::variable(row, Some(open.variable.value)))
                    .collect::<Vec<_>>(),
            )
        })
        .await?;
    Ok(Json(Page::whole(items)))
}

async fn put(
    State(app): State<App>,
    Names(project, key): Names,
    Body(given): Body<ProjectVariable>,
) -> Result<Json<ProjectVariable>> {
    if key != given.key && !given.key.is_empty() {
        return Err(Problem::invalid("key", "is another one than in the address"));
    }
    let fits = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits {
        return Err(Problem::invalid("key", "use letters, digits and _"));
    }
    let Some(value) = given.value.clone() else {
        return Err(Problem::invalid("value", "is missing"));
    };
    let one_line = !value.contains(['\n', '\r', ' ', '\t']);
    if given.masked && (value.len() < SHORTEST_MASKED || !one_line) {
        let rule = format!("a masked value has at least {SHORTEST_MASKED} characters and no white space");
        return Err(Problem::invalid("value", rule));
    }
    let (vault, now) = (app.vault().clone(), app.now());
    let mut answer = given.clone();
    answer.key.clone_from(&key);
    answer.value = given.value.filter(|_| !given.masked);
    app.store()
        .write_as(move |tx| {
            let project = projects::find(tx, &project)?;
            let new = NewVariable {
                scope: project_scope(project.id.0),
                key,
                environment_scope: given.environment_scope,
                value: Secret::new(value),
                masked: given.masked,
                protected: given.protected,
                file: given.file,
                raw: given.raw,
                description: String::new(),
            };
            secrets::put(tx, vault.keys(), &new, now)?;
            Ok::<_, Problem>(())
        })
        .await?;
    Ok(Json(answer))
}

#[derive(Deserialize)]
struct Which {
    environment_scope: Option<String>,
}

async fn remove(
    State(app): State<App>,
    Names(project, key): Names,
    Params(which): Params<Which>,
) -> Result<StatusCode> {
    let environment = which.environment_scope.unwrap_or_else(|| "*".to_owned());
    let name = key.clone();
    let removed = app
        .store()
        .write_as(move |tx| {
            let project = projects::find(tx, &project)?;
            Ok::<_, Problem>(variables::remove(tx, &project_scope(project.id.0), &key, &environment)?)
        })
        .await?;
    removed
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(|| Problem::not_found(format!("variable {name}")))
}
