//! Environments: what jobs do to them, and how they are stopped.
//!
//! Everything here follows a job's state in the transaction that saves it, so that no crash loses a deployment. Where a
//! deployment is to be found (its url) may hang on what the job left; `crate::environments` works that out afterwards.

use serde::Deserialize;
use tasuki_model::environment::{guess_tier, slug};
use tasuki_model::graph::NodeIndex;
use tasuki_model::id::{JobId, ProjectId};
use tasuki_model::plan::{Environment as Named, EnvironmentAction as Action};
use tasuki_model::reason::FailureReason;
use tasuki_model::state::deployment::Status;
use tasuki_model::state::environment::{Event, Lifetime, State, Stopper};
use tasuki_model::state::task::Event as TaskEvent;
use tasuki_model::state::{Outcome, job};
use tasuki_store::deployments::{self, Deployment, NewDeployment};
use tasuki_store::environments::{self, Environment, NewEnvironment};
use tasuki_store::{State as Stored, jobs, pipelines, projects};

use super::entry::{Entry, parse, write};
use super::error::Error;
use super::op::Op;
use crate::config::ProjectSettings;

/// How an environment is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowToStop {
    /// By the job that its deployment names, where there is one.
    ByItsJob,
    /// At once: nothing runs.
    AtOnce,
}

/// What else changes with an environment's state.
#[derive(Default)]
struct Along<'a> {
    tier: Option<&'a str>,
    last_deployment: Option<i64>,
}

impl Op<'_, '_> {
    /// A job that names an environment has another state.
    pub(super) fn environment_follows(&mut self, entry: &Entry, node: NodeIndex) -> Result<(), Error> {
        let Some(named) = entry.facts[node.at()].environment.clone() else {
            return Ok(());
        };
        let state = entry.graph.state(node);
        let Some(status) = Status::of(state) else { return Ok(()) };
        if named.action == Action::Start {
            return self.deployment_follows(entry, node, &named, status);
        }
        let lifetime = Lifetime::of(named.auto_stop_in_s);
        let event = match (named.action, state.outcome()) {
            // The job is to find the environment there.
            (_, None) => {
                self.environment(entry.project, &named)?;
                return Ok(());
            }
            (Action::Stop, Some(Outcome::Success)) => Event::StopJobSucceeded,
            (Action::Stop, Some(Outcome::Failed(_) | Outcome::Canceled)) => Event::StopJobFailed,
            (Action::Prepare | Action::Verify | Action::Access, Some(Outcome::Success)) => Event::Used(lifetime),
            (Action::Start, Some(_)) | (_, Some(Outcome::Failed(_) | Outcome::Canceled | Outcome::Skipped)) => {
                return Ok(());
            }
        };
        let environment = self.environment(entry.project, &named)?;
        self.change_environment(&environment, event, &Along::default())
    }

    /// The environment that a job names. It exists from the first job on that is started with it.
    fn environment(&mut self, project: ProjectId, named: &Named) -> Result<Environment, Error> {
        let state = State::new();
        let json = write(&state)?;
        let new = NewEnvironment {
            project_id: project,
            name: &named.name,
            slug: &slug(&named.name),
            tier: tier_of(named),
            state: Stored {
                tag: state.as_str(),
                json: &json,
            },
        };
        Ok(environments::ensure(self.tx, &new, self.now)?)
    }

    fn change_environment(&mut self, row: &Environment, event: Event, along: &Along<'_>) -> Result<(), Error> {
        let state: State = parse("state of environment", row.id, &row.state_json)?;
        let next = state.apply(event, self.now)?;
        if next == state && along.last_deployment.is_none() {
            return Ok(());
        }
        let json = write(&next)?;
        let change = environments::Change {
            state: Stored {
                tag: next.as_str(),
                json: &json,
            },
            due_ms: next.stops_at(),
            tier: along.tier,
            last_deployment_id: along.last_deployment,
        };
        if !environments::change(self.tx, row.id, row.version, &change, self.now)? {
            return Err(Error::Stale);
        }
        if let Some(at) = next.stops_at() {
            self.round.wake_at(at);
        }
        Ok(())
    }

    fn deployment_follows(
        &mut self,
        entry: &Entry,
        node: NodeIndex,
        named: &Named,
        status: Status,
    ) -> Result<(), Error> {
        let state = entry.graph.state(node);
        let newest = deployments::of_job(self.tx, entry.job(node))?;
        let open = newest.filter(|deployment| deployment.finished_ms.is_none());
        let open = match (open, status) {
            (Some(open), _) => open,
            (None, Status::Created | Status::Running) => self.begin_deployment(entry, node, named)?,
            // It was never started.
            (None, Status::Success | Status::Failed | Status::Canceled) => return Ok(()),
        };
        if open.status == status.as_str() {
            return Ok(());
        }
        let change = deployments::Change {
            status: status.as_str(),
            started_ms: state.started(),
            finished_ms: state.finished(),
            url_wanted: status == Status::Success && named.url.is_some(),
        };
        deployments::change(self.tx, open.id, &change)?;
        if status == Status::Success {
            self.deployed(&open, named)?;
        }
        Ok(())
    }

    fn begin_deployment(&mut self, entry: &Entry, node: NodeIndex, named: &Named) -> Result<Deployment, Error> {
        let environment = self.environment(entry.project, named)?;
        let job = entry.job(node);
        let missing = |what, id| Error::NotFound { what, id };
        let pipeline = pipelines::get(self.tx, entry.id)?.ok_or_else(|| missing("pipeline", entry.id.0))?;
        let row = jobs::get(self.tx, job)?.ok_or_else(|| missing("job", job.0))?;
        let new = NewDeployment {
            environment_id: environment.id,
            project_id: entry.project,
            pipeline_id: entry.id,
            job_id: job,
            job_name: &row.name,
            ref_kind: &pipeline.ref_kind,
            ref_name: &pipeline.ref_name,
            sha: &pipeline.sha,
            stop_job_id: self.stop_job_of(entry, named)?,
        };
        let id = deployments::create(self.tx, &new, self.now)?;
        deployments::get(self.tx, id)?.ok_or_else(|| missing("deployment", id))
    }

    /// The job of the same pipeline that `on_stop` means: of several by that name (a matrix) the one of the environment.
    fn stop_job_of(&mut self, entry: &Entry, named: &Named) -> Result<Option<JobId>, Error> {
        #[derive(Deserialize)]
        struct Names {
            name: String,
            base_name: String,
        }
        let Some(on_stop) = &named.on_stop else { return Ok(None) };
        for node in entry.graph.indices() {
            let other = entry.facts[node.at()].environment.as_deref();
            if !other.is_some_and(|other| other.action == Action::Stop && other.name == named.name) {
                continue;
            }
            let id = entry.job(node);
            let Some(text) = jobs::plan(self.tx, id)? else { continue };
            let names: Names = parse("plan of job", id.0, &text)?;
            if names.name == *on_stop || names.base_name == *on_stop {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A deployment has succeeded.
    fn deployed(&mut self, deployment: &Deployment, named: &Named) -> Result<(), Error> {
        let along = Along {
            tier: Some(tier_of(named)),
            last_deployment: Some(deployment.id),
        };
        let environment = self.environment(deployment.project_id, named)?;
        // One that began later may have been quicker: what is newest is what is there.
        let is_newest = environment.last_deployment_id.is_none_or(|last| last < deployment.id);
        let along = if is_newest { along } else { Along::default() };
        let event = Event::Deployed(Lifetime::of(named.auto_stop_in_s));
        self.change_environment(&environment, event, &along)?;
        match &named.url {
            None => {}
            // It refers to nothing in any language.
            Some(url) if !url.contains(['$', '%']) => {
                deployments::set_url(self.tx, deployment.id, Some(url))?;
                environments::set_url(self.tx, environment.id, deployment.id, url)?;
            }
            Some(_) => self.round.urls = true,
        }
        if self.refuses_outdated(deployment.project_id)? {
            for job in deployments::overtaken(self.tx, deployment)? {
                self.drop_overtaken(job)?;
            }
        }
        Ok(())
    }

    /// Whether the project lets no older commit be deployed after a newer one.
    fn refuses_outdated(&mut self, project: ProjectId) -> Result<bool, Error> {
        let row = projects::get(self.tx, project)?;
        Ok(row.is_some_and(|row| !ProjectSettings::read(&row.settings_json).allow_outdated_deployments))
    }

    /// Ends a job that waits for a runner to deploy what is older than what is there.
    fn drop_overtaken(&mut self, id: JobId) -> Result<(), Error> {
        self.with_job(id, |op, entry, node| {
            if !matches!(entry.graph.state(node), job::State::Pending { .. }) || op.any_part_runs(entry, node)? {
                return Ok(());
            }
            for task in entry.open_tasks(node) {
                let reason = FailureReason::FailedOutdatedDeploymentJob;
                op.on_task_of(entry, task, TaskEvent::Drop { reason })?;
            }
            Ok(())
        })
    }

    /// Whether a job whose turn has come would deploy an older commit over a newer one. One that has run before may: it
    /// is repeated to go back.
    pub(super) fn is_outdated(&mut self, entry: &Entry, node: NodeIndex) -> Result<bool, Error> {
        let Some(named) = entry.facts[node.at()].environment.clone() else {
            return Ok(false);
        };
        if named.action != Action::Start || entry.ran.contains(&node) {
            return Ok(false);
        }
        let environment = environments::by_name(self.tx, entry.project, &named.name)?;
        let Some(last) = environment.and_then(|environment| environment.last_deployment_id) else {
            return Ok(false);
        };
        let Some(last) = deployments::get(self.tx, last)? else {
            return Ok(false);
        };
        if last.pipeline_id <= entry.id {
            return Ok(false);
        }
        let own = pipelines::get(self.tx, entry.id)?;
        Ok(own.is_some_and(|own| own.sha != last.sha) && self.refuses_outdated(entry.project)?)
    }
}

impl Op<'_, '_> {
    /// Stops an environment. One that is stopped, or being stopped by its job, stays as it is.
    pub(super) fn stop_environment(&mut self, id: i64, how: HowToStop) -> Result<(), Error> {
        let row = self.environment_row(id)?;
        let state: State = parse("state of environment", id, &row.state_json)?;
        let stopper = match (how, state) {
            (_, State::Stopped { .. }) | (HowToStop::ByItsJob, State::Stopping { .. }) => return Ok(()),
            (HowToStop::AtOnce, _) => Stopper::Nothing,
            (HowToStop::ByItsJob, State::Available { .. }) => self.start_stop_jobs(&row)?,
        };
        self.change_environment(&row, Event::Stop(stopper), &Along::default())
    }

    /// Takes the clock from an environment.
    pub(super) fn keep_environment(&mut self, id: i64) -> Result<(), Error> {
        let row = self.environment_row(id)?;
        self.change_environment(&row, Event::Keep, &Along::default())
    }

    /// Stops every environment that was last deployed to from a ref that is gone. Gives how many there are.
    pub(super) fn stop_environments_of(
        &mut self,
        project: ProjectId,
        ref_kind: &str,
        ref_name: &str,
    ) -> Result<usize, Error> {
        let all = environments::of_ref(self.tx, project, ref_kind, ref_name)?;
        for environment in &all {
            self.stop_environment(environment.id, HowToStop::ByItsJob)?;
        }
        Ok(all.len())
    }

    /// The clock stops an environment, if it still is to.
    pub(super) fn expire_environment(&mut self, id: i64) -> Result<(), Error> {
        match environments::get(self.tx, id)? {
            Some(row) if row.due_ms.is_some_and(|due| due <= self.now) => {
                self.stop_environment(id, HowToStop::ByItsJob)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn environment_row(&mut self, id: i64) -> Result<Environment, Error> {
        environments::get(self.tx, id)?.ok_or(Error::NotFound {
            what: "environment",
            id,
        })
    }

    /// Starts the jobs that stop an environment, wherever they are: at their gate, ended, or before their turn, in a
    /// pipeline that may have ended.
    fn start_stop_jobs(&mut self, environment: &Environment) -> Result<Stopper, Error> {
        let last = match environment.last_deployment_id {
            Some(id) => deployments::get(self.tx, id)?,
            None => None,
        };
        let jobs = match &last {
            Some(last) => deployments::stop_jobs(self.tx, last)?,
            None => Vec::new(),
        };
        let mut stopper = Stopper::Nothing;
        for id in jobs {
            if jobs::get(self.tx, id)?.is_none() {
                // Its pipeline was removed.
                continue;
            }
            self.with_job(id, |op, entry, node| match entry.graph.state(node) {
                job::State::Manual { .. } | job::State::Scheduled { .. } => Ok(entry.graph.play(node, op.now)?),
                job::State::Finished { .. } => Ok(entry.graph.retry(node, op.now)?),
                job::State::Created => Ok(entry.graph.start(node, op.now)?),
                job::State::WaitingForResource { .. }
                | job::State::Pending { .. }
                | job::State::Running { .. }
                | job::State::Canceling { .. } => Ok(()),
            })?;
            stopper = Stopper::Job;
        }
        Ok(stopper)
    }
}

/// The tier that a job gives its environment, or that the name tells.
fn tier_of(named: &Named) -> &str {
    named.tier.as_deref().unwrap_or_else(|| guess_tier(&named.name))
}
