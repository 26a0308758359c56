//! What an executor is given for a job.

use std::time::Duration;

use tasuki_model::id::TaskId;
use tasuki_model::plan;
use tasuki_model::secret::Secret;
use tasuki_proto::gitlab::{Image, JobResponse, Wishes};

use super::host::{Host, Slot};
use super::image::plan_image;
use super::variables::Variables;
use super::{requests, scripts};
use crate::executor::{BUILDS, Origin, RegistryLogin, Task};
use crate::guest;

/// Time limit of a job whose payload names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(7200);

/// How long a job may take.
pub(super) fn timeout(job: &JobResponse) -> Duration {
    match job.runner_info.timeout {
        0 => DEFAULT_TIMEOUT,
        seconds => Duration::from_secs(seconds),
    }
}

/// The task that a job's payload comes to in that slot of the runner.
#[must_use]
pub fn task_of(host: &Host, job: &JobResponse, slot: Slot) -> Task {
    let timeout = timeout(job);
    let variables = scripts::variables(host, job, slot, timeout.as_secs(), None);
    task(host, job, slot, timeout, &variables)
}

/// The same with variables that are there already.
pub(super) fn task(host: &Host, job: &JobResponse, slot: Slot, timeout: Duration, variables: &Variables) -> Task {
    let empty = requests::strategy(job, variables).0 == guest::Strategy::Empty;
    let extra = job.tasuki.as_ref().and_then(|tasuki| tasuki.containers.as_ref());
    let image = |image: &Image, wishes: Option<&Wishes>| {
        let mut image = plan_image(image, variables);
        if let Some(wishes) = wishes {
            image.options = Some(wishes.options.clone()).filter(|options| !options.is_empty());
            image.volumes.clone_from(&wishes.volumes);
            image.ports.clone_from(&wishes.ports);
            image.entrypoint_label.clone_from(&wishes.entrypoint_label);
        }
        image
    };
    let clone_path = clone_path(variables);
    Task {
        id: TaskId(job.id),
        runner_short_token: host.config.short_token().to_owned(),
        concurrent_id: slot.runner,
        concurrent_project_id: slot.project,
        project_slug: requests::slug(job),
        project_id: job.job_info.project_id,
        folder_suffix: empty.then(|| "-empty".to_owned()),
        clone_path,
        variables: variables.environment(),
        public_variables: variables.public_environment(),
        file_variables: variables.files(),
        payload: payload(host, job),
        image: (!job.image.name.is_empty()).then(|| image(&job.image, extra.map(|extra| &extra.job))),
        services: job
            .services
            .iter()
            .enumerate()
            .map(|(index, service)| plan::Service {
                image: image(service, extra.and_then(|extra| extra.services.get(index))),
                aliases: service
                    .alias
                    .split([' ', ','])
                    .filter(|alias| !alias.is_empty())
                    .map(str::to_owned)
                    .collect(),
            })
            .collect(),
        meeting: extra.map(|extra| extra.meeting).unwrap_or_default(),
        registry_logins: job
            .credentials
            .iter()
            .filter(|login| login.kind == "registry")
            .map(|login| RegistryLogin {
                registry: login.url.clone(),
                user: login.username.clone(),
                password: login.password.clone(),
            })
            .collect(),
        timeout,
        origin: Origin {
            job_name: job.job_info.name.clone(),
            project_name: job.job_info.project_name.clone(),
            project_path: job.job_info.project_full_path.clone(),
            namespace_id: job.job_info.namespace_id,
            root_namespace_id: job.job_info.root_namespace_id,
        },
    }
}

/// `GIT_CLONE_PATH`, but for the builds folder, which only the executor knows.
fn clone_path(variables: &Variables) -> Option<String> {
    variables.get("GIT_CLONE_PATH")?;
    let mut variables = variables.clone();
    variables.set("CI_BUILDS_DIR", BUILDS);
    Some(variables.value("GIT_CLONE_PATH")).filter(|path| !path.is_empty())
}

/// Only drivers of the custom executor get it.
fn payload(host: &Host, job: &JobResponse) -> Option<Secret> {
    let wanted = host.executor.kind() == "custom";
    let text = wanted.then(|| serde_json::to_string(job).ok()).flatten();
    text.map(Secret::new)
}
