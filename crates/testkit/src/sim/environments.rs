//! Environments in the simulation: jobs that deploy to them and stop them, people who stop them, and what must hold.

use std::collections::BTreeMap;

use tasuki_model::id::{JobId, ProjectId};
use tasuki_model::state::deployment::Status;
use tasuki_model::state::environment::State;
use tasuki_model::state::job;
use tasuki_server::scheduler::{Error, HowToStop};
use tasuki_store::deployments::{self, Deployment};
use tasuki_store::environments::{self, Environment, Filter};
use tasuki_store::jobs;

use super::world::{Sim, shown};

/// More than there ever are.
const ALL: u32 = 1_000_000;

impl Sim {
    /// The environment of a job, if it has one.
    pub(super) fn draft_environment(&mut self) -> Option<serde_json::Value> {
        if !self.random.percent(20) {
            return None;
        }
        let action = *self
            .random
            .pick(&["start", "start", "start", "stop", "stop", "verify", "access"]);
        let mut environment = serde_json::json!({"name": format!("e{}", self.random.below(2)), "action": action});
        if action == "start" {
            environment["on_stop"] = format!("j{}", self.random.below(8)).into();
        }
        if self.random.percent(50) {
            environment["auto_stop_in_s"] = self.random.between(60, 20_000).into();
        }
        Some(environment)
    }

    /// Somebody stops an environment, or keeps it.
    pub(super) async fn meddle_with_environment(&mut self) -> Result<(), String> {
        let project = *self.random.pick(&self.projects.clone());
        let all = self.environments(project).await?;
        if all.is_empty() {
            return Ok(());
        }
        let id = self.random.pick(&all).id;
        let server = self.server();
        let open = self.open_pipelines();
        self.touched.extend(open);
        let result = match self.random.below(4) {
            0 => server.keep_environment(id).await,
            1 => server.stop_environment(id, HowToStop::AtOnce).await,
            _ => server.stop_environment(id, HowToStop::ByItsJob).await,
        };
        self.note(|| format!("somebody stops or keeps environment {id}: {result:?}"));
        match result {
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(error) => Err(shown(error)),
        }
    }

    async fn environments(&self, project: ProjectId) -> Result<Vec<Environment>, String> {
        let found = self
            .store
            .read(move |tx| environments::list(tx, project, &Filter::default(), ALL));
        found.await.map_err(shown)
    }

    /// The newest deployment of a job is where the job is, and there is none of a job that does not deploy.
    pub(super) fn check_deployment(&self, row: &jobs::Job, newest: Option<&Deployment>) -> Result<(), String> {
        let (id, deploys) = (row.id, self.deploys(row.id));
        let state: job::State = serde_json::from_str(&row.state_json).map_err(shown)?;
        let expected = Status::of(&state).filter(|_| deploys).map(Status::as_str);
        let wrong = || format!("job {id} is {} and its newest deployment is {newest:?}", row.state_json);
        match (newest, expected) {
            (None, None) => Ok(()),
            // It ended before its turn, or as an outdated one.
            (None, Some(_)) if state.finished().is_some() => Ok(()),
            (Some(newest), None) if newest.finished_ms.is_some() => Ok(()),
            // The same: the one that it has is of an earlier turn.
            (Some(newest), Some(_)) if state.started().is_none() && state.finished().is_some() => {
                newest.finished_ms.map(|_| ()).ok_or_else(wrong)
            }
            (Some(newest), Some(status)) if newest.status == status => Ok(()),
            _ => Err(wrong()),
        }
    }

    fn deploys(&self, job: JobId) -> bool {
        self.ledger.jobs.get(&job).is_some_and(|job| job.deploys)
    }

    /// Each environment knows its newest successful deployment, and when the clock stops it.
    pub(super) async fn check_environments(&self) -> Result<u64, String> {
        let mut seen = 0;
        for project in self.projects.clone() {
            for environment in self.environments(project).await? {
                seen += 1;
                self.check_environment(&environment).await?;
            }
        }
        Ok(seen)
    }

    async fn check_environment(&self, row: &Environment) -> Result<(), String> {
        let id = row.id;
        let all = self
            .store
            .read(move |tx| deployments::page(tx, id, None, ALL))
            .await
            .map_err(shown)?;
        let succeeded = |one: &&Deployment| one.status == Status::Success.as_str();
        let last = all.iter().filter(succeeded).map(|one| one.id).max();
        if last != row.last_deployment_id {
            return Err(format!("the last deployment of {row:?} is {last:?}"));
        }
        let state: State = serde_json::from_str(&row.state_json).map_err(shown)?;
        if state.as_str() != row.state || state.stops_at() != row.due_ms {
            return Err(format!("{row:?} contradicts itself"));
        }
        if row.due_ms.is_some_and(|due| due < self.now()) {
            return Err(format!("{row:?} should have been stopped by {:?}", self.now()));
        }
        let mut open: BTreeMap<JobId, u32> = BTreeMap::new();
        for deployment in all.iter().filter(|one| one.finished_ms.is_none()) {
            *open.entry(deployment.job_id).or_default() += 1;
        }
        match open.into_iter().find(|(_, count)| *count > 1) {
            None => Ok(()),
            Some((job, count)) => Err(format!("job {job} has {count} open deployments")),
        }
    }
}
