//! The environments of a project, and one environment with its deployments.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;
use tasuki_model::id::ProjectId;
use tasuki_proto::rest::{self as api, DeploymentStatus, EnvironmentState};
use tasuki_store::environments::{self, Filter};
use tasuki_store::projects;

use super::frame::{self, Frame, Result, not_found};
use super::show::{Address, StatusView, Took, short_sha};
use crate::app::App;
use crate::environments::make_wanted;
use crate::http::extract::Id;
use crate::http::rest::{self, view};
use crate::identity::Caller;
use crate::scheduler::HowToStop;

/// Environments, or deployments, on a page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/projects/{id}/environments", get(list))
        .route("/environments/{id}", get(show))
        .route("/environments/{id}/stop", post(stop))
        .route("/environments/{id}/keep", post(keep))
}

#[derive(Template)]
#[template(path = "environments.html")]
struct EnvironmentsPage {
    frame: Frame,
    project: String,
    project_url: String,
    environments: Vec<Place>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "environment.html")]
struct EnvironmentPage {
    frame: Frame,
    project: String,
    project_url: String,
    e: Place,
    deployments: Vec<Row>,
    next: Option<String>,
}

/// An environment.
struct Place {
    url: String,
    name: String,
    tier: String,
    status: StatusView,
    address: Option<Address>,
    stops_at: Option<String>,
    last: Option<Row>,
    /// Under way, or failed, after the last one.
    latest: Option<Row>,
    can_stop: bool,
}

/// A deployment.
struct Row {
    job: String,
    job_url: Option<String>,
    status: StatusView,
    git_ref: String,
    short_sha: String,
    address: Option<Address>,
    took: Took,
    created: String,
}

#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

#[derive(Deserialize)]
struct Before {
    before: Option<i64>,
}

async fn list(State(app): State<App>, caller: Caller, Id(id): Id, Query(after): Query<After>) -> Result {
    make_wanted(&app).await?;
    let url = app.url().to_owned();
    let found = app.store().read(move |tx| {
        let Some(project) = projects::get(tx, ProjectId(id))? else {
            return Ok(None);
        };
        let filter = Filter {
            after: after.after.as_deref(),
            ..Filter::default()
        };
        let page = rest::environment_page(tx, project.id, &filter, PAGE, &url)?;
        Ok(Some((project, page)))
    });
    let Some((project, page)) = found.await? else {
        return Err(not_found("project"));
    };
    let project_url = format!("/projects/{}", project.id);
    Ok(frame::page(&EnvironmentsPage {
        frame: Frame::new("projects", &caller).live("/api/v1/events"),
        project: project.path,
        next: page.next.map(|name| {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("after", &name)
                .finish();
            format!("{project_url}/environments?{query}")
        }),
        project_url,
        environments: page.items.into_iter().map(place).collect(),
    }))
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id, Query(before): Query<Before>) -> Result {
    make_wanted(&app).await?;
    let url = app.url().to_owned();
    let found = app.store().read(move |tx| {
        let Some(row) = environments::get(tx, id)? else {
            return Ok(None);
        };
        let Some(project) = projects::get(tx, row.project_id)? else {
            return Ok(None);
        };
        let environment = view::environment(tx, &row, &url)?;
        let page = rest::deployment_page(tx, id, before.before, PAGE, &url)?;
        Ok(Some((project, environment, page)))
    });
    let Some((project, environment, page)) = found.await? else {
        return Err(not_found("environment"));
    };
    Ok(frame::page(&EnvironmentPage {
        frame: Frame::new("projects", &caller).live("/api/v1/events"),
        project_url: format!("/projects/{}", project.id),
        project: project.path,
        e: place(environment),
        deployments: page.items.into_iter().map(row).collect(),
        next: page.next.map(|before| format!("/environments/{id}?before={before}")),
    }))
}

async fn stop(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().stop_environment(id, HowToStop::ByItsJob).await?;
    Ok(Redirect::to(&format!("/environments/{id}")).into_response())
}

async fn keep(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().keep_environment(id).await?;
    Ok(Redirect::to(&format!("/environments/{id}")).into_response())
}

fn place(environment: api::Environment) -> Place {
    let class = match environment.state {
        EnvironmentState::Available => "success",
        EnvironmentState::Stopping => "canceling",
        EnvironmentState::Stopped => "skipped",
    };
    Place {
        url: format!("/environments/{}", environment.id),
        status: StatusView {
            class,
            word: environment.state.as_str(),
        },
        can_stop: environment.state == EnvironmentState::Available,
        name: environment.name,
        tier: environment.tier,
        address: environment.external_url.map(Address::new),
        stops_at: environment.auto_stop_at.map(|at| at.to_string()),
        last: environment.last_deployment.map(row),
        latest: environment.latest_deployment.map(row),
    }
}

fn row(deployment: api::Deployment) -> Row {
    let class = match deployment.status {
        DeploymentStatus::Created => "pending",
        DeploymentStatus::Running => "running",
        DeploymentStatus::Success => "success",
        DeploymentStatus::Failed => "failed",
        DeploymentStatus::Canceled => "canceled",
    };
    Row {
        job_url: deployment
            .job_url
            .is_some()
            .then(|| format!("/jobs/{}", deployment.job_id)),
        job: deployment.job,
        status: StatusView {
            class,
            word: deployment.status.as_str(),
        },
        short_sha: short_sha(&deployment.sha),
        git_ref: deployment.git_ref,
        address: deployment.url.map(Address::new),
        took: Took::new(deployment.started_at, deployment.finished_at),
        created: deployment.created_at.to_string(),
    }
}
