//! What earlier jobs left for this one: archives to fetch, and dotenv reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use tasuki_model::id::{JobId, TaskId};
use tasuki_model::plan;
use tasuki_model::time::Timestamp;
use tasuki_store::{Tx, artifacts, jobs, tasks};

use super::UpstreamFile;
use super::gather::{Missing, read};

/// Nothing that a job left expires sooner than this in practice, so in a young pipeline nobody looks for it.
const YOUNG: Duration = Duration::from_mins(10);
/// Earlier jobs whose plans are read to see whether what they left has expired.
const MOST_LOOKED_AT: usize = 200;

/// What a job gets, in the order of the plan: what a later job left overwrites what an earlier one did.
#[derive(Default)]
pub(super) struct Found {
    pub(super) archives: Vec<UpstreamFile>,
    /// Blob keys.
    pub(super) dotenv: Vec<String>,
}

/// What time has to do with it.
pub(super) struct Times {
    pub(super) now: Timestamp,
    /// Of the pipeline.
    pub(super) age: Duration,
    /// Days that artifacts are kept unless their job says otherwise; 0 = for ever.
    pub(super) default_days: u32,
}

/// Archives and reports that a job gets. Without `needs`: those of all jobs of earlier stages; with it: of the needed
/// jobs with `artifacts`. `dependencies` narrows either. Only the newest attempt of a job counts.
pub(super) fn find(tx: &mut Tx<'_>, row: &jobs::Job, plan: &plan::Job, times: &Times) -> Result<Found, Missing> {
    if plan.dependencies.as_ref().is_some_and(Vec::is_empty) || plan.needs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Found::default());
    }
    let mut of_job: BTreeMap<JobId, Vec<artifacts::Artifact>> = BTreeMap::new();
    for file in artifacts::of_pipeline(tx, row.pipeline_id)? {
        let fresh = file.expires_ms.is_none_or(|at| at > times.now);
        if fresh && matches!(file.kind.as_str(), "archive" | "dotenv") {
            of_job.entry(file.job_id).or_default().push(file);
        }
    }
    let old = times.age > YOUNG;
    if of_job.is_empty() && !old {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    let mut looked_at = 0;
    for other in earlier(tx, row, plan, &of_job, old)? {
        if let Some(files) = of_job.remove(&other.id) {
            take_newest(tx, &other, files, &mut found)?;
        } else if old && looked_at < MOST_LOOKED_AT {
            looked_at += 1;
            refuse_expired(tx, &other, times)?;
        }
    }
    Ok(found)
}

/// Blob keys of the dotenv reports that a job depends on, in the order of the plan.
pub(crate) fn dotenv_of_needs(
    tx: &mut Tx<'_>,
    row: &jobs::Job,
    plan: &plan::Job,
    now: Timestamp,
) -> tasuki_store::Result<Vec<String>> {
    let times = Times {
        now,
        // Nothing is refused for having expired.
        age: Duration::ZERO,
        default_days: 0,
    };
    match find(tx, row, plan, &times) {
        Ok(found) => Ok(found.dotenv),
        Err(Missing::Store(failed)) => Err(failed),
        Err(_) => Ok(Vec::new()),
    }
}

/// The jobs whose files this one gets, in the order of the plan. Those without any are only looked for in `old`
/// pipelines.
fn earlier(
    tx: &mut Tx<'_>,
    row: &jobs::Job,
    plan: &plan::Job,
    with_files: &BTreeMap<JobId, Vec<artifacts::Artifact>>,
    old: bool,
) -> Result<Vec<jobs::Job>, Missing> {
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
    let candidates: Vec<JobId> = match &needed {
        Some(needed) => needed.iter().copied().collect(),
        None if old => jobs::of_pipeline(tx, row.pipeline_id)?
            .into_iter()
            .map(|job| job.id)
            .collect(),
        None => with_files.keys().copied().collect(),
    };
    let mut all = Vec::new();
    for id in candidates {
        let Some(other) = jobs::get(tx, id)? else { continue };
        let before = needed.is_some() || (other.workflow_id == row.workflow_id && other.stage_idx < row.stage_idx);
        if before && is_wanted(plan, &other) {
            all.push(other);
        }
    }
    all.sort_by_key(|job| job.idx);
    Ok(all)
}

/// Whether `dependencies` names the job, by its own name or by the one before parallel expansion.
fn is_wanted(plan: &plan::Job, other: &jobs::Job) -> bool {
    let Some(names) = &plan.dependencies else { return true };
    let base = base_name(&other.name);
    names.iter().any(|name| *name == other.name || name == base)
}

/// `test` of `test: [a, b]` and of `test 2/5`.
fn base_name(name: &str) -> &str {
    let base = name.split_once(": [").map_or(name, |(base, _)| base);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_part = |part: &str| {
        part.split_once('/')
            .is_some_and(|(index, total)| digits(index) && digits(total))
    };
    base.rsplit_once(' ')
        .filter(|(_, part)| is_part(part))
        .map_or(base, |(base, _)| base)
}

fn take_newest(
    tx: &mut Tx<'_>,
    job: &jobs::Job,
    files: Vec<artifacts::Artifact>,
    found: &mut Found,
) -> Result<(), Missing> {
    let current = newest(tx, job.id)?;
    for file in files.into_iter().filter(|file| current.contains_key(&file.task_id)) {
        if file.kind == "dotenv" {
            found.dotenv.push(file.blob_key);
        } else {
            found.archives.push(UpstreamFile {
                task: file.task_id,
                job: job.name.clone(),
                filename: file.filename,
                size: file.size,
            });
        }
    }
    Ok(())
}

/// The newest task of each part of a job, with the time of its end.
pub(super) fn newest(tx: &mut Tx<'_>, job: JobId) -> Result<BTreeMap<TaskId, Option<Timestamp>>, Missing> {
    let mut parts = BTreeMap::new();
    for task in tasks::of_job(tx, job)? {
        parts.insert(task.parallel_index, (task.id, task.finished_ms));
    }
    Ok(parts.into_values().collect())
}

/// What is read of an earlier job's plan.
#[derive(Deserialize)]
struct Left {
    #[serde(default)]
    artifacts: Option<plan::Artifacts>,
}

/// A job that left nothing is fine; one whose archive has gone since is not: this one would fail in strange ways
/// without it (GitLab's `missing_dependency_failure`).
fn refuse_expired(tx: &mut Tx<'_>, other: &jobs::Job, times: &Times) -> Result<(), Missing> {
    let Some(json) = jobs::plan(tx, other.id)? else {
        return Ok(());
    };
    let Some(left) = read::<Left>("plan", &json)?.artifacts else {
        return Ok(());
    };
    if left.paths.is_empty() && !left.untracked {
        return Ok(());
    }
    let kept = match (left.expire_in_s, times.default_days) {
        (Some(0), _) | (None, 0) => return Ok(()),
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, days) => Duration::from_secs(u64::from(days) * 86_400),
    };
    let ended = newest(tx, other.id)?.into_values().flatten().max();
    if ended.is_some_and(|at| times.now.since(at) > kept) {
        return Err(Missing::Expired {
            job: other.name.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_parallel_expansion() {
        let check = |name: &str, base: &str| assert_eq!(base_name(name), base);
        check("test", "test");
        check("test: [linux, stable]", "test");
        check("test 2/5", "test");
        check("unit tests 12/200", "unit tests");
        check("deploy a/b", "deploy a/b");
        check("1/2", "1/2");
    }
}
