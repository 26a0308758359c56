//! `POST /jobs/request`: a runner asks for work, and may be held until there is some.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tasuki_model::id::TaskId;
use tasuki_model::labels::{EXTENSION, Intake, Offer, Refs, Scope, Untagged};
use tasuki_model::state::task::Commit;
use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::{Info, JobRequest, JobResponse, feature, headers};
use tasuki_store::{Tx, resource_classes, runners};

use super::refusal::{Loose, Refusal, Result, token};
use super::register::{runner_of, system_id};
use crate::app::App;
use crate::http::error::Chain;
use crate::http::peer;
use crate::identity::token::digest;
use crate::payload::{self, Claimant};
use crate::scheduler::{ClaimedTask, RunnerIdentity};

/// Tasks whose payload cannot be made are ended and the next one is tried, this often in one request.
const TRIES: u32 = 5;

/// A runner that is known, with what it may take.
struct Known {
    row: runners::Runner,
    offer: Offer,
}

pub(super) async fn request(
    State(app): State<App>,
    map: HeaderMap,
    extensions: Extensions,
    Loose(request): Loose<JobRequest>,
) -> Result<Response> {
    let given = token(&map, headers::RUNNER_TOKEN, request.token.expose()).ok_or_else(Refusal::forbidden)?;
    let (hash, now) = (digest(given), app.now());
    if let Err(refused) = app.job_requests().take(hash.clone(), now.0) {
        return Err(Refusal::too_many(refused.retry_after_s));
    }
    let system_id = system_id(&request.system_id)?.to_owned();
    let features = request.info.features.clone();
    let known = app
        .store()
        .read(move |tx| known(tx, &hash, &features, now))
        .await?
        .ok_or_else(Refusal::forbidden)?;
    let runner = known.row.id;
    let address = peer(&extensions);
    app.contacts()
        .heard(app.store(), runner, &system_id, &request.info, address, now)
        .await?;
    // Read before the search: a task that is queued during it changes the value, and the runner asks again.
    let version = format!("{:x}-{:x}", app.boot(), app.scheduler().queue_version());
    if known.row.paused {
        return Ok(nothing(&version));
    }
    let who = identity(&known, system_id, &request.info);
    // Whoever was told the queue's state once waits from then on, whichever server told it: the queue is searched
    // before the wait begins, so an old value misses nothing.
    let hold = if who.keeps_contact || !request.last_update.is_empty() {
        app.config().long_poll()
    } else {
        Duration::ZERO
    };
    for _ in 0..TRIES {
        let Some(claimed) = claim(&app, &who, hold).await? else {
            return Ok(nothing(&version));
        };
        if let Some(job) = payload_of(&app, &claimed, &known.row, &request.info).await? {
            return Ok(handed_out(&app, &claimed, &job));
        }
    }
    Ok(nothing(&version))
}

/// The runner of a token and what it offers, if the token is good.
fn known(
    tx: &mut Tx<'_>,
    hash: &str,
    features: &tasuki_proto::gitlab::Features,
    now: Timestamp,
) -> tasuki_store::Result<Option<Known>> {
    let Some(row) = runner_of(tx, hash, now)? else {
        return Ok(None);
    };
    let mut offer = offer(tx, &row)?;
    // Only what a task can ask for: runners that differ in nothing else wait in one line.
    let known = [EXTENSION].into_iter().filter(|name| features.has(name));
    offer.features = known.map(str::to_owned).collect();
    Ok(Some(Known { row, offer }))
}

/// What a registration offers, whatever its processes can do.
///
/// # Errors
/// When the database fails.
pub fn offer(tx: &mut Tx<'_>, row: &runners::Runner) -> tasuki_store::Result<Offer> {
    let class = match row.resource_class_id {
        Some(id) => resource_classes::get(tx, id)?.map(|class| class.name),
        None => None,
    };
    Ok(Offer {
        tags: serde_json::from_str(&row.tags_json).unwrap_or_default(),
        untagged: if row.run_untagged {
            Untagged::Run
        } else {
            Untagged::Refuse
        },
        refs: if row.access_level == "ref_protected" {
            Refs::ProtectedOnly
        } else {
            Refs::All
        },
        scope: match row.project_id {
            Some(project) if row.scope == "project" => Scope::Project(project),
            _ => Scope::Instance,
        },
        resource_class: class,
        features: std::collections::BTreeSet::new(),
        intake: if row.paused { Intake::Paused } else { Intake::Open },
    })
}

fn identity(known: &Known, system_id: String, info: &Info) -> RunnerIdentity {
    let two_phase = info.features.has(feature::TWO_PHASE_JOB_COMMIT);
    RunnerIdentity {
        runner: known.row.id,
        system_id,
        offer: Arc::new(known.offer.clone()),
        commit: if two_phase { Commit::TwoPhase } else { Commit::OnePhase },
        cancels_gracefully: info.features.has(feature::CANCEL_GRACEFULLY),
        keeps_contact: info.features.has(feature::TASUKI),
    }
}

async fn claim(app: &App, who: &RunnerIdentity, hold: Duration) -> Result<Option<ClaimedTask>> {
    let _held = Held::new(app);
    Ok(tokio::select! {
        claimed = app.scheduler().claim(who, hold) => claimed?,
        () = app.draining().cancelled() => None,
    })
}

/// Counts a request while it is held, also where its client hangs up and nobody finishes it.
struct Held(App);

impl Held {
    fn new(app: &App) -> Self {
        app.metrics().held_requests.inc();
        Self(app.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.metrics().held_requests.dec();
    }
}

/// The payload of a claimed task. `None`: it cannot be made, so the task has been ended.
async fn payload_of(
    app: &App,
    claimed: &ClaimedTask,
    row: &runners::Runner,
    info: &Info,
) -> Result<Option<JobResponse>> {
    let claimant = Claimant {
        id: row.id.0,
        description: row.description.clone(),
        tags: serde_json::from_str(&row.tags_json).unwrap_or_default(),
        maximum_timeout_s: row.maximum_timeout_s.and_then(|s| u64::try_from(s).ok()),
        features: info.features.clone(),
    };
    match payload::make(app, claimed, &claimant).await {
        Ok(job) => Ok(Some(job)),
        Err(payload::Error::Store(failed)) => Err(failed.into()),
        Err(failed) => {
            tracing::error!(task.id = claimed.id.0, error = %Chain(&failed), "the payload of a task cannot be made");
            note(app, claimed.id, &failed).await;
            app.scheduler().drop_task(claimed.id, failed.reason()).await?;
            Ok(None)
        }
    }
}

/// Says in the job's log why no runner gets it: that is where people look.
async fn note(app: &App, task: TaskId, failed: &payload::Error) {
    let line = format!("\x1b[31;1mERROR: the job was not started: {}\x1b[0m", Chain(failed));
    if let Err(refused) = app.logs().note(task, &line).await {
        tracing::warn!(task.id = task.0, error = %Chain(&refused), "a log could not be written");
    }
}

fn handed_out(app: &App, claimed: &ClaimedTask, job: &JobResponse) -> Response {
    app.metrics()
        .queue_seconds
        .observe(claimed.claimed.since(claimed.queued).as_secs_f64());
    let Ok(body) = serde_json::to_vec(job) else {
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error").into_response();
    };
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (StatusCode::CREATED, json, body).into_response();
    let name = HeaderName::from_static(headers::TASUKI);
    response.headers_mut().insert(name, HeaderValue::from_static("1"));
    response
}

/// No job: the state of the queue goes with it. Never sent with a job, or the runner would be told that nothing is
/// new while more jobs wait.
fn nothing(version: &str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(value) = HeaderValue::from_str(version) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(headers::LAST_UPDATE), value);
    }
    let name = HeaderName::from_static(headers::TASUKI);
    response.headers_mut().insert(name, HeaderValue::from_static("1"));
    response
}
