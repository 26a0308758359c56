//! From a task to everything that will exist for it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use tasuki_model::plan::PullPolicy;
use tasuki_model::secret::Secret;

use super::flags::Flags;
use super::pod::{self, BUILD, HELPER, INIT, Names};
use super::settings::Settings;
use crate::executor::{Error, Result, Task};

/// What neither the configuration nor the task says.
#[derive(Debug, Clone)]
pub struct Context {
    /// Of this sandbox alone: the label `tasuki.dev/sandbox` of everything that is made for it.
    pub sandbox: String,
    /// Of the runner's process: the label `tasuki.dev/manager`.
    pub manager: String,
    /// Eight small letters or digits, the end of the pod's name.
    pub suffix: String,
}

/// Everything that will exist for a task. The pod and its companions carry two labels by which they are found again.
/// It holds log-ins in the clear, and so is not printed.
#[derive(Clone)]
pub struct Planned {
    pub namespace: String,
    /// Made first, and removed last.
    pub new_namespace: Option<api::Namespace>,
    /// Registry log-ins that the pod names: made before it.
    pub pull_secret: Option<api::Secret>,
    pub pod: api::Pod,
    /// One for each container with ports.
    pub services: Vec<api::Service>,
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// The job's own token for the API, in place of the runner's.
    pub bearer_token: Option<Secret>,
    pub flags: Flags,
    /// For the job's log.
    pub warnings: Vec<String>,
    policies: BTreeMap<String, Vec<Option<PullPolicy>>>,
    tried: BTreeMap<String, usize>,
}

/// Decides what a task gets.
///
/// # Errors
/// The job asks for what the configuration does not allow, there is no image, or a patch of the configuration does not
/// fit the pod.
pub fn plan(settings: &Settings, task: &Task, context: &Context) -> Result<Planned> {
    let config = &settings.config;
    let flags = Flags::of(&settings.feature_flags, task);
    let mut warnings = settings.warnings.clone();
    let names = Names::new(task, &context.sandbox, &context.manager, &context.suffix);
    let made = pod::make(settings, task, flags, &names, &mut warnings)?;
    let (namespace, new_namespace) = if config.namespace_per_job {
        let name = format!("ci-job-{}", task.id);
        let new = pod::namespace(&name, &names);
        (name, Some(new))
    } else {
        let wanted = settings.guards.namespace(task)?;
        (wanted.unwrap_or_else(|| settings.namespace.clone()), None)
    };
    let services = pod::port_services(&made, &names);
    let mut pod = made.pod;
    let pull_secret = if config.use_service_account_image_pull_secrets {
        None
    } else {
        pod::pull_secret(task, &names, &mut warnings)
    };
    if let (Some(secret), Some(spec)) = (&pull_secret, &mut pod.spec) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        spec.image_pull_secrets
            .get_or_insert_default()
            .push(api::LocalObjectReference { name });
    }
    if flags.advanced_pod_spec {
        for patch in &settings.patches {
            pod.spec = Some(patch.apply(pod.spec.unwrap_or_default())?);
        }
        whole(&pod)?;
    } else if !settings.patches.is_empty() {
        warnings.push(
            "[[runners.kubernetes.pod_spec]] has no effect without the feature flag \
             FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"
                .to_owned(),
        );
    }
    pod::order(settings, &mut pod);
    pod.metadata.namespace = Some(namespace.clone());
    Ok(Planned {
        new_namespace,
        pull_secret,
        pod,
        services,
        disruption_budget: config.pod_disruption_budget.then(|| pod::disruption_budget(&names)),
        bearer_token: settings.guards.bearer_token(task),
        flags,
        warnings,
        namespace,
        policies: made.policies,
        tried: BTreeMap::new(),
    })
}

/// Whether the patches left what a job runs in.
fn whole(pod: &api::Pod) -> Result<()> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    match [BUILD, HELPER].iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(gone) => Err(Error::configuration(
            format!(
                "the patches of [[runners.kubernetes.pod_spec]] leave the containers {}: {gone} is gone",
                names.join(", ")
            ),
            "repeat it in the patch, or take patch_type = \"strategic\", which merges lists by name",
        )),
    }
}

impl Planned {
    /// The policies of a container in the order they are tried; `None` is the cluster's own choice.
    #[must_use]
    pub fn pull_policies(&self, container: &str) -> &[Option<PullPolicy>] {
        self.policies.get(container).map_or(&[], Vec::as_slice)
    }

    /// After the image of `container` could not be pulled: a pod that tries its next policy, under a name that ends
    /// with `suffix`. The helper and the container before it share an image, and so a policy. False: there is no other
    /// policy, and the pod is as it was.
    pub fn fall_back(&mut self, container: &str, suffix: &str) -> bool {
        let together: &[&str] = if matches!(container, INIT | HELPER) {
            &[INIT, HELPER]
        } else {
            &[container]
        };
        let next = self.tried.get(container).copied().unwrap_or(0) + 1;
        let Some(policy) = self.pull_policies(container).get(next).copied() else {
            return false;
        };
        for name in together {
            self.tried.insert((*name).to_owned(), next);
            pod::set_pull_policy(&mut self.pod, name, policy);
        }
        let old = self.pod.metadata.name.clone().unwrap_or_default();
        let base = old.rsplit_once('-').map_or(old.as_str(), |(base, _)| base);
        self.pod.metadata.name = Some(format!("{base}-{suffix}"));
        true
    }

    /// Name of the container of the job's scripts.
    pub const BUILD: &'static str = BUILD;
    /// Name of the container of sources, caches and artifacts.
    pub const HELPER: &'static str = HELPER;
    /// Name of the container that brings the guest.
    pub const INIT: &'static str = INIT;
}
