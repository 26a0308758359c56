//! A pipeline, and a workflow in it: its status is made from its jobs', its times from its history.

use serde::{Deserialize, Serialize};

use super::{BadTransition, Status};
use crate::time::Timestamp;

/// Where a pipeline or workflow is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It has jobs; none has started.
    Waiting { status: Status },
    /// Something of it has started and something is still to come.
    Active { status: Status, started: Timestamp },
    /// Nothing happens any more by itself; a retry or a manual job may wake it.
    Finished {
        result: Status,
        started: Option<Timestamp>,
        at: Timestamp,
    },
    /// Its configuration could not be used: there are no jobs, only this error.
    Invalid { at: Timestamp, errors: Vec<String> },
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its jobs changed; this is what they make together.
    Jobs { status: Status },
}

/// What must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell the forge and whoever watches.
    ReportStatus(Status),
    /// It ended: archive, release what it held.
    Finished(Status),
    /// It had ended and goes on.
    Reopened,
}

impl State {
    /// The state of a new one, before its jobs are looked at.
    #[must_use]
    pub fn new() -> Self {
        Self::Waiting {
            status: Status::Created,
        }
    }

    /// The status shown.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Waiting { status } | Self::Active { status, .. } => *status,
            Self::Finished { result, .. } => *result,
            Self::Invalid { .. } => Status::Failed,
        }
    }

    /// When its first job began.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        match self {
            Self::Active { started, .. } => Some(*started),
            Self::Finished { started, .. } => *started,
            Self::Waiting { .. } | Self::Invalid { .. } => None,
        }
    }

    /// When it ended.
    #[must_use]
    pub fn finished(&self) -> Option<Timestamp> {
        match self {
            Self::Finished { at, .. } | Self::Invalid { at, .. } => Some(*at),
            Self::Waiting { .. } | Self::Active { .. } => None,
        }
    }

    /// The next state and what must follow; nothing follows when the status is what it was.
    ///
    /// # Errors
    /// An invalid pipeline has no jobs that could change.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), BadTransition> {
        let Event::Jobs { status } = event;
        if let Self::Invalid { .. } = self {
            return Err(BadTransition {
                what: "pipeline",
                from: "invalid",
                event: "jobs",
            });
        }
        if status == self.status() && !matches!(self, Self::Waiting { .. } if status.is_completed()) {
            return Ok((self.clone(), Vec::new()));
        }
        let mut effects = vec![Effect::ReportStatus(status)];
        let started = self.started();
        let next = if status.is_completed() {
            effects.push(Effect::Finished(status));
            Self::Finished {
                result: status,
                started,
                at: now,
            }
        } else {
            if let Self::Finished { .. } = self {
                effects.push(Effect::Reopened);
            }
            let runs = matches!(status, Status::Running | Status::Canceling);
            match started.or(runs.then_some(now)) {
                Some(started) => Self::Active { status, started },
                None => Self::Waiting { status },
            }
        };
        Ok((next, effects))
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statuses: &[(Status, i64)], shown: (Status, Option<i64>, Option<i64>)) {
        let mut state = State::new();
        for (status, at) in statuses {
            (state, _) = state.apply(Event::Jobs { status: *status }, Timestamp(*at)).unwrap();
        }
        let (started, finished) = (state.started().map(|t| t.0), state.finished().map(|t| t.0));
        assert_eq!((state.status(), started, finished), shown, "{statuses:?}");
    }

    #[test]
    fn times_follow_the_jobs() {
        use Status::{Created, Failed, Manual, Pending, Running, Skipped, Success};
        check(&[], (Created, None, None));
        check(&[(Pending, 1)], (Pending, None, None));
        check(&[(Pending, 1), (Running, 2)], (Running, Some(2), None));
        check(&[(Running, 2), (Success, 5)], (Success, Some(2), Some(5)));
        check(&[(Running, 2), (Manual, 3)], (Manual, Some(2), None));
        check(&[(Skipped, 3)], (Skipped, None, Some(3)));
        // A retry reopens it; it began when it first began.
        check(&[(Running, 2), (Failed, 5), (Running, 9)], (Running, Some(2), None));
    }

    #[test]
    fn only_changes_are_reported() {
        let (state, effects) = State::new()
            .apply(
                Event::Jobs {
                    status: Status::Running,
                },
                Timestamp(1),
            )
            .unwrap();
        assert_eq!(effects, [Effect::ReportStatus(Status::Running)]);
        let (state, effects) = state
            .apply(
                Event::Jobs {
                    status: Status::Running,
                },
                Timestamp(2),
            )
            .unwrap();
        assert!(effects.is_empty());
        let (state, effects) = state
            .apply(Event::Jobs { status: Status::Failed }, Timestamp(3))
            .unwrap();
        assert_eq!(
            effects,
            [Effect::ReportStatus(Status::Failed), Effect::Finished(Status::Failed)]
        );
        let (_, effects) = state
            .apply(
                Event::Jobs {
                    status: Status::Pending,
                },
                Timestamp(4),
            )
            .unwrap();
        assert_eq!(effects, [Effect::ReportStatus(Status::Pending), Effect::Reopened]);
    }

    #[test]
    fn an_invalid_one_stays_so() {
        let invalid = State::Invalid {
            at: Timestamp(1),
            errors: vec!["jobs config should contain at least one visible job".into()],
        };
        assert!(
            invalid
                .apply(
                    Event::Jobs {
                        status: Status::Running
                    },
                    Timestamp(2)
                )
                .is_err()
        );
    }
}
