//! Why a job ended badly, and how the server is told.

use tasuki_model::reason::FailureReason;

use crate::executor;
use crate::guest;

/// The end of a job that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub reason: FailureReason,
    /// For the log.
    pub message: String,
    /// Exit code of the script, where it ended by itself.
    pub exit_code: Option<i32>,
    /// Ours (another try may help), not the job's.
    pub system: bool,
}

impl Failure {
    /// The job's own fault.
    pub fn job(reason: FailureReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            exit_code: None,
            system: false,
        }
    }

    /// Our fault or the machine's.
    pub fn system(message: impl Into<String>) -> Self {
        Self {
            reason: FailureReason::RunnerSystemFailure,
            message: message.into(),
            exit_code: None,
            system: true,
        }
    }

    /// A script that ended with a code other than 0.
    #[must_use]
    pub fn exit(code: i32) -> Self {
        Self {
            reason: FailureReason::ScriptFailure,
            message: format!("exit status {code}"),
            exit_code: Some(code),
            system: false,
        }
    }

    /// The last line of the log.
    #[must_use]
    pub fn headline(&self) -> String {
        if self.system {
            format!("ERROR: Job failed (system failure): {}", self.message)
        } else {
            format!("ERROR: Job failed: {}", self.message)
        }
    }

    /// The reason as this server understands it: three are known to all, others only where it lists them
    /// (`features.failure_reasons`).
    #[must_use]
    pub fn wire_reason(&self, known: &[String]) -> &'static str {
        wire_reason(self.reason, known)
    }
}

fn wire_reason(reason: FailureReason, known: &[String]) -> &'static str {
    let always = [
        FailureReason::ScriptFailure,
        FailureReason::RunnerSystemFailure,
        FailureReason::JobExecutionTimeout,
    ];
    if always.contains(&reason) || known.iter().any(|name| name == reason.as_str()) {
        return reason.as_str();
    }
    let mapped = match reason {
        FailureReason::ImagePullFailure | FailureReason::RunnerExternalDependencyFailure => {
            FailureReason::RunnerSystemFailure
        }
        FailureReason::RunnerConfigurationError => FailureReason::ScriptFailure,
        _ => FailureReason::UnknownFailure,
    };
    mapped.as_str()
}

impl From<executor::Error> for Failure {
    fn from(error: executor::Error) -> Self {
        Self {
            reason: error.reason(),
            message: crate::trace::chain(&error),
            exit_code: None,
            system: error.is_transient(),
        }
    }
}

impl From<guest::Failure> for Failure {
    fn from(failure: guest::Failure) -> Self {
        let system = failure.fault() == tasuki_model::reason::Fault::System;
        Self {
            reason: failure.reason,
            message: failure.message,
            exit_code: None,
            system,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_only_hear_reasons_that_they_know() {
        let lists = ["runner_interrupted".to_owned(), "image_pull_failure".to_owned()];
        for (reason, bare, listed) in [
            (FailureReason::ScriptFailure, "script_failure", "script_failure"),
            (
                FailureReason::RunnerSystemFailure,
                "runner_system_failure",
                "runner_system_failure",
            ),
            (
                FailureReason::JobExecutionTimeout,
                "job_execution_timeout",
                "job_execution_timeout",
            ),
            (
                FailureReason::ImagePullFailure,
                "runner_system_failure",
                "image_pull_failure",
            ),
            (
                FailureReason::RunnerExternalDependencyFailure,
                "runner_system_failure",
                "runner_system_failure",
            ),
            (
                FailureReason::RunnerConfigurationError,
                "script_failure",
                "script_failure",
            ),
            (
                FailureReason::RunnerInterrupted,
                "unknown_failure",
                "runner_interrupted",
            ),
            (FailureReason::JobCanceled, "unknown_failure", "unknown_failure"),
        ] {
            assert_eq!(wire_reason(reason, &[]), bare, "{reason}");
            assert_eq!(wire_reason(reason, &lists), listed, "{reason}");
        }
    }
}
