//! From the plan's jobs to the graph's.

use std::collections::{HashMap, HashSet};

use super::node::{Edge, NodeIndex, Spec, Strategy, Wanted, Work};
use crate::plan::{Gate, Job, NeedSource, Workflow};

/// A plan whose jobs do not make a graph. Front ends refuse such plans; this is the last line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("job `{job}` needs `{need}`, which is not in workflow `{workflow}`")]
    UnknownNeed {
        workflow: String,
        job: String,
        need: String,
    },
    #[error("job `{job}` has stage `{stage}`, which is not in workflow `{workflow}`")]
    UnknownStage {
        workflow: String,
        job: String,
        stage: String,
    },
    #[error("job `{job}` wants its need `{need}` to end as `{status}`, which is no status")]
    UnknownStatus { job: String, need: String, status: String },
    #[error("there are two jobs named `{job}` in workflow `{workflow}`")]
    DoubleName { workflow: String, job: String },
    #[error("jobs of workflow `{workflow}` need one another in a circle: {jobs}")]
    Circle { workflow: String, jobs: String },
}

/// The graph's form of all jobs, in the plan's order.
///
/// # Errors
/// The jobs do not make a graph.
pub fn specs(workflows: &[Workflow]) -> Result<Vec<Spec>, BuildError> {
    let mut all = Vec::with_capacity(workflows.iter().map(|workflow| workflow.jobs.len()).sum());
    for (w, workflow) in workflows.iter().enumerate() {
        let base = all.len();
        let builder = Builder::new(w as u32, base as u32, workflow)?;
        for job in &workflow.jobs {
            all.push(builder.spec(job)?);
        }
        if let Some(jobs) = circle(&all[base..], base) {
            let names: Vec<&str> = jobs.into_iter().map(|i| workflow.jobs[i].name.as_str()).collect();
            return Err(BuildError::Circle {
                workflow: workflow.name.clone(),
                jobs: names.join(" → "),
            });
        }
    }
    Ok(all)
}

struct Builder<'a> {
    index: u32,
    workflow: &'a Workflow,
    jobs: HashMap<&'a str, NodeIndex>,
    stages: HashMap<&'a str, u32>,
    /// First job of each base name.
    firsts: HashMap<&'a str, NodeIndex>,
}

impl<'a> Builder<'a> {
    fn new(index: u32, base: u32, workflow: &'a Workflow) -> Result<Self, BuildError> {
        let mut jobs = HashMap::with_capacity(workflow.jobs.len());
        let mut firsts = HashMap::new();
        for (i, job) in workflow.jobs.iter().enumerate() {
            let node = NodeIndex(base + i as u32);
            if jobs.insert(job.name.as_str(), node).is_some() {
                return Err(BuildError::DoubleName {
                    workflow: workflow.name.clone(),
                    job: job.name.clone(),
                });
            }
            firsts.entry(job.base_name.as_str()).or_insert(node);
        }
        let stages = workflow
            .stages
            .iter()
            .enumerate()
            .map(|(i, name)| (name.as_str(), i as u32))
            .collect();
        Ok(Self {
            index,
            workflow,
            jobs,
            stages,
            firsts,
        })
    }

    fn spec(&self, job: &Job) -> Result<Spec, BuildError> {
        Ok(Spec {
            workflow: self.index,
            stage: self.stage(job)?,
            needs: self.needs(job)?,
            when: job.when,
            allow_failure: job.allow_failure.clone(),
            gate: job.gate.clone(),
            conditional: job.condition.is_some(),
            resource: job.resource_group.is_some(),
            work: if job.downstream.is_some() || mirrors(job) {
                Work::Downstream
            } else if job.no_op || (job.steps.is_empty() && matches!(job.gate, Some(Gate::Approval(_)))) {
                Work::Nothing
            } else {
                Work::Tasks
            },
            matrix: job.strategy.as_ref().and_then(|strategy| {
                let first = *self.firsts.get(job.base_name.as_str())?;
                Some(Strategy {
                    first,
                    fail_fast: strategy.fail_fast,
                    max_parallel: strategy.max_parallel,
                })
            }),
        })
    }

    fn stage(&self, job: &Job) -> Result<u32, BuildError> {
        match self.stages.get(job.stage.as_str()) {
            Some(stage) => Ok(*stage),
            // Languages without stages have one, which needs no name.
            None if self.workflow.stages.is_empty() || job.stage.is_empty() => Ok(0),
            None => Err(BuildError::UnknownStage {
                workflow: self.workflow.name.clone(),
                job: job.name.clone(),
                stage: job.stage.clone(),
            }),
        }
    }

    fn needs(&self, job: &Job) -> Result<Option<Vec<Edge>>, BuildError> {
        let Some(needs) = &job.needs else { return Ok(None) };
        let mut edges: Vec<Edge> = Vec::with_capacity(needs.len());
        let mut seen = HashSet::with_capacity(needs.len());
        for need in needs {
            // A need elsewhere gives artifacts and is not waited for here.
            if need.source.is_some() {
                continue;
            }
            let Some(index) = self.jobs.get(need.job.as_str()) else {
                if need.optional {
                    continue;
                }
                return Err(BuildError::UnknownNeed {
                    workflow: self.workflow.name.clone(),
                    job: job.name.clone(),
                    need: need.job.clone(),
                });
            };
            let wanted = need
                .statuses
                .iter()
                .map(|status| {
                    Wanted::parse(status).ok_or_else(|| BuildError::UnknownStatus {
                        job: job.name.clone(),
                        need: need.job.clone(),
                        status: status.clone(),
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            if seen.insert(*index) {
                edges.push(Edge { need: *index, wanted });
            }
        }
        Ok(Some(edges))
    }
}

/// Jobs (counted from `base`) that need one another in a circle, if some do.
fn circle(specs: &[Spec], base: usize) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let edges = |i: usize| specs[i].needs.as_deref().unwrap_or_default();
    let mut marks = vec![Mark::New; specs.len()];
    for root in 0..specs.len() {
        // The path from the root, each with the number of its edges already followed.
        let mut path: Vec<(usize, usize)> = Vec::new();
        if marks[root] == Mark::New {
            marks[root] = Mark::Open;
            path.push((root, 0));
        }
        while let Some((at, followed)) = path.last_mut() {
            let Some(edge) = edges(*at).get(*followed) else {
                marks[*at] = Mark::Done;
                path.pop();
                continue;
            };
            *followed += 1;
            let next = edge.need.at() - base;
            match marks[next] {
                Mark::Done => {}
                Mark::New => {
                    marks[next] = Mark::Open;
                    path.push((next, 0));
                }
                Mark::Open => {
                    let start = path.iter().position(|(i, _)| *i == next).unwrap_or(0);
                    let mut jobs: Vec<usize> = path[start..].iter().map(|(i, _)| *i).collect();
                    jobs.push(next);
                    return Some(jobs);
                }
            }
        }
    }
    None
}
/// Whether it only shows the status of another project's pipeline.
fn mirrors(job: &Job) -> bool {
    let mut needs = job.needs.iter().flatten();
    needs.any(|need| matches!(need.source, Some(NeedSource::Mirror { .. })))
}
