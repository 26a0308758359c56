//! A task: queued → claimed → running → finishing → finished, fenced by its token.
//!
//! A claim gives the runner a token and a lease. Whoever presents the token of a task that is neither queued
//! nor finished may write for it; the store finds the task by the token's hash, so a runner that lost its
//! lease finds nothing and is refused before any event reaches this file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BadTransition, Outcome, Status};
use crate::id::RunnerId;
use crate::reason::FailureReason;
use crate::time::Timestamp;

/// How long a reported result waits for the rest of its log before it is accepted without
/// (GitLab's runner protocol, job update: 5 minutes).
pub const LOG_PATIENCE: Duration = Duration::from_mins(5);

/// Who works for a task, and until when that is believed without a sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub runner: RunnerId,
    /// The runner's process (`<legacy>` where it gave none).
    pub system_id: String,
    /// Each contact sets it to now + `length_ms`.
    pub expires: Timestamp,
    pub length_ms: u64,
    /// The runner lets the script's clean-up run when it is told `canceling`.
    pub cancels_gracefully: bool,
}

impl Lease {
    fn renewed(mut self, now: Timestamp) -> Self {
        // A clock that jumped back must not shorten a lease that was already given.
        self.expires = self.expires.max(now.after(Duration::from_millis(self.length_ms)));
        self
    }
}

/// Where a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Any fitting runner may claim it.
    Queued {
        since: Timestamp,
    },
    /// Handed out, but the runner has not yet said that it has it (two-phase commit). Shown as pending.
    Claimed {
        since: Timestamp,
        lease: Lease,
    },
    Running {
        started: Timestamp,
        lease: Lease,
    },
    /// The runner was told to stop and runs its clean-up.
    Canceling {
        started: Timestamp,
        since: Timestamp,
        lease: Lease,
    },
    /// The runner has reported; the rest of its log is on the way. The result is decided.
    Finishing {
        started: Timestamp,
        since: Timestamp,
        lease: Lease,
        outcome: Outcome,
    },
    Finished {
        /// Absent: it never ran.
        started: Option<Timestamp>,
        at: Timestamp,
        outcome: Outcome,
    },
}

/// What happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Claim {
        lease: Lease,
        commit: Commit,
    },
    /// The runner says that it runs the task (`PUT state=running`), also as a sign of life.
    Acknowledge,
    /// Any other authenticated contact of the runner about this task.
    Touch,
    /// The runner's final result.
    Report {
        outcome: Outcome,
        log: Log,
    },
    /// Every byte of the log that the runner announced is stored.
    LogStored,
    Cancel,
    /// The server ends it: stuck, no runner, log too large, its project gone, …
    Drop {
        reason: FailureReason,
    },
    /// The runner hung up before it could be told that the task is its own.
    Return,
    /// The lease has run out. Refused while it has not.
    Expire,
}

/// Whether a claim waits for the runner's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    OnePhase,
    TwoPhase,
}

/// Whether the announced log is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Complete,
    Incomplete,
}

/// What must follow a change, in the same transaction or after its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a token, tell only the runner, store its hash.
    IssueToken,
    /// Forget the token: writes with it are refused from now on.
    RevokeToken,
    /// Offer it to runners (again).
    Enqueue,
    /// Take it out of the queue.
    Dequeue,
    /// The job's script is running now.
    Started,
    /// No more log is accepted: compress it.
    SealLog,
    /// The result is final: retry or advance the graph.
    Ended(Outcome),
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "claim",
            Self::Acknowledge => "acknowledge",
            Self::Touch => "touch",
            Self::Report { .. } => "report",
            Self::LogStored => "log stored",
            Self::Cancel => "cancel",
            Self::Drop { .. } => "drop",
            Self::Return => "return",
            Self::Expire => "expire",
        }
    }
}

impl State {
    /// The state's own name, as stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Claimed { .. } => "claimed",
            Self::Running { .. } => "running",
            Self::Canceling { .. } => "canceling",
            Self::Finishing { .. } => "finishing",
            Self::Finished { .. } => "finished",
        }
    }

    /// GitLab's word, sent as `Job-Status`.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Queued { .. } | Self::Claimed { .. } => Status::Pending,
            Self::Running { .. } | Self::Finishing { .. } => Status::Running,
            Self::Canceling { .. } => Status::Canceling,
            Self::Finished { outcome, .. } => outcome.status(),
        }
    }

    /// The lease, while somebody holds one.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Claimed { lease, .. }
            | Self::Running { lease, .. }
            | Self::Canceling { lease, .. }
            | Self::Finishing { lease, .. } => Some(lease),
            Self::Queued { .. } | Self::Finished { .. } => None,
        }
    }

    /// When the runner began, where it did.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        match self {
            Self::Running { started, .. } | Self::Canceling { started, .. } | Self::Finishing { started, .. } => {
                Some(*started)
            }
            Self::Finished { started, .. } => *started,
            Self::Queued { .. } | Self::Claimed { .. } => None,
        }
    }

    /// The result, once it is final.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Finished { outcome, .. } => Some(outcome),
            Self::Queued { .. }
            | Self::Claimed { .. }
            | Self::Running { .. }
            | Self::Canceling { .. }
            | Self::Finishing { .. } => None,
        }
    }

    /// The next state and what must follow.
    ///
    /// # Errors
    /// The event does not fit the state: late, doubled, or sent by somebody who lost the task.
    pub fn apply(self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), BadTransition> {
        let refused = BadTransition {
            what: "task",
            from: self.name(),
            event: event.name(),
        };
        match event {
            Event::Claim { lease, commit } => self.claim(lease, commit, now).ok_or(refused),
            Event::Acknowledge | Event::Touch => self.contact(&event, now).ok_or(refused),
            Event::Report { outcome, log } => self.report(outcome, log, now).ok_or(refused),
            Event::LogStored => match self {
                Self::Finishing { started, outcome, .. } => Ok(finish(Some(started), outcome, now)),
                _ => Err(refused),
            },
            Event::Cancel => self.cancel(now).ok_or(refused),
            Event::Drop { reason } => self.end(reason, now).ok_or(refused),
            Event::Return => match self {
                // Nothing of it can run: the runner never learned the token.
                Self::Claimed { .. } | Self::Running { .. } => Ok(requeue(now)),
                _ => Err(refused),
            },
            Event::Expire => self.expire(now).ok_or(refused),
        }
    }

    fn claim(self, lease: Lease, commit: Commit, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        let Self::Queued { .. } = self else { return None };
        Some(match commit {
            Commit::TwoPhase => (
                Self::Claimed { since: now, lease },
                vec![Effect::Dequeue, Effect::IssueToken],
            ),
            Commit::OnePhase => (
                Self::Running { started: now, lease },
                vec![Effect::Dequeue, Effect::IssueToken, Effect::Started],
            ),
        })
    }

    fn contact(self, event: &Event, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        Some(match self {
            Self::Claimed { lease, .. } if *event == Event::Acknowledge => (
                Self::Running {
                    started: now,
                    lease: lease.renewed(now),
                },
                vec![Effect::Started],
            ),
            Self::Claimed { since, lease } => (
                Self::Claimed {
                    since,
                    lease: lease.renewed(now),
                },
                Vec::new(),
            ),
            Self::Running { started, lease } => (
                Self::Running {
                    started,
                    lease: lease.renewed(now),
                },
                Vec::new(),
            ),
            Self::Canceling { started, since, lease } => (
                Self::Canceling {
                    started,
                    since,
                    lease: lease.renewed(now),
                },
                Vec::new(),
            ),
            Self::Finishing {
                started,
                since,
                lease,
                outcome,
            } => (
                Self::Finishing {
                    started,
                    since,
                    lease: lease.renewed(now),
                    outcome,
                },
                Vec::new(),
            ),
            Self::Queued { .. } | Self::Finished { .. } => return None,
        })
    }

    fn report(self, outcome: Outcome, log: Log, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        let (started, lease, outcome) = match self {
            // A runner that fails before its first word about the task still reports it.
            Self::Claimed { lease, .. } => (now, lease, outcome),
            Self::Running { started, lease } => (started, lease, outcome),
            // Whatever it says after it was told to stop, it was cancelled (as GitLab has it).
            Self::Canceling { started, lease, .. } => (started, lease, Outcome::Canceled),
            // The first result stays; only the log's state may have changed.
            Self::Finishing {
                started,
                since,
                lease,
                outcome,
            } => {
                let patient = now.since(since) < LOG_PATIENCE;
                if log == Log::Incomplete && patient {
                    return Some((
                        Self::Finishing {
                            started,
                            since,
                            lease: lease.renewed(now),
                            outcome,
                        },
                        Vec::new(),
                    ));
                }
                return Some(finish(Some(started), outcome, now));
            }
            Self::Queued { .. } | Self::Finished { .. } => return None,
        };
        Some(match log {
            Log::Complete => finish(Some(started), outcome, now),
            Log::Incomplete => (
                Self::Finishing {
                    started,
                    since: now,
                    lease: lease.renewed(now),
                    outcome,
                },
                Vec::new(),
            ),
        })
    }

    fn cancel(self, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        Some(match self {
            Self::Queued { .. } => (
                Self::Finished {
                    started: None,
                    at: now,
                    outcome: Outcome::Canceled,
                },
                vec![Effect::Dequeue, Effect::SealLog, Effect::Ended(Outcome::Canceled)],
            ),
            // Nothing runs yet: the runner's first word is answered with a refusal and it drops the task.
            Self::Claimed { .. } => finish(None, Outcome::Canceled, now),
            Self::Running { started, lease } if lease.cancels_gracefully => (
                Self::Canceling {
                    started,
                    since: now,
                    lease,
                },
                Vec::new(),
            ),
            // This runner knows only "stop at once", which the end of its task tells it.
            Self::Running { started, .. } => finish(Some(started), Outcome::Canceled, now),
            // Doubled, or too late to change a reported result: nothing to do, nothing wrong.
            already @ (Self::Canceling { .. } | Self::Finishing { .. }) => (already, Vec::new()),
            Self::Finished { .. } => return None,
        })
    }

    fn end(self, reason: FailureReason, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        let outcome = Outcome::failed(reason);
        Some(match self {
            Self::Queued { .. } => (
                Self::Finished {
                    started: None,
                    at: now,
                    outcome: outcome.clone(),
                },
                vec![Effect::Dequeue, Effect::SealLog, Effect::Ended(outcome)],
            ),
            Self::Claimed { .. } => finish(None, outcome, now),
            Self::Running { started, .. } => finish(Some(started), outcome, now),
            Self::Canceling { started, .. } => finish(Some(started), Outcome::Canceled, now),
            Self::Finishing { started, outcome, .. } => finish(Some(started), outcome, now),
            Self::Finished { .. } => return None,
        })
    }

    fn expire(self, now: Timestamp) -> Option<(Self, Vec<Effect>)> {
        if self.lease()?.expires > now {
            return None;
        }
        Some(match self {
            // Never acknowledged, so nothing of it ran: the same task goes back, with a new token next time.
            Self::Claimed { .. } => (Self::Queued { since: now }, vec![Effect::RevokeToken, Effect::Enqueue]),
            Self::Running { started, .. } => finish(Some(started), Outcome::failed(FailureReason::RunnerLost), now),
            Self::Canceling { started, .. } => finish(Some(started), Outcome::Canceled, now),
            // It had reported; only the tail of its log is lost, and the log says so.
            Self::Finishing { started, outcome, .. } => finish(Some(started), outcome, now),
            Self::Queued { .. } | Self::Finished { .. } => return None,
        })
    }
}

fn requeue(now: Timestamp) -> (State, Vec<Effect>) {
    (State::Queued { since: now }, vec![Effect::RevokeToken, Effect::Enqueue])
}

fn finish(started: Option<Timestamp>, outcome: Outcome, now: Timestamp) -> (State, Vec<Effect>) {
    let effects = vec![Effect::RevokeToken, Effect::SealLog, Effect::Ended(outcome.clone())];
    (
        State::Finished {
            started,
            at: now,
            outcome,
        },
        effects,
    )
}

#[cfg(test)]
mod tests;
