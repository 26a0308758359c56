//! From "build this commit" to a pipeline, or to the reason why there is none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::{GitRef, MergeRequest, Source, Trigger, Upstream};
use tasuki_pipeline::{Context, Diagnostic, Input, Output, Part, PipelineInfo, ProjectInfo, ScopedVariable, Skip};
use tasuki_store::{merge_requests, pipelines, projects::Project};
use tracing::{info, warn};

use super::answer::{Answerer, AtCommit, Comparison, InFolder, OfParent, Projects, Source as Own};
use super::configurations::{CONFIG_PATHS, Found, Made};
use super::error::NoPipeline;
use super::forge::PushOptions;
use super::message::{MESSAGE_LIMIT, asks_to_skip, truncate};
use super::{Error, Key, Selection, Triggers, fit};
use crate::config::ProjectSettings;
use crate::git::{Git, Mirror, Oid, Worktree};
use crate::scheduler::{Content, Created, NewPipeline};

/// "Build this."
#[derive(Debug, Clone)]
pub struct Start {
    pub project: Project,
    pub git_ref: GitRef,
    pub read: Read,
    /// Tip of the ref before; `None` for a new ref and for everything that is not a push.
    pub before: Option<Oid>,
    pub source: Source,
    pub variables: Vec<Variable>,
    pub inputs: Vec<(String, Value)>,
    /// Login, name, e-mail.
    pub user: Option<(String, String, String)>,
    pub options: PushOptions,
    pub payload: Option<Value>,
    /// The same start repeated with the same key makes no second pipeline.
    pub key: Option<Key>,
    /// Only a part of the configuration (`exec JOB`).
    pub selection: Option<Selection>,
    pub more: Circumstances,
}

/// What only some starts have.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The configuration itself, instead of the project's file (child pipelines, continuations).
    pub config: Option<String>,
    pub merge_request: Option<MergeRequest>,
    /// Paths that count as changed; `None` = those that did.
    pub changed: Option<Vec<String>>,
    /// Only configurations of this language are concerned.
    pub only: Option<Language>,
    /// Only this workflow is asked for: its file, the file's name, or its own name (GitHub).
    pub workflow: Option<String>,
    /// Only a part of a configuration, of which more is known by now.
    pub part: Option<Part>,
    /// Of a part: what started the whole.
    pub origin: Option<Source>,
    /// The job that started it.
    pub upstream: Option<Upstream>,
    /// The pipeline whose artifacts may be included.
    pub parent: Option<PipelineId>,
    pub schedule_description: Option<String>,
    /// A trigger token was used.
    pub by_token: bool,
}

/// Where the configuration and the files of the pipeline are.
#[derive(Debug, Clone)]
pub enum Read {
    /// A commit of the project's mirror.
    Commit(Oid),
    /// A folder as it stands (`exec`). The trigger comes with it, as there need not be a commit.
    Folder {
        worktree: Option<Box<(Git, Worktree)>>,
        root: PathBuf,
        trigger: Box<Trigger>,
    },
}

impl Start {
    /// Nobody waits for an answer. Whoever runs a folder sees the errors at once.
    fn is_by_push(&self) -> bool {
        !matches!(self.read, Read::Folder { .. })
            && matches!(
                self.source,
                Source::Push | Source::MergeRequestEvent | Source::ExternalPullRequestEvent
            )
    }
}

/// What came of a configuration.
#[derive(Debug)]
pub enum Started {
    New {
        id: PipelineId,
        iid: i64,
    },
    /// The same start had been made before.
    Existing(PipelineId),
    /// None is made, and why.
    None(NoPipeline),
}

impl Triggers {
    /// Compiles a configuration and saves what it makes.
    ///
    /// Errors of the configuration give a failed pipeline where a push or merge request is the cause, since nobody waits
    /// for an answer; whoever asked in person gets them as [`NoPipeline::Invalid`]. Workflows of a folder that are good
    /// run beside those that have errors.
    pub(super) async fn create_of(
        &self,
        start: &Start,
        settings: &ProjectSettings,
        trigger: &Trigger,
        found: &Found,
    ) -> Result<Vec<Made>, Error> {
        let (trigger, output) = self.compile(start, settings, trigger, found).await?;
        let made = self.decide(start, settings, trigger, output).await?;
        Ok(made.into_iter().map(|made| Made::new(&found.path, made)).collect())
    }

    /// What a configuration makes of a trigger, and the trigger as its pipelines keep it.
    pub(super) async fn compile(
        &self,
        start: &Start,
        settings: &ProjectSettings,
        trigger: &Trigger,
        found: &Found,
    ) -> Result<(Trigger, Output), Error> {
        let mut trigger = trigger.clone();
        if found.language() == Language::Gitlab && !start.more.by_token {
            // Only a trigger's is shown to jobs.
            trigger.payload = None;
        }
        let mut context = self.context(&start.project, settings, trigger.clone()).await?;
        context.project.config_path.clone_from(&found.path);
        context.part.clone_from(&start.more.part);
        context.workflow.clone_from(&start.more.workflow);
        if !start.is_by_push() && asks_to_skip(&trigger.commit.message) {
            // Who asks in person is not sent away by what somebody wrote into the commit.
            context.trigger.commit.message.clear();
        }
        let input = Input {
            lang: found.language(),
            file: &found.path,
            text: &found.text,
            context: &context,
        };
        let output = self.answerer(start).compile(&input).await.map_err(Error::Endless)?;
        Ok((trigger, output))
    }

    /// The skipped pipeline of a push that asks for none.
    pub(super) async fn skipped(
        &self,
        start: &Start,
        settings: &ProjectSettings,
        trigger: &Trigger,
    ) -> Result<Option<Started>, Error> {
        if !(start.is_by_push() && (start.options.skip || asks_to_skip(&trigger.commit.message))) {
            return Ok(None);
        }
        let saved = self
            .save(start, settings, trigger.clone(), Content::Skipped, &[])
            .await?;
        Ok(Some(saved))
    }

    async fn decide(
        &self,
        start: &Start,
        settings: &ProjectSettings,
        trigger: Trigger,
        output: Output,
    ) -> Result<Vec<Started>, Error> {
        let by_push = start.is_by_push();
        let Output {
            plan,
            diagnostics,
            skipped,
            ..
        } = output;
        let (errors, rest): (Vec<_>, Vec<_>) = diagnostics.into_iter().partition(Diagnostic::is_error);
        if let Some(skip) = skipped {
            if by_push && skip == Skip::SkipRequested {
                let saved = self.save(start, settings, trigger, Content::Skipped, &rest).await?;
                return Ok(vec![saved]);
            }
            info!(
                project.id = start.project.id.0,
                r#ref = trigger.git_ref.short(),
                "{}",
                skip.title()
            );
            return Ok(vec![Started::None(NoPipeline::Skipped(skip))]);
        }
        let mut made = Vec::new();
        if let Some(mut plan) = plan {
            if let Some(wanted) = &start.selection {
                wanted.apply(&mut plan)?;
            }
            match &start.read {
                Read::Folder { .. } => fit::run_here(&mut plan),
                Read::Commit(_) if start.more.part.is_none() => fit::hold_groups(&mut plan),
                Read::Commit(_) => {}
            }
            fit::name(&mut plan, &trigger.commit.message);
            let content = Content::Plan(Box::new(plan));
            made.push(self.save(start, settings, trigger.clone(), content, &rest).await?);
            if errors.is_empty() {
                return Ok(made);
            }
        }
        let all: Vec<_> = errors.iter().chain(&rest).cloned().collect();
        if !by_push {
            made.push(Started::None(NoPipeline::Invalid(all)));
            return Ok(made);
        }
        // Beside the pipeline of what is good one that shows the errors.
        let key = match made.is_empty() {
            true => start.key.clone(),
            false => start.key.as_ref().map(|key| key.part("errors")),
        };
        let start = Start { key, ..start.clone() };
        let errors = errors.into_iter().map(|found| found.message).collect();
        made.push(
            self.save(&start, settings, trigger, Content::Invalid { errors }, &all)
                .await?,
        );
        Ok(made)
    }

    async fn save(
        &self,
        start: &Start,
        settings: &ProjectSettings,
        trigger: Trigger,
        content: Content,
        diagnostics: &[Diagnostic],
    ) -> Result<Started, Error> {
        let mirror = self.inner.parts.mirrors.of(start.project.id);
        // A waiting runner may take the first task before the next line runs: until the pipeline's ref exists, it waits
        // at the door of the mirror.
        let door = mirror.hold().await;
        let new = NewPipeline {
            project: start.project.id,
            protected: is_protected(settings, &start.project.default_branch, &trigger),
            trigger,
            content,
            diagnostics_json: serde_json::to_string(diagnostics).unwrap_or_else(|_| "[]".to_owned()),
            idempotency_key: start.key.as_ref().map(|key| key.as_str().to_owned()),
            priority: 0,
            cancels_older: true,
        };
        let created = self.inner.parts.scheduler.create_pipeline(new).await?;
        let id = match created {
            Created::New { id, .. } | Created::Existing(id) => id,
        };
        if let Read::Commit(commit) = &start.read
            && let Err(error) = mirror.keep(id, commit).await
        {
            warn!(pipeline.id = id.0, %error, "the pipeline's ref cannot be written; runners fetch by branch");
        }
        drop(door);
        Ok(match created {
            Created::New { id, iid } => {
                info!(
                    project.id = start.project.id.0,
                    pipeline.id = id.0,
                    source = start.source.as_str(),
                    "new pipeline"
                );
                Started::New { id, iid }
            }
            Created::Existing(id) => Started::Existing(id),
        })
    }

    pub(super) async fn trigger(&self, start: &Start) -> Result<Trigger, Error> {
        let mirror = self.inner.parts.mirrors.of(start.project.id);
        let mut trigger = match &start.read {
            Read::Folder { trigger, .. } => return Ok((**trigger).clone()),
            Read::Commit(commit) => Trigger {
                source: start.source,
                git_ref: start.git_ref.clone(),
                commit: mirror.commit(commit, &start.git_ref).await?,
                variables: start.variables.clone(),
                inputs: start.inputs.clone(),
                merge_request: start.more.merge_request.clone(),
                user: start.user.clone(),
                payload: start.payload.clone(),
                schedule_description: start.more.schedule_description.clone(),
                upstream: start.more.upstream,
                by_token: start.more.by_token,
                origin: start.more.origin,
            },
        };
        if let Some(before) = &start.before {
            trigger.commit.before_sha = before.to_string();
        }
        truncate(&mut trigger.commit.message, MESSAGE_LIMIT);
        let options = &start.options;
        trigger
            .variables
            .extend(options.variables.iter().map(|(key, value)| Variable::plain(key, value)));
        trigger.inputs.extend(
            options
                .inputs
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str()))),
        );
        if trigger.user.is_none() && !trigger.commit.author_name.is_empty() {
            let (name, mail) = (trigger.commit.author_name.clone(), trigger.commit.author_email.clone());
            let login = mail.split('@').next().unwrap_or_default().to_owned();
            trigger.user = Some((login, name, mail));
        }
        Ok(trigger)
    }

    pub(super) fn answerer(&self, start: &Start) -> Answerer {
        let parts = &self.inner.parts;
        let source = match &start.read {
            Read::Commit(commit) => Own::Commit(AtCommit {
                mirror: parts.mirrors.of(start.project.id),
                commit: commit.clone(),
                comparison: comparison(start),
            }),
            Read::Folder { worktree, root, .. } => {
                let (git, worktree) = worktree.as_deref().cloned().unzip();
                Own::Folder(InFolder {
                    root: root.clone(),
                    git,
                    worktree,
                    changed: start.more.changed.clone(),
                })
            }
        };
        let host = parts
            .server
            .url
            .split_once("://")
            .map_or(parts.server.url.as_str(), |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default().to_owned();
        Answerer {
            address: format!("{host}/{}", start.project.path),
            source,
            projects: Some(Projects {
                store: parts.store.clone(),
                mirrors: parts.mirrors.clone(),
                host,
            }),
            remote: self.inner.remote.clone(),
            templates: parts.templates.clone(),
            orbs: parts.orbs.clone(),
            parent: start.more.parent.map(|pipeline| OfParent {
                files: parts.files.clone(),
                pipeline,
            }),
        }
    }

    /// Everything besides the configuration that decides about a pipeline of the project.
    async fn context(&self, project: &Project, settings: &ProjectSettings, trigger: Trigger) -> Result<Context, Error> {
        let parts = &self.inner.parts;
        let (vault, row) = (std::sync::Arc::clone(&parts.vault), project.clone());
        let git_ref = trigger.git_ref.clone();
        let (variables, open_merge_requests) = parts
            .store
            .read(move |tx| {
                let open = match &git_ref {
                    GitRef::Branch(name) => merge_requests::open_of_branch(tx, row.id, name)?,
                    GitRef::Tag(_) | GitRef::MergeRequest { .. } => Vec::new(),
                };
                let open = open
                    .iter()
                    .map(|request| format!("{}!{}", row.path, request.iid))
                    .collect();
                Ok((vault.variables(tx, &row)?, open))
            })
            .await?;
        let variables = shown_to(&trigger, variables);
        Ok(Context {
            pipeline: PipelineInfo {
                iid: project.last_iid + 1,
                created_at: self.now(),
                protected_ref: is_protected(settings, &project.default_branch, &trigger),
                open_merge_requests,
                ..PipelineInfo::default()
            },
            trigger,
            project: project_info(project, settings, &parts.server.url),
            server: parts.server.clone(),
            variables,
            limits: tasuki_pipeline::Limits::default(),
            part: None,
            workflow: None,
        })
    }

    /// After a restart: a pipeline that was saved a moment before the crash may lack its ref.
    pub(super) async fn keep_live_pipelines(&self) -> Result<(), Error> {
        let parts = &self.inner.parts;
        let mut by_project: BTreeMap<ProjectId, Vec<(PipelineId, Oid)>> = BTreeMap::new();
        for pipeline in parts.store.read(pipelines::live).await? {
            if let Ok(commit) = pipeline.sha.parse::<Oid>()
                && !commit.is_zero()
            {
                by_project
                    .entry(pipeline.project_id)
                    .or_default()
                    .push((pipeline.id, commit));
            }
        }
        for (project, live) in by_project {
            keep(&parts.mirrors.of(project), &live).await;
        }
        Ok(())
    }
}

/// Whether protected variables and runners serve a pipeline: a merge request's where both its branches are protected.
pub(super) fn is_protected(settings: &ProjectSettings, default_branch: &str, trigger: &Trigger) -> bool {
    match &trigger.merge_request {
        Some(request) => request.source_protected && request.target_protected,
        None => settings.is_protected(&trigger.git_ref.short(), default_branch),
    }
}

/// The variables of the settings that a pipeline may see: one of a fork no secret.
pub(crate) fn shown_to(trigger: &Trigger, mut variables: Vec<ScopedVariable>) -> Vec<ScopedVariable> {
    if trigger.is_from_fork() {
        variables.retain(|one| !one.variable.masked && !one.variable.protected);
    }
    variables
}

/// What `changes` compares with: a merge request's base, the tip before a push, which child pipelines inherit.
fn comparison(start: &Start) -> Comparison {
    if let Some(paths) = &start.more.changed {
        return Comparison::Given(paths.clone());
    }
    if let Some(request) = &start.more.merge_request {
        return match request.diff_base_sha.parse() {
            Ok(base) => Comparison::Before(base),
            Err(_) => Comparison::Nothing,
        };
    }
    match (&start.before, start.source, &start.git_ref) {
        (Some(before), Source::Push | Source::ParentPipeline, GitRef::Branch(_)) => Comparison::Before(before.clone()),
        _ => Comparison::Nothing,
    }
}

async fn keep(mirror: &Mirror, live: &[(PipelineId, Oid)]) {
    if !mirror.dir().exists() {
        return;
    }
    for (id, commit) in live {
        if !mirror.keeps(*id)
            && let Err(error) = mirror.keep(*id, commit).await
        {
            warn!(pipeline.id = id.0, %error, "the ref of a live pipeline cannot be restored");
        }
    }
}

/// A project as pipelines see it.
#[must_use]
pub fn project_info(row: &Project, settings: &ProjectSettings, server_url: &str) -> ProjectInfo {
    ProjectInfo {
        id: row.id.0,
        path: row.path.clone(),
        title: row.name.clone(),
        url: format!("{server_url}/{}", row.path),
        default_branch: row.default_branch.clone(),
        config_path: if settings.config_path.is_empty() {
            CONFIG_PATHS[0].to_owned()
        } else {
            settings.config_path.clone()
        },
        ..ProjectInfo::default()
    }
}
