//! The pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tasuki_model::plan::{Image, PullPolicy};
use tasuki_model::reason::FailureReason;

use super::super::flags::Flags;
use super::super::overwrite::{self, Part};
use super::super::settings::Settings;
use super::container::{env, ports, pull_policy};
use super::names::{self, BUILD, HELPER, INIT, Names};
use super::platform::{Platform, helper_image, own_architecture};
use super::security::{self, text};
use super::services::{self, Wanted};
use super::users::{JobUser, job_user};
use super::volumes::{Access, Volumes};
use super::{affinity, guest, hooks, network};
use crate::config::kubernetes::GuestDelivery;
use crate::executor::{Error, Result, Task, access};

/// A pod and what is to know of its containers.
#[derive(Debug)]
pub(in super::super) struct Made {
    pub(in super::super) pod: api::Pod,
    /// Of each container, in the order they are tried.
    pub(in super::super) policies: BTreeMap<String, Vec<Option<PullPolicy>>>,
    /// Containers whose ports a proxy reaches, with their images.
    pub(super) exposed: Vec<(String, Image)>,
}

/// Everything that the parts are made from.
struct Parts<'a> {
    settings: &'a Settings,
    task: &'a Task,
    flags: Flags,
    volumes: Volumes,
    helper: String,
}

/// Makes the pod of a task, without the configuration's patches.
///
/// # Errors
/// The job wants what the configuration does not allow, or there is no image.
pub(in super::super) fn make(
    settings: &Settings,
    task: &Task,
    flags: Flags,
    names: &Names,
    warnings: &mut Vec<String>,
) -> Result<Made> {
    let config = &settings.config;
    let node_selector = overwrite::node_selector(settings, task)?;
    let platform = Platform::of(
        config.helper_image_autoset_arch_and_os,
        own_architecture(),
        &node_selector,
    );
    let parts = Parts {
        settings,
        task,
        flags,
        volumes: Volumes::of(settings, task),
        helper: helper_image(config, task, &platform)?,
    };
    let image = job_image(settings, task)?;
    let services = services::wanted(settings, task, warnings)?;
    let mut policies = BTreeMap::new();
    let mut chosen = |name: &str, image: &Image| -> Result<()> {
        let allowed = access::pull_policies_or(
            &image.pull_policy,
            &config.pull_policy.list(),
            &config.allowed_pull_policies,
            None,
        )?;
        policies.insert(name.to_owned(), allowed);
        Ok(())
    };
    chosen(BUILD, &image)?;
    chosen(HELPER, &Image::default())?;
    let mut containers = vec![parts.build(&image, warnings)?, parts.helper()?];
    let mut exposed = vec![(BUILD.to_owned(), image)];
    for wanted in &services {
        chosen(&wanted.container, &wanted.service.image)?;
        containers.push(parts.service(wanted, warnings)?);
        exposed.push((wanted.container.clone(), wanted.service.image.clone()));
    }
    let init = parts.init()?;
    if init.is_some() {
        chosen(INIT, &Image::default())?;
    }
    exposed.retain(|(_, image)| !image.ports.is_empty());
    let spec = api::PodSpec {
        containers,
        init_containers: init.map(|init| vec![init]),
        node_selector: (!node_selector.is_empty()).then_some(node_selector),
        host_aliases: network::host_aliases(config, &services),
        ..parts.spec()?
    };
    let mut pod = api::Pod {
        metadata: ObjectMeta {
            name: Some(names.pod.clone()),
            labels: Some(names.pod_labels(settings, task)?),
            annotations: Some(names::annotations(settings, task)?),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    };
    for (container, list) in &policies {
        set_pull_policy(&mut pod, container, list.first().copied().flatten());
    }
    Ok(Made { pod, policies, exposed })
}

/// The policy of a container, where the pod has it.
pub(in super::super) fn set_pull_policy(pod: &mut api::Pod, name: &str, policy: Option<PullPolicy>) {
    let spec = pod.spec.get_or_insert_default();
    let all = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for container in all.filter(|container| container.name == name) {
        container.image_pull_policy = pull_policy(policy);
    }
}

/// The job's image, or the runner's.
fn job_image(settings: &Settings, task: &Task) -> Result<Image> {
    let config = &settings.config;
    let own = crate::job::expand(&config.image, |name| task.variable(name).unwrap_or_default().to_owned());
    let image = match &task.image {
        Some(image) => image.clone(),
        None if own.is_empty() => {
            let message = "the job names no image, and neither does the runner: set `image` in the job, or in \
                           [runners.kubernetes]";
            return Err(Error::job(FailureReason::RunnerConfigurationError, message));
        }
        None => Image {
            name: own.clone(),
            ..Image::default()
        },
    };
    access::check_image("allowed_images", &config.allowed_images, &image.name, &[&own])?;
    Ok(image)
}

impl Parts<'_> {
    fn build(&self, image: &Image, warnings: &mut Vec<String>) -> Result<api::Container> {
        let config = &self.settings.config;
        let user = job_user(config, image.kubernetes_user.as_deref(), warnings);
        let main = guest::build(self.settings, self.flags, image.entrypoint.as_deref());
        Ok(api::Container {
            name: BUILD.to_owned(),
            image: Some(image.name.clone()),
            command: main.command,
            args: main.args,
            env: env(image, self.task),
            ports: ports(image),
            resources: overwrite::resources(config, Part::Build, self.task)?,
            security_context: Some(security::of_container(
                config,
                &config.build_container_security_context,
                user,
            )),
            volume_mounts: Some(self.volumes.with_guest(Access::Read)),
            lifecycle: hooks::lifecycle(&config.container_lifecycle),
            startup_probe: guest::startup_probe(self.settings, self.flags),
            stdin: Some(true),
            ..api::Container::default()
        })
    }

    fn helper(&self) -> Result<api::Container> {
        let config = &self.settings.config;
        Ok(api::Container {
            name: HELPER.to_owned(),
            image: Some(self.helper.clone()),
            command: Some(guest::helper(self.settings)),
            env: env(&Image::default(), self.task),
            resources: overwrite::resources(config, Part::Helper, self.task)?,
            security_context: Some(security::of_container(
                config,
                &config.helper_container_security_context,
                JobUser::default(),
            )),
            volume_mounts: Some(self.volumes.of_helper(self.settings.guest_delivery)),
            lifecycle: guest::delivery(self.settings),
            stdin: Some(true),
            ..api::Container::default()
        })
    }

    fn service(&self, wanted: &Wanted, warnings: &mut Vec<String>) -> Result<api::Container> {
        let config = &self.settings.config;
        let image = &wanted.service.image;
        let user = job_user(config, image.kubernetes_user.as_deref(), warnings);
        let words = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
        Ok(api::Container {
            name: wanted.container.clone(),
            image: Some(image.name.clone()),
            command: words(&image.entrypoint),
            args: words(&image.command),
            env: env(image, self.task),
            ports: ports(image),
            resources: overwrite::service_resources(config, &wanted.service, self.task)?,
            security_context: Some(security::of_container(
                config,
                &config.service_container_security_context,
                user,
            )),
            // The guest's own folders are none of theirs: who is in there can pass for a session and be told the secrets.
            volume_mounts: Some(self.volumes.without_guests()),
            ..api::Container::default()
        })
    }

    /// Brings the guest, with the build container's resources: the pod is not larger for it.
    fn init(&self) -> Result<Option<api::Container>> {
        let config = &self.settings.config;
        match self.settings.guest_delivery {
            GuestDelivery::Helper => return Ok(None),
            GuestDelivery::InitContainer => {}
        }
        Ok(Some(api::Container {
            name: INIT.to_owned(),
            image: Some(self.helper.clone()),
            command: Some(guest::install()),
            resources: overwrite::resources(config, Part::Build, self.task)?,
            security_context: Some(security::of_container(
                config,
                &config.init_permissions_container_security_context,
                JobUser::default(),
            )),
            volume_mounts: Some(self.volumes.with_guest(Access::Write)),
            ..api::Container::default()
        }))
    }

    /// What is the pod's, not its containers'.
    fn spec(&self) -> Result<api::PodSpec> {
        let (settings, task) = (self.settings, self.task);
        let config = &settings.config;
        let account = settings.guards.service_account(task)?;
        let tolerations = overwrite::tolerations(settings, task)?;
        let seconds = i64::try_from(task.timeout.as_secs()).unwrap_or(i64::MAX);
        let secrets = config
            .image_pull_secrets
            .iter()
            .filter(|_| !config.use_service_account_image_pull_secrets);
        let secrets: Vec<api::LocalObjectReference> = secrets
            .map(|name| api::LocalObjectReference { name: name.clone() })
            .collect();
        Ok(api::PodSpec {
            restart_policy: Some("Never".to_owned()),
            service_account_name: account.or_else(|| text(&config.service_account)),
            automount_service_account_token: config.automount_service_account_token,
            active_deadline_seconds: self.flags.active_deadline.then(|| seconds.saturating_add(1)),
            termination_grace_period_seconds: settings.pod_grace,
            tolerations: (!tolerations.is_empty()).then_some(tolerations),
            affinity: affinity::affinity(&config.affinity),
            image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
            security_context: security::of_pod(&config.pod_security_context),
            resources: overwrite::resources(config, Part::Pod, task)?,
            dns_policy: network::dns_policy(&config.dns_policy),
            dns_config: network::dns_config(&config.dns_config),
            runtime_class_name: config.runtime_class_name.clone().filter(|name| !name.is_empty()),
            priority_class_name: text(&config.priority_class_name),
            scheduler_name: text(&config.scheduler_name),
            volumes: Some(self.volumes.volumes.clone()),
            ..api::PodSpec::default()
        })
    }
}
