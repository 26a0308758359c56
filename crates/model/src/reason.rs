//! Why a task ended badly. User fault and system fault are apart in the type (invariant 9).

use serde::{Deserialize, Serialize};

/// Whose fault an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The job's own: counted as `failure`.
    User,
    /// Ours, the machine's, the network's: counted as `error`.
    System,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $fault:ident, $title:literal;)*) => {
        /// The runner protocol's failure reasons (`gitlab-protocol` §7) and our own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureReason { $($(#[$doc])* $variant,)* }

        impl FailureReason {
            /// All reasons, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// One sentence for people, without a full stop.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The reason of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    UnknownFailure = "unknown_failure", System, "the runner gave no known reason";
    ScriptFailure = "script_failure", User, "the script failed";
    ApiFailure = "api_failure", System, "the server's API failed";
    StuckOrTimeoutFailure = "stuck_or_timeout_failure", System, "the job was stuck or silent for too long";
    RunnerSystemFailure = "runner_system_failure", System, "the runner's system failed";
    MissingDependencyFailure = "missing_dependency_failure", User, "artifacts that the job depends on are gone";
    RunnerUnsupported = "runner_unsupported", System, "the runner lacks a feature that the job needs";
    StaleSchedule = "stale_schedule", System, "a delayed job was not started in time";
    JobExecutionTimeout = "job_execution_timeout", User, "the job ran into its time limit";
    ArchivedFailure = "archived_failure", User, "the job is archived";
    UnmetPrerequisites = "unmet_prerequisites", User, "a prerequisite of the job is not met";
    SchedulerFailure = "scheduler_failure", System, "the scheduler failed to hand the job out";
    DataIntegrityFailure = "data_integrity_failure", System, "stored data of the job is damaged";
    ForwardDeploymentFailure = "forward_deployment_failure", User, "a newer deployment exists";
    UserBlocked = "user_blocked", User, "the user who started it is blocked";
    ProjectDeleted = "project_deleted", User, "the project was removed";
    CiQuotaExceeded = "ci_quota_exceeded", User, "the quota is used up";
    PipelineLoopDetected = "pipeline_loop_detected", User, "the pipelines trigger one another in a loop";
    NoMatchingRunner = "no_matching_runner", User, "no runner matches the job";
    TraceSizeExceeded = "trace_size_exceeded", User, "the log is larger than allowed";
    BuildsDisabled = "builds_disabled", User, "jobs are disabled for the project";
    EnvironmentCreationFailure = "environment_creation_failure", User, "the environment could not be made";
    DeploymentRejected = "deployment_rejected", User, "the deployment was rejected";
    FailedOutdatedDeploymentJob = "failed_outdated_deployment_job", User, "a newer deployment has run already";
    /// The runner died or fell silent: its lease ran out.
    RunnerLost = "runner_lost", System, "the runner fell silent and its lease ran out";
    ImagePullFailure = "image_pull_failure", User, "an image could not be pulled";
    RunnerConfigurationError = "runner_configuration_error", User, "the job asks for what the runner's configuration forbids";
    RunnerExternalDependencyFailure = "runner_external_dependency_failure", System, "a service that the runner depends on is out of reach";
    RunnerInterrupted = "runner_interrupted", System, "the runner was shut down";
    JobCanceled = "job_canceled", User, "the job was cancelled";
    DownstreamPipelineCreationFailed = "downstream_pipeline_creation_failed", User, "the downstream pipeline could not be created";
    DownstreamFailed = "downstream_failed", User, "the downstream pipeline failed";
    UpstreamNotFound = "upstream_not_found", User, "the pipeline or job that it needs was not found";
    SecretsProviderNotFound = "secrets_provider_not_found", User, "no secrets provider is configured";
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry of `retry:when`. In JSON the reason's name or `always`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    Always,
    #[serde(untagged)]
    Reason(FailureReason),
}

impl RetryOn {
    /// Whether this entry allows a retry after `reason` (`gitlab-protocol` §7.1 aliases included).
    #[must_use]
    pub fn matches(self, reason: FailureReason) -> bool {
        match self {
            Self::Always => true,
            Self::Reason(FailureReason::StuckOrTimeoutFailure) => {
                matches!(reason, FailureReason::StuckOrTimeoutFailure | FailureReason::RunnerLost)
            }
            // A runner that is gone is a runner system failure to those who wrote their file for GitLab.
            Self::Reason(FailureReason::RunnerSystemFailure) => matches!(
                reason,
                FailureReason::RunnerSystemFailure | FailureReason::RunnerLost | FailureReason::RunnerInterrupted
            ),
            Self::Reason(own) => own == reason,
        }
    }
}
