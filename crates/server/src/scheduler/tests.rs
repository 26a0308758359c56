//! The scheduler over a real database, with a clock that is turned by hand.

mod bridges;
mod cancel;
mod claims;
mod control;
mod environments;
mod groups;
mod several;
mod way;
mod why;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::{JobId, PipelineId, ProjectId, RunnerId, TaskId};
use tasuki_model::labels::{EXTENSION, Intake, Offer, Refs, Scope, Untagged};
use tasuki_model::plan::Plan;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::{Commit, Log};
use tasuki_model::state::{Failure, Outcome, Status};
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::{Commit as GitCommit, GitRef, Source, Trigger};
use tasuki_rt::{Clock, Tasks};
use tasuki_store::{DbUrl, Store, jobs, pipelines, projects};

use super::{ClaimedTask, Content, Created, Error, NewPipeline, Reported, RunnerIdentity, Scheduler, Settings};
use crate::identity::token;

pub(super) struct World {
    pub(super) scheduler: Scheduler,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) projects: Vec<ProjectId>,
    tasks: Tasks,
    _folder: tempfile::TempDir,
}

/// A job in JSON from `name key=value…`; `{"…"}` after `|` is merged in.
pub(super) fn plan(jobs: &[&str]) -> Plan {
    let jobs: Vec<serde_json::Value> = jobs.iter().map(|text| job(text)).collect();
    let mut stages: Vec<String> = jobs
        .iter()
        .map(|job| job["stage"].as_str().unwrap().to_owned())
        .collect();
    stages.sort();
    stages.dedup();
    serde_json::from_value(serde_json::json!({
        "version": 1, "language": "gitlab",
        "workflows": [{"name": "main", "stages": stages, "jobs": jobs}],
    }))
    .unwrap()
}

fn job(text: &str) -> serde_json::Value {
    let (words, extra) = text.split_once('|').unwrap_or((text, "{}"));
    let mut words = words.split_whitespace();
    let name = words.next().unwrap();
    let mut job = serde_json::json!({
        "name": name, "base_name": name, "stage": "0", "needs": null, "variables": {},
        "steps": [{"type": "run", "name": "script", "command": "true"}],
    });
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        job[key] = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
    }
    job["stage"] = serde_json::Value::from(job["stage"].to_string().replace('"', ""));
    let extra: serde_json::Map<String, serde_json::Value> = serde_json::from_str(extra).unwrap();
    for (key, value) in extra {
        job[key] = value;
    }
    job
}

pub(super) fn runner(id: i64) -> RunnerIdentity {
    tagged(id, "")
}

pub(super) fn tagged(id: i64, tags: &str) -> RunnerIdentity {
    RunnerIdentity {
        runner: RunnerId(id),
        system_id: format!("s_{id}"),
        offer: Arc::new(Offer {
            tags: tags.split_whitespace().map(str::to_owned).collect(),
            untagged: Untagged::Run,
            refs: Refs::All,
            scope: Scope::Instance,
            resource_class: None,
            features: BTreeSet::from([EXTENSION.to_owned()]),
            intake: Intake::Open,
        }),
        commit: Commit::TwoPhase,
        cancels_gracefully: true,
        keeps_contact: true,
    }
}

pub(super) fn failed(reason: FailureReason) -> Outcome {
    Outcome::Failed(Failure {
        reason,
        exit_code: Some(1),
    })
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DbUrl::sqlite(&folder.path().join("db.sqlite"))).unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let now = Timestamp(clock.now_ms());
        let projects = store
            .write(move |tx| {
                ["a/one", "a/two", "a/three"]
                    .iter()
                    .map(|path| {
                        let new = projects::NewProject {
                            path,
                            name: path,
                            kind: "local",
                            url: "/nowhere",
                            default_branch: "main",
                            settings_json: "{}",
                        };
                        projects::create(tx, &new, now)
                    })
                    .collect()
            })
            .await
            .unwrap();
        let tasks = Tasks::new();
        let scheduler = open(&store, &clock, &tasks).await;
        Self {
            scheduler,
            store,
            clock,
            projects,
            tasks,
            _folder: folder,
        }
    }

    /// Ends the server: its timer does not run any more.
    pub(super) async fn stop(&self) {
        self.tasks.close_and_wait(Duration::from_secs(5)).await;
    }

    /// As after kill -9: everything in memory is gone.
    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.tasks = Tasks::new();
        self.scheduler = open(&self.store, &self.clock, &self.tasks).await;
    }

    /// Another server on the same database.
    pub(super) async fn another(&self) -> Scheduler {
        open(&self.store, &self.clock, &self.tasks).await
    }

    pub(super) fn new_pipeline(&self, project: usize, jobs: &[&str]) -> NewPipeline {
        NewPipeline {
            project: self.projects[project],
            trigger: Trigger {
                source: Source::Push,
                git_ref: GitRef::Branch("main".into()),
                commit: GitCommit {
                    sha: "a".repeat(40),
                    message: "Say it\n\nLonger.".into(),
                    author_name: "Ann".into(),
                    ..GitCommit::default()
                },
                variables: Vec::new(),
                inputs: Vec::new(),
                merge_request: None,
                user: None,
                payload: None,
                schedule_description: None,
                upstream: None,
                by_token: false,
                origin: None,
            },
            content: Content::Plan(Box::new(plan(jobs))),
            diagnostics_json: "[]".into(),
            idempotency_key: None,
            protected: false,
            priority: 0,
            cancels_older: false,
        }
    }

    pub(super) async fn create(&self, jobs: &[&str]) -> PipelineId {
        self.create_in(0, jobs).await
    }

    pub(super) async fn create_in(&self, project: usize, jobs: &[&str]) -> PipelineId {
        match self
            .scheduler
            .create_pipeline(self.new_pipeline(project, jobs))
            .await
            .unwrap()
        {
            Created::New { id, .. } => id,
            Created::Existing(id) => panic!("{id} exists"),
        }
    }

    pub(super) async fn try_claim(&self, who: &RunnerIdentity) -> Option<ClaimedTask> {
        self.scheduler.claim(who, Duration::ZERO).await.unwrap()
    }

    /// Claims and acknowledges.
    pub(super) async fn take(&self, who: &RunnerIdentity) -> ClaimedTask {
        let task = self.try_claim(who).await.expect("a task waits");
        self.ack(&task).await.unwrap();
        task
    }

    pub(super) async fn ack(&self, task: &ClaimedTask) -> Result<Status, Error> {
        self.scheduler.ack(task.id, &hash(task)).await
    }

    pub(super) async fn finish(&self, task: &ClaimedTask, outcome: Outcome) -> Result<Reported, Error> {
        self.scheduler
            .finish(task.id, &hash(task), outcome, Log::Complete)
            .await
    }

    pub(super) async fn pass(&self, task: &ClaimedTask) {
        let reported = self.finish(task, Outcome::Success).await.unwrap();
        assert_eq!(reported, Reported::Accepted(Status::Success));
    }

    /// Turns the clock and does what is due.
    pub(super) async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.scheduler.tick().await.unwrap();
    }

    /// `name:status …=status`, as the database has it.
    pub(super) async fn shown(&self, id: PipelineId) -> String {
        self.store
            .read(move |tx| {
                let mut words: Vec<String> = jobs::of_pipeline(tx, id)?
                    .iter()
                    .map(|job| format!("{}:{}", job.name, job.state))
                    .collect();
                words.push(format!(
                    "={}",
                    pipelines::get(tx, id)?.map(|row| row.state).unwrap_or_default()
                ));
                Ok(words.join(" "))
            })
            .await
            .unwrap()
    }

    pub(super) async fn check(&self, id: PipelineId, shown: &str) {
        assert_eq!(self.shown(id).await, shown);
    }

    pub(super) async fn job(&self, id: PipelineId, name: &str) -> JobId {
        let name = name.to_owned();
        self.store
            .read(move |tx| {
                Ok(jobs::of_pipeline(tx, id)?
                    .into_iter()
                    .find(|job| job.name == name)
                    .map(|job| job.id))
            })
            .await
            .unwrap()
            .expect("the job exists")
    }

    pub(super) async fn tasks_of(&self, job: JobId) -> Vec<(TaskId, i64, String)> {
        self.store
            .read(move |tx| {
                let all = tasuki_store::tasks::of_job(tx, job)?;
                Ok(all
                    .into_iter()
                    .map(|task| (task.id, task.attempt, task.state))
                    .collect())
            })
            .await
            .unwrap()
    }
}

pub(super) fn hash(task: &ClaimedTask) -> String {
    token::digest(task.token.expose())
}

async fn open(store: &Store, clock: &Clock, tasks: &Tasks) -> Scheduler {
    Scheduler::open(store.clone(), clock.clone(), tasks.clone(), Settings::default())
        .await
        .unwrap()
}
