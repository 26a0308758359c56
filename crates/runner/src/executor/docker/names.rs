//! Names and labels of everything that is made, so that it can be found again.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::executor::reference::safe;
use crate::executor::{Result, Task, unique};

/// What gitlab-runner's own tools look for.
const GITLAB: &str = "com.gitlab.gitlab-runner";

/// On everything that belongs to one job: its sandbox.
pub(super) const SANDBOX: &str = "io.tasuki.sandbox";
/// Whose it is: the lock file of the runner's process.
pub(super) const OWNER: &str = "io.tasuki.owner";
/// The machine that the owner runs on.
pub(super) const HOST: &str = "io.tasuki.host";
/// On what outlives jobs: `cache`, `guest`, `helper`.
pub(super) const KEPT: &str = "io.tasuki.kept";

/// The longest base of a name, so that what is made of it is a host name.
const MAX_BASE: usize = 63;

/// Names and labels of one sandbox.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) base: String,
    labels: BTreeMap<String, String>,
}

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'a> {
    Build,
    Predefined,
    Wait,
    Service(&'a str),
    /// Holds the network that the job's container and its services are in together.
    Network,
    /// Passes ports on.
    Ports,
    /// Of an action.
    Action,
}

impl Names {
    pub(super) fn new(task: &Task, system_id: &str, owner: &str, host: &str) -> Result<Self> {
        let base = safe(&format!(
            "runner-{}-project-{}-concurrent-{}",
            task.runner_short_token, task.project_id, task.concurrent_id
        ));
        let base: String = base.chars().take(MAX_BASE - 17).collect();
        let base = format!("{}-{}", base.trim_end_matches('-'), unique()?);
        let variable = |key: &str| task.variable(key).unwrap_or_default().to_owned();
        let labels = [
            ("job.id", task.id.to_string()),
            ("job.url", variable("CI_JOB_URL")),
            ("job.sha", variable("CI_COMMIT_SHA")),
            ("job.before_sha", variable("CI_COMMIT_BEFORE_SHA")),
            ("job.ref", variable("CI_COMMIT_REF_NAME")),
            ("job.timeout", variable("CI_JOB_TIMEOUT")),
            ("project.id", task.project_id.to_string()),
            ("project.runner_id", task.concurrent_project_id.to_string()),
            ("pipeline.id", variable("CI_PIPELINE_ID")),
            ("runner.id", task.runner_short_token.clone()),
            ("runner.local_id", task.concurrent_id.to_string()),
            ("runner.system_id", system_id.to_owned()),
            ("managed", "true".to_owned()),
        ];
        let own = [
            (SANDBOX, base.clone()),
            (OWNER, owner.to_owned()),
            (HOST, host.to_owned()),
        ];
        let labels = labels
            .into_iter()
            .map(|(key, value)| (format!("{GITLAB}.{key}"), value))
            .chain(own.into_iter().map(|(key, value)| (key.to_owned(), value)))
            .collect();
        Ok(Self { base, labels })
    }

    /// Labels of everything.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.labels.clone()
    }

    /// Labels of a container, the configuration's under ours.
    pub(super) fn container_labels(&self, role: Role<'_>, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut labels = own.clone();
        labels.extend(self.labels());
        let (kind, service) = match role {
            Role::Build => ("build", None),
            Role::Predefined => ("predefined", None),
            Role::Wait => ("wait", None),
            Role::Service(image) => ("service", Some(image)),
            Role::Network => ("network", None),
            Role::Ports => ("ports", None),
            Role::Action => ("action", None),
        };
        labels.insert(format!("{GITLAB}.type"), kind.to_owned());
        if let Some(image) = service {
            labels.insert(format!("{GITLAB}.service"), image.to_owned());
        }
        labels
    }
}

/// Name of a cache volume: the same for jobs of one runner, project and slot.
pub(super) fn cache_volume(task: &Task, system_id: &str, path: &str) -> String {
    let key = format!(
        "{}-{system_id}-{}-{}",
        task.runner_short_token, task.project_id, task.concurrent_project_id
    );
    let protected = task.variable("CI_COMMIT_REF_PROTECTED") == Some("true");
    format!(
        "runner-{}-cache-{}{}",
        &hex(key.as_bytes())[..32],
        &hex(path.as_bytes())[..32],
        if protected { "-protected" } else { "" }
    )
}

/// SHA-256 in hexadecimal digits.
pub(in super::super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
