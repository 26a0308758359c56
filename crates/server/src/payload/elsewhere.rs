//! What jobs of other pipelines left for this one: `needs:pipeline` and `needs:project`.

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::{self, Need, NeedSource};
use tasuki_model::time::Timestamp;
use tasuki_pipeline::Context;
use tasuki_pipeline::lang::gitlab::predefined;
use tasuki_pipeline::lang::gitlab::variables::{Layer, Scope, Sources, settings};
use tasuki_store::pipelines::{Filter, Pipeline};
use tasuki_store::{Tx, artifacts, bridges, jobs, pipelines, projects, tasks};

use super::UpstreamFile;
use super::gather::Missing;
use super::upstream::Found;

/// Pipelines of a ref that are searched for a job that succeeded.
const MOST_SEARCHED: u32 = 50;
/// Generations between a pipeline and the first of its family.
const MOST_GENERATIONS: usize = 10;

/// Adds what the needs outside the own pipeline bring. Nothing is waited for: what is not there fails the job, unless
/// it is optional.
pub(super) fn add(
    tx: &mut Tx<'_>,
    own: &Pipeline,
    job: &plan::Job,
    context: &Context,
    now: Timestamp,
    found: &mut Found,
) -> Result<(), Missing> {
    let needs: Vec<&Need> = job
        .needs
        .iter()
        .flatten()
        .filter(|need| need.source.is_some())
        .collect();
    if needs.is_empty() {
        return Ok(());
    }
    let layer = Layer::new(known(own, job, context));
    let scope = Scope::new(vec![&layer]);
    for need in needs.into_iter().filter(|need| need.artifacts) {
        let name = scope.expand(&need.job);
        let there = match &need.source {
            Some(NeedSource::Pipeline { id }) => in_family(tx, own, &scope.expand(id), &name)?,
            Some(NeedSource::Project { path, git_ref }) => {
                in_project(tx, &scope.expand(path), &scope.expand(git_ref), &name)?
            }
            Some(NeedSource::Mirror { .. }) | None => continue,
        };
        match there {
            Some(job) => take(tx, job, &name, now, found)?,
            None if need.optional => {}
            None => return Err(Missing::Absent { job: name }),
        }
    }
    Ok(())
}

/// The variables that such a need may mention.
fn known(own: &Pipeline, job: &plan::Job, context: &Context) -> Vec<plan::Variable> {
    let environment = job.environment.as_ref().map(|e| e.name.as_str());
    let sources = Sources {
        persisted: vec![plan::Variable::plain("CI_PIPELINE_ID", own.id.to_string())],
        pipeline: predefined::pipeline(context, own.name.as_deref()),
        yaml: job.variables.clone(),
        user: predefined::user(context),
        settings: settings(context, environment),
        given: context.trigger.variables.clone(),
        ..Sources::default()
    };
    sources.in_order()
}

/// A job that succeeded in another pipeline of the own family: parents, children, and theirs.
fn in_family(tx: &mut Tx<'_>, own: &Pipeline, id: &str, name: &str) -> Result<Option<JobId>, Missing> {
    let Ok(id) = id.trim().parse().map(PipelineId) else {
        return Ok(None);
    };
    let Some(other) = pipelines::get(tx, id)?.filter(|other| other.project_id == own.project_id) else {
        return Ok(None);
    };
    if other.id == own.id || first_of_family(tx, own.id)? != first_of_family(tx, other.id)? {
        return Ok(None);
    }
    succeeded(tx, other.id, name)
}

fn first_of_family(tx: &mut Tx<'_>, from: PipelineId) -> Result<PipelineId, Missing> {
    let mut at = from;
    for _ in 0..MOST_GENERATIONS {
        let is_child = pipelines::get(tx, at)?.is_some_and(|row| row.source == "parent_pipeline");
        match bridges::of_downstream(tx, at)?.first() {
            Some(bridge) if is_child => at = bridge.pipeline_id,
            _ => break,
        }
    }
    Ok(at)
}

/// The newest job of that name that succeeded on a ref of a project.
fn in_project(tx: &mut Tx<'_>, path: &str, git_ref: &str, name: &str) -> Result<Option<JobId>, Missing> {
    let Some(project) = projects::by_path(tx, path.trim_matches('/'))? else {
        return Ok(None);
    };
    let filter = Filter {
        project: Some(project.id),
        ref_name: Some(git_ref),
        before: None,
    };
    for row in pipelines::list(tx, &filter, MOST_SEARCHED)? {
        if let Some(job) = succeeded(tx, row.id, name)? {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

fn succeeded(tx: &mut Tx<'_>, pipeline: PipelineId, name: &str) -> Result<Option<JobId>, Missing> {
    let all = jobs::of_pipeline(tx, pipeline)?;
    let found = all.into_iter().find(|job| job.name == name && job.state == "success");
    Ok(found.map(|job| job.id))
}

/// The files of a job's newest tasks.
fn take(tx: &mut Tx<'_>, job: JobId, name: &str, now: Timestamp, found: &mut Found) -> Result<(), Missing> {
    let mut newest = std::collections::BTreeMap::new();
    for task in tasks::of_job(tx, job)? {
        newest.insert(task.parallel_index, task.id);
    }
    for task in newest.into_values() {
        for file in artifacts::of_task(tx, task)? {
            if file.expires_ms.is_some_and(|at| at <= now) {
                continue;
            }
            match file.kind.as_str() {
                "dotenv" => found.dotenv.push(file.blob_key),
                "archive" => found.archives.push(UpstreamFile {
                    task,
                    job: name.to_owned(),
                    filename: file.filename,
                    size: file.size,
                }),
                _ => {}
            }
        }
    }
    Ok(())
}
