//! The invariants, read from the database as an outsider would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tasuki_model::id::{PipelineId, ProjectId, RunnerId, TaskId};
use tasuki_model::labels::{Demand, check as matches};
use tasuki_model::state::{Status, task};
use tasuki_server::scheduler::{ClaimedTask, RunnerIdentity, Settings};
use tasuki_store::{Tx, deployments, jobs, pipelines, tasks};

use super::world::{Sim, shown};

/// A job has passed when, and only when, the newest attempt of each of its parts has.
fn check_outcome(job: &jobs::Job, status: Status, attempts: &[&tasks::Task]) -> Result<(), String> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut newest: BTreeMap<i64, &tasks::Task> = BTreeMap::new();
    for task in attempts {
        let of_part = newest.entry(task.parallel_index).or_insert(task);
        if task.attempt > of_part.attempt {
            *of_part = task;
        }
    }
    let ends: Vec<_> = newest
        .values()
        .map(|attempt| {
            let state: task::State = serde_json::from_str(&attempt.state_json).map_err(shown)?;
            Ok((attempt.id, state.status()))
        })
        .collect::<Result<_, String>>()?;
    let passed = ends.iter().all(|(_, end)| *end == Status::Success);
    if passed == (status == Status::Success) {
        return Ok(());
    }
    Err(format!("job {} is {status} with newest attempts {ends:?}", job.id))
}

/// The queue as the database has it, before a claim.
pub(super) struct Before {
    /// Fitting tasks that wait, by project.
    fitting: BTreeMap<ProjectId, BTreeSet<TaskId>>,
    running: BTreeMap<ProjectId, usize>,
}

impl Sim {
    /// Checks what the last event may have changed.
    pub(super) async fn check_touched(&mut self) -> Result<(), String> {
        let mut ids = std::mem::take(&mut self.touched);
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            self.check_pipeline(id).await?;
        }
        self.check_groups().await
    }

    async fn check_pipeline(&mut self, id: PipelineId) -> Result<(), String> {
        self.tally.checks += 1;
        let (row, all, work) = self
            .store
            .read(move |tx| {
                let jobs = jobs::of_pipeline(tx, id)?.into_iter();
                // In the same reading: one for each job would take most of the simulation's time.
                let jobs = jobs.map(|job| deployments::of_job(tx, job.id).map(|newest| (job, newest)));
                let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
                Ok((pipelines::get(tx, id)?, jobs, tasks::of_pipeline(tx, id)?))
            })
            .await
            .map_err(shown)?;
        let (all, deployed): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let row = row.ok_or_else(|| format!("pipeline {id} was acknowledged and is not there"))?;
        let status = |state: &str| Status::parse(state).ok_or_else(|| format!("`{state}` is no status"));
        let now = self.now();
        self.check_results(&work)?;
        let newest = self.ledger.seen.get(&id).copied().unwrap_or(TaskId(0));
        let states: BTreeMap<_, _> = all
            .iter()
            .map(|job| Ok((job.id, status(&job.state)?)))
            .collect::<Result<_, String>>()?;
        for (job, deployment) in all.iter().zip(&deployed) {
            let own: Vec<_> = work.iter().filter(|task| task.job_id == job.id).collect();
            let open: Vec<_> = own.iter().filter(|task| task.finished_ms.is_none()).collect();
            let parts: BTreeSet<_> = open.iter().map(|task| task.parallel_index).collect();
            if parts.len() != open.len() {
                return Err(format!("job {} has two open attempts of one part", job.id));
            }
            let active = matches!(states[&job.id], Status::Pending | Status::Running | Status::Canceling);
            if active == open.is_empty() {
                let shown: Vec<_> = own
                    .iter()
                    .map(|t| {
                        format!(
                            "{} part {} attempt {} {}",
                            t.id, t.parallel_index, t.attempt, t.state_json
                        )
                    })
                    .collect();
                return Err(format!(
                    "job {} is {} with tasks {}",
                    job.id,
                    job.state,
                    shown.join(", ")
                ));
            }
            let mut attempts: Vec<_> = own.iter().map(|task| (task.parallel_index, task.attempt)).collect();
            let count = attempts.len();
            attempts.sort_unstable();
            attempts.dedup();
            if attempts.len() != count {
                return Err(format!("job {} has an attempt twice", job.id));
            }
            check_outcome(job, states[&job.id], &own)?;
            self.check_deployment(job, deployment.as_ref())?;
            let first = own.iter().any(|task| task.id > newest && task.attempt == 1);
            if first {
                self.check_gates(job, &states, now)?;
            }
        }
        let live = all.iter().any(|job| {
            !states[&job.id].is_completed() && (states[&job.id] != Status::Manual || !self.is_optional(job))
        });
        let shown_done = status(&row.state)?.is_completed();
        if live == shown_done {
            let jobs: Vec<_> = all.iter().map(|job| format!("{}:{}", job.name, job.state)).collect();
            return Err(format!("pipeline {id} is {} with jobs {}", row.state, jobs.join(" ")));
        }
        if row.finished_ms.is_some() != shown_done {
            return Err(format!(
                "pipeline {id} is {} and finished at {:?}",
                row.state, row.finished_ms
            ));
        }
        if let Some(task) = work.iter().map(|task| task.id).max() {
            self.ledger.seen.insert(id, task);
        }
        self.check_leases(&work)?;
        let manual_left = states.values().any(|status| *status == Status::Manual);
        if let Some(made) = self.ledger.pipelines.get_mut(&id) {
            made.done = shown_done && !manual_left;
        }
        Ok(())
    }

    fn is_optional(&self, job: &jobs::Job) -> bool {
        self.ledger.jobs.get(&job.id).is_some_and(|job| job.optional)
    }

    /// A result that was accepted, or seen, never changes.
    fn check_results(&mut self, work: &[tasks::Task]) -> Result<(), String> {
        for task in work {
            if task.finished_ms.is_none() {
                if self.ledger.ended.contains_key(&task.id) {
                    return Err(format!("task {} had ended and is {} again", task.id, task.state));
                }
                continue;
            }
            self.ledger.heard.remove(&task.id);
            match self.ledger.ended.get(&task.id) {
                Some(before) if *before != task.state_json => {
                    return Err(format!(
                        "the result of task {} was {before} and is {}",
                        task.id, task.state_json
                    ));
                }
                Some(_) => {}
                None => {
                    self.ledger.ended.insert(task.id, task.state_json.clone());
                }
            }
        }
        Ok(())
    }

    /// A job that starts for the first time has its predecessors behind it, and its gate is open.
    fn check_gates(
        &self,
        job: &jobs::Job,
        states: &BTreeMap<tasuki_model::id::JobId, Status>,
        now: tasuki_model::time::Timestamp,
    ) -> Result<(), String> {
        let Some(known) = self.ledger.jobs.get(&job.id) else {
            return Ok(());
        };
        if self.ledger.by_hand.contains(&job.id) || known.stops {
            return Ok(());
        }
        if known.manual {
            return Err(format!("manual job {} started by itself", job.id));
        }
        if let Some(delay) = known.delay
            && now.0 - known.created.0 < delay
        {
            return Err(format!(
                "delayed job {} started {} ms early",
                job.id,
                delay - (now.0 - known.created.0)
            ));
        }
        for (other, status) in states {
            let Some(before) = self.ledger.jobs.get(other) else {
                continue;
            };
            let precedes = match &known.needs {
                Some(needs) => needs.contains(other),
                None => before.stage < known.stage,
            };
            let passed = status.is_completed() || (*status == Status::Manual && before.optional);
            // With needs one that was skipped decides at once, whatever the others do (GitLab's rule).
            let decided = known.needs.as_ref().is_some_and(|needs| {
                needs.iter().any(|need| {
                    states
                        .get(need)
                        .is_some_and(|s| matches!(s, Status::Skipped | Status::Manual))
                })
            });
            if precedes && !passed && !decided {
                return Err(format!(
                    "job {} started while job {other} before it is {status}",
                    job.id
                ));
            }
        }
        Ok(())
    }

    /// A task whose runner is silent for longer than its lease does not run.
    fn check_leases(&self, work: &[tasks::Task]) -> Result<(), String> {
        let settings = Settings::default();
        for task in work
            .iter()
            .filter(|task| task.finished_ms.is_none() && task.state != tasks::QUEUED)
        {
            let Some(heard) = self.ledger.heard.get(&task.id) else {
                continue;
            };
            let ours = task
                .runner_id
                .is_some_and(|id| self.runners[(id.0 - 1) as usize].identity.keeps_contact);
            let lease = if ours { settings.lease } else { settings.stock_lease };
            let silence = self.now().since(*heard);
            if silence > lease + Duration::from_millis(1) {
                return Err(format!(
                    "task {} is {} and was not heard of for {silence:?}",
                    task.id, task.state
                ));
            }
        }
        Ok(())
    }

    /// At most one job of a group at a time, and none idle while somebody could have it.
    async fn check_groups(&mut self) -> Result<(), String> {
        let all = self
            .store
            .read(tasuki_store::resource_groups::all_claims_with_state)
            .await
            .map_err(shown)?;
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (claim, state) in all {
            groups
                .entry((claim.project_id, claim.key.clone()))
                .or_default()
                .push((claim, state));
        }
        for ((project, key), claims) in groups {
            let is = |states: &[&str]| {
                claims
                    .iter()
                    .filter(|(_, state)| states.contains(&state.as_str()))
                    .count()
            };
            let active = is(&["pending", "running", "canceling"]);
            let waiting = is(&["waiting_for_resource"]);
            let held = claims.iter().filter(|(claim, _)| claim.held).count();
            if active > 1 || active != held {
                return Err(format!(
                    "group {key} of {project}: {active} active, {held} hold it: {claims:?}"
                ));
            }
            if held == 0 && waiting > 0 {
                return Err(format!(
                    "group {key} of {project} is free and {waiting} jobs wait for it"
                ));
            }
        }
        Ok(())
    }

    /// Notes the queue before a claim.
    pub(super) async fn before_claim(&mut self, who: &RunnerIdentity) -> Result<Option<Before>, String> {
        // With two servers each knows only what it was told: order is not exact then.
        if self.servers.len() > 1 {
            return Ok(None);
        }
        let (queued, running) = self
            .store
            .read(|tx| Ok((tasks::queued(tx)?, tasks::running(tx)?)))
            .await
            .map_err(shown)?;
        let mut before = Before {
            fitting: BTreeMap::new(),
            running: BTreeMap::new(),
        };
        for task in queued {
            let demand: Demand = serde_json::from_str(&task.match_json).map_err(shown)?;
            if matches(&demand, task.project_id, &who.offer).is_ok() {
                before.fitting.entry(task.project_id).or_default().insert(task.id);
            }
        }
        for task in running {
            *before.running.entry(task.project_id).or_default() += 1;
        }
        Ok(Some(before))
    }

    /// A runner that asks gets a fitting task if there is one, of the project that has the least.
    pub(super) fn check_claim(&self, before: Option<Before>, claimed: Option<&ClaimedTask>) -> Result<(), String> {
        let Some(before) = before else { return Ok(()) };
        let Some(task) = claimed else {
            return if before.fitting.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "a runner went away empty while these wait: {:?}",
                    before.fitting
                ))
            };
        };
        if !before
            .fitting
            .get(&task.project)
            .is_some_and(|ids| ids.contains(&task.id))
        {
            return Err(format!(
                "task {} was given out and did not wait for such a runner",
                task.id
            ));
        }
        let share = |project: &ProjectId| before.running.get(project).copied().unwrap_or(0);
        let least = before.fitting.keys().map(share).min().unwrap_or(0);
        if share(&task.project) > least {
            return Err(format!(
                "project {} runs {} tasks and got another; one with {least} waits",
                task.project,
                share(&task.project)
            ));
        }
        Ok(())
    }

    /// Whoever is told that it runs the task is the one that the database names.
    pub(super) async fn check_holder(&mut self, task: TaskId, runner: RunnerId) -> Result<(), String> {
        let row = self.store.read(move |tx| tasks::get(tx, task)).await.map_err(shown)?;
        let holder = row.and_then(|row| row.runner_id);
        if holder == Some(runner) {
            return Ok(());
        }
        Err(format!(
            "runner {runner} was told that it runs task {task}, which is {holder:?}'s"
        ))
    }

    /// One accepted result per attempt, from the runner that held it.
    pub(super) async fn accept(&mut self, task: TaskId, runner: RunnerId, status: Status) -> Result<(), String> {
        if let Some((before, was)) = self.ledger.accepted.get(&task) {
            return Err(format!(
                "task {task}: {was} of runner {before} was accepted, now {status} of {runner}"
            ));
        }
        self.check_holder(task, runner).await?;
        self.ledger.accepted.insert(task, (runner, status.to_string()));
        Ok(())
    }

    pub(super) async fn touch_pipeline_of(&mut self, task: TaskId) -> Result<(), String> {
        let row = self.store.read(move |tx| tasks::get(tx, task)).await.map_err(shown)?;
        if let Some(row) = row {
            self.touched.push(row.pipeline_id);
        }
        Ok(())
    }

    pub(super) async fn all_done(&mut self) -> Result<bool, String> {
        let live = self
            .store
            .read(|tx: &mut Tx<'_>| pipelines::live(tx))
            .await
            .map_err(shown)?;
        Ok(live.is_empty() && self.open_pipelines().is_empty())
    }

    /// What has not come to its end: somebody starves.
    pub(super) async fn unfinished(&mut self) -> Result<String, String> {
        let live = self
            .store
            .read(|tx| {
                tx.select::<jobs::Job>(
                    "WHERE pipeline_id IN (SELECT id FROM pipelines WHERE finished_ms IS NULL) ORDER BY id",
                    &[],
                )
            })
            .await
            .map_err(shown)?;
        let jobs: Vec<_> = live
            .iter()
            .take(20)
            .map(|job| format!("{}.{}:{}", job.pipeline_id, job.name, job.state))
            .collect();
        Ok(format!("{} jobs starve: {}", live.len(), jobs.join(" ")))
    }

    /// All that was ever acknowledged is still there.
    pub(super) async fn check_everything(&mut self) -> Result<(), String> {
        let all: Vec<PipelineId> = self.ledger.pipelines.keys().copied().collect();
        for id in all {
            self.check_pipeline(id).await?;
        }
        self.tally.environments = self.check_environments().await?;
        for (task, (_, status)) in &self.ledger.accepted {
            let Some(state) = self.ledger.ended.get(task) else {
                return Err(format!("the accepted result of task {task} is lost"));
            };
            let wanted = if status == "success" {
                "\"result\":\"success\""
            } else {
                "\"result\":"
            };
            if !state.contains(wanted) {
                return Err(format!("task {task} was accepted as {status} and is {state}"));
            }
        }
        for (key, id) in self.ledger.keys.clone() {
            let name = key.clone();
            let found = self
                .store
                .read(move |tx| pipelines::by_idempotency_key(tx, &name))
                .await
                .map_err(shown)?;
            if found != Some(id) {
                return Err(format!("{key} made pipeline {id}, and now names {found:?}"));
            }
        }
        Ok(())
    }
}
