//! What the rest of the server hears about after a commit.

use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId};
use tasuki_model::state::Status;

/// A committed change. Sent to every listener of [`super::Scheduler::events`]; a listener that falls behind
/// loses some and reads the database again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A job's state changed; with the task that it concerns, where there is one.
    Job {
        project: ProjectId,
        pipeline: PipelineId,
        job: JobId,
        status: Status,
    },
    Task {
        project: ProjectId,
        pipeline: PipelineId,
        job: JobId,
        task: TaskId,
        status: Status,
    },
    /// The pipeline is new or has another status: to be reported to the forge.
    Pipeline {
        project: ProjectId,
        pipeline: PipelineId,
        status: Status,
    },
    /// The task's log is final: it may be compressed.
    LogFinished { task: TaskId },
}
