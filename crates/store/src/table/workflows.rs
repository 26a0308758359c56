//! The named graphs of a pipeline.

use tasuki_model::id::{PipelineId, WorkflowId};
use tasuki_model::time::Timestamp;

use super::State;
use crate::row::record;
use crate::value::{Value, params};
use crate::{Result, Tx};

record! {
    /// A workflow.
    pub struct Workflow in workflows {
        pub id: WorkflowId,
        pub pipeline_id: PipelineId,
        /// Position in the pipeline.
        pub idx: i64,
        pub name: String,
        pub state: String,
        pub state_json: String,
        pub started_ms: Option<Timestamp>,
        pub finished_ms: Option<Timestamp>,
    }
}

/// Makes the workflows of a pipeline, in this order; gives their ids in the same order.
///
/// # Errors
/// When the database fails.
pub fn insert_all(tx: &mut Tx, pipeline: PipelineId, names: &[&str], state: State<'_>) -> Result<Vec<WorkflowId>> {
    let mut values = Vec::with_capacity(names.len() * 5);
    for (idx, name) in names.iter().enumerate() {
        values.extend([
            Value::from(pipeline),
            Value::Int(idx as i64),
            Value::Text(name),
            Value::Text(state.tag),
            Value::Text(state.json),
        ]);
    }
    let mut ids = tx.insert_all(
        "workflows (pipeline_id, idx, name, state, state_json)",
        5,
        &values,
        "RETURNING idx, id",
        |row| Ok((row.take::<i64>()?, row.take()?)),
    )?;
    ids.sort_by_key(|(idx, _)| *idx);
    Ok(ids.into_iter().map(|(_, id)| id).collect())
}

/// # Errors
/// When the database fails.
pub fn of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Workflow>> {
    tx.select("WHERE pipeline_id = $1 ORDER BY idx", params![pipeline])
}

/// Saves a new state. The pipeline's version guards it (`pipelines::advance`).
///
/// # Errors
/// When the database fails.
pub fn change(
    tx: &mut Tx,
    id: WorkflowId,
    state: State<'_>,
    started_ms: Option<Timestamp>,
    finished_ms: Option<Timestamp>,
) -> Result<()> {
    tx.exec(
        "UPDATE workflows SET state = $2, state_json = $3, started_ms = $4, finished_ms = $5 WHERE id = $1",
        params![id, state.tag, state.json, started_ms, finished_ms],
    )?;
    Ok(())
}
