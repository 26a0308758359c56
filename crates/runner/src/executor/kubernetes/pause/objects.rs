//! What pause pods are made by.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Container, LocalObjectReference, PodSpec, PodTemplateSpec};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sha2::{Digest as _, Sha256};
use tasuki_model::id::TaskId;
use tasuki_model::plan::Image;

use super::super::plan::{Context, plan};
use super::super::settings::Settings;
use crate::executor::{Origin, Result, Task};

/// The class of pause pods where the configuration names none.
const PRIORITY_CLASS: &str = "gitlab-runner-idle-capacity";

/// On the Deployment and its pods: the Deployment's name.
pub(super) const LABEL: &str = "tasuki.dev/pause";

/// On the Deployment: when its runner was last seen, in milliseconds since 1970.
pub(super) const HEARTBEAT: &str = "tasuki.dev/heartbeat";

const IMAGE: &str = "registry.k8s.io/pause:3.10";

/// The Deployment of a runner, with no pods yet. `manager` is the runner's machine.
///
/// Its pods ask for what a job's pod asks for, at the places where one goes.
///
/// # Errors
/// A patch of the configuration does not fit.
pub fn deployment(settings: &Settings, manager: &str) -> Result<Deployment> {
    let section = settings.config.autoscaler.clone().unwrap_or_default();
    let or = |given: String, usual: &str| if given.is_empty() { usual.to_owned() } else { given };
    let image = or(section.pause_pod_image, IMAGE);
    let name = name(settings, manager);
    let labels = BTreeMap::from([(LABEL.to_owned(), name.clone())]);
    let job = pod_of_a_job(settings, &image)?;
    let containers = job.containers.into_iter().map(|container| idle(container, &image));
    let secrets = section.pause_pod_image_pull_secrets.into_iter();
    let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name }).collect();
    let spec = PodSpec {
        containers: containers.collect(),
        affinity: job.affinity,
        automount_service_account_token: Some(false),
        image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
        node_selector: job.node_selector,
        priority_class_name: Some(or(section.pause_pod_priority_class_name, PRIORITY_CLASS)),
        resources: job.resources,
        runtime_class_name: job.runtime_class_name,
        scheduler_name: job.scheduler_name,
        security_context: job.security_context,
        // Nothing is to be ended gently, and a job waits for the place.
        termination_grace_period_seconds: Some(0),
        tolerations: job.tolerations,
        ..PodSpec::default()
    };
    Ok(Deployment {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(settings.namespace.clone()),
            labels: Some(labels.clone()),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(0),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

/// The class whose pods every other pod may put out, and which put out none.
pub(super) fn priority_class() -> PriorityClass {
    PriorityClass {
        metadata: ObjectMeta {
            name: Some(PRIORITY_CLASS.to_owned()),
            ..ObjectMeta::default()
        },
        value: -1,
        preemption_policy: Some("Never".to_owned()),
        description: Some("Room that runners of CI jobs hold for jobs to come".to_owned()),
        ..PriorityClass::default()
    }
}

/// One for each runner of a machine: two processes never fight about a number.
fn name(settings: &Settings, manager: &str) -> String {
    let digest = Sha256::digest(format!("{manager}\n{}\n{}", settings.runner_name, settings.namespace));
    let text: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("runner-pause-{text}")
}

/// What a job that says nothing gets.
fn pod_of_a_job(settings: &Settings, image: &str) -> Result<PodSpec> {
    let mut settings = settings.clone();
    // The image is no job's: no list has to allow it.
    settings.config.allowed_images.clear();
    let task = Task {
        id: TaskId(0),
        runner_short_token: String::new(),
        concurrent_id: 0,
        concurrent_project_id: 0,
        project_slug: "pause".to_owned(),
        project_id: 0,
        folder_suffix: None,
        clone_path: None,
        variables: Vec::new(),
        public_variables: Vec::new(),
        file_variables: Vec::new(),
        payload: None,
        image: Some(Image {
            name: image.to_owned(),
            ..Image::default()
        }),
        services: Vec::new(),
        meeting: tasuki_model::plan::Meeting::Names,
        registry_logins: Vec::new(),
        timeout: Duration::from_secs(1),
        origin: Origin::default(),
    };
    let context = Context {
        sandbox: String::new(),
        manager: String::new(),
        suffix: String::new(),
    };
    Ok(plan(&settings, &task, &context)?.pod.spec.unwrap_or_default())
}

/// A container that asks for the same and does nothing.
fn idle(container: Container, image: &str) -> Container {
    let security_context = container.security_context.map(|mut context| {
        // What does nothing needs no privilege for it.
        context.privileged = None;
        context.capabilities = None;
        context
    });
    Container {
        name: container.name,
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: container.resources,
        security_context,
        ..Container::default()
    }
}
