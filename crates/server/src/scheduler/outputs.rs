//! What jobs give to those that need them: their outputs and results, as conditions, steps and late parts of a
//! configuration see them.
//!
//! The outputs of a job stand beside its plan. A job that starts a pipeline of its own commit gives on what the jobs of
//! that pipeline give; of several with one name the last counts.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tasuki_model::id::JobId;
use tasuki_model::state::{Outcome, job};
use tasuki_store::{Tx, bridges, jobs};

use super::entry::parse;
use super::error::Error;

/// Name beside the plan.
const PLACE: &str = "given";
/// Pipelines within pipelines.
const MOST_LEVELS: u32 = 4;

/// The part of a stored plan that is read here.
#[derive(Default, Deserialize)]
struct Beside {
    #[serde(default)]
    given: BTreeMap<String, String>,
    #[serde(default)]
    downstream: Option<serde::de::IgnoredAny>,
}

/// Notes the outputs of a job, in the place of earlier ones.
pub(super) fn note(tx: &mut Tx<'_>, job: JobId, outputs: &BTreeMap<String, String>) -> Result<(), Error> {
    let Some(text) = jobs::plan(tx, job)? else {
        return Ok(());
    };
    let mut plan: Map<String, Value> = parse("plan of job", job.0, &text)?;
    if outputs.is_empty() && !plan.contains_key(PLACE) {
        return Ok(());
    }
    plan.insert(PLACE.to_owned(), json!(outputs));
    Ok(jobs::set_plan(tx, job, &super::entry::write(&plan)?)?)
}

/// The outputs of a job.
///
/// # Errors
/// The database fails, or holds what cannot be read.
pub fn of_job(tx: &mut Tx<'_>, job: JobId) -> Result<BTreeMap<String, String>, Error> {
    at_level(tx, job, 0)
}

fn at_level(tx: &mut Tx<'_>, job: JobId, level: u32) -> Result<BTreeMap<String, String>, Error> {
    let Some(text) = jobs::plan(tx, job)? else {
        return Ok(BTreeMap::new());
    };
    let beside: Beside = parse("plan of job", job.0, &text)?;
    let mut all = beside.given;
    if beside.downstream.is_some()
        && level < MOST_LEVELS
        && let Some(pipeline) = bridges::get(tx, job)?.and_then(|bridge| bridge.downstream_id)
    {
        for inner in jobs::of_pipeline(tx, pipeline)? {
            all.extend(at_level(tx, inner.id, level + 1)?);
        }
    }
    Ok(all)
}

/// Result and outputs of the jobs that a job needs, by their names.
///
/// # Errors
/// As [`of_job`].
pub fn of_needs(tx: &mut Tx<'_>, row: &jobs::Job) -> Result<Map<String, Value>, Error> {
    let mut all = Map::new();
    for edge in jobs::needs_of_job(tx, row.pipeline_id, row.id)? {
        let Some(need) = jobs::get(tx, edge.needs)? else {
            continue;
        };
        let state: job::State = parse("state of job", need.id.0, &need.state_json)?;
        let outputs = of_job(tx, need.id)?;
        all.insert(need.name, json!({"result": result(&state), "outputs": outputs}));
    }
    Ok(all)
}

/// How a job ended, in the words of `needs.<id>.result`.
pub(super) fn result(state: &job::State) -> &'static str {
    // What is allowed to fail has not failed for those after it.
    if state.is_allowed_failure() {
        return "success";
    }
    match state.outcome() {
        Some(Outcome::Success) => "success",
        Some(Outcome::Failed(_)) => "failure",
        Some(Outcome::Canceled) => "cancelled",
        Some(Outcome::Skipped) | None => "skipped",
    }
}
