//! `/jobs/{id}/shell`: a terminal in a running job.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tasuki_model::id::{JobId, TaskId};
use tasuki_model::state::{Status, job, task};
use tasuki_proto::gitlab::{Info, feature};
use tasuki_proto::terminal::UPGRADE;
use tasuki_store::{Tx, jobs, runners, tasks};
use tokio::sync::broadcast::error::RecvError;

use super::api::Api;
use crate::app::App;
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Id, Params};
use crate::http::upgrade::{requested, switching};
use crate::identity::Access::Write;
use crate::identity::{Caller, Via};
use crate::scheduler::Event;
use crate::terminals::{Ended, Error, Line, Seat, Wish, relay};

/// How long the runner may take to say itself that the job has ended.
const LAST_WORD: Duration = Duration::from_secs(5);

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/jobs/{id}/shell",
        Write,
        "Open a terminal in a running job: 101 when its runner has come, then frames",
        shell,
    )
    .query(&[(
        "part",
        "Which of the job's parallel parts, from 0 (the first that runs)",
    )])
    .upgrades();
}

#[derive(Deserialize)]
struct Wanted {
    part: Option<i64>,
}

/// A task that can have a terminal.
struct Place {
    job: i64,
    name: String,
    task: TaskId,
}

async fn shell(
    State(app): State<App>,
    Id(id): Id,
    Params(wanted): Params<Wanted>,
    caller: Caller,
    mut request: Request,
) -> Result<Response> {
    let headers = request.headers().clone();
    let Some(person) = requested(&headers, request.extensions_mut()) else {
        let detail = format!(
            "send `Connection: Upgrade` and `Upgrade: {UPGRADE}`, as `tasuki job shell` does; a proxy in between must pass them on"
        );
        return Err(Problem::new(Code::UpgradeRequired, detail));
    };
    if caller.via == Via::Cookie {
        return Err(Problem::new(Code::Forbidden, "a terminal needs a token, not a log-in"));
    }
    if app.config().terminal_wait_s == 0 {
        return Err(Problem::new(
            Code::Forbidden,
            "terminals are switched off on this server (`terminal_wait_s = 0`)",
        ));
    }
    let place = app.store().read(move |tx| place(tx, id, wanted.part)).await??;
    let wish = app.terminals().want(place.task).map_err(|refused| match refused {
        Error::Taken => Problem::new(Code::Conflict, format!("job {id}: a terminal is open there already")),
        Error::Random(_) => Problem::internal(&refused),
    })?;
    tracing::info!(caller = %caller.name, job.id = id, task.id = place.task.0, "a terminal is wanted");
    let (runner, seat) = wait(&app, &place, wish).await?;
    let opened = Opened {
        app: app.clone(),
        place,
        caller: caller.name,
        _seat: seat,
    };
    app.tasks().spawn("terminal", opened.run(person, runner));
    Ok(switching())
}

/// The task of a job to open a terminal in, or why there is none.
fn place(tx: &mut Tx<'_>, id: i64, part: Option<i64>) -> tasuki_store::Result<Result<Place>> {
    let refused = |code, detail| Ok(Err(Problem::new(code, detail)));
    let Some(job) = jobs::get(tx, JobId(id))? else {
        return Ok(Err(Problem::not_found(format!("job {id}"))));
    };
    let mut found = None;
    let state = serde_json::from_str::<job::State>(&job.state_json);
    let mut status = state.map_or("unknown", |state| state.status().as_str());
    for row in tasks::of_job(tx, job.id)? {
        if part.is_some_and(|part| part != row.parallel_index) {
            continue;
        }
        let Ok(state) = serde_json::from_str::<task::State>(&row.state_json) else {
            continue;
        };
        match state {
            task::State::Running { .. } | task::State::Canceling { .. } if found.is_none() => found = Some(row),
            task::State::Claimed { .. } => status = "about to start",
            _ => {}
        }
    }
    let Some(row) = found else {
        let part = part.map(|part| format!("part {part} of ")).unwrap_or_default();
        let detail = format!(
            "{part}job {id} ({}) is {status}: a terminal needs a running job",
            job.name
        );
        return refused(Code::Conflict, detail);
    };
    let (Some(runner), Some(system)) = (row.runner_id, row.system_id.as_deref()) else {
        return refused(Code::Conflict, format!("job {id} has no runner"));
    };
    let managers = runners::managers(tx, runner)?;
    let info = managers.into_iter().find(|manager| manager.system_id == system);
    let info: Info = info
        .and_then(|manager| serde_json::from_str(&manager.info_json).ok())
        .unwrap_or_default();
    if !info.features.has(feature::TASUKI_TERMINAL) {
        let name = runners::get(tx, runner)?.map_or_else(|| runner.to_string(), |row| row.description);
        let detail = format!(
            "the runner {name} ({} {}, executor {}) offers no terminals: run the job on a tasuki runner of this version",
            info.name, info.version, info.executor
        );
        return refused(Code::Conflict, detail);
    }
    Ok(Ok(Place {
        job: id,
        name: job.name,
        task: row.id,
    }))
}

/// Waits for the runner to come.
async fn wait(app: &App, place: &Place, mut wish: Wish) -> Result<(Line, Seat)> {
    let patience = Duration::from_secs(app.config().terminal_wait_s);
    let line = tokio::select! {
        line = wish.line() => line,
        () = over(app, place.task) => None,
        () = app.draining().cancelled() => return Err(Problem::new(Code::ShuttingDown, "")),
        () = tokio::time::sleep(patience) => {
            let detail = format!(
                "the runner of job {} did not fetch the terminal within {} s; it looks every 3 s, so it may be out of reach (or reach \
                 another server process)",
                place.job,
                patience.as_secs()
            );
            return Err(Problem::new(Code::RunnerSilent, detail));
        }
    };
    match line {
        Some(line) => Ok((line, wish.into_seat())),
        None => Err(Problem::new(
            Code::Conflict,
            format!(
                "job {} ({}) ended before its runner fetched the terminal",
                place.job, place.name
            ),
        )),
    }
}

/// Resolves when the task has ended.
async fn over(app: &App, task: TaskId) {
    let mut events = app.scheduler().events();
    loop {
        if !runs(app, task).await {
            return;
        }
        loop {
            match events.recv().await {
                Ok(Event::Task { task: changed, .. }) if changed == task => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// A database that does not answer says nothing about the task.
async fn runs(app: &App, task: TaskId) -> bool {
    let row = app.store().read(move |tx| tasks::get(tx, task)).await;
    let Ok(row) = row else { return true };
    let state = row.and_then(|row| serde_json::from_str::<task::State>(&row.state_json).ok());
    state.is_some_and(|state| matches!(state.status(), Status::Running | Status::Canceling))
}

/// A terminal whose runner has come.
struct Opened {
    app: App,
    place: Place,
    caller: String,
    _seat: Seat,
}

impl Opened {
    async fn run(self, person: OnUpgrade, runner: Line) {
        let (caller, job, task) = (&self.caller, self.place.job, self.place.task);
        let (person, runner) = match tokio::try_join!(person, runner) {
            Ok(both) => both,
            Err(broken) => {
                tracing::info!(%caller, job.id = job, task.id = task.0, error = %broken, "a terminal did not open");
                return;
            }
        };
        tracing::info!(%caller, job.id = job, job.name = self.place.name, task.id = task.0, "a terminal was opened");
        let began = tasuki_rt::Clock::instant();
        let ended = relay(TokioIo::new(person), TokioIo::new(runner), self.over()).await;
        let how = match &ended {
            Ended::Exit(code) => format!("exit code {code}"),
            Ended::Closed(reason) | Ended::Over(reason) => reason.clone(),
            Ended::PersonGone => "the person has gone".to_owned(),
            Ended::RunnerGone => "the runner has gone".to_owned(),
        };
        tracing::info!(
            %caller, job.id = job, task.id = task.0, duration_ms = began.elapsed().as_millis(), how, "a terminal was closed"
        );
    }

    /// Why it ends from the server's side.
    async fn over(&self) -> String {
        tokio::select! {
            () = over(&self.app, self.place.task) => {
                tokio::time::sleep(LAST_WORD).await;
                "the job has ended".to_owned()
            }
            () = self.app.draining().cancelled() => "the server is shutting down".to_owned(),
        }
    }
}
