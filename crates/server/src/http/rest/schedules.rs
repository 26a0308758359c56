//! `/projects/{project}/schedules` and `/schedules/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_proto::rest::{NewSchedule, Page, Pipeline, Schedule, SchedulePatch, VariableInput};
use tasuki_store::schedules::{self, Settings};

use super::api::Api;
use super::pipelines::{none, read};
use super::projects;
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Json as Body, Name};
use crate::identity::Access::{Read, Write};
use crate::identity::Caller;
use crate::triggers::{BadSchedule, Key, Started, first, next_turn};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/projects/{project}/schedules",
        Read,
        "List a project's schedules",
        list,
    )
    .gives::<Page<Schedule>>(200);
    api.add(
        Method::POST,
        "/projects/{project}/schedules",
        Write,
        "Let pipelines start by the clock",
        create,
    )
    .takes::<NewSchedule>()
    .gives::<Schedule>(201);
    api.add(
        Method::PATCH,
        "/schedules/{id}",
        Write,
        "Change a schedule; what is absent stays",
        change,
    )
    .takes::<SchedulePatch>()
    .gives::<Schedule>(200);
    api.add(Method::DELETE, "/schedules/{id}", Write, "Remove a schedule", remove);
    api.add(
        Method::POST,
        "/schedules/{id}/run",
        Write,
        "Start a schedule's pipeline now",
        run,
    )
    .gives::<Pipeline>(201);
}

fn view(row: schedules::Schedule) -> Schedule {
    let owner: Option<(String, String, String)> = row
        .owner_json
        .as_deref()
        .and_then(|json| serde_json::from_str(json).ok());
    Schedule {
        id: row.id,
        project_id: row.project_id.0,
        description: row.description,
        cron: row.cron,
        time_zone: row.time_zone,
        git_ref: row.ref_name,
        active: row.active,
        next_run_at: row.next_ms.map(Into::into),
        last_pipeline_id: row.last_pipeline_id.map(|id| id.0),
        last_outcome: row.last_outcome,
        owner: owner.map(|(login, _, _)| login),
        created_at: row.created_ms.into(),
    }
}

async fn list(State(app): State<App>, Name(project): Name) -> Result<Json<Page<Schedule>>> {
    let rows = app
        .store()
        .read_as(move |tx| {
            let project = projects::find(tx, &project)?;
            Ok::<_, Problem>(schedules::of_project(tx, project.id)?)
        })
        .await?;
    Ok(Json(Page::whole(rows.into_iter().map(view).collect())))
}

/// The next turn of a schedule as a person gives it.
fn next_run(cron: &str, zone: &str, active: bool, now: Timestamp) -> Result<Option<Timestamp>> {
    let next = next_turn(cron, zone, now).map_err(|wrong| {
        let field = match &wrong {
            BadSchedule::Zone(_) => "time_zone",
            BadSchedule::Fields(_) | BadSchedule::Cron(_) => "cron",
        };
        Problem::invalid(field, wrong.to_string())
    })?;
    Ok(next.filter(|_| active))
}

fn sealed(app: &App, given: Vec<VariableInput>) -> Result<String> {
    let variables = super::pipelines::variables(given)?;
    let json = serde_json::to_string(&variables).map_err(|failed| Problem::internal(&failed))?;
    app.vault()
        .seal(&Secret::new(json))
        .map_err(|failed| Problem::internal(&failed))
}

async fn create(
    State(app): State<App>,
    Name(project): Name,
    caller: Caller,
    Body(new): Body<NewSchedule>,
) -> Result<Response> {
    let (now, active) = (app.now(), new.active.unwrap_or(true));
    let zone = new.time_zone.unwrap_or_else(|| "UTC".to_owned());
    let next = next_run(&new.cron, &zone, active, now)?;
    let variables = sealed(&app, new.variables)?;
    let inputs = serde_json::Value::Object(new.inputs).to_string();
    let owner = serde_json::json!([caller.name, caller.name, ""]).to_string();
    let row = app
        .store()
        .write_as(move |tx| {
            let project = projects::find(tx, &project)?;
            let settings = Settings {
                description: &new.description,
                cron: &new.cron,
                time_zone: &zone,
                ref_name: new.git_ref.as_deref().unwrap_or(&project.default_branch),
                variables_sealed: &variables,
                inputs_json: &inputs,
                active,
                next_ms: next,
            };
            let id = schedules::create(tx, project.id, Some(&owner), &settings, now)?;
            Ok::<_, Problem>(schedules::get(tx, id)?)
        })
        .await?;
    app.triggers().rescheduled();
    let row = row.ok_or_else(|| Problem::not_found("the schedule"))?;
    Ok((StatusCode::CREATED, Json(view(row))).into_response())
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(format!("schedule {id}"))
}

async fn change(State(app): State<App>, Id(id): Id, Body(patch): Body<SchedulePatch>) -> Result<Json<Schedule>> {
    let now = app.now();
    let old = app.store().read(move |tx| schedules::get(tx, id)).await?;
    let old = old.ok_or_else(|| unknown(id))?;
    let cron = patch.cron.unwrap_or(old.cron);
    let zone = patch.time_zone.unwrap_or(old.time_zone);
    let active = patch.active.unwrap_or(old.active);
    let next = next_run(&cron, &zone, active, now)?;
    let variables = match patch.variables {
        Some(given) => sealed(&app, given)?,
        None => old.variables_sealed,
    };
    let inputs = patch
        .inputs
        .map_or(old.inputs_json, |inputs| serde_json::Value::Object(inputs).to_string());
    let description = patch.description.unwrap_or(old.description);
    let git_ref = patch.git_ref.unwrap_or(old.ref_name);
    let row = app
        .store()
        .write(move |tx| {
            let settings = Settings {
                description: &description,
                cron: &cron,
                time_zone: &zone,
                ref_name: &git_ref,
                variables_sealed: &variables,
                inputs_json: &inputs,
                active,
                next_ms: next,
            };
            schedules::change(tx, id, &settings, now)?;
            schedules::get(tx, id)
        })
        .await?;
    app.triggers().rescheduled();
    Ok(Json(view(row.ok_or_else(|| unknown(id))?)))
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app.store().write(move |tx| schedules::remove(tx, id)).await?;
    removed.then_some(StatusCode::NO_CONTENT).ok_or_else(|| unknown(id))
}

async fn run(State(app): State<App>, Id(id): Id) -> Result<Response> {
    let schedule = app.store().read(move |tx| schedules::get(tx, id)).await?;
    let schedule = schedule.ok_or_else(|| unknown(id))?;
    let key = Key::by_hand(id, app.now());
    match first(app.triggers().run_schedule(&schedule, key).await?) {
        Started::New { id, .. } | Started::Existing(id) => {
            Ok((StatusCode::CREATED, Json(read(&app, id).await?)).into_response())
        }
        Started::None(why) => Err(none(why)),
    }
}
