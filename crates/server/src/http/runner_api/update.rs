//! `PUT /jobs/:id`: a runner tells the state of its job.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tasuki_model::id::TaskId;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::Log;
use tasuki_model::state::{Failure, Outcome, Status};
use tasuki_proto::gitlab::{UpdateJob, checksum, headers};

use super::job_token::{refuse, shown};
use super::refusal::{Loose, Refusal, Result};
use super::terminals::told;
use crate::app::App;
use crate::payload::HEARTBEAT_MS;
use crate::scheduler::{Report, Reported};

pub(super) async fn update(
    State(app): State<App>,
    Path(id): Path<i64>,
    map: HeaderMap,
    Loose(update): Loose<UpdateJob>,
) -> Result<Response> {
    let task = TaskId(id);
    let hash = shown(&app, &map, update.token.expose())?;
    let status = match update.state.as_str() {
        "running" => app.scheduler().ack(task, &hash).await,
        "pending" => app.scheduler().touch(task, &hash).await,
        "success" | "failed" => return finish(&app, task, &hash, &update).await,
        other => {
            return Err(Refusal::bad_request(format!(
                "400 Bad Request: {other:?} is not a state"
            )));
        }
    };
    match status {
        Ok(status) => Ok(told(&app, task, answer(StatusCode::OK, status, None))),
        Err(refused) => Err(refuse(&app, task, &hash, refused).await),
    }
}

async fn finish(app: &App, task: TaskId, hash: &str, update: &UpdateJob) -> Result<Response> {
    let outcome = outcome(update);
    let log = log_state(app, task, update).await?;
    let last = Report {
        outcome,
        log,
        outputs: update.outputs.clone(),
    };
    match app.scheduler().report(task, hash, last).await {
        // Of a doubled message the first one stands, and the runner may forget the job.
        Ok(Reported::Accepted(status) | Reported::Already(status)) => Ok(answer(StatusCode::OK, status, None)),
        Ok(Reported::LogMissing { waited }) => {
            let again = again_s(waited);
            Ok(answer(StatusCode::ACCEPTED, Status::Running, Some(again)))
        }
        Err(refused) => Err(refuse(app, task, hash, refused).await),
    }
}

/// Seconds until a runner repeats its final word while bytes of its log are missing: 1 at first, the double after each
/// power of two that it waited, 64 at most (GitLab's server).
fn again_s(waited: Duration) -> u64 {
    let slots = (waited.as_secs() / 4).checked_ilog2().map_or(0, |log| log + 1);
    1 << slots.min(6)
}

fn outcome(update: &UpdateJob) -> Outcome {
    if update.state == "success" {
        return Outcome::Success;
    }
    let reason = match update.failure_reason.as_str() {
        "" => FailureReason::ScriptFailure,
        name => FailureReason::parse(name).unwrap_or(FailureReason::UnknownFailure),
    };
    Outcome::Failed(Failure {
        reason,
        exit_code: (update.exit_code != 0).then_some(update.exit_code),
    })
}

/// Whether every byte that the runner announces is stored. A wrong checksum is told in our log only: the runner could
/// not repair it, since what is stored stays.
async fn log_state(app: &App, task: TaskId, update: &UpdateJob) -> Result<Log> {
    if update.output.bytesize == 0 {
        return Ok(Log::Complete);
    }
    let (size, crc) = app
        .logs()
        .checksum(task, update.output.bytesize)
        .await
        .map_err(|failed| Refusal::internal(&failed))?;
    if u64::try_from(size).unwrap_or(0) < update.output.bytesize {
        return Ok(Log::Incomplete);
    }
    let wanted = if update.output.checksum.is_empty() {
        &update.checksum
    } else {
        &update.output.checksum
    };
    if !wanted.is_empty() && checksum(crc) != *wanted {
        tracing::warn!(
            task.id = task.0,
            "the log that is stored is not the one that the runner sent"
        );
    }
    Ok(Log::Complete)
}

/// The status as text, as GitLab's server says it, with what the runner must know.
pub(super) fn answer(code: StatusCode, status: Status, again_s: Option<u64>) -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (code, json, code.as_u16().to_string()).into_response();
    let map = response.headers_mut();
    map.insert(
        HeaderName::from_static(headers::JOB_STATUS),
        HeaderValue::from_static(status.as_str()),
    );
    map.insert(
        HeaderName::from_static(headers::HEARTBEAT_INTERVAL_MS),
        HeaderValue::from(HEARTBEAT_MS),
    );
    if let Some(seconds) = again_s {
        map.insert(
            HeaderName::from_static(headers::TRACE_UPDATE_INTERVAL),
            HeaderValue::from(seconds),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_with_the_time_waited() {
        let check = |waited: u64, pause: u64| assert_eq!(again_s(Duration::from_secs(waited)), pause, "{waited} s");
        for (waited, pause) in [
            (0, 1),
            (3, 1),
            (4, 2),
            (7, 2),
            (8, 4),
            (15, 4),
            (16, 8),
            (127, 32),
            (128, 64),
            (299, 64),
        ] {
            check(waited, pause);
        }
    }
}
