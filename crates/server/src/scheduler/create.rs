//! New pipelines.

use std::sync::Arc;

use tasuki_model::graph::{self, Graph, Spec};
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::labels::Demand;
use tasuki_model::plan::{Job, Plan};
use tasuki_model::state::{Status, job, pipeline};
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::{Source, Trigger};
use tasuki_store::{State as Stored, jobs, pipelines, resource_groups, workflows};

use super::auto_cancel::Newcomer;
use super::conditions::Planned;
use super::entry::{Entry, Facts, Ingredients, JobMeta, write};
use super::error::Error;
use super::events::Event;
use super::op::Op;
use super::pages::Publishing;

/// What a pipeline is to be made of.
#[derive(Debug, Clone)]
pub struct NewPipeline {
    pub project: ProjectId,
    pub trigger: Trigger,
    pub content: Content,
    /// Of the compiler, as JSON: shown with the pipeline.
    pub diagnostics_json: String,
    /// A second call with the same key changes nothing and gives the first one's pipeline.
    pub idempotency_key: Option<String>,
    /// The ref is protected: its jobs may run on runners that are reserved for such.
    pub protected: bool,
    /// Higher goes first within the project.
    pub priority: i64,
    /// The project lets newer pipelines cancel older ones of the same ref.
    pub cancels_older: bool,
}

/// What came of the configuration.
#[derive(Debug, Clone)]
pub enum Content {
    Plan(Box<Plan>),
    /// It cannot be used: a failed pipeline without jobs shows the errors.
    Invalid {
        errors: Vec<String>,
    },
    /// The commit asked not to be built: a skipped pipeline without jobs.
    Skipped,
}

/// What [`super::Scheduler::create_pipeline`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New {
        id: PipelineId,
        iid: i64,
    },
    /// The idempotency key had made this one before.
    Existing(PipelineId),
}

/// A pipeline with all its texts, so that the transaction only has to store them.
pub(super) struct Prepared {
    new: NewPipeline,
    plan: Plan,
    specs: Vec<Spec>,
    facts: Vec<Facts>,
    /// By job: graph and plan.
    texts: Vec<(String, String)>,
    jobs: Vec<Job>,
    plan_json: String,
    trigger_json: String,
}

/// Makes everything that needs no database.
pub(super) fn prepare(mut new: NewPipeline) -> Result<Prepared, Error> {
    let content = std::mem::replace(&mut new.content, Content::Skipped);
    let mut plan = match content {
        Content::Plan(plan) => {
            new.content = Content::Plan(Box::new(empty_plan()));
            *plan
        }
        other => {
            new.content = other;
            empty_plan()
        }
    };
    let specs = graph::specs(&plan.workflows)?;
    let mut all = Vec::with_capacity(specs.len());
    for workflow in &mut plan.workflows {
        all.append(&mut workflow.jobs);
    }
    let mut facts = Vec::with_capacity(specs.len());
    let mut texts = Vec::with_capacity(specs.len());
    for (spec, job) in specs.iter().zip(&all) {
        let meta = JobMeta {
            graph: spec.clone(),
            facts: Facts {
                demand: Arc::new(Demand::of(job, new.protected)),
                parallelism: job.parallelism,
                interruptible: job.interruptible,
                resource: job.resource_group.clone(),
                timeout_s: job.timeout_s,
                environment: job.environment.as_deref().cloned().map(Arc::new),
                pages: Publishing::of(job).map(Arc::new),
            },
        };
        texts.push((write(&meta)?, write(job)?));
        facts.push(meta.facts);
    }
    Ok(Prepared {
        plan_json: write(&plan)?,
        trigger_json: write(&new.trigger)?,
        new,
        plan,
        specs,
        facts,
        texts,
        jobs: all,
    })
}

fn empty_plan() -> Plan {
    Plan {
        version: tasuki_model::plan::PLAN_VERSION,
        language: tasuki_model::plan::Language::Gitlab,
        name: None,
        workflows: Vec::new(),
        auto_cancel: tasuki_model::plan::AutoCancel::default(),
    }
}

impl Prepared {
    /// The state of a pipeline that has no jobs, or of one whose jobs are as `graph` says.
    fn state(&self, graph: &Graph, now: Timestamp) -> Result<pipeline::State, Error> {
        Ok(match &self.new.content {
            Content::Invalid { errors } => pipeline::State::Invalid {
                at: now,
                errors: errors.clone(),
            },
            Content::Skipped => pipeline::State::Finished {
                result: Status::Skipped,
                started: None,
                at: now,
            },
            Content::Plan(_) => {
                let event = pipeline::Event::Jobs { status: graph.status() };
                pipeline::State::new().apply(event, now)?.0
            }
        })
    }

    fn insert(&self, op: &mut Op<'_, '_>, state: &pipeline::State) -> Result<pipelines::Created, Error> {
        let trigger = &self.new.trigger;
        let author = match &trigger.user {
            Some((_, name, _)) => name,
            None => &trigger.commit.author_name,
        };
        let json = write(state)?;
        let row = pipelines::NewPipeline {
            project_id: self.new.project,
            idempotency_key: self.new.idempotency_key.as_deref(),
            source: trigger.source.as_str(),
            ref_kind: trigger.git_ref.kind(),
            ref_name: &trigger.git_ref.short(),
            sha: &trigger.commit.sha,
            title: trigger.commit.message.lines().next().unwrap_or_default(),
            author,
            name: self.plan.name.as_deref(),
            state: Stored {
                tag: state.status().as_str(),
                json: &json,
            },
            priority: self.new.priority,
            job_count: i64::try_from(self.jobs.len()).unwrap_or(i64::MAX),
            trigger_json: &self.trigger_json,
            plan_json: &self.plan_json,
            diagnostics_json: &self.new.diagnostics_json,
            finished_ms: state.finished(),
        };
        Ok(pipelines::create(op.tx, &row, op.now)?)
    }

    /// Whether it may push older ones aside: not those that hang on another pipeline.
    fn pushes_aside(&self) -> bool {
        self.new.cancels_older
            && matches!(self.new.content, Content::Plan(_))
            && !matches!(self.new.trigger.source, Source::ParentPipeline | Source::Webide)
    }
}

impl Op<'_, '_> {
    pub(super) fn create(&mut self, prepared: &Prepared) -> Result<Created, Error> {
        let jobs_of = prepared
            .specs
            .iter()
            .map(|spec| (spec.clone(), job::State::Created))
            .collect();
        let mut graph = Graph::new(jobs_of);
        graph.settle(self.now, &mut Planned { jobs: &prepared.jobs })?;
        let changes = graph.drain();
        let state = prepared.state(&graph, self.now)?;
        let (id, iid) = match prepared.insert(self, &state)? {
            pipelines::Created::New { id, iid } => (id, iid),
            pipelines::Created::Existing(id) => return Ok(Created::Existing(id)),
        };
        let names: Vec<&str> = prepared
            .plan
            .workflows
            .iter()
            .map(|workflow| workflow.name.as_str())
            .collect();
        let workflows = self.insert_workflows(id, &names, &graph)?;
        let ids = self.insert_jobs(prepared, id, &workflows, &graph)?;
        let mut entry = Box::new(Entry::new(Ingredients {
            id,
            project: prepared.new.project,
            version: 1,
            priority: prepared.new.priority,
            state,
            graph,
            jobs: ids,
            facts: prepared.facts.clone(),
            workflows,
        }));
        let status = entry.state.status();
        self.pipeline_event(&entry, status);
        let due: Vec<_> = entry
            .graph
            .indices()
            .filter_map(|node| entry.graph.state(node).wakes_at())
            .collect();
        if let Some(at) = due.into_iter().min() {
            self.round.wake_at(at);
        }
        self.act(&mut entry, changes.actions)?;
        for node in entry.graph.indices() {
            self.environment_follows(&entry, node)?;
        }
        let more = entry.graph.drain();
        if more.nodes.is_empty() && more.actions.is_empty() {
            // As it was stored: nothing to save.
            self.entries.insert(id, entry);
        } else {
            entry.graph.undrain(more);
            self.put(entry);
        }
        if prepared.pushes_aside() {
            self.cancel_older(&Newcomer {
                id,
                project: prepared.new.project,
                ref_name: &prepared.new.trigger.git_ref.short(),
                sha: &prepared.new.trigger.commit.sha,
            })?;
        }
        Ok(Created::New { id, iid })
    }

    fn insert_workflows(
        &mut self,
        pipeline: PipelineId,
        names: &[&str],
        graph: &Graph,
    ) -> Result<Vec<(tasuki_model::id::WorkflowId, pipeline::State)>, Error> {
        let first = pipeline::State::new();
        let json = write(&first)?;
        let stored = Stored {
            tag: first.status().as_str(),
            json: &json,
        };
        let ids = workflows::insert_all(self.tx, pipeline, names, stored)?;
        let mut all = Vec::with_capacity(ids.len());
        for (index, id) in ids.into_iter().enumerate() {
            let event = pipeline::Event::Jobs {
                status: graph.workflow_status(index as u32),
            };
            let (state, _) = first.apply(event, self.now)?;
            if state != first {
                let json = write(&state)?;
                let stored = Stored {
                    tag: state.status().as_str(),
                    json: &json,
                };
                workflows::change(self.tx, id, stored, state.started(), state.finished())?;
            }
            all.push((id, state));
        }
        Ok(all)
    }

    fn insert_jobs(
        &mut self,
        prepared: &Prepared,
        pipeline: PipelineId,
        workflows: &[(tasuki_model::id::WorkflowId, pipeline::State)],
        graph: &Graph,
    ) -> Result<Vec<tasuki_model::id::JobId>, Error> {
        let mut states = Vec::with_capacity(prepared.jobs.len());
        for node in graph.indices() {
            states.push(write(graph.state(node))?);
        }
        let mut rows = Vec::with_capacity(prepared.jobs.len());
        for (((node, job), (graph_json, plan_json)), json) in
            graph.indices().zip(&prepared.jobs).zip(&prepared.texts).zip(&states)
        {
            let state = graph.state(node);
            let spec = graph.spec(node);
            rows.push(jobs::NewJob {
                workflow_id: workflows[spec.workflow as usize].0,
                idx: i64::from(node.0),
                name: &job.name,
                stage: &job.stage,
                stage_idx: i64::from(spec.stage),
                state: Stored {
                    tag: state.status().as_str(),
                    json,
                },
                graph_json,
                plan_json,
                due_ms: state.wakes_at(),
                finished_ms: state.finished(),
            });
        }
        let ids = jobs::insert_all(self.tx, pipeline, prepared.new.project, &rows, self.now)?;
        self.insert_needs(prepared, pipeline, &ids)?;
        for (id, facts) in ids.iter().zip(&prepared.facts) {
            if let Some(group) = &facts.resource {
                resource_groups::join(self.tx, prepared.new.project, &group.key, pipeline, *id, self.now)?;
            }
        }
        for (node, id) in graph.indices().zip(&ids) {
            self.round.events.push(Event::Job {
                project: prepared.new.project,
                pipeline,
                job: *id,
                status: graph.state(node).status(),
            });
        }
        Ok(ids)
    }

    fn insert_needs(
        &mut self,
        prepared: &Prepared,
        pipeline: PipelineId,
        ids: &[tasuki_model::id::JobId],
    ) -> Result<(), Error> {
        let mut needs = Vec::new();
        for ((spec, job), id) in prepared.specs.iter().zip(&prepared.jobs).zip(ids) {
            for edge in spec.needs.iter().flatten() {
                let name = &prepared.jobs[edge.need.at()].name;
                let artifacts = job
                    .needs
                    .iter()
                    .flatten()
                    .any(|need| need.job == *name && need.artifacts);
                needs.push(jobs::Need {
                    job: *id,
                    needs: ids[edge.need.at()],
                    artifacts,
                });
            }
        }
        if !needs.is_empty() {
            jobs::insert_needs(self.tx, pipeline, &needs)?;
        }
        Ok(())
    }
}
