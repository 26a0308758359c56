//! States as people see them: the fault decides between `failed` and `error`.

use tasuki_model::reason::Fault;
use tasuki_model::state::{self, Outcome, job, pipeline, task};
use tasuki_proto::rest::Status;

/// A word of the model.
fn of_word(word: state::Status) -> Status {
    match word {
        state::Status::Created => Status::Created,
        state::Status::WaitingForResource => Status::WaitingForResource,
        state::Status::Preparing | state::Status::Pending => Status::Pending,
        state::Status::Running => Status::Running,
        state::Status::Canceling => Status::Canceling,
        state::Status::Success => Status::Success,
        state::Status::Failed => Status::Failed,
        state::Status::Canceled => Status::Canceled,
        state::Status::Skipped => Status::Skipped,
        state::Status::Manual => Status::Manual,
        state::Status::Scheduled => Status::Scheduled,
    }
}

/// How something ended.
#[must_use]
pub fn of_outcome(outcome: &Outcome) -> Status {
    match outcome.failure().map(state::Failure::fault) {
        Some(Fault::System) => Status::Error,
        Some(Fault::User) | None => of_word(outcome.status()),
    }
}

/// Where a job is.
#[must_use]
pub fn of_job(state: &job::State) -> Status {
    match state {
        job::State::Finished { outcome, .. } => of_outcome(outcome),
        other => of_word(other.status()),
    }
}

/// Where a task is.
#[must_use]
pub fn of_task(state: &task::State) -> Status {
    match state {
        task::State::Finished { outcome, .. } => of_outcome(outcome),
        other => of_word(other.status()),
    }
}

/// Where a pipeline or workflow is.
#[must_use]
pub fn of_pipeline(state: &pipeline::State) -> Status {
    of_word(state.status())
}
