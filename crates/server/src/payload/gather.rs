//! Reads from the store what a payload is made of.

use std::collections::{BTreeMap, BTreeSet};

use tasuki_model::id::{JobId, TaskId};
use tasuki_model::labels::Demand;
use tasuki_model::plan::{self, Language, Variable};
use tasuki_model::trigger::Trigger;
use tasuki_pipeline::{Context, PipelineInfo, ServerInfo};
use tasuki_store::{Tx, artifacts, jobs, pipelines, projects, tasks};

use super::UpstreamFile;
use crate::app::variables_of;
use crate::config::ProjectSettings;
use crate::scheduler::ClaimedTask;
use crate::secrets::{self, Keyring};
use crate::triggers::project_info;

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
}

/// Something that must be there is not, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
    #[error("a variable of the project cannot be decrypted")]
    Secret(#[source] secrets::Error),
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

fn read<T: serde::de::DeserializeOwned>(what: &'static str, json: &str) -> Result<T, Missing> {
    serde_json::from_str(json).map_err(|source| Missing::Damaged { what, source })
}

/// What is read of the stored Plan.
#[derive(serde::Deserialize)]
struct PlanHead {
    language: Language,
}

/// A job's plan as it is stored, with the variables that were given when it was played.
#[derive(serde::Deserialize)]
struct StoredJob {
    #[serde(flatten)]
    job: plan::Job,
    #[serde(default)]
    played: Vec<Variable>,
}

/// Reads all of it on one snapshot.
pub(super) fn gather(
    tx: &mut Tx<'_>,
    claimed: &ClaimedTask,
    server: ServerInfo,
    keys: &Keyring,
) -> Result<Gathered, Missing> {
    let task = tasks::get(tx, claimed.id)?.ok_or(Missing::Gone("row"))?;
    let demand: Demand = read("demand", &task.match_json)?;
    let row = jobs::get(tx, claimed.job)?.ok_or(Missing::Gone("job"))?;
    let stored: StoredJob = read("plan", &jobs::plan(tx, claimed.job)?.ok_or(Missing::Gone("plan"))?)?;
    let job = stored.job;
    let pipeline = pipelines::get(tx, claimed.pipeline)?.ok_or(Missing::Gone("pipeline"))?;
    let details = pipelines::details(tx, claimed.pipeline)?.ok_or(Missing::Gone("trigger"))?;
    let trigger: Trigger = read("trigger", &details.trigger_json)?;
    let head: PlanHead = read("pipeline's plan", &details.plan_json)?;
    let project = projects::get(tx, claimed.project)?.ok_or(Missing::Gone("project"))?;
    let settings = ProjectSettings::read(&project.settings_json);
    let files = upstream(tx, &row, &job)?;
    let pick = |kind: &str| {
        files
            .iter()
            .filter(|file| file.kind == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    Ok(Gathered {
        dependencies: pick("archive").into_iter().map(|file| file.archive).collect(),
        dotenv: pick("dotenv").into_iter().map(|file| file.blob_key).collect(),
        played: stored.played,
        language: head.language,
        pipeline_name: pipeline.name,
        context: Context {
            trigger,
            project: project_info(&project, &settings, &server.url),
            server,
            pipeline: PipelineInfo {
                iid: pipeline.iid,
                created_at: pipeline.created_ms,
                protected_ref: demand.protected,
                ..PipelineInfo::default()
            },
            variables: variables_of(tx, keys, &project)?,
            ..Context::default()
        },
        settings,
        job,
    })
}

/// A file that an earlier task left for this one.
#[derive(Clone)]
struct Upstream {
    kind: String,
    blob_key: String,
    archive: UpstreamFile,
}

/// Archives and dotenv reports that a job gets. Without `needs`: those of all jobs of earlier stages; with it: of the
/// needed jobs with `artifacts`. `dependencies` narrows either. Only the newest attempt of a job counts.
fn upstream(tx: &mut Tx<'_>, row: &jobs::Job, plan: &plan::Job) -> Result<Vec<Upstream>, Missing> {
    if plan.dependencies.as_ref().is_some_and(Vec::is_empty) || plan.needs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let mut of_job: BTreeMap<JobId, Vec<artifacts::Artifact>> = BTreeMap::new();
    for file in artifacts::of_pipeline(tx, row.pipeline_id)? {
        if matches!(file.kind.as_str(), "archive" | "dotenv") {
            of_job.entry(file.job_id).or_default().push(file);
        }
    }
    if of_job.is_empty() {
        return Ok(Vec::new());
    }
    let needed: Option<BTreeSet<JobId>> = match &plan.needs {
        None => None,
        Some(_) => {
            let edges = jobs::needs_of_job(tx, row.pipeline_id, row.id)?;
            Some(
                edges
                    .into_iter()
                    .filter(|edge| edge.artifacts)
                    .map(|edge| edge.needs)
                    .collect(),
            )
        }
    };
    let mut found: Vec<(i64, Vec<Upstream>)> = Vec::new();
    for (id, files) in of_job {
        let Some(other) = jobs::get(tx, id)? else { continue };
        let before = match &needed {
            Some(needed) => needed.contains(&id),
            None => other.workflow_id == row.workflow_id && other.stage_idx < row.stage_idx,
        };
        if before && is_wanted(plan, &other) {
            found.push((other.idx, newest(tx, &other, files)?));
        }
    }
    // In the order of the plan: what a later job left overwrites what an earlier one did.
    found.sort_by_key(|(idx, _)| *idx);
    Ok(found.into_iter().flat_map(|(_, files)| files).collect())
}

/// Whether `dependencies` names the job, by its own name or by the one before parallel expansion.
fn is_wanted(plan: &plan::Job, other: &jobs::Job) -> bool {
    let Some(names) = &plan.dependencies else { return true };
    let base = other
        .name
        .split_once(": [")
        .map_or(other.name.as_str(), |(base, _)| base);
    let base = base
        .rsplit_once(' ')
        .filter(|(_, part)| is_part(part))
        .map_or(base, |(base, _)| base);
    names.iter().any(|name| *name == other.name || name == base)
}

/// `2/5` of a parallel job's name.
fn is_part(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('/')
        .is_some_and(|(index, total)| digits(index) && digits(total))
}

fn newest(tx: &mut Tx<'_>, job: &jobs::Job, files: Vec<artifacts::Artifact>) -> Result<Vec<Upstream>, Missing> {
    let mut newest: BTreeMap<i64, TaskId> = BTreeMap::new();
    for task in tasks::of_job(tx, job.id)? {
        newest.insert(task.parallel_index, task.id);
    }
    let current: BTreeSet<TaskId> = newest.into_values().collect();
    let of_current = files.into_iter().filter(|file| current.contains(&file.task_id));
    Ok(of_current
        .map(|file| Upstream {
            kind: file.kind,
            blob_key: file.blob_key,
            archive: UpstreamFile {
                task: file.task_id,
                job: job.name.clone(),
                filename: file.filename,
                size: file.size,
            },
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_parallel_jobs_are_told() {
        let check = |text: &str, expected: bool| assert_eq!(is_part(text), expected, "{text}");
        check("1/5", true);
        check("12/200", true);
        check("a/b", false);
        check("1/", false);
        check("15", false);
    }
}
