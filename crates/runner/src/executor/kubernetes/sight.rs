//! What a pod's state means for its job.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};
use tasuki_model::reason::FailureReason;

use super::plan::Planned;
use super::pod::GUEST;
use crate::executor::Error;

const BUILD: &str = Planned::BUILD;
const HELPER: &str = Planned::HELPER;

/// Why a job cannot go on in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Another pull policy may find the image.
    Pull {
        container: String,
        image: String,
        message: String,
    },
    /// The job's own fault, or one that the configuration must mend.
    Job { reason: FailureReason, message: String },
    /// The cluster's or somebody else's.
    System(String),
}

impl Trouble {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Pull {
                container,
                image,
                message,
            } => {
                let message = format!("the image {image} of the container {container} cannot be pulled: {message}");
                Error::job(FailureReason::ImagePullFailure, message)
            }
            Self::Job { reason, message } => Error::job(reason, message),
            Self::System(message) => Error::system("go on with the job", message),
        }
    }

    fn configuration(message: String) -> Self {
        Self::Job {
            reason: FailureReason::RunnerConfigurationError,
            message,
        }
    }
}

/// Whether the job can begin: both of its own containers run.
pub(super) fn is_ready(pod: &Pod) -> bool {
    [BUILD, HELPER]
        .iter()
        .all(|name| status(pod, name).is_some_and(|status| status.ready && running(status)))
}

/// Whether a container runs, or did: it has a log.
pub(super) fn has_started(pod: &Pod, container: &str) -> bool {
    let state = status(pod, container).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// Whether nothing of the job runs any more. Services have their own time.
pub(super) fn has_ended(pod: &Pod) -> bool {
    [BUILD, HELPER].iter().all(|name| {
        let state = status(pod, name).and_then(|status| status.state.as_ref());
        state.is_none_or(|state| state.running.is_none())
    })
}

/// How long the pod's programs have to end.
pub(super) fn grace(pod: &Pod) -> Duration {
    let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(30))
}

fn running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    statuses(pod).find(|status| status.name == name)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let all = pod.status.iter();
    all.flat_map(|status| {
        let own = status.container_statuses.iter().flatten();
        status.init_container_statuses.iter().flatten().chain(own)
    })
}

fn conditions(pod: &Pod) -> impl Iterator<Item = &PodCondition> {
    pod.status.iter().flat_map(|status| status.conditions.iter().flatten())
}

/// `Pending`, `Running`, …
pub(super) fn phase(pod: &Pod) -> &str {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase.unwrap_or("Unknown")
}

/// What is said of a pod that is waited for.
pub(super) fn waiting(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut text = format!(
        "Waiting for pod {namespace}/{name} to be running, status is {}\n",
        phase(pod)
    );
    let mut line = |reason: &str, message: &str| text.push_str(&format!("\t{reason}: {message:?}\n"));
    for condition in conditions(pod) {
        if let Some(reason) = condition.reason.as_deref().filter(|reason| !reason.is_empty()) {
            line(reason, condition.message.as_deref().unwrap_or_default());
        }
    }
    for status in statuses(pod) {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        if let Some((waiting, message)) = waiting.and_then(|waiting| Some((waiting, waiting.message.as_deref()?))) {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            line(&format!("{}: {reason}", status.name), message);
        }
    }
    text
}

/// Why a pod is of no use any more. `gone`: it was deleted.
pub(super) fn trouble(pod: &Pod, gone: bool) -> Option<Trouble> {
    of_the_whole(pod, gone)
        .or_else(|| of_containers(pod))
        .or_else(|| ended(pod))
}

/// The helper brings what the job's container starts with: what befalls the one follows from what befalls the other.
fn of_containers(pod: &Pod) -> Option<Trouble> {
    let (first, others): (Vec<_>, Vec<_>) = statuses(pod).partition(|status| status.name == HELPER);
    let mut all = first.into_iter().chain(others);
    all.find_map(|status| container(pod, status))
}

/// What the pod as a whole says of its end.
fn of_the_whole(pod: &Pod, gone: bool) -> Option<Trouble> {
    let has_reason = pod
        .status
        .as_ref()
        .is_some_and(|status| status.reason.as_deref().is_some_and(|reason| !reason.is_empty()));
    disruption(pod)
        .or_else(|| deletion(pod, gone))
        .or_else(|| overdue(pod))
        .or_else(|| ended(pod).filter(|_| has_reason))
}

/// Whether the pod may still say why one of its containers has ended: a node that ends a pod tells of the containers first.
pub(super) fn is_unexplained(pod: &Pod, gone: bool) -> bool {
    let plainly = |status: &ContainerStatus| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| matches!(ended.reason.as_deref().unwrap_or_default(), "Error" | "Completed" | ""))
    };
    of_the_whole(pod, gone).is_none()
        && [BUILD, HELPER]
            .iter()
            .any(|name| status(pod, name).is_some_and(plainly))
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Said by who takes the pod away, before it goes.
fn disruption(pod: &Pod) -> Option<Trouble> {
    let condition =
        conditions(pod).find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True");
    condition.map(|condition| {
        let reason = condition.reason.as_deref().unwrap_or("DisruptionTarget");
        let message = condition.message.as_deref().unwrap_or("no reason is given");
        Trouble::System(format!(
            "the pod {} was taken away by the cluster ({reason}): {message}; {}",
            name(pod),
            remedy(reason, message)
        ))
    })
}

/// What helps against being taken away, by who does it.
fn remedy(reason: &str, message: &str) -> &'static str {
    match reason {
        "EvictionByEvictionAPI" => {
            "its node is being drained, or something clears nodes: with `pod_disruption_budget = true` that waits for running jobs"
        }
        "PreemptionByScheduler" => {
            "a pod of higher priority needs its place: give jobs a `priority_class_name` that is higher, or the cluster more nodes"
        }
        "DeletionByTaintManager" => {
            "its node has a taint (NoExecute) that the job does not stand: it is out of reach or unwell, or add the taint to \
             `node_tolerations`"
        }
        "DeletionByPodGC" => "its node is gone, or was out of reach for too long: run the job again",
        _ => shortage(message),
    }
}

/// What helps against a node that ends a pod, by what it says is short.
fn shortage(message: &str) -> &'static str {
    let says = |part: &str| message.contains(part);
    if says("EmptyDir volume") {
        "raise the volume's `size_limit`, or let the job write less into it"
    } else if says("ephemeral") && says("exceed") {
        "raise `ephemeral_storage_limit` (or the `helper_`, `service_` one), or let the job write less outside of volumes"
    } else if says("low on resource") {
        "its node ran short: request what the job uses (`memory_request`, `ephemeral_storage_request`), so that it goes where there \
         is room"
    } else if says("shut") {
        "its node is being shut down: run the job again"
    } else {
        "run the job again; if it comes back, give jobs requests for what they use, or the nodes more"
    }
}

fn deletion(pod: &Pod, gone: bool) -> Option<Trouble> {
    (gone || pod.metadata.deletion_timestamp.is_some()).then(|| {
        Trouble::System(format!(
            "the pod {} was deleted from outside: by hand, or by something that cleans the namespace up",
            name(pod)
        ))
    })
}

/// The containers of a pod whose time is over end before the pod says why.
fn overdue(pod: &Pod) -> Option<Trouble> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let end = pod.status.as_ref()?.start_time.as_ref()?.0 + jiff::SignedDuration::from_secs(seconds);
    let late = [BUILD, HELPER].iter().any(|name| {
        let ended =
            status(pod, name).and_then(|status| status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
        ended.is_some_and(|finished| finished.0 >= end)
    });
    late.then(|| deadline(pod, &format!("it was active for {seconds} s")))
}

fn deadline(pod: &Pod, message: &str) -> Trouble {
    Trouble::Job {
        reason: FailureReason::JobExecutionTimeout,
        message: format!(
            "the pod {} ran longer than the job may, and was ended by the cluster: {message}",
            name(pod)
        ),
    }
}

fn container(pod: &Pod, status: &ContainerStatus) -> Option<Trouble> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        return hindrance(status, reason, waiting.message.as_deref().unwrap_or_default());
    }
    let is_init = init(pod, &status.name);
    // A service may end when it likes.
    if !is_init && status.name != BUILD && status.name != HELPER {
        return None;
    }
    termination(status, state, is_init).map(|trouble| with_hook(pod, status, trouble))
}

/// A container whose first hook fails is ended by the cluster, which does not say so but in an event.
fn with_hook(pod: &Pod, status: &ContainerStatus, trouble: Trouble) -> Trouble {
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let hooked = containers
        .find(|container| container.name == status.name)
        .and_then(|container| container.lifecycle.as_ref())
        .is_some_and(|lifecycle| lifecycle.post_start.is_some());
    match trouble {
        Trouble::System(message) if hooked && status.name == HELPER => Trouble::System(format!(
            "{message}; where that was at its start, it could not copy its program to {GUEST}: the helper image has to hold `tasuki`, \
             and its user to be one who may write to a volume of the pod (`fs_group`)"
        )),
        Trouble::System(message) if hooked => Trouble::System(format!(
            "{message}; where that was at its start, its `post_start` hook failed: correct `container_lifecycle` \
             (the cluster can do `exec` and `http_get`, not `tcp_socket`)"
        )),
        other => other,
    }
}

fn init(pod: &Pod, name: &str) -> bool {
    let status = pod
        .status
        .as_ref()
        .and_then(|status| status.init_container_statuses.as_ref());
    status.is_some_and(|all| all.iter().any(|status| status.name == name))
}

/// Why a container does not start.
fn hindrance(status: &ContainerStatus, reason: &str, message: &str) -> Option<Trouble> {
    let container = &status.name;
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" | "ImageInspectError" => {
            Some(Trouble::Pull {
                container: container.clone(),
                image: status.image.clone(),
                message: message.to_owned(),
            })
        }
        "InvalidImageName" => Some(Trouble::configuration(format!(
            "{:?} is no name of an image (container {container}): {message}; correct `image` of the job, or of the runner",
            status.image
        ))),
        "CreateContainerConfigError" => Some(Trouble::configuration(format!(
            "the container {container} cannot be made: {message}; correct what it names (a secret, a config map, a key, a user) in \
             [runners.kubernetes] or in the cluster"
        ))),
        "CreateContainerError" | "RunContainerError" | "StartError" => Some(Trouble::configuration(format!(
            "the container {container} cannot be started: {message}"
        ))),
        "CrashLoopBackOff" => Some(Trouble::System(format!(
            "the container {container} ends again and again: {message}"
        ))),
        "PostStartHookError" if container == HELPER => Some(Trouble::configuration(format!(
            "the helper could not copy its program to {GUEST}: {message}; the helper image has to hold `tasuki`, and its user to be one \
             who may write to a volume of the pod (`fs_group`)"
        ))),
        "PostStartHookError" => Some(Trouble::configuration(format!(
            "the `post_start` hook of the container {container} failed: {message}; correct `container_lifecycle`"
        ))),
        _ => None,
    }
}

fn termination(status: &ContainerStatus, state: &ContainerState, is_init: bool) -> Option<Trouble> {
    let ended = state.terminated.as_ref()?;
    let container = &status.name;
    let (reason, message) = (
        ended.reason.as_deref().unwrap_or_default(),
        ended.message.as_deref().unwrap_or_default(),
    );
    if is_init && ended.exit_code == 0 {
        return None;
    }
    Some(match reason {
        "OOMKilled" if container != BUILD => {
            let key = if is_init { "memory_limit" } else { "helper_memory_limit" };
            Trouble::configuration(format!(
                "the container {container} was killed for want of memory (OOMKilled): raise `{key}`"
            ))
        }
        "OOMKilled" => Trouble::Job {
            reason: FailureReason::ScriptFailure,
            message: format!(
                "the container {container} was killed for want of memory (OOMKilled): raise `memory_limit`, or let the job use less"
            ),
        },
        "StartError" | "ContainerCannotRun" if container == BUILD && message.contains(GUEST) => {
            Trouble::configuration(format!(
                "the container {container} cannot be started: {message}; it starts with the program that the helper puts to {GUEST} \
                 before: a patch of the pod must not change the helper's `postStart` hook, and where a cluster does not start \
                 containers in their order, set guest_delivery = \"init-container\" in [runners.kubernetes]"
            ))
        }
        "StartError" | "ContainerCannotRun" => {
            Trouble::configuration(format!("the container {container} cannot be started: {message}"))
        }
        // The pod as a whole says it better.
        "Error" | "Completed" | "" if !is_init && message.is_empty() && ended.exit_code == 137 => return None,
        _ if is_init => Trouble::System(format!(
            "the container {container}, which prepares the pod, failed with exit code {} {reason}: {message}",
            ended.exit_code
        )),
        _ => Trouble::System(format!(
            "the container {container} ended in mid-job with exit code {} {reason} {message}",
            ended.exit_code
        )),
    })
}

/// The pod as a whole.
fn ended(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let (reason, message) = (
        status.reason.as_deref().unwrap_or_default(),
        status.message.as_deref().unwrap_or_default(),
    );
    let name = name(pod);
    match (status.phase.as_deref(), reason) {
        (_, "DeadlineExceeded") => Some(deadline(pod, message)),
        (_, "Evicted") => Some(Trouble::System(format!(
            "the pod {name} was evicted from its node: {message}; {}",
            shortage(message)
        ))),
        (_, "NodeLost" | "NodeShutdown" | "Terminated" | "NodeAffinity") => Some(Trouble::System(format!(
            "the node of the pod {name} is gone ({reason}): {message}"
        ))),
        (Some("Failed" | "Succeeded"), _) => Some(Trouble::System(format!(
            "the pod {name} ended in mid-job ({}): {reason} {message}",
            phase(pod)
        ))),
        (Some("Unknown"), _) => Some(Trouble::System(format!(
            "the cluster has lost the node of the pod {name}: {message}"
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: &Value, status: &Value) -> Pod {
        let mut whole = json!({"metadata": {"name": "p", "namespace": "ci"}, "status": status});
        if let (Some(all), Some(more)) = (whole["metadata"].as_object_mut(), metadata.as_object()) {
            all.extend(more.clone());
        }
        serde_json::from_value(whole).expect("is a pod")
    }

    fn container(name: &str, state: &Value) -> Value {
        json!({"name": name, "image": "img", "imageID": "", "ready": state.get("running").is_some(), "restartCount": 0, "state": state})
    }

    fn shown(status: &Value) -> String {
        match trouble(&pod(&json!({}), status), false) {
            None => "none".to_owned(),
            Some(Trouble::Pull { container, image, .. }) => format!("pull {image} of {container}"),
            Some(Trouble::Job { reason, message }) => format!("{}: {message}", reason.as_str()),
            Some(Trouble::System(message)) => format!("system: {message}"),
        }
    }

    #[test]
    fn each_state_of_a_pod_has_its_reason() {
        let waits = |name: &str, reason: &str| json!({"phase": "Pending", "containerStatuses": [container(name, &json!({"waiting": {"reason": reason, "message": "why"}}))]});
        let ends = |name: &str, reason: &str, code: i32| json!({"phase": "Running", "containerStatuses": [container(name, &json!({"terminated": {"reason": reason, "exitCode": code}}))]});
        let cases = [
            (json!({"phase": "Pending"}), "none"),
            (waits("build", "ContainerCreating"), "none"),
            (waits("build", "ErrImagePull"), "pull img of build"),
            (waits("helper", "ImagePullBackOff"), "pull img of helper"),
            (waits("svc-0", "ErrImageNeverPull"), "pull img of svc-0"),
            (
                waits("build", "InvalidImageName"),
                "runner_configuration_error: \"img\" is no name of an image",
            ),
            (
                waits("build", "CreateContainerConfigError"),
                "runner_configuration_error: the container build cannot be made: why",
            ),
            (
                waits("build", "RunContainerError"),
                "runner_configuration_error: the container build cannot be started: why",
            ),
            (
                waits("init-permissions", "CrashLoopBackOff"),
                "system: the container init-permissions ends again and again",
            ),
            (
                ends("build", "OOMKilled", 137),
                "script_failure: the container build was killed for want of memory",
            ),
            (
                ends("build", "Error", 3),
                "system: the container build ended in mid-job with exit code 3",
            ),
            (ends("svc-0", "Error", 1), "none"),
            (ends("svc-0", "OOMKilled", 137), "none"),
            (
                json!({"phase": "Pending", "initContainerStatuses": [container("init-permissions", &json!({"terminated": {"exitCode": 0}}))]}),
                "none",
            ),
            (
                json!({"phase": "Failed", "initContainerStatuses": [container("init-permissions", &json!({"terminated": {"exitCode": 2, "reason": "Error"}}))]}),
                "system: the container init-permissions, which prepares the pod, failed with exit code 2",
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
                "system: the pod p was evicted from its node: low on memory; run the job again",
            ),
            (
                json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "m"}),
                "job_execution_timeout: the pod p ran longer than the job may",
            ),
            (
                json!({"phase": "Failed"}),
                "system: the pod p ended in mid-job (Failed)",
            ),
            (
                json!({"phase": "Running", "reason": "NodeLost"}),
                "system: the node of the pod p is gone",
            ),
        ];
        for (status, wanted) in cases {
            let shown = shown(&status);
            assert!(shown.starts_with(wanted), "{shown}\n{status}");
        }
        let leaving = pod(
            &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            &json!({"phase": "Running"}),
        );
        for (pod, gone) in [(leaving, false), (pod(&json!({}), &json!({"phase": "Running"})), true)] {
            let trouble = trouble(&pod, gone).expect("is deleted").error();
            assert!(trouble.is_transient(), "{trouble}");
            assert!(crate::trace::chain(&trouble).contains("deleted from outside"));
        }
    }

    #[test]
    fn what_takes_a_pod_away_is_told_with_what_helps() {
        let cases = [
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. Threshold quantity: 100Mi"}),
                "system: the pod p was evicted from its node: The node was low on resource: memory. Threshold quantity: 100Mi; \
                 its node ran short: request what the job uses (`memory_request`",
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume \"small\" exceeds the limit \"1Mi\"."}),
                "system: the pod p was evicted from its node: Usage of EmptyDir volume \"small\" exceeds the limit \"1Mi\".; \
                 raise the volume's `size_limit`",
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi."}),
                "system: the pod p was evicted from its node: Pod ephemeral local storage usage exceeds the total limit of containers \
                 1Mi.; raise `ephemeral_storage_limit`",
            ),
            (
                json!({"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"}]}),
                "system: the pod p was taken away by the cluster (PreemptionByScheduler): m; a pod of higher priority",
            ),
            (
                json!({"phase": "Running", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m"}]}),
                "system: the pod p was taken away by the cluster (EvictionByEvictionAPI): m; its node is being drained",
            ),
            (
                json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                    "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi"}]}),
                "system: the pod p was taken away by the cluster (TerminationByKubelet): The node was low on resource: \
                 ephemeral-storage. Threshold quantity: 1Gi; its node ran short: request what the job uses",
            ),
        ];
        for (status, wanted) in cases {
            let shown = shown(&status);
            assert!(shown.starts_with(wanted), "{shown}\n{status}");
        }
    }

    /// As the node's kubelet tells it: the containers first.
    #[test]
    fn what_the_pod_says_goes_before_what_its_containers_do() {
        let ended = container("build", &json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
        let first = json!({"phase": "Running", "containerStatuses": [ended]});
        let then = json!({"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory", "containerStatuses": [ended]});
        assert!(is_unexplained(&pod(&json!({}), &first), false));
        assert!(shown(&first).starts_with("system: the container build ended in mid-job with exit code 0"));
        assert!(!is_unexplained(&pod(&json!({}), &then), false));
        assert!(
            shown(&then).starts_with(
                "system: the pod p was evicted from its node: low on resource: memory; its node ran short"
            )
        );
        let killed = json!({"phase": "Running", "containerStatuses": [container("build", &json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))]});
        assert!(!is_unexplained(&pod(&json!({}), &killed), false), "that says enough");
        assert!(!is_unexplained(&pod(&json!({}), &json!({"phase": "Running"})), false));
    }

    #[test]
    fn containers_that_end_after_the_deadline_end_by_it() {
        let ended = |second: u32| {
            let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": format!("2026-01-01T00:00:{second}Z")}});
            let status = json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [container("helper", &ended)]});
            let mut pod = pod(&json!({}), &status);
            pod.spec = serde_json::from_value(json!({"containers": [], "activeDeadlineSeconds": 30})).expect("is one");
            trouble(&pod, false).expect("is over").error().reason()
        };
        assert_eq!(ended(29), FailureReason::RunnerSystemFailure);
        assert_eq!(ended(30), FailureReason::JobExecutionTimeout);
    }

    /// A node goes on to the job's container, which then does not find what it starts with.
    #[test]
    fn what_befell_the_helper_goes_before_what_followed_from_it() {
        let start = "exec: \"/tasuki/tasuki\": stat /tasuki/tasuki: no such file or directory";
        let build = container(
            "build",
            &json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": start}}),
        );
        let hook = json!({"exec": {"command": ["tasuki", "guest", "install", "/tasuki"]}});
        let spec = json!({"containers": [{"name": "helper", "lifecycle": {"postStart": hook}}, {"name": "build"}]});
        for (state, wanted) in [
            (
                json!({"terminated": {"exitCode": 143, "reason": "Error"}}),
                "the container helper ended in mid-job with exit code 143 Error ; where that was at its start, it could not copy",
            ),
            (
                json!({"waiting": {"reason": "ErrImagePull", "message": "none"}}),
                "the image img of the container helper",
            ),
            (
                json!({"running": {}}),
                "the container build cannot be started: exec: \"/tasuki/tasuki\"",
            ),
        ] {
            let status = json!({"phase": "Pending", "containerStatuses": [build, container("helper", &state)]});
            let mut pod = pod(&json!({}), &status);
            pod.spec = serde_json::from_value(spec.clone()).expect("is one");
            let error = trouble(&pod, false).expect("is over").error();
            let text = crate::trace::chain(&error);
            assert!(text.contains(wanted), "{text}");
            assert_eq!(text.contains("guest_delivery"), wanted.contains("build"), "{text}");
        }
    }

    #[test]
    fn a_hook_that_may_have_failed_is_named() {
        let ended = container("build", &json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
        let mut pod = pod(&json!({}), &json!({"phase": "Running", "containerStatuses": [ended]}));
        let hook = json!({"postStart": {"tcpSocket": {"port": 1}}});
        pod.spec =
            serde_json::from_value(json!({"containers": [{"name": "build", "lifecycle": hook}]})).expect("is one");
        let error = trouble(&pod, false).expect("is over").error();
        assert!(
            crate::trace::chain(&error).contains("`post_start` hook failed"),
            "{error}"
        );
    }

    #[test]
    fn a_pod_is_ready_when_both_its_own_containers_run() {
        let runs = |name: &str| container(name, &json!({"running": {}}));
        let waits = |name: &str| container(name, &json!({"waiting": {}}));
        for (containers, wanted) in [
            (vec![runs("build"), runs("helper")], true),
            (vec![runs("build"), runs("helper"), waits("svc-0")], true),
            (vec![runs("build"), waits("helper")], false),
            (vec![waits("build"), runs("helper")], false),
            (vec![runs("build")], false),
        ] {
            let pod = pod(
                &json!({}),
                &json!({"phase": "Running", "containerStatuses": containers}),
            );
            assert_eq!(is_ready(&pod), wanted, "{pod:?}");
        }
    }

    #[test]
    fn what_is_waited_for_is_said() {
        let status = json!({
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "containers with unready status: [build]"},
            ],
            "containerStatuses": [container("build", &json!({"waiting": {"reason": "ErrImagePull", "message": "no \"such\""}}))],
        });
        let wanted = "Waiting for pod ci/p to be running, status is Pending\n\
                      \tContainersNotReady: \"containers with unready status: [build]\"\n\
                      \tbuild: ErrImagePull: \"no \\\"such\\\"\"\n";
        assert_eq!(waiting(&pod(&json!({}), &status)), wanted);
    }
}
