//! Lists of pipelines, and one pipeline with its picture.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_proto::rest::{self as api, PipelineDetail};
use tasuki_store::{pages, pipelines, projects};

use super::frame::{self, Frame, Result, not_found};
use super::graph::{Column, Down, Graph, Node};
use super::show::{StatusView, Took, short_sha};
use crate::app::App;
use crate::http::extract::Id;
use crate::http::rest::{self, view};
use crate::identity::Caller;

/// Pipelines on a page.
const PAGE: u32 = 30;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/pipelines", get(list))
        .route("/projects/{id}", get(list_of))
        .route("/pipelines/{id}", get(show))
        .route("/pipelines/{id}/cancel", post(cancel))
        .route("/pipelines/{id}/retry", post(retry))
}

async fn cancel(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().cancel_pipeline(PipelineId(id)).await?;
    Ok(Redirect::to(&format!("/pipelines/{id}")).into_response())
}

async fn retry(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().retry_pipeline(PipelineId(id)).await?;
    Ok(Redirect::to(&format!("/pipelines/{id}")).into_response())
}

#[derive(Template)]
#[template(path = "pipelines.html")]
struct PipelinesPage {
    frame: Frame,
    title: String,
    project: Option<ProjectHead>,
    pipelines: Vec<Row>,
    next: Option<String>,
}

struct ProjectHead {
    path: String,
    location: String,
    url: String,
    default_branch: String,
    /// It shows pages.
    has_pages: bool,
}

struct Row {
    url: String,
    project: String,
    iid: i64,
    title: String,
    git_ref: String,
    short_sha: String,
    source: String,
    status: StatusView,
    done: u64,
    total: u64,
    failed: u64,
    took: Took,
    created: String,
}

impl Row {
    fn new(p: api::Pipeline) -> Self {
        let counts = p.counts;
        Self {
            url: format!("/pipelines/{}", p.id),
            project: p.project,
            iid: p.iid,
            title: title(p.name.as_deref(), &p.title, p.iid),
            git_ref: p.git_ref,
            short_sha: short_sha(&p.sha),
            source: p.source.replace('_', " "),
            status: p.status.into(),
            done: counts.success + counts.failed + counts.canceled + counts.skipped,
            total: counts.total,
            failed: counts.failed,
            took: Took::new(p.started_at, p.finished_at),
            created: p.created_at.to_string(),
        }
    }
}

fn title(name: Option<&str>, commit: &str, iid: i64) -> String {
    match name {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ if !commit.is_empty() => commit.to_owned(),
        _ => format!("Pipeline #{iid}"),
    }
}

#[derive(Deserialize)]
struct Place {
    before: Option<i64>,
}

async fn list(State(app): State<App>, caller: Caller, Query(place): Query<Place>) -> Result {
    let (before, url) = (place.before.map(PipelineId), app.url().to_owned());
    let page = app
        .store()
        .read(move |tx| rest::pipeline_page(tx, None, before, PAGE, &url))
        .await?;
    Ok(frame::page(&PipelinesPage {
        frame: Frame::new("pipelines", &caller).live("/api/v1/events"),
        title: "Pipelines".to_owned(),
        project: None,
        next: page.next.map(|cursor| format!("/pipelines?before={cursor}")),
        pipelines: page.items.into_iter().map(Row::new).collect(),
    }))
}

async fn list_of(State(app): State<App>, caller: Caller, Id(id): Id, Query(place): Query<Place>) -> Result {
    let (before, url, now) = (place.before.map(PipelineId), app.url().to_owned(), app.now());
    let found = app
        .store()
        .read(move |tx| {
            let Some(project) = projects::get(tx, ProjectId(id))? else {
                return Ok(None);
            };
            let page = rest::pipeline_page(tx, Some(project.id), before, PAGE, &url)?;
            let has_pages = !pages::page(tx, project.id, None, 1, now)?.is_empty();
            Ok(Some((view::project(&project, &url), page, has_pages)))
        })
        .await?;
    let Some((project, page, has_pages)) = found else {
        return Err(not_found("project"));
    };
    let here = format!("/projects/{id}");
    Ok(frame::page(&PipelinesPage {
        frame: Frame::new("projects", &caller).live("/api/v1/events"),
        title: project.path.clone(),
        next: page.next.map(|cursor| format!("{here}?before={cursor}")),
        project: Some(ProjectHead {
            path: project.path,
            location: project.location,
            url: here,
            default_branch: project.default_branch,
            has_pages,
        }),
        pipelines: page.items.into_iter().map(Row::new).collect(),
    }))
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    frame: Frame,
    p: Head,
    diagnostics: Vec<Finding>,
    workflows: Vec<Picture>,
    /// Page, project and job of the pipeline that started this one.
    upstream: Option<(String, String, String)>,
    /// Pages of the pipelines before and after, of a configuration that gives another one.
    setup: Option<i64>,
    continuation: Option<i64>,
    /// Jobs that could start no pipeline, and why.
    refused: Vec<(String, String)>,
}

struct Head {
    url: String,
    project: String,
    project_url: String,
    iid: i64,
    title: String,
    git_ref: String,
    short_sha: String,
    source: String,
    user: Option<String>,
    status: StatusView,
    took: Took,
    created: String,
    can_cancel: bool,
    can_retry: bool,
}

struct Finding {
    class: &'static str,
    severity: String,
    place: String,
    message: String,
    hint: Option<String>,
}

struct Picture {
    id: i64,
    name: String,
    graph: Graph,
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id) -> Result {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            pipelines::get(tx, PipelineId(id))?
                .map(|row| view::detail(tx, &row, &url))
                .transpose()
        })
        .await?;
    let Some(detail) = found else {
        return Err(not_found("pipeline"));
    };
    let mut frame = Frame::new("pipelines", &caller);
    if !detail.pipeline.status.is_final() {
        frame = frame.live(format!("/api/v1/pipelines/{id}/events"));
    }
    Ok(frame::page(&pipeline_page(frame, detail)))
}

fn pipeline_page(frame: Frame, detail: PipelineDetail) -> PipelinePage {
    let p = detail.pipeline;
    let counts = p.counts;
    let unfinished = counts.waiting + counts.pending + counts.running + counts.manual;
    let refused = detail
        .downstream
        .iter()
        .filter_map(|d| Some((d.job.clone(), d.error.clone()?)));
    let mut workflows: Vec<Picture> = detail.workflows.into_iter().map(picture).collect();
    PipelinePage {
        frame,
        refused: refused.collect(),
        upstream: detail
            .upstream
            .map(|up| (format!("/pipelines/{}", up.pipeline_id), up.project, up.job)),
        setup: detail.setup,
        continuation: detail.continuation,
        workflows: {
            join(&mut workflows, detail.downstream);
            workflows
        },
        diagnostics: detail.diagnostics.into_iter().map(finding).collect(),
        p: Head {
            url: format!("/pipelines/{}", p.id),
            project_url: format!("/projects/{}", p.project_id),
            title: title(p.name.as_deref(), &p.title, p.iid),
            project: p.project,
            iid: p.iid,
            git_ref: p.git_ref,
            short_sha: short_sha(&p.sha),
            source: p.source.replace('_', " "),
            user: p.user,
            status: p.status.into(),
            took: Took::new(p.started_at, p.finished_at),
            created: p.created_at.to_string(),
            can_cancel: !p.status.is_final() && unfinished > 0,
            can_retry: counts.failed + counts.canceled > 0,
        },
    }
}

/// Puts the pipelines that jobs started beside them.
fn join(workflows: &mut [Picture], downstream: Vec<api::Downstream>) {
    let mut by_job: HashMap<String, Down> = HashMap::new();
    for one in downstream {
        if let (Some(id), Some(status)) = (one.pipeline_id, one.status) {
            let down = Down {
                url: format!("/pipelines/{id}"),
                id,
                project: one.project.unwrap_or_default(),
                status,
            };
            by_job.insert(format!("/jobs/{}", one.job_id), down);
        }
    }
    let columns = workflows.iter_mut().flat_map(|workflow| &mut workflow.graph.columns);
    for node in columns.flat_map(|column| &mut column.nodes) {
        node.down = by_job.remove(&node.url);
    }
}

fn finding(d: api::Diagnostic) -> Finding {
    Finding {
        class: match d.severity.as_str() {
            "error" => "failed",
            "warning" => "warning",
            _ => "created",
        },
        place: if d.line == 0 {
            d.file
        } else {
            format!("{}:{}:{}", d.file, d.line, d.column)
        },
        severity: d.severity,
        message: d.message,
        hint: d.hint,
    }
}

/// Columns are stages; a language without stages gets them from how deep a job's needs go.
fn picture(workflow: api::Workflow) -> Picture {
    let depths = depths(&workflow.jobs);
    let staged = workflow.jobs.iter().any(|job| !job.stage.is_empty());
    let mut columns: Vec<Column> = Vec::new();
    let mut places: HashMap<i64, (usize, usize)> = HashMap::new();
    let mut order: Vec<usize> = (0..workflow.jobs.len()).collect();
    if !staged {
        order.sort_by_key(|at| depths[*at]);
    }
    for at in order {
        let job = &workflow.jobs[at];
        let title = if staged {
            job.stage.clone()
        } else {
            format!("{}", depths[at] + 1)
        };
        let column = columns.iter().position(|c| c.title == title).unwrap_or_else(|| {
            columns.push(Column {
                title,
                nodes: Vec::new(),
            });
            columns.len() - 1
        });
        places.insert(job.id, (column, columns[column].nodes.len()));
        columns[column].nodes.push(node(job));
    }
    for job in &workflow.jobs {
        let Some(&(column, row)) = places.get(&job.id) else {
            continue;
        };
        let needs = job
            .needs
            .iter()
            .flatten()
            .filter_map(|need| places.get(&need.job_id).copied());
        columns[column].nodes[row].needs = needs.collect();
    }
    // A job's stage may come first in the file and last in the order of stages.
    let rank = |title: &str| {
        workflow
            .stages
            .iter()
            .position(|stage| stage == title)
            .unwrap_or(usize::MAX)
    };
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|at| if staged { rank(&columns[*at].title) } else { *at });
    Picture {
        id: workflow.id,
        name: workflow.name,
        graph: Graph::new(reorder(columns, &by_rank)),
    }
}

fn reorder(columns: Vec<Column>, order: &[usize]) -> Vec<Column> {
    let mut new_place = vec![0; columns.len()];
    for (new, old) in order.iter().enumerate() {
        new_place[*old] = new;
    }
    let mut sorted: Vec<(usize, Column)> = columns
        .into_iter()
        .enumerate()
        .map(|(old, column)| (new_place[old], column))
        .collect();
    sorted.sort_by_key(|(place, _)| *place);
    let mut columns: Vec<Column> = sorted.into_iter().map(|(_, column)| column).collect();
    for node in columns.iter_mut().flat_map(|column| &mut column.nodes) {
        for need in &mut node.needs {
            need.0 = new_place[need.0];
        }
    }
    columns
}

fn node(job: &api::Job) -> Node {
    Node {
        url: format!("/jobs/{}", job.id),
        name: job.name.clone(),
        status: job.status,
        warning: job.allow_failure && matches!(job.status, api::Status::Failed | api::Status::Error),
        took: Took::new(job.started_at, job.finished_at).ended(),
        needs: Vec::new(),
        down: None,
    }
}

/// How many jobs stand before each one on its longest way.
fn depths(jobs: &[api::Job]) -> Vec<usize> {
    let at: HashMap<i64, usize> = jobs.iter().enumerate().map(|(at, job)| (job.id, at)).collect();
    let mut depths = vec![0; jobs.len()];
    // As often as the longest way is long; a circle cannot be stored, but would end here too.
    for _ in 0..jobs.len() {
        let mut changed = false;
        for (this, job) in jobs.iter().enumerate() {
            let needs = job.needs.iter().flatten().filter_map(|need| at.get(&need.job_id));
            let depth = needs.map(|need| depths[*need] + 1).max().unwrap_or(0);
            if depth > depths[this] && depth < jobs.len() {
                (depths[this], changed) = (depth, true);
            }
        }
        if !changed {
            break;
        }
    }
    depths
}
