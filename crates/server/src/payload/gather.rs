//! Reads from the store what a payload is made of.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::labels::Demand;
use tasuki_model::plan::{self, Language, Variable};
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::Trigger;
use tasuki_pipeline::lang::gitlab::predefined::KnownEnvironment;
use tasuki_pipeline::{Context, PipelineInfo, ServerInfo};
use tasuki_proto::gitlab::WorkspaceLayer;
use tasuki_store::deployments::{self, Deployment};
use tasuki_store::{Tx, environments, jobs, pipelines, projects, tasks, workflows};

use super::{UpstreamFile, elsewhere, upstream, workspace};
use crate::app::variables_of;
use crate::config::ProjectSettings;
use crate::scheduler::{ClaimedTask, outputs};
use crate::secrets::{self, Keyring};
use crate::triggers::{project_info, shown_to};

/// What the store knows of a claimed task.
pub(super) struct Gathered {
    pub(super) job: plan::Job,
    pub(super) language: Language,
    pub(super) pipeline_name: Option<String>,
    pub(super) context: Context,
    pub(super) settings: ProjectSettings,
    pub(super) dependencies: Vec<UpstreamFile>,
    /// Blob keys of dotenv reports, in the order of the plan.
    pub(super) dotenv: Vec<String>,
    pub(super) played: Vec<Variable>,
    pub(super) workspaces: Vec<WorkspaceLayer>,
    /// How the jobs that this one needs ended and what they gave.
    pub(super) needs: serde_json::Map<String, serde_json::Value>,
    /// The environment that the job names.
    pub(super) environment: Option<KnownEnvironment>,
    /// Its last deployment, where the job goes by that one's url and it is still to be made.
    pub(super) url_wanted: Option<Deployment>,
    /// Name of the job's workflow, where the language shows it to jobs.
    pub(super) workflow: String,
}

/// The job that is asked about.
pub(super) struct Subject {
    pub(super) job: JobId,
    pub(super) pipeline: PipelineId,
    pub(super) project: ProjectId,
    /// Its pipeline's ref is protected.
    pub(super) protected: bool,
    pub(super) now: Timestamp,
}

/// Something that must be there is not, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
    #[error("a variable of the project cannot be decrypted")]
    Secret(#[source] secrets::Error),
    #[error("the artifacts of job {job:?} have expired")]
    Expired { job: String },
    #[error("there is no job {job:?} that succeeded in the pipeline or project that the job needs it from")]
    Absent { job: String },
    #[error("the results of the jobs that it needs cannot be read")]
    Needs(#[from] crate::scheduler::Error),
    #[error("the {0} of the task is gone")]
    Gone(&'static str),
    #[error("the stored {what} of the task cannot be read")]
    Damaged {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl From<secrets::Error> for Missing {
    fn from(failed: secrets::Error) -> Self {
        match failed {
            secrets::Error::Store(failed) => Self::Store(failed),
            other => Self::Secret(other),
        }
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(what: &'static str, json: &str) -> Result<T, Missing> {
    serde_json::from_str(json).map_err(|source| Missing::Damaged { what, source })
}

/// What is read of the stored Plan.
#[derive(serde::Deserialize)]
struct PlanHead {
    language: Language,
}

/// What is stored beside a job's plan: the variables that were given when it was played.
#[derive(serde::Deserialize)]
struct Beside {
    #[serde(default)]
    played: Vec<Variable>,
}

/// Reads all of it on one snapshot.
pub(super) fn gather(
    tx: &mut Tx<'_>,
    claimed: &ClaimedTask,
    server: ServerInfo,
    keys: &Keyring,
    artifacts_days: u32,
) -> Result<Gathered, Missing> {
    let task = tasks::get(tx, claimed.id)?.ok_or(Missing::Gone("row"))?;
    let demand: Demand = read("demand", &task.match_json)?;
    let subject = Subject {
        job: claimed.job,
        pipeline: claimed.pipeline,
        project: claimed.project,
        protected: demand.protected,
        now: claimed.claimed,
    };
    gather_of(tx, &subject, server, keys, artifacts_days)
}

/// The same of a job, whether or not it has tasks.
pub(super) fn gather_of(
    tx: &mut Tx<'_>,
    subject: &Subject,
    server: ServerInfo,
    keys: &Keyring,
    artifacts_days: u32,
) -> Result<Gathered, Missing> {
    let row = jobs::get(tx, subject.job)?.ok_or(Missing::Gone("job"))?;
    let stored = jobs::plan(tx, subject.job)?.ok_or(Missing::Gone("plan"))?;
    let job: plan::Job = read("plan", &stored)?;
    let beside: Beside = read("plan", &stored)?;
    let pipeline = pipelines::get(tx, subject.pipeline)?.ok_or(Missing::Gone("pipeline"))?;
    let details = pipelines::details(tx, subject.pipeline)?.ok_or(Missing::Gone("trigger"))?;
    let trigger: Trigger = read("trigger", &details.trigger_json)?;
    let head: PlanHead = read("pipeline's plan", &details.plan_json)?;
    let project = projects::get(tx, subject.project)?.ok_or(Missing::Gone("project"))?;
    let settings = ProjectSettings::read(&project.settings_json);
    let age = subject.now.since(pipeline.created_ms);
    let mut files = upstream::find(
        tx,
        &row,
        &job,
        &upstream::Times {
            now: subject.now,
            age,
            default_days: artifacts_days,
        },
    )?;
    let variables = shown_to(&trigger, variables_of(tx, keys, &project)?);
    let context = Context {
        trigger,
        project: project_info(&project, &settings, &server.url),
        server,
        pipeline: PipelineInfo {
            iid: pipeline.iid,
            created_at: pipeline.created_ms,
            protected_ref: subject.protected,
            ..PipelineInfo::default()
        },
        variables,
        ..Context::default()
    };
    elsewhere::add(tx, &pipeline, &job, &context, subject.now, &mut files)?;
    let (environment, url_wanted) = known_environment(tx, subject.project, &job)?;
    Ok(Gathered {
        workflow: workflow_name(tx, &row, head.language)?,
        needs: match head.language {
            Language::Github => outputs::of_needs(tx, &row)?,
            Language::Gitlab | Language::Circleci => serde_json::Map::new(),
        },
        environment,
        url_wanted,
        workspaces: workspace::layers(tx, &row, &job, subject.now)?,
        dependencies: files.archives,
        dotenv: files.dotenv,
        played: beside.played,
        language: head.language,
        pipeline_name: pipeline.name,
        context,
        settings,
        job,
    })
}

fn known_environment(
    tx: &mut Tx<'_>,
    project: ProjectId,
    job: &plan::Job,
) -> Result<(Option<KnownEnvironment>, Option<Deployment>), Missing> {
    let Some(named) = &job.environment else {
        return Ok((None, None));
    };
    let Some(row) = environments::by_name(tx, project, &named.name)? else {
        return Ok((None, None));
    };
    let last = match row.last_deployment_id {
        Some(id) if named.url.is_none() => deployments::get(tx, id)?,
        Some(_) | None => None,
    };
    let known = KnownEnvironment {
        id: row.id,
        url: row.url,
    };
    Ok((Some(known), last.filter(|last| last.url_wanted)))
}

/// GitLab's jobs never see it, and a claim is to cost as little as it can.
fn workflow_name(tx: &mut Tx<'_>, row: &jobs::Job, language: Language) -> Result<String, Missing> {
    if language == Language::Gitlab {
        return Ok(String::new());
    }
    let all = workflows::of_pipeline(tx, row.pipeline_id)?;
    let own = all.into_iter().find(|workflow| workflow.id == row.workflow_id);
    Ok(own.map(|workflow| workflow.name).unwrap_or_default())
}
