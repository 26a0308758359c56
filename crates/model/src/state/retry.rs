//! Whether a failed task is tried again by itself.

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::plan::Retry;
use crate::reason::FailureReason;

/// How often tasuki starts a task again, beyond the job's own `retry`, where the failure was not the job's:
/// its runner died or was shut down, or what it must talk to (this server, a registry) could not be reached.
pub const SYSTEM_REQUEUES: u32 = 2;

/// How often a task is started again after `scheduler_failure` when the job says nothing (GitLab's default).
pub const SCHEDULER_RETRIES: u32 = 2;

/// Repetitions so far, without those that a person asked for. Each new attempt carries its predecessor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// By the job's `retry`.
    pub policy: u32,
    /// By [`SYSTEM_REQUEUES`] and [`SCHEDULER_RETRIES`].
    pub system: u32,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Queue a new task that has these attempts behind it.
    Again(Attempts),
    /// The failure is the job's result.
    Final,
}

/// Decides by the job's `retry` first, then by our own rule for losses that are not the job's fault.
///
/// GitLab's rules (`retry` keyword; runner protocol, retry): `retry.max` more attempts when the reason is in
/// `retry.when` or the exit code in `retry.exit_codes` (either suffices; both empty means always); some
/// reasons never, since another attempt would end the same way.
#[must_use]
pub fn decide(policy: &Retry, so_far: Attempts, failure: &Failure) -> Decision {
    if never(failure.reason) {
        return Decision::Final;
    }
    if so_far.policy < policy.max && wanted(policy, failure) {
        return Decision::Again(Attempts {
            policy: so_far.policy + 1,
            ..so_far
        });
    }
    if so_far.system < system_allowance(policy, failure.reason) {
        return Decision::Again(Attempts {
            system: so_far.system + 1,
            ..so_far
        });
    }
    Decision::Final
}

/// The attempts that lie behind a task, worked out again from the failures of its predecessors, oldest first.
/// A final one was followed by a person's retry, which starts counting anew.
pub fn replay<'a>(policy: &Retry, failures: impl IntoIterator<Item = &'a Failure>) -> Attempts {
    failures.into_iter().fold(Attempts::default(), |so_far, failure| {
        match decide(policy, so_far, failure) {
            Decision::Again(attempts) => attempts,
            Decision::Final => Attempts::default(),
        }
    })
}

fn wanted(policy: &Retry, failure: &Failure) -> bool {
    if policy.when.is_empty() && policy.exit_codes.is_empty() {
        return true;
    }
    policy.when.iter().any(|entry| entry.matches(failure.reason))
        || failure.exit_code.is_some_and(|code| policy.exit_codes.contains(&code))
}

fn system_allowance(policy: &Retry, reason: FailureReason) -> u32 {
    match reason {
        FailureReason::RunnerLost
        | FailureReason::RunnerInterrupted
        | FailureReason::RunnerExternalDependencyFailure => SYSTEM_REQUEUES,
        // A job that has its own `retry` has said how often.
        FailureReason::SchedulerFailure if policy.max == 0 => SCHEDULER_RETRIES,
        _ => 0,
    }
}

/// Reasons that no retry heals.
fn never(reason: FailureReason) -> bool {
    matches!(
        reason,
        FailureReason::CiQuotaExceeded
            | FailureReason::NoMatchingRunner
            | FailureReason::MissingDependencyFailure
            | FailureReason::ForwardDeploymentFailure
            | FailureReason::FailedOutdatedDeploymentJob
            | FailureReason::EnvironmentCreationFailure
            | FailureReason::UserBlocked
            | FailureReason::ProjectDeleted
            | FailureReason::BuildsDisabled
            | FailureReason::ArchivedFailure
            | FailureReason::PipelineLoopDetected
            | FailureReason::DeploymentRejected
            | FailureReason::JobCanceled
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::RetryOn;

    struct Case {
        max: u32,
        when: &'static [RetryOn],
        codes: &'static [i32],
        so_far: (u32, u32),
        reason: FailureReason,
        exit_code: Option<i32>,
        /// Attempts after it; `None` = final.
        then: Option<(u32, u32)>,
    }

    const PLAIN: Case = Case {
        max: 0,
        when: &[],
        codes: &[],
        so_far: (0, 0),
        reason: FailureReason::ScriptFailure,
        exit_code: Some(1),
        then: None,
    };

    fn check(case: &Case) {
        let policy = Retry {
            max: case.max,
            when: case.when.to_vec(),
            exit_codes: case.codes.to_vec(),
        };
        let so_far = Attempts {
            policy: case.so_far.0,
            system: case.so_far.1,
        };
        let failure = Failure {
            reason: case.reason,
            exit_code: case.exit_code,
        };
        let then = match decide(&policy, so_far, &failure) {
            Decision::Again(attempts) => Some((attempts.policy, attempts.system)),
            Decision::Final => None,
        };
        assert_eq!(then, case.then, "{policy:?} {so_far:?} {failure:?}");
    }

    #[test]
    fn the_jobs_own_policy() {
        use FailureReason::{JobExecutionTimeout, RunnerSystemFailure, ScriptFailure};
        const SCRIPT: &[RetryOn] = &[RetryOn::Reason(ScriptFailure)];
        const SYSTEM: &[RetryOn] = &[RetryOn::Reason(RunnerSystemFailure)];
        for case in [
            PLAIN,
            Case {
                max: 2,
                then: Some((1, 0)),
                ..PLAIN
            },
            Case {
                max: 2,
                so_far: (1, 0),
                then: Some((2, 0)),
                ..PLAIN
            },
            Case {
                max: 2,
                so_far: (2, 0),
                ..PLAIN
            },
            Case {
                max: 1,
                when: SCRIPT,
                then: Some((1, 0)),
                ..PLAIN
            },
            Case {
                max: 1,
                when: SYSTEM,
                ..PLAIN
            },
            Case {
                max: 1,
                when: &[RetryOn::Always],
                reason: JobExecutionTimeout,
                then: Some((1, 0)),
                ..PLAIN
            },
            // Reason and exit code: either suffices.
            Case {
                max: 1,
                when: SYSTEM,
                codes: &[137],
                exit_code: Some(137),
                then: Some((1, 0)),
                ..PLAIN
            },
            Case {
                max: 1,
                codes: &[137],
                exit_code: Some(1),
                ..PLAIN
            },
            Case {
                max: 1,
                codes: &[137],
                exit_code: None,
                ..PLAIN
            },
        ] {
            check(&case);
        }
    }

    #[test]
    fn a_lost_runner_costs_the_job_nothing() {
        use FailureReason::{RunnerInterrupted, RunnerLost, SchedulerFailure};
        for case in [
            Case {
                reason: RunnerLost,
                exit_code: None,
                then: Some((0, 1)),
                ..PLAIN
            },
            Case {
                reason: RunnerLost,
                exit_code: None,
                so_far: (0, 1),
                then: Some((0, 2)),
                ..PLAIN
            },
            Case {
                reason: RunnerLost,
                exit_code: None,
                so_far: (0, 2),
                ..PLAIN
            },
            Case {
                reason: RunnerInterrupted,
                exit_code: None,
                then: Some((0, 1)),
                ..PLAIN
            },
            // With a policy of its own, that is used up first.
            Case {
                max: 1,
                reason: RunnerLost,
                then: Some((1, 0)),
                ..PLAIN
            },
            Case {
                max: 1,
                so_far: (1, 0),
                reason: RunnerLost,
                then: Some((1, 1)),
                ..PLAIN
            },
            Case {
                reason: SchedulerFailure,
                exit_code: None,
                then: Some((0, 1)),
                ..PLAIN
            },
            Case {
                max: 1,
                so_far: (1, 0),
                reason: SchedulerFailure,
                exit_code: None,
                ..PLAIN
            },
        ] {
            check(&case);
        }
    }

    #[test]
    fn some_reasons_are_never_retried() {
        for &reason in FailureReason::ALL.iter().filter(|reason| never(**reason)) {
            check(&Case {
                max: 2,
                when: &[RetryOn::Always],
                reason,
                ..PLAIN
            });
        }
    }
}
