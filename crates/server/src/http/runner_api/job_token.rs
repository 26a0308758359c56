//! The fence: who writes for a task shows the token of its present attempt.

use http::HeaderMap;
use tasuki_model::id::TaskId;
use tasuki_model::state::{Status, task};
use tasuki_proto::gitlab::headers;
use tasuki_store::tasks;

use super::refusal::{Refusal, Result, token};
use crate::app::App;
use crate::http::RateLimiter;
use crate::identity::token::digest;
use crate::scheduler::Error;

/// The digest of the token that a request shows, within its rate.
pub(super) fn shown(app: &App, map: &HeaderMap, body: &str) -> Result<String> {
    within(app, app.job_updates(), token(map, headers::JOB_TOKEN, body))
}

/// The same for a piece of a log, which have a rate of their own: a chatty job can still tell its result.
pub(super) fn shown_with_log(app: &App, map: &HeaderMap) -> Result<String> {
    within(app, app.log_patches(), token(map, headers::JOB_TOKEN, ""))
}

fn within(app: &App, rate: &RateLimiter<String>, token: Option<&str>) -> Result<String> {
    let hash = digest(token.ok_or_else(Refusal::forbidden)?);
    match rate.take(hash.clone(), app.now().0) {
        Ok(()) => Ok(hash),
        Err(refused) => Err(Refusal::too_many(refused.retry_after_s)),
    }
}

/// Notes a sign of life of the task's runner and gives the task's status.
///
/// # Errors
/// 403: the token is not, or no longer, that of the task.
pub(super) async fn contact(app: &App, task: TaskId, hash: &str) -> Result<Status> {
    match app.scheduler().touch(task, hash).await {
        Ok(status) => Ok(status),
        Err(refused) => Err(refuse(app, task, hash, refused).await),
    }
}

/// The answer to somebody whose write was refused. Only who held the task before learns what became of it.
pub(super) async fn refuse(app: &App, task: TaskId, hash: &str, refused: Error) -> Refusal {
    match refused {
        Error::NotYours(_) | Error::Refused(_) | Error::NotFound { .. } => {}
        other => return other.into(),
    }
    app.metrics().stale_writes.inc();
    let row = match app.store().read(move |tx| tasks::get(tx, task)).await {
        Ok(row) => row,
        Err(failed) => return failed.into(),
    };
    let held_it = row.filter(|row| row.token_hash.as_deref() == Some(hash));
    let status = held_it.and_then(|row| serde_json::from_str::<task::State>(&row.state_json).ok());
    match status {
        Some(state) => Refusal::forbidden().with_job_status(state.status().as_str()),
        None => Refusal::forbidden(),
    }
}

impl From<Error> for Refusal {
    fn from(failed: Error) -> Self {
        match failed {
            Error::Store(failed) => failed.into(),
            Error::Stale => Self::new(http::StatusCode::CONFLICT, "409 Conflict"),
            Error::NotYours(_) | Error::Refused(_) | Error::NotFound { .. } => Self::forbidden(),
            other => Self::internal(&other),
        }
    }
}
