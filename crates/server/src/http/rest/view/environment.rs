//! Environments and deployments.

use tasuki_model::plan::{self, EnvironmentAction};
use tasuki_model::state::environment::State;
use tasuki_proto::rest::{Deployment, DeploymentStatus, Environment, EnvironmentState, JobEnvironment};
use tasuki_store::{Result, Tx, deployments, environments, jobs};

use super::read;

/// An environment with its newest deployments. `url` is the server's own address.
pub fn environment(tx: &mut Tx<'_>, row: &environments::Environment, url: &str) -> Result<Environment> {
    let state: State = read("state of an environment", &row.state_json)?;
    let last = match row.last_deployment_id {
        Some(id) => deployments::get(tx, id)?,
        None => None,
    };
    let latest = deployments::page(tx, row.id, None, 1)?.into_iter().next();
    let latest = latest.filter(|latest| last.as_ref().is_none_or(|last| last.id != latest.id));
    Ok(Environment {
        id: row.id,
        project_id: row.project_id.0,
        name: row.name.clone(),
        slug: row.slug.clone(),
        tier: row.tier.clone(),
        state: match state {
            State::Available { .. } => EnvironmentState::Available,
            State::Stopping { .. } => EnvironmentState::Stopping,
            State::Stopped { .. } => EnvironmentState::Stopped,
        },
        external_url: row.url.clone(),
        auto_stop_at: state.stops_at().map(Into::into),
        last_deployment: last.map(|last| deployment(tx, last, url)).transpose()?,
        latest_deployment: latest.map(|latest| deployment(tx, latest, url)).transpose()?,
        created_at: row.created_ms.into(),
        updated_at: row.updated_ms.into(),
        web_url: format!("{url}/environments/{}", row.id),
    })
}

/// A deployment.
pub fn deployment(tx: &mut Tx<'_>, row: deployments::Deployment, url: &str) -> Result<Deployment> {
    let job_is_there = jobs::get(tx, row.job_id)?.is_some();
    Ok(Deployment {
        id: row.id,
        environment_id: row.environment_id,
        status: match row.status.as_str() {
            "running" => DeploymentStatus::Running,
            "success" => DeploymentStatus::Success,
            "failed" => DeploymentStatus::Failed,
            "canceled" => DeploymentStatus::Canceled,
            _ => DeploymentStatus::Created,
        },
        git_ref: row.ref_name,
        sha: row.sha,
        pipeline_id: row.pipeline_id.0,
        job_id: row.job_id.0,
        job: row.job_name,
        job_url: job_is_there.then(|| format!("{url}/jobs/{}", row.job_id)),
        url: row.url,
        created_at: row.created_ms.into(),
        started_at: row.started_ms.map(Into::into),
        finished_at: row.finished_ms.map(Into::into),
    })
}

/// What a job's plan says of its environment.
pub(super) fn of_plan(named: plan::Environment) -> JobEnvironment {
    let action = match named.action {
        EnvironmentAction::Start => "start",
        EnvironmentAction::Stop => "stop",
        EnvironmentAction::Prepare => "prepare",
        EnvironmentAction::Verify => "verify",
        EnvironmentAction::Access => "access",
    };
    JobEnvironment {
        name: named.name,
        action: action.to_owned(),
        id: None,
        deployment: None,
    }
}

/// Adds what is known of it by now.
pub(super) fn look_up(tx: &mut Tx<'_>, job: &jobs::Job, of: &mut JobEnvironment, url: &str) -> Result<()> {
    of.id = environments::by_name(tx, job.project_id, &of.name)?.map(|row| row.id);
    of.deployment = deployments::of_job(tx, job.id)?
        .map(|newest| deployment(tx, newest, url))
        .transpose()?;
    Ok(())
}
