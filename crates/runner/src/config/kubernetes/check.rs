//! What the types of the section cannot say.

use regex::Regex;

use super::{KubernetesConfig, LifecycleHook, PodAffinity, PodSpecPatch, Quantity, Volumes, period};

/// Something about the section that is wrong, or not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `volumes.pvc[0].name`.
    pub key: String,
    pub message: String,
    pub grade: Grade,
}

/// What a fault means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// No job can run with it.
    Error,
    /// Jobs run, in another way than the text may suggest.
    Warning,
}

/// Everything that is wrong with a section.
#[must_use]
pub fn faults(config: &KubernetesConfig) -> Vec<Fault> {
    let mut found = Faults(Vec::new());
    api(config, &mut found);
    guards(config, &mut found);
    quantities(config, &mut found);
    words(config, &mut found);
    volumes(&config.volumes, &mut found);
    hooks(config, &mut found);
    network(config, &mut found);
    affinity(config, &mut found);
    for (index, patch) in config.pod_spec.iter().enumerate() {
        self::patch(patch, &format!("pod_spec[{index}]"), &mut found);
    }
    folders(config, &mut found);
    autoscaler(config, &mut found);
    without_effect(config, &mut found);
    deprecated(config, &mut found);
    found.0
}

struct Faults(Vec<Fault>);

impl Faults {
    fn error(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.say(key.into(), message.into(), Grade::Error);
    }

    fn warning(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.say(key.into(), message.into(), Grade::Warning);
    }

    fn say(&mut self, key: String, message: String, grade: Grade) {
        self.0.push(Fault { key, message, grade });
    }

    /// Texts that have to be there.
    fn required(&mut self, key: &str, wanted: &[(&str, &str)]) {
        for (name, value) in wanted {
            if value.is_empty() {
                self.error(format!("{key}.{name}"), "is missing");
            }
        }
    }

    fn one_of(&mut self, key: impl Into<String>, word: &str, known: &[&str]) {
        if !word.is_empty() && !known.contains(&word) {
            self.error(key, format!("{word:?} is none of {}", known.join(", ")));
        }
    }
}

fn api(config: &KubernetesConfig, found: &mut Faults) {
    let own_token = config
        .bearer_token
        .as_ref()
        .is_some_and(|token| !token.expose().is_empty());
    if own_token && config.host.is_empty() {
        found.error("bearer_token", "needs `host`: the token is for one API server only");
    }
    if config.bearer_token_overwrite_allowed && config.host.is_empty() {
        found.error(
            "bearer_token_overwrite_allowed",
            "needs `host`: a job's token is for one API server only",
        );
    }
    if config.cert_file.is_empty() != config.key_file.is_empty() {
        found.error("cert_file", "cert_file and key_file go together");
    }
    if (1..500).contains(&config.retry_backoff_max) {
        found.warning("retry_backoff_max", "is below 500 ms: 500 is used");
    }
}

fn guards(config: &KubernetesConfig, found: &mut Faults) {
    for (key, pattern) in [
        ("namespace_overwrite_allowed", &config.namespace_overwrite_allowed),
        (
            "service_account_overwrite_allowed",
            &config.service_account_overwrite_allowed,
        ),
        ("pod_labels_overwrite_allowed", &config.pod_labels_overwrite_allowed),
        (
            "pod_annotations_overwrite_allowed",
            &config.pod_annotations_overwrite_allowed,
        ),
        (
            "node_selector_overwrite_allowed",
            &config.node_selector_overwrite_allowed,
        ),
        (
            "node_tolerations_overwrite_allowed",
            &config.node_tolerations_overwrite_allowed,
        ),
    ] {
        if let Err(error) = Regex::new(pattern) {
            let line = error.to_string();
            let last = line.lines().last().unwrap_or_default().trim();
            found.error(key, format!("is no regular expression: {last}"));
        }
    }
    for (key, list) in [
        ("allowed_users", &config.allowed_users),
        ("allowed_groups", &config.allowed_groups),
    ] {
        for id in list {
            if id.parse::<u32>().is_err() {
                found.error(key, format!("{id:?} is no number of a user or group"));
            }
        }
    }
}

fn quantities(config: &KubernetesConfig, found: &mut Faults) {
    for (key, text) in config.amounts() {
        if !text.is_empty()
            && let Err(error) = text.parse::<Quantity>()
        {
            found.error(key, error.to_string());
        }
    }
}

fn words(config: &KubernetesConfig, found: &mut Faults) {
    let policies = ["always", "if-not-present", "never"];
    for word in config.pull_policy.list() {
        found.one_of("pull_policy", word, &policies);
    }
    for word in &config.allowed_pull_policies {
        found.one_of("allowed_pull_policies", word, &policies);
    }
    let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    for (key, effect) in &config.node_tolerations {
        found.one_of(format!("node_tolerations.{key:?}"), effect, &effects);
    }
    if !matches!(
        config.dns_policy.as_str(),
        "" | "none" | "default" | "cluster-first" | "cluster-first-with-host-net"
    ) {
        found.warning(
            "dns_policy",
            format!(
                "{:?} is none of none, default, cluster-first, cluster-first-with-host-net: the field is left empty",
                config.dns_policy
            ),
        );
    }
    if !matches!(
        config.helper_image_flavor.as_str(),
        "" | "alpine" | "alpine3.19" | "alpine3.21" | "ubuntu"
    ) {
        found.warning(
            "helper_image_flavor",
            format!(
                "{:?} is none of alpine, alpine3.19, alpine3.21, ubuntu",
                config.helper_image_flavor
            ),
        );
    }
    let profiles = ["RuntimeDefault", "Unconfined", "Localhost"];
    let pod = &config.pod_security_context;
    let mut profile = |key: String, kind: &str, localhost: &str| {
        found.one_of(format!("{key}.type"), kind, &profiles);
        if kind == "Localhost" && localhost.is_empty() {
            found.error(format!("{key}.localhost_profile"), "is missing");
        }
    };
    let seccomp = &pod.seccomp_profile;
    profile(
        "pod_security_context.seccomp_profile".to_owned(),
        &seccomp.kind,
        &seccomp.localhost_profile,
    );
    let armor = &pod.app_armor_profile;
    profile(
        "pod_security_context.app_armor_profile".to_owned(),
        &armor.kind,
        &armor.localhost_profile,
    );
    for (key, context) in [
        (
            "build_container_security_context",
            &config.build_container_security_context,
        ),
        (
            "helper_container_security_context",
            &config.helper_container_security_context,
        ),
        (
            "service_container_security_context",
            &config.service_container_security_context,
        ),
        (
            "init_permissions_container_security_context",
            &config.init_permissions_container_security_context,
        ),
    ] {
        let seccomp = &context.seccomp_profile;
        profile(
            format!("{key}.seccomp_profile"),
            &seccomp.kind,
            &seccomp.localhost_profile,
        );
        let armor = &context.app_armor_profile;
        profile(
            format!("{key}.app_armor_profile"),
            &armor.kind,
            &armor.localhost_profile,
        );
    }
}

fn volumes(volumes: &Volumes, found: &mut Faults) {
    let spread = ["None", "HostToContainer", "Bidirectional"];
    let propagation = |value: &Option<String>| value.clone().unwrap_or_default();
    for (index, volume) in volumes.host_path.iter().enumerate() {
        let key = format!("volumes.host_path[{index}]");
        found.required(&key, &[("name", &volume.name), ("mount_path", &volume.mount_path)]);
        found.one_of(
            format!("{key}.mount_propagation"),
            &propagation(&volume.mount_propagation),
            &spread,
        );
    }
    for (index, volume) in volumes.pvc.iter().enumerate() {
        let key = format!("volumes.pvc[{index}]");
        found.required(&key, &[("name", &volume.name), ("mount_path", &volume.mount_path)]);
        found.one_of(
            format!("{key}.mount_propagation"),
            &propagation(&volume.mount_propagation),
            &spread,
        );
    }
    for (index, volume) in volumes.config_map.iter().enumerate() {
        let key = format!("volumes.config_map[{index}]");
        found.required(&key, &[("name", &volume.name), ("mount_path", &volume.mount_path)]);
    }
    for (index, volume) in volumes.secret.iter().enumerate() {
        let key = format!("volumes.secret[{index}]");
        found.required(&key, &[("name", &volume.name), ("mount_path", &volume.mount_path)]);
    }
    for (index, volume) in volumes.empty_dir.iter().enumerate() {
        let key = format!("volumes.empty_dir[{index}]");
        found.required(&key, &[("name", &volume.name), ("mount_path", &volume.mount_path)]);
        found.one_of(
            format!("{key}.mount_propagation"),
            &propagation(&volume.mount_propagation),
            &spread,
        );
        if !volume.size_limit.is_empty()
            && let Err(error) = volume.size_limit.parse::<Quantity>()
        {
            found.error(format!("{key}.size_limit"), error.to_string());
        }
    }
    for (index, volume) in volumes.csi.iter().enumerate() {
        found.required(
            &format!("volumes.csi[{index}]"),
            &[
                ("name", &volume.name),
                ("mount_path", &volume.mount_path),
                ("driver", &volume.driver),
            ],
        );
    }
    for (index, volume) in volumes.nfs.iter().enumerate() {
        found.required(
            &format!("volumes.nfs[{index}]"),
            &[
                ("name", &volume.name),
                ("mount_path", &volume.mount_path),
                ("server", &volume.server),
                ("path", &volume.path),
            ],
        );
    }
}

fn hooks(config: &KubernetesConfig, found: &mut Faults) {
    let lifecycle = &config.container_lifecycle;
    for (name, hook) in [("post_start", &lifecycle.post_start), ("pre_stop", &lifecycle.pre_stop)] {
        if let Some(hook) = hook {
            self::hook(hook, &format!("container_lifecycle.{name}"), found);
        }
    }
}

fn hook(hook: &LifecycleHook, key: &str, found: &mut Faults) {
    let handlers = [hook.exec.is_some(), hook.http_get.is_some(), hook.tcp_socket.is_some()];
    match handlers.iter().filter(|given| **given).count() {
        1 => {}
        0 => found.error(key, "has no handler: give one of exec, http_get, tcp_socket"),
        _ => found.error(
            key,
            "has more than one handler: give only one of exec, http_get, tcp_socket",
        ),
    }
    if hook.exec.as_ref().is_some_and(|exec| exec.command.is_empty()) {
        found.error(format!("{key}.exec.command"), "is missing");
    }
    if let Some(http) = &hook.http_get {
        if http.port == 0 {
            found.error(format!("{key}.http_get.port"), "is missing");
        }
        found.one_of(format!("{key}.http_get.scheme"), &http.scheme, &["HTTP", "HTTPS"]);
        for (index, header) in http.http_headers.iter().enumerate() {
            found.required(
                &format!("{key}.http_get.http_headers[{index}]"),
                &[("name", &header.name), ("value", &header.value)],
            );
        }
    }
    if hook.tcp_socket.as_ref().is_some_and(|socket| socket.port == 0) {
        found.error(format!("{key}.tcp_socket.port"), "is missing");
    }
}

fn network(config: &KubernetesConfig, found: &mut Faults) {
    for (index, alias) in config.host_aliases.iter().enumerate() {
        let key = format!("host_aliases[{index}]");
        found.required(&key, &[("ip", &alias.ip)]);
        if !alias.ip.is_empty() && alias.ip.parse::<std::net::IpAddr>().is_err() {
            found.error(format!("{key}.ip"), format!("{:?} is no address", alias.ip));
        }
        if alias.hostnames.is_empty() {
            found.error(format!("{key}.hostnames"), "is missing");
        }
    }
    for (index, option) in config.dns_config.options.iter().enumerate() {
        found.required(&format!("dns_config.options[{index}]"), &[("name", &option.name)]);
    }
}

fn affinity(config: &KubernetesConfig, found: &mut Faults) {
    for (name, affinity) in [
        ("pod_affinity", &config.affinity.pod_affinity),
        ("pod_anti_affinity", &config.affinity.pod_anti_affinity),
    ] {
        if let Some(affinity) = affinity {
            topology(affinity, &format!("affinity.{name}"), found);
        }
    }
}

fn topology(affinity: &PodAffinity, key: &str, found: &mut Faults) {
    let required = affinity.required_during_scheduling_ignored_during_execution.iter();
    for (index, term) in required.enumerate() {
        let key = format!("{key}.required_during_scheduling_ignored_during_execution[{index}]");
        found.required(&key, &[("topology_key", &term.topology_key)]);
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter();
    for (index, term) in preferred.enumerate() {
        let key = format!("{key}.preferred_during_scheduling_ignored_during_execution[{index}].pod_affinity_term");
        found.required(&key, &[("topology_key", &term.pod_affinity_term.topology_key)]);
    }
}

fn patch(patch: &PodSpecPatch, key: &str, found: &mut Faults) {
    match (patch.patch.is_empty(), patch.patch_path.is_empty()) {
        (false, false) => found.error(key, "has both patch and patch_path: give one of them"),
        (true, true) => found.error(key, "has neither patch nor patch_path: give one of them"),
        (true, false) | (false, true) => {}
    }
}

fn folders(config: &KubernetesConfig, found: &mut Faults) {
    for (key, folder) in [
        ("logs_base_dir", &config.logs_base_dir),
        ("scripts_base_dir", &config.scripts_base_dir),
    ] {
        if folder.is_empty() {
            continue;
        }
        if !folder.starts_with('/') || folder.split('/').any(|part| part == "..") {
            found.error(key, format!("{folder:?} is no absolute path"));
        } else if folder.ends_with('/') {
            found.error(key, format!("{folder:?} ends with a slash: leave it out"));
        }
    }
}

fn autoscaler(config: &KubernetesConfig, found: &mut Faults) {
    let policies = config.autoscaler.iter().flat_map(|autoscaler| &autoscaler.policy);
    for (index, policy) in policies.enumerate() {
        let key = format!("autoscaler.policy[{index}]");
        // The zone is looked at even where there is no period to read with it.
        let always = ["* * * * *".to_owned()];
        let periods = if policy.periods.is_empty() {
            &always[..]
        } else {
            &policy.periods
        };
        for text in periods {
            if let Err(why) = period(text, &policy.timezone) {
                found.error(format!("{key}.periods"), why);
            }
        }
        if policy.scale_factor < 0.0 || !policy.scale_factor.is_finite() {
            found.error(format!("{key}.scale_factor"), "is no number from 0");
        }
    }
}

fn without_effect(config: &KubernetesConfig, found: &mut Faults) {
    if !config.suspend_pvc_size.is_empty() || !config.suspend_pvc_storage_class.is_empty() {
        found.warning(
            "suspend_pvc_size",
            "has no effect: this version suspends no environments",
        );
    }
}

fn deprecated(config: &KubernetesConfig, found: &mut Faults) {
    if config.termination_grace_period_seconds.is_some() {
        found.warning(
            "terminationGracePeriodSeconds",
            "is deprecated, and stands in place of pod_termination_grace_period_seconds and \
             cleanup_grace_period_seconds: set those instead",
        );
    }
}

impl KubernetesConfig {
    /// The keys that hold quantities, with their values.
    pub(crate) fn amounts(&self) -> Vec<(&'static str, &str)> {
        macro_rules! list {
            ($($key:ident),* $(,)?) => { vec![$((stringify!($key), self.$key.as_str())),*] };
        }
        list![
            cpu_limit,
            cpu_limit_overwrite_max_allowed,
            cpu_request,
            cpu_request_overwrite_max_allowed,
            memory_limit,
            memory_limit_overwrite_max_allowed,
            memory_request,
            memory_request_overwrite_max_allowed,
            ephemeral_storage_limit,
            ephemeral_storage_limit_overwrite_max_allowed,
            ephemeral_storage_request,
            ephemeral_storage_request_overwrite_max_allowed,
            helper_cpu_limit,
            helper_cpu_limit_overwrite_max_allowed,
            helper_cpu_request,
            helper_cpu_request_overwrite_max_allowed,
            helper_memory_limit,
            helper_memory_limit_overwrite_max_allowed,
            helper_memory_request,
            helper_memory_request_overwrite_max_allowed,
            helper_ephemeral_storage_limit,
            helper_ephemeral_storage_limit_overwrite_max_allowed,
            helper_ephemeral_storage_request,
            helper_ephemeral_storage_request_overwrite_max_allowed,
            service_cpu_limit,
            service_cpu_limit_overwrite_max_allowed,
            service_cpu_request,
            service_cpu_request_overwrite_max_allowed,
            service_memory_limit,
            service_memory_limit_overwrite_max_allowed,
            service_memory_request,
            service_memory_request_overwrite_max_allowed,
            service_ephemeral_storage_limit,
            service_ephemeral_storage_limit_overwrite_max_allowed,
            service_ephemeral_storage_request,
            service_ephemeral_storage_request_overwrite_max_allowed,
            pod_cpu_limit,
            pod_cpu_limit_overwrite_max_allowed,
            pod_cpu_request,
            pod_cpu_request_overwrite_max_allowed,
            pod_memory_limit,
            pod_memory_limit_overwrite_max_allowed,
            pod_memory_request,
            pod_memory_request_overwrite_max_allowed,
            suspend_pvc_size,
        ]
    }
}
