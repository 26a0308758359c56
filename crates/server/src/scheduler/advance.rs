//! From a job's end to everything that follows: retries, the graph, the rows.

use std::collections::BTreeSet;

use serde::Deserialize;
use tasuki_model::graph::{Action, NodeIndex, Work};
use tasuki_model::id::PipelineId;
use tasuki_model::plan::{AutoCancel, OnJobFailure, Retry};
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::State as TaskState;
use tasuki_model::state::{Failure, Outcome, job, pipeline, retry};
use tasuki_store::{State as Stored, jobs, pipelines, tasks, workflows};

use super::cache::Live;
use super::conditions::Stored as StoredConditions;
use super::entry::{Entry, parse, write};
use super::error::Error;
use super::events::Event;
use super::op::Op;

/// A task to be made.
struct Wanted {
    node: NodeIndex,
    part: i64,
    attempt: i64,
}

impl Op<'_, '_> {
    /// Ends a job with this result.
    pub(super) fn end_job(&mut self, entry: &mut Entry, node: NodeIndex, outcome: Outcome) -> Result<(), Error> {
        let allowed = entry.graph.allows(node, &outcome);
        let failed = matches!(outcome, Outcome::Failed(_)) && !allowed;
        entry
            .graph
            .apply(node, job::Event::End { outcome, allowed }, self.now)?;
        if failed && self.on_job_failure(entry)? == OnJobFailure::All {
            self.cancel_all(entry)?;
        }
        Ok(())
    }

    /// Starts a failed task again if its job's policy, or ours, says so.
    pub(super) fn try_again(
        &mut self,
        entry: &mut Entry,
        node: NodeIndex,
        live: &Live,
        failure: &Failure,
    ) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Policy {
            #[serde(default)]
            retry: Retry,
        }
        let text = jobs::plan(self.tx, live.job)?.unwrap_or_else(|| "{}".to_owned());
        let policy: Policy = parse("plan of job", live.job.0, &text)?;
        let mut failures = Vec::new();
        for row in tasks::of_job(self.tx, live.job)? {
            if row.parallel_index != live.part || row.id >= live.id {
                continue;
            }
            let state: TaskState = parse("state of task", row.id.0, &row.state_json)?;
            match state.outcome() {
                Some(Outcome::Failed(failure)) => failures.push(failure.clone()),
                // A person intervened: counting starts anew.
                _ => failures.clear(),
            }
        }
        let so_far = retry::replay(&policy.retry, &failures);
        match retry::decide(&policy.retry, so_far, failure) {
            retry::Decision::Final => Ok(false),
            retry::Decision::Again(_) => {
                self.core.counters.count(&self.core.counters.requeued);
                let wanted = Wanted {
                    node,
                    part: live.part,
                    attempt: live.attempt + 1,
                };
                self.queue_tasks(entry, &[wanted])?;
                if !self.any_part_runs(entry, node)? {
                    entry.graph.apply(node, job::Event::Requeue, self.now)?;
                }
                Ok(true)
            }
        }
    }

    /// Whether a task of the job runs.
    pub(super) fn any_part_runs(&mut self, entry: &Entry, node: NodeIndex) -> Result<bool, Error> {
        for id in entry.open_tasks(node) {
            if self.task(id)?.state.started().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn on_job_failure(&mut self, entry: &mut Entry) -> Result<OnJobFailure, Error> {
        if let Some(known) = entry.on_job_failure {
            return Ok(known);
        }
        let known = self.auto_cancel_of(entry.id)?.on_job_failure;
        entry.on_job_failure = Some(known);
        Ok(known)
    }

    /// What the pipeline's configuration says about cancelling it.
    pub(super) fn auto_cancel_of(&mut self, id: PipelineId) -> Result<AutoCancel, Error> {
        #[derive(Default, Deserialize)]
        struct Policy {
            #[serde(default)]
            auto_cancel: AutoCancel,
        }
        let Some(details) = pipelines::details(self.tx, id)? else {
            return Ok(AutoCancel::default());
        };
        let policy: Option<Policy> = parse("plan of pipeline", id.0, &details.plan_json)?;
        Ok(policy.unwrap_or_default().auto_cancel)
    }

    /// Settles every changed pipeline and its resource groups until nothing more follows, and saves it all.
    pub(super) fn settle_all(&mut self) -> Result<(), Error> {
        // What a pipeline's end means for the one that started it is known once it is saved.
        while !(self.dirty.is_empty() && self.groups.is_empty()) {
            for id in self.settle_dirty()? {
                let mut entry = self.take(id)?;
                let result = self.save_pipeline(&mut entry);
                let status = entry.state.status();
                self.entries.insert(id, entry);
                if result? {
                    self.tell_upstream(id, status)?;
                }
            }
        }
        Ok(())
    }

    /// Settles what has changed; gives which pipelines that were.
    fn settle_dirty(&mut self) -> Result<BTreeSet<PipelineId>, Error> {
        let mut settled = BTreeSet::new();
        loop {
            if let Some(id) = self.dirty.pop_first() {
                let mut entry = self.take(id)?;
                self.settle(&mut entry)?;
                settled.insert(id);
                self.entries.insert(id, entry);
            } else if let Some((project, key)) = self.groups.pop_first() {
                self.allocate(project, &key)?;
            } else {
                return Ok(settled);
            }
        }
    }

    /// Lets the graph follow and saves the jobs that changed.
    fn settle(&mut self, entry: &mut Entry) -> Result<(), Error> {
        let mut changed = BTreeSet::new();
        loop {
            {
                let mut conditions = StoredConditions::new(self.tx, &entry.jobs, entry.id);
                entry.graph.settle(self.now, &mut conditions)?;
                conditions.outcome()?;
            }
            let changes = entry.graph.drain();
            if changes.nodes.is_empty() && changes.actions.is_empty() {
                break;
            }
            changed.extend(changes.nodes);
            self.act(entry, changes.actions)?;
        }
        self.save_jobs(entry, &changed)
    }

    /// Does what the graph wants done.
    pub(super) fn act(&mut self, entry: &mut Entry, actions: Vec<(NodeIndex, Action)>) -> Result<(), Error> {
        let mut wanted = Vec::new();
        let mut outdated = Vec::new();
        for (node, action) in actions {
            match action {
                // It may have been cancelled meanwhile.
                Action::Start if !matches!(entry.graph.state(node), job::State::Pending { .. }) => {}
                Action::Start if self.is_outdated(entry, node)? => outdated.push(node),
                Action::Start => match entry.graph.spec(node).work {
                    Work::Downstream => self.want_downstream(entry, node)?,
                    Work::Tasks | Work::Nothing => {
                        entry.parts.remove(&node);
                        let attempt = self.next_attempt(entry, node)?;
                        wanted.extend((0..entry.facts[node.at()].parallelism.max(1)).map(|part| Wanted {
                            node,
                            part: i64::from(part),
                            attempt,
                        }));
                    }
                },
                Action::RequestResource => self.request_resource(entry, node)?,
                // Found by the job's new state when it is saved.
                Action::ReleaseResource => {}
                Action::WakeAt(at) => {
                    self.round.wake_at(at);
                }
                Action::Cancel => self.cancel_job(entry, node)?,
            }
        }
        self.queue_tasks(entry, &wanted)?;
        // Now that the others have their tasks: a failure may cancel them.
        for node in outdated {
            if matches!(entry.graph.state(node), job::State::Pending { .. }) {
                let outcome = Outcome::failed(FailureReason::FailedOutdatedDeploymentJob);
                self.end_job(entry, node, outcome)?;
            }
        }
        Ok(())
    }

    /// Attempts count on over a person's retries.
    fn next_attempt(&mut self, entry: &Entry, node: NodeIndex) -> Result<i64, Error> {
        if !entry.ran.contains(&node) {
            return Ok(1);
        }
        let all = tasks::of_job(self.tx, entry.job(node))?;
        Ok(all.iter().map(|task| task.attempt).max().unwrap_or(0) + 1)
    }

    fn queue_tasks(&mut self, entry: &mut Entry, wanted: &[Wanted]) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let state = TaskState::Queued { since: self.now };
        let state_json = write(&state)?;
        let demands = wanted
            .iter()
            .map(|want| write(&entry.facts[want.node.at()].demand))
            .collect::<Result<Vec<_>, _>>()?;
        let new: Vec<_> = wanted
            .iter()
            .zip(&demands)
            .map(|(want, demand)| tasks::NewTask {
                job_id: entry.job(want.node),
                pipeline_id: entry.id,
                project_id: entry.project,
                parallel_index: want.part,
                attempt: want.attempt,
                state_json: &state_json,
                priority: entry.priority,
                match_json: demand,
            })
            .collect();
        let ids = tasks::insert_all(self.tx, &new, self.now)?;
        for (id, want) in ids.into_iter().zip(wanted) {
            entry.parts.entry(want.node).or_default().open.insert(want.part, id);
            entry.ran.insert(want.node);
            let live = Live {
                id,
                job: entry.job(want.node),
                pipeline: entry.id,
                project: entry.project,
                part: want.part,
                attempt: want.attempt,
                priority: entry.priority,
                demand: entry.facts[want.node.at()].demand.clone(),
                state: state.clone(),
                version: 1,
                token_hash: None,
                queued: self.now,
                contact: None,
            };
            self.round.queued.push(Self::waiting(&live));
            self.put_task(live);
        }
        Ok(())
    }

    fn save_jobs(&mut self, entry: &mut Entry, changed: &BTreeSet<NodeIndex>) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(changed.len());
        for node in changed {
            rows.push((*node, write(entry.graph.state(*node))?));
        }
        let changes: Vec<_> = rows
            .iter()
            .map(|(node, json)| {
                let state = entry.graph.state(*node);
                jobs::Change {
                    id: entry.job(*node),
                    state: Stored {
                        tag: state.status().as_str(),
                        json,
                    },
                    due_ms: state.wakes_at(),
                    started_ms: state.started(),
                    finished_ms: state.finished(),
                }
            })
            .collect();
        if !changes.is_empty() {
            jobs::change_all(self.tx, &changes)?;
        }
        for node in changed {
            self.round.events.push(Event::Job {
                project: entry.project,
                pipeline: entry.id,
                job: entry.job(*node),
                status: entry.graph.state(*node).status(),
            });
            if entry.facts[node.at()].resource.is_some() && entry.graph.state(*node).finished().is_some() {
                self.leave_group(entry, *node)?;
            }
            self.environment_follows(entry, *node)?;
            self.pages_follow(entry, *node)?;
        }
        Ok(())
    }

    /// Saves the pipeline's row, and with it claims the right to all that was changed in it. Gives whether the
    /// pipeline's own state is another one now.
    fn save_pipeline(&mut self, entry: &mut Entry) -> Result<bool, Error> {
        self.save_workflows(entry)?;
        let event = pipeline::Event::Jobs {
            status: entry.graph.status(),
        };
        let (next, effects) = entry.state.apply(event, self.now)?;
        let changed = next != entry.state;
        let saved = if !changed {
            pipelines::advance(self.tx, entry.id, entry.version)?
        } else {
            let json = write(&next)?;
            let change = pipelines::Change {
                state: Stored {
                    tag: next.status().as_str(),
                    json: &json,
                },
                started_ms: next.started(),
                finished_ms: next.finished(),
            };
            pipelines::change(self.tx, entry.id, entry.version, &change)?
        };
        if !saved {
            return Err(Error::Stale);
        }
        entry.version += 1;
        entry.state = next;
        for effect in effects {
            match effect {
                pipeline::Effect::ReportStatus(status) => self.pipeline_event(entry, status),
                pipeline::Effect::Finished(_) => {
                    self.core.counters.count(&self.core.counters.pipelines);
                }
                pipeline::Effect::Reopened => {}
            }
        }
        Ok(changed)
    }

    fn save_workflows(&mut self, entry: &mut Entry) -> Result<(), Error> {
        for index in 0..entry.workflows.len() {
            let event = pipeline::Event::Jobs {
                status: entry.graph.workflow_status(index as u32),
            };
            let (id, state) = &entry.workflows[index];
            let (next, _) = state.apply(event, self.now)?;
            if next == *state {
                continue;
            }
            let json = write(&next)?;
            let stored = Stored {
                tag: next.status().as_str(),
                json: &json,
            };
            workflows::change(self.tx, *id, stored, next.started(), next.finished())?;
            entry.workflows[index].1 = next;
        }
        Ok(())
    }
}
