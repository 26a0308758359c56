//! Names of the keys of `[runners.kubernetes]`.

use crate::config::schema::Shape::{self, Any, Keys};

pub(in crate::config) const KUBERNETES: &[(&str, Shape)] = &[
    ("host", Any),
    ("context", Any),
    ("cert_file", Any),
    ("key_file", Any),
    ("ca_file", Any),
    ("bearer_token", Any),
    ("bearer_token_overwrite_allowed", Any),
    ("image", Any),
    ("namespace", Any),
    ("namespace_overwrite_allowed", Any),
    ("namespace_per_job", Any),
    ("privileged", Any),
    ("allow_privilege_escalation", Any),
    ("runtime_class_name", Any),
    ("scheduler_name", Any),
    ("priority_class_name", Any),
    ("cpu_limit", Any),
    ("cpu_limit_overwrite_max_allowed", Any),
    ("cpu_request", Any),
    ("cpu_request_overwrite_max_allowed", Any),
    ("memory_limit", Any),
    ("memory_limit_overwrite_max_allowed", Any),
    ("memory_request", Any),
    ("memory_request_overwrite_max_allowed", Any),
    ("ephemeral_storage_limit", Any),
    ("ephemeral_storage_limit_overwrite_max_allowed", Any),
    ("ephemeral_storage_request", Any),
    ("ephemeral_storage_request_overwrite_max_allowed", Any),
    ("helper_cpu_limit", Any),
    ("helper_cpu_limit_overwrite_max_allowed", Any),
    ("helper_cpu_request", Any),
    ("helper_cpu_request_overwrite_max_allowed", Any),
    ("helper_memory_limit", Any),
    ("helper_memory_limit_overwrite_max_allowed", Any),
    ("helper_memory_request", Any),
    ("helper_memory_request_overwrite_max_allowed", Any),
    ("helper_ephemeral_storage_limit", Any),
    ("helper_ephemeral_storage_limit_overwrite_max_allowed", Any),
    ("helper_ephemeral_storage_request", Any),
    ("helper_ephemeral_storage_request_overwrite_max_allowed", Any),
    ("service_cpu_limit", Any),
    ("service_cpu_limit_overwrite_max_allowed", Any),
    ("service_cpu_request", Any),
    ("service_cpu_request_overwrite_max_allowed", Any),
    ("service_memory_limit", Any),
    ("service_memory_limit_overwrite_max_allowed", Any),
    ("service_memory_request", Any),
    ("service_memory_request_overwrite_max_allowed", Any),
    ("service_ephemeral_storage_limit", Any),
    ("service_ephemeral_storage_limit_overwrite_max_allowed", Any),
    ("service_ephemeral_storage_request", Any),
    ("service_ephemeral_storage_request_overwrite_max_allowed", Any),
    ("pod_cpu_limit", Any),
    ("pod_cpu_limit_overwrite_max_allowed", Any),
    ("pod_cpu_request", Any),
    ("pod_cpu_request_overwrite_max_allowed", Any),
    ("pod_memory_limit", Any),
    ("pod_memory_limit_overwrite_max_allowed", Any),
    ("pod_memory_request", Any),
    ("pod_memory_request_overwrite_max_allowed", Any),
    ("allowed_images", Any),
    ("allowed_services", Any),
    ("allowed_pull_policies", Any),
    ("allowed_users", Any),
    ("allowed_groups", Any),
    ("pull_policy", Any),
    ("node_selector", Any),
    ("node_selector_overwrite_allowed", Any),
    ("node_tolerations", Any),
    ("node_tolerations_overwrite_allowed", Any),
    ("affinity", Keys(AFFINITY)),
    ("image_pull_secrets", Any),
    ("use_service_account_image_pull_secrets", Any),
    ("helper_image", Any),
    ("helper_image_flavor", Any),
    ("helper_image_autoset_arch_and_os", Any),
    ("guest_delivery", Any),
    ("pod_termination_grace_period_seconds", Any),
    ("cleanup_grace_period_seconds", Any),
    ("terminationGracePeriodSeconds", Any),
    ("cleanup_resources_timeout", Any),
    ("poll_interval", Any),
    ("poll_timeout", Any),
    ("resource_availability_check_max_attempts", Any),
    ("retry_limit", Any),
    ("retry_backoff_max", Any),
    ("retry_limits", Any),
    ("pod_labels", Any),
    ("pod_labels_overwrite_allowed", Any),
    ("pod_annotations", Any),
    ("pod_annotations_overwrite_allowed", Any),
    ("service_account", Any),
    ("service_account_overwrite_allowed", Any),
    ("automount_service_account_token", Any),
    ("pod_security_context", Keys(POD_SECURITY_CONTEXT)),
    ("build_container_security_context", Keys(CONTAINER_SECURITY_CONTEXT)),
    ("helper_container_security_context", Keys(CONTAINER_SECURITY_CONTEXT)),
    ("service_container_security_context", Keys(CONTAINER_SECURITY_CONTEXT)),
    (
        "init_permissions_container_security_context",
        Keys(CONTAINER_SECURITY_CONTEXT),
    ),
    ("cap_add", Any),
    ("cap_drop", Any),
    ("volumes", Keys(VOLUMES)),
    ("host_aliases", Keys(HOST_ALIAS)),
    ("dns_policy", Any),
    ("dns_config", Keys(DNS_CONFIG)),
    ("container_lifecycle", Keys(CONTAINER_LIFECYCLE)),
    ("services", Keys(KUBERNETES_SERVICE)),
    ("pod_spec", Keys(POD_SPEC_PATCH)),
    ("logs_base_dir", Any),
    ("scripts_base_dir", Any),
    ("print_pod_warning_events", Any),
    ("pod_disruption_budget", Any),
    ("suspend_pvc_size", Any),
    ("suspend_pvc_storage_class", Any),
    ("autoscaler", Keys(AUTOSCALER)),
];

const AFFINITY: &[(&str, Shape)] = &[
    ("node_affinity", Keys(NODE_AFFINITY)),
    ("pod_affinity", Keys(POD_AFFINITY)),
    ("pod_anti_affinity", Keys(POD_AFFINITY)),
];

const NODE_AFFINITY: &[(&str, Shape)] = &[
    (
        "required_during_scheduling_ignored_during_execution",
        Keys(NODE_SELECTOR),
    ),
    (
        "preferred_during_scheduling_ignored_during_execution",
        Keys(PREFERRED_NODE),
    ),
];

const NODE_SELECTOR: &[(&str, Shape)] = &[("node_selector_terms", Keys(NODE_SELECTOR_TERM))];

const NODE_SELECTOR_TERM: &[(&str, Shape)] = &[
    ("match_expressions", Keys(NODE_EXPRESSION)),
    ("match_fields", Keys(NODE_EXPRESSION)),
];

const NODE_EXPRESSION: &[(&str, Shape)] = &[("key", Any), ("operator", Any), ("values", Any)];

const PREFERRED_NODE: &[(&str, Shape)] = &[("weight", Any), ("preference", Keys(NODE_SELECTOR_TERM))];

const POD_AFFINITY: &[(&str, Shape)] = &[
    (
        "required_during_scheduling_ignored_during_execution",
        Keys(POD_AFFINITY_TERM),
    ),
    (
        "preferred_during_scheduling_ignored_during_execution",
        Keys(PREFERRED_POD),
    ),
];

const POD_AFFINITY_TERM: &[(&str, Shape)] = &[
    ("label_selector", Keys(LABEL_SELECTOR)),
    ("namespaces", Any),
    ("topology_key", Any),
    ("namespace_selector", Keys(LABEL_SELECTOR)),
    ("match_label_keys", Any),
    ("mismatch_label_keys", Any),
];

const LABEL_SELECTOR: &[(&str, Shape)] = &[("match_labels", Any), ("match_expressions", Keys(LABEL_EXPRESSION))];

const LABEL_EXPRESSION: &[(&str, Shape)] = &[("key", Any), ("operator", Any), ("values", Any)];

const PREFERRED_POD: &[(&str, Shape)] = &[("weight", Any), ("pod_affinity_term", Keys(POD_AFFINITY_TERM))];

const POD_SECURITY_CONTEXT: &[(&str, Shape)] = &[
    ("fs_group", Any),
    ("run_as_group", Any),
    ("run_as_non_root", Any),
    ("run_as_user", Any),
    ("supplemental_groups", Any),
    ("selinux_type", Any),
    ("seccomp_profile", Keys(SECCOMP_PROFILE)),
    ("app_armor_profile", Keys(APP_ARMOR_PROFILE)),
];

const SECCOMP_PROFILE: &[(&str, Shape)] = &[("type", Any), ("localhost_profile", Any)];

const APP_ARMOR_PROFILE: &[(&str, Shape)] = &[("type", Any), ("localhost_profile", Any)];

const CONTAINER_SECURITY_CONTEXT: &[(&str, Shape)] = &[
    ("capabilities", Keys(CAPABILITIES)),
    ("privileged", Any),
    ("run_as_user", Any),
    ("run_as_group", Any),
    ("run_as_non_root", Any),
    ("read_only_root_filesystem", Any),
    ("allow_privilege_escalation", Any),
    ("selinux_type", Any),
    ("proc_mount", Any),
    ("seccomp_profile", Keys(SECCOMP_PROFILE)),
    ("app_armor_profile", Keys(APP_ARMOR_PROFILE)),
];

const CAPABILITIES: &[(&str, Shape)] = &[("add", Any), ("drop", Any)];

const VOLUMES: &[(&str, Shape)] = &[
    ("host_path", Keys(HOST_PATH_VOLUME)),
    ("pvc", Keys(PVC_VOLUME)),
    ("config_map", Keys(CONFIG_MAP_VOLUME)),
    ("secret", Keys(SECRET_VOLUME)),
    ("empty_dir", Keys(EMPTY_DIR_VOLUME)),
    ("csi", Keys(CSI_VOLUME)),
    ("nfs", Keys(NFS_VOLUME)),
];

const HOST_PATH_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("read_only", Any),
    ("host_path", Any),
    ("mount_propagation", Any),
];

const PVC_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("read_only", Any),
    ("mount_propagation", Any),
];

const CONFIG_MAP_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("read_only", Any),
    ("items", Any),
];

const SECRET_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("read_only", Any),
    ("items", Any),
];

const EMPTY_DIR_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("medium", Any),
    ("size_limit", Any),
    ("mount_propagation", Any),
];

const CSI_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("driver", Any),
    ("fs_type", Any),
    ("volume_attributes", Any),
    ("read_only", Any),
];

const NFS_VOLUME: &[(&str, Shape)] = &[
    ("name", Any),
    ("mount_path", Any),
    ("sub_path", Any),
    ("server", Any),
    ("path", Any),
    ("read_only", Any),
];

const HOST_ALIAS: &[(&str, Shape)] = &[("ip", Any), ("hostnames", Any)];

const DNS_CONFIG: &[(&str, Shape)] = &[("nameservers", Any), ("options", Keys(DNS_OPTION)), ("searches", Any)];

const DNS_OPTION: &[(&str, Shape)] = &[("name", Any), ("value", Any)];

const CONTAINER_LIFECYCLE: &[(&str, Shape)] =
    &[("post_start", Keys(LIFECYCLE_HOOK)), ("pre_stop", Keys(LIFECYCLE_HOOK))];

const LIFECYCLE_HOOK: &[(&str, Shape)] = &[
    ("exec", Keys(EXEC_HOOK)),
    ("http_get", Keys(HTTP_GET_HOOK)),
    ("tcp_socket", Keys(TCP_SOCKET_HOOK)),
];

const EXEC_HOOK: &[(&str, Shape)] = &[("command", Any)];

const HTTP_GET_HOOK: &[(&str, Shape)] = &[
    ("port", Any),
    ("host", Any),
    ("path", Any),
    ("scheme", Any),
    ("http_headers", Keys(HTTP_HEADER)),
];

const HTTP_HEADER: &[(&str, Shape)] = &[("name", Any), ("value", Any)];

const TCP_SOCKET_HOOK: &[(&str, Shape)] = &[("port", Any), ("host", Any)];

const KUBERNETES_SERVICE: &[(&str, Shape)] = &[
    ("name", Any),
    ("alias", Any),
    ("command", Any),
    ("entrypoint", Any),
    ("environment", Any),
];

const POD_SPEC_PATCH: &[(&str, Shape)] = &[("name", Any), ("patch", Any), ("patch_path", Any), ("patch_type", Any)];

const AUTOSCALER: &[(&str, Shape)] = &[
    ("max_pause_pods", Any),
    ("pause_pod_image", Any),
    ("pause_pod_priority_class_name", Any),
    ("pause_pod_image_pull_secrets", Any),
    ("policy", Keys(AUTOSCALER_POLICY)),
];

const AUTOSCALER_POLICY: &[(&str, Shape)] = &[
    ("periods", Any),
    ("timezone", Any),
    ("idle_count", Any),
    ("idle_time", Any),
    ("scale_factor", Any),
    ("scale_factor_limit", Any),
];
