//! Where a deployment is to be found: the url of its environment, once the job has ended and left what the url may
//! refer to.

use std::collections::BTreeMap;

use serde::Deserialize;
use tasuki_model::id::TaskId;
use tasuki_model::labels::Demand;
use tasuki_model::plan::Variable;
use tasuki_model::secret::Secret;
use tasuki_pipeline::lang::gitlab::predefined::RunnerFacts;
use tasuki_store::deployments::Deployment;
use tasuki_store::{Tx, artifacts, jobs, runners, tasks};

use super::gather::{Gathered, Missing, Subject, gather_of, read};
use super::make::dotenv_of;
use super::{Error, Facts, variables};
use crate::app::App;

/// Longer ones are no addresses that anybody wants.
const MOST_BYTES: usize = 2048;

/// What is read of what the scheduler keeps beside a job.
#[derive(Deserialize)]
struct Beside {
    demand: Demand,
}

/// What the store knows of a job that has deployed.
struct Deployed {
    gathered: Gathered,
    /// The newest task; a job that starts a pipeline has none.
    task: Option<tasks::Task>,
    runner: Option<runners::Runner>,
    /// The task's own ended with it, and none would belong into an address.
    no_token: Secret,
    /// Blob keys of the dotenv reports that its newest tasks left.
    left: Vec<String>,
}

/// The url of a deployment whose job has succeeded; `None` where its job gives none, or one that is unusable.
///
/// # Errors
/// The store fails, or what it has of the job cannot be read.
pub(crate) async fn url_of(app: &App, deployment: &Deployment) -> Result<Option<String>, Error> {
    let (own, app_too) = (deployment.clone(), app.clone());
    let deployed = app.store().read_as(move |tx| deployed(tx, &own, &app_too)).await?;
    let gathered = &deployed.gathered;
    let dotenv = dotenv_of(app, &gathered.dotenv).await?;
    let left = dotenv_of(app, &deployed.left).await?;
    let url = variables::url(&facts(&deployed, deployment, &dotenv, app), &left)?;
    Ok(url
        .map(|url| url.trim().to_owned())
        .filter(|url| !url.is_empty() && url.len() <= MOST_BYTES))
}

fn deployed(tx: &mut Tx<'_>, deployment: &Deployment, app: &App) -> Result<Deployed, Missing> {
    let row = jobs::get(tx, deployment.job_id)?.ok_or(Missing::Gone("job"))?;
    let beside: Beside = read("graph", &row.graph_json)?;
    let subject = Subject {
        job: deployment.job_id,
        pipeline: deployment.pipeline_id,
        project: deployment.project_id,
        protected: beside.demand.protected,
        // As of the end of the job: what it got then may have expired since.
        now: deployment.finished_ms.unwrap_or(deployment.created_ms),
    };
    let gathered = gather_of(tx, &subject, app.server_info(), app.vault().keys(), 0)?;
    let mut newest = BTreeMap::new();
    for task in tasks::of_job(tx, deployment.job_id)? {
        newest.insert(task.parallel_index, task);
    }
    let mut left = Vec::new();
    for task in newest.values() {
        let files = artifacts::of_task(tx, task.id)?;
        left.extend(
            files
                .into_iter()
                .filter(|file| file.kind == "dotenv")
                .map(|file| file.blob_key),
        );
    }
    let task = newest.into_values().next();
    let runner = match task.as_ref().and_then(|task| task.runner_id) {
        Some(id) => runners::get(tx, id)?,
        None => None,
    };
    Ok(Deployed {
        gathered,
        task,
        runner,
        no_token: Secret::new(""),
        left,
    })
}

/// What the variables are made of.
fn facts<'a>(of: &'a Deployed, deployment: &Deployment, dotenv: &'a [Variable], app: &App) -> Facts<'a> {
    let gathered = &of.gathered;
    Facts {
        task: of.task.as_ref().map_or(TaskId(0), |task| task.id),
        token: &of.no_token,
        job_id: deployment.job_id,
        pipeline: deployment.pipeline_id,
        context: &gathered.context,
        pipeline_name: gathered.pipeline_name.as_deref(),
        language: gathered.language,
        job: &gathered.job,
        played: &gathered.played,
        dotenv,
        dependencies: &[],
        needs: &gathered.needs,
        workspaces: &[],
        environment: gathered.environment.as_ref(),
        workflow: &gathered.workflow,
        part: 0,
        project_timeout_s: None,
        runner: RunnerFacts {
            id: of.runner.as_ref().map_or(0, |runner| runner.id.0),
            description: of.runner.as_ref().map_or("", |runner| &runner.description),
            tags: &[],
        },
        runner_timeout_s: None,
        ours: false,
        lease_ms: 0,
        snapshot: None,
        queued: deployment.created_ms,
        now: deployment.started_ms.unwrap_or_else(|| app.now()),
    }
}
