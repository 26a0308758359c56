//! How far pipelines may start one another, as GitLab has it.

use std::collections::BTreeSet;

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::trigger::Source;
use tasuki_store::{Result, Tx, bridges, pipelines};

/// Generations of child pipelines below a pipeline.
const MOST_GENERATIONS: usize = 2;
/// Pipelines that one pipeline may lead to, itself and all below them included.
const MOST_PIPELINES: usize = 1_000;
/// How often the same project, ref and source may stand in one line.
const MOST_TURNS: usize = 2;
/// Pipelines above a pipeline that are looked at.
const LONGEST_LINE: usize = 100;

/// Why `upstream` may start no such pipeline; `None`: it may.
pub(super) fn check(
    tx: &mut Tx<'_>,
    upstream: PipelineId,
    project: ProjectId,
    git_ref: &str,
    source: Source,
) -> Result<Option<&'static str>> {
    let line = line(tx, upstream)?;
    let generations = line.iter().take_while(|row| row.source == "parent_pipeline").count();
    if source == Source::ParentPipeline && generations >= MOST_GENERATIONS {
        return Ok(Some("child pipelines may only be nested two deep"));
    }
    let same = |row: &&pipelines::Pipeline| {
        row.project_id == project && row.ref_name == git_ref && row.source == source.as_str()
    };
    if line.iter().filter(same).count() > MOST_TURNS {
        return Ok(Some("these pipelines start one another in a circle"));
    }
    let root = line.last().map_or(upstream, |row| row.id);
    Ok((size(tx, root)? >= MOST_PIPELINES).then_some("the pipeline tree is too large: it has 1000 pipelines"))
}

/// A pipeline and those above it, up to the first.
fn line(tx: &mut Tx<'_>, from: PipelineId) -> Result<Vec<pipelines::Pipeline>> {
    let mut line = Vec::new();
    let mut next = Some(from);
    while let Some(id) = next.filter(|_| line.len() < LONGEST_LINE) {
        let Some(row) = pipelines::get(tx, id)? else { break };
        let is_started = matches!(row.source.as_str(), "parent_pipeline" | "pipeline");
        line.push(row);
        next = match bridges::of_downstream(tx, id)?.first() {
            Some(bridge) if is_started => Some(bridge.pipeline_id),
            _ => None,
        };
    }
    Ok(line)
}

/// How many pipelines there are below one, itself included.
fn size(tx: &mut Tx<'_>, root: PipelineId) -> Result<usize> {
    let mut seen = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if seen.len() >= MOST_PIPELINES {
            break;
        }
        for bridge in bridges::of_pipeline(tx, id)? {
            if let Some(downstream) = bridge.downstream_id.filter(|id| seen.insert(*id)) {
                open.push(downstream);
            }
        }
    }
    Ok(seen.len())
}
