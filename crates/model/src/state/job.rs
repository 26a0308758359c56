//! A job: a node of the graph. Its tasks do the work; this is where it stands among the others.

use serde::{Deserialize, Serialize};

use super::{BadTransition, Outcome, Status};
use crate::time::Timestamp;

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Waits for its predecessors.
    Created,
    /// Waits for a person to play or approve it.
    Manual {
        since: Timestamp,
        /// An approval lapses then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lapses: Option<Timestamp>,
    },
    /// Waits for the clock.
    Scheduled {
        since: Timestamp,
        run_at: Timestamp,
    },
    /// Waits for its resource group, or for its turn in a matrix with `max-parallel`.
    WaitingForResource {
        since: Timestamp,
    },
    /// Its tasks are queued, none runs yet.
    Pending {
        since: Timestamp,
    },
    Running {
        started: Timestamp,
    },
    /// Its tasks were told to stop.
    Canceling {
        started: Timestamp,
        since: Timestamp,
    },
    Finished {
        started: Option<Timestamp>,
        at: Timestamp,
        outcome: Outcome,
        /// The failure or cancellation does not count against the pipeline.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allowed: bool,
    },
}

/// What happens to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Predecessors are done and nothing holds it: its tasks may be queued.
    Enqueue,
    /// As `Enqueue`, but it needs a resource first.
    AwaitResource,
    /// The resource is its own now.
    AcquireResource,
    /// Predecessors are done; a person must play it.
    Hold { lapses: Option<Timestamp> },
    /// Predecessors are done; it starts at that time.
    Schedule { run_at: Timestamp },
    /// Takes the clock away: a person must play it (GitLab's unschedule).
    Unschedule,
    /// Predecessors or condition rule it out.
    Skip,
    /// The first of its tasks runs.
    TaskStarted,
    /// Its last running task failed and is tried again.
    Requeue,
    /// All its tasks have ended for good, or it is ended without any.
    End { outcome: Outcome, allowed: bool },
    /// Stop. `Stop::WhenTasksEnd` where a task must be told first.
    Cancel { stop: Stop, allowed: bool },
    /// A person wants it again: it starts over at its gate's far side.
    Retry,
    /// A predecessor was played or retried after this one was skipped, or while its delay ran: decide again.
    Reset,
}

/// How a running job stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No task needs to be waited for.
    Now,
    WhenTasksEnd,
}

/// What must follow a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make its tasks and queue them.
    QueueTasks,
    /// Ask its resource group.
    RequestResource,
    /// Set a timer.
    WakeAt(Timestamp),
    /// Give its resource back.
    ReleaseResource,
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::AwaitResource => "await resource",
            Self::AcquireResource => "acquire resource",
            Self::Hold { .. } => "hold",
            Self::Schedule { .. } => "schedule",
            Self::Unschedule => "unschedule",
            Self::Skip => "skip",
            Self::TaskStarted => "task started",
            Self::Requeue => "requeue",
            Self::End { .. } => "end",
            Self::Cancel { .. } => "cancel",
            Self::Retry => "retry",
            Self::Reset => "reset",
        }
    }
}

impl State {
    /// GitLab's word for it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Created => Status::Created,
            Self::Manual { .. } => Status::Manual,
            Self::Scheduled { .. } => Status::Scheduled,
            Self::WaitingForResource { .. } => Status::WaitingForResource,
            Self::Pending { .. } => Status::Pending,
            Self::Running { .. } => Status::Running,
            Self::Canceling { .. } => Status::Canceling,
            Self::Finished { outcome, .. } => outcome.status(),
        }
    }

    /// The result, once there is one.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Finished { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// Whether it failed or was cancelled and that does not count.
    #[must_use]
    pub fn is_allowed_failure(&self) -> bool {
        matches!(
            self,
            Self::Finished {
                outcome: Outcome::Failed(_) | Outcome::Canceled,
                allowed: true,
                ..
            }
        )
    }

    /// When its first task began.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        match self {
            Self::Running { started } | Self::Canceling { started, .. } => Some(*started),
            Self::Finished { started, .. } => *started,
            _ => None,
        }
    }

    /// When it ended.
    #[must_use]
    pub fn finished(&self) -> Option<Timestamp> {
        match self {
            Self::Finished { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// When a timer must look at it: a delayed start or the end of an approval's patience.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        match self {
            Self::Scheduled { run_at, .. } => Some(*run_at),
            Self::Manual { lapses, .. } => *lapses,
            _ => None,
        }
    }

    /// Whether it holds its resource group.
    #[must_use]
    pub fn holds_resource(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. } | Self::Running { .. } | Self::Canceling { .. }
        )
    }

    /// The next state and what must follow.
    ///
    /// # Errors
    /// The event does not fit the state.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), BadTransition> {
        let refused = BadTransition {
            what: "job",
            from: self.status().as_str(),
            event: event.name(),
        };
        let startable = matches!(self, Self::Created | Self::Manual { .. } | Self::Scheduled { .. });
        let next = match event {
            Event::Enqueue if startable => Some((Self::Pending { since: now }, vec![Effect::QueueTasks])),
            Event::AwaitResource if startable => {
                Some((Self::WaitingForResource { since: now }, vec![Effect::RequestResource]))
            }
            Event::AcquireResource => match self {
                Self::WaitingForResource { .. } => Some((Self::Pending { since: now }, vec![Effect::QueueTasks])),
                _ => None,
            },
            Event::Hold { lapses } if *self == Self::Created => Some((
                Self::Manual { since: now, lapses },
                lapses.map(Effect::WakeAt).into_iter().collect(),
            )),
            Event::Schedule { run_at } if *self == Self::Created => {
                Some((Self::Scheduled { since: now, run_at }, vec![Effect::WakeAt(run_at)]))
            }
            Event::Unschedule => match self {
                Self::Scheduled { .. } => Some((
                    Self::Manual {
                        since: now,
                        lapses: None,
                    },
                    Vec::new(),
                )),
                _ => None,
            },
            Event::Skip if *self == Self::Created => {
                Some((self.finished_with(Outcome::Skipped, false, now), Vec::new()))
            }
            Event::TaskStarted => match self {
                Self::Pending { .. } => Some((Self::Running { started: now }, Vec::new())),
                // Another of its tasks, or one that starts while the job is told to stop.
                Self::Running { .. } | Self::Canceling { .. } => Some((self.clone(), Vec::new())),
                _ => None,
            },
            Event::Requeue => match self {
                Self::Running { .. } => Some((Self::Pending { since: now }, Vec::new())),
                Self::Pending { .. } => Some((self.clone(), Vec::new())),
                _ => None,
            },
            Event::End { outcome, allowed } => self.end(outcome, allowed, now),
            Event::Cancel { stop, allowed } => self.cancel(stop, allowed, now),
            Event::Retry => match self {
                Self::Finished { .. } => Some((Self::Created, Vec::new())),
                _ => None,
            },
            Event::Reset => match self {
                Self::Scheduled { .. }
                | Self::Finished {
                    outcome: Outcome::Skipped,
                    ..
                } => Some((Self::Created, Vec::new())),
                _ => None,
            },
            Event::Enqueue | Event::AwaitResource | Event::Hold { .. } | Event::Schedule { .. } | Event::Skip => None,
        };
        next.ok_or(refused)
    }

    fn end(&self, outcome: Outcome, allowed: bool, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        let effects = self.release();
        match self {
            Self::Finished { .. } => None,
            // It was told to stop: whatever its tasks said, it was cancelled.
            Self::Canceling { .. } => Some((self.finished_with(Outcome::Canceled, allowed, now), effects)),
            _ => Some((self.finished_with(outcome, allowed, now), effects)),
        }
    }

    fn cancel(&self, stop: Stop, allowed: bool, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        match (self, stop) {
            (Self::Finished { .. }, _) => None,
            (Self::Canceling { .. }, Stop::WhenTasksEnd) => Some((self.clone(), Vec::new())),
            (Self::Running { started }, Stop::WhenTasksEnd) => Some((
                Self::Canceling {
                    started: *started,
                    since: now,
                },
                Vec::new(),
            )),
            _ => Some((self.finished_with(Outcome::Canceled, allowed, now), self.release())),
        }
    }

    fn release(&self) -> Vec<Effect> {
        if self.holds_resource() {
            vec![Effect::ReleaseResource]
        } else {
            Vec::new()
        }
    }

    fn finished_with(&self, outcome: Outcome, allowed: bool, now: Timestamp) -> Self {
        Self::Finished {
            started: self.started(),
            at: now,
            outcome,
            allowed,
        }
    }
}

#[cfg(test)]
mod tests;
