//! The payload of a claimed task, from the store to the wire.

use tasuki_model::plan::Variable;
use tasuki_model::reason::FailureReason;
use tasuki_pipeline::lang::gitlab::predefined::RunnerFacts;
use tasuki_pipeline::lang::gitlab::variables::Circular;
use tasuki_proto::gitlab::{Features, JobResponse, feature};

use super::gather::{Missing, gather};
use super::{Facts, build, needs};
use crate::app::App;
use crate::environments;
use crate::http::runner_api::dotenv;
use crate::scheduler::ClaimedTask;

/// The runner that claimed it.
pub struct Claimant {
    pub id: i64,
    pub description: String,
    pub tags: Vec<String>,
    pub maximum_timeout_s: Option<u64>,
    /// What its process announces.
    pub features: Features,
}

/// Why a payload cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database failed")]
    Store(#[source] tasuki_store::Error),
    #[error("what is stored of the task is not usable")]
    Stored(#[source] Missing),
    #[error("the variables of the job refer to one another in a circle")]
    Circular(#[from] Circular),
    #[error("a dotenv report that the job depends on cannot be read")]
    Dotenv,
    #[error(
        "the runner lacks the feature {0:?}, which the job needs: use a newer runner, or one with another executor"
    )]
    Unsupported(&'static str),
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Store(failed) => Self::Store(failed),
            other => Self::Stored(other),
        }
    }
}

impl Error {
    /// What the task ends with.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Store(_) => FailureReason::SchedulerFailure,
            Self::Stored(Missing::Expired { .. } | Missing::Absent { .. }) => FailureReason::MissingDependencyFailure,
            Self::Stored(_) => FailureReason::DataIntegrityFailure,
            Self::Circular(_) => FailureReason::RunnerConfigurationError,
            Self::Dotenv => FailureReason::MissingDependencyFailure,
            Self::Unsupported(_) => FailureReason::RunnerUnsupported,
        }
    }
}

/// Makes the payload of a claimed task.
///
/// # Errors
/// The task cannot be handed out; [`Error::reason`] says how it is to end.
pub async fn make(app: &App, claimed: &ClaimedTask, claimant: &Claimant) -> Result<JobResponse, Error> {
    let days = app.config().retention.artifacts_days;
    let (own, server, vault) = (claimed.clone(), app.server_info(), app.vault().clone());
    let mut gathered = app
        .store()
        .read_as(move |tx| gather(tx, &own, server, vault.keys(), days))
        .await?;
    if let Some(last) = gathered.url_wanted.take()
        && let Some(url) = environments::settle(app, last).await.map_err(Error::Store)?
        && let Some(known) = &mut gathered.environment
    {
        known.url = Some(url);
    }
    let dotenv = dotenv_of(app, &gathered.dotenv).await?;
    let facts = Facts {
        task: claimed.id,
        token: &claimed.token,
        job_id: claimed.job,
        pipeline: claimed.pipeline,
        context: &gathered.context,
        pipeline_name: gathered.pipeline_name.as_deref(),
        language: gathered.language,
        job: &gathered.job,
        played: &gathered.played,
        dotenv: &dotenv,
        dependencies: &gathered.dependencies,
        needs: &gathered.needs,
        workspaces: &gathered.workspaces,
        environment: gathered.environment.as_ref(),
        workflow: &gathered.workflow,
        part: claimed.parallel_index,
        project_timeout_s: gathered.settings.timeout_s,
        runner: RunnerFacts {
            id: claimant.id,
            description: &claimant.description,
            tags: &claimant.tags,
        },
        runner_timeout_s: claimant.maximum_timeout_s,
        ours: claimant.features.has(feature::TASUKI),
        lease_ms: u64::try_from(claimed.lease.as_millis()).unwrap_or(u64::MAX),
        snapshot: gathered.settings.snapshot.as_deref(),
        queued: claimed.queued,
        now: claimed.claimed,
    };
    let payload = build(&facts)?;
    match needs::lacking(&facts, &payload, &claimant.features) {
        Some(name) => Err(Error::Unsupported(name)),
        None => Ok(payload),
    }
}

pub(super) async fn dotenv_of(app: &App, reports: &[String]) -> Result<Vec<Variable>, Error> {
    let mut all = Vec::new();
    for blob_key in reports {
        match dotenv::read(app, blob_key).await {
            Ok(variables) => all.extend(variables),
            Err(wrong) => {
                // It was readable when it came: the bytes are gone or damaged since.
                tracing::warn!(?wrong, "a dotenv report cannot be read");
                return Err(Error::Dotenv);
            }
        }
    }
    Ok(all)
}
