//! Reads from the store what a payload is made of.

use tasuki_model::labels::Demand;
use tasuki_model::plan::{self, Language, Variable};
use tasuki_model::trigger::Trigger;
use tasuki_pipeline::{Context, PipelineInfo, ServerInfo};
use tasuki_proto::gitlab::WorkspaceLayer;
use tasuki_store::{Tx, jobs, pipelines, projects, tasks, workflows};

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
    /// Name of the job's workflow, where the language shows it to jobs.
    pub(super) workflow: String,
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
    let row = jobs::get(tx, claimed.job)?.ok_or(Missing::Gone("job"))?;
    let stored = jobs::plan(tx, claimed.job)?.ok_or(Missing::Gone("plan"))?;
    let job: plan::Job = read("plan", &stored)?;
    let beside: Beside = read("plan", &stored)?;
    let pipeline = pipelines::get(tx, claimed.pipeline)?.ok_or(Missing::Gone("pipeline"))?;
    let details = pipelines::details(tx, claimed.pipeline)?.ok_or(Missing::Gone("trigger"))?;
    let trigger: Trigger = read("trigger", &details.trigger_json)?;
    let head: PlanHead = read("pipeline's plan", &details.plan_json)?;
    let project = projects::get(tx, claimed.project)?.ok_or(Missing::Gone("project"))?;
    let settings = ProjectSettings::read(&project.settings_json);
    let age = claimed.claimed.since(pipeline.created_ms);
    let mut files = upstream::find(
        tx,
        &row,
        &job,
        &upstream::Times {
            now: claimed.claimed,
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
            protected_ref: demand.protected,
            ..PipelineInfo::default()
        },
        variables,
        ..Context::default()
    };
    elsewhere::add(tx, &pipeline, &job, &context, claimed.claimed, &mut files)?;
    Ok(Gathered {
        workflow: workflow_name(tx, &row, head.language)?,
        needs: match head.language {
            Language::Github => outputs::of_needs(tx, &row)?,
            Language::Gitlab | Language::Circleci => serde_json::Map::new(),
        },
        workspaces: workspace::layers(tx, &row, &job, claimed.claimed)?,
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

/// GitLab's jobs never see it, and a claim is to cost as little as it can.
fn workflow_name(tx: &mut Tx<'_>, row: &jobs::Job, language: Language) -> Result<String, Missing> {
    if language == Language::Gitlab {
        return Ok(String::new());
    }
    let all = workflows::of_pipeline(tx, row.pipeline_id)?;
    let own = all.into_iter().find(|workflow| workflow.id == row.workflow_id);
    Ok(own.map(|workflow| workflow.name).unwrap_or_default())
}
