//! From a claimed task to the payload that its runner gets.
//!
//! Pure: [`Facts`] holds everything that is known of the task, [`build`] says it in the words of GitLab's runner
//! protocol. What that protocol cannot say goes into the `tasuki` object, for runners that announce it.

mod elsewhere;
mod files;
mod gather;
mod images;
mod logins;
mod make;
mod needs;
mod source;
mod steps;
mod upstream;
mod url;
mod variables;
mod workspace;

use tasuki_model::id::{JobId, PipelineId, TaskId};
use tasuki_model::plan;
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_pipeline::Context;
use tasuki_pipeline::lang::gitlab::predefined::{KnownEnvironment, RunnerFacts};
use tasuki_pipeline::lang::gitlab::variables::Circular;
use tasuki_proto::gitlab::{
    JobFeatures, JobInfo, JobResponse, RunnerInfo, SourceSnapshot, TasukiExtension, WorkspaceLayer,
};

pub use files::{UpstreamFile, report_format};
pub use gather::Missing;
pub use make::{Claimant, Error, make};
pub(crate) use upstream::dotenv_of_needs;
pub(crate) use url::url_of;

/// Seconds that a job may take when neither it nor its project nor its runner says otherwise.
pub const DEFAULT_TIMEOUT_S: u64 = 3600;
/// How often one of our runners makes contact (milliseconds).
pub const HEARTBEAT_MS: u64 = 3000;
/// Beginnings of our tokens, masked by the runner wherever they show up.
const TOKEN_PREFIXES: [&str; 4] = ["tsk-", "tskreg-", "tsks-", "tskh-"];

/// Everything that is known of a claimed task.
pub struct Facts<'a> {
    pub task: TaskId,
    pub token: &'a Secret,
    pub job_id: JobId,
    pub pipeline: PipelineId,
    /// Project, trigger, server, settings: what the pipeline was compiled with.
    pub context: &'a Context,
    /// Name of the pipeline, where its configuration gives it one.
    pub pipeline_name: Option<&'a str>,
    pub language: plan::Language,
    pub job: &'a plan::Job,
    /// Variables given when a manual job was played.
    pub played: &'a [plan::Variable],
    /// Variables of dotenv reports of the jobs that this one depends on.
    pub dotenv: &'a [plan::Variable],
    /// Archives that this task fetches, in the order of the plan.
    pub dependencies: &'a [UpstreamFile],
    /// How the jobs that this one needs ended and what they gave, by name.
    pub needs: &'a serde_json::Map<String, serde_json::Value>,
    /// What earlier jobs persisted, for a job that attaches it.
    pub workspaces: &'a [WorkspaceLayer],
    /// The environment that the job names, as earlier jobs left it.
    pub environment: Option<&'a KnownEnvironment>,
    /// Name of the job's workflow, where the language shows it to jobs.
    pub workflow: &'a str,
    /// Which of the job's parallel parts, from 0.
    pub part: i64,
    /// Limit of the project in seconds.
    pub project_timeout_s: Option<u64>,
    pub runner: RunnerFacts<'a>,
    /// The runner's own limit in seconds.
    pub runner_timeout_s: Option<u64>,
    /// The runner announces the `tasuki` object.
    pub ours: bool,
    pub lease_ms: u64,
    /// The source is this folder instead of the repository.
    pub snapshot: Option<&'a str>,
    pub queued: Timestamp,
    pub now: Timestamp,
}

/// Says `facts` in the words of the protocol.
///
/// # Errors
/// The variables refer to one another in a circle.
pub fn build(facts: &Facts<'_>) -> Result<JobResponse, Circular> {
    let url = facts.context.server.url.trim_end_matches('/');
    let repository = source::repository_url(url, &facts.context.project.path, facts.token);
    let variables = variables::all(facts, &repository)?;
    let timeout = timeout(facts);
    let job = facts.job;
    // In GitHub's words a reference of an image's variable is a secret; those of GitLab are for the runner.
    let secrets = images::Secrets((facts.language == plan::Language::Github).then_some(variables.as_slice()));
    let native = steps::native(job);
    let plain = native.is_some() || steps::is_plain(job);
    Ok(JobResponse {
        id: facts.task.0,
        token: facts.token.clone(),
        allow_git_fetch: true,
        job_info: job_info(facts),
        git_info: source::git_info(facts, repository, &variables),
        runner_info: RunnerInfo {
            timeout,
            uuid: String::new(),
        },
        inputs: Vec::new(),
        steps: if native.is_some() {
            Vec::new()
        } else {
            steps::scripts(job, timeout)
        },
        run: native.unwrap_or_default(),
        image: job
            .image
            .as_ref()
            .map(|image| images::of_job(image, secrets, facts.language))
            .unwrap_or_default(),
        services: job
            .services
            .iter()
            .map(|service| images::service(service, secrets))
            .collect(),
        artifacts: files::artifacts(job),
        cache: files::caches(job, facts.context.pipeline.protected_ref),
        credentials: logins::of(job, &variables),
        dependencies: files::dependencies(facts.dependencies, facts.token),
        features: features(),
        secrets: steps::secrets(job),
        hooks: steps::hooks(job),
        policy_options: None,
        suspend_options: None,
        tasuki: facts.ours.then(|| TasukiExtension {
            heartbeat_interval_ms: HEARTBEAT_MS,
            lease_ms: facts.lease_ms,
            source: facts.snapshot.map(|path| SourceSnapshot { path: path.to_owned() }),
            cache_url: Some(format!("{url}/api/v4/tasuki/caches")),
            steps: if plain { Vec::new() } else { job.steps.clone() },
            workspaces: facts.workspaces.to_vec(),
            contexts: contexts(facts),
            outputs: job.outputs.clone(),
            containers: images::containers(job, facts.language),
            job_timeout_s: job.timeout_s,
        }),
        variables,
    })
}

/// What the expressions of a workflow's steps see of the pipeline.
fn contexts(facts: &Facts<'_>) -> Option<serde_json::Value> {
    let speaks = facts.language == tasuki_model::plan::Language::Github;
    speaks.then(|| {
        let event = tasuki_pipeline::lang::github::variables::event(facts.context);
        serde_json::json!({"github": {"event": event}, "needs": facts.needs})
    })
}

fn timeout(facts: &Facts<'_>) -> u64 {
    let own = facts
        .job
        .timeout_s
        .or(facts.project_timeout_s)
        .filter(|s| *s > 0)
        .unwrap_or(DEFAULT_TIMEOUT_S);
    facts
        .runner_timeout_s
        .filter(|s| *s > 0)
        .map_or(own, |limit| limit.min(own))
}

fn job_info(facts: &Facts<'_>) -> JobInfo {
    let project = &facts.context.project;
    let waited = facts.now.since(facts.queued);
    JobInfo {
        name: facts.job.name.clone(),
        stage: facts.job.stage.clone(),
        pipeline_id: facts.pipeline.0,
        project_id: project.id,
        project_name: project.path.rsplit('/').next().unwrap_or_default().to_owned(),
        project_full_path: project.path.clone(),
        time_in_queue_seconds: waited.as_secs_f64(),
        // The protocol's word for "not counted": runners only label a metric with it.
        project_jobs_running_on_instance_runners_count: "+Inf".to_owned(),
        ..JobInfo::default()
    }
}

/// Reasons that GitLab's runner may send beyond the three that every server knows.
fn features() -> JobFeatures {
    let known = [
        FailureReason::RunnerConfigurationError,
        FailureReason::RunnerExternalDependencyFailure,
        FailureReason::RunnerInterrupted,
        FailureReason::ImagePullFailure,
        FailureReason::JobCanceled,
        FailureReason::UnknownFailure,
    ];
    JobFeatures {
        trace_sections: true,
        token_mask_prefixes: TOKEN_PREFIXES.map(str::to_owned).to_vec(),
        failure_reasons: known.into_iter().map(|reason| reason.as_str().to_owned()).collect(),
        tracing: None,
    }
}
