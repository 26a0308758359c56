//! Pipelines that jobs start: child pipelines of the same commit, and pipelines of other projects.
//!
//! A job whose turn comes leaves a row (`bridges`); the loop here reads what is wanted, makes the pipelines and tells
//! the scheduler. A crash between the two repeats the start, whose key makes no second pipeline.

mod continuation;
mod limits;
mod variables;

use std::time::Duration;

use serde_json::Value;
use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::{self, Downstream, DownstreamTarget, NeedSource};
use tasuki_model::trigger::{Source, Trigger, Upstream};
use tasuki_pipeline::Part;
use tasuki_store::bridges::{self, Bridge};
use tasuki_store::pipelines::{self, Filter, Pipeline};
use tasuki_store::projects::{self, Project};
use tasuki_store::{Tx, jobs};
use tracing::{error, info, warn};

use super::configurations::first;
use super::create::{Circumstances, Read, Start, Started};
use super::error::NoPipeline;
use super::forge::PushOptions;
use super::local::Chain;
use super::{Error, Key, Triggers};
use crate::config::ProjectSettings;
use crate::scheduler::outputs;

pub use continuation::{Continued, continuation_of, setup_of};

/// Pipelines that are made in one round.
const AT_ONCE: u32 = 16;
/// Longest sleep of the loop: what another server noted is seen within it.
const NAP: Duration = Duration::from_secs(10);
/// A start that failed for a reason that may pass is repeated after this long …
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// … until it has been wanted for this long.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is known of the job that wants a pipeline.
struct Wanting {
    job: plan::Job,
    row: jobs::Job,
    pipeline: Pipeline,
    project: Project,
    trigger: Trigger,
}

/// What became of a wish.
enum Outcome {
    Made(PipelineId),
    /// None can be made; what the job shows.
    Refused(String),
}

impl Triggers {
    /// Makes the pipelines that jobs want, until the server stops.
    pub(super) fn start_downstream(&self) {
        let this = self.clone();
        self.inner.parts.tasks.spawn("downstream pipelines", async move {
            let stop = this.inner.parts.tasks.token();
            loop {
                let pause = match this.make_wanted().await {
                    Ok(pause) => pause,
                    Err(failed) => {
                        error!(error = %Chain(&failed), "the pipelines that jobs want cannot be read");
                        RETRY_AFTER
                    }
                };
                tokio::select! {
                    () = this.inner.parts.scheduler.downstream_wanted() => {}
                    () = tokio::time::sleep(pause.min(NAP)) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Makes all that is due; gives how long nothing else will be.
    async fn make_wanted(&self) -> Result<Duration, Error> {
        let store = &self.inner.parts.store;
        loop {
            let now = self.now();
            let due = store.read(move |tx| bridges::due(tx, now, AT_ONCE)).await?;
            if due.is_empty() {
                let next = store.read(bridges::next_due).await?;
                return Ok(next.map_or(NAP, |due| due.since(now)));
            }
            for bridge in due {
                self.settle_bridge(bridge).await?;
            }
        }
    }

    /// Makes the pipeline of one and tells the scheduler.
    async fn settle_bridge(&self, bridge: Bridge) -> Result<(), Error> {
        let (job, attempt) = (bridge.job_id, bridge.attempt);
        let scheduler = &self.inner.parts.scheduler;
        match self.make(&bridge).await {
            Ok(Outcome::Made(id)) => {
                info!(job.id = job.0, downstream.id = id.0, "a job has started a pipeline");
                Ok(scheduler.downstream_made(job, attempt, id).await?)
            }
            Ok(Outcome::Refused(why)) => {
                info!(job.id = job.0, why, "a job starts no pipeline");
                Ok(scheduler.downstream_failed(job, attempt, &why).await?)
            }
            Err(failed) if failed.is_transient() && self.now().since(bridge.since_ms) < PATIENCE => {
                warn!(job.id = job.0, error = %Chain(&failed), "a job's pipeline is made later");
                let due = self.now().after(RETRY_AFTER);
                let noted = self
                    .inner
                    .parts
                    .store
                    .write(move |tx| bridges::put_off(tx, job, attempt, due));
                Ok(noted.await?)
            }
            Err(failed) => {
                let why = Chain(&failed).to_string();
                warn!(job.id = job.0, error = why, "a job's pipeline cannot be made");
                Ok(scheduler.downstream_failed(job, attempt, &why).await?)
            }
        }
    }

    async fn make(&self, bridge: &Bridge) -> Result<Outcome, Error> {
        let own = bridge.clone();
        let Some(wanting) = self
            .inner
            .parts
            .store
            .read(move |tx| wanting_of(tx, own.job_id, own.pipeline_id))
            .await?
        else {
            return Ok(Outcome::Refused("the job or its project was removed".to_owned()));
        };
        let Some(downstream) = wanting.job.downstream.clone() else {
            return self.mirrored(&wanting).await;
        };
        let key = Key::bridge(bridge.job_id, bridge.attempt);
        let start = match &downstream.target {
            DownstreamTarget::Child { include } => self.child(&wanting, &downstream, include, key).await?,
            DownstreamTarget::Part { file, job } => self.part(&wanting, file, job, key).await?,
            DownstreamTarget::Project { path, branch } => {
                match self
                    .elsewhere(&wanting, &downstream, path, branch.as_deref(), key)
                    .await?
                {
                    Ok(start) => start,
                    Err(why) => return Ok(Outcome::Refused(why)),
                }
            }
        };
        let (upstream, source) = (wanting.pipeline.id, start.source);
        let (project, git_ref) = (start.project.id, start.git_ref.short());
        let allowed = self
            .inner
            .parts
            .store
            .read(move |tx| limits::check(tx, upstream, project, &git_ref, source));
        if let Some(why) = allowed.await? {
            return Ok(Outcome::Refused(why.to_owned()));
        }
        Ok(match first(self.create(start).await?) {
            Started::New { id, .. } | Started::Existing(id) => Outcome::Made(id),
            Started::None(why) => Outcome::Refused(refusal(&why)),
        })
    }

    /// A pipeline of the same commit, from files that the job names.
    async fn child(
        &self,
        wanting: &Wanting,
        downstream: &Downstream,
        include: &Value,
        key: Key,
    ) -> Result<Start, Error> {
        let trigger = &wanting.trigger;
        let variables = self.forwarded(wanting, downstream).await?;
        let read = self.own_files(wanting, &variables, None)?;
        Ok(Start {
            project: wanting.project.clone(),
            git_ref: trigger.git_ref.clone(),
            read,
            before: before(trigger),
            source: Source::ParentPipeline,
            variables,
            inputs: downstream.inputs.clone().into_iter().collect(),
            user: trigger.user.clone(),
            options: PushOptions::default(),
            payload: None,
            key: Some(key),
            selection: None,
            more: Circumstances {
                config: Some(serde_json::json!({"include": include}).to_string()),
                merge_request: trigger.merge_request.clone(),
                upstream: Some(upstream(wanting)),
                parent: Some(wanting.pipeline.id),
                ..Circumstances::default()
            },
        })
    }

    /// The job itself, now that it is known what the jobs that it needs have given.
    async fn part(&self, wanting: &Wanting, file: &str, job: &str, key: Key) -> Result<Start, Error> {
        let row = wanting.row.clone();
        let needs = self
            .inner
            .parts
            .store
            .read_as(move |tx| outputs::of_needs(tx, &row))
            .await?;
        let trigger = &wanting.trigger;
        let origin = trigger.origin.unwrap_or(trigger.source);
        let mut start = Start {
            project: wanting.project.clone(),
            git_ref: trigger.git_ref.clone(),
            read: self.own_files(wanting, &trigger.variables, Some(origin))?,
            before: before(trigger),
            source: Source::ParentPipeline,
            variables: trigger.variables.clone(),
            inputs: trigger.inputs.clone(),
            user: trigger.user.clone(),
            options: PushOptions::default(),
            payload: trigger.payload.clone(),
            key: Some(key),
            selection: None,
            more: Circumstances::default(),
        };
        start.more = Circumstances {
            part: Some(Part {
                file: file.to_owned(),
                job: job.to_owned(),
                needs,
            }),
            origin: Some(origin),
            merge_request: trigger.merge_request.clone(),
            upstream: Some(upstream(wanting)),
            parent: Some(wanting.pipeline.id),
            schedule_description: trigger.schedule_description.clone(),
            ..Circumstances::default()
        };
        Ok(start)
    }

    /// Where the files of the job's own pipeline are.
    fn own_files(
        &self,
        wanting: &Wanting,
        variables: &[plan::Variable],
        origin: Option<Source>,
    ) -> Result<Read, Error> {
        let settings = ProjectSettings::read(&wanting.project.settings_json);
        let trigger = &wanting.trigger;
        Ok(match settings.snapshot {
            // `exec`: there need not be a commit.
            Some(root) => Read::Folder {
                worktree: None,
                root: root.into(),
                trigger: Box::new(Trigger {
                    source: Source::ParentPipeline,
                    variables: variables.to_vec(),
                    inputs: origin.map(|_| trigger.inputs.clone()).unwrap_or_default(),
                    upstream: Some(upstream(wanting)),
                    origin,
                    ..trigger.clone()
                }),
            },
            None => Read::Commit(trigger.commit.sha.parse()?),
        })
    }

    /// A pipeline of another project; `Err` = why there can be none.
    async fn elsewhere(
        &self,
        wanting: &Wanting,
        downstream: &Downstream,
        path: &str,
        branch: Option<&str>,
        key: Key,
    ) -> Result<Result<Start, String>, Error> {
        if wanting.trigger.is_from_fork() {
            return Ok(Err(
                "what a fork brings starts no pipeline of another project".to_owned()
            ));
        }
        let wanted = path.trim_matches('/').to_owned();
        let found = self.inner.parts.store.read(move |tx| projects::by_path(tx, &wanted));
        let Some(project) = found.await? else {
            return Ok(Err(format!("there is no project {path}, or it may not be used")));
        };
        let mirror = match self.fetched(&project).await {
            Ok(mirror) => mirror,
            Err(failed) => {
                let mirror = self.inner.parts.mirrors.of(project.id);
                if !mirror.dir().exists() {
                    return Err(failed);
                }
                mirror
            }
        };
        let (git_ref, commit) = match self.pick(&project, &mirror, branch).await {
            Ok(picked) => picked,
            Err(Error::NoRef(name)) => return Ok(Err(format!("project {path} has no branch or tag {name:?}"))),
            Err(Error::Empty) => return Ok(Err(format!("project {path} has no commits yet"))),
            Err(other) => return Err(other),
        };
        Ok(Ok(Start {
            project,
            git_ref,
            read: Read::Commit(commit),
            before: None,
            source: Source::Pipeline,
            variables: self.forwarded(wanting, downstream).await?,
            inputs: downstream.inputs.clone().into_iter().collect(),
            user: wanting.trigger.user.clone(),
            options: PushOptions::default(),
            payload: None,
            key: Some(key),
            selection: None,
            more: Circumstances {
                upstream: Some(upstream(wanting)),
                ..Circumstances::default()
            },
        }))
    }

    /// `needs: {pipeline: group/project}`: the newest pipeline of that project's default branch.
    async fn mirrored(&self, wanting: &Wanting) -> Result<Outcome, Error> {
        let needs = wanting.job.needs.iter().flatten();
        let path = needs.filter_map(|need| match &need.source {
            Some(NeedSource::Mirror { project }) => Some(project.trim_matches('/').to_owned()),
            _ => None,
        });
        let Some(path) = path.into_iter().next() else {
            return Ok(Outcome::Refused("the job names no pipeline".to_owned()));
        };
        let wanted = path.clone();
        let found = self.inner.parts.store.read(move |tx| {
            let Some(project) = projects::by_path(tx, &wanted)? else {
                return Ok(None);
            };
            let filter = Filter {
                project: Some(project.id),
                ref_name: Some(&project.default_branch),
                before: None,
            };
            let newest = pipelines::list(tx, &filter, 20)?;
            Ok(newest.into_iter().find(|row| row.source != "parent_pipeline"))
        });
        Ok(match found.await? {
            Some(row) => Outcome::Made(row.id),
            None => Outcome::Refused(format!("project {path} has no pipeline on its default branch")),
        })
    }
}

/// Reads what is known of a job that wants a pipeline; `None` where something of it is gone.
fn wanting_of(tx: &mut Tx<'_>, job: JobId, pipeline: PipelineId) -> tasuki_store::Result<Option<Wanting>> {
    let (Some(row), Some(pipeline), Some(details), Some(plan)) = (
        jobs::get(tx, job)?,
        pipelines::get(tx, pipeline)?,
        pipelines::details(tx, pipeline)?,
        jobs::plan(tx, job)?,
    ) else {
        return Ok(None);
    };
    let Some(project) = projects::get(tx, pipeline.project_id)? else {
        return Ok(None);
    };
    let (Ok(job), Ok(trigger)) = (serde_json::from_str(&plan), serde_json::from_str(&details.trigger_json)) else {
        error!(job.id = row.id.0, "the stored plan or trigger of a job cannot be read");
        return Ok(None);
    };
    Ok(Some(Wanting {
        job,
        row,
        pipeline,
        project,
        trigger,
    }))
}

/// The tip before the push that the pipeline builds.
fn before(trigger: &Trigger) -> Option<crate::git::Oid> {
    let before = trigger.commit.before_sha.parse().ok();
    before.filter(|id: &crate::git::Oid| !id.is_zero())
}

fn upstream(wanting: &Wanting) -> Upstream {
    Upstream {
        project: wanting.project.id.0,
        pipeline: wanting.pipeline.id.0,
        job: wanting.row.id.0,
    }
}

/// Why there is no pipeline, for the page of the job that wanted it.
fn refusal(why: &NoPipeline) -> String {
    match why {
        NoPipeline::Missing(path) => format!("the project has no {path} at that commit"),
        NoPipeline::Skipped(skip) => format!("no pipeline: {}", skip.title()),
        NoPipeline::Unwanted => "no pipeline was wanted".to_owned(),
        NoPipeline::Invalid(diagnostics) => {
            let errors: Vec<_> = diagnostics
                .iter()
                .filter(|d| d.is_error())
                .map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message))
                .collect();
            format!("the configuration is invalid: {}", errors.join("; "))
        }
    }
}
